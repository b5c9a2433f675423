/* SPDX-License-Identifier: Apache-2.0 */
/* Input. Readiness is edge-triggered: `readable` remembers an edge until a read has emptied the
 * kernel's queue. One read of one connection is bounded; who has more waits in loop->readable
 * for the next turn. Bytes are read behind what the owner had left over (the stash): a small
 * stash is copied in front of the loop's buffer, a large one grows in place, so a message that
 * comes in many pieces is not copied again for each of them. */
#include "loop/sock_priv.h"
#include "base/check.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/metric.h"
#include <errno.h>
#include <sys/epoll.h>

enum { STASH_MIN = 240, STASH_MAX = 64 << 20 };

/* Where the next bytes go: `have` bytes stand there already. */
struct place {
    uint8_t *at;
    size_t have;
    bool direct; /* inside the stash */
};

static bool stash_reserve(struct sock *s, size_t capacity)
{
    if (s->stash && s->stash->capacity >= capacity)
        return true;
    if (capacity > STASH_MAX)
        return false;
    struct stash *t = mem_try_resize(s->stash, sizeof(*t) + capacity);
    if (!t)
        return false;
    if (!s->stash)
        t->n = 0;
    t->capacity = (uint32_t)capacity;
    s->stash = t;
    return true;
}

static void stash_free(struct sock *s)
{
    mem_free(s->stash);
    s->stash = NULL;
}

bool sock_keep(struct sock *s, const uint8_t *rest, size_t n)
{
    if (n == 0) {
        stash_free(s);
        return true;
    }
    if (!stash_reserve(s, n < STASH_MIN ? STASH_MIN : n))
        return false;
    memcpy(s->stash->bytes, rest, n);
    s->stash->n = (uint32_t)n;
    return true;
}

static bool find_place(struct sock *s, struct place *in)
{
    size_t n = s->stash ? s->stash->n : 0;
    in->have = n;
    in->direct = n > STASH_SMALL;
    if (!in->direct) {
        in->at = s->loop->rx;
        if (n > 0)
            memcpy(in->at, s->stash->bytes, n);
        return true;
    }
    size_t want = n + READ_BYTES + RECORD_BYTES;
    if (s->stash->capacity < want && !stash_reserve(s, want + n))
        return false;
    in->at = s->stash->bytes;
    return true;
}

/* The owner's leftover becomes the stash. */
static bool leave(struct sock *s, struct place *in, uint8_t *rest, size_t n)
{
    if (s->state != SOCK_OPEN || n == 0) {
        stash_free(s);
        return true;
    }
    if (!in->direct)
        return sock_keep(s, rest, n);
    memmove(s->stash->bytes, rest, n);
    s->stash->n = (uint32_t)n;
    return true;
}

/* Shows bytes to the owner; a new owner (upgrade) at once gets what the old one left. */
static void show(struct sock *s, struct place *in)
{
    uint8_t *p = in->at;
    size_t n = in->have;
    s->in_input = true;
    s->replay = false;
    while (n > 0 && s->state == SOCK_OPEN && !s->paused && s->ops) {
        const struct sock_ops *ops = s->ops;
        size_t used = ops->on_input(s, p, n);
        if (s->state != SOCK_OPEN)
            break;
        CHECK(used <= n);
        p += used;
        n -= used;
        if (ops == s->ops)
            break;
    }
    s->in_input = false;
    if (!leave(s, in, p, n))
        sock_abort(s, E_TOO_LARGE);
}

static long receive(struct sock *s, uint8_t *at, size_t room)
{
    ssize_t n = recv(s->watch.fd, at, room, 0);
    if (n < 0) {
        if (errno == EINTR)
            return 0;
        s->readable = false;
        if (errno != EAGAIN)
            sock_die(s, E_CLOSED);
        return 0;
    }
    s->eof = n == 0;
    s->readable = !s->eof && ((size_t)n == room || s->fin);
    metric_add(M_BYTES_RECEIVED, n);
    return n;
}

