/* SPDX-License-Identifier: Apache-2.0 */
/* SQL functions of ours, on every connection.
 *
 *   auth_uid() auth_role() auth_jwt() auth_email() auth_is(role) realtime_topic()
 *       who the statement runs for (struct sqlite's identity); the same for a whole statement,
 *       so declared deterministic: SQLite asks once per statement, not once per row
 *   tw_row(spec, a, b, ...)  one JSON object; spec holds a kind letter and a key per value
 *   tw_csv(spec, a, b, ...)  the same as one line of CSV
 *   tw_array(json)           aggregate: a JSON array of JSON texts, in the order they come
 *   tw_text(json)            what ->> gives in PostgreSQL: a string without its quotes
 *   tw_url(text)            percent-encoded
 *   tw_like(pattern, text, fold)   tw_match(pattern, text, fold)
 *   tw_contains(a, b)        a @> b for JSON           tw_overlaps(a, b)   a && b for arrays */
#ifndef DB_FUNCTIONS_H
#define DB_FUNCTIONS_H

#include "base/buf.h"
#include "db/fault.h"

struct sqlite;
bool functions_register(struct sqlite *h, struct fault *fault);

/* A spec for tw_row: begin, one call per value, then pass it as the function's first argument. */
void functions_spec_begin(struct buf *spec, bool strip_nulls);
void functions_spec_add(struct buf *spec, char kind, struct str key);

/* textmatch.c */
bool textmatch_like(struct str pattern, struct str text, bool fold);
/* jsoncontain.c: false also when one of them is no JSON. */
bool jsoncontain_contains(struct str whole, struct str part);
bool jsoncontain_overlaps(struct str a, struct str b);

#endif
