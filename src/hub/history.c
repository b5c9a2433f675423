/* SPDX-License-Identifier: Apache-2.0 */
/* The newest messages of one channel, bounded by count, bytes and age, whichever is first.
 *
 * I1  Offsets in the ring rise strictly. They need not be neighbours: a volatile message has
 *     an offset and is not kept.
 * I2  evicted_offset is the newest offset of a message that was worth keeping and is gone, so
 *     "after N" is complete exactly when N >= evicted_offset. */
#include "hub/hub_priv.h"

#include "base/check.h"
#include "base/mem.h"

struct msg *history_at(const struct history *hi, size_t index)
{
    CHECK(index < hi->count);
    return hi->ring[(hi->head + index) & (hi->capacity - 1)];
}

size_t history_after(const struct history *hi, uint64_t offset)
{
    size_t low = 0, high = hi->count;
    while (low < high) {
        size_t mid = (low + high) / 2;
        if (history_at(hi, mid)->offset > offset)
            high = mid;
        else
            low = mid + 1;
    }
    return low;
}

ptrdiff_t history_drop_oldest(struct history *hi)
{
    if (!hi->count)
        return 0;
    struct msg *m = history_at(hi, 0);
    ptrdiff_t freed = (ptrdiff_t)m->size;
    hi->evicted_offset = m->offset;
    hi->head = (hi->head + 1) & (hi->capacity - 1);
    hi->count--;
    hi->bytes -= m->size;
    msg_unref(&m);
    return -freed;
}

ptrdiff_t history_trim(struct history *hi, const struct channel_settings *cs, uint64_t now_ms)
{
    ptrdiff_t change = 0;
    while (hi->count) {
        bool old = cs->history_ms && history_at(hi, 0)->time_ms + cs->history_ms <= now_ms;
        if (!old && hi->count <= cs->history_count && hi->bytes <= cs->history_bytes)
            break;
        change += history_drop_oldest(hi);
    }
    return change;
}

ptrdiff_t history_append(struct history *hi, const struct channel_settings *cs, struct msg *m)
{
    if (m->is_volatile || m->no_history)
        return 0;
    if (!cs->history_count || m->size > cs->history_bytes) {
        ptrdiff_t change = 0;
        while (hi->count) /* I2: what stands before it would pass for complete */
            change += history_drop_oldest(hi);
        hi->evicted_offset = m->offset;
        return change;
    }
    if (hi->count == hi->capacity) {
        size_t capacity = hi->capacity ? hi->capacity * 2 : 4;
        struct msg **ring = mem_new(capacity * sizeof(*ring));
        for (size_t i = 0; i < hi->count; i++)
            ring[i] = history_at(hi, i);
        mem_free(hi->ring);
        hi->ring = ring;
        hi->capacity = capacity;
        hi->head = 0;
    }
    CHECK(!hi->count || history_at(hi, hi->count - 1)->offset < m->offset); /* I1 */
    msg_ref(m);
    hi->ring[(hi->head + hi->count) & (hi->capacity - 1)] = m;
    hi->count++;
    hi->bytes += m->size;
    return (ptrdiff_t)m->size + history_trim(hi, cs, m->time_ms);
}

void history_free(struct history *hi)
{
    while (hi->count)
        history_drop_oldest(hi);
    mem_free(hi->ring);
    *hi = (struct history){0};
}
