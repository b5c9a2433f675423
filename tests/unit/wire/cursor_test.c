/* SPDX-License-Identifier: Apache-2.0 */
/* Positions as text, and what a client might make of them. */
#include "test.h"
#include "wire/cursor.c"
#include "base/mem.h"

static struct arena a;
static struct cursor_place places[CURSOR_PLACES_MAX];
static size_t count;

static int decode(const char *text)
{
    return cursor_decode(str_from(text), &a, places, CURSOR_PLACES_MAX, &count);
}

TEST(an_id_goes_round)
{
    struct buf b = {0};
    struct str epoch;
    uint64_t offset;
    cursor_add_id(&b, STR("k3v9_A"), UINT64_MAX);
    assert_true(str_is(buf_str(&b), "k3v9_A-18446744073709551615"));
    assert_true(cursor_parse_id(buf_str(&b), &epoch, &offset));
    assert_true(str_is(epoch, "k3v9_A"));
    assert_true(offset == UINT64_MAX);
    assert_true(cursor_parse_id(STR("k-0"), &epoch, &offset));
    buf_free(&b);
}

TEST(what_is_no_id_is_refused)
{
    static const char *const wrong[] = {
        "k",          "k-",
        "-1",         "k--1",
        "k-+1",       "k-01",
        "k-00",       "k-1 ",
        " k-1",       "k-1-2",
        "k.1",        "k!-1",
        "\xc3\xa4-1", "k-18446744073709551616",
        "k-0x1",      "abcdefghijklmnopqrstuvwxyz0123456-1" /* 33 */,
        "k-1.0",      "k_-\n"};
    struct str epoch;
    uint64_t offset;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        if (cursor_parse_id(str_from(wrong[i]), &epoch, &offset))
            fail_msg("taken: %s", wrong[i]);
        assert_int_equal(decode(wrong[i]), E_BAD_REQUEST);
    }
    assert_true(cursor_parse_id(STR("abcdefghijklmnopqrstuvwxyz012345-1"), &epoch, &offset));
    assert_false(cursor_epoch_valid(STR("")));
    assert_false(cursor_epoch_valid(STR("a\0b")));
}

TEST(lists_keep_order_and_empty_places)
{
    assert_int_equal(decode("k3v9-41~~p0aa-7"), 0);
    assert_int_equal(count, 3);
    assert_true(str_is(places[0].epoch, "k3v9") && places[0].offset == 41);
    assert_int_equal(places[1].epoch.n, 0);
    assert_true(str_is(places[2].epoch, "p0aa") && places[2].offset == 7);
    struct buf b = {0};
    assert_int_equal(cursor_add_list(&b, places, 3), 0);
    assert_true(str_is(buf_str(&b), "k3v9-41~~p0aa-7"));
    buf_free(&b);
    assert_int_equal(decode(""), 0);
    assert_int_equal(count, 1);
    assert_int_equal(places[0].epoch.n, 0);
    assert_int_equal(decode("~"), 0);
    assert_int_equal(count, 2);
    assert_int_equal(decode("k-1~x"), E_BAD_REQUEST);
    assert_int_equal(cursor_decode(STR_NONE, &a, places, 1, &count), 0);
    assert_int_equal(cursor_decode(STR("k-1~k-2"), &a, places, 1, &count), E_TOO_LARGE);
}

