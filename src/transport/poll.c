/* SPDX-License-Identifier: Apache-2.0 */
/* Long poll on /api/poll. Each request is a session of its own that subscribes from its cursor:
 * what history holds after it is answered at once, else the request waits for the first message
 * or its time. The answer carries the next cursor; nothing is kept between two polls.
 *
 * Where the client keeps no cursor: the answer's cookie does (a browser), and for clients
 * without cookies the server remembers by connection: `kept`. The next request on the same
 * connection has received the last answer; a new connection of the same address, agent and
 * channels may not have: it goes on before that answer, since a repeat shows in the id and a
 * loss does not. */
#include "transport/transport_priv.h"

#include "base/hash.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/metric.h"
#include "base/num.h"
#include "wire/native.h"

enum { BATCH_MAX = 256, BATCH_BYTES_MAX = 1 << 20, ORPHAN_MS = 50 };

/* Position of a poller that keeps none itself. */
struct kept {
    struct list link; /* poll_home->kept, longest unused first */
    uint64_t used_ms;
    bool is_parked;
    uint64_t who;         /* address, agent, channels */
    char *before, *after; /* cursors: of the last request, and of its answer (NULL: none yet) */
    size_t key_n;
    char key[]; /* connection and channels */
};
struct poll_home {
    struct map by_key;
    struct list kept;
};

struct poll {
    struct outlet outlet; /* first */
    struct list link;     /* home->polls */
    struct http_request *req;
    struct session *session;
    struct timer timer;
    struct turn_task answer_task;
    struct places places;
    struct buf body; /* messages so far, joined by commas */
    size_t count;
    size_t asked; /* subscriptions not answered yet: before that the cursor would have holes */
    bool is_due;  /* an answer waits for them */
    bool batch, frames, uses_cookie, is_answered;
    struct kept *kept;
};

static struct transport_home *home_of(const struct poll *p)
{
    return transport_home_of(p->req->loop);
}

/* ---- positions of those who keep none
 * ------------------------------------------------------------ */

void poll_setup(struct transport_home *home)
{
    home->poll = mem_new(sizeof(*home->poll));
    list_init(&home->poll->kept);
}

static void kept_free(struct poll_home *ph, struct kept *k)
{
    map_remove(&ph->by_key, str_of(k->key, k->key_n));
    list_drop(&k->link);
    mem_free(k->before);
    mem_free(k->after);
    mem_free(k);
}

void poll_teardown(struct transport_home *home)
{
    struct poll_home *ph = home->poll;
    while (!list_is_empty(&ph->kept))
        kept_free(ph, LIST_OF(ph->kept.next, struct kept, link));
    map_free(&ph->by_key);
    mem_free(ph);
}

static void kept_trim(struct transport_home *home)
{
    struct poll_home *ph = home->poll;
    uint64_t now_ms = loop_now_ms(home->loop);
    for (struct list *at = ph->kept.next, *next; at != &ph->kept; at = next) {
        struct kept *k = LIST_OF(at, struct kept, link);
        next = at->next;
        bool old = k->used_ms + home->config->poll_keep_ms < now_ms;
        if (!k->is_parked && (old || ph->by_key.count > home->config->poll_keep_max))
            kept_free(ph, k);
        else if (!k->is_parked)
            return;
    }
}

static void add_channels(const struct places *ps, struct buf *out)
{
    for (size_t i = 0; i < ps->count; i++) {
        buf_add_c(out, '\n');
        buf_add_str(out, ps->list[i].channel);
    }
}

static struct kept *find_orphan(struct transport_home *home, uint64_t who)
{
    uint64_t now_ms = loop_now_ms(home->loop);
    for (struct list *at = home->poll->kept.next; at != &home->poll->kept; at = at->next) {
        struct kept *k = LIST_OF(at, struct kept, link);
        if (k->who == who && !k->is_parked && k->used_ms + ORPHAN_MS <= now_ms)
            return k;
    }
    return NULL;
}

