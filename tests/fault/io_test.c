/* SPDX-License-Identifier: Apache-2.0 */
/* The whole server on the real loop while each n-th system call of its loops fails, in each way
 * that the kernel has. What passes by itself (EINTR, ENOBUFS, a full ring) costs nobody anything;
 * what is final ends that one connection: its client comes back and has missed nothing. The calls
 * are replaced in this program, so libuv's and liburing's own are among them.
 *
 * The clients are those of the simulation, here on sockets. A round is: some messages in each
 * channel, one client that leaves its connection and comes back, everybody has everything. In
 * round n the n-th call fails; a way is through when a round has fewer calls than that. */
#include "test.h"

#include "clients.c"

#include "loop/loop.h"
#include "tidewire.h"

#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <poll.h>
#include <stdatomic.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* ---- the calls ------------------------------------------------------------------------------ */

enum call {
    CALL_RECV = 1 << 0,
    CALL_SEND = 1 << 1,
    CALL_ACCEPT = 1 << 2,
    CALL_WATCH = 1 << 3, /* epoll_ctl */
    CALL_WAIT = 1 << 4,  /* epoll_wait */
    CALL_WAKE = 1 << 5,  /* read and write: the eventfd of a mailbox */
    CALL_SUBMIT = 1 << 6
};

static atomic_uint failing; /* enum call */
static atomic_long calls, fail_at;
static atomic_int fail_with;

/* Only what the server's loops do, not the clients and the workers. */
static bool fails(enum call call)
{
    if (!(atomic_load(&failing) & call) || !loop_current() ||
        atomic_fetch_add(&calls, 1) + 1 != atomic_load(&fail_at))
        return false;
    errno = atomic_load(&fail_with);
    return true;
}

#define REAL(type, name, parameters)                                                               \
    static type(*real) parameters;                                                                 \
    if (!real)                                                                                     \
    *(void **)&real = dlsym(RTLD_NEXT, name)

#pragma GCC visibility push(default) /* for the libraries, too */
ssize_t recv(int fd, void *p, size_t n, int flags)
{
    REAL(ssize_t, "recv", (int, void *, size_t, int));
    return fails(CALL_RECV) ? -1 : real(fd, p, n, flags);
}
ssize_t send(int fd, const void *p, size_t n, int flags)
{
    REAL(ssize_t, "send", (int, const void *, size_t, int));
    return fails(CALL_SEND) ? -1 : real(fd, p, n, flags);
}
ssize_t sendmsg(int fd, const struct msghdr *m, int flags)
{
    REAL(ssize_t, "sendmsg", (int, const struct msghdr *, int));
    return fails(CALL_SEND) ? -1 : real(fd, m, flags);
}
int accept4(int fd, struct sockaddr *a, socklen_t *n, int flags)
{
    REAL(int, "accept4", (int, struct sockaddr *, socklen_t *, int));
    return fails(CALL_ACCEPT) ? -1 : real(fd, a, n, flags);
}
int epoll_ctl(int epoll, int how, int fd, struct epoll_event *e)
{
    REAL(int, "epoll_ctl", (int, int, int, struct epoll_event *));
    return how != EPOLL_CTL_DEL && fails(CALL_WATCH) ? -1 : real(epoll, how, fd, e);
}
int epoll_wait(int epoll, struct epoll_event *e, int n, int timeout)
{
    REAL(int, "epoll_wait", (int, struct epoll_event *, int, int));
    return fails(CALL_WAIT) ? -1 : real(epoll, e, n, timeout);
}
int epoll_pwait(int epoll, struct epoll_event *e, int n, int timeout, const sigset_t *set)
{
    REAL(int, "epoll_pwait", (int, struct epoll_event *, int, int, const sigset_t *));
    return fails(CALL_WAIT) ? -1 : real(epoll, e, n, timeout, set);
}
ssize_t read(int fd, void *p, size_t n)
{
    REAL(ssize_t, "read", (int, void *, size_t));
    return fails(CALL_WAKE) ? -1 : real(fd, p, n);
}
ssize_t write(int fd, const void *p, size_t n)
{
    REAL(ssize_t, "write", (int, const void *, size_t));
    return fails(CALL_WAKE) ? -1 : real(fd, p, n);
}
int io_uring_submit_and_get_events(struct io_uring *ring)
{
    REAL(int, "io_uring_submit_and_get_events", (struct io_uring *));
    return fails(CALL_SUBMIT) ? -errno : real(ring);
}
#pragma GCC visibility pop

