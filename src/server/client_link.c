/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes to and from a server, with deadlines, and just enough HTTP to ask and to upgrade. */
#include "base/err.h"
#include "base/num.h"
#include "loop/clock.h"
#include "server/client_priv.h"
#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#define HEAD_BYTES_MAX 65536
#define ANSWER_BYTES_MAX (64 << 20)

uint64_t link_now_ms(void)
{
    return clock_us() / 1000;
}

/* ---- addresses --------------------------------------------------------------------------- */

static bool refuse_url(struct buf *why, const char *text, const char *reason)
{
    buf_printf(why, "\"%s\" %s", text, reason);
    return false;
}

bool client_url_parse(const char *text, struct client_url *out, struct buf *why)
{
    struct str rest = str_from(text);
    ptrdiff_t at = str_find_str(rest, STR("://"));
    struct str scheme = at >= 0 ? str_head(rest, (size_t)at) : STR("http");
    if (at >= 0)
        rest = str_skip(rest, (size_t)at + 3);
    if (str_is(scheme, "https") || str_is(scheme, "wss"))
        return refuse_url(why, text,
                          "needs TLS, which this client does not speak; use the plain "
                          "address behind the proxy");
    if (!str_is(scheme, "http") && !str_is(scheme, "ws"))
        return refuse_url(why, text, "is no http:// or ws:// address");
    struct str path = rest, place = str_cut(&path, '/'), port = STR("80");
    size_t colon = place.n;
    while (colon > 0 && place.p[colon - 1] != ':' && place.p[colon - 1] != ']')
        colon--;
    if (colon > 0 && place.p[colon - 1] == ':') {
        port = str_skip(place, colon);
        place = str_head(place, colon - 1);
    }
    if (place.n > 1 && place.p[0] == '[' && place.p[place.n - 1] == ']')
        place = str_of(place.p + 1, place.n - 2);
    uint64_t number;
    while (path.n && path.p[path.n - 1] == '/')
        path.n--;
    if (place.n == 0 || place.n >= sizeof(out->host) || !num_u64(port, &number) || number > 65535 ||
        path.n + 2 > sizeof(out->path))
        return refuse_url(why, text, "is not host:port");
    snprintf(out->host, sizeof(out->host), "%.*s", STR_ARG(place));
    snprintf(out->port, sizeof(out->port), "%.*s", STR_ARG(port));
    snprintf(out->path, sizeof(out->path), "%s%.*s", path.n ? "/" : "", STR_ARG(path));
    return true;
}

/* ---- bytes ------------------------------------------------------------------------------- */

static int wait_for(int fd, short events, uint64_t deadline_ms)
{
    for (;;) {
        uint64_t now = link_now_ms();
        uint64_t left = deadline_ms > now ? deadline_ms - now : 0;
        struct pollfd p = {fd, events, 0};
        int n = poll(&p, 1, left > 1000000 ? 1000000 : (int)left);
        if (n > 0)
            return 0;
        if (n < 0 && errno != EINTR)
            return E_UNAVAILABLE;
        if (n == 0 && left <= 1000000)
            return E_TIMEOUT;
    }
}

static int try_address(const struct addrinfo *a, uint64_t deadline_ms)
{
    int on = 1, error = 0;
    socklen_t size = sizeof(error);
    int fd = socket(a->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    if (connect(fd, a->ai_addr, a->ai_addrlen) != 0 && errno != EINPROGRESS) {
        error = errno;
    } else if (wait_for(fd, POLLOUT, deadline_ms) != 0) {
        error = ETIMEDOUT;
    } else {
        getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size);
    }
    if (!error) {
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
        return fd;
    }
    close(fd);
    errno = error;
    return -1;
}

int link_open(struct link *l, const struct client_url *url, uint64_t deadline_ms, struct buf *why)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *all = NULL;
    int error = getaddrinfo(url->host, url->port, &hints, &all);
    if (error) {
        buf_printf(why, "%s: %s", url->host, gai_strerror(error));
        return E_UNAVAILABLE;
    }
    l->fd = -1;
    for (const struct addrinfo *a = all; a && l->fd < 0; a = a->ai_next)
        l->fd = try_address(a, deadline_ms);
    int kept = errno;
    freeaddrinfo(all);
    buf_clear(&l->in);
    if (l->fd >= 0)
        return 0;
    buf_printf(why, "cannot connect to %s:%s: %s", url->host, url->port, strerror(kept));
    return kept == ETIMEDOUT ? E_TIMEOUT : E_UNAVAILABLE;
}

