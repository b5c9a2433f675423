/* SPDX-License-Identifier: Apache-2.0 */
/* TLS with a real client: echo, reload, limits of the handshake, positions, moving. */
#include "rig.h"
#include "base/err.h"
#include "loop/tls.c"
#include <openssl/pem.h>
#include <openssl/x509.h>

static char cert_file[100], key_file[100];
static atomic_int opened, closed, last_err;

/* A self-signed certificate for that name. */
static void make_cert(const char *name)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *x = X509_new();
    ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
    X509_gmtime_adj(X509_getm_notBefore(x), -60);
    X509_gmtime_adj(X509_getm_notAfter(x), 3600);
    X509_set_pubkey(x, key);
    X509_NAME *subject = X509_get_subject_name(x);
    X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC, (const unsigned char *)name, -1, -1, 0);
    X509_set_issuer_name(x, subject);
    assert_true(X509_sign(x, key, EVP_sha256()) > 0);
    snprintf(cert_file, sizeof(cert_file), "/tmp/tidewire-test-%d.crt", getpid());
    snprintf(key_file, sizeof(key_file), "/tmp/tidewire-test-%d.key", getpid());
    FILE *f = fopen(cert_file, "w");
    PEM_write_X509(f, x);
    fclose(f);
    f = fopen(key_file, "w");
    PEM_write_PrivateKey(f, key, NULL, NULL, 0, NULL, NULL);
    fclose(f);
    X509_free(x);
    EVP_PKEY_free(key);
}

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
static struct sock *watched;
static void accept_echo(struct sock *s, void *arg)
{
    watched = s;
    assert_true(sock_is_tls(s));
    atomic_fetch_add(&opened, 1);
    sock_set_owner(s, arg ? arg : &echo_ops, NULL);
}

struct secure {
    struct rig rig;
    struct tls_context *context;
    SSL_CTX *client;
};

static void begin(struct secure *t, unsigned loops, const struct sock_ops *ops, uint64_t ms)
{
    char err[200] = "";
    atomic_store(&opened, 0);
    atomic_store(&closed, 0);
    atomic_store(&last_err, 12345);
    make_cert("first.test");
    rig_begin(&t->rig, loops);
    t->context = tls_context_new(cert_file, key_file, err, sizeof(err));
    assert_non_null(t->context);
    struct sock_listen_config config = {
        .on_accept = accept_echo, .arg = (void *)ops, .tls = t->context, .tls_handshake_ms = ms};
    rig_listen(&t->rig, config);
    rig_run(&t->rig);
    t->client = SSL_CTX_new(TLS_client_method());
}

static void end(struct secure *t)
{
    rig_end(&t->rig);
    tls_context_free(&t->context);
    SSL_CTX_free(t->client);
    unlink(cert_file);
    unlink(key_file);
}

static SSL *dial(struct secure *t, int version)
{
    SSL *ssl = SSL_new(t->client);
    SSL_set_fd(ssl, client_connect(t->rig.port));
    SSL_set_max_proto_version(ssl, version);
    return ssl;
}

static void hang_up(SSL *ssl)
{
    int fd = SSL_get_fd(ssl);
    SSL_free(ssl);
    close(fd);
}

static void wait_for(atomic_int *v, int want)
{
    for (int i = 0; i < 20000 && atomic_load(v) < want; i++)
        usleep(1000);
    assert_true(atomic_load(v) >= want);
}

static void read_exactly(SSL *ssl, void *in, size_t n)
{
    for (size_t got = 0; got < n;) {
        int r = SSL_read(ssl, (char *)in + got, (int)(n - got));
        assert_true(r > 0);
        got += (size_t)r;
    }
}

static void echo_once(SSL *ssl, size_t n)
{
    char *out = malloc(n), *in = malloc(n);
    for (size_t i = 0; i < n; i++)
        out[i] = (char)(i * 11 + i / 255);
    assert_int_equal(SSL_write(ssl, out, (int)n), (int)n);
    read_exactly(ssl, in, n);
    assert_memory_equal(in, out, n);
    free(out);
    free(in);
}

static void expect_name(SSL *ssl, const char *name)
{
    char text[100] = "";
    X509 *x = SSL_get1_peer_certificate(ssl);
    X509_NAME_get_text_by_NID(X509_get_subject_name(x), NID_commonName, text, sizeof(text));
    X509_free(x);
    assert_string_equal(text, name);
}

