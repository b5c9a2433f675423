/* SPDX-License-Identifier: Apache-2.0 */
/* A join: the token, the place of a client that comes back, the subscription.
 *
 *   phx_join --token--> identity --gate: subscribe--> reply ok, presence_state, missed messages
 *                                                \--> error reply, at once
 *
 * The topic "realtime:room-1" is the channel "room-1" of every other dialect; with private: true
 * it is "private:room-1", so that rules (and policies) for private channels have names of their
 * own.
 *
 * Who comes back joins each topic anew. If a session of its ticket waits for that channel, the new
 * one goes on from there, and the old one is let go when the join has succeeded: a refused join
 * (a token that comes late) costs no message. */
#include "protocol/supabase.h"

#include "base/mem.h"
#include "wire/supabase.h"

enum { KEY_MAX = 255 /* docs/protocols/native.md */ };
static const struct str topics = {PHOENIX_TOPIC_PREFIX, sizeof(PHOENIX_TOPIC_PREFIX) - 1};
static const struct str privates = {PHOENIX_PRIVATE_PREFIX, sizeof(PHOENIX_PRIVATE_PREFIX) - 1};

/* Where a client that comes back was, and who it was there. */
struct place {
    struct position at;
    uint64_t echo_as, takes_id;
    struct str key; /* in the arena */
    struct changes_place changes;
};

static void place_of(struct session *s, struct arena *a, struct place *out)
{
    const struct phoenix_topic *t = session_user(s);
    struct session_sub *ss = session_sub_first(s);
    supabase_changes_stop(t->changes);
    *out = (struct place){.echo_as = session_echo(s),
                          .key = arena_dup(a, str_of(t->key, t->key_n)),
                          .changes = supabase_changes_place(t->changes)};
    if (ss)
        out->at = session_sub_position(ss);
    if (!out->at.epoch[0]) /* it was itself only just coming back */
        out->at = t->begin ? t->begin->since : (struct position){0};
}

static struct place find_place(struct phoenix *c, const struct identity *id, struct str channel)
{
    struct place p = {0};
    struct session *s =
        session_ticket_find(c->loop, str_from(c->ticket), &supabase_ops, id, channel);
    if (!s)
        return p;
    place_of(s, loop_turn(c->loop), &p);
    p.takes_id = session_id(s);
    return p;
}

/* Any key is taken, and refused when it is tracked: kept is just enough to see that. */
static void set_key(struct phoenix_topic *t, struct str key)
{
    key = str_head(key, KEY_MAX + 1);
    uint8_t chance[16];
    char text[40];
    if (!key.n) {
        loop_random(t->conn->loop, chance, sizeof(chance));
        chance[6] = (uint8_t)((chance[6] & 0x0f) | 0x40);
        chance[8] = (uint8_t)((chance[8] & 0x3f) | 0x80);
        static const char hex[] = "0123456789abcdef";
        size_t n = 0;
        for (size_t i = 0; i < sizeof(chance); i++) {
            if (i == 4 || i == 6 || i == 8 || i == 10)
                text[n++] = '-';
            text[n++] = hex[chance[i] >> 4];
            text[n++] = hex[chance[i] & 15];
        }
        key = str_of(text, n);
    }
    t->key = str_dup(key);
    t->key_n = key.n;
}

void supabase_join_ask(struct phoenix_topic *t)
{
    struct request r = {.type = REQUEST_SUBSCRIBE,
                        .channel = t->channel,
                        .presence = t->presence,
                        .presence_optional = !t->presence_only,
                        .no_messages = t->presence_only,
                        .kind = t->replays ? ENC_NONE : t->conn->kind};
    if (phoenix_topic_resumes(t)) {
        r.since.has_since = r.resumes = true;
        r.since.since = t->begin->since;
    } else if (t->replays) {
        r.since.history = t->begin->replay_limit;
    }
    session_request(t->session, &r);
}

void supabase_join_fail(struct phoenix_topic *t, const char *code, struct str why)
{
    struct buf reason = {0};
    buf_printf(&reason, "%s: %.*s", code, STR_ARG(why));
    phoenix_refuse(t, t->join_ref, buf_str(&reason));
    buf_free(&reason);
    session_end(t->session, E_BAD_REQUEST, true);
}

