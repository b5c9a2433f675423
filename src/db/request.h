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
#include "wire/restprefer.h"

enum request_method {
    REQUEST_READ,
    REQUEST_INSERT,
    REQUEST_UPDATE,
    REQUEST_DELETE,
    REQUEST_CALL,      /* a function by POST */
    REQUEST_CALL_READ, /* by GET */
};
struct request {
    enum request_method method;
    struct str name;  /* table or function */
    struct str query; /* raw */
    struct str body;
    struct restprefer prefer;
    struct restaccept_result accept;
    const struct identity *identity;
    int64_t rows_max; /* cap of a read; 0 = none */
    struct str key;   /* Idempotency-Key of an insert; empty = none */
    bool head;        /* only headers are wanted */
};
struct response {
    int status;
    struct buf body;
    const char *content_type; /* NULL when there is no body */
    char content_range[64];
    struct buf location; /* empty = none */
    struct buf applied;  /* Preference-Applied */
    int64_t rows;
    bool replayed; /* an answer given before for the same key */
};
void response_free(struct response *r);

/* Inside schema_begin. False when it failed: *fault is set, the response empty; a write must then
 * be undone. Uses arena for the request's texts. */
bool request_run(struct sqlite *h, const struct request *req, struct arena *arena,
                 struct response *res, struct fault *fault);
/* Whether the request needs the writer; inside schema_begin. */
bool request_writes(struct sqlite *h, const struct request *req);
/* The same with its transaction around it: for tests and tools. */
bool request_run_alone(struct sqlite *h, const struct request *req, struct arena *arena,
                       struct response *res, struct fault *fault);

/* ---- parts ---------------------------------------------------------------------------- */
/* Rows of a prepared statement whose column `column` is a row text, as the answer's body. */
struct rows {
    struct response *res;
    const struct request *req;
    int64_t count;
};
void rows_begin(struct rows *r, const struct request *req, struct response *res);
void rows_add(struct rows *r, sqlite3_stmt *stmt, int column);
/* Closes the body; PGRST116 when one object was wanted and there is not one. */
bool rows_end(struct rows *r, struct query *q);

/* write.c */
bool write_run(struct query *q, const struct request *req, const struct restquery *tree,
               const struct table *t, struct response *res);
/* call.c */
bool call_run(struct query *q, const struct request *req, const struct function *f,
              struct response *res);
bool request_bad_query(const struct rest_error *error, struct fault *fault);

#endif
