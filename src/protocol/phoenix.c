/* SPDX-License-Identifier: Apache-2.0 */
/* The Phoenix layer: which topics a connection has joined, and whose frame is whose.
 *
 *   phx_join   answered when the subscription is live (supabase_join.c). On a topic that is joined
 * the old instance ends first, with a phx_close that carries the OLD join_ref phx_leave  ok, then
 * phx_close; of another instance: ignored, its phx_close is on its way heartbeat  ok a push on a
 * topic that is not joined: an error, "unmatched topic"
 *
 * phx_error makes a client join again, phx_close does not: so whatever may pass is never the
 * latter. Frames that cannot be read are dropped and logged, the connection goes on: one broken
 * message must not cost a client its channels. */
#include "protocol/supabase.h"

#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "wire/url.h"

enum { JSON_DEPTH = 64, DEBT_MS_MAX = 5000, REJOIN_MS = 10000 };

static struct phoenix_home *home_of(struct loop *l)
{
    return loop_slot(l, LOOP_SLOT_PHOENIX);
}

const struct realtime_config *realtime_config_of(struct loop *l)
{
    return home_of(l)->config;
}

void phoenix_setup(struct loops *ls, const struct realtime_config *config)
{
    for (unsigned i = 0; i < loops_count(ls); i++) {
        struct phoenix_home *home = mem_new(sizeof(*home));
        home->config = config;
        home->began_ms = loop_now_ms(loops_at(ls, i));
        home->loops = loops_count(ls);
        loop_slot_set(loops_at(ls, i), LOOP_SLOT_PHOENIX, home);
    }
}

void phoenix_teardown(struct loops *ls)
{
    for (unsigned i = 0; i < loops_count(ls); i++) {
        mem_free(home_of(loops_at(ls, i)));
        loop_slot_set(loops_at(ls, i), LOOP_SLOT_PHOENIX, NULL);
    }
}

/* ---- out ------------------------------------------------------------------------------------- */

void phoenix_emit(struct phoenix *c, struct buf *b, bool is_binary)
{
    outlet_send_made(c->outlet, b, is_binary);
    buf_free(b);
}

struct phoenix_address phoenix_address_of(const struct phoenix_topic *t, struct str ref)
{
    return (struct phoenix_address){
        .vsn = t->conn->vsn, .join_ref = t->join_ref, .ref = ref, .topic = t->topic};
}

void phoenix_reply(const struct phoenix_topic *t, struct str ref, bool ok, struct str response)
{
    struct phoenix_address to = phoenix_address_of(t, ref);
    struct buf b = {0};
    phoenix_add_reply(&b, &to, ok, response);
    phoenix_emit(t->conn, &b, false);
}

void phoenix_refuse(const struct phoenix_topic *t, struct str ref, struct str reason)
{
    struct phoenix_address to = phoenix_address_of(t, ref);
    struct buf b = {0};
    phoenix_add_refusal(&b, &to, reason);
    phoenix_emit(t->conn, &b, false);
}

void phoenix_refuse_frame(struct phoenix *c, const struct phoenix_frame *f, struct str join_ref,
                          struct str reason)
{
    struct phoenix_address to = {
        .vsn = c->vsn, .join_ref = join_ref, .ref = f->ref, .topic = f->topic};
    struct buf b = {0};
    phoenix_add_refusal(&b, &to, reason);
    phoenix_emit(c, &b, false);
}

void phoenix_close_topic(const struct phoenix_topic *t)
{
    struct phoenix_address to = phoenix_address_of(t, t->join_ref);
    struct buf b = {0};
    phoenix_add(&b, &to, "phx_close", STR_NONE);
    phoenix_emit(t->conn, &b, false);
}

void phoenix_break_topic(const struct phoenix_topic *t, struct str reason)
{
    struct phoenix_address to = phoenix_address_of(t, t->join_ref);
    struct buf b = {0}, payload = {0};
    buf_add_c(&payload, '{');
    json_add_field(&payload, "reason", reason);
    buf_add_c(&payload, '}');
    phoenix_add(&b, &to, "phx_error", buf_str(&payload));
    phoenix_emit(t->conn, &b, false);
    buf_free(&payload);
}

/* ---- rates ------------------------------------------------------------------------------------
 */

uint64_t phoenix_share(const struct phoenix *c, unsigned per_second)
{
    unsigned loops = c->home->loops;
    return (per_second + loops - 1) / loops; /* rounded up: no limit never comes of one */
}

