/* SPDX-License-Identifier: Apache-2.0 */
/* What Supabase Realtime says inside of Phoenix frames: answers, presence, system messages,
 * upstream's words for errors ("Code: text"). The asking stands in supabase_join.c (join) and
 * supabase_push.c (broadcast, presence, tokens). */
#include "protocol/supabase.h"

#include "base/json.h"
#include "base/mem.h"
#include "wire/supabase.h"

/* ---- words ----------------------------------------------------------------------------------- */

void supabase_add_token_fault(struct buf *out, const struct auth_verdict *v, bool with_code)
{
    const char *code = "MalformedJWT", *text = "The token provided is not a valid JWT";
    switch (v->reason) {
    case AUTH_EXPIRED:
        buf_printf(out, "%sToken has expired %llu seconds ago",
                   with_code ? "InvalidJWTToken: " : "", (unsigned long long)v->seconds);
        return;
    case AUTH_EXP_MISSING:
    case AUTH_ROLE_MISSING:
        code = "InvalidJWTToken";
        text = "Fields `role` and `exp` are required in JWT";
        break;
    case AUTH_ALGORITHM:
    case AUTH_KEY_UNKNOWN:
    case AUTH_SIGNATURE:
        code = "JwtSignatureError";
        text = "Failed to validate JWT signature";
        break;
    case AUTH_NOT_YET:
    case AUTH_AUDIENCE:
    case AUTH_ISSUER:
    case AUTH_CLAIM:
        code = "InvalidJWTToken";
        text = v->text;
        break;
    case AUTH_OK:
    case AUTH_NO_TOKEN:
    case AUTH_TOO_LONG:
    case AUTH_MALFORMED:
    case AUTH_HEADER:
    case AUTH_API_KEY:
        break;
    }
    if (with_code)
        buf_printf(out, "%s: ", code);
    buf_add_z(out, text);
}

/* What follows "realtime:" on the wire. */
struct str supabase_name(const struct phoenix_topic *t)
{
    return str_skip(t->topic, sizeof(PHOENIX_TOPIC_PREFIX) - 1);
}

void supabase_system(const struct phoenix_topic *t, const char *extension, bool ok, struct str text)
{
    struct phoenix_address to = phoenix_address_of(t, STR_NONE);
    struct buf b = {0};
    supabase_add_system(&b, &to, extension, ok, text, supabase_name(t));
    phoenix_emit(t->conn, &b, false);
}

/* The channel ends, for a reason that joining again would not change. */
void supabase_shut_down(struct phoenix_topic *t, struct str why, int err)
{
    supabase_system(t, "system", false, why);
    phoenix_close_topic(t);
    session_end(t->session, err, true);
}

static void say_gap(const struct phoenix_topic *t, uint64_t from, uint64_t to)
{
    struct buf text = {0};
    if (to)
        buf_printf(&text, "Gap: messages %llu to %llu are no longer kept", (unsigned long long)from,
                   (unsigned long long)to);
    else
        buf_add_z(&text, "Gap: messages may have been missed");
    struct phoenix_address address = phoenix_address_of(t, STR_NONE);
    struct buf b = {0};
    supabase_add_gap(&b, &address, buf_str(&text), supabase_name(t), from, to);
    phoenix_emit(t->conn, &b, false);
    buf_free(&text);
}

static void add_expired(struct buf *out, const struct session *s, bool with_code)
{
    uint64_t now_ms = loop_wall_ms(session_loop(s)), at_ms = session_identity(s)->expires_ms;
    struct auth_verdict v = {.reason = AUTH_EXPIRED,
                             .seconds = at_ms < now_ms ? (now_ms - at_ms) / 1000 : 0};
    supabase_add_token_fault(out, &v, with_code);
}

static void add_refusal(struct buf *out, const struct phoenix_topic *t, int err, const char *detail,
                        const char *what)
{
    const struct err_info *info = err_info(err);
    switch (err) {
    case E_ACCESS_DENIED:
    case E_TOKEN_REQUIRED:
        buf_printf(out, "Unauthorized: You do not have permissions to %s this Channel topic: %.*s",
                   what, STR_ARG(supabase_name(t)));
        break;
    case E_TOKEN_EXPIRED:
        add_expired(out, t->session, true);
        break;
    case E_TOO_MANY:
        buf_printf(out, "ChannelRateLimitReached: %s", detail ? detail : "Too many channels");
        break;
    case E_RATE_LIMITED:
        buf_add_z(out, "MessagePerSecondRateLimitReached: Too many messages per second");
        break;
    case E_DRAINING:
        buf_add_z(out, "RealtimeRestarting: Realtime is restarting, please standby");
        break;
    default:
        buf_printf(out, "%s: %s", info->name, detail ? detail : info->text);
    }
}

