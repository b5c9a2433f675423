/* SPDX-License-Identifier: Apache-2.0 */
/* A mutex held for the length of a post: strangers are few, and loops do not pass here. */
#include "loop/door.h"

#include "base/mem.h"
#include "loop/loop_priv.h"

struct door {
    pthread_mutex_t lock;
    struct loops *loops; /* NULL: shut */
};

struct door *door_new(void)
{
    struct door *d = mem_new(sizeof(*d));
    pthread_mutex_init(&d->lock, NULL);
    return d;
}

void door_free(struct door **d)
{
    if (!*d)
        return;
    pthread_mutex_destroy(&(*d)->lock);
    mem_free(*d);
    *d = NULL;
}

static void set(struct door *d, struct loops *ls)
{
    pthread_mutex_lock(&d->lock);
    d->loops = ls;
    pthread_mutex_unlock(&d->lock);
}

void door_open(struct door *d, struct loops *ls)
{
    set(d, ls);
}

void door_shut(struct door *d)
{
    set(d, NULL);
}

bool door_post(struct door *d, unsigned loop, struct mail *mail)
{
    pthread_mutex_lock(&d->lock);
    struct loops *ls = d->loops;
    if (ls)
        loop_post(loops_at(ls, loop), mail);
    pthread_mutex_unlock(&d->lock);
    return ls != NULL;
}
