/* SPDX-License-Identifier: Apache-2.0 */
/* One WebSocket connection (RFC 6455), whatever it speaks.
 *
 *   PROBING --siblings answered--> OPEN --close frame either way, error--> CLOSING --> (gone)
 *        (only when another connection holds this client's ticket and may be dead)
 *
 * What holds: in OPEN there is a peer; it is told exactly once that the connection is closed.
 * In CLOSING our close frame is queued; input is dropped but for the peer's close frame.
 *
 * Liveness: a ping after ws_ping_ms, gone when nothing at all arrives for ws_pong_ms after it.
 * Input waits (the sock is paused) while the client's rate is used up or it does not read our
 * answers, so what a client can make us hold is bounded by what it takes. */
#include "transport/transport_priv.h"

#include "base/check.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "base/num.h"
#include "wire/wsmessage.h"

enum {
    UNSENT_PAUSE = 1 << 20,
    PROBE_STEP_MS = 10,
    LINGER_MS = 2000,
    SIBLINGS_MAX = 16,
    PROBE_ROUNDS = 5
};

enum ws_state { WS_PROBING, WS_OPEN, WS_CLOSING };

struct ws {
    struct outlet outlet; /* first */
    struct wsmessage in;
    void *peer;
    struct ws_busy *busy; /* NULL: it only waits for input, and for its ping */
    struct list silent;   /* home->ws_silent */
    uint64_t ping_at_ms;
    uint64_t heard_ms; /* last input */
    uint8_t state, kind, window_bits;
    bool deflate : 1, has_own_pings : 1, awaits_pong : 1, is_probed : 1, is_held : 1;
    bool is_goodbye : 1;
    bool was_paused : 1; /* input may have come long ago: only a pong is a sign of life now */
    int16_t broken;      /* E_*: what the client sent cannot be taken */
};

/* While there is something to be done at a time of its own. */
struct ws_busy {
    struct ws *ws;
    struct timer timer;
    struct ws_pending *pending; /* until the peer is open */
    uint64_t hold_until_ms;
    uint64_t deadline_ms; /* pong or close */
};

/* What is known before the peer exists. */
struct ws_pending {
    struct ws_open open;
    uint64_t since_ms, until_ms; /* probing */
    size_t query_n;
    char query[];
};

static struct ws *ws_of(struct outlet *o)
{
    return (struct ws *)(void *)o;
}

static struct transport_home *home_of(const struct ws *w)
{
    return transport_home_of(sock_loop(w->outlet.sock));
}

static void on_timer(struct loop *l, struct timer *timer);
static void alive(struct ws *w, bool is_pong);

static struct ws_busy *need_busy(struct ws *w)
{
    if (!w->busy) {
        w->busy = mem_new(sizeof(*w->busy));
        w->busy->ws = w;
    }
    return w->busy;
}

static void free_pending(struct ws_busy *b)
{
    if (b->pending)
        identity_unref(b->pending->open.who.identity);
    mem_free(b->pending);
    b->pending = NULL;
}

static void free_busy(struct ws *w)
{
    if (!w->busy)
        return;
    free_pending(w->busy);
    timer_stop(&w->busy->timer);
    mem_free(w->busy);
    w->busy = NULL;
}

/* The timer stands for whatever is next: deadline, end of a hold, probing. */
static void watch(struct ws *w)
{
    struct loop *l = sock_loop(w->outlet.sock);
    struct ws_busy *b = w->busy;
    uint64_t now_ms = loop_now_ms(l), due_ms = UINT64_MAX;
    if (!b)
        return;
    if (w->state == WS_PROBING)
        due_ms = now_ms + PROBE_STEP_MS;
    if (b->deadline_ms && b->deadline_ms < due_ms)
        due_ms = b->deadline_ms;
    if (b->hold_until_ms && b->hold_until_ms < due_ms)
        due_ms = b->hold_until_ms;
    if (due_ms != UINT64_MAX)
        timer_set(l, &b->timer, due_ms > now_ms ? due_ms - now_ms : 1, on_timer);
    else if (!b->pending)
        free_busy(w);
}

