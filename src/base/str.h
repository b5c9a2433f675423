/* SPDX-License-Identifier: Apache-2.0 */
/* Borrowed text: a pointer and a length. Never NUL-terminated by promise, never owned.
 * A struct str is valid as long as what it was cut from; functions that keep one say so. */
#ifndef BASE_STR_H
#define BASE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct str {
    const char *p;
    size_t n;
};

#define STR(literal) ((struct str){(literal), sizeof(literal) - 1})
#define STR_NONE ((struct str){NULL, 0})
/* For printf: "%.*s", STR_ARG(s) */
#define STR_ARG(s) (int)((s).n > 65536 ? 65536 : (s).n), ((s).p ? (s).p : "")

static inline struct str str_of(const char *p, size_t n)
{
    return (struct str){p, n};
}

static inline struct str str_from(const char *z)
{
    return (struct str){z, z ? strlen(z) : 0};
}

static inline bool str_eq(struct str a, struct str b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

static inline bool str_is(struct str a, const char *z)
{
    return str_eq(a, str_from(z));
}

static inline struct str str_skip(struct str s, size_t n)
{
    if (n > s.n)
        n = s.n;
    return (struct str){n ? s.p + n : s.p, s.n - n};
}

static inline struct str str_head(struct str s, size_t n)
{
    return (struct str){s.p, n < s.n ? n : s.n};
}

static inline bool str_starts(struct str s, struct str prefix)
{
    return s.n >= prefix.n && (prefix.n == 0 || memcmp(s.p, prefix.p, prefix.n) == 0);
}

static inline bool str_ends(struct str s, struct str suffix)
{
    return s.n >= suffix.n &&
           (suffix.n == 0 || memcmp(s.p + s.n - suffix.n, suffix.p, suffix.n) == 0);
}

/* ASCII case-insensitive equality (HTTP names, schemes). */
bool str_eq_nocase(struct str a, struct str b);
int str_cmp(struct str a, struct str b);
/* Index of a byte, or -1. */
ptrdiff_t str_find(struct str s, char c);
/* Index of a piece, or -1. */
ptrdiff_t str_find_str(struct str s, struct str piece);
/* Cuts *rest at the first `c`: returns what is before it, *rest becomes what is after it.
 * Without a `c` the whole rest is returned and *rest becomes empty with p == NULL. */
struct str str_cut(struct str *rest, char c);
/* Without blanks and tabs at both ends. */
struct str str_trim(struct str s);
/* Glob with '*' (any run, may be empty) and '?' (one byte). At most pattern.n * s.n steps. */
bool str_glob(struct str pattern, struct str s);
/* A NUL-terminated copy. Caller owns (mem_free). */
char *str_dup(struct str s);

/* Copies s to *at, which then stands behind it; returns the copy. The room was counted before. */
struct str str_put(char **at, struct str s);

#endif
