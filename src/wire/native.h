/* SPDX-License-Identifier: Apache-2.0 */
/* The plain dialect (docs/protocols/native.md) as values: what a client says becomes a struct
 * native_request, what the server says is appended to a buf. Nothing here knows a session.
 * Views point into the text, or into the arena where JSON escapes had to be undone. */
#ifndef WIRE_NATIVE_H
#define WIRE_NATIVE_H

#include "wire/cursor.h"

/* Bytes; see docs/protocols/native.md. */
enum { NATIVE_CHANNEL_MAX = 255, NATIVE_EVENT_MAX = 128, NATIVE_ID_MAX = 64, NATIVE_KEY_MAX = 255 };
enum { NATIVE_REF_MAX = 256, NATIVE_TOKEN_MAX = 16384 };
enum { NATIVE_CHANNELS_MAX = 100, NATIVE_HISTORY_MAX = 1000, NATIVE_HISTORY_DEFAULT = 100 };

enum native_type {
    NATIVE_SUBSCRIBE,
    NATIVE_UNSUBSCRIBE,
    NATIVE_MESSAGE,
    NATIVE_TRACK,
    NATIVE_UNTRACK,
    NATIVE_PRESENCE,
    NATIVE_HISTORY,
    NATIVE_AUTH,
    NATIVE_PING
};

enum native_echo { NATIVE_ECHO_DEFAULT, NATIVE_ECHO_YES, NATIVE_ECHO_NO };

struct native_position {
    bool given;
    struct str epoch; /* empty: any */
    uint64_t offset;
};
struct native_channel {
    struct str name;
    struct native_position since; /* subscribe: from `since` */
};

struct native_request {
    enum native_type type;
    struct native_channel *channels; /* in the arena; none = the rule for the default channel */
    size_t channels_count;
    struct native_position since; /* the single form (also in channels[0] when there is one) */
    struct str event;             /* "message" by default */
    struct str content;           /* raw JSON, or the bytes of a binary frame */
    /* empty when absent; ref (a string or number), meta (an object) and data are raw JSON */
    struct str id, key, ref, token, meta, data;
    uint64_t history;              /* newest n first; 0 = none */
    uint64_t limit, before, after; /* history */
    bool has_before, has_after;
    enum native_echo echo;
    bool presence, delta, is_volatile, binary;
    const char *detail; /* after < 0: which field and why */
};

/* A client's text frame. 0 or E_* with out->detail; out->ref is set even then if it could be
 * read. depth: of JSON. */
int native_decode(struct str text, unsigned depth, struct arena *a, struct native_request *out);
/* A client's binary frame: a NATIVE_MESSAGE. */
int native_decode_binary(struct str bytes, struct arena *a, struct native_request *out);
/* One object of POST /api/publish: a NATIVE_MESSAGE without "type". */
int native_decode_publish(struct str object, unsigned depth, struct arena *a,
                          struct native_request *out);
/* 1..max bytes of UTF-8 without control characters (channels, events, keys, ids). */
bool native_name_valid(struct str name, size_t bytes_max);

struct native_message {
    struct str channel, event, content, epoch, key, sender_sub, sender_session;
    struct str cursor;      /* poll only */
    struct str attachments; /* packed (wire/attachments.h): content has placeholders for them */
    struct str delta;       /* raw JSON array; when given it stands in place of content */
    uint64_t offset, time_ms, delta_base;
    uint32_t delta_sum;
    bool binary; /* content goes as base64 with "encoding" */
};
struct native_member {
    struct str key;
    const struct str *metas; /* raw JSON objects */
    size_t metas_count;
};

/* ref, cursor, ticket, detail ...: empty or NULL = the field is left out. ref is raw JSON. */
void native_add_connected(struct buf *b, struct str session, struct str ticket, bool recovered,
                          uint64_t ping_ms, uint64_t time_ms);
void native_add_subscribed(struct buf *b, struct str channel, struct str epoch, uint64_t offset,
                           bool recovered, struct str ref);
void native_add_unsubscribed(struct buf *b, struct str channel, struct str ref);
void native_add_message(struct buf *b, const struct native_message *m);
/* <channel length><channel><event length><event><offset, 8 bytes><content> */
void native_add_binary(struct buf *b, const struct native_message *m);
void native_add_presence_state(struct buf *b, struct str channel, const struct native_member *all,
                               size_t count, struct str ref);
void native_add_presence_diff(struct buf *b, struct str channel, const struct native_member *joins,
                              size_t joins_count, const struct native_member *leaves,
                              size_t leaves_count);
void native_add_ack(struct buf *b, struct str channel, struct str id, struct str epoch,
                    uint64_t offset, bool duplicate, struct str ref);
/* track, untrack: an ack without a place. */
void native_add_ack_plain(struct buf *b, struct str channel, struct str ref);
/* begin, any number of items, end. */
void native_begin_history(struct buf *b, struct str channel, struct str epoch);
void native_add_history(struct buf *b, const struct native_message *m);
void native_end_history(struct buf *b, bool more, struct str ref);
void native_add_gap(struct buf *b, struct str channel, uint64_t from, uint64_t to,
                    struct str cursor);
void native_add_expiring(struct buf *b, uint64_t in_ms);
void native_add_authenticated(struct buf *b, struct str sub, struct str role, uint64_t expires_ms,
                              struct str ref);
void native_add_pong(struct buf *b, struct str data, struct str ref);
void native_add_reconnect(struct buf *b, uint64_t in_ms);
void native_add_timeout(struct buf *b, struct str cursor, uint64_t time_ms);
/* The row of err.def; detail replaces its text. */
void native_add_error(struct buf *b, int err, const char *detail, struct str channel,
                      struct str ref);
/* Answer of POST /api/publish. */
void native_add_published(struct buf *b, struct str channel, struct str epoch, uint64_t offset,
                          bool duplicate);

#endif
