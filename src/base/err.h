/* SPDX-License-Identifier: Apache-2.0 */
/* Every error a user can meet, from one table (err.def): internal value E_X (negative), number
 * (also the WebSocket close code and what `tidewire explain` takes), name, HTTP status, words
 * and what to do. Functions return 0 or E_X; whoever can answer the client turns it into the
 * dialect's own words. To add one: add a row to err.def; the docs page and the test follow. */
#ifndef BASE_ERR_H
#define BASE_ERR_H

#include <stdbool.h>

enum err {
    E_NONE = 0,
#define ERR(name, number, status, retryable, text, hint) E_##name = -(number),
#include "base/err.def"
#undef ERR
};

struct err_info {
    int value;        /* E_X */
    int number;       /* 4xxx: wire code and WebSocket close code */
    const char *name; /* "ACCESS_DENIED" */
    int status;       /* HTTP */
    bool retryable;
    const char *text;
    const char *hint;
};

/* For E_X; the row of E_INTERNAL for an unknown value. Never NULL. */
const struct err_info *err_info(int value);
/* By number 4xxx; NULL when unknown. */
const struct err_info *err_by_number(int number);
/* All rows, for docs and `explain`. */
const struct err_info *err_all(int *count);

#endif
