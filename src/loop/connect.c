/* SPDX-License-Identifier: Apache-2.0 */
/* Outgoing connections: name to addresses on libuv's threads, then one address after the other
 * until one answers or the deadline passes. The caller hears exactly once. */
#include "loop/sock_priv.h"
#include "base/err.h"
#include "base/mem.h"
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/un.h>
#include <unistd.h>

enum { CONNECT_MS = 10000 };

struct connect {
    struct watch watch; /* fd >= 0 while an address is being tried */
    struct list link;
    struct loop *loop;
    struct timer timer;
    uv_getaddrinfo_t resolve;
    bool resolving;
    struct addrinfo *all, *next;
    void (*ready)(struct sock *s, int err, void *arg); /* NULL = told */
    void *arg;
};

static void release(struct connect *c)
{
    if (c->resolving || c->ready)
        return; /* libuv still holds it, or the caller has not heard */
    if (c->all)
        uv_freeaddrinfo(c->all);
    mem_free(c);
}

static void stop_trying(struct connect *c)
{
    loop_unwatch(c->loop, &c->watch);
    if (c->watch.fd >= 0)
        close(c->watch.fd);
    c->watch.fd = -1;
}

static void tell(struct connect *c, struct sock *s, int err)
{
    void (*ready)(struct sock * s, int err, void *arg) = c->ready;
    c->ready = NULL;
    timer_stop(&c->timer);
    list_drop(&c->link);
    stop_trying(c);
    if (c->resolving)
        uv_cancel((uv_req_t *)&c->resolve);
    ready(s, err, c->arg);
    release(c);
}

static void connected(struct connect *c)
{
    int on = 1, low = NOTSENT_LOWAT;
    int fd = c->watch.fd;
    loop_unwatch(c->loop, &c->watch);
    c->watch.fd = -1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &low, sizeof(low));
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
    struct sock *s = sock_adopt(c->loop, fd, SOCK_OPEN);
    s->active = true;
    if (sock_watch(s)) {
        tell(c, s, 0);
        return;
    }
    sock_abort(s, E_NO_MEMORY);
    tell(c, NULL, E_NO_MEMORY);
}

static void on_ready(struct loop *l, struct watch *w, unsigned events);

/* One address; false = it cannot be reached. */
static bool try_one(struct connect *c, const struct sockaddr *a, socklen_t n)
{
    int fd = socket(a->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return false;
    if (connect(fd, a, n) != 0 && errno != EINPROGRESS && errno != EAGAIN) {
        close(fd);
        return false;
    }
    c->watch = (struct watch){.ready = on_ready, .fd = -1};
    if (loop_watch(c->loop, &c->watch, fd, WATCH_WRITE))
        return true;
    close(fd);
    return false;
}

static void try_next(struct connect *c)
{
    while (c->next) {
        struct addrinfo *a = c->next;
        c->next = a->ai_next;
        if (try_one(c, a->ai_addr, a->ai_addrlen))
            return;
    }
    tell(c, NULL, E_UNAVAILABLE);
}

static void on_ready(struct loop *l, struct watch *w, unsigned events)
{
    struct connect *c = LIST_OF(w, struct connect, watch);
    int error = 0;
    socklen_t n = sizeof(error);
    (void)l;
    (void)events;
    if (getsockopt(w->fd, SOL_SOCKET, SO_ERROR, &error, &n) == 0 && error == 0) {
        connected(c);
        return;
    }
    stop_trying(c);
    try_next(c);
}

static void on_resolved(uv_getaddrinfo_t *req, int status, struct addrinfo *all)
{
    struct connect *c = req->data;
    c->resolving = false;
    c->all = all;
    if (!c->ready) {
        release(c);
        return;
    }
    if (status != 0) {
        tell(c, NULL, E_UNAVAILABLE);
        return;
    }
    c->next = all;
    try_next(c);
}

static void on_deadline(struct loop *l, struct timer *t)
{
    (void)l;
    tell(LIST_OF(t, struct connect, timer), NULL, E_TIMEOUT);
}

static void on_refused(struct loop *l, struct timer *t)
{
    (void)l;
    tell(LIST_OF(t, struct connect, timer), NULL, E_UNAVAILABLE);
}

/* An address needs no name server. */
static bool parse(const char *host, unsigned port, struct sockaddr_storage *a, socklen_t *n)
{
    char text[300];
    char err[400];
    bool bare_v6 = strchr(host, ':') && host[0] != '[';
    if (strncmp(host, "unix:", 5) == 0)
        snprintf(text, sizeof(text), "%s", host);
    else
        snprintf(text, sizeof(text), bare_v6 ? "[%s]:%u" : "%s:%u", host, port);
    return host[0] && address_parse(str_from(text), a, n, err, sizeof(err));
}

static bool begin(struct connect *c, const char *host, unsigned port)
{
    struct sockaddr_storage a;
    socklen_t n;
    char service[12];
    if (parse(host, port, &a, &n))
        return try_one(c, (struct sockaddr *)&a, n);
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    snprintf(service, sizeof(service), "%u", port);
    c->resolve.data = c;
    c->resolving =
        uv_getaddrinfo(&c->loop->uv, &c->resolve, on_resolved, host, service, &hints) == 0;
    return c->resolving;
}

void sock_connect(struct loop *l, const char *host, unsigned port,
                  void (*ready)(struct sock *s, int err, void *arg), void *arg)
{
    struct connect *c = mem_new(sizeof(*c));
    c->loop = l;
    c->ready = ready;
    c->arg = arg;
    c->watch.fd = -1;
    list_push(&l->connects, &c->link);
    if (begin(c, host, port))
        timer_set(l, &c->timer, CONNECT_MS, on_deadline);
    else
        timer_set(l, &c->timer, 0, on_refused); /* never from inside this call */
}

void connect_cancel_all(struct loop *l)
{
    struct list *link;
    while ((link = list_take(&l->connects)))
        tell(LIST_OF(link, struct connect, link), NULL, E_CLOSED);
}
