/* SPDX-License-Identifier: Apache-2.0 */
/* See engineio.h for the states. One timer a connection stands for whatever is next: ping, pong
 * too late, connect or upgrade too late, the last poll.
 *
 * Output while polling waits as ranges of the shared segments (a broadcast is one segment for all
 * polling clients of a loop, too); sessions see how much waits and let their subscriptions lag
 * when it is too much, so the queue is bounded by them. A poll that waits is answered at the end
 * of the turn, so that one answer carries all of it. */
#include "protocol/engineio_priv.h"

#include "base/base64.h"
#include "base/check.h"
#include "base/log.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/metric.h"
#include "base/num.h"

enum { SEPARATOR = 0x1e, SID_RANDOM_BYTES = 13 };

/* Of one loop. */
struct engineio_home {
    struct loop *loop;
    const struct engineio_config *config;
    const struct engineio_poll_ops *poll_ops;
    struct map by_sid; /* those that began with a poll */
    struct list all;
    struct list strangers; /* not in `all`: polling, in no namespace yet; oldest first */
    size_t strangers_count;
    struct buf scratch;
};

static struct engineio_home *home_of(const struct loop *l)
{
    return loop_slot(l, LOOP_SLOT_ENGINEIO);
}

const struct engineio_config *engineio_config_of(struct loop *l)
{
    return home_of(l)->config;
}

void engineio_setup(struct loops *ls, const struct engineio_config *config,
                    const struct engineio_poll_ops *ops)
{
    for (unsigned i = 0; i < loops_count(ls); i++) {
        struct engineio_home *home = mem_new(sizeof(*home));
        home->loop = loops_at(ls, i);
        home->config = config;
        home->poll_ops = ops;
        list_init(&home->all);
        list_init(&home->strangers);
        loop_slot_set(home->loop, LOOP_SLOT_ENGINEIO, home);
    }
}

static void watch(struct engineio *e);
static void become_closed(struct engineio *e, const char *reason);

/* ---- answering polls ---------------------------------------------------------------------- */

static void release_poll(struct engineio *e, struct str payload)
{
    void *poll = e->poll;
    e->poll = NULL;
    e->sent_sequence = hub_sequence(hub_of(e->loop));
    home_of(e->loop)->poll_ops->answer(poll, payload);
}

/* What waits, without the first separator. `more` may be empty. */
static void answer_poll(struct engineio *e, struct str more)
{
    struct buf *b = &home_of(e->loop)->scratch;
    buf_clear(b);
    poll_queue_copy(&e->queue, b);
    poll_queue_clear(&e->queue);
    if (more.n) {
        buf_add_c(b, SEPARATOR);
        buf_add_str(b, more);
    }
    release_poll(e, b->failed ? STR("1") : str_skip(buf_str(b), 1));
    if (b->capacity > 1 << 20)
        buf_free(b);
}

static void on_turn(struct loop *l, struct turn_task *task)
{
    struct engineio *e = LIST_OF(task, struct engineio, task);
    (void)l;
    if (!e->poll || !e->queue.bytes || e->state > EIO_PROBING)
        return;
    answer_poll(e, STR_NONE);
    socketio_on_drained(e);
}

static void answer_soon(struct engineio *e)
{
    if (!e->poll || e->state > EIO_PROBING)
        return;
    e->task.run = on_turn;
    loop_at_turn_end(e->loop, TURN_FANOUT, &e->task);
}

static void queue_bytes(struct engineio *e, struct str bytes)
{
    struct segment *g = segment_new(e->loop, bytes.n);
    if (!g) {
        engineio_close(e, "transport error");
        return;
    }
    memcpy(g->bytes, bytes.p, bytes.n);
    g->n = (uint32_t)bytes.n;
    poll_queue_add(&e->queue, g, 0, bytes.n);
    segment_unref(&g);
    answer_soon(e);
}

/* ---- the outlet of the sockets ------------------------------------------------------------ */

void engineio_send_text(struct engineio *e, struct str packet)
{
    struct buf b = {0};
    if (e->state == EIO_ON_WS) {
        e->ws->ops->send(e->ws, packet, false);
        return;
    }
    if (e->state > EIO_PROBING)
        return;
    buf_add_c(&b, SEPARATOR);
    buf_add_str(&b, packet);
    queue_bytes(e, buf_str(&b));
    buf_free(&b);
}

