/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"
#include "base/table.c"
#include "base/num.h"

struct thing {
    char name[24];
    size_t n;
    bool is_in, seen;
};

static struct str name_of(const void *record)
{
    const struct thing *t = record;
    return str_of(t->name, t->n);
}

static struct thing *things_new(size_t count)
{
    struct thing *all = mem_new(count * sizeof(*all));
    for (size_t i = 0; i < count; i++)
        all[i].n = num_put_u64(all[i].name, i);
    return all;
}

static void check_invariants(const struct table *t)
{
    uint32_t records = 0, used = 0;
    for (uint32_t i = 0; i < t->capacity; i++) {
        records += is_record(t->slots[i]);
        used += t->slots[i] != NULL;
    }
    assert_int_equal(records, t->count);
    assert_int_equal(used, t->used);
    assert_true(!t->capacity || used <= t->capacity / 4 * 3);
}

TEST(an_empty_table_answers)
{
    struct table t = {.key_of = name_of};
    size_t at = 0;
    assert_null(table_get(&t, STR("a")));
    assert_null(table_remove(&t, STR("a")));
    assert_null(table_next(&t, &at));
    table_free(&t);
}

TEST(a_record_takes_the_place_of_another_with_its_key)
{
    struct table t = {.key_of = name_of};
    struct thing one = {.name = "x", .n = 1}, two = {.name = "x", .n = 1};
    assert_null(table_put(&t, &one));
    assert_ptr_equal(table_put(&t, &two), &one);
    assert_int_equal(t.count, 1);
    assert_ptr_equal(table_get(&t, STR("x")), &two);
    table_free(&t);
}

TEST(it_agrees_with_a_list_after_many_changes)
{
    enum { COUNT = 500 };
    struct table t = {.key_of = name_of};
    struct thing *all = things_new(COUNT);
    uint64_t chance = 1;
    for (int step = 0; step < 20000; step++) {
        chance = chance * 6364136223846793005u + 1442695040888963407u;
        struct thing *x = &all[(chance >> 33) % COUNT];
        assert_ptr_equal(table_get(&t, name_of(x)), x->is_in ? x : NULL);
        if (x->is_in)
            assert_ptr_equal(table_remove(&t, name_of(x)), x);
        else if ((chance >> 60) || t.count < 100) /* it grows and shrinks */
            assert_null(table_put(&t, x));
        x->is_in = table_get(&t, name_of(x)) != NULL;
        if (step % 100 == 0)
            check_invariants(&t);
    }
    check_invariants(&t);
    table_free(&t);
    mem_free(all);
}

TEST(a_walk_meets_each_and_may_remove)
{
    enum { COUNT = 100 };
    struct table t = {.key_of = name_of};
    struct thing *all = things_new(COUNT), *x;
    for (size_t i = 0; i < COUNT; i++)
        table_put(&t, &all[i]);
    for (size_t at = 0; (x = table_next(&t, &at));) {
        assert_false(x->seen);
        x->seen = true;
        table_remove(&t, name_of(x));
        if (x != &all[0] && !all[0].seen) { /* another one, too */
            table_remove(&t, name_of(&all[0]));
            all[0].seen = true;
        }
    }
    for (size_t i = 0; i < COUNT; i++)
        assert_true(all[i].seen);
    assert_int_equal(t.count, 0);
    table_free(&t);
    mem_free(all);
}

TEST(ten_thousand_records_take_two_slots_each_at_most)
{
    enum { COUNT = 10000 };
    struct table t = {.key_of = name_of};
    struct thing *all = things_new(COUNT);
    for (size_t i = 0; i < COUNT; i++)
        table_put(&t, &all[i]);
    assert_true(t.capacity <= 2 * COUNT);
    table_free(&t);
    mem_free(all);
}
