/* SPDX-License-Identifier: Apache-2.0 */
/* Connections with real sockets: echo, partial input, pause, ends of all kinds. */
#include "rig.h"
#include "base/err.h"
#include "loop/listen.c"
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

TEST(an_idle_connection_is_small)
{
    assert_true(sizeof(struct sock) <= 120); /* what malloc gives in 128 */
}

/* ---- input ---------------------------------------------------------------------------- */

/* Frames of 4 bytes length and a body; answers with the body's sum. */
static size_t framed_input(struct sock *s, uint8_t *bytes, size_t n)
{
    size_t used = 0;
    for (;;) {
        uint32_t length, sum = 0;
        if (n - used < 4)
            return used;
        memcpy(&length, bytes + used, 4);
        if (n - used - 4 < length)
            return used;
        for (uint32_t i = 0; i < length; i++)
            sum = sum * 31 + bytes[used + 4 + i];
        sock_send(s, &sum, 4);
        used += 4 + length;
    }
}
static const struct sock_ops framed_ops = {.on_input = framed_input, .on_close = note_close};

static void frame(char *at, uint32_t length, uint32_t *sum)
{
    memcpy(at, &length, 4);
    *sum = 0;
    for (uint32_t i = 0; i < length; i++) {
        at[4 + i] = (char)(i * 13 + length);
        *sum = *sum * 31 + (uint8_t)at[4 + i];
    }
}

TEST(partial_input_is_kept_whatever_its_size)
{
    static const uint32_t lengths[] = {0, 1,      100,   5000,  40000,  70000,
                                       3, 300000, 65532, 65536, 2000000};
    struct rig r;
    begin(&r, 1, &framed_ops);
    int fd = client_connect(r.port);
    char *all = malloc(3000000);
    size_t n = 0;
    uint32_t want[11], got[11];
    for (int i = 0; i < 11; i++) {
        frame(all + n, lengths[i], &want[i]);
        n += 4 + lengths[i];
    }
    for (size_t at = 0; at < n;) { /* pieces that cut frames in odd places */
        size_t piece = 1 + at % 7919 + (at > 100000 ? 60000 : 0);
        if (piece > n - at)
            piece = n - at;
        client_send(fd, all + at, piece);
        at += piece;
    }
    assert_int_equal(client_read(fd, got, sizeof(got)), sizeof(got));
    assert_memory_equal(got, want, sizeof(got));
    free(all);
    close(fd);
    wait_for(&closed, 1);
    rig_end(&r);
}

/* Takes one byte, then rests until the timer. */
struct sipper {
    struct timer timer;
    struct sock *s;
};
static void sip_on(struct loop *l, struct timer *t)
{
    (void)l;
    sock_resume(LIST_OF(t, struct sipper, timer)->s);
}
static size_t sip_input(struct sock *s, uint8_t *bytes, size_t n)
{
    struct sipper *p = sock_owner(s);
    (void)n;
    if (!p) {
        p = mem_new(sizeof(*p));
        p->s = s;
        sock_set_owner(s, s->ops, p);
    }
    sock_send(s, bytes, 1);
    sock_pause(s);
    timer_set(sock_loop(s), &p->timer, bytes[0] % 3, sip_on);
    return 1;
}
static void sip_close(struct sock *s, int err)
{
    struct sipper *p = sock_owner(s);
    if (p)
        timer_stop(&p->timer);
    mem_free(p);
    note_close(s, err);
}
static const struct sock_ops sip_ops = {.on_input = sip_input, .on_close = sip_close};

TEST(a_paused_reader_loses_nothing)
{
    struct rig r;
    begin(&r, 1, &sip_ops);
    int fd = client_connect(r.port);
    echo_once(fd, 300);
    close(fd);
    wait_for(&closed, 1);
    rig_end(&r);
}

