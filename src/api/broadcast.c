/* SPDX-License-Identifier: Apache-2.0 */
/* The REST half of Supabase Realtime's broadcast: what channel.send() does before it is joined,
 * httpSend(), and backends.
 *
 *   POST /realtime/v1/api/broadcast                           {"messages":[{topic,event,payload}]}
 *   POST /realtime/v1/api/broadcast/{topic}/events/{event}    the payload: JSON, or bytes
 *
 * Statuses and bodies as upstream, so 202 has none. Any page may ask: a token is always named in
 * the request, a cookie is never looked at. A private message that may not be sent is left out of
 * a batch in silence; a single one is refused. */
#include "api/api_priv.h"

#include "base/json.h"
#include "base/mem.h"
#include "base/metric.h"
#include "base/num.h"
#include "wire/supabase.h"
#include "wire/url.h"

/* A body may be larger than a payload: a batch holds several, and upstream answers 422, not 413. */
enum { JSON_DEPTH = 64, BODY_BYTES_MIN = 4 << 20 };
static const char base_path[] = "/realtime/v1/api/broadcast";
static const struct str private_prefix = {"private:", 8}; /* of a channel, as in protocol */

struct broadcast {
    struct http_request *req;
    struct session *session;
    size_t left;
    int err; /* the first that matters */
    bool is_batch, is_gone;
};

static void say(struct http_request *req, int status, const char *message)
{
    struct buf body = {0};
    buf_add_c(&body, '{');
    json_add_field(&body, "message", str_from(message));
    buf_add_c(&body, '}');
    http_add_header(req, "Cache-Control", STR("no-store"));
    http_reply(req, status, "application/json", buf_str(&body));
    buf_free(&body);
}

static void say_error(struct http_request *req, int err)
{
    const struct err_info *info = err_info(err);
    switch (err) {
    case E_TOKEN_REQUIRED:
    case E_TOKEN_INVALID:
    case E_TOKEN_EXPIRED:
        say(req, 401, "Unauthorized");
        break;
    case E_ACCESS_DENIED:
        say(req, 403, "Unauthorized");
        break;
    case E_RATE_LIMITED:
        say(req, 429, "Too many requests");
        break;
    case E_TOO_LARGE:
        http_reply(req, 422, "application/json",
                   STR("{\"errors\":{\"payload\":[\"Payload size exceeds tenant limit\"]}}"));
        break;
    default:
        say(req, info->status, info->text);
    }
}

/* ---- answers ----------------------------------------------------------------------------- */

static void finish(struct broadcast *b)
{
    b->req->on_abort = NULL;
    if (b->err)
        say_error(b->req, b->err);
    else
        http_reply(b->req, 202, NULL, STR_NONE);
}

static void on_answer(struct session *s, const struct answer *a)
{
    struct broadcast *b = session_user(s);
    bool is_hidden =
        a->err == E_ACCESS_DENIED && b->is_batch && str_starts(a->channel, private_prefix);
    if (a->err && !b->err && !is_hidden)
        b->err = a->err;
    if (--b->left || b->is_gone)
        return;
    finish(b);
    session_end(s, 0, true);
}

static void on_ended(struct session *s, int err)
{
    struct broadcast *b = session_user(s);
    (void)err;
    if (b->left && !b->is_gone) {
        b->req->on_abort = NULL;
        say_error(b->req, E_UNAVAILABLE);
    }
    mem_free(b);
}

static const struct session_ops broadcast_ops = {
    .name = "broadcast", .answer = on_answer, .ended = on_ended};

static void on_abort(struct http_request *req)
{
    struct broadcast *b = req->state;
    b->is_gone = true;
    session_end(b->session, E_CLOSED, true);
}

/* ---- questions --------------------------------------------------------------------------- */

struct message {
    struct str topic, event, content;
    bool is_private, is_bytes;
};

static struct str channel_of(struct http_request *req, const struct message *m)
{
    if (!m->is_private)
        return m->topic;
    char *text = arena_alloc(req->arena, private_prefix.n + m->topic.n);
    if (!text)
        return STR_NONE;
    memcpy(text, private_prefix.p, private_prefix.n);
    memcpy(text + private_prefix.n, m->topic.p, m->topic.n);
    return str_of(text, private_prefix.n + m->topic.n);
}

/* False when all were answered meanwhile. */
static bool send(struct http_request *req, uint64_t session, const struct message *m)
{
    struct session *s = session_find(req->loop, session);
    if (!s)
        return false;
    struct request r = {.type = REQUEST_PUBLISH,
                        .channel = channel_of(req, m),
                        .wants_answer = true,
                        .payload_bytes_max = api_home_of(req->loop)->config->broadcast_bytes_max,
                        .message = {.event = m->event,
                                    .content = m->content,
                                    .format = m->is_bytes ? MSG_BINARY : MSG_JSON}};
    metric_add(M_MESSAGES_RECEIVED_HTTP, 1);
    session_request(s, &r);
    return true;
}

