/* SPDX-License-Identifier: Apache-2.0 */
/* Channels that are tables, on a source that the test plays: `opens` answers a watch, `writes`
 * commits a change, and what was committed is replayed to who opens with a place. */
#include "sessionrig.h"

#include "base/metric.h"
#include "hub/source.h"
#include "session/session_priv.h"

enum { WATCHES_MAX = 4, LOG_MAX = 20 };
static struct {
    struct source_watch *waiting, *open[WATCHES_MAX];
    bool has_since;
    uint64_t since, first, seq, id;
    char since_epoch[24], table[24], filter[24];
    const char *log[LOG_MAX];
} feed;

static void on_watch(void *source, struct loop *l, struct source_watch *w,
                     const struct source_options *o)
{
    (void)source, (void)l;
    identity_ref(w->identity);
    w->id = ++feed.id;
    feed.waiting = w;
    feed.has_since = o->has_since;
    feed.since = o->since;
    snprintf(feed.since_epoch, sizeof(feed.since_epoch), "%.*s", STR_ARG(o->epoch));
    snprintf(feed.table, sizeof(feed.table), "%.*s", STR_ARG(o->bindings[0].table));
    snprintf(feed.filter, sizeof(feed.filter), "%.*s", STR_ARG(o->bindings[0].filter));
}

static void on_unwatch(void *source, struct loop *l, struct source_watch *w)
{
    (void)source, (void)l;
    if (feed.waiting == w)
        feed.waiting = NULL;
    for (size_t i = 0; i < WATCHES_MAX; i++)
        if (feed.open[i] == w)
            feed.open[i] = NULL;
    w->id = 0;
    identity_unref(w->identity);
    w->identity = NULL;
}

static void on_identify(void *source, struct loop *l, struct source_watch *w, struct identity *id)
{
    (void)source, (void)l;
    identity_ref(id);
    identity_unref(w->identity);
    w->identity = id;
}
static const struct source_ops source_ops = {on_watch, on_unwatch, on_identify};

static size_t open_count(void)
{
    size_t count = 0;
    for (size_t i = 0; i < WATCHES_MAX; i++)
        count += feed.open[i] != NULL;
    return count;
}

static void give(struct source_watch *w, uint64_t seq)
{
    struct source_change c = {
        .seq = seq, .event = SOURCE_INSERT, .data = str_from(feed.log[seq]), .time_ms = 1};
    ref_init(&c.ref);
    w->changed(w, &c, 1);
}

static void opens(void)
{
    struct source_watch *w = feed.waiting;
    struct source_opened o = {.seq = feed.seq, .epoch = "e"};
    bool same = strcmp(feed.since_epoch, "e") == 0;
    uint64_t since = feed.since;
    assert_non_null(w);
    o.gap = feed.has_since && (!same || since > feed.seq || since + 1 < feed.first);
    feed.waiting = NULL;
    for (size_t i = 0; i < WATCHES_MAX; i++)
        if (!feed.open[i]) {
            feed.open[i] = w;
            break;
        }
    uint64_t id = w->id;
    bool replays = feed.has_since && same;
    w->opened(w, &o);
    for (uint64_t seq = since + 1; replays && seq <= feed.seq && w->id == id; seq++)
        if (seq >= feed.first)
            give(w, seq);
}

static void fails(int err)
{
    struct source_watch *w = feed.waiting;
    feed.waiting = NULL;
    identity_unref(w->identity);
    w->identity = NULL;
    w->id = 0;
    w->opened(w, &(struct source_opened){.err = err, .message = "no"});
}

static void writes(const char *text)
{
    feed.log[++feed.seq] = text;
    for (size_t i = 0; i < WATCHES_MAX; i++)
        if (feed.open[i])
            give(feed.open[i], feed.seq);
    sim_settle(rig.ls);
}

static void begin(void)
{
    memset(&feed, 0, sizeof(feed));
    source_set(&source_ops, &feed);
    rig_begin();
}

static void end(struct client *c)
{
    client_free(c);
    assert_int_equal(open_count(), 0);
    assert_null(feed.waiting);
    rig_end();
    source_set(NULL, NULL);
}

static void watch(struct client *c, const char *epoch, uint64_t offset)
{
    struct request r = {.type = REQUEST_SUBSCRIBE,
                        .channel = STR("table:t?a=eq.1"),
                        .tables = true,
                        .since = {.has_since = epoch != NULL, .since.offset = offset}};
    snprintf(r.since.since.epoch, sizeof(r.since.since.epoch), "%s", epoch ? epoch : "");
    ask(c, r);
}

