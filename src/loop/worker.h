/* SPDX-License-Identifier: Apache-2.0 */
/* Threads for work that blocks (SQLite, files, asymmetric signatures). A job runs on some
 * worker, then its `done` runs on the loop that asked. A queue (`lane`) runs its jobs one at
 * a time, in order: the writer of a database is a lane of its own. */
#ifndef LOOP_WORKER_H
#define LOOP_WORKER_H

#include "loop/mailbox.h"

struct worker_lane;
struct worker_job {
    struct worker_job *next;
    void (*work)(struct worker_job *job);                 /* on a worker thread */
    void (*done)(struct loop *l, struct worker_job *job); /* back home; owns the job */
    struct loop *home;
    struct mail mail;
};

/* A lane with `threads` workers (1 = strictly in order). At most `waiting_max` jobs wait. */
struct worker_lane *worker_lane_new(unsigned threads, size_t waiting_max);
/* False when the lane is full or closing: the job was not taken. Any loop thread. */
bool worker_post(struct worker_lane *lane, struct loop *home, struct worker_job *job)
    __attribute__((warn_unused_result));
/* On the lane's own thread: takes the jobs that wait now (at most max), linked by next, so
 * that a writer can commit them as one group; the caller then calls worker_finish for each.
 * (The job that is running is finished by itself when its `work` returns.) */
struct worker_job *worker_take(struct worker_lane *lane, size_t max);
void worker_finish(struct worker_job *job);
/* Runs what is queued, then joins. Not from a worker. */
void worker_lane_close(struct worker_lane **lane);

#endif
