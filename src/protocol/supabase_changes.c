/* SPDX-License-Identifier: Apache-2.0 */
/* postgres_changes: the bindings of a join as one watch on the feed of table changes
 * (hub/source.h).
 *
 *   join --open the watch--> opened --subscribe to the channel--> reply, system message, changes
 *
 * The reply waits until the watch is live, so whatever is written after SUBSCRIBED arrives. What
 * comes before the reply is held: the client could not tell whose it is. A reader that is slow has
 * its changes held too, up to HELD_MAX; beyond that they are lost, and that is said.
 *
 * Who comes back goes on after the last change that has arrived for sure: `marks` notes where in
 * the byte stream each change ends, and the client is asked for receipts (a WebSocket ping). What
 * the peer's kernel acknowledged says nothing: a proxy does that for what it may never deliver,
 * and a client that goes throws away what it has not looked at. So a change may come twice when
 * its receipt was lost; never not. */
#include "protocol/supabase.h"

#include "base/json.h"
#include "base/mem.h"
#include "hub/source.h"
#include "wire/supabase.h"

enum { HELD_MAX = 1000, MARKS_MAX = 64, ASKS_MAX = 16 };

struct held {
    struct source_change *change;
    uint64_t fits;
};
/* Bytes up to `end` brought changes after `before`. */
struct mark {
    uint64_t end, before;
};
struct supabase_changes {
    struct source_watch watch;
    struct phoenix_topic *topic;
    char *reply; /* to the join: the bindings with their ids */
    size_t reply_n;
    char *trouble; /* why the watch could not be opened */
    size_t trouble_n;
    bool waits; /* the client asked that a join fails with its watch */
    bool is_gap, is_answered;
    struct changes_place at; /* of the last change that was sent */
    struct held *held;
    size_t held_count, held_capacity;
    struct mark marks[MARKS_MAX];
    size_t marks_count;
    uint64_t asked_to; /* position of the newest ask */
    unsigned asks;     /* that were not answered */
};

static const char extension[] = "postgres_changes";

/* ---- out ------------------------------------------------------------------------------------- */

static void say(const struct supabase_changes *c, bool ok, struct str text)
{
    supabase_system(c->topic, extension, ok, text);
}

static void say_gap(struct supabase_changes *c)
{
    say(c, false, STR("Gap: changes may have been missed"));
    c->is_gap = false;
}

static void fold(struct supabase_changes *c, uint64_t arrived)
{
    size_t gone = 0;
    while (gone < c->marks_count && c->marks[gone].end <= arrived)
        gone++;
    c->marks_count -= gone;
    memmove(c->marks, c->marks + gone, c->marks_count * sizeof(c->marks[0]));
}

static void ask(struct supabase_changes *c)
{
    struct outlet *o = c->topic->conn->outlet;
    if (!o->sock || !o->ops->ask)
        return;
    c->asked_to = sock_position(o->sock);
    c->asks++;
    o->ops->ask(o);
}

static void note(struct supabase_changes *c, uint64_t before)
{
    struct sock *s = c->topic->conn->outlet->sock;
    if (!s)
        return;
    if (c->marks_count == MARKS_MAX) /* rather a repeat than a hole: two become one */
        c->marks[MARKS_MAX - 1].end = sock_position(s);
    else
        c->marks[c->marks_count++] = (struct mark){sock_position(s), before};
    if (c->asks < ASKS_MAX)
        ask(c);
}

static void send(struct supabase_changes *c, const struct source_change *change, uint64_t fits)
{
    const struct phoenix_topic *t = c->topic;
    const struct phoenix_address to = {.vsn = t->conn->vsn, .topic = t->topic};
    const char *comma = "";
    uint64_t before = c->at.seq;
    struct buf b = {0};
    phoenix_begin(&b, &to, extension);
    buf_add_z(&b, "{\"ids\":[");
    for (unsigned i = 0; fits >> i; i++) {
        if (!(fits >> i & 1))
            continue;
        buf_printf(&b, "%s%u", comma, i + 1);
        comma = ",";
    }
    buf_add_z(&b, "],\"data\":");
    buf_add_str(&b, change->data);
    buf_add_c(&b, '}');
    phoenix_end(&b, &to);
    phoenix_emit(t->conn, &b, false);
    c->at.seq = change->seq;
    note(c, before);
}

