/* SPDX-License-Identifier: Apache-2.0 */
/* See lanes.h. */
#include "db/lanes.h"
#include "base/check.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "db/schema.h"

enum { GROUP_MAX = 1024 };

struct lanes_lane {
    struct worker_lane *lane;
    struct sqlite *h;
    struct db *db;
    unsigned group_max;
    void (*on_commit)(struct db *db, struct loop *home);
};

static void work(struct worker_job *job);

struct lanes_lane *lanes_open(struct db *db, const char *path, const struct sqlite_options *o,
                              size_t waiting_max, unsigned group_max, struct fault *fault)
{
    struct lanes_lane *lane = mem_new(sizeof *lane);
    lane->db = db;
    lane->group_max = group_max > GROUP_MAX ? GROUP_MAX : group_max;
    lane->h = sqlite_open(path, o, fault);
    if (!lane->h) {
        mem_free(lane);
        return NULL;
    }
    lane->lane = worker_lane_new(1, waiting_max);
    return lane;
}

void lanes_stop(struct lanes_lane *lane)
{
    worker_lane_close(&lane->lane);
}

void lanes_close(struct lanes_lane **lane)
{
    struct lanes_lane *l = *lane;
    *lane = NULL;
    if (!l)
        return;
    lanes_stop(l);
    sqlite_close(&l->h);
    mem_free(l);
}

struct sqlite *lanes_handle(struct lanes_lane *lane)
{
    return lane->h;
}

void lanes_on_commit(struct lanes_lane *lane, void (*fn)(struct db *db, struct loop *home))
{
    lane->on_commit = fn;
}

static void finished(struct loop *l, struct worker_job *job)
{
    struct lanes_task *t = (struct lanes_task *)job;
    t->done(l, t);
}

void lanes_post(struct lanes_lane *lane, struct loop *home, struct lanes_task *t)
{
    t->lane = lane;
    t->job.work = work;
    t->job.done = finished;
    t->failed = t->settled = false;
    if (lane->lane && worker_post(lane->lane, home, &t->job))
        return;
    fault_set(&t->fault, "53300", "too many requests are waiting for the database");
    t->failed = true;
    t->done(home, t);
}

bool lanes_post_plain(struct lanes_lane *lane, struct loop *home, struct lanes_task *t,
                      void (*fn)(struct worker_job *job))
{
    t->lane = lane;
    t->job.work = fn;
    t->job.done = finished;
    return lane->lane && worker_post(lane->lane, home, &t->job);
}

static void fail(struct lanes_task *t)
{
    t->failed = t->settled = true;
    if (t->reset)
        t->reset(t);
}

static void fail_all(struct lanes_task **group, size_t n, const struct fault *fault)
{
    for (size_t i = 0; i < n; i++) {
        if (group[i]->settled)
            continue;
        group[i]->fault = *fault;
        fail(group[i]);
    }
}

/* ---- reading ---------------------------------------------------------------------------- */
static void read_one(struct lanes_lane *lane, struct lanes_task *t)
{
    struct fault ignored;
    t->failed = !schema_begin(lane->h, false, &t->fault);
    if (t->failed)
        return;
    t->failed = !t->run(lane->h, t, &t->fault);
    if (!sqlite_run(lane->h, "COMMIT", &ignored))
        sqlite_run(lane->h, "ROLLBACK", &ignored);
    if (t->failed)
        fail(t);
}

/* ---- writing ---------------------------------------------------------------------------- */
/* False: the transaction is gone, and with it what the group had done. */
static bool write_one(struct sqlite *h, struct lanes_task *t)
{
    struct fault ignored;
    bool ok = sqlite_run(h, "SAVEPOINT tw", &t->fault) && t->run(h, t, &t->fault);
    if (ok)
        ok = sqlite_run(h, "RELEASE tw", &t->fault);
    if (ok)
        return true;
    fail(t);
    if (sqlite3_get_autocommit(h->db))
        return false;
    return sqlite_run(h, "ROLLBACK TO tw", &ignored) && sqlite_run(h, "RELEASE tw", &ignored);
}

static bool is_storage(const struct fault *f)
{
    return strcmp(f->code, "53100") == 0 || strcmp(f->code, "58030") == 0 ||
           strcmp(f->code, "XX001") == 0;
}

/* Once through the tasks that are not settled. False: again, without those that failed. */
static bool write_group(struct lanes_lane *lane, struct lanes_task **group, size_t n)
{
    struct fault fault, ignored;
    if (!schema_begin(lane->h, true, &fault)) {
        fail_all(group, n, &fault);
        return true;
    }
    for (size_t i = 0; i < n; i++) {
        if (group[i]->settled || write_one(lane->h, group[i]))
            continue;
        if (is_storage(&group[i]->fault)) { /* the next would meet it too */
            fault = group[i]->fault;
            fail_all(group, n, &fault);
        }
        for (size_t k = 0; k < i; k++)
            if (!group[k]->settled && group[k]->reset)
                group[k]->reset(group[k]);
        if (!sqlite3_get_autocommit(lane->h->db))
            sqlite_run(lane->h, "ROLLBACK", &ignored);
        return false;
    }
    if (!sqlite_run(lane->h, "COMMIT", &fault)) {
        sqlite_run(lane->h, "ROLLBACK", &ignored);
        log_error("db", "commit_failed", "writes=%zu code=%s", n, fault.code);
        fail_all(group, n, &fault);
    }
    return true;
}

static void write_all(struct lanes_lane *lane, struct lanes_task *first)
{
    struct lanes_task *group[GROUP_MAX];
    struct loop *home;
    struct worker_job *job = worker_take(lane->lane, lane->group_max - 1);
    size_t n = 1;
    group[0] = first;
    for (; job; job = job->next) {
        CHECK(job->work == work);
        group[n++] = (struct lanes_task *)job;
    }
    while (!write_group(lane, group, n))
        ;
    metric_add(M_DATABASE_COMMITS, 1);
    home = first->job.home;
    for (size_t i = 0; i < n; i++) /* in the order they came */
        worker_finish(&group[i]->job);
    if (lane->on_commit)
        lane->on_commit(lane->db, home);
}

static void work(struct worker_job *job)
{
    struct lanes_task *t = (struct lanes_task *)job;
    if (t->lane->h->writer)
        write_all(t->lane, t);
    else
        read_one(t->lane, t);
}
