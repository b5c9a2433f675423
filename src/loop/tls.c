/* SPDX-License-Identifier: Apache-2.0 */
/* TLS by OpenSSL, which never touches the descriptor: a BIO of ours reads from the bytes just
 * received and writes to a buffer that flush.c sends. So an idle connection holds no buffers
 * besides OpenSSL's own (released between records), and both ways of flushing work the same.
 *
 * Positions: the peer acknowledges encrypted bytes, the owner counts plain ones. Each record
 * leaves a mark (plain total, cipher total); what lies behind the last acknowledged mark cannot
 * have been decrypted by the peer.
 *
 * Reload makes a new SSL_CTX for new handshakes; open connections keep the old by reference. */
#include "loop/sock_priv.h"
#include "loop/acked.h"
#include "base/check.h"
#include "base/err.h"
#include "base/mem.h"
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>

enum { MARKS = 32, RECORD_PLAIN = 16384, CIPHER_FIRST = 1024 };

struct mark {
    uint64_t plain, cipher;
};

struct tls {
    SSL *ssl;
    const uint8_t *in; /* while tls_read runs */
    size_t in_n;
    uint8_t *out;
    size_t out_at, out_n, out_capacity;
    uint64_t plain_total;  /* encrypted so far */
    uint64_t cipher_total; /* of all records, handshake included */
    struct mark marks[MARKS];
    unsigned marks_first, marks_count;
    bool ended;
};

struct tls_context {
    pthread_mutex_t lock;
    SSL_CTX *ctx;
    char *cert_file, *key_file;
};

/* ---- our BIO ------------------------------------------------------------------------- */

static int bio_read(BIO *bio, char *to, int n)
{
    struct tls *t = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (t->in_n == 0) {
        BIO_set_retry_read(bio);
        return -1;
    }
    size_t take = (size_t)n < t->in_n ? (size_t)n : t->in_n;
    memcpy(to, t->in, take);
    t->in += take;
    t->in_n -= take;
    return (int)take;
}

static bool reserve(struct tls *t, size_t more)
{
    if (t->out_capacity - t->out_n >= more)
        return true;
    size_t capacity = t->out_capacity ? t->out_capacity * 2 : CIPHER_FIRST;
    while (capacity - t->out_n < more)
        capacity *= 2;
    uint8_t *out = mem_try_resize(t->out, capacity);
    if (!out)
        return false;
    t->out = out;
    t->out_capacity = capacity;
    return true;
}

static int bio_write(BIO *bio, const char *from, int n)
{
    struct tls *t = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (n <= 0 || !reserve(t, (size_t)n))
        return -1;
    memcpy(t->out + t->out_n, from, (size_t)n);
    t->out_n += (size_t)n;
    t->cipher_total += (uint64_t)n;
    return n;
}

static long bio_ctrl(BIO *bio, int command, long larg, void *parg)
{
    (void)bio;
    (void)larg;
    (void)parg;
    return command == BIO_CTRL_FLUSH;
}

static BIO_METHOD *bio_method;
static pthread_once_t bio_once = PTHREAD_ONCE_INIT;

static void make_bio_method(void)
{
    bio_method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "tidewire");
    CHECK(bio_method);
    BIO_meth_set_read(bio_method, bio_read);
    BIO_meth_set_write(bio_method, bio_write);
    BIO_meth_set_ctrl(bio_method, bio_ctrl);
}

/* ---- certificates --------------------------------------------------------------------- */

/* The protocols a client offers hold ours, or the handshake fails with a clear alert. */
static int choose_protocol(SSL *ssl, const unsigned char **out, unsigned char *out_n,
                           const unsigned char *in, unsigned int in_n, void *arg)
{
    static const unsigned char ours[] = "\x08http/1.1";
    (void)ssl;
    (void)arg;
    if (SSL_select_next_proto((unsigned char **)(uintptr_t)out, out_n, ours, sizeof(ours) - 1, in,
                              in_n) == OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_OK;
    return SSL_TLSEXT_ERR_ALERT_FATAL;
}

static bool say(char *err, size_t err_size, const char *what, const char *file)
{
    unsigned long e = ERR_peek_error();
    const char *reason = e ? ERR_reason_error_string(e) : NULL;
    snprintf(err, err_size, "%s %s: %s", what, file, reason ? reason : "not usable");
    ERR_clear_error();
    return false;
}

static bool load(SSL_CTX *ctx, const struct tls_context *t, char *err, size_t err_size)
{
    ERR_clear_error();
    if (SSL_CTX_use_certificate_chain_file(ctx, t->cert_file) != 1)
        return say(err, err_size, "certificate", t->cert_file);
    if (SSL_CTX_use_PrivateKey_file(ctx, t->key_file, SSL_FILETYPE_PEM) != 1)
        return say(err, err_size, "private key", t->key_file);
    if (SSL_CTX_check_private_key(ctx) != 1)
        return say(err, err_size, "private key", t->key_file);
    return true;
}

static SSL_CTX *make_ctx(const struct tls_context *t, char *err, size_t err_size)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());
    CHECK(ctx);
    SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
    SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                 SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF); /* tickets: no memory of ours */
    SSL_CTX_set_session_id_context(ctx, (const unsigned char *)"tidewire", 8);
    SSL_CTX_set_alpn_select_cb(ctx, choose_protocol, NULL);
    if (load(ctx, t, err, err_size))
        return ctx;
    SSL_CTX_free(ctx);
    return NULL;
}

