/* SPDX-License-Identifier: Apache-2.0 */
/* Segments of three common sizes are kept per loop for the next use; others come and go with
 * the allocator. A segment never leaves its loop, so the count needs no lock. */
#include "loop/loop_priv.h"
#include "loop/sock.h"
#include "base/check.h"
#include "base/mem.h"

static const uint32_t class_bytes[SEGMENT_CLASSES] = {4096, 16384, 65536};
enum { CLASS_KEEP = 64 }; /* kept per class: at most 5 MiB a loop */

/* A free segment's first bytes hold the next one. */
static struct segment **next_of(struct segment *g)
{
    return (struct segment **)(void *)g;
}

static int class_of(size_t capacity)
{
    for (int i = 0; i < SEGMENT_CLASSES; i++)
        if (capacity == class_bytes[i] - sizeof(struct segment))
            return i;
    return -1;
}

static size_t round_up(size_t capacity)
{
    for (int i = 0; i < SEGMENT_CLASSES; i++) {
        size_t usable = class_bytes[i] - sizeof(struct segment);
        if (capacity <= usable && capacity > usable / 4)
            return usable;
    }
    return capacity;
}

struct segment *segment_new(struct loop *l, size_t capacity)
{
    capacity = round_up(capacity);
    if (capacity > UINT32_MAX - sizeof(struct segment))
        return NULL;
    int class = class_of(capacity);
    struct segment *g;
    if (class >= 0 && l->pool.free[class]) {
        g = l->pool.free[class];
        l->pool.free[class] = *next_of(g);
        l->pool.count[class]--;
    } else {
        g = mem_try(sizeof(*g) + capacity);
        if (!g)
            return NULL;
    }
    g->refs = 1;
    g->n = 0;
    g->capacity = (uint32_t)capacity;
    return g;
}

void segment_ref(struct segment *g)
{
    CHECK(g->refs > 0);
    g->refs++;
}

void segment_unref(struct segment **segment)
{
    struct segment *g = *segment;
    *segment = NULL;
    if (!g)
        return;
    CHECK(g->refs > 0);
    if (--g->refs > 0)
        return;
    struct loop *l = loop_current();
    int class = class_of(g->capacity);
    if (l && class >= 0 && l->pool.count[class] < CLASS_KEEP) {
        *next_of(g) = l->pool.free[class];
        l->pool.free[class] = g;
        l->pool.count[class]++;
        return;
    }
    mem_free(g);
}

void segment_pool_fini(struct loop *l)
{
    for (int i = 0; i < SEGMENT_CLASSES; i++)
        while (l->pool.free[i]) {
            struct segment *g = l->pool.free[i];
            l->pool.free[i] = *next_of(g);
            mem_free(g);
        }
}