static void tell_closed(struct ws *w, int err)
{
    void *peer = w->peer;
    w->peer = NULL;
    if (peer)
        protocol_on_closed(w->kind, peer, err, w->is_goodbye);
}

/* ---- out ------------------------------------------------------------------------------------- */

/* Half a frame must not go out, and a frame must not be missed: without memory the connection
 * ends, and the client comes back. */
static void send_frame(struct ws *w, struct buf *b)
{
    if (b->failed)
        sock_abort(w->outlet.sock, E_NO_MEMORY);
    else
        sock_send(w->outlet.sock, b->p, b->n);
    buf_free(b);
}

static void on_send(struct outlet *o, struct str payload, bool is_binary)
{
    struct ws *w = ws_of(o);
    struct buf b = {0};
    if (w->state == WS_CLOSING)
        return;
    encoding_frame(home_of(w), is_binary, w->deflate, w->window_bits, payload, &b);
    send_frame(w, &b);
}

/* Sends our close frame; the peer is told when the connection is gone: only then it is known
 * how far the client has come. */
static void start_close(struct ws *w, int code, struct str reason)
{
    struct loop *l = sock_loop(w->outlet.sock);
    struct buf b = {0};
    if (w->state == WS_CLOSING)
        return;
    w->state = WS_CLOSING;
    wsframe_add_close(&b, code, reason);
    send_frame(w, &b);
    if (w->is_held)
        sock_resume(w->outlet.sock);
    w->is_held = false;
    list_drop(&w->silent);
    need_busy(w)->hold_until_ms = 0;
    w->busy->deadline_ms = loop_now_ms(l) + home_of(w)->config->ws_close_ms;
    watch(w);
}

static void on_close_asked(struct outlet *o, int err, struct str detail)
{
    const struct err_info *info = err_info(err);
    int code = err == 0 ? 1000 : err == E_DRAINING ? 1012 : info->number;
    if (ws_of(o)->kind == PROTOCOL_SOCKETIO) /* says why in its own way, or not */
        start_close(ws_of(o), 0, STR_NONE);
    else
        start_close(ws_of(o), code, detail.n || !err ? detail : str_from(info->text));
}

/* A ping carries our position; its pong brings it back when all before it has been read. */
static void ping(struct ws *w)
{
    struct buf b = {0};
    char text[24];
    wsframe_add(&b, WSFRAME_PING, str_of(text, num_put_u64(text, sock_position(w->outlet.sock))));
    send_frame(w, &b);
}

static void on_pong(struct ws *w, struct str payload)
{
    uint64_t position;
    alive(w, true);
    if (w->state == WS_OPEN && w->peer && num_u64(payload, &position) &&
        position <= sock_position(w->outlet.sock))
        protocol_on_receipt(w->kind, w->peer, position);
}

/* It must be answered in time, or the connection is dead. */
static void send_ping(struct ws *w)
{
    if (w->peer)
        protocol_on_ping(w->kind, w->peer);
    if (w->state != WS_OPEN)
        return;
    ping(w);
    w->awaits_pong = true;
    if (!need_busy(w)->deadline_ms)
        w->busy->deadline_ms =
            loop_now_ms(sock_loop(w->outlet.sock)) + home_of(w)->config->ws_pong_ms;
    watch(w);
}

/* Without a deadline: a slow reader may take its time, and the regular ping finds the dead. */
static void on_ask(struct outlet *o)
{
    struct ws *w = ws_of(o);
    if (w->state == WS_OPEN)
        ping(w);
}

static bool on_is_alive(struct outlet *o, uint64_t since_ms, uint64_t wait_ms)
{
    struct ws *w = ws_of(o);
    struct loop *l = sock_loop(o->sock);
    if (w->heard_ms >= since_ms)
        return true;
    if (w->is_probed || w->is_held || w->state != WS_OPEN)
        return false; /* what is held is looked at soon; then it is asked */
    w->is_probed = true;
    ping(w);
    uint64_t due_ms = loop_now_ms(l) + wait_ms, *deadline_ms = &need_busy(w)->deadline_ms;
    if (!*deadline_ms || *deadline_ms > due_ms)
        *deadline_ms = due_ms;
    watch(w);
    return false;
}

