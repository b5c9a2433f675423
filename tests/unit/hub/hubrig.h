/* SPDX-License-Identifier: Apache-2.0 */
/* Hubs on the simulated machine, and listeners that write down what they are given, one word each:
 *
 *   S5          subscribed at offset 5;  S5+ recovered;  S5!e the log began anew;  S-4428 refused
 *   [3-4]       a gap;  C5 caught up at 5
 *   a b         messages, by their content
 *   =ann.bob    state of presence (sorted);  +ann ++bob  joins (++: the key is new)
 *   -ann --bob  leaves (--: nobody is left under the key); ~ann handed to another session */
#ifndef UNIT_HUB_HUBRIG_H
#define UNIT_HUB_HUBRIG_H

#include "test.h"

#include "sim.h"

#include "base/buf.h"
#include "base/err.h"
#include "base/mem.h"
#include "hub/hub.h"
#include "hub/store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct rig {
    struct loops *ls;
    struct channel_settings settings;
    struct hub_config config;
};

struct seat {
    struct subscription sub; /* first */
    struct hub *hub;
    struct buf log;
    size_t room; /* messages it takes before it is full */
    bool leaves; /* as soon as anything comes */
    bool wants_none;
};

static struct rig rig;

static __attribute__((unused)) struct hub *rig_hub(unsigned index)
{
    return hub_of(loops_at(rig.ls, index));
}

/* ---- listeners */

