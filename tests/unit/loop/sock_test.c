/* SPDX-License-Identifier: Apache-2.0 */
/* Connections with real sockets: echo, partial input, pause, ends of all kinds. */
#include "rig.h"
#include "loop/sock.c"
#include <sys/ioctl.h>

static atomic_int opened, closed, last_err, drained;

static size_t echo_input(struct sock *s, uint8_t *bytes, size_t n)
{
    sock_send(s, bytes, n);
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
    atomic_fetch_add(&opened, 1);
    sock_set_owner(s, arg ? arg : &echo_ops, NULL);
}

static void begin(struct rig *r, unsigned loops, const struct sock_ops *ops)
{
    atomic_store(&opened, 0);
    atomic_store(&closed, 0);
    atomic_store(&drained, 0);
    atomic_store(&last_err, 12345);
    rig_begin(r, loops);
    struct sock_listen_config config = {.on_accept = accept_echo, .arg = (void *)ops};
    rig_listen(r, config);
    rig_run(r);
}

static void wait_for(atomic_int *v, int want)
{
    for (int i = 0; i < 20000 && atomic_load(v) < want; i++)
        usleep(1000);
    assert_true(atomic_load(v) >= want);
}

static void echo_once(int fd, size_t n)
{
    char *out = malloc(n), *in = malloc(n);
    for (size_t i = 0; i < n; i++)
        out[i] = (char)(i * 7 + i / 251);
    client_send(fd, out, n);
    assert_int_equal(client_read(fd, in, n), n);
    assert_memory_equal(out, in, n);
    free(out);
    free(in);
}

TEST(bytes_come_back_from_every_loop)
{
    struct rig r;
    begin(&r, 3, NULL);
    int fd[20];
    for (int i = 0; i < 20; i++)
        fd[i] = client_connect(r.port);
    for (int i = 0; i < 20; i++)
        echo_once(fd[i], 1000 + (size_t)i);
    for (int i = 0; i < 20; i++)
        close(fd[i]);
    wait_for(&closed, 20);
    assert_int_equal(atomic_load(&last_err), 0);
    rig_end(&r);
}

TEST(a_stopped_server_closes_every_connection)
{
    struct rig r;
    begin(&r, 2, NULL);
    int a = client_connect(r.port), b = client_connect(r.port);
    echo_once(a, 10);
    echo_once(b, 10);
    rig_join(&r);
    assert_int_equal(atomic_load(&closed), 2);
    char c;
    assert_true(client_read(a, &c, 1) <= 0);
    close(a);
    close(b);
    rig_end(&r);
}
