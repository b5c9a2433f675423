/* SPDX-License-Identifier: Apache-2.0 */
#include "hubrig.h"

#include "hub/hub_priv.h"

enum { MESSAGES = 40 };

/* The words of one log are the numbers from..MESSAGES, each once, in order. */
static void assert_run(struct seat *seat)
{
    unsigned long at = 0;
    buf_add_c(&seat->log, '\0');
    assert_true(seat->log.p[0] == 'S');
    at = strtoul(seat->log.p + 1, NULL, 10); /* live from here */
    for (char *word = strchr(seat->log.p, ' '); word; word = strchr(word + 1, ' '))
        assert_int_equal(strtoul(word + 1, NULL, 10), ++at);
    assert_int_equal(at, MESSAGES);
}

/* Three loops: whoever subscribes at whatever moment gets all that comes after his answer. */
TEST(subscribing_is_atomic_in_every_interleaving)
{
    for (uint64_t seed = 1; seed < 60; seed++) {
        struct seat *seats[12];
        struct said said[MESSAGES];
        rig_begin(3);
        sim_seed(seed);
        for (unsigned i = 0; i < 12; i++)
            seats[i] = seat_new(i % 3);
        for (unsigned i = 0, asked = 0; i < MESSAGES; i++) {
            char text[12];
            snprintf(text, sizeof(text), "%u", i + 1);
            rig_post(i % 3 ? 0 : 1, /* two publishers would have no common order */
                     &(struct msg_fields){.channel = STR("room"), .content = str_from(text)},
                     &said[i]);
            if (asked < 12 && sim_chance(3) == 0)
                seat_ask(seats[asked++], "room", NULL);
            sim_run(rig.ls, 1); /* turns of loops in an order of chance */
        }
        sim_settle(rig.ls);
        for (unsigned i = 0; i < 12; i++)
            if (seats[i]->sub.state != SUB_NONE)
                assert_run(seats[i]);
        for (unsigned i = 0; i < 12; i++)
            seat_free(seats[i]);
        rig_end();
    }
}

/* All at once: mail of several loops is under way when the subscriptions come in between. */
TEST(an_answer_that_is_overtaken_by_nothing_leaves_no_hole_and_no_double)
{
    for (uint64_t seed = 1; seed < 60; seed++) {
        struct seat *seats[9];
        struct said said[MESSAGES];
        rig_begin(3);
        sim_seed(seed);
        for (unsigned i = 0; i < 9; i++)
            seats[i] = seat_new(i % 3);
        for (unsigned i = 0, asked = 0; i < MESSAGES; i++) {
            char text[12];
            snprintf(text, sizeof(text), "%u", i + 1);
            rig_post(0, &(struct msg_fields){.channel = STR("room"), .content = str_from(text)},
                     &said[i]);
            if (asked < 9 && sim_chance(4) == 0)
                seat_ask(seats[asked++], "room", NULL);
        }
        sim_settle(rig.ls);
        for (unsigned i = 0; i < MESSAGES; i++)
            assert_int_equal(said[i].offset, i + 1);
        for (unsigned i = 0; i < 9; i++) {
            if (seats[i]->sub.state != SUB_NONE)
                assert_run(seats[i]);
            seat_free(seats[i]);
        }
        rig_end();
    }
}

TEST(leaving_and_coming_back_at_once_gets_nothing_twice)
{
    rig_begin(2);
    struct seat *seat = seat_new(1);
    seat_ask(seat, "room", NULL);
    seat_heard(seat, "S0");
    rig_say("room", "a");
    seat_heard(seat, "a");
    hub_unsubscribe(seat->hub, &seat->sub);
    seat_ask(seat, "room", NULL); /* the owner hears of both after this */
    rig_say("room", "b");
    hub_unsubscribe(seat->hub, &seat->sub);
    buf_clear(&seat->log);
    rig_say("room", "c");
    seat_heard(seat, "");
    seat_free(seat);
    rig_end();
}

/* The last member of a topic goes while the topic is at it: as a stream does that is closed for
 * being slow. */
