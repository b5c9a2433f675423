/* SPDX-License-Identifier: Apache-2.0 */
/* Reading JSON without building a tree.
 *
 * The scanner is a loop over what may come next (enum expect) with one bit per open container.
 * Inside strings, where most bytes are, it takes eight at a time: a word without quote,
 * backslash and control characters is passed over whole; whether it held bytes above 0x7f is
 * only noted, and the string checked as UTF-8 once at its end. */
#include "wire/jsonscan.h"
#include "base/check.h"
#include "base/err.h"
#include "base/num.h"
#include "base/utf8.h"
#include <endian.h>
#include <stdlib.h>

/* What a string holds besides plain ASCII. */
enum { ESCAPED = 1, HIGH = 2 };

typedef const unsigned char *cursor;

/* ---- pieces -------------------------------------------------------------------------------- */

static cursor skip_blanks(cursor p, cursor end)
{
    while (p < end && (*p == ' ' || *p == '\n' || *p == '\r' || *p == '\t'))
        p++;
    return p;
}

static uint64_t each(unsigned char c)
{
    return 0x0101010101010101u * c;
}

/* Marks (0x80) the bytes that are zero; exact up to and including the first one. */
static uint64_t zeros(uint64_t word)
{
    return (word - each(0x01)) & ~word & each(0x80);
}

/* The first quote, backslash or control character from p on; adds HIGH to *holds. */
static cursor skip_plain(cursor p, cursor end, unsigned *holds)
{
    uint64_t word, seen = 0, stop = 0;
    for (; end - p >= 8; p += 8) {
        memcpy(&word, p, 8);
        word = le64toh(word);
        stop = zeros(word ^ each('"')) | zeros(word ^ each('\\')) |
               ((word - each(0x20)) & ~word & each(0x80));
        if (stop) {
            int at = __builtin_ctzll(stop) >> 3;
            seen |= word & (((uint64_t)1 << (8 * at)) - 1);
            p += at;
            break;
        }
        seen |= word;
    }
    for (; !stop && p < end && *p != '"' && *p != '\\' && *p >= 0x20; p++)
        seen |= *p;
    if (seen & each(0x80))
        *holds |= HIGH;
    return p;
}

