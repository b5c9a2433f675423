/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"
#include "base/tally.c"

TEST(a_name_has_no_more_than_it_may)
{
    struct tally *t = tally_new();
    assert_true(tally_take(t, STR("a"), 2));
    assert_true(tally_take(t, STR("a"), 2));
    assert_false(tally_take(t, STR("a"), 2));
    assert_true(tally_take(t, STR("b"), 2));
    assert_false(tally_take(t, STR("c"), 0));
    assert_int_equal(tally_count(t, STR("a")), 2);
    tally_give(t, STR("a"));
    assert_true(tally_take(t, STR("a"), 2));
    tally_give(t, STR("a"));
    tally_give(t, STR("a"));
    assert_int_equal(tally_count(t, STR("a")), 0);
    tally_free(&t);
    assert_null(t);
}

TEST(names_are_bytes_and_may_be_empty)
{
    struct tally *t = tally_new();
    assert_true(tally_take(t, STR(""), 1));
    assert_false(tally_take(t, STR(""), 1));
    assert_true(tally_take(t, str_of("\0\1", 2), 1));
    assert_true(tally_take(t, str_of("\0\2", 2), 1));
    tally_free(&t);
}

TEST(a_bucket_gives_its_burst_then_its_rate)
{
    struct tally *t = tally_new();
    assert_int_equal(tally_spend(t, STR("u"), 0, 10, 3), 0); /* nobody there */
    tally_take(t, STR("u"), 9);
    for (int i = 0; i < 3; i++)
        assert_int_equal(tally_spend(t, STR("u"), 1000, 10, 3), 0);
    assert_int_equal(tally_spend(t, STR("u"), 1000, 10, 3), 101);
    assert_int_equal(tally_spend(t, STR("u"), 1000, 10, 3), 201);
    assert_int_equal(tally_spend(t, STR("u"), 1300, 10, 3), 0);   /* three more since */
    assert_int_equal(tally_spend(t, STR("u"), 1200, 10, 3), 101); /* an older clock gains nothing */
    assert_int_equal(tally_spend(t, STR("u"), 999999999, 10, 3), 0);
    assert_int_equal(tally_spend(t, STR("u"), 999999999, 10, 3), 0);
    assert_int_equal(tally_spend(t, STR("u"), 999999999, 10, 3), 0);
    assert_int_not_equal(tally_spend(t, STR("u"), 999999999, 10, 3), 0);
    tally_give(t, STR("u"));
    tally_free(&t);
}

static void *take_and_give(void *arg)
{
    for (int i = 0; i < 20000; i++) {
        char name[2] = {(char)('a' + i % 7), 0};
        if (tally_take(arg, str_from(name), 2))
            tally_give(arg, str_from(name));
    }
    return NULL;
}

TEST(threads_do_not_lose_count)
{
    struct tally *t = tally_new();
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        pthread_create(&threads[i], NULL, take_and_give, t);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    for (char c = 'a'; c < 'h'; c++)
        assert_int_equal(tally_count(t, str_of(&c, 1)), 0);
    tally_free(&t);
}
