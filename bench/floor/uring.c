/* SPDX-License-Identifier: Apache-2.0 */
/* As coalesce, and all sends of a turn in one io_uring submission. */
#include "tick.h"
#include <liburing.h>

enum { BATCH = 1024 };
static struct io_uring ring;
static unsigned queued;
static struct {
    int fd;
    const uint8_t *p;
    size_t n;
} sends[BATCH];

static void submit(void)
{
    struct io_uring_cqe *cqe;
    unsigned head, seen = 0;
    if (!queued)
        return;
    io_uring_submit_and_get_events(&ring);
    io_uring_for_each_cqe(&ring, head, cqe)
    {
        size_t done = cqe->res > 0 ? (size_t)cqe->res : 0;
        size_t i = cqe->user_data;
        if (cqe->res > 0 || cqe->res == -EAGAIN)
            send_all(sends[i].fd, sends[i].p + done, sends[i].n - done);
        seen++;
    }
    io_uring_cq_advance(&ring, seen);
    queued = 0;
}

static void flush_room(struct room *r)
{
    for (unsigned i = 0; i < r->count; i++) {
        struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);
        io_uring_prep_send(sqe, r->members[i], r->tick, r->tick_n,
                           MSG_DONTWAIT | MSG_WAITALL | MSG_NOSIGNAL);
        io_uring_sqe_set_flags(sqe, IOSQE_CQE_SKIP_SUCCESS);
        io_uring_sqe_set_data64(sqe, queued);
        sends[queued].fd = r->members[i];
        sends[queued].p = r->tick;
        sends[queued].n = r->tick_n;
        if (++queued == BATCH)
            submit();
    }
}

static void on_turn_end(void)
{
    for (unsigned i = 0; i < dirty_count; i++)
        flush_room(dirty[i]);
    submit();
    for (unsigned i = 0; i < dirty_count; i++) {
        dirty[i]->tick_n = 0;
        dirty[i]->is_dirty = 0;
    }
    dirty_count = 0;
}

int main(void)
{
    struct io_uring_params p = {.flags = IORING_SETUP_SUBMIT_ALL | IORING_SETUP_SINGLE_ISSUER |
                                         IORING_SETUP_DEFER_TASKRUN};
    if (io_uring_queue_init_params(BATCH, &ring, &p) != 0)
        return 1;
    return floor_run();
}
