/* SPDX-License-Identifier: Apache-2.0 */
/* The long poll of the `phoenix` package, below its own path.
 *
 *   GET  without a token   admitted by the project's key -> {"status":410,"token":T}: begin
 *   GET  ?token=T          waits -> {"status":200,"messages":[...]} or, after WINDOW_MS, 204
 *   POST ?token=T          one frame a line: JSON, or base64 of a binary one -> {"status":200}
 *   any, of a token that is gone -> {"status":500}: the client connects anew and joins again
 *          (410, which the reference says here, is taken for a good beginning before 1.8)
 *
 * The HTTP status is always 200: clients read the one in the body. A connection lives on the loop
 * that its token names and ends when nobody polls it for SILENT_MS. An answer may be lost with its
 * connection and the client cannot say so: who connects anew begins anew. */
#include "transport/transport_priv.h"

#include "base/base64.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"

enum { WINDOW_MS = 10000, SILENT_MS = 25000, UNREAD_MAX = 8 << 20 };

struct longpoll {
    struct outlet outlet; /* first */
    struct transport_home *home;
    struct list link; /* home->longpolls */
    struct http_request *parked;
    struct buf frames; /* as the items of a JSON array */
    struct timer timer;
    struct turn_task answer_task, end_task;
    void *peer;
    int end_err;
    bool is_over;
    char token[SESSION_TICKET_SIZE + 1];
};

/* A POST whose client goes too fast is answered later. */
struct held {
    struct timer timer;
    struct http_request *req;
};

static void answer(struct http_request *req, unsigned status, const char *token,
                   struct str messages)
{
    struct buf b = {0};
    buf_add_c(&b, '{');
    json_add_u64(&b, "status", status);
    if (token)
        json_add_field(&b, "token", str_from(token));
    json_add_key(&b, "messages");
    buf_add_c(&b, '[');
    buf_add_str(&b, messages);
    buf_add_z(&b, "]}");
    req->on_abort = NULL;
    http_add_header(req, "Cache-Control", STR("no-store"));
    http_reply(req, 200, "application/json", buf_str(&b));
    buf_free(&b);
}

/* ---- out --------------------------------------------------------------------------------------
 */

static struct longpoll *longpoll_of(struct outlet *o)
{
    return (struct longpoll *)(void *)o;
}

static void on_silence(struct loop *l, struct timer *timer);
static void end(struct longpoll *p, int err);

static void answer_parked(struct longpoll *p, unsigned status)
{
    struct http_request *req = p->parked;
    p->parked = NULL;
    answer(req, status, p->token, buf_str(&p->frames));
    buf_clear(&p->frames);
    timer_set(p->home->loop, &p->timer, SILENT_MS, on_silence);
    if (status == 200 && p->peer)
        protocol_on_drained(PROTOCOL_PHOENIX, p->peer);
}

static void on_turn(struct loop *l, struct turn_task *task)
{
    struct longpoll *p = LIST_OF(task, struct longpoll, answer_task);
    (void)l;
    if (p->parked && p->frames.n)
        answer_parked(p, 200);
}

static void on_send(struct outlet *o, struct str payload, bool is_binary)
{
    struct longpoll *p = longpoll_of(o);
    if (p->is_over || is_binary)
        return;
    if (p->frames.n)
        buf_add_c(&p->frames, ',');
    json_add_string(&p->frames, payload);
    p->answer_task.run = on_turn;
    if (p->parked)
        loop_at_turn_end(p->home->loop, TURN_FANOUT, &p->answer_task);
    else if (p->frames.n > UNREAD_MAX)
        end(p, E_SLOW_CONSUMER);
}

static size_t on_unsent(const struct outlet *o)
{
    return ((const struct longpoll *)(const void *)o)->frames.n;
}

/* ---- life -------------------------------------------------------------------------------------
 */

static void on_end(struct loop *l, struct turn_task *task)
{
    struct longpoll *p = LIST_OF(task, struct longpoll, end_task);
    (void)l;
    if (p->peer)
        protocol_on_closed(PROTOCOL_PHOENIX, p->peer, p->end_err, false);
    loop_turn_task_drop(&p->answer_task);
    loop_turn_task_drop(&p->end_task);
    timer_stop(&p->timer);
    buf_free(&p->frames);
    list_drop(&p->link);
    metric_add(M_CONNECTIONS_POLL, -1);
    mem_free(p);
}

/* The peer is told at the end of the turn: this may be its own doing. */
static void end(struct longpoll *p, int err)
{
    if (p->is_over)
        return;
    p->is_over = true;
    p->end_err = err;
    map_remove(&p->home->longpolls_by_token, str_of(p->token, SESSION_TICKET_SIZE));
    if (p->parked && p->frames.n)
        answer_parked(p, 200); /* its last words; the next poll finds nobody */
    else if (p->parked)
        answer_parked(p, 500);
    p->end_task.run = on_end;
    loop_at_turn_end(p->home->loop, TURN_FREE, &p->end_task);
}

static void on_close_asked(struct outlet *o, int err, struct str detail)
{
    (void)detail;
    end(longpoll_of(o), err);
}

static const struct outlet_ops outlet_ops = {
    .send = on_send, .unsent = on_unsent, .close = on_close_asked};

