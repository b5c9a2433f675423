/* SPDX-License-Identifier: Apache-2.0 */
/* Memory with one lifetime: chunks in a list, the newest first; each twice as large as the one
 * before up to CHUNK_BYTES_MAX, or as large as one wish needs. */
#include "base/arena.h"
#include "base/mem.h"
#include <stdalign.h>

#define CHUNK_BYTES_MIN 512
#define CHUNK_BYTES_MAX (64 * 1024)

struct arena_chunk {
    struct arena_chunk *older;
    size_t size;
    size_t used;
    alignas(max_align_t) char bytes[];
};

static struct arena_chunk *add_chunk(struct arena *a, size_t need)
{
    size_t size = a->chunks ? a->chunks->size * 2 : CHUNK_BYTES_MIN;
    if (size > CHUNK_BYTES_MAX)
        size = CHUNK_BYTES_MAX;
    if (size < need)
        size = need;
    struct arena_chunk *chunk =
        a->is_sure ? mem_new(sizeof(*chunk) + size) : mem_try(sizeof(*chunk) + size);
    if (!chunk)
        return NULL;
    *chunk = (struct arena_chunk){.older = a->chunks, .size = size};
    a->chunks = chunk;
    return chunk;
}

void *arena_alloc(struct arena *a, size_t size)
{
    if (size > SIZE_MAX / 8)
        return NULL;
    size = ((size ? size : 1) + alignof(max_align_t) - 1) & ~(alignof(max_align_t) - 1);
    if (a->max && (size > a->max || a->used > a->max - size))
        return NULL;
    struct arena_chunk *chunk = a->chunks;
    if (!chunk || chunk->size - chunk->used < size)
        chunk = add_chunk(a, size);
    if (!chunk)
        return NULL;
    void *p = chunk->bytes + chunk->used;
    chunk->used += size;
    a->used += size;
    return p;
}

void *arena_zero(struct arena *a, size_t size)
{
    void *p = arena_alloc(a, size);
    return p ? memset(p, 0, size) : NULL;
}

struct str arena_dup(struct arena *a, struct str s)
{
    char *copy = s.n < SIZE_MAX ? arena_alloc(a, s.n + 1) : NULL;
    if (!copy)
        return STR_NONE;
    if (s.n)
        memcpy(copy, s.p, s.n);
    copy[s.n] = '\0';
    return str_of(copy, s.n);
}

static void free_newer(struct arena *a, bool keep_first)
{
    while (a->chunks && (a->chunks->older || !keep_first)) {
        struct arena_chunk *chunk = a->chunks;
        a->chunks = chunk->older;
        mem_free(chunk);
    }
    a->used = 0;
}

void arena_reset(struct arena *a)
{
    /* A first chunk made for one huge wish is not kept: a turn's peak must not stay. */
    bool keep = true;
    for (struct arena_chunk *c = a->chunks; c; c = c->older)
        keep = c->size <= CHUNK_BYTES_MAX;
    free_newer(a, keep);
    if (a->chunks)
        a->chunks->used = 0;
}

void arena_free(struct arena *a)
{
    free_newer(a, false);
}
