/* SPDX-License-Identifier: Apache-2.0 */
/* The connection: keep-alive, pipelining, bodies, expectation, deadlines, streams, take-over,
 * moving. */
#include "web.h"
#include "http/conn.c"
#include <netinet/tcp.h>

#define HOST "Host: x\r\n"
#define LAST "Connection: close\r\n"

static void hello(struct http_request *req)
{
    http_reply(req, 200, "text/plain", STR("hello"));
}

static void echo(struct http_request *req)
{
    http_reply(req, 200, "application/octet-stream", req->body);
}

/* Answers in a later turn. */
struct later {
    struct timer timer;
    struct http_request *req;
};
static atomic_int aborted;
static void later_abort(struct http_request *req)
{
    struct later *t = req->state;
    timer_stop(&t->timer);
    mem_free(t);
    atomic_fetch_add(&aborted, 1);
}
static void later_fire(struct loop *l, struct timer *timer)
{
    struct later *t = LIST_OF(timer, struct later, timer);
    struct http_request *req = t->req;
    (void)l;
    mem_free(t);
    http_reply(req, 200, "text/plain", arena_dup(req->arena, req->query));
}
static void later(struct http_request *req)
{
    struct later *t = mem_new(sizeof(*t));
    struct str ms = http_query(req, "ms");
    t->req = req;
    req->state = t;
    req->on_abort = later_abort;
    timer_set(req->loop, &t->timer, ms.p ? (uint64_t)atoi(ms.p) : 5, later_fire);
}

static void stream(struct http_request *req)
{
    http_stream_begin(req, 200, "text/plain");
    if (http_stream_chunked(req))
        sock_send(http_sock(req), "3\r\nabc\r\n", 8);
    else
        sock_send(http_sock(req), "abc", 3);
    http_stream_end(req);
}

static void hold_abort(struct http_request *req)
{
    (void)req;
    atomic_fetch_add(&aborted, 1);
}
static void hold(struct http_request *req)
{
    req->on_abort = hold_abort;
    http_stream_begin(req, 200, "text/event-stream");
}

static size_t raw_input(struct sock *s, uint8_t *bytes, size_t n)
{
    sock_send(s, bytes, n);
    return n;
}
static const struct sock_ops raw_ops = {.on_input = raw_input};
static void upgrade(struct http_request *req)
{
    http_take_over(req, STR("HTTP/1.1 101 Switching Protocols\r\n\r\n"), &raw_ops, NULL);
}
struct deferred {
    struct timer timer;
    struct http_request *req;
};
static void upgrade_fire(struct loop *l, struct timer *timer)
{
    struct deferred *d = LIST_OF(timer, struct deferred, timer);
    (void)l;
    upgrade(d->req);
    mem_free(d);
}
static void upgrade_later(struct http_request *req)
{
    struct deferred *d = mem_new(sizeof(*d));
    d->req = req;
    timer_set(req->loop, &d->timer, 5, upgrade_fire);
}

/* Says on which loop it runs; ?loop=N moves there first. */
static void where(struct http_request *req)
{
    char text[32];
    struct str want = http_query(req, "loop");
    if (want.p && (unsigned)atoi(want.p) != loop_index(req->loop)) {
        http_move(req, loops_at(loop_siblings(req->loop), (unsigned)atoi(want.p)));
        return;
    }
    int n = snprintf(text, sizeof(text), "loop %u %.*s", loop_index(req->loop), STR_ARG(req->body));
    http_reply(req, 200, "text/plain", str_of(text, (size_t)n));
}

