/* SPDX-License-Identifier: Apache-2.0 */
/* A connection that speaks HTTP/1.x: which part of which request comes next.
 *
 *          first bytes            head complete          body complete
 *   IDLE -------------> READING_HEAD --------> READING_BODY --------> ANSWERING
 *    ^                       |  (no body: straight to ANSWERING)       |     |
 *    |                       |                                         |     | http_stream_begin
 *    '--- conn_answered -----|-----------------------------------------'     v
 *    '-----------------------|------------------- conn_answered -------- STREAMING
 *                            v
 *     any: error, deadline, "close" ---> CLOSING ---> GONE (on_close; or http_take_over)
 *
 *   IDLE          waits for a request; deadline keepalive (before the first one: the head's)
 *   READING_HEAD  has some bytes of a head; absolute deadline from its first byte
 *   READING_BODY  head understood; absolute deadline from the end of the head
 *   ANSWERING     the handler has the request; reading is paused, further requests wait unread
 *   STREAMING     the answer's head is out, its body is the handler's
 *   CLOSING       the last answer goes out; sock.c lets the peer read it
 *
 * I1: an exchange exists exactly from the first byte of a request to the end of its answer.
 * I2: at most one request is being answered; what is pipelined behind it stays in the sock.
 * I3: while too much of earlier answers is unsent (choked), no further request is read. */
#include "http/http_priv.h"
#include "base/check.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/metric.h"

enum { DISCARD_BYTES_MAX = 65536, LAST_CALL_MS = 50, PROGRESS_BYTES_MIN = 32768 };

static bool may_become(enum http_state from, enum http_state to)
{
    switch (from) {
    case HTTP_IDLE:
        return to != HTTP_STREAMING && to != HTTP_IDLE;
    case HTTP_READING_HEAD:
        return to == HTTP_READING_BODY || to == HTTP_ANSWERING || to == HTTP_CLOSING ||
               to == HTTP_GONE;
    case HTTP_READING_BODY:
        return to == HTTP_ANSWERING || to == HTTP_CLOSING || to == HTTP_GONE;
    case HTTP_ANSWERING:
        return to == HTTP_IDLE || to == HTTP_STREAMING || to == HTTP_CLOSING || to == HTTP_GONE;
    case HTTP_STREAMING:
        return to == HTTP_IDLE || to == HTTP_CLOSING || to == HTTP_GONE;
    case HTTP_CLOSING:
        return to == HTTP_GONE;
    case HTTP_GONE:
        return false;
    }
    return false;
}

void conn_set_state(struct http_conn *c, enum http_state to)
{
    CHECK(may_become(c->state, to));
    c->state = to;
}

void conn_end(struct http_conn *c)
{
    timer_stop(&c->timer);
    conn_set_state(c, HTTP_CLOSING);
    sock_close(c->sock, LINGER_MS);
}

/* ---- deadlines ----------------------------------------------------------------------- */

static void set_deadline(struct http_conn *c, uint64_t ms);

/* Idle, but the last answer is still on its way to a peer that keeps reading. */
static bool is_downloading(struct http_conn *c)
{
    uint64_t taken = sock_position(c->sock) - sock_unsent(c->sock);
    bool moving = !sock_is_drained(c->sock) && taken >= c->taken_seen + PROGRESS_BYTES_MIN;
    c->taken_seen = taken;
    return moving;
}

static void on_deadline(struct loop *l, struct timer *t)
{
    struct http_conn *c = LIST_OF(t, struct http_conn, timer);
    (void)l;
    switch (c->state) {
    case HTTP_IDLE:
        if (is_downloading(c))
            set_deadline(c, c->server->config.keepalive_ms);
        else
            conn_end(c);
        break;
    case HTTP_READING_HEAD:
        response_refuse(c, E_TIMEOUT, "The request head took too long.");
        break;
    case HTTP_READING_BODY:
        c->x->close_after = true;
        conn_set_state(c, HTTP_ANSWERING);
        http_reply_error(&c->x->req, E_TIMEOUT, "The request body took too long.");
        break;
    case HTTP_ANSWERING: /* the peer has closed its side and got no quick answer */
        sock_abort(c->sock, E_CLOSED);
        break;
    case HTTP_STREAMING:
    case HTTP_CLOSING:
    case HTTP_GONE:
        break;
    }
}

