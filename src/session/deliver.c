/* SPDX-License-Identifier: Apache-2.0 */
/* From the hub to the client: the inside of subscription_ops. A message of a turn arrives as a
 * range of shared bytes and goes to the outlet as such; nothing is allocated here. A client
 * with too many unsent bytes takes nothing more: the hub lets its subscription lag until
 * session_drained. */
#include "session/session_priv.h"

#include "base/check.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"

enum { LOOK_MS = 10 };

static struct session_sub *sub_of(struct subscription *sub)
{
    return (struct session_sub *)(void *)sub;
}

/* A sock that is closing takes nothing, though the session has not been told yet: its place in the
 * stream stands still, and what was handed over now would be noted before what is there (I1). */
static bool takes_more(const struct session *s)
{
    const struct outlet *o = s->outlet;
    return s->state == SESSION_OPEN && o && !o->is_closing &&
           !(o->sock && sock_is_closing(o->sock));
}

static bool is_full(const struct session *s, size_t more)
{
    size_t unsent = s->outlet ? outlet_unsent(s->outlet) : SIZE_MAX;
    return unsent && (unsent >= s->home->config->send_bytes_max ||
                      unsent + more > s->home->config->send_bytes_max * 2);
}

/* Once more, in a while. */
void deliver_look_again(struct session *s)
{
    struct session_extra *x = session_need(s);
    if (!x->look_ms) {
        x->look_ms = loop_now_ms(s->home->loop) + LOOK_MS;
        session_watch(s);
    }
}

/* It can take no more now. session_drained comes when the flush has made room; where the kernel
 * has everything and only the peer's word for it is missing, after a while. */
static void wait_for_room(struct session *s)
{
    struct sock *sock = s->outlet ? s->outlet->sock : NULL;
    if (!sock)
        return;
    if (sock_unsent(sock)) {
        sock_expect_drained(sock);
    } else {
        deliver_look_again(s);
    }
}

bool deliver_is_full(const struct session *s)
{
    return s->outlet && is_full(s, 0);
}

void deliver_when_drained(struct session *s, struct session_sub *ss)
{
    ss->presence_stale = true;
    wait_for_room(s);
}

/* The reader is slow: by the channel's choice it is closed, or left to catch up later. */
static bool refuse(struct session *s, struct session_sub *ss)
{
    wait_for_room(s);
    metric_add(M_SLOW_CONSUMERS, 1);
    log_debug("session", "slow", "session=%.*s channel=%.*s", STR_ARG(session_name(s)),
              STR_ARG(session_sub_channel(ss)));
    if (subscription_settings(&ss->sub)->slow == SLOW_CLOSE && s->outlet)
        outlet_close(s->outlet, E_SLOW_CONSUMER, STR_NONE);
    return false;
}

static bool on_deliver(struct subscription *sub, const struct delivery *d)
{
    struct session_sub *ss = sub_of(sub);
    struct session *s = ss->session;
    if (!takes_more(s))
        return false;
    if (d->is_lost) {
        deliver_look_again(s);
        return false;
    }
    if (!d->segment) {
        if (is_full(s, 0))
            return refuse(s, ss);
        for (size_t i = d->first; i < d->end && sub->state == SUB_LIVE; i++)
            s->ops->message(s, ss, d->msgs[i]);
        metric_add(M_MESSAGES_DELIVERED, (int64_t)(d->end - d->first));
        return true;
    }
    uint32_t start = d->first ? d->ends[d->first - 1] : 0;
    uint32_t end = d->ends[d->end - 1];
    if (is_full(s, end - start) || !position_has_room(s, d->end - d->first))
        return refuse(s, ss);
    uint64_t base = position_stream(s) - start;
    outlet_send_segment(s->outlet, d->segment, start, end - start);
    position_advance(s, end - start);
    if (s->keeps_positions)
        for (size_t i = d->first; i < d->end; i++)
            (void)position_note(s, ss, base + d->ends[i], d->msgs[i]->offset);
    metric_add(M_MESSAGES_DELIVERED, (int64_t)(d->end - d->first));
    return true;
}

/* A private copy. False: no memory for it. */
static bool send_copy(struct session *s, struct session_sub *ss, struct msg *m)
{
    struct buf *b = &s->home->scratch;
    if (ss->sub.kind == ENC_NONE) {
        s->ops->message(s, ss, m);
        return true;
    }
    buf_clear(b);
    encoding_get()->message(s->home->loop, ss->sub.kind, m, b);
    if (b->failed) {
        deliver_look_again(s);
        return false;
    }
    uint64_t end = position_stream(s) + b->n; /* also when it dies of this */
    outlet_send_framed(s->outlet, buf_str(b));
    position_advance(s, b->n);
    (void)position_note(s, ss, end, m->offset);
    return true;
}

bool deliver_message(struct session *s, struct session_sub *ss, struct msg *m)
{
    if (!takes_more(s))
        return false;
    if (is_full(s, m->size) || !position_has_room(s, 1)) {
        wait_for_room(s);
        return false;
    }
    if (!send_copy(s, ss, m))
        return false;
    metric_add(M_MESSAGES_DELIVERED, 1);
    return true;
}

/* What was missed. False when the connection is full before the end. */
static bool replay(struct session *s, struct session_sub *ss, const struct hub_subscribed *a)
{
    for (size_t i = 0; i < a->missed_count; i++) {
        struct msg *m = a->missed[i];
        if (!takes_more(s) || ss->sub.state != SUB_LIVE)
            return false;
        if ((i && is_full(s, m->size)) || !position_has_room(s, 1)) {
            wait_for_room(s);
            return false;
        }
        if (!send_copy(s, ss, m))
            return false;
        ss->sub.offset = m->offset;
        metric_add(M_MESSAGES_DELIVERED, 1);
    }
    return true;
}

