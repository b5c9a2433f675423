/* SPDX-License-Identifier: Apache-2.0 */
/* JSON texts that are right, texts that are not, and what is found in them. */
#include "test.h"
#include "wire/jsonscan.c"
#include "base/buf.h"
#include "base/mem.h"

static struct arena a;
static struct jsonscan_member members[64];
static size_t count;

#define assert_str(s, z)                                                                           \
    do {                                                                                           \
        struct str got = s;                                                                        \
        if (!str_is(got, z))                                                                       \
            fail_msg("\"%.*s\" is not \"%s\"", STR_ARG(got), z);                                   \
    } while (0)

/* Checked in memory that ends with the text, so that a byte too far is seen. */
static int check_str(struct str text)
{
    char *copy = mem_new(text.n ? text.n : 1);
    if (text.n)
        memcpy(copy, text.p, text.n);
    int r = jsonscan_check(str_of(copy, text.n), JSONSCAN_DEPTH, NULL);
    mem_free(copy);
    return r;
}

static void good(const char *text)
{
    int r = check_str(str_from(text));
    if (r)
        fail_msg("%d for %s", r, text);
}

static void bad_as(struct str text, int err)
{
    int r = check_str(text);
    if (r != err)
        fail_msg("%d instead of %d for %.*s", r, err, STR_ARG(text));
}

static void bad(const char *text)
{
    bad_as(str_from(text), E_BAD_REQUEST);
}

TEST(right_texts_pass)
{
    static const char *const texts[] = {"{}",
                                        "[]",
                                        "null",
                                        "true",
                                        "false",
                                        "0",
                                        "-0",
                                        "1",
                                        "-1",
                                        "10",
                                        "0.0",
                                        "-0.5e-7",
                                        "1E+2",
                                        "1e400",
                                        "123456789012345678901234567890",
                                        "\"\"",
                                        "\"a\"",
                                        " \t\r\n[ 1 , 2 ]\n ",
                                        "{\"a\":1,\"b\":[{},[],\"\"],\"c\":{\"d\":null}}",
                                        "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e4\"",
                                        "\"\\ud83d\\ude00\"",
                                        "\"\\ud800\"",
                                        "\"\\udc00\\ud800\"",
                                        "\"\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80\"",
                                        "\"\x7f\"",
                                        "{\"\":0}",
                                        "{\"a\":1,\"a\":2}",
                                        "{\"__proto__\":1,\"constructor\":{}}",
                                        "[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]",
                                        "\"\\u0000\"",
                                        "\"\xe2\x80\xa8\"",
                                        "[0e1,0E+0]"};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        good(texts[i]);
}

TEST(wrong_texts_fail)
{
    static const char *const texts[] = {"",
                                        " ",
                                        "{",
                                        "}",
                                        "[",
                                        "]",
                                        "[1",
                                        "[1,",
                                        "[1,]",
                                        "[,1]",
                                        "[1 2]",
                                        "{\"a\"}",
                                        "{\"a\":}",
                                        "{\"a\":1,}",
                                        "{,}",
                                        "{a:1}",
                                        "{'a':1}",
                                        "{1:1}",
                                        "{\"a\" 1}",
                                        "{\"a\":1 \"b\":2}",
                                        "[}",
                                        "{]",
                                        "[{]}",
                                        "{\"a\":[}]",
                                        "nul",
                                        "nulll",
                                        "True",
                                        "TRUE",
                                        "tru",
                                        "f",
                                        "falsee",
                                        "+1",
                                        "01",
                                        "-01",
                                        "1.",
                                        ".1",
                                        "1.e1",
                                        "1e",
                                        "1e+",
                                        "1e+-1",
                                        "-",
                                        "--1",
                                        "0x1",
                                        "1_0",
                                        "1,2",
                                        "Infinity",
                                        "NaN",
                                        "-Infinity",
                                        "\"",
                                        "\"a",
                                        "a\"",
                                        "\"\\\"",
                                        "\"\\x41\"",
                                        "\"\\u\"",
                                        "\"\\u12\"",
                                        "\"\\u123g\"",
                                        "\"\\U0041\"",
                                        "\"\\'\"",
                                        "\"a\nb\"",
                                        "\"a\tb\"",
                                        "\"\x1f\"",
                                        "1 2",
                                        "{} {}",
                                        "[]]",
                                        "{}}",
                                        "[1]x",
                                        "/**/1",
                                        "1//",
                                        "\xef\xbb\xbf{}",
                                        "[1,\n,2]",
                                        "\x0b"
                                        "1",
                                        "\x0c"
                                        "1",
                                        "[\"a\",]",
                                        "\"\\",
                                        "\"\\u",
                                        "[\"",
                                        "{\"a\":\"",
                                        "1.0.0",
                                        "1e1.0",
                                        "\xa0"
                                        "1",
                                        "undefined",
                                        "\"\\\xc3\xa4\"",
                                        ":",
                                        ",",
                                        "[:]",
                                        "{:}",
                                        "{\"a\"::1}"};
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        bad(texts[i]);
    bad_as(STR("\"\0\""), E_BAD_REQUEST);
    bad_as(STR("\0"), E_BAD_REQUEST);
    bad_as(STR("1\0"), E_BAD_REQUEST);
    bad_as(STR("\"\\\0\""), E_BAD_REQUEST);
    bad_as(STR_NONE, E_BAD_REQUEST);
}