static void set_deadline(struct http_conn *c, uint64_t ms)
{
    timer_set(c->home->loop, &c->timer, ms, on_deadline);
}

/* ---- output that does not leave ------------------------------------------------------- */

static bool is_choked(const struct http_conn *c)
{
    return sock_unsent(c->sock) >= OUT_BYTES_MAX;
}

static void unchoke(struct http_conn *c)
{
    if (!c->choked || is_choked(c))
        return;
    c->choked = false;
    if (c->state == HTTP_IDLE)
        sock_resume(c->sock);
}

/* After the flush: either the output is gone, or on_drained will be called one day. */
static void on_flushed(struct loop *l, struct turn_task *task)
{
    (void)l;
    unchoke(LIST_OF(task, struct http_conn, task));
}

static void choke(struct http_conn *c)
{
    c->choked = true;
    sock_pause(c->sock);
    c->task.run = on_flushed;
    loop_at_turn_end(c->home->loop, TURN_FREE, &c->task);
}

/* ---- a request ----------------------------------------------------------------------- */

void conn_dispatch(struct exchange *x)
{
    bool gone = false;
    x->gone = &gone;
    route_run(x);
    if (gone)
        return; /* on another loop by now */
    x->gone = NULL;
    if (x->answered)
        exchange_free(&x);
}

static void body_complete(struct exchange *x)
{
    x->req.body = buf_str(&x->body);
    timer_stop(&x->conn->timer);
    conn_set_state(x->conn, HTTP_ANSWERING);
    conn_dispatch(x);
}

/* An answer before the body has been read leaves bytes of it in the stream: close. */
static void answer_now(struct exchange *x, int err)
{
    x->close_after = true;
    x->refusal = err;
    body_complete(x);
}

/* A refused request's body is read over when it is small, so that the connection can go on. */
static bool worth_reading(const struct exchange *x)
{
    if (!x->refusal)
        return true;
    return !x->head.expect_continue && !x->close_after &&
           x->head.content_length <= DISCARD_BYTES_MAX;
}

static void head_complete(struct exchange *x, bool body_is_here)
{
    struct http_conn *c = x->conn;
    struct http1_head *h = &x->head;
    c->requests++;
    metric_add(M_HTTP_REQUESTS, 1);
    if (!x->refusal)
        route_choose(x);
    if (!h->chunked && h->content_length <= 0) {
        body_complete(x);
        return;
    }
    size_t max = x->refusal ? DISCARD_BYTES_MAX : route_body_max(x);
    if (!worth_reading(x)) {
        answer_now(x, x->refusal);
        return;
    }
    if (h->content_length > 0 && (uint64_t)h->content_length > max) {
        answer_now(x, E_TOO_LARGE);
        return;
    }
    x->body_left = h->chunked ? 0 : (uint64_t)h->content_length;
    http1_chunks_init(&x->chunks, max);
    conn_set_state(c, HTTP_READING_BODY);
    set_deadline(c, c->server->config.body_ms_max);
    if (h->expect_continue && !body_is_here)
        sock_send(c->sock, "HTTP/1.1 100 Continue\r\n\r\n", 25);
}

/* Bytes of the head, once it is complete; 0 = more is needed. */
static size_t feed_head(struct http_conn *c, struct str in)
{
    if (!c->x)
        c->x = exchange_new(c);
    struct exchange *x = c->x;
    int used = http1_parse_head(in, &c->server->limits, &x->head);
    if (used < 0) {
        response_refuse(c, used, x->head.detail);
        return in.n;
    }
    if (used == 0) {
        if (c->state == HTTP_IDLE) {
            conn_set_state(c, HTTP_READING_HEAD);
            set_deadline(c, c->server->config.head_ms_max);
        }
        if (!exchange_own_room(x))
            response_refuse(c, E_NO_MEMORY, NULL);
        return 0;
    }
    c->feed->rest += used;
    c->feed->rest_n -= (size_t)used;
    x->refusal = exchange_take_head(x, str_head(in, (size_t)used));
    if (x->refusal == E_NO_MEMORY)
        response_refuse(c, E_NO_MEMORY, NULL);
    else
        head_complete(x, in.n > (size_t)used);
    return (size_t)used;
}

