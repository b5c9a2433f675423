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

/* The NUL that vsnprintf writes must not need room in the buffer: a text of exactly `max` bytes
 * fits. So the text is made beside it, on the stack when it is short. */
void buf_printf(struct buf *b, const char *format, ...)
{
    char brief[256], *text = brief;
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int n = vsnprintf(brief, sizeof(brief), format, args);
    va_end(args);
    CHECK(n >= 0);
    if ((size_t)n >= sizeof(brief) && buf_reserve(b, (size_t)n)) {
        text = mem_try((size_t)n + 1);
        if (text)
            vsnprintf(text, (size_t)n + 1, format, again);
        b->failed = !text;
    }
    va_end(again);
    if (!b->failed)
        buf_add(b, text, (size_t)n);
    if (text != brief)
        mem_free(text);
}

void buf_shift(struct buf *b, size_t n)
{
    CHECK(n <= b->n);
    if (n == 0)
        return;
    memmove(b->p, b->p + n, b->n - n);
    b->n -= n;
}