static void on_silence(struct loop *l, struct timer *timer)
{
    struct longpoll *p = LIST_OF(timer, struct longpoll, timer);
    (void)l;
    if (p->parked)
        answer_parked(p, 204);
    else
        end(p, E_TIMEOUT);
}

static void begin(struct http_request *req)
{
    struct transport_home *home = transport_home_of(req->loop);
    struct identity *id;
    int err = 0;
    if (!realtime_admit(req, &id))
        return;
    struct longpoll *p = mem_new(sizeof(*p));
    p->home = home;
    p->outlet.ops = &outlet_ops;
    session_ticket_new(req->loop, p->token);
    struct protocol_hello hello = {.kind = PROTOCOL_PHOENIX,
                                   .loop = req->loop,
                                   .outlet = &p->outlet,
                                   .identity = id,
                                   .query = req->query};
    p->peer = protocol_open(&hello, &err);
    identity_unref(id);
    if (!p->peer) {
        mem_free(p);
        answer(req, 500, NULL, STR_NONE);
        return;
    }
    map_put(&home->longpolls_by_token, str_of(p->token, SESSION_TICKET_SIZE), p);
    list_push(&home->longpolls, &p->link);
    metric_add(M_CONNECTIONS_POLL, 1);
    timer_set(req->loop, &p->timer, SILENT_MS, on_silence);
    answer(req, 410, p->token, STR_NONE);
}

/* ---- in ---------------------------------------------------------------------------------------
 */

static void on_abort(struct http_request *req)
{
    struct longpoll *p = req->state;
    p->parked = NULL;
    timer_set(p->home->loop, &p->timer, SILENT_MS, on_silence);
}

static void on_get(struct http_request *req, struct longpoll *p)
{
    if (p->parked)
        answer_parked(p, 204); /* the client has given that one up */
    p->parked = req;
    req->state = p;
    req->on_abort = on_abort;
    if (p->frames.n)
        answer_parked(p, 200);
    else
        timer_set(req->loop, &p->timer, WINDOW_MS, on_silence);
}

static void on_held(struct loop *l, struct timer *timer)
{
    struct held *h = LIST_OF(timer, struct held, timer);
    (void)l;
    answer(h->req, 200, NULL, STR_NONE);
}

static void on_held_abort(struct http_request *req)
{
    timer_stop(&((struct held *)req->state)->timer);
}

static void take_frame(struct longpoll *p, struct str line)
{
    struct buf bytes = {0};
    if (str_starts(line, STR("[")) || str_starts(line, STR("{")))
        protocol_on_message(PROTOCOL_PHOENIX, p->peer, line, false);
    else if (base64_decode(&bytes, line))
        protocol_on_message(PROTOCOL_PHOENIX, p->peer, buf_str(&bytes), true);
    buf_free(&bytes);
}

static void on_post(struct http_request *req, struct longpoll *p)
{
    struct str rest = req->body;
    uint64_t hold_ms = 0;
    while (rest.n && !p->is_over) {
        struct str line = str_trim(str_cut(&rest, '\n'));
        if (!line.n)
            continue;
        take_frame(p, line);
        uint64_t more_ms = protocol_hold_ms(PROTOCOL_PHOENIX, p->peer);
        hold_ms = more_ms > hold_ms ? more_ms : hold_ms;
    }
    struct held *h = hold_ms ? arena_zero(req->arena, sizeof(*h)) : NULL;
    if (!h) {
        answer(req, p->is_over ? 500 : 200, NULL, STR_NONE);
        return;
    }
    h->req = req;
    req->state = h;
    req->on_abort = on_held_abort;
    timer_set(req->loop, &h->timer, hold_ms, on_held);
}

void longpoll_on_request(struct http_request *req)
{
    struct str token = http_query(req, "token");
    struct loop *home = token.n ? session_ticket_loop(req->loop, token) : NULL;
    if (!upgrade_origin(req))
        return;
    if (home && home != req->loop) {
        http_move(req, home);
        return;
    }
    bool is_new = !token.n || str_is(token, "null");
    struct longpoll *p =
        is_new ? NULL : map_get(&transport_home_of(req->loop)->longpolls_by_token, token);
    if (is_new && req->method == HTTP_GET)
        begin(req);
    else if (!p)
        answer(req, 500, NULL, STR_NONE);
    else if (req->method == HTTP_GET)
        on_get(req, p);
    else
        on_post(req, p);
}

void longpoll_drain(struct transport_home *home)
{
    for (struct list *at = home->longpolls.next, *next; at != &home->longpolls; at = next) {
        next = at->next;
        end(LIST_OF(at, struct longpoll, link), E_DRAINING);
    }
}

void longpoll_teardown(struct transport_home *home)
{
    struct list *link;
    while ((link = home->longpolls.next) != &home->longpolls) {
        struct longpoll *p = LIST_OF(link, struct longpoll, link);
        if (!p->is_over)
            map_remove(&home->longpolls_by_token, str_of(p->token, SESSION_TICKET_SIZE));
        p->parked = NULL;
        on_end(home->loop, &p->end_task);
    }
    map_free(&home->longpolls_by_token);
}
