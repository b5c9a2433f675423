/* SPDX-License-Identifier: Apache-2.0 */
#include "hubrig.h"

#include "hub/hub_priv.h"

static struct channel *room(void)
{
    return channel_find(rig_hub(0), STR("room"));
}

static void say_numbers(const char *channel, unsigned from, unsigned to)
{
    for (unsigned i = from; i <= to; i++) {
        char text[12];
        snprintf(text, sizeof(text), "%u", i);
        rig_say(channel, text);
    }
}

TEST(the_newest_are_kept_by_count)
{
    rig_begin(1);
    rig.settings.history_count = 3;
    say_numbers("room", 1, 7);
    rig_history("room", 0, 0, 100, "5 6 7");
    assert_int_equal(room()->history.evicted_offset, 4);
    rig_end();
}

TEST(the_newest_are_kept_by_bytes)
{
    rig_begin(1);
    rig_say("room", "aaaaaaaaaa");
    rig.settings.history_bytes = room()->history.bytes * 5 / 2;
    rig_say("room", "bbbbbbbbbb");
    rig_history("room", 0, 0, 100, "aaaaaaaaaa bbbbbbbbbb");
    rig_say("room", "cccccccccc");
    rig_history("room", 0, 0, 100, "bbbbbbbbbb cccccccccc");
    assert_true(room()->history.bytes <= rig.settings.history_bytes);
    rig_end();
}

TEST(what_is_old_is_not_told_even_before_a_sweep_has_found_it)
{
    rig_begin(1);
    rig.settings.history_ms = 500;
    rig_say("room", "old");
    sim_run(rig.ls, 300);
    rig_say("room", "young");
    sim_run(rig.ls, 250); /* less than the second between two sweeps */
    rig_history("room", 0, 0, 100, "young");
    struct seat *seat = seat_new(0);
    seat_ask(seat, "room", &(struct subscribe_options){.history = 10});
    seat_heard(seat, "S2 young");
    seat_free(seat);
    rig_end();
}

TEST(a_message_larger_than_history_leaves_a_hole_that_is_said)
{
    rig_begin(1);
    struct said first = rig_say("room", "a");
    rig.settings.history_bytes = room()->history.bytes * 2;
    char big[2000] = {0};
    memset(big, 'x', sizeof(big) - 1);
    rig_say("room", big);
    rig_say("room", "c");
    struct subscribe_options o = since(first.epoch, 1);
    struct seat *seat = seat_new(0);
    seat_ask(seat, "room", &o);
    seat_heard(seat, "S3 [2-2] c");
    seat_free(seat);
    rig_end();
}

TEST(the_process_cap_takes_from_the_channel_that_was_quiet_longest)
{
    rig_begin(1);
    say_numbers("room", 1, 5);
    size_t one = room()->history.bytes / 5;
    rig.config.history_bytes_max = one * 7;
    say_numbers("busy", 1, 6);
    rig_history("room", 0, 0, 100, "5");
    rig_history("busy", 0, 0, 100, "1 2 3 4 5 6");
    assert_true(rig_hub(0)->history_bytes <= rig.config.history_bytes_max);
    say_numbers("busy", 7, 20);
    rig_history("room", 0, 0, 100, "");
    rig_end();
    assert_null(rig.ls);
}

TEST(a_page_of_history_is_the_oldest_after_or_the_newest_before)
{
    rig_begin(1);
    say_numbers("room", 1, 9);
    rig_history("room", 0, 0, 3, "7 8 9 +");
    rig_history("room", 7, 0, 3, "4 5 6 +");
    rig_history("room", 4, 0, 3, "1 2 3");
    rig_history("room", 0, 2, 3, "3 4 5 +");
    rig_history("room", 0, 6, 3, "7 8 9");
    rig_history("room", 5, 2, 10, "3 4");
    rig_history("room", 3, 6, 10, "");
    rig_history("room", 1, 0, 10, "");
    rig_history("room", 0, 0, 0, " +");
    rig_history("room", UINT64_MAX, UINT64_MAX, 10, "");
    rig_end();
}

TEST(asking_after_a_channel_does_not_make_it)
{
    rig_begin(1);
    rig.config.channels_max = 1;
    for (int i = 0; i < 100; i++) {
        char name[20];
        snprintf(name, sizeof(name), "guess-%d", i);
        rig_history(name, 0, 0, 10, "");
    }
    assert_int_equal(rig_hub(0)->channels.count, 0);
    assert_int_equal(rig_say("room", "there is place").err, 0);
    rig_end();
}

TEST(no_more_channels_than_allowed_and_idle_ones_make_room)
{
    rig_begin(1);
    rig.config.channels_max = 2;
    rig.settings.history_count = 0;
    assert_int_equal(rig_say("a", "1").err, 0);
    assert_int_equal(rig_say("b", "1").err, 0);
    assert_int_equal(rig_say("c", "1").err, E_TOO_MANY);
    struct seat *seat = seat_new(0);
    seat_ask(seat, "c", NULL);
    seat_heard(seat, "S-4428");
    assert_int_equal(seat->sub.state, SUB_NONE);
    sim_run(rig.ls, rig.config.channel_idle_ms + 2000);
    assert_int_equal(rig_say("c", "1").err, 0);
    seat_free(seat);
    rig_end();
}