static int hex(unsigned char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Four hex digits at p, or -1. */
static int take_hex4(cursor p, cursor end)
{
    int v = 0;
    for (int i = 0; i < 4; i++) {
        int digit = end - p > i ? hex(p[i]) : -1;
        if (digit < 0)
            return -1;
        v = v << 4 | digit;
    }
    return v;
}

/* p stands behind an opening quote; the answer behind the closing one, NULL when the string is
 * not well-formed. UTF-8 is left to the caller (HIGH). */
static cursor take_string(cursor p, cursor end, unsigned *holds)
{
    for (;;) {
        p = skip_plain(p, end, holds);
        if (p == end || *p < 0x20)
            return NULL;
        if (*p == '"')
            return p + 1;
        *holds |= ESCAPED;
        if (end - p < 2)
            return NULL;
        if (p[1] == 'u' ? take_hex4(p + 2, end) < 0 : !p[1] || !strchr("\"\\/bfnrt", p[1]))
            return NULL;
        p += p[1] == 'u' ? 6 : 2;
    }
}

static cursor skip_digits(cursor p, cursor end)
{
    while (p < end && *p >= '0' && *p <= '9')
        p++;
    return p;
}

/* Behind the number at p, or NULL. */
static cursor take_number(cursor p, cursor end)
{
    cursor digits;
    p += *p == '-';
    digits = p;
    p = skip_digits(p, end);
    if (p == digits || (*digits == '0' && p - digits > 1))
        return NULL;
    if (p < end && *p == '.') {
        digits = p + 1;
        p = skip_digits(digits, end);
        if (p == digits)
            return NULL;
    }
    if (p < end && (*p | 0x20) == 'e') {
        digits = p + 1;
        if (digits < end && (*digits == '+' || *digits == '-'))
            digits++;
        p = skip_digits(digits, end);
        if (p == digits)
            return NULL;
    }
    return p;
}

static cursor take_word(cursor p, cursor end, const char *word, size_t n)
{
    return (size_t)(end - p) >= n && memcmp(p, word, n) == 0 ? p + n : NULL;
}

/* Behind the string, number or word at p (p < end), or NULL with *err. */
static cursor take_scalar(cursor p, cursor end, int *err)
{
    unsigned holds = 0;
    cursor behind;
    *err = E_BAD_REQUEST;
    switch (*p) {
    case '"':
        behind = take_string(p + 1, end, &holds);
        if (behind && holds & HIGH && !utf8_valid(str_of((const char *)p, (size_t)(behind - p)))) {
            *err = E_BAD_UTF8;
            return NULL;
        }
        return behind;
    case 't':
        return take_word(p, end, "true", 4);
    case 'f':
        return take_word(p, end, "false", 5);
    case 'n':
        return take_word(p, end, "null", 4);
    default:
        return *p == '-' || (*p >= '0' && *p <= '9') ? take_number(p, end) : NULL;
    }
}

static enum jsonscan_type type_of(unsigned char first)
{
    switch (first) {
    case '{':
        return JSONSCAN_OBJECT;
    case '[':
        return JSONSCAN_ARRAY;
    case '"':
        return JSONSCAN_STRING;
    case 't':
    case 'f':
        return JSONSCAN_BOOL;
    case 'n':
        return JSONSCAN_NULL;
    default:
        return JSONSCAN_NUMBER;
    }
}

static struct jsonscan_value span(cursor from, cursor to)
{
    return (struct jsonscan_value){str_of((const char *)from, (size_t)(to - from)), type_of(*from)};
}

/* ---- the scanner ----------------------------------------------------------------------------- */

enum expect { VALUE, VALUE_OR_END, KEY, KEY_OR_END, COMMA_OR_END };

struct scanner {
    cursor p, end;
    unsigned depth, depth_max;
    uint64_t objects[JSONSCAN_DEPTH_MAX / 64]; /* bit = the container at that depth is one */
    /* Members of the outermost container; at most one of the rooms is given. */
    struct jsonscan_member *members;
    struct jsonscan_value *items;
    size_t room, count;
    struct arena *arena;
    struct str key; /* of the member that is being read, with its quotes */
    cursor value;
};

static bool in_object(const struct scanner *s)
{
    unsigned i = s->depth - 1;
    return s->objects[i / 64] >> (i % 64) & 1;
}

static int open_container(struct scanner *s)
{
    unsigned i = s->depth;
    if (s->depth++ == s->depth_max)
        return E_TOO_LARGE;
    uint64_t bit = (uint64_t)1 << (i % 64);
    s->objects[i / 64] = *s->p == '{' ? s->objects[i / 64] | bit : s->objects[i / 64] & ~bit;
    return *s->p++ == '{' ? KEY_OR_END : VALUE_OR_END;
}

/* The member whose value began at s->value ends here. COMMA_OR_END, or E_*. */
static int note_member(struct scanner *s)
{
    struct jsonscan_value value = span(s->value, s->p);
    if (!s->members && !s->items)
        return COMMA_OR_END;
    if (s->count == s->room)
        return E_TOO_LARGE;
    if (s->items) {
        s->items[s->count++] = value;
        return COMMA_OR_END;
    }
    struct jsonscan_member *m = &s->members[s->count++];
    m->value = value;
    int r = jsonscan_string(s->key, s->arena, &m->key);
    return r < 0 ? r : COMMA_OR_END;
}

/* Each takes one step from s->p (not at the end) and returns what may come next, or E_*. */

static int step_value(struct scanner *s)
{
    int err;
    if (s->depth == 1)
        s->value = s->p;
    if (*s->p == '{' || *s->p == '[')
        return open_container(s);
    cursor behind = take_scalar(s->p, s->end, &err);
    if (!behind)
        return err;
    s->p = behind;
    return COMMA_OR_END;
}

static int step_key(struct scanner *s)
{
    int err;
    if (*s->p != '"')
        return E_BAD_REQUEST;
    cursor behind = take_scalar(s->p, s->end, &err);
    if (!behind)
        return err;
    if (s->depth == 1)
        s->key = str_of((const char *)s->p, (size_t)(behind - s->p));
    behind = skip_blanks(behind, s->end);
    if (behind == s->end || *behind != ':')
        return E_BAD_REQUEST;
    s->p = behind + 1;
    return VALUE;
}

static int step_end(struct scanner *s)
{
    if (*s->p != (in_object(s) ? '}' : ']'))
        return E_BAD_REQUEST;
    s->p++;
    s->depth--;
    return COMMA_OR_END;
}

static int step_comma(struct scanner *s)
{
    if (*s->p != ',')
        return step_end(s);
    s->p++;
    return in_object(s) ? KEY : VALUE;
}

static int step(struct scanner *s, int expect)
{
    switch (expect) {
    case VALUE_OR_END:
        return *s->p == ']' ? step_end(s) : step_value(s);
    case VALUE:
        return step_value(s);
    case KEY_OR_END:
        return *s->p == '}' ? step_end(s) : step_key(s);
    case KEY:
        return step_key(s);
    default:
        return step_comma(s);
    }
}

/* The whole text. 0 or E_*; *value is the outermost value, which must begin with `first` unless
 * that is 0. */
static int scan(struct scanner *s, struct str text, unsigned depth_max, unsigned char first,
                struct jsonscan_value *value)
{
    CHECK(depth_max <= JSONSCAN_DEPTH_MAX);
    s->end = (cursor)text.p + text.n;
    s->p = skip_blanks((cursor)text.p, s->end);
    s->depth_max = depth_max;
    cursor begin = s->p;
    int expect = VALUE;
    if (s->p < s->end && first && *s->p != first)
        return E_BAD_REQUEST;
    while (expect != COMMA_OR_END || s->depth > 0) {
        s->p = skip_blanks(s->p, s->end);
        if (s->p == s->end)
            return E_BAD_REQUEST;
        expect = step(s, expect);
        if (expect == COMMA_OR_END && s->depth == 1)
            expect = note_member(s);
        if (expect < 0)
            return expect;
    }
    *value = span(begin, s->p);
    return skip_blanks(s->p, s->end) == s->end ? 0 : E_BAD_REQUEST;
}

int jsonscan_check(struct str text, unsigned depth_max, struct jsonscan_value *value)
{
    struct scanner s = {.members = NULL};
    struct jsonscan_value unused;
    return scan(&s, text, depth_max, 0, value ? value : &unused);
}

int jsonscan_object(struct str text, unsigned depth_max, struct arena *a,
                    struct jsonscan_member *room, size_t room_count, size_t *count)
{
    struct scanner s = {.members = room, .room = room_count, .arena = a};
    struct jsonscan_value value;
    int r = scan(&s, text, depth_max, '{', &value);
    *count = s.count;
    return r;
}

int jsonscan_array(struct str text, unsigned depth_max, struct jsonscan_value *room,
                   size_t room_count, size_t *count)
{
    struct scanner s = {.items = room, .room = room_count};
    struct jsonscan_value value;
    int r = scan(&s, text, depth_max, '[', &value);
    *count = s.count;
    return r;
}

const struct jsonscan_value *jsonscan_get(const struct jsonscan_member *members, size_t count,
                                          const char *key)
{
    struct str name = str_from(key);
    while (count--) {
        if (str_eq(members[count].key, name))
            return &members[count].value;
    }
    return NULL;
}

/* ---- scalars --------------------------------------------------------------------------------- */

/* One character of a string's inside from the front of *s (not empty) into out[4]: its bytes, or
 * E_BAD_UTF8 for half a surrogate pair. */
static int take_character(struct str *s, char *out)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    if (s->p[0] != '\\' || s->n < 2) {
        out[0] = s->p[0];
        *s = str_skip(*s, 1);
        return 1;
    }
    if (s->p[1] != 'u') {
        const char *at = strchr(from, s->p[1]);
        out[0] = at && *at ? to[at - from] : s->p[1];
        *s = str_skip(*s, 2);
        return 1;
    }
    cursor end = (cursor)s->p + s->n;
    int unit = take_hex4((cursor)s->p + 2, end), low;
    *s = str_skip(*s, 6);
    if (unit < 0 || (unit >= 0xdc00 && unit < 0xe000))
        return E_BAD_UTF8;
    if (unit < 0xd800 || unit >= 0xe000)
        return (int)utf8_put(out, (uint32_t)unit);
    low = str_starts(*s, STR("\\u")) ? take_hex4((cursor)s->p + 2, end) : -1;
    if (low < 0xdc00 || low >= 0xe000)
        return E_BAD_UTF8;
    *s = str_skip(*s, 6);
    return (int)utf8_put(out,
                         0x10000 + ((uint32_t)(unit - 0xd800) << 10 | (uint32_t)(low - 0xdc00)));
}

