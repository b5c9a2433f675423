/* SPDX-License-Identifier: Apache-2.0 */
/* The owner side of a channel: where mail for it is taken in.
 *
 * A channel comes to be with the first mail that names it and is forgotten when nobody has
 * used it for channel_idle_ms and nothing is kept. A durable one first asks the store where
 * its log ends; mail that comes before the answer is parked, in order. When the store cannot
 * say, that mail is refused and the channel forgotten: an offset must not be given twice.
 * The epoch is chance: a log that was lost (restart without a store, forgotten channel) never
 * passes for another. */
#include "hub/hub_priv.h"

#include "base/check.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"

enum { SWEEP_CHANNELS_MAX = 2000 };

struct str channel_name(const struct channel *c)
{
    return str_of(c->name, c->name_n);
}

struct channel *channel_find(struct hub *h, struct str name)
{
    return map_get(&h->channels, name);
}

static void new_epoch(struct channel *c)
{
    static const char digits[] = "0123456789abcdefghijklmnopqrstuvwxyz";
    uint8_t chance[12];
    loop_random(c->hub->loop, chance, sizeof(chance));
    for (size_t i = 0; i < sizeof(chance); i++)
        c->epoch[i] = digits[chance[i] % 36];
}

static void on_opened(struct store_open *o)
{
    struct channel *c = channel_find(hub_of(o->home), o->channel);
    int err = o->err;
    if (c && !err) {
        if (o->at.epoch[0])
            memcpy(c->epoch, o->at.epoch, sizeof(c->epoch));
        c->offset = c->last_offset = o->at.offset;
        /* Memory holds nothing yet: all that the store has is "evicted" from it. */
        c->history.evicted_offset = o->at.offset;
    }
    for (size_t i = 0; i < o->ids_count; i++) {
        if (c && !err)
            remember_stored(c, o->ids[i]);
        msg_unref(&o->ids[i]);
    }
    mem_free(o->ids);
    mem_free(o);
    if (!c)
        return;
    c->opening = false;
    c->open_err = err;
    if (err)
        log_error("hub", "store-open", "channel=%.*s err=%d", STR_ARG(channel_name(c)), err);
    struct mail *parked = c->parked;
    c->parked = NULL;
    c->parked_end = &c->parked;
    while (parked) {
        struct mail *next = parked->next;
        parked->deliver(c->hub->loop, parked);
        parked = next;
    }
    if (err) /* a log begun anew would lie about the old one: the next mail asks again */
        channel_free(c);
}

static void open_store(struct channel *c)
{
    void *store;
    const struct store_ops *ops = hub_store_ops(&store);
    if (!c->settings->durable || !ops)
        return;
    struct store_open *o = mem_new(sizeof(*o));
    o->home = c->hub->loop;
    o->done = on_opened;
    o->channel = channel_name(c);
    memcpy(o->at.epoch, c->epoch, sizeof(o->at.epoch));
    uint64_t now_ms = loop_wall_ms(c->hub->loop), age_ms = c->hub->config->idempotency_ms;
    o->ids_since_ms = now_ms > age_ms ? now_ms - age_ms : 0;
    o->ids_max = age_ms ? c->hub->config->idempotency_max : 0;
    c->opening = true;
    ops->open(store, o);
}

struct channel *channel_get(struct hub *h, struct str name)
{
    struct channel *c = channel_find(h, name);
    if (c) {
        c->used_ms = loop_now_ms(h->loop);
        return c;
    }
    if (h->channels.count >= h->config->channels_max / loops_count(loop_siblings(h->loop)))
        return NULL;
    c = mem_new(sizeof(*c) + name.n);
    c->hub = h;
    c->name_n = name.n;
    memcpy(c->name, name.p, name.n);
    c->settings = hub_settings(h, name);
    c->used_ms = loop_now_ms(h->loop);
    c->parked_end = &c->parked;
    c->appends_end = &c->appends;
    list_init(&c->remembered_order);
    list_init(&c->presence.leaving);
    list_init(&c->presence.touched_order);
    new_epoch(c);
    map_put(&h->channels, channel_name(c), c);
    list_push(&h->channel_list, &c->link);
    metric_add(M_CHANNELS, 1);
    open_store(c);
    return c;
}

void channel_free(struct channel *c)
{
    struct hub *h = c->hub;
    h->history_bytes -= c->history.bytes;
    history_free(&c->history);
    append_drop_all(c);
    presence_free(c);
    remember_free(c);
    conflate_free(c);
    timer_stop(&c->presence_timer);
    timer_stop(&c->conflate_timer);
    loop_turn_task_drop(&c->presence_task);
    list_drop(&c->link);
    list_drop(&c->recent_link);
    map_remove(&h->channels, channel_name(c));
    metric_add(M_CHANNELS, -1);
    mem_free(c);
}

void channel_keep(struct channel *c, struct msg *m)
{
    struct hub *h = c->hub;
    size_t max = h->config->history_bytes_max / loops_count(loop_siblings(h->loop));
    h->history_bytes += (size_t)history_append(&c->history, c->settings, m);
    list_drop(&c->recent_link);
    list_push(&h->recent, &c->recent_link);
    while (h->history_bytes > max && !list_is_empty(&h->recent)) {
        struct channel *oldest = LIST_OF(h->recent.next, struct channel, recent_link);
        if (!oldest->history.count) {
            list_drop(&oldest->recent_link);
            continue;
        }
        h->history_bytes += (size_t)history_drop_oldest(&oldest->history);
    }
}

static bool is_idle(const struct channel *c, uint64_t now_ms)
{
    return !c->loops && !c->history.count && !c->opening && !c->appends && !c->reads_pending &&
           !c->conflate && presence_is_empty(c) && !c->remembered.count &&
           c->used_ms + c->hub->config->channel_idle_ms <= now_ms;
}

