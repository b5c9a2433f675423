/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"
#include "base/ref.h"
#include <pthread.h>

static struct ref shared;
static atomic_int freed;

static void *take_and_drop(void *arg)
{
    (void)arg;
    for (int i = 0; i < 10000; i++) {
        ref_take(&shared);
        if (ref_drop(&shared))
            atomic_fetch_add(&freed, 1);
    }
    if (ref_drop(&shared))
        atomic_fetch_add(&freed, 1);
    return NULL;
}

TEST(exactly_one_drop_is_the_last)
{
    pthread_t threads[4];
    ref_init(&shared);
    ref_take_n(&shared, 4);
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, take_and_drop, NULL), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(freed, 0);
    assert_true(ref_drop(&shared));
}