/* Takes one; the debt after it, in ms. */
static uint64_t take(struct phoenix_bucket *b, uint64_t now_ms, uint64_t per_second, uint64_t burst)
{
    uint64_t passed_ms = now_ms - b->at_ms;
    int64_t full = (int64_t)(burst * 1000);
    if (!b->at_ms || passed_ms > 100000)
        b->milli = full;
    else
        b->milli += (int64_t)(passed_ms * per_second);
    if (b->milli > full)
        b->milli = full;
    b->at_ms = now_ms;
    b->milli -= 1000;
    return b->milli < 0 ? (uint64_t)-b->milli / per_second + 1 : 0;
}

static void hold(struct phoenix *c, uint64_t ms)
{
    if (ms > c->hold_ms)
        c->hold_ms = ms;
}

/* Its own rate: input waits until the debt is paid, nothing is refused. */
static void charge(struct phoenix *c)
{
    const struct session_config *config = session_config_of(c->loop);
    uint64_t rate = config->messages_per_second;
    if (rate)
        hold(c, take(&c->messages, loop_now_ms(c->loop), rate, config->messages_burst));
}

bool phoenix_spend(struct phoenix *c, struct phoenix_bucket *b, uint64_t per_second, uint64_t burst)
{
    if (!per_second)
        return true;
    uint64_t debt_ms = take(b, loop_now_ms(c->loop), per_second, burst);
    if (debt_ms > DEBT_MS_MAX) {
        b->milli += 1000;
        return false;
    }
    if (debt_ms) /* half the price: who goes on like this is slower at first, then refused */
        hold(c, 500 / per_second + 1);
    return true;
}

/* ---- topics -----------------------------------------------------------------------------------
 */

static struct str topic_of(const void *record)
{
    const struct phoenix_topic *t = record;
    return t->topic;
}

static struct str keep(char **at, struct str s)
{
    char *p = *at;
    memcpy(p, s.p ? s.p : "", s.n);
    *at += s.n;
    return str_of(p, s.n);
}

struct phoenix_topic *phoenix_topic_new(struct phoenix *c, const struct phoenix_frame *join,
                                        struct str channel)
{
    struct str join_ref = join->join_ref.n ? join->join_ref : join->ref; /* vsn 1 may have none */
    struct phoenix_topic *t = mem_new(sizeof(*t) + join->topic.n + channel.n + join_ref.n);
    char *at = t->text;
    t->conn = c;
    t->topic = keep(&at, join->topic);
    t->channel = keep(&at, channel);
    t->join_ref = keep(&at, join_ref);
    table_put(&c->topics, t);
    return t;
}

void phoenix_topic_free(struct phoenix_topic *t)
{
    if (t->conn)
        table_remove(&t->conn->topics, t->topic);
    mem_free(t->begin);
    mem_free(t->key);
    mem_free(t);
}

static bool has_join_ref(const struct phoenix_topic *t, struct str ref)
{
    return !ref.n || str_eq(ref, t->join_ref);
}

/* Clients before 2.119 write the names in a binary frame as Latin-1 even where that loses
 * characters: then the join_ref tells the topic. */
static struct phoenix_topic *find(struct phoenix *c, const struct phoenix_frame *f)
{
    struct phoenix_topic *t = table_get(&c->topics, f->topic);
    if (t || !f->is_user_broadcast || !f->join_ref.n)
        return t;
    for (size_t at = 0; (t = table_next(&c->topics, &at));)
        if (has_join_ref(t, f->join_ref))
            return t;
    return NULL;
}

/* ---- in ---------------------------------------------------------------------------------------
 */

static void on_heartbeat(struct phoenix *c, const struct phoenix_frame *f)
{
    struct phoenix_address to = {.vsn = c->vsn, .ref = f->ref, .topic = f->topic};
    struct buf b = {0};
    phoenix_add_reply(&b, &to, true, STR_NONE);
    phoenix_emit(c, &b, false);
}

static void on_leave(struct phoenix *c, struct phoenix_topic *t, const struct phoenix_frame *f)
{
    if (!t) {
        struct phoenix_address to = {
            .vsn = c->vsn, .join_ref = f->join_ref, .ref = f->ref, .topic = f->topic};
        struct buf b = {0};
        phoenix_add_reply(&b, &to, true, STR_NONE);
        phoenix_emit(c, &b, false);
        return;
    }
    if (!has_join_ref(t, f->join_ref))
        return;
    phoenix_reply(t, f->ref, true, STR_NONE);
    phoenix_close_topic(t);
    session_end(t->session, 0, true);
}

