/* SPDX-License-Identifier: Apache-2.0 */
/* Coming back. The pid that a client was told is its session's ticket; the offset that it sends is
 * the last one it saw in an event, or none. The session is fetched from wherever it lives (a
 * half-open old connection lets go of it), each of its rooms goes on behind that event, and what
 * was missed is held back until every room has answered: only then it is sent, followed by the
 * CONNECT reply with the same sid and pid. If one room's history does not reach, nothing of it is
 * sent and the client gets a fresh socket: recovered stays false.
 *
 * Events to the socket alone are in no channel: the outbox keeps them until it is known that the
 * client has them. Their offsets are ~1, ~2, ... */
#include "protocol/socketio_priv.h"

#include "base/check.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/num.h"
#include "wire/cursor.h"

enum { OUTBOX_COUNT_MAX = 256, OUTBOX_BYTES_MAX = 256 << 10 };

/* ---- the outbox --------------------------------------------------------------------------- */

static void drop_oldest(struct outbox *o)
{
    struct direct *d = LIST_OF(list_take(&o->events), struct direct, link);
    o->count--;
    o->bytes -= d->n;
    mem_free(d);
}

void socketio_outbox_free(struct socketio_socket *s)
{
    while (s->outbox && s->outbox->count)
        drop_oldest(s->outbox);
    mem_free(s->outbox);
    s->outbox = NULL;
}

static struct outbox *outbox_of(struct socketio_socket *s)
{
    if (!s->outbox) {
        s->outbox = mem_new(sizeof(*s->outbox));
        list_init(&s->outbox->events);
    }
    return s->outbox;
}

int socketio_outbox_keep(struct socketio_socket *s, struct str framed, uint64_t number)
{
    struct outbox *o = outbox_of(s);
    if (framed.n > OUTBOX_BYTES_MAX)
        return E_TOO_LARGE;
    while (o->count && (o->count >= OUTBOX_COUNT_MAX || o->bytes + framed.n > OUTBOX_BYTES_MAX)) {
        o->dropped = LIST_OF(o->events.next, struct direct, link)->sequence;
        drop_oldest(o);
    }
    struct direct *d = mem_new(sizeof(*d) + framed.n);
    d->number = number;
    d->sequence = hub_sequence_next(hub_of(s->loop));
    d->n = framed.n;
    memcpy(d->framed, framed.p, framed.n);
    list_push(&o->events, &d->link);
    o->count++;
    o->bytes += d->n;
    return 0;
}

/* What is in it is sent after now, by this loop's clock; if the connection is lost before, it is
 * not taken for confirmed. */
static void outbox_renumber(struct socketio_socket *s)
{
    struct outbox *o = s->outbox;
    if (!o)
        return;
    o->dropped = 0;
    for (struct list *at = o->events.next; at != &o->events; at = at->next)
        LIST_OF(at, struct direct, link)->sequence = hub_sequence_next(hub_of(s->loop));
}

/* It has everything up to that. */
static void outbox_confirm(struct outbox *o, uint64_t sequence)
{
    while (o && o->count && LIST_OF(o->events.next, struct direct, link)->sequence <= sequence)
        drop_oldest(o);
}

void socketio_confirm(struct socketio_socket *s, uint64_t sequence)
{
    if (s->state != SOCKET_CONNECTED || sequence <= s->confirmed)
        return;
    s->confirmed = sequence;
    outbox_confirm(s->outbox, sequence);
}

/* The sequence of "~12"; what was confirmed and dropped counts as confirmed. */
static bool find_direct(const struct socketio_socket *s, struct str place, uint64_t *sequence)
{
    uint64_t number;
    *sequence = s->confirmed;
    if (!s->outbox || !num_u64(str_skip(place, 1), &number) || number > s->outbox->number)
        return false;
    for (struct list *at = s->outbox->events.next; at != &s->outbox->events; at = at->next) {
        const struct direct *d = LIST_OF(at, struct direct, link);
        if (d->number == number)
            *sequence = d->sequence;
    }
    return true;
}

