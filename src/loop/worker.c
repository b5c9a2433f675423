/* SPDX-License-Identifier: Apache-2.0 */
/* Lanes of threads for work that blocks. One mutex and one condition each; a finished job goes
 * home by mail. A writer that wants to commit a group takes what waits with worker_take. */
#include "loop/worker.h"
#include "loop/loop_priv.h"
#include "base/check.h"
#include "base/mem.h"

struct worker_lane {
    pthread_mutex_t lock;
    pthread_cond_t wake;
    struct worker_job *first, **last;
    size_t waiting, waiting_max;
    bool closing;
    unsigned threads_count;
    pthread_t threads[];
};

/* The job this thread is at, until it is finished. */
static _Thread_local struct worker_job *current;

static struct worker_job *take_one(struct worker_lane *lane)
{
    struct worker_job *job = lane->first;
    if (!job)
        return NULL;
    lane->first = job->next;
    if (!lane->first)
        lane->last = &lane->first;
    lane->waiting--;
    job->next = NULL;
    return job;
}

static void *run_lane(void *arg)
{
    struct worker_lane *lane = arg;
    pthread_mutex_lock(&lane->lock);
    for (;;) {
        struct worker_job *job = take_one(lane);
        if (job) {
            pthread_mutex_unlock(&lane->lock);
            current = job;
            job->work(job);
            if (current) /* else it finished itself, to keep an order */
                worker_finish(job);
            pthread_mutex_lock(&lane->lock);
        } else if (lane->closing) {
            break;
        } else {
            pthread_cond_wait(&lane->wake, &lane->lock);
        }
    }
    pthread_mutex_unlock(&lane->lock);
    return NULL;
}

struct worker_lane *worker_lane_new(unsigned threads, size_t waiting_max)
{
    CHECK(threads >= 1);
    struct worker_lane *lane = mem_new(sizeof(*lane) + threads * sizeof(lane->threads[0]));
    pthread_mutex_init(&lane->lock, NULL);
    pthread_cond_init(&lane->wake, NULL);
    lane->last = &lane->first;
    lane->waiting_max = waiting_max;
    lane->threads_count = threads;
    for (unsigned i = 0; i < threads; i++)
        CHECK(pthread_create(&lane->threads[i], NULL, run_lane, lane) == 0);
    return lane;
}

bool worker_post(struct worker_lane *lane, struct loop *home, struct worker_job *job)
{
    job->home = home;
    job->next = NULL;
    pthread_mutex_lock(&lane->lock);
    bool ok = !lane->closing && lane->waiting < lane->waiting_max;
    if (ok) {
        *lane->last = job;
        lane->last = &job->next;
        lane->waiting++;
        pthread_cond_signal(&lane->wake);
    }
    pthread_mutex_unlock(&lane->lock);
    return ok;
}

struct worker_job *worker_take(struct worker_lane *lane, size_t max)
{
    struct worker_job *first = NULL, **last = &first;
    pthread_mutex_lock(&lane->lock);
    for (size_t i = 0; i < max; i++) {
        struct worker_job *job = take_one(lane);
        if (!job)
            break;
        *last = job;
        last = &job->next;
    }
    pthread_mutex_unlock(&lane->lock);
    return first;
}

static void deliver(struct loop *l, struct mail *mail)
{
    struct worker_job *job = LIST_OF(mail, struct worker_job, mail);
    job->done(l, job);
}

void worker_finish(struct worker_job *job)
{
    if (job == current)
        current = NULL;
    job->mail.deliver = deliver;
    loop_post(job->home, &job->mail);
}

void worker_lane_close(struct worker_lane **lane)
{
    struct worker_lane *w = *lane;
    *lane = NULL;
    if (!w)
        return;
    pthread_mutex_lock(&w->lock);
    w->closing = true;
    pthread_cond_broadcast(&w->wake);
    pthread_mutex_unlock(&w->lock);
    for (unsigned i = 0; i < w->threads_count; i++)
        pthread_join(w->threads[i], NULL);
    pthread_cond_destroy(&w->wake);
    pthread_mutex_destroy(&w->lock);
    mem_free(w);
}
