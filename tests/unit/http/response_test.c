/* SPDX-License-Identifier: Apache-2.0 */
/* Answers: headers, compression, errors, files. */
#include "web.h"
#include "http/response.c"
#include <zlib.h>

#define GET(path, more) "GET " path " HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" more "\r\n"

static char text[20000];
static void big(struct http_request *req)
{
    struct str n = http_query(req, "n");
    if (http_query(req, "encoded").p)
        http_add_header(req, "content-encoding", STR("identity"));
    http_reply(req, 200, http_query(req, "png").p ? "image/png" : "text/plain; charset=utf-8",
               str_of(text, n.p ? (size_t)atoi(n.p) : sizeof(text)));
}
static void headers(struct http_request *req)
{
    http_add_header(req, "Set-Cookie", STR("a=b"));
    http_add_header(req, "Set-Cookie", STR("c=d"));
    http_add_header(req, "X-Evil", STR("x\r\nInjected: yes"));
    http_reply(req, 204, "text/plain", STR_NONE);
}
static void err(struct http_request *req)
{
    http_reply_error(req, atoi(http_query(req, "e").p), NULL);
}
static void ask(struct http_request *req)
{
    struct buf b = {0};
    struct str q = http_query(req, "q"), second = http_query_at(req, "q", 1),
               last = http_query_last(req, "q"), cookie = http_cookie(req, "sid"),
               none = http_query(req, "none");
    struct str address = http_client_address(req);
    buf_printf(&b, "[%.*s][%.*s][%.*s][%.*s][%d][%.*s][%.*s]", STR_ARG(q), STR_ARG(second),
               STR_ARG(last), STR_ARG(cookie), none.p != NULL, STR_ARG(address),
               STR_ARG(http_header(req, "x-THING")));
    http_reply(req, 200, "text/plain", buf_str(&b));
    buf_free(&b);
}

static const struct http_file files[] = {{.path = "/index.html",
                                          .content_type = "text/html; charset=utf-8",
                                          .etag = "\"abc\"",
                                          .bytes = (const uint8_t *)"<p>plain</p>",
                                          .n = 12,
                                          .gzip = (const uint8_t *)"GZ",
                                          .gzip_n = 2,
                                          .brotli = (const uint8_t *)"B",
                                          .brotli_n = 1},
                                         {.path = "/app.js",
                                          .content_type = "text/javascript",
                                          .etag = "js1",
                                          .bytes = (const uint8_t *)"1",
                                          .n = 1}};

static void serve(struct web *w, struct http_config config)
{
    for (size_t i = 0; i < sizeof(text); i++)
        text[i] = "tidewire "[i % 9];
    web_begin(w, 1, &config);
    http_route(w->server, "/big", 1 << HTTP_GET, 0, 0, big, NULL);
    http_route(w->server, "/headers", 1 << HTTP_GET, 0, 0, headers, NULL);
    http_route(w->server, "/err", 1 << HTTP_GET, 0, 0, err, NULL);
    http_route(w->server, "/ask", 1 << HTTP_GET, 0, 0, ask, NULL);
    http_serve_files(w->server, files, 2);
    web_run(w);
}

static size_t length_of(const char *a)
{
    const char *p = strstr(a, "Content-Length: ");
    assert_non_null(p);
    return (size_t)atol(p + 16);
}