TEST(utf8_is_checked_in_strings_and_keys)
{
    static const char *const wrong[] = {"\x80",         "\xc0\x80",     "\xc3",
                                        "\xe0\x80\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80",
                                        "\xff",         "\xe2\x82",     "\xf0\x9f\x98"};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        for (size_t pad = 0; pad < 20; pad++) {
            struct buf b = {0};
            buf_printf(&b, "[\"%.*s%s%.*s\"]", (int)pad, "xxxxxxxxxxxxxxxxxxxxxxxx", wrong[i],
                       (int)(pad % 3 * 4), "yyyyyyyy");
            bad_as(buf_str(&b), E_BAD_UTF8);
            buf_clear(&b);
            buf_printf(&b, "{\"%.*s%s\":1}", (int)pad, "xxxxxxxxxxxxxxxxxxxxxxxx", wrong[i]);
            bad_as(buf_str(&b), E_BAD_UTF8);
            buf_free(&b);
        }
    }
    bad("\xc3\xa4"); /* outside of strings it is no JSON at all */
}

TEST(every_byte_at_every_place_of_a_word_is_seen)
{
    for (int c = 0; c < 128; c++) {
        for (size_t at = 0; at < 24; at++) {
            char text[28];
            memset(text, 'x', sizeof(text));
            text[0] = text[27] = '"';
            text[1 + at] = (char)c;
            bool fine = c >= 0x20 && c != '"' && c != '\\';
            assert_int_equal(check_str(str_of(text, sizeof(text))), fine ? 0 : E_BAD_REQUEST);
        }
    }
}

static struct str nested(char open, char close, size_t depth)
{
    static char text[400000];
    memset(text, open, depth);
    memset(text + depth, close, depth);
    return str_of(text, 2 * depth);
}

TEST(depth_is_limited_without_using_the_stack)
{
    assert_int_equal(jsonscan_check(nested('[', ']', 64), 64, NULL), 0);
    assert_int_equal(jsonscan_check(nested('[', ']', 65), 64, NULL), E_TOO_LARGE);
    assert_int_equal(jsonscan_check(nested('[', ']', 512), 512, NULL), 0);
    assert_int_equal(jsonscan_check(nested('[', ']', 513), 512, NULL), E_TOO_LARGE);
    assert_int_equal(jsonscan_check(nested('[', ' ', 100000), 512, NULL), E_TOO_LARGE);
    assert_int_equal(jsonscan_check(STR("[1,{\"a\":[2]}]"), 3, NULL), 0);
    assert_int_equal(jsonscan_check(STR("[1,{\"a\":[2]}]"), 2, NULL), E_TOO_LARGE);
    assert_int_equal(jsonscan_check(STR("1"), 0, NULL), 0);
    assert_int_equal(jsonscan_check(STR("[]"), 0, NULL), E_TOO_LARGE);
    /* an object and an array at each of 512 depths close with their own bracket */
    char text[1600];
    size_t n = 0;
    for (int i = 0; i < 128; i++) {
        memcpy(text + n, "[{\"a\":", 6);
        n += 6;
    }
    text[n++] = '1';
    for (int i = 0; i < 128; i++) {
        memcpy(text + n, "}]", 2);
        n += 2;
    }
    assert_int_equal(jsonscan_check(str_of(text, n), 512, NULL), 0);
    text[n - 1] = '}';
    assert_int_equal(jsonscan_check(str_of(text, n), 512, NULL), E_BAD_REQUEST);
}

TEST(the_value_is_given_without_blanks)
{
    struct jsonscan_value v;
    assert_int_equal(jsonscan_check(STR(" [1] \n"), 64, &v), 0);
    assert_str(v.raw, "[1]");
    assert_int_equal(v.type, JSONSCAN_ARRAY);
    assert_int_equal(jsonscan_check(STR("-1"), 64, &v), 0);
    assert_int_equal(v.type, JSONSCAN_NUMBER);
    assert_int_equal(jsonscan_check(STR("false"), 64, &v), 0);
    assert_int_equal(v.type, JSONSCAN_BOOL);
    assert_int_equal(jsonscan_check(STR("null"), 64, &v), 0);
    assert_int_equal(v.type, JSONSCAN_NULL);
}