static void send_presence(const struct phoenix_topic *t, const struct presence_update *u)
{
    struct buf b = {0};
    if (phoenix_encode_handover(t->conn->vsn, t->channel, u, &b))
        phoenix_emit(t->conn, &b, false);
    phoenix_encode_presence(t->conn->vsn, t->channel, u, &b);
    phoenix_emit(t->conn, &b, false);
}

/* ---- answers of the gate ----------------------------------------------------------------------
 */

static void let_go(const struct phoenix_topic *t)
{
    struct session *old = t->begin ? session_find(t->conn->loop, t->begin->takes_id) : NULL;
    if (old && session_is_detached(old))
        session_retire(old);
}

static void on_joined(struct phoenix_topic *t, const struct answer *a)
{
    const struct hub_subscribed *s = a->subscribed;
    t->is_joined = true;
    t->live_from = s->at.offset;
    phoenix_reply(t, t->join_ref, true, supabase_changes_reply(t->changes));
    let_go(t);
    if (phoenix_topic_resumes(t) ? !s->recovered
                                 : loop_now_ms(t->conn->loop) < t->conn->lost_until_ms)
        say_gap(t, s->gap_from, s->gap_to);
    if (s->presence)
        send_presence(t, s->presence);
    if (t->replication_ready)
        supabase_system(t, "system", true, STR("Replication connection established"));
    supabase_changes_joined(t->changes);
    if (t->asks_again)
        supabase_join_ask(t);
}

static void on_join_refused(struct phoenix_topic *t, const struct answer *a)
{
    struct buf reason = {0};
    if (a->err == E_ACCESS_DENIED && t->presence && !t->presence_only) {
        t->presence_only = true; /* one of the two rights is enough */
        supabase_join_ask(t);
        return;
    }
    add_refusal(&reason, t, a->err, a->detail, "read from");
    phoenix_refuse(t, t->join_ref, buf_str(&reason));
    buf_free(&reason);
    session_end(t->session, a->err, true);
}

/* A token came and the right to listen was asked again. */
static void on_asked_again(struct phoenix_topic *t, const struct answer *a)
{
    struct buf text = {0};
    struct request presence = {.type = REQUEST_PRESENCE, .channel = t->channel};
    if (!a->err) {
        t->checks_presence = t->presence;
        if (t->presence)
            session_request(t->session, &presence);
        return;
    }
    if (err_info(a->err)->retryable) { /* nobody has said no */
        add_refusal(&text, t, a->err, a->detail, "read from");
        phoenix_break_topic(t, buf_str(&text));
        buf_free(&text);
        session_end(t->session, a->err, false);
        return;
    }
    buf_printf(&text, "You no longer have permission to read from this Channel topic: %.*s",
               STR_ARG(supabase_name(t)));
    supabase_shut_down(t, buf_str(&text), a->err);
    buf_free(&text);
}

void supabase_on_published(const struct phoenix_topic *t, const struct answer *a)
{
    struct buf reason = {0}, response = {0};
    if (!a->ref.n)
        return;
    if (!a->err) {
        if (t->ack)
            phoenix_reply(t, a->ref, true, STR_NONE);
        return;
    }
    if (a->err == E_TOO_LARGE)
        buf_add_z(&reason, "payload_size_exceeded");
    else
        add_refusal(&reason, t, a->err, a->detail, "write to");
    buf_add_c(&response, '{');
    json_add_field(&response, "reason", buf_str(&reason));
    json_add_field(&response, "error", buf_str(&reason)); /* what a persisted send looks at */
    buf_add_c(&response, '}');
    phoenix_reply(t, a->ref, false, buf_str(&response));
    buf_free(&response);
    buf_free(&reason);
}

static void on_tracked(const struct phoenix_topic *t, const struct answer *a)
{
    struct buf reason = {0};
    if (!a->err) {
        phoenix_reply(t, a->ref, true, STR_NONE);
        return;
    }
    if (a->err == E_TOO_LARGE)
        buf_add_z(&reason, "Track message size exceeded");
    else
        add_refusal(&reason, t, a->err, a->detail, "write to");
    phoenix_refuse(t, a->ref, buf_str(&reason));
    buf_free(&reason);
}

