/* SPDX-License-Identifier: Apache-2.0 */
/* The database room's door: one SQLite file behind the data API, row-level security, the change
 * feed, durable channels and database policies.
 *
 * Threads: one writer (a lane of one thread that commits what waits as one group), some readers
 * (a lane each), and the feed (a lane that follows the change log). Each has a connection of its
 * own. Loops ask by job and are answered by mail; nothing here blocks a loop.
 *
 *   api/rest      --db_rest-->        reader or writer lane      --done-->
 *   hub (store.h) --db_store-->       writer lane, group commit
 *   protocol      --source_watch-->   feed lane --changes by mail--> watch->changed  (hub/source.h)
 *   auth/policy.h --db_policy-->      reader lane
 *
 * What it does not know: HTTP, sockets, dialects. PostgreSQL will be other files behind the same
 * ports. */
#ifndef DB_DB_H
#define DB_DB_H

#include "auth/policy.h"
#include "db/restcall.h"
#include "hub/source.h"
#include "hub/store.h"
#include "loop/worker.h"

struct db;
struct db_config {
    const char *path;         /* the file; its folder must exist */
    const char *migrations;   /* folder of *.sql; NULL = none */
    const char *builtin;      /* SQL text applied first, as migration "builtin"; NULL = none */
    unsigned readers;         /* 0 = 2 */
    int64_t rows_max;         /* rows of one read at most; 0 = 1000 */
    int64_t steps_max;        /* thousands of SQLite steps per request; 0 = 200,000 */
    size_t waiting_max;       /* jobs that may wait per lane; 0 = 4096 */
    unsigned group_max;       /* writes in one commit; 0 = 256 */
    int64_t pages_max;        /* of the file; 0 = no limit */
    uint64_t poll_ms;         /* looking for changes of other processes; 0 = 200 */
    const char *changes_age;  /* SQLite's modifier; NULL = "-1 day" */
    int64_t changes_rows_max; /* kept in the change log; 0 = 1,000,000 */
    size_t watches_max;       /* 0 = 100,000 */
};
/* Before the loops run; applies the migrations. NULL and a sentence in err. config is copied. */
struct db *db_open(struct loops *ls, const struct db_config *config, char *err, size_t err_size);
/* The schema of `tidewire dev`, for config.builtin. */
extern const char db_demo_sql[];
/* Runs what is queued, then takes nothing more; the answers come by mail. */
void db_stop(struct db *db);
/* After the loops have run (or before they do): db_stop, and all is freed. */
void db_close(struct db **db);

/* ---- the data API ---------------------------------------------------------------------- */
/* The caller allocates it (usually inside something bigger) and has it back in done, on the loop
 * that asked, exactly once, perhaps before db_rest returns; then db_rest_clear. */
struct db_rest {
    struct rest_call call; /* texts are copied by db_rest */
    void (*done)(struct loop *l, struct db_rest *r);
    /* The answer: */
    bool failed;   /* then `answer.body` is the error object and answer.status its status */
    char code[12]; /* "23505" */
    struct rest_answer answer;
    void *task; /* of the room */
};
/* Takes a reference on call.identity. */
void db_rest(struct db *db, struct loop *l, struct db_rest *r);
void db_rest_clear(struct db_rest *r);

/* ---- ports ------------------------------------------------------------------------------ */
/* For hub_set_store(&db_store_ops, db). */
extern const struct store_ops db_store_ops;
/* For source_set(&db_source_ops, db). */
extern const struct source_ops db_source_ops;
/* Private channels by the policies of realtime_messages. Borrowed, lives as long as db. */
struct policy *db_policy(struct db *db);

/* ---- tools: synchronous, without loops; 0 or non-zero, words into out ---------------------- */
int db_tool_migrate(const char *path, const char *folder, struct buf *out);
int db_tool_backup(const char *path, const char *to, struct buf *out);
int db_tool_policies(const char *path, struct buf *out);

#endif