static void answer_subscribe(struct session *s, struct session_sub *ss,
                             const struct hub_subscribed *a)
{
    struct hub_subscribed told = *a;
    struct answer out = {.type = REQUEST_SUBSCRIBE,
                         .err = a->err,
                         .channel = session_sub_channel(ss),
                         .ref = sub_ref(ss),
                         .sub = ss,
                         .subscribed = &told,
                         .is_resume = ss->is_resume};
    if (ss->sub.wants_presence && !a->err) { /* who is here can be many: not on top of much else */
        if (deliver_is_full(s)) {
            told.presence = NULL;
            deliver_when_drained(s, ss);
        } else if (!a->presence) {
            ss->presence_stale = true;
            deliver_look_again(s);
        }
    }
    s->ops->answer(s, &out);
    mem_free(ss->ref); /* answered: a resume later is nobody's request */
    ss->ref = NULL;
}

/* A gap must arrive like a message: what stands before it is where the client is until then. After
 * a reset that place is one in the old log, and stays parked. */
static void note_gap(struct session *s, struct session_sub *ss, const struct hub_subscribed *a)
{
    ss->sub.offset = a->missed_count ? a->missed[0]->offset - 1 : a->at.offset;
    if (!a->reset)
        (void)position_note(s, ss, position_stream(s), a->gap_from);
    else if (s->keeps_positions && position_note(s, ss, position_stream(s), 0))
        resume_keep_asked(ss, a);
}

/* False: no room to note it; later. */
static bool tell_gap(struct session *s, struct session_sub *ss, const struct hub_subscribed *a)
{
    if (!position_has_room(s, 1)) {
        wait_for_room(s);
        return false;
    }
    metric_add(M_MESSAGES_DROPPED_SLOW, (int64_t)(a->gap_to - a->gap_from + 1));
    if (s->ops->gap)
        s->ops->gap(s, ss, a->gap_from, a->gap_to);
    return true;
}

/* Nobody was told: it is as it was. (Of one that catches up the hub knows.) */
static void not_told(struct session_sub *ss, const struct hub_subscribed *a)
{
    if (a->is_catch_up || a->err)
        return;
    resume_keep_asked(ss, a);
    ss->keeps_asked = true;
}

static bool on_subscribed(struct subscription *sub, const struct hub_subscribed *a)
{
    struct session_sub *ss = sub_of(sub);
    struct session *s = ss->session;
    if (s->state == SESSION_DETACHED) {
        resume_learn(ss, a);
        return false;
    }
    if (!takes_more(s)) {
        not_told(ss, a);
        return false;
    }
    if (a->is_catch_up) {
        if (a->gap_to && !tell_gap(s, ss, a))
            return false;
    } else {
        answer_subscribe(s, ss, a);
    }
    if (sub->state == SUB_NONE || s->state != SESSION_OPEN) /* it went inside the answer */
        return false;
    if (a->err) {
        session_sub_drop(s, ss);
        return false;
    }
    if (!takes_more(s)) { /* it died while it was told */
        not_told(ss, a);
        return false;
    }
    if (!a->is_catch_up)
        resume_free_parked(ss);
    if (a->gap_to)
        note_gap(s, ss, a);
    if (sub->state != SUB_LIVE)
        return false;
    place_begin_run(ss, !a->is_catch_up);
    bool all = replay(s, ss, a);
    place_end_run(ss, all ? a->at.offset : sub->offset);
    if (all && sub->state == SUB_LIVE && s->ops->caught_up)
        s->ops->caught_up(s, ss);
    return all;
}

static bool on_wants(const struct subscription *sub, const struct msg *m)
{
    const struct session_sub *ss = (const struct session_sub *)(const void *)sub;
    const struct session *s = ss->session;
    struct str except = m->except;
    while (except.n)
        if (session_sub_find(ss->session, str_cut(&except, '\n')))
            return false;
    if (m->is_volatile && s->outlet && outlet_waits(s->outlet))
        return false;
    return !s->ops->wants || s->ops->wants(s, ss, m);
}

static void on_presence(struct subscription *sub, const struct presence_update *u,
                        struct segment *segment, uint32_t start, uint32_t end)
{
    struct session_sub *ss = sub_of(sub);
    struct session *s = ss->session;
    if (!takes_more(s))
        return;
    if (is_full(s, end - start)) {
        deliver_when_drained(s, ss);
    } else if (!segment && sub->kind != ENC_NONE) {
        ss->presence_stale = true;
        deliver_look_again(s);
    } else if (segment && end > start) {
        outlet_send_segment(s->outlet, segment, start, end - start);
        position_advance(s, end - start);
    } else if (!segment && s->ops->presence) {
        s->ops->presence(s, ss, u);
    }
}

const struct subscription_ops deliver_ops = {
    .subscribed = on_subscribed, .deliver = on_deliver, .wants = on_wants, .presence = on_presence};

void session_drained(struct session *s)
{
    if (s->state != SESSION_OPEN)
        return;
    for (struct session_sub *ss = session_sub_first(s), *next; ss && s->state == SESSION_OPEN;
         ss = next) {
        next = session_sub_next(s, ss);
        if (ss->table)
            subtable_drained(ss);
        hub_catch_up(hub_of(s->home->loop), &ss->sub);
        if (ss->presence_stale) {
            ss->presence_stale = false;
            request_refresh_presence(s, ss);
        }
    }
}
