/* SPDX-License-Identifier: Apache-2.0 */
/* Percent-encoding, query strings and cookies. Decoding is strict: a bad escape or a NUL is an
 * error, never passed through. UTF-8 is not checked here; whoever needs text checks it. */
#ifndef WIRE_URL_H
#define WIRE_URL_H

#include "base/arena.h"
#include "base/buf.h"

/* Most parameters looked at in one query, and most cookies in one header. */
enum { URL_PAIRS_MAX = 1000 };

/* %XX decoded; with `plus` also '+' as blank (queries, forms). A view of `text` when nothing is
 * escaped, else in the arena. 0, E_BAD_REQUEST or E_NO_MEMORY. */
int url_decode(struct arena *a, struct str text, bool plus, struct str *out);

/* Cuts the next "key=value" off *rest, both raw; false at the end. Empty pieces are skipped;
 * a piece without '=' has an empty value with p == NULL. */
bool url_query_next(struct str *rest, struct str *key, struct str *value);
/* The index-th value of that (decoded) name, decoded. 1 found, 0 not there, < 0 E_*.
 * Names that cannot be decoded match nothing. */
int url_query_at(struct arena *a, struct str query, const char *name, size_t index,
                 struct str *value);
int url_query_first(struct arena *a, struct str query, const char *name, struct str *value);
int url_query_last(struct arena *a, struct str query, const char *name, struct str *value);
size_t url_query_count(struct str query, const char *name);

/* Value of the first cookie of that name (exact case), without surrounding quotes; STR_NONE
 * when absent. `header` is a Cookie header's value. */
struct str url_cookie(struct str header, const char *name);

/* Everything but unreserved characters (RFC 3986) as %XX. */
void url_encode(struct buf *out, struct str s);
/* "key=value", both encoded, with a '&' first unless `out` is empty or ends in '?'. */
void url_add_pair(struct buf *out, struct str key, struct str value);

#endif
