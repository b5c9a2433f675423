/* SPDX-License-Identifier: Apache-2.0 */
/* Where listeners come from: the mode of a Unix socket, a descriptor from outside; and loops
 * that run beside the caller. */
#include "rig.h"
#include "loop/listen.c"

static size_t echo_input(struct sock *s, uint8_t *bytes, size_t n)
{
    sock_send(s, bytes, n);
    return n;
}
static const struct sock_ops echo_ops = {.on_input = echo_input};

static void accept_echo(struct sock *s, void *arg)
{
    (void)arg;
    sock_set_owner(s, &echo_ops, NULL);
}

static void echo_once(int fd)
{
    char in[4];
    client_send(fd, "ping", 4);
    assert_int_equal(client_read(fd, in, 4), 4);
    assert_memory_equal(in, "ping", 4);
}

TEST(a_unix_socket_gets_its_mode_and_goes_at_the_end)
{
    char path[64], address[80], err[200] = "";
    snprintf(path, sizeof(path), "/tmp/tw_listen_%d.sock", (int)getpid());
    snprintf(address, sizeof(address), "unix:%s", path);
    mode_t before = umask(022);
    struct rig r;
    rig_begin(&r, 2);
    struct sock_listen_config config = {
        .address = str_from(address), .unix_mode = 0660, .on_accept = accept_echo};
    for (unsigned i = 0; i < 2; i++)
        assert_non_null(r.listeners[i] =
                            sock_listen(loops_at(r.ls, i), &config, err, sizeof(err)));
    struct stat st;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0660);
    assert_int_equal(umask(before), 022);
    rig_run(&r);
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    memcpy(a.sun_path, path, strlen(path) + 1);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
    echo_once(fd);
    close(fd);
    rig_end(&r);
    assert_int_equal(stat(path, &st), -1);
}

TEST(an_inherited_descriptor_is_served_by_every_loop)
{
    char err[200] = "";
    struct sockaddr_in a = {.sin_family = AF_INET};
    socklen_t n = sizeof(a);
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int outer = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(outer, (struct sockaddr *)&a, n), 0);
    assert_int_equal(listen(outer, 16), 0);
    getsockname(outer, (struct sockaddr *)&a, &n);
    struct rig r;
    rig_begin(&r, 2);
    struct sock_listen_config config = {.address = STR("fd"), .on_accept = accept_echo};
    for (unsigned i = 0; i < 2; i++) {
        config.inherited_fd = fcntl(outer, F_DUPFD_CLOEXEC, 3);
        assert_non_null(r.listeners[i] =
                            sock_listen(loops_at(r.ls, i), &config, err, sizeof(err)));
        assert_int_equal(sock_listener_port(r.listeners[i]), ntohs(a.sin_port));
    }
    close(outer);
    rig_run(&r);
    for (int i = 0; i < 10; i++) {
        int fd = client_connect(ntohs(a.sin_port));
        echo_once(fd);
        close(fd);
    }
    rig_end(&r);
}

TEST(an_inherited_descriptor_must_listen)
{
    char err[200] = "";
    struct rig r;
    rig_begin(&r, 1);
    struct sock_listen_config config = {.address = STR("fd"), .on_accept = accept_echo};
    config.inherited_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_null(sock_listen(loops_at(r.ls, 0), &config, err, sizeof(err)));
    assert_string_equal(err, "cannot listen on fd: Socket operation on non-socket");
    close(config.inherited_fd);
    rig_end(&r);
}

TEST(started_loops_run_beside_the_caller)
{
    char err[200] = "";
    struct rig r;
    rig_begin(&r, 2);
    struct sock_listen_config config = {.address = STR("127.0.0.1:0"), .on_accept = accept_echo};
    r.listeners[0] = sock_listen(loops_at(r.ls, 0), &config, err, sizeof(err));
    loops_start(r.ls);
    int fd = client_connect(sock_listener_port(r.listeners[0]));
    echo_once(fd);
    loops_stop(r.ls);
    loops_join(r.ls);
    char c;
    assert_true(client_read(fd, &c, 1) <= 0);
    close(fd);
    rig_end(&r);
}
