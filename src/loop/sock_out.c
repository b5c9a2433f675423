/* SPDX-License-Identifier: Apache-2.0 */
/* The outgoing queue: ranges into counted segments. One range stands in the sock itself (the
 * usual case: a burst of a channel extends it); more go into a ring that exists only while it
 * is needed. Nothing here writes: the socket is marked, flush.c does. */
#include "loop/sock_priv.h"
#include "base/check.h"
#include "base/err.h"
#include "base/mem.h"

enum { PRIVATE_MIN = 480, PRIVATE_MAX = 16384 - (int)sizeof(struct segment), RING_FIRST = 8 };

static struct range *range_at(struct sock *s, uint32_t i)
{
    return s->is_ring ? &s->more->at[(s->more->first + i) % s->more->capacity] : &s->one;
}

static uint32_t ranges_count(const struct sock *s)
{
    return s->is_ring ? s->more->count : s->one.n > 0;
}

static void grow(struct sock *s)
{
    uint32_t count = ranges_count(s);
    uint32_t capacity = s->is_ring ? s->more->capacity * 2 : RING_FIRST;
    struct range_ring *r = mem_resize(NULL, sizeof(*r) + capacity * sizeof(r->at[0]));
    *r = (struct range_ring){.count = count, .capacity = capacity};
    for (uint32_t i = 0; i < count; i++)
        r->at[i] = *range_at(s, i);
    if (s->is_ring)
        mem_free(s->more);
    s->more = r;
    s->is_ring = true;
}

/* Takes over one reference of g. */
static void push(struct sock *s, struct segment *g, uint32_t start, uint32_t n)
{
    uint32_t count = ranges_count(s);
    if (count > 0 && (!s->is_ring || count == s->more->capacity))
        grow(s);
    if (s->is_ring)
        s->more->count++;
    *range_at(s, count) = (struct range){g, start, n};
}

static bool takes_output(const struct sock *s)
{
    return s->state == SOCK_OPEN;
}

void sock_send_segment(struct sock *s, struct segment *g, size_t start, size_t n)
{
    CHECK(start + n <= g->n);
    if (n == 0 || !takes_output(s))
        return;
    uint32_t count = ranges_count(s);
    struct range *last = count ? range_at(s, count - 1) : NULL;
    if (last && last->g == g && last->start + last->n == start) {
        last->n += (uint32_t)n;
    } else {
        segment_ref(g);
        push(s, g, (uint32_t)start, (uint32_t)n);
        s->tail_private = false;
    }
    s->position += n;
    flush_mark(s);
}

/* Appends what fits to the private segment at the end of the queue. */
static size_t append(struct sock *s, const void *bytes, size_t n)
{
    uint32_t count = ranges_count(s);
    if (!s->tail_private || count == 0)
        return 0;
    struct range *last = range_at(s, count - 1);
    struct segment *g = last->g;
    size_t fits = g->capacity - g->n;
    if (fits > n)
        fits = n;
    memcpy(g->bytes + g->n, bytes, fits);
    g->n += (uint32_t)fits;
    last->n += (uint32_t)fits;
    return fits;
}

static size_t private_capacity(const struct sock *s, size_t n)
{
    size_t want = s->tail_private ? PRIVATE_MAX : PRIVATE_MIN;
    return n > want ? n : want;
}

void sock_send(struct sock *s, const void *bytes, size_t n)
{
    if (n == 0 || !takes_output(s))
        return;
    size_t done = append(s, bytes, n);
    if (done < n) {
        struct segment *g = segment_new(s->loop, private_capacity(s, n - done));
        if (!g) {
            sock_abort(s, E_NO_MEMORY);
            return;
        }
        g->n = (uint32_t)(n - done);
        memcpy(g->bytes, (const uint8_t *)bytes + done, g->n);
        push(s, g, 0, g->n);
        s->tail_private = true;
    }
    s->position += n;
    flush_mark(s);
}

size_t sock_out_plain(struct sock *s, struct iovec *iov, size_t max, size_t *bytes)
{
    size_t count = ranges_count(s);
    if (count > max)
        count = max;
    *bytes = 0;
    for (size_t i = 0; i < count; i++) {
        struct range *r = range_at(s, (uint32_t)i);
        iov[i] = (struct iovec){r->g->bytes + r->start, r->n};
        *bytes += r->n;
    }
    return count;
}

void sock_out_drop(struct sock *s, size_t n)
{
    while (n > 0) {
        CHECK(ranges_count(s) > 0);
        struct range *r = range_at(s, 0);
        if (n < r->n) {
            r->start += (uint32_t)n;
            r->n -= (uint32_t)n;
            return;
        }
        n -= r->n;
        segment_unref(&r->g);
        if (!s->is_ring) {
            s->one = (struct range){0};
            CHECK(n == 0);
        } else {
            s->more->first = (s->more->first + 1) % s->more->capacity;
            if (--s->more->count == 0) {
                mem_free(s->more);
                s->is_ring = false;
                s->one = (struct range){0};
            }
        }
    }
    if (ranges_count(s) == 0)
        s->tail_private = false;
}

void sock_out_clear(struct sock *s)
{
    sock_out_drop(s, sock_out_queued(s));
}

size_t sock_out_queued(const struct sock *s)
{
    struct sock *q = (struct sock *)s; /* range_at does not change it */
    size_t n = 0;
    for (uint32_t i = 0; i < ranges_count(s); i++)
        n += range_at(q, i)->n;
    return n;
}

void sock_out_copy(struct sock *s, uint8_t *to)
{
    for (uint32_t i = 0; i < ranges_count(s); i++) {
        struct range *r = range_at(s, i);
        memcpy(to, r->g->bytes + r->start, r->n);
        to += r->n;
    }
}

size_t sock_out_gather(struct sock *s, struct iovec *iov, size_t max, size_t *bytes)
{
    if (!tls_of(s))
        return sock_out_plain(s, iov, max, bytes);
    tls_pull(s);
    *bytes = tls_pending(s, iov);
    return *bytes > 0;
}

void sock_out_took(struct sock *s, size_t n)
{
    if (tls_of(s)) {
        tls_took(s, n);
        return;
    }
    sock_out_drop(s, n);
    s->taken += n;
}

/* True when neither plain nor encrypted bytes wait. */
bool sock_out_is_empty(const struct sock *s)
{
    struct iovec iov;
    return ranges_count(s) == 0 && (!tls_of(s) || tls_pending(s, &iov) == 0);
}

size_t sock_unsent(const struct sock *s)
{
    return s->state == SOCK_DEAD ? 0 : (size_t)(s->position - s->taken);
}

bool sock_is_drained(const struct sock *s)
{
    return sock_unsent(s) == 0;
}

uint64_t sock_position(const struct sock *s)
{
    return s->position;
}