/* Some channels each second, round the list: ages history and ids, forgets what is idle. */
void channel_sweep(struct hub *h)
{
    uint64_t now_ms = loop_now_ms(h->loop), wall_ms = loop_wall_ms(h->loop);
    size_t count = h->channels.count < SWEEP_CHANNELS_MAX ? h->channels.count : SWEEP_CHANNELS_MAX;
    while (count--) {
        struct channel *c = LIST_OF(list_take(&h->channel_list), struct channel, link);
        list_push(&h->channel_list, &c->link);
        h->history_bytes += (size_t)history_trim(&c->history, c->settings, wall_ms);
        remember_trim(c, wall_ms);
        if (is_idle(c, now_ms))
            channel_free(c);
    }
}

static bool park(struct channel *c, struct mail *mail)
{
    if (!c->opening)
        return false;
    mail->next = NULL;
    *c->parked_end = mail;
    c->parked_end = &mail->next;
    return true;
}

/* ---- mail ---------------------------------------------------------------------------- */

static void on_published(struct loop *l, struct mail *mail)
{
    (void)l;
    struct hub_publish *p = (struct hub_publish *)(void *)mail;
    p->done(p);
}

void channel_answer_publish(struct hub_publish *p, int err)
{
    p->err = err;
    msg_unref(&p->msg);
    if (!p->done) {
        mem_free(p);
        return;
    }
    p->mail.deliver = on_published;
    loop_post(p->home, &p->mail);
}

/* An id that was published before is answered here, as it was then. */
static bool is_repeat(struct channel *c, struct hub_publish *p)
{
    switch (p->msg->id.n ? remember_find(c, p) : REMEMBER_NEW) {
    case REMEMBER_DONE:
        metric_add(M_MESSAGES_DUPLICATE, 1);
        channel_answer_publish(p, 0);
        return true;
    case REMEMBER_PENDING:
        channel_answer_publish(p, E_UNAVAILABLE);
        return true;
    case REMEMBER_NEW:
        break;
    }
    return false;
}

void channel_publish_once(struct channel *c, struct hub_publish *p)
{
    if (!is_repeat(c, p))
        append_publish(c, p);
}

void channel_on_publish(struct loop *l, struct mail *mail)
{
    struct hub_publish *p = (struct hub_publish *)(void *)mail;
    struct channel *c = channel_get(hub_of(l), p->msg->channel);
    if (!c) {
        channel_answer_publish(p, E_TOO_MANY);
        return;
    }
    if (park(c, mail))
        return;
    if (c->open_err)
        channel_answer_publish(p, c->open_err);
    else if (is_repeat(c, p))
        return;
    else if (c->settings->throttle_ms && p->msg->key.n)
        conflate_admit(c, p);
    else
        append_publish(c, p);
}

static void refuse_subscribe(struct loop *l, struct mail_subscribe *ms, int err)
{
    struct mail_subscribed *answer = mem_new(sizeof(*answer));
    answer->mail.deliver = subscription_on_subscribed;
    answer->sub_id = ms->sub_id;
    answer->answer.err = err;
    loop_post(loops_at(loop_siblings(l), ms->from), &answer->mail);
    mem_free(ms);
}

void channel_on_subscribe(struct loop *l, struct mail *mail)
{
    struct mail_subscribe *ms = (struct mail_subscribe *)(void *)mail;
    struct channel *c = channel_get(hub_of(l), str_of(ms->name, ms->name_n));
    if (c && park(c, mail))
        return;
    if (!c || c->open_err) {
        refuse_subscribe(l, ms, c ? c->open_err : E_TOO_MANY);
        return;
    }
    c->loops |= 1ull << ms->from;
    recover_subscribe(c, ms);
}

void channel_on_unsubscribe(struct loop *l, struct mail *mail)
{
    struct mail_unsubscribe *mu = (struct mail_unsubscribe *)(void *)mail;
    struct channel *c = channel_find(hub_of(l), str_of(mu->name, mu->name_n));
    if (c && park(c, mail))
        return;
    if (c) {
        c->loops &= ~(1ull << mu->from);
        c->used_ms = loop_now_ms(l);
    }
    mem_free(mu);
}

static void on_tracked(struct loop *l, struct mail *mail)
{
    (void)l;
    struct hub_track *t = (struct hub_track *)(void *)mail;
    t->done(t);
}

void channel_on_track(struct loop *l, struct mail *mail)
{
    struct hub_track *t = (struct hub_track *)(void *)mail;
    struct hub *h = hub_of(l);
    /* Leaving a channel that is not there must not make it. */
    struct channel *c = t->is_untrack ? channel_find(h, t->channel) : channel_get(h, t->channel);
    if (c && park(c, mail))
        return;
    if (c)
        t->err = c->open_err ? c->open_err : presence_apply(c, t);
    else
        t->err = t->is_untrack ? 0 : E_TOO_MANY;
    if (!t->done) {
        mem_free(t);
        return;
    }
    t->mail.deliver = on_tracked;
    loop_post(t->home, &t->mail);
}

void channel_on_query(struct loop *l, struct mail *mail)
{
    struct hub_query *q = (struct hub_query *)(void *)mail;
    struct hub *h = hub_of(l);
    void *store;
    /* Asking after a channel must not make it, unless the store may know it. */
    bool may_be_stored = hub_store_ops(&store) && hub_settings(h, q->channel)->durable;
    struct channel *c = may_be_stored ? channel_get(h, q->channel) : channel_find(h, q->channel);
    if (c && park(c, mail))
        return;
    if (may_be_stored && (!c || c->open_err))
        q->err = c ? c->open_err : E_TOO_MANY;
    recover_query(q->err ? NULL : c, q);
}
