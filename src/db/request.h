/* SPDX-License-Identifier: Apache-2.0 */
/* One request of the data API, from tree and body to answer, on one connection. Runs on the
 * thread of that connection; synchronous, so tests call it without a loop.
 *
 * Reads open their own transaction (one snapshot for rows and count). Writes run inside the
 * transaction of their group, within a savepoint that is rolled back when they fail: see lanes.c.
 */
#ifndef DB_REQUEST_H
#define DB_REQUEST_H

#include "db/query.h"
#include "db/restcall.h"

void request_free_answer(struct rest_answer *r);

/* Inside schema_begin. False when it failed: *fault is set, the response empty; a write must then
 * be undone. Uses arena for the request's texts. */
bool request_run(struct sqlite *h, const struct rest_call *req, struct arena *arena,
                 struct rest_answer *res, struct fault *fault);
/* Whether the request needs the writer; inside schema_begin. */
bool request_writes(struct sqlite *h, const struct rest_call *req);
/* The same with its transaction around it: for tests and tools. */
bool request_run_alone(struct sqlite *h, const struct rest_call *req, struct arena *arena,
                       struct rest_answer *res, struct fault *fault);

/* ---- parts ---------------------------------------------------------------------------- */
/* Rows of a prepared statement whose column `column` is a row text, as the answer's body. */
struct rows {
    struct rest_answer *res;
    const struct rest_call *req;
    int64_t count;
};
void rows_begin(struct rows *r, const struct rest_call *req, struct rest_answer *res);
void rows_add(struct rows *r, sqlite3_stmt *stmt, int column);
/* Closes the body; PGRST116 when one object was wanted and there is not one. */
bool rows_end(struct rows *r, struct query *q);

/* once.c: an insert with an idempotency key is done once, a repeat gets the first answer. */
enum once_answer { ONCE_NEW, ONCE_REPEAT, ONCE_FAULT };
enum once_answer once_begin(struct sqlite *h, const struct rest_call *req, struct arena *arena,
                            struct rest_answer *res, struct fault *fault);
/* changes_before: newest seq of the change log when the insert began. */
bool once_end(struct sqlite *h, const struct rest_call *req, const struct rest_answer *res,
              int64_t changes_before, struct fault *fault);

/* put.c: may this PUT be; false + fault. */
bool put_check(struct query *q, const struct rest_node *root, const struct table *t,
               const struct jsonscan_value *body);
/* write.c */
bool write_run(struct query *q, const struct rest_call *req, const struct restquery *tree,
               const struct table *t, struct rest_answer *res);
/* call.c */
bool call_run(struct query *q, const struct rest_call *req, const struct function *f,
              struct rest_answer *res);
bool request_bad_query(const struct rest_error *error, struct fault *fault);

#endif
