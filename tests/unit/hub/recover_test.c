/* SPDX-License-Identifier: Apache-2.0 */
#include "hubrig.h"

#include "hub/hub_priv.h"

static char epoch[24];

static void say_numbers(unsigned count)
{
    for (unsigned i = 1; i <= count; i++) {
        char text[12];
        snprintf(text, sizeof(text), "%u", i);
        memcpy(epoch, rig_say("room", text).epoch, sizeof(epoch));
    }
}

static void ask(const struct subscribe_options *o, const char *words)
{
    struct seat *seat = seat_new(0);
    seat_ask(seat, "room", o);
    seat_heard(seat, words);
    seat_free(seat);
    sim_settle(rig.ls);
}

/* The rows at the head of recover.c, in their order. */
TEST(a_position_in_reach_gets_all_after_it)
{
    struct subscribe_options o;
    rig_begin(1);
    say_numbers(5);
    o = since(epoch, 3);
    ask(&o, "S5+ 4 5");
    o = since(epoch, 5);
    ask(&o, "S5+");
    o = since(epoch, 0);
    ask(&o, "S5+ 1 2 3 4 5");
    rig_end();
}

TEST(a_position_that_is_too_old_gets_the_gap_and_what_is_kept)
{
    struct subscribe_options o;
    rig_begin(1);
    rig.settings.history_count = 3;
    say_numbers(6);
    o = since(epoch, 1);
    ask(&o, "S6 [2-3] 4 5 6");
    o = since(epoch, 2);
    ask(&o, "S6 [3-3] 4 5 6");
    o = since(epoch, 3);
    ask(&o, "S6+ 4 5 6");
    rig_end();
}

TEST(a_position_of_another_epoch_begins_anew)
{
    struct subscribe_options o;
    rig_begin(1);
    say_numbers(2);
    o = since("elsewhere", 9);
    ask(&o, "S2!e 1 2");
    o = since("elsewhere", 0);
    ask(&o, "S2!e 1 2");
    o = since("", 9);
    ask(&o, "S2!e 1 2");
    o = since("elsewhere", UINT64_MAX);
    ask(&o, "S2!e 1 2");
    rig_end();
}

TEST(no_epoch_and_offset_zero_is_everything_that_is_kept)
{
    struct subscribe_options o;
    rig_begin(1);
    rig.settings.history_count = 2;
    o = since("", 0);
    ask(&o, "S0+");
    say_numbers(4);
    ask(&o, "S4+ 3 4");
    rig_end();
}

TEST(a_position_beyond_the_newest_was_never_given)
{
    struct subscribe_options o;
    rig_begin(1);
    say_numbers(2);
    o = since(epoch, 3);
    ask(&o, "S2!e 1 2");
    o = since(epoch, UINT64_MAX);
    ask(&o, "S2!e 1 2");
    rig_end();
}

TEST(without_a_position_nothing_or_the_newest_few)
{
    rig_begin(1);
    say_numbers(4);
    ask(NULL, "S4");
    ask(&(struct subscribe_options){.history = 2}, "S4 3 4");
    ask(&(struct subscribe_options){.history = 100}, "S4 1 2 3 4");
    rig_end();
}

TEST(a_volatile_message_has_a_place_and_is_no_gap)
{
    rig_begin(1);
    say_numbers(1);
    rig_say_all(&(struct msg_fields){
        .channel = STR("room"), .content = STR("cursor"), .is_volatile = true});
    rig_say("room", "3");
    struct subscribe_options o = since(epoch, 1);
    ask(&o, "S3+ 3");
    rig_end();
}

TEST(a_forgotten_channel_is_another_when_it_comes_back)
{
    rig_begin(1);
    rig.settings.history_ms = 1000;
    say_numbers(2);
    rig.config.idempotency_ms = 1;
    sim_run(rig.ls, 20000);
    assert_null(channel_find(rig_hub(0), STR("room")));
    struct subscribe_options o = since(epoch, 2);
    ask(&o, "S0!e");
    rig_end();
}

TEST(what_the_publisher_must_not_get_is_left_out_of_what_was_missed)
{
    rig_begin(1);
    say_numbers(1);
    struct seat *seat = seat_new(0);
    rig_say_all(&(struct msg_fields){.channel = STR("room"),
                                     .content = STR("mine"),
                                     .sender_session = seat->sub.session,
                                     .no_echo = true});
    rig_say("room", "3");
    struct subscribe_options o = since(epoch, 1);
    seat_ask(seat, "room", &o);
    seat_heard(seat, "S3+ 3");
    rig_say_all(&(struct msg_fields){.channel = STR("room"),
                                     .content = STR("mine again"),
                                     .sender_session = seat->sub.session,
                                     .no_echo = true});
    rig_say("room", "5");
    seat_heard(seat, "5");
    assert_int_equal(seat->sub.offset, 5);
    seat_free(seat);
    rig_end();
}

TEST(a_slow_reader_catches_up_and_is_told_what_is_gone)
{
    rig_begin(1);
    rig.settings.history_count = 4;
    struct seat *seat = seat_new(0);
    seat_ask(seat, "room", NULL);
    seat_heard(seat, "S0");
    seat->room = 2;
    say_numbers(3);
    seat_heard(seat, "1 2");
    assert_int_equal(seat->sub.state, SUB_LAGGING);
    seat->room = 3;
    hub_catch_up(seat->hub, &seat->sub);
    seat_heard(seat, "C3 3");
    assert_int_equal(seat->sub.state, SUB_LIVE);
    seat->room = 0;
    say_numbers(8);
    seat->room = 2;
    hub_catch_up(seat->hub, &seat->sub);
    seat_heard(seat, "C11 [4-7] 5 6"); /* offsets 8 and 9 */
    assert_int_equal(seat->sub.state, SUB_LAGGING);
    seat->room = 100;
    hub_catch_up(seat->hub, &seat->sub);
    seat_heard(seat, "C11 7 8");
    seat_free(seat);
    rig_end();
}

TEST(a_slow_reader_of_the_latest_gets_the_newest_of_each_key)
{
    static const char *const said[][2] = {{"ann", "a1"}, {"bob", "b1"}, {"", "plain"},
                                          {"ann", "a2"}, {"bob", "b2"}, {"ann", "a3"}};
    rig_begin(1);
    rig.settings.slow = SLOW_LATEST;
    struct seat *seat = seat_new(0);
    seat_ask(seat, "room", NULL);
    seat_heard(seat, "S0");
    seat->room = 0;
    for (size_t i = 0; i < 6; i++)
        rig_say_all(&(struct msg_fields){
            .channel = STR("room"), .key = str_from(said[i][0]), .content = str_from(said[i][1])});
    seat->room = 100;
    hub_catch_up(seat->hub, &seat->sub);
    seat_heard(seat, "C6 plain b2 a3");
    rig_say("room", "live");
    seat_heard(seat, "live");
    seat_free(seat);
    rig_end();
}