struct tls_context *tls_context_new(const char *cert_file, const char *key_file, char *err,
                                    size_t err_size)
{
    pthread_once(&bio_once, make_bio_method);
    struct tls_context *t = mem_new(sizeof(*t));
    pthread_mutex_init(&t->lock, NULL);
    t->cert_file = str_dup(str_from(cert_file));
    t->key_file = str_dup(str_from(key_file));
    t->ctx = make_ctx(t, err, err_size);
    if (!t->ctx)
        tls_context_free(&t);
    return t;
}

bool tls_context_reload(struct tls_context *t, char *err, size_t err_size)
{
    SSL_CTX *ctx = make_ctx(t, err, err_size);
    if (!ctx)
        return false;
    pthread_mutex_lock(&t->lock);
    SSL_CTX *old = t->ctx;
    t->ctx = ctx;
    pthread_mutex_unlock(&t->lock);
    SSL_CTX_free(old);
    return true;
}

void tls_context_free(struct tls_context **context)
{
    struct tls_context *t = *context;
    *context = NULL;
    if (!t)
        return;
    SSL_CTX_free(t->ctx);
    pthread_mutex_destroy(&t->lock);
    mem_free(t->cert_file);
    mem_free(t->key_file);
    mem_free(t);
}

/* ---- one connection ------------------------------------------------------------------- */

static void on_handshake_late(struct loop *l, struct timer *timer)
{
    (void)l;
    sock_abort(LIST_OF(timer, struct sock_extra, timer)->sock, E_TIMEOUT);
}

static SSL *new_ssl(struct tls_context *context)
{
    pthread_mutex_lock(&context->lock);
    SSL *ssl = SSL_new(context->ctx); /* takes a reference of its own */
    pthread_mutex_unlock(&context->lock);
    return ssl;
}

bool tls_begin(struct sock *s, struct tls_context *context)
{
    struct tls *t = mem_new(sizeof(*t));
    t->ssl = new_ssl(context);
    BIO *bio = t->ssl ? BIO_new(bio_method) : NULL;
    if (!bio) {
        tls_free(&t);
        return false;
    }
    BIO_set_data(bio, t);
    BIO_set_init(bio, 1);
    SSL_set_bio(t->ssl, bio, bio);
    SSL_set_accept_state(t->ssl);
    struct sock_extra *extra = sock_need_extra(s);
    extra->tls = t;
    timer_set(s->loop, &extra->timer, listen_handshake_ms(s->listener), on_handshake_late);
    return true;
}

bool tls_is_ready(const struct tls *t)
{
    return SSL_is_init_finished(t->ssl);
}

/* < 0 = broken, 0 = nothing more in what has been received. */
static int explain(struct tls *t, int result)
{
    switch (SSL_get_error(t->ssl, result)) {
    case SSL_ERROR_WANT_READ:
        return 0;
    case SSL_ERROR_ZERO_RETURN:
        t->ended = true;
        return 0;
    default:
        ERR_clear_error();
        return E_PROTOCOL;
    }
}

long tls_read(struct sock *s, const uint8_t *cipher, size_t n, uint8_t *out, size_t room)
{
    struct tls *t = tls_of(s);
    long got = 0;
    int e = 0;
    t->in = cipher;
    t->in_n = n;
    ERR_clear_error();
    for (;;) {
        int r = SSL_read(t->ssl, out + got, (int)(room - (size_t)got)); /* handshakes, too */
        if (r <= 0) {
            e = explain(t, r);
            break;
        }
        got += r;
    }
    CHECK(e < 0 || t->ended || t->in_n == 0);
    t->in = NULL;
    t->in_n = 0;
    return e < 0 ? e : got;
}

