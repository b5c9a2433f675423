/* SPDX-License-Identifier: Apache-2.0 */
/* Phoenix channel frames: vsn 1.0.0 (JSON objects), 2.0.0 (JSON arrays) and the two binary kinds
 * that realtime-js speaks, 3 from it and 4 to it. Topics are whole here ("realtime:room-1").
 *
 * Refs are opaque: kept as raw JSON (a string with its quotes, or a number), so that they go
 * back byte for byte; empty stands for null. */
#ifndef WIRE_PHOENIX_H
#define WIRE_PHOENIX_H

#include "wire/jsonscan.h"
#include "base/buf.h"

enum {
    PHOENIX_REF_MAX = 64,
    PHOENIX_TOPIC_MAX = 1024, /* bytes; what a channel's name may be is decided further in */
    PHOENIX_EVENT_MAX = 255,
};

struct phoenix_frame {
    struct str join_ref, ref; /* raw JSON; empty = null */
    struct str topic, event;  /* text */
    struct str payload;       /* raw JSON; bytes when is_bytes */
    /* A broadcast that came as kind 3: event is "broadcast", payload the user's own. */
    bool is_user_broadcast;
    bool is_bytes;
    struct str user_event;
    struct str meta; /* raw JSON object; empty = none */
};

/* vsn: 1 or 2. 0, or E_PROTOCOL, E_BAD_REQUEST, E_BAD_UTF8, E_TOO_LARGE: log and drop the frame,
 * the connection goes on (as upstream does); E_NO_MEMORY. Lenient: unknown members, more than
 * five elements, a missing payload or ref. depth: of JSON. */
int phoenix_decode(struct arena *a, int vsn, struct str text, unsigned depth,
                   struct phoenix_frame *out);
/* Kind 3. Header strings are UTF-8, or Latin-1 where that fails (realtime-js before 2.119). */
int phoenix_decode_binary(struct arena *a, struct str bytes, unsigned depth,
                          struct phoenix_frame *out);
/* The "vsn" of the request: 1 for "1.0.0" and when absent, 2 for "2.0.0", 0 for others. */
int phoenix_vsn(struct str text);

/* Where a frame goes. vsn 1 has no place for join_ref. Null refs reach every member of the topic
 * with the same bytes. */
struct phoenix_address {
    int vsn;
    struct str join_ref, ref;
    struct str topic;
};
/* begin, the payload's JSON, end. */
void phoenix_begin(struct buf *out, const struct phoenix_address *to, const char *event);
void phoenix_end(struct buf *out, const struct phoenix_address *to);
void phoenix_add(struct buf *out, const struct phoenix_address *to, const char *event,
                 struct str payload);
/* response: a JSON object; empty = {}. */
void phoenix_add_reply(struct buf *out, const struct phoenix_address *to, bool ok,
                       struct str response);
/* An error reply {"reason":...}. */
void phoenix_add_refusal(struct buf *out, const struct phoenix_address *to, struct str reason);

struct phoenix_broadcast {
    struct str topic, event;
    struct str payload; /* JSON, or bytes */
    struct str meta;    /* JSON object; empty = none */
    bool is_bytes;
};
/* As a text frame with null refs. Bytes go inline as base64 with its mark (attachments.h). */
void phoenix_add_broadcast(struct buf *out, int vsn, const struct phoenix_broadcast *b);
/* As a binary frame of kind 4. False, with nothing appended, when a name is over 255 bytes. */
bool phoenix_add_broadcast_binary(struct buf *out, const struct phoenix_broadcast *b);

/* Presence lists: '{' member* '}', where a member is begin_member, meta+, end_member. meta is a
 * JSON object; ours are the last keys in it, so a client cannot forge them. */
void phoenix_begin_member(struct buf *out, struct str key);
void phoenix_add_meta(struct buf *out, struct str meta, uint64_t ref, uint64_t ref_prev);
void phoenix_end_member(struct buf *out);

#endif
