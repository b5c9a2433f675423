/* SPDX-License-Identifier: Apache-2.0 */
/* Inside the protocol room: one Phoenix connection and the topics that were joined on it.
 *
 *   phoenix.c   frames, refs, who gets them: heartbeat, join, leave, close
 *   supabase*.c what Supabase Realtime says inside of them
 *
 * Each topic is a session of its own (identity, expiry, presence, place), all on the one outlet.
 * The record of a topic belongs to its session: it goes with session_ops.ended. While the session
 * waits for its client, topic->conn is NULL. */
#ifndef PROTOCOL_PHOENIX_H
#define PROTOCOL_PHOENIX_H

#include "base/table.h"
#include "hub/source.h"
#include "protocol/protocol.h"
#include "wire/phoenix.h"

#define PHOENIX_TOPIC_PREFIX "realtime:"
#define PHOENIX_PRIVATE_PREFIX "private:" /* of the channel, not of the topic */

/* Tokens of a rate; may go into debt, which is the time to wait. */
struct phoenix_bucket {
    uint64_t at_ms;
    int64_t milli;
};

/* Of one loop. */
struct phoenix_home {
    const struct realtime_config *config;
    uint64_t began_ms;
    unsigned loops;                                  /* rates of all clients are shared out */
    struct phoenix_bucket joins, messages, presence; /* of all clients of this loop */
};

struct phoenix {
    struct phoenix_home *home;
    struct loop *loop;
    struct outlet *outlet;
    struct identity *identity; /* of the connection's key */
    struct table topics;       /* struct phoenix_topic by its topic */
    struct phoenix_bucket messages;
    uint64_t heard_ms;
    uint64_t hold_ms; /* asked for by the last frame */
    int vsn;
    enum encoding_kind kind; /* ENC_NONE: no shared bytes (long poll) */
    bool is_told;            /* that the server goes away */
    uint64_t lost_until_ms;  /* joins before that: it was here before this process, nobody knows
                                where; 0 = not so */
    char ticket[SESSION_TICKET_SIZE + 1];
};

/* Of a watch on changes; epoch empty: none. */
struct changes_place {
    char epoch[SOURCE_EPOCH_MAX];
    uint64_t seq;
};

/* Where a topic begins that does not begin now. */
struct phoenix_begin {
    struct position since; /* where it goes on; epoch empty: nowhere */
    uint64_t takes_id;     /* session whose place it takes when the join succeeds */
    uint64_t replay_since_ms;
    size_t replay_limit;
};

struct phoenix_topic {
    struct phoenix *conn;
    struct session *session;
    struct str topic, channel; /* in text */
    struct str join_ref;       /* in text */
    bool is_joined;
    /* supabase.c: */
    bool ack, self;
    bool presence;        /* wants to see it */
    bool presence_only;   /* may not hear messages */
    bool asks_again;      /* a token came while the join was asked */
    bool checks_presence; /* a token came: may it still be seen who is here? */
    bool replays;         /* the missed messages are a replay that was asked for */
    bool replication_ready;
    struct phoenix_begin *begin; /* NULL: with what is sent from now on */
    uint64_t live_from;          /* the offset that the join was answered with */
    uint64_t presence_since_ms;  /* window of presence calls */
    unsigned presence_calls;
    struct supabase_changes *changes; /* NULL: no bindings */
    char *key;                        /* of its presence; owned */
    size_t key_n;
    char text[];
};

void *phoenix_open(const struct protocol_hello *hello, int *err);
void phoenix_on_message(struct phoenix *c, struct str payload, bool is_binary);
void phoenix_on_ping(struct phoenix *c);
void phoenix_on_receipt(struct phoenix *c, uint64_t position);
void phoenix_on_drained(struct phoenix *c);
void phoenix_on_closed(struct phoenix *c, int err, bool is_goodbye);

/* Puts it on the connection; its session is set by the caller. */
struct phoenix_topic *phoenix_topic_new(struct phoenix *c, const struct phoenix_frame *join,
                                        struct str channel);
static inline bool phoenix_topic_resumes(const struct phoenix_topic *t)
{
    return t->begin && t->begin->since.epoch[0];
}
/* Off the connection, freed. */
void phoenix_topic_free(struct phoenix_topic *t);
struct phoenix_address phoenix_address_of(const struct phoenix_topic *t, struct str ref);
/* Sends and frees. */
void phoenix_emit(struct phoenix *c, struct buf *b, bool is_binary);
/* response: a JSON object, or empty. */
void phoenix_reply(const struct phoenix_topic *t, struct str ref, bool ok, struct str response);
/* An error reply to a push, {"reason":...}. */
void phoenix_refuse(const struct phoenix_topic *t, struct str ref, struct str reason);
/* ... to a frame of a topic that is not joined. */
void phoenix_refuse_frame(struct phoenix *c, const struct phoenix_frame *f, struct str join_ref,
                          struct str reason);
/* The client takes the channel for closed and does not come back by itself. */
void phoenix_close_topic(const struct phoenix_topic *t);
/* It takes the channel for broken, and joins again after a while. */
void phoenix_break_topic(const struct phoenix_topic *t, struct str reason);

/* Of a rate of all clients, what is this loop's. */
uint64_t phoenix_share(const struct phoenix *c, unsigned per_second);
/* What one costs of a rate of all clients. In debt input waits a little; false when the debt is too
 * deep: refuse it. per_second 0: free. */
bool phoenix_spend(struct phoenix *c, struct phoenix_bucket *b, uint64_t per_second,
                   uint64_t burst);

/* phoenix_encode.c */
struct phoenix_form {
    int vsn;
    bool is_replay; /* it stood in the history: its meta says so */
    bool is_text;   /* bytes cannot travel */
};
bool phoenix_encode_for(const struct phoenix_form *form, const struct msg *m, struct buf *out);

#endif
