/* SPDX-License-Identifier: Apache-2.0 */
/* Offsets, acks and ids; with a store of the test's own that answers when it is told to. */
#include "hubrig.h"

#include "hub/hub_priv.h"

/* ---- a store: rows in memory, work in a queue */

enum { ROWS_MAX = 200 };
static struct shelf {
    struct msg *rows[ROWS_MAX];
    size_t count;
    struct position at; /* what open tells */
    uint64_t evicted;
    struct store_append *appends[ROWS_MAX];
    size_t appends_count;
    struct store_read *reads[ROWS_MAX];
    size_t reads_count, reads_total;
    struct store_open *opens[10];
    size_t opens_count;
} shelf;

static void shelf_open(void *store, struct store_open *o)
{
    (void)store;
    shelf.opens[shelf.opens_count++] = o;
}
static void shelf_append(void *store, struct store_append *a)
{
    (void)store;
    shelf.appends[shelf.appends_count++] = a;
}
static void shelf_read(void *store, struct store_read *r)
{
    (void)store;
    shelf.reads[shelf.reads_count++] = r;
    shelf.reads_total++;
}
static const struct store_ops shelf_ops = {shelf_open, shelf_append, shelf_read};

static void shelf_opened(int err)
{
    struct store_open *o = shelf.opens[--shelf.opens_count];
    o->err = err;
    o->at = shelf.at;
    o->ids = mem_new(ROWS_MAX * sizeof(struct msg *));
    for (size_t i = 0; i < shelf.count && !err; i++)
        if (shelf.rows[i]->id.n && shelf.rows[i]->time_ms >= o->ids_since_ms) {
            msg_ref(shelf.rows[i]);
            o->ids[o->ids_count++] = shelf.rows[i];
        }
    o->done(o);
    sim_settle(rig.ls);
}

/* The first that waits; err 0 keeps it. */
static void shelf_stored(int err)
{
    struct store_append *a = shelf.appends[0];
    assert_true(shelf.appends_count > 0);
    memmove(shelf.appends, shelf.appends + 1, --shelf.appends_count * sizeof(shelf.appends[0]));
    if (!err) {
        msg_ref(a->msg);
        shelf.rows[shelf.count++] = a->msg;
    }
    a->err = err;
    a->done(a);
}

static void shelf_readed(int err)
{
    struct store_read *r = shelf.reads[0];
    assert_true(shelf.reads_count > 0);
    memmove(shelf.reads, shelf.reads + 1, --shelf.reads_count * sizeof(shelf.reads[0]));
    r->msgs = mem_new(ROWS_MAX * sizeof(struct msg *));
    for (size_t i = 0; i < shelf.count && !err; i++)
        if (shelf.rows[i]->offset > r->after && shelf.rows[i]->offset > shelf.evicted &&
            r->msgs_count < r->limit) {
            msg_ref(shelf.rows[i]);
            r->msgs[r->msgs_count++] = shelf.rows[i];
        }
    r->evicted_offset = shelf.evicted;
    r->err = err;
    r->done(r);
    sim_settle(rig.ls);
}

static void durable_begin(void)
{
    shelf = (struct shelf){0};
    rig_begin(1);
    rig.settings.durable = true;
    hub_set_store(&shelf_ops, NULL);
}

static void durable_end(void)
{
    rig_end();
    for (size_t i = 0; i < shelf.count; i++)
        msg_unref(&shelf.rows[i]);
    shelf = (struct shelf){0};
}

static void post(const char *content, const char *id, struct said *said)
{
    rig_post(0,
             &(struct msg_fields){.channel = STR("room"),
                                  .content = str_from(content),
                                  .id = str_from(id),
                                  .sender = STR("ann")},
             said);
    sim_settle(rig.ls);
}

/* ---- durable */

