/* SPDX-License-Identifier: Apache-2.0 */
/* The turn: order of its stages, foreign descriptors, signals, chance, clocks. */
#include "rig.h"
#include "loop/loop.c"
#include <sys/eventfd.h>

static char trace[64];
static void note(char c)
{
    size_t n = strlen(trace);
    if (n + 1 < sizeof(trace))
        trace[n] = c;
}

struct step {
    struct turn_task task;
    char name;
};
static struct step fanout = {.name = 'F'}, flush = {.name = 'W'}, last = {.name = 'X'},
                   dropped = {.name = '!'}, again = {.name = 'A'};
static sem_t done;

static void run_step(struct loop *l, struct turn_task *task)
{
    struct step *s = LIST_OF(task, struct step, task);
    note(s->name);
    if (s == &fanout) { /* asks for its own stage: the next turn's */
        again.task.run = run_step;
        loop_at_turn_end(l, TURN_FANOUT, &again.task);
    }
    if (s == &last && strchr(trace, 'A'))
        sem_post(&done);
    else if (s == &last)
        loop_at_turn_end(l, TURN_FREE, &last.task);
}

static void ask(struct loop *l, void *arg)
{
    (void)arg;
    struct step *all[] = {&last, &flush, &dropped, &fanout};
    enum turn_stage stage[] = {TURN_FREE, TURN_FLUSH, TURN_FLUSH, TURN_FANOUT};
    for (int i = 0; i < 4; i++) {
        all[i]->task.run = run_step;
        loop_at_turn_end(l, stage[i], &all[i]->task);
        loop_at_turn_end(l, stage[i], &all[i]->task); /* harmless */
    }
    loop_turn_task_drop(&dropped.task);
    note('M');
}

TEST(a_turn_goes_mail_fanout_flush_free)
{
    struct rig r;
    memset(trace, 0, sizeof(trace));
    sem_init(&done, 0, 0);
    rig_begin(&r, 1);
    rig_run(&r);
    rig_on_loop(&r, 0, ask, NULL);
    while (sem_wait(&done) != 0)
        ;
    rig_join(&r);
    assert_string_equal(trace, "MFWXAX");
    sem_destroy(&done);
    rig_end(&r);
}

struct eye {
    struct watch watch;
    struct watch other;
    int hits, other_hits;
    sem_t done;
};
static void on_eye(struct loop *l, struct watch *w, unsigned events)
{
    struct eye *e = LIST_OF(w, struct eye, watch);
    uint64_t v;
    assert_true(events & WATCH_READ);
    if (read(w->fd, &v, sizeof(v)) == sizeof(v))
        e->hits++;
    loop_unwatch(l, &e->other); /* perhaps ready in this very batch */
    loop_unwatch(l, w);
    sem_post(&e->done);
}
static void on_other(struct loop *l, struct watch *w, unsigned events)
{
    struct eye *e = LIST_OF(w, struct eye, other);
    (void)events;
    e->other_hits++;
    loop_unwatch(l, &e->watch);
    loop_unwatch(l, w);
    sem_post(&e->done);
}
static void open_eyes(struct loop *l, void *arg)
{
    struct eye *e = arg;
    assert_true(loop_watch(l, &e->watch, eventfd(1, EFD_CLOEXEC), WATCH_READ));
    assert_true(loop_watch(l, &e->other, eventfd(1, EFD_CLOEXEC), WATCH_READ));
}

TEST(an_unwatched_descriptor_is_not_reported_even_when_it_was_ready)
{
    struct rig r;
    struct eye e = {.watch = {.ready = on_eye, .fd = -1}, .other = {.ready = on_other, .fd = -1}};
    sem_init(&e.done, 0, 0);
    rig_begin(&r, 1);
    rig_run(&r);
    rig_on_loop(&r, 0, open_eyes, &e);
    while (sem_wait(&e.done) != 0)
        ;
    rig_join(&r);
    assert_int_equal(e.hits + e.other_hits, 1);
    close(e.watch.fd);
    close(e.other.fd);
    sem_destroy(&e.done);
    rig_end(&r);
}

static void on_usr1(struct loop *l, int signum, void *arg)
{
    assert_int_equal(loop_index(l), 0);
    assert_ptr_equal(loop_current(), l);
    assert_int_equal(signum, SIGUSR1);
    loops_stop(arg);
}

TEST(a_signal_reaches_loop_0_and_may_stop_the_loops)
{
    struct rig r;
    rig_begin(&r, 3);
    loops_on_signal(r.ls, SIGUSR1, on_usr1, r.ls);
    rig_run(&r);
    kill(getpid(), SIGUSR1);
    pthread_join(r.thread, NULL);
    r.running = false;
    rig_end(&r);
}

TEST(loops_stopped_before_they_run_return_at_once)
{
    struct rig r;
    rig_begin(&r, 2);
    loops_stop(r.ls);
    loops_run(r.ls);
    assert_null(loop_current());
    rig_end(&r);
}

TEST(chance_does_not_repeat_and_fills_every_size)
{
    struct rig r;
    uint64_t a[300];
    uint8_t big[2000] = {0};
    rig_begin(&r, 1);
    struct loop *l = loops_at(r.ls, 0);
    for (int i = 0; i < 300; i++) {
        a[i] = loop_random_u64(l);
        for (int k = 0; k < i; k++)
            assert_true(a[i] != a[k]);
    }
    loop_random(l, big, sizeof(big));
    int zeros = 0;
    for (size_t i = 0; i < sizeof(big); i++)
        zeros += big[i] == 0;
    assert_true(zeros < 100);
    assert_true(loop_wall_ms(l) > 1700000000000u);
    uint64_t before = loop_now_us(l);
    assert_true(loop_now_us(l) >= before);
    rig_end(&r);
}

TEST(each_room_finds_its_state_on_each_loop)
{
    struct rig r;
    int a, b;
    rig_begin(&r, 2);
    loop_slot_set(loops_at(r.ls, 0), LOOP_SLOT_HUB, &a);
    loop_slot_set(loops_at(r.ls, 1), LOOP_SLOT_HUB, &b);
    assert_ptr_equal(loop_slot(loops_at(r.ls, 0), LOOP_SLOT_HUB), &a);
    assert_ptr_equal(loop_slot(loops_at(r.ls, 1), LOOP_SLOT_HUB), &b);
    assert_null(loop_slot(loops_at(r.ls, 0), LOOP_SLOT_API));
    rig_end(&r);
}
