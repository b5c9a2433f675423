/* SPDX-License-Identifier: Apache-2.0 */
/* like, ilike, match and imatch. SQLite's own LIKE folds ASCII whatever was asked, so here is one
 * of PostgreSQL's manners: '%' any run, '_' one character, '\' takes the next as it stands.
 * Regular expressions are POSIX extended ones of the C library with PostgreSQL's \d and (?: put
 * in; what would let a pattern cost without bound (back references, large repetitions) is
 * refused. */
#include "base/mem.h"
#include "db/functions.h"
#include <regex.h>

enum { PATTERN_MAX = 256, REPEAT_MAX = 255 };

/* One character; bytes that are no UTF-8 stand for themselves. */
static uint32_t next_char(struct str *s)
{
    const unsigned char *p = (const unsigned char *)s->p;
    uint32_t c = p[0];
    size_t n = c >= 0xF0 ? 4 : c >= 0xE0 ? 3 : c >= 0xC0 ? 2 : 1;
    if (n > s->n)
        n = 1;
    if (n > 1) {
        c &= 0xFFu >> (n + 1);
        for (size_t i = 1; i < n; i++)
            c = c << 6 | (p[i] & 0x3F);
    }
    *s = str_skip(*s, n);
    return c;
}

/* Simple folding of the scripts that have case: Latin, Greek, Cyrillic, Armenian. */
static uint32_t fold_char(uint32_t c)
{
    if (c < 0x80)
        return c >= 'A' && c <= 'Z' ? c + 32 : c;
    if (c >= 0xC0 && c <= 0xDE && c != 0xD7)
        return c + 32;
    if ((c >= 0x100 && c <= 0x137) || (c >= 0x14A && c <= 0x177))
        return c | 1;
    if ((c >= 0x139 && c <= 0x148) || (c >= 0x179 && c <= 0x17E))
        return c + (c & 1);
    if (c >= 0x391 && c <= 0x3AB && c != 0x3A2)
        return c + 32;
    if (c >= 0x410 && c <= 0x42F)
        return c + 32;
    if (c >= 0x400 && c <= 0x40F)
        return c + 80;
    if (c >= 0x460 && c <= 0x4FF && c != 0x482)
        return c >= 0x4C0 && c <= 0x4CE ? c + (c & 1) : c | 1;
    if (c >= 0x531 && c <= 0x556)
        return c + 48;
    return c;
}

static bool one_fits(struct str *pattern, struct str *text, bool fold)
{
    uint32_t want = next_char(pattern), have = next_char(text);
    if (want == '_')
        return true;
    if (want == '\\' && pattern->n)
        want = next_char(pattern);
    return fold ? fold_char(want) == fold_char(have) : want == have;
}

/* As a glob: on a mismatch the last '%' takes one character more. Quadratic at worst. */
bool textmatch_like(struct str pattern, struct str text, bool fold)
{
    struct str star = STR_NONE, star_text = STR_NONE;
    while (text.n) {
        if (pattern.n && pattern.p[0] == '%') {
            pattern = str_skip(pattern, 1);
            star = pattern;
            star_text = text;
            continue;
        }
        if (pattern.n && one_fits(&pattern, &text, fold))
            continue;
        if (!star.p)
            return false;
        next_char(&star_text);
        pattern = star;
        text = star_text;
    }
    while (pattern.n && pattern.p[0] == '%')
        pattern = str_skip(pattern, 1);
    return pattern.n == 0;
}

struct textmatch_regex {
    regex_t compiled;
};

/* {m,n}: the product of all repetitions is bounded, since the library unrolls them. */
static bool repeat_ok(struct str p, size_t at, unsigned *budget)
{
    unsigned most = 0, number = 0;
    for (size_t i = at + 1; i < p.n && p.p[i] != '}'; i++) {
        if (p.p[i] >= '0' && p.p[i] <= '9')
            number = number > 10000 ? number : number * 10 + (unsigned)(p.p[i] - '0');
        else
            number = 0;
        most = number > most ? number : most;
    }
    if (most == 0)
        most = 1;
    *budget /= most;
    return *budget > 0;
}

static bool translate(struct str p, struct buf *out, const char **why)
{
    unsigned budget = REPEAT_MAX;
    bool in_class = false;
    *why = "invalid regular expression: too long";
    if (p.n > PATTERN_MAX || memchr(p.p ? p.p : "", 0, p.n))
        return false;
    for (size_t i = 0; i < p.n; i++) {
        char c = p.p[i];
        if (c == '\\' && i + 1 < p.n && !in_class) {
            char next = p.p[++i];
            *why = "invalid regular expression: back references are not taken";
            if (next >= '0' && next <= '9')
                return false;
            if (next == 'd' || next == 'D')
                buf_add_z(out, next == 'd' ? "[0-9]" : "[^0-9]");
            else {
                buf_add_c(out, '\\');
                buf_add_c(out, next);
            }
            continue;
        }
        if (c == '[' && !in_class)
            in_class = true;
        else if (c == ']')
            in_class = false;
        *why = "invalid regular expression: repetitions are too many";
        if (c == '{' && !in_class && !repeat_ok(p, i, &budget))
            return false;
        buf_add_c(out, c);
        if (c == '(' && !in_class && i + 2 < p.n && p.p[i + 1] == '?') {
            *why = "invalid regular expression: (? is only taken as (?:";
            if (p.p[i + 2] != ':')
                return false;
            i += 2;
        }
    }
    buf_add_c(out, 0);
    return !out->failed;
}

struct textmatch_regex *textmatch_compile(struct str pattern, bool fold, const char **why)
{
    struct buf b = {0};
    struct textmatch_regex *r = mem_new(sizeof *r);
    bool ok = translate(pattern, &b, why);
    if (ok) {
        *why = "invalid regular expression";
        ok = regcomp(&r->compiled, b.p, REG_EXTENDED | REG_NOSUB | (fold ? REG_ICASE : 0)) == 0;
    }
    buf_free(&b);
    if (!ok) {
        mem_free(r);
        return NULL;
    }
    return r;
}

bool textmatch_regex(const struct textmatch_regex *r, struct str text)
{
    regmatch_t range = {0, (regoff_t)text.n};
    return regexec(&r->compiled, text.p ? text.p : "", 1, &range, REG_STARTEND) == 0;
}

void textmatch_free(void *regex)
{
    struct textmatch_regex *r = regex;
    regfree(&r->compiled);
    mem_free(r);
}