TEST(a_durable_message_is_told_to_nobody_before_the_store_has_it)
{
    struct said said;
    durable_begin();
    struct seat *seat = seat_new(0);
    seat_ask(seat, "room", NULL);
    seat_heard(seat, "");
    shelf_opened(0);
    seat_heard(seat, "S0");
    post("a", "", &said);
    assert_false(said.is_done);
    seat_heard(seat, "");
    shelf_stored(0);
    seat_heard(seat, "a");
    assert_int_equal(said.err, 0);
    assert_int_equal(said.offset, 1);
    seat_free(seat);
    durable_end();
}

TEST(appends_leave_in_order_and_a_refused_one_is_a_hole_in_the_numbers_only)
{
    struct said said[3];
    durable_begin();
    struct seat *seat = seat_new(0);
    seat_ask(seat, "room", NULL);
    sim_settle(rig.ls);
    shelf_opened(0);
    seat_heard(seat, "S0");
    post("a", "", &said[0]);
    post("b", "", &said[1]);
    post("c", "", &said[2]);
    /* The store answers in its own order: the hub's is that of the offsets. */
    struct store_append *first = shelf.appends[0];
    memmove(shelf.appends, shelf.appends + 1, 2 * sizeof(shelf.appends[0]));
    shelf.appends[2] = first;
    shelf_stored(E_STORAGE_FULL);
    shelf_stored(0);
    seat_heard(seat, "");
    assert_false(said[1].is_done || said[2].is_done);
    shelf_stored(0);
    seat_heard(seat, "a c");
    assert_int_equal(said[0].offset, 1);
    assert_int_equal(said[1].err, E_STORAGE_FULL);
    assert_int_equal(said[2].offset, 3);
    seat_free(seat);
    durable_end();
}

TEST(a_subscriber_between_an_offset_and_its_storing_gets_the_message)
{
    struct said said;
    durable_begin();
    struct seat *before = seat_new(0);
    seat_ask(before, "room", NULL);
    sim_settle(rig.ls);
    shelf_opened(0);
    post("a", "", &said);
    struct seat *between = seat_new(0);
    seat_ask(between, "room", NULL);
    seat_heard(between, "S0");
    shelf_stored(0);
    seat_heard(between, "a");
    seat_heard(before, "S0 a");
    seat_free(between);
    seat_free(before);
    durable_end();
}

TEST(a_retry_while_the_store_works_is_sent_away_and_one_after_it_is_a_duplicate)
{
    struct said said[4];
    durable_begin();
    post("a", "id", &said[0]);
    shelf_opened(0);
    post("a", "id", &said[1]);
    assert_int_equal(said[1].err, E_UNAVAILABLE);
    shelf_stored(E_STORAGE_FULL);
    sim_settle(rig.ls);
    assert_int_equal(said[0].err, E_STORAGE_FULL);
    post("a", "id", &said[2]); /* nothing was promised: it is new */
    shelf_stored(0);
    sim_settle(rig.ls);
    assert_int_equal(said[2].offset, 2);
    assert_false(said[2].duplicate);
    post("a", "id", &said[3]);
    assert_int_equal(said[3].offset, 2);
    assert_true(said[3].duplicate);
    durable_end();
}

TEST(a_log_goes_on_where_the_store_says_and_mail_waits_for_it_in_order)
{
    struct said said[2];
    durable_begin();
    shelf.at = (struct position){.epoch = "stored", .offset = 41};
    struct seat *seat = seat_new(0);
    struct subscribe_options o = since("stored", 41);
    post("a", "", &said[0]);
    seat_ask(seat, "room", &o);
    post("b", "", &said[1]);
    seat_heard(seat, "");
    shelf_opened(0);
    seat_heard(seat, "S41+");
    shelf_stored(0);
    shelf_stored(0);
    seat_heard(seat, "a b");
    assert_int_equal(said[0].offset, 42);
    assert_string_equal(said[0].epoch, "stored");
    seat_free(seat);
    durable_end();
}