/* The entry of this connection, with the cursor to go on from (empty: from now on). */
static struct kept *kept_take(struct http_request *req, const struct places *ps, struct str *cursor)
{
    struct transport_home *home = transport_home_of(req->loop);
    struct poll_home *ph = home->poll;
    struct buf key = {0}, who = {0};
    kept_trim(home);
    buf_add_str(&key, http_peer(req));
    add_channels(ps, &key);
    buf_add_str(&who, http_client_address(req));
    buf_add_c(&who, '\n');
    buf_add_str(&who, http_header(req, "user-agent"));
    add_channels(ps, &who);
    if (key.failed || who.failed) {
        req->no_memory = true;
        buf_free(&key);
        buf_free(&who);
        return NULL;
    }
    uint64_t who_hash = hash_str(buf_str(&who));
    struct kept *k = map_get(&ph->by_key, buf_str(&key));
    if (k && k->is_parked)
        k = NULL; /* pipelined by somebody who means something else */
    struct kept *orphan = k ? NULL : find_orphan(home, who_hash);
    char *from = NULL;
    if (k && k->after) {
        from = k->after;
        k->after = NULL;
    } else if (orphan) {
        from = orphan->before;
        orphan->before = NULL;
        kept_free(ph, orphan);
    }
    if (!k && !map_get(&ph->by_key, buf_str(&key))) {
        k = mem_new(sizeof(*k) + key.n);
        k->key_n = key.n;
        memcpy(k->key, key.p, key.n);
        map_put(&ph->by_key, str_of(k->key, k->key_n), k);
        list_push(&ph->kept, &k->link);
    }
    if (k) {
        mem_free(k->before);
        k->before = from;
        k->who = who_hash;
        k->is_parked = true;
        k->used_ms = loop_now_ms(req->loop);
        *cursor = str_from(k->before);
    }
    buf_free(&key);
    buf_free(&who);
    return k;
}

/* after NULL: the connection was lost while it waited. */
static void kept_leave(struct poll *p, struct str after)
{
    struct kept *k = p->kept;
    struct poll_home *ph = home_of(p)->poll;
    if (!k)
        return;
    p->kept = NULL;
    k->is_parked = false;
    k->used_ms = after.p ? loop_now_ms(p->req->loop) : 0;
    list_drop(&k->link);
    list_push(&ph->kept, &k->link);
    mem_free(k->after);
    k->after = after.p ? str_dup(after) : NULL;
    if (!k->before && after.p)
        k->before = str_dup(after); /* a first poll that lost its answer starts there */
    if (!after.p && !k->before)
        kept_free(ph, k);
}

/* ---- the answer
 * ------------------------------------------------------------------------------------ */

static bool set_cookie(struct poll *p, struct str cursor)
{
    struct buf b = {0}, name = {0};
    add_channels(&p->places, &name);
    buf_printf(&b, "tw_poll_%08x=", (unsigned)hash_bytes(name.p, name.n, 1, 2));
    buf_add_str(&b, cursor);
    buf_add_z(&b, "; Path=/; Max-Age=600; HttpOnly; SameSite=Lax");
    if (sock_is_tls(http_sock(p->req)))
        buf_add_z(&b, "; Secure");
    bool ok = !b.failed && !name.failed;
    if (ok)
        http_add_header(p->req, "Set-Cookie", buf_str(&b));
    buf_free(&b);
    buf_free(&name);
    return ok;
}

static void add_body(struct poll *p, struct str cursor, struct buf *out)
{
    if (p->batch || p->frames) {
        buf_add_z(out, "{\"messages\":[");
        buf_add_str(out, buf_str(&p->body));
        buf_add_z(out, "]");
        json_add_field(out, "cursor", cursor);
        buf_add_c(out, '}');
    } else if (p->count) {
        /* One object, made without its cursor: the last brace makes room for it. */
        buf_add(out, p->body.p, p->body.n - 1);
        json_add_field(out, "cursor", cursor);
        buf_add_c(out, '}');
    } else {
        native_add_timeout(out, cursor, loop_wall_ms(p->req->loop));
    }
}

static void finish(struct poll *p)
{
    struct http_request *req = p->req;
    struct buf cursor = {0}, named = {0}, body = {0};
    if (p->is_answered)
        return;
    p->is_answered = true;
    places_add_cursor(&p->places, false, &cursor);
    add_body(p, buf_str(&cursor), &body);
    if (p->uses_cookie)
        places_add_cursor(&p->places, true, &named);
    bool failed = p->body.failed || cursor.failed || body.failed || named.failed;
    if (!failed && p->uses_cookie)
        failed = !set_cookie(p, buf_str(&named));
    kept_leave(p, failed ? STR_NONE : buf_str(&cursor));
    http_add_header(req, "Cache-Control", STR("no-store"));
    req->on_abort = NULL;
    if (failed) /* as if it had not come: it asks from the same place again */
        http_reply_error(req, E_NO_MEMORY, NULL);
    else
        http_reply(req, 200, "application/json", buf_str(&body));
    buf_free(&cursor);
    buf_free(&named);
    buf_free(&body);
    if (p->session)
        session_end(p->session, 0, false);
}

static void on_turn(struct loop *l, struct turn_task *task)
{
    struct poll *p = LIST_OF(task, struct poll, answer_task);
    (void)l;
    if (p->asked)
        p->is_due = true;
    else
        finish(p);
}

/* At the end of this turn: what else comes in it goes along. */
static void answer_soon(struct poll *p)
{
    p->answer_task.run = on_turn;
    loop_at_turn_end(p->req->loop, TURN_FANOUT, &p->answer_task);
}

