/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"
#include "base/arena.c"

TEST(pieces_are_aligned_and_do_not_overlap)
{
    struct arena a = {0};
    char *pieces[300];
    for (int i = 0; i < 300; i++) {
        pieces[i] = arena_alloc(&a, (size_t)i);
        assert_non_null(pieces[i]);
        assert_int_equal((uintptr_t)pieces[i] % alignof(max_align_t), 0);
        memset(pieces[i], i, (size_t)i);
    }
    for (int i = 0; i < 300; i++)
        for (int k = 0; k < i; k++)
            assert_int_equal((unsigned char)pieces[i][k], (unsigned char)i);
    arena_free(&a);
    assert_null(a.chunks);
    arena_free(&a);
}

TEST(zeroed_memory_is_zero_also_after_a_reset)
{
    static const char zero[100];
    struct arena a = {0};
    memset(arena_alloc(&a, 100), 0xff, 100);
    arena_reset(&a);
    assert_memory_equal(arena_zero(&a, 100), zero, 100);
    arena_free(&a);
}

TEST(max_bounds_it_and_reset_gives_the_room_back)
{
    struct arena a = {.max = 64};
    assert_non_null(arena_alloc(&a, 33)); /* 48 of 64 */
    assert_null(arena_alloc(&a, 17));
    assert_non_null(arena_alloc(&a, 16));
    assert_null(arena_alloc(&a, 1));
    assert_null(arena_dup(&a, STR("x")).p);
    arena_reset(&a);
    assert_non_null(arena_alloc(&a, 64));
    assert_null(arena_alloc(&a, SIZE_MAX));
    assert_null(arena_zero(&a, SIZE_MAX - 8));
    arena_free(&a);
}

TEST(reset_keeps_the_first_chunk_and_frees_the_others)
{
    struct arena a = {0};
    char *first = arena_alloc(&a, 10);
    for (int i = 0; i < 100; i++)
        arena_alloc(&a, 1000);
    assert_non_null(a.chunks->older);
    arena_reset(&a);
    assert_non_null(a.chunks);
    assert_null(a.chunks->older);
    assert_int_equal(a.used, 0);
    assert_ptr_equal(arena_alloc(&a, 10), first);
    arena_free(&a);
}

TEST(a_huge_first_chunk_does_not_stay)
{
    struct arena a = {0};
    assert_non_null(arena_alloc(&a, 1 << 20));
    arena_reset(&a);
    assert_null(a.chunks);
    assert_non_null(arena_alloc(&a, 10));
    arena_free(&a);
}

TEST(a_copy_ends_with_nul)
{
    struct arena a = {0};
    struct str copy = arena_dup(&a, STR("a\0b"));
    assert_int_equal(copy.n, 3);
    assert_memory_equal(copy.p, "a\0b", 4);
    copy = arena_dup(&a, STR_NONE);
    assert_string_equal(copy.p, "");
    arena_free(&a);
}

TEST(without_memory_it_answers_null_and_stays_usable)
{
    struct arena a = {0};
    mem_fail_at(1, 1);
    assert_null(arena_alloc(&a, 10));
    assert_null(arena_zero(&a, 10));
    assert_null(arena_dup(&a, STR("x")).p);
    assert_int_equal(a.used, 0);
    mem_fail_at(0, 0);
    assert_non_null(arena_alloc(&a, 10));
    arena_free(&a);
}

TEST(a_sure_arena_asks_for_what_must_be_there)
{
    struct arena a = {.is_sure = true};
    mem_fail_at(1, 1);
    assert_non_null(arena_zero(&a, 100000));
    assert_true(str_is(arena_dup(&a, STR("kept")), "kept"));
    mem_fail_at(0, 0);
    arena_free(&a);
}
