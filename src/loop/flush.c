/* SPDX-License-Identifier: Apache-2.0 */
/* One batch call for all connections that were marked in a turn. Two ways behind it: one
 * send/sendmsg each, or (ring.c) one io_uring submission for all small ones; which, is decided
 * while running, since containers and sysctls may forbid the ring.
 * A connection that the kernel takes more from than one call gives (TLS, long queues) gets a
 * few calls a turn and stays marked for the next one, so that one big answer delays nobody. */
#include "loop/sock_priv.h"
#include "base/check.h"
#include "base/err.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include <errno.h>
#include <stdlib.h>

enum { CALLS_MAX = 4, ROUNDS_MAX = 4, RING_DIRTY_MIN = 4 };

void flush_mark(struct sock *s)
{
    if (s->dirty || s->state == SOCK_DEAD)
        return;
    struct flush *f = &s->loop->flush;
    s->dirty = true;
    f->dirty = mem_grow(f->dirty, &f->capacity, f->count + 1, sizeof(f->dirty[0]));
    f->dirty[f->count++] = s;
}

/* For a sock that is freed while marked (closed between two flushes). */
void flush_forget(struct sock *s)
{
    struct flush *f = &s->loop->flush;
    if (!s->dirty)
        return;
    for (size_t i = 0; i < f->count; i++)
        if (f->dirty[i] == s)
            f->dirty[i] = f->dirty[--f->count];
    s->dirty = false;
}

void flush_result(struct sock *s, size_t offered, long result)
{
    if (result < 0) {
        s->writable = false;
        if (result != -EAGAIN && result != -EINTR && result != -ENOBUFS && result != -ENOMEM)
            sock_die(s, E_CLOSED);
        else if (result != -EAGAIN)
            s->writable = true; /* no event will come: try again in the next turn */
        return;
    }
    metric_add(M_BYTES_SENT, result);
    if ((size_t)result < offered)
        s->writable = false;
    sock_out_took(s, (size_t)result);
}

static void write_one(struct sock *s)
{
    struct iovec iov[OUT_IOV_MAX];
    for (int call = 0; call < CALLS_MAX && s->writable && s->state != SOCK_DEAD; call++) {
        size_t bytes;
        size_t count = sock_out_gather(s, iov, OUT_IOV_MAX, &bytes);
        if (count == 0)
            return;
        struct msghdr m = {.msg_iov = iov, .msg_iovlen = count};
        ssize_t n = count == 1 ? send(s->watch.fd, iov[0].iov_base, bytes, MSG_NOSIGNAL)
                               : sendmsg(s->watch.fd, &m, MSG_NOSIGNAL);
        flush_result(s, bytes, n < 0 ? -errno : n);
        if (n < 0)
            return;
    }
}

static void finish_one(struct sock *s)
{
    if (s->state == SOCK_DEAD)
        return;
    if (s->writable && !sock_out_is_empty(s))
        flush_mark(s); /* the kernel takes more: next turn */
    sock_progress(s);
}

/* On the loop's own thread: the kernel ties the ring to it. */
void flush_begin(struct loop *l)
{
    const char *forced = getenv("TIDEWIRE_FLUSH");
    if (!(forced && strcmp(forced, "writev") == 0))
        flush_ring_open(&l->flush.ring);
}

static void flush_batch(struct loop *l, struct sock **batch, size_t count)
{
    for (size_t i = 0; i < count; i++)
        batch[i]->dirty = false;
    if (l->flush.ring && count >= RING_DIRTY_MIN && !flush_ring_run(l, batch, count)) {
        log_warn("loop", "ring", "state=off");
        flush_ring_free(&l->flush.ring);
    }
    for (size_t i = 0; i < count; i++)
        write_one(batch[i]); /* what the ring left: large, encrypted, or everything */
    for (size_t i = 0; i < count; i++)
        finish_one(batch[i]);
}

/* on_drained may write again; a few rounds of that belong to this turn. */
void flush_run(struct loop *l)
{
    struct flush *f = &l->flush;
    for (int round = 0; f->count > 0 && round < ROUNDS_MAX; round++) {
        struct sock **batch = f->dirty;
        size_t count = f->count;
        size_t capacity = f->capacity;
        f->dirty = NULL;
        f->count = f->capacity = 0;
        flush_batch(l, batch, count);
        if (f->dirty) {
            mem_free(batch);
        } else {
            f->dirty = batch;
            f->capacity = capacity;
        }
    }
}

void flush_fini(struct loop *l)
{
    CHECK(l->flush.count == 0);
    flush_ring_free(&l->flush.ring);
    mem_free(l->flush.dirty);
}

const char *flush_backend(const struct loop *l)
{
    return l->flush.ring ? "io_uring" : "writev";
}
