/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "protocol/socketio_template.c"

static const char *fault_of(const char *text, bool is_json, size_t *column)
{
    struct arena a = {0};
    const char *fault = NULL;
    struct template *t = template_new(&a, str_from(text), is_json, column, &fault);
    arena_free(&a);
    return t ? NULL : fault;
}

static void expect_fault(const char *text, bool is_json, size_t column, const char *words)
{
    size_t at = 0;
    const char *fault = fault_of(text, is_json, &at);
    assert_non_null(fault);
    assert_non_null(strstr(fault, words));
    assert_int_equal(at, column);
}

static void expect_good(const char *text, bool is_json)
{
    size_t at;
    assert_null(fault_of(text, is_json, &at));
}

TEST(names_and_json_with_values_are_read)
{
    expect_good("$args[0]", false);
    expect_good("room-$args[0].room.id", false);
    expect_good("$claims.app_metadata.org", false);
    expect_good("{\"a\": $args, \"b\": [$now, $sid], \"c\": \"costs $5\"}", true);
    expect_good("(1, $args[1][0], null)", true);
    expect_good("()", true);
}

TEST(a_value_that_is_none_is_told_with_its_place)
{
    expect_fault("$nope", false, 1, "unknown value");
    expect_fault("room-$argz", false, 6, "unknown value");
    expect_fault("$args[x]", false, 1, "an index is a number");
    expect_fault("$args[0", false, 1, "an index is a number");
    expect_fault("$claims", false, 1, "which claim");
    expect_fault("$now.x", false, 1, "no parts");
    expect_fault("$args[0][0][0][0][0][0][0][0][0]", false, 1, "too deep");
}

TEST(data_must_be_json_once_its_values_are_filled_in)
{
    expect_fault("{\"a\": $args[0]", true, 0, "not JSON");
    expect_fault("{$args[0]: 1}", true, 0, "not JSON");
    expect_fault("hello", true, 0, "not JSON");
}

TEST(more_values_than_there_is_room_for_are_refused)
{
    struct buf b = {0};
    for (int i = 0; i < PIECES_MAX; i++)
        buf_add_z(&b, "-$now");
    buf_add_c(&b, '\0');
    size_t at;
    assert_non_null(strstr(fault_of(b.p, false, &at), "too many"));
    buf_free(&b);
}

static struct str arg_at(const char *text, const char *args)
{
    static struct arena a;
    size_t column;
    const char *fault;
    struct template *t = template_new(&a, str_from(text), false, &column, &fault);
    struct socketio_event ev = {.args = str_from(args)};
    return find_arg(&t->pieces[0], &ev);
}

TEST(arguments_are_found_by_index_and_name)
{
    const char *args = "[\"room\", {\"a\": {\"b\": [10, 20]}}, null]";
    assert_true(str_is(arg_at("$args[0]", args), "\"room\""));
    assert_true(str_is(arg_at("$args[1].a.b[1]", args), "20"));
    assert_true(str_is(arg_at("$args[2]", args), "null"));
    assert_true(str_is(arg_at("$args", args), args));
    assert_int_equal(arg_at("$args[3]", args).n, 0);
    assert_int_equal(arg_at("$args[0].a", args).n, 0);
    assert_int_equal(arg_at("$args[1][0]", args).n, 0);
}

TEST(only_text_and_numbers_make_names)
{
    struct arena a = {0};
    struct buf b = {0};
    assert_true(add_plain(STR("\"a\\u0041\""), &a, &b));
    assert_true(add_plain(STR("-7"), &a, &b));
    assert_true(str_is(buf_str(&b), "aA-7"));
    assert_false(add_plain(STR("null"), &a, &b));
    assert_false(add_plain(STR("{\"x\":1}"), &a, &b));
    assert_false(add_plain(STR("true"), &a, &b));
    assert_false(add_plain(STR_NONE, &a, &b));
    buf_free(&b);
    arena_free(&a);
}
