/* SPDX-License-Identifier: Apache-2.0 */
/* The n-th system call of a conversation fails, for each n and each way of failing: what the
 * kernel calls passing (EINTR, ENOBUFS, EMFILE) costs nobody a byte, what is final ends that one
 * connection and no other. */
#include "rig.h"
#include "base/err.h"
#include <sys/uio.h>

static atomic_long calls, fail_at;
static atomic_int fail_with;

/* The loop's thread only: the client calls the real ones. */
static bool fails(void)
{
    if (!loop_current() || atomic_load(&fail_at) == 0)
        return false;
    if (atomic_fetch_add(&calls, 1) + 1 != atomic_load(&fail_at))
        return false;
    errno = atomic_load(&fail_with);
    return true;
}
static ssize_t test_recv(int fd, void *p, size_t n, int flags)
{
    return fails() ? -1 : recv(fd, p, n, flags);
}
static ssize_t test_send(int fd, const void *p, size_t n, int flags)
{
    return fails() ? -1 : send(fd, p, n, flags);
}
static ssize_t test_sendmsg(int fd, const struct msghdr *m, int flags)
{
    return fails() ? -1 : sendmsg(fd, m, flags);
}
static int test_accept4(int fd, struct sockaddr *a, socklen_t *n, int flags)
{
    return fails() ? -1 : accept4(fd, a, n, flags);
}

#define recv test_recv
#define send test_send
#define sendmsg test_sendmsg
#define accept4 test_accept4
#include "loop/flush.c"
#include "loop/sock_in.c"
#define on_ready listen_on_ready
#include "loop/listen.c"
#undef recv
#undef send
#undef sendmsg
#undef accept4

enum { BYTES = 60000 };
static atomic_int opened, closed, last_err;

static size_t echo_input(struct sock *s, uint8_t *bytes, size_t n)
{
    size_t half = n / 2; /* two ranges of two kinds: sendmsg */
    struct segment *g = segment_new(sock_loop(s), half + 1);
    memcpy(g->bytes, bytes, half);
    g->n = (uint32_t)half;
    sock_send_segment(s, g, 0, half);
    segment_unref(&g);
    sock_send(s, bytes + half, n - half);
    return n;
}
static void note_close(struct sock *s, int err)
{
    (void)s;
    atomic_store(&last_err, err);
    atomic_fetch_add(&closed, 1);
}
static const struct sock_ops echo_ops = {.on_input = echo_input, .on_close = note_close};
static void accept_echo(struct sock *s, void *arg)
{
    (void)arg;
    atomic_fetch_add(&opened, 1);
    sock_set_owner(s, &echo_ops, NULL);
}

static uint8_t out[BYTES], in[BYTES];

/* True when all came back. */
static bool converse(struct rig *r)
{
    int fd = client_connect(r->port);
    bool whole = true;
    for (size_t at = 0; whole && at < BYTES; at += BYTES / 4) {
        whole = send(fd, out + at, BYTES / 4, MSG_NOSIGNAL) == BYTES / 4 &&
                client_read(fd, in + at, BYTES / 4) == BYTES / 4;
    }
    whole = whole && memcmp(in, out, BYTES) == 0;
    close(fd);
    return whole;
}

static void settle(void)
{
    for (int i = 0; i < 20000 && atomic_load(&closed) < atomic_load(&opened); i++)
        usleep(500);
    assert_int_equal(atomic_load(&closed), atomic_load(&opened));
}

static void try_all(int error, bool passing)
{
    struct rig r;
    atomic_store(&opened, 0);
    atomic_store(&closed, 0);
    setenv("TIDEWIRE_FLUSH", "writev", 1);
    rig_begin(&r, 1);
    struct sock_listen_config config = {.on_accept = accept_echo};
    rig_listen(&r, config);
    rig_run(&r);
    int bystander = client_connect(r.port);
    client_send(bystander, "one", 3);
    assert_int_equal(client_read(bystander, in, 3), 3);
    bool reached = true;
    unsigned broken = 0;
    for (long n = 1; reached; n++) {
        atomic_store(&calls, 0);
        atomic_store(&fail_with, error);
        atomic_store(&fail_at, n);
        bool whole = converse(&r);
        reached = atomic_load(&calls) >= n;
        atomic_store(&fail_at, 0);
        if (passing)
            assert_true(whole);
        broken += !whole;
        client_send(bystander, "two", 3);
        assert_int_equal(client_read(bystander, in, 3), 3);
        assert_memory_equal(in, "two", 3);
    }
    assert_true(passing || broken > 0);
    close(bystander);
    settle();
    unsetenv("TIDEWIRE_FLUSH");
    rig_end(&r);
}

static void fill(void)
{
    for (size_t i = 0; i < BYTES; i++)
        out[i] = (uint8_t)(i * 17 + i / 253);
}

TEST(an_interrupted_call_costs_nothing)
{
    fill();
    try_all(EINTR, true);
}

TEST(a_broken_connection_breaks_alone)
{
    fill();
    try_all(ECONNRESET, false);
}

TEST(a_send_without_kernel_memory_is_tried_again)
{
    fill();
    struct rig r;
    atomic_store(&opened, 0);
    atomic_store(&closed, 0);
    rig_begin(&r, 1);
    struct sock_listen_config config = {.on_accept = accept_echo};
    rig_listen(&r, config);
    rig_run(&r);
    struct loop *l = loops_at(r.ls, 0);
    struct sock s = {.loop = l, .state = SOCK_OPEN, .writable = true};
    flush_result(&s, 10, -ENOBUFS);
    assert_true(s.writable);
    flush_result(&s, 10, -EAGAIN);
    assert_false(s.writable);
    assert_true(converse(&r));
    settle();
    rig_end(&r);
}
