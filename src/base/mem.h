/* SPDX-License-Identifier: Apache-2.0 */
/* The only door to the allocator. Small fixed objects that cannot be had stop the process
 * (mem_new, mem_resize); sizes that a client controls are limited first and asked for with
 * mem_try, whose NULL the caller answers as E_NO_MEMORY. Tests fail the n-th call here. */
#ifndef BASE_MEM_H
#define BASE_MEM_H

#include <stddef.h>

/* Zeroed memory; never NULL. Caller owns. */
void *mem_new(size_t size);
/* Not zeroed; NULL when there is none. Caller owns. */
void *mem_try(size_t size) __attribute__((warn_unused_result));
/* Like realloc; never NULL for size > 0. */
void *mem_resize(void *p, size_t size);
/* Like realloc; NULL when there is none, and then p is still valid. */
void *mem_try_resize(void *p, size_t size) __attribute__((warn_unused_result));
void mem_free(void *p);
/* Grows *capacity (elements) to at least `want` by doubling; for arrays of `each` bytes. */
void *mem_grow(void *p, size_t *capacity, size_t want, size_t each);

/* For tests: the n-th mem_try from now fails (0 = none); `forever` also all that follow. */
void mem_fail_at(long n, int forever);
/* For tests: calls of mem_try since mem_fail_at. */
long mem_tries(void);

#endif
