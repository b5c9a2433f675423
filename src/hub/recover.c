/* SPDX-License-Identifier: Apache-2.0 */
/* What was missed: the owner's answer to SUBSCRIBE (of a new subscription, of one that comes
 * back, of one that lagged) and to history queries. From memory; a durable channel's older
 * part from the store, and then what memory got meanwhile is added, so the answer is whole.
 *
 * Rules (since = the client's position):
 *   same epoch, offset >= evicted     -> all after it, recovered
 *   same epoch, older                 -> gap (offset + 1 .. evicted), then all that is kept;
 *                                        durable: evicted is what the store's retention took
 *   another epoch                     -> reset: gap for what the old log had, then all kept
 *   no epoch, offset 0                -> all that is kept, no claim
 *   offset beyond the newest          -> as another epoch: that position was never given */
#include "hub/hub_priv.h"

#include "base/mem.h"
#include "base/metric.h"

enum { STORE_READ_MAX = 1000, STORE_TOTAL_MAX = 10000 };

struct msgs {
    struct msg **list;
    size_t count, capacity;
};

static void msgs_add(struct msgs *ms, struct msg *m)
{
    if (ms->count == ms->capacity)
        ms->list = mem_grow(ms->list, &ms->capacity, ms->count + 1, sizeof(struct msg *));
    ms->list[ms->count++] = m;
}

static void msgs_add_kept(struct msgs *ms, const struct history *hi, uint64_t after)
{
    for (size_t i = history_after(hi, after); i < hi->count; i++) {
        struct msg *m = history_at(hi, i);
        msg_ref(m);
        msgs_add(ms, m);
    }
}

/* Of what is kept no more than the query can use, and one for `more`. */
static void msgs_add_asked(struct msgs *ms, const struct history *hi, const struct hub_query *q)
{
    size_t first = history_after(hi, q->after);
    size_t end = q->before ? history_after(hi, q->before - 1) : hi->count;
    if (end > first && end - first > q->limit + 1) {
        if (q->after)
            end = first + q->limit + 1;
        else
            first = end - q->limit - 1;
    }
    for (size_t i = first; i < end; i++) {
        struct msg *m = history_at(hi, i);
        msg_ref(m);
        msgs_add(ms, m);
    }
}

/* Keeps the newest of each key; messages without one all stay. */
static void msgs_keep_latest(struct msgs *ms)
{
    struct map seen = {0};
    size_t to = ms->count;
    for (size_t i = ms->count; i-- > 0;) {
        struct msg *m = ms->list[i];
        if (m->key.n && map_put(&seen, m->key, m)) {
            msg_unref(&m);
            continue;
        }
        ms->list[--to] = m;
    }
    memmove(ms->list, ms->list + to, (ms->count - to) * sizeof(struct msg *));
    ms->count -= to;
    map_free(&seen);
}

static void answer(struct channel *c, struct mail_subscribe *ms, struct hub_subscribed *a,
                   struct msgs *missed)
{
    struct loop *l = c->hub->loop;
    if (ms->is_catch_up && c->settings->slow == SLOW_LATEST)
        msgs_keep_latest(missed);
    if (ms->options.has_since && !ms->is_catch_up) {
        metric_add(a->recovered ? M_RECOVERIES_FULL : M_RECOVERIES_GAP, 1);
        metric_add(M_RECOVERED_MESSAGES, (int64_t)missed->count);
    }
    struct mail_subscribed *out = mem_new(sizeof(*out));
    out->mail.deliver = subscription_on_subscribed;
    out->sub_id = ms->sub_id;
    a->is_catch_up = ms->is_catch_up;
    a->since = ms->options.since;
    a->missed = missed->list;
    a->missed_count = missed->count;
    memcpy(a->at.epoch, c->epoch, sizeof(a->at.epoch));
    a->at.offset = c->offset;
    if (ms->wants_presence)
        a->presence = presence_state(c);
    out->answer = *a;
    loop_post(loops_at(loop_siblings(l), ms->from), &out->mail);
    mem_free(ms);
}

