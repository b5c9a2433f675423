/* SPDX-License-Identifier: Apache-2.0 */
/* From path and method to a handler: exact paths by hash, then prefixes, the longest first, then
 * embedded files. Routes of one path with different methods form a chain. */
#include "http/http_priv.h"
#include "base/check.h"
#include "base/err.h"
#include "base/mem.h"

/* What an unknown path would take: a page must be allowed to ask before it can see the 404. */
enum {
    METHODS_ANY =
        1 << HTTP_GET | 1 << HTTP_POST | 1 << HTTP_PUT | 1 << HTTP_PATCH | 1 << HTTP_DELETE
};

static const char *const method_names[] = {"GET",   "HEAD",   "POST",    "PUT",
                                           "PATCH", "DELETE", "OPTIONS", NULL};

enum http_method route_method(struct str text)
{
    for (int i = 0; method_names[i]; i++)
        if (str_is(text, method_names[i]))
            return (enum http_method)i;
    return HTTP_OTHER;
}

void route_add_methods(struct buf *out, unsigned methods)
{
    if (methods & 1 << HTTP_GET)
        methods |= 1 << HTTP_HEAD;
    methods |= 1 << HTTP_OPTIONS;
    const char *comma = "";
    for (int i = 0; method_names[i]; i++) {
        if (!(methods & 1u << i))
            continue;
        buf_add_z(out, comma);
        buf_add_z(out, method_names[i]);
        comma = ", ";
    }
}

/* ---- adding -------------------------------------------------------------------------- */

static void add_prefix(struct http_server *hs, struct route *r)
{
    for (size_t i = 0; i < hs->prefix_count; i++) {
        struct route *first = hs->prefix[i];
        if (str_eq(first->path, r->path)) {
            r->same = first->same;
            first->same = r;
            return;
        }
    }
    hs->prefix =
        mem_grow(hs->prefix, &hs->prefix_capacity, hs->prefix_count + 1, sizeof(hs->prefix[0]));
    size_t at = hs->prefix_count++;
    while (at > 0 && hs->prefix[at - 1]->path.n < r->path.n) {
        hs->prefix[at] = hs->prefix[at - 1];
        at--;
    }
    hs->prefix[at] = r;
}

void http_route(struct http_server *hs, const char *path, unsigned methods, unsigned flags,
                size_t body_max, http_handler handler, void *arg)
{
    CHECK(path[0] == '/');
    struct str p = str_from(path);
    if (flags & HTTP_ROUTE_PREFIX)
        while (p.n > 0 && p.p[p.n - 1] == '/')
            p.n--;
    struct route *r = arena_zero(&hs->boot, sizeof(*r));
    CHECK(r);
    *r = (struct route){.path = arena_dup(&hs->boot, p),
                        .methods = methods,
                        .flags = flags,
                        .body_max = body_max ? body_max : hs->config.body_bytes_max,
                        .handler = handler,
                        .arg = arg};
    if (flags & HTTP_ROUTE_PREFIX) {
        add_prefix(hs, r);
        return;
    }
    struct route *first = map_get(&hs->exact, r->path);
    if (first) {
        r->same = first->same;
        first->same = r;
    } else {
        map_put(&hs->exact, r->path, r);
    }
}

/* ---- choosing ------------------------------------------------------------------------- */

static struct route *find_chain(const struct http_server *hs, struct str path)
{
    struct route *r = map_get(&hs->exact, path);
    for (size_t i = 0; !r && i < hs->prefix_count; i++) {
        struct str prefix = hs->prefix[i]->path;
        if (str_starts(path, prefix) && (path.n == prefix.n || path.p[prefix.n] == '/'))
            r = hs->prefix[i];
    }
    return r;
}

static bool takes(const struct route *r, enum http_method method)
{
    unsigned methods = r->methods;
    if (methods & 1 << HTTP_GET)
        methods |= 1 << HTTP_HEAD;
    return (r->flags & HTTP_ROUTE_ANY_METHOD) || (methods & 1u << method);
}

static void choose_in_chain(struct exchange *x, struct route *first)
{
    for (struct route *r = first; r; r = r->same) {
        if (takes(r, x->req.method)) {
            x->route = r;
            x->req.route_arg = r->arg;
            return;
        }
        x->allowed |= r->methods;
    }
    x->route = first; /* for its CORS rule */
    x->refusal = E_METHOD_NOT_ALLOWED;
}

void route_choose(struct exchange *x)
{
    struct http_server *hs = x->conn->server;
    struct http_request *req = &x->req;
    if (x->head.form == HTTP1_ASTERISK) {
        x->allowed = METHODS_ANY;
        x->refusal = E_METHOD_NOT_ALLOWED;
        return;
    }
    struct route *first = find_chain(hs, req->path);
    if (first) {
        choose_in_chain(x, first);
        return;
    }
    x->file = static_find(hs, req->path);
    x->allowed = x->file ? 1 << HTTP_GET : METHODS_ANY;
    if (!x->file)
        x->refusal = E_NOT_FOUND;
    else if (req->method != HTTP_GET && req->method != HTTP_HEAD)
        x->refusal = E_METHOD_NOT_ALLOWED;
}

size_t route_body_max(const struct exchange *x)
{
    return x->route ? x->route->body_max : x->conn->server->config.body_bytes_max;
}

/* ---- running -------------------------------------------------------------------------- */

static void add_allow(struct exchange *x)
{
    buf_add_z(&x->headers, "Allow: ");
    route_add_methods(&x->headers, x->allowed);
    buf_add_z(&x->headers, "\r\n");
}

/* OPTIONS on a path whose handler does not look at methods itself. */
static void answer_options(struct exchange *x)
{
    struct http_request *req = &x->req;
    if (http_header(req, "Origin").p && http_header(req, "Access-Control-Request-Method").p) {
        cors_preflight(x);
        return;
    }
    add_allow(x);
    http_reply(req, 204, NULL, STR_NONE);
}

static bool is_about_path(int err)
{
    return err == E_NOT_FOUND || err == E_METHOD_NOT_ALLOWED;
}

void route_run(struct exchange *x)
{
    struct http_request *req = &x->req;
    if (is_about_path(x->refusal) && req->method == HTTP_OPTIONS) {
        answer_options(x);
        return;
    }
    if (x->refusal == E_METHOD_NOT_ALLOWED)
        add_allow(x);
    if (x->refusal)
        http_reply_error(req, x->refusal, x->detail);
    else if (x->file)
        static_serve(x);
    else
        x->route->handler(req);
}
