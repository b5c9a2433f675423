/* SPDX-License-Identifier: Apache-2.0 */
/* Hash map from text to pointer: open addressing, SipHash-1-3 under a random key (names come
 * from attackers). The map keeps the key's pointer, not a copy: it must live as long as the
 * entry, usually inside the value. Zero-initialised it is empty and valid.
 * Growing moves entries: do not add while walking; removing the entry at hand is allowed. */
#ifndef BASE_MAP_H
#define BASE_MAP_H

#include "base/str.h"

struct map_slot {
    struct str key;
    void *value;
    uint64_t hash;
};
struct map {
    struct map_slot *slots;
    size_t count;
    size_t used; /* with tombstones */
    size_t capacity;
};

void *map_get(const struct map *m, struct str key);
/* Adds or replaces; returns the value that was there before, else NULL. */
void *map_put(struct map *m, struct str key, void *value);
/* Returns the removed value, or NULL. */
void *map_remove(struct map *m, struct str key);
/* Walk: size_t at = 0; void *v; while ((v = map_next(&m, &at))) ... */
void *map_next(const struct map *m, size_t *at);
void map_free(struct map *m);

#endif
