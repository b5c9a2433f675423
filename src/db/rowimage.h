/* SPDX-License-Identifier: Apache-2.0 */
/* A row that is not in a table, as a table: policies are asked about the row as it was logged,
 * not as it is now, so that DELETE can be judged too. A virtual table with the columns (names,
 * affinities, collations) of the real one and exactly one row, whose values the caller sets.
 * Comparing works as with the real table, since affinities are the same; bound parameters have
 * none. */
#ifndef DB_ROWIMAGE_H
#define DB_ROWIMAGE_H

#include "db/type.h"

struct sqlite;
struct table;
struct row_image;

bool rowimage_register(struct sqlite *h, struct fault *fault);
void rowimage_free(struct row_image **image);
/* Makes temp."tw_image_<table>" anew. Outside of a transaction. */
bool rowimage_ensure(struct sqlite *h, const struct table *t, struct fault *fault);
void rowimage_name(const struct table *t, struct buf *out);
/* The one row: the JSON object of a logged row. Members that are missing are NULL. */
bool rowimage_set(struct sqlite *h, const struct table *t, struct str json, struct fault *fault);
/* Value of a column of the row that was set. */
const struct cell *rowimage_cell(const struct sqlite *h, size_t column);

#endif