/* ---- peers on sockets ----------------------------------------------------------------------- */

struct sim_peer {
    int fd;
    bool is_closed;
    struct buf in;
};
static unsigned server_port;

uint64_t sim_now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

uint64_t sim_chance(uint64_t below)
{
    (void)below; /* who lost a connection comes back at once */
    return 0;
}

struct sim_peer *sim_dial(struct loops *ls, const char *name)
{
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_port = htons((uint16_t)server_port),
                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct sim_peer *p = mem_new(sizeof(*p));
    (void)ls, (void)name;
    p->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(p->fd >= 0 && connect(p->fd, (struct sockaddr *)&a, sizeof(a)) == 0);
    return p;
}

void sim_peer_send(struct sim_peer *p, const void *bytes, size_t n)
{
    if (send(p->fd, bytes, n, MSG_NOSIGNAL) != (ssize_t)n)
        p->is_closed = true; /* after what can still be read */
}

struct str sim_peer_input(const struct sim_peer *peer)
{
    struct sim_peer *p = (struct sim_peer *)(uintptr_t)peer;
    ssize_t n;
    do {
        CHECK(buf_reserve(&p->in, 65536));
        n = recv(p->fd, p->in.p + p->in.n, 65536, MSG_DONTWAIT);
        p->in.n += n > 0 ? (size_t)n : 0;
    } while (n > 0);
    p->is_closed |= n == 0 || errno != EAGAIN;
    return buf_str(&p->in);
}

void sim_peer_consume(struct sim_peer *p, size_t n)
{
    buf_shift(&p->in, n);
}

bool sim_peer_is_closed(const struct sim_peer *p)
{
    return p->is_closed;
}

void sim_peer_close(struct sim_peer *p)
{
    p->is_closed = true;
}

void sim_peer_free(struct sim_peer **p)
{
    close((*p)->fd);
    buf_free(&(*p)->in);
    mem_free(*p);
    *p = NULL;
}

/* ---- the server ----------------------------------------------------------------------------- */

enum { CLIENTS = 10, PUBLISHERS = WORLD_CHANNELS, PAUSE_MS = 2, PATIENCE_MS = 30000 };

struct scene {
    tw_config *config;
    tw_server *server;
    struct client *clients[CLIENTS];
    struct publisher *publishers[PUBLISHERS];
    size_t round;
};
static tw_config *minting;

bool world_mint(struct str claims, struct buf *out)
{
    char *token;
    char text[200];
    snprintf(text, sizeof(text), "%.*s", STR_ARG(claims));
    if (tw_token_mint(minting, text, 0, &token))
        return false;
    buf_add_z(out, token);
    tw_free(token);
    return !out->failed;
}

