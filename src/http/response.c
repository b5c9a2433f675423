/* SPDX-License-Identifier: Apache-2.0 */
/* Answers. Head and small body are put together in the loop's scratch buffer and queued with one
 * copy; a larger body is queued behind it. Everything an answer must carry for its framing, for
 * caches and for other origins is decided here, so that a handler cannot forget it. */
#include "http/http_priv.h"
#include "base/check.h"
#include "base/err.h"
#include "base/json.h"
#include "wire/deflate.h"

enum { ONE_PIECE_MAX = 8192, GZIP_LEVEL = 1, RETRY_AFTER_S = 1 };

void http_add_header(struct http_request *req, const char *name, struct str value)
{
    struct exchange *x = exchange_of(req);
    struct str n = str_from(name);
    CHECK(http1_token_valid(n));
    if (str_eq_nocase(n, STR("Content-Encoding")))
        x->has_encoding = true;
    if (str_eq_nocase(n, STR("Access-Control-Allow-Origin")))
        x->has_cors = true;
    http1_add_header(&x->headers, name, value);
}

/* Whether the connection can carry another request after this answer. */
static void decide_end(struct exchange *x)
{
    const struct http_conn *c = x->conn;
    size_t max = c->server->config.requests_per_conn_max;
    if (x->home->draining || (max && c->requests >= max))
        x->close_after = true;
}

static void add_connection(const struct exchange *x, struct buf *head)
{
    if (x->close_after)
        http1_add_header(head, "Connection", STR("close"));
    else if (x->req.version_minor == 0)
        http1_add_header(head, "Connection", STR("keep-alive"));
}

static void add_common(struct buf *head, struct http_loop *home, int status)
{
    http1_add_status(head, status);
    http1_add_header(head, "Server", STR("tidewire"));
    http1_add_header(head, "Date", http_date(home));
}

static struct buf *begin(struct exchange *x, int status, const char *content_type)
{
    struct buf *head = &x->home->head;
    CHECK(!x->answered && x->conn->state == HTTP_ANSWERING);
    decide_end(x);
    buf_clear(head);
    add_common(head, x->home, status);
    if (content_type)
        http1_add_header(head, "Content-Type", str_from(content_type));
    cors_add(x, head);
    buf_add_str(head, buf_str(&x->headers));
    add_connection(x, head);
    return head;
}

static bool compresses_well(const char *content_type)
{
    static const char *const kinds[] = {"text/", "application/json", "application/javascript",
                                        "application/xml", "image/svg"};
    for (size_t i = 0; content_type && i < sizeof(kinds) / sizeof(kinds[0]); i++)
        if (str_starts(str_from(content_type), str_from(kinds[i])))
            return true;
    return content_type && strstr(content_type, "+json") != NULL;
}

/* The body as the client takes it: compressed when that is wanted and worth it. */
static struct str pack(struct exchange *x, const char *content_type, struct str body,
                       struct buf *head)
{
    struct http_loop *home = x->home;
    if (body.n < GZIP_BYTES_MIN || body.n > GZIP_BYTES_MAX || x->has_encoding ||
        !compresses_well(content_type) || (x->route && x->route->flags & HTTP_ROUTE_PLAIN))
        return body;
    http1_add_header(head, "Vary", STR("Accept-Encoding"));
    struct str accept = http_header(&x->req, "Accept-Encoding");
    if (!accept.p || http1_accept_q(accept, "gzip") == 0)
        return body;
    if (!home->gzip)
        home->gzip = deflate_writer_new(GZIP_LEVEL);
    buf_clear(&home->packed);
    if (deflate_gzip_once(home->gzip, body, &home->packed) != 0 || home->packed.n >= body.n)
        return body;
    http1_add_header(head, "Content-Encoding", STR("gzip"));
    return buf_str(&home->packed);
}

static bool has_no_body(int status)
{
    return status < 200 || status == 204 || status == 304;
}

void http_reply(struct http_request *req, int status, const char *content_type, struct str body)
{
    struct exchange *x = exchange_of(req);
    struct sock *s = x->conn->sock;
    struct buf *head = begin(x, status, body.n > 0 ? content_type : NULL);
    if (!has_no_body(status)) {
        body = pack(x, content_type, body, head);
        buf_add_z(head, "Content-Length: ");
        buf_add_u64(head, body.n);
        buf_add_z(head, "\r\n");
    }
    buf_add_z(head, "\r\n");
    if (has_no_body(status) || req->method == HTTP_HEAD)
        body = STR_NONE;
    if (body.n > 0 && body.n <= ONE_PIECE_MAX) {
        buf_add_str(head, body);
        body = STR_NONE;
    }
    if (head->failed) {
        sock_abort(s, E_NO_MEMORY);
    } else {
        sock_send(s, head->p, head->n);
        if (body.n > 0)
            sock_send(s, body.p, body.n);
    }
    conn_answered(x);
}

