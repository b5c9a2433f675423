/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "wire/delta.c"

#include "base/arena.h"
#include "base/mem.h"
#include "wire/jsonscan.h"

#include <stdio.h>
#include <stdlib.h>

/* Rebuilds as a client does. */
static void rebuild(struct str base, struct str delta, struct buf *out)
{
    struct arena a = {0};
    struct jsonscan_member step;
    struct jsonscan_iter it = jsonscan_iter(delta);
    size_t at = 0;
    assert_int_equal(jsonscan_check(delta, 4, NULL), 0);
    while (jsonscan_next(&it, &a, &step) > 0) {
        int64_t n;
        struct str text;
        if (step.value.type == JSONSCAN_STRING) {
            assert_int_equal(jsonscan_string(step.value.raw, &a, &text), 0);
            buf_add_str(out, text);
            continue;
        }
        assert_true(jsonscan_i64(step.value.raw, &n));
        assert_true(n != 0);
        size_t count = (size_t)(n > 0 ? n : -n);
        assert_true(at + count <= base.n);
        if (n > 0)
            buf_add(out, base.p + at, count);
        at += count;
    }
    arena_free(&a);
}

static void check_pair(struct str base, struct str target, size_t bytes_max)
{
    struct buf delta = {0}, made = {0};
    uint32_t sum;
    if (delta_add(&delta, base, target, &sum)) {
        rebuild(base, buf_str(&delta), &made);
        assert_int_equal(made.n, target.n);
        assert_memory_equal(made.p, target.p, target.n);
        assert_int_equal(sum, (uint32_t)crc32(0, (const Bytef *)target.p, (uInt)target.n));
        assert_true(delta.n <= bytes_max);
    } else {
        assert_int_equal(delta.n, 0);
        assert_true(bytes_max == SIZE_MAX);
    }
    buf_free(&delta);
    buf_free(&made);
}

static void fill_document(struct buf *b, int changed_a, int changed_b)
{
    buf_add_c(b, '{');
    for (int i = 0; i < 60; i++)
        buf_printf(b, "%s\"field-%d\":\"value é %d\"", i ? "," : "", i,
                   i == changed_a || i == changed_b ? i + 1000 : i);
    buf_add_c(b, '}');
}

TEST(one_changed_field_of_two_kilobytes_costs_little)
{
    struct buf base = {0}, target = {0};
    fill_document(&base, -1, -1);
    fill_document(&target, 30, -1);
    check_pair(buf_str(&base), buf_str(&target), 40);
    buf_clear(&target);
    fill_document(&target, 3, 55);
    check_pair(buf_str(&base), buf_str(&target), 120);
    buf_free(&base);
    buf_free(&target);
}

TEST(equal_texts_and_texts_with_nothing_in_common)
{
    check_pair(STR("{\"a\":1,\"b\":\"the same text all along\"}"),
               STR("{\"a\":1,\"b\":\"the same text all along\"}"), 8);
    check_pair(STR("xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"), STR("yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy"),
               SIZE_MAX);
    check_pair(STR(""), STR("{\"a\":\"a new text that has no base\"}"), SIZE_MAX);
    check_pair(STR("short"), STR("short"), SIZE_MAX);
}

TEST(cuts_fall_between_characters)
{
    /* é is c3 a9, è is c3 a8: the common head ends inside a character. */
    check_pair(STR("{\"a\":\"é and a long tail of forty bytes or so.......\"}"),
               STR("{\"a\":\"è and a long tail of forty bytes or so.......\"}"), 24);
    check_pair(STR("{\"long head of forty bytes or so, or more\":\"x\xf0\x9f\x98\x80\"}"),
               STR("{\"long head of forty bytes or so, or more\":\"x\xf0\x9f\x99\x80\"}"), 24);
}

TEST(chance_edits_are_rebuilt)
{
    srand(7);
    for (int round = 0; round < 2000; round++) {
        struct buf base = {0}, target = {0};
        fill_document(&base, rand() % 60, rand() % 60);
        fill_document(&target, rand() % 60, rand() % 60);
        size_t cut = (size_t)rand() % target.n;
        while (!is_boundary(buf_str(&target), cut))
            cut--;
        if (round % 3 == 0) { /* moved */
            struct buf moved = {0};
            buf_add(&moved, target.p + cut, target.n - cut);
            buf_add(&moved, target.p, cut);
            buf_free(&target);
            target = moved;
        }
        check_pair(buf_str(&base), buf_str(&target), SIZE_MAX);
        buf_free(&base);
        buf_free(&target);
    }
}
