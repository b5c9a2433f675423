/* SPDX-License-Identifier: Apache-2.0 */
/* A server on real loops with a handful of routes, and a client that speaks raw bytes. */
#ifndef UNIT_HTTP_WEB_H
#define UNIT_HTTP_WEB_H

#include "../loop/rig.h"
#include "base/buf.h"
#include "base/err.h"
#include "http/http.h"
#include "loop/timer.h"

struct web {
    struct rig rig;
    struct http_server *server;
};

static void web_accept(struct sock *s, void *arg)
{
    http_accept(arg, s);
}

static __attribute__((unused)) void web_begin(struct web *w, unsigned loops,
                                              const struct http_config *config)
{
    memset(w, 0, sizeof(*w));
    rig_begin(&w->rig, loops);
    w->server = http_server_new(config);
}

static __attribute__((unused)) void web_run(struct web *w)
{
    struct sock_listen_config listen = {.on_accept = web_accept, .arg = w->server};
    rig_listen(&w->rig, listen);
    rig_run(&w->rig);
}

static __attribute__((unused)) void web_end(struct web *w)
{
    if (w->rig.running)
        rig_join(&w->rig);
    http_server_free(&w->server);
    rig_end(&w->rig);
}

/* Everything until the peer closes (or the socket's own deadline). NUL-terminated. */
static __attribute__((unused)) char *web_read_all(int fd)
{
    struct buf b = {0};
    for (;;) {
        if (!buf_reserve(&b, 65536))
            abort();
        ssize_t n = recv(fd, b.p + b.n, 65535, 0);
        if (n <= 0)
            break;
        b.n += (size_t)n;
    }
    buf_add_c(&b, 0);
    return b.p;
}

/* One answer with Content-Length: head and body. NUL-terminated. */
static __attribute__((unused)) char *web_read_one(int fd, bool head_only)
{
    struct buf b = {0};
    size_t want = SIZE_MAX, head = 0;
    while (b.n < want) {
        char c;
        if (recv(fd, &c, 1, 0) != 1)
            break;
        buf_add_c(&b, c);
        if (!head && b.n >= 4 && memcmp(b.p + b.n - 4, "\r\n\r\n", 4) == 0) {
            head = b.n;
            buf_add_c(&b, 0);
            char *length = strcasestr(b.p, "content-length: ");
            b.n--;
            want = head + (head_only || !length ? 0 : (size_t)atol(length + 16));
        }
    }
    buf_add_c(&b, 0);
    return b.p;
}

/* Sends, half-closes nothing, reads until the server closes. */
static __attribute__((unused)) char *web_talk(struct web *w, const char *request)
{
    int fd = client_connect(w->rig.port);
    client_send(fd, request, strlen(request));
    char *all = web_read_all(fd);
    close(fd);
    return all;
}

static __attribute__((unused)) int web_status(const char *answer)
{
    return strncmp(answer, "HTTP/1.1 ", 9) == 0 ? atoi(answer + 9) : -1;
}

static __attribute__((unused)) size_t web_count(const char *text, const char *piece)
{
    size_t n = 0;
    for (const char *p = text; (p = strstr(p, piece)); p += strlen(piece))
        n++;
    return n;
}

static __attribute__((unused)) void web_expect(const char *answer, const char *piece)
{
    if (!strstr(answer, piece))
        printf("# expected %s in:\n%s\n", piece, answer);
    assert_non_null(strstr(answer, piece));
}

#endif
