/* SPDX-License-Identifier: Apache-2.0 */
/* Server-Sent Events on /api/events: a session whose outlet writes chunks of an endless answer.
 *
 * With one channel the id of an event is the message's id and the bytes are shared by all
 * (ENC_SSE). With several, the id must hold the position in every channel, else a cut between
 * two of them would lose messages: the event is then written per client (ENC_NONE). With
 * frames=1 (the SDK) events carry whole frames and no ids: shared again (ENC_SSE_FRAMES).
 * Position stands with the client (Last-Event-ID), so the session ends with its connection. */
#include "transport/transport_priv.h"

#include "base/base64.h"
#include "base/mem.h"
#include "base/metric.h"
#include "wire/native.h"
#include "base/json.h"
#include "base/num.h"
#include "wire/http1.h"
#include "wire/sse.h"

struct sse {
    struct outlet outlet; /* first */
    struct list link;     /* home->streams */
    struct http_request *req;
    struct session *session;
    struct timer ping;
    struct places places; /* in own arena: outlives the request's views */
    struct arena arena;
    size_t asked; /* subscriptions not answered yet */
    bool gzip, chunked, frames, is_greeted, is_ended;
};

static struct transport_home *home_of(const struct sse *e)
{
    return transport_home_of(e->req->loop);
}

/* The one place where bytes leave. What could not be made for want of memory must not be missed:
 * the connection ends, and the client comes back for it. */
static void send_made(struct sse *e, const struct buf *b)
{
    if (!b->failed) {
        sock_send(e->outlet.sock, b->p, b->n);
        return;
    }
    e->outlet.is_closing = true;
    sock_abort(e->outlet.sock, E_NO_MEMORY);
}

static void send_chunk(struct sse *e, bool gzip, const struct buf *text)
{
    struct buf b = {.failed = text->failed};
    encoding_chunk(home_of(e), gzip, buf_str(text), &b);
    send_made(e, &b);
    buf_free(&b);
}

static void write_text(struct sse *e, const struct buf *text)
{
    if (e->is_ended || (!text->n && !text->failed))
        return;
    if (e->chunked)
        send_chunk(e, e->gzip, text);
    else
        send_made(e, text);
}

/* id may be NULL. */
static void write_event(struct sse *e, struct str event, const struct buf *id,
                        const struct buf *data)
{
    struct buf b = {.failed = data->failed || (id && id->failed)};
    (void)sse_add_event(&b, event, id ? buf_str(id) : STR_NONE, buf_str(data));
    write_text(e, &b);
    buf_free(&b);
}

static void on_send(struct outlet *o, struct str payload, bool is_binary)
{
    struct buf data = buf_view(payload);
    if (!is_binary)
        write_event((struct sse *)(void *)o, STR_NONE, NULL, &data);
}

static void free_stream(struct sse *e)
{
    timer_stop(&e->ping);
    list_drop(&e->link);
    metric_add(M_CONNECTIONS_SSE, -1);
    arena_free(&e->arena);
    mem_free(e);
}

/* The session is over, whoever ended it: the answer ends too. */
static void on_ended(struct session *s, int err)
{
    struct sse *e = session_user(s);
    (void)err;
    e->session = NULL;
    if (!e->is_ended) {
        e->is_ended = true;
        e->req->on_abort = NULL;
        http_stream_end(e->req);
    }
    free_stream(e);
}

static void on_close(struct outlet *o, int err, struct str detail)
{
    struct sse *e = (struct sse *)(void *)o;
    struct buf b = {0};
    (void)detail;
    if (!e->session)
        return;
    native_add_error(&b, err, NULL, STR_NONE, STR_NONE);
    write_event(e, e->frames ? STR_NONE : STR("error"), NULL, &b);
    buf_free(&b);
    session_end(e->session, err, false);
}

static const struct outlet_ops outlet_ops = {.send = on_send, .close = on_close};

/* ---- the dialect's words on a stream -----------------------------------------------------------
 */

/* An id with a hole would be taken for "from now on" there: until all places are known, events
 * have none. */
