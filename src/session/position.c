/* SPDX-License-Identifier: Apache-2.0 */
/* What is on its way: for dialects whose client cannot say what it has, a small ring of
 * (stream position, subscription, offset), one entry a message, newest last. An entry leaves
 * when the client has it for sure: a pong came for a later ping. It is asked as soon as ASK_COUNT
 * are on their way, behind a proxy also every ASK_MS (session.c). What the peer's kernel has
 * acknowledged counts only at a loss (resume.c), and there only when the client was not silent
 * and nobody is in between: the kernel's word is not quite the client's.
 * At a loss, a subscription goes on before its first entry that is left.
 *
 * I1  Entries stand in the order of the stream; `end` never falls.
 * I2  The ring never forgets an entry that is not confirmed: when it is full and nothing can
 *     be confirmed the session counts as slow and catches up from history later. */
#include "session/session_priv.h"

#include "base/check.h"
#include "base/mem.h"

enum { FIRST_CAPACITY = 16, ASK_COUNT = 64 };
/* What may come again after a loss behind a proxy is what was sent in about so long. */
enum { ASK_MS = 1000 };

static struct delivered *at(const struct position_log *log, uint32_t index)
{
    return &log->ring[(log->head + index) & (log->capacity - 1)];
}

uint64_t position_stream(const struct session *s)
{
    if (s->outlet && s->outlet->sock)
        return sock_position(s->outlet->sock);
    return s->log ? s->log->stream : 0;
}

void position_advance(struct session *s, size_t n)
{
    if (s->log)
        s->log->stream += n;
}

void position_fold(struct session *s, uint64_t acked)
{
    struct position_log *log = s->log;
    while (log && log->count && at(log, 0)->end <= acked) {
        log->last = *at(log, 0);
        log->head = (log->head + 1) & (log->capacity - 1);
        log->count--;
    }
}

void position_fold_acked(struct session *s)
{
    if (s->exact_frames && s->outlet && s->outlet->sock && !s->outlet->is_proxied)
        position_fold(s, sock_acked(s->outlet->sock));
}

static bool grow(struct session *s, size_t want)
{
    struct position_log *log = s->log;
    uint32_t capacity = log->capacity ? log->capacity : FIRST_CAPACITY;
    while (capacity < want)
        capacity *= 2;
    if (capacity > s->home->config->positions_max)
        return false;
    struct delivered *ring = mem_try(capacity * sizeof(*ring));
    if (!ring)
        return false;
    for (uint32_t i = 0; i < log->count; i++)
        ring[i] = *at(log, i);
    mem_free(log->ring);
    log->ring = ring;
    log->capacity = capacity;
    log->head = 0;
    return true;
}

bool position_has_room(struct session *s, size_t count)
{
    if (!s->keeps_positions)
        return true;
    if (!s->log)
        s->log = mem_new(sizeof(*s->log));
    struct position_log *log = s->log;
    if (log->count + count <= log->capacity)
        return true;
    return grow(s, log->count + count);
}

void position_ask(struct session *s)
{
    size_t most = s->home->config->positions_max / 2; /* before there is no room for more */
    if (s->log && s->log->count >= (most < ASK_COUNT ? most : ASK_COUNT))
        session_ask_in(s, 0);
    else if (s->log && s->log->count && s->outlet && s->outlet->is_proxied)
        session_ask_in(s, ASK_MS);
}

bool position_note(struct session *s, struct session_sub *ss, uint64_t end, uint64_t offset)
{
    if (!s->keeps_positions)
        return true;
    if (!position_has_room(s, 1))
        return false;
    struct position_log *log = s->log;
    CHECK(!log->count || at(log, log->count - 1)->end <= end); /* I1 */
    *at(log, log->count++) = (struct delivered){.end = end, .offset = offset, .sub = ss};
    position_ask(s);
    return true;
}

void position_forget(struct session *s, const struct session_sub *ss)
{
    struct position_log *log = s->log;
    for (uint32_t i = 0; log && i < log->count; i++)
        if (at(log, i)->sub == ss)
            at(log, i)->sub = NULL;
    if (log && log->last.sub == ss)
        log->last.sub = NULL;
}

uint64_t position_of(const struct session *s, const struct session_sub *ss, uint64_t delivered)
{
    const struct position_log *log = s->log;
    for (uint32_t i = 0; log && i < log->count; i++)
        if (at(log, i)->sub == ss)
            return at(log, i)->offset - 1; /* POSITION_RESET for 0 */
    return delivered;
}

static bool is_message(const struct delivered *d, struct str channel, uint64_t offset)
{
    return d->sub && d->offset == offset && str_eq(session_sub_channel(d->sub), channel);
}

static void rewind_sub(struct session *s, struct session_sub *ss)
{
    uint64_t at = position_of(s, ss, ss->parked ? ss->parked->delivered : 0);
    if (ss->parked && at != POSITION_RESET)
        ss->parked->at.offset = at;
}

bool session_rewind_to(struct session *s, struct str channel, uint64_t offset)
{
    struct position_log *log = s->log;
    if (!log || s->state != SESSION_DETACHED)
        return false;
    uint32_t keep = log->count;
    while (keep && !is_message(at(log, keep - 1), channel, offset))
        keep--;
    if (!keep && !is_message(&log->last, channel, offset))
        return false;
    if (keep)
        position_fold(s, at(log, keep - 1)->end);
    for (struct session_sub *ss = session_sub_first(s); ss; ss = session_sub_next(s, ss))
        rewind_sub(s, ss);
    return true;
}

void position_free(struct session *s)
{
    if (s->log)
        mem_free(s->log->ring);
    mem_free(s->log);
    s->log = NULL;
}
