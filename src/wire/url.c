/* SPDX-License-Identifier: Apache-2.0 */
/* Percent-encoding, query strings, cookies. */
#include "wire/url.h"
#include "base/err.h"

static int hex(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* One decoded byte from the front of *s (not empty), or -1. */
static int take(struct str *s, bool plus)
{
    char c = s->p[0];
    if (c == '%') {
        int high = s->n >= 3 ? hex(s->p[1]) : -1, low = s->n >= 3 ? hex(s->p[2]) : -1;
        if (high < 0 || low < 0 || (high | low) == 0)
            return -1;
        *s = str_skip(*s, 3);
        return high << 4 | low;
    }
    *s = str_skip(*s, 1);
    if (c == '\0')
        return -1;
    return plus && c == '+' ? ' ' : (unsigned char)c;
}

int url_decode(struct arena *a, struct str text, bool plus, struct str *out)
{
    if (str_find(text, '%') < 0 && (!plus || str_find(text, '+') < 0)) {
        *out = text;
        return str_find(text, '\0') < 0 ? 0 : E_BAD_REQUEST;
    }
    char *p = arena_alloc(a, text.n);
    size_t n = 0;
    if (!p)
        return E_NO_MEMORY;
    while (text.n) {
        int c = take(&text, plus);
        if (c < 0)
            return E_BAD_REQUEST;
        p[n++] = (char)c;
    }
    *out = str_of(p, n);
    return 0;
}

bool url_query_next(struct str *rest, struct str *key, struct str *value)
{
    while (rest->n) {
        *value = str_cut(rest, '&');
        if (value->n) {
            *key = str_cut(value, '=');
            return true;
        }
    }
    return false;
}

/* Is `raw`, decoded, this name? Needs no memory. */
static bool decodes_to(struct str raw, const char *name)
{
    while (raw.n) {
        int c = take(&raw, true);
        if (c < 0 || c != (unsigned char)*name++)
            return false;
    }
    return *name == '\0';
}

/* The index-th value of that name, raw; the last one for SIZE_MAX. *found counts them. */
static struct str find(struct str query, const char *name, size_t index, size_t *found)
{
    struct str key, value, last = STR_NONE;
    *found = 0;
    for (size_t i = 0; i < URL_PAIRS_MAX && url_query_next(&query, &key, &value); i++) {
        if (!decodes_to(key, name))
            continue;
        last = value;
        if ((*found)++ == index)
            break;
    }
    return last;
}

static int decode_found(struct arena *a, struct str raw, bool found, struct str *value)
{
    *value = STR_NONE;
    if (!found)
        return 0;
    int r = url_decode(a, raw, true, value);
    return r < 0 ? r : 1;
}

int url_query_at(struct arena *a, struct str query, const char *name, size_t index,
                 struct str *value)
{
    size_t found;
    struct str raw = find(query, name, index, &found);
    return decode_found(a, raw, found > index, value);
}

int url_query_first(struct arena *a, struct str query, const char *name, struct str *value)
{
    return url_query_at(a, query, name, 0, value);
}

int url_query_last(struct arena *a, struct str query, const char *name, struct str *value)
{
    size_t found;
    struct str raw = find(query, name, SIZE_MAX, &found);
    return decode_found(a, raw, found > 0, value);
}

size_t url_query_count(struct str query, const char *name)
{
    size_t found;
    find(query, name, SIZE_MAX, &found);
    return found;
}

struct str url_cookie(struct str header, const char *name)
{
    for (size_t i = 0; i < URL_PAIRS_MAX && header.n; i++) {
        struct str value = str_cut(&header, ';');
        struct str key = str_trim(str_cut(&value, '='));
        if (!value.p || !str_is(key, name))
            continue;
        value = str_trim(value);
        if (value.n >= 2 && value.p[0] == '"' && value.p[value.n - 1] == '"')
            value = str_of(value.p + 1, value.n - 2);
        return value;
    }
    return STR_NONE;
}

static bool unreserved(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '.' || c == '_' || c == '~';
}

void url_encode(struct buf *out, struct str s)
{
    static const char digits[] = "0123456789ABCDEF";
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (unreserved(s.p[i])) {
            buf_add_c(out, s.p[i]);
        } else {
            char escape[3] = {'%', digits[c >> 4], digits[c & 15]};
            buf_add(out, escape, sizeof(escape));
        }
    }
}

void url_add_pair(struct buf *out, struct str key, struct str value)
{
    if (out->n && out->p[out->n - 1] != '?')
        buf_add_c(out, '&');
    url_encode(out, key);
    buf_add_c(out, '=');
    url_encode(out, value);
}
