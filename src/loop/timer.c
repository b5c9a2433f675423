/* SPDX-License-Identifier: Apache-2.0 */
/* A hierarchical wheel of 256 slots a level. A timer stands at the level of the highest bit in
 * which its time differs from the wheel's; when the wheel reaches a slot of a higher level its
 * timers move down. So setting, moving and stopping are O(1), and the next time to look is
 * found by scanning a few words of bits.
 * I1: an occupied slot's time is later than wheel.at. I2: what is due at or before wheel.at
 * stands in `soon`, which the next run fires; so a timer that sets itself to 0 cannot keep the
 * loop from its sockets. */
#include "loop/loop_priv.h"
#include "base/check.h"

#define DELAY_MAX ((uint64_t)1 << 38) /* 8 years */

void timer_wheel_init(struct wheel *w, uint64_t now_ms)
{
    w->at = now_ms;
    list_init(&w->soon);
    for (unsigned level = 0; level < WHEEL_LEVELS; level++)
        for (unsigned i = 0; i < WHEEL_SLOTS; i++)
            list_init(&w->slots[level][i]);
}

static void link_at(struct wheel *w, struct timer *t, uint64_t ms)
{
    t->slot_ms = ms;
    if (ms <= w->at) {
        list_push(&w->soon, &t->link);
        return;
    }
    unsigned level = (unsigned)(63 - __builtin_clzll(w->at ^ ms)) / 8;
    CHECK(level < WHEEL_LEVELS);
    unsigned i = (ms >> (8 * level)) & (WHEEL_SLOTS - 1);
    list_push(&w->slots[level][i], &t->link);
    w->bits[level][i / 64] |= (uint64_t)1 << (i % 64);
}

void timer_set(struct loop *l, struct timer *t, uint64_t delay_ms,
               void (*fn)(struct loop *l, struct timer *t))
{
    if (loop_current() != l)
        clock_refresh(l); /* being set up: no turn keeps the clock fresh */
    t->fn = fn;
    t->due_ms = l->now_ms + (delay_ms < DELAY_MAX ? delay_ms : DELAY_MAX);
    if (list_linked(&t->link) && t->slot_ms <= t->due_ms)
        return; /* looked at in time, and moved on then */
    list_drop(&t->link);
    link_at(&l->wheel, t, t->due_ms);
}

void timer_stop(struct timer *t)
{
    list_drop(&t->link);
    t->due_ms = 0;
}

/* First occupied slot after `from` on that level, or WHEEL_SLOTS. Forgets bits of slots that
 * were emptied by timer_stop. */
static unsigned next_slot(struct wheel *w, unsigned level, unsigned from)
{
    for (unsigned i = from + 1; i < WHEEL_SLOTS;) {
        uint64_t word = w->bits[level][i / 64] >> (i % 64);
        if (!word) {
            i = (i / 64 + 1) * 64;
            continue;
        }
        i += (unsigned)__builtin_ctzll(word);
        if (!list_is_empty(&w->slots[level][i]))
            return i;
        w->bits[level][i / 64] &= ~((uint64_t)1 << (i % 64));
        i++;
    }
    return WHEEL_SLOTS;
}

/* Time of the next occupied slot; which one, in *level and *slot. */
static uint64_t next_time(struct wheel *w, unsigned *level, unsigned *slot)
{
    for (unsigned k = 0; k < WHEEL_LEVELS; k++) {
        unsigned shift = 8 * k;
        unsigned i = next_slot(w, k, (w->at >> shift) & (WHEEL_SLOTS - 1));
        if (i < WHEEL_SLOTS) {
            *level = k;
            *slot = i;
            uint64_t block = ~(((uint64_t)1 << (shift + 8)) - 1);
            return (w->at & block) | ((uint64_t)i << shift);
        }
    }
    return UINT64_MAX;
}

uint64_t timer_wheel_next(struct wheel *w)
{
    unsigned level, slot;
    return list_is_empty(&w->soon) ? next_time(w, &level, &slot) : w->at;
}

/* Fires what is due, moves on what was set later meanwhile or belongs to a lower level. */
static void run_list(struct loop *l, struct list *from)
{
    struct list *link;
    while ((link = list_take(from))) {
        struct timer *t = LIST_OF(link, struct timer, link);
        if (t->due_ms > l->wheel.at) {
            link_at(&l->wheel, t, t->due_ms);
            continue;
        }
        t->due_ms = 0;
        t->fn(l, t);
    }
}

void timer_wheel_run(struct loop *l)
{
    struct wheel *w = &l->wheel;
    struct list due;
    unsigned level, slot;
    list_init(&due);
    list_splice(&due, &w->soon);
    run_list(l, &due);
    uint64_t next;
    while ((next = next_time(w, &level, &slot)) <= l->now_ms) {
        w->at = next;
        list_splice(&due, &w->slots[level][slot]);
        w->bits[level][slot / 64] &= ~((uint64_t)1 << (slot % 64));
        run_list(l, &due);
    }
    if (w->at < l->now_ms)
        w->at = l->now_ms;
}
