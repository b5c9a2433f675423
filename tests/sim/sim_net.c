/* SPDX-License-Identifier: Apache-2.0 */
/* sock.h over a simulated network; see sim.h. One struct wire joins a sock of the program and a
 * peer of the scenario; each direction is a queue of pieces with an arrival time, then a
 * kernel's receive buffer. Bytes in the peer's receive buffer are acknowledged. */
#include "sim_priv.h"

#include "base/check.h"
#include "base/err.h"
#include "base/mem.h"
#include "loop/clock.h"

#include <stdio.h>

struct sim_net sim_net = {.split_percent = 30, .delay_ms_max = 5, .kernel_bytes_max = 65536};

struct piece {
    struct list link;
    uint64_t at_us;
    struct wire *wire;
    bool to_peer, is_end;
    size_t n;
    uint8_t bytes[];
};
struct wire {
    unsigned refs;
    struct sock *sock;     /* NULL: the program's side is gone */
    struct sim_peer *peer; /* NULL: the scenario's is */
    bool is_cut, is_vanished;
    uint64_t last_us[2]; /* order per direction */
    size_t flying[2];    /* bytes on the wire, by direction (1 = to the peer) */
};
struct sim_peer {
    struct wire *wire;
    struct buf in;
    bool is_closed, is_stalled, is_end;
};
struct sock {
    struct loop *loop;
    const struct sock_ops *ops;
    void *owner;
    struct wire *wire;
    struct list ready, graveyard_link;
    struct turn_task close_task;
    struct buf in, out;
    size_t presented; /* in the call of on_input that is running */
    size_t shown;     /* of in: what the owner has seen and not used; never shown less again */
    uint64_t position, acked;
    uint64_t silent_since_ms; /* unacknowledged bytes to a peer that has vanished */
    struct timer linger;      /* closing: dies when the peer takes nothing for linger_ms */
    uint64_t linger_ms;
    size_t linger_seen;
    bool is_moved, is_paused, is_closing, is_dead, is_end, was_full, is_dirty, shut_after_flush;
    int err;
    char name[32];
};
struct sock_listener {
    struct list link;
    struct loop *loop;
    char address[64];
    void (*on_accept)(struct sock *s, void *arg);
    void *arg;
};
static unsigned ports;
enum { USER_TIMEOUT_MS = 30000 };

static void wire_unref(struct wire *w)
{
    if (--w->refs == 0)
        mem_free(w);
}

static void make_ready(struct sock *s)
{
    if (!list_linked(&s->ready))
        list_push(&s->loop->ready, &s->ready);
}

static void put_piece(struct loops *ls, struct wire *w, bool to_peer, const void *bytes, size_t n,
                      bool is_end)
{
    struct piece *p = mem_new(sizeof(*p) + n);
    uint64_t at_us = clock_us() + sim_chance(sim_net.delay_ms_max * 1000 + 1);
    if (at_us < w->last_us[to_peer])
        at_us = w->last_us[to_peer];
    w->last_us[to_peer] = at_us;
    w->flying[to_peer] += n;
    w->refs++;
    *p = (struct piece){.at_us = at_us, .wire = w, .to_peer = to_peer, .is_end = is_end, .n = n};
    if (n)
        memcpy(p->bytes, bytes, n);
    list_push(&ls->events, &p->link);
}

static void put_bytes(struct loops *ls, struct wire *w, bool to_peer, const uint8_t *bytes,
                      size_t n)
{
    while (n) {
        size_t part = sim_chance(100) < sim_net.split_percent ? 1 + sim_chance(n) : n;
        put_piece(ls, w, to_peer, bytes, part, false);
        bytes += part;
        n -= part;
    }
}

/* The kernel's memory, not the program's: injected failures do not reach it. */
static void kernel_add(struct buf *b, const void *bytes, size_t n)
{
    if (b->n + n > b->capacity) {
        b->capacity = (b->n + n) * 2;
        b->p = mem_resize(b->p, b->capacity);
    }
    if (n)
        memcpy(b->p + b->n, bytes, n);
    b->n += n;
}

