/* SPDX-License-Identifier: Apache-2.0 */
/* Writing JSON text (RFC 8259). Whatever the bytes are, the output is valid: what is not UTF-8
 * becomes U+FFFD, one for each longest beginning of a character that broke off. */
#include "base/json.h"
#include "base/utf8.h"

/* Bytes of the character at s (s.n > 0); *ok says whether it is whole and valid. */
static size_t character(struct str s, bool *ok)
{
    uint32_t state = 0;
    for (size_t i = 0; i < s.n && i < 4; i++) {
        if (!utf8_feed(&state, str_of(s.p + i, 1))) {
            *ok = false;
            return i ? i : 1;
        }
        if (state == 0) {
            *ok = true;
            return i + 1;
        }
    }
    *ok = false;
    return s.n;
}

static void add_escaped(struct buf *b, unsigned char c)
{
    static const char hex[] = "0123456789abcdef";
    static const char from[] = "\"\\\b\f\n\r\t", to[] = "\"\\bfnrt";
    const char *at = c ? strchr(from, c) : NULL;
    if (at) {
        buf_add_c(b, '\\');
        buf_add_c(b, to[at - from]);
    } else {
        buf_add_z(b, "\\u00");
        buf_add_c(b, hex[c >> 4]);
        buf_add_c(b, hex[c & 15]);
    }
}

void json_add_string(struct buf *b, struct str s)
{
    size_t plain = 0; /* start of the run that needs no change */
    buf_add_c(b, '"');
    for (size_t i = 0; i < s.n;) {
        unsigned char c = (unsigned char)s.p[i];
        bool ok = c >= 0x20 && c != '"' && c != '\\' && c < 0x80;
        size_t n = 1;
        if (c >= 0x80)
            n = character(str_skip(s, i), &ok);
        if (!ok) {
            buf_add(b, s.p + plain, i - plain);
            plain = i + n;
            if (c >= 0x80)
                buf_add_z(b, "\xef\xbf\xbd");
            else
                add_escaped(b, c);
        }
        i += n;
    }
    if (s.n > plain)
        buf_add(b, s.p + plain, s.n - plain);
    buf_add_c(b, '"');
}

void json_add_key(struct buf *b, const char *name)
{
    char last = b->n ? b->p[b->n - 1] : '{';
    if (last != '{' && last != '[')
        buf_add_c(b, ',');
    json_add_string(b, str_from(name));
    buf_add_c(b, ':');
}

void json_add_field(struct buf *b, const char *name, struct str value)
{
    json_add_key(b, name);
    json_add_string(b, value);
}

void json_add_raw(struct buf *b, const char *name, struct str json)
{
    json_add_key(b, name);
    buf_add_str(b, json);
}

void json_add_u64(struct buf *b, const char *name, uint64_t v)
{
    json_add_key(b, name);
    buf_add_u64(b, v);
}

void json_add_bool(struct buf *b, const char *name, bool v)
{
    json_add_key(b, name);
    buf_add_z(b, v ? "true" : "false");
}
