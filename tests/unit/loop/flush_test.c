/* SPDX-License-Identifier: Apache-2.0 */
/* The batch, both ways: many connections written in one turn, some of them slow, tiny-buffered
 * or gone. Every reader must see its own stream whole. */
#include "rig.h"
#include "loop/flush.c"

enum { PEERS = 96, TURNS = 120, MESSAGE_MAX = 3000 };

struct peer {
    struct sock *s;
    bool gone;
};
static struct peer peers[PEERS];
static int peers_count;
static atomic_int closed;

static size_t ignore_input(struct sock *s, uint8_t *bytes, size_t n)
{
    (void)s;
    (void)bytes;
    return n;
}
static void peer_close(struct sock *s, int err)
{
    struct peer *p = sock_owner(s);
    (void)err;
    p->gone = true;
    atomic_fetch_add(&closed, 1);
}
static const struct sock_ops peer_ops = {.on_input = ignore_input, .on_close = peer_close};

static void accept_peer(struct sock *s, void *arg)
{
    int size = 4096;
    (void)arg;
    assert_true(peers_count < PEERS);
    struct peer *p = &peers[peers_count];
    if (peers_count % 3 == 0) /* the kernel soon takes only part of what is offered */
        setsockopt(s->watch.fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
    p->s = s;
    p->gone = false;
    sock_set_owner(s, &peer_ops, p);
    peers_count++;
}

/* Turn t: one shared segment of three messages; each peer gets the first and third (two
 * ranges), every second one all three (one range), and some a private copy behind. All peers of
 * a parity see the same bytes. */
static size_t message(int turn, int k, uint8_t *out)
{
    size_t n = 1 + (size_t)(turn * 37 + k * 911) % MESSAGE_MAX;
    for (size_t i = 0; i < n; i++)
        out[i] = (uint8_t)(turn + k * 3 + (int)i);
    return n;
}

static size_t expected(int parity, uint8_t *out)
{
    size_t n = 0;
    for (int turn = 0; turn < TURNS; turn++) {
        n += message(turn, 0, out + n);
        if (parity)
            n += message(turn, 1, out + n);
        n += message(turn, 2, out + n);
        if (turn % 5 == 0)
            out[n++] = 'p';
    }
    return n;
}

static void publish(struct loop *l, void *arg)
{
    int turn = *(int *)arg;
    struct segment *g = segment_new(l, 3 * MESSAGE_MAX);
    size_t n[3];
    for (int k = 0; k < 3; k++) {
        n[k] = message(turn, k, g->bytes + g->n);
        g->n += (uint32_t)n[k];
    }
    for (int i = 0; i < peers_count; i++) {
        if (peers[i].gone)
            continue;
        sock_send_segment(peers[i].s, g, 0, n[0]);
        if (i % 2)
            sock_send_segment(peers[i].s, g, n[0], n[1]);
        sock_send_segment(peers[i].s, g, n[0] + n[1], n[2]);
        if (turn % 5 == 0)
            sock_send(peers[i].s, "p", 1);
    }
    segment_unref(&g);
}

struct reader {
    int fd, index;
    size_t want, got;
    uint8_t *expected;
    bool wrong;
};
static void *read_stream(void *arg)
{
    struct reader *r = arg;
    uint8_t in[8192];
    while (r->got < r->want) {
        ssize_t n = recv(r->fd, in, r->index % 7 == 0 ? 512 : sizeof(in), 0);
        if (n <= 0)
            break;
        if (r->got + (size_t)n > r->want || memcmp(in, r->expected + r->got, (size_t)n) != 0)
            r->wrong = true;
        r->got += (size_t)n;
        if (r->index % 7 == 0 && r->got < 20000)
            usleep(500);
    }
    return NULL;
}

static char backend[20];
static void ask_backend(struct loop *l, void *arg)
{
    (void)arg;
    snprintf(backend, sizeof(backend), "%s", flush_backend(l));
}

static void ask_count(struct loop *l, void *arg)
{
    (void)l;
    *(int *)arg = peers_count;
}

static void check_streams(void)
{
    struct rig r;
    struct reader readers[PEERS];
    pthread_t threads[PEERS];
    uint8_t *want[2];
    size_t n[2];
    peers_count = 0;
    atomic_store(&closed, 0);
    for (int parity = 0; parity < 2; parity++) {
        want[parity] = mem_new(TURNS * 3 * (MESSAGE_MAX + 1));
        n[parity] = expected(parity, want[parity]);
    }
    rig_begin(&r, 1);
    struct sock_listen_config config = {.on_accept = accept_peer};
    rig_listen(&r, config);
    rig_run(&r);
    rig_on_loop(&r, 0, ask_backend, NULL);
    for (int i = 0; i < PEERS; i++) { /* one after the other: accepted in this order */
        readers[i] = (struct reader){
            .fd = client_connect(r.port), .index = i, .want = n[i % 2], .expected = want[i % 2]};
        for (int count = 0; count <= i;)
            rig_on_loop(&r, 0, ask_count, &count);
    }
    for (int i = 0; i < PEERS; i++)
        pthread_create(&threads[i], NULL, read_stream, &readers[i]);
    for (int turn = 0; turn < TURNS; turn++) {
        rig_on_loop(&r, 0, publish, &turn);
        if (turn == TURNS / 2) /* two leave in the middle, one rudely */
            for (int i = 4; i < 6; i++)
                shutdown(readers[i].fd, SHUT_RDWR);
    }
    for (int i = 0; i < PEERS; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < PEERS; i++) {
        assert_false(readers[i].wrong);
        if (i != 4 && i != 5)
            assert_int_equal(readers[i].got, readers[i].want);
        close(readers[i].fd);
    }
    while (atomic_load(&closed) < PEERS)
        usleep(1000);
    rig_end(&r);
    mem_free(want[0]);
    mem_free(want[1]);
}

TEST(streams_are_whole_when_written_one_by_one)
{
    setenv("TIDEWIRE_FLUSH", "writev", 1);
    check_streams();
    assert_string_equal(backend, "writev");
    unsetenv("TIDEWIRE_FLUSH");
}

TEST(streams_are_whole_when_written_through_the_ring)
{
    unsetenv("TIDEWIRE_FLUSH");
    check_streams();
    if (strcmp(backend, "io_uring") != 0)
        skip(); /* this kernel or container forbids it */
}

TEST(a_sock_that_dies_while_marked_is_forgotten)
{
    struct rig r;
    rig_begin(&r, 1);
    struct loop *l = loops_at(r.ls, 0);
    struct sock a = {.loop = l, .state = SOCK_OPEN}, b = a, c = a;
    flush_mark(&a);
    flush_mark(&b);
    flush_mark(&b);
    flush_mark(&c);
    assert_int_equal(l->flush.count, 3);
    flush_forget(&a);
    flush_forget(&a);
    assert_int_equal(l->flush.count, 2);
    assert_false(a.dirty);
    flush_forget(&c);
    assert_ptr_equal(l->flush.dirty[0], &b);
    flush_forget(&b);
    rig_end(&r);
}