/* ---- arrival
 * ------------------------------------------------------------------------------------- */

static void arrive(struct piece *p)
{
    struct wire *w = p->wire;
    w->flying[p->to_peer] -= p->n;
    if (w->is_cut || w->is_vanished)
        return;
    if (p->to_peer && w->peer) {
        kernel_add(&w->peer->in, p->bytes, p->n);
        w->peer->is_end |= p->is_end;
        if (w->sock) {
            w->sock->acked += p->n;
            make_ready(w->sock); /* its kernel has room again */
        }
    } else if (!p->to_peer && w->sock) {
        kernel_add(&w->sock->in, p->bytes, p->n);
        w->sock->is_end |= p->is_end;
        make_ready(w->sock);
    }
}

static bool can_arrive(const struct piece *p)
{
    const struct wire *w = p->wire;
    bool stalled = p->to_peer && w->peer && w->peer->is_stalled && !w->is_cut && !w->is_vanished;
    return p->at_us <= clock_us() && !(stalled && w->peer->in.n >= sim_net.kernel_bytes_max);
}

void sim_net_deliver(struct loops *ls)
{
    for (struct list *at = ls->events.next, *next; at != &ls->events; at = next) {
        struct piece *p = LIST_OF(at, struct piece, link);
        next = at->next;
        if (!can_arrive(p))
            continue;
        list_drop(&p->link);
        arrive(p);
        wire_unref(p->wire);
        mem_free(p);
    }
}

uint64_t sim_net_next_us(const struct loops *ls)
{
    uint64_t next_us = UINT64_MAX;
    for (struct list *at = ls->events.next; at != &ls->events; at = at->next) {
        struct piece *p = LIST_OF(at, struct piece, link);
        if (p->at_us > clock_us() && p->at_us < next_us)
            next_us = p->at_us;
    }
    return next_us;
}

/* ---- socks
 * --------------------------------------------------------------------------------------- */

static void on_free(struct loop *l, struct turn_task *task)
{
    (void)l;
    struct sock *s = LIST_OF(task, struct sock, close_task);
    if (s->ops && s->ops->on_close)
        s->ops->on_close(s, s->err);
    s->loop->siblings->open_socks--;
    list_drop(&s->ready);
    s->wire->sock = NULL;
    if (s->wire->peer && !s->wire->is_vanished)
        s->wire->peer->is_closed = true;
    wire_unref(s->wire);
    buf_free(&s->in);
    buf_free(&s->out);
    mem_free(s);
}

static void die(struct sock *s, int err)
{
    if (s->is_dead)
        return;
    timer_stop(&s->linger);
    s->is_dead = s->is_closing = true;
    s->err = err;
    s->close_task.run = on_free;
    loop_at_turn_end(s->loop, TURN_FREE, &s->close_task);
}

static void feed(struct sock *s)
{
    while (s->in.n && !s->is_paused && !s->is_dead && !s->is_closing && s->ops) {
        /* Like a real read: a copy that the owner may change in place. */
        size_t part = s->in.n;
        if (part > s->shown + 1 && sim_chance(4) == 0)
            part = s->shown + 1 + sim_chance(part - s->shown);
        struct loop *l = s->loop;
        s->presented = part;
        s->is_moved = false;
        size_t used = s->ops->on_input(s, (uint8_t *)s->in.p, part);
        CHECK(used <= part);
        if (s->is_moved || s->loop != l)
            return;
        s->presented = 0;
        s->shown = part - used;
        buf_shift(&s->in, used);
        if (!used && part == s->in.n)
            break;
    }
    if (s->is_closing)
        buf_clear(&s->in);
    if (s->is_end && !s->in.n && !s->is_dead && !s->is_paused) {
        if (s->ops && s->ops->on_end && !s->is_closing)
            s->ops->on_end(s);
        else
            die(s, s->is_closing ? 0 : E_CLOSED);
    }
}

