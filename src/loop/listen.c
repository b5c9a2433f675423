/* SPDX-License-Identifier: Apache-2.0 */
/* Listeners. Each loop has its own on the same address and the kernel spreads connections; the
 * listener stands level-triggered in the loop's epoll and takes a bounded batch a turn. Options
 * that accepted sockets inherit (NODELAY, NOTSENT_LOWAT, KEEPALIVE) are set once, here.
 * Out of descriptors: the reserve descriptor is given up to accept one connection, which gets
 * the busy answer and is closed; then accepting rests a moment instead of spinning. */
#include "loop/sock_priv.h"
#include "base/check.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { ACCEPT_BATCH = 64, BACKLOG = 4096, REST_MS = 100, HANDSHAKE_MS = 10000 };

struct sock_listener {
    struct watch watch;
    struct list link;
    struct loop *loop;
    struct sock_listen_config config;
    struct timer rest;
    size_t open;   /* connections of ours */
    unsigned refs; /* the owner, and each connection */
    bool closed;
    char *unix_path; /* to remove at the end */
};

static void listener_unref(struct sock_listener *ls)
{
    if (--ls->refs == 0)
        mem_free(ls);
}

void listen_sock_gone(struct sock_listener **listener)
{
    struct sock_listener *ls = *listener;
    *listener = NULL;
    if (!ls)
        return;
    ls->open--;
    listener_unref(ls);
}

void listen_accepted(struct sock *s)
{
    struct sock_listener *ls = s->listener;
    if (s->state == SOCK_HANDSHAKE) {
        timer_stop(&s->extra->timer);
        sock_set_state(s, SOCK_OPEN);
    }
    if (ls->closed) {
        sock_abort(s, 0);
        return;
    }
    ls->config.on_accept(s, ls->config.arg);
    CHECK(s->ops || s->state == SOCK_DEAD);
}

/* Best effort: a fresh socket's buffer takes a short answer, or the connection just ends. */
static void turn_away(struct sock_listener *ls, int fd)
{
    char seen[4096];
    if (ls->config.busy_answer.n > 0 && !ls->config.tls) {
        (void)!recv(fd, seen, sizeof(seen), MSG_DONTWAIT); /* unread input would be a reset */
        (void)!send(fd, ls->config.busy_answer.p, ls->config.busy_answer.n, MSG_NOSIGNAL);
        shutdown(fd, SHUT_WR);
    }
    close(fd);
}

static void on_rested(struct loop *l, struct timer *t)
{
    struct sock_listener *ls = LIST_OF(t, struct sock_listener, rest);
    if (!loop_watch(l, &ls->watch, ls->watch.fd, WATCH_READ))
        timer_set(l, &ls->rest, REST_MS, on_rested);
}

static void out_of_descriptors(struct sock_listener *ls, int error)
{
    struct loop *l = ls->loop;
    log_warn("loop", "accept", "error=%s rest_ms=%d", strerror(error), REST_MS);
    if ((error == EMFILE || error == ENFILE) && l->reserve_fd >= 0) {
        close(l->reserve_fd);
        int fd = accept4(ls->watch.fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0)
            turn_away(ls, fd);
        l->reserve_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    }
    loop_unwatch(l, &ls->watch);
    timer_set(l, &ls->rest, REST_MS, on_rested);
}

static void welcome(struct sock_listener *ls, int fd)
{
    struct loop *l = ls->loop;
    if (ls->config.connections_max && ls->open >= ls->config.connections_max) {
        turn_away(ls, fd);
        return;
    }
    metric_add(M_CONNECTIONS_TOTAL, 1);
    struct sock *s = sock_adopt(l, fd, ls->config.tls ? SOCK_HANDSHAKE : SOCK_OPEN);
    s->listener = ls;
    ls->open++;
    ls->refs++;
    if (!sock_watch(s)) {
        sock_abort(s, 0);
        return;
    }
    if (!ls->config.tls) {
        listen_accepted(s);
        return;
    }
    if (!tls_begin(s, ls->config.tls))
        sock_abort(s, 0);
}

static bool is_peers_fault(int error)
{
    return error == ECONNABORTED || error == ECONNRESET || error == EINTR || error == EPROTO ||
           error == EPERM || error == ENETDOWN || error == EHOSTUNREACH || error == ENETUNREACH;
}

static void on_ready(struct loop *l, struct watch *w, unsigned events)
{
    struct sock_listener *ls = LIST_OF(w, struct sock_listener, watch);
    (void)l;
    (void)events;
    for (int i = 0; i < ACCEPT_BATCH && !ls->closed; i++) {
        int fd = accept4(w->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            welcome(ls, fd);
            continue;
        }
        if (is_peers_fault(errno))
            continue;
        if (errno != EAGAIN)
            out_of_descriptors(ls, errno);
        return;
    }
}

/* ---- opening ------------------------------------------------------------------------- */

static void set_options(int fd, int family)
{
    int on = 1, off = 0, low = NOTSENT_LOWAT;
    if (family == AF_UNIX)
        return;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on));
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &low, sizeof(low));
    if (family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
}

/* A socket file that nobody answers at is left over from a process that died. */
static void remove_stale(const struct sockaddr_storage *a, socklen_t n)
{
    const char *path = ((const struct sockaddr_un *)a)->sun_path;
    struct stat st;
    if (stat(path, &st) != 0 || !S_ISSOCK(st.st_mode))
        return;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return;
    if (connect(fd, (const struct sockaddr *)a, n) != 0 && errno == ECONNREFUSED)
        unlink(path);
    close(fd);
}