void engineio_send_binary(struct engineio *e, struct str bytes)
{
    struct buf b = {0};
    if (e->state == EIO_ON_WS && !e->b64) {
        e->ws->ops->send(e->ws, bytes, true);
        return;
    }
    engineio_add_binary(&b, bytes);
    engineio_send_text(e, buf_str(&b));
    buf_free(&b);
}

static struct engineio *engineio_of(struct outlet *o)
{
    return (struct engineio *)(void *)o;
}

static void on_send(struct outlet *o, struct str payload, bool is_binary)
{
    if (is_binary)
        engineio_send_binary(engineio_of(o), payload);
    else
        engineio_send_text(engineio_of(o), payload);
}

static void on_send_segment(struct outlet *o, struct segment *g, size_t start, size_t n)
{
    struct engineio *e = engineio_of(o);
    if (e->state > EIO_ON_WS)
        return;
    poll_queue_add(&e->queue, g, start, n);
    answer_soon(e);
}

static void on_send_framed(struct outlet *o, struct str bytes)
{
    struct engineio *e = engineio_of(o);
    if (bytes.n && e->state <= EIO_ON_WS)
        queue_bytes(e, bytes);
}

static size_t on_unsent(const struct outlet *o)
{
    return ((const struct engineio *)(const void *)o)->queue.bytes;
}

bool engineio_writable(const struct engineio *e)
{
    if (e->state == EIO_ON_WS)
        return !sock_unsent(e->ws->sock);
    return e->state <= EIO_PROBING && e->poll && !e->queue.bytes;
}

static bool on_waits(const struct outlet *o)
{
    const struct engineio *e = (const struct engineio *)(const void *)o;
    return e->state == EIO_ON_WS ? sock_unsent(e->ws->sock) >= OUTLET_BEHIND : !e->poll;
}

static void on_close_asked(struct outlet *o, int err, struct str detail)
{
    (void)detail;
    engineio_close(engineio_of(o), err == E_TIMEOUT    ? "ping timeout"
                                   : err == E_DRAINING ? "server shutting down"
                                   : err == E_CONFLICT ? "transport close"
                                                       : "forced close");
}

static const struct outlet_ops outlet_ops = {.send = on_send,
                                             .send_segment = on_send_segment,
                                             .send_framed = on_send_framed,
                                             .unsent = on_unsent,
                                             .waits = on_waits,
                                             .close = on_close_asked};

/* Packets framed for a poll leave as messages. */
static void send_framed_to_ws(struct engineio *e, struct str framed)
{
    struct buf bytes = {0};
    struct engineio_payload p = {.rest = str_skip(framed, 1), .at_end = framed.n == 0};
    struct engineio_packet packet;
    struct str piece;
    while (engineio_payload_next(&p, &piece)) {
        if (!engineio_decode(piece, &packet) && packet.base64 && !e->b64) {
            buf_clear(&bytes);
            engineio_bytes(&packet, &bytes);
            e->ws->ops->send(e->ws, bytes.n ? buf_str(&bytes) : STR(""), true);
        } else {
            e->ws->ops->send(e->ws, piece, false);
        }
    }
    buf_free(&bytes);
}

void engineio_send_framed(struct engineio *e, struct str framed)
{
    if (e->state == EIO_ON_WS)
        send_framed_to_ws(e, framed);
    else
        on_send_framed(&e->outlet, framed);
}

/* ---- opening ------------------------------------------------------------------------------ */

static void make_sid(struct engineio *e)
{
    static const char hex[] = "0123456789abcdef";
    uint8_t chance[SID_RANDOM_BYTES + 1];
    struct buf b = {0};
    unsigned index = loop_index(e->loop);
    loop_random(e->loop, chance, sizeof(chance));
    base64url_encode(&b, str_of((char *)chance, sizeof(chance)));
    e->sid[0] = hex[index >> 4];
    e->sid[1] = hex[index & 15];
    memcpy(e->sid + 2, b.p, 18);
    buf_free(&b);
}

static struct engineio *make(const struct engineio_hello *hello)
{
    struct engineio_home *home = home_of(hello->loop);
    struct engineio *e = mem_new(sizeof(*e));
    uint64_t now_ms = loop_now_ms(hello->loop);
    e->loop = hello->loop;
    e->outlet.ops = &outlet_ops;
    e->identity = hello->identity ? identity_ref(hello->identity) : NULL;
    e->auth_err = hello->auth_err;
    e->b64 = hello->b64;
    e->ping_at_ms = now_ms + home->config->ping_interval_ms;
    e->connect_until_ms = now_ms + home->config->connect_timeout_ms;
    list_init(&e->sockets);
    list_push(&home->all, &e->link);
    make_sid(e);
    e->handshake = engineio_handshake_new(hello);
    return e;
}