static bool is_full(const struct supabase_changes *c)
{
    return outlet_unsent(c->topic->conn->outlet) >=
           session_config_of(c->topic->conn->loop)->send_bytes_max;
}

static void flush(struct supabase_changes *c)
{
    size_t sent = 0;
    while (sent < c->held_count && !is_full(c)) {
        send(c, c->held[sent].change, c->held[sent].fits);
        source_change_unref(&c->held[sent++].change);
    }
    c->held_count -= sent;
    if (sent)
        memmove(c->held, c->held + sent, c->held_count * sizeof(c->held[0]));
    if (!c->held_count && c->is_gap)
        say_gap(c);
}

static void hold(struct supabase_changes *c, struct source_change *change, uint64_t fits)
{
    if (c->held_count == HELD_MAX) {
        c->is_gap = true;
        return;
    }
    if (c->held_count == c->held_capacity)
        c->held = mem_grow(c->held, &c->held_capacity, c->held_count + 1, sizeof(c->held[0]));
    source_change_ref(change);
    c->held[c->held_count++] = (struct held){change, fits};
}

/* ---- from the feed ----------------------------------------------------------------------------
 */

static struct supabase_changes *changes_of(struct source_watch *w)
{
    return LIST_OF(w, struct supabase_changes, watch);
}

static void on_opened(struct source_watch *w, const struct source_opened *o)
{
    struct supabase_changes *c = changes_of(w);
    struct phoenix_topic *t = c->topic;
    if (o->err) {
        c->trouble = str_dup(str_from(o->message ? o->message : err_info(o->err)->text));
        c->trouble_n = strlen(c->trouble);
    } else {
        c->is_gap = o->gap;
        if (strcmp(c->at.epoch, o->epoch) != 0) /* else what was missed follows, from there */
            c->at.seq = o->seq;
        memcpy(c->at.epoch, o->epoch, sizeof(c->at.epoch));
    }
    if (!t->conn)
        return;
    if (o->err && c->waits)
        supabase_join_fail(t, "RealtimeDisabledForConfiguration", str_of(c->trouble, c->trouble_n));
    else
        supabase_join_ask(t);
}

static void on_changed(struct source_watch *w, struct source_change *change, uint64_t fits)
{
    struct supabase_changes *c = changes_of(w);
    if (!c->topic->conn)
        return;
    if (c->is_answered && !c->held_count && !is_full(c)) {
        send(c, change, fits);
        return;
    }
    hold(c, change, fits);
    if (c->topic->conn->outlet->sock)
        sock_expect_drained(c->topic->conn->outlet->sock);
}

static void on_lost(struct source_watch *w)
{
    struct supabase_changes *c = changes_of(w);
    c->is_gap = true;
    if (c->topic->conn && c->is_answered && !c->held_count)
        say_gap(c);
}

/* ---- of a topic -------------------------------------------------------------------------------
 */

static bool event_of(struct str text, enum source_event *out)
{
    static const char *const names[] = {"*", "INSERT", "UPDATE", "DELETE"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (!str_eq_nocase(text, str_from(names[i])))
            continue;
        *out = (enum source_event)i;
        return true;
    }
    return false;
}

static void fail(struct supabase_changes *c, const char *why)
{
    on_opened(&c->watch, &(struct source_opened){.err = E_BAD_REQUEST, .message = why});
}

