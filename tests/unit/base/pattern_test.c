/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"
#include "base/pattern.c"
#include <stdio.h>

static ptrdiff_t find(const struct pattern_list *list, const char *name)
{
    return pattern_find(list, str_from(name));
}

TEST(an_empty_list_fits_nothing)
{
    struct pattern_list list = {0};
    assert_int_equal(find(&list, "a"), -1);
    assert_int_equal(find(&list, ""), -1);
    pattern_free(&list);
}

TEST(the_first_row_that_fits_wins_whatever_its_kind)
{
    struct pattern_list list = {0};
    assert_int_equal(pattern_add(&list, STR("room-1")), 0);
    assert_int_equal(pattern_add(&list, STR("room-*")), 1);
    assert_int_equal(pattern_add(&list, STR("room-2")), 2);
    assert_int_equal(pattern_add(&list, STR("room-1")), 3);
    assert_int_equal(pattern_add(&list, STR("lobby")), 4);
    assert_int_equal(pattern_add(&list, STR("?")), 5);
    assert_int_equal(pattern_add(&list, STR("*")), 6);
    assert_int_equal(find(&list, "room-1"), 0);
    assert_int_equal(find(&list, "room-2"), 1);
    assert_int_equal(find(&list, "room-"), 1);
    assert_int_equal(find(&list, "lobby"), 4);
    assert_int_equal(find(&list, "x"), 5);
    assert_int_equal(find(&list, "other"), 6);
    assert_int_equal(find(&list, ""), 6);
    pattern_free(&list);
    assert_int_equal(find(&list, "room-1"), -1);
}

TEST(many_exact_names_agree_with_a_plain_scan)
{
    struct pattern_list list = {0};
    char name[32];
    for (int i = 0; i < 2000; i++) {
        snprintf(name, sizeof(name), i % 100 == 99 ? "g%d-*" : "n%d", i);
        assert_int_equal(pattern_add(&list, str_from(name)), i);
    }
    for (int i = 0; i < 2000; i++) {
        snprintf(name, sizeof(name), i % 100 == 99 ? "g%d-tail" : "n%d", i);
        assert_int_equal(find(&list, name), i);
    }
    assert_int_equal(find(&list, "n2000"), -1);
    pattern_free(&list);
}
