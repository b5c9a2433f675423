/* SPDX-License-Identifier: Apache-2.0 */
/* Borrowed text: the functions too long to stand in the header. Bytes, not characters: nothing
 * here knows UTF-8, and case folds for ASCII letters only, whatever the locale. */
#include "base/str.h"
#include "base/mem.h"

static unsigned char lower(unsigned char c)
{
    return c >= 'A' && c <= 'Z' ? (unsigned char)(c | 0x20) : c;
}

bool str_eq_nocase(struct str a, struct str b)
{
    if (a.n != b.n)
        return false;
    for (size_t i = 0; i < a.n; i++)
        if (lower((unsigned char)a.p[i]) != lower((unsigned char)b.p[i]))
            return false;
    return true;
}

int str_cmp(struct str a, struct str b)
{
    size_t n = a.n < b.n ? a.n : b.n;
    int order = n ? memcmp(a.p, b.p, n) : 0;
    if (order)
        return order;
    return a.n < b.n ? -1 : a.n > b.n;
}

ptrdiff_t str_find(struct str s, char c)
{
    const char *at = s.n ? memchr(s.p, c, s.n) : NULL;
    return at ? at - s.p : -1;
}

ptrdiff_t str_find_str(struct str s, struct str piece)
{
    if (piece.n == 0)
        return 0;
    const char *at = s.n ? memmem(s.p, s.n, piece.p, piece.n) : NULL;
    return at ? at - s.p : -1;
}

struct str str_cut(struct str *rest, char c)
{
    struct str before = *rest;
    ptrdiff_t at = str_find(before, c);
    if (at < 0) {
        *rest = STR_NONE;
        return before;
    }
    *rest = str_skip(before, (size_t)at + 1);
    return str_head(before, (size_t)at);
}

struct str str_trim(struct str s)
{
    while (s.n && (s.p[0] == ' ' || s.p[0] == '\t'))
        s = str_skip(s, 1);
    while (s.n && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t'))
        s.n--;
    return s;
}

/* Only the last '*' is ever tried again: an earlier one took the shortest run that lets the
 * part behind it match, and a longer one could not do better. */
bool str_glob(struct str pattern, struct str s)
{
    size_t p = 0, i = 0, star = SIZE_MAX, resume = 0;
    while (i < s.n) {
        if (p < pattern.n && pattern.p[p] == '*') {
            star = p++;
            resume = i;
        } else if (p < pattern.n && (pattern.p[p] == '?' || pattern.p[p] == s.p[i])) {
            p++;
            i++;
        } else if (star != SIZE_MAX) {
            p = star + 1;
            i = ++resume;
        } else {
            return false;
        }
    }
    while (p < pattern.n && pattern.p[p] == '*')
        p++;
    return p == pattern.n;
}

char *str_dup(struct str s)
{
    char *copy = mem_new(s.n + 1);
    if (s.n)
        memcpy(copy, s.p, s.n);
    return copy;
}

struct str str_put(char **at, struct str s)
{
    char *p = *at;
    if (s.n)
        memcpy(p, s.p, s.n);
    *at += s.n;
    return str_of(p, s.n);
}