TEST(a_store_that_cannot_say_where_the_log_ends_refuses_and_is_asked_again)
{
    struct said said[2];
    durable_begin();
    struct seat *seat = seat_new(0);
    post("a", "", &said[0]);
    seat_ask(seat, "room", NULL);
    rig_track(1, "ann", "{}");
    shelf_opened(E_UNAVAILABLE);
    assert_int_equal(said[0].err, E_UNAVAILABLE);
    seat_heard(seat, "S-4503");
    assert_null(channel_find(rig_hub(0), STR("room")));
    shelf.at = (struct position){.epoch = "stored", .offset = 7};
    post("a", "", &said[1]);
    shelf_opened(0);
    shelf_stored(0);
    sim_settle(rig.ls);
    assert_int_equal(said[1].offset, 8); /* not 1 again */
    seat_free(seat);
    durable_end();
}

static void shelf_has(const char *id, uint64_t offset, uint64_t time_ms)
{
    struct msg *m = msg_new(&(struct msg_fields){
        .channel = STR("room"), .id = str_from(id), .sender = STR("ann"), .content = STR("old")});
    m->offset = shelf.at.offset = offset;
    m->time_ms = time_ms;
    shelf.rows[shelf.count++] = m;
}

TEST(what_the_store_has_of_before_a_crash_is_not_stored_again)
{
    struct said said[4];
    durable_begin();
    uint64_t now_ms = loop_wall_ms(loops_at(rig.ls, 0));
    shelf.at = (struct position){.epoch = "stored"};
    shelf_has("too-old", 6, now_ms - 300001);
    shelf_has("x", 7, now_ms - 10);
    shelf_has("", 8, now_ms - 10);
    post("again", "x", &said[0]);
    assert_false(said[0].is_done); /* nobody knows before the store has said so */
    shelf_opened(0);
    assert_true(said[0].is_done && said[0].duplicate);
    assert_int_equal(said[0].offset, 7);
    assert_string_equal(said[0].epoch, "stored");
    assert_int_equal(shelf.appends_count, 0);
    post("new", "y", &said[1]);
    post("new", "too-old", &said[2]);
    post("new", "", &said[3]);
    for (int i = 0; i < 3; i++)
        shelf_stored(0);
    sim_settle(rig.ls);
    for (int i = 1; i < 4; i++)
        assert_true(said[i].is_done && !said[i].duplicate && said[i].offset == 8u + (unsigned)i);
    durable_end();
}

TEST(without_a_store_a_durable_channel_refuses)
{
    rig_begin(1);
    rig.settings.durable = true;
    assert_int_equal(rig_say("room", "a").err, E_UNAVAILABLE);
    rig_end();
}

static void stored_numbers(unsigned count)
{
    struct said said;
    for (unsigned i = 1; i <= count; i++) {
        char text[12];
        snprintf(text, sizeof(text), "%u", i);
        post(text, "", &said);
        if (shelf.opens_count)
            shelf_opened(0);
        shelf_stored(0);
        sim_settle(rig.ls);
    }
    shelf.at.offset = count;
}

TEST(the_older_part_comes_from_the_store_and_joins_with_memory)
{
    durable_begin();
    rig.settings.history_count = 3;
    stored_numbers(8);
    struct seat *seat = seat_new(0);
    struct subscribe_options o = since(channel_find(rig_hub(0), STR("room"))->epoch, 2);
    seat_ask(seat, "room", &o);
    seat_heard(seat, "");
    /* Meanwhile more is said, and memory lets go of what the store had not been asked for. */
    stored_numbers(4);
    shelf_readed(0);
    seat_heard(seat, "S12+ 3 4 5 6 7 8 1 2 3 4");
    assert_int_equal(shelf.reads_total, 1);
    seat_free(seat);
    durable_end();
}

