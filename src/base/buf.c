/* SPDX-License-Identifier: Apache-2.0 */
/* A growing byte buffer: doubles, so n appends cost O(n); never passes `max`. */
#include "base/buf.h"
#include "base/check.h"
#include "base/mem.h"
#include "base/num.h"
#include <stdio.h>

#define BUF_BYTES_MIN 64

void buf_free(struct buf *b)
{
    mem_free(b->p);
    b->p = NULL;
    b->n = b->capacity = 0;
    b->failed = false;
}

static bool grow(struct buf *b, size_t want)
{
    size_t capacity = b->capacity < BUF_BYTES_MIN ? BUF_BYTES_MIN : b->capacity;
    while (capacity < want)
        capacity = capacity > SIZE_MAX / 2 ? want : capacity * 2;
    if (b->max && capacity > b->max)
        capacity = b->max;
    char *p = mem_try_resize(b->p, capacity);
    if (!p)
        return false;
    b->p = p;
    b->capacity = capacity;
    return true;
}

bool buf_reserve(struct buf *b, size_t more)
{
    CHECK(b->n <= b->capacity);
    if (b->failed)
        return false;
    if (more <= b->capacity - b->n && b->p && (!b->max || more + b->n <= b->max))
        return true;
    bool fits = more <= SIZE_MAX - b->n && (!b->max || b->n + more <= b->max);
    b->failed = !fits || !grow(b, b->n + more);
    return !b->failed;
}

void buf_add(struct buf *b, const void *bytes, size_t n)
{
    if (n == 0 || !buf_reserve(b, n))
        return;
    memcpy(b->p + b->n, bytes, n);
    b->n += n;
}

void buf_add_str(struct buf *b, struct str s)
{
    buf_add(b, s.p, s.n);
}

void buf_add_c(struct buf *b, char c)
{
    buf_add(b, &c, 1);
}

void buf_add_z(struct buf *b, const char *z)
{
    buf_add(b, z, strlen(z));
}

void buf_add_u64(struct buf *b, uint64_t v)
{
    char digits[20];
    buf_add(b, digits, num_put_u64(digits, v));
}

void buf_add_i64(struct buf *b, int64_t v)
{
    char text[21];
    size_t sign = v < 0;
    text[0] = '-';
    buf_add(b, text, sign + num_put_u64(text + sign, sign ? 0 - (uint64_t)v : (uint64_t)v));
}

void buf_printf(struct buf *b, const char *format, ...)
{
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    CHECK(n >= 0);
    /* vsnprintf writes a NUL too: it goes to a place of its own, so that a text of exactly
     * `max` bytes fits. */
    if (n > 0 && buf_reserve(b, (size_t)n)) {
        char *text = mem_try((size_t)n + 1);
        b->failed = !text;
        if (text) {
            vsnprintf(text, (size_t)n + 1, format, again);
            buf_add(b, text, (size_t)n);
        }
        mem_free(text);
    }
    va_end(again);
}

void buf_shift(struct buf *b, size_t n)
{
    CHECK(n <= b->n);
    if (n == 0)
        return;
    memmove(b->p, b->p + n, b->n - n);
    b->n -= n;
}