static void add_id(struct sse *e, struct buf *out)
{
    for (size_t i = 0; i < e->places.count; i++)
        if (!e->places.list[i].has_at && !e->places.list[i].is_closed)
            return;
    places_add_cursor(&e->places, false, out);
}

/* Where we are, without an event: data, even empty, would be one, and no JSON. */
static void write_id(struct sse *e)
{
    struct buf id = {0}, b = {0};
    add_id(e, &id);
    b.failed = id.failed;
    (void)sse_add_id(&b, buf_str(&id));
    write_text(e, &b);
    buf_free(&id);
    buf_free(&b);
}

static void named_event(struct sse *e, const char *name, const struct buf *data)
{
    struct buf id = {0};
    if (!e->frames)
        add_id(e, &id);
    write_event(e, e->frames ? STR_NONE : str_from(name), &id, data);
    buf_free(&id);
}

static void emit_frame(void *arg, const struct buf *frame)
{
    write_event(arg, STR_NONE, NULL, frame);
}

static void tell_gap(struct sse *e, struct str channel, uint64_t from, uint64_t to)
{
    struct buf b = {0};
    if (e->frames) {
        native_add_gap(&b, channel, from, to, STR_NONE);
    } else {
        buf_add_c(&b, '{');
        json_add_field(&b, "channel", channel);
        json_add_u64(&b, "from", from);
        json_add_u64(&b, "to", to);
        buf_add_c(&b, '}');
    }
    named_event(e, "gap", &b);
    buf_free(&b);
}

/* "connected", with the place where this stream begins: from there on nothing is missed. Who
 * comes back with an id keeps his until an event brings another. */
static void greet(struct sse *e, bool with_id)
{
    struct buf hello = {0}, id = {0};
    e->is_greeted = true;
    if (with_id)
        add_id(e, &id);
    buf_printf(&hello, "{\"type\":\"connected\",\"timestamp\":%llu}",
               (unsigned long long)loop_wall_ms(e->req->loop));
    write_event(e, STR_NONE, &id, &hello);
    buf_free(&hello);
    buf_free(&id);
}

static void note_place(struct sse *e, const struct answer *a)
{
    struct place *p = places_find(&e->places, a->channel);
    const struct hub_subscribed *sub = a->subscribed;
    e->asked--;
    if (a->err || !sub) {
        p->is_closed = true;
        return;
    }
    /* Before the missed messages: their first is what the client has not got. */
    uint64_t at = sub->missed_count ? sub->missed[0]->offset - 1 : sub->at.offset;
    place_set(p, str_from(sub->at.epoch), at);
}

static void on_answer(struct session *s, const struct answer *a)
{
    struct sse *e = session_user(s);
    const struct hub_subscribed *sub = a->subscribed;
    bool knew = e->is_greeted;
    if (a->type == REQUEST_SUBSCRIBE)
        note_place(e, a);
    if (!e->is_greeted && !e->asked)
        greet(e, true);
    if (e->frames) {
        if (a->err || a->type == REQUEST_SUBSCRIBE || a->type == REQUEST_PRESENCE)
            native_each_frame(a, emit_frame, e);
        return;
    }
    if (a->err) {
        struct buf b = {0};
        native_encode_answer(a, &b);
        write_event(e, STR("error"), NULL, &b);
        buf_free(&b);
        return;
    }
    if (!sub)
        return;
    if (sub->gap_to)
        tell_gap(e, a->channel, sub->gap_from, sub->gap_to);
    else if (!sub->missed_count && knew)
        write_id(e);
    if (sub->presence) {
        struct buf b = {0};
        native_encode_presence(a->channel, sub->presence, &b);
        write_event(e, STR("presence"), NULL, &b);
        buf_free(&b);
    }
}