static void seat_note(struct seat *seat, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
static void seat_note(struct seat *seat, const char *format, ...)
{
    char word[400];
    va_list args;
    va_start(args, format);
    vsnprintf(word, sizeof(word), format, args);
    va_end(args);
    if (seat->log.n)
        buf_add_c(&seat->log, ' ');
    buf_add_z(&seat->log, word);
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void seat_presence(struct seat *seat, const struct presence_update *u)
{
    char *keys[300] = {0}, all[4000] = "";
    for (size_t i = 0; i < u->joins_count; i++)
        if (!u->is_state)
            seat_note(seat, "%s%.*s%s%.*s", u->joins[i].is_edge ? "++" : "+",
                      STR_ARG(u->joins[i].key), u->joins[i].metas[0].meta.n > 2 ? ":" : "",
                      u->joins[i].metas[0].meta.n > 2 ? (int)u->joins[i].metas[0].meta.n : 0,
                      u->joins[i].metas[0].meta.p);
    for (size_t i = 0; i < u->leaves_count; i++)
        seat_note(seat, "%s%.*s",
                  u->leaves[i].metas[0].is_handed ? "~"
                  : u->leaves[i].is_edge          ? "--"
                                                  : "-",
                  STR_ARG(u->leaves[i].key));
    if (!u->is_state)
        return;
    for (size_t i = 0; i < u->joins_count && i < 300; i++)
        keys[i] = str_dup(u->joins[i].key);
    qsort(keys, u->joins_count, sizeof(*keys), by_text);
    for (size_t i = 0; i < u->joins_count; i++) {
        snprintf(all + strlen(all), sizeof(all) - strlen(all), "%s%s", i ? "." : "", keys[i]);
        mem_free(keys[i]);
    }
    seat_note(seat, "=%.300s", all);
}

static bool on_subscribed(struct subscription *sub, const struct hub_subscribed *a)
{
    struct seat *seat = (struct seat *)(void *)sub;
    if (a->err) {
        seat_note(seat, "S-%d", err_info(a->err)->number);
        hub_unsubscribe(seat->hub, sub);
        return false;
    }
    seat_note(seat, "%s%llu%s%s", a->is_catch_up ? "C" : "S", (unsigned long long)a->at.offset,
              a->recovered && !a->is_catch_up ? "+" : "", a->reset ? "!e" : "");
    if (a->gap_to && !a->reset)
        seat_note(seat, "[%llu-%llu]", (unsigned long long)a->gap_from,
                  (unsigned long long)a->gap_to);
    if (a->gap_to)
        sub->offset = a->missed_count ? a->missed[0]->offset - 1 : a->at.offset;
    if (a->presence)
        seat_presence(seat, a->presence);
    for (size_t i = 0; i < a->missed_count; i++) {
        if (!seat->room)
            return false;
        seat->room--;
        seat_note(seat, "%.*s", STR_ARG(a->missed[i]->content));
        sub->offset = a->missed[i]->offset;
    }
    return true;
}

static bool on_deliver(struct subscription *sub, const struct delivery *d)
{
    struct seat *seat = (struct seat *)(void *)sub;
    if (seat->leaves) {
        hub_unsubscribe(seat->hub, sub);
        return false;
    }
    if (seat->room < d->end - d->first || d->is_lost)
        return false;
    seat->room -= d->end - d->first;
    for (size_t i = d->first; i < d->end; i++) {
        struct str text = d->msgs[i]->content;
        if (d->segment) { /* what was encoded, not what was said */
            uint32_t from = i ? d->ends[i - 1] : 0;
            text = str_of((char *)d->segment->bytes + from, d->ends[i] - from);
        }
        seat_note(seat, "%.*s", STR_ARG(text));
    }
    return true;
}

static bool on_wants(const struct subscription *sub, const struct msg *m)
{
    (void)m;
    return !((const struct seat *)(const void *)sub)->wants_none;
}

static void on_presence(struct subscription *sub, const struct presence_update *u,
                        struct segment *segment, uint32_t start, uint32_t end)
{
    struct seat *seat = (struct seat *)(void *)sub;
    (void)segment, (void)start, (void)end;
    if (seat->leaves)
        hub_unsubscribe(seat->hub, sub);
    else
        seat_presence(seat, u);
}

static const struct subscription_ops seat_ops = {
    .subscribed = on_subscribed, .deliver = on_deliver, .wants = on_wants, .presence = on_presence};

static void encode_message(struct loop *l, enum encoding_kind kind, const struct msg *m,
                           struct buf *out)
{
    (void)l, (void)kind;
    buf_add_str(out, m->content);
}
static void encode_presence(struct loop *l, enum encoding_kind kind, struct str channel,
                            const struct presence_update *u, struct buf *out)
{
    (void)l, (void)kind, (void)u;
    buf_add_str(out, channel);
}
static const struct encoding_table seat_encoding = {.message = encode_message,
                                                    .presence = encode_presence};

static __attribute__((unused)) struct seat *seat_new(unsigned loop)
{
    static uint64_t number;
    struct seat *seat = mem_new(sizeof(*seat));
    seat->hub = rig_hub(loop);
    seat->room = SIZE_MAX;
    seat->sub.session = ++number;
    seat->sub.kind = number % 2 ? ENC_NATIVE_WS : ENC_NONE;
    return seat;
}

static __attribute__((unused)) void seat_ask(struct seat *seat, const char *channel,
                                             const struct subscribe_options *o)
{
    static const struct subscribe_options none;
    hub_subscribe(seat->hub, &seat->sub, str_from(channel), o ? o : &none);
}

static __attribute__((unused)) struct subscribe_options since(const char *epoch, uint64_t offset)
{
    struct subscribe_options o = {.has_since = true, .since.offset = offset};
    snprintf(o.since.epoch, sizeof(o.since.epoch), "%s", epoch);
    return o;
}

/* Lets what can happen happen; then this is what it heard since the last time. */
static __attribute__((unused)) void seat_heard(struct seat *seat, const char *words)
{
    sim_settle(rig.ls);
    buf_add_c(&seat->log, '\0');
    if (strcmp(seat->log.p, words) != 0)
        printf("# expected \"%s\", heard \"%s\"\n", words, seat->log.p);
    assert_string_equal(seat->log.p, words);
    buf_clear(&seat->log);
}

static __attribute__((unused)) void seat_free(struct seat *seat)
{
    hub_unsubscribe(seat->hub, &seat->sub);
    buf_free(&seat->log);
    mem_free(seat);
}

/* ---- the hubs */

static __attribute__((unused)) void rig_begin(unsigned loops)
{
    sim_seed(7);
    rig.ls = loops_new(loops);
    rig.settings = (struct channel_settings){.pattern = STR("*"),
                                             .history_count = 100,
                                             .history_bytes = 1 << 20,
                                             .history_ms = 300000,
                                             .presence = true,
                                             .echo = true};
    rig.config = (struct hub_config){.channels = &rig.settings,
                                     .channels_count = 1,
                                     .history_bytes_max = 1 << 24,
                                     .idempotency_ms = 300000,
                                     .idempotency_max = 1000,
                                     .presence_members_max = 1000,
                                     .channels_max = 1000,
                                     .channel_idle_ms = 5000};
    hub_setup(rig.ls, &rig.config);
    hub_set_subscription_ops(&seat_ops);
    encoding_set(&seat_encoding);
}

static __attribute__((unused)) void rig_end(void)
{
    sim_settle(rig.ls);
    hub_teardown(rig.ls);
    sim_settle(rig.ls);
    loops_free(&rig.ls);
    hub_set_store(NULL, NULL);
}

/* ---- publishers, members, questions */

struct said {
    bool is_done;
    int err;
    bool duplicate;
    uint64_t offset;
    char epoch[24];
};
struct saying {
    struct hub_publish publish;
    struct said *said;
};

static void on_said(struct hub_publish *p)
{
    struct saying *s = (struct saying *)(void *)p;
    *s->said = (struct said){true, p->err, p->duplicate, p->offset, {0}};
    memcpy(s->said->epoch, p->epoch, sizeof(p->epoch));
    mem_free(s);
}

/* Posts it; *out is filled when the hub has answered. */
static __attribute__((unused)) void rig_post(unsigned loop, const struct msg_fields *f,
                                             struct said *out)
{
    struct saying *s = mem_new(sizeof(*s));
    s->said = out;
    s->publish.msg = msg_new(f);
    s->publish.done = on_said;
    *out = (struct said){0};
    hub_publish(rig_hub(loop), &s->publish);
}

static __attribute__((unused)) struct said rig_say_all(const struct msg_fields *f)
{
    struct said said;
    rig_post(0, f, &said);
    sim_settle(rig.ls);
    assert_true(said.is_done);
    return said;
}

static __attribute__((unused)) struct said rig_say(const char *channel, const char *content)
{
    return rig_say_all(
        &(struct msg_fields){.channel = str_from(channel), .content = str_from(content)});
}

struct tracking {
    struct hub_track track;
    int *err;
    char text[];
};

static void on_tracked(struct hub_track *t)
{
    struct tracking *w = (struct tracking *)(void *)t;
    *w->err = t->err;
    mem_free(w);
}

/* key NULL: nothing is posted. meta NULL: untrack, after grace_ms. */
static __attribute__((unused)) int rig_track_on(unsigned loop, const char *channel,
                                                uint64_t session, const char *key, const char *meta,
                                                uint64_t grace_ms)
{
    static int err; /* of the last one that was answered */
    size_t n = strlen(channel), k = strlen(key), m = meta ? strlen(meta) : 0;
    struct tracking *w = mem_new(sizeof(*w) + n + k + m);
    memcpy(w->text, channel, n);
    memcpy(w->text + n, key, k);
    if (meta)
        memcpy(w->text + n + k, meta, m);
    w->err = &err;
    err = -1;
    w->track = (struct hub_track){.done = on_tracked,
                                  .session = session,
                                  .is_untrack = !meta,
                                  .grace_ms = grace_ms,
                                  .channel = str_of(w->text, n),
                                  .key = str_of(w->text + n, k),
                                  .meta = str_of(w->text + n + k, m)};
    hub_track(rig_hub(loop), &w->track);
    if (loop == 0)
        sim_settle(rig.ls);
    return err;
}

static __attribute__((unused)) int rig_track(uint64_t session, const char *key, const char *meta)
{
    return rig_track_on(0, "room", session, key, meta, 0);
}

struct asking {
    struct hub_query query;
    bool is_done;
    char words[2000];
};

static void on_asked(struct hub_query *q)
{
    struct asking *a = (struct asking *)(void *)q;
    a->is_done = true;
    for (size_t i = 0; i < q->msgs_count; i++)
        snprintf(a->words + strlen(a->words), sizeof(a->words) - strlen(a->words), "%s%.*s",
                 i ? " " : "", STR_ARG(q->msgs[i]->content));
    if (q->more)
        strcat(a->words, " +");
    if (q->err)
        snprintf(a->words, sizeof(a->words), "E%d", err_info(q->err)->number);
}

/* The contents of a history query, "+" when there are more. */
static __attribute__((unused)) void rig_history(const char *channel, uint64_t before,
                                                uint64_t after, size_t limit, const char *words)
{
    struct asking a = {.query = {.done = on_asked,
                                 .channel = str_from(channel),
                                 .want_history = true,
                                 .before = before,
                                 .after = after,
                                 .limit = limit}};
    hub_query(rig_hub(0), &a.query);
    sim_settle(rig.ls);
    assert_true(a.is_done);
    assert_string_equal(a.words, words);
    hub_query_clear(&a.query);
}

#endif