void sim_read_ready(struct loop *l)
{
    struct list batch;
    struct list *link;
    list_init(&batch);
    list_splice(&batch, &l->ready);
    while ((link = list_take(&batch))) {
        struct sock *s = LIST_OF(link, struct sock, ready);
        if (s->is_dead || !s->ops)
            continue; /* nobody owns it yet: looked at when somebody does */
        if (s->wire->is_cut) {
            die(s, E_CLOSED);
            continue;
        }
        s->is_dirty = true; /* room may have come: let the flush look */
        feed(s);
        if (s->loop != l)
            continue;
        if (!list_linked(&s->ready) && s->is_dirty)
            list_push(&l->ready, &s->ready);
    }
}

static void flush_one(struct sock *s)
{
    struct wire *w = s->wire;
    struct loops *ls = s->loop->siblings;
    bool had = s->out.n > 0;
    size_t room =
        w->flying[1] < sim_net.kernel_bytes_max ? sim_net.kernel_bytes_max - w->flying[1] : 0;
    size_t n = s->out.n < room ? s->out.n : room;
    s->is_dirty = false;
    /* As TCP_USER_TIMEOUT does. */
    if (w->is_vanished && had && !s->silent_since_ms)
        s->silent_since_ms = clock_us() / 1000;
    if (s->silent_since_ms && clock_us() / 1000 > s->silent_since_ms + USER_TIMEOUT_MS)
        die(s, E_TIMEOUT);
    if (n) {
        put_bytes(ls, w, true, (uint8_t *)s->out.p, n);
        buf_shift(&s->out, n);
    }
    if (s->out.n) {
        s->was_full = true;
    } else if (s->was_full) {
        s->was_full = false;
        if (s->ops && s->ops->on_drained && !s->is_closing)
            s->ops->on_drained(s);
    }
    if (!s->out.n && s->shut_after_flush) {
        s->shut_after_flush = false;
        put_piece(ls, w, true, NULL, 0, true);
        if (s->is_end || !s->linger_ms)
            die(s, 0);
    }
}

void sim_flush(struct loop *l)
{
    struct list batch;
    struct list *link;
    list_init(&batch);
    list_splice(&batch, &l->ready);
    while ((link = list_take(&batch))) {
        struct sock *s = LIST_OF(link, struct sock, ready);
        if (!s->is_dead)
            flush_one(s);
        if (!s->is_dead && s->in.n > s->shown && !s->is_paused)
            make_ready(s); /* input that nobody has looked at */
    }
}

static void mark(struct sock *s)
{
    s->is_dirty = true;
    make_ready(s);
}

void sock_set_owner(struct sock *s, const struct sock_ops *ops, void *owner)
{
    s->ops = ops;
    s->owner = owner;
    if (s->in.n)
        mark(s);
}

void *sock_owner(const struct sock *s)
{
    return s->owner;
}

struct loop *sock_loop(const struct sock *s)
{
    return s->loop;
}

struct segment *segment_new(struct loop *l, size_t capacity)
{
    (void)l;
    struct segment *g = mem_try(sizeof(*g) + capacity);
    if (!g)
        return NULL;
    g->refs = 1;
    g->n = 0;
    g->capacity = (uint32_t)capacity;
    return g;
}

void segment_ref(struct segment *g)
{
    g->refs++;
}

void segment_unref(struct segment **g)
{
    if (*g && --(*g)->refs == 0)
        mem_free(*g);
    *g = NULL;
}

void sock_send(struct sock *s, const void *bytes, size_t n)
{
    if (s->is_dead || s->shut_after_flush)
        return;
    buf_add(&s->out, bytes, n);
    if (s->out.failed) {
        sock_abort(s, E_NO_MEMORY);
        return;
    }
    s->position += n;
    mark(s);
}

void sock_send_segment(struct sock *s, struct segment *g, size_t start, size_t n)
{
    CHECK(start + n <= g->n);
    sock_send(s, g->bytes + start, n);
}

void sock_expect_drained(struct sock *s)
{
    s->was_full = true;
    mark(s);
}

size_t sock_unsent(const struct sock *s)
{
    return s->out.n;
}

bool sock_is_drained(const struct sock *s)
{
    return !s->out.n;
}