static bool inside_of(struct str raw, struct str *inside)
{
    if (raw.n < 2 || raw.p[0] != '"' || raw.p[raw.n - 1] != '"')
        return false;
    *inside = str_of(raw.p + 1, raw.n - 2);
    return true;
}

int jsonscan_string(struct str raw, struct arena *a, struct str *out)
{
    struct str s;
    *out = STR_NONE;
    if (!inside_of(raw, &s))
        return E_BAD_REQUEST;
    if (str_find(s, '\\') < 0) {
        *out = s;
        return 0;
    }
    char *p = arena_alloc(a, s.n); /* an escape is never shorter than what it stands for */
    size_t n = 0;
    if (!p)
        return E_NO_MEMORY;
    while (s.n) {
        char c[4];
        int size = take_character(&s, c);
        if (size < 0)
            return size;
        memcpy(p + n, c, (size_t)size);
        n += (size_t)size;
    }
    *out = str_of(p, n);
    return 0;
}

/* Is this quoted key, unescaped, the name? Needs no memory. */
static bool key_is(struct str raw, const char *name)
{
    struct str s, rest = str_from(name);
    if (!inside_of(raw, &s))
        return false;
    while (s.n) {
        char c[4];
        int size = take_character(&s, c);
        if (size < 0 || !str_starts(rest, str_of(c, (size_t)size)))
            return false;
        rest = str_skip(rest, (size_t)size);
    }
    return rest.n == 0;
}