static void add_frame(struct poll *p, struct str frame)
{
    if (p->body.n)
        buf_add_c(&p->body, ',');
    buf_add_str(&p->body, frame);
    p->count++;
    answer_soon(p);
}

static void add_made(struct poll *p, const struct buf *b)
{
    if (b->failed) { /* the whole answer is: what is missing must not be passed */
        p->body.failed = true;
        answer_soon(p);
    } else {
        add_frame(p, buf_str(b));
    }
}

/* ---- the dialect's words
 * ---------------------------------------------------------------------------- */

static bool is_full(const struct poll *p)
{
    size_t max = p->batch || p->frames ? BATCH_MAX : 1;
    return p->is_answered || p->count >= max || p->body.n >= BATCH_BYTES_MAX;
}

static void on_message(struct session *s, struct session_sub *ss, struct msg *m)
{
    struct poll *p = session_user(s);
    struct native_message nm;
    struct buf b = {0};
    if (is_full(p)) /* stays in history, after the cursor */
        return;
    place_set(places_find(&p->places, session_sub_channel(ss)), m->epoch, m->offset);
    native_message_of(m, &nm);
    native_add_message(&b, &nm);
    add_made(p, &b);
    buf_free(&b);
}

static void tell_gap(struct poll *p, struct str channel, uint64_t from, uint64_t to)
{
    struct buf b = {0};
    native_add_gap(&b, channel, from, to, STR_NONE);
    add_made(p, &b);
    buf_free(&b);
}

static void emit_frame(void *arg, const struct buf *frame)
{
    add_made(arg, frame);
}

static void refuse(struct poll *p, const struct answer *a)
{
    if (p->is_answered)
        return;
    p->is_answered = true;
    kept_leave(p, STR_NONE);
    p->req->on_abort = NULL;
    http_reply_error(p->req, a->err, a->detail);
    session_end(p->session, a->err, false);
}

static void on_answer(struct session *s, const struct answer *a)
{
    struct poll *p = session_user(s);
    const struct hub_subscribed *sub = a->subscribed;
    if (a->type != REQUEST_SUBSCRIBE)
        return;
    if (--p->asked == 0 && p->is_due)
        answer_soon(p);
    if (a->err && !p->frames) {
        refuse(p, a);
        return;
    }
    if (a->err) {
        native_each_frame(a, emit_frame, p);
        return;
    }
    struct place *place = places_find(&p->places, a->channel);
    bool is_first = !place->has_at;
    if (sub->gap_to && is_full(p))
        return; /* told by the next poll, which starts from the same place */
    /* Before the missed messages: their first is what the client has not got. */
    place_set(place, str_from(sub->at.epoch),
              sub->missed_count ? sub->missed[0]->offset - 1 : sub->at.offset);
    if (p->frames && is_first)
        native_each_frame(a, emit_frame, p);
    else if (sub->gap_to)
        tell_gap(p, a->channel, sub->gap_from, sub->gap_to);
}

static void on_presence(struct session *s, struct session_sub *ss, const struct presence_update *u)
{
    struct poll *p = session_user(s);
    struct buf b = {0};
    if (is_full(p))
        return;
    native_encode_presence(session_sub_channel(ss), u, &b);
    add_made(p, &b);
    buf_free(&b);
}

static void on_ended(struct session *s, int err)
{
    struct poll *p = session_user(s);
    (void)err;
    p->session = NULL;
    if (!p->is_answered)
        finish(p);
    loop_turn_task_drop(&p->answer_task);
    timer_stop(&p->timer);
    list_drop(&p->link);
    metric_add(M_CONNECTIONS_POLL, -1);
    buf_free(&p->body);
    mem_free(p);
}

static void on_reconnect(struct session *s, uint64_t in_ms)
{
    (void)in_ms;
    finish(session_user(s));
}

static bool on_expired(struct session *s)
{
    finish(session_user(s)); /* the next poll is refused by its token */
    return true;
}

static const struct session_ops poll_ops = {.name = "poll",
                                            .answer = on_answer,
                                            .message = on_message,
                                            .presence = on_presence,
                                            .expired = on_expired,
                                            .reconnect = on_reconnect,
                                            .ended = on_ended};

/* A poll's answer is one piece: nothing is sent by itself, nothing is ever unsent. */
static void on_close(struct outlet *o, int err, struct str detail)
{
    (void)err, (void)detail;
    finish((struct poll *)(void *)o);
}

static void on_send(struct outlet *o, struct str payload, bool is_binary)
{
    if (!is_binary)
        add_frame((struct poll *)(void *)o, payload);
}

static const struct outlet_ops outlet_ops = {.send = on_send, .close = on_close};

/* ---- life
 * -------------------------------------------------------------------------------------------- */

static void on_timer(struct loop *l, struct timer *timer)
{
    (void)l;
    answer_soon(LIST_OF(timer, struct poll, timer));
}