static const struct outlet_ops outlet_ops = {
    .send = on_send,
    .close = on_close_asked,
    .is_alive = on_is_alive,
    .ask = on_ask,
};

/* ---- in -------------------------------------------------------------------------------------- */

static void answer_control(struct ws *w, enum wsframe_opcode opcode, struct str payload)
{
    struct buf b = {0};
    wsframe_add(&b, opcode, payload);
    send_frame(w, &b);
}

static void on_peer_close(struct ws *w, const struct wsmessage_out *out)
{
    bool was_closing = w->state == WS_CLOSING;
    /* 1000, 1001, none and an application's own codes mean it; others report a failure. With 4000
     * a client lets go of a connection and comes back (the SDK, when a page is frozen). */
    w->is_goodbye = !was_closing && (out->code == 1000 || out->code == 1001 || out->code == 1005 ||
                                     (out->code >= 3000 && out->code != 4000));
    start_close(w, out->code == 1005 ? 0 : out->code, STR_NONE);
    tell_closed(w, 0);
    sock_close(w->outlet.sock, LINGER_MS);
}

static void on_broken(struct ws *w, const struct wsmessage_out *out)
{
    log_debug("transport", "ws-error", "peer=%.*s code=%d rule=%s",
              STR_ARG(sock_peer(w->outlet.sock)), out->code, out->detail ? out->detail : "");
    w->broken = (int16_t)out->err;
    start_close(w, out->code, str_from(out->detail));
    sock_close(w->outlet.sock, LINGER_MS);
}

static void alive(struct ws *w, bool is_pong)
{
    if (is_pong)
        w->was_paused = false;
    if (!w->was_paused)
        w->heard_ms = loop_now_ms(sock_loop(w->outlet.sock));
    if (w->state != WS_OPEN || (!w->awaits_pong && !w->is_probed))
        return;
    if (w->is_probed && w->was_paused)
        return;
    w->awaits_pong = w->is_probed = false;
    if (w->busy)
        w->busy->deadline_ms = 0;
    watch(w);
}

/* True when no more input is to be looked at now. */
static bool must_hold(struct ws *w)
{
    struct sock *s = w->outlet.sock;
    uint64_t hold_ms = w->peer ? protocol_hold_ms(w->kind, w->peer) : 0;
    if (w->state != WS_OPEN || (!hold_ms && sock_unsent(s) < UNSENT_PAUSE))
        return false;
    if (hold_ms)
        need_busy(w)->hold_until_ms = loop_now_ms(sock_loop(s)) + hold_ms;
    else
        sock_expect_drained(s);
    w->is_held = w->was_paused = true;
    sock_pause(s);
    watch(w);
    return true;
}

static size_t on_input(struct sock *s, uint8_t *bytes, size_t n)
{
    struct ws *w = sock_owner(s);
    struct wsmessage_out out;
    uint8_t *at = bytes;
    size_t left = n;
    if (w->state == WS_PROBING || w->is_held)
        return 0;
    alive(w, false);
    for (;;) {
        enum wsmessage_event event = wsmessage_feed(&w->in, &at, &left, home_of(w)->inflate, &out);
        switch (event) {
        case WSMESSAGE_MORE:
            return n;
        case WSMESSAGE_TEXT:
        case WSMESSAGE_BINARY:
            if (w->state == WS_OPEN && w->peer)
                protocol_on_message(w->kind, w->peer, out.payload, event == WSMESSAGE_BINARY);
            break;
        case WSMESSAGE_PING:
            if (w->state == WS_OPEN)
                answer_control(w, WSFRAME_PONG, out.payload);
            break;
        case WSMESSAGE_PONG:
            on_pong(w, out.payload);
            break;
        case WSMESSAGE_CLOSE:
            on_peer_close(w, &out);
            return n;
        case WSMESSAGE_ERROR:
            on_broken(w, &out);
            return n;
        }
        if (must_hold(w))
            return n - left;
    }
}