static void take_body(struct exchange *x, struct str piece)
{
    if (!x->refusal)
        buf_add_str(&x->body, piece);
}

/* Bytes used; *err < 0 when the framing is broken or too much came. */
static size_t feed_pieces(struct exchange *x, struct str in, bool *complete, int *err)
{
    struct str piece;
    size_t used = 0;
    if (!x->head.chunked) {
        used = in.n < x->body_left ? in.n : (size_t)x->body_left;
        x->body_left -= used;
        take_body(x, str_head(in, used));
        *complete = x->body_left == 0;
        return used;
    }
    while (!x->chunks.done) {
        ptrdiff_t n = http1_chunks_feed(&x->chunks, str_skip(in, used), &piece);
        if (n < 0)
            *err = (int)n;
        if (n <= 0)
            break;
        take_body(x, piece);
        used += (size_t)n;
    }
    *complete = x->chunks.done;
    return used;
}

static size_t feed_body(struct http_conn *c, struct str in)
{
    struct exchange *x = c->x;
    bool complete = false;
    int err = 0;
    size_t used = feed_pieces(x, in, &complete, &err);
    if (err == 0 && x->body.failed)
        err = E_NO_MEMORY;
    c->feed->rest += used;
    c->feed->rest_n -= used;
    if (err) {
        x->detail = x->chunks.detail;
        answer_now(x, x->refusal ? x->refusal : err);
        return in.n;
    }
    if (complete)
        body_complete(x);
    return used;
}

static bool reads(const struct http_conn *c)
{
    return c->state == HTTP_IDLE || c->state == HTTP_READING_HEAD || c->state == HTTP_READING_BODY;
}

static size_t on_input(struct sock *s, uint8_t *bytes, size_t n)
{
    struct http_conn *c = sock_owner(s);
    struct feed feed = {.rest = bytes, .rest_n = n};
    size_t used = 0;
    c->feed = &feed;
    while (used < n && !feed.gone && reads(c) && !is_choked(c)) {
        struct str in = str_of((char *)bytes + used, n - used);
        size_t step = c->state == HTTP_READING_BODY ? feed_body(c, in) : feed_head(c, in);
        if (step == 0)
            break;
        used += step;
    }
    if (feed.gone)
        return used;
    c->feed = NULL;
    if (c->state == HTTP_ANSWERING || c->state == HTTP_STREAMING)
        sock_pause(s);
    else if (reads(c) && is_choked(c))
        choke(c);
    return used;
}

void conn_answered(struct exchange *x)
{
    struct http_conn *c = x->conn;
    x->answered = true;
    c->x = NULL;
    if (!x->gone)
        exchange_free_later(x);
    if (sock_is_closing(c->sock) || x->close_after) {
        conn_end(c);
        return;
    }
    conn_set_state(c, HTTP_IDLE);
    set_deadline(c, c->half_closed ? LAST_CALL_MS : c->server->config.keepalive_ms);
    if (!c->feed && !c->choked)
        sock_resume(c->sock);
}

/* ---- ends ---------------------------------------------------------------------------- */

static void on_end(struct sock *s)
{
    struct http_conn *c = sock_owner(s);
    c->half_closed = true;
    switch (c->state) {
    case HTTP_IDLE:
        if (c->choked)
            break; /* requests may still stand in the kernel's queue */
        conn_end(c);
        break;
    case HTTP_READING_HEAD:
    case HTTP_READING_BODY:
        conn_end(c);
        break;
    case HTTP_ANSWERING:
        set_deadline(c, HALF_CLOSED_MS);
        break;
    case HTTP_STREAMING:
        sock_abort(s, E_CLOSED);
        break;
    case HTTP_CLOSING:
    case HTTP_GONE:
        break;
    }
}

