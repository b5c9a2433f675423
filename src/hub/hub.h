/* SPDX-License-Identifier: Apache-2.0 */
/* The heart: channels, subscriptions, fan-out, presence, history. It knows no socket, no
 * protocol and no SQL.
 *
 * Each loop has a hub. A channel is *owned* by one of them (hash of its name): the owner gives
 * offsets, keeps history and presence and knows which loops have subscribers. Every hub keeps
 * a *topic* for each channel that has subscribers on its loop. All traffic between the two is
 * mail, also when both are the same loop: one path, one order.
 *
 *   publisher's loop --PUBLISH--> owner --DELIVER--> each loop with subscribers
 *
 * Mail from the owner to a loop keeps its order, so subscribing is atomic without locks: the
 * SUBSCRIBED answer stands in that order, deliveries before it are older than its offset.
 *
 * Fan-out happens once per turn: fanout_run encodes the turn's messages once for each kind of
 * client into one segment and hands each subscription a range of it.
 *
 * A reader that is too slow does not queue: its subscription *lags*, and when it has drained
 * it catches up from history like a client that comes back. What history no longer has is a
 * gap, and said. So a slow reader costs no memory, and nothing here grows without a bound. */
#ifndef HUB_HUB_H
#define HUB_HUB_H

#include "base/err.h"
#include "hub/encoding.h"
#include "hub/msg.h"
#include "loop/mailbox.h"
#include "loop/sock.h"

struct hub;
struct topic;

enum slow_policy {
    SLOW_RESUME, /* catch up from history, gap when it no longer reaches (default) */
    SLOW_LATEST, /* catch up with the newest message of each key only */
    SLOW_CLOSE,  /* close with E_SLOW_CONSUMER; the client resumes when it is back */
};

/* What a channel pattern of the configuration says; immutable, lives as long as the hubs. */
struct channel_settings {
    struct str pattern;
    size_t history_count;
    size_t history_bytes;
    uint64_t history_ms;
    bool presence; /* may be tracked */
    bool echo;     /* publishers get their own messages unless they say otherwise */
    bool durable;  /* to the store before the ack */
    enum slow_policy slow;
    uint64_t batch_ms;        /* 0 = each turn */
    size_t publish_rate;      /* messages per second and session; 0 = the session's general one */
    size_t payload_bytes_max; /* 0 = the general limit */
    uint64_t throttle_ms;     /* per key: at most one per interval, newest wins; 0 = off */
};

struct hub_config {
    const struct channel_settings *channels; /* first match wins; the last must be "*" */
    size_t channels_count;
    size_t history_bytes_max;    /* of the process; divided among the loops */
    uint64_t idempotency_ms;     /* 5 minutes */
    size_t idempotency_max;      /* ids kept per channel */
    size_t presence_members_max; /* per channel */
    size_t channels_max;         /* in memory, of the process */
    uint64_t channel_idle_ms;    /* an unused channel without history is forgotten after */
};

/* One hub per loop; set up before the loops run. config is borrowed for good. */
void hub_setup(struct loops *ls, const struct hub_config *config);
void hub_teardown(struct loops *ls);
struct hub *hub_of(struct loop *l);
const struct channel_settings *hub_settings(struct hub *h, struct str channel);
/* The loop that owns the channel: where its order is made. */
struct loop *hub_owner(struct hub *h, struct str channel);

/* ---- publishing ---------------------------------------------------------------------- */
/* The caller allocates it (usually inside something bigger, as first member), the hub takes
 * it, and gives it back in `done` on the home loop, which frees it. */
struct hub_publish {
    struct mail mail;
    struct msg *msg; /* the hub takes this reference */
    struct loop *home;
    void (*done)(struct hub_publish *p);
    /* The answer: */
    int err;        /* 0 or E_* */
    bool duplicate; /* an id seen before: the first answer again */
    uint64_t offset;
    uint64_t time_ms;
    char epoch[24];
};
/* On h's loop. done may be NULL: then the hub frees p with mem_free. */
void hub_publish(struct hub *h, struct hub_publish *p);