static void on_abort(struct http_request *req)
{
    struct poll *p = req->state;
    p->is_answered = true;
    kept_leave(p, STR_NONE);
    session_end(p->session, E_CLOSED, false);
}

static void subscribe_all(struct poll *p, uint64_t session)
{
    struct http_request *req = p->req;
    struct loop *l = req->loop;
    uint64_t count = 0;
    struct request r = {.type = REQUEST_SUBSCRIBE, .tables = true, .kind = ENC_NONE};
    r.presence = str_is(http_query(req, "presence"), "1");
    if (num_u64(http_query(req, "history"), &count))
        r.since.history = count > 1000 ? 1000 : (size_t)count;
    p->asked = p->places.count;
    for (size_t i = 0; i < p->places.count; i++) {
        struct place *place = &p->places.list[i];
        r.channel = place->channel;
        r.since.has_since = place->has_at;
        r.since.since = place->at;
        session_request(p->session, &r);
        if (!session_find(l, session)) /* refused: p is gone */
            return;
        places_track(req, p->session, place->channel);
    }
}

static uint64_t wait_ms(struct http_request *req)
{
    const struct transport_config *config = transport_home_of(req->loop)->config;
    uint64_t ms = config->poll_ms, asked;
    if (num_u64(http_query(req, "timeout"), &asked))
        ms = asked < config->poll_ms_max ? asked : config->poll_ms_max;
    return ms ? ms : 1;
}

static struct str find_cursor(struct http_request *req, struct poll *p)
{
    struct buf channels = {0}, name = {0};
    struct str cursor = http_query(req, "cursor");
    if (cursor.p) /* also an empty one: who says it keeps its own, and begins now */
        return cursor;
    p->uses_cookie = true;
    add_channels(&p->places, &channels);
    buf_printf(&name, "tw_poll_%08x", (unsigned)hash_bytes(channels.p, channels.n, 1, 2));
    buf_add_c(&name, '\0');
    req->no_memory |= channels.failed || name.failed;
    cursor = name.failed ? STR_NONE : http_cookie(req, name.p);
    buf_free(&channels);
    buf_free(&name);
    if (!cursor.n && !http_header(req, "cookie").n)
        p->kept = kept_take(req, &p->places, &cursor);
    return cursor;
}

/* Reads who, where and from which position; answers and returns false when something is wrong. */
static bool prepare(struct poll *p, struct who *who)
{
    struct http_request *req = p->req;
    const char *detail = NULL;
    if (!upgrade_origin(req) || upgrade_identify(req, who))
        return false;
    int err = places_read(req, STR_NONE, &p->places, &detail);
    if (!err) {
        struct str cursor = find_cursor(req, p);
        err = places_read(req, cursor, &p->places, &detail);
        if (err && err != E_NO_MEMORY && !http_query(req, "cursor").p) /* a cookie of old */
            err = places_read(req, STR_NONE, &p->places, &detail);
    }
    if (!err)
        return true;
    kept_leave(p, STR_NONE);
    identity_unref(who->identity);
    http_reply_error(req, err, detail);
    return false;
}

/* Those who keep no position must meet their kept one: always the same loop for one address. */
static bool move_home(struct http_request *req)
{
    struct loops *ls = loop_siblings(req->loop);
    struct loop *to =
        loops_at(ls, (unsigned)(hash_str(http_client_address(req)) % loops_count(ls)));
    if (to == req->loop || http_query(req, "cursor").p || http_header(req, "cookie").n)
        return false;
    http_move(req, to);
    return true;
}

void poll_on_request(struct http_request *req)
{
    struct transport_home *home = transport_home_of(req->loop);
    struct who who = {0};
    if (move_home(req))
        return;
    struct poll *p = mem_new(sizeof(*p));
    p->req = req;
    p->batch = str_is(http_query(req, "batch"), "1");
    p->frames = str_is(http_query(req, "frames"), "1");
    p->outlet.ops = &outlet_ops;
    if (!prepare(p, &who)) {
        mem_free(p);
        return;
    }
    struct session_open o = {
        .ops = &poll_ops, .outlet = &p->outlet, .identity = who.identity, .user = p};
    p->session = session_open(req->loop, &o);
    identity_unref(who.identity);
    if (!p->session) {
        kept_leave(p, STR_NONE);
        http_reply_error(req, E_TOO_MANY, "Too many sessions on this server");
        mem_free(p);
        return;
    }
    metric_add(M_CONNECTIONS_POLL, 1);
    list_push(&home->polls, &p->link);
    req->state = p;
    req->on_abort = on_abort;
    timer_set(req->loop, &p->timer, wait_ms(req), on_timer);
    subscribe_all(p, session_id(p->session));
}

void poll_drain(struct transport_home *home)
{
    (void)home; /* session_drain answers each through on_reconnect */
}