TEST(what_the_store_gets_while_it_reads_is_asked_for_again)
{
    struct said said;
    durable_begin();
    rig.settings.history_count = 2;
    stored_numbers(6);
    struct seat *seat = seat_new(0);
    struct subscribe_options o = since(channel_find(rig_hub(0), STR("room"))->epoch, 1);
    seat_ask(seat, "room", &o);
    sim_settle(rig.ls);
    /* The read has seen six rows; its answer comes after memory has let go of more. */
    struct store_read *r = shelf.reads[0];
    shelf.reads_count = 0;
    r->msgs = mem_new(ROWS_MAX * sizeof(struct msg *));
    for (size_t i = 1; i < 6; i++) {
        msg_ref(shelf.rows[i]);
        r->msgs[r->msgs_count++] = shelf.rows[i];
    }
    for (unsigned i = 0; i < 4; i++) {
        post("more", "", &said);
        shelf_stored(0);
        sim_settle(rig.ls);
    }
    r->done(r);
    sim_settle(rig.ls);
    seat_heard(seat, "");
    shelf_readed(0);
    seat_heard(seat, "S10+ 2 3 4 5 6 more more more more");
    seat_free(seat);
    durable_end();
}

TEST(what_retention_took_is_a_gap)
{
    durable_begin();
    rig.settings.history_count = 2;
    stored_numbers(9);
    shelf.evicted = 5;
    const char *epoch = channel_find(rig_hub(0), STR("room"))->epoch;
    struct subscribe_options o = since(epoch, 3);
    struct seat *seat = seat_new(0);
    seat_ask(seat, "room", &o);
    sim_settle(rig.ls);
    shelf_readed(0);
    seat_heard(seat, "S9 [4-5] 6 7 8 9");
    hub_unsubscribe(seat->hub, &seat->sub);
    o = since(epoch, 5);
    seat_ask(seat, "room", &o);
    sim_settle(rig.ls);
    shelf_readed(0);
    seat_heard(seat, "S9+ 6 7 8 9");
    hub_unsubscribe(seat->hub, &seat->sub);
    o = since("", 0); /* everything there is: no claim, no gap */
    seat_ask(seat, "room", &o);
    sim_settle(rig.ls);
    shelf_readed(0);
    seat_heard(seat, "S9+ 6 7 8 9");
    seat_free(seat);
    durable_end();
}

TEST(a_store_that_cannot_read_is_a_gap_that_is_said)
{
    durable_begin();
    rig.settings.history_count = 2;
    stored_numbers(6);
    struct subscribe_options o = since(channel_find(rig_hub(0), STR("room"))->epoch, 1);
    struct seat *seat = seat_new(0);
    seat_ask(seat, "room", &o);
    sim_settle(rig.ls);
    shelf_readed(E_UNAVAILABLE);
    seat_heard(seat, "S6 [2-4] 5 6");
    seat_free(seat);
    durable_end();
}

TEST(an_answer_of_the_store_after_the_teardown_finds_nobody)
{
    struct said said;
    durable_begin();
    post("a", "", &said);
    shelf_opened(0);
    post("b", "", &said);
    rig_end();
    shelf_stored(0);
    shelf_stored(E_UNAVAILABLE);
    assert_false(said.is_done);
    for (size_t i = 0; i < shelf.count; i++)
        msg_unref(&shelf.rows[i]);
    shelf = (struct shelf){0};
}

/* ---- ids */

static struct said say_as(const char *who, const char *id, const char *key)
{
    return rig_say_all(&(struct msg_fields){.channel = STR("room"),
                                            .content = str_from(id),
                                            .id = str_from(id),
                                            .key = str_from(key),
                                            .sender = str_from(who)});
}

TEST(an_id_is_one_message_for_its_sender_and_channel_within_the_window)
{
    rig_begin(1);
    assert_int_equal(say_as("ann", "x", "").offset, 1);
    struct said again = say_as("ann", "x", "");
    assert_true(again.duplicate);
    assert_int_equal(again.offset, 1);
    assert_false(say_as("bob", "x", "").duplicate);
    assert_false(say_as("ann", "y", "").duplicate);
    assert_false(say_as("an", "nx", "").duplicate); /* no two pairs run into one */
    rig_history("room", 0, 0, 10, "x x y nx");
    sim_run(rig.ls, rig.config.idempotency_ms - 1);
    assert_true(say_as("ann", "x", "").duplicate);
    sim_run(rig.ls, 2);
    assert_false(say_as("ann", "x", "").duplicate);
    rig_end();
}

