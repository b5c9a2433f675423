/* SPDX-License-Identifier: Apache-2.0 */
/* The place of a client that names the last message it got (Socket.IO), in all its channels at
 * once. What a loop hands out is numbered (hub/order.c); a client that has got number n has got
 * everything that was handed to it before n. What was sent to this subscription alone (missed
 * messages: at its begin, after a take-up, after it lagged) stands in `runs`, each with the number
 * of its own moment.
 *
 * I1  runs rise by sequence. The first one is the begin of the subscription on this connection. */
#include "session/session_priv.h"

#include "base/mem.h"

enum { RUNS_MAX = 4 };

struct run {
    uint64_t sequence;
    uint64_t from, to; /* offsets: from is the last one before, to the last one of it */
};
struct sub_order {
    struct order_log *log;
    uint32_t count;
    struct run runs[];
};

void place_forget(struct session_sub *ss)
{
    if (ss->order)
        order_log_unref(&ss->order->log);
    mem_free(ss->order);
    ss->order = NULL;
}

static struct run *add_run(struct session_sub *ss)
{
    struct sub_order *o = ss->order;
    if (o->count == RUNS_MAX) { /* two become one: rather a repeat than a hole */
        o->runs[1].to = o->runs[2].to;
        memmove(&o->runs[2], &o->runs[3], sizeof(o->runs[0]));
        return &o->runs[3];
    }
    ss->order = mem_resize(o, sizeof(*o) + (o->count + 1) * sizeof(o->runs[0]));
    return &ss->order->runs[ss->order->count++];
}

void place_begin_run(struct session_sub *ss, bool is_begin)
{
    struct hub *h = hub_of(ss->session->home->loop);
    if (!ss->session->names_place)
        return;
    if (is_begin)
        place_forget(ss);
    if (!ss->order) {
        ss->order = mem_new(sizeof(*ss->order));
        ss->order->log = hub_order_log(&ss->sub);
    }
    *add_run(ss) = (struct run){hub_sequence_next(h), ss->sub.offset, ss->sub.offset};
}

void place_end_run(struct session_sub *ss, uint64_t to)
{
    if (ss->order && ss->order->count)
        ss->order->runs[ss->order->count - 1].to = to;
}

static struct session_sub *find_epoch(struct session *s, struct str epoch)
{
    for (struct session_sub *ss = session_sub_first(s); ss; ss = session_sub_next(s, ss))
        if (ss->parked && str_is(epoch, ss->parked->at.epoch))
            return ss;
    return NULL;
}

bool session_place_find(struct session *s, struct str epoch, uint64_t offset,
                        struct session_place *out)
{
    struct session_sub *ss = find_epoch(s, epoch);
    *out = (struct session_place){.sub = ss, .offset = offset};
    if (!ss)
        return false;
    if (!ss->order) { /* nothing came on this connection: its position stands already */
        out->sub = NULL;
        return offset <= ss->parked->at.offset;
    }
    if (offset > ss->parked->delivered)
        return false;
    for (uint32_t i = 0; i < ss->order->count; i++) {
        const struct run *r = &ss->order->runs[i];
        if (offset > r->from && offset <= r->to) {
            out->sequence = r->sequence;
            return true;
        }
    }
    if (offset <=
        ss->order->runs[0].from) /* from an earlier connection: nothing came on this one */
        return true;
    return order_log_sequence(ss->order->log, offset, &out->sequence);
}

/* False when it is too long ago to be known. */
static bool offset_at(const struct session_sub *ss, uint64_t sequence, uint64_t *offset)
{
    const struct sub_order *o = ss->order;
    *offset = ss->parked->delivered;
    if (!o || !o->count)
        return false;
    if (sequence < o->runs[0].sequence) {
        *offset = o->runs[0].from;
        return true;
    }
    if (!order_log_offset(o->log, sequence, offset))
        return false;
    for (uint32_t i = 0; i < o->count; i++) {
        const struct run *r = &o->runs[i];
        if (r->sequence <= sequence)
            *offset = *offset > r->to ? *offset : r->to;
        else if (r->from < *offset)
            *offset = r->from;
    }
    return true;
}

bool session_place_was_sent(struct session *s)
{
    for (struct session_sub *ss = session_sub_first(s); ss; ss = session_sub_next(s, ss))
        if (!ss->parked || (ss->order && ss->parked->delivered > ss->order->runs[0].from))
            return true;
    return false;
}

bool session_place_set(struct session *s, const struct session_place *place)
{
    for (struct session_sub *ss = session_sub_first(s); ss; ss = session_sub_next(s, ss)) {
        uint64_t offset;
        if (!ss->parked || !ss->parked->at.epoch[0])
            return false;
        if (!ss->order) /* it was being taken up: where it was, it is */
            continue;
        if (ss == place->sub && place->offset >= ss->order->runs[0].from)
            offset = place->offset;
        else if (!offset_at(ss, place->sequence, &offset))
            return false;
        ss->parked->at.offset = offset;
    }
    return true;
}
