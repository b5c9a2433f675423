/* SPDX-License-Identifier: Apache-2.0 */
/* The only door to the allocator. The fault tests make the n-th request fail through the hook
 * below; until mem_fail_at is called once, its whole cost is one read of a flag. */
#include "base/mem.h"
#include "base/check.h"
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

/* More than this is a size gone wrong; allocators differ in what they do with it. */
#define MEM_BYTES_MAX (SIZE_MAX / 4)

static atomic_bool armed;
static atomic_long tries, fail_at;
static atomic_int fail_forever;

void mem_fail_at(long n, int forever)
{
    atomic_store(&fail_at, n);
    atomic_store(&fail_forever, forever);
    atomic_store(&tries, 0);
    atomic_store(&armed, true);
}

long mem_tries(void)
{
    return atomic_load(&tries);
}

static bool must_fail(size_t size)
{
    if (size > MEM_BYTES_MAX)
        return true;
    if (!atomic_load_explicit(&armed, memory_order_relaxed))
        return false;
    long now = atomic_fetch_add(&tries, 1) + 1, at = atomic_load(&fail_at);
    return at > 0 && (now == at || (now > at && atomic_load(&fail_forever)));
}

void *mem_new(size_t size)
{
    CHECK(size <= MEM_BYTES_MAX);
    void *p = calloc(1, size ? size : 1);
    CHECK(p);
    return p;
}

void *mem_try(size_t size)
{
    return must_fail(size) ? NULL : malloc(size ? size : 1);
}

void *mem_resize(void *p, size_t size)
{
    CHECK(size <= MEM_BYTES_MAX);
    void *bigger = realloc(p, size ? size : 1);
    CHECK(bigger);
    return bigger;
}

void *mem_try_resize(void *p, size_t size)
{
    return must_fail(size) ? NULL : realloc(p, size ? size : 1);
}

void mem_free(void *p)
{
    free(p);
}

void *mem_grow(void *p, size_t *capacity, size_t want, size_t each)
{
    CHECK(each > 0 && want <= MEM_BYTES_MAX / each);
    if (want <= *capacity)
        return p;
    size_t grown = *capacity ? *capacity : 8;
    while (grown < want)
        grown *= 2;
    *capacity = grown;
    return mem_resize(p, grown * each);
}
