/* SPDX-License-Identifier: Apache-2.0 */
/* Where a message gets its place. An append is given its offset at once; it is spread, kept
 * and answered when the store has it (durable channels) and all before it are through, so that
 * every reader sees one order and an ack is never a promise that a crash can break.
 *
 * I1  appends leave in the order of their offsets.
 * I2  channel.offset is the newest offset that was spread; nobody is told of a higher one.
 * An append that the store refused leaves a hole in the offsets, never in the messages. */
#include "hub/hub_priv.h"

#include "base/check.h"
#include "base/mem.h"
#include "base/metric.h"

struct append {
    struct store_append store;
    struct append *next;
    struct channel *channel;
    struct hub_publish *publish;
    bool is_settled;
};

static void spread(struct channel *c, struct msg *m)
{
    struct loops *ls = loop_siblings(c->hub->loop);
    for (uint64_t left = c->loops; left; left &= left - 1) {
        struct mail_deliver *md = mem_new(sizeof(*md));
        md->mail.deliver = subscription_on_deliver;
        md->msg = m;
        msg_ref(m);
        loop_post(loops_at(ls, (unsigned)__builtin_ctzll(left)), &md->mail);
    }
}

static void finish(struct channel *c, struct append *a)
{
    struct hub_publish *p = a->publish;
    struct msg *m = p->msg;
    int err = a->store.err;
    remember_settle(c, m, !err);
    if (!err) {
        CHECK(m->offset > c->offset); /* I1 */
        c->offset = m->offset;
        channel_keep(c, m);
        spread(c, m);
        if (c->hub->monitor)
            c->hub->monitor(c->hub->loop, m);
        metric_add(M_MESSAGES_PUBLISHED, 1);
        p->offset = m->offset;
        p->time_ms = m->time_ms;
        memcpy(p->epoch, c->epoch, sizeof(p->epoch));
    }
    channel_answer_publish(p, err);
}

static void finish_settled(struct channel *c)
{
    while (c->appends && c->appends->is_settled) {
        struct append *a = c->appends;
        c->appends = a->next;
        if (!c->appends)
            c->appends_end = &c->appends;
        finish(c, a);
        mem_free(a);
    }
}

static void on_stored(struct store_append *sa)
{
    struct append *a = (struct append *)(void *)sa;
    if (!a->channel) { /* the hub was torn down meanwhile: nobody is left to be told */
        msg_unref(&a->publish->msg);
        mem_free(a->publish);
        mem_free(a);
        return;
    }
    a->is_settled = true;
    finish_settled(a->channel);
}

void append_publish(struct channel *c, struct hub_publish *p)
{
    struct loop *l = c->hub->loop;
    struct msg *m = p->msg;
    void *store;
    const struct store_ops *ops = hub_store_ops(&store);
    bool durable = c->settings->durable && !m->is_volatile && !m->no_history;
    if (durable && !ops) {
        channel_answer_publish(p, E_UNAVAILABLE);
        return;
    }
    m->offset = ++c->last_offset;
    m->time_ms = loop_wall_ms(l);
    memcpy(m->epoch_text, c->epoch, sizeof(m->epoch_text));
    m->epoch = str_from(m->epoch_text);
    remember_add(c, m);
    struct append *a = mem_new(sizeof(*a));
    a->channel = c;
    a->publish = p;
    *c->appends_end = a;
    c->appends_end = &a->next;
    if (durable) {
        a->store = (struct store_append){.home = l, .done = on_stored, .msg = m};
        ops->append(store, &a->store);
        return;
    }
    a->is_settled = true;
    finish_settled(c);
}

/* At teardown: the store's late answers find no channel. */
void append_drop_all(struct channel *c)
{
    while (c->appends) {
        struct append *a = c->appends;
        c->appends = a->next;
        a->channel = NULL;
        if (a->is_settled)
            on_stored(&a->store);
    }
}
