/* SPDX-License-Identifier: Apache-2.0 */
/* One Engine.IO connection: a client that is reached by polls, or by a WebSocket, or first by one
 * and then by the other. Below it is the transport (poll requests, a WebSocket's outlet), above it
 * the Socket.IO sockets of this client (socketio.c), which send through its outlet.
 *
 *   POLLING --a WebSocket with its sid--> PROBING --5--> ON_WS       (ON_WS from the start, too)
 *      ^                                    |
 *      '--- lost, timeout, nonsense --------'
 *   any --engineio_close--> CLOSING (the client must be told yet) --> CLOSED (freed)
 *
 * What holds: in POLLING and PROBING, outlet.sock is NULL and what is sent waits in the queue for
 * a poll; in ON_WS outlet.sock is the WebSocket's. From CLOSING on there are no sockets above. A
 * connection belongs to one loop; its sid begins with the loop's number (two hex digits). */
#ifndef PROTOCOL_ENGINEIO_H
#define PROTOCOL_ENGINEIO_H

#include "session/session.h"
#include "wire/engineio.h"

struct engineio;

struct engineio_config {
    uint64_t ping_interval_ms, ping_timeout_ms;
    uint64_t upgrade_timeout_ms;
    uint64_t connect_timeout_ms; /* until the first namespace is joined */
    size_t strangers_max;        /* polling, in no namespace yet; of all loops */
    uint64_t close_ms;           /* for the poll that must hear of the close */
    size_t payload_bytes_max;    /* of a body or WebSocket message; told as maxPayload */
    bool can_upgrade;
    bool recovers; /* clients are told the place of each event */
    bool deflate;  /* permessage-deflate may be agreed on */
    struct str initial_packet;
};

/* Filled by transport: a poll that waits (its request). */
struct engineio_poll_ops {
    void (*answer)(void *poll, struct str payload);
};
void engineio_setup(struct loops *ls, const struct engineio_config *config,
                    const struct engineio_poll_ops *ops);
void engineio_teardown(struct loops *ls);
/* Connections of this loop: each client is told to come back. */
void engineio_drain(struct loop *l);

/* What the first request said of the client; texts are borrowed for the call. */
struct engineio_hello {
    struct loop *loop;
    struct identity *identity;        /* of the request's token; NULL: it had none, or a bad one */
    int auth_err;                     /* why there is none */
    bool b64;                         /* takes no binary frames */
    struct str address, url, headers; /* kept when somebody asks (socketio_keeps_handshake) */
    bool is_tls;
};
/* A new connection that begins with a poll: its OPEN packet waits for that. */
struct engineio *engineio_open(const struct engineio_hello *hello);
struct loop *engineio_loop_of(struct loop *l, struct str sid); /* by its digits; NULL: no sid */
struct engineio *engineio_find(struct loop *l, struct str sid);
struct str engineio_sid(const struct engineio *e);
/* POLLING or WEBSOCKET. */
enum engineio_transport engineio_transport(const struct engineio *e);

/* A GET: is answered when there is something to say, perhaps at once. False: another one waits
 * already; that breaks the connection, and this request is to be refused. */
bool engineio_park(struct engineio *e, void *poll);
/* The poll's client has gone. */
void engineio_poll_lost(struct engineio *e, void *poll);
/* A POST's body. */
void engineio_receive(struct engineio *e, struct str payload);
/* How long the answer to it should wait: the client has used up its rate. */
uint64_t engineio_hold_ms(const struct engineio *e);
/* The client broke the rules of its transport. */
void engineio_break(struct engineio *e);

/* WebSocket (protocol.c). target: the connection that is to be upgraded; NULL: a new one. */
struct engineio *engineio_open_ws(const struct engineio_hello *hello, struct outlet *ws,
                                  bool is_deflate, int *err);
int engineio_probe(struct engineio *e, struct outlet *ws, bool is_deflate);
void engineio_on_ws_message(struct engineio *e, struct str payload, bool is_binary);
void engineio_on_ws_drained(struct engineio *e);
void engineio_on_ws_closed(struct engineio *e, int err);

#endif
