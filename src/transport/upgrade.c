/* SPDX-License-Identifier: Apache-2.0 */
/* Who is asking, and may its page: the first questions to every connection, and the WebSocket
 * upgrade of the plain dialect. A refused token is an HTTP answer with the guide's words; whoever
 * offers `tidewire.v1` gets it as a close code instead, for a page cannot read an HTTP answer to
 * its WebSocket. */
#include "transport/transport_priv.h"

#include "base/log.h"
#include "base/metric.h"
#include "wire/url.h"
#include "wire/wshandshake.h"

static struct str find_token(struct http_request *req, bool *from_cookie)
{
    static const char *const params[] = {"token", "apikey"};
    struct str token = auth_bearer(http_header(req, "authorization"));
    *from_cookie = false;
    if (!token.n)
        token = http_header(req, "apikey");
    for (size_t i = 0; !token.n && i < sizeof(params) / sizeof(params[0]); i++)
        token = http_query(req, params[i]);
    if (!token.n) {
        token = http_cookie(req, "tw_token");
        *from_cookie = token.n > 0;
    }
    return token;
}

/* takes_in_band: a missing token is no error even where anonymous is off, for it can come later:
 * needs_token is set instead. */
static int identify(struct http_request *req, bool takes_in_band, struct who *who)
{
    struct auth_verdict verdict;
    bool from_cookie;
    struct str token = find_token(req, &from_cookie);
    *who = (struct who){0};
    if (req->no_memory) { /* of the token, or of what was read before */
        http_reply_error(req, E_NO_MEMORY, NULL);
        return E_NO_MEMORY;
    }
    /* A cookie goes along by itself: only a page that says where it comes from may use it on a
     * WebSocket (cross-site hijacking). */
    if (takes_in_band && from_cookie && !http_header(req, "origin").n)
        return E_ORIGIN_DENIED;
    int err = session_verify(req->loop, token, &who->identity, &verdict);
    if (err == E_TOKEN_REQUIRED && takes_in_band && !token.n) {
        who->identity = identity_new_anonymous(STR_NONE);
        who->needs_token = true;
        return 0;
    }
    if (err)
        log_info("transport", "refused", "peer=%.*s reason=%s", STR_ARG(http_client_address(req)),
                 verdict.text);
    return err;
}

int upgrade_identify(struct http_request *req, struct who *who)
{
    int err = identify(req, false, who);
    if (err)
        http_reply_error(req, err, NULL);
    return err;
}

struct str upgrade_token(struct http_request *req, bool needs_origin)
{
    bool from_cookie;
    struct str token = find_token(req, &from_cookie);
    return from_cookie && needs_origin && !http_header(req, "origin").n ? STR_NONE : token;
}

static bool is_from_allowed_origin(struct http_request *req)
{
    if (http_origin_allowed(req))
        return true;
    log_info("transport", "origin-denied", "origin=%.*s peer=%.*s",
             STR_ARG(http_header(req, "origin")), STR_ARG(http_client_address(req)));
    return false;
}

bool upgrade_origin(struct http_request *req)
{
    if (is_from_allowed_origin(req))
        return true;
    http_reply_error(req, E_ORIGIN_DENIED, NULL);
    return false;
}

bool upgrade_shake(struct http_request *req, struct wshandshake *ws)
{
    static const struct str protocols[] = {{"tidewire.v1", 11}};
    const struct transport_config *config = transport_home_of(req->loop)->config;
    struct wshandshake_config hc = {
        .deflate = config->deflate, .protocols = protocols, .protocols_count = 1};
    int err =
        wshandshake_check(req->method_text, req->version_minor,
                          (const struct http1_header *)req->headers, req->headers_count, &hc, ws);
    if (!err)
        return true;
    if (err == E_UPGRADE_REQUIRED) {
        http_add_header(req, "Upgrade", STR("websocket"));
        http_add_header(req, "Sec-WebSocket-Version", STR("13"));
    }
    http_reply_error(req, err, ws->detail);
    return false;
}