/* ---- from the store ------------------------------------------------------------------ */

struct reading {
    struct store_read read;
    struct channel *channel;
    struct mail_subscribe *subscribe; /* one of the two */
    struct hub_query *query;
    struct hub_subscribed answer;
    uint64_t evicted_then; /* memory's, when the store was asked */
    bool is_partial;       /* the store has more than one answer may hold */
    bool is_claim; /* the position was given by this log: what is missing after it is a gap */
    struct msgs msgs;
};

static void query_answer(struct hub_query *q);
static void query_fill(struct channel *c, struct hub_query *q, struct msgs *msgs);

static void read_on(struct reading *r, uint64_t after);

static void note_gap(struct hub_subscribed *a, uint64_t from, uint64_t to)
{
    if (from > to)
        return;
    if (!a->gap_to)
        a->gap_from = from;
    a->gap_to = to;
    a->recovered = false;
}

static void read_finished(struct reading *r, int err)
{
    struct channel *c = r->channel;
    c->reads_pending--;
    uint64_t last = r->msgs.count ? r->msgs.list[r->msgs.count - 1]->offset : r->read.after;
    if (err || (r->is_partial && last < c->history.evicted_offset)) {
        /* What lies between the store's part and memory's cannot be had now: said. */
        note_gap(&r->answer, last + 1, c->history.evicted_offset);
    }
    msgs_add_kept(&r->msgs, &c->history, last);
    if (r->subscribe) {
        answer(c, r->subscribe, &r->answer, &r->msgs);
    } else {
        r->query->err = err;
        query_fill(c, r->query, &r->msgs);
        query_answer(r->query);
    }
    mem_free(r);
}

static void on_read(struct store_read *sr)
{
    struct reading *r = (struct reading *)(void *)sr;
    size_t got = sr->err ? 0 : sr->msgs_count;
    for (size_t i = 0; i < got; i++)
        msgs_add(&r->msgs, sr->msgs[i]);
    mem_free(sr->msgs);
    if (!sr->err && r->is_claim && sr->after < sr->evicted_offset)
        note_gap(&r->answer, sr->after + 1, sr->evicted_offset);
    r->is_claim |= r->msgs.count > 0; /* what comes next follows what was read */
    uint64_t last = r->msgs.count ? r->msgs.list[r->msgs.count - 1]->offset : sr->after;
    /* Was it all, when it was asked for, and has memory let go of more since then? */
    uint64_t evicted = r->channel->history.evicted_offset;
    bool more = !sr->err && last < evicted && (got == STORE_READ_MAX || evicted > r->evicted_then);
    r->is_partial = more && r->msgs.count >= STORE_TOTAL_MAX;
    if (more && !r->is_partial)
        read_on(r, last);
    else
        read_finished(r, sr->err);
}

static void read_on(struct reading *r, uint64_t after)
{
    void *store;
    const struct store_ops *ops = hub_store_ops(&store);
    r->evicted_then = r->channel->history.evicted_offset;
    r->read = (struct store_read){.home = r->channel->hub->loop,
                                  .done = on_read,
                                  .channel = channel_name(r->channel),
                                  .after = after,
                                  .limit = STORE_READ_MAX};
    ops->read(store, &r->read);
}

static bool read_store(struct channel *c, struct mail_subscribe *ms, struct hub_query *q,
                       const struct hub_subscribed *a, uint64_t after, bool is_claim)
{
    void *store;
    if (!c->settings->durable || !hub_store_ops(&store) || after >= c->history.evicted_offset)
        return false;
    struct reading *r = mem_new(sizeof(*r));
    r->channel = c;
    r->subscribe = ms;
    r->query = q;
    r->answer = *a;
    r->is_claim = is_claim;
    c->reads_pending++;
    read_on(r, after);
    return true;
}

/* ---- subscribe ----------------------------------------------------------------------- */

static bool is_from_here(const struct channel *c, const struct position *since)
{
    return strcmp(since->epoch, c->epoch) == 0 && since->offset <= c->last_offset;
}