static void send_open(struct engineio *e)
{
    const struct engineio_config *config = engineio_config_of(e->loop);
    struct buf b = {0};
    struct engineio_open open = {.sid = engineio_sid(e),
                                 .can_upgrade = config->can_upgrade && e->state == EIO_POLLING,
                                 .ping_interval_ms = config->ping_interval_ms,
                                 .ping_timeout_ms = config->ping_timeout_ms,
                                 .max_payload = config->payload_bytes_max};
    engineio_add_open(&b, &open);
    engineio_send_text(e, buf_str(&b));
    buf_clear(&b);
    if (config->initial_packet.n) {
        engineio_add(&b, ENGINEIO_MESSAGE, config->initial_packet);
        engineio_send_text(e, buf_str(&b));
    }
    buf_free(&b);
    watch(e);
}

static void no_stranger(struct engineio *e)
{
    if (!e->is_stranger)
        return;
    e->is_stranger = false;
    list_drop(&e->link);
    list_push(&home_of(e->loop)->all, &e->link);
    home_of(e->loop)->strangers_count--;
}

void engineio_joined(struct engineio *e)
{
    e->has_joined = true;
    no_stranger(e);
}

struct engineio *engineio_open(const struct engineio_hello *hello)
{
    struct engineio_home *home = home_of(hello->loop);
    /* A polling client needs no connection to be one. An honest one joins at once. */
    if (home->strangers_count >=
        home->config->strangers_max / loops_count(loop_siblings(home->loop)))
        become_closed(LIST_OF(home->strangers.next, struct engineio, link), "forced server close");
    struct engineio *e = make(hello);
    e->is_stranger = true;
    list_drop(&e->link);
    list_push(&home->strangers, &e->link);
    home->strangers_count++;
    e->state = EIO_POLLING;
    e->is_registered = true;
    map_put(&home_of(e->loop)->by_sid, engineio_sid(e), e);
    metric_add(M_CONNECTIONS_SOCKETIO_POLL, 1);
    send_open(e);
    return e;
}

struct engineio *engineio_open_ws(const struct engineio_hello *hello, struct outlet *ws,
                                  bool is_deflate, int *err)
{
    struct engineio *e = make(hello);
    *err = 0;
    e->state = EIO_ON_WS;
    e->ws = ws;
    e->outlet.sock = ws->sock;
    e->is_deflate = is_deflate;
    send_open(e);
    return e;
}

struct loop *engineio_loop_of(struct loop *l, struct str sid)
{
    struct loops *ls = loop_siblings(l);
    uint64_t index;
    if (sid.n != 20 || !num_hex64(str_head(sid, 2), &index) || index >= loops_count(ls))
        return NULL;
    return loops_at(ls, (unsigned)index);
}

struct engineio *engineio_find(struct loop *l, struct str sid)
{
    return map_get(&home_of(l)->by_sid, sid);
}

struct str engineio_sid(const struct engineio *e)
{
    return str_of(e->sid, 20);
}

enum engineio_transport engineio_transport(const struct engineio *e)
{
    bool is_ws = e->state == EIO_ON_WS || (e->state == EIO_CLOSING && !e->until_ms);
    return is_ws ? ENGINEIO_WEBSOCKET : ENGINEIO_POLLING;
}

enum encoding_kind engineio_kind(const struct engineio *e)
{
    bool recovers = engineio_config_of(e->loop)->recovers;
    if (e->state != EIO_ON_WS)
        return recovers ? ENC_SOCKETIO_POLL : ENC_SOCKETIO_POLL_PLAIN;
    if (e->b64)
        return ENC_NONE;
    if (e->is_deflate)
        return recovers ? ENC_SOCKETIO_WS_DEFLATE : ENC_SOCKETIO_WS_PLAIN_DEFLATE;
    return recovers ? ENC_SOCKETIO_WS : ENC_SOCKETIO_WS_PLAIN;
}

/* ---- the end ------------------------------------------------------------------------------ */

static void on_free(struct loop *l, struct turn_task *task)
{
    struct engineio *e = LIST_OF(task, struct engineio, task);
    (void)l;
    mem_free(e);
}

