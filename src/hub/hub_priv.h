/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the hub share. Owner side: struct channel (channel.c, history.c,
 * presence.c, conflate.c). Listening side: struct topic (subscription.c, fanout.c). */
#ifndef HUB_HUB_PRIV_H
#define HUB_HUB_PRIV_H

#include "base/map.h"
#include "hub/hub.h"
#include "hub/store.h"
#include "loop/timer.h"

/* ---- owner side ---------------------------------------------------------------------- */
struct history {
    struct msg **ring;
    size_t head, count, capacity; /* capacity is a power of two */
    size_t bytes;
    uint64_t evicted_offset; /* newest message that was kept-worthy and is gone */
};
struct msg *history_at(const struct history *hi, size_t index);
/* Index of the first kept message with a higher offset (count if none). */
size_t history_after(const struct history *hi, uint64_t offset);
/* Returns the change of the bytes kept. */
ptrdiff_t history_append(struct history *hi, const struct channel_settings *cs, struct msg *m);
ptrdiff_t history_trim(struct history *hi, const struct channel_settings *cs, uint64_t now_ms);
ptrdiff_t history_drop_oldest(struct history *hi);
void history_free(struct history *hi);

struct presence {
    struct map members; /* key -> struct member */
    size_t metas_count;
    struct list leaving;    /* metas in their grace time */
    uint64_t window;        /* since the last update went out */
    struct change *changes; /* of the window */
    size_t changes_count, changes_capacity, changes_live;
    struct map touched; /* key -> struct touched */
    struct list touched_order;
};

struct mail_subscribe;

struct channel {
    struct hub *hub;
    const struct channel_settings *settings;
    struct list link;        /* hub->channels */
    struct list recent_link; /* hub->recent: order of last append, oldest first */
    char epoch[24];
    uint64_t offset;      /* of the newest message that was spread */
    uint64_t last_offset; /* newest given; higher than offset while the store works */
    uint64_t loops;       /* bit i: loop i has a topic */
    uint64_t used_ms;
    struct history history;
    struct presence presence;
    struct map remembered;
    struct list remembered_order;
    struct conflate *conflate; /* only with throttle_ms */
    struct timer presence_timer, conflate_timer;
    bool opening;        /* durable: the store has not said yet where the log ends */
    int open_err;        /* it could not say: what was parked is refused, the channel goes */
    struct mail *parked; /* mails that wait for that */
    struct mail **parked_end;
    struct append *appends; /* given an offset, not yet spread (append.c), in order */
    struct append **appends_end;
    size_t reads_pending;
    struct turn_task presence_task;
    size_t name_n;
    char name[];
};
struct str channel_name(const struct channel *c);
struct channel *channel_get(struct hub *h, struct str name);
struct channel *channel_find(struct hub *h, struct str name);
void channel_sweep(struct hub *h);
void channel_free(struct channel *c);
/* Tells the publisher; takes p. */
void channel_answer_publish(struct hub_publish *p, int err);
/* Keeps in history within the bounds of channel and process. */
void channel_keep(struct channel *c, struct msg *m);

/* Gives the offset, then (after the store, if durable) keeps, spreads and answers. Takes p. */
void append_publish(struct channel *c, struct hub_publish *p);
/* The same, unless its id was published before. */
void channel_publish_once(struct channel *c, struct hub_publish *p);
void append_drop_all(struct channel *c);

/* Answers a SUBSCRIBE: what was missed, from history or the store. Takes the mail. */
void recover_subscribe(struct channel *c, struct mail_subscribe *ms);
void recover_query(struct channel *c, struct hub_query *q);

/* Idempotency: what an earlier publish with this id was given. */
enum remember_state { REMEMBER_NEW, REMEMBER_PENDING, REMEMBER_DONE };
enum remember_state remember_find(struct channel *c, struct hub_publish *p);
void remember_add(struct channel *c, const struct msg *m);
void remember_settle(struct channel *c, const struct msg *m, bool kept);
/* One that the store has of before this process. */
void remember_stored(struct channel *c, const struct msg *m);
void remember_trim(struct channel *c, uint64_t now_ms);
void remember_free(struct channel *c);

