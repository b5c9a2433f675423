/* SPDX-License-Identifier: Apache-2.0 */
/* Opening, closing and upkeep: see db.h. */
#include "db/db_priv.h"
#include "base/check.h"
#include "base/log.h"
#include "base/mem.h"
#include "db/changelog.h"
#include "db/feed.h"
#include "db/migrate.h"
#include <stdio.h>

enum { SWEEP_MS = 30000 };

struct db_home *db_home_of(struct db *db, struct loop *l)
{
    return &db->homes[loop_index(l)];
}

struct lanes_lane *db_reader(struct db *db, struct loop *l)
{
    struct db_home *home = db_home_of(db, l);
    return db->readers[home->next_reader++ % db->readers_count];
}

static void defaults(struct db_config *c)
{
    c->readers = c->readers ? c->readers : 2;
    if (c->readers > DB_READERS_MAX)
        c->readers = DB_READERS_MAX;
    c->rows_max = c->rows_max ? c->rows_max : 1000;
    c->waiting_max = c->waiting_max ? c->waiting_max : 4096;
    c->group_max = c->group_max ? c->group_max : 256;
    c->poll_ms = c->poll_ms ? c->poll_ms : 200;
    c->changes_rows_max = c->changes_rows_max ? c->changes_rows_max : 1000000;
    c->watches_max = c->watches_max ? c->watches_max : 100000;
}

static bool prepare(struct db *db, struct sqlite *h, struct fault *fault)
{
    const struct db_config *c = &db->config;
    bool applied;
    int count;
    if (!migrate_prepare(h, fault))
        return false;
    if (c->builtin && !migrate_apply(h, "builtin", str_from(c->builtin), &applied, fault))
        return false;
    return !c->migrations || migrate_folder(h, c->migrations, &count, fault);
}

static bool open_lanes(struct db *db, struct fault *fault)
{
    const struct db_config *c = &db->config;
    struct sqlite_options write = {
        .writer = true, .steps_max = c->steps_max, .pages_max = c->pages_max};
    struct sqlite_options read = {.steps_max = c->steps_max};
    db->writer = lanes_open(db, db->path, &write, c->waiting_max, c->group_max, fault);
    if (!db->writer || !prepare(db, lanes_handle(db->writer), fault))
        return false;
    for (unsigned i = 0; i < c->readers; i++) {
        db->readers[i] = lanes_open(db, db->path, &read, c->waiting_max, 1, fault);
        if (!db->readers[i])
            return false;
        db->readers_count++;
    }
    db->feed = feed_open(db, fault);
    return db->feed != NULL;
}

/* Writes of other processes: nobody wakes us for those. */
static void on_poll(struct loop *l, struct timer *t)
{
    struct db_home *home = LIST_OF(t, struct db_home, poll);
    feed_wake(home->db, l);
    timer_set(l, t, home->db->config.poll_ms, on_poll);
}

static bool run_sweep(struct sqlite *h, struct lanes_task *task, struct fault *fault)
{
    const struct db_config *c = &task->db->config;
    const char *age = task->db->changes_age ? task->db->changes_age : "-1 day";
    return changelog_trim(h, age, c->changes_rows_max, fault) >= 0 &&
           sqlite_exec(h,
                       "DELETE FROM main.realtime_messages WHERE inserted_at <"
                       " strftime('%Y-%m-%dT%H:%M:%S','now','-3 days');"
                       "DELETE FROM main.tw_keys WHERE at < strftime('%Y-%m-%dT%H:%M:%S','now',"
                       "'-1 day')",
                       fault);
}

static void done_sweep(struct loop *l, struct lanes_task *task)
{
    (void)l;
    if (task->failed)
        log_warn("db", "sweep", "code=%s text=%s", task->fault.code, task->fault.message);
    mem_free(task);
}

static void on_sweep(struct loop *l, struct timer *t)
{
    struct db_home *home = LIST_OF(t, struct db_home, sweep);
    struct lanes_task *task = mem_new(sizeof *task);
    task->db = home->db;
    task->run = run_sweep;
    task->done = done_sweep;
    lanes_post(home->db->writer, l, task);
    timer_set(l, t, SWEEP_MS, on_sweep);
}

static void open_homes(struct db *db)
{
    struct loop *first = loops_at(db->loops, 0);
    db->homes = mem_new(loops_count(db->loops) * sizeof *db->homes);
    for (unsigned i = 0; i < loops_count(db->loops); i++) {
        struct loop *l = loops_at(db->loops, i);
        db->homes[i].db = db;
        db->homes[i].next_reader = i;
        db->homes[i].feed = feed_home_new(db, l);
        loop_slot_set(l, LOOP_SLOT_DB, &db->homes[i]);
    }
    timer_set(first, &db->homes[0].poll, db->config.poll_ms, on_poll);
    timer_set(first, &db->homes[0].sweep, SWEEP_MS, on_sweep);
}

struct db *db_open(struct loops *ls, const struct db_config *config, char *err, size_t err_size)
{
    struct db *db = mem_new(sizeof *db);
    struct fault fault = {0};
    db->config = *config;
    defaults(&db->config);
    db->path = str_dup(str_from(config->path));
    db->config.path = db->path;
    db->changes_age = config->changes_age ? str_dup(str_from(config->changes_age)) : NULL;
    db->loops = ls;
    if (!open_lanes(db, &fault)) {
        snprintf(err, err_size, "%s: %s%s%s%s", config->path, fault.message,
                 fault.details[0] ? " (" : "", fault.details, fault.details[0] ? ")" : "");
        db_close(&db);
        return NULL;
    }
    db->policy = policy_open(db);
    open_homes(db);
    lanes_on_commit(db->writer, feed_wake);
    return db;
}

void db_stop(struct db *db)
{
    if (!db)
        return;
    if (db->writer)
        lanes_stop(db->writer); /* first: its commits wake the feed */
    for (unsigned i = 0; i < db->readers_count; i++)
        if (db->readers[i])
            lanes_stop(db->readers[i]);
}

void db_close(struct db **dbp)
{
    struct db *db = *dbp;
    *dbp = NULL;
    if (!db)
        return;
    if (db->homes) {
        timer_stop(&db->homes[0].poll);
        timer_stop(&db->homes[0].sweep);
    }
    db_stop(db);
    feed_close(&db->feed);
    for (unsigned i = 0; i < db->readers_count; i++)
        lanes_close(&db->readers[i]);
    lanes_close(&db->writer);
    for (unsigned i = 0; db->homes && i < loops_count(db->loops); i++) {
        loop_slot_set(loops_at(db->loops, i), LOOP_SLOT_DB, NULL);
        feed_home_free(&db->homes[i].feed);
    }
    policy_close(&db->policy);
    mem_free(db->homes);
    mem_free(db->path);
    mem_free(db->changes_age);
    mem_free(db);
}

struct policy *db_policy(struct db *db)
{
    return db->policy;
}
