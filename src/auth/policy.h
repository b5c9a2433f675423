/* SPDX-License-Identifier: Apache-2.0 */
/* Port for answers that rules cannot give: a query under row-level security (db) or the embedder's
 * word (server). Owned here, filled there, asked by session when auth_allows says AUTH_ASK.
 *
 * The question is the asker's memory and is the policy's from policy_ask until done runs, exactly
 * once, on the loop that asked, perhaps before policy_ask returns. Who loses interest meanwhile
 * (the session closed) puts another `done` there that only frees. A policy has a deadline of its
 * own and answers E_UNAVAILABLE when it passes: no answer is never a yes. */
#ifndef AUTH_POLICY_H
#define AUTH_POLICY_H

#include "auth/auth.h"

struct loop;
struct policy_question {
    struct identity *identity; /* the asker's reference, held until done */
    enum auth_op op;
    struct str channel; /* the asker's bytes, held until done */
    struct loop *home;  /* where done must run */
    /* err: 0 = yes, E_ACCESS_DENIED = no, others as they are (never a yes). */
    void (*done)(struct policy_question *q, int err);
    void *asker; /* for the asker's use */
    void *work;  /* for the policy's use */
};

struct policy;
struct policy_ops {
    const char *name;
    void (*ask)(struct policy *p, struct policy_question *q);
};
/* Embed as first member. */
struct policy {
    const struct policy_ops *ops;
};

/* Without a policy (NULL) the answer is E_ACCESS_DENIED. */
static inline void policy_ask(struct policy *p, struct policy_question *q)
{
    if (p)
        p->ops->ask(p, q);
    else
        q->done(q, E_ACCESS_DENIED);
}

#endif