static void begin(struct web *w, unsigned loops, struct http_config config)
{
    atomic_store(&aborted, 0);
    web_begin(w, loops, &config);
    http_route(w->server, "/hello", 1 << HTTP_GET, 0, 0, hello, NULL);
    http_route(w->server, "/echo", 1 << HTTP_POST | 1 << HTTP_PUT, 0, 0, echo, NULL);
    http_route(w->server, "/small", 1 << HTTP_POST, 0, 10, echo, NULL);
    http_route(w->server, "/later", 1 << HTTP_GET, 0, 0, later, NULL);
    http_route(w->server, "/stream", 1 << HTTP_GET, 0, 0, stream, NULL);
    http_route(w->server, "/hold", 1 << HTTP_GET, 0, 0, hold, NULL);
    http_route(w->server, "/up", 1 << HTTP_GET, 0, 0, upgrade, NULL);
    http_route(w->server, "/uplater", 1 << HTTP_GET, 0, 0, upgrade_later, NULL);
    http_route(w->server, "/where", 1 << HTTP_GET | 1 << HTTP_POST, 0, 0, where, NULL);
    web_run(w);
}

static void wait_for(atomic_int *v, int want)
{
    for (int i = 0; i < 20000 && atomic_load(v) < want; i++)
        usleep(1000);
    assert_true(atomic_load(v) >= want);
}

TEST(a_request_is_answered_and_the_connection_kept)
{
    struct web w;
    begin(&w, 1, (struct http_config){0});
    int fd = client_connect(w.rig.port);
    for (int i = 0; i < 3; i++) {
        const char *get = "GET /hello HTTP/1.1\r\n" HOST "\r\n";
        client_send(fd, get, strlen(get));
        char *a = web_read_one(fd, false);
        assert_int_equal(web_status(a), 200);
        web_expect(a, "\r\nContent-Length: 5\r\n");
        web_expect(a, "\r\nServer: tidewire\r\n");
        web_expect(a, " GMT\r\n");
        web_expect(a, "\r\n\r\nhello");
        assert_null(strstr(a, "Connection:"));
        free(a);
    }
    close(fd);
    web_end(&w);
}

TEST(pipelined_requests_are_answered_in_order)
{
    struct web w;
    begin(&w, 1, (struct http_config){0});
    struct buf b = {0};
    for (int i = 0; i < 50; i++) {
        buf_printf(&b, "GET /later?ms=%d&n=%d. HTTP/1.1\r\n" HOST "\r\n", i % 3, i);
        buf_printf(&b, "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 4\r\n\r\nE%02d;", i);
    }
    buf_add_z(&b, "GET /hello HTTP/1.1\r\n" HOST LAST "\r\n");
    buf_add_c(&b, 0);
    char *all = web_talk(&w, b.p);
    assert_int_equal(web_count(all, "HTTP/1.1 200 OK"), 101);
    const char *at = all;
    for (int i = 0; i < 50; i++) {
        char piece[40];
        snprintf(piece, sizeof(piece), "&n=%d.", i);
        at = strstr(at, piece);
        assert_non_null(at);
        snprintf(piece, sizeof(piece), "E%02d;", i);
        at = strstr(at, piece);
        assert_non_null(at);
    }
    free(all);
    buf_free(&b);
    web_end(&w);
}

TEST(a_head_that_drips_in_byte_by_byte_is_understood)
{
    struct web w;
    begin(&w, 1, (struct http_config){0});
    const char *r = "POST /echo HTTP/1.1\r\n" HOST LAST
                    "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n";
    int fd = client_connect(w.rig.port);
    for (size_t i = 0; i < strlen(r); i++) {
        client_send(fd, r + i, 1);
        usleep(200);
    }
    char *a = web_read_all(fd);
    assert_int_equal(web_status(a), 200);
    web_expect(a, "\r\n\r\nabcde");
    web_expect(a, "Connection: close");
    free(a);
    close(fd);
    web_end(&w);
}