/* Nobody knows of it any more, but perhaps the caller's caller: freed at the end of the turn. */
static void bury(struct engineio *e)
{
    CHECK(e->state == EIO_CLOSED && !e->ws && !e->poll);
    timer_stop(&e->timer);
    loop_turn_task_drop(&e->task);
    poll_queue_clear(&e->queue);
    if (e->pending)
        socketio_pending_clear(e->pending);
    mem_free(e->pending);
    mem_free(e->handshake);
    identity_unref(e->identity);
    if (e->is_registered) {
        map_remove(&home_of(e->loop)->by_sid, engineio_sid(e));
        metric_add(M_CONNECTIONS_SOCKETIO_POLL, -1);
    }
    list_drop(&e->link);
    e->task.run = on_free;
    loop_at_turn_end(e->loop, TURN_FREE, &e->task);
}

/* The sockets above hear it first, so that nothing is sent any more. */
static void tell_gone(struct engineio *e, const char *reason)
{
    if (list_is_empty(&e->sockets))
        return;
    log_debug("protocol", "socketio-gone", "sid=%.4s… reason=\"%s\"", e->sid, reason);
    socketio_on_gone(e, reason);
}

/* The client needs not be told, or cannot be. */
static void become_closed(struct engineio *e, const char *reason)
{
    if (e->state == EIO_CLOSED)
        return;
    e->state = EIO_CLOSED;
    no_stranger(e);
    e->outlet.is_closing = true;
    tell_gone(e, reason);
    if (e->poll)
        release_poll(e, STR("1"));
    if (e->ws)
        outlet_close(e->ws, 0, STR_NONE); /* engineio_on_ws_closed frees */
    else
        bury(e);
}

void engineio_close(struct engineio *e, const char *reason)
{
    struct outlet *ws = e->ws;
    if (e->state >= EIO_CLOSING)
        return;
    if (e->state == EIO_ON_WS) {
        tell_gone(e, reason);
        if (e->state != EIO_ON_WS)
            return;
        e->state = EIO_CLOSING;
        e->until_ms = 0;
        timer_stop(&e->timer);
        outlet_close(ws, 0, STR_NONE);
        return;
    }
    tell_gone(e, reason);
    if (e->state >= EIO_CLOSING)
        return;
    bool was_heard = e->poll && !e->queue.bytes;
    if (e->poll && e->queue.bytes)
        answer_poll(e, STR_NONE); /* first what was said: the next poll hears of the end */
    if (was_heard) {
        become_closed(e, reason); /* answers the poll */
        return;
    }
    e->state = EIO_CLOSING; /* a probing WebSocket stays: perhaps it is there that it hears of it */
    e->until_ms = loop_now_ms(e->loop) + engineio_config_of(e->loop)->close_ms;
    watch(e);
}

void engineio_break(struct engineio *e)
{
    become_closed(e, "transport error");
}

/* ---- time --------------------------------------------------------------------------------- */

static void send_ping(struct engineio *e, uint64_t now_ms)
{
    e->awaits_pong = true;
    e->is_extended = false;
    e->ping_at_ms = now_ms + engineio_config_of(e->loop)->ping_timeout_ms;
    socketio_on_mark(e);
    engineio_send_text(e, STR("2"));
}

static void on_timer(struct loop *l, struct timer *timer)
{
    struct engineio *e = LIST_OF(timer, struct engineio, timer);
    uint64_t now_ms = loop_now_ms(l);
    if (e->state == EIO_CLOSING) {
        if (e->until_ms && e->until_ms <= now_ms)
            become_closed(e, "forced close");
        return;
    }
    if (e->ping_at_ms <= now_ms && e->awaits_pong) {
        engineio_close(e, "ping timeout");
        if (e->state == EIO_CLOSING && e->until_ms)
            become_closed(e, "ping timeout"); /* nobody will come to hear it */
        return;
    }
    if (!e->has_joined && e->connect_until_ms <= now_ms) {
        engineio_close(e, "forced server close");
        return;
    }
    if (e->state == EIO_PROBING && e->until_ms <= now_ms && e->ws) {
        outlet_close(e->ws, 0, STR_NONE); /* engineio_on_ws_closed brings us back to polling */
        e->until_ms = UINT64_MAX;
    }
    if (e->ping_at_ms <= now_ms)
        send_ping(e, now_ms);
    watch(e);
}

