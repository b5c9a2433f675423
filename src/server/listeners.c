/* SPDX-License-Identifier: Apache-2.0 */
/* Where the server listens: each address on each loop, or the descriptors that a service manager
 * handed over, which then stand for http.listen. */
#include "server/server_priv.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "base/tally.h"
#include <fcntl.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

/* Files, databases and outgoing connections need some too. */
#define DESCRIPTORS_KEPT 128

static const struct sock_ops turned_away = {0};

/* A proxy speaks for many; everyone else has so many connections and no more. */
static bool may_stay(struct tw_server *s, struct sock *sock)
{
    size_t max = (size_t)s->boot->limits_connections_per_address;
    return max == 0 || http_trusts(s->http, sock_peer_address(sock)) ||
           sock_tally(sock, s->addresses, max);
}

static void accept_client(struct sock *sock, void *arg)
{
    struct tw_server *s = arg;
    if (may_stay(s, sock)) {
        http_accept(s->http, sock);
        return;
    }
    struct str answer = http_busy_answer();
    metric_add(M_REFUSED_ADDRESS, 1);
    sock_set_owner(sock, &turned_away, NULL);
    sock_send(sock, answer.p, answer.n);
    sock_close(sock, 1000);
}

static void accept_operator(struct sock *sock, void *arg)
{
    http_accept(((struct tw_server *)arg)->operators, sock);
}

static size_t connections_per_loop(const struct tw_server *s)
{
    size_t most = (size_t)s->boot->limits_connections, loops = loops_count(s->loops);
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur > 2 * DESCRIPTORS_KEPT) {
        size_t have = (size_t)limit.rlim_cur - DESCRIPTORS_KEPT;
        if (most == 0 || most > have)
            most = have;
    }
    return (most + loops - 1) / loops;
}

static int listen_on(struct tw_server *s, unsigned index, const struct sock_listen_config *config)
{
    char why[256] = "";
    struct sock_listener *l = sock_listen(loops_at(s->loops, index), config, why, sizeof(why));
    if (!l) {
        buf_add_z(&s->problem, why);
        return E_UNAVAILABLE;
    }
    s->listeners = mem_grow(s->listeners, &s->listeners_capacity, s->listeners_count + 1,
                            sizeof(*s->listeners));
    s->listeners[s->listeners_count++] = l;
    return 0;
}

/* "http://127.0.0.1:8787" of an address as configured and the port that was bound. An address
 * that means all of them is shown as the local one. */
static void write_url(const struct tw_server *s, struct str address, unsigned port, char *out,
                      size_t n)
{
    size_t colon = address.n;
    if (str_starts(address, STR("unix:"))) {
        snprintf(out, n, "%.*s", STR_ARG(address));
        return;
    }
    while (colon > 0 && address.p[colon - 1] != ':')
        colon--;
    struct str host = str_head(address, colon ? colon - 1 : 0);
    if (host.n == 0 || str_is(host, "0.0.0.0") || str_is(host, "[::]"))
        host = STR("127.0.0.1");
    snprintf(out, n, "%s://%.*s:%u", s->tls ? "https" : "http", STR_ARG(host), port);
}

/* One address on every loop. With port 0 the first loop's choice is everyone's. */
static int open_address(struct tw_server *s, struct str address, struct sock_listen_config config,
                        char *url, size_t url_n)
{
    char bound[160];
    struct str mode = address, path = str_cut(&mode, '|');
    config.address = path;
    for (size_t i = 0; i < mode.n; i++) /* checked: octal digits */
        config.unix_mode = config.unix_mode * 8 + (unsigned)(mode.p[i] - '0');
    for (unsigned i = 0; i < loops_count(s->loops); i++) {
        int err = listen_on(s, i, &config);
        if (err)
            return err;
        if (i > 0 || str_starts(path, STR("unix:")))
            continue;
        unsigned port = sock_listener_port(s->listeners[s->listeners_count - 1]);
        struct str rest = path;
        size_t colon = rest.n;
        while (colon > 0 && rest.p[colon - 1] != ':')
            colon--;
        snprintf(bound, sizeof(bound), "%.*s%u", STR_ARG(str_head(path, colon)), port);
        config.address = str_from(bound);
        if (url && !url[0])
            write_url(s, config.address, port, url, url_n);
    }
    if (url && !url[0])
        write_url(s, path, 0, url, url_n);
    return 0;
}

static int open_inherited(struct tw_server *s, int first, int count,
                          struct sock_listen_config config)
{
    config.address = STR("a descriptor of the service manager");
    for (int fd = first; fd < first + count; fd++) {
        for (unsigned i = 0; i < loops_count(s->loops); i++) {
            config.inherited_fd = i == 0 ? fd : fcntl(fd, F_DUPFD_CLOEXEC, 3);
            int err = config.inherited_fd < 0 ? E_UNAVAILABLE : listen_on(s, i, &config);
            if (err)
                return err;
            unsigned port = sock_listener_port(s->listeners[s->listeners_count - 1]);
            if (!s->url[0] && port)
                write_url(s, STR(":0"), port, s->url, sizeof(s->url));
        }
    }
    return 0;
}

int listeners_open(struct tw_server *s)
{
    int first = 0, inherited = notify_listen_fds(&first), err = 0;
    struct sock_listen_config config = {
        .tls = s->tls,
        .connections_max = connections_per_loop(s),
        .busy_answer = http_busy_answer(),
        .exclusive = !s->boot->http_share_port,
        .tls_handshake_ms = (uint64_t)s->boot->tls_handshake_ms,
        .on_accept = accept_client,
        .arg = s,
    };
    if (inherited > 0)
        err = open_inherited(s, first, inherited, config);
    for (size_t i = 0; !err && inherited <= 0 && i < s->boot->http_listen.count; i++)
        err = open_address(s, s->boot->http_listen.items[i], config, s->url, sizeof(s->url));
    if (!err && s->operators) {
        config.tls = NULL;
        config.on_accept = accept_operator;
        err = open_address(s, s->boot->metrics_listen, config, s->operators_url,
                           sizeof(s->operators_url));
    }
    return err;
}

void listeners_close(struct tw_server *s)
{
    for (size_t i = 0; i < s->listeners_count; i++)
        sock_listener_close(&s->listeners[i]);
    mem_free(s->listeners);
    s->listeners = NULL;
    s->listeners_count = s->listeners_capacity = 0;
}
