/* SPDX-License-Identifier: Apache-2.0 */
/* Stored SQL functions: their bodies made ready to run, and those that give one value as SQL
 * functions of the connection, so that policies may call them.
 *
 * A body runs as its caller: the tables it names are the views with their policies. SECURITY
 * DEFINER (and the service role) reads the tables themselves: their names are rewritten to
 * main."t" where a table can stand. What that misses stays behind its policy. */
#ifndef DB_SQLFUNC_H
#define DB_SQLFUNC_H

#include "db/query.h"

/* One statement of a body with its arguments bound through `bind`, and names as they must be. */
void sqlfunc_statement(const struct schema *s, const struct function *f, struct str statement,
                       bool as_owner, void (*bind)(void *arg, size_t index, struct buf *to),
                       void *arg, struct buf *out);
/* Makes the scalar functions of h->schema known to SQL. */
bool sqlfunc_register(struct sqlite *h, struct fault *fault);

#endif
