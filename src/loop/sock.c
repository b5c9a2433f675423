/* SPDX-License-Identifier: Apache-2.0 */
/* The life of a connection (states are drawn in sock_priv.h): how it gets an owner, how it ends.
 * Nothing is freed where it happens: a dead sock goes to the graveyard, and TURN_FREE tells the
 * owner, closes the descriptor and frees it. The descriptor stays open until on_close has
 * returned, so that the owner can still ask what the peer's kernel has acknowledged. */
#include "loop/sock_priv.h"
#include "loop/acked.h"
#include "base/check.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/tally.h"
#include <sys/epoll.h>
#include <unistd.h>

enum { LAST_READS = 16 };

static bool may_become(enum sock_state from, enum sock_state to)
{
    switch (from) {
    case SOCK_HANDSHAKE:
        return to == SOCK_OPEN || to == SOCK_FLUSHING || to == SOCK_DEAD;
    case SOCK_OPEN:
        return to == SOCK_FLUSHING || to == SOCK_DEAD;
    case SOCK_FLUSHING:
        return to == SOCK_LINGERING || to == SOCK_DEAD;
    case SOCK_LINGERING:
        return to == SOCK_DEAD;
    case SOCK_DEAD:
        return false;
    }
    return false;
}

void sock_set_state(struct sock *s, enum sock_state to)
{
    CHECK(may_become(s->state, to));
    s->state = to;
}

struct sock *sock_adopt(struct loop *l, int fd, enum sock_state state)
{
    struct sock *s = mem_new(sizeof(*s));
    s->watch = (struct watch){.ready = sock_on_ready, .fd = fd};
    s->loop = l;
    s->state = state;
    s->writable = true;
    list_push(&l->socks, &s->link);
    return s;
}

bool sock_watch(struct sock *s)
{
    int fd = s->watch.fd;
    s->watch.fd = -1; /* not watched yet */
    bool ok = loop_watch(s->loop, &s->watch, fd, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET);
    s->watch.fd = fd;
    return ok;
}

struct sock_extra *sock_need_extra(struct sock *s)
{
    if (!s->extra) {
        s->extra = mem_new(sizeof(*s->extra));
        s->extra->sock = s;
    }
    return s->extra;
}

void sock_set_owner(struct sock *s, const struct sock_ops *ops, void *owner)
{
    bool changed = ops != s->ops;
    s->ops = ops;
    s->owner = owner;
    if (changed && s->stash && !s->in_input) {
        s->replay = true;
        sock_wake(s);
    }
}

void *sock_owner(const struct sock *s)
{
    return s->owner;
}

struct loop *sock_loop(const struct sock *s)
{
    return s->loop;
}

bool sock_is_closing(const struct sock *s)
{
    return s->state != SOCK_OPEN && s->state != SOCK_HANDSHAKE;
}

bool sock_is_tls(const struct sock *s)
{
    return tls_of(s) != NULL;
}

void sock_pause(struct sock *s)
{
    s->paused = true;
}

void sock_resume(struct sock *s)
{
    if (!s->paused)
        return;
    s->paused = false;
    if (s->stash || s->in_input)
        s->replay = true;
    if ((s->replay || s->readable) && !s->in_input)
        sock_wake(s);
}

/* ---- the end ------------------------------------------------------------------------- */

void sock_die(struct sock *s, int err)
{
    if (s->state == SOCK_DEAD)
        return;
    sock_set_state(s, SOCK_DEAD);
    s->err = err;
    if (s->extra)
        timer_stop(&s->extra->timer);
    list_drop(&s->link);
    list_push(&s->loop->graveyard, &s->link);
    s->queued = true;
}

/* Unread bytes would turn our end into a reset. */
static void end_quietly(struct sock *s, int err)
{
    for (int i = 0; i < LAST_READS && s->readable && !s->eof; i++)
        s->readable = recv(s->watch.fd, s->loop->rx, READ_BYTES, 0) == READ_BYTES;
    sock_die(s, err);
}

/* A slow reader that takes something each time is not cut in the middle of its answer. */
static void on_linger_end(struct loop *l, struct timer *t)
{
    struct sock_extra *extra = LIST_OF(t, struct sock_extra, timer);
    struct sock *s = extra->sock;
    if (s->taken != extra->taken_seen) {
        extra->taken_seen = s->taken;
        timer_set(l, t, extra->linger_ms, on_linger_end);
        return;
    }
    end_quietly(s, sock_out_is_empty(s) ? s->err : E_TIMEOUT);
}

static void set_linger(struct sock *s, uint64_t linger_ms)
{
    struct sock_extra *extra = sock_need_extra(s);
    extra->linger_ms = linger_ms;
    extra->taken_seen = s->taken;
    timer_set(s->loop, &extra->timer, linger_ms, on_linger_end);
}

void sock_close(struct sock *s, uint64_t linger_ms)
{
    if (sock_is_closing(s))
        return;
    sock_set_state(s, SOCK_FLUSHING);
    if (!s->in_input)
        sock_keep(s, NULL, 0);
    s->brief = linger_ms == 0;
    if (!s->brief)
        set_linger(s, linger_ms);
    flush_mark(s);
    if (s->readable)
        sock_wake(s);
}