static void watch(struct engineio *e)
{
    uint64_t now_ms = loop_now_ms(e->loop), due_ms = e->ping_at_ms;
    if (e->state == EIO_CLOSING)
        due_ms = e->until_ms;
    else if (!e->has_joined && e->connect_until_ms < due_ms)
        due_ms = e->connect_until_ms;
    if (e->state == EIO_PROBING && e->until_ms < due_ms)
        due_ms = e->until_ms;
    timer_set(e->loop, &e->timer, due_ms > now_ms ? due_ms - now_ms : 1, on_timer);
}

/* ---- in ----------------------------------------------------------------------------------- */

static void on_pong(struct engineio *e)
{
    e->awaits_pong = false;
    e->ping_at_ms = loop_now_ms(e->loop) + engineio_config_of(e->loop)->ping_interval_ms;
    socketio_on_confirm(e);
    watch(e);
}

/* A sign of life while the pong is awaited: as if half of it had come, once. */
static void extend(struct engineio *e)
{
    if (!e->awaits_pong || e->is_extended)
        return;
    e->is_extended = true;
    e->ping_at_ms = loop_now_ms(e->loop) + engineio_config_of(e->loop)->ping_timeout_ms;
    watch(e);
}

static void on_message(struct engineio *e, const struct engineio_packet *packet)
{
    struct buf bytes = {0};
    extend(e);
    metric_add(M_MESSAGES_RECEIVED_SOCKETIO, 1);
    if (!packet->base64) {
        socketio_on_text(e, packet->data);
        return;
    }
    engineio_bytes(packet, &bytes);
    socketio_on_bytes(e, bytes.n ? buf_str(&bytes) : STR(""));
    buf_free(&bytes);
}

/* An established connection's packet. */
static void on_packet(struct engineio *e, struct str text)
{
    struct engineio_packet packet;
    if (engineio_decode(text, &packet)) {
        engineio_close(e, "parse error");
        return;
    }
    switch (packet.type) {
    case ENGINEIO_CLOSE:
        become_closed(e, "transport close");
        break;
    case ENGINEIO_PING: /* only servers ping */
        engineio_close(e, "transport error");
        break;
    case ENGINEIO_PONG:
        on_pong(e);
        break;
    case ENGINEIO_MESSAGE:
        on_message(e, &packet);
        break;
    case ENGINEIO_OPEN:
    case ENGINEIO_UPGRADE:
    case ENGINEIO_NOOP:
        break;
    }
}

/* ---- polls -------------------------------------------------------------------------------- */

bool engineio_park(struct engineio *e, void *poll)
{
    if (e->poll) {
        engineio_break(e);
        return false;
    }
    e->poll = poll;
    socketio_on_arrived(e, e->sent_sequence);
    if (e->state == EIO_CLOSING && e->queue.bytes) {
        answer_poll(e, STR_NONE); /* a client hears a close before what stands with it */
    } else if (e->state == EIO_CLOSING) {
        release_poll(e, STR("6\0361"));
        become_closed(e, "forced close");
    } else if (e->queue.bytes) {
        answer_poll(e, STR_NONE);
        socketio_on_drained(e);
    } else if (e->state == EIO_PROBING && e->has_probed) {
        release_poll(e, STR("6")); /* come back by the WebSocket */
    }
    return true;
}

void engineio_poll_lost(struct engineio *e, void *poll)
{
    if (e->poll != poll)
        return;
    e->poll = NULL;
    become_closed(e, "transport error");
}

/* A client that says goodbye while a poll waits gets a noop there. */
static void on_goodbye(struct engineio *e)
{
    if (e->poll)
        release_poll(e, STR("6"));
    become_closed(e, "transport close");
}

void engineio_receive(struct engineio *e, struct str payload)
{
    struct engineio_payload p = {.rest = payload};
    struct str piece;
    while (e->state <= EIO_PROBING && engineio_payload_next(&p, &piece)) {
        if (str_is(piece, "1"))
            on_goodbye(e);
        else
            on_packet(e, piece);
    }
}

uint64_t engineio_hold_ms(const struct engineio *e)
{
    return socketio_hold_ms(e);
}

/* ---- WebSocket ---------------------------------------------------------------------------- */