bool jsonscan_u64(struct str raw, uint64_t *out)
{
    return num_u64(raw, out);
}

bool jsonscan_i64(struct str raw, int64_t *out)
{
    return num_i64(raw, out);
}

bool jsonscan_bool(struct str raw, bool *out)
{
    *out = str_is(raw, "true");
    return *out || str_is(raw, "false");
}

bool jsonscan_double(struct str raw, double *out)
{
    char text[512];
    cursor begin = (cursor)raw.p, end = begin + raw.n;
    if (raw.n == 0 || raw.n >= sizeof(text) || take_number(begin, end) != end)
        return false;
    memcpy(text, raw.p, raw.n);
    text[raw.n] = '\0';
    *out = strtod(text, NULL);
    return __builtin_isfinite(*out);
}

/* ---- walking text that was accepted ------------------------------------------------------------
 */

struct jsonscan_iter jsonscan_iter(struct str raw)
{
    if (raw.n == 0) /* also STR_NONE: what was not there has no members */
        return (struct jsonscan_iter){NULL, NULL, false};
    struct jsonscan_iter it = {raw.p, raw.p + raw.n, raw.p[0] == '{'};
    if (it.object || raw.p[0] == '[')
        it.p++;
    else
        it.p = it.end;
    return it;
}

/* Behind the value at p; NULL only for text that was never accepted. Brackets are counted, not
 * matched: the text is known to be right. */
static cursor skip_value(cursor p, cursor end)
{
    unsigned depth = 0, holds = 0;
    int err;
    if (p < end && *p != '{' && *p != '[')
        return take_scalar(p, end, &err);
    for (; p && p < end; p++) {
        if (*p == '"') {
            p = take_string(p + 1, end, &holds);
            if (!p)
                return NULL;
            p--;
        } else if (*p == '{' || *p == '[') {
            depth++;
        } else if ((*p == '}' || *p == ']') && --depth == 0) {
            return p + 1;
        }
    }
    return NULL;
}

/* The next key with its quotes (empty in arrays) and value. 1, 0 at the end, < 0. */
static int next_raw(struct jsonscan_iter *it, struct str *key, struct jsonscan_value *value)
{
    cursor p = (cursor)it->p, end = (cursor)it->end;
    unsigned holds = 0;
    p = skip_blanks(p, end);
    if (p < end && *p == ',')
        p = skip_blanks(p + 1, end);
    if (p == end || *p == '}' || *p == ']')
        return 0;
    *key = STR_NONE;
    if (it->object) {
        cursor behind = *p == '"' ? take_string(p + 1, end, &holds) : NULL;
        if (!behind)
            return E_BAD_REQUEST;
        *key = str_of((const char *)p, (size_t)(behind - p));
        p = skip_blanks(behind, end);
        p = skip_blanks(p + (p < end && *p == ':'), end);
    }
    cursor behind = p < end ? skip_value(p, end) : NULL;
    if (!behind)
        return E_BAD_REQUEST;
    *value = span(p, behind);
    it->p = (const char *)behind;
    return 1;
}

int jsonscan_next(struct jsonscan_iter *it, struct arena *a, struct jsonscan_member *out)
{
    struct str key;
    int r = next_raw(it, &key, &out->value);
    out->key = STR_NONE;
    if (r <= 0 || !it->object)
        return r;
    r = jsonscan_string(key, a, &out->key);
    return r < 0 ? r : 1;
}

struct jsonscan_value jsonscan_find(struct str raw, const char *key)
{
    struct jsonscan_value last = {STR_NONE, JSONSCAN_NONE}, value;
    struct jsonscan_iter it = jsonscan_iter(raw);
    struct str quoted;
    while (it.object && next_raw(&it, &quoted, &value) > 0) {
        if (key_is(quoted, key))
            last = value;
    }
    return last;
}
