/* SPDX-License-Identifier: Apache-2.0 */
/* An open connection changes its loop: descriptor, TLS state, counters, unread input and unsent
 * output travel in one mail. Segments stay at home (their count is not atomic), so unsent bytes
 * are copied. The old sock dies silently in this turn's TURN_FREE. */
#include "loop/sock_priv.h"
#include "base/check.h"
#include "base/err.h"
#include "base/mem.h"
#include <sys/epoll.h>

struct move {
    struct mail mail;
    int fd;
    bool active, fin, eof;
    uint64_t position, taken;
    struct tls *tls;
    struct tallied tallied;
    uint8_t *input, *output;
    size_t input_n, output_n;
    void (*arrived)(struct sock *s, void *arg);
    void *arg;
};

static void put_output(struct sock *s, struct move *m)
{
    uint64_t position = s->position;
    if (m->output_n > 0)
        sock_send(s, m->output, m->output_n);
    s->position = position;
    flush_mark(s);
}

static void deliver(struct loop *l, struct mail *mail)
{
    struct move *m = LIST_OF(mail, struct move, mail);
    struct sock *s = sock_adopt(l, m->fd, SOCK_OPEN);
    s->active = m->active;
    s->fin = m->fin;
    s->eof = m->eof;
    s->readable = !m->eof;
    s->position = m->position;
    s->taken = m->taken;
    if (m->tls || m->tallied.tally) {
        sock_need_extra(s)->tls = m->tls;
        s->extra->tallied = m->tallied;
    }
    put_output(s, m);
    bool ok = sock_keep(s, m->input, m->input_n) && sock_watch(s);
    s->replay = m->input_n > 0;
    m->arrived(s, m->arg);
    CHECK(s->ops || s->state == SOCK_DEAD);
    if (!ok)
        sock_abort(s, E_NO_MEMORY);
    sock_wake(s);
    mem_free(m->input);
    mem_free(m->output);
    mem_free(m);
}

static void pack_input(struct sock *s, struct move *m, struct str unused)
{
    size_t kept = s->stash && !s->in_input ? s->stash->n : 0;
    m->input_n = unused.n + kept;
    if (m->input_n == 0)
        return;
    m->input = mem_resize(NULL, m->input_n);
    if (unused.n > 0)
        memcpy(m->input, unused.p, unused.n);
    if (kept > 0)
        memcpy(m->input + unused.n, s->stash->bytes, kept);
}

void sock_move(struct sock *s, struct loop *to, struct str unused,
               void (*arrived)(struct sock *s, void *arg), void *arg)
{
    CHECK(s->state == SOCK_OPEN);
    struct move *m = mem_new(sizeof(*m));
    m->mail.deliver = deliver;
    m->fd = s->watch.fd;
    m->active = s->active;
    m->fin = s->fin;
    m->eof = s->eof;
    m->position = s->position;
    m->taken = s->taken;
    m->arrived = arrived;
    m->arg = arg;
    pack_input(s, m, unused);
    m->output_n = sock_out_queued(s);
    if (m->output_n > 0) {
        m->output = mem_resize(NULL, m->output_n);
        sock_out_copy(s, m->output);
    }
    if (s->extra) {
        m->tls = s->extra->tls;
        s->extra->tls = NULL;
        m->tallied = s->extra->tallied;
        s->extra->tallied.tally = NULL;
    }
    loop_unwatch(s->loop, &s->watch);
    s->moved = true;
    s->watch.fd = -1;
    sock_die(s, 0);
    loop_post(to, &m->mail);
}