TEST(large_bodies_are_compressed_when_the_client_takes_it)
{
    struct web w;
    serve(&w, (struct http_config){0});
    char *a = web_talk(&w, GET("/big", "Accept-Encoding: br, gzip\r\n"));
    web_expect(a, "Content-Encoding: gzip\r\n");
    web_expect(a, "Vary: Accept-Encoding\r\n");
    size_t n = length_of(a);
    assert_true(n < sizeof(text) / 5);
    uint8_t out[sizeof(text) + 1];
    z_stream z = {.next_in = (uint8_t *)strstr(a, "\r\n\r\n") + 4,
                  .avail_in = (uInt)n,
                  .next_out = out,
                  .avail_out = sizeof(out)};
    assert_int_equal(inflateInit2(&z, 31), Z_OK);
    assert_int_equal(inflate(&z, Z_FINISH), Z_STREAM_END);
    assert_int_equal(z.total_out, sizeof(text));
    assert_memory_equal(out, text, sizeof(text));
    inflateEnd(&z);
    free(a);
    static const char *const plain[] = {GET("/big", ""),
                                        GET("/big", "Accept-Encoding: gzip;q=0\r\n"),
                                        GET("/big?n=1023", "Accept-Encoding: gzip\r\n"),
                                        GET("/big?png", "Accept-Encoding: gzip\r\n"),
                                        GET("/big?encoded", "Accept-Encoding: gzip\r\n")};
    for (size_t i = 0; i < 5; i++) {
        a = web_talk(&w, plain[i]);
        assert_int_equal(web_status(a), 200);
        assert_null(strstr(a, "gzip"));
        web_expect(a, "tidewire tidewire");
        free(a);
    }
    web_end(&w);
}

TEST(headers_are_added_and_cannot_be_injected)
{
    struct web w;
    serve(&w, (struct http_config){0});
    char *a = web_talk(&w, GET("/headers", ""));
    assert_int_equal(web_status(a), 204);
    web_expect(a, "\r\nSet-Cookie: a=b\r\nSet-Cookie: c=d\r\n");
    assert_null(strstr(a, "\nInjected"));
    assert_null(strstr(a, "Content-Length"));
    assert_null(strstr(a, "X-Powered-By"));
    free(a);
    web_end(&w);
}

TEST(errors_carry_status_and_what_to_do)
{
    struct web w;
    serve(&w, (struct http_config){0});
    char *a = web_talk(&w, GET("/err?e=-4401", ""));
    assert_int_equal(web_status(a), 401);
    web_expect(a, "WWW-Authenticate: Bearer\r\n");
    free(a);
    a = web_talk(&w, GET("/err?e=-4429", ""));
    assert_int_equal(web_status(a), 429);
    web_expect(a, "Retry-After: 1\r\n");
    web_expect(a, "\"name\":\"RATE_LIMITED\"");
    web_expect(a, "\"retryable\":true}");
    free(a);
    a = web_talk(&w, GET("/err?e=-1", ""));
    assert_int_equal(web_status(a), 500);
    free(a);
    web_end(&w);
}

TEST(queries_cookies_and_headers_are_found)
{
    struct web w;
    serve(&w, (struct http_config){0});
    char *a =
        web_talk(&w, GET("/ask?q=one%20&x=1&q=t%2Bwo&q=", "Cookie: x=1; sid=s1\r\n"
                                                          "Cookie: sid=s2\r\nX-Thing: v\r\n"));
    web_expect(a, "\r\n\r\n[one ][t+wo][][s1][0][127.0.0.1][v]");
    free(a);
    a = web_talk(&w, GET("/ask?none", "X-Forwarded-For: 9.9.9.9\r\nCookie: y=2\r\n"
                                      "Cookie: sid=s2\r\n"));
    web_expect(a, "\r\n\r\n[][][][s2][1][127.0.0.1][]"); /* a flag; no trust */
    free(a);
    a = web_talk(&w, GET("/ask?none=%00", ""));
    web_expect(a, "\r\n\r\n[][][][][1][127.0.0.1][]"); /* there, and nothing that is accepted */
    free(a);
    a = web_talk(&w, GET("/ask?none=%zz", ""));
    web_expect(a, "\r\n\r\n[][][][][1][127.0.0.1][]");
    free(a);
    web_end(&w);
}

