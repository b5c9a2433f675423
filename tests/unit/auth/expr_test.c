/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"
#include "auth/expr.c"
#include <stdio.h>

#define CLAIMS                                                                                     \
    "{\"sub\":\"u1\",\"role\":\"member\",\"org\":\"acme\",\"level\":3,\"score\":2.5,"              \
    "\"admin\":true,\"banned\":false,\"nothing\":null,\"empty\":\"\","                             \
    "\"scope\":\"read write\",\"id\":42,"                                                          \
    "\"groups\":[\"a\",\"b\",7],\"globs\":[\"room:*\",\"lobby\"],\"none\":[],"                     \
    "\"rooms\":{\"room:1\":\"rw\",\"room:2\":false,\"room:3\":null},"                              \
    "\"app_metadata\":{\"org\":{\"name\":\"acme\"}},\"a.b/c\":{\"d\":\"deep\"}}"
#define CHANNEL "room:1/acme"

static enum expr_answer ask(const char *text, const char *claims, const char *channel)
{
    size_t column;
    const char *fault;
    struct identity *id = NULL;
    struct expr *e = expr_new(str_from(text), &column, &fault);
    if (!e)
        fail_msg("%s: column %zu: %s", text, column, fault);
    assert_int_equal(identity_new(str_from(claims), STR_NONE, 0, &id), 0);
    enum expr_answer answer = expr_answer(e, id, str_from(channel));
    identity_unref(id);
    expr_free(e);
    return answer;
}

static void all_are(enum expr_answer answer, const char *const *texts)
{
    for (; *texts; texts++)
        if (ask(*texts, CLAIMS, CHANNEL) != answer)
            fail_msg("%s", *texts);
}

TEST(what_holds_is_yes)
{
    all_are(EXPR_YES, (const char *[]){"true",
                                       "not false",
                                       "sub == \"u1\"",
                                       "sub == 'u1'",
                                       "\"u1\" == sub",
                                       "role == \"member\"",
                                       "channel == \"room:1/acme\"",
                                       "segment(1) == \"room\"",
                                       "segment(2) == \"1\"",
                                       "segment(2) == 1",
                                       "segment(3) == claims.org",
                                       "after(\"room:\") == \"1/acme\"",
                                       "after('') == channel",
                                       "claims.org == \"acme\"",
                                       "claims[\"org\"] == \"acme\"",
                                       "claims.app_metadata.org.name == 'acme'",
                                       "claims['a.b/c'].d == 'deep'",
                                       "claims['a.b/c'][\"d\"] == 'deep'",
                                       "claims.level == 3",
                                       "claims.level >= 3",
                                       "claims.level < 4",
                                       "claims.score > 2",
                                       "claims.score <= 3",
                                       "2 < claims.score",
                                       "claims.id == \"42\"",
                                       "\"42\" == claims.id",
                                       "claims.level != 4",
                                       "-1 < claims.level",
                                       "claims.admin",
                                       "claims.admin == true",
                                       "not claims.banned",
                                       "claims.banned == false",
                                       "role in [\"admin\", \"member\"]",
                                       "role not in ['admin']",
                                       "\"a\" in claims.groups",
                                       "7 in claims.groups",
                                       "\"7\" in claims.groups",
                                       "\"c\" not in claims.groups",
                                       "\"read\" in claims.scope",
                                       "\"x\" not in claims.scope",
                                       "\"room:1\" in claims.rooms",
                                       "\"room:2\" not in claims.rooms",
                                       "\"room:3\" not in claims.rooms",
                                       "\"room:4\" not in claims.rooms",
                                       "\"a\" not in claims.none",
                                       "\"a\" not in []",
                                       "channel matches \"room:*\"",
                                       "channel matches claims.globs",
                                       "channel matches ['x', 'room:?/acme']",
                                       "claims.nothing == null",
                                       "claims.missing == null",
                                       "claims.org != null",
                                       "claims.a.b.c == null",
                                       "true or claims.missing == 1",
                                       "claims.missing == 1 or true",
                                       "not (claims.missing == 1 and false)",
                                       "not (false and claims.missing == 1)",
                                       "false or false or true",
                                       "true and true and not false",
                                       "((sub == 'u1'))",
                                       "(claims.org) == 'acme'",
                                       "not not true",
                                       "true or false and false",
                                       "sub == 'u1'and role == 'member'",
                                       "claims.empty == ''",
                                       "claims.groups != null",
                                       "sub in [claims.missing, 'u1']",
                                       "'a\\'b' == 'a\\'b'",
                                       "\"\\\\\" == '\\\\'",
                                       NULL});
}

