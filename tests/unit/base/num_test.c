/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"
#include "base/num.c"

#define REFUSED INT64_MIN + 1

static int64_t i64(const char *z)
{
    int64_t v;
    return num_i64(str_from(z), &v) ? v : REFUSED;
}

static int64_t duration(const char *z)
{
    int64_t v;
    return num_duration_ms(str_from(z), &v) ? v : REFUSED;
}

static int64_t size(const char *z)
{
    int64_t v;
    return num_size(str_from(z), &v) ? v : REFUSED;
}

TEST(u64_takes_digits_up_to_its_end)
{
    uint64_t v = 7;
    assert_true(num_u64(STR("0"), &v) && v == 0);
    assert_true(num_u64(STR("007"), &v) && v == 7);
    assert_true(num_u64(STR("18446744073709551615"), &v) && v == UINT64_MAX);
    v = 7;
    static const char *const refused[] = {"18446744073709551616",
                                          "99999999999999999999",
                                          "000000000000000000001",
                                          "",
                                          "-1",
                                          "+1",
                                          " 1",
                                          "1 ",
                                          "1.0",
                                          "0x1",
                                          "1e3",
                                          "\xd9\xa1",
                                          "1_000"};
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
        if (num_u64(str_from(refused[i]), &v))
            fail_msg("took '%s'", refused[i]);
    assert_false(num_u64(STR("1\0"), &v));
    assert_false(num_u64(STR_NONE, &v));
    assert_true(v == 7); /* untouched when refused */
}

TEST(i64_takes_a_minus_and_both_ends)
{
    assert_true(i64("-9223372036854775808") == INT64_MIN);
    assert_true(i64("9223372036854775807") == INT64_MAX);
    assert_true(i64("-0") == 0);
    assert_true(i64("9223372036854775808") == REFUSED);
    assert_true(i64("-9223372036854775809") == REFUSED);
    assert_true(i64("-18446744073709551615") == REFUSED);
    assert_true(i64("-") == REFUSED);
    assert_true(i64("--1") == REFUSED);
    assert_true(i64("+1") == REFUSED);
    assert_true(i64("") == REFUSED);
}

TEST(hex_takes_one_to_sixteen_digits)
{
    uint64_t v;
    assert_true(num_hex64(STR("fFfFfFfFfFfFfFfF"), &v) && v == UINT64_MAX);
    assert_true(num_hex64(STR("0a9"), &v) && v == 0xa9);
    assert_false(num_hex64(STR("10000000000000000"), &v));
    assert_false(num_hex64(STR(""), &v));
    assert_false(num_hex64(STR("g"), &v));
    assert_false(num_hex64(STR("0x1"), &v));
    /* neighbours of the digits and letters */
    assert_false(num_hex64(STR("/"), &v) || num_hex64(STR(":"), &v) || num_hex64(STR("@"), &v));
    assert_false(num_hex64(STR("`"), &v) || num_hex64(STR("G"), &v));
}

TEST(durations_have_units_and_no_overflow)
{
    assert_true(duration("0") == 0);
    assert_true(duration("250") == 250);
    assert_true(duration("250ms") == 250);
    assert_true(duration("5s") == 5000);
    assert_true(duration("2m") == 120000);
    assert_true(duration("1h") == 3600000);
    assert_true(duration("7d") == 604800000);
    assert_true(duration("9223372036854775807") == INT64_MAX);
    assert_true(duration("9223372036854775807ms") == INT64_MAX);
    assert_true(duration("9223372036854776s") == REFUSED);
    assert_true(duration("9223372036854775808") == REFUSED);
    assert_true(duration("-1s") == REFUSED);
    assert_true(duration("1.5s") == REFUSED);
    assert_true(duration("1 s") == REFUSED);
    assert_true(duration("s") == REFUSED);
    assert_true(duration("1S") == REFUSED);
    assert_true(duration("1sec") == REFUSED);
    assert_true(duration("1h30m") == REFUSED);
    assert_true(duration("") == REFUSED);
}

TEST(sizes_know_powers_of_two_and_of_ten)
{
    assert_true(size("1") == 1);
    assert_true(size("1B") == 1);
    assert_true(size("64KiB") == 65536);
    assert_true(size("1MiB") == 1048576);
    assert_true(size("2GiB") == 2147483648);
    assert_true(size("10kB") == 10000);
    assert_true(size("5MB") == 5000000);
    assert_true(size("8589934592GiB") == REFUSED);
    assert_true(size("8589934591GiB") == 9223372035781033984);
    assert_true(size("1K") == REFUSED);
    assert_true(size("1kb") == REFUSED);
    assert_true(size("1KB") == REFUSED);
    assert_true(size("KiB") == REFUSED);
}

TEST(written_digits_read_back)
{
    static const uint64_t values[] = {0, 9, 10, 99, 100, 4294967296, UINT64_MAX};
    char digits[20];
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        uint64_t back;
        size_t n = num_put_u64(digits, values[i]);
        assert_true(num_u64(str_of(digits, n), &back) && back == values[i]);
    }
    assert_int_equal(num_put_u64(digits, UINT64_MAX), 20);
}
