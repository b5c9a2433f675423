/* SPDX-License-Identifier: Apache-2.0 */
/* Connections that change their loop in the middle of traffic. */
#include "rig.h"
#include "loop/move.c"

enum { LOOPS = 3, ROUNDS = 60, CLIENTS = 8 };
static atomic_int moves, opened, closed;

/* Lines; each is echoed with the loop's number in front, then the connection moves on. What
 * stands behind the line is handed over unread. */
static size_t hop_input(struct sock *s, uint8_t *bytes, size_t n);
static void hop_close(struct sock *s, int err)
{
    (void)s;
    (void)err;
    atomic_fetch_add(&closed, 1);
}
static const struct sock_ops hop_ops = {.on_input = hop_input, .on_close = hop_close};

static void arrived(struct sock *s, void *arg)
{
    assert_ptr_equal(sock_loop(s), loop_current());
    assert_ptr_equal(arg, &hop_ops);
    sock_set_owner(s, &hop_ops, NULL);
    atomic_fetch_add(&moves, 1);
}
static size_t hop_input(struct sock *s, uint8_t *bytes, size_t n)
{
    uint8_t *end = memchr(bytes, '\n', n);
    if (!end)
        return 0;
    size_t line = (size_t)(end - bytes) + 1;
    struct loop *l = sock_loop(s);
    struct segment *g = segment_new(l, line);
    memcpy(g->bytes, bytes, line);
    g->n = (uint32_t)line;
    sock_send_segment(s, g, 0, line);
    segment_unref(&g);
    struct loop *to = loops_at(loop_siblings(l), (loop_index(l) + 1) % LOOPS);
    sock_move(s, to, str_of((char *)bytes + line, n - line), arrived, (void *)&hop_ops);
    return 0; /* no longer asked */
}
static void accept_hop(struct sock *s, void *arg)
{
    (void)arg;
    atomic_fetch_add(&opened, 1);
    sock_set_owner(s, &hop_ops, NULL);
}

static void *client(void *arg)
{
    struct rig *r = arg;
    int fd = client_connect(r->port);
    char out[3000], in[3000];
    size_t n = 0;
    for (int i = 0; i < ROUNDS; i++) { /* several lines and a piece of the next at once */
        n = 0;
        for (int k = 0; k < 5; k++)
            n += (size_t)snprintf(out + n, sizeof(out) - n, "%d/%d %.*s\n", i, k, (i * k) % 200,
                                  "abcdefghijabcdefghijabcdefghijabcdefghijabcdefghijabcdefghij"
                                  "abcdefghijabcdefghijabcdefghijabcdefghijabcdefghijabcdefghij"
                                  "abcdefghijabcdefghijabcdefghijabcdefghijabcdefghijabcdefghij"
                                  "abcdefghijabcdefghij");
        size_t first = n / 2;
        client_send(fd, out, first);
        if (i % 4 == 0)
            usleep(300);
        client_send(fd, out + first, n - first);
        assert_int_equal(client_read(fd, in, n), n);
        assert_memory_equal(in, out, n);
    }
    close(fd);
    return NULL;
}

TEST(nothing_is_lost_when_connections_move_under_load)
{
    struct rig r;
    pthread_t clients[CLIENTS];
    atomic_store(&moves, 0);
    atomic_store(&opened, 0);
    atomic_store(&closed, 0);
    rig_begin(&r, LOOPS);
    struct sock_listen_config config = {.on_accept = accept_hop};
    rig_listen(&r, config);
    rig_run(&r);
    for (int i = 0; i < CLIENTS; i++)
        pthread_create(&clients[i], NULL, client, &r);
    for (int i = 0; i < CLIENTS; i++)
        pthread_join(clients[i], NULL);
    for (int i = 0; i < 10000 && atomic_load(&closed) < CLIENTS; i++)
        usleep(1000);
    assert_int_equal(atomic_load(&closed), CLIENTS); /* once each, moved or not */
    assert_int_equal(atomic_load(&moves), CLIENTS * ROUNDS * 5);
    rig_end(&r);
}

/* A queue that the kernel does not take at once travels with the connection. */
enum { BULK = 3000000 };
static void bulk_arrived(struct sock *s, void *arg)
{
    (void)arg;
    assert_int_equal(sock_position(s), BULK);
    sock_set_owner(s, &hop_ops, NULL);
    sock_send(s, "end", 3);
}
static size_t bulk_input(struct sock *s, uint8_t *bytes, size_t n)
{
    (void)bytes;
    (void)n;
    uint8_t *bulk = mem_new(BULK);
    for (size_t i = 0; i < BULK; i++)
        bulk[i] = (uint8_t)(i % 251);
    sock_send(s, bulk, BULK);
    mem_free(bulk);
    struct loop *l = sock_loop(s);
    sock_move(s, loops_at(loop_siblings(l), (loop_index(l) + 1) % LOOPS), STR_NONE, bulk_arrived,
              NULL);
    return 0;
}
static const struct sock_ops bulk_ops = {.on_input = bulk_input};
static void accept_bulk(struct sock *s, void *arg)
{
    (void)arg;
    sock_set_owner(s, &bulk_ops, NULL);
}

TEST(unsent_output_moves_along)
{
    struct rig r;
    rig_begin(&r, LOOPS);
    struct sock_listen_config config = {.on_accept = accept_bulk};
    rig_listen(&r, config);
    rig_run(&r);
    int fd = client_connect(r.port);
    client_send(fd, "x", 1);
    uint8_t *in = mem_new(BULK + 3);
    assert_int_equal(client_read(fd, in, BULK + 3), BULK + 3);
    for (size_t i = 0; i < BULK; i++)
        if (in[i] != i % 251)
            assert_int_equal(i, -1);
    assert_memory_equal(in + BULK, "end", 3);
    mem_free(in);
    close(fd);
    rig_end(&r);
}

/* Loops that stop while connections are in the mail. */
TEST(connections_on_the_way_at_the_end_are_closed)
{
    struct rig r;
    atomic_store(&opened, 0);
    atomic_store(&closed, 0);
    rig_begin(&r, LOOPS);
    struct sock_listen_config config = {.on_accept = accept_hop};
    rig_listen(&r, config);
    rig_run(&r);
    int fd[20];
    for (int i = 0; i < 20; i++) {
        fd[i] = client_connect(r.port);
        char lines[200];
        memset(lines, '\n', sizeof(lines));
        client_send(fd[i], lines, sizeof(lines));
    }
    rig_join(&r);
    assert_int_equal(atomic_load(&closed), atomic_load(&opened));
    for (int i = 0; i < 20; i++)
        close(fd[i]);
    rig_end(&r);
}