TEST(continue_is_sent_only_when_the_body_will_be_read)
{
    struct web w;
    begin(&w, 1, (struct http_config){0});
    int fd = client_connect(w.rig.port);
    const char *head = "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 3\r\n"
                       "Expect: 100-continue\r\n\r\n";
    client_send(fd, head, strlen(head));
    char *a = web_read_one(fd, true);
    assert_int_equal(web_status(a), 100);
    free(a);
    client_send(fd, "xyz", 3);
    a = web_read_one(fd, false);
    assert_int_equal(web_status(a), 200);
    web_expect(a, "\r\n\r\nxyz");
    free(a);
    close(fd);
    a = web_talk(&w, "POST /nowhere HTTP/1.1\r\n" HOST "Content-Length: 3\r\n"
                     "Expect: 100-continue\r\n\r\n");
    assert_int_equal(web_status(a), 404);
    assert_int_equal(web_count(a, "HTTP/1.1"), 1);
    free(a);
    a = web_talk(&w, "POST /small HTTP/1.1\r\n" HOST "Content-Length: 11\r\n"
                     "Expect: 100-continue\r\n\r\n");
    assert_int_equal(web_status(a), 413);
    free(a);
    a = web_talk(&w, "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 3\r\n"
                     "Expect: a-miracle\r\n\r\nabc");
    assert_int_equal(web_status(a), 417);
    free(a);
    web_end(&w);
}

TEST(bodies_have_limits_however_they_come)
{
    struct web w;
    begin(&w, 1, (struct http_config){.body_bytes_max = 1000});
    char *a = web_talk(&w, "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 1001\r\n\r\n");
    assert_int_equal(web_status(a), 413);
    web_expect(a, "\"code\":4413");
    web_expect(a, "Connection: close");
    free(a);
    struct buf b = {0};
    buf_add_z(&b, "POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n");
    for (int i = 0; i < 101; i++)
        buf_add_z(&b, "a\r\n0123456789\r\n");
    buf_add_z(&b, "0\r\n\r\n");
    buf_add_c(&b, 0);
    a = web_talk(&w, b.p);
    assert_int_equal(web_status(a), 413);
    assert_int_equal(web_count(a, "HTTP/1.1"), 1);
    free(a);
    buf_free(&b);
    a = web_talk(&w, "POST /small HTTP/1.1\r\n" HOST LAST "Content-Length: 10\r\n\r\n0123456789");
    assert_int_equal(web_status(a), 200);
    free(a);
    web_end(&w);
}

TEST(a_refused_small_body_is_read_over_and_the_connection_goes_on)
{
    struct web w;
    begin(&w, 1, (struct http_config){0});
    char *a = web_talk(&w, "POST /nowhere HTTP/1.1\r\n" HOST "Content-Length: 33\r\n\r\n"
                           "GET /__smuggled__ HTTP/1.1\r\n\r\n..."
                           "PUT /hello HTTP/1.1\r\n" HOST
                           "Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n"
                           "GET /hello HTTP/1.1\r\n" HOST LAST "\r\n");
    assert_int_equal(web_count(a, "HTTP/1.1 404"), 1);
    assert_int_equal(web_count(a, "HTTP/1.1 405"), 1);
    assert_int_equal(web_count(a, "HTTP/1.1 200"), 1);
    web_expect(a, "Allow: GET, HEAD, OPTIONS");
    free(a);
    web_end(&w);
}

