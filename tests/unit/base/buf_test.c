/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"
#include "base/buf.c"

TEST(appends_of_every_kind_line_up)
{
    struct buf b = {0};
    buf_add_z(&b, "a");
    buf_add_c(&b, '\0');
    buf_add_str(&b, STR_NONE);
    buf_add(&b, NULL, 0);
    buf_add_u64(&b, UINT64_MAX);
    buf_add_c(&b, ' ');
    buf_add_i64(&b, INT64_MIN);
    buf_add_i64(&b, 0);
    buf_add_i64(&b, INT64_MAX);
    buf_printf(&b, "%s", "");
    buf_printf(&b, "[%d]", 7);
    assert_true(str_eq(buf_str(&b), STR("a\0"
                                        "18446744073709551615 -92233720368547758080"
                                        "9223372036854775807[7]")));
    assert_false(b.failed);
    buf_free(&b);
    assert_null(b.p);
    buf_free(&b);
}

TEST(a_text_of_exactly_max_fits_and_one_byte_more_fails_for_good)
{
    struct buf b = {.max = 5};
    buf_printf(&b, "%s", "12345");
    assert_false(b.failed);
    buf_add_str(&b, STR_NONE);
    assert_false(b.failed);
    buf_add_c(&b, '6');
    assert_true(b.failed);
    assert_true(str_is(buf_str(&b), "12345"));
    buf_shift(&b, 3);
    buf_add_c(&b, '6'); /* a hole in the middle of a text would be worse than an end */
    assert_true(str_is(buf_str(&b), "45"));
    buf_clear(&b);
    buf_add_z(&b, "abc");
    assert_true(str_is(buf_str(&b), "abc"));
    assert_false(b.failed);
    buf_free(&b);
}

TEST(capacity_never_passes_max)
{
    struct buf b = {.max = 100};
    for (int i = 0; i < 200; i++)
        buf_add_c(&b, 'x');
    assert_true(b.failed);
    assert_int_equal(b.n, 100);
    assert_true(b.capacity <= 100);
    buf_free(&b);
}

TEST(max_below_what_is_there_already_fails_the_next_append)
{
    struct buf b = {0};
    buf_add_z(&b, "0123456789");
    b.max = 4;
    assert_false(buf_reserve(&b, 1));
    assert_int_equal(b.n, 10);
    buf_free(&b);
}

TEST(without_memory_it_keeps_what_it_has)
{
    struct buf b = {0};
    mem_fail_at(2, 0);
    buf_add_z(&b, "kept");
    for (int i = 0; i < 100; i++)
        buf_add_c(&b, 'x');
    assert_true(b.failed);
    assert_int_equal(b.n, 64); /* the second request, for more than 64, was refused */
    assert_true(str_starts(buf_str(&b), STR("keptxxx")));
    mem_fail_at(0, 0);
    assert_false(buf_reserve(&b, 1));
    buf_clear(&b);
    mem_fail_at(1, 1);
    buf_printf(&b, "%*d", 300, 5);
    assert_true(b.failed);
    assert_int_equal(b.n, 0);
    mem_fail_at(0, 0);
    buf_free(&b);
}

TEST(printf_takes_texts_of_any_length)
{
    for (int n = 250; n < 260; n++) { /* around the size of the space on the stack */
        struct buf b = {.max = (size_t)n};
        buf_printf(&b, "%*d", n, 7);
        assert_false(b.failed);
        assert_int_equal(b.n, n);
        assert_int_equal(b.p[n - 1], '7');
        buf_printf(&b, "%s", "");
        assert_false(b.failed);
        buf_printf(&b, "%*d", 300, 7);
        assert_true(b.failed);
        assert_int_equal(b.n, n);
        buf_free(&b);
    }
}

TEST(sizes_that_overflow_fail)
{
    struct buf b = {0};
    buf_add_z(&b, "abc");
    assert_false(buf_reserve(&b, SIZE_MAX));
    assert_true(b.failed);
    buf_clear(&b);
    assert_false(buf_reserve(&b, SIZE_MAX - 3));
    buf_free(&b);
}

TEST(shift_drops_from_the_front)
{
    struct buf b = {0};
    buf_shift(&b, 0);
    buf_add_z(&b, "abcdef");
    buf_shift(&b, 2);
    assert_true(str_is(buf_str(&b), "cdef"));
    buf_shift(&b, 4);
    assert_int_equal(b.n, 0);
    buf_free(&b);
}

TEST(reserved_room_can_be_written_directly)
{
    struct buf b = {0};
    assert_true(buf_reserve(&b, 1000));
    memset(b.p + b.n, 'z', 1000);
    b.n += 1000;
    assert_int_equal(buf_str(&b).p[999], 'z');
    buf_free(&b);
}
