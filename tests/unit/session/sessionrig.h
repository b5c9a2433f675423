/* SPDX-License-Identifier: Apache-2.0 */
/* Sessions on hubs on the simulated machine, with clients that write down what they are told:
 *
 *   sub:room@5+     subscribed at 5, recovered (~ resumed, ! the log began anew, = a repeat)
 *   gap:3-4         a b: messages by content      =ann.bob ++ann --bob: presence
 *   ack@5 dup@5 ok  published, tracked            h:a.b history       E4403 refused, E4403:room
 *   warn expired closed-4407 reconnect */
#ifndef UNIT_SESSION_SESSIONRIG_H
#define UNIT_SESSION_SESSIONRIG_H

#include "session/session_priv.h"
#include "test.h"

#include "sim.h"

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "session/session.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SECRET "a-secret-of-at-least-thirty-two-bytes!"

static struct rig {
    struct loops *ls;
    struct channel_settings settings;
    struct hub_config hub;
    struct session_config config;
    struct rules_row rows[3]; /* before rig_begin; pattern empty: none */
    struct keyring *keys;
    struct rules *rules;
    bool anonymous_off;
} rig;

/* ---- a policy that answers when it is told to */

enum { ASKED_MAX = 50 };
static struct test_policy {
    struct policy policy; /* first */
    struct policy_question *asked[ASKED_MAX];
    size_t count;
} doorman;

static void on_ask(struct policy *p, struct policy_question *q)
{
    (void)p;
    assert_true(doorman.count < ASKED_MAX);
    doorman.asked[doorman.count++] = q;
}
static const struct policy_ops doorman_ops = {.name = "doorman", .ask = on_ask};

static __attribute__((unused)) void doorman_says(int err)
{
    struct policy_question *q = doorman.asked[0];
    assert_true(doorman.count > 0);
    memmove(doorman.asked, doorman.asked + 1, --doorman.count * sizeof(doorman.asked[0]));
    q->done(q, err);
    sim_settle(rig.ls);
}

/* ---- a client */

struct client {
    struct outlet outlet; /* first */
    struct session *session;
    struct loop *loop;
    struct buf log;
    size_t unsent;
    uint64_t marked;
    bool is_ended, ends_on_error;
    int unsubscribed; /* calls */
};