/* ---- errors --------------------------------------------------------------------------- */

static void error_body(struct buf *out, int err, const char *detail)
{
    const struct err_info *e = err_info(err);
    buf_add_c(out, '{');
    json_add_u64(out, "code", (uint64_t)e->number);
    json_add_field(out, "name", str_from(e->name));
    json_add_field(out, "message", str_from(detail ? detail : e->text));
    json_add_field(out, "hint", str_from(e->hint));
    json_add_bool(out, "retryable", e->retryable);
    buf_add_c(out, '}');
}

static void add_error_headers(struct buf *head, int status)
{
    if (status == 401)
        http1_add_header(head, "WWW-Authenticate", STR("Bearer"));
    if (status == 429 || status == 503)
        buf_printf(head, "Retry-After: %d\r\n", RETRY_AFTER_S);
    http1_add_header(head, "X-Content-Type-Options", STR("nosniff"));
}

void http_reply_error(struct http_request *req, int err, const char *detail)
{
    struct exchange *x = exchange_of(req);
    struct buf body = {0};
    int status = err_info(err)->status;
    add_error_headers(&x->headers, status);
    x->error = true;
    error_body(&body, err, detail);
    http_reply(req, status, "application/json; charset=utf-8", buf_str(&body));
    buf_free(&body);
}

void response_refuse(struct http_conn *c, int err, const char *detail)
{
    struct buf body = {0}, *head = &c->home->head;
    int status = err_info(err)->status;
    error_body(&body, err, detail);
    buf_clear(head);
    add_common(head, c->home, status);
    http1_add_header(head, "Content-Type", STR("application/json; charset=utf-8"));
    add_error_headers(head, status);
    buf_printf(head, "Content-Length: %zu\r\nConnection: close\r\n\r\n", body.n);
    buf_add_str(head, buf_str(&body));
    if (!head->failed)
        sock_send(c->sock, head->p, head->n);
    buf_free(&body);
    conn_end(c);
}

struct str http_busy_answer(void)
{
    return STR("HTTP/1.1 503 Service Unavailable\r\nServer: tidewire\r\nRetry-After: 1\r\n"
               "Content-Length: 0\r\nConnection: close\r\n\r\n");
}

/* ---- streams -------------------------------------------------------------------------- */

void http_stream_begin(struct http_request *req, int status, const char *content_type)
{
    struct exchange *x = exchange_of(req);
    struct http_conn *c = x->conn;
    x->chunked_answer = req->version_minor > 0;
    if (!x->chunked_answer)
        x->close_after = true;
    struct buf *head = begin(x, status, content_type);
    if (x->chunked_answer)
        http1_add_header(head, "Transfer-Encoding", STR("chunked"));
    buf_add_z(head, "\r\n");
    if (head->failed)
        sock_abort(c->sock, E_NO_MEMORY);
    else
        sock_send(c->sock, head->p, head->n);
    conn_set_state(c, HTTP_STREAMING);
    if (c->half_closed)
        sock_abort(c->sock, E_CLOSED); /* nobody to stream to */
    else if (req->method == HTTP_HEAD)
        sock_close(c->sock, LINGER_MS); /* the head is the answer; on_abort tells the owner */
}

bool http_stream_chunked(const struct http_request *req)
{
    return ((const struct exchange *)(const void *)req)->chunked_answer;
}

struct sock *http_sock(const struct http_request *req)
{
    return req->conn->sock;
}

void http_stream_end(struct http_request *req)
{
    struct exchange *x = exchange_of(req);
    CHECK(x->conn->state == HTTP_STREAMING);
    if (x->chunked_answer)
        sock_send(x->conn->sock, "0\r\n\r\n", 5);
    conn_answered(x);
}

void http_stream_abort(struct http_request *req)
{
    struct exchange *x = exchange_of(req);
    CHECK(x->conn->state == HTTP_STREAMING);
    x->close_after = true;
    conn_answered(x);
}

void http_stream_on_drained(struct http_request *req, void (*fn)(struct http_request *req))
{
    exchange_of(req)->on_drained = fn;
}