/* What the client names, as a place in this session; NULL, or why there is none. */
static const char *find_place(struct socketio_socket *s, struct str text,
                              struct session_place *place)
{
    struct str epoch;
    uint64_t offset;
    *place = (struct session_place){0};
    if (!text.n)
        return NULL;
    if (text.p[0] == '~')
        return find_direct(s, text, &place->sequence) ? NULL : "no such event to it alone";
    if (!cursor_parse_id(text, &epoch, &offset))
        return "not an offset of ours";
    if (session_place_find(s->session, epoch, offset, place))
        return NULL;
    return "no such message was sent to it";
}

bool socketio_place(struct session *session, struct str text)
{
    struct socketio_socket *s = session_user(session);
    struct session_place place;
    const char *why = s->state == SOCKET_AWAY ? find_place(s, text, &place) : "it is not away";
    /* A client keeps the offset that it had before it was given this session. */
    if (why && s->state == SOCKET_AWAY && !s->outbox && !session_place_was_sent(session)) {
        place = (struct session_place){0};
        why = NULL;
    }
    if (!why && place.sequence < s->confirmed)
        place.sequence = s->confirmed;
    if (!why && s->outbox && s->outbox->dropped > place.sequence)
        why = "events to it alone were too many";
    if (!why)
        outbox_confirm(s->outbox, place.sequence);
    if (!why && !session_place_set(session, &place))
        why = "too long ago";
    if (why)
        log_debug("protocol", "socketio-no-place", "session=%.*s place=%.*s why=\"%s\"",
                  STR_ARG(session_name(session)), STR_ARG(str_head(text, 64)), why);
    return !why;
}

/* ---- fetching ----------------------------------------------------------------------------- */

struct fetching {
    struct session_fetch fetch; /* first */
    uint64_t number;
    char text[];
};

static void on_hold_send_segment(struct outlet *o, struct segment *g, size_t start, size_t n)
{
    buf_add(&((struct hold *)(void *)o)->framed, g->bytes + start, n);
}

static void on_hold_send_framed(struct outlet *o, struct str bytes)
{
    buf_add_str(&((struct hold *)(void *)o)->framed, bytes);
}

static size_t on_hold_unsent(const struct outlet *o)
{
    return ((const struct hold *)(const void *)o)->framed.n;
}

static void on_hold_send(struct outlet *o, struct str payload, bool is_binary)
{
    (void)o, (void)payload, (void)is_binary; /* nothing is sent alone while it recovers */
}

static void on_hold_close(struct outlet *o, int err, struct str detail)
{
    struct socketio_socket *s = ((struct hold *)(void *)o)->socket;
    if (s->conn)
        outlet_close(&s->conn->outlet, err, detail);
}

static const struct outlet_ops hold_ops = {.send = on_hold_send,
                                           .send_segment = on_hold_send_segment,
                                           .send_framed = on_hold_send_framed,
                                           .unsent = on_hold_unsent,
                                           .close = on_hold_close};

void socketio_hold_drop(struct socketio_socket *s)
{
    if (!s->hold)
        return;
    loop_turn_task_drop(&s->hold->task);
    buf_free(&s->hold->framed);
    mem_free(s->hold);
    s->hold = NULL;
}

/* Right behind the CONNECT reply: a client keeps what comes before it for its next connection, too,
 * and would have it twice if this one were cut between them. */
void socketio_release(struct socketio_socket *s)
{
    enum encoding_kind kind = engineio_kind(s->conn);
    for (struct session_sub *ss = session_sub_first(s->session); ss;
         ss = session_sub_next(s->session, ss))
        session_set_kind(s->session, ss, kind);
    engineio_send_framed(s->conn, buf_str(&s->hold->framed));
    outbox_renumber(s);
    if (s->outbox)
        for (struct list *at = s->outbox->events.next; at != &s->outbox->events; at = at->next) {
            struct direct *d = LIST_OF(at, struct direct, link);
            engineio_send_framed(s->conn, str_of(d->framed, d->n));
        }
    session_set_outlet(s->session, &s->conn->outlet);
    socketio_hold_drop(s);
    session_drained(s->session);
}

/* What it was is lost; who it is goes on as somebody new on the same connection. */
static void begin_anew(struct socketio_socket *old)
{
    struct engineio *e = old->conn;
    struct session *session = old->session;
    log_debug("protocol", "socketio-not-recovered", "session=%.*s", STR_ARG(session_name(session)));
    list_drop(&old->link);
    struct socketio_socket *s =
        socketio_new(e, old->ns, socketio_nsp(old), session_identity(session));
    s->auth = old->auth;
    old->auth = NULL;
    old->conn = NULL;
    session_end(session, E_CLOSED, false);
    socketio_connect(s);
}

