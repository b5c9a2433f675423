/* SPDX-License-Identifier: Apache-2.0 */
/* Keep the newest by key: on a channel with throttle_ms, at most one message per key and
 * interval goes out at once; what comes meanwhile replaces what waits, and the newest goes out
 * when the interval ends. Cursors and typing stay fresh and cheap, the last one always
 * arrives. A publisher whose message was replaced is answered without an offset. */
#include "hub/hub_priv.h"

#include "base/mem.h"

enum { KEYS_MAX = 4096 };

struct slot {
    struct list link; /* in order of due time: intervals are equal */
    uint64_t due_ms;
    struct hub_publish *waiting; /* newest, or NULL */
    size_t key_n;
    char key[];
};
struct conflate {
    struct map slots;
    struct list order;
};

static void on_due(struct loop *l, struct timer *timer)
{
    struct channel *c = LIST_OF(timer, struct channel, conflate_timer);
    struct conflate *cf = c->conflate;
    uint64_t now_ms = loop_now_ms(l);
    while (!list_is_empty(&cf->order)) {
        struct slot *s = LIST_OF(cf->order.next, struct slot, link);
        if (s->due_ms > now_ms) {
            timer_set(l, timer, s->due_ms - now_ms, on_due);
            return;
        }
        list_drop(&s->link);
        if (!s->waiting) {
            map_remove(&cf->slots, str_of(s->key, s->key_n));
            mem_free(s);
            continue;
        }
        struct hub_publish *p = s->waiting;
        s->waiting = NULL;
        s->due_ms = now_ms + c->settings->throttle_ms;
        list_push(&cf->order, &s->link);
        channel_publish_once(c, p); /* its id may have come in by another key meanwhile */
    }
    conflate_free(c);
}

void conflate_admit(struct channel *c, struct hub_publish *p)
{
    struct loop *l = c->hub->loop;
    struct str key = p->msg->key;
    if (!c->conflate) {
        c->conflate = mem_new(sizeof(*c->conflate));
        list_init(&c->conflate->order);
    }
    struct conflate *cf = c->conflate;
    struct slot *s = map_get(&cf->slots, key);
    if (s) {
        if (s->waiting)
            channel_answer_publish(s->waiting, 0);
        s->waiting = p;
        return;
    }
    if (cf->slots.count >= KEYS_MAX) {
        channel_answer_publish(p, E_TOO_MANY);
        return;
    }
    s = mem_new(sizeof(*s) + key.n);
    s->key_n = key.n;
    memcpy(s->key, key.p, key.n);
    s->due_ms = loop_now_ms(l) + c->settings->throttle_ms;
    map_put(&cf->slots, str_of(s->key, s->key_n), s);
    list_push(&cf->order, &s->link);
    if (!timer_is_set(&c->conflate_timer))
        timer_set(l, &c->conflate_timer, c->settings->throttle_ms, on_due);
    append_publish(c, p);
}

void conflate_free(struct channel *c)
{
    struct conflate *cf = c->conflate;
    if (!cf)
        return;
    struct list *link;
    while ((link = list_take(&cf->order))) {
        struct slot *s = LIST_OF(link, struct slot, link);
        if (s->waiting)
            channel_answer_publish(s->waiting, E_UNAVAILABLE);
        mem_free(s);
    }
    map_free(&cf->slots);
    mem_free(cf);
    c->conflate = NULL;
}
