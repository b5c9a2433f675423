/* SPDX-License-Identifier: Apache-2.0 */
/* The wheel, with a clock turned by hand: which timers run, when, and in which order. */
#include "rig.h"
#include "loop/timer.c"

struct probe {
    struct timer timer;
    uint64_t want, ran;
};
static uint64_t last_ran;
static unsigned runs, disorder, off;

static void note(struct loop *l, struct timer *t)
{
    struct probe *p = LIST_OF(t, struct probe, timer);
    p->ran = l->wheel.at;
    if (p->ran < last_ran)
        disorder++;
    if (p->ran != p->want)
        off++;
    last_ran = p->ran;
    runs++;
}

static struct loops *begin(uint64_t now_ms)
{
    struct loops *ls = loops_new(1);
    struct loop *l = loops_at(ls, 0);
    loop_enter(l); /* the clock is ours */
    l->now_ms = now_ms;
    timer_wheel_init(&l->wheel, now_ms);
    runs = disorder = off = 0;
    last_ran = 0;
    return ls;
}

static void end(struct loops *ls)
{
    loop_leave();
    loops_free(&ls);
}

static void set(struct loop *l, struct probe *p, uint64_t delay)
{
    p->want = l->now_ms + delay;
    p->ran = 0;
    timer_set(l, &p->timer, delay, note);
}

static uint64_t chance(uint64_t *seed)
{
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return *seed >> 33;
}

TEST(ten_thousand_timers_run_in_order_each_at_its_millisecond)
{
    struct loops *ls = begin(0xfffff0); /* near a carry of several levels */
    struct loop *l = loops_at(ls, 0);
    struct probe *p = mem_new(10000 * sizeof(*p));
    uint64_t seed = 7;
    for (int i = 0; i < 10000; i++)
        set(l, &p[i], 1 + chance(&seed) % (i % 3 ? 1000 : 500000));
    for (int step = 0; runs < 10000 && step < 3000000; step++) {
        l->now_ms++;
        timer_wheel_run(l);
    }
    assert_int_equal(runs, 10000);
    assert_int_equal(disorder, 0);
    assert_int_equal(off, 0);
    mem_free(p);
    end(ls);
}

TEST(a_loop_that_slept_runs_what_it_missed_in_order)
{
    struct loops *ls = begin(12345);
    struct loop *l = loops_at(ls, 0);
    struct probe p[500] = {0};
    uint64_t seed = 3;
    for (int i = 0; i < 500; i++)
        set(l, &p[i], 1 + chance(&seed) % 4000000000u);
    while (runs < 500) {
        uint64_t next = timer_wheel_next(&l->wheel);
        assert_true(next != UINT64_MAX && next > l->now_ms);
        l->now_ms = next; /* as the loop does: sleeps until then */
        timer_wheel_run(l);
    }
    assert_int_equal(disorder, 0);
    assert_int_equal(off, 0);
    end(ls);
}

TEST(one_jump_over_everything_keeps_the_order)
{
    struct loops *ls = begin(1);
    struct loop *l = loops_at(ls, 0);
    struct probe p[300] = {0};
    uint64_t seed = 9;
    for (int i = 0; i < 300; i++)
        set(l, &p[i], chance(&seed) % 100000000u + 1);
    l->now_ms += 200000000;
    timer_wheel_run(l);
    assert_int_equal(runs, 300);
    assert_int_equal(disorder, 0);
    assert_int_equal(timer_wheel_next(&l->wheel), UINT64_MAX);
    end(ls);
}