/* The session of a request with `count` messages; NULL and answered when there is none. */
static struct session *begin(struct http_request *req, struct identity *id, size_t count,
                             bool is_batch)
{
    struct broadcast *b = mem_new(sizeof(*b));
    struct session_open o = {.ops = &broadcast_ops, .identity = id, .user = b};
    b->req = req;
    b->left = count;
    b->is_batch = is_batch;
    b->session = session_open(req->loop, &o);
    if (!b->session) {
        say_error(req, E_RATE_LIMITED);
        mem_free(b);
        return NULL;
    }
    req->state = b;
    req->on_abort = on_abort;
    return b->session;
}

/* Upstream takes nobody without a key. */
static struct identity *identify(struct http_request *req)
{
    struct identity *id = NULL;
    bool has_token = http_header(req, "authorization").n || http_header(req, "apikey").n ||
                     http_query(req, "apikey").n;
    int err = has_token ? api_identify(req, &id) : E_TOKEN_REQUIRED;
    if (err)
        say_error(req, err);
    return id;
}

static void on_batch(struct http_request *req)
{
    const struct supabase_message *list;
    struct identity *id = identify(req);
    struct buf errors = {0};
    size_t count;
    if (!id)
        return;
    int err =
        supabase_batch(req->arena, req->body, JSON_DEPTH,
                       api_home_of(req->loop)->config->broadcast_bytes_max, &list, &count, &errors);
    if (err == E_PROTOCOL)
        http_reply(req, 422, "application/json", buf_str(&errors));
    else if (err == E_TOO_MANY)
        say(req, 429, "Too many messages to broadcast, please reduce the batch size");
    else if (err)
        say(req, err == E_NO_MEMORY ? 503 : 400, "The body is not JSON");
    struct session *s = err ? NULL : begin(req, id, count, true);
    uint64_t session = s ? session_id(s) : 0;
    for (size_t i = 0; s && i < count; i++) {
        struct message m = {list[i].topic, list[i].event, list[i].payload, list[i].is_private,
                            false};
        if (!send(req, session, &m))
            break;
    }
    identity_unref(id);
    buf_free(&errors);
}

/* {topic}/events/{event} after the path's beginning. */
static bool read_path(struct http_request *req, struct message *m)
{
    struct str rest = str_skip(req->path_raw, sizeof(base_path));
    struct str topic = str_cut(&rest, '/'), word = str_cut(&rest, '/');
    return topic.n && str_is(word, "events") && rest.n && str_find(rest, '/') < 0 &&
           !url_decode(req->arena, topic, false, &m->topic) &&
           !url_decode(req->arena, rest, false, &m->event);
}

static void on_single(struct http_request *req)
{
    struct str type = http_header(req, "content-type"), flag = http_query(req, "private");
    struct message m = {.content = req->body,
                        .is_private = str_is(flag, "true") || str_is(flag, "1"),
                        .is_bytes = str_starts(type, STR("application/octet-stream"))};
    struct jsonscan_value value;
    if (!read_path(req, &m)) {
        say(req, 404, "Not Found");
        return;
    }
    struct identity *id = identify(req);
    if (!id)
        return;
    if (!m.is_bytes && !str_starts(type, STR("application/json")))
        say(req, 415, "The payload is application/json or application/octet-stream");
    else if (m.content.n > api_home_of(req->loop)->config->broadcast_bytes_max)
        say_error(req, E_TOO_LARGE);
    else if (!m.is_bytes && jsonscan_check(req->body, JSON_DEPTH, &value))
        say(req, 400, "The body is not JSON");
    else {
        if (!m.is_bytes)
            m.content = value.raw;
        struct session *s = begin(req, id, 1, false);
        if (s)
            (void)send(req, session_id(s), &m);
    }
    identity_unref(id);
}

/* Parts of a Supabase project that this server has not: a clear no, which pages may read. */
static void on_absent(struct http_request *req)
{
    say(req, 404, "There is no such service here");
}

void broadcast_setup(struct http_server *hs, size_t bytes_max)
{
    static const char *const absent[] = {"/auth/v1", "/storage/v1", "/functions/v1"};
    size_t body_max = bytes_max > BODY_BYTES_MIN ? bytes_max : BODY_BYTES_MIN;
    http_route(hs, base_path, 1u << HTTP_POST, HTTP_ROUTE_OPEN_CORS, body_max, on_batch, NULL);
    http_route(hs, base_path, 1u << HTTP_POST, HTTP_ROUTE_OPEN_CORS | HTTP_ROUTE_PREFIX, body_max,
               on_single, NULL);
    for (size_t i = 0; i < sizeof(absent) / sizeof(absent[0]); i++)
        http_route(hs, absent[i],
                   1u << HTTP_GET | 1u << HTTP_POST | 1u << HTTP_PUT | 1u << HTTP_PATCH |
                       1u << HTTP_DELETE,
                   HTTP_ROUTE_OPEN_CORS | HTTP_ROUTE_PREFIX, 0, on_absent, NULL);
}