/* The ticket of a client that may have been here: its cookie, or ?session=<name>.<ticket>.
 * "none" wants a session of its own and no cookie. */
struct ticket {
    struct str text, name;
    bool has_cookies; /* it sends a Cookie header, or may: a browser with an Origin */
    bool is_own;
};

static struct ticket find_ticket(struct http_request *req)
{
    struct str asked = http_query(req, "session");
    struct ticket t = {.is_own = asked.n > 0};
    ptrdiff_t dot = str_find(asked, '.');
    if (t.is_own) {
        t.text = dot >= 0 ? str_skip(asked, (size_t)dot + 1) : STR_NONE;
        t.name = dot > 0 ? str_head(asked, (size_t)dot) : STR_NONE;
        return t;
    }
    t.text = http_cookie(req, "tw_session");
    t.has_cookies = http_header(req, "cookie").n || http_header(req, "origin").n;
    return t;
}

void upgrade_add_cookie(struct http_request *req, const char *ticket, struct buf *out)
{
    const struct session_config *config = session_config_of(req->loop);
    buf_printf(out, "Set-Cookie: tw_session=%s; Path=/; Max-Age=%llu; HttpOnly; SameSite=Lax%s\r\n",
               ticket, (unsigned long long)(config->resume_ms / 1000 + 60),
               sock_is_tls(http_sock(req)) ? "; Secure" : "");
}

static void refuse(struct http_request *req, const struct wshandshake *ws, int err)
{
    struct buf answer = {0};
    if (!ws->protocol.n) {
        http_reply_error(req, err, NULL);
        return;
    }
    wshandshake_add_answer(&answer, ws, STR_NONE);
    ws_accept(req, buf_str(&answer),
              &(struct ws_open){.kind = PROTOCOL_NATIVE, .window_bits = 15, .refusal = err});
    buf_free(&answer);
}

void upgrade_on_native(struct http_request *req)
{
    struct wshandshake ws;
    struct ws_open open = {.kind = PROTOCOL_NATIVE, .claims = true, .claim_ops = &native_ops};
    struct buf more = {0}, answer = {0};
    bool is_welcome = is_from_allowed_origin(req);
    if (!is_welcome && !http_header(req, "sec-websocket-protocol").n) {
        http_reply_error(req, E_ORIGIN_DENIED, NULL);
        return;
    }
    if (!upgrade_shake(req, &ws))
        return;
    if (!is_welcome) {
        refuse(req, &ws, E_ORIGIN_DENIED);
        return;
    }
    struct ticket ticket = find_ticket(req);
    struct loop *home = ticket.text.n ? session_ticket_loop(req->loop, ticket.text) : NULL;
    if (home && home != req->loop) {
        http_move(req, home);
        return;
    }
    int err = identify(req, true, &open.who);
    if (err) {
        refuse(req, &ws, err);
        return;
    }
    if (home && session_ticket_known(req->loop, ticket.text))
        memcpy(open.ticket, ticket.text.p, SESSION_TICKET_SIZE);
    else
        session_ticket_new(req->loop, open.ticket);
    if (ticket.name.n < sizeof(open.name) && ticket.name.n)
        memcpy(open.name, ticket.name.p, ticket.name.n);
    open.tells_ticket = ticket.is_own || !ticket.has_cookies;
    open.deflate = ws.deflate && ws.window_bits == 15;
    open.window_bits = 15;
    if (!ticket.is_own)
        upgrade_add_cookie(req, open.ticket, &more);
    wshandshake_add_answer(&answer, &ws, buf_str(&more));
    if (more.failed || answer.failed) {
        identity_unref(open.who.identity);
        http_reply_error(req, E_NO_MEMORY, NULL);
    } else {
        ws_accept(req, buf_str(&answer), &open);
    }
    buf_free(&more);
    buf_free(&answer);
}
