/* SPDX-License-Identifier: Apache-2.0 */
/* Listeners: addresses, sharing, limits, running out of descriptors. */
#include "rig.h"
#include "loop/listen.c"
#include <sys/resource.h>

static atomic_int closed;

static size_t echo_input(struct sock *s, uint8_t *bytes, size_t n)
{
    sock_send(s, bytes, n);
    return n;
}
static void count_close(struct sock *s, int err)
{
    (void)s;
    (void)err;
    atomic_fetch_add(&closed, 1);
}
static const struct sock_ops echo_ops = {.on_input = echo_input, .on_close = count_close};
static void accept_echo(struct sock *s, void *arg)
{
    (void)arg;
    sock_set_owner(s, &echo_ops, NULL);
}

static bool ping(int fd)
{
    char c = 0;
    return send(fd, "p", 1, MSG_NOSIGNAL) == 1 && recv(fd, &c, 1, 0) == 1 && c == 'p';
}

static struct sock_listener *listen_at(struct rig *r, unsigned loop, const char *address,
                                       bool exclusive, char *err)
{
    struct sock_listen_config config = {
        .address = str_from(address), .on_accept = accept_echo, .exclusive = exclusive};
    err[0] = 0;
    return sock_listen(loops_at(r->ls, loop), &config, err, 200);
}

TEST(a_bad_address_is_refused_with_words)
{
    static const char *const bad[] = {"",         "nonsense", "127.0.0.1",   "127.0.0.1:x",
                                      "1.2.3:80", ":70000",   "[::1:80",     "example.com:80",
                                      "::1:80",   "unix:",    "127.0.0.1:-1"};
    struct rig r;
    char err[200];
    rig_begin(&r, 1);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_null(listen_at(&r, 0, bad[i], false, err));
        assert_true(strlen(err) > 5);
    }
    assert_null(listen_at(&r, 0, "192.0.2.1:0", false, err)); /* not ours */
    assert_non_null(strstr(err, "cannot listen on 192.0.2.1:0"));
    rig_end(&r);
}

TEST(a_port_is_shared_by_loops_but_not_when_exclusive)
{
    struct rig r, other;
    char err[200], address[40];
    rig_begin(&r, 2);
    rig_begin(&other, 1);
    r.listeners[0] = listen_at(&r, 0, "127.0.0.1:0", true, err);
    assert_non_null(r.listeners[0]);
    snprintf(address, sizeof(address), "127.0.0.1:%u", sock_listener_port(r.listeners[0]));
    r.listeners[1] = listen_at(&r, 1, address, true, err);
    assert_non_null(r.listeners[1]);
    assert_null(listen_at(&other, 0, address, true, err));
    assert_non_null(strstr(err, "in use"));
    other.listeners[0] = listen_at(&other, 0, address, false, err); /* hand-over at restart */
    assert_non_null(other.listeners[0]);
    rig_end(&other);
    rig_end(&r);
}

TEST(every_address_includes_ipv4_and_ipv6)
{
    struct rig r;
    char err[200];
    rig_begin(&r, 1);
    r.listeners[0] = listen_at(&r, 0, ":0", false, err);
    assert_non_null(r.listeners[0]);
    r.port = sock_listener_port(r.listeners[0]);
    rig_run(&r);
    int fd = client_connect(r.port);
    assert_true(ping(fd));
    close(fd);
    rig_end(&r);
}

TEST(a_unix_socket_is_served_and_its_leftover_replaced)
{
    struct rig r;
    char err[200], path[100], address[120];
    snprintf(path, sizeof(path), "/tmp/tidewire-test-%d.sock", getpid());
    snprintf(address, sizeof(address), "unix:%s", path);
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    snprintf(a.sun_path, sizeof(a.sun_path), "%s", path);
    int stale = socket(AF_UNIX, SOCK_STREAM, 0); /* a process that died */
    assert_int_equal(bind(stale, (struct sockaddr *)&a, sizeof(a)), 0);
    close(stale);
    rig_begin(&r, 2);
    for (unsigned i = 0; i < 2; i++) {
        r.listeners[i] = listen_at(&r, i, address, false, err);
        assert_non_null(r.listeners[i]);
    }
    rig_run(&r);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
    assert_true(ping(fd));
    struct rig other; /* alive: not replaced */
    rig_begin(&other, 1);
    assert_null(listen_at(&other, 0, address, false, err));
    assert_non_null(strstr(err, "in use"));
    rig_end(&other);
    close(fd);
    rig_end(&r);
    assert_int_equal(access(path, F_OK), -1);
}

