/* SPDX-License-Identifier: Apache-2.0 */
/* A list under a mutex, and a wake-up only for the first mail of a batch: a lone mail costs one
 * system call, a stream of them hardly any. Mail to oneself takes a list of its own without
 * lock or wake-up and is delivered in the same turn. */
#include "loop/loop_priv.h"

void mailbox_init(struct mailbox *b)
{
    pthread_mutex_init(&b->lock, NULL);
    b->last = &b->first;
    b->own_last = &b->own_first;
}

void mailbox_fini(struct mailbox *b)
{
    pthread_mutex_destroy(&b->lock);
}

void loop_post(struct loop *to, struct mail *mail)
{
    struct mailbox *b = &to->box;
    mail->next = NULL;
    if (loop_current() == to) {
        *b->own_last = mail;
        b->own_last = &mail->next;
        atomic_fetch_add_explicit(&b->own_waiting, 1, memory_order_relaxed);
        return;
    }
    pthread_mutex_lock(&b->lock);
    bool wake = !b->first;
    *b->last = mail;
    b->last = &mail->next;
    atomic_fetch_add_explicit(&b->waiting, 1, memory_order_relaxed);
    pthread_mutex_unlock(&b->lock);
    if (wake)
        uv_async_send(&to->async);
}

size_t loop_mail_waiting(const struct loop *l)
{
    return atomic_load_explicit(&l->box.waiting, memory_order_relaxed) +
           atomic_load_explicit(&l->box.own_waiting, memory_order_relaxed);
}

bool mailbox_is_empty(struct mailbox *b)
{
    return atomic_load_explicit(&b->waiting, memory_order_relaxed) == 0 && !b->own_first;
}

static struct mail *take(struct mailbox *b)
{
    if (atomic_load_explicit(&b->waiting, memory_order_relaxed) == 0)
        return NULL; /* one posted just now has sent a wake-up of its own */
    pthread_mutex_lock(&b->lock);
    struct mail *first = b->first;
    b->first = NULL;
    b->last = &b->first;
    atomic_store_explicit(&b->waiting, 0, memory_order_relaxed);
    pthread_mutex_unlock(&b->lock);
    return first;
}

static struct mail *take_own(struct mailbox *b)
{
    struct mail *first = b->own_first;
    b->own_first = NULL;
    b->own_last = &b->own_first;
    atomic_store_explicit(&b->own_waiting, 0, memory_order_relaxed);
    return first;
}

static void deliver(struct loop *l, struct mail *mail)
{
    while (mail) {
        struct mail *next = mail->next;
        mail->deliver(l, mail);
        mail = next;
    }
}

bool mailbox_deliver(struct loop *l)
{
    struct mail *others = take(&l->box);
    struct mail *own = take_own(&l->box);
    deliver(l, others);
    deliver(l, own);
    return others || own;
}
