/* SPDX-License-Identifier: Apache-2.0 */
/* Fan-out: a topic's messages of one turn, encoded once for each kind of client that is
 * present, handed to each member as one range of shared bytes.
 *
 * Members are walked from the last to the first: a member that leaves meanwhile is replaced by
 * the last one, which was served already, and whose sub->offset guards it from a second copy.
 * Nothing is allocated for a member. A kind whose bytes could not be made (no memory) is served
 * from history, soon: its members lag. */
#include "hub/hub_priv.h"

#include "base/check.h"
#include "base/mem.h"
#include "base/metric.h"

/* More than this in one turn goes out in several segments. */
enum { PENDING_MAX = 512 };

static void on_turn(struct loop *l, struct turn_task *task)
{
    (void)l;
    fanout_run(LIST_OF(task, struct topic, task));
}

static void on_batch(struct loop *l, struct timer *timer)
{
    struct topic *t = LIST_OF(timer, struct topic, batch_timer);
    loop_at_turn_end(l, TURN_FANOUT, &t->task);
}

void fanout_add(struct topic *t, struct msg *m)
{
    struct loop *l = t->hub->loop;
    if (t->pending_count == t->pending_capacity) {
        uint32_t capacity = t->pending_capacity ? t->pending_capacity * 2 : 4;
        t->pending = mem_resize(t->pending, capacity * sizeof(struct msg *));
        t->pending_capacity = capacity;
    }
    msg_ref(m);
    t->pending[t->pending_count++] = m;
    t->task.run = on_turn;
    if (t->pending_count >= PENDING_MAX)
        fanout_run(t);
    else if (!t->settings->batch_ms)
        loop_at_turn_end(l, TURN_FANOUT, &t->task);
    else if (!timer_is_set(&t->batch_timer))
        timer_set(l, &t->batch_timer, t->settings->batch_ms, on_batch);
}

struct encoded {
    struct segment *segment;
    uint32_t *ends;
};
/* A turn's messages in all kinds that are present. */
struct turn {
    struct encoded kinds[ENC_COUNT];
    /* For kinds with deltas: what message i was made against; 0 = it is whole. */
    uint64_t *bases;
};

/* What stands in b; NULL when there was no memory for it, here or while it was made. */
static struct segment *make_segment(struct hub *h, struct buf *b)
{
    struct segment *g = b->failed ? NULL : segment_new(h->loop, b->n ? b->n : 1);
    if (g && b->n)
        memcpy(g->bytes, b->p, b->n);
    if (g)
        g->n = (uint32_t)b->n;
    if (b->capacity > 1 << 20) /* one big turn must not be kept for ever */
        buf_free(b);
    return g;
}

static void encode_kind(struct topic *t, enum encoding_kind kind, struct encoded *out)
{
    struct hub *h = t->hub;
    struct buf *b = &h->scratch;
    buf_clear(b);
    for (uint32_t i = 0; i < t->pending_count; i++) {
        encoding_get()->message(h->loop, kind, t->pending[i], b);
        out->ends[i] = (uint32_t)b->n;
    }
    metric_add(M_MESSAGES_ENCODED, t->pending_count);
    out->segment = make_segment(h, b);
}

static enum encoding_kind whole_of(enum encoding_kind kind)
{
    return kind == ENC_NATIVE_WS_DELTA ? ENC_NATIVE_WS : ENC_NATIVE_WS_DEFLATE;
}

/* Each message as what changed since the last one of its key; nothing where it is sent whole. */
static void encode_deltas(struct topic *t, enum encoding_kind kind, struct msg *const *bases,
                          struct turn *turn)
{
    struct hub *h = t->hub;
    struct buf *b = &h->scratch;
    struct encoded *out = &turn->kinds[kind];
    buf_clear(b);
    for (uint32_t i = 0; i < t->pending_count; i++) {
        size_t before = b->n;
        if (bases[i])
            encoding_get()->delta(h->loop, kind, t->pending[i], bases[i], b);
        turn->bases[i] = b->n > before ? bases[i]->offset : 0;
        out->ends[i] = (uint32_t)b->n;
    }
    out->segment = make_segment(h, b);
}

static bool wants_deltas(const struct topic *t)
{
    return t->kinds[ENC_NATIVE_WS_DELTA] || t->kinds[ENC_NATIVE_WS_DELTA_DEFLATE];
}

static void encode_all_deltas(struct topic *t, struct turn *turn)
{
    uint32_t count = t->pending_count;
    struct msg **bases = mem_new(count * sizeof(*bases));
    turn->bases = mem_new(count * sizeof(*turn->bases));
    for (uint32_t i = 0; i < count; i++)
        bases[i] = bases_replace(t, t->pending[i]);
    for (unsigned kind = 0; kind < ENC_COUNT; kind++)
        if (encoding_is_delta(kind) && t->kinds[kind])
            encode_deltas(t, kind, bases, turn);
    for (uint32_t i = 0; i < count; i++)
        msg_unref(&bases[i]);
    mem_free(bases);
}