bool tls_ended(const struct sock *s)
{
    return tls_of(s)->ended;
}

static struct mark *mark_at(struct tls *t, unsigned i)
{
    return &t->marks[(t->marks_first + i) % MARKS];
}

static void forget_acked(struct tls *t, uint64_t acked)
{
    while (t->marks_count > 1 && mark_at(t, 1)->cipher <= acked) {
        t->marks_first = (t->marks_first + 1) % MARKS;
        t->marks_count--;
    }
}

/* More records in flight than marks: keep every second, the newest always. */
static void thin_out(struct tls *t)
{
    struct mark kept[MARKS];
    unsigned n = 0;
    for (unsigned i = t->marks_count % 2; i < t->marks_count; i += 2)
        kept[n++] = *mark_at(t, i + 1 < t->marks_count ? i + 1 : i);
    memcpy(t->marks, kept, n * sizeof(kept[0]));
    t->marks_first = 0;
    t->marks_count = n;
}

static void add_mark(struct sock *s, struct tls *t)
{
    if (t->marks_count == MARKS)
        forget_acked(t, acked_bytes(s->watch.fd));
    if (t->marks_count == MARKS)
        thin_out(t);
    *mark_at(t, t->marks_count++) = (struct mark){t->plain_total, t->cipher_total};
}

uint64_t tls_acked(const struct tls *tls, uint64_t acked)
{
    struct tls *t = (struct tls *)tls; /* mark_at does not change it */
    uint64_t plain = 0;
    for (unsigned i = 0; i < t->marks_count && mark_at(t, i)->cipher <= acked; i++)
        plain = mark_at(t, i)->plain;
    return plain;
}

/* One record's worth of the queue; small ranges are gathered first. */
static bool encrypt_some(struct sock *s, struct tls *t)
{
    struct iovec iov[OUT_IOV_MAX];
    size_t all;
    size_t count = sock_out_plain(s, iov, OUT_IOV_MAX, &all);
    if (count == 0)
        return false;
    const void *from = iov[0].iov_base;
    size_t n = iov[0].iov_len < RECORD_PLAIN ? iov[0].iov_len : RECORD_PLAIN;
    if (count > 1 && n < RECORD_PLAIN) {
        struct loop *l = s->loop;
        if (!l->record)
            l->record = mem_resize(NULL, RECORD_PLAIN);
        n = 0;
        for (size_t i = 0; i < count && n < RECORD_PLAIN; i++) {
            size_t take = RECORD_PLAIN - n < iov[i].iov_len ? RECORD_PLAIN - n : iov[i].iov_len;
            memcpy(l->record + n, iov[i].iov_base, take);
            n += take;
        }
        from = l->record;
    }
    ERR_clear_error();
    if (SSL_write(t->ssl, from, (int)n) != (int)n) {
        ERR_clear_error();
        sock_die(s, E_NO_MEMORY);
        return false;
    }
    sock_out_drop(s, n);
    t->plain_total += n;
    add_mark(s, t);
    return true;
}

void tls_pull(struct sock *s)
{
    struct tls *t = tls_of(s);
    while (t->out_n - t->out_at < CIPHER_BYTES_MAX && s->state != SOCK_DEAD && encrypt_some(s, t))
        ;
}

size_t tls_pending(const struct sock *s, struct iovec *iov)
{
    struct tls *t = tls_of(s);
    *iov = (struct iovec){t->out ? t->out + t->out_at : NULL, t->out_n - t->out_at};
    return iov->iov_len;
}

void tls_took(struct sock *s, size_t n)
{
    struct tls *t = tls_of(s);
    t->out_at += n;
    if (t->out_at < t->out_n)
        return;
    mem_free(t->out);
    t->out = NULL;
    t->out_at = t->out_n = t->out_capacity = 0;
    s->taken = t->plain_total;
}

void tls_close_notify(struct sock *s)
{
    struct tls *t = tls_of(s);
    if (!SSL_is_init_finished(t->ssl) || (SSL_get_shutdown(t->ssl) & SSL_SENT_SHUTDOWN))
        return;
    ERR_clear_error();
    SSL_shutdown(t->ssl);
    ERR_clear_error();
}

void tls_free(struct tls **tls)
{
    struct tls *t = *tls;
    *tls = NULL;
    if (!t)
        return;
    SSL_free(t->ssl);
    mem_free(t->out);
    mem_free(t);
}