TEST(bytes_come_back_over_tls_1_2_and_1_3)
{
    struct secure t;
    begin(&t, 2, NULL, 0);
    static const int versions[] = {TLS1_2_VERSION, TLS1_3_VERSION};
    for (int i = 0; i < 2; i++) {
        SSL *ssl = dial(&t, versions[i]);
        assert_int_equal(SSL_connect(ssl), 1);
        assert_int_equal(SSL_version(ssl), versions[i]);
        echo_once(ssl, 1);
        echo_once(ssl, 1000);
        echo_once(ssl, 50000);
        SSL_shutdown(ssl);
        char c;
        assert_int_equal(SSL_read(ssl, &c, 1), 0);
        assert_int_equal(SSL_get_error(ssl, 0), SSL_ERROR_ZERO_RETURN); /* close_notify */
        hang_up(ssl);
        wait_for(&closed, i + 1);
        assert_int_equal(atomic_load(&last_err), 0);
    }
    SSL *old = dial(&t, TLS1_1_VERSION);
    assert_true(SSL_connect(old) <= 0);
    hang_up(old);
    end(&t);
}

static size_t bulk_input(struct sock *s, uint8_t *bytes, size_t n)
{
    (void)bytes;
    for (int i = 0; i < 3000; i++) {
        char piece[1000];
        memset(piece, 'a' + i % 26, sizeof(piece));
        struct segment *g = segment_new(sock_loop(s), sizeof(piece));
        memcpy(g->bytes, piece, sizeof(piece));
        g->n = sizeof(piece);
        sock_send_segment(s, g, 0, g->n);
        segment_unref(&g);
    }
    assert_int_equal(sock_unsent(s), 3000000);
    return n;
}
static atomic_int drained;
static void note_drained(struct sock *s)
{
    (void)s;
    atomic_fetch_add(&drained, 1);
}
static const struct sock_ops bulk_ops = {
    .on_input = bulk_input, .on_close = note_close, .on_drained = note_drained};

static void look_pending(struct loop *l, void *arg)
{
    struct tls *tls = tls_of(watched);
    (void)l;
    *(size_t *)arg = tls->out_n - tls->out_at;
}

TEST(much_output_to_a_slow_reader_stays_whole_and_bounded)
{
    struct secure t;
    atomic_store(&drained, 0);
    begin(&t, 1, &bulk_ops, 0);
    SSL *ssl = dial(&t, TLS1_3_VERSION);
    assert_int_equal(SSL_connect(ssl), 1);
    assert_int_equal(SSL_write(ssl, "x", 1), 1);
    size_t pending = 0;
    for (int i = 0; i < 10000 && pending == 0; i++) { /* until the kernel takes no more */
        usleep(1000);
        rig_on_loop(&t.rig, 0, look_pending, &pending);
    }
    assert_in_range(pending, 1, CIPHER_BYTES_MAX + 2 * RECORD_PLAIN);
    char *in = malloc(3000000);
    read_exactly(ssl, in, 3000000);
    for (int i = 0; i < 3000000; i++)
        if (in[i] != 'a' + i / 1000 % 26)
            assert_int_equal(i, -1);
    wait_for(&drained, 1);
    free(in);
    hang_up(ssl);
    wait_for(&closed, 1);
    end(&t);
}

TEST(a_reload_serves_the_new_certificate_and_drops_nobody)
{
    struct secure t;
    char err[300] = "";
    begin(&t, 1, NULL, 0);
    SSL *before = dial(&t, TLS1_3_VERSION);
    assert_int_equal(SSL_connect(before), 1);
    expect_name(before, "first.test");
    make_cert("second.test");
    assert_true(tls_context_reload(t.context, err, sizeof(err)));
    SSL *after = dial(&t, TLS1_3_VERSION);
    assert_int_equal(SSL_connect(after), 1);
    expect_name(after, "second.test");
    echo_once(before, 100);
    echo_once(after, 100);
    FILE *f = fopen(cert_file, "w"); /* a broken file: the old one stays */
    fputs("nonsense", f);
    fclose(f);
    assert_false(tls_context_reload(t.context, err, sizeof(err)));
    assert_non_null(strstr(err, cert_file));
    SSL *still = dial(&t, TLS1_3_VERSION);
    assert_int_equal(SSL_connect(still), 1);
    expect_name(still, "second.test");
    hang_up(before);
    hang_up(after);
    hang_up(still);
    end(&t);
    assert_null(tls_context_new("/nowhere", "/nowhere", err, sizeof(err)));
    assert_non_null(strstr(err, "/nowhere"));
}

TEST(a_half_handshake_ends_at_the_deadline)
{
    struct secure t;
    char c;
    begin(&t, 1, NULL, 100);
    int silent = client_connect(t.rig.port), half = client_connect(t.rig.port);
    static const char hello[] = "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03";
    client_send(half, hello, sizeof(hello) - 1);
    assert_true(client_read(silent, &c, 1) <= 0);
    assert_true(client_read(half, &c, 1) <= 0);
    assert_int_equal(atomic_load(&opened), 0);
    close(silent);
    close(half);
    end(&t);
}

