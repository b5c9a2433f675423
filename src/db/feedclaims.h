/* SPDX-License-Identifier: Apache-2.0 */
/* What of an identity the SELECT policies of a table can see: its role, and those claims that the
 * policies (and the policies of the tables they read, and the functions they call) mention. All
 * who agree in these see the same rows: a visibility class. What is not understood means all
 * claims, so that classes are at worst too many, never too few. */
#ifndef DB_FEEDCLAIMS_H
#define DB_FEEDCLAIMS_H

#include "auth/auth.h"
#include "db/schema.h"

enum { FEEDCLAIMS_MAX = 16 };
struct feedclaims {
    bool sub;
    bool all;
    struct str names[FEEDCLAIMS_MAX]; /* in the schema's arena */
    size_t count;
};
void feedclaims_find(struct feedclaims *c, const struct schema *s, const struct table *t);
/* The name of the identity's class. */
void feedclaims_key(const struct feedclaims *c, const struct identity *id, struct buf *out);

#endif