static void on_message(struct session *s, struct session_sub *ss, struct msg *m)
{
    struct sse *e = session_user(s);
    struct place *p = places_find(&e->places, session_sub_channel(ss));
    struct buf id = {0}, data = {0};
    place_set(p, m->epoch, m->offset);
    if (e->frames) {
        struct native_message nm;
        native_message_of(m, &nm);
        native_add_message(&data, &nm);
        write_event(e, STR_NONE, NULL, &data);
    } else {
        add_id(e, &id);
        if (m->format == MSG_BINARY) {
            buf_add_c(&data, '"');
            base64_encode(&data, m->content);
            buf_add_c(&data, '"');
        }
        struct str event = m->format == MSG_BINARY       ? STR("binary")
                           : str_is(m->event, "message") ? STR_NONE
                                                         : m->event;
        struct buf content = buf_view(m->content);
        write_event(e, event, &id, m->format == MSG_BINARY ? &data : &content);
    }
    buf_free(&id);
    buf_free(&data);
}

static void on_presence(struct session *s, struct session_sub *ss, const struct presence_update *u)
{
    struct sse *e = session_user(s);
    struct buf b = {0};
    native_encode_presence(session_sub_channel(ss), u, &b);
    write_event(e, e->frames ? STR_NONE : STR("presence"), NULL, &b);
    buf_free(&b);
}

static void on_gap(struct session *s, struct session_sub *ss, uint64_t from, uint64_t to)
{
    struct sse *e = session_user(s);
    struct place *p = places_find(&e->places, session_sub_channel(ss));
    if (p->at.offset < to)
        p->at.offset = to;
    tell_gap(e, session_sub_channel(ss), from, to);
}

static void on_expiring(struct session *s, uint64_t in_ms)
{
    struct sse *e = session_user(s);
    struct buf b = {0};
    native_add_expiring(&b, in_ms);
    write_event(e, e->frames ? STR_NONE : STR("expiring"), NULL, &b);
    buf_free(&b);
}

/* The client comes back by itself after retry: the spread of a drain goes there. */
static void on_reconnect(struct session *s, uint64_t in_ms)
{
    struct sse *e = session_user(s);
    struct buf b = {0};
    sse_add_retry(&b, in_ms + 1);
    write_text(e, &b);
    buf_free(&b);
    session_end(s, E_DRAINING, false);
}

static const struct session_ops sse_ops = {.name = "sse",
                                           .answer = on_answer,
                                           .message = on_message,
                                           .presence = on_presence,
                                           .gap = on_gap,
                                           .expiring = on_expiring,
                                           .reconnect = on_reconnect,
                                           .ended = on_ended};

/* ---- life --------------------------------------------------------------------------------------
 */

static void on_ping(struct loop *l, struct timer *timer)
{
    struct sse *e = LIST_OF(timer, struct sse, ping);
    struct buf ping = buf_view(STR(": ping\n\n"));
    write_text(e, &ping);
    timer_set(l, timer, home_of(e)->config->sse_ping_ms, on_ping);
}

static void on_abort(struct http_request *req)
{
    struct sse *e = req->state;
    e->is_ended = true;
    if (e->session)
        session_end(e->session, E_CLOSED, false);
}

static void on_drained(struct http_request *req)
{
    struct sse *e = req->state;
    if (e->session)
        session_drained(e->session);
}

static bool comes_back(const struct sse *e)
{
    for (size_t i = 0; i < e->places.count; i++)
        if (!e->places.list[i].has_at)
            return false;
    return true;
}

static void begin(struct sse *e)
{
    struct http_request *req = e->req;
    const struct transport_config *config = home_of(e)->config;
    struct buf b = {0};
    http_add_header(req, "Cache-Control", STR("no-cache, no-transform"));
    http_add_header(req, "X-Accel-Buffering", STR("no"));
    if (e->gzip)
        http_add_header(req, "Content-Encoding", STR("gzip"));
    http_add_header(req, "Vary", STR("Accept-Encoding"));
    http_stream_begin(req, 200, "text/event-stream");
    e->chunked = http_stream_chunked(req);
    e->gzip = e->gzip && e->chunked;
    e->outlet.sock = http_sock(req);
    if (e->gzip) {
        encoding_gzip_head(&b);
        send_chunk(e, false, &b);
        buf_clear(&b);
    }
    sse_add_retry(&b, config->sse_retry_ms);
    write_text(e, &b);
    buf_clear(&b);
    if (e->frames) {
        native_add_connected(&b, session_name(e->session), STR_NONE, false, config->sse_ping_ms,
                             loop_wall_ms(req->loop));
        write_event(e, STR_NONE, NULL, &b);
        e->is_greeted = true;
    } else if (comes_back(e)) {
        greet(e, false);
    }
    buf_free(&b);
}