/* With SO_REUSEPORT a bind succeeds beside another process of ours; this one does not. */
static int probe(const struct sockaddr_storage *a, socklen_t n)
{
    int on = 1, off = 0;
    int fd = socket(a->ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return 0;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (a->ss_family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
    int error = bind(fd, (const struct sockaddr *)a, n) != 0 ? errno : 0;
    close(fd);
    return error;
}

static int watch_fd(struct sock_listener *ls, int fd)
{
    ls->watch = (struct watch){.ready = on_ready, .fd = -1};
    if (loop_watch(ls->loop, &ls->watch, fd, WATCH_READ))
        return 0;
    close(fd);
    return ENOMEM;
}

static int take_inherited(struct sock_listener *ls)
{
    int fd = ls->config.inherited_fd, family = 0, on = 0;
    socklen_t n = sizeof(family);
    if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &on, &n) != 0 || !on)
        return ENOTSOCK;
    n = sizeof(family);
    getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &family, &n);
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    set_options(fd, family);
    return watch_fd(ls, fd);
}

/* The file must never be more open than it shall be, so the mask is narrowed for the bind. */
static int bind_unix(int fd, const struct sockaddr_storage *a, socklen_t n, unsigned mode)
{
    mode_t mask = mode ? umask((mode_t)~mode & 0777) : 0;
    int result = bind(fd, (const struct sockaddr *)a, n);
    int error = errno;
    if (mode)
        umask(mask);
    errno = error;
    return result;
}

static int open_socket(struct sock_listener *ls, struct sockaddr_storage *a, socklen_t n)
{
    if (a->ss_family == AF_UNIX)
        remove_stale(a, n);
    else if (ls->config.exclusive && ls->loop->index == 0 && probe(a, n) == EADDRINUSE)
        return EADDRINUSE;
    int fd = socket(a->ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return errno;
    set_options(fd, a->ss_family);
    int backlog = ls->config.backlog ? (int)ls->config.backlog : BACKLOG;
    int bound = a->ss_family == AF_UNIX ? bind_unix(fd, a, n, ls->config.unix_mode)
                                        : bind(fd, (struct sockaddr *)a, n);
    if (bound != 0 || listen(fd, backlog) != 0) {
        int error = errno;
        close(fd);
        return error;
    }
    int error = watch_fd(ls, fd);
    if (error)
        return error;
    if (a->ss_family == AF_UNIX)
        ls->unix_path = str_dup(str_from(((struct sockaddr_un *)a)->sun_path));
    return 0;
}

/* ":80" means IPv6 with IPv4 inside; without IPv6 in the kernel, IPv4. */
static int open_any(struct sock_listener *ls, struct sockaddr_storage *a, socklen_t n)
{
    int error = open_socket(ls, a, n);
    if (error != EAFNOSUPPORT || a->ss_family != AF_INET6)
        return error;
    struct sockaddr_in v4 = {.sin_family = AF_INET};
    v4.sin_port = ((struct sockaddr_in6 *)a)->sin6_port;
    if (ls->config.address.p[0] != ':')
        return error;
    memcpy(a, &v4, sizeof(v4));
    return open_socket(ls, a, sizeof(v4));
}

struct sock_listener *sock_listen(struct loop *l, const struct sock_listen_config *config,
                                  char *err, size_t err_size)
{
    struct sockaddr_storage a;
    socklen_t n;
    if (!config->inherited_fd && !address_parse(config->address, &a, &n, err, err_size))
        return NULL;
    struct sock_listener *ls = mem_new(sizeof(*ls));
    ls->loop = l;
    ls->config = *config;
    ls->refs = 1;
    ls->watch.fd = -1;
    if (ls->config.tls_handshake_ms == 0)
        ls->config.tls_handshake_ms = HANDSHAKE_MS;
    list_push(&l->listeners, &ls->link);
    if (!config->inherited_fd && a.ss_family == AF_UNIX && l->index > 0)
        return ls;
    int error = config->inherited_fd ? take_inherited(ls) : open_any(ls, &a, n);
    if (error) {
        snprintf(err, err_size, "cannot listen on %.*s: %s", STR_ARG(config->address),
                 strerror(error));
        sock_listener_close(&ls);
        return NULL;
    }
    return ls;
}

unsigned sock_listener_port(const struct sock_listener *ls)
{
    struct sockaddr_storage a;
    socklen_t n = sizeof(a);
    if (ls->watch.fd < 0 || getsockname(ls->watch.fd, (struct sockaddr *)&a, &n) != 0)
        return 0;
    if (a.ss_family == AF_INET)
        return ntohs(((struct sockaddr_in *)&a)->sin_port);
    return a.ss_family == AF_INET6 ? ntohs(((struct sockaddr_in6 *)&a)->sin6_port) : 0;
}

uint64_t listen_handshake_ms(const struct sock_listener *ls)
{
    return ls->config.tls_handshake_ms;
}

static void stop(struct sock_listener *ls)
{
    if (ls->closed)
        return;
    ls->closed = true;
    timer_stop(&ls->rest);
    loop_unwatch(ls->loop, &ls->watch);
    if (ls->watch.fd >= 0)
        close(ls->watch.fd);
    ls->watch.fd = -1;
    if (ls->unix_path)
        unlink(ls->unix_path);
    mem_free(ls->unix_path);
    ls->unix_path = NULL;
    list_drop(&ls->link);
}

/* At the end of the loops: the owner's sock_listener_close may come later. */
void listen_close_all(struct loop *l)
{
    while (!list_is_empty(&l->listeners))
        stop(LIST_OF(l->listeners.next, struct sock_listener, link));
}

void sock_listener_close(struct sock_listener **listener)
{
    struct sock_listener *ls = *listener;
    *listener = NULL;
    if (!ls)
        return;
    stop(ls);
    listener_unref(ls);
}