TEST(what_is_not_tls_is_refused)
{
    struct secure t;
    char in[100];
    begin(&t, 1, NULL, 0);
    int fd = client_connect(t.rig.port);
    client_send(fd, "GET / HTTP/1.1\r\nHost: x\r\n\r\n", 27);
    while (recv(fd, in, sizeof(in), 0) > 0)
        ;
    close(fd);
    SSL *ssl = dial(&t, TLS1_3_VERSION);
    assert_int_equal(SSL_connect(ssl), 1);
    echo_once(ssl, 10);
    client_send(SSL_get_fd(ssl), "garbage in the middle", 21);
    wait_for(&closed, 1);
    assert_int_equal(atomic_load(&last_err), E_PROTOCOL);
    hang_up(ssl);
    end(&t);
}

TEST(the_protocol_is_http_1_1_or_nothing)
{
    struct secure t;
    begin(&t, 1, NULL, 0);
    const unsigned char *name;
    unsigned n;
    SSL *ssl = dial(&t, TLS1_3_VERSION);
    SSL_set_alpn_protos(ssl, (const unsigned char *)"\x02h2\x08http/1.1", 12);
    assert_int_equal(SSL_connect(ssl), 1);
    SSL_get0_alpn_selected(ssl, &name, &n);
    assert_int_equal(n, 8);
    assert_memory_equal(name, "http/1.1", 8);
    hang_up(ssl);
    ssl = dial(&t, TLS1_3_VERSION);
    SSL_set_alpn_protos(ssl, (const unsigned char *)"\x02h2", 3);
    assert_true(SSL_connect(ssl) <= 0);
    hang_up(ssl);
    end(&t);
}

/* ---- positions ------------------------------------------------------------------------- */

static atomic_ullong acked_at_close;
static void acked_close(struct sock *s, int err)
{
    atomic_store(&acked_at_close, sock_acked(s));
    note_close(s, err);
}
static const struct sock_ops acked_ops = {.on_input = echo_input, .on_close = acked_close};
struct look {
    uint64_t acked, position;
};
static void look(struct loop *l, void *arg)
{
    struct look *k = arg;
    (void)l;
    k->acked = sock_acked(watched);
    k->position = sock_position(watched);
}

TEST(acknowledged_positions_are_plain_bytes)
{
    struct secure t;
    struct look k;
    begin(&t, 1, &acked_ops, 0);
    SSL *ssl = dial(&t, TLS1_3_VERSION);
    assert_int_equal(SSL_connect(ssl), 1);
    uint64_t sum = 0;
    for (int i = 0; i < 100; i++) { /* more records than marks */
        echo_once(ssl, (size_t)(i * 37 + 1));
        sum += (uint64_t)(i * 37 + 1);
    }
    usleep(100000);
    rig_on_loop(&t.rig, 0, look, &k);
    assert_int_equal(k.position, sum);
    assert_int_equal(k.acked, sum);
    client_reset(SSL_get_fd(ssl));
    SSL_free(ssl);
    wait_for(&closed, 1);
    assert_int_equal(atomic_load(&acked_at_close), sum);
    end(&t);
}

TEST(marks_never_promise_too_much)
{
    struct tls t = {0};
    struct sock_extra extra = {.tls = &t};
    struct sock s = {.watch.fd = -1, .extra = &extra};
    for (uint64_t i = 1; i <= 1000; i++) {
        t.plain_total = i * 100;
        t.cipher_total = i * 130;
        add_mark(&s, &t);
        assert_true(t.marks_count <= MARKS);
        assert_int_equal(mark_at(&t, t.marks_count - 1)->plain, i * 100);
        for (uint64_t acked = 0; acked <= i * 130; acked += 977)
            assert_true(tls_acked(&t, acked) <= acked / 130 * 100);
        assert_int_equal(tls_acked(&t, i * 130), i * 100);
    }
}

/* ---- moving ------------------------------------------------------------------------------ */

static size_t hop_input(struct sock *s, uint8_t *bytes, size_t n);
static const struct sock_ops hop_ops = {.on_input = hop_input, .on_close = note_close};
static void arrived(struct sock *s, void *arg)
{
    (void)arg;
    sock_set_owner(s, &hop_ops, NULL);
}
static size_t hop_input(struct sock *s, uint8_t *bytes, size_t n)
{
    struct loop *l = sock_loop(s);
    sock_send(s, bytes, 1);
    sock_move(s, loops_at(loop_siblings(l), (loop_index(l) + 1) % 3),
              str_of((char *)bytes + 1, n - 1), arrived, NULL);
    return 0;
}

TEST(a_tls_connection_moves_between_loops)
{
    struct secure t;
    begin(&t, 3, &hop_ops, 0);
    SSL *a = dial(&t, TLS1_3_VERSION), *b = dial(&t, TLS1_2_VERSION);
    assert_int_equal(SSL_connect(a), 1);
    assert_int_equal(SSL_connect(b), 1);
    for (int i = 0; i < 20; i++) {
        echo_once(a, 20);
        echo_once(b, 30);
    }
    hang_up(a);
    hang_up(b);
    wait_for(&closed, 2);
    end(&t);
}