static void on_drained(struct sock *s)
{
    struct ws *w = sock_owner(s);
    if (w->is_held && !(w->busy && w->busy->hold_until_ms)) {
        w->is_held = false;
        sock_resume(s);
    }
    if (w->peer && w->state == WS_OPEN)
        protocol_on_drained(w->kind, w->peer);
}

static void on_gone(struct sock *s, int err)
{
    struct ws *w = sock_owner(s);
    tell_closed(w, w->broken ? w->broken : err ? err : E_CLOSED);
    free_busy(w);
    list_drop(&w->silent);
    wsmessage_fini(&w->in);
    metric_add(M_CONNECTIONS_WS, -1);
    mem_free(w);
}

static const struct sock_ops sock_ops = {
    .on_input = on_input, .on_drained = on_drained, .on_close = on_gone};

/* ---- time ------------------------------------------------------------------------------------ */

static void on_ping_time(struct loop *l, struct timer *timer);
static void open_peer(struct ws *w);

/* Asks each attached session of our ticket; true when all have been heard since we came. Those
 * that are dead detach meanwhile, and the longest waiting one is ours. */
static bool siblings_answered(struct ws *w)
{
    struct session *siblings[SIBLINGS_MAX];
    struct ws_pending *p = w->busy->pending;
    struct ws_open *open = &p->open;
    size_t count =
        session_ticket_attached(sock_loop(w->outlet.sock), str_from(open->ticket),
                                str_from(open->name), open->claim_ops, siblings, SIBLINGS_MAX);
    bool all = true;
    for (size_t i = 0; i < count; i++) {
        struct outlet *o = session_outlet(siblings[i]);
        if (o->ops->is_alive && !o->ops->is_alive(o, p->since_ms, home_of(w)->config->probe_ms))
            all = false;
    }
    return all;
}

static bool is_claimable(struct ws *w)
{
    struct ws_open *open = &w->busy->pending->open;
    return session_ticket_claim(sock_loop(w->outlet.sock), str_from(open->ticket),
                                str_from(open->name), open->claim_ops, open->who.identity) != NULL;
}

/* All wait equally long, so a queue in the order of their times does with one timer for all. */
static void wait_for_ping(struct transport_home *home, struct ws *w)
{
    uint64_t ping_ms = home->config->ws_ping_ms;
    w->ping_at_ms = loop_now_ms(home->loop) + ping_ms;
    list_drop(&w->silent);
    list_push(&home->ws_silent, &w->silent);
    if (!timer_is_set(&home->ws_ping_timer))
        timer_set(home->loop, &home->ws_ping_timer, ping_ms, on_ping_time);
}

static void on_ping_time(struct loop *l, struct timer *timer)
{
    struct transport_home *home = LIST_OF(timer, struct transport_home, ws_ping_timer);
    uint64_t now_ms = loop_now_ms(l);
    while (!list_is_empty(&home->ws_silent)) {
        struct ws *w = LIST_OF(home->ws_silent.next, struct ws, silent);
        if (w->ping_at_ms > now_ms) {
            timer_set(l, timer, w->ping_at_ms - now_ms, on_ping_time);
            return;
        }
        wait_for_ping(home, w);
        send_ping(w);
    }
}

void ws_setup(struct transport_home *home)
{
    list_init(&home->ws_silent);
}

void ws_teardown(struct transport_home *home)
{
    timer_stop(&home->ws_ping_timer);
}

static void on_timer(struct loop *l, struct timer *timer)
{
    struct ws_busy *b = LIST_OF(timer, struct ws_busy, timer);
    struct ws *w = b->ws;
    uint64_t now_ms = loop_now_ms(l);
    if (w->state == WS_PROBING) {
        if (is_claimable(w) || siblings_answered(w) || now_ms >= b->pending->until_ms)
            open_peer(w);
        else
            watch(w);
        return;
    }
    if (b->deadline_ms && b->deadline_ms <= now_ms) {
        tell_closed(w, E_TIMEOUT);
        sock_abort(w->outlet.sock, E_TIMEOUT);
        return;
    }
    if (b->hold_until_ms && b->hold_until_ms <= now_ms) {
        b->hold_until_ms = 0;
        w->is_held = false;
        sock_resume(w->outlet.sock);
    }
    watch(w);
}

