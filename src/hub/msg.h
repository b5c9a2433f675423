/* SPDX-License-Identifier: Apache-2.0 */
/* One published message: counted, immutable after channel_append gave it its place, shared by
 * all loops. One block of memory: the struct, then its texts. */
#ifndef HUB_MSG_H
#define HUB_MSG_H

#include "base/ref.h"
#include "base/str.h"

enum msg_format {
    MSG_JSON,        /* content is one JSON text */
    MSG_JSON_LIST,   /* content is a JSON array that stands for several arguments (Socket.IO) */
    MSG_BINARY,      /* content is bytes */
    MSG_ATTACHMENTS, /* content is a JSON array of arguments with Socket.IO placeholders; the
                        bytes stand in attachments: each 4 bytes big-endian length, then data */
};

/* Everything a publisher says; views are borrowed and copied by msg_new. */
struct msg_fields {
    struct str channel;
    struct str event; /* empty = "message" */
    struct str content;
    struct str attachments;
    struct str id;           /* the publisher's idempotency id, or empty */
    struct str key;          /* conflation key, or empty */
    struct str sender;       /* identity's sub, or empty */
    struct str sender_name;  /* public session id, or empty */
    uint64_t sender_session; /* 0 = none */
    /* Names of channels, each ended by '\n': a subscriber of one of `except` gets nothing; one
     * who is in several of `with` (the channels of one emit) gets one copy. */
    struct str except;
    struct str with;
    enum msg_format format;
    bool no_echo;     /* not to sender_session */
    bool is_volatile; /* not kept; dropped where it would have to wait */
    bool no_history;  /* ordered and delivered, not kept */
};

struct msg {
    struct ref ref;
    uint32_t size; /* of the whole block, for budgets */
    uint64_t offset;
    uint64_t time_ms;
    uint64_t sender_session;
    struct str epoch; /* of the channel at that time */
    struct str channel, event, content, attachments, id, key, sender, sender_name, except, with;
    enum msg_format format;
    bool no_echo, is_volatile, no_history;
    char epoch_text[24];
};

/* A copy of the fields. NULL without memory. Caller owns one reference. */
struct msg *msg_new(const struct msg_fields *f);
void msg_ref(struct msg *m);
/* Drops *m and clears it. */
void msg_unref(struct msg **m);
/* "<epoch>-<offset>" into out (at least 48 bytes); returns its length. */
size_t msg_put_id(const struct msg *m, char *out);

#endif