static int object(const char *text)
{
    return jsonscan_object(str_from(text), 64, &a, members, 64, &count);
}

TEST(members_are_noted_with_raw_values)
{
    assert_int_equal(object(" { \"type\" : \"message\" , \"content\" : {\"a\":[1, {\"type\":2}]} ,"
                            "\"n\":-1.5e3,\"t\":true,\"z\":null,\"e\":[] } "),
                     0);
    assert_int_equal(count, 6);
    assert_str(members[0].key, "type");
    assert_str(members[0].value.raw, "\"message\"");
    assert_int_equal(members[0].value.type, JSONSCAN_STRING);
    assert_str(jsonscan_get(members, count, "content")->raw, "{\"a\":[1, {\"type\":2}]}");
    assert_str(jsonscan_get(members, count, "n")->raw, "-1.5e3");
    assert_str(jsonscan_get(members, count, "e")->raw, "[]");
    assert_null(jsonscan_get(members, count, "a"));
    assert_int_equal(object("{}"), 0);
    assert_int_equal(count, 0);
}

TEST(only_objects_are_objects)
{
    assert_int_equal(object("[{\"a\":1}]"), E_BAD_REQUEST);
    assert_int_equal(object("1"), E_BAD_REQUEST);
    assert_int_equal(object(""), E_BAD_REQUEST);
    assert_int_equal(object("{\"a\":1} x"), E_BAD_REQUEST);
    assert_int_equal(object("{\"a\":1,"), E_BAD_REQUEST);
}

TEST(keys_are_unescaped_and_the_last_of_equal_ones_wins)
{
    assert_int_equal(object("{\"t\\u0079pe\":1,\"type\":2,\"\\\"\":3}"), 0);
    assert_int_equal(count, 3);
    assert_str(members[0].key, "type");
    assert_str(jsonscan_get(members, count, "type")->raw, "2");
    assert_str(jsonscan_get(members, count, "\"")->raw, "3");
    assert_int_equal(object("{\"\\ud800\":1}"), E_BAD_UTF8);
    arena_free(&a);
}

TEST(members_are_limited)
{
    size_t n;
    assert_int_equal(jsonscan_object(STR("{\"a\":1,\"b\":2}"), 64, &a, members, 2, &n), 0);
    assert_int_equal(jsonscan_object(STR("{\"a\":1,\"b\":2}"), 64, &a, members, 1, &n),
                     E_TOO_LARGE);
    struct jsonscan_value items[2];
    assert_int_equal(jsonscan_array(STR("[1,[2,3]]"), 64, items, 2, &n), 0);
    assert_int_equal(n, 2);
    assert_str(items[1].raw, "[2,3]");
    assert_int_equal(jsonscan_array(STR("[1,2,3]"), 64, items, 2, &n), E_TOO_LARGE);
    assert_int_equal(jsonscan_array(STR("[]"), 64, items, 2, &n), 0);
    assert_int_equal(n, 0);
    assert_int_equal(jsonscan_array(STR("{}"), 64, items, 2, &n), E_BAD_REQUEST);
}

TEST(an_arena_without_room_is_reported)
{
    struct arena small = {.max = 16};
    size_t n;
    int r = jsonscan_object(STR("{\"\\u0041bcdefghijklmnopqrstuvwxyz\":1}"), 64, &small, members, 2,
                            &n);
    assert_int_equal(r, E_NO_MEMORY);
    arena_free(&small);
}

TEST(accepted_text_can_be_walked)
{
    struct jsonscan_member m;
    struct jsonscan_iter it =
        jsonscan_iter(STR("{ \"a\" : [1,{\"x\":\"]}\"}] , \"b\\n\":\"}\\\"\" ,\"c\":{},\"d\":1 }"));
    assert_int_equal(jsonscan_next(&it, &a, &m), 1);
    assert_str(m.key, "a");
    assert_str(m.value.raw, "[1,{\"x\":\"]}\"}]");
    assert_int_equal(jsonscan_next(&it, &a, &m), 1);
    assert_str(m.key, "b\n");
    assert_str(m.value.raw, "\"}\\\"\"");
    assert_int_equal(jsonscan_next(&it, &a, &m), 1);
    assert_str(m.value.raw, "{}");
    assert_int_equal(jsonscan_next(&it, &a, &m), 1);
    assert_str(m.value.raw, "1");
    assert_int_equal(m.value.type, JSONSCAN_NUMBER);
    assert_int_equal(jsonscan_next(&it, &a, &m), 0);
    assert_int_equal(jsonscan_next(&it, &a, &m), 0);
    it = jsonscan_iter(STR("[ [] , null,\"x\"]"));
    int n = 0;
    while (jsonscan_next(&it, &a, &m) > 0) {
        assert_int_equal(m.key.n, 0);
        n++;
    }
    assert_int_equal(n, 3);
    static const char *const none[] = {"", "1", "\"a\"", "{}", "[]", "[ ]"};
    for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++) {
        it = jsonscan_iter(str_from(none[i]));
        assert_int_equal(jsonscan_next(&it, &a, &m), 0);
    }
    arena_free(&a);
}

