/* SPDX-License-Identifier: Apache-2.0 */
/* Pushes on a joined topic: broadcast, presence, a fresh token. */
#include "protocol/supabase.h"

#include "wire/supabase.h"

enum { PRESENCE_WINDOW_MS = 30000 };

/* What is kept for replay is the channel's history, asked for or not; but not without one. */
static bool can_persist(const struct phoenix_topic *t, const struct supabase_broadcast *b)
{
    bool is_asked = b->persist.n && !str_is(b->persist, "false") && !str_is(b->persist, "null");
    return !is_asked || hub_settings(hub_of(t->conn->loop), t->channel)->history_count > 0;
}

/* 0, or what is wrong with it. */
static int check_broadcast(struct phoenix_topic *t, const struct supabase_broadcast *b,
                           const char **detail)
{
    struct phoenix_home *home = t->conn->home;
    uint64_t rate = phoenix_share(t->conn, home->config->messages_per_second);
    if (!can_persist(t, b)) {
        *detail = "This channel keeps no history";
        return E_UNSUPPORTED;
    }
    if (b->payload.n > home->config->payload_bytes)
        return E_TOO_LARGE;
    return phoenix_spend(t->conn, &home->messages, rate, rate * 60) ? 0 : E_RATE_LIMITED;
}

static void on_broadcast(struct phoenix_topic *t, const struct phoenix_frame *f)
{
    struct supabase_broadcast b;
    struct answer no = {.type = REQUEST_PUBLISH, .ref = f->ref};
    if (supabase_broadcast(loop_turn(t->conn->loop), f, &b)) {
        phoenix_refuse(t, f->ref, STR("MalformedBroadcast: There is no event in it"));
        return;
    }
    no.err = check_broadcast(t, &b, &no.detail);
    if (no.err) {
        supabase_on_published(t, &no);
        return;
    }
    struct request r = {.type = REQUEST_PUBLISH,
                        .channel = t->channel,
                        .ref = f->ref,
                        .message = {.event = b.event,
                                    .content = b.payload,
                                    .format = b.is_bytes ? MSG_BINARY : MSG_JSON,
                                    .no_echo = !t->self},
                        .payload_bytes_max = t->conn->home->config->payload_bytes,
                        .wants_answer = t->ack && f->ref.n,
                        .wants_echo = t->self};
    session_request(t->session, &r);
}

static size_t count_members(struct str object, struct arena *a)
{
    struct jsonscan_iter it = jsonscan_iter(object);
    struct jsonscan_member member;
    size_t count = 0;
    while (jsonscan_next(&it, a, &member) > 0)
        count++;
    return count;
}

/* Why this presence call is one too many; NULL when it is not. */
static const char *check_presence(struct phoenix_topic *t)
{
    struct phoenix_home *home = t->conn->home;
    const struct realtime_config *config = home->config;
    uint64_t now_ms = loop_now_ms(t->conn->loop);
    uint64_t rate = phoenix_share(t->conn, config->presence_per_second);
    if (now_ms - t->presence_since_ms >= PRESENCE_WINDOW_MS) {
        t->presence_since_ms = now_ms;
        t->presence_calls = 0;
    }
    if (config->presence_calls && t->presence_calls >= config->presence_calls)
        return "ClientPresenceRateLimitReached: Client presence rate limit exceeded";
    if (!phoenix_spend(t->conn, &home->presence, rate, rate))
        return "PresenceRateLimitReached: Too many presence messages per second";
    t->presence_calls++;
    return NULL;
}

static void on_track(struct phoenix_topic *t, const struct phoenix_frame *f, struct str meta)
{
    struct request r = {.type = REQUEST_TRACK,
                        .channel = t->channel,
                        .ref = f->ref,
                        .key = str_of(t->key, t->key_n),
                        .meta = meta};
    if (count_members(meta, loop_turn(t->conn->loop)) > t->conn->home->config->presence_keys_max) {
        phoenix_refuse(t, f->ref, STR("Track message has too many keys"));
        return;
    }
    if (!t->presence) { /* who tracks wants to see */
        struct request state = {.type = REQUEST_PRESENCE, .channel = t->channel};
        uint64_t id = session_id(t->session);
        struct loop *l = t->conn->loop;
        session_request(t->session, &state);
        if (!session_find(l, id))
            return;
    }
    session_request(t->session, &r);
}

static void on_presence_push(struct phoenix_topic *t, const struct phoenix_frame *f)
{
    struct str meta;
    enum supabase_presence kind = supabase_presence(loop_turn(t->conn->loop), f->payload, &meta);
    const char *refusal = check_presence(t);
    struct request r = {.type = REQUEST_UNTRACK,
                        .channel = t->channel,
                        .ref = f->ref,
                        .key = str_of(t->key, t->key_n)};
    if (refusal) {
        phoenix_refuse(t, f->ref, str_from(refusal));
        return;
    }
    switch (kind) {
    case SUPABASE_PRESENCE_NONE:
        phoenix_reply(t, f->ref, true, STR_NONE);
        break;
    case SUPABASE_PRESENCE_TRACK:
        on_track(t, f, meta);
        break;
    case SUPABASE_PRESENCE_UNTRACK:
        session_request(t->session, &r);
        break;
    case SUPABASE_PRESENCE_BAD_META:
        phoenix_refuse(t, f->ref, STR("Presence track payload must be a map"));
        break;
    case SUPABASE_PRESENCE_UNKNOWN:
        phoenix_refuse(t, f->ref, STR("UnknownPresenceEvent: It is neither track nor untrack"));
        break;
    }
}

static void on_token(struct phoenix_topic *t, const struct phoenix_frame *f)
{
    struct identity *id = NULL;
    struct auth_verdict verdict;
    struct str token;
    struct buf text = {0};
    if (supabase_token(loop_turn(t->conn->loop), f->payload, &token) || !token.n)
        return;
    int err = session_verify(t->conn->loop, token, &id, &verdict);
    if (err) {
        supabase_add_token_fault(&text, &verdict, false);
        supabase_shut_down(t, buf_str(&text), err);
        buf_free(&text);
        return;
    }
    bool is_same = id == session_identity(t->session);
    if (!is_same)
        session_set_identity(t->session, id);
    identity_unref(id);
    if (is_same)
        return;
    supabase_changes_identify(t->changes);
    if (t->is_joined)
        supabase_join_ask(t);
    else
        t->asks_again = true;
}

void supabase_push_run(struct phoenix_topic *t, const struct phoenix_frame *f)
{
    if (str_is(f->event, "broadcast"))
        on_broadcast(t, f);
    else if (str_is(f->event, "presence"))
        on_presence_push(t, f);
    else if (str_is(f->event, "access_token"))
        on_token(t, f);
    else
        phoenix_refuse(t, f->ref, STR("UnknownEvent: There is nothing of that name to push"));
}