TEST(lists_with_names_go_round)
{
    struct cursor_place in[4] = {{STR("chat-room-1"), STR("k3v9"), 41},
                                 {STR("\xc3\xa4~-."), STR("p"), UINT64_MAX},
                                 {STR("new"), STR_NONE, 0},
                                 {STR("x"), STR("e"), 300}};
    struct buf b = {0};
    assert_int_equal(cursor_add_named(&b, in, 4), 0);
    for (size_t i = 0; i < b.n; i++)
        assert_non_null(
            strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.", b.p[i]));
    assert_int_equal(cursor_decode(buf_str(&b), &a, places, 100, &count), 0);
    assert_int_equal(count, 4);
    for (size_t i = 0; i < 4; i++) {
        assert_true(str_eq(in[i].channel, places[i].channel));
        assert_true(str_eq(in[i].epoch, places[i].epoch));
        assert_true(in[i].offset == places[i].offset);
    }
    assert_int_equal(cursor_decode(buf_str(&b), &a, places, 3, &count), E_TOO_LARGE);
    /* every text that is cut off, or changed in one place, is refused or still well-formed */
    for (size_t n = 1; n < b.n; n++) {
        int r = cursor_decode(str_of(b.p, n), &a, places, 100, &count);
        assert_true(r == 0 || r == E_BAD_REQUEST);
        assert_true(count <= 4);
    }
    buf_free(&b);
    arena_free(&a);
}

static void packed(struct str bytes, int err)
{
    struct buf b = {0};
    buf_add_c(&b, '.');
    base64url_encode(&b, bytes);
    int r = cursor_decode(buf_str(&b), &a, places, 100, &count);
    if (r != err)
        fail_msg("%d instead of %d for %.*s", r, err, STR_ARG(buf_str(&b)));
    buf_free(&b);
    arena_free(&a);
}

TEST(packed_lists_are_checked)
{
    packed(STR("\1\1c\1e\5"), 0);
    packed(STR("\1\1c\0\0"), 0);
    packed(STR("\1\1c\1e\x80\1"), 0);
    packed(STR(""), E_BAD_REQUEST);
    packed(STR("\1"), E_BAD_REQUEST);
    packed(STR("\2\1c\1e\5"), E_BAD_REQUEST);
    packed(STR("\1\0\1e\5"), E_BAD_REQUEST);     /* no channel */
    packed(STR("\1\1c\0\5"), E_BAD_REQUEST);     /* offset without epoch */
    packed(STR("\1\1c\1-\5"), E_BAD_REQUEST);    /* no epoch of ours */
    packed(STR("\1\1\xff\1e\5"), E_BAD_REQUEST); /* not UTF-8 */
    packed(STR("\1\1c\1e"), E_BAD_REQUEST);
    packed(STR("\1\1c\1e\x80"), E_BAD_REQUEST);
    packed(STR("\1\1c\1e\x85\0"), E_BAD_REQUEST); /* not the shortest form */
    packed(STR("\1\1c\1e\xff\xff\xff\xff\xff\xff\xff\xff\xff\1"), 0);
    packed(STR("\1\1c\1e\xff\xff\xff\xff\xff\xff\xff\xff\xff\2"), E_BAD_REQUEST);
    packed(STR("\1\1c\1e\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\1"), E_BAD_REQUEST);
    packed(STR("\1\xff"
               "c\1e\5"),
           E_BAD_REQUEST);
    packed(STR("\1\1c\1e\5x"), E_BAD_REQUEST);
    assert_int_equal(decode("."), E_BAD_REQUEST);
    assert_int_equal(decode(".A"), E_BAD_REQUEST);
    assert_int_equal(decode(".AQFj_/"), E_BAD_REQUEST);
    assert_int_equal(decode(".AQFjAWUF="), E_BAD_REQUEST);
}

TEST(limits_hold_both_ways)
{
    static struct cursor_place many[CURSOR_PLACES_MAX + 1];
    static char name[CHANNEL_BYTES_MAX + 1];
    struct buf b = {0};
    memset(name, 'c', sizeof(name));
    for (size_t i = 0; i <= CURSOR_PLACES_MAX; i++)
        many[i] = (struct cursor_place){str_of(name, CHANNEL_BYTES_MAX), STR("abcd"), i};
    assert_int_equal(cursor_add_list(&b, many, CURSOR_PLACES_MAX), 0);
    assert_int_equal(cursor_decode(buf_str(&b), &a, places, 100, &count), 0);
    assert_int_equal(count, 100);
    buf_add_z(&b, "~");
    assert_int_equal(cursor_decode(buf_str(&b), &a, places, 100, &count), E_TOO_LARGE);
    buf_clear(&b);
    assert_int_equal(cursor_add_list(&b, many, CURSOR_PLACES_MAX + 1), E_TOO_LARGE);
    assert_int_equal(cursor_add_named(&b, many, CURSOR_PLACES_MAX + 1), E_TOO_LARGE);
    assert_int_equal(cursor_add_named(&b, many, CURSOR_PLACES_MAX), E_TOO_LARGE); /* bytes */
    assert_int_equal(b.n, 0);
    assert_false(b.failed);
    assert_int_equal(cursor_add_named(&b, many, 40), 0);
    assert_int_equal(cursor_decode(buf_str(&b), &a, places, 100, &count), 0);
    assert_int_equal(count, 40);
    buf_clear(&b);
    many[0].channel.n++;
    assert_int_equal(cursor_add_named(&b, many, 1), E_TOO_LARGE);
    for (int i = 0; i <= CURSOR_BYTES_MAX; i++)
        buf_add_c(&b, 'a');
    assert_int_equal(cursor_decode(buf_str(&b), &a, places, 100, &count), E_TOO_LARGE);
    buf_free(&b);
    arena_free(&a);
}

TEST(each_allocation_may_fail)
{
    struct cursor_place in[2] = {{STR("a"), STR("k"), 1}, {STR("b"), STR("p"), 2}};
    for (long n = 1; n < 6; n++) {
        struct buf b = {0};
        mem_fail_at(n, 0);
        int r = cursor_add_named(&b, in, 2);
        mem_fail_at(0, 0);
        assert_int_equal(r == 0, !b.failed);
        assert_true(r == 0 || r == E_NO_MEMORY);
        buf_free(&b);
        cursor_add_named(&b, in, 2);
        mem_fail_at(n, 0);
        r = cursor_decode(buf_str(&b), &a, places, 100, &count);
        mem_fail_at(0, 0);
        assert_true(r == 0 || r == E_NO_MEMORY);
        assert_true(n > 1 || r == E_NO_MEMORY);
        buf_free(&b);
        arena_free(&a);
    }
}
