/* SPDX-License-Identifier: Apache-2.0 */
/* Base64 (RFC 4648). A text that fails to decode leaves the output as it was. */
#include "base/base64.h"

static const char standard[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char url_safe[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/* Returns the end of what was written. */
static char *put_groups(char *to, const unsigned char *p, size_t n, const char *alphabet)
{
    for (size_t i = 0; i + 3 <= n; i += 3) {
        uint32_t v = (uint32_t)p[i] << 16 | (uint32_t)p[i + 1] << 8 | p[i + 2];
        *to++ = alphabet[v >> 18];
        *to++ = alphabet[v >> 12 & 63];
        *to++ = alphabet[v >> 6 & 63];
        *to++ = alphabet[v & 63];
    }
    return to;
}

static void encode(struct buf *out, struct str bytes, const char *alphabet, bool padded)
{
    const unsigned char *p = (const unsigned char *)bytes.p;
    if (bytes.n == 0 || !buf_reserve(out, (bytes.n + 2) / 3 * 4))
        return;
    char *to = put_groups(out->p + out->n, p, bytes.n, alphabet);
    size_t left = bytes.n % 3, i = bytes.n - left;
    if (left) {
        uint32_t v = (uint32_t)p[i] << 16 | (left == 2 ? (uint32_t)p[i + 1] << 8 : 0);
        *to++ = alphabet[v >> 18];
        *to++ = alphabet[v >> 12 & 63];
        if (left == 2)
            *to++ = alphabet[v >> 6 & 63];
        for (size_t pad = left; padded && pad < 3; pad++)
            *to++ = '=';
    }
    out->n = (size_t)(to - out->p);
}

void base64_encode(struct buf *out, struct str bytes)
{
    encode(out, bytes, standard, true);
}

void base64url_encode(struct buf *out, struct str bytes)
{
    encode(out, bytes, url_safe, false);
}

void base64url_put(char *out, const void *bytes, size_t n)
{
    put_groups(out, bytes, n, url_safe);
}

/* Value of a digit, or -1. c62 and c63 are the two that differ between the alphabets. */
static int digit(char c, char c62, char c63)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == c62 ? 62 : c == c63 ? 63 : -1;
}

struct bits {
    uint32_t v;
    int n;
};

static void add_digit(struct buf *out, struct bits *bits, int value)
{
    bits->v = (bits->v << 6 | (uint32_t)value) & 0xffffff;
    bits->n += 6;
    if (bits->n >= 8) {
        bits->n -= 8;
        buf_add_c(out, (char)(bits->v >> bits->n));
        bits->v &= (1U << bits->n) - 1;
    }
}

static bool decode(struct buf *out, struct str text, char c62, char c63)
{
    struct bits bits = {0, 0};
    size_t before = out->n;
    bool ok = text.n % 4 != 1 && (text.n == 0 || buf_reserve(out, text.n / 4 * 3 + 2));
    for (size_t i = 0; ok && i < text.n; i++) {
        int value = digit(text.p[i], c62, c63);
        ok = value >= 0;
        if (ok)
            add_digit(out, &bits, value);
    }
    if (!ok || bits.v != 0) {
        out->n = before;
        return false;
    }
    return !out->failed;
}

bool base64_decode(struct buf *out, struct str text)
{
    if (text.n % 4 != 0)
        return false;
    for (int pads = 0; pads < 2 && text.n && text.p[text.n - 1] == '='; pads++)
        text.n--;
    return decode(out, text, '+', '/');
}

bool base64url_decode(struct buf *out, struct str text)
{
    return decode(out, text, '-', '_');
}

void base64_decode_lenient(struct buf *out, struct str text)
{
    struct bits bits = {0, 0};
    for (size_t i = 0; i < text.n && text.p[i] != '='; i++) {
        int value = digit(text.p[i], '+', '/');
        if (value < 0)
            value = digit(text.p[i], '-', '_');
        if (value >= 0)
            add_digit(out, &bits, value);
    }
}
