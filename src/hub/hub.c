/* SPDX-License-Identifier: Apache-2.0 */
/* A hub per loop: its channels, its topics, who owns which name. See hub.h for the idea. */
#include "hub/hub_priv.h"

#include "base/check.h"
#include "base/hash.h"
#include "base/mem.h"

static const struct subscription_ops *ops_now;
static const struct store_ops *store_ops_now;
static void *store_now;

enum { SWEEP_MS = 1000 };

void hub_set_subscription_ops(const struct subscription_ops *ops)
{
    ops_now = ops;
}

void hub_set_monitor(struct hub *h, void (*fn)(struct loop *l, const struct msg *m))
{
    h->monitor = fn;
}

const struct subscription_ops *hub_subscription_ops(void)
{
    CHECK(ops_now);
    return ops_now;
}

void hub_set_store(const struct store_ops *ops, void *store)
{
    store_ops_now = ops;
    store_now = store;
}

const struct store_ops *hub_store_ops(void **store)
{
    *store = store_now;
    return store_ops_now;
}

struct hub *hub_of(struct loop *l)
{
    return loop_slot(l, LOOP_SLOT_HUB);
}

const struct channel_settings *hub_settings(struct hub *h, struct str channel)
{
    for (size_t i = 0; i < h->config->channels_count; i++)
        if (str_glob(h->config->channels[i].pattern, channel))
            return &h->config->channels[i];
    CHECK(!"the last pattern is *");
    return NULL;
}

struct loop *hub_owner(struct hub *h, struct str channel)
{
    struct loops *ls = loop_siblings(h->loop);
    unsigned count = loops_count(ls);
    return count == 1 ? h->loop : loops_at(ls, (unsigned)(hash_str(channel) % count));
}

static void on_sweep(struct loop *l, struct timer *t)
{
    channel_sweep(hub_of(l));
    timer_set(l, t, SWEEP_MS, on_sweep);
}

void hub_setup(struct loops *ls, const struct hub_config *config)
{
    CHECK(loops_count(ls) <= 64); /* channel.loops is a bit map */
    CHECK(config->channels_count > 0);
    for (unsigned i = 0; i < loops_count(ls); i++) {
        struct hub *h = mem_new(sizeof(*h));
        h->loop = loops_at(ls, i);
        h->config = config;
        list_init(&h->channel_list);
        list_init(&h->recent);
        loop_slot_set(h->loop, LOOP_SLOT_HUB, h);
        timer_set(h->loop, &h->sweep, SWEEP_MS, on_sweep);
    }
}

void hub_teardown(struct loops *ls)
{
    for (unsigned i = 0; i < loops_count(ls); i++) {
        struct hub *h = hub_of(loops_at(ls, i));
        struct topic *t;
        struct list *link;
        timer_stop(&h->sweep);
        for (size_t at = 0; (t = map_next(&h->topics, &at));)
            topic_free(t);
        while ((link = h->channel_list.next) != &h->channel_list)
            channel_free(LIST_OF(link, struct channel, link));
        map_free(&h->channels);
        map_free(&h->topics);
        map_free(&h->subscriptions);
        buf_free(&h->scratch);
        mem_free(h->ends);
        loop_slot_set(h->loop, LOOP_SLOT_HUB, NULL);
        mem_free(h);
    }
}

void hub_publish(struct hub *h, struct hub_publish *p)
{
    CHECK(p->msg);
    p->home = h->loop;
    p->mail.deliver = channel_on_publish;
    loop_post(hub_owner(h, p->msg->channel), &p->mail);
}

void hub_track(struct hub *h, struct hub_track *t)
{
    t->home = h->loop;
    t->mail.deliver = channel_on_track;
    loop_post(hub_owner(h, t->channel), &t->mail);
}

void hub_query(struct hub *h, struct hub_query *q)
{
    q->home = h->loop;
    q->mail.deliver = channel_on_query;
    loop_post(hub_owner(h, q->channel), &q->mail);
}

void hub_query_clear(struct hub_query *q)
{
    for (size_t i = 0; i < q->msgs_count; i++)
        msg_unref(&q->msgs[i]);
    mem_free(q->msgs);
    q->msgs = NULL;
    q->msgs_count = 0;
    presence_update_unref(&q->presence);
}

void hub_each_channel(struct hub *h, void (*fn)(const struct hub_channel_info *info, void *arg),
                      void *arg)
{
    for (struct list *link = h->channel_list.next; link != &h->channel_list; link = link->next) {
        struct channel *c = LIST_OF(link, struct channel, link);
        struct hub_channel_info info = {.name = channel_name(c),
                                        .presence_members = c->presence.members.count,
                                        .history_count = c->history.count,
                                        .history_bytes = c->history.bytes,
                                        .offset = c->offset};
        fn(&info, arg);
    }
}
