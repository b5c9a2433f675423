/* SPDX-License-Identifier: Apache-2.0 */
/* The HTTP side of Engine.IO (docs/protocols/socketio.md): handshakes, polls, posts and the
 * WebSocket upgrade below one path. It finds the connection by the sid (on whichever loop it
 * lives: the request is handed over), checks the request in the reference's order and moves
 * bytes; what they mean is protocol/engineio's.
 *
 * A poll that waits is a request without an answer: engineio holds it as `void *poll`. */
#include "transport/transport_priv.h"

#include "base/log.h"
#include "base/mem.h"
#include "wire/wshandshake.h"

static const struct transport_socketio *config_of(const struct http_request *req)
{
    return &transport_home_of(req->loop)->config->socketio;
}

static struct engineio_query read_query(struct http_request *req)
{
    static const char *const names[] = {"transport", "EIO", "sid", "j", "b64"};
    struct engineio_query q = {0};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        struct str value = http_query_last(req, names[i]);
        if (value.p)
            engineio_query_take(&q, str_from(names[i]), value);
    }
    return q;
}

static void add_common_headers(struct http_request *req)
{
    struct str agent = http_header(req, "user-agent");
    http_add_header(req, "Cache-Control", STR("no-store"));
    if (str_find_str(agent, STR(";MSIE")) >= 0 || str_find_str(agent, STR("Trident/")) >= 0)
        http_add_header(req, "X-XSS-Protection", STR("0"));
}

static void refuse(struct http_request *req, enum engineio_code code, bool is_upgrade,
                   const char *message)
{
    struct buf b = {0};
    struct str text = message ? str_from(message) : str_from(engineio_code_text(code));
    log_debug("transport", "socketio-refused", "code=%d peer=%.*s", (int)code,
              STR_ARG(http_peer(req)));
    if (is_upgrade) {
        http_reply(req, engineio_code_status(code, true), "text/html", text);
        return;
    }
    engineio_add_error(&b, code, text);
    http_reply(req, engineio_code_status(code, false), "application/json", buf_str(&b));
    buf_free(&b);
}

/* ---- polls -------------------------------------------------------------------------------- */

static void answer_poll(void *poll, struct str payload)
{
    struct http_request *req = poll;
    struct str j = http_query_last(req, "j");
    struct buf b = {0};
    req->on_abort = NULL;
    add_common_headers(req);
    if (j.p) {
        engineio_jsonp_wrap(&b, j, payload);
        payload = buf_str(&b);
    }
    http_reply(req, 200, "text/plain; charset=UTF-8", payload);
    buf_free(&b);
}

const struct engineio_poll_ops socketio_poll_ops = {.answer = answer_poll};

static void on_poll_abort(struct http_request *req)
{
    engineio_poll_lost(req->state, req);
}

static void park(struct http_request *req, struct engineio *e)
{
    req->state = e;
    req->on_abort = on_poll_abort;
    if (engineio_park(e, req))
        return;
    req->on_abort = NULL;
    http_reply(req, 400, NULL, STR_NONE);
}

/* ---- posts -------------------------------------------------------------------------------- */

/* The answer waits while the client's rate is used up: it sends one post at a time. */
struct held {
    struct timer timer;
    struct http_request *req;
};

static void reply_ok(struct http_request *req)
{
    req->on_abort = NULL;
    add_common_headers(req);
    http_reply(req, 200, "text/html", STR("ok"));
}

static void on_held(struct loop *l, struct timer *timer)
{
    (void)l;
    reply_ok(LIST_OF(timer, struct held, timer)->req);
}

static void on_held_abort(struct http_request *req)
{
    timer_stop(&((struct held *)req->state)->timer);
}

static void on_post(struct http_request *req, struct engineio *e, const struct engineio_query *q)
{
    struct str body = req->body;
    if (str_starts(http_header(req, "content-type"), STR("application/octet-stream"))) {
        engineio_break(e);
        http_reply(req, 400, NULL, STR_NONE);
        return;
    }
    if (q->has_jsonp && engineio_jsonp_body(req->arena, req->body, &body))
        body = STR_NONE;
    engineio_receive(e, body);
    uint64_t hold_ms = engineio_hold_ms(e);
    struct held *h = hold_ms ? arena_zero(req->arena, sizeof(*h)) : NULL;
    if (!h) {
        reply_ok(req);
        return;
    }
    h->req = req;
    req->state = h;
    req->on_abort = on_held_abort;
    timer_set(req->loop, &h->timer, hold_ms, on_held);
}

/* ---- handshakes --------------------------------------------------------------------------- */

static void fill_hello(struct http_request *req, const struct engineio_query *q, bool is_upgrade,
                       struct engineio_hello *out)
{
    struct auth_verdict verdict;
    struct str token = upgrade_token(req, is_upgrade);
    struct buf lines = {0};
    *out = (struct engineio_hello){.loop = req->loop, .b64 = q->b64};
    /* Without one here, CONNECT may bring it; so nothing is refused yet. */
    if (token.n)
        out->auth_err = session_verify(req->loop, token, &out->identity, &verdict);
    if (!config_of(req)->keeps_handshake)
        return;
    for (size_t i = 0; i < req->headers_count; i++) {
        buf_add_str(&lines, req->headers[i].name);
        buf_add_z(&lines, ": ");
        buf_add_str(&lines, req->headers[i].value);
        buf_add_c(&lines, '\n');
    }
    out->address = http_client_address(req);
    out->url = req->target;
    out->headers = arena_dup(req->arena, lines.n ? buf_str(&lines) : STR(""));
    out->is_tls = sock_is_tls(http_sock(req));
    buf_free(&lines);
}

