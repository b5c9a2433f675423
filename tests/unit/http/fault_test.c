/* SPDX-License-Identifier: Apache-2.0 */
/* Each allocation in turn fails while requests of all kinds are being answered: no crash, no
 * leak, no wrong answer, and the server goes on. */
#include "web.h"
#include "http/exchange.c"

enum { WANT = 7 };

static void echo(struct http_request *req)
{
    http_add_header(req, "X-Long", req->body);
    http_reply(req, 200, "text/plain", req->body);
}
static void stream(struct http_request *req)
{
    http_stream_begin(req, 200, "text/plain");
    sock_send(http_sock(req), "5\r\nhello\r\n", 10);
    http_stream_end(req);
}
static void query(struct http_request *req)
{
    http_reply(req, 200, "text/plain", http_query(req, "a"));
}

static char *scenario(void)
{
    struct buf b = {0};
    buf_add_z(&b, "POST /echo HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip\r\n"
                  "Transfer-Encoding: chunked\r\n\r\n");
    for (int i = 0; i < 40; i++)
        buf_printf(&b, "c8\r\n%0200d\r\n", i);
    buf_add_z(&b, "0\r\n\r\nGET /stream HTTP/1.1\r\nHost: x\r\n\r\n"
                  "GET /query?a=%41%42 HTTP/1.1\r\nHost: x\r\n\r\n"
                  "GET /no%20where HTTP/1.1\r\nHost: x\r\n\r\n"
                  "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 20000\r\n\r\n");
    for (int i = 0; i < 2000; i++)
        buf_add_z(&b, "0123456789");
    buf_add_z(&b, "HEAD /query?a=1 HTTP/1.1\r\nHost: x\r\n\r\n"
                  "GET /query?a=last HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    buf_add_c(&b, 0);
    assert_false(b.failed);
    return b.p;
}

/* Pieces, so that heads and bodies are kept between reads; stops when the server hangs up. */
static size_t talk(struct web *w, const char *request)
{
    int fd = client_connect(w->rig.port);
    size_t n = strlen(request), status = 0;
    for (size_t at = 0; at < n; at += 3000) {
        size_t piece = n - at < 3000 ? n - at : 3000;
        if (send(fd, request + at, piece, MSG_NOSIGNAL) != (ssize_t)piece)
            break;
    }
    static char in[200000];
    ssize_t got = client_read(fd, in, sizeof(in) - 1);
    in[got > 0 ? got : 0] = 0;
    for (ssize_t i = 0; i < got; i++) /* compressed bodies hold anything */
        in[i] = in[i] ? in[i] : '.';
    status = web_count(in, "HTTP/1.1 ");
    size_t good = web_count(in, "HTTP/1.1 200 OK") + web_count(in, "HTTP/1.1 404 ");
    size_t failed = web_count(in, "HTTP/1.1 503 ");
    if (status != good + failed)
        printf("# %s\n", in);
    assert_int_equal(status, good + failed);
    close(fd);
    return good;
}

TEST(each_allocation_may_fail)
{
    struct web w;
    struct http_config config = {0};
    char *request = scenario();
    web_begin(&w, 1, &config);
    http_route(w.server, "/echo", 1 << HTTP_POST, 0, 0, echo, NULL);
    http_route(w.server, "/stream", 1 << HTTP_GET, 0, 0, stream, NULL);
    http_route(w.server, "/query", 1 << HTTP_GET, 0, 0, query, NULL);
    web_run(&w);
    assert_int_equal(talk(&w, request), WANT);
    for (int forever = 0; forever < 2; forever++) {
        long n = 1, tries;
        do {
            mem_fail_at(n, forever);
            talk(&w, request);
            tries = mem_tries();
            mem_fail_at(0, 0);
            assert_int_equal(talk(&w, request), WANT);
        } while (n++ < tries);
        assert_true(n > 10);
    }
    web_end(&w);
    mem_free(request);
}
