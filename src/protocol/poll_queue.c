/* SPDX-License-Identifier: Apache-2.0 */
/* What waits for a poll: ranges of shared segments. A range that begins where the last one ended
 * extends it. */
#include "protocol/engineio_priv.h"

#include "base/mem.h"

void poll_queue_add(struct poll_queue *q, struct segment *g, size_t start, size_t n)
{
    struct poll_range *last = q->count ? &q->ranges[q->count - 1] : NULL;
    if (!n)
        return;
    q->bytes += n;
    if (last && last->segment == g && last->start + last->n == start) {
        last->n += (uint32_t)n;
        return;
    }
    if (q->count == q->capacity)
        q->ranges = mem_grow(q->ranges, &q->capacity, q->count + 1, sizeof(*q->ranges));
    segment_ref(g);
    q->ranges[q->count++] = (struct poll_range){g, (uint32_t)start, (uint32_t)n};
}

void poll_queue_clear(struct poll_queue *q)
{
    for (size_t i = 0; i < q->count; i++)
        segment_unref(&q->ranges[i].segment);
    mem_free(q->ranges);
    *q = (struct poll_queue){0};
}

void poll_queue_copy(const struct poll_queue *q, struct buf *out)
{
    for (size_t i = 0; i < q->count; i++) {
        const struct poll_range *r = &q->ranges[i];
        buf_add(out, r->segment->bytes + r->start, r->n);
    }
}