int engineio_probe(struct engineio *e, struct outlet *ws, bool is_deflate)
{
    if (e->state != EIO_POLLING)
        return E_CONFLICT;
    e->state = EIO_PROBING;
    e->has_probed = false;
    e->ws = ws;
    e->is_deflate = is_deflate;
    e->until_ms = loop_now_ms(e->loop) + engineio_config_of(e->loop)->upgrade_timeout_ms;
    watch(e);
    return 0;
}

static void upgrade(struct engineio *e)
{
    if (e->poll)
        release_poll(e, STR("1"));
    struct buf waiting = {0};
    e->state = EIO_ON_WS;
    e->until_ms = 0;
    socketio_on_kind(e); /* what the hub still holds of the old kind comes into the queue */
    poll_queue_copy(&e->queue, &waiting);
    poll_queue_clear(&e->queue);
    send_framed_to_ws(e, buf_str(&waiting));
    buf_free(&waiting);
    e->outlet.sock = e->ws->sock;
    watch(e);
    socketio_on_drained(e);
}

static void on_probe_message(struct engineio *e, struct str payload, bool is_binary)
{
    if (!is_binary && str_is(payload, "2probe")) {
        e->has_probed = true;
        e->ws->ops->send(e->ws, STR("3probe"), false);
        if (e->poll && !e->queue.bytes)
            release_poll(e, STR("6"));
    } else if (!is_binary && str_is(payload, "5")) {
        upgrade(e);
    } else {
        outlet_close(e->ws, 0, STR_NONE);
    }
}

/* The connection is to be closed, and its client is about to change over. */
static void on_late_probe(struct engineio *e, struct str payload)
{
    struct buf waiting = {0};
    if (str_is(payload, "2probe"))
        e->ws->ops->send(e->ws, STR("3probe"), false);
    if (!str_is(payload, "5"))
        return;
    poll_queue_copy(&e->queue, &waiting);
    send_framed_to_ws(e, buf_str(&waiting));
    buf_free(&waiting);
    become_closed(e, "forced close");
}

void engineio_on_ws_message(struct engineio *e, struct str payload, bool is_binary)
{
    switch ((enum engineio_state)e->state) {
    case EIO_PROBING:
        on_probe_message(e, payload, is_binary);
        break;
    case EIO_ON_WS:
        if (is_binary) {
            extend(e);
            socketio_on_bytes(e, payload.n ? payload : STR(""));
        } else {
            on_packet(e, payload);
        }
        break;
    case EIO_CLOSING:
        if (e->until_ms && !is_binary)
            on_late_probe(e, payload);
        break;
    case EIO_POLLING:
    case EIO_CLOSED:
        break;
    }
}

void engineio_on_ws_drained(struct engineio *e)
{
    if (e->state == EIO_ON_WS)
        socketio_on_drained(e);
}

void engineio_on_ws_closed(struct engineio *e, int err)
{
    bool was_probe = e->state == EIO_PROBING;
    e->ws = NULL;
    e->outlet.sock = NULL;
    if (was_probe) {
        e->state = EIO_POLLING;
        e->is_deflate = false;
        watch(e);
        return;
    }
    if (e->state == EIO_CLOSED) {
        bury(e);
        return;
    }
    if (e->state == EIO_CLOSING && e->until_ms) /* a poll is still to hear of the end */
        return;
    become_closed(e, err == 0 || err == E_CLOSED ? "transport close" : "transport error");
}

/* ---- all of a loop ------------------------------------------------------------------------ */

void engineio_drain(struct loop *l)
{
    struct engineio_home *home = home_of(l);
    list_splice(&home->all, &home->strangers);
    for (struct list *at = home->all.next, *next; at != &home->all; at = next) {
        next = at->next;
        engineio_close(LIST_OF(at, struct engineio, link), "server shutting down");
    }
}

void engineio_teardown(struct loops *ls)
{
    for (unsigned i = 0; i < loops_count(ls); i++) {
        struct engineio_home *home = home_of(loops_at(ls, i));
        struct list *link;
        if (!home)
            continue;
        list_splice(&home->all, &home->strangers);
        while ((link = home->all.next) != &home->all) {
            struct engineio *e = LIST_OF(link, struct engineio, link);
            e->ws = NULL; /* its sock has gone before */
            e->poll = NULL;
            become_closed(e, "server shutting down");
            loop_turn_task_drop(&e->task);
            mem_free(e);
        }
        map_free(&home->by_sid);
        buf_free(&home->scratch);
        loop_slot_set(home->loop, LOOP_SLOT_ENGINEIO, NULL);
        mem_free(home);
    }
}