/* More than one read a turn: the second connection must not wait for the first. */
TEST(large_input_is_read_in_slices)
{
    struct rig r;
    begin(&r, 1, &framed_ops);
    int fd = client_connect(r.port);
    char *body = malloc(8000004);
    uint32_t want, got;
    frame(body, 8000000, &want);
    client_send(fd, body, 8000004);
    assert_int_equal(client_read(fd, &got, 4), 4);
    assert_int_equal(got, want);
    free(body);
    close(fd);
    wait_for(&closed, 1);
    rig_end(&r);
}

/* ---- output --------------------------------------------------------------------------- */

enum { BLOB = 4000000 };
static uint8_t *blob;
static size_t blob_input(struct sock *s, uint8_t *bytes, size_t n)
{
    (void)bytes;
    for (size_t at = 0; at < BLOB;) { /* odd pieces, so that ranges and copies mix */
        size_t piece = 1 + at % 9973;
        if (piece > BLOB - at)
            piece = BLOB - at;
        struct segment *g = at % 3 ? segment_new(sock_loop(s), piece) : NULL;
        if (g) {
            memcpy(g->bytes, blob + at, piece);
            g->n = (uint32_t)piece;
            sock_send_segment(s, g, 0, piece);
            segment_unref(&g);
        } else {
            sock_send(s, blob + at, piece);
        }
        at += piece;
    }
    return n;
}
static void note_drained(struct sock *s)
{
    atomic_fetch_add(&drained, 1);
    assert_true(sock_unsent(s) < OUT_LOW_BYTES);
}
static const struct sock_ops blob_ops = {
    .on_input = blob_input, .on_close = note_close, .on_drained = note_drained};

