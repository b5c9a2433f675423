/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"
#include "base/utf8.c"

/* Feeds byte by byte; returns the index of the byte that failed, or -1. */
static ptrdiff_t fails_at(struct str s, uint32_t *state)
{
    *state = 0;
    for (size_t i = 0; i < s.n; i++)
        if (!utf8_feed(state, str_of(s.p + i, 1)))
            return (ptrdiff_t)i;
    return -1;
}

TEST(every_code_point_but_the_surrogates_goes_there_and_back)
{
    char out[4];
    for (uint32_t cp = 0; cp <= 0x10ffff; cp++) {
        bool surrogate = cp >= 0xd800 && cp <= 0xdfff;
        size_t n = utf8_put(out, cp);
        assert_int_equal(n, cp < 0x80 ? 1 : cp < 0x800 ? 2 : cp < 0x10000 ? 3 : 4);
        if (utf8_valid(str_of(out, n)) == surrogate)
            fail_msg("U+%04X", cp);
        for (size_t part = 1; part < n; part++) /* cut short is never whole */
            if (utf8_valid(str_of(out, part)))
                fail_msg("U+%04X cut to %zu", cp, part);
    }
}

TEST(hostile_bytes_fail_as_early_as_one_can_know)
{
    static const struct {
        struct str bytes;
        ptrdiff_t at;
    } rows[] = {
        {STR("\x80"), 0},                     /* continuation first */
        {STR("\xbf"), 0},                     /* */
        {STR("\xc0\xaf"), 0},                 /* overlong '/' in two */
        {STR("\xc1\xbf"), 0},                 /* overlong DEL */
        {STR("\xe0\x80\xaf"), 1},             /* overlong '/' in three */
        {STR("\xe0\x9f\xbf"), 1},             /* overlong U+07FF */
        {STR("\xf0\x80\x80\xaf"), 1},         /* overlong '/' in four */
        {STR("\xf0\x8f\xbf\xbf"), 1},         /* overlong U+FFFF */
        {STR("\xed\xa0\x80"), 1},             /* U+D800 */
        {STR("\xed\xbf\xbf"), 1},             /* U+DFFF */
        {STR("\xed\xa0\xbd\xed\xb8\x80"), 1}, /* a pair of surrogates (CESU-8) */
        {STR("\xf4\x90\x80\x80"), 1},         /* U+110000 */
        {STR("\xf5\x80\x80\x80"), 0},         /* beyond */
        {STR("\xf8\x88\x80\x80\x80"), 0},     /* five bytes */
        {STR("\xfc\x84\x80\x80\x80\x80"), 0},
        {STR("\xfe"), 0},
        {STR("\xff"), 0},
        {STR("\xc2\x41"), 1},          /* no continuation */
        {STR("\xc2\xc2"), 1},          /* */
        {STR("\xe2\x82\x41"), 2},      /* */
        {STR("\xf0\x9f\x98\x41"), 3},  /* */
        {STR("\xf0\x9f\x41"), 2},      /* */
        {STR("ab\xe2\x82"), -1},       /* cut short: not yet wrong */
        {STR("\xf4\x8f\xbf\xbf"), -1}, /* U+10FFFF */
        {STR("\xef\xbf\xbf"), -1},     /* U+FFFF is a character here */
        {STR("\0"), -1},               /* so is U+0000 */
        {STR("0123456789012345678901234567890123456789\xff"), 40},
    };
    uint32_t state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        ptrdiff_t at = fails_at(rows[i].bytes, &state);
        if (at != rows[i].at)
            fail_msg("row %zu failed at %td, not %td", i, at, rows[i].at);
        assert_int_equal(utf8_valid(rows[i].bytes), at < 0 && state == 0);
    }
}

TEST(once_broken_it_stays_broken)
{
    uint32_t state = 0;
    assert_false(utf8_feed(&state, STR("\xff")));
    assert_false(utf8_feed(&state, STR("a")));
    assert_false(utf8_feed(&state, STR_NONE));
    assert_int_not_equal(state, 0);
}

TEST(any_split_gives_the_same_answer)
{
    struct str s = STR("plain ascii that is longer than thirty-two bytes, \xc3\xa9 \xe2\x82\xac "
                       "\xf0\x9f\x98\x80 and again plain ascii for the fast path \xf4\x8f\xbf\xbf");
    for (size_t i = 0; i <= s.n; i++) {
        for (size_t k = i; k <= s.n; k++) {
            uint32_t state = 0;
            assert_true(utf8_feed(&state, str_head(s, i)));
            assert_true(utf8_feed(&state, str_of(s.p + i, k - i)));
            assert_true(utf8_feed(&state, str_skip(s, k)));
            assert_int_equal(state, 0);
        }
    }
    assert_true(utf8_valid(STR_NONE));
}

TEST(a_bad_byte_is_found_at_every_place_of_a_long_text)
{
    char text[100];
    for (size_t n = 1; n <= sizeof(text); n++) {
        for (size_t i = 0; i < n; i++) {
            memset(text, 'a', n);
            text[i] = (char)0x80;
            if (utf8_valid(str_of(text, n)))
                fail_msg("missed at %zu of %zu", i, n);
        }
    }
}