uint64_t sock_position(const struct sock *s)
{
    return s->position;
}

uint64_t sock_acked(struct sock *s)
{
    return s->acked;
}

void sock_pause(struct sock *s)
{
    s->is_paused = true;
}

void sock_resume(struct sock *s)
{
    s->is_paused = false;
    mark(s);
}

static void on_linger_end(struct loop *l, struct timer *t)
{
    struct sock *s = LIST_OF(t, struct sock, linger);
    if (s->out.n == s->linger_seen) {
        die(s, E_TIMEOUT);
        return;
    }
    s->linger_seen = s->out.n;
    timer_set(l, t, s->linger_ms, on_linger_end);
}

void sock_close(struct sock *s, uint64_t linger_ms)
{
    if (s->is_closing)
        return;
    s->is_closing = true;
    s->shut_after_flush = true;
    s->linger_ms = linger_ms;
    s->linger_seen = s->out.n;
    if (linger_ms)
        timer_set(s->loop, &s->linger, linger_ms, on_linger_end);
    mark(s);
}

void sock_abort(struct sock *s, int err)
{
    if (s->wire->peer && !s->wire->is_vanished)
        s->wire->is_cut = true;
    die(s, err);
}

bool sock_is_closing(const struct sock *s)
{
    return s->is_closing;
}

struct str sock_peer(const struct sock *s)
{
    return str_from(s->name);
}

void sock_forget_peer(struct sock *s)
{
    (void)s; /* the name is a part of it */
}

struct str sock_peer_address(const struct sock *s)
{
    return str_head(str_from(s->name), 9);
}

bool sock_is_tls(const struct sock *s)
{
    (void)s;
    return false;
}

struct moved {
    struct mail mail;
    struct sock *sock;
    void (*arrived)(struct sock *s, void *arg);
    void *arg;
};

static void on_moved(struct loop *l, struct mail *mail)
{
    struct moved *m = (struct moved *)(void *)mail;
    m->sock->loop = l;
    m->arrived(m->sock, m->arg);
    mark(m->sock);
    mem_free(m);
}

void sock_move(struct sock *s, struct loop *to, struct str unused,
               void (*arrived)(struct sock *s, void *arg), void *arg)
{
    struct moved *m = mem_new(sizeof(*m));
    struct buf in = {0};
    struct str more = str_skip(buf_str(&s->in), s->presented);
    kernel_add(&in, unused.p, unused.n);
    kernel_add(&in, more.p, more.n);
    buf_free(&s->in);
    s->in = in;
    s->presented = 0;
    s->is_moved = true;
    s->shown = 0;
    s->ops = NULL;
    s->owner = NULL;
    list_drop(&s->ready);
    *m = (struct moved){.mail.deliver = on_moved, .sock = s, .arrived = arrived, .arg = arg};
    loop_post(to, &m->mail);
}

/* ---- listeners and peers
 * ---------------------------------------------------------------------------- */

struct sock_listener *sock_listen(struct loop *l, const struct sock_listen_config *config,
                                  char *err, size_t err_size)
{
    (void)err, (void)err_size;
    struct sock_listener *ls = mem_new(sizeof(*ls));
    ls->loop = l;
    ls->on_accept = config->on_accept;
    ls->arg = config->arg;
    snprintf(ls->address, sizeof(ls->address), "%.*s", STR_ARG(config->address));
    list_push(&l->siblings->listeners, &ls->link);
    return ls;
}

unsigned sock_listener_port(const struct sock_listener *ls)
{
    (void)ls;
    return 1;
}

void sock_listener_close(struct sock_listener **ls)
{
    list_drop(&(*ls)->link);
    mem_free(*ls);
    *ls = NULL;
}

static struct sock_listener *find_listener(struct loops *ls, const char *address)
{
    size_t count = 0;
    struct sock_listener *found = NULL;
    for (struct list *at = ls->listeners.next; at != &ls->listeners; at = at->next) {
        struct sock_listener *one = LIST_OF(at, struct sock_listener, link);
        if (strcmp(one->address, address) == 0 && sim_chance(++count) == 0)
            found = one; /* as SO_REUSEPORT does: any of them */
    }
    return found;
}