/* A kind must be encoded for its members, or for members with deltas who lack the base. */
static bool is_needed(const struct topic *t, enum encoding_kind kind)
{
    if (kind == ENC_NONE || encoding_is_delta(kind))
        return false;
    return t->kinds[kind] || (kind == ENC_NATIVE_WS && t->kinds[ENC_NATIVE_WS_DELTA]) ||
           (kind == ENC_NATIVE_WS_DEFLATE && t->kinds[ENC_NATIVE_WS_DELTA_DEFLATE]);
}

static void encode_turn(struct topic *t, struct turn *turn)
{
    struct hub *h = t->hub;
    size_t count = t->pending_count;
    if (h->ends_capacity < count * ENC_COUNT) {
        h->ends_capacity = count * ENC_COUNT;
        h->ends = mem_resize(h->ends, h->ends_capacity * sizeof(uint32_t));
    }
    for (unsigned kind = 0; kind < ENC_COUNT; kind++) {
        turn->kinds[kind].ends = h->ends + kind * count;
        if (is_needed(t, kind))
            encode_kind(t, kind, &turn->kinds[kind]);
    }
    if (wants_deltas(t))
        encode_all_deltas(t, turn);
    else
        bases_free(t);
}

/* Where the bytes of message i stand for this member. */
static const struct encoded *encoded_for(const struct turn *turn, const struct subscription *sub,
                                         uint32_t i)
{
    if (!encoding_is_delta(sub->kind))
        return &turn->kinds[sub->kind];
    bool has_base = turn->bases[i] > sub->live_since;
    return &turn->kinds[has_base ? sub->kind : whole_of(sub->kind)];
}

static bool is_for(const struct subscription *sub, const struct msg *m)
{
    if (m->offset <= sub->offset)
        return false;
    if (m->no_echo && m->sender_session == sub->session)
        return false;
    return !(m->except.n || m->with.n || m->is_volatile) || hub_subscription_ops()->wants(sub, m);
}

/* Hands over the runs of messages that are for this member. */
static void serve(struct topic *t, struct subscription *sub, const struct turn *turn)
{
    const struct subscription_ops *ops = hub_subscription_ops();
    uint64_t id = sub->id;
    uint32_t i = 0;
    while (i < t->pending_count && sub->state == SUB_LIVE && sub->id == id) {
        if (!is_for(sub, t->pending[i])) {
            if (t->pending[i]->offset > sub->offset)
                sub->offset = t->pending[i]->offset;
            i++;
            continue;
        }
        const struct encoded *e = encoded_for(turn, sub, i);
        struct delivery d = {.segment = e->segment,
                             .is_lost = !e->segment && sub->kind != ENC_NONE,
                             .ends = e->ends,
                             .msgs = t->pending,
                             .first = i};
        while (i < t->pending_count && is_for(sub, t->pending[i]) && encoded_for(turn, sub, i) == e)
            i++;
        d.end = i;
        if (ops->deliver(sub, &d))
            sub->offset = t->pending[i - 1]->offset;
        else if (sub->state == SUB_LIVE)
            sub->state = SUB_LAGGING;
    }
}

void fanout_run(struct topic *t)
{
    struct turn turn = {0};
    if (!t->pending_count || t->is_running)
        return;
    topic_hold(t);
    t->is_running = true;
    loop_turn_task_drop(&t->task);
    timer_stop(&t->batch_timer);
    order_note(t);
    encode_turn(t, &turn);
    for (uint32_t i = t->members_count; i-- > 0;) {
        if (i >= t->members_count)
            continue;
        struct subscription *sub = t->members[i];
        if (sub->state == SUB_LIVE && !sub->no_messages)
            serve(t, sub, &turn);
    }
    for (unsigned kind = 0; kind < ENC_COUNT; kind++)
        segment_unref(&turn.kinds[kind].segment);
    mem_free(turn.bases);
    for (uint32_t i = 0; i < t->pending_count; i++)
        msg_unref(&t->pending[i]);
    t->pending_count = 0;
    t->is_running = false;
    topic_let_go(t);
}

void fanout_presence(struct topic *t, const struct presence_update *u)
{
    struct hub *h = t->hub;
    struct str name = str_of(t->name, t->name_n);
    struct segment *segments[ENC_COUNT] = {0};
    topic_hold(t);
    fanout_run(t); /* what was said before somebody came or went arrives before it */
    for (uint32_t i = t->members_count; i-- > 0;) {
        if (i >= t->members_count)
            continue;
        struct subscription *sub = t->members[i];
        if (!sub->wants_presence || sub->state == SUB_ASKED)
            continue;
        struct segment **g = &segments[sub->kind];
        if (!*g && sub->kind != ENC_NONE) {
            buf_clear(&h->scratch);
            encoding_get()->presence(h->loop, sub->kind, name, u, &h->scratch);
            *g = make_segment(h, &h->scratch);
        }
        hub_subscription_ops()->presence(sub, u, *g, 0, *g ? (*g)->n : 0);
    }
    for (unsigned kind = 0; kind < ENC_COUNT; kind++)
        segment_unref(&segments[kind]);
    topic_let_go(t);
}
