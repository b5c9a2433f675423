/* SPDX-License-Identifier: Apache-2.0 */
/* GET /api/tail: what happens in the server as it happens, one JSON object a line, for operators
 * (the service role). ?channel= takes globs (repeatable; none = every message), ?sessions=0 leaves
 * out who comes and goes.
 *
 *   owner of a channel, home of a session          loop of the request
 *     monitor --> each tap that wants it --mail--> tail --> its stream
 *
 * A tail is a request on one loop; on every loop stands a tap of it, and the rooms are only asked
 * to tell while there is one. Watching must not slow the server down: a loop that has too much
 * mail, a second that has too many lines, a reader that does not read lose lines, and the next
 * line that gets through is preceded by how many. Tokens and claims are never shown. */
#include "api/api_priv.h"

#include "base/json.h"
#include "base/mem.h"
#include "loop/mailbox.h"
#include "wire/native.h"
#include <stdio.h>

enum {
    TAILS_MAX = 16,          /* of one loop: operators, not clients */
    GLOBS_MAX = 16,          /* of one tail */
    UNSENT_MAX = 256 * 1024, /* waiting for a reader */
    MAIL_MAX = 4096,         /* waiting for a loop */
    LINES_A_SECOND = 5000,   /* of one tap */
};

struct filter {
    unsigned globs_count;
    bool sessions;
    struct str globs[GLOBS_MAX];
    char text[]; /* of the globs */
};

struct tail {
    struct list link;
    struct http_request *req;
    uint64_t id;
    uint64_t dropped;
    bool chunked;
};

struct tap {
    struct list link;
    uint64_t id;
    struct loop *to;
    struct filter *filter;
    uint64_t second, lines, dropped;
};

/* ---- lines ------------------------------------------------------------------------------- */

struct line_mail {
    struct mail mail;
    uint64_t id, dropped;
    size_t n;
    char text[];
};

static struct tail *tail_find(struct api_home *home, uint64_t id)
{
    for (struct list *at = home->tails.next; at != &home->tails; at = at->next) {
        struct tail *t = LIST_OF(at, struct tail, link);
        if (t->id == id)
            return t;
    }
    return NULL;
}

static void write_line(struct tail *t, struct str line)
{
    char size[24];
    struct sock *s = http_sock(t->req);
    if (t->chunked)
        sock_send(s, size, (size_t)snprintf(size, sizeof(size), "%zx\r\n", line.n));
    sock_send(s, line.p, line.n);
    if (t->chunked)
        sock_send(s, "\r\n", 2);
}

static void line_deliver(struct loop *l, struct mail *mail)
{
    struct line_mail *m = (struct line_mail *)mail;
    struct tail *t = tail_find(api_home_of(l), m->id);
    if (t && sock_unsent(http_sock(t->req)) > UNSENT_MAX) {
        t->dropped += m->dropped + 1;
    } else if (t) {
        uint64_t dropped = t->dropped + m->dropped;
        if (dropped) {
            char text[64];
            int n = snprintf(text, sizeof(text), "{\"type\":\"dropped\",\"count\":%llu}\n",
                             (unsigned long long)dropped);
            write_line(t, str_of(text, (size_t)n));
        }
        t->dropped = 0;
        write_line(t, str_of(m->text, m->n));
    }
    mem_free(m);
}

/* May this tap say one more now? Counts what it may not. */
static bool tap_has_room(struct tap *tap, struct loop *l)
{
    uint64_t second = loop_now_ms(l) / 1000;
    if (tap->second != second) {
        tap->second = second;
        tap->lines = 0;
    }
    if (tap->lines < LINES_A_SECOND && loop_mail_waiting(tap->to) < MAIL_MAX) {
        tap->lines++;
        return true;
    }
    tap->dropped++;
    return false;
}

static void tap_say(struct tap *tap, struct str line)
{
    struct line_mail *m = mem_try(sizeof(*m) + line.n);
    if (!m) {
        tap->dropped++;
        return;
    }
    *m = (struct line_mail){.mail.deliver = line_deliver, .id = tap->id, .dropped = tap->dropped};
    m->n = line.n;
    memcpy(m->text, line.p, line.n);
    tap->dropped = 0;
    loop_post(tap->to, &m->mail);
}

