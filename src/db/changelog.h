/* SPDX-License-Identifier: Apache-2.0 */
/* The change log: AFTER triggers on published tables write each changed row into tw_changes, in
 * the transaction of the change. So what is in the log happened, what happened is in the log, its
 * order is commit order, and other processes that write to the file are in it too: the triggers
 * use nothing but SQLite's own functions.
 *
 * Rows are JSON as the data API would write it, so that the feed can pass them on. */
#ifndef DB_CHANGELOG_H
#define DB_CHANGELOG_H

#include "db/schema.h"

/* Makes the triggers of h->schema's published tables as they should be, and drops others. Inside
 * a transaction. */
bool changelog_install(struct sqlite *h, struct fault *fault);
/* SQL text of a row ("new" or "old") as JSON. */
void changelog_row(const struct table *t, const char *row, struct buf *out);
/* Removes the oldest rows: those older than age (SQLite's modifier, "-1 day"), and all but the
 * newest rows_max. Gives how many went, or -1. */
int64_t changelog_trim(struct sqlite *h, const char *age, int64_t rows_max, struct fault *fault);

#endif
