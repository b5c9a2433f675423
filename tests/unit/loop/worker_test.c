/* SPDX-License-Identifier: Apache-2.0 */
/* Lanes: order, bounds, groups, the way home. */
#include "rig.h"
#include "loop/worker.c"

enum { JOBS = 500 };

struct task {
    struct worker_job job;
    unsigned number;
};
static unsigned worked[JOBS], worked_count; /* by the lane's one thread */
static unsigned home_count, home_disorder;  /* by the loop */
static atomic_uint finished;

static void work(struct worker_job *job)
{
    worked[worked_count++] = LIST_OF(job, struct task, job)->number;
}
static void done(struct loop *l, struct worker_job *job)
{
    struct task *t = LIST_OF(job, struct task, job);
    assert_ptr_equal(loop_current(), l);
    if (t->number != home_count++)
        home_disorder++;
    atomic_fetch_add(&finished, 1);
    mem_free(t);
}

static struct task *task_new(unsigned number)
{
    struct task *t = mem_new(sizeof(*t));
    *t = (struct task){.job.work = work, .job.done = done, .number = number};
    return t;
}

TEST(a_lane_of_one_works_in_order_and_answers_in_order)
{
    struct rig r;
    worked_count = home_count = home_disorder = 0;
    atomic_store(&finished, 0);
    rig_begin(&r, 1);
    rig_run(&r);
    struct worker_lane *lane = worker_lane_new(1, JOBS);
    for (unsigned i = 0; i < JOBS; i++)
        assert_true(worker_post(lane, loops_at(r.ls, 0), &task_new(i)->job));
    worker_lane_close(&lane);
    assert_null(lane);
    assert_int_equal(worked_count, JOBS);
    for (unsigned i = 0; i < JOBS; i++)
        assert_int_equal(worked[i], i);
    rig_join(&r);
    assert_int_equal(atomic_load(&finished), JOBS);
    assert_int_equal(home_disorder, 0);
    rig_end(&r);
}

static sem_t gate, entered;
static void work_gated(struct worker_job *job)
{
    (void)job;
    sem_post(&entered);
    while (sem_wait(&gate) != 0)
        ;
}
static void done_free(struct loop *l, struct worker_job *job)
{
    (void)l;
    atomic_fetch_add(&finished, 1);
    mem_free(LIST_OF(job, struct task, job));
}

TEST(a_full_lane_refuses)
{
    struct rig r;
    rig_begin(&r, 1);
    sem_init(&gate, 0, 0);
    sem_init(&entered, 0, 0);
    atomic_store(&finished, 0);
    struct worker_lane *lane = worker_lane_new(1, 2);
    struct task *t[4];
    for (unsigned i = 0; i < 4; i++) {
        t[i] = task_new(i);
        t[i]->job.work = work_gated;
        t[i]->job.done = done_free;
    }
    struct loop *l = loops_at(r.ls, 0);
    assert_true(worker_post(lane, l, &t[0]->job));
    while (sem_wait(&entered) != 0)
        ;
    assert_true(worker_post(lane, l, &t[1]->job));
    assert_true(worker_post(lane, l, &t[2]->job));
    assert_false(worker_post(lane, l, &t[3]->job));
    mem_free(t[3]);
    for (int i = 0; i < 3; i++)
        sem_post(&gate);
    worker_lane_close(&lane);
    rig_end(&r); /* delivers */
    assert_int_equal(atomic_load(&finished), 3);
    sem_destroy(&gate);
    sem_destroy(&entered);
}

static struct worker_lane *group_lane;
static size_t group_size;
static void work_group(struct worker_job *job)
{
    (void)job;
    sem_post(&entered);
    while (sem_wait(&gate) != 0)
        ;
    struct worker_job *more = worker_take(group_lane, 10);
    while (more) {
        struct worker_job *next = more->next;
        group_size++;
        worker_finish(more);
        more = next;
    }
}

TEST(a_writer_takes_what_waits_as_one_group)
{
    struct rig r;
    rig_begin(&r, 1);
    sem_init(&gate, 0, 0);
    sem_init(&entered, 0, 0);
    atomic_store(&finished, 0);
    group_size = 0;
    group_lane = worker_lane_new(1, 100);
    struct loop *l = loops_at(r.ls, 0);
    for (unsigned i = 0; i < 6; i++) {
        struct task *t = task_new(i);
        t->job.work = i == 0 ? work_group : work;
        t->job.done = done_free;
        assert_true(worker_post(group_lane, l, &t->job));
        if (i == 0)
            while (sem_wait(&entered) != 0)
                ;
    }
    worked_count = 0;
    sem_post(&gate);
    struct worker_lane *lane = group_lane;
    worker_lane_close(&lane);
    rig_end(&r);
    assert_int_equal(group_size, 5);
    assert_int_equal(worked_count, 0);
    assert_int_equal(atomic_load(&finished), 6);
    sem_destroy(&gate);
    sem_destroy(&entered);
}