static void open_watch(struct supabase_changes *c, const struct supabase_join *join,
                       const struct changes_place *at)
{
    struct loop *l = c->topic->conn->loop;
    struct source_binding *list =
        arena_zero(loop_turn(l), (join->bindings_count ? join->bindings_count : 1) * sizeof(*list));
    struct source_options o = {.bindings = list, .bindings_count = join->bindings_count};
    for (size_t i = 0; list && i < join->bindings_count; i++) {
        const struct supabase_binding *b = &join->bindings[i];
        list[i].schema = b->schema.text;
        list[i].table = b->table.text;
        list[i].filter = b->filter.text;
        if (!event_of(b->event.text, &list[i].event)) {
            fail(c, "the event is none of *, INSERT, UPDATE, DELETE");
            return;
        }
    }
    if (!list) {
        fail(c, "out of memory");
        return;
    }
    if (at->epoch[0]) {
        o.has_since = true;
        o.since = at->seq;
        o.epoch = str_from(at->epoch);
    }
    c->watch.identity = session_identity(c->topic->session);
    source_watch_open(l, &c->watch, &o);
}

void supabase_changes_open(struct phoenix_topic *t, const struct supabase_join *join,
                           const struct changes_place *at)
{
    struct supabase_changes *c = mem_new(sizeof(*c));
    uint64_t ids[SUPABASE_BINDINGS_MAX];
    struct buf reply = {0};
    c->topic = t;
    c->waits = join->wait;
    c->at = *at;
    c->watch.opened = on_opened;
    c->watch.changed = on_changed;
    c->watch.lost = on_lost;
    for (size_t i = 0; i < join->bindings_count; i++)
        ids[i] = i + 1;
    supabase_add_joined(&reply, join, ids);
    c->reply = str_dup(buf_str(&reply));
    c->reply_n = reply.n;
    buf_free(&reply);
    t->changes = c;
    open_watch(c, join, at);
}

struct str supabase_changes_reply(const struct supabase_changes *c)
{
    return c ? str_of(c->reply, c->reply_n) : STR("{\"postgres_changes\":[]}");
}

void supabase_changes_joined(struct supabase_changes *c)
{
    if (!c || c->is_answered)
        return;
    c->is_answered = true;
    mem_free(c->reply); /* as large as the client made it */
    c->reply = NULL;
    if (c->trouble) {
        struct buf text = {0};
        buf_printf(&text,
                   "Unable to subscribe to changes with given parameters. Please check Realtime is "
                   "enabled for the given connect parameters: %.*s",
                   (int)c->trouble_n, c->trouble);
        say(c, false, buf_str(&text));
        buf_free(&text);
        return;
    }
    say(c, true, STR("Subscribed to PostgreSQL"));
    flush(c);
}

void supabase_changes_drained(struct supabase_changes *c)
{
    if (c && c->is_answered && (c->held_count || c->is_gap))
        flush(c);
}

/* A client may answer several pings by the newest alone. */
void supabase_changes_receipt(struct supabase_changes *c, uint64_t position)
{
    if (!c || !c->topic->conn || !c->asks)
        return;
    fold(c, position);
    c->asks = position >= c->asked_to ? 0 : c->asks > 1 ? c->asks - 1 : 1;
    if (!c->asks && c->marks_count)
        ask(c);
}

void supabase_changes_identify(struct supabase_changes *c)
{
    if (c && c->watch.id)
        source_watch_identify(c->topic->conn->loop, &c->watch, session_identity(c->topic->session));
}

void supabase_changes_stop(struct supabase_changes *c)
{
    if (!c || !c->topic->conn)
        return;
    if (c->marks_count)
        c->at.seq = c->marks[0].before;
    source_watch_close(c->topic->conn->loop, &c->watch);
}

struct changes_place supabase_changes_place(const struct supabase_changes *c)
{
    return c ? c->at : (struct changes_place){0};
}

void supabase_changes_free(struct supabase_changes *c, struct loop *l)
{
    if (!c)
        return;
    source_watch_close(l, &c->watch);
    for (size_t i = 0; i < c->held_count; i++)
        source_change_unref(&c->held[i].change);
    mem_free(c->held);
    mem_free(c->reply);
    mem_free(c->trouble);
    mem_free(c);
}