TEST(nested_members_are_found)
{
    struct str raw =
        STR("{\"epoch\":\"k\",\"off\\u0073et\":5,\"x\":{\"offset\":6},\"epoch\":null}");
    assert_str(jsonscan_find(raw, "offset").raw, "5");
    assert_int_equal(jsonscan_find(raw, "epoch").type, JSONSCAN_NULL);
    assert_int_equal(jsonscan_find(raw, "none").type, JSONSCAN_NONE);
    assert_int_equal(jsonscan_find(STR("[\"offset\"]"), "offset").type, JSONSCAN_NONE);
    assert_int_equal(jsonscan_find(STR("5"), "offset").type, JSONSCAN_NONE);
    assert_int_equal(jsonscan_find(STR("{\"offs\":1,\"offsets\":2}"), "offset").type,
                     JSONSCAN_NONE);
}

static struct str text_of(const char *raw)
{
    struct str out;
    int r = jsonscan_string(str_from(raw), &a, &out);
    if (r)
        fail_msg("%d for %s", r, raw);
    return out;
}

TEST(strings_are_unescaped)
{
    struct str out;
    assert_str(text_of("\"plain\""), "plain");
    assert_str(text_of("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\""), "\"\\/\b\f\n\r\t");
    assert_str(text_of("\"\\u0041\\u00e4\\u20AC\\ud83d\\ude00!\""),
               "A\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80!");
    assert_str(text_of("\"\\uffff\\ud7ff\\ue000\""), "\xef\xbf\xbf\xed\x9f\xbf\xee\x80\x80");
    out = text_of("\"a\\u0000b\"");
    assert_true(str_eq(out, STR("a\0b")));
    static const char *const halves[] = {
        "\"\\ud800\"",        "\"\\udc00\"",        "\"\\ud800x\"",  "\"\\ud800\\u0041\"",
        "\"\\ud800\\ud800\"", "\"\\udbff\\ue000\"", "\"\\ud800\\n\""};
    for (size_t i = 0; i < sizeof(halves) / sizeof(halves[0]); i++) {
        good(halves[i]);
        assert_int_equal(jsonscan_string(str_from(halves[i]), &a, &out), E_BAD_UTF8);
    }
    assert_int_equal(jsonscan_string(STR("1"), &a, &out), E_BAD_REQUEST);
    assert_int_equal(jsonscan_string(STR(""), &a, &out), E_BAD_REQUEST);
    assert_int_equal(jsonscan_string(STR("\""), &a, &out), E_BAD_REQUEST);
    arena_free(&a);
}

TEST(numbers_and_booleans)
{
    uint64_t u;
    int64_t i;
    bool b;
    double d;
    assert_true(jsonscan_u64(STR("18446744073709551615"), &u) && u == UINT64_MAX);
    assert_false(jsonscan_u64(STR("18446744073709551616"), &u));
    assert_false(jsonscan_u64(STR("-1"), &u));
    assert_false(jsonscan_u64(STR("1.0"), &u));
    assert_false(jsonscan_u64(STR("1e3"), &u));
    assert_false(jsonscan_u64(STR("\"1\""), &u));
    assert_true(jsonscan_i64(STR("-5"), &i) && i == -5);
    assert_true(jsonscan_bool(STR("true"), &b) && b);
    assert_true(jsonscan_bool(STR("false"), &b) && !b);
    assert_false(jsonscan_bool(STR("1"), &b));
    assert_true(jsonscan_double(STR("-1.5e2"), &d) && d > -150.1 && d < -149.9);
    assert_false(jsonscan_double(STR("1e400"), &d));
    assert_false(jsonscan_double(STR("\"1\""), &d));
    assert_false(jsonscan_double(STR("nan"), &d));
    assert_false(jsonscan_double(STR("0x10"), &d));
}

TEST(long_strings_keys_and_many_members_pass)
{
    size_t n = 10 << 20;
    char *text = mem_new(n + 20);
    memset(text, 'x', n + 20);
    memcpy(text, "{\"", 2);
    memcpy(text + 2 + (1 << 20), "\":\"", 3);
    memcpy(text + n, "\"}", 2);
    assert_int_equal(jsonscan_object(str_of(text, n + 2), 64, &a, members, 64, &count), 0);
    assert_int_equal(count, 1);
    assert_int_equal(members[0].key.n, 1 << 20);
    mem_free(text);
}