static void open_polling(struct http_request *req, const struct engineio_query *q)
{
    struct engineio_hello hello;
    struct str cookie = config_of(req)->cookie;
    fill_hello(req, q, false, &hello);
    struct engineio *e = engineio_open(&hello);
    identity_unref(hello.identity);
    if (cookie.n) {
        struct buf b = {0};
        buf_add_str(&b, cookie);
        buf_add_c(&b, '=');
        buf_add_str(&b, engineio_sid(e));
        buf_add_z(&b, "; Path=/; HttpOnly; SameSite=Lax");
        http_add_header(req, "Set-Cookie", buf_str(&b));
        buf_free(&b);
    }
    park(req, e);
}

/* The first subprotocol that is offered is agreed to, as clients of the reference expect. */
static struct str first_protocol(struct http_request *req)
{
    struct str list = http_header(req, "sec-websocket-protocol");
    return list.n ? str_trim(str_cut(&list, ',')) : STR_NONE;
}

static void accept_ws(struct http_request *req, const struct engineio_query *q,
                      struct engineio *target)
{
    const struct transport_socketio *config = config_of(req);
    struct str protocol = first_protocol(req);
    struct wshandshake_config hc = {.deflate = config->engineio.deflate,
                                    .protocols = &protocol,
                                    .protocols_count = protocol.n ? 1 : 0};
    struct wshandshake ws;
    struct engineio_hello hello;
    struct ws_open open = {.kind = PROTOCOL_SOCKETIO,
                           .window_bits = 15,
                           .message_bytes_max = config->engineio.payload_bytes_max,
                           .has_own_pings = true,
                           .engineio = &hello,
                           .target = target};
    struct buf answer = {0};
    int err = wshandshake_check(req->method_text, req->version_minor, req->headers,
                                req->headers_count, &hc, &ws);
    if (err) {
        if (err == E_UPGRADE_REQUIRED)
            http_add_header(req, "Sec-WebSocket-Version", STR("13, 8"));
        http_reply(req, 400, "text/html", str_from(ws.detail ? ws.detail : "Bad request"));
        return;
    }
    fill_hello(req, q, true, &hello);
    open.deflate = ws.deflate && ws.window_bits == 15;
    wshandshake_add_answer(&answer, &ws, STR_NONE);
    ws_accept(req, buf_str(&answer), &open);
    identity_unref(hello.identity);
    buf_free(&answer);
}

/* ---- requests ----------------------------------------------------------------------------- */

static bool asks_for_ws(struct http_request *req)
{
    return req->method == HTTP_GET &&
           str_eq_nocase(str_trim(http_header(req, "upgrade")), STR("websocket"));
}

static void on_known(struct http_request *req, struct engineio *e, const struct engineio_query *q,
                     bool is_upgrade)
{
    if (is_upgrade)
        accept_ws(req, q, e);
    else if (req->method == HTTP_GET)
        park(req, e);
    else if (req->method == HTTP_POST)
        on_post(req, e, q);
    else
        refuse(req, ENGINEIO_BAD_METHOD, false, NULL);
}

static void open_new(struct http_request *req, const struct engineio_query *q, bool is_upgrade)
{
    const struct transport_socketio *config = config_of(req);
    struct str why = config->allow ? config->allow(config->allow_arg, req) : STR_NONE;
    if (why.p)
        refuse(req, ENGINEIO_FORBIDDEN, is_upgrade, why.n ? why.p : NULL);
    else if (is_upgrade)
        accept_ws(req, q, NULL);
    else
        open_polling(req, q);
}

void socketio_on_request(struct http_request *req)
{
    const struct transport_socketio *config = config_of(req);
    struct engineio_query q = read_query(req);
    bool is_upgrade = asks_for_ws(req);
    struct loop *home = q.sid.n ? engineio_loop_of(req->loop, q.sid) : NULL;
    if (home && home != req->loop) {
        http_move(req, home);
        return;
    }
    struct engineio *e = home ? engineio_find(req->loop, q.sid) : NULL;
    struct engineio_request er = {.is_get = req->method == HTTP_GET,
                                  .is_upgrade = is_upgrade,
                                  .no_polling = config->no_polling,
                                  .no_websocket = config->no_websocket,
                                  .session = e ? engineio_transport(e) : ENGINEIO_UNKNOWN};
    enum engineio_code code = engineio_check(&q, &er);
    if (code != ENGINEIO_OK)
        refuse(req, code, is_upgrade, NULL);
    else if (!http_origin_allowed(req))
        refuse(req, ENGINEIO_FORBIDDEN, is_upgrade, "Origin not allowed");
    else if (e)
        on_known(req, e, &q, is_upgrade);
    else
        open_new(req, &q, is_upgrade);
}

void socketio_routes(struct http_server *hs, const struct transport_socketio *config)
{
    unsigned methods =
        1u << HTTP_GET | 1u << HTTP_POST | 1u << HTTP_PUT | 1u << HTTP_PATCH | 1u << HTTP_DELETE;
    unsigned flags = HTTP_ROUTE_PREFIX | (config->compresses ? 0 : HTTP_ROUTE_PLAIN);
    http_route(hs, config->path, methods, flags, config->engineio.payload_bytes_max,
               socketio_on_request, NULL);
}
