/* SPDX-License-Identifier: Apache-2.0 */
/* What went wrong with the database, in the words that apps switch on: a PostgreSQL SQLSTATE or a
 * PostgREST code, its HTTP status, and PostgreSQL's sentences. Filled once, where it is born;
 * texts are cut to fit, never allocated. */
#ifndef DB_FAULT_H
#define DB_FAULT_H

#include "base/buf.h"

struct fault {
    char code[12]; /* "23505", "PGRST116"; empty = none */
    int status;
    char message[512];
    char details[1024]; /* empty = null */
    char hint[256];     /* empty = null */
    bool fatal;         /* the transaction itself failed: nothing in its group was kept */
};

/* Sets code, status (by the code) and message; clears details and hint. Returns false. */
bool fault_set(struct fault *f, const char *code, const char *message, ...)
    __attribute__((format(printf, 3, 4)));
void fault_details(struct fault *f, const char *format, ...) __attribute__((format(printf, 2, 3)));
void fault_hint(struct fault *f, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* HTTP status of an SQLSTATE or PGRST code (rest.md section 6); 42501 is 403 here, the caller
 * knows whether it was the anonymous role. */
int fault_status(const char *code);
/* {"code":..,"details":..,"hint":..,"message":..} */
void fault_write(const struct fault *f, struct buf *out);

#endif