int link_send(struct link *l, struct str bytes, uint64_t deadline_ms)
{
    while (bytes.n > 0) {
        ssize_t n = send(l->fd, bytes.p, bytes.n, MSG_NOSIGNAL);
        if (n > 0) {
            bytes = str_skip(bytes, (size_t)n);
        } else if (n < 0 && errno == EAGAIN) {
            int err = wait_for(l->fd, POLLOUT, deadline_ms);
            if (err)
                return err;
        } else if (n < 0 && errno != EINTR) {
            return E_CLOSED;
        }
    }
    return 0;
}

int link_receive(struct link *l, uint64_t deadline_ms)
{
    for (;;) {
        int err = wait_for(l->fd, POLLIN, deadline_ms);
        if (err)
            return err;
        if (!buf_reserve(&l->in, 65536))
            return E_NO_MEMORY;
        ssize_t n = recv(l->fd, l->in.p + l->in.n, 65536, 0);
        if (n > 0) {
            l->in.n += (size_t)n;
            return 0;
        }
        if (n == 0 || (errno != EINTR && errno != EAGAIN))
            return E_CLOSED;
    }
}

void link_close(struct link *l)
{
    if (l->fd >= 0)
        close(l->fd);
    l->fd = -1;
    buf_free(&l->in);
    l->in = (struct buf){0};
}

void link_rest(uint64_t until_ms)
{
    for (uint64_t now; (now = link_now_ms()) < until_ms;)
        poll(NULL, 0, until_ms - now > 1000 ? 1000 : (int)(until_ms - now));
}

/* ---- http -------------------------------------------------------------------------------- */

void client_add_request(struct buf *out, const struct client_url *url, const char *method,
                        const char *path, const char *version, const char *token, struct str body)
{
    bool v6 = strchr(url->host, ':') != NULL;
    buf_printf(out, "%s %s%s HTTP/%s\r\nHost: %s%s%s:%s\r\n", method, url->path, path, version,
               v6 ? "[" : "", url->host, v6 ? "]" : "", url->port);
    if (token && *token)
        buf_printf(out, "Authorization: Bearer %s\r\n", token);
    if (body.p)
        buf_printf(out, "Content-Type: application/json\r\nContent-Length: %zu\r\n", body.n);
}

/* "name: value" of a line in the answer's head. */
static void take_header(struct str line, struct client_answer *out)
{
    struct str value = line, name = str_cut(&value, ':');
    uint64_t n;
    value = str_trim(value);
    if (str_eq_nocase(name, STR("content-length")) && num_u64(value, &n))
        out->body_n = (size_t)n;
    else if (str_eq_nocase(name, STR("sec-websocket-accept")))
        out->accept = value;
}

int client_read_head(struct link *l, struct client_answer *out, uint64_t deadline_ms,
                     struct buf *why)
{
    ptrdiff_t end;
    while ((end = str_find_str(buf_str(&l->in), STR("\r\n\r\n"))) < 0) {
        int err = l->in.n > HEAD_BYTES_MAX ? E_HEADERS_TOO_LARGE : link_receive(l, deadline_ms);
        if (err) {
            buf_printf(why, "no answer: %s", err_info(err)->text);
            return err;
        }
    }
    struct str rest = str_head(buf_str(&l->in), (size_t)end), line = str_cut(&rest, '\r');
    uint64_t status = 0;
    *out = (struct client_answer){.head_n = (size_t)end + 4, .body_n = SIZE_MAX};
    if (!str_starts(line, STR("HTTP/1.")) || line.n < 12 ||
        !num_u64(str_of(line.p + 9, 3), &status)) {
        buf_add_z(why, "what answers there does not speak HTTP");
        return E_PROTOCOL;
    }
    out->status = (int)status;
    while (rest.n > 1) {
        rest = str_skip(rest, 1); /* the \n */
        take_header(str_cut(&rest, '\r'), out);
    }
    return 0;
}

int client_read_body(struct link *l, const struct client_answer *head, struct str *body,
                     uint64_t deadline_ms, struct buf *why)
{
    while (head->body_n == SIZE_MAX || l->in.n < head->head_n + head->body_n) {
        int err = l->in.n > ANSWER_BYTES_MAX ? E_TOO_LARGE : link_receive(l, deadline_ms);
        if (err == E_CLOSED && head->body_n == SIZE_MAX)
            break;
        if (err) {
            buf_printf(why, "the answer breaks off: %s", err_info(err)->text);
            return err;
        }
    }
    *body = str_skip(buf_str(&l->in), head->head_n);
    if (head->body_n != SIZE_MAX)
        *body = str_head(*body, head->body_n);
    return 0;
}
