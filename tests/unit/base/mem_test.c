/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"
#include "base/mem.c"
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static bool stops(void (*fn)(void))
{
    int status = 0;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        close(STDERR_FILENO); /* the words of check_failed are not asked here */
        fn();
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

static void ask_for_too_much(void)
{
    mem_new(SIZE_MAX / 2);
}

static void grow_past_the_end(void)
{
    size_t capacity = 0;
    mem_grow(NULL, &capacity, SIZE_MAX / 8, 16);
}

TEST(new_memory_is_zero_even_for_no_bytes)
{
    static const char zero[1000];
    char *p = mem_new(1000), *none = mem_new(0);
    assert_memory_equal(p, zero, 1000);
    assert_non_null(none);
    mem_free(p);
    mem_free(none);
    mem_free(NULL);
}

TEST(sizes_gone_wrong_give_null_or_stop)
{
    assert_null(mem_try(SIZE_MAX));
    assert_null(mem_try(SIZE_MAX / 2));
    char *p = mem_try(4);
    assert_null(mem_try_resize(p, SIZE_MAX));
    memset(p, 1, 4); /* still ours */
    mem_free(p);
    assert_true(stops(ask_for_too_much));
    assert_true(stops(grow_past_the_end));
}

TEST(the_nth_request_fails_once)
{
    mem_fail_at(2, 0);
    void *a = mem_try(1), *b = mem_try(1), *c = mem_try_resize(a, 100);
    assert_non_null(a);
    assert_null(b);
    assert_non_null(c);
    assert_int_equal(mem_tries(), 3);
    mem_free(c);
    mem_fail_at(0, 0);
}

TEST(the_nth_request_and_all_after_it_fail)
{
    mem_fail_at(1, 1);
    assert_null(mem_try(1));
    assert_null(mem_try(1));
    assert_int_equal(mem_tries(), 2);
    void *small = mem_new(1); /* not a request a client can make large */
    mem_fail_at(0, 0);
    void *p = mem_try(1);
    assert_non_null(p);
    assert_int_equal(mem_tries(), 1);
    mem_free(p);
    mem_free(small);
}

static void *hundred_tries(void *arg)
{
    atomic_int *failed = arg;
    for (int i = 0; i < 100; i++) {
        void *p = mem_try(8);
        if (!p)
            atomic_fetch_add(failed, 1);
        mem_free(p);
    }
    return NULL;
}

TEST(one_request_of_all_threads_fails)
{
    pthread_t threads[4];
    atomic_int failed = 0;
    mem_fail_at(150, 0);
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, hundred_tries, &failed), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(mem_tries(), 400);
    assert_int_equal(failed, 1);
    mem_fail_at(0, 0);
}

TEST(growing_doubles_and_keeps_what_was_there)
{
    size_t capacity = 0;
    int *p = mem_grow(NULL, &capacity, 1, sizeof(int));
    assert_int_equal(capacity, 8);
    for (int i = 0; i < 8; i++)
        p[i] = i;
    assert_ptr_equal(mem_grow(p, &capacity, 8, sizeof(int)), p);
    p = mem_grow(p, &capacity, 9, sizeof(int));
    assert_int_equal(capacity, 16);
    p = mem_grow(p, &capacity, 1000, sizeof(int));
    assert_int_equal(capacity, 1024);
    p[1023] = 1;
    for (int i = 0; i < 8; i++)
        assert_int_equal(p[i], i);
    mem_free(p);
}