static bool wants_channel(const struct filter *f, struct str channel)
{
    for (unsigned i = 0; i < f->globs_count; i++) {
        if (str_glob(f->globs[i], channel))
            return true;
    }
    return f->globs_count == 0;
}

static void on_message(struct loop *l, const struct msg *m)
{
    struct api_home *home = api_home_of(l);
    struct buf *line = &home->line;
    buf_clear(line);
    for (struct list *at = home->taps.next; at != &home->taps; at = at->next) {
        struct tap *tap = LIST_OF(at, struct tap, link);
        if (!wants_channel(tap->filter, m->channel) || !tap_has_room(tap, l))
            continue;
        if (line->n == 0) { /* once for all who watch */
            struct native_message nm = {.channel = m->channel,
                                        .event = m->event,
                                        .content = m->content,
                                        .epoch = m->epoch,
                                        .key = m->key,
                                        .sender_sub = m->sender,
                                        .sender_session = m->sender_name,
                                        .offset = m->offset,
                                        .time_ms = m->time_ms,
                                        .binary = m->format == MSG_BINARY};
            native_add_message(line, &nm);
            buf_add_c(line, '\n');
        }
        tap_say(tap, buf_str(line));
    }
}

static void add_session_line(struct buf *b, const struct session *s, const char *what, int err)
{
    struct identity *id = session_identity(s);
    struct outlet *o = session_outlet(s);
    const char *dialect = session_dialect(s)->name;
    struct str peer = o && o->sock ? sock_peer(o->sock) : STR_NONE;
    struct buf words = {0};
    buf_add_c(b, '{');
    json_add_field(b, "type", STR("session"));
    json_add_field(b, "event", str_from(what));
    json_add_field(b, "id", session_name(s));
    json_add_field(b, "dialect", str_from(dialect));
    json_add_field(b, "role", id->role);
    if (id->sub.n)
        json_add_field(b, "sub", id->sub);
    if (peer.n)
        json_add_field(b, "peer", peer);
    if (err)
        json_add_u64(b, "code", (uint64_t)err_info(err)->number);
    buf_printf(&words, "%s %.*s", dialect, STR_ARG(id->sub.n ? id->sub : id->role));
    if (peer.n)
        buf_printf(&words, " %.*s", STR_ARG(peer));
    if (err)
        buf_printf(&words, ": %s", err_info(err)->text);
    json_add_field(b, "message", buf_str(&words));
    json_add_u64(b, "time", loop_wall_ms(session_loop(s)));
    buf_add_z(b, "}\n");
    buf_free(&words);
}

static void on_session(const struct session *s, const char *what, int err)
{
    struct loop *l = session_loop(s);
    struct api_home *home = api_home_of(l);
    struct buf *line = &home->line;
    if (!session_outlet(s)) /* one request of the publish endpoint, or nobody any more */
        return;
    buf_clear(line);
    for (struct list *at = home->taps.next; at != &home->taps; at = at->next) {
        struct tap *tap = LIST_OF(at, struct tap, link);
        if (!tap->filter->sessions || !tap_has_room(tap, l))
            continue;
        if (line->n == 0)
            add_session_line(line, s, what, err);
        tap_say(tap, buf_str(line));
    }
}

/* ---- taps -------------------------------------------------------------------------------- */

struct tap_mail {
    struct mail mail;
    struct tap *tap; /* to be hung up; NULL = the one with that id goes */
    uint64_t id;
};

static void set_monitors(struct loop *l)
{
    bool watched = !list_is_empty(&api_home_of(l)->taps);
    hub_set_monitor(hub_of(l), watched ? on_message : NULL);
    session_set_monitor(l, watched ? on_session : NULL);
}

static void tap_free(struct tap *tap)
{
    list_drop(&tap->link);
    mem_free(tap->filter);
    mem_free(tap);
}

static void tap_deliver(struct loop *l, struct mail *mail)
{
    struct tap_mail *m = (struct tap_mail *)mail;
    struct api_home *home = api_home_of(l);
    if (m->tap) {
        list_push(&home->taps, &m->tap->link);
    } else {
        for (struct list *at = home->taps.next; at != &home->taps; at = at->next) {
            struct tap *tap = LIST_OF(at, struct tap, link);
            if (tap->id == m->id) {
                tap_free(tap);
                break;
            }
        }
    }
    set_monitors(l);
    mem_free(m);
}