TEST(ids_are_bounded_by_count)
{
    rig_begin(1);
    rig.config.idempotency_max = 10;
    for (int i = 0; i < 100; i++) {
        char id[12];
        snprintf(id, sizeof(id), "%d", i);
        say_as("ann", id, "");
    }
    assert_true(channel_find(rig_hub(0), STR("room"))->remembered.count <= 11);
    assert_true(say_as("ann", "99", "").duplicate);
    assert_false(say_as("ann", "1", "").duplicate);
    rig_end();
}

/* ---- the newest by key */

TEST(at_most_one_of_a_key_goes_out_in_an_interval_and_the_last_always_does)
{
    rig_begin(1);
    rig.settings.throttle_ms = 100;
    struct seat *seat = seat_new(0);
    seat_ask(seat, "room", NULL);
    seat_heard(seat, "S0");
    struct said said[6];
    static const char *const words[] = {"a1", "a2", "a3", "b1", "plain", "a4"};
    for (int i = 0; i < 6; i++)
        rig_post(0,
                 &(struct msg_fields){.channel = STR("room"),
                                      .content = str_from(words[i]),
                                      .key = words[i][0] == 'p' ? STR_NONE : str_of(words[i], 1)},
                 &said[i]);
    seat_heard(seat, "a1 b1 plain");
    assert_true(said[1].is_done && said[2].is_done && !said[5].is_done);
    assert_int_equal(said[1].offset, 0); /* replaced: answered without a place */
    sim_run(rig.ls, 101);
    seat_heard(seat, "a4");
    assert_int_equal(said[5].offset, 4);
    sim_run(rig.ls, 50);
    rig_post(0, &(struct msg_fields){.channel = STR("room"), .content = STR("a5"), .key = STR("a")},
             &said[0]);
    seat_heard(seat, "");
    sim_run(rig.ls, 51);
    seat_heard(seat, "a5");
    sim_run(rig.ls, 1000);
    assert_null(channel_find(rig_hub(0), STR("room"))->conflate);
    seat_free(seat);
    rig_end();
}

/* The id of one that waits comes in by another key meanwhile: once, and no memory goes wrong. */
TEST(an_id_is_one_message_also_across_keys_that_wait)
{
    rig_begin(1);
    rig.settings.throttle_ms = 100;
    struct said waits, other;
    say_as("ann", "first", "k1");
    rig_post(0,
             &(struct msg_fields){.channel = STR("room"),
                                  .content = STR("same"),
                                  .id = STR("same"),
                                  .key = STR("k1"),
                                  .sender = STR("ann")},
             &waits);
    sim_settle(rig.ls);
    other = say_as("ann", "same", "k2");
    assert_false(other.duplicate);
    sim_run(rig.ls, 101);
    assert_true(waits.is_done && waits.duplicate);
    assert_int_equal(waits.offset, other.offset);
    rig_history("room", 0, 0, 10, "first same");
    rig.config.idempotency_ms = 1;
    sim_run(rig.ls, 5000);
    assert_int_equal(channel_find(rig_hub(0), STR("room"))->remembered.count, 0);
    rig_end();
}

TEST(keys_that_wait_are_bounded_and_answered_at_the_end)
{
    rig_begin(1);
    rig.settings.throttle_ms = 60000;
    unsigned refused = 0;
    for (int i = 0; i < 5000; i++) {
        char key[12];
        snprintf(key, sizeof(key), "%d", i);
        refused += say_as("ann", "", key).err == E_TOO_MANY;
    }
    assert_int_equal(refused, 5000 - 4096);
    rig_end();
}