void recover_subscribe(struct channel *c, struct mail_subscribe *ms)
{
    const struct subscribe_options *o = &ms->options;
    struct history *hi = &c->history;
    struct hub_subscribed a = {.recovered = true};
    struct msgs missed = {0};
    c->hub->history_bytes += (size_t)history_trim(hi, c->settings, loop_wall_ms(c->hub->loop));
    if (!o->has_since) {
        a.recovered = false;
        size_t n = o->history < hi->count ? o->history : hi->count;
        if (n)
            msgs_add_kept(&missed, hi, history_at(hi, hi->count - n)->offset - 1);
        answer(c, ms, &a, &missed);
        return;
    }
    bool everything = !o->since.epoch[0] && !o->since.offset;
    bool here = everything || is_from_here(c, &o->since);
    uint64_t after = here ? o->since.offset : 0;
    if (!here) {
        a.reset = true;
        a.recovered = false;
        a.gap_from = a.gap_to = o->since.offset < UINT64_MAX ? o->since.offset + 1 : UINT64_MAX;
    }
    if (read_store(c, ms, NULL, &a, after, here && !everything))
        return;
    if (here && !everything && after < hi->evicted_offset) {
        a.recovered = false;
        a.gap_from = after + 1;
        a.gap_to = hi->evicted_offset;
    }
    msgs_add_kept(&missed, hi, after);
    answer(c, ms, &a, &missed);
}

/* ---- query --------------------------------------------------------------------------- */

static void on_queried(struct loop *l, struct mail *mail)
{
    (void)l;
    struct hub_query *q = (struct hub_query *)(void *)mail;
    q->done(q);
}

/* Nobody knows how many listen: each loop is asked for its own, one after the other. */
static void on_count(struct loop *l, struct mail *mail)
{
    struct hub_query *q = (struct hub_query *)(void *)mail;
    q->subscribers += hub_local_count(hub_of(l), q->channel);
    q->counted++;
    query_answer(q);
}

static void query_answer(struct hub_query *q)
{
    struct loops *ls = loop_siblings(q->home);
    bool counts = q->want_subscribers && !q->err && q->counted < loops_count(ls);
    q->mail.deliver = counts ? on_count : on_queried;
    loop_post(counts ? loops_at(ls, q->counted) : q->home, &q->mail);
}

/* Takes msgs: keeps `limit` of them, the oldest with `after`, else the newest. */
static void query_fill(struct channel *c, struct hub_query *q, struct msgs *msgs)
{
    size_t first = 0, end = msgs->count;
    while (q->before && end > first && msgs->list[end - 1]->offset >= q->before)
        end--;
    if (end - first > q->limit) {
        q->more = true;
        if (q->after)
            end = first + q->limit;
        else
            first = end - q->limit;
    }
    for (size_t i = 0; i < msgs->count; i++)
        if (i < first || i >= end)
            msg_unref(&msgs->list[i]);
    if (end > first)
        memmove(msgs->list, msgs->list + first, (end - first) * sizeof(struct msg *));
    q->msgs = msgs->list;
    q->msgs_count = end - first;
    memcpy(q->at.epoch, c->epoch, sizeof(q->at.epoch));
    q->at.offset = c->offset;
}

void recover_query(struct channel *c, struct hub_query *q)
{
    struct msgs msgs = {0};
    if (!c) { /* refused, or a channel that is not there: nothing was said, nobody is here */
        query_answer(q);
        return;
    }
    if (q->want_presence)
        presence_flush(c);
    if (q->want_presence && !(q->presence = presence_state(c)))
        q->err = E_NO_MEMORY;
    struct hub_subscribed a = {0};
    c->hub->history_bytes +=
        (size_t)history_trim(&c->history, c->settings, loop_wall_ms(c->hub->loop));
    if (q->want_history && q->limit && read_store(c, NULL, q, &a, q->after, false))
        return;
    if (q->want_history)
        msgs_add_asked(&msgs, &c->history, q);
    query_fill(c, q, &msgs);
    query_answer(q);
}