static void begin(struct scene *sc)
{
    static const char *const settings[][2] = {
        {"http.listen", "127.0.0.1:0"},
        {"loops", "2"},
        {"auth.anonymous", "true"},
        {"auth.exp_optional", "true"},
        {"auth.jwt_secret", "thirty-two-bytes-of-no-secret-at-all"},
        {"channels.default", "c0"},
        {"channels.rules", "[{match: '*', allow: {subscribe: '*', publish: '*', track: '*'}}]"},
        {"presence.lease_ms", "1s"},
        {"poll.timeout_max", "300ms"},
        {"history.count", "10000"},
        {"log.level", "error"}};
    static const enum client_kind kinds[CLIENTS] = {
        CLIENT_WS, CLIENT_WS,  CLIENT_WS,        CLIENT_SSE,  CLIENT_SSE,
        CLIENT_WS, CLIENT_SSE, CLIENT_SSE_MULTI, CLIENT_POLL, CLIENT_POLL};
    *sc = (struct scene){.config = tw_config_new()};
    for (size_t i = 0; i < sizeof(settings) / sizeof(settings[0]); i++)
        assert_int_equal(tw_config_set(sc->config, settings[i][0], settings[i][1]), 0);
    sc->server = tw_server_new(sc->config);
    if (!sc->server)
        print_error("%s", tw_config_problems(sc->config));
    assert_non_null(sc->server);
    assert_int_equal(tw_server_start(sc->server), 0);
    server_port = (unsigned)atoi(strrchr(tw_server_url(sc->server), ':') + 1);
    minting = sc->config;
    for (unsigned i = 0; i < CLIENTS; i++)
        sc->clients[i] = client_new(NULL, kinds[i], i % 2);
    for (unsigned i = 0; i < PUBLISHERS; i++)
        sc->publishers[i] = publisher_new(NULL, i, i == 1);
}

static void end(struct scene *sc)
{
    for (unsigned i = 0; i < CLIENTS; i++)
        client_free(&sc->clients[i]);
    for (unsigned i = 0; i < PUBLISHERS; i++)
        publisher_free(&sc->publishers[i]);
    tw_server_stop(sc->server, 0);
    tw_server_free(sc->server);
    tw_config_free(sc->config);
}

static void step(struct scene *sc, uint64_t until)
{
    struct pollfd all[CLIENTS + PUBLISHERS];
    nfds_t count = 0;
    for (unsigned i = 0; i < CLIENTS; i++)
        if (client_peer(sc->clients[i]))
            all[count++] = (struct pollfd){client_peer(sc->clients[i])->fd, POLLIN, 0};
    for (unsigned i = 0; i < PUBLISHERS; i++)
        if (publisher_peer(sc->publishers[i]))
            all[count++] = (struct pollfd){publisher_peer(sc->publishers[i])->fd, POLLIN, 0};
    poll(all, count, PAUSE_MS);
    for (unsigned i = 0; i < PUBLISHERS; i++)
        publisher_step(sc->publishers[i], publisher_done(sc->publishers[i]) < until);
    for (unsigned i = 0; i < CLIENTS; i++)
        client_step(sc->clients[i]);
}

static bool has_all(const struct scene *sc, const struct client *c, uint64_t until)
{
    for (unsigned ch = 0; ch < WORLD_CHANNELS; ch++)
        if (client_listens(c, ch) &&
            (!client_heard(c, ch)->has_begun || client_heard(c, ch)->last < until))
            return false;
    bool here[CLIENT_NUMBERS] = {0};
    for (unsigned i = 0; i < CLIENTS; i++)
        if (client_is_present(sc->clients[i]) && sc->clients[i]->first == c->first)
            here[client_number(sc->clients[i])] = true;
    return !client_is_present(c) || client_sees(c, here);
}

static bool is_done(const struct scene *sc, uint64_t until)
{
    for (unsigned i = 0; i < PUBLISHERS; i++)
        if (publisher_done(sc->publishers[i]) < until || !publisher_is_idle(sc->publishers[i]))
            return false;
    for (unsigned i = 0; i < CLIENTS; i++)
        if (!has_all(sc, sc->clients[i], until))
            return false;
    return true;
}

/* One more message in each channel, until everybody has it. */
static void converse(struct scene *sc)
{
    uint64_t give_up_ms = sim_now_ms() + PATIENCE_MS, until = ++sc->round;
    while (!is_done(sc, until) && sim_now_ms() < give_up_ms)
        step(sc, until);
    for (unsigned i = 0; i < CLIENTS; i++)
        if (!has_all(sc, sc->clients[i], until))
            print_error("%s has not got message %zu\n", client_name(sc->clients[i]), sc->round);
    assert_true(is_done(sc, until));
}

