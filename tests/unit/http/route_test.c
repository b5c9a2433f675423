/* SPDX-License-Identifier: Apache-2.0 */
/* Which handler gets which request, and what is said when there is none. */
#include "web.h"
#include "http/route.c"

#define LAST "Host: x\r\nConnection: close\r\n\r\n"

static void say_arg(struct http_request *req)
{
    struct buf b = {0};
    buf_printf(&b, "%s %.*s", (const char *)req->route_arg, STR_ARG(req->method_text));
    http_reply(req, 200, "text/plain", buf_str(&b));
    buf_free(&b);
}

static void begin(struct web *w)
{
    struct http_config config = {0};
    web_begin(w, 1, &config);
    struct http_server *hs = w->server;
    http_route(hs, "/a", 1 << HTTP_GET, 0, 0, say_arg, "get-a");
    http_route(hs, "/a", 1 << HTTP_POST | 1 << HTTP_DELETE, 0, 0, say_arg, "write-a");
    http_route(hs, "/a/b", 1 << HTTP_GET, 0, 0, say_arg, "a-b");
    http_route(hs, "/tree/", 1 << HTTP_GET, HTTP_ROUTE_PREFIX, 0, say_arg, "tree");
    http_route(hs, "/tree/deep", 1 << HTTP_GET, HTTP_ROUTE_PREFIX, 0, say_arg, "deep");
    http_route(hs, "/any", 0, HTTP_ROUTE_ANY_METHOD, 0, say_arg, "any");
    web_run(w);
}

static void check(struct web *w, const char *method, const char *target, int status,
                  const char *body)
{
    struct buf b = {0};
    buf_printf(&b, "%s %s HTTP/1.1\r\n" LAST, method, target);
    buf_add_c(&b, 0);
    char *a = web_talk(w, b.p);
    if (web_status(a) != status)
        printf("# %s %s: %s\n", method, target, a);
    assert_int_equal(web_status(a), status);
    assert_int_equal(web_count(a, "HTTP/1.1"), 1);
    web_expect(a, body);
    free(a);
    buf_free(&b);
}

TEST(paths_and_methods_find_their_handler)
{
    struct web w;
    begin(&w);
    check(&w, "GET", "/a", 200, "\r\n\r\nget-a GET");
    check(&w, "GET", "/a?b=c", 200, "\r\n\r\nget-a GET");
    check(&w, "GET", "/%61", 200, "\r\n\r\nget-a GET");
    check(&w, "GET", "http://x/a", 200, "\r\n\r\nget-a GET");
    check(&w, "POST", "/a", 200, "\r\n\r\nwrite-a POST");
    check(&w, "DELETE", "/a", 200, "\r\n\r\nwrite-a DELETE");
    check(&w, "HEAD", "/a", 200, "Content-Length: 10\r\n");
    check(&w, "GET", "/a/b", 200, "a-b");
    check(&w, "GET", "/tree", 200, "tree");
    check(&w, "GET", "/tree/", 200, "tree");
    check(&w, "GET", "/tree/x/y", 200, "tree");
    check(&w, "GET", "/tree/deep", 200, "deep");
    check(&w, "GET", "/tree/deep/er", 200, "deep");
    check(&w, "GET", "/tree/deeper", 200, "tree");
    check(&w, "PURGE", "/any", 200, "any PURGE");
    check(&w, "OPTIONS", "/any", 200, "any OPTIONS");
    web_end(&w);
}

TEST(what_is_not_there_is_said_in_json)
{
    struct web w;
    begin(&w);
    check(&w, "GET", "/nowhere", 404,
          "{\"code\":4404,\"name\":\"NOT_FOUND\",\"message\":\"Not found\",\"hint\":\"");
    check(&w, "GET", "/a/", 404, "application/json");
    check(&w, "GET", "/treehouse", 404, "X-Content-Type-Options: nosniff");
    check(&w, "PUT", "/a", 405, "\r\nAllow: GET, HEAD, POST, DELETE, OPTIONS\r\n");
    check(&w, "get", "/a", 405, "\"code\":4405");
    check(&w, "GET", "/%zz", 400, "\"code\":4400");
    check(&w, "GET", "/%00", 400, "\"code\":4400");
    check(&w, "CONNECT", "x:80", 405, "Connection: close");
    web_end(&w);
}

TEST(options_tells_what_a_path_takes)
{
    struct web w;
    begin(&w);
    check(&w, "OPTIONS", "/a", 204, "\r\nAllow: GET, HEAD, POST, DELETE, OPTIONS\r\n");
    check(&w, "OPTIONS", "*", 204, "\r\nAllow: ");
    check(&w, "OPTIONS", "/nowhere", 204, "\r\nAllow: ");
    check(&w, "GET", "*", 400, "\"code\":4400");
    web_end(&w);
}
