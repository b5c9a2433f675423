/* SPDX-License-Identifier: Apache-2.0 */
/* Mail between loops: order, no loss, same-turn delivery to oneself. */
#include "rig.h"
#include "loop/mailbox.c"

enum { LOOPS = 4, EACH = 5000 };

struct numbered {
    struct mail mail;
    unsigned from, number;
};
static unsigned seen[LOOPS][LOOPS]; /* [to][from]: written by `to` only */
static atomic_uint disorder, delivered;

static void check(struct loop *l, struct mail *mail)
{
    struct numbered *m = LIST_OF(mail, struct numbered, mail);
    if (seen[loop_index(l)][m->from] != m->number)
        atomic_fetch_add(&disorder, 1);
    seen[loop_index(l)][m->from] = m->number + 1;
    atomic_fetch_add(&delivered, 1);
    mem_free(m);
}

static void send_to_all(struct loop *l, void *arg)
{
    (void)arg;
    for (unsigned i = 0; i < EACH; i++)
        for (unsigned to = 0; to < LOOPS; to++) {
            struct numbered *m = mem_new(sizeof(*m));
            *m = (struct numbered){.mail.deliver = check, .from = loop_index(l), .number = i};
            loop_post(loops_at(loop_siblings(l), to), &m->mail);
        }
}

TEST(mails_from_one_loop_to_another_arrive_in_order_and_none_is_lost)
{
    struct rig r;
    memset(seen, 0, sizeof(seen));
    atomic_store(&disorder, 0);
    atomic_store(&delivered, 0);
    rig_begin(&r, LOOPS);
    rig_run(&r);
    struct rig_call calls[LOOPS];
    for (unsigned i = 0; i < LOOPS; i++) {
        calls[i] = (struct rig_call){.mail.deliver = rig_deliver, .fn = send_to_all};
        sem_init(&calls[i].done, 0, 0);
        loop_post(loops_at(r.ls, i), &calls[i].mail);
    }
    for (unsigned i = 0; i < LOOPS; i++) {
        while (sem_wait(&calls[i].done) != 0)
            ;
        sem_destroy(&calls[i].done);
    }
    rig_join(&r); /* delivers what is still in the boxes */
    assert_int_equal(atomic_load(&delivered), LOOPS * LOOPS * EACH);
    assert_int_equal(atomic_load(&disorder), 0);
    rig_end(&r);
}

struct relay {
    struct mail mail;
    struct turn_task task;
    unsigned left;
    bool freed, same_turn;
    sem_t done;
};
static void relay_free(struct loop *l, struct turn_task *task)
{
    struct relay *m = LIST_OF(task, struct relay, task);
    (void)l;
    m->freed = true;
    sem_post(&m->done);
}
static void relay_on(struct loop *l, struct mail *mail)
{
    struct relay *m = LIST_OF(mail, struct relay, mail);
    loop_at_turn_end(l, TURN_FREE, &m->task);
    m->same_turn = !m->freed;
    if (m->left-- > 1)
        loop_post(l, &m->mail);
}

TEST(mail_to_oneself_is_delivered_in_the_same_turn)
{
    struct rig r;
    struct relay m = {.mail.deliver = relay_on, .task.run = relay_free, .left = 4};
    sem_init(&m.done, 0, 0);
    rig_begin(&r, 1);
    rig_run(&r);
    loop_post(loops_at(r.ls, 0), &m.mail);
    while (sem_wait(&m.done) != 0)
        ;
    rig_join(&r);
    assert_int_equal(m.left, 0);
    assert_true(m.same_turn);
    sem_destroy(&m.done);
    rig_end(&r);
}

static void count_only(struct loop *l, struct mail *mail)
{
    (void)l;
    atomic_fetch_add(&delivered, 1);
    mem_free(mail);
}

TEST(mail_posted_before_the_run_and_after_the_stop_is_delivered)
{
    struct rig r;
    atomic_store(&delivered, 0);
    rig_begin(&r, 2);
    for (int i = 0; i < 10; i++) {
        struct mail *m = mem_new(sizeof(*m));
        m->deliver = count_only;
        loop_post(loops_at(r.ls, (unsigned)i % 2), m);
    }
    assert_int_equal(loop_mail_waiting(loops_at(r.ls, 0)), 5);
    rig_run(&r);
    rig_join(&r);
    assert_int_equal(atomic_load(&delivered), 10);
    assert_int_equal(loop_mail_waiting(loops_at(r.ls, 0)), 0);
    struct mail *late = mem_new(sizeof(*late));
    late->deliver = count_only;
    loop_post(loops_at(r.ls, 1), late);
    rig_end(&r);
    assert_int_equal(atomic_load(&delivered), 11);
}
