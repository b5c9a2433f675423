/* SPDX-License-Identifier: Apache-2.0 */
/* Strict UTF-8. The state between two bytes says what may come: how many continuation bytes
 * are due, and the bounds of the next one (the first continuation byte is where overlong forms,
 * surrogates and too large values show, so failing there is failing as early as one can). */
#include "base/utf8.h"

#define BROKEN UINT32_MAX
#define STATE(due, low, high) ((uint32_t)(due) | (uint32_t)(low) << 8 | (uint32_t)(high) << 16)

/* Index of the first byte from `at` that is not ASCII. */
static size_t skip_ascii(struct str s, size_t at)
{
    uint64_t words[4];
    while (s.n - at >= sizeof(words)) {
        memcpy(words, s.p + at, sizeof(words));
        if ((words[0] | words[1] | words[2] | words[3]) & 0x8080808080808080)
            break;
        at += sizeof(words);
    }
    while (at < s.n && (unsigned char)s.p[at] < 0x80)
        at++;
    return at;
}

static uint32_t lead(unsigned char c)
{
    if (c < 0xc2)
        return BROKEN; /* a continuation byte, or an overlong form of ASCII */
    if (c < 0xe0)
        return STATE(1, 0x80, 0xbf);
    if (c == 0xe0)
        return STATE(2, 0xa0, 0xbf);
    if (c == 0xed)
        return STATE(2, 0x80, 0x9f); /* above are the surrogates */
    if (c < 0xf0)
        return STATE(2, 0x80, 0xbf);
    if (c == 0xf0)
        return STATE(3, 0x90, 0xbf);
    if (c < 0xf4)
        return STATE(3, 0x80, 0xbf);
    return c == 0xf4 ? STATE(3, 0x80, 0x8f) : BROKEN;
}

static uint32_t step(uint32_t state, unsigned char c)
{
    uint32_t due = state & 0xff;
    if (state == 0)
        return lead(c);
    if (c < (state >> 8 & 0xff) || c > (state >> 16 & 0xff))
        return BROKEN;
    return due > 1 ? STATE(due - 1, 0x80, 0xbf) : 0;
}

bool utf8_feed(uint32_t *state, struct str piece)
{
    uint32_t now = *state;
    for (size_t i = 0; i < piece.n && now != BROKEN;) {
        if (now == 0)
            i = skip_ascii(piece, i);
        if (i < piece.n)
            now = step(now, (unsigned char)piece.p[i++]);
    }
    *state = now;
    return now != BROKEN;
}

bool utf8_valid(struct str s)
{
    uint32_t state = 0;
    return utf8_feed(&state, s) && state == 0;
}

size_t utf8_put(char *out, uint32_t cp)
{
    if (cp < 0x80) {
        out[0] = (char)cp;
        return 1;
    }
    if (cp < 0x800) {
        out[0] = (char)(0xc0 | cp >> 6);
        out[1] = (char)(0x80 | (cp & 0x3f));
        return 2;
    }
    if (cp < 0x10000) {
        out[0] = (char)(0xe0 | cp >> 12);
        out[1] = (char)(0x80 | (cp >> 6 & 0x3f));
        out[2] = (char)(0x80 | (cp & 0x3f));
        return 3;
    }
    out[0] = (char)(0xf0 | cp >> 18);
    out[1] = (char)(0x80 | (cp >> 12 & 0x3f));
    out[2] = (char)(0x80 | (cp >> 6 & 0x3f));
    out[3] = (char)(0x80 | (cp & 0x3f));
    return 4;
}
