/* SPDX-License-Identifier: Apache-2.0 */
/* An ordered list of globs ('*' any run, '?' one byte; see str_glob) and the question "which is
 * the first that fits this name?". Names without '*' and '?' are found by hash, the others are
 * tried in order, so a list of thousands of exact names costs no more than one. Filled once at
 * boot or reload, then only read: any thread may ask. Zero-initialised it is empty and valid. */
#ifndef BASE_PATTERN_H
#define BASE_PATTERN_H

#include "base/map.h"

struct pattern_glob;
struct pattern_list {
    struct map exact; /* name -> the first row of that name */
    struct pattern_glob *globs;
    size_t globs_count;
    size_t globs_capacity;
    size_t count;
};

/* Adds a row at the end; the text is copied. Returns its index, 0, 1, 2 ... */
size_t pattern_add(struct pattern_list *list, struct str pattern);
/* Index of the first row that fits, or -1. */
ptrdiff_t pattern_find(const struct pattern_list *list, struct str name);
void pattern_free(struct pattern_list *list);

#endif
