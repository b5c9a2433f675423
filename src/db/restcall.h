/* SPDX-License-Identifier: Apache-2.0 */
/* A request of the data API and its answer, as they cross between api/rest and the database's
 * threads: no HTTP, no SQL. */
#ifndef DB_RESTCALL_H
#define DB_RESTCALL_H

#include "wire/restprefer.h"

struct identity;

enum rest_method {
    REST_READ,
    REST_INSERT,
    REST_UPDATE,
    REST_DELETE,
    REST_CALL,      /* a function by POST */
    REST_CALL_READ, /* by GET */
    REST_PUT,       /* upsert of the row that the filter names */
};
struct rest_call {
    enum rest_method method;
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
struct rest_answer {
    int status;
    struct buf body;
    const char *content_type; /* NULL when there is no body */
    char content_range[64];
    struct buf location; /* empty = none */
    struct buf applied;  /* Preference-Applied */
    int64_t rows;
    bool replayed; /* an answer given before for the same key */
};

#endif