static enum encoding_kind kind_of(const struct sse *e)
{
    if (!e->chunked || (e->places.count > 1 && !e->frames))
        return ENC_NONE;
    if (e->frames)
        return e->gzip ? ENC_SSE_FRAMES_GZIP : ENC_SSE_FRAMES;
    return e->gzip ? ENC_SSE_GZIP : ENC_SSE;
}

static void subscribe_all(struct sse *e)
{
    struct http_request *req = e->req;
    struct str history = http_query(req, "history");
    uint64_t count = 0;
    struct request r = {.type = REQUEST_SUBSCRIBE, .tables = true, .kind = kind_of(e)};
    r.presence = str_is(http_query(req, "presence"), "1");
    if (num_u64(history, &count))
        r.since.history = count > 1000 ? 1000 : (size_t)count;
    e->asked = e->places.count;
    for (size_t i = 0; i < e->places.count && e->session; i++) {
        struct place *p = &e->places.list[i];
        r.channel = p->channel;
        r.since.has_since = p->has_at;
        r.since.since = p->at;
        session_request(e->session, &r);
        if (e->session)
            places_track(req, e->session, p->channel);
    }
}

/* NULL when there is no memory. */
static struct sse *stream_new(struct http_request *req, const struct places *ps)
{
    struct sse *e = mem_new(sizeof(*e));
    e->req = req;
    e->outlet.ops = &outlet_ops;
    e->places.count = ps->count;
    e->places.list = arena_zero(&e->arena, ps->count * sizeof(*ps->list));
    for (size_t i = 0; e->places.list && i < ps->count; i++) {
        e->places.list[i] = ps->list[i];
        e->places.list[i].channel = arena_dup(&e->arena, ps->list[i].channel);
        if (!e->places.list[i].channel.p)
            e->places.list = NULL;
    }
    if (e->places.list)
        return e;
    arena_free(&e->arena);
    mem_free(e);
    return NULL;
}

void sse_on_request(struct http_request *req)
{
    struct transport_home *home = transport_home_of(req->loop);
    struct places ps;
    struct who who;
    const char *detail = NULL;
    struct str cursor = http_header(req, "last-event-id");
    if (!cursor.n)
        cursor = http_query(req, "since");
    if (!upgrade_origin(req) || upgrade_identify(req, &who))
        return;
    int err = places_read(req, cursor, &ps, &detail);
    if (err == E_BAD_REQUEST && http_header(req, "last-event-id").n) /* not fatal to EventSource */
        err = places_read(req, STR_NONE, &ps, &detail);
    if (err) {
        identity_unref(who.identity);
        http_reply_error(req, err, detail);
        return;
    }
    struct sse *e = stream_new(req, &ps);
    if (!e) {
        identity_unref(who.identity);
        http_reply_error(req, E_NO_MEMORY, NULL);
        return;
    }
    e->frames = str_is(http_query(req, "frames"), "1");
    e->gzip =
        home->config->sse_gzip && http1_accept_q(http_header(req, "accept-encoding"), "gzip") > 0;
    struct session_open o = {
        .ops = &sse_ops, .outlet = &e->outlet, .identity = who.identity, .user = e};
    e->session = session_open(req->loop, &o);
    identity_unref(who.identity);
    if (!e->session) {
        http_reply_error(req, E_TOO_MANY, "Too many sessions on this server");
        arena_free(&e->arena);
        mem_free(e);
        return;
    }
    metric_add(M_CONNECTIONS_SSE, 1);
    list_push(&home->streams, &e->link);
    begin(e);
    req->state = e;
    req->on_abort = on_abort;
    http_stream_on_drained(req, on_drained);
    timer_set(req->loop, &e->ping, home->config->sse_ping_ms, on_ping);
    subscribe_all(e);
}

void sse_drain(struct transport_home *home)
{
    (void)home; /* session_drain tells each stream through on_reconnect */
}