TEST(what_does_not_hold_is_no)
{
    all_are(EXPR_NO, (const char *[]){"false",
                                      "not true",
                                      "sub == \"u2\"",
                                      "sub == \"U1\"",
                                      "sub != 'u1'",
                                      "role in ['admin']",
                                      "role in []",
                                      "segment(1) == segment(2)",
                                      "claims.level > 3",
                                      "claims.level < 3",
                                      "claims.banned",
                                      "\"re\" in claims.scope",
                                      "\"read write\" in claims.scope",
                                      "\"room:2\" in claims.rooms",
                                      "\"room:3\" in claims.rooms",
                                      "channel matches 'room'",
                                      "channel matches claims.none",
                                      "channel matches ['x', 'y']",
                                      "claims.org == null",
                                      "claims.missing != null",
                                      "claims.missing == 1 and false",
                                      "false and claims.missing == 1",
                                      "claims.id == \"042\"",
                                      "claims.id == \"42.0\"",
                                      NULL});
}

TEST(what_cannot_be_known_is_unknown_from_either_side)
{
    all_are(EXPR_UNKNOWN, (const char *[]){"claims.missing == 1",
                                           "claims.missing != 1",
                                           "not (claims.missing == 1)",
                                           "claims.missing == claims.missing",
                                           "claims.missing != claims.missing",
                                           "claims.missing in ['a']",
                                           "claims.missing not in ['a']",
                                           "'a' in claims.missing",
                                           "'a' not in claims.missing",
                                           "claims.missing",
                                           "not claims.missing",
                                           "claims.org",
                                           "claims.groups",
                                           "claims.nothing == 'x'",
                                           "claims.nothing != 'x'",
                                           "claims.level == true",
                                           "claims.org == true",
                                           "claims.org < 3",
                                           "claims.org >= 'a'",
                                           "claims.groups == 'a'",
                                           "claims.groups != 'a'",
                                           "claims.rooms == claims.rooms",
                                           "segment(4) == 'x'",
                                           "segment(64) != 'x'",
                                           "after('lobby') != 'x'",
                                           "channel matches claims.missing",
                                           "claims.level matches '*'",
                                           "channel matches claims.level",
                                           "channel matches claims.rooms",
                                           "true and claims.missing == 1",
                                           "false or claims.missing == 1",
                                           "'x' in claims.level",
                                           "claims.admin in claims.rooms",
                                           "sub in [claims.missing]",
                                           "sub not in [claims.missing]",
                                           "claims.score == '2.5'",
                                           "claims.org.name == 'x'",
                                           "claims.groups.a == 'x'",
                                           NULL});
}

TEST(who_has_no_name_is_not_the_one_without_a_name)
{
    /* The trap: an empty sub would equal an empty segment. */
    assert_int_equal(ask("sub == segment(2)", "{}", "user:"), EXPR_UNKNOWN);
    assert_int_equal(ask("sub == segment(2)", "{\"sub\":\"\"}", "user:"), EXPR_UNKNOWN);
    assert_int_equal(ask("sub == after('user:')", "{}", "user:"), EXPR_UNKNOWN);
    assert_int_equal(ask("sub != segment(2)", "{}", "user:"), EXPR_UNKNOWN);
    assert_int_equal(ask("sub == null", "{}", "user:"), EXPR_YES);
    assert_int_equal(ask("sub == segment(2)", "{\"sub\":\"u1\"}", "user:u1"), EXPR_YES);
    assert_int_equal(ask("sub == segment(2)", "{\"sub\":7}", "user:7"), EXPR_YES);
    assert_int_equal(ask("segment(1) == null", "{}", ":a"), EXPR_YES);
    assert_int_equal(ask("segment(3) == 'c'", "{}", "a::c"), EXPR_YES);
}

