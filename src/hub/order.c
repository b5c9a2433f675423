/* SPDX-License-Identifier: Apache-2.0 */
/* In which order did this loop hand out messages of different channels? A client that names one
 * message as its place (Socket.IO) has got everything that was handed to it before that one, in
 * all its channels; so each delivery of a loop gets a sequence number, and a channel that such
 * clients listen to keeps which offset got which number. One entry per message and loop, not per
 * client: a client costs nothing here until it comes back.
 *
 * I1  Numbers and offsets of a log rise strictly.
 * I2  dropped is the number of the newest entry that was forgotten; a question about an older
 *     number cannot be answered. A log keeps as many entries as history keeps messages, so what
 *     it has forgotten could not be replayed anyway. */
#include "hub/hub_priv.h"

#include "base/check.h"
#include "base/mem.h"

enum { FIRST_CAPACITY = 16, CAPACITY_MAX = 1 << 16 };

struct order_entry {
    uint64_t sequence, offset;
};
struct order_log {
    size_t refs; /* one loop's */
    struct order_entry *ring;
    size_t head, count, capacity, capacity_max;
    uint64_t dropped;
    char epoch[24];
};

static struct order_entry *at(const struct order_log *log, size_t index)
{
    return &log->ring[(log->head + index) & (log->capacity - 1)];
}

uint64_t hub_sequence(const struct hub *h)
{
    return h->sequence;
}

uint64_t hub_sequence_next(struct hub *h)
{
    return ++h->sequence;
}

struct order_log *hub_order_log(struct subscription *sub)
{
    struct topic *t = sub->topic;
    if (!t)
        return NULL;
    if (!t->order) {
        size_t wanted = t->settings->history_count, max = FIRST_CAPACITY;
        while (max < wanted && max < CAPACITY_MAX)
            max *= 2;
        t->order = mem_new(sizeof(*t->order));
        t->order->refs = 1;
        t->order->capacity_max = max;
        t->order->dropped = t->hub->sequence;
    }
    t->order->refs++;
    return t->order;
}

void order_log_unref(struct order_log **log)
{
    struct order_log *one = *log;
    *log = NULL;
    if (!one || --one->refs)
        return;
    mem_free(one->ring);
    mem_free(one);
}

static void make_room(struct order_log *log)
{
    if (log->count < log->capacity)
        return;
    if (log->capacity == log->capacity_max) {
        log->dropped = at(log, 0)->sequence;
        log->head = (log->head + 1) & (log->capacity - 1);
        log->count--;
        return;
    }
    size_t capacity = log->capacity ? log->capacity * 2 : FIRST_CAPACITY;
    struct order_entry *ring = mem_new(capacity * sizeof(*ring));
    for (size_t i = 0; i < log->count; i++)
        ring[i] = *at(log, i);
    mem_free(log->ring);
    log->ring = ring;
    log->capacity = capacity;
    log->head = 0;
}

void order_note(struct topic *t)
{
    struct order_log *log = t->order;
    for (uint32_t i = 0; i < t->pending_count; i++) {
        uint64_t sequence = ++t->hub->sequence;
        const struct msg *m = t->pending[i];
        if (!log)
            continue;
        if (memcmp(log->epoch, m->epoch_text, sizeof(log->epoch)) != 0) {
            if (log->epoch[0]) { /* another log began */
                log->head = log->count = 0;
                log->dropped = sequence - 1;
            }
            memcpy(log->epoch, m->epoch_text, sizeof(log->epoch));
        }
        if (log->count && at(log, log->count - 1)->offset >= m->offset)
            continue;
        make_room(log);
        *at(log, log->count++) = (struct order_entry){sequence, m->offset};
    }
}

/* Index of the first entry with a higher number. */
static size_t after(const struct order_log *log, uint64_t sequence)
{
    size_t low = 0, high = log->count;
    while (low < high) {
        size_t mid = (low + high) / 2;
        if (at(log, mid)->sequence > sequence)
            high = mid;
        else
            low = mid + 1;
    }
    return low;
}

bool order_log_sequence(const struct order_log *log, uint64_t offset, uint64_t *sequence)
{
    size_t low = 0, high = log->count;
    while (low < high) {
        size_t mid = (low + high) / 2;
        if (at(log, mid)->offset >= offset)
            high = mid;
        else
            low = mid + 1;
    }
    if (low == log->count || at(log, low)->offset != offset)
        return false;
    *sequence = at(log, low)->sequence;
    return true;
}

bool order_log_offset(const struct order_log *log, uint64_t sequence, uint64_t *offset)
{
    size_t index = after(log, sequence);
    if (sequence < log->dropped)
        return false;
    if (index < log->count && at(log, index)->offset - 1 < *offset)
        *offset = at(log, index)->offset - 1;
    return true;
}