static void on_drained(struct sock *s)
{
    struct http_conn *c = sock_owner(s);
    if (c->x && c->x->on_drained)
        c->x->on_drained(&c->x->req);
    else
        unchoke(c);
}

static void conn_free(struct http_conn *c)
{
    timer_stop(&c->timer);
    loop_turn_task_drop(&c->task);
    mem_free(c);
}

static void unlink_conn(struct http_conn *c)
{
    metric_add(M_CONNECTIONS_HTTP, -1);
    list_drop(&c->link);
    timer_stop(&c->timer);
    loop_turn_task_drop(&c->task);
    c->choked = false;
}

static void on_close(struct sock *s, int err)
{
    struct http_conn *c = sock_owner(s);
    struct exchange *x = c->x;
    (void)err;
    if (x && !x->answered && x->req.on_abort)
        x->req.on_abort(&x->req);
    exchange_free(&c->x);
    conn_set_state(c, HTTP_GONE);
    unlink_conn(c);
    conn_free(c);
}

static const struct sock_ops conn_ops = {
    .on_input = on_input, .on_end = on_end, .on_drained = on_drained, .on_close = on_close};

void conn_begin(struct http_server *hs, struct sock *s)
{
    struct http_conn *c = mem_new(sizeof(*c));
    c->server = hs;
    c->home = http_loop_of(hs, sock_loop(s));
    c->sock = s;
    list_push(&c->home->conns, &c->link);
    metric_add(M_CONNECTIONS_HTTP, 1);
    sock_set_owner(s, &conn_ops, c);
    set_deadline(c, hs->config.head_ms_max);
    if (c->home->draining)
        conn_end(c);
}

void conn_close_idle(struct http_conn *c)
{
    if (c->state == HTTP_IDLE && !c->choked)
        conn_end(c);
}

static void on_left(struct loop *l, struct turn_task *task)
{
    (void)l;
    conn_free(LIST_OF(task, struct http_conn, task));
}

void conn_leave(struct http_conn *c)
{
    struct exchange *x = c->x;
    unlink_conn(c);
    if (c->feed)
        c->feed->gone = true;
    c->feed = NULL;
    x->answered = true;
    c->x = NULL;
    if (!x->gone)
        exchange_free_later(x);
    conn_set_state(c, HTTP_GONE);
    c->task.run = on_left;
    loop_at_turn_end(c->home->loop, TURN_FREE, &c->task);
}

struct sock *http_take_over(struct http_request *req, struct str head, const struct sock_ops *ops,
                            void *owner)
{
    struct http_conn *c = req->conn;
    struct sock *s = c->sock;
    CHECK(c->state == HTTP_ANSWERING);
    sock_send(s, head.p, head.n);
    conn_leave(c);
    sock_set_owner(s, ops, owner);
    sock_resume(s);
    return s;
}

/* ---- to another loop ------------------------------------------------------------------ */

static void on_arrived(struct sock *s, void *arg)
{
    struct http_conn *c = arg;
    struct exchange *x = c->x;
    c->home = x->home = http_loop_of(c->server, sock_loop(s));
    c->sock = s;
    x->req.loop = c->home->loop;
    list_push(&c->home->conns, &c->link);
    metric_add(M_CONNECTIONS_HTTP, 1);
    sock_set_owner(s, &conn_ops, c);
    sock_pause(s);
    if (c->half_closed)
        set_deadline(c, HALF_CLOSED_MS);
    conn_dispatch(x);
}

void http_move(struct http_request *req, struct loop *to)
{
    struct http_conn *c = req->conn;
    struct exchange *x = c->x;
    struct str rest = STR_NONE;
    CHECK(c->state == HTTP_ANSWERING);
    req->on_abort = NULL;
    req->state = NULL;
    buf_clear(&x->headers);
    if (sock_is_closing(c->sock))
        return; /* on_close ends it */
    if (c->feed) {
        rest = str_of((char *)c->feed->rest, c->feed->rest_n);
        c->feed->gone = true;
        c->feed = NULL;
    }
    if (x->gone)
        *x->gone = true;
    x->gone = NULL;
    unlink_conn(c);
    sock_move(c->sock, to, rest, on_arrived, c);
}