static void on_presence_state(struct phoenix_topic *t, const struct answer *a)
{
    struct session_sub *ss = session_sub_first(t->session);
    bool is_check = t->checks_presence;
    t->checks_presence = false;
    if (ss)
        ss->sub.wants_presence = t->presence = !a->err;
    if (!is_check && !a->err && a->query->presence)
        send_presence(t, a->query->presence);
}

static void on_answer(struct session *s, const struct answer *a)
{
    struct phoenix_topic *t = session_user(s);
    if (!t->conn)
        return;
    switch (a->type) {
    case REQUEST_SUBSCRIBE:
        if (t->is_joined)
            on_asked_again(t, a);
        else if (a->err)
            on_join_refused(t, a);
        else
            on_joined(t, a);
        break;
    case REQUEST_PUBLISH:
        supabase_on_published(t, a);
        break;
    case REQUEST_TRACK:
    case REQUEST_UNTRACK:
        on_tracked(t, a);
        break;
    case REQUEST_PRESENCE:
        on_presence_state(t, a);
        break;
    case REQUEST_UNSUBSCRIBE:
    case REQUEST_HISTORY:
        break;
    }
}

/* ---- what comes to a topic without shared bytes: long poll, replays ----------------------------
 */

static void on_message(struct session *s, struct session_sub *ss, struct msg *m)
{
    struct phoenix_topic *t = session_user(s);
    struct buf b = {0};
    bool is_replay = t->replays && m->offset <= t->live_from;
    (void)ss;
    if (!t->conn || (is_replay && m->time_ms < t->begin->replay_since_ms))
        return;
    struct phoenix_form form = {
        .vsn = t->conn->vsn, .is_replay = is_replay, .is_text = !t->conn->outlet->sock};
    bool is_binary = phoenix_encode_for(&form, m, &b);
    phoenix_emit(t->conn, &b, is_binary);
}

static void on_presence(struct session *s, struct session_sub *ss, const struct presence_update *u)
{
    const struct phoenix_topic *t = session_user(s);
    (void)ss;
    if (t->conn)
        send_presence(t, u);
}

/* The replay is over: shared bytes from here. */
static void on_caught_up(struct session *s, struct session_sub *ss)
{
    struct phoenix_topic *t = session_user(s);
    if (!t->conn || !t->replays)
        return;
    t->replays = false;
    if (ss->sub.offset < t->live_from)
        ss->sub.offset = t->live_from;
    session_set_kind(s, ss, t->conn->kind);
}

static void on_gap(struct session *s, struct session_sub *ss, uint64_t from, uint64_t to)
{
    const struct phoenix_topic *t = session_user(s);
    (void)ss;
    if (t->conn)
        say_gap(t, from, to);
}

/* ---- time -------------------------------------------------------------------------------------
 */

static void on_expiring(struct session *s, uint64_t in_ms)
{
    const struct phoenix_topic *t = session_user(s);
    struct buf text = {0};
    if (!t->conn || !t->is_joined)
        return;
    buf_printf(&text, "Token expires in %llu seconds", (unsigned long long)(in_ms / 1000));
    supabase_system(t, "system", true, buf_str(&text));
    buf_free(&text);
}

static bool on_expired(struct session *s)
{
    struct phoenix_topic *t = session_user(s);
    struct buf text = {0};
    if (!t->conn)
        return false;
    add_expired(&text, s, false);
    supabase_shut_down(t, buf_str(&text), E_TOKEN_EXPIRED);
    buf_free(&text);
    return true;
}

static void on_reconnect(struct session *s, uint64_t in_ms)
{
    struct phoenix_topic *t = session_user(s);
    (void)in_ms;
    if (!t->conn)
        return;
    supabase_system(t, "system", true, STR("Server requested disconnect"));
    if (!t->conn->is_told)
        outlet_close(t->conn->outlet, E_DRAINING, STR("restarting"));
    t->conn->is_told = true;
}

static void on_ended(struct session *s, int err)
{
    struct phoenix_topic *t = session_user(s);
    (void)err;
    supabase_changes_free(t->changes, session_loop(s));
    phoenix_topic_free(t);
}

const struct session_ops supabase_ops = {.name = "supabase",
                                         .answer = on_answer,
                                         .message = on_message,
                                         .presence = on_presence,
                                         .caught_up = on_caught_up,
                                         .gap = on_gap,
                                         .expiring = on_expiring,
                                         .expired = on_expired,
                                         .reconnect = on_reconnect,
                                         .ended = on_ended};
