/* SPDX-License-Identifier: Apache-2.0 */
/* Intrusive one-shot timers on a hashed wheel per loop, accurate to the millisecond.
 * timer_set on a running timer moves it; setting it later costs nothing (the deadline is
 * stored and the timer re-linked when the old one comes), so traffic may re-arm freely. */
#ifndef LOOP_TIMER_H
#define LOOP_TIMER_H

#include "loop/loop.h"

struct timer {
    struct list link;
    uint64_t slot_ms; /* where it is linked */
    uint64_t due_ms;  /* when it is really due; 0 = stopped */
    void (*fn)(struct loop *l, struct timer *t);
};

/* Zero-initialised is stopped. fn runs once, on the loop's thread, and may set it again. */
void timer_set(struct loop *l, struct timer *t, uint64_t delay_ms,
               void (*fn)(struct loop *l, struct timer *t));
void timer_stop(struct timer *t);
static inline bool timer_is_set(const struct timer *t)
{
    return t->due_ms != 0;
}

#endif
