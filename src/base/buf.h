/* SPDX-License-Identifier: Apache-2.0 */
/* A growing byte buffer. Zero-initialised it is empty and valid. When memory cannot be had,
 * or `max` (0 = none) would be passed, the buffer keeps what it has, sets `failed` and ignores
 * further appends: check once at the end, not at each call. */
#ifndef BASE_BUF_H
#define BASE_BUF_H

#include "base/str.h"
#include <stdarg.h>

struct buf {
    char *p;
    size_t n;
    size_t capacity;
    size_t max;
    bool failed;
};

void buf_free(struct buf *b);
/* Empties, keeps the memory. */
static inline void buf_clear(struct buf *b)
{
    b->n = 0;
    b->failed = false;
}
/* Room for `more` bytes at b->p + b->n; false sets failed. Write there, then add to b->n. */
bool buf_reserve(struct buf *b, size_t more);
void buf_add(struct buf *b, const void *bytes, size_t n);
void buf_add_str(struct buf *b, struct str s);
void buf_add_c(struct buf *b, char c);
void buf_add_z(struct buf *b, const char *z);
void buf_add_u64(struct buf *b, uint64_t v);
void buf_add_i64(struct buf *b, int64_t v);
void buf_printf(struct buf *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Drops n bytes from the front. */
void buf_shift(struct buf *b, size_t n);
static inline struct str buf_str(const struct buf *b)
{
    return (struct str){b->p, b->n};
}
/* For reading only, where a buffer is asked for: not to be added to, not to be freed. */
static inline struct buf buf_view(struct str s)
{
    return (struct buf){.p = (char *)(uintptr_t)s.p, .n = s.n};
}
/* Adds what is in the other buffer; what failed there has failed here. */
static inline void buf_add_buf(struct buf *b, const struct buf *more)
{
    buf_add_str(b, buf_str(more));
    b->failed |= more->failed;
}

#endif