/* Why this join cannot be, before anybody is asked; NULL when it can. */
static const char *check_join(struct phoenix *c, const struct supabase_join *join, struct str name)
{
    const struct realtime_config *config = c->home->config;
    uint64_t rate = phoenix_share(c, config->joins_per_second);
    if (!name.n)
        return "TopicNameRequired: You must provide a topic name";
    if (!join->is_private && str_starts(name, privates))
        return "TopicNameInvalid: Topics that begin with `private:` are joined with private: true";
    if (!join->is_private && config->private_only)
        return "PrivateOnly: This project only allows private channels";
    if (join->replay && !join->replay_valid)
        return "UnableToReplayMessages: Replay params are not valid";
    if (c->topics.count >= config->channels_per_client)
        return "ChannelRateLimitReached: Too many channels";
    if (!phoenix_spend(c, &c->home->joins, rate, rate))
        return "ClientJoinRateLimitReached: Too many joins per second";
    return NULL;
}

static void start(struct phoenix *c, const struct phoenix_frame *f,
                  const struct supabase_join *join, struct identity *id, const struct place *place,
                  struct str channel)
{
    struct phoenix_topic *t = phoenix_topic_new(c, f, channel);
    struct session_open o = {.ops = &supabase_ops,
                             .outlet = c->outlet,
                             .identity = id,
                             .user = t,
                             .keeps_positions = true,
                             .exact_frames = true,
                             .echo_as = place->echo_as};
    t->ack = join->ack;
    t->self = join->self;
    t->presence = join->presence;
    t->replication_ready = join->replication_ready;
    t->replays = join->replay && !place->at.epoch[0];
    if (t->replays || place->at.epoch[0] || place->takes_id) {
        t->begin = mem_new(sizeof(*t->begin));
        *t->begin = (struct phoenix_begin){.since = place->at,
                                           .takes_id = place->takes_id,
                                           .replay_since_ms = join->replay_since_ms,
                                           .replay_limit = (size_t)join->replay_limit};
    }
    set_key(t, join->presence_key.n ? join->presence_key : place->key);
    t->session = session_open(c->loop, &o);
    if (!t->session) {
        phoenix_refuse(t, f->ref, STR("ConnectionRateLimitReached: Too many connected users"));
        phoenix_topic_free(t);
        return;
    }
    if (c->ticket[0])
        session_ticket_join(t->session, str_from(c->ticket));
    if (join->bindings_count)
        supabase_changes_open(t, join, &place->changes);
    else
        supabase_join_ask(t);
}

/* The join's own token, else the connection's. */
static struct identity *identify(struct phoenix *c, const struct phoenix_frame *f, struct str token)
{
    struct identity *id = NULL;
    struct auth_verdict verdict;
    struct buf reason = {0};
    if (!token.n)
        return identity_ref(c->identity);
    if (!session_verify(c->loop, token, &id, &verdict))
        return id;
    supabase_add_token_fault(&reason, &verdict, true);
    phoenix_refuse_frame(c, f, f->ref, buf_str(&reason));
    buf_free(&reason);
    return NULL;
}

/* The same connection joins again: the old instance goes, its place stays. */
static void replace(struct phoenix_topic *old, struct arena *a, struct place *place)
{
    struct session *s = old->session;
    if (old->is_joined)
        place_of(s, a, place);
    phoenix_close_topic(old);
    session_end(s, 0, false);
}

void supabase_join_run(struct phoenix *c, const struct phoenix_frame *f)
{
    struct arena *a = loop_turn(c->loop);
    struct supabase_join join;
    struct place place = {0};
    struct str name = str_skip(f->topic, topics.n), channel = name;
    struct phoenix_topic *old = table_get(&c->topics, f->topic);
    if (!str_starts(f->topic, topics)) {
        phoenix_refuse_frame(c, f, f->ref, STR("unmatched topic"));
        return;
    }
    if (supabase_join(a, f->payload, &join)) {
        phoenix_refuse_frame(c, f, f->ref, STR("InvalidJoinPayload: Too many postgres_changes"));
        return;
    }
    if (old)
        replace(old, a, &place);
    const char *refusal = check_join(c, &join, name);
    if (refusal) {
        phoenix_refuse_frame(c, f, f->ref, str_from(refusal));
        return;
    }
    struct identity *id = identify(c, f, join.token);
    if (!id)
        return;
    if (join.is_private) {
        char *text = arena_alloc(a, privates.n + name.n);
        if (text) {
            memcpy(text, privates.p, privates.n);
            memcpy(text + privates.n, name.p, name.n);
        }
        channel = str_of(text, text ? privates.n + name.n : 0);
    }
    if (!place.at.epoch[0])
        place = find_place(c, id, channel);
    start(c, f, &join, id, &place, channel);
    identity_unref(id);
}