/* ---- subscribing --------------------------------------------------------------------- */
enum subscription_state {
    SUB_NONE,        /* zero-initialised: not subscribed */
    SUB_ASKED,       /* waiting for the owner's answer; deliveries before it are dropped */
    SUB_LIVE,        /* gets each turn's messages */
    SUB_LAGGING,     /* its connection is full; what it misses stands in history */
    SUB_CATCHING_UP, /* drained, asked the owner for what it missed */
};

struct position {
    char epoch[24]; /* "" = none known */
    uint64_t offset;
};

/* One client on one channel, on this loop. Embedded in the session's own record. */
struct subscription {
    struct topic *topic;
    uint64_t offset;     /* of the last message handed to the session */
    uint64_t id;         /* unique on this loop; names it in mail */
    uint64_t live_since; /* every message after this offset was delivered without a break */
    uint64_t session;    /* not to echo to */
    uint32_t index;      /* in the topic's member array */
    uint8_t state;
    uint8_t kind; /* enum encoding_kind */
    bool wants_presence;
    bool no_messages; /* presence only */
};

struct subscribe_options {
    bool has_since;
    struct position since; /* epoch "" and offset 0 with has_since: everything kept */
    size_t history;        /* newest n first, when there is no since */
};

struct hub_subscribed {
    int err;
    struct position since;     /* that was asked for */
    struct position at;        /* live from here: messages with a higher offset follow */
    bool recovered;            /* since was honoured in full */
    bool is_catch_up;          /* of a subscription that lagged, not of a new one */
    bool reset;                /* the epoch is another: the log was lost, positions begin anew */
    uint64_t gap_from, gap_to; /* gap_to 0 = none: these cannot be had any more */
    struct msg **missed;       /* in order; borrowed for the call */
    size_t missed_count;
    struct presence_update *presence; /* state, when wants_presence; borrowed; NULL: no memory */
};

/* A turn's messages for one subscription. */
struct delivery {
    struct segment *segment; /* NULL for ENC_NONE, and when is_lost */
    bool is_lost;            /* no memory for the bytes: take nothing, catch up soon */
    const uint32_t *ends;    /* message i is [i ? ends[i - 1] : 0, ends[i]) of the segment */
    struct msg *const *msgs;
    size_t first, end; /* these are yours: nothing in it is to be skipped */
};

/* Filled by session: how a message leaves the hub. */
struct subscription_ops {
    /* Tells of a gap, takes answer->missed in order and advances sub->offset past what it took;
     * false when the connection is full before all were taken: the subscription then lags from
     * there. With
     * answer->err it calls hub_unsubscribe. */
    bool (*subscribed)(struct subscription *sub, const struct hub_subscribed *answer);
    /* False when the connection is full: nothing of d was taken, the subscription lags. */
    bool (*deliver)(struct subscription *sub, const struct delivery *d);
    /* For msgs with `except` or `with`, and volatile ones: is it for this one, now? */
    bool (*wants)(const struct subscription *sub, const struct msg *m);
    /* A change of who is there. [start, end) of the segment; NULL for ENC_NONE, and for another
     * kind when there was no memory for the bytes: ask for the state instead. */
    void (*presence)(struct subscription *sub, const struct presence_update *u,
                     struct segment *segment, uint32_t start, uint32_t end);
};
void hub_set_subscription_ops(const struct subscription_ops *ops);

/* Asks; ops->subscribed answers later in this or another turn. kind, session and wants_* are
 * set by the caller; the memory stays valid until hub_unsubscribe. */
void hub_subscribe(struct hub *h, struct subscription *sub, struct str channel,
                   const struct subscribe_options *options);
/* No callback runs for it any more. Harmless on SUB_NONE. */
void hub_unsubscribe(struct hub *h, struct subscription *sub);
/* The connection of a lagging subscription has drained: ask for what was missed. */
void hub_catch_up(struct hub *h, struct subscription *sub);
/* Its client changed kind (an upgraded transport). */
void hub_set_kind(struct hub *h, struct subscription *sub, enum encoding_kind kind);
struct str subscription_channel(const struct subscription *sub);
const char *subscription_epoch(const struct subscription *sub);
const struct channel_settings *subscription_settings(const struct subscription *sub);
/* Local subscribers of a channel; for membership questions of one loop. */
size_t hub_local_count(struct hub *h, struct str channel);
struct subscription *hub_local_at(struct hub *h, struct str channel, size_t index);

