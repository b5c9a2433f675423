/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"
#include "base/str.c"

static struct str rep(char *space, const char *piece, size_t times)
{
    size_t n = strlen(piece);
    for (size_t i = 0; i < times; i++)
        memcpy(space + i * n, piece, n);
    return str_of(space, n * times);
}

TEST(text_without_bytes_is_handled_everywhere)
{
    struct str rest = STR_NONE;
    assert_true(str_eq(STR_NONE, STR("")));
    assert_true(str_eq_nocase(STR_NONE, STR("")));
    assert_int_equal(str_cmp(STR_NONE, STR("")), 0);
    assert_true(str_starts(STR_NONE, STR_NONE));
    assert_true(str_ends(STR_NONE, STR_NONE));
    assert_int_equal(str_find(STR_NONE, 'x'), -1);
    assert_int_equal(str_find_str(STR_NONE, STR("x")), -1);
    assert_int_equal(str_find_str(STR_NONE, STR("")), 0);
    assert_int_equal(str_trim(STR_NONE).n, 0);
    assert_int_equal(str_skip(STR_NONE, 3).n, 0);
    assert_int_equal(str_head(STR_NONE, 3).n, 0);
    assert_int_equal(str_cut(&rest, ',').n, 0);
    assert_true(str_glob(STR_NONE, STR_NONE));
    assert_true(str_glob(STR("**"), STR_NONE));
    assert_false(str_glob(STR("?"), STR_NONE));
    char *copy = str_dup(STR_NONE);
    assert_string_equal(copy, "");
    mem_free(copy);
}

TEST(case_folds_for_ascii_letters_only)
{
    assert_true(str_eq_nocase(STR("Content-LENGTH"), STR("content-length")));
    assert_false(str_eq_nocase(STR("a"), STR("ab")));
    /* '@' and '`', '[' and '{' differ by the same bit as letters do */
    assert_false(str_eq_nocase(STR("@["), STR("`{")));
    assert_false(str_eq_nocase(STR("\xc4"), STR("\xe4")));
}

TEST(order_is_by_bytes_and_then_by_length)
{
    assert_true(str_cmp(STR("a"), STR("b")) < 0);
    assert_true(str_cmp(STR("b"), STR("ab")) > 0);
    assert_true(str_cmp(STR("a"), STR("ab")) < 0);
    assert_true(str_cmp(STR("ab"), STR("a")) > 0);
    assert_true(str_cmp(STR("\xff"), STR("a")) > 0); /* unsigned */
    assert_int_equal(str_cmp(STR("a\0b"), STR("a\0b")), 0);
    assert_true(str_cmp(STR("a\0b"), STR("a\0c")) < 0);
}

TEST(cutting_gives_every_field_also_empty_ones)
{
    struct str rest = STR(",a,,b,");
    assert_true(str_is(str_cut(&rest, ','), ""));
    assert_true(str_is(str_cut(&rest, ','), "a"));
    assert_true(str_is(str_cut(&rest, ','), ""));
    assert_true(str_is(str_cut(&rest, ','), "b"));
    /* after the last comma stands an empty field, and then nothing more */
    assert_non_null(rest.p);
    assert_true(str_is(str_cut(&rest, ','), ""));
    assert_null(rest.p);
}

TEST(find_and_find_str_tell_the_first_place)
{
    assert_int_equal(str_find(STR("abcabc"), 'c'), 2);
    assert_int_equal(str_find(STR("a\0c"), 'c'), 2);
    assert_int_equal(str_find_str(STR("aaab"), STR("aab")), 1);
    assert_int_equal(str_find_str(STR("aaab"), STR("aaabb")), -1);
}

TEST(trim_takes_blanks_and_tabs_and_nothing_else)
{
    assert_true(str_is(str_trim(STR(" \t a b \t")), "a b"));
    assert_true(str_is(str_trim(STR(" \t ")), ""));
    assert_true(str_is(str_trim(STR("\r\n")), "\r\n"));
}

TEST(glob_knows_stars_and_question_marks)
{
    static const struct {
        const char *pattern, *text;
        bool fits;
    } rows[] = {
        {"", "", true},
        {"", "a", false},
        {"*", "", true},
        {"*", "anything", true},
        {"room-*", "room-", true},
        {"room-*", "room-1", true},
        {"room-*", "room", false},
        {"*-1", "room-1", true},
        {"*-1", "room-12", false},
        {"a*b*c", "abc", true},
        {"a*b*c", "a-b-b-c", true},
        {"a*b*c", "acb", false},
        {"?", "a", true},
        {"?", "", false},
        {"?", "ab", false},
        {"a?c", "abc", true},
        {"*?", "", false},
        {"*?", "a", true},
        {"?*?", "ab", true},
        {"?*?", "a", false},
        {"*ab", "aab", true},
        {"*ab*ab", "abab", true},
        {"*ab*ab", "ab", false},
        {"*aab", "aaaab", true},
        {"a**b", "ab", true},
        {"*.*", "a.b.c", true},
        {"A", "a", false},
        {"[a]", "a", false},
        {"[a]", "[a]", true},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        if (str_glob(str_from(rows[i].pattern), str_from(rows[i].text)) != rows[i].fits)
            fail_msg("glob '%s' on '%s'", rows[i].pattern, rows[i].text);
}

/* With a matcher that tries every star again these would run longer than the universe. */
TEST(glob_on_inputs_made_to_explode_ends)
{
    static char pattern[4096], text[65536];
    struct str a = rep(text, "a", sizeof(text));
    struct str stars = rep(pattern, "a*", sizeof(pattern) / 2);
    assert_true(str_glob(stars, a));
    pattern[sizeof(pattern) - 1] = 'b';
    assert_false(str_glob(stars, a));
    struct str marks = rep(pattern, "*?", 1000);
    assert_true(str_glob(marks, str_head(a, 1000)));
    assert_false(str_glob(marks, str_head(a, 999)));
}

TEST(a_copy_ends_with_nul_and_keeps_inner_ones)
{
    char *copy = str_dup(STR("a\0b"));
    assert_memory_equal(copy, "a\0b", 4);
    mem_free(copy);
}
