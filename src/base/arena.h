/* SPDX-License-Identifier: Apache-2.0 */
/* Memory with one lifetime: a turn, a request, the boot. Freed or reset as a whole, so error
 * paths cannot leak. Zero-initialised it is empty and valid; `max` (0 = none) bounds it. */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include "base/str.h"

struct arena_chunk;
struct arena {
    struct arena_chunk *chunks;
    size_t used;
    size_t max;
    bool
        is_sure; /* for what no client can make large: without memory the process stops (mem_new) */
};

/* Aligned for any type, not zeroed. NULL past max or without memory. */
void *arena_alloc(struct arena *a, size_t size);
/* As arena_alloc, zeroed. */
void *arena_zero(struct arena *a, size_t size);
/* A NUL-terminated copy that lives as long as the arena; STR_NONE when there is no memory. */
struct str arena_dup(struct arena *a, struct str s);
/* Empties; keeps the first chunk for the next use. */
void arena_reset(struct arena *a);
void arena_free(struct arena *a);

#endif