TEST(doubtful_framing_is_answered_once_and_closed)
{
    static const char *const bad[] = {
        "GET /hello HTTP/1.1\r\n" HOST "Content-Length: 0\r\nContent-Length: 0\r\n\r\n",
        "POST /echo HTTP/1.1\r\n" HOST
        "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: xchunked\r\n\r\n",
        "POST /echo HTTP/1.1\r\n" HOST "Content-Length : 3\r\n\r\nabc",
        "GET /hello HTTP/1.1\r\n\r\n",
        "GET /hello HTTP/1.1\nHost: x\n\n",
        "POST /echo HTTP/1.1\r\n" HOST
        "Transfer-Encoding: chunked\r\n\r\n5 x\r\nabcde\r\n0\r\n\r\n",
        "POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n2\r\nabc\r\n0\r\n\r\n",
        "\x16\x03\x01\x02\x00\x01 not http at all\r\n\r\n",
    };
    struct web w;
    begin(&w, 1, (struct http_config){0});
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct buf b = {0};
        buf_add_z(&b, bad[i]);
        buf_add_z(&b, "GET /__smuggled__ HTTP/1.1\r\n" HOST "\r\n");
        buf_add_c(&b, 0);
        char *a = web_talk(&w, b.p);
        if (web_count(a, "HTTP/1.1 ") != 1 || web_status(a) != 400)
            printf("# case %zu: %s\n", i, a);
        assert_int_equal(web_count(a, "HTTP/1.1 "), 1);
        assert_int_equal(web_status(a), 400);
        web_expect(a, "Connection: close");
        web_expect(a, "\"code\":4400");
        free(a);
        buf_free(&b);
    }
    web_end(&w);
}

TEST(slow_clients_meet_absolute_deadlines)
{
    struct web w;
    begin(&w, 1, (struct http_config){.head_ms_max = 100, .body_ms_max = 100, .keepalive_ms = 100});
    int fd = client_connect(w.rig.port); /* says nothing */
    char *a = web_read_all(fd);
    assert_string_equal(a, "");
    free(a);
    close(fd);
    a = web_talk(&w, "GET /hello HTTP/1.1\r\nHo");
    assert_int_equal(web_status(a), 408);
    free(a);
    a = web_talk(&w, "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\nab");
    assert_int_equal(web_status(a), 408);
    free(a);
    a = web_talk(&w, "GET /hello HTTP/1.1\r\n" HOST "\r\n"); /* then idle */
    assert_int_equal(web_status(a), 200);
    assert_int_equal(web_count(a, "HTTP/1.1"), 1);
    free(a);
    fd = client_connect(w.rig.port); /* each byte comes in time, the whole does not */
    const char *r = "GET /hello HTTP/1.1\r\n" HOST "X: 0123456789012345678901234567890123456789";
    for (size_t i = 0; i < strlen(r); i++)
        if (send(fd, r + i, 1, MSG_NOSIGNAL) == 1)
            usleep(5000);
    a = web_read_all(fd);
    assert_int_equal(web_status(a), 408);
    free(a);
    close(fd);
    web_end(&w);
}

TEST(streams_are_chunked_or_end_with_the_connection)
{
    struct web w;
    begin(&w, 1, (struct http_config){0});
    char *a = web_talk(&w, "GET /stream HTTP/1.1\r\n" HOST "\r\nGET /hello HTTP/1.1\r\n" HOST LAST
                           "\r\n");
    web_expect(a, "Transfer-Encoding: chunked\r\n");
    web_expect(a, "\r\n\r\n3\r\nabc\r\n0\r\n\r\nHTTP/1.1 200 OK");
    web_expect(a, "hello");
    free(a);
    a = web_talk(&w, "GET /stream HTTP/1.0\r\n\r\n");
    assert_null(strstr(a, "chunked"));
    web_expect(a, "\r\n\r\nabc");
    free(a);
    web_end(&w);
}

TEST(http_1_0_closes_unless_asked_to_stay)
{
    struct web w;
    begin(&w, 1, (struct http_config){0});
    char *a = web_talk(&w, "GET /hello HTTP/1.0\r\n\r\n");
    assert_int_equal(web_status(a), 200);
    web_expect(a, "Connection: close");
    free(a);
    a = web_talk(&w, "GET /hello HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"
                     "GET /hello HTTP/1.0\r\n\r\n");
    assert_int_equal(web_count(a, "HTTP/1.1 200"), 2);
    web_expect(a, "Connection: keep-alive");
    free(a);
    web_end(&w);
}