static void note(struct client *c, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void note(struct client *c, const char *format, ...)
{
    char word[1000];
    va_list args;
    va_start(args, format);
    vsnprintf(word, sizeof(word), format, args);
    va_end(args);
    buf_add_z(&c->log, word);
    buf_add_c(&c->log, ' ');
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void put_presence(const struct presence_update *u, struct buf *out)
{
    char *keys[100] = {0};
    for (size_t i = 0; i < u->joins_count && !u->is_state; i++)
        buf_printf(out, "%s%.*s ", u->joins[i].is_edge ? "++" : "+", STR_ARG(u->joins[i].key));
    for (size_t i = 0; i < u->leaves_count; i++)
        buf_printf(out, "%s%.*s ", u->leaves[i].is_edge ? "--" : "-", STR_ARG(u->leaves[i].key));
    if (!u->is_state)
        return;
    for (size_t i = 0; i < u->joins_count && i < 100; i++)
        keys[i] = str_dup(u->joins[i].key);
    qsort(keys, u->joins_count, sizeof(*keys), by_text);
    buf_add_c(out, '=');
    for (size_t i = 0; i < u->joins_count; i++) {
        buf_printf(out, "%s%s", i ? "." : "", keys[i]);
        mem_free(keys[i]);
    }
    buf_add_c(out, ' ');
}

static void note_subscribed(struct client *c, const struct answer *a)
{
    const struct hub_subscribed *s = a->subscribed;
    note(c, "sub:%.*s@%llu%s%s%s%s", STR_ARG(a->channel),
         (unsigned long long)(s ? s->at.offset : session_sub_position(a->sub).offset),
         s && s->recovered ? "+" : "", a->is_resume ? "~" : "", s && s->reset ? "!" : "",
         a->is_repeat ? "=" : "");
    if (s && s->gap_to && !s->reset)
        note(c, "gap:%llu-%llu", (unsigned long long)s->gap_from, (unsigned long long)s->gap_to);
    if (s && s->presence)
        put_presence(s->presence, &c->log);
}

static void on_answer(struct session *s, const struct answer *a)
{
    struct client *c = session_user(s);
    if (a->err) {
        note(c, a->channel.n && a->type == REQUEST_SUBSCRIBE ? "E%d:%.*s" : "E%d",
             err_info(a->err)->number, STR_ARG(a->channel));
        if (c->ends_on_error)
            session_end(s, a->err, true);
        return;
    }
    switch (a->type) {
    case REQUEST_SUBSCRIBE:
        note_subscribed(c, a);
        break;
    case REQUEST_UNSUBSCRIBE:
    case REQUEST_TRACK:
    case REQUEST_UNTRACK:
        note(c, "ok");
        break;
    case REQUEST_PUBLISH:
        note(c, "%s@%llu", a->published->duplicate ? "dup" : "ack",
             (unsigned long long)a->published->offset);
        break;
    case REQUEST_PRESENCE:
        put_presence(a->query->presence, &c->log);
        break;
    case REQUEST_HISTORY:
        buf_add_z(&c->log, "h:");
        for (size_t i = 0; i < a->query->msgs_count; i++)
            buf_printf(&c->log, "%s%.*s", i ? "." : "", STR_ARG(a->query->msgs[i]->content));
        buf_add_c(&c->log, ' ');
        break;
    }
}
static void on_gap(struct session *s, struct session_sub *ss, uint64_t from, uint64_t to)
{
    (void)ss;
    note(session_user(s), "gap:%llu-%llu", (unsigned long long)from, (unsigned long long)to);
}
static void on_unsubscribed(struct session *s, struct session_sub *ss)
{
    (void)ss;
    ((struct client *)session_user(s))->unsubscribed++;
}
static void on_expiring(struct session *s, uint64_t in_ms)
{
    (void)in_ms;
    note(session_user(s), "warn");
}
static bool on_expired(struct session *s)
{
    note(session_user(s), "expired");
    return false;
}
static void on_reconnect(struct session *s, uint64_t in_ms)
{
    (void)in_ms;
    note(session_user(s), "reconnect");
}
static void on_ended(struct session *s, int err)
{
    (void)err;
    ((struct client *)session_user(s))->is_ended = true;
}
static const struct session_ops client_ops = {.name = "test",
                                              .answer = on_answer,
                                              .gap = on_gap,
                                              .unsubscribed = on_unsubscribed,
                                              .expiring = on_expiring,
                                              .expired = on_expired,
                                              .reconnect = on_reconnect,
                                              .ended = on_ended};

static void out_segment(struct outlet *o, struct segment *g, size_t start, size_t n)
{
    buf_add(&((struct client *)(void *)o)->log, g->bytes + start, n);
}
static void out_framed(struct outlet *o, struct str bytes)
{
    buf_add_str(&((struct client *)(void *)o)->log, bytes);
}
static size_t out_unsent(const struct outlet *o)
{
    return ((const struct client *)(const void *)o)->unsent;
}
static void out_close(struct outlet *o, int err, struct str detail)
{
    (void)detail;
    note((struct client *)(void *)o, "closed-%d", err ? err_info(err)->number : 0);
}
/* A ping goes out; confirm: its pong comes. */
static void mark(struct client *c)
{
    c->marked = position_stream(c->session);
}
static inline void confirm(struct client *c)
{
    session_confirm(c->session, c->marked);
}
static void out_ask(struct outlet *o)
{
    note((struct client *)(void *)o, "ask");
    mark((struct client *)(void *)o);
}
static const struct outlet_ops outlet_ops = {.ask = out_ask,
                                             .send_segment = out_segment,
                                             .send_framed = out_framed,
                                             .unsent = out_unsent,
                                             .close = out_close};

static void encode_message(struct loop *l, enum encoding_kind kind, const struct msg *m,
                           struct buf *out)
{
    (void)l, (void)kind;
    buf_add_str(out, m->content);
    buf_add_c(out, ' ');
}
static void encode_presence(struct loop *l, enum encoding_kind kind, struct str channel,
                            const struct presence_update *u, struct buf *out)
{
    (void)l, (void)kind, (void)channel;
    put_presence(u, out);
}
static const struct encoding_table client_encoding = {.message = encode_message,
                                                      .presence = encode_presence};

/* ---- everything */

static __attribute__((unused)) void rig_begin(void)
{
    static const struct rules_row all = {
        .pattern = {"*", 1}, .grants = {{"*", 1}, {"*", 1}, {"*", 1}, {"*", 1}, {"*", 1}}};
    struct auth_key_config key = {.secret = STR(SECRET)};
    struct auth_config auth = {
        .keys = &key, .keys_count = 1, .anonymous = !rig.anonymous_off, .exp_optional = true};
    struct rules_error error;
    struct buf why = {0};
    size_t rows = 0;
    sim_seed(11);
    rig.ls = loops_new(1);
    rig.settings = (struct channel_settings){.pattern = STR("*"),
                                             .history_count = 100,
                                             .history_bytes = 1 << 20,
                                             .history_ms = 300000,
                                             .presence = true,
                                             .echo = true};
    rig.hub = (struct hub_config){.channels = &rig.settings,
                                  .channels_count = 1,
                                  .history_bytes_max = 1 << 24,
                                  .idempotency_ms = 300000,
                                  .idempotency_max = 1000,
                                  .presence_members_max = 100,
                                  .channels_max = 1000,
                                  .channel_idle_ms = 600000};
    rig.config = (struct session_config){.resume_ms = 60000,
                                         .presence_lease_ms = 15000,
                                         .presence_grace_ms = 3000,
                                         .expiring_ms = 30000,
                                         .token_ms = 10000,
                                         .send_bytes_max = 1000,
                                         .subscriptions_max = 5,
                                         .tracked_max = 3,
                                         .payload_bytes_max = 100,
                                         .meta_bytes_max = 50,
                                         .channel_bytes_max = 20,
                                         .sessions_max = 100,
                                         .messages_burst = 100,
                                         .positions_max = 64,
                                         .default_channel = STR("main")};
    if (!rig.rows[0].pattern.n)
        rig.rows[0] = all;
    while (rows < 3 && rig.rows[rows].pattern.n)
        rows++;
    hub_setup(rig.ls, &rig.hub);
    encoding_set(&client_encoding);
    assert_int_equal(keyring_new(&auth, &why, &rig.keys), 0);
    assert_int_equal(rules_new(rig.rows, rows, &error, &rig.rules), 0);
    doorman = (struct test_policy){.policy.ops = &doorman_ops};
    session_setup(rig.ls, &rig.config, rig.keys, rig.rules, &doorman.policy);
}

static __attribute__((unused)) void rig_end(void)
{
    sim_settle(rig.ls);
    session_teardown(rig.ls);
    sim_settle(rig.ls);
    hub_teardown(rig.ls);
    loops_free(&rig.ls);
    keyring_unref(rig.keys);
    rules_unref(rig.rules);
    memset(&rig, 0, sizeof(rig));
}

/* Identity from claims; NULL: anonymous. exp_in_ms 0: never. */
static __attribute__((unused)) struct identity *who(const char *sub, uint64_t exp_in_ms)
{
    struct identity *id = NULL;
    char claims[200];
    if (!sub)
        return identity_new_anonymous(STR("anon"));
    snprintf(claims, sizeof(claims), "{\"sub\":\"%s\",\"role\":\"member\"}", sub);
    struct loop *l = loops_at(rig.ls, 0);
    assert_int_equal(identity_new(str_from(claims), STR("member"),
                                  exp_in_ms ? loop_wall_ms(l) + exp_in_ms : 0, &id),
                     0);
    return id;
}

static __attribute__((unused)) void token_of(const char *sub, uint64_t exp_in_ms, struct buf *out)
{
    char claims[200];
    uint64_t now_ms = loop_wall_ms(loops_at(rig.ls, 0));
    snprintf(claims, sizeof(claims), "{\"sub\":\"%s\",\"exp\":%llu}", sub,
             (unsigned long long)((now_ms + exp_in_ms) / 1000));
    buf_clear(out);
    assert_int_equal(keyring_mint(rig.keys, str_from(claims), out), 0);
}

static __attribute__((unused)) void client_open_as(struct client *c, const char *sub,
                                                   uint64_t exp_in_ms, bool needs_token)
{
    struct identity *id = who(sub, exp_in_ms);
    memset(c, 0, sizeof(*c));
    assert_true(buf_reserve(&c->log, 1 << 16)); /* so that it notes what happens without memory */
    c->outlet.ops = &outlet_ops;
    c->loop = loops_at(rig.ls, 0);
    c->session = session_open(c->loop, &(struct session_open){.ops = &client_ops,
                                                              .outlet = &c->outlet,
                                                              .identity = id,
                                                              .user = c,
                                                              .needs_token = needs_token,
                                                              .keeps_positions = true});
    identity_unref(id);
}

static __attribute__((unused)) void client_open(struct client *c)
{
    client_open_as(c, NULL, 0, false);
}

static __attribute__((unused)) void client_free(struct client *c)
{
    if (c->session && !c->is_ended)
        session_end(c->session, 0, true);
    buf_free(&c->log);
    sim_settle(rig.ls);
}

/* What it was told since the last time. */
static __attribute__((unused)) void heard(struct client *c, const char *words)
{
    sim_settle(rig.ls);
    while (c->log.n && c->log.p[c->log.n - 1] == ' ')
        c->log.n--;
    buf_add_c(&c->log, '\0');
    if (strcmp(c->log.p, words) != 0)
        printf("# expected \"%s\", heard \"%s\"\n", words, c->log.p);
    assert_string_equal(c->log.p, words);
    buf_clear(&c->log);
}

static __attribute__((unused)) void ask(struct client *c, struct request r)
{
    if (r.type == REQUEST_SUBSCRIBE)
        r.kind = ENC_NATIVE_WS;
    session_request(c->session, &r);
}

static __attribute__((unused)) void subscribe(struct client *c, const char *channel)
{
    ask(c, (struct request){.type = REQUEST_SUBSCRIBE, .channel = str_from(channel)});
}

static __attribute__((unused)) void subscribe_since(struct client *c, const char *channel,
                                                    const char *epoch, uint64_t offset)
{
    struct request r = {.type = REQUEST_SUBSCRIBE,
                        .channel = str_from(channel),
                        .since = {.has_since = true, .since.offset = offset}};
    snprintf(r.since.since.epoch, sizeof(r.since.since.epoch), "%s", epoch);
    ask(c, r);
}

static __attribute__((unused)) void say(const char *channel, const char *content)
{
    session_publish(loops_at(rig.ls, 0), &(struct msg_fields){.channel = str_from(channel),
                                                              .content = str_from(content)});
    sim_settle(rig.ls);
}

static __attribute__((unused)) void track(struct client *c, const char *channel, const char *key)
{
    ask(c, (struct request){
               .type = REQUEST_TRACK, .channel = str_from(channel), .key = str_from(key)});
}

/* The old connection is gone, a new one takes the session over. */
static __attribute__((unused)) int come_back(struct client *c)
{
    if (!session_is_detached(c->session))
        session_detach(c->session, E_CLOSED);
    c->outlet = (struct outlet){.ops = &outlet_ops};
    c->unsent = 0;
    buf_clear(&c->log);
    return session_attach(c->session, &c->outlet, session_identity(c->session));
}

#endif