static void small_buffer(struct sock *s, void *arg)
{
    int size = 4096;
    setsockopt(s->watch.fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
    atomic_fetch_add(&opened, 1);
    sock_set_owner(s, arg, NULL);
}

static void make_blob(void)
{
    blob = malloc(BLOB);
    for (size_t i = 0; i < BLOB; i++)
        blob[i] = (uint8_t)(i * 31 + i / 257);
}

TEST(short_writes_keep_the_stream_whole)
{
    struct rig r;
    make_blob();
    begin(&r, 1, &blob_ops);
    r.listeners[0]->config.on_accept = small_buffer;
    int fd = client_connect(r.port);
    client_send(fd, "x", 1);
    uint8_t *in = malloc(BLOB);
    for (size_t at = 0; at < BLOB;) { /* reads slowly at first */
        size_t want = at < 20000 ? 1000 : 100000;
        if (want > BLOB - at)
            want = BLOB - at;
        assert_int_equal(client_read(fd, in + at, want), want);
        at += want;
        if (at <= 20000)
            usleep(1000);
    }
    assert_memory_equal(in, blob, BLOB);
    wait_for(&drained, 1);
    free(in);
    free(blob);
    close(fd);
    wait_for(&closed, 1);
    rig_end(&r);
}

struct look {
    size_t ranges, unsent;
    uint64_t position;
};
static size_t extend_input(struct sock *s, uint8_t *bytes, size_t n)
{
    struct segment *g = segment_new(sock_loop(s), 100);
    (void)bytes;
    memcpy(g->bytes, "abcdefghij", 10);
    g->n = 10;
    sock_send_segment(s, g, 0, 3);
    sock_send_segment(s, g, 3, 3);
    assert_false(s->is_ring);
    assert_int_equal(s->one.n, 6);
    assert_int_equal(g->refs, 2);
    sock_send_segment(s, g, 8, 2); /* a gap: a second range */
    assert_int_equal(s->more->count, 2);
    assert_int_equal(g->refs, 3);
    sock_send(s, "12", 2);
    sock_send(s, "345", 3); /* grows the private segment */
    assert_int_equal(s->more->count, 3);
    sock_send_segment(s, g, 0, 1);
    sock_send(s, "6", 1);
    assert_int_equal(s->more->count, 5);
    assert_int_equal(sock_unsent(s), 15);
    assert_int_equal(sock_position(s), 15);
    assert_false(sock_is_drained(s));
    segment_unref(&g);
    return n;
}
static const struct sock_ops extend_ops = {.on_input = extend_input, .on_close = note_close};

TEST(adjoining_ranges_become_one_and_copies_grow)
{
    struct rig r;
    char in[15];
    begin(&r, 1, &extend_ops);
    int fd = client_connect(r.port);
    client_send(fd, "x", 1);
    assert_int_equal(client_read(fd, in, 15), 15);
    assert_memory_equal(in, "abcdefij12345a6", 15);
    close(fd);
    wait_for(&closed, 1);
    rig_end(&r);
}

/* ---- ends ----------------------------------------------------------------------------- */

TEST(a_reset_is_told_as_an_error)
{
    struct rig r;
    begin(&r, 1, NULL);
    int fd = client_connect(r.port);
    echo_once(fd, 10);
    client_reset(fd);
    wait_for(&closed, 1);
    assert_int_equal(atomic_load(&last_err), E_CLOSED);
    rig_end(&r);
}

TEST(a_half_closed_peer_still_gets_what_was_queued)
{
    struct rig r;
    begin(&r, 1, NULL);
    int fd = client_connect(r.port);
    char *out = malloc(500000), *in = malloc(500000);
    memset(out, 'q', 500000);
    int size = 600000;
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
    client_send(fd, out, 500000);
    shutdown(fd, SHUT_WR);
    assert_int_equal(client_read(fd, in, 500000), 500000);
    assert_memory_equal(in, out, 500000);
    assert_int_equal(client_read(fd, in, 1), 0); /* then the end, not a reset */
    free(out);
    free(in);
    close(fd);
    wait_for(&closed, 1);
    assert_int_equal(atomic_load(&last_err), 0);
    rig_end(&r);
}

static size_t goodbye_input(struct sock *s, uint8_t *bytes, size_t n)
{
    (void)bytes;
    sock_send(s, "goodbye", 7);
    sock_close(s, 5000);
    assert_true(sock_is_closing(s));
    sock_send(s, "ignored", 7);
    return n / 2; /* whatever: it is over */
}
static const struct sock_ops goodbye_ops = {.on_input = goodbye_input, .on_close = note_close};

TEST(closing_waits_for_the_peer_that_is_still_sending)
{
    struct rig r;
    char in[20] = "";
    begin(&r, 1, &goodbye_ops);
    int fd = client_connect(r.port);
    char *much = calloc(1, 300000);
    client_send(fd, much, 300000); /* unread bytes would turn the close into a reset */
    usleep(30000);
    client_send(fd, much, 300000);
    assert_int_equal(client_read(fd, in, sizeof(in)), 7);
    assert_string_equal(in, "goodbye");
    assert_int_equal(atomic_load(&closed), 0);
    close(fd);
    wait_for(&closed, 1);
    assert_int_equal(atomic_load(&last_err), 0);
    free(much);
    rig_end(&r);
}

static size_t brief_input(struct sock *s, uint8_t *bytes, size_t n)
{
    sock_send(s, bytes, n);
    sock_close(s, bytes[0] == '0' ? 0 : 30);
    return n;
}
static const struct sock_ops brief_ops = {.on_input = brief_input, .on_close = note_close};

TEST(closing_does_not_wait_longer_than_told)
{
    struct rig r;
    begin(&r, 1, &brief_ops);
    int a = client_connect(r.port), b = client_connect(r.port);
    char in[2];
    client_send(a, "0", 1);
    client_send(b, "1", 1);
    wait_for(&closed, 2); /* neither peer has closed */
    assert_int_equal(client_read(a, in, 2), 1);
    assert_int_equal(client_read(b, in, 2), 1);
    close(a);
    close(b);
    rig_end(&r);
}

static size_t abort_input(struct sock *s, uint8_t *bytes, size_t n)
{
    sock_send(s, bytes, n);
    int before = atomic_load(&closed);
    sock_abort(s, E_PROTOCOL);
    sock_abort(s, E_TIMEOUT); /* harmless */
    sock_close(s, 5);
    assert_int_equal(atomic_load(&closed), before); /* told later */
    return n;
}
static const struct sock_ops abort_ops = {.on_input = abort_input, .on_close = note_close};

TEST(aborting_inside_input_resets_and_tells_later)
{
    struct rig r;
    char c;
    begin(&r, 1, &abort_ops);
    int fd = client_connect(r.port);
    client_send(fd, "x", 1);
    assert_int_equal(client_read(fd, &c, 1), -1);
    wait_for(&closed, 1);
    assert_int_equal(atomic_load(&last_err), E_PROTOCOL);
    close(fd);
    rig_end(&r);
}

static void abort_drained(struct sock *s)
{
    atomic_fetch_add(&drained, 1);
    sock_abort(s, E_SLOW_CONSUMER);
}
static const struct sock_ops drained_ops = {
    .on_input = blob_input, .on_close = note_close, .on_drained = abort_drained};

TEST(aborting_inside_drained_is_safe)
{
    struct rig r;
    make_blob();
    begin(&r, 1, &drained_ops);
    r.listeners[0]->config.on_accept = small_buffer;
    int fd = client_connect(r.port);
    client_send(fd, "x", 1);
    char *in = malloc(BLOB);
    while (recv(fd, in, BLOB, 0) > 0)
        ;
    wait_for(&closed, 1);
    assert_int_equal(atomic_load(&last_err), E_SLOW_CONSUMER);
    assert_int_equal(atomic_load(&drained), 1);
    free(in);
    free(blob);
    close(fd);
    rig_end(&r);
}

/* The owner of one closes the other from inside on_close; both are in one graveyard. */
static struct sock *pair[2];
static void pair_close(struct sock *s, int err)
{
    struct sock *mate = s == pair[0] ? pair[1] : pair[0];
    pair[s == pair[1]] = NULL;
    if (mate)
        sock_abort(mate, 0);
    note_close(s, err);
}
static size_t pair_input(struct sock *s, uint8_t *bytes, size_t n)
{
    sock_send(s, bytes, n);
    return n;
}
static const struct sock_ops pair_ops = {.on_input = pair_input, .on_close = pair_close};
static void accept_pair(struct sock *s, void *arg)
{
    (void)arg;
    pair[pair[0] != NULL] = s;
    sock_set_owner(s, &pair_ops, NULL);
}

TEST(closing_another_inside_close_is_safe)
{
    struct rig r;
    begin(&r, 1, NULL);
    r.listeners[0]->config.on_accept = accept_pair;
    int a = client_connect(r.port), b = client_connect(r.port);
    echo_once(a, 3);
    echo_once(b, 3);
    close(a);
    wait_for(&closed, 2);
    close(b);
    rig_end(&r);
}

/* ---- what the peer has ----------------------------------------------------------------- */

static struct sock *watched;
static atomic_ullong acked_at_close;
static void acked_close(struct sock *s, int err)
{
    atomic_store(&acked_at_close, sock_acked(s));
    note_close(s, err);
}
static const struct sock_ops acked_ops = {.on_input = echo_input, .on_close = acked_close};
static void accept_acked(struct sock *s, void *arg)
{
    watched = s;
    sock_set_owner(s, arg, NULL);
}
static void read_acked(struct loop *l, void *arg)
{
    (void)l;
    *(uint64_t *)arg = sock_acked(watched);
}
static void send_more(struct loop *l, void *arg)
{
    (void)l;
    sock_send(watched, arg, strlen(arg));
}

TEST(acknowledged_bytes_are_known_also_after_a_reset)
{
    struct rig r;
    uint64_t acked;
    begin(&r, 1, &acked_ops);
    r.listeners[0]->config.on_accept = accept_acked;
    int fd = client_connect(r.port);
    usleep(20000);
    rig_on_loop(&r, 0, read_acked, &acked);
    assert_int_equal(acked, 0); /* no SYN of ours is counted */
    echo_once(fd, 1000);
    usleep(100000); /* a delayed acknowledgement */
    rig_on_loop(&r, 0, read_acked, &acked);
    assert_int_equal(acked, 1000);
    client_reset(fd);
    wait_for(&closed, 1);
    assert_int_equal(atomic_load(&acked_at_close), 1000);

    atomic_store(&closed, 0); /* an orderly end: our FIN is no byte of the stream */
    fd = client_connect(r.port);
    echo_once(fd, 77);
    rig_on_loop(&r, 0, send_more, "more");
    usleep(50000);
    close(fd); /* "more" unread: the kernel had it, the program did not */
    wait_for(&closed, 1);
    assert_int_equal(atomic_load(&acked_at_close), 81);
    rig_end(&r);
}

/* ---- names and connecting --------------------------------------------------------------- */

struct dial {
    struct rig *rig;
    const char *host;
    unsigned port;
    int err;
    char peer[64], address[64];
    uint64_t acked;
    sem_t done;
    struct sock *s;
};
static size_t dial_input(struct sock *s, uint8_t *bytes, size_t n)
{
    struct dial *d = sock_owner(s);
    assert_memory_equal(bytes, "ping", n);
    struct str peer = sock_peer(s), address = sock_peer_address(s);
    memcpy(d->peer, peer.p, peer.n);
    memcpy(d->address, address.p, address.n);
    d->acked = sock_acked(s);
    sock_close(s, 1000);
    sem_post(&d->done);
    return n;
}
static const struct sock_ops dial_ops = {.on_input = dial_input};
static void dial_ready(struct sock *s, int err, void *arg)
{
    struct dial *d = arg;
    d->err = err;
    if (err) {
        assert_null(s);
        sem_post(&d->done);
        return;
    }
    sock_set_owner(s, &dial_ops, d);
    sock_send(s, "ping", 4);
}
static void dial_begin(struct loop *l, void *arg)
{
    struct dial *d = arg;
    sock_connect(l, d->host, d->port, dial_ready, d);
}
static void dial(struct dial *d, const char *host, unsigned port)
{
    memset(d->peer, 0, sizeof(d->peer));
    memset(d->address, 0, sizeof(d->address));
    d->host = host;
    d->port = port;
    d->err = 1;
    rig_on_loop(d->rig, 0, dial_begin, d);
    while (sem_wait(&d->done) != 0)
        ;
}

TEST(outgoing_connections_reach_addresses_and_names)
{
    struct rig r;
    char want[64];
    begin(&r, 2, NULL);
    struct dial d = {.rig = &r};
    sem_init(&d.done, 0, 0);
    snprintf(want, sizeof(want), "127.0.0.1:%u", r.port);
    dial(&d, "127.0.0.1", r.port);
    assert_int_equal(d.err, 0);
    assert_string_equal(d.peer, want);
    assert_string_equal(d.address, "127.0.0.1");
    assert_int_equal(d.acked, 4); /* our SYN is not a byte */
    dial(&d, "localhost", r.port);
    assert_int_equal(d.err, 0);
    dial(&d, "localhost.localdomain.invalid", r.port);
    assert_int_equal(d.err, E_UNAVAILABLE);
    dial(&d, "127.0.0.1", 1);
    assert_int_equal(d.err, E_UNAVAILABLE);
    dial(&d, "", 1);
    assert_int_equal(d.err, E_UNAVAILABLE);
    sem_destroy(&d.done);
    rig_end(&r);
}

static void dial_stop(struct loop *l, void *arg)
{
    dial_begin(l, arg);
    loops_stop(loop_siblings(l));
}

TEST(a_connection_under_way_at_the_end_is_told)
{
    struct rig r;
    begin(&r, 1, NULL);
    struct dial d = {.rig = &r, .host = "some.name.invalid", .port = 9};
    sem_init(&d.done, 0, 0);
    rig_on_loop(&r, 0, dial_stop, &d);
    rig_join(&r);
    assert_int_equal(sem_trywait(&d.done), 0);
    assert_true(d.err == E_CLOSED || d.err == E_UNAVAILABLE);
    sem_destroy(&d.done);
    rig_end(&r);
}
