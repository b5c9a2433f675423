/* SPDX-License-Identifier: Apache-2.0 */
/* Slow readers, and tokens with an end. */
#include "sessionrig.h"

#include "session/session_priv.h"

static void open_on_room(struct client *c)
{
    client_open(c);
    subscribe(c, "room");
    heard(c, "sub:room@0");
}

TEST(a_slow_reader_catches_up_when_it_has_drained)
{
    struct client c;
    rig_begin();
    open_on_room(&c);
    say("room", "a");
    c.unsent = 1000;
    say("room", "b");
    say("room", "c");
    heard(&c, "a");
    c.unsent = 0;
    say("room", "d");
    heard(&c, ""); /* not before what stands before it */
    session_drained(c.session);
    heard(&c, "b c d");
    say("room", "e");
    heard(&c, "e");
    client_free(&c);
    rig_end();
}

TEST(a_slow_reader_is_closed_where_the_channel_says_so)
{
    struct client c;
    rig_begin();
    rig.settings.slow = SLOW_CLOSE;
    open_on_room(&c);
    c.unsent = 1000;
    say("room", "a");
    say("room", "b"); /* nothing after the last word */
    heard(&c, "closed-4412");
    come_back(&c);
    heard(&c, "sub:room@2+~ a b");
    client_free(&c);
    rig_end();
}

TEST(large_answers_are_not_made_for_who_does_not_read)
{
    struct client c;
    rig_begin();
    open_on_room(&c);
    say("room", "a");
    heard(&c, "a");
    struct request history = {.type = REQUEST_HISTORY, .limit = 10};
    ask(&c, history);
    heard(&c, "h:a");
    c.unsent = 1000;
    for (int i = 0; i < 3; i++)
        ask(&c, history);
    ask(&c, (struct request){.type = REQUEST_PRESENCE});
    heard(&c, "E4428 E4428 E4428 E4428");
    c.unsent = 0;
    ask(&c, history);
    heard(&c, "h:a");
    client_free(&c);
    rig_end();
}

TEST(a_change_of_presence_that_found_no_room_is_made_good_by_the_state)
{
    struct client c, d;
    rig_begin();
    client_open(&c);
    client_open_as(&d, "dan", 0, false);
    ask(&c, (struct request){.type = REQUEST_SUBSCRIBE, .channel = STR("room"), .presence = true});
    heard(&c, "sub:room@0 =");
    c.unsent = 1000;
    track(&d, "room", "x");
    track(&d, "room", "y");
    heard(&c, "");
    session_drained(c.session); /* too early */
    heard(&c, "");
    c.unsent = 0;
    session_drained(c.session);
    heard(&c, "=x.y");
    session_drained(c.session);
    heard(&c, "");
    client_free(&d);
    heard(&c, "--x --y");
    client_free(&c);
    rig_end();
}

TEST(a_newcomer_who_does_not_read_gets_the_state_of_presence_later)
{
    struct client c, d;
    rig_begin();
    client_open_as(&d, "dan", 0, false);
    track(&d, "room", "x");
    sim_settle(rig.ls);
    client_open(&c);
    c.unsent = 1000;
    ask(&c, (struct request){.type = REQUEST_SUBSCRIBE, .channel = STR("room"), .presence = true});
    heard(&c, "sub:room@0");
    c.unsent = 0;
    session_drained(c.session);
    heard(&c, "=x");
    client_free(&d);
    client_free(&c);
    rig_end();
}

TEST(without_memory_messages_and_presence_come_later_by_themselves)
{
    struct client c, d;
    rig_begin();
    client_open_as(&d, "dan", 0, false);
    client_open(&c);
    ask(&c, (struct request){.type = REQUEST_SUBSCRIBE, .channel = STR("room"), .presence = true});
    heard(&c, "sub:room@0 =");
    say("room", "a");
    track(&d, "room", "x");
    heard(&c, "a ++x");
    session_publish(c.loop,
                    &(struct msg_fields){.channel = STR("room"), .content = STR("precious")});
    mem_fail_at(1, 1);
    sim_run(rig.ls, 100);
    heard(&c, "");
    mem_fail_at(0, 0);
    sim_run(rig.ls, 100);
    heard(&c, "precious");
    client_free(&d);
    heard(&c, "--x");
    client_free(&c);
    rig_end();
}

/* ---- tokens */

TEST(the_end_of_a_token_is_told_before_and_closes_the_connection)
{
    struct client c;
    rig_begin();
    client_open_as(&c, "ann", 60000, false);
    subscribe(&c, "room");
    heard(&c, "sub:room@0");
    sim_run(rig.ls, 29900);
    heard(&c, "");
    sim_run(rig.ls, 200);
    heard(&c, "warn");
    sim_run(rig.ls, 29800);
    heard(&c, "");
    sim_run(rig.ls, 200);
    heard(&c, "expired closed-4407");
    say("room", "secret");
    ask(&c, (struct request){.type = REQUEST_HISTORY, .channel = STR("room"), .limit = 5});
    heard(&c, "E4407");
    client_free(&c);
    rig_end();
}

TEST(a_fresh_token_goes_on_and_is_warned_of_anew)
{
    struct client c;
    struct buf token = {0};
    struct auth_verdict verdict;
    rig_begin();
    client_open_as(&c, "ann", 40000, false);
    sim_run(rig.ls, 11000);
    heard(&c, "warn");
    token_of("bob", 600000, &token);
    assert_int_equal(session_authenticate(c.session, buf_str(&token), &verdict), E_ACCESS_DENIED);
    assert_true(session_authenticate(c.session, STR("nonsense"), &verdict) != 0);
    assert_true(str_is(session_identity(c.session)->sub, "ann"));
    token_of("ann", 100000, &token);
    assert_int_equal(session_authenticate(c.session, buf_str(&token), &verdict), 0);
    sim_run(rig.ls, 60000);
    heard(&c, "");
    sim_run(rig.ls, 15000);
    heard(&c, "warn");
    sim_run(rig.ls, 30000);
    heard(&c, "expired closed-4407");
    buf_free(&token);
    client_free(&c);
    rig_end();
}

TEST(a_token_that_ends_while_nobody_is_there_ends_the_session)
{
    struct client c;
    rig_begin();
    client_open_as(&c, "ann", 20000, false);
    session_detach(c.session, E_CLOSED);
    sim_run(rig.ls, 20100);
    assert_true(c.is_ended);
    client_free(&c);
    rig_end();
}

TEST(nothing_is_allowed_before_the_token_and_not_for_long)
{
    struct client c;
    struct buf token = {0};
    struct auth_verdict verdict;
    rig.anonymous_off = true;
    rig_begin();
    client_open_as(&c, NULL, 0, true);
    subscribe(&c, "room");
    heard(&c, "E4401:room");
    token_of("ann", 60000, &token);
    assert_int_equal(session_authenticate(c.session, buf_str(&token), &verdict), 0);
    sim_run(rig.ls, 11000);
    subscribe(&c, "room");
    heard(&c, "sub:room@0");
    client_free(&c);
    client_open_as(&c, NULL, 0, true);
    sim_run(rig.ls, 10100);
    heard(&c, "closed-4401");
    buf_free(&token);
    client_free(&c);
    rig_end();
}
