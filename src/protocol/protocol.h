/* SPDX-License-Identifier: Apache-2.0 */
/* What clients say. A protocol turns a client's messages into requests for its session and the
 * session's answers into messages; how bytes travel is the transport's business.
 *
 * The set is closed, so the calls below are switches over enum protocol_kind (protocol.c). To
 * add a dialect: wire/x (codec), protocol/x (behaviour), a row here and in hub/encoding.def; the
 * compiler names the switches. `peer` is what protocol_open returned for that connection. */
#ifndef PROTOCOL_PROTOCOL_H
#define PROTOCOL_PROTOCOL_H

#include "session/session.h"

enum protocol_kind {
    PROTOCOL_NATIVE,
    PROTOCOL_SOCKETIO,
    PROTOCOL_PHOENIX,
    PROTOCOL_ECHO /* sends back what comes: /echo, for conformance suites */
};

/* Limits of the Supabase dialect; of all its clients unless said otherwise. 0 = none. */
struct realtime_config {
    bool enabled;
    bool private_only;
    size_t clients_max;
    unsigned messages_per_second; /* a minute's average */
    unsigned joins_per_second;
    unsigned presence_per_second;
    unsigned presence_calls;    /* of one client and channel in 30 s */
    size_t channels_per_client; /* never 0 */
    size_t presence_keys_max;   /* in one object */
    size_t payload_bytes;
    size_t frame_bytes_max;
    uint64_t idle_ms; /* without a heartbeat */
};
/* State on each loop; before they run. config is borrowed for good. */
void phoenix_setup(struct loops *ls, const struct realtime_config *config);
void phoenix_teardown(struct loops *ls);
const struct realtime_config *realtime_config_of(struct loop *l);

/* A WebSocket that has been accepted. Texts are borrowed for the call. */
struct protocol_hello {
    enum protocol_kind kind;
    struct loop *loop;
    struct outlet *outlet;
    struct identity *identity; /* borrowed */
    bool needs_token;          /* anonymous is off and no token came: wait for one in-band */
    bool is_deflate;           /* permessage-deflate was agreed: ask for that kind of bytes */
    struct session *resumed;   /* a detached session of this client's ticket, or NULL */
    struct str ticket;         /* to be joined */
    bool tells_ticket;         /* the client cannot keep cookies: it must be told */
    bool is_unknown;           /* it named a ticket that is not known (any more) */
    uint64_t ping_ms;
    struct str query;                      /* of the upgrade request, raw */
    const struct engineio_hello *engineio; /* PROTOCOL_SOCKETIO (engineio.h) */
    struct engineio *target;
};
/* Returns the peer, or NULL and *err (E_*): the transport closes with it. */
void *protocol_open(const struct protocol_hello *hello, int *err);
/* One whole message of the client. */
void protocol_on_message(enum protocol_kind kind, void *peer, struct str payload, bool is_binary);
/* The transport looks whether the client lives; the dialect may have its own view. */
void protocol_on_ping(enum protocol_kind kind, void *peer);
/* The client has read all up to that position of the sock (outlet_ops.ask). */
void protocol_on_receipt(enum protocol_kind kind, void *peer, uint64_t position);
void protocol_on_drained(enum protocol_kind kind, void *peer);
/* How long further input should wait. */
uint64_t protocol_hold_ms(enum protocol_kind kind, void *peer);
/* Last call. is_goodbye: the client meant it (a close frame), so nothing waits for it. The
 * outlet's sock is still readable. */
void protocol_on_closed(enum protocol_kind kind, void *peer, int err, bool is_goodbye);

/* ---- the plain dialect (native.c), also used by SSE, poll and the publish endpoint --------- */
/* The message as one text (false) or binary (true) frame's payload. */
bool native_encode_message(const struct msg *m, struct buf *out);
void native_encode_presence(struct str channel, const struct presence_update *u, struct buf *out);
/* An answer as one text frame's payload; nothing when it needs none. */
void native_encode_answer(const struct answer *a, struct buf *out);
/* The same with all that follows a "subscribed" (gap, presence), frame by frame. */
/* A frame that could not be made is given as such (failed). */
void native_each_frame(const struct answer *a, void (*emit)(void *arg, const struct buf *frame),
                       void *arg);
struct native_message; /* wire/native.h */
void native_message_of(const struct msg *m, struct native_message *out);
extern const struct session_ops native_ops;

/* ---- Supabase Realtime (phoenix.c, supabase*.c) --------------------------------------------- */
/* One frame's payload for clients of vsn 1 or 2, text (false) or binary (true). */
bool phoenix_encode_message(int vsn, const struct msg *m, struct buf *out);
void phoenix_encode_presence(int vsn, struct str channel, const struct presence_update *u,
                             struct buf *out);
/* What goes before it: the leaves of those whose key another session goes on with. False: none.
 * In one frame with the joins, where upstream never has them since a lost connection leaves there
 * at once, supabase-js before 2.119 would keep both of them for ever. */
bool phoenix_encode_handover(int vsn, struct str channel, const struct presence_update *u,
                             struct buf *out);
extern const struct session_ops supabase_ops;

#endif
