/* SPDX-License-Identifier: Apache-2.0 */
/* A reference count that may be touched from any thread. */
#ifndef BASE_REF_H
#define BASE_REF_H

#include <stdatomic.h>
#include <stdbool.h>

struct ref {
    atomic_uint count;
};

static inline void ref_init(struct ref *r)
{
    atomic_init(&r->count, 1);
}
static inline void ref_take(struct ref *r)
{
    atomic_fetch_add_explicit(&r->count, 1, memory_order_relaxed);
}
static inline void ref_take_n(struct ref *r, unsigned n)
{
    atomic_fetch_add_explicit(&r->count, n, memory_order_relaxed);
}
/* True when this was the last: the caller frees. */
static inline bool ref_drop(struct ref *r)
{
    return atomic_fetch_sub_explicit(&r->count, 1, memory_order_acq_rel) == 1;
}

#endif
