/* SPDX-License-Identifier: Apache-2.0 */
/* Records found by a key that stands inside of them: one pointer a slot, a quarter of what a
 * struct map takes. For many records that are looked up seldom: a look-up reads each record that
 * it passes. Otherwise as base/map.h (SipHash, tombstones, the same rules for walking). */
#ifndef BASE_TABLE_H
#define BASE_TABLE_H

#include "base/str.h"

struct table {
    struct str (*key_of)(const void *record); /* set by the owner, first of all */
    void **slots;
    uint32_t count;
    uint32_t used; /* with tombstones */
    uint32_t capacity;
};

void *table_get(const struct table *t, struct str key);
/* Adds, or replaces the record of the same key, which is returned. */
void *table_put(struct table *t, void *record);
/* Returns the removed record, or NULL. */
void *table_remove(struct table *t, struct str key);
/* Walk: size_t at = 0; void *r; while ((r = table_next(&t, &at))) ... Do not add meanwhile. */
void *table_next(const struct table *t, size_t *at);
/* The slots; the records are the owner's. */
void table_free(struct table *t);

#endif