TEST(setting_later_moves_setting_earlier_moves_and_stopping_stops)
{
    struct loops *ls = begin(1000);
    struct loop *l = loops_at(ls, 0);
    struct probe later = {0}, earlier = {0}, stopped = {0};
    set(l, &later, 50);
    set(l, &later, 5000);
    set(l, &earlier, 5000);
    set(l, &earlier, 20);
    set(l, &stopped, 30);
    timer_stop(&stopped.timer);
    assert_false(timer_is_set(&stopped.timer));
    assert_true(timer_is_set(&later.timer));
    while (l->now_ms < 5990) {
        l->now_ms += 7;
        timer_wheel_run(l);
    }
    assert_int_equal(runs, 1);
    assert_int_equal(earlier.ran, 1020);
    l->now_ms = 6000;
    timer_wheel_run(l);
    assert_int_equal(runs, 2);
    assert_int_equal(later.ran, 6000);
    assert_false(timer_is_set(&later.timer));
    end(ls);
}

static struct probe *other;
static void stop_other(struct loop *l, struct timer *t)
{
    (void)l;
    (void)t;
    timer_stop(&other->timer);
    runs++;
}

TEST(a_timer_may_stop_another_that_is_due_in_the_same_millisecond)
{
    struct loops *ls = begin(5);
    struct loop *l = loops_at(ls, 0);
    struct timer first = {0};
    struct probe second = {0};
    other = &second;
    timer_set(l, &first, 10, stop_other);
    set(l, &second, 10);
    l->now_ms = 100;
    timer_wheel_run(l);
    assert_int_equal(runs, 1);
    assert_int_equal(second.ran, 0);
    end(ls);
}

static void again(struct loop *l, struct timer *t)
{
    runs++;
    timer_set(l, t, 0, again);
}

TEST(a_timer_that_sets_itself_to_zero_runs_once_a_turn)
{
    struct loops *ls = begin(5);
    struct loop *l = loops_at(ls, 0);
    struct timer t = {0};
    timer_set(l, &t, 0, again);
    for (unsigned turn = 1; turn <= 5; turn++) {
        timer_wheel_run(l);
        assert_int_equal(runs, turn);
    }
    timer_stop(&t);
    end(ls);
}

TEST(rearming_with_traffic_does_not_relink)
{
    struct loops *ls = begin(1024); /* no slot of a higher level on the way */
    struct loop *l = loops_at(ls, 0);
    struct probe p = {0};
    set(l, &p, 100);
    struct list *before = p.timer.link.prev;
    for (int i = 0; i < 90; i++) {
        l->now_ms++;
        timer_wheel_run(l);
        set(l, &p, 100);
        assert_int_equal(p.timer.slot_ms, 1124);
        assert_ptr_equal(p.timer.link.prev, before);
    }
    for (int i = 0; i < 200 && !runs; i++) {
        l->now_ms++;
        timer_wheel_run(l);
    }
    assert_int_equal(p.ran, 1214);
    end(ls);
}

/* ---- on a running loop ---------------------------------------------------------------- */

struct real {
    struct timer timer;
    uint64_t set_us;
    sem_t *done;
    uint64_t delay, took_us;
};
static void real_fire(struct loop *l, struct timer *t)
{
    struct real *r = LIST_OF(t, struct real, timer);
    r->took_us = loop_now_us(l) - r->set_us;
    sem_post(r->done);
}
static void real_set(struct loop *l, void *arg)
{
    struct real *r = arg;
    for (int i = 0; i < 20; i++) {
        r[i].set_us = loop_now_us(l);
        timer_set(l, &r[i].timer, r[i].delay, real_fire);
    }
}

TEST(a_sleeping_loop_wakes_in_time_and_never_early)
{
    struct rig r;
    sem_t done;
    struct real t[20] = {0};
    sem_init(&done, 0, 0);
    rig_begin(&r, 1);
    rig_run(&r);
    for (int i = 0; i < 20; i++) {
        t[i].delay = (uint64_t)(i * 13 % 97);
        t[i].done = &done;
    }
    rig_on_loop(&r, 0, real_set, t);
    for (int i = 0; i < 20; i++)
        while (sem_wait(&done) != 0)
            ;
    for (int i = 0; i < 20; i++) /* the turn's clock may be a millisecond or two behind */
        assert_true(t[i].took_us + 5000 >= t[i].delay * 1000);
    sem_destroy(&done);
    rig_end(&r);
}
