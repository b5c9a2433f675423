/* SPDX-License-Identifier: Apache-2.0 */
/* Which pages may read our answers. The page of the server's own origin always may. Credentials
 * (cookies) are granted only to origins that are listed word for word: a "*" in the list opens
 * public data, never somebody's session. */
#include "http/http_priv.h"
#include "base/err.h"

enum { PREFLIGHT_S = 600 };

enum cors { CORS_NO, CORS_ANY, CORS_PATTERN, CORS_EXACT };

static struct str without_default_port(struct str host, bool https)
{
    struct str port = https ? STR(":443") : STR(":80");
    return str_ends(host, port) ? str_head(host, host.n - port.n) : host;
}

/* The scheme is known only when we speak TLS ourselves; a proxy may have done so for us. */
static bool is_own(const struct http_request *req, struct str origin)
{
    bool https = str_starts(origin, STR("https://"));
    if (!https && !str_starts(origin, STR("http://")))
        return false;
    if (!https && sock_is_tls(req->conn->sock))
        return false;
    struct str host = exchange_of(req)->head.host;
    origin = str_skip(origin, https ? 8 : 7);
    return host.n > 0 &&
           str_eq_nocase(without_default_port(origin, https), without_default_port(host, https));
}

static enum cors check(const struct http_request *req, struct str origin)
{
    const struct http_config *config = &req->conn->server->config;
    enum cors best = CORS_NO;
    if (is_own(req, origin))
        return CORS_EXACT;
    for (size_t i = 0; i < config->origins_count; i++) {
        struct str listed = config->origins[i];
        if (str_eq_nocase(listed, origin))
            return CORS_EXACT;
        if (str_is(listed, "*"))
            best = best == CORS_PATTERN ? best : CORS_ANY;
        else if (str_find(listed, '*') >= 0 && str_glob(listed, origin))
            best = CORS_PATTERN;
    }
    return best;
}

bool http_origin_allowed(const struct http_request *req)
{
    for (size_t i = 0; i < req->headers_count; i++) { /* of several, each must be */
        const struct http1_header *h = &req->headers[i];
        if (str_eq_nocase(h->name, STR("Origin")) && check(req, h->value) == CORS_NO)
            return false;
    }
    return true;
}

static bool add_origin(const struct http_request *req, struct str origin, unsigned flags,
                       struct buf *head)
{
    if (flags & HTTP_ROUTE_OPEN_CORS) {
        http1_add_header(head, "Access-Control-Allow-Origin", STR("*"));
        return true;
    }
    http1_add_header(head, "Vary", STR("Origin"));
    enum cors answer = origin.p ? check(req, origin) : CORS_NO;
    if (answer == CORS_NO)
        return false;
    http1_add_header(head, "Access-Control-Allow-Origin", answer == CORS_ANY ? STR("*") : origin);
    if (answer == CORS_EXACT)
        http1_add_header(head, "Access-Control-Allow-Credentials", STR("true"));
    return true;
}

void cors_add(struct exchange *x, struct buf *head)
{
    unsigned flags = x->route ? x->route->flags : 0;
    if (x->has_cors || ((flags & HTTP_ROUTE_OWN_CORS) && !x->error))
        return;
    add_origin(&x->req, http_header(&x->req, "Origin"), flags, head);
}

static bool is_header_list(struct str list)
{
    while (list.p) {
        struct str name = str_trim(str_cut(&list, ','));
        if (!http1_token_valid(name))
            return false;
    }
    return true;
}

/* The answer to "may this page send such a request?". */
void cors_preflight(struct exchange *x)
{
    struct http_request *req = &x->req;
    struct buf *out = &x->headers;
    struct str wanted = http_header(req, "Access-Control-Request-Headers");
    unsigned flags = x->route ? x->route->flags : 0;
    x->has_cors = true;
    if (!add_origin(req, http_header(req, "Origin"), flags, out)) {
        http_reply_error(req, E_ORIGIN_DENIED, NULL);
        return;
    }
    buf_add_z(out, "Access-Control-Allow-Methods: ");
    route_add_methods(out, x->allowed);
    buf_add_z(out, "\r\n");
    if (wanted.n > 0 && is_header_list(wanted))
        http1_add_header(out, "Access-Control-Allow-Headers", wanted);
    buf_printf(out, "Access-Control-Max-Age: %d\r\n", PREFLIGHT_S);
    http1_add_header(out, "Vary",
                     STR("Access-Control-Request-Method, Access-Control-Request-Headers"));
    http_reply(req, 204, NULL, STR_NONE);
}
