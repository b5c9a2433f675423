/* SPDX-License-Identifier: Apache-2.0 */
/* The WebSocket upgrade of Supabase Realtime. Who connects is said by the project's key alone; the
 * users' tokens come with each channel. A refused handshake is an HTTP answer with upstream's
 * bodies, at once.
 *
 * The ticket by which a client finds its place again is a cookie in browsers. A program has none,
 * but the client sends its own parameters with every connection: ?session=<a secret of its
 * choice> names the ticket instead (realtime: { params: { session } }). */
#include "transport/transport_priv.h"

#include "base/base64.h"
#include "base/digest.h"
#include "base/json.h"
#include "base/log.h"
#include "base/metric.h"
#include "wire/phoenix.h"
#include "wire/wshandshake.h"

enum { SESSION_TEXT_MIN = 16 };

static void refuse(struct http_request *req, int status, struct str why)
{
    struct buf body = {0};
    buf_add_c(&body, '{');
    json_add_field(&body, "error", why);
    buf_add_c(&body, '}');
    http_add_header(req, "Cache-Control", STR("no-store"));
    http_reply(req, status, "application/json", buf_str(&body));
    buf_free(&body);
}

static void refuse_token(struct http_request *req, const struct auth_verdict *verdict)
{
    log_info("transport", "refused", "peer=%.*s reason=%s", STR_ARG(http_client_address(req)),
             verdict->text);
    switch (verdict->reason) {
    case AUTH_NO_TOKEN:
        refuse(req, 401, STR("API key is missing"));
        break;
    case AUTH_EXPIRED:
        refuse(req, 401, STR("Token has expired"));
        break;
    case AUTH_EXP_MISSING:
    case AUTH_ROLE_MISSING:
        refuse(req, 401, STR("Fields `role` and `exp` are required in JWT"));
        break;
    case AUTH_ALGORITHM:
    case AUTH_KEY_UNKNOWN:
    case AUTH_SIGNATURE:
        refuse(req, 401, STR("Failed to validate JWT signature"));
        break;
    case AUTH_NOT_YET:
    case AUTH_AUDIENCE:
    case AUTH_ISSUER:
    case AUTH_CLAIM:
        refuse(req, 401, str_from(verdict->text));
        break;
    case AUTH_OK:
    case AUTH_TOO_LONG:
    case AUTH_MALFORMED:
    case AUTH_HEADER:
    case AUTH_API_KEY:
        refuse(req, 401, STR("The token provided is not a valid JWT"));
        break;
    }
}

bool realtime_admit(struct http_request *req, struct identity **id)
{
    const struct realtime_config *config = realtime_config_of(req->loop);
    struct auth_verdict verdict = {.reason = AUTH_NO_TOKEN};
    struct str key = str_trim(http_header(req, "x-api-key"));
    *id = NULL;
    if (!key.n)
        key = str_trim(http_query(req, "apikey"));
    if (!phoenix_vsn(http_query(req, "vsn"))) {
        refuse(req, 400, STR("The vsn is none of 1.0.0 and 2.0.0"));
        return false;
    }
    if (!key.n || session_verify(req->loop, key, id, &verdict)) {
        refuse_token(req, &verdict);
        return false;
    }
    if (config->clients_max && metric_read(M_REALTIME_CLIENTS) >= (int64_t)config->clients_max) {
        identity_unref(*id);
        refuse(req, 429, STR("Too many connected users"));
        return false;
    }
    return true;
}

/* A ticket from the text that the client chose: nobody else can come to it by chance. */
static void ticket_of_text(struct loop *l, struct str text, char out[SESSION_TICKET_SIZE + 1])
{
    static const char hex[] = "0123456789abcdef";
    uint8_t digest[32];
    struct buf b = {0};
    digest_sha256(text, digest);
    unsigned index = digest[31] % loops_count(loop_siblings(l));
    base64url_encode(&b, str_of((char *)digest, 18));
    out[0] = hex[index >> 4];
    out[1] = hex[index & 15];
    memcpy(out + 2, b.p, SESSION_TICKET_SIZE - 2);
    out[SESSION_TICKET_SIZE] = '\0';
    buf_free(&b);
}

/* False when the request was handed to the loop where the ticket's sessions live. */
static bool find_ticket(struct http_request *req, struct ws_open *open, bool *sets_cookie)
{
    struct str chosen = http_query(req, "session");
    struct str cookie = http_cookie(req, "tw_session");
    struct loop *home = req->loop;
    *sets_cookie = false;
    if (chosen.n >= SESSION_TEXT_MIN) {
        ticket_of_text(req->loop, chosen, open->ticket);
        home = session_ticket_loop(req->loop, str_from(open->ticket));
    } else if (http_header(req, "origin").n || cookie.n) {
        *sets_cookie = true;
        home = cookie.n ? session_ticket_loop(req->loop, cookie) : NULL;
        if (home == req->loop && session_ticket_known(req->loop, cookie))
            memcpy(open->ticket, cookie.p, SESSION_TICKET_SIZE);
        else if (!home || home == req->loop)
            session_ticket_new(req->loop, open->ticket);
        open->is_unknown =
            home != NULL && home == req->loop && !session_ticket_known(req->loop, cookie);
    }
    if (!home || home == req->loop)
        return true;
    http_move(req, home);
    return false;
}

static void on_upgrade(struct http_request *req)
{
    struct wshandshake ws;
    struct ws_open open = {.kind = PROTOCOL_PHOENIX, .claim_ops = &supabase_ops};
    struct buf more = {0}, answer = {0};
    bool sets_cookie;
    if (!upgrade_origin(req) || !upgrade_shake(req, &ws) || !find_ticket(req, &open, &sets_cookie))
        return;
    if (!realtime_admit(req, &open.who.identity))
        return;
    open.claims = open.ticket[0] != 0;
    open.deflate = ws.deflate && ws.window_bits == 15;
    open.window_bits = 15;
    open.message_bytes_max = realtime_config_of(req->loop)->frame_bytes_max;
    open.query = req->query;
    if (sets_cookie)
        upgrade_add_cookie(req, open.ticket, &more);
    wshandshake_add_answer(&answer, &ws, buf_str(&more));
    ws_accept(req, buf_str(&answer), &open);
    buf_free(&more);
    buf_free(&answer);
}

void realtime_setup(struct http_server *hs, size_t frame_bytes_max)
{
    http_route(hs, "/realtime/v1/websocket", 1u << HTTP_GET, 0, 0, on_upgrade, NULL);
    http_route(hs, "/socket/websocket", 1u << HTTP_GET, 0, 0, on_upgrade, NULL);
    http_route(hs, "/realtime/v1/longpoll", 1u << HTTP_GET | 1u << HTTP_POST, 0, frame_bytes_max,
               longpoll_on_request, NULL);
    http_route(hs, "/socket/longpoll", 1u << HTTP_GET | 1u << HTTP_POST, 0, frame_bytes_max,
               longpoll_on_request, NULL);
}
