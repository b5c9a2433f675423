/* SPDX-License-Identifier: Apache-2.0 */
/* Tasks on the database's threads. A read runs on one of the reader lanes in a transaction of its
 * own. Writes wait in the writer's lane and are committed together: each in a savepoint, then one
 * COMMIT, one fsync, and all are answered. A write that fails is undone alone; when the whole
 * transaction is lost (disk full), the others are done again without it.
 *
 * I1  a write's `done` sees failed == false only after the COMMIT that holds it. */
#ifndef DB_LANES_H
#define DB_LANES_H

#include "db/sqlite.h"
#include "loop/worker.h"

struct db;
struct lanes_task {
    struct worker_job job; /* first */
    struct db *db;
    struct lanes_lane *lane;
    /* On the lane's thread, inside a transaction. */
    bool (*run)(struct sqlite *h, struct lanes_task *t, struct fault *fault);
    /* Forgets what run has produced: it will run again, or has failed. May be NULL. */
    void (*reset)(struct lanes_task *t);
    /* On the loop that asked. */
    void (*done)(struct loop *l, struct lanes_task *t);
    struct fault fault;
    bool failed;
    bool settled; /* within a group */
};

struct lanes_lane; /* a lane with its connection */
/* NULL + fault. */
struct lanes_lane *lanes_open(struct db *db, const char *path, const struct sqlite_options *o,
                              size_t waiting_max, unsigned group_max, struct fault *fault);
void lanes_close(struct lanes_lane **lane);
/* Runs what is queued and ends the thread; the connection stays until lanes_close. */
void lanes_stop(struct lanes_lane *lane);
struct sqlite *lanes_handle(struct lanes_lane *lane);

/* Runs `run` in a transaction on that lane (a group when it writes). When the lane is full the
 * task fails at once: done runs before this returns. */
void lanes_post(struct lanes_lane *lane, struct loop *home, struct lanes_task *t);
/* Runs `work` alone on the lane, without a transaction (the feed). False when it is full. */
bool lanes_post_plain(struct lanes_lane *lane, struct loop *home, struct lanes_task *t,
                      void (*work)(struct worker_job *job));

/* Called on the writer's thread after each commit that changed the database. */
void lanes_on_commit(struct lanes_lane *lane, void (*fn)(struct db *db, struct loop *home));

#endif
