/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"
#include "base/err.c"
#include <string.h>

TEST(numbers_and_names_are_unique_and_usable_on_the_wire)
{
    int count;
    const struct err_info *all = err_all(&count);
    assert_true(count > 20);
    for (int i = 0; i < count; i++) {
        const struct err_info *e = &all[i];
        assert_int_equal(e->value, -e->number);
        /* the private range of WebSocket close codes */
        assert_in_range(e->number, 4000, 4999);
        assert_in_range(e->status, 400, 599);
        assert_true(strlen(e->text) > 0 && strlen(e->text) < 100);
        assert_true(strlen(e->hint) > 0);
        for (int k = 0; k < i; k++) {
            assert_int_not_equal(e->number, all[k].number);
            assert_string_not_equal(e->name, all[k].name);
        }
        assert_ptr_equal(err_info(e->value), e);
        assert_ptr_equal(err_by_number(e->number), e);
    }
}

TEST(the_words_the_guide_compares_are_these)
{
    assert_string_equal(err_info(E_TOKEN_REQUIRED)->text, "Authentication token required");
    assert_string_equal(err_info(E_TOKEN_INVALID)->text, "Invalid authentication token");
    assert_string_equal(err_info(E_ACCESS_DENIED)->text, "Access denied");
}

/* Numbers are in clients, dashboards and scripts of others: they never change. */
TEST(numbers_stay_what_they_were)
{
    assert_int_equal(E_BAD_REQUEST, -4400);
    assert_int_equal(E_TOKEN_REQUIRED, -4401);
    assert_int_equal(E_TOKEN_INVALID, -4402);
    assert_int_equal(E_ACCESS_DENIED, -4403);
    assert_int_equal(E_NOT_FOUND, -4404);
    assert_int_equal(E_TOKEN_EXPIRED, -4407);
    assert_int_equal(E_SLOW_CONSUMER, -4412);
    assert_int_equal(E_TOO_LARGE, -4413);
    assert_int_equal(E_RATE_LIMITED, -4429);
    assert_int_equal(E_INTERNAL, -4500);
    assert_int_equal(E_DRAINING, -4504);
}

TEST(an_unknown_value_is_an_internal_error)
{
    assert_int_equal(err_info(0)->value, E_INTERNAL);
    assert_int_equal(err_info(-1)->value, E_INTERNAL);
    assert_int_equal(err_info(4403)->value, E_INTERNAL);
    assert_null(err_by_number(0));
    assert_null(err_by_number(-4403));
}
