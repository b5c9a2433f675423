/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "loop/door.c"
#include <stdatomic.h>
#include <stdio.h>

static atomic_uint delivered, passed;

static void on_mail(struct loop *l, struct mail *mail)
{
    (void)l;
    atomic_fetch_add(&delivered, 1);
    mem_free(mail);
}

struct stranger {
    pthread_t thread;
    struct door *door;
    unsigned number;
    atomic_bool *is_over;
};

static void *knock(void *arg)
{
    struct stranger *me = arg;
    while (!atomic_load(me->is_over)) {
        if (atomic_load(&passed) - atomic_load(&delivered) > 1000) {
            sched_yield();
            continue;
        }
        struct mail *mail = mem_new(sizeof(*mail));
        mail->deliver = on_mail;
        if (door_post(me->door, me->number % 2, mail))
            atomic_fetch_add(&passed, 1);
        else
            mem_free(mail);
    }
    return NULL;
}

TEST(a_shut_door_leaves_the_mail_with_its_sender)
{
    struct door *d = door_new();
    struct mail mail = {.deliver = on_mail};
    assert_false(door_post(d, 0, &mail));
    door_free(&d);
    assert_null(d);
    door_free(&d);
}

TEST(what_passed_is_delivered_and_nothing_passes_later_however_many_are_at_it)
{
    struct door *d = door_new();
    struct stranger strangers[4];
    atomic_bool is_over = false;
    atomic_store(&delivered, 0);
    for (int i = 0; i < 4; i++) {
        strangers[i] = (struct stranger){.door = d, .number = (unsigned)i, .is_over = &is_over};
        assert_int_equal(pthread_create(&strangers[i].thread, NULL, knock, &strangers[i]), 0);
    }
    for (int round = 0; round < 3; round++) { /* they do not know that the loops are others */
        struct loops *ls = loops_new(2);
        unsigned before = atomic_load(&delivered);
        door_open(d, ls);
        loops_start(ls);
        while (atomic_load(&delivered) < before + 100)
            sched_yield();
        loops_stop(ls);
        loops_join(ls);
        door_shut(d);
        loops_settle(ls);
        loops_free(&ls);
    }
    atomic_store(&is_over, true);
    for (int i = 0; i < 4; i++)
        pthread_join(strangers[i].thread, NULL);
    assert_int_equal(atomic_load(&passed), atomic_load(&delivered));
    door_free(&d);
}