TEST(head_gets_the_head_only)
{
    struct web w;
    begin(&w, 1, (struct http_config){0});
    char *a = web_talk(&w, "HEAD /hello HTTP/1.1\r\n" HOST LAST "\r\n");
    assert_int_equal(web_status(a), 200);
    web_expect(a, "Content-Length: 5\r\n");
    assert_null(strstr(a, "hello"));
    free(a);
    web_end(&w);
}

TEST(a_vanished_peer_aborts_its_request)
{
    struct web w;
    begin(&w, 1, (struct http_config){0});
    const char *park = "GET /later?ms=60000 HTTP/1.1\r\n" HOST "\r\n";
    const char *watch = "GET /hold HTTP/1.1\r\n" HOST "\r\n";
    int fd = client_connect(w.rig.port);
    client_send(fd, park, strlen(park));
    usleep(20000);
    client_reset(fd);
    wait_for(&aborted, 1);
    fd = client_connect(w.rig.port);
    client_send(fd, park, strlen(park));
    usleep(20000);
    close(fd);
    wait_for(&aborted, 2);
    fd = client_connect(w.rig.port);
    client_send(fd, watch, strlen(watch));
    free(web_read_one(fd, true));
    close(fd);
    wait_for(&aborted, 3);
    web_end(&w);
}

TEST(a_half_closing_client_gets_its_answers)
{
    struct web w;
    begin(&w, 1, (struct http_config){0});
    int fd = client_connect(w.rig.port);
    const char *r = "GET /later?ms=20 HTTP/1.1\r\n" HOST "\r\nGET /later?ms=20 HTTP/1.1\r\n" HOST
                    "\r\nGET /hello HTTP/1.1\r\n" HOST "\r\n";
    client_send(fd, r, strlen(r));
    shutdown(fd, SHUT_WR);
    char *a = web_read_all(fd);
    assert_int_equal(web_count(a, "HTTP/1.1 200"), 3);
    web_expect(a, "hello");
    free(a);
    close(fd);
    web_end(&w);
}

static void check_upgrade(struct web *w, const char *request)
{
    int fd = client_connect(w->rig.port);
    char in[200] = "";
    client_send(fd, request, strlen(request));
    client_send(fd, "and more", 8);
    const char *want = "HTTP/1.1 101 Switching Protocols\r\n\r\nearlyand more";
    assert_int_equal(client_read(fd, in, strlen(want)), strlen(want));
    assert_string_equal(in, want);
    close(fd);
}

TEST(an_upgraded_connection_gets_the_bytes_behind_the_head)
{
    struct web w;
    begin(&w, 1, (struct http_config){0});
    check_upgrade(&w, "GET /up HTTP/1.1\r\n" HOST "\r\nearly");
    check_upgrade(&w, "GET /uplater HTTP/1.1\r\n" HOST "\r\nearly");
    web_end(&w);
}

TEST(a_request_moves_to_another_loop_with_what_follows_it)
{
    struct web w;
    begin(&w, 3, (struct http_config){0});
    for (int i = 0; i < 30; i++) {
        struct buf b = {0};
        for (int k = 0; k < 6; k++)
            buf_printf(&b, "POST /where?loop=%d HTTP/1.1\r\n" HOST "Content-Length: 3\r\n\r\nb%02d",
                       k % 3, k);
        buf_add_z(&b, "GET /hello HTTP/1.1\r\n" HOST LAST "\r\n");
        buf_add_c(&b, 0);
        char *a = web_talk(&w, b.p);
        assert_int_equal(web_count(a, "HTTP/1.1 200"), 7);
        const char *at = a;
        for (int k = 0; k < 6; k++) {
            char piece[40];
            snprintf(piece, sizeof(piece), "loop %d b%02d", k % 3, k);
            at = strstr(at, piece);
            assert_non_null(at);
        }
        free(a);
        buf_free(&b);
    }
    web_end(&w);
}

static void drain(struct loop *l, void *arg)
{
    http_server_drain(arg, l);
}

