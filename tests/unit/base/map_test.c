/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"
#include "base/map.c"
#include "base/num.h"

struct thing {
    char name[24];
    size_t n;
    bool seen;
};

static struct str name_of(struct thing *t, size_t i)
{
    t->n = num_put_u64(t->name, i);
    return str_of(t->name, t->n);
}

static void check_invariants(const struct map *m)
{
    size_t values = 0, used = 0;
    for (size_t i = 0; i < m->capacity; i++) {
        values += m->slots[i].value != NULL;
        used += m->slots[i].value || m->slots[i].hash == TOMBSTONE;
    }
    assert_int_equal(values, m->count);
    assert_int_equal(used, m->used);
    assert_true(m->used * 4 <= m->capacity * 3);
}

TEST(an_empty_map_answers)
{
    struct map m = {0};
    size_t at = 0;
    assert_null(map_get(&m, STR("a")));
    assert_null(map_remove(&m, STR("a")));
    assert_null(map_next(&m, &at));
    map_free(&m);
}

TEST(the_empty_key_is_a_key)
{
    struct map m = {0};
    int v;
    assert_null(map_put(&m, STR_NONE, &v));
    assert_ptr_equal(map_get(&m, STR("")), &v);
    assert_null(map_get(&m, STR("a")));
    assert_ptr_equal(map_remove(&m, STR("")), &v);
    map_free(&m);
}

TEST(replacing_takes_the_new_key_too)
{
    struct map m = {0};
    char old_key[] = "room", new_key[] = "room";
    int one, two;
    assert_null(map_put(&m, str_from(old_key), &one));
    assert_ptr_equal(map_put(&m, str_from(new_key), &two), &one);
    assert_int_equal(m.count, 1);
    memset(old_key, 'x', 4); /* the old value and its key are gone */
    assert_ptr_equal(map_get(&m, STR("room")), &two);
    assert_ptr_equal(map_remove(&m, STR("room")), &two);
    assert_null(map_get(&m, STR("room")));
    map_free(&m);
}

TEST(keys_that_begin_alike_differ)
{
    struct map m = {0};
    int a, b, c;
    map_put(&m, STR("a"), &a);
    map_put(&m, STR("a\0"), &b);
    map_put(&m, STR("a\0\0"), &c);
    assert_ptr_equal(map_get(&m, STR("a")), &a);
    assert_ptr_equal(map_get(&m, STR("a\0")), &b);
    assert_ptr_equal(map_get(&m, STR("a\0\0")), &c);
    map_free(&m);
}

#define MANY 100000

TEST(a_hundred_thousand_keys_are_found_walked_and_removed_while_walking)
{
    struct map m = {0};
    struct thing *things = mem_new(MANY * sizeof(*things));
    for (size_t i = 0; i < MANY; i++)
        assert_null(map_put(&m, name_of(&things[i], i), &things[i]));
    check_invariants(&m);
    for (size_t i = 0; i < MANY; i++)
        assert_ptr_equal(map_get(&m, str_of(things[i].name, things[i].n)), &things[i]);
    assert_null(map_get(&m, STR("100000")));
    size_t at = 0, walked = 0;
    struct thing *t;
    while ((t = map_next(&m, &at))) {
        assert_false(t->seen);
        t->seen = true;
        walked++;
        if ((t - things) % 3) /* two of three go */
            assert_ptr_equal(map_remove(&m, str_of(t->name, t->n)), t);
    }
    assert_int_equal(walked, MANY);
    assert_int_equal(m.count, (MANY + 2) / 3);
    check_invariants(&m);
    for (size_t i = 0; i < MANY; i++)
        assert_ptr_equal(map_get(&m, str_of(things[i].name, things[i].n)),
                         i % 3 ? NULL : &things[i]);
    map_free(&m);
    assert_int_equal(m.capacity, 0);
    mem_free(things);
}

/* The life of a busy server: few keys at a time, always other ones. */
TEST(coming_and_going_does_not_grow_the_table)
{
    struct map m = {0};
    static struct thing ring[10];
    for (size_t i = 0; i < 100000; i++) {
        struct thing *t = &ring[i % 10];
        if (i >= 10)
            assert_ptr_equal(map_remove(&m, str_of(t->name, t->n)), t);
        assert_null(map_put(&m, name_of(t, i), t));
        if (i % 1000 == 0)
            check_invariants(&m);
    }
    assert_int_equal(m.count, 10);
    assert_true(m.capacity <= 64);
    map_free(&m);
}

/* Against a plain array of booleans, with a random walk of a fixed seed. */
TEST(a_random_life_agrees_with_a_table)
{
    struct map m = {0};
    static struct thing things[500];
    uint64_t chance = 88172645463325252;
    for (size_t i = 0; i < 500; i++)
        name_of(&things[i], i);
    for (int step = 0; step < 200000; step++) {
        chance ^= chance << 13;
        chance ^= chance >> 7;
        chance ^= chance << 17;
        struct thing *t = &things[chance % 500];
        struct str key = str_of(t->name, t->n);
        void *expected = t->seen ? t : NULL;
        if (chance >> 60 < 8)
            assert_ptr_equal(map_put(&m, key, t), expected);
        else
            assert_ptr_equal(map_remove(&m, key), expected);
        t->seen = chance >> 60 < 8;
        assert_ptr_equal(map_get(&m, key), t->seen ? t : NULL);
    }
    check_invariants(&m);
    map_free(&m);
}