static struct filter *filter_copy(const struct filter *f)
{
    size_t n = 0;
    for (unsigned i = 0; i < f->globs_count; i++)
        n += f->globs[i].n;
    struct filter *copy = mem_new(sizeof(*copy) + n);
    copy->sessions = f->sessions;
    copy->globs_count = f->globs_count;
    for (unsigned i = 0, at = 0; i < f->globs_count; i++) {
        memcpy(copy->text + at, f->globs[i].p, f->globs[i].n);
        copy->globs[i] = str_of(copy->text + at, f->globs[i].n);
        at += (unsigned)f->globs[i].n;
    }
    return copy;
}

static void tell_loops(struct loop *l, uint64_t id, const struct filter *f)
{
    struct loops *ls = loop_siblings(l);
    for (unsigned i = 0; i < loops_count(ls); i++) {
        struct tap_mail *m = mem_new(sizeof(*m));
        *m = (struct tap_mail){.mail.deliver = tap_deliver, .id = id};
        if (f) {
            m->tap = mem_new(sizeof(*m->tap));
            m->tap->id = id;
            m->tap->to = l;
            m->tap->filter = filter_copy(f);
        }
        loop_post(loops_at(ls, i), &m->mail);
    }
}

/* ---- tails ------------------------------------------------------------------------------- */

static void tail_forget(struct tail *t)
{
    struct loop *l = t->req->loop;
    t->req->on_abort = NULL;
    list_drop(&t->link);
    api_home_of(l)->tails_count--;
    tell_loops(l, t->id, NULL);
    mem_free(t);
}

static void on_abort(struct http_request *req)
{
    tail_forget(req->state);
}

void tail_end_all(struct loop *l)
{
    struct api_home *home = api_home_of(l);
    while (!list_is_empty(&home->tails)) {
        struct tail *t = LIST_OF(home->tails.next, struct tail, link);
        struct http_request *req = t->req;
        tail_forget(t);
        http_stream_end(req);
    }
}

void tail_teardown(struct api_home *home)
{
    while (!list_is_empty(&home->taps))
        tap_free(LIST_OF(home->taps.next, struct tap, link));
    buf_free(&home->line);
}

static void begin(struct http_request *req, const struct filter *f)
{
    struct api_home *home = api_home_of(req->loop);
    struct tail *t = mem_new(sizeof(*t));
    http_add_header(req, "Cache-Control", STR("no-store"));
    http_add_header(req, "X-Accel-Buffering", STR("no"));
    http_stream_begin(req, 200, "application/x-ndjson");
    t->req = req;
    t->id = loop_random_u64(req->loop);
    t->chunked = http_stream_chunked(req);
    list_push(&home->tails, &t->link);
    home->tails_count++;
    req->state = t;
    req->on_abort = on_abort;
    write_line(t, STR("{\"type\":\"watching\"}\n"));
    tell_loops(req->loop, t->id, f);
}

void tail_on_request(struct http_request *req)
{
    struct filter f = {.sessions = !str_is(http_query(req, "sessions"), "0")};
    struct identity *id = NULL;
    struct str glob;
    if (!api_origin(req))
        return;
    int err = api_identify(req, &id);
    if (!err && !id->service)
        err = E_ACCESS_DENIED;
    identity_unref(id);
    if (err) {
        http_reply_error(req, err,
                         err == E_ACCESS_DENIED ? "Only the service role may watch" : NULL);
        return;
    }
    for (size_t i = 0; (glob = http_query_at(req, "channel", i)).p; i++) {
        if (f.globs_count == GLOBS_MAX || glob.n > NATIVE_CHANNEL_MAX) {
            http_reply_error(req, E_TOO_LARGE, "At most 16 channel patterns of 255 bytes");
            return;
        }
        f.globs[f.globs_count++] = glob;
    }
    if (api_home_of(req->loop)->tails_count >= TAILS_MAX)
        http_reply_error(req, E_TOO_MANY, "Too many are watching");
    else
        begin(req, &f);
}