void conflate_admit(struct channel *c, struct hub_publish *p);
void conflate_free(struct channel *c);

int presence_apply(struct channel *c, struct hub_track *t);
/* As the last update left it: what has changed since comes with the next one. NULL when there is
 * no memory for it. */
struct presence_update *presence_state(const struct channel *c);
/* Tells now what waits to be told. */
void presence_flush(struct channel *c);
void presence_free(struct channel *c);
bool presence_is_empty(const struct channel *c);

/* ---- listening side ------------------------------------------------------------------ */
struct topic {
    struct hub *hub;
    const struct channel_settings *settings;
    struct subscription **members;
    uint32_t members_count, members_capacity;
    uint32_t kinds[ENC_COUNT]; /* members of each kind */
    char epoch[24];
    struct msg **pending;
    uint32_t pending_count, pending_capacity;
    struct order_log *order; /* order.c; NULL unless somebody asks for it */
    struct bases *bases;     /* only while a member wants deltas (bases.c) */
    struct turn_task task;
    struct timer batch_timer;
    uint32_t holds; /* a walk over the members is under way */
    bool is_over;   /* the last member left meanwhile: the walk's end frees it */
    bool is_running;
    size_t name_n;
    char name[];
};
struct topic *topic_find(struct hub *h, struct str name);
void topic_free(struct topic *t);
/* What deltas are made against (bases.c). m becomes the base of its key; returns the one before,
 * if a delta may be made against it (a reference, the caller's), else NULL. */
struct msg *bases_replace(struct topic *t, struct msg *m);
void bases_free(struct topic *t);
/* Callbacks may make members leave, and the last one takes the topic along: it stays until the
 * one who walks lets go. */
void topic_hold(struct topic *t);
void topic_let_go(struct topic *t);
/* Takes a reference of its own. */
void fanout_add(struct topic *t, struct msg *m);
/* Now, whatever waits. */
void fanout_run(struct topic *t);
void fanout_presence(struct topic *t, const struct presence_update *u);
/* Gives what waits in the topic its places in this loop's order. */
void order_note(struct topic *t);

/* ---- hub ----------------------------------------------------------------------------- */
struct hub {
    struct loop *loop;
    const struct hub_config *config;
    struct map channels; /* owned here */
    struct list channel_list, recent;
    size_t history_bytes;
    struct map topics;
    struct map subscriptions; /* id -> subscription that is asked or catching up */
    uint64_t subscription_id;
    uint64_t sequence; /* of the newest delivery on this loop */
    uint64_t presence_ref;
    struct timer sweep;
    void (*monitor)(struct loop *l, const struct msg *m);
    struct buf scratch;
    uint32_t *ends; /* fan-out's table */
    size_t ends_capacity;
};
struct hub *hub_owner_hub(struct hub *h, struct str channel);
const struct subscription_ops *hub_subscription_ops(void);
const struct store_ops *hub_store_ops(void **store);

/* Mail from owners to listeners (subscription.c takes them). */
struct mail_subscribe {
    struct mail mail;
    unsigned from;
    uint64_t sub_id;
    struct subscribe_options options;
    bool wants_presence, is_catch_up;
    enum slow_policy slow;
    size_t name_n;
    char name[];
};
void channel_on_subscribe(struct loop *l, struct mail *mail);
struct mail_subscribed {
    struct mail mail;
    uint64_t sub_id;
    struct hub_subscribed answer;
    size_t name_n;
    char name[];
};
void subscription_on_subscribed(struct loop *l, struct mail *mail);
struct mail_unsubscribe {
    struct mail mail;
    unsigned from;
    size_t name_n;
    char name[];
};
void channel_on_unsubscribe(struct loop *l, struct mail *mail);
struct mail_deliver {
    struct mail mail;
    struct msg *msg;
};
void subscription_on_deliver(struct loop *l, struct mail *mail);
struct mail_presence {
    struct mail mail;
    struct presence_update *update;
    size_t name_n;
    char name[];
};
void subscription_on_presence(struct loop *l, struct mail *mail);
void channel_on_publish(struct loop *l, struct mail *mail);
void channel_on_track(struct loop *l, struct mail *mail);
void channel_on_query(struct loop *l, struct mail *mail);

#endif
