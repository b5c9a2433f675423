/* SPDX-License-Identifier: Apache-2.0 */
/* The only door between threads. A mail is an intrusive struct that the sender allocates and
 * the receiver frees (or answers with). Mails from one loop to another arrive in order.
 * The target is woken by an eventfd only when its box was empty. */
#ifndef LOOP_MAILBOX_H
#define LOOP_MAILBOX_H

#include "loop/loop.h"

struct mail {
    struct mail *next;
    /* Runs on the target's thread; owns the mail. */
    void (*deliver)(struct loop *l, struct mail *mail);
};

/* Any thread. Never fails; queues are bounded by what may be in flight (limits upstream). */
void loop_post(struct loop *to, struct mail *mail);
/* Mails waiting in that box: for "too busy" answers and metrics. */
size_t loop_mail_waiting(const struct loop *l);

#endif
