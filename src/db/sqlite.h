/* SPDX-License-Identifier: Apache-2.0 */
/* One connection to the SQLite file and what belongs to it: prepared statements by text, the
 * schema as last read, the identity that the statement at hand runs for, the step budget.
 *
 * A connection belongs to one thread. A reader never writes; the writer is the only one that does.
 * Both have foreign keys on, WAL, and synchronous=FULL: what was committed is on the disk.
 *
 * I1  Whoever runs a statement for a client has set `identity` before and steps within one
 *     sqlite_begin ... sqlite_end: the auth_* functions read it. Without one they see nobody. */
#ifndef DB_SQLITE_H
#define DB_SQLITE_H

#include "auth/auth.h"
#include "base/list.h"
#include "base/map.h"
#include "db/fault.h"
#include "db/type.h"

struct schema;
struct row_image;
struct sqlite {
    sqlite3 *db;
    bool writer;
    bool images; /* makes row images of published tables (the feed) */
    /* The statement at hand: */
    const struct identity *identity;
    struct str topic;
    struct str extension;
    int64_t steps_left; /* thousands of virtual machine steps until it is interrupted */
    int64_t steps_max;
    unsigned calls;          /* stored functions within one another */
    struct row_image *image; /* the logged row that a policy is asked about (rowimage.c) */
    /* Kept: */
    struct schema *schema;
    struct map statements;
    struct list recent;
    size_t statements_count;
};

struct sqlite_options {
    bool writer;
    int64_t steps_max;  /* thousands of steps per statement; 0 = 200,000 */
    int64_t pages_max;  /* PRAGMA max_page_count; 0 = none */
    int64_t mmap_bytes; /* 0 = none */
    int busy_ms;        /* waiting for other processes; 0 = 5 s */
};
/* NULL and *fault on failure (not a database, corrupt, no permission). Caller owns. */
struct sqlite *sqlite_open(const char *path, const struct sqlite_options *o, struct fault *fault);
void sqlite_close(struct sqlite **h);

/* A prepared statement, reset and without bindings; kept for the next time under its text.
 * NULL + fault. Give it back with sqlite_reset when done. */
sqlite3_stmt *sqlite_prepare(struct sqlite *h, struct str sql, struct fault *fault);
void sqlite_reset(sqlite3_stmt *stmt);
/* SQLITE_ROW, SQLITE_DONE, or another code and fault filled. */
int sqlite_step(struct sqlite *h, sqlite3_stmt *stmt, struct fault *fault);
/* Drops all prepared statements (the schema's views changed). */
void sqlite_forget_statements(struct sqlite *h);
/* Runs SQL text of ours, several statements. */
bool sqlite_exec(struct sqlite *h, const char *sql, struct fault *fault);
/* The same of built text. What could not be built whole is not run: half a statement is another. */
bool sqlite_exec_made(struct sqlite *h, struct buf *sql, struct fault *fault);
sqlite3_stmt *sqlite_prepare_made(struct sqlite *h, const struct buf *sql, struct fault *fault);
/* One statement of ours without rows, prepared once. */
bool sqlite_run(struct sqlite *h, const char *sql, struct fault *fault);
/* First column of the first row as an integer; `otherwise` when there is none. */
int64_t sqlite_integer(struct sqlite *h, const char *sql, int64_t otherwise);
/* Fills the fault from SQLite's code and message. Returns false. */
bool sqlite_fault(struct sqlite *h, int rc, struct fault *fault);
/* Starts the budget for statements of one request. */
void sqlite_begin(struct sqlite *h, const struct identity *id);
void sqlite_end(struct sqlite *h);

/* "name" with quotes doubled. */
void sqlite_quote(struct buf *out, struct str name);
/* 'text' with quotes doubled: only for names of the schema inside generated SQL. */
void sqlite_literal(struct buf *out, struct str text);

#endif