static void receive_tls(struct sock *s, struct place *in)
{
    struct loop *l = s->loop;
    if (!l->cipher)
        l->cipher = mem_resize(NULL, READ_BYTES);
    long n = receive(s, l->cipher, READ_BYTES);
    if (n == 0 || s->state == SOCK_DEAD)
        return;
    long plain = tls_read(s, l->cipher, (size_t)n, in->at + in->have, READ_BYTES + RECORD_BYTES);
    flush_mark(s); /* handshake, alerts, key updates */
    if (plain < 0) {
        s->err = (int)plain;
        sock_close(s, 0); /* the alert goes out, then it ends */
        return;
    }
    in->have += (size_t)plain;
    if (s->state == SOCK_HANDSHAKE && tls_is_ready(tls_of(s)))
        listen_accepted(s);
    if (tls_ended(s)) {
        s->eof = true;
        s->readable = false;
    }
}

static void on_eof(struct sock *s)
{
    s->fin = true;
    s->readable = false;
    switch (s->state) {
    case SOCK_HANDSHAKE:
        sock_die(s, E_CLOSED);
        break;
    case SOCK_OPEN:
        if (s->ops && s->ops->on_end)
            s->ops->on_end(s);
        else
            sock_close(s, LINGER_DEFAULT_MS);
        break;
    case SOCK_LINGERING:
        sock_die(s, 0);
        break;
    case SOCK_FLUSHING: /* ends when the queue is empty */
    case SOCK_DEAD:
        break;
    }
}

static void read_open(struct sock *s)
{
    struct place in;
    if (!find_place(s, &in)) {
        sock_abort(s, E_TOO_LARGE);
        return;
    }
    size_t had = in.have;
    if (s->readable && !s->eof) {
        if (tls_of(s))
            receive_tls(s, &in);
        else
            in.have += (size_t)receive(s, in.at + in.have, READ_BYTES);
    }
    if (in.have > had || s->replay)
        show(s, &in);
}

/* One bounded read; asks for another turn when there may be more. */
static void read_once(struct sock *s)
{
    bool had_eof = s->eof;
    if (s->state == SOCK_HANDSHAKE || s->state == SOCK_OPEN)
        read_open(s);
    else if (s->state != SOCK_DEAD && s->readable && !s->eof)
        receive(s, s->loop->rx, READ_BYTES); /* thrown away */
    if (s->eof && !had_eof)
        on_eof(s);
    if (s->replay || s->readable)
        sock_wake(s);
}

void sock_wake(struct sock *s)
{
    if (s->queued || s->state == SOCK_DEAD)
        return;
    if (s->state == SOCK_OPEN && s->paused)
        return;
    list_drop(&s->link);
    list_push(&s->loop->readable, &s->link);
    s->queued = true;
}

/* From the readable back to those that only wait. */
static void unqueue(struct sock *s)
{
    list_drop(&s->link);
    list_push(&s->loop->socks, &s->link);
    s->queued = false;
}

void sock_run_readable(struct loop *l)
{
    struct list due, *link;
    list_init(&due);
    list_splice(&due, &l->readable);
    while ((link = list_take(&due))) {
        struct sock *s = LIST_OF(link, struct sock, link);
        unqueue(s);
        if (s->state != SOCK_OPEN || !s->paused)
            read_once(s);
    }
}

/* While paused only the peer's end concerns us. */
static void on_ready_paused(struct sock *s, unsigned events)
{
    if (events & (EPOLLERR | EPOLLHUP)) {
        sock_die(s, E_CLOSED);
    } else if (s->fin && !s->end_told && s->ops && s->ops->on_end) {
        s->end_told = true;
        s->ops->on_end(s);
    }
}

void sock_on_ready(struct loop *l, struct watch *w, unsigned events)
{
    struct sock *s = LIST_OF(w, struct sock, watch);
    (void)l;
    if (s->state == SOCK_DEAD)
        return;
    if (events & EPOLLOUT) {
        s->writable = true;
        if (!sock_out_is_empty(s) || s->state == SOCK_FLUSHING)
            flush_mark(s);
    }
    if (events & EPOLLRDHUP)
        s->fin = true;
    if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR))
        s->readable = !s->eof;
    if (s->eof && (events & (EPOLLERR | EPOLLHUP)))
        sock_die(s, s->state == SOCK_OPEN ? E_CLOSED : s->err);
    else if (s->state == SOCK_OPEN && s->paused)
        on_ready_paused(s, events);
    else if (s->readable && !s->queued)
        read_once(s);
}