/* ---- opening --------------------------------------------------------------------------------- */

static void open_peer(struct ws *w)
{
    struct sock *s = w->outlet.sock;
    struct loop *l = sock_loop(s);
    struct ws_pending *p = w->busy->pending;
    struct ws_open *open = &p->open;
    bool was_probing = w->state == WS_PROBING;
    int err = E_INTERNAL;
    w->state = WS_OPEN;
    struct protocol_hello hello = {.kind = open->kind,
                                   .loop = l,
                                   .outlet = &w->outlet,
                                   .identity = open->who.identity,
                                   .needs_token = open->who.needs_token,
                                   .is_deflate = w->deflate,
                                   .ticket = str_from(open->ticket),
                                   .tells_ticket = open->tells_ticket,
                                   .ping_ms = home_of(w)->config->ws_ping_ms,
                                   .is_unknown = open->is_unknown,
                                   .query = str_of(p->query, p->query_n),
                                   .engineio = open->engineio,
                                   .target = open->target};
    if (open->claims && !open->who.needs_token)
        hello.resumed = session_ticket_claim(l, hello.ticket, str_from(open->name), open->claim_ops,
                                             open->who.identity);
    w->peer = protocol_open(&hello, &err);
    free_pending(w->busy);
    sock_forget_peer(s);
    if (!w->peer)
        on_close_asked(&w->outlet, err, STR_NONE);
    else if (w->state == WS_OPEN && !w->has_own_pings)
        wait_for_ping(home_of(w), w);
    watch(w);
    if (was_probing)
        sock_resume(s);
}

static void probe_siblings(struct ws *w)
{
    struct ws_pending *p = w->busy->pending;
    struct ws_open *open = &p->open;
    struct loop *l = sock_loop(w->outlet.sock);
    uint64_t ms = home_of(w)->config->probe_ms;
    p->since_ms = loop_now_ms(l);
    /* Who brings no token yet takes over nobody's session: it could not be told from a stranger. */
    if (!open->claims || open->who.needs_token || !ms || is_claimable(w) || siblings_answered(w)) {
        open_peer(w);
        return;
    }
    w->state = WS_PROBING;
    w->was_paused = true;
    /* A sibling may itself have come while we waited, and be dead too: a few rounds. */
    p->until_ms = loop_now_ms(l) + PROBE_ROUNDS * ms;
    sock_pause(w->outlet.sock);
    watch(w);
}

void ws_accept(struct http_request *req, struct str answer, const struct ws_open *open)
{
    struct transport_home *home = transport_home_of(req->loop);
    struct ws *w = mem_new(sizeof(*w));
    w->kind = (uint8_t)open->kind;
    w->deflate = open->deflate;
    w->window_bits = (uint8_t)open->window_bits;
    w->has_own_pings = open->has_own_pings;
    struct ws_pending *p = mem_new(sizeof(*p) + open->query.n);
    p->open = *open;
    p->query_n = open->query.n;
    if (open->query.n)
        memcpy(p->query, open->query.p, open->query.n);
    need_busy(w)->pending = p;
    size_t max =
        open->message_bytes_max ? open->message_bytes_max : home->config->ws_message_bytes_max;
    wsmessage_init(&w->in, (uint32_t)max, open->deflate);
    w->outlet.ops = &outlet_ops;
    w->outlet.is_proxied = http_is_proxied(req);
    w->outlet.sock = http_take_over(req, answer, &sock_ops, w);
    metric_add(M_CONNECTIONS_WS, 1);
    if (!open->refusal) {
        probe_siblings(w);
        return;
    }
    w->state = WS_OPEN;
    free_pending(w->busy);
    on_close_asked(&w->outlet, open->refusal, STR_NONE);
}