static void begin_live(struct client *c)
{
    begin();
    writes("x");
    client_open(c);
    watch(c, NULL, 0);
    heard(c, "");
    opens();
    heard(c, "sub:table:t?a=eq.1@1");
}

TEST(a_table_is_answered_when_it_is_live_and_left_without_a_trace)
{
    struct client c;
    begin_live(&c);
    assert_string_equal(feed.table, "t");
    assert_string_equal(feed.filter, "a=eq.1");
    assert_false(feed.has_since);
    writes("a");
    heard(&c, "a");
    assert_int_equal(session_subs_count(c.session), 1);
    say("table:t?a=eq.1", "published"); /* a table has no other writers */
    heard(&c, "");
    ask(&c, (struct request){.type = REQUEST_UNSUBSCRIBE, .channel = STR("table:t?a=eq.1")});
    heard(&c, "ok");
    assert_int_equal(open_count(), 0);
    writes("b");
    heard(&c, "");
    end(&c);
}

TEST(only_who_asks_for_tables_gets_one)
{
    struct client c;
    begin();
    client_open(&c);
    subscribe(&c, "table:t"); /* a dialect where this is a name like any other */
    heard(&c, "sub:table:t@0");
    say("table:t", "hi");
    heard(&c, "hi");
    end(&c);
}

TEST(a_slow_reader_of_a_table_goes_on_from_its_place)
{
    struct client c;
    begin_live(&c);
    writes("a");
    c.unsent = 1000;
    writes("b");
    assert_int_equal(open_count(), 0); /* nothing waits for it */
    writes("c");
    heard(&c, "a");
    c.unsent = 0;
    session_drained(c.session);
    assert_int_equal(feed.since, 2);
    opens();
    heard(&c, "b c");
    writes("d");
    heard(&c, "d");
    end(&c);
}

TEST(what_the_log_lost_meanwhile_is_a_gap_that_is_told_until_it_arrived)
{
    struct client c;
    begin_live(&c);
    feed.open[0]->lost(feed.open[0]);
    assert_int_equal(open_count(), 0);
    writes("a");
    writes("b");
    feed.first = 3;
    session_drained(c.session);
    opens();
    heard(&c, "gap:2-3");
    writes("c");
    heard(&c, "c");
    come_back(&c); /* the client never said that it got the gap */
    assert_int_equal(feed.since, 1);
    opens();
    heard(&c, "sub:table:t?a=eq.1@4~ gap:2-4");
    end(&c);
}

TEST(who_comes_back_has_what_was_missed)
{
    struct client c;
    begin_live(&c);
    writes("a");
    mark(&c);
    confirm(&c); /* "a" has arrived */
    writes("b");
    session_detach(c.session, E_CLOSED);
    assert_int_equal(open_count(), 0);
    writes("c");
    come_back(&c);
    opens();
    heard(&c, "sub:table:t?a=eq.1@2+~ b c");
    watch(&c, "e", 3); /* who comes back knows better than we what it has got */
    opens();
    heard(&c, "sub:table:t?a=eq.1@3+ c");
    end(&c);
}

TEST(a_place_of_another_log_is_a_reset)
{
    struct client c;
    begin();
    writes("x");
    client_open(&c);
    watch(&c, "old", 7);
    opens();
    heard(&c, "sub:table:t?a=eq.1@1!");
    writes("a");
    heard(&c, "a");
    end(&c);
}

TEST(what_cannot_be_watched_is_an_error_and_no_subscription)
{
    struct client c;
    begin();
    client_open(&c);
    watch(&c, NULL, 0);
    fails(E_BAD_REQUEST);
    heard(&c, "E4400:table:t?a=eq.1");
    assert_int_equal(session_subs_count(c.session), 0);
    watch(&c, NULL, 0); /* and it goes before it is answered */
    ask(&c, (struct request){.type = REQUEST_UNSUBSCRIBE, .channel = STR("table:t?a=eq.1")});
    heard(&c, "ok");
    assert_null(feed.waiting);
    source_set(NULL, NULL);
    watch(&c, NULL, 0);
    heard(&c, "E4415:table:t?a=eq.1");
    assert_int_equal(session_subs_count(c.session), 0);
    end(&c);
}

TEST(a_database_that_is_away_for_a_moment_costs_nobody_his_table)
{
    struct client c;
    begin_live(&c);
    c.unsent = 1000;
    writes("a");
    c.unsent = 0;
    session_drained(c.session);
    fails(E_UNAVAILABLE);
    heard(&c, "");
    session_drained(c.session);
    opens();
    heard(&c, "a");
    end(&c);
}