TEST(forwarded_addresses_are_believed_from_trusted_proxies_only)
{
    struct web w;
    struct str proxies[] = {STR("127.0.0.0/8"), STR("10.0.0.1"), STR("fd00::/8"), STR("nonsense")};
    serve(&w, (struct http_config){.trusted_proxies = proxies, .trusted_proxies_count = 4});
    static const char *const cases[][2] = {
        {GET("/ask", ""), "[127.0.0.1]"},
        {GET("/ask", "X-Forwarded-For: 9.9.9.9\r\n"), "[9.9.9.9]"},
        {GET("/ask", "X-Forwarded-For: 1.1.1.1, 9.9.9.9\r\n"), "[9.9.9.9]"},
        {GET("/ask", "X-Forwarded-For: 1.1.1.1, 9.9.9.9 ,10.0.0.1\r\n"), "[9.9.9.9]"},
        {GET("/ask", "X-Forwarded-For: 1.1.1.1\r\nX-Forwarded-For: 10.0.0.1, fd00::7\r\n"),
         "[1.1.1.1]"},
        {GET("/ask", "X-Forwarded-For: 9.9.9.9, garbage, 10.0.0.1\r\n"), "[10.0.0.1]"},
        {GET("/ask", "X-Forwarded-For: 9.9.9.9:4711\r\n"), "[9.9.9.9]"},
        {GET("/ask", "X-Forwarded-For: [2001:db8::1]:80\r\n"), "[2001:db8::1]"},
        {GET("/ask", "X-Forwarded-For: 10.0.0.1, ::ffff:10.0.0.1\r\n"), "[10.0.0.1]"},
        {GET("/ask", "X-Forwarded-For: ,,\r\n"), "[127.0.0.1]"}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char *a = web_talk(&w, cases[i][0]);
        web_expect(a, cases[i][1]);
        free(a);
    }
    web_end(&w);
}

TEST(files_are_served_with_tags_and_a_strict_policy)
{
    struct web w;
    serve(&w, (struct http_config){0});
    char *a = web_talk(&w, GET("/", ""));
    assert_int_equal(web_status(a), 200);
    web_expect(a, "ETag: \"abc\"\r\n");
    web_expect(a, "Content-Security-Policy: default-src 'self';");
    web_expect(a, "X-Content-Type-Options: nosniff\r\n");
    web_expect(a, "Cache-Control: no-cache\r\n");
    web_expect(a, "\r\n\r\n<p>plain</p>");
    free(a);
    a = web_talk(&w, GET("/index.html", "Accept-Encoding: gzip, br\r\n"));
    web_expect(a, "Content-Encoding: br\r\n");
    web_expect(a, "ETag: \"abc-br\"\r\n");
    web_expect(a, "\r\n\r\nB");
    free(a);
    a = web_talk(&w, GET("/index.html", "Accept-Encoding: gzip\r\n"));
    web_expect(a, "Vary: Accept-Encoding\r\n");
    web_expect(a, "\r\n\r\nGZ");
    free(a);
    static const char *const known[] = {
        GET("/app.js", "If-None-Match: \"js1\"\r\n"), GET("/app.js", "If-None-Match: *\r\n"),
        GET("/app.js", "If-None-Match: \"no\", W/\"js1\"\r\n"),
        GET("/", "Accept-Encoding: gzip\r\nIf-None-Match: \"abc-gzip\"\r\n")};
    for (size_t i = 0; i < 4; i++) {
        a = web_talk(&w, known[i]);
        assert_int_equal(web_status(a), 304);
        web_expect(a, "ETag: \"");
        assert_null(strstr(a, "Content-Length"));
        free(a);
    }
    a = web_talk(&w, GET("/app.js", "If-None-Match: \"js\", js1\r\n"));
    assert_int_equal(web_status(a), 200);
    free(a);
    a = web_talk(&w, "HEAD /app.js HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    web_expect(a, "Content-Length: 1\r\n");
    assert_memory_equal(a + strlen(a) - 4, "\r\n\r\n", 4);
    free(a);
    a = web_talk(&w, "POST /app.js HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
                     "Content-Length: 0\r\n\r\n");
    assert_int_equal(web_status(a), 405);
    web_expect(a, "Allow: GET, HEAD, OPTIONS");
    free(a);
    static const char *const absent[] = {GET("/../etc/passwd", ""), GET("/app.js/", ""),
                                         GET("//app.js", ""), GET("/%2e%2e/app.js", "")};
    for (size_t i = 0; i < 4; i++) {
        a = web_talk(&w, absent[i]);
        assert_int_equal(web_status(a), 404);
        free(a);
    }
    web_end(&w);
}