struct accepted {
    struct mail mail;
    struct sock *sock;
    struct sock_listener *listener;
};

static void on_accepted(struct loop *l, struct mail *mail)
{
    (void)l;
    struct accepted *a = (struct accepted *)(void *)mail;
    a->listener->on_accept(a->sock, a->listener->arg);
    mark(a->sock);
    mem_free(a);
}

struct sim_peer *sim_dial(struct loops *ls, const char *address)
{
    struct sock_listener *listener = find_listener(ls, address);
    CHECK(listener);
    struct sim_peer *p = mem_new(sizeof(*p));
    struct wire *w = mem_new(sizeof(*w));
    struct sock *s = mem_new(sizeof(*s));
    w->refs = 2;
    w->sock = s;
    w->peer = p;
    p->wire = w;
    s->wire = w;
    s->loop = listener->loop;
    snprintf(s->name, sizeof(s->name), "127.0.0.1:%u", ++ports);
    ls->open_socks++;
    struct accepted *a = mem_new(sizeof(*a));
    *a = (struct accepted){.mail.deliver = on_accepted, .sock = s, .listener = listener};
    loop_post(listener->loop, &a->mail);
    return p;
}

void sim_peer_send(struct sim_peer *p, const void *bytes, size_t n)
{
    if (p->wire->sock && !p->is_closed && !p->wire->is_cut && !p->wire->is_vanished)
        put_bytes(p->wire->sock->loop->siblings, p->wire, false, bytes, n);
}

struct str sim_peer_input(const struct sim_peer *p)
{
    return buf_str(&p->in);
}

void sim_peer_consume(struct sim_peer *p, size_t n)
{
    buf_shift(&p->in, n);
}

bool sim_peer_is_closed(const struct sim_peer *p)
{
    return p->is_closed || p->wire->is_cut || p->is_end;
}

void sim_peer_cut(struct sim_peer *p)
{
    p->wire->is_cut = true;
    p->is_closed = true;
    if (p->wire->sock)
        make_ready(p->wire->sock);
}

void sim_peer_vanish(struct sim_peer *p)
{
    p->wire->is_vanished = true;
    p->is_closed = true;
}

void sim_peer_stall(struct sim_peer *p, bool stalled)
{
    p->is_stalled = stalled;
}

void sim_peer_close(struct sim_peer *p)
{
    if (p->wire->sock && !p->is_closed)
        put_piece(p->wire->sock->loop->siblings, p->wire, false, NULL, 0, true);
    p->is_closed = true;
}

void sim_peer_free(struct sim_peer **p)
{
    struct sim_peer *one = *p;
    if (!one->is_closed)
        sim_peer_cut(one);
    one->wire->peer = NULL;
    wire_unref(one->wire);
    buf_free(&one->in);
    mem_free(one);
    *p = NULL;
}

void sim_net_free(struct loops *ls)
{
    struct list *link;
    while ((link = list_take(&ls->events))) {
        struct piece *p = LIST_OF(link, struct piece, link);
        wire_unref(p->wire);
        mem_free(p);
    }
}

/* ---- not simulated
 * ------------------------------------------------------------------------------------ */

void sock_connect(struct loop *l, const char *host, unsigned port,
                  void (*ready)(struct sock *s, int err, void *arg), void *arg)
{
    (void)l, (void)host, (void)port;
    ready(NULL, E_UNAVAILABLE, arg);
}

struct tls_context *tls_context_new(const char *cert_file, const char *key_file, char *err,
                                    size_t err_size)
{
    (void)cert_file, (void)key_file;
    snprintf(err, err_size, "no TLS in the simulator");
    return NULL;
}

bool tls_context_reload(struct tls_context *t, char *err, size_t err_size)
{
    (void)t, (void)err, (void)err_size;
    return false;
}

void tls_context_free(struct tls_context **t)
{
    *t = NULL;
}

const char *flush_backend(const struct loop *l)
{
    (void)l;
    return "simulated";
}