static size_t losses(const struct scene *sc)
{
    size_t n = 0;
    for (unsigned i = 0; i < CLIENTS; i++)
        n += client_losses(sc->clients[i]);
    for (unsigned i = 0; i < PUBLISHERS; i++)
        n += publisher_losses(sc->publishers[i]);
    return n;
}

/* Nothing is ever missed. Twice comes only what the kernel had not yet said to have arrived, and
 * only to clients that cannot say what they have. */
static void judge(const struct scene *sc, bool is_passing)
{
    for (unsigned i = 0; i < PUBLISHERS; i++)
        assert_int_equal(publisher_wrong(sc->publishers[i]), 0);
    for (unsigned i = 0; i < CLIENTS; i++) {
        const struct client *c = sc->clients[i];
        for (unsigned ch = 0; ch < WORLD_CHANNELS; ch++) {
            const struct heard *h = client_heard(c, ch);
            bool fine =
                !h->holes && !h->gaps && (!h->twice || (c->kind == CLIENT_WS && !is_passing));
            if (!fine)
                print_error("%s: holes %zu, gaps %zu, twice %zu\n", client_name(c), h->holes,
                            h->gaps, h->twice);
            assert_true(fine);
        }
    }
}

/* A round while the n-th of these calls fails; false when it had fewer. */
static bool try_one(struct scene *sc, unsigned which, int error, long n, bool is_passing)
{
    size_t before = losses(sc);
    atomic_store(&calls, 0);
    atomic_store(&fail_with, error);
    atomic_store(&fail_at, n);
    atomic_store(&failing, which);
    client_give_up(sc->clients[sc->round % CLIENTS]);
    converse(sc);
    atomic_store(&failing, 0);
    if (is_passing)
        assert_int_equal(losses(sc), before + 1);
    return atomic_load(&calls) >= n;
}

/* No two rounds are alike, so a way is swept more than once: FAULT_ALL=1 does it often. passing:
 * nobody's connection may end of it. */
static void try_all(unsigned which, int error, bool is_passing)
{
    const char *all = getenv("FAULT_ALL");
    struct scene sc;
    long failures = 0;
    begin(&sc);
    converse(&sc);
    for (int sweep = 0; sweep < (all && *all ? 30 : 2); sweep++)
        for (long n = 1; try_one(&sc, which, error, n, is_passing); n++)
            failures++;
    judge(&sc, is_passing);
    end(&sc);
    printf("# %s: %ld calls failed\n", strerrorname_np(error), failures);
    assert_true(failures > 0);
}

TEST(an_interrupted_call_costs_nothing)
{
    try_all(CALL_RECV | CALL_SEND | CALL_ACCEPT | CALL_WAIT | CALL_WAKE | CALL_SUBMIT, EINTR, true);
}

TEST(a_send_without_buffers_costs_nothing)
{
    try_all(CALL_SEND, ENOBUFS, true);
    try_all(CALL_SEND, ENOMEM, true);
}

TEST(a_ring_that_takes_nothing_costs_nothing)
{
    try_all(CALL_SUBMIT, EBUSY, true);
    try_all(CALL_SUBMIT, ENOMEM, true);
}

TEST(who_cannot_be_accepted_comes_again)
{
    try_all(CALL_ACCEPT, EMFILE, false);
    try_all(CALL_ACCEPT, ENOMEM, false);
    try_all(CALL_ACCEPT, ECONNABORTED, false);
}

TEST(who_cannot_be_watched_comes_again)
{
    try_all(CALL_WATCH, ENOMEM, false);
    try_all(CALL_WATCH, ENOSPC, false);
}

TEST(a_broken_connection_costs_nobody_a_message)
{
    try_all(CALL_RECV | CALL_SEND, ECONNRESET, false);
    try_all(CALL_SEND, EPIPE, false);
    try_all(CALL_RECV, ETIMEDOUT, false);
}
