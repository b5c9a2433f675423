/* SPDX-License-Identifier: Apache-2.0 */
/* The filter of a watch, compiled for a table and asked about rows as they stand in the change
 * log. Values are compared in the type of the column; NULL fits nothing but is.null and
 * isdistinct; a column that is not there fits nothing (fail closed). */
#ifndef DB_ROWFILTER_H
#define DB_ROWFILTER_H

#include "db/schema.h"
#include "wire/restquery.h"

struct rowfilter_test;
struct rowfilter {
    struct arena arena;
    struct rowfilter_test *tests;
    size_t count;
};

/* False + fault (words as upstream's). */
bool rowfilter_compile(struct rowfilter *f, const struct table *t, struct str filter,
                       struct fault *fault);
void rowfilter_free(struct rowfilter *f);
/* cells: by column of the table it was compiled for. */
bool rowfilter_fits(const struct rowfilter *f, const struct cell *cells);

/* For the index: the column and values of the first eq or in test. False when there is none. */
bool rowfilter_index(const struct rowfilter *f, size_t *column, const struct cell **values,
                     size_t *count);
/* Text of a value for the index: equal values give equal texts. */
void rowfilter_key(size_t column, const struct cell *value, struct buf *out);

#endif