static void dispatch(struct phoenix *c, const struct phoenix_frame *f)
{
    struct phoenix_topic *t = find(c, f);
    if (str_is(f->event, "phx_join"))
        supabase_join_run(c, f);
    else if (str_is(f->event, "phx_leave"))
        on_leave(c, t, f);
    else if (!t)
        phoenix_refuse_frame(c, f, STR_NONE, STR("unmatched topic"));
    else if (has_join_ref(t, f->join_ref))
        supabase_push_run(t, f);
}

void phoenix_on_message(struct phoenix *c, struct str payload, bool is_binary)
{
    struct arena *a = loop_turn(c->loop);
    struct phoenix_frame f = {0};
    int err = is_binary ? phoenix_decode_binary(a, payload, JSON_DEPTH, &f)
                        : phoenix_decode(a, c->vsn, payload, JSON_DEPTH, &f);
    metric_add(M_MESSAGES_RECEIVED_PHOENIX, 1);
    c->heard_ms = loop_now_ms(c->loop);
    c->hold_ms = 0;
    charge(c);
    if (err)
        log_debug("phoenix", "malformed", "peer=%.*s bytes=%zu binary=%d err=%s",
                  STR_ARG(c->outlet->sock ? sock_peer(c->outlet->sock) : STR_NONE), payload.n,
                  is_binary, err_info(err)->name);
    else if (str_is(f.topic, "phoenix") && str_is(f.event, "heartbeat"))
        on_heartbeat(c, &f);
    else
        dispatch(c, &f);
}

/* ---- life -------------------------------------------------------------------------------------
 */

void *phoenix_open(const struct protocol_hello *hello, int *err)
{
    struct phoenix_home *home = home_of(hello->loop);
    struct str vsn = STR_NONE;
    (void)url_query_first(loop_turn(hello->loop), hello->query, "vsn", &vsn);
    int version = phoenix_vsn(vsn);
    if (!version) {
        *err = E_UNSUPPORTED;
        return NULL;
    }
    struct phoenix *c = mem_new(sizeof(*c));
    c->home = home;
    c->loop = hello->loop;
    c->outlet = hello->outlet;
    c->identity = identity_ref(hello->identity);
    c->topics.key_of = topic_of;
    c->heard_ms = loop_now_ms(hello->loop);
    c->vsn = version;
    if (hello->outlet->sock)
        c->kind = version == 1 ? (hello->is_deflate ? ENC_PHOENIX1_DEFLATE : ENC_PHOENIX1)
                               : (hello->is_deflate ? ENC_PHOENIX2_DEFLATE : ENC_PHOENIX2);
    uint64_t now_ms = loop_now_ms(c->loop), resume_ms = session_config_of(c->loop)->resume_ms;
    /* A ticket that this process did not give and that is not too old for the last one. */
    if (hello->is_unknown && now_ms - home->began_ms < resume_ms)
        c->lost_until_ms = now_ms + REJOIN_MS;
    if (hello->ticket.n == SESSION_TICKET_SIZE)
        memcpy(c->ticket, hello->ticket.p, SESSION_TICKET_SIZE);
    metric_add(M_REALTIME_CLIENTS, 1);
    return c;
}

void phoenix_on_ping(struct phoenix *c)
{
    if (loop_now_ms(c->loop) - c->heard_ms >= c->home->config->idle_ms)
        outlet_close(c->outlet, E_TIMEOUT, STR("no heartbeat"));
}

void phoenix_on_receipt(struct phoenix *c, uint64_t position)
{
    struct phoenix_topic *t;
    for (size_t at = 0; (t = table_next(&c->topics, &at));) {
        session_confirm(t->session, position);
        supabase_changes_receipt(t->changes, position);
    }
}

void phoenix_on_drained(struct phoenix *c)
{
    struct phoenix_topic *t;
    for (size_t at = 0; (t = table_next(&c->topics, &at));) {
        session_drained(t->session);
        supabase_changes_drained(t->changes);
    }
}

void phoenix_on_closed(struct phoenix *c, int err, bool is_goodbye)
{
    struct phoenix_topic *t;
    for (size_t at = 0; (t = table_next(&c->topics, &at));) {
        table_remove(&c->topics, t->topic);
        supabase_changes_stop(t->changes);
        t->conn = NULL;
        if (is_goodbye)
            session_end(t->session, err, false);
        else
            session_detach(t->session, err);
    }
    metric_add(M_REALTIME_CLIENTS, -1);
    table_free(&c->topics);
    identity_unref(c->identity);
    mem_free(c);
}