/* The queue is empty: TLS says goodbye, then our side is shut. */
static void finish_output(struct sock *s)
{
    if (tls_of(s)) {
        tls_close_notify(s);
        if (!sock_out_is_empty(s)) {
            flush_mark(s);
            return;
        }
    }
    if (s->eof || s->brief) {
        end_quietly(s, s->err);
        return;
    }
    shutdown(s->watch.fd, SHUT_WR);
    sock_set_state(s, SOCK_LINGERING);
}

void sock_expect_drained(struct sock *s)
{
    if (s->state != SOCK_OPEN)
        return;
    s->full = true;
    flush_mark(s);
}

static void tell_drained(struct sock *s)
{
    size_t unsent = sock_unsent(s);
    if (!s->full) {
        s->full = unsent > 0;
    } else if (unsent < OUT_LOW_BYTES) {
        s->full = false;
        if (s->ops && s->ops->on_drained)
            s->ops->on_drained(s);
    }
}

void sock_progress(struct sock *s)
{
    if (s->state == SOCK_OPEN)
        tell_drained(s);
    else if (s->state == SOCK_FLUSHING && sock_out_is_empty(s))
        finish_output(s);
    else if (s->state == SOCK_FLUSHING && s->brief && !s->writable)
        end_quietly(s, E_TIMEOUT);
}

void sock_abort(struct sock *s, int err)
{
    if (s->state == SOCK_DEAD)
        return;
    struct linger now = {.l_onoff = 1, .l_linger = 0};
    setsockopt(s->watch.fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
    sock_die(s, err);
}

void sock_abort_all(struct loop *l)
{
    while (!list_is_empty(&l->readable))
        sock_abort(LIST_OF(l->readable.next, struct sock, link), E_CLOSED);
    while (!list_is_empty(&l->socks))
        sock_abort(LIST_OF(l->socks.next, struct sock, link), E_CLOSED);
}

static void extra_free(struct sock_extra *extra)
{
    struct tallied *t = &extra->tallied;
    if (t->tally)
        tally_give(t->tally, str_of((char *)t->key, t->key_n));
    tls_free(&extra->tls);
    mem_free(extra->peer);
    mem_free(extra);
}

static void bury(struct sock *s)
{
    if (s->ops && s->ops->on_close && !s->moved)
        s->ops->on_close(s, s->err);
    flush_forget(s);
    sock_out_clear(s);
    if (s->watch.fd >= 0)
        close(s->watch.fd);
    listen_sock_gone(&s->listener);
    if (s->extra)
        extra_free(s->extra);
    mem_free(s->stash);
    mem_free(s);
}

void sock_run_graveyard(struct loop *l)
{
    struct list *link;
    while ((link = list_take(&l->graveyard)))
        bury(LIST_OF(link, struct sock, link));
}

/* ---- what the peer has ---------------------------------------------------------------- */

uint64_t sock_acked(struct sock *s)
{
    uint64_t acked = acked_bytes(s->watch.fd);
    if (s->active && acked > 0)
        acked--; /* our SYN */
    if (tls_of(s))
        return tls_acked(tls_of(s), acked);
    return acked < s->taken ? acked : s->taken; /* our FIN counts as a byte, too */
}

static const char *peer_text(struct sock *s)
{
    struct sockaddr_storage a;
    socklen_t n = sizeof(a);
    struct sock_extra *extra = sock_need_extra(s);
    if (!extra->peer) {
        memset(&a, 0, sizeof(a));
        if (getpeername(s->watch.fd, (struct sockaddr *)&a, &n) != 0)
            a.ss_family = AF_UNSPEC;
        extra->peer = address_text(&a);
    }
    return extra->peer;
}

void sock_forget_peer(struct sock *s)
{
    struct sock_extra *extra = s->extra;
    if (!extra)
        return;
    mem_free(extra->peer);
    extra->peer = NULL;
    if (extra->tls || extra->tallied.tally || timer_is_set(&extra->timer))
        return;
    mem_free(extra);
    s->extra = NULL;
}

bool sock_tally(struct sock *s, struct tally *tally, size_t max)
{
    struct sockaddr_storage a = {0};
    socklen_t n = sizeof(a);
    const struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&a;
    struct tallied *t = &sock_need_extra(s)->tallied;
    if (getpeername(s->watch.fd, (struct sockaddr *)&a, &n) != 0)
        return true;
    if (a.ss_family == AF_INET) {
        t->key_n = 4;
        memcpy(t->key, &((struct sockaddr_in *)&a)->sin_addr, 4);
    } else if (a.ss_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr)) {
        t->key_n = 4;
        memcpy(t->key, &v6->sin6_addr.s6_addr[12], 4);
    } else if (a.ss_family == AF_INET6) {
        t->key_n = 8;
        memcpy(t->key, &v6->sin6_addr, 8);
    } else {
        return true;
    }
    CHECK(!t->tally);
    if (!tally_take(tally, str_of((char *)t->key, t->key_n), max))
        return false;
    t->tally = tally;
    return true;
}

struct str sock_peer(const struct sock *s)
{
    return str_from(peer_text((struct sock *)s)); /* made when first asked for */
}

struct str sock_peer_address(const struct sock *s)
{
    struct str peer = sock_peer(s);
    size_t n = peer.n;
    while (n > 0 && peer.p[n - 1] != ':')
        n--;
    if (n == 0)
        return peer; /* no port: "unix" */
    peer.n = n - 1;
    if (peer.n >= 2 && peer.p[0] == '[')
        peer = str_of(peer.p + 1, peer.n - 2);
    return peer;
}