static void on_all_answered(struct loop *l, struct turn_task *task)
{
    struct hold *hold = LIST_OF(task, struct hold, task);
    struct socketio_socket *s = hold->socket;
    (void)l;
    if (s->state != SOCKET_RECOVERING || !s->conn)
        return;
    if (hold->failed || hold->framed.failed)
        begin_anew(s);
    else
        socketio_recovered(s);
}

static void decide(struct socketio_socket *s)
{
    s->hold->task.run = on_all_answered;
    loop_at_turn_end(s->loop, TURN_FANOUT, &s->hold->task);
}

void socketio_on_resumed(struct socketio_socket *s, const struct answer *a)
{
    struct hold *hold = s->hold;
    if (!hold)
        return;
    if (a->err || !a->subscribed->recovered || a->subscribed->gap_to) {
        log_debug("protocol", "socketio-gap", "channel=%.*s err=%d", STR_ARG(a->channel), a->err);
        hold->failed = true;
    }
    if (--hold->waiting == 0)
        decide(s);
}

/* The session's record takes the place of the one that asked. */
static void take_up(struct socketio_socket *asked, struct session *session)
{
    struct socketio_socket *s = session_user(session);
    struct hold *hold = mem_new(sizeof(*hold));
    struct identity *identity = identity_ref(asked->identity);
    CHECK(s->state == SOCKET_AWAY && !s->hold);
    s->loop = asked->loop;
    s->conn = asked->conn;
    s->connection++;
    mem_free(s->auth);
    s->auth = asked->auth;
    asked->auth = NULL;
    list_push(&s->conn->sockets, &s->link);
    socketio_free(asked);
    hold->outlet.ops = &hold_ops;
    hold->socket = s;
    s->hold = hold;
    s->state = SOCKET_RECOVERING;
    s->marked = 0;
    s->confirmed = hub_sequence(hub_of(s->loop));
    outbox_renumber(s);
    for (struct session_sub *ss = session_sub_first(session); ss;
         ss = session_sub_next(session, ss))
        session_set_kind(session, ss, ENC_SOCKETIO_POLL);
    hold->waiting =
        session_subs_count(session) + 1; /* one for us: answers may come before all are asked */
    hold->failed = session_attach(session, &hold->outlet, identity) != 0;
    identity_unref(identity);
    hold->waiting--;
    if (hold->failed || !hold->waiting)
        decide(s);
}

/* It lives here now, whoever wants it, and what it counts by is another clock. */
static void arrive(struct socketio_socket *s, struct loop *home)
{
    if (s->loop == home)
        return;
    s->loop = home;
    s->confirmed = hub_sequence(hub_of(home));
    outbox_renumber(s);
}

static void on_fetched(struct session_fetch *f)
{
    struct fetching *w = (struct fetching *)(void *)f;
    struct socketio_home *home = socketio_home_of(f->home);
    struct socketio_socket *s =
        map_get(&home->waiting, str_of((char *)&w->number, sizeof(w->number)));
    struct session *session = f->session;
    if (session)
        arrive(session_user(session), f->home);
    if (s && session && s->state == SOCKET_FETCHING &&
        str_eq(socketio_nsp(s), socketio_nsp(session_user(session))))
        take_up(s, session);
    else if (s && s->state == SOCKET_FETCHING) {
        log_debug("protocol", "socketio-not-found", "pid=%.4s fetched=%d", w->text,
                  session != NULL);
        socketio_connect(s);
    }
    identity_unref(f->identity);
    mem_free(w);
}

void socketio_recover(struct socketio_socket *s, struct str pid, struct str place)
{
    struct fetching *w = mem_new(sizeof(*w) + pid.n + place.n);
    w->number = s->number;
    memcpy(w->text, pid.p, pid.n);
    if (place.n)
        memcpy(w->text + pid.n, place.p, place.n);
    w->fetch.ops = &socketio_ops;
    w->fetch.identity = identity_ref(s->identity);
    w->fetch.ticket = str_of(w->text, pid.n);
    w->fetch.place = str_of(w->text + pid.n, place.n);
    w->fetch.done = on_fetched;
    session_fetch(s->loop, &w->fetch);
}
