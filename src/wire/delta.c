/* SPDX-License-Identifier: Apache-2.0 */
/* See delta.h. Documents that are published again and again mostly differ in a few fields: the
 * common head and tail are cut off, then what is between is split at the longest line of bytes
 * both share at the same distance from an end, up to a few times. Linear for the usual case;
 * the search inside is bounded, so a hostile pair costs a known amount.
 * Steps cut only between characters, since an insertion must be text. */
#include "wire/delta.h"

#include "base/json.h"
#include <zlib.h>

enum { BLOCK = 16, TABLE = 1024, PIECES_MAX = 32, SAVED_MIN = 24 };

static bool is_boundary(struct str s, size_t at)
{
    return at >= s.n || ((uint8_t)s.p[at] & 0xc0) != 0x80;
}

struct writer {
    struct buf *out;
    int64_t copied; /* not written yet: > 0 copy, < 0 leave out */
    bool has_any;
};

static void put_comma(struct writer *w)
{
    if (w->has_any)
        buf_add_c(w->out, ',');
    w->has_any = true;
}

static void put_number(struct writer *w, int64_t n)
{
    if (!n)
        return;
    put_comma(w);
    buf_add_i64(w->out, n);
}

static void put_text(struct writer *w, struct str s)
{
    if (!s.n)
        return;
    put_comma(w);
    json_add_string(w->out, s);
}

static size_t common_head(struct str a, struct str b)
{
    size_t n = a.n < b.n ? a.n : b.n, i = 0;
    while (i < n && a.p[i] == b.p[i])
        i++;
    while (i && (!is_boundary(a, i) || !is_boundary(b, i)))
        i--;
    return i;
}

static size_t common_tail(struct str a, struct str b)
{
    size_t n = a.n < b.n ? a.n : b.n, i = 0;
    while (i < n && a.p[a.n - 1 - i] == b.p[b.n - 1 - i])
        i++;
    while (i && (!is_boundary(a, a.n - i) || !is_boundary(b, b.n - i)))
        i--;
    return i;
}

static uint32_t hash_block(const char *p)
{
    uint64_t x, y;
    memcpy(&x, p, 8);
    memcpy(&y, p + 8, 8);
    return (uint32_t)(((x * 0x9e3779b97f4a7c15ull) ^ (y * 0xc2b2ae3d27d4eb4full)) >> 40) % TABLE;
}

/* A block that both have: where, in each. The first one found from the left of b. */
static bool find_anchor(struct str a, struct str b, size_t *in_a, size_t *in_b)
{
    uint32_t table[TABLE] = {0}; /* position + 1 of a block of a */
    if (a.n < BLOCK || b.n < BLOCK || a.n > UINT32_MAX - 1)
        return false;
    for (size_t i = 0; i + BLOCK <= a.n; i += BLOCK / 2)
        table[hash_block(a.p + i)] = (uint32_t)i + 1;
    for (size_t j = 0; j + BLOCK <= b.n; j++) {
        uint32_t i = table[hash_block(b.p + j)];
        if (i && memcmp(a.p + i - 1, b.p + j, BLOCK) == 0 && is_boundary(a, i - 1) &&
            is_boundary(b, j)) {
            *in_a = i - 1;
            *in_b = j;
            return true;
        }
    }
    return false;
}

static void replace(struct writer *w, struct str a, struct str b)
{
    put_number(w, -(int64_t)a.n);
    put_text(w, b);
}

static void compare(struct writer *w, struct str a, struct str b)
{
    size_t copied = 0;
    for (int pieces = 0;; pieces++) {
        size_t head = common_head(a, b), in_a, in_b;
        copied += head;
        a = str_skip(a, head);
        b = str_skip(b, head);
        if (!a.n && !b.n)
            break;
        put_number(w, (int64_t)copied);
        copied = 0;
        size_t tail = common_tail(a, b);
        struct str mid_a = str_head(a, a.n - tail), mid_b = str_head(b, b.n - tail);
        if (pieces >= PIECES_MAX || !find_anchor(mid_a, mid_b, &in_a, &in_b)) {
            replace(w, mid_a, mid_b);
            put_number(w, (int64_t)tail);
            return;
        }
        replace(w, str_head(a, in_a), str_head(b, in_b));
        a = str_skip(a, in_a);
        b = str_skip(b, in_b);
    }
    put_number(w, (int64_t)copied);
}

bool delta_add(struct buf *out, struct str base, struct str target, uint32_t *sum)
{
    size_t before = out->n;
    struct writer w = {.out = out};
    if (target.n < SAVED_MIN || target.n > UINT32_MAX)
        return false;
    buf_add_c(out, '[');
    compare(&w, base, target);
    buf_add_c(out, ']');
    if (out->failed || out->n - before + SAVED_MIN > target.n) {
        out->n = before;
        return false;
    }
    *sum = (uint32_t)crc32(0, (const Bytef *)target.p, (uInt)target.n);
    return true;
}
