/* SPDX-License-Identifier: Apache-2.0 */
/* Origins: who may read answers, with or without credentials. */
#include "web.h"
#include "http/cors.c"

static void ok(struct http_request *req)
{
    struct str text = http_origin_allowed(req) ? STR("allowed") : STR("foreign");
    http_reply(req, 200, "text/plain", text);
}
static void own(struct http_request *req)
{
    if (http_query(req, "fail").p) {
        http_reply_error(req, E_ACCESS_DENIED, "because");
        return;
    }
    http_add_header(req, "Access-Control-Allow-Origin", STR("https://mine"));
    http_reply(req, 200, "text/plain", STR("own"));
}

static void begin(struct web *w, bool star)
{
    struct str origins[] = {STR("https://app.test"), STR("https://*.pages.test"),
                            star ? STR("*") : STR("null.test")};
    struct http_config config = {.origins = origins, .origins_count = 3};
    web_begin(w, 1, &config);
    http_route(w->server, "/ok", 1 << HTTP_GET | 1 << HTTP_POST, 0, 0, ok, NULL);
    http_route(w->server, "/open", 1 << HTTP_GET, HTTP_ROUTE_OPEN_CORS, 0, ok, NULL);
    http_route(w->server, "/own", 1 << HTTP_GET, HTTP_ROUTE_OWN_CORS, 0, own, NULL);
    web_run(w);
}

/* Head lines the answer must (or with '!' in front must not) hold. */
static void ask(struct web *w, const char *request, const char *const *lines)
{
    struct buf b = {0};
    buf_printf(&b, "%s\r\nConnection: close\r\n\r\n", request);
    buf_add_c(&b, 0);
    char *a = web_talk(w, b.p);
    for (; *lines; lines++) {
        bool no = **lines == '!';
        bool there = strstr(a, *lines + no) != NULL;
        if (there == no)
            printf("# %s\n# %s\n%s\n", request, *lines, a);
        assert_true(there != no);
    }
    free(a);
    buf_free(&b);
}
#define ASK(w, request, ...) ask(w, request, (const char *const[]){__VA_ARGS__, NULL})
#define ORIGIN "Access-Control-Allow-Origin: "
#define CREDENTIALS "Access-Control-Allow-Credentials: true"

TEST(a_listed_origin_is_echoed_and_only_exact_ones_get_credentials)
{
    struct web w;
    begin(&w, false);
    ASK(&w, "GET /ok HTTP/1.1\r\nHost: x\r\nOrigin: https://app.test",
        ORIGIN "https://app.test\r\n", CREDENTIALS, "Vary: Origin", "allowed");
    ASK(&w, "GET /ok HTTP/1.1\r\nHost: x\r\nOrigin: https://a.pages.test",
        ORIGIN "https://a.pages.test\r\n", "!" CREDENTIALS, "Vary: Origin", "allowed");
    static const char *const foreign[] = {"https://evil.test",      "null",
                                          "http://app.test",        "https://app.test.evil.test",
                                          "https://app.test:444",   "https://pages.test",
                                          "https://x.pages.test.e", "file://",
                                          "http://x.evil",          "xhttp://x"};
    for (size_t i = 0; i < sizeof(foreign) / sizeof(foreign[0]); i++) {
        struct buf b = {0};
        buf_printf(&b, "GET /ok HTTP/1.1\r\nHost: x\r\nOrigin: %s", foreign[i]);
        buf_add_c(&b, 0);
        ASK(&w, b.p, "!Access-Control", "Vary: Origin", "foreign");
        buf_free(&b);
    }
    ASK(&w, "GET /ok HTTP/1.1\r\nHost: x", "!Access-Control", "Vary: Origin", "allowed");
    web_end(&w);
}

TEST(a_star_opens_without_credentials)
{
    struct web w;
    begin(&w, true);
    ASK(&w, "GET /ok HTTP/1.1\r\nHost: x\r\nOrigin: https://evil.test", ORIGIN "*\r\n",
        "!" CREDENTIALS, "allowed");
    ASK(&w, "GET /ok HTTP/1.1\r\nHost: x\r\nOrigin: https://app.test",
        ORIGIN "https://app.test\r\n", CREDENTIALS);
    web_end(&w);
}

TEST(the_servers_own_page_may_always)
{
    struct web w;
    begin(&w, false);
    ASK(&w, "GET /ok HTTP/1.1\r\nHost: x:8787\r\nOrigin: http://x:8787", "allowed", CREDENTIALS);
    ASK(&w, "GET /ok HTTP/1.1\r\nHost: X\r\nOrigin: http://x:80", "allowed");
    ASK(&w, "GET /ok HTTP/1.1\r\nHost: x:443\r\nOrigin: https://x", "allowed");
    ASK(&w, "GET /ok HTTP/1.1\r\nHost: x:8787\r\nOrigin: http://x", "foreign");
    ASK(&w, "GET /ok HTTP/1.0\r\nOrigin: http://", "foreign");
    web_end(&w);
}

TEST(preflights_are_answered_for_the_path)
{
    struct web w;
    begin(&w, false);
#define PRE(path, origin, more)                                                                    \
    "OPTIONS " path " HTTP/1.1\r\nHost: x\r\nOrigin: " origin                                      \
    "\r\nAccess-Control-Request-Method: POST" more
    ASK(&w,
        PRE("/ok", "https://app.test", "\r\nAccess-Control-Request-Headers: a-b, authorization"),
        "HTTP/1.1 204", ORIGIN "https://app.test\r\n", CREDENTIALS,
        "Access-Control-Allow-Methods: GET, HEAD, POST, OPTIONS\r\n",
        "Access-Control-Allow-Headers: a-b, authorization\r\n", "Access-Control-Max-Age: 600",
        "!Content-Length");
    ASK(&w, PRE("/ok", "https://app.test", "\r\nAccess-Control-Request-Headers: a b, <x>"),
        "HTTP/1.1 204", "!Access-Control-Allow-Headers");
    ASK(&w, PRE("/ok", "https://evil.test", ""), "HTTP/1.1 403", "!Access-Control-Allow",
        "\"code\":4430");
    ASK(&w, PRE("/open", "https://evil.test", ""), "HTTP/1.1 204", ORIGIN "*\r\n", "!" CREDENTIALS);
    ASK(&w, PRE("/nowhere", "https://app.test", ""), "HTTP/1.1 204", ORIGIN "https://app.test");
    web_end(&w);
}

TEST(errors_and_unknown_paths_can_be_read_by_the_page)
{
    struct web w;
    begin(&w, false);
    ASK(&w, "GET /nowhere HTTP/1.1\r\nHost: x\r\nOrigin: https://app.test", "HTTP/1.1 404",
        ORIGIN "https://app.test\r\n");
    ASK(&w, "PUT /ok HTTP/1.1\r\nHost: x\r\nOrigin: https://app.test", "HTTP/1.1 405",
        ORIGIN "https://app.test\r\n");
    ASK(&w, "GET /own?fail HTTP/1.1\r\nHost: x\r\nOrigin: https://app.test", "HTTP/1.1 403",
        ORIGIN "https://app.test\r\n", "\"message\":\"because\"");
    ASK(&w, "GET /own HTTP/1.1\r\nHost: x\r\nOrigin: https://app.test", ORIGIN "https://mine\r\n",
        "!" ORIGIN "https://app.test");
    web_end(&w);
}
