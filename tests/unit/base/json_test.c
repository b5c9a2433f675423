/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"
#include "base/json.c"
#include <jansson.h>

#define U "\xef\xbf\xbd" /* U+FFFD */

static void expect(struct str s, const char *json)
{
    struct buf b = {0};
    json_add_string(&b, s);
    if (!str_is(buf_str(&b), json))
        fail_msg("%.*s instead of %s", STR_ARG(buf_str(&b)), json);
    buf_free(&b);
}

TEST(strings_are_escaped_as_the_rfc_wants)
{
    expect(STR_NONE, "\"\"");
    expect(STR("plain /'<>"), "\"plain /'<>\"");
    expect(STR("\"\\"), "\"\\\"\\\\\"");
    expect(STR("\b\f\n\r\t"), "\"\\b\\f\\n\\r\\t\"");
    expect(STR("\0\x01\x1f\x7f"), "\"\\u0000\\u0001\\u001f\x7f\"");
    expect(STR("a\xc3\xa9\xf0\x9f\x98\x80z"), "\"a\xc3\xa9\xf0\x9f\x98\x80z\"");
}

TEST(what_is_not_utf8_becomes_the_replacement)
{
    expect(STR("\xff"), "\"" U "\"");
    expect(STR("a\x80z"), "\"a" U "z\"");
    expect(STR("\xe2\x82"), "\"" U "\"");         /* cut short: one */
    expect(STR("\xe2\x82z"), "\"" U "z\"");       /* broken off: one */
    expect(STR("\xe2\"\n"), "\"" U "\\\"\\n\"");  /* what follows is escaped */
    expect(STR("\xed\xa0\x80"), "\"" U U U "\""); /* a surrogate: each byte */
    expect(STR("\xf4\x90\x80\x80"), "\"" U U U U "\"");
    expect(STR("\xf0\x9f\x98"), "\"" U "\"");
}

/* A reader that is not ours takes whatever comes out, and gets the same text. */
TEST(any_bytes_give_text_another_reader_takes)
{
    uint64_t chance = 88172645463325252;
    for (int round = 0; round < 20000; round++) {
        char bytes[24];
        for (size_t i = 0; i < sizeof(bytes); i++) {
            chance ^= chance << 13;
            chance ^= chance >> 7;
            chance ^= chance << 17;
            bytes[i] = (char)(chance >> 24);
        }
        struct buf b = {0};
        size_t n = chance % sizeof(bytes);
        json_add_string(&b, str_of(bytes, n));
        json_t *read = json_loadb(b.p, b.n, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
        assert_non_null(read);
        if (utf8_valid(str_of(bytes, n))) {
            assert_int_equal(json_string_length(read), n);
            assert_memory_equal(json_string_value(read), bytes, n);
        }
        json_decref(read);
        buf_free(&b);
    }
}

TEST(fields_get_their_commas)
{
    struct buf b = {0};
    buf_add_c(&b, '{');
    json_add_field(&b, "a", STR("x{"));
    json_add_raw(&b, "b", STR("["));
    buf_add_z(&b, "1]");
    json_add_u64(&b, "c", UINT64_MAX);
    json_add_bool(&b, "d", true);
    json_add_bool(&b, "e", false);
    buf_add_c(&b, '}');
    assert_true(str_is(buf_str(&b), "{\"a\":\"x{\",\"b\":[1],\"c\":18446744073709551615,"
                                    "\"d\":true,\"e\":false}"));
    buf_free(&b);
}

TEST(the_limit_of_the_buffer_holds)
{
    struct buf b = {.max = 8};
    json_add_string(&b, STR("\x01\x01\x01"));
    assert_true(b.failed);
    assert_true(b.n <= 8);
    buf_free(&b);
}