TEST(a_member_may_leave_inside_its_delivery)
{
    rig_begin(1);
    for (int members = 1; members < 4; members++) {
        struct seat *seats[3];
        for (int i = 0; i < members; i++) {
            seats[i] = seat_new(0);
            seat_ask(seats[i], "room", NULL);
            sim_settle(rig.ls);
            seats[i]->leaves = true;
        }
        struct said said[3];
        for (int i = 0; i < 3; i++)
            rig_post(0, &(struct msg_fields){.channel = STR("room"), .content = STR("x")},
                     &said[i]);
        sim_settle(rig.ls);
        assert_null(topic_find(rig_hub(0), STR("room")));
        for (int i = 0; i < members; i++)
            seat_free(seats[i]);
        assert_int_equal(rig_say("room", "after").err, 0);
    }
    rig_end();
}

TEST(a_member_may_leave_inside_a_change_of_presence)
{
    rig_begin(1);
    struct seat *seat = seat_new(0);
    seat->sub.wants_presence = true;
    seat_ask(seat, "room", NULL);
    seat_heard(seat, "S0 =");
    struct said said;
    rig_post(0, &(struct msg_fields){.channel = STR("room"), .content = STR("x")}, &said);
    seat->leaves = true;
    assert_int_equal(rig_track(1, "ann", "{}"), 0);
    assert_null(topic_find(rig_hub(0), STR("room")));
    seat_free(seat);
    rig_end();
}

TEST(a_change_of_kind_hands_out_what_waits_and_survives_the_last_leaving)
{
    rig_begin(1);
    rig.settings.batch_ms = 50;
    struct seat *seat = seat_new(0);
    seat_ask(seat, "room", NULL);
    seat_heard(seat, "S0");
    rig_say("room", "waits");
    seat_heard(seat, "");
    hub_set_kind(seat->hub, &seat->sub, ENC_SSE);
    seat_heard(seat, "waits");
    rig_say("room", "more");
    seat->leaves = true;
    hub_set_kind(seat->hub, &seat->sub, ENC_NONE);
    assert_int_equal(seat->sub.state, SUB_NONE);
    seat_free(seat);
    rig_end();
}

TEST(a_batch_goes_out_together)
{
    rig_begin(1);
    rig.settings.batch_ms = 50;
    struct seat *seat = seat_new(0);
    seat_ask(seat, "room", NULL);
    seat_heard(seat, "S0");
    rig_say("room", "a");
    sim_run(rig.ls, 20);
    rig_say("room", "b");
    seat_heard(seat, "");
    sim_run(rig.ls, 31);
    seat_heard(seat, "a b");
    seat_free(seat);
    rig_end();
}

TEST(messages_for_some_pass_the_others_by)
{
    rig_begin(1);
    struct seat *a = seat_new(0), *b = seat_new(0);
    b->wants_none = true;
    seat_ask(a, "room", NULL);
    seat_ask(b, "room", NULL);
    seat_heard(a, "S0");
    seat_heard(b, "S0");
    rig_say("room", "all");
    rig_say_all(&(struct msg_fields){
        .channel = STR("room"), .content = STR("few"), .except = STR("other")});
    rig_say("room", "all");
    seat_heard(a, "all few all");
    seat_heard(b, "all all");
    seat_free(a);
    seat_free(b);
    rig_end();
}

TEST(bytes_that_could_not_be_made_are_fetched_later)
{
    rig_begin(1);
    struct seat *seat = seat_new(0), *other = seat_new(0);
    seat->sub.kind = ENC_NATIVE_WS;
    other->sub.kind = ENC_NONE;
    seat_ask(seat, "room", NULL);
    seat_ask(other, "room", NULL);
    seat_heard(seat, "S0");
    seat_heard(other, "S0");
    struct said said;
    rig_post(0, &(struct msg_fields){.channel = STR("room"), .content = STR("precious")}, &said);
    mem_fail_at(1, 1);
    sim_settle(rig.ls);
    mem_fail_at(0, 0);
    assert_int_equal(said.err, 0);
    assert_int_equal(said.offset, 1);
    seat_heard(seat, "");
    seat_heard(other, "precious"); /* it needs no shared bytes */
    assert_int_equal(seat->sub.state, SUB_LAGGING);
    hub_catch_up(seat->hub, &seat->sub);
    seat_heard(seat, "C1 precious");
    seat_free(seat);
    seat_free(other);
    rig_end();
}