TEST(a_fault_is_told_with_its_column)
{
    static const struct {
        const char *text;
        size_t column;
        const char *says;
    } table[] = {
        {"", 1, "ends too early"},
        {"   ", 4, "ends too early"},
        {"sub", 4, "comparison is expected"},
        {"sub ==", 7, "ends too early"},
        {"sub = 'u1'", 5, "comparison is expected"},
        {"sub == 'u1", 8, "no closing quote"},
        {"sub == 'u1' 'x'", 13, "should end here"},
        {"sub == 'u1' and", 16, "ends too early"},
        {"and sub == 'u1'", 1, "value is expected"},
        {"foo == 1", 1, "value is expected"},
        {"subx == 1", 1, "value is expected"},
        {"claims == 1", 8, "claims needs a name"},
        {"claims. == 1", 9, "name of a claim"},
        {"claims[1] == 1", 8, "text in quotes"},
        {"claims['a' == 1", 12, "] is expected"},
        {"segment(0) == 'x'", 9, "counted from 1"},
        {"segment(65) == 'x'", 9, "counted from 1"},
        {"segment() == 'x'", 9, "counted from 1"},
        {"segment 1 == 'x'", 9, "( is expected"},
        {"after(1) == 'x'", 7, "text in quotes"},
        {"(sub == 'a'", 12, ") is expected"},
        {"sub in 'abc'", 8, "in needs a list"},
        {"sub in ['a'", 12, ", or ] is expected"},
        {"sub in [null]", 9, "plain values"},
        {"sub in [['a']]", 9, "value is expected"},
        {"sub in [(sub == 'a')]", 9, "plain values"},
        {"sub not ['a']", 9, "in is expected"},
        {"null == null", 1, "left side"},
        {"sub < null", 7, "null goes with"},
        {"(sub == 'a') == true", 1, "left side"},
        {"sub == (sub == 'a')", 8, "right side"},
        {"claims.x == 1.5", 14, "should end here"},
        {"claims.x == 12abc", 13, "not a whole number"},
        {"claims.x == 99999999999999999999", 13, "not a whole number"},
        {"claims.x == -", 13, "not a whole number"},
        {"not", 4, "ends too early"},
    };
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        size_t column = 0;
        const char *fault = "none";
        struct expr *e = expr_new(str_from(table[i].text), &column, &fault);
        if (e || column != table[i].column || !strstr(fault, table[i].says))
            fail_msg("%s: column %zu: %s", table[i].text, column, fault);
    }
}

TEST(a_nul_does_not_end_an_expression)
{
    size_t column;
    const char *fault;
    assert_null(expr_new(STR("true\0 and false"), &column, &fault));
    assert_int_equal(column, 5);
    assert_null(expr_new(STR("sub == 'a\0b'"), &column, &fault));
    assert_null(expr_new(STR("\0"), &column, &fault));
}

static struct expr *repeated(const char *piece, size_t times, const char *end, const char **fault)
{
    struct buf text = {0};
    size_t column;
    for (size_t i = 0; i < times; i++)
        buf_add_z(&text, piece);
    buf_add_z(&text, end);
    struct expr *e = expr_new(buf_str(&text), &column, fault);
    buf_free(&text);
    return e;
}

TEST(depth_and_length_are_limited)
{
    const char *fault = "";
    assert_null(repeated("(", 100, "true", &fault));
    assert_string_equal(fault, "too deeply nested");
    assert_null(repeated("not ", 100, "true", &fault));
    assert_string_equal(fault, "too deeply nested");
    assert_null(repeated("true or ", 200, "true", &fault));
    assert_string_equal(fault, "the expression is too long");
    assert_null(repeated(" ", 3000, "true", &fault));
    assert_string_equal(fault, "the expression is too long");
    struct expr *e = repeated("true and ", 120, "true", &fault);
    assert_non_null(e);
    expr_free(e);
}

TEST(only_what_looks_at_the_identity_is_personal)
{
    static const char *const texts[] = {"segment(1) == 'a'", "channel matches 'x*' or true",
                                        "sub == 'a'",        "role in ['a']",
                                        "true or claims.a",  "'a' in claims.b"};
    for (size_t i = 0; i < 6; i++) {
        size_t column;
        const char *fault;
        struct expr *e = expr_new(str_from(texts[i]), &column, &fault);
        assert_int_equal(expr_is_personal(e), i >= 2);
        expr_free(e);
    }
}