/* ---- the order of deliveries on one loop (order.c) ------------------------------------- */
/* Which message of one channel was handed out before which of another? Each delivery of a loop
 * has a number; a log says which offset of a channel got which. */
uint64_t hub_sequence(const struct hub *h);
/* A number for something that was sent outside of the fan-out. */
uint64_t hub_sequence_next(struct hub *h);
struct order_log;
/* The log of the subscription's channel, kept from now on; a reference of the caller's, good on
 * this loop, also after the subscription. */
struct order_log *hub_order_log(struct subscription *sub);
void order_log_unref(struct order_log **log);
/* The number of a message; false when it is not known (any more). */
bool order_log_sequence(const struct order_log *log, uint64_t offset, uint64_t *sequence);
/* Lowers *offset to the newest offset that was handed out by then; false when it is too long
 * ago to be known. */
bool order_log_offset(const struct order_log *log, uint64_t sequence, uint64_t *offset);

/* ---- presence ------------------------------------------------------------------------ */
struct presence_meta {
    uint64_t session;  /* who tracks it */
    uint64_t ref;      /* unique; changes with each update */
    uint64_t ref_prev; /* 0 unless this is an update */
    struct str meta;   /* a JSON object */
    bool is_handed;    /* a leave, because another session goes on with it (a reload) */
};
struct presence_entry {
    struct str key;
    const struct presence_meta *metas;
    size_t metas_count;
    bool is_edge; /* joins: the key was not there before; leaves: nobody is left under it */
};
/* Counted, immutable, crosses loops. is_state: joins holds everybody. */
struct presence_update {
    struct ref ref;
    bool is_state;
    const struct presence_entry *joins, *leaves;
    size_t joins_count, leaves_count;
};
void presence_update_ref(struct presence_update *u);
void presence_update_unref(struct presence_update **u);

/* Same ownership as hub_publish: taken, and given back in done (NULL: freed). */
struct hub_track {
    struct mail mail;
    struct loop *home;
    void (*done)(struct hub_track *t);
    uint64_t session;
    bool is_untrack;
    uint64_t grace_ms; /* untrack: others learn of it only after this, unless the key returns */
    struct str channel, key, meta; /* in the caller's block, valid until done */
    int err;
    uint64_t ref;
};
void hub_track(struct hub *h, struct hub_track *t);

/* ---- asking -------------------------------------------------------------------------- */
struct hub_query {
    struct mail mail;
    struct loop *home;
    void (*done)(struct hub_query *q);
    struct str channel; /* in the caller's block */
    bool want_history, want_presence, want_subscribers;
    uint64_t before, after; /* offsets, exclusive; 0 = open. With `after`: the oldest `limit`,
                               else the newest; always in order */
    size_t limit;
    int err;
    struct position at;
    size_t subscribers; /* on all loops */
    struct msg **msgs;  /* owned by q: hub_query_clear */
    size_t msgs_count;
    bool more;
    struct presence_update *presence; /* a reference, owned by q */
    unsigned counted;                 /* loops that have added their subscribers */
};
void hub_query(struct hub *h, struct hub_query *q);
void hub_query_clear(struct hub_query *q);

/* Runs for each message that gets its place in a channel of this loop, for operators who watch;
 * NULL ends it. m is borrowed. */
void hub_set_monitor(struct hub *h, void (*fn)(struct loop *l, const struct msg *m));

/* Channels that this loop owns, for admin and metrics. */
struct hub_channel_info {
    struct str name;
    size_t presence_members, history_count, history_bytes;
    uint64_t offset;
};
void hub_each_channel(struct hub *h, void (*fn)(const struct hub_channel_info *info, void *arg),
                      void *arg);

#endif