TEST(a_draining_server_closes_idle_connections_and_ends_the_others)
{
    struct web w;
    begin(&w, 1, (struct http_config){0});
    int idle = client_connect(w.rig.port), busy = client_connect(w.rig.port);
    const char *get = "GET /hello HTTP/1.1\r\n" HOST "\r\n";
    client_send(idle, get, strlen(get));
    free(web_read_one(idle, false));
    const char *park = "GET /later?ms=100 HTTP/1.1\r\n" HOST "\r\n";
    client_send(busy, park, strlen(park));
    usleep(20000);
    rig_on_loop(&w.rig, 0, drain, w.server);
    char *a = web_read_all(idle);
    assert_string_equal(a, "");
    free(a);
    a = web_read_all(busy);
    assert_int_equal(web_status(a), 200);
    web_expect(a, "Connection: close");
    free(a);
    close(idle);
    close(busy);
    web_end(&w);
}

TEST(a_client_that_does_not_read_its_answers_is_not_read_either)
{
    struct web w;
    begin(&w, 1, (struct http_config){0});
    int fd = client_connect(w.rig.port);
    struct buf b = {0};
    char *body = mem_new(60001);
    memset(body, 'z', 60000);
    buf_printf(&b, "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 60000\r\n\r\n%s", body);
    struct timeval brief = {.tv_usec = 300000};
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &brief, sizeof(brief));
    size_t sent = 0;
    ssize_t n;
    while (sent < 400u * b.n &&
           (n = send(fd, b.p + sent % b.n, b.n - sent % b.n, MSG_NOSIGNAL)) > 0)
        sent += (size_t)n;
    assert_true(sent < 400u * b.n); /* 24 MB did not fit between us */
    size_t whole = sent / b.n, got = 0;
    char *in = mem_new(65536);
    shutdown(fd, SHUT_WR);
    while ((n = recv(fd, in, 65536, 0)) > 0)
        got += (size_t)n;
    assert_true(got >= whole * 60000);
    mem_free(in);
    mem_free(body);
    buf_free(&b);
    close(fd);
    web_end(&w);
}

static char *flood(struct web *w, const char *start, const char *piece, size_t bytes)
{
    int fd = client_connect(w->rig.port);
    struct buf b = {0};
    buf_add_z(&b, start);
    while (b.n < bytes)
        buf_add_z(&b, piece);
    size_t sent = 0;
    ssize_t n;
    while (sent < b.n && (n = send(fd, b.p + sent, b.n - sent, MSG_NOSIGNAL)) > 0)
        sent += (size_t)n;
    buf_free(&b);
    shutdown(fd, SHUT_WR);
    char *a = web_read_all(fd);
    close(fd);
    return a;
}

TEST(a_flood_gets_one_answer_that_can_be_read)
{
    struct web w;
    begin(&w, 1, (struct http_config){0});
    static const struct {
        const char *start, *piece;
        int status;
    } floods[] = {
        {"GET /", "a", 414},
        {"GET /hello HTTP/1.1\r\n" HOST, "X: y\r\n", 431},
        {"GET /hello HTTP/1.1\r\n" HOST "X: ", "y", 431},
        {"POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n0\r\n", "T: u\r\n", 431},
        {"POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n1;", "x", 431},
        {"POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n", "1;x\r\na\r\n", 431},
    };
    for (size_t i = 0; i < sizeof(floods) / sizeof(floods[0]); i++) {
        char *a = flood(&w, floods[i].start, floods[i].piece, 1 << 20);
        if (web_status(a) != floods[i].status)
            printf("# flood %zu: %s\n", i, a);
        assert_int_equal(web_status(a), floods[i].status);
        assert_int_equal(web_count(a, "HTTP/1.1 "), 1);
        free(a);
    }
    web_end(&w);
}

TEST(a_connection_that_waits_for_a_request_is_small)
{
    assert_true(sizeof(struct http_conn) <= 144);
}