TEST(more_connections_than_allowed_get_the_busy_answer)
{
    struct rig r;
    char in[20] = "";
    atomic_store(&closed, 0);
    rig_begin(&r, 1);
    struct sock_listen_config config = {
        .on_accept = accept_echo, .connections_max = 2, .busy_answer = STR("busy")};
    rig_listen(&r, config);
    rig_run(&r);
    int a = client_connect(r.port), b = client_connect(r.port);
    assert_true(ping(a) && ping(b));
    int c = client_connect(r.port);
    assert_int_equal(client_read(c, in, 10), 4);
    assert_string_equal(in, "busy");
    close(c);
    close(a);
    while (atomic_load(&closed) < 1)
        usleep(1000);
    c = client_connect(r.port);
    assert_true(ping(c) && ping(b));
    close(b);
    close(c);
    rig_end(&r);
}

TEST(without_descriptors_the_others_go_on_and_accepting_recovers)
{
    struct rig r;
    struct rlimit old, tight;
    char in[20] = "";
    rig_begin(&r, 1);
    struct sock_listen_config config = {.on_accept = accept_echo, .busy_answer = STR("busy")};
    rig_listen(&r, config);
    rig_run(&r);
    int served = client_connect(r.port);
    assert_true(ping(served));
    int waiting[3];
    for (int i = 0; i < 3; i++)
        waiting[i] = socket(AF_INET, SOCK_STREAM, 0);
    int filler[64], count = 0;
    getrlimit(RLIMIT_NOFILE, &old);
    tight = old;
    tight.rlim_cur = (rlim_t)waiting[2] + 5;
    setrlimit(RLIMIT_NOFILE, &tight);
    while (count < 64 && (filler[count] = dup(0)) >= 0)
        count++;
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((in_port_t)r.port)};
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    for (int i = 0; i < 3; i++)
        assert_int_equal(connect(waiting[i], (struct sockaddr *)&a, sizeof(a)), 0);
    int turned_away = 0;
    for (int i = 0; i < 3 && !turned_away; i++) {
        struct timeval brief = {.tv_usec = 500000};
        setsockopt(waiting[i], SOL_SOCKET, SO_RCVTIMEO, &brief, sizeof(brief));
        turned_away += recv(waiting[i], in, sizeof(in), 0) == 4;
    }
    assert_int_equal(turned_away, 1);
    assert_true(ping(served));
    for (int i = 0; i < count; i++)
        close(filler[i]);
    setrlimit(RLIMIT_NOFILE, &old);
    int late = client_connect(r.port);
    assert_true(ping(late));
    close(late);
    close(served);
    for (int i = 0; i < 3; i++)
        close(waiting[i]);
    rig_end(&r);
}

static void close_listener(struct loop *l, void *arg)
{
    (void)l;
    sock_listener_close(arg);
}

TEST(closing_the_listener_leaves_open_connections_alone)
{
    struct rig r;
    rig_begin(&r, 1);
    struct sock_listen_config config = {.on_accept = accept_echo};
    rig_listen(&r, config);
    rig_run(&r);
    int fd = client_connect(r.port);
    assert_true(ping(fd));
    rig_on_loop(&r, 0, close_listener, &r.listeners[0]);
    assert_null(r.listeners[0]);
    assert_true(ping(fd));
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((in_port_t)r.port)};
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int refused = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(refused, (struct sockaddr *)&a, sizeof(a)), -1);
    close(refused);
    close(fd);
    rig_end(&r);
}
