/* SPDX-License-Identifier: Apache-2.0 */
/* The io_uring way behind flush.c: the small sends of a turn in one submission. Rules learnt by
 * measuring, each of which loses data or time when broken:
 * - MSG_DONTWAIT with MSG_WAITALL: everything ends inside the submission, and a short send is an
 *   "error" that posts a completion (its result = bytes done). Without WAITALL a short send
 *   counts as success and IOSQE_CQE_SKIP_SUCCESS hides it; without DONTWAIT the request parks.
 * - At most one send per socket and submission: a second one would run after a short first.
 * - The listener is never in the ring: rings die late, and the port would stay busy.
 * - What could not be submitted must never be submitted later: the ring is given up instead. */
#include "loop/sock_priv.h"
#include "base/check.h"
#include "base/log.h"
#include "base/mem.h"
#include <errno.h>
#include <liburing.h>

enum { BATCH_MAX = 1024, IOV_ALL = 4096, IOV_EACH = 16, BYTES_MAX = 16384, RETRIES = 8 };

struct send {
    struct sock *sock;
    size_t bytes;
    long result;
};

struct ring {
    struct io_uring uring;
    unsigned count;
    size_t iov_used;
    struct send sends[BATCH_MAX];
    struct msghdr messages[BATCH_MAX];
    struct iovec iov[IOV_ALL];
};

static bool setup(struct ring *r, unsigned flags)
{
    struct io_uring_params p = {.flags = flags};
    if (io_uring_queue_init_params(BATCH_MAX, &r->uring, &p) != 0)
        return false;
    if (p.features & IORING_FEAT_CQE_SKIP)
        return true;
    io_uring_queue_exit(&r->uring);
    return false;
}

bool flush_ring_open(struct ring **ring)
{
    struct ring *r = mem_new(sizeof(*r));
    unsigned best =
        IORING_SETUP_SUBMIT_ALL | IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN;
    if (!setup(r, best) && !setup(r, IORING_SETUP_SUBMIT_ALL)) {
        mem_free(r);
        return false;
    }
    *ring = r;
    return true;
}

void flush_ring_free(struct ring **ring)
{
    if (*ring)
        io_uring_queue_exit(&(*ring)->uring);
    mem_free(*ring);
    *ring = NULL;
}

/* False: not for the ring (too large, nothing to send). */
static bool add(struct ring *r, struct sock *s)
{
    struct iovec *iov = r->iov + r->iov_used;
    size_t bytes;
    size_t count = sock_out_gather(s, iov, IOV_EACH, &bytes);
    if (count == 0 || bytes > BYTES_MAX)
        return false;
    struct io_uring_sqe *sqe = io_uring_get_sqe(&r->uring);
    CHECK(sqe);
    int flags = MSG_DONTWAIT | MSG_WAITALL | MSG_NOSIGNAL;
    if (count == 1) {
        io_uring_prep_send(sqe, s->watch.fd, iov->iov_base, bytes, flags);
    } else {
        r->messages[r->count] = (struct msghdr){.msg_iov = iov, .msg_iovlen = count};
        io_uring_prep_sendmsg(sqe, s->watch.fd, &r->messages[r->count], (unsigned)flags);
        r->iov_used += count;
    }
    io_uring_sqe_set_flags(sqe, IOSQE_CQE_SKIP_SUCCESS);
    io_uring_sqe_set_data64(sqe, r->count);
    r->sends[r->count++] = (struct send){s, bytes, (long)bytes};
    return true;
}

static void reap(struct ring *r)
{
    struct io_uring_cqe *cqe;
    unsigned head, seen = 0;
    io_uring_for_each_cqe(&r->uring, head, cqe)
    {
        CHECK(cqe->user_data < r->count);
        r->sends[cqe->user_data].result = cqe->res;
        seen++;
    }
    io_uring_cq_advance(&r->uring, seen);
}

/* Submits what was added; false when the kernel did not take all of it. */
static bool submit(struct ring *r)
{
    unsigned done = 0;
    for (int i = 0; i < RETRIES && done < r->count; i++) {
        int n = io_uring_submit_and_get_events(&r->uring);
        if (n < 0 && n != -EINTR && n != -EAGAIN && n != -EBUSY)
            break;
        done += n > 0 ? (unsigned)n : 0;
        reap(r);
    }
    for (unsigned i = 0; i < done; i++)
        flush_result(r->sends[i].sock, r->sends[i].bytes, r->sends[i].result);
    bool all = done == r->count;
    r->count = 0;
    r->iov_used = 0;
    return all;
}

bool flush_ring_run(struct loop *l, struct sock **batch, size_t count)
{
    struct ring *r = l->flush.ring;
    for (size_t i = 0; i < count; i++) {
        if (batch[i]->writable && batch[i]->state != SOCK_DEAD)
            add(r, batch[i]);
        bool room = r->count < BATCH_MAX && r->iov_used + IOV_EACH <= IOV_ALL;
        if (!room && !submit(r))
            return false;
    }
    return r->count == 0 || submit(r);
}
