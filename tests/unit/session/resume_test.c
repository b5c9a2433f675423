/* SPDX-License-Identifier: Apache-2.0 */
/* Going away and coming back: positions, tickets, rights, presence. */
#include "sessionrig.h"

#include "session/session_priv.h"

static void say_numbers(unsigned from, unsigned to)
{
    for (unsigned i = from; i <= to; i++) {
        char text[12];
        snprintf(text, sizeof(text), "%u", i);
        say("room", text);
    }
}

/* ---- positions */

TEST(what_was_not_confirmed_is_sent_again_and_what_was_is_not)
{
    struct client c;
    rig_begin();
    client_open(&c);
    subscribe(&c, "room");
    say_numbers(1, 3);
    mark(&c);
    say_numbers(4, 5);
    confirm(&c); /* the pong: 1 to 3 have arrived */
    heard(&c, "sub:room@0 1 2 3 4 5");
    session_detach(c.session, E_CLOSED);
    say_numbers(6, 6);
    assert_int_equal(come_back(&c), 0);
    heard(&c, "sub:room@6+~ 4 5 6");
    mark(&c);
    confirm(&c);
    come_back(&c);
    heard(&c, "sub:room@6+~");
    client_free(&c);
    rig_end();
}

TEST(behind_a_proxy_the_client_is_asked_while_something_is_on_its_way_and_not_else)
{
    struct client c;
    rig_begin();
    client_open(&c);
    c.outlet.is_proxied = true;
    subscribe(&c, "room");
    sim_run(rig.ls, 60000);
    say_numbers(1, 3);
    heard(&c, "sub:room@0 1 2 3");
    sim_run(rig.ls, 1100);
    heard(&c, "ask");
    say_numbers(4, 5);
    confirm(&c); /* 1 to 3 */
    heard(&c, "4 5");
    sim_run(rig.ls, 1100);
    heard(&c, "ask");
    confirm(&c);
    sim_run(rig.ls, 60000);
    heard(&c, "");
    client_free(&c);
    rig_end();
}

TEST(who_is_sent_much_is_asked_at_once_for_its_word)
{
    struct client c;
    rig_begin();
    client_open(&c);
    subscribe(&c, "room");
    for (unsigned i = 1; i <= 31; i++) /* the rig remembers 64: asked at half of that */
        say_numbers(i, i);
    sim_run(rig.ls, 60000);
    assert_true(str_find_str(buf_str(&c.log), STR("ask")) < 0);
    say_numbers(32, 32);
    sim_run(rig.ls, 1);
    assert_true(str_find_str(buf_str(&c.log), STR("ask")) >= 0);
    client_free(&c);
    rig_end();
}

TEST(a_connection_lost_twice_before_the_answer_stays_where_it_was)
{
    struct client c;
    rig_begin();
    client_open(&c);
    subscribe(&c, "room");
    heard(&c, "sub:room@0");
    session_detach(c.session, E_CLOSED);
    say_numbers(1, 2);
    come_back(&c);                       /* asks the hub ... */
    session_detach(c.session, E_CLOSED); /* ... and is gone before its answer */
    say_numbers(3, 3);
    come_back(&c);
    heard(&c, "sub:room@3+~ 1 2 3");
    client_free(&c);
    rig_end();
}

TEST(a_full_ring_makes_the_reader_slow_and_loses_nothing)
{
    struct client c;
    rig_begin();
    client_open(&c);
    subscribe(&c, "room");
    heard(&c, "sub:room@0");
    say_numbers(1, 64);
    buf_clear(&c.log);
    say_numbers(65, 70);
    heard(&c, ""); /* 64 are on their way, none confirmed */
    assert_int_equal(session_sub_first(c.session)->sub.state, SUB_LAGGING);
    mark(&c);
    confirm(&c);
    session_drained(c.session);
    heard(&c, "65 66 67 68 69 70");
    client_free(&c);
    rig_end();
}

TEST(the_client_may_name_the_message_it_had_last)
{
    struct client c;
    rig_begin();
    client_open(&c);
    subscribe(&c, "room");
    subscribe(&c, "other");
    sim_settle(rig.ls);
    say("room", "r1");
    say("other", "o1");
    say("room", "r2");
    say("other", "o2");
    session_detach(c.session, E_CLOSED);
    assert_false(session_rewind_to(c.session, STR("room"), 3));
    assert_false(session_rewind_to(c.session, STR("elsewhere"), 1));
    assert_true(session_rewind_to(c.session, STR("room"), 2));
    come_back(&c);
    heard(&c, "sub:room@2+~ sub:other@2+~ o2");
    client_free(&c);
    rig_end();
}

TEST(a_channel_that_was_left_is_not_looked_for_in_the_ring)
{
    struct client c;
    rig_begin();
    client_open(&c);
    subscribe(&c, "room");
    subscribe(&c, "other");
    sim_settle(rig.ls);
    say_numbers(1, 2);
    ask(&c, (struct request){.type = REQUEST_UNSUBSCRIBE, .channel = STR("room")});
    say("other", "x");
    come_back(&c);
    heard(&c, "sub:other@1+~ x");
    client_free(&c);
    rig_end();
}

/* ---- gaps and logs that began anew */

TEST(a_gap_that_did_not_arrive_is_told_again)
{
    struct client c;
    rig_begin();
    rig.settings.history_count = 2;
    client_open(&c);
    subscribe(&c, "room");
    heard(&c, "sub:room@0");
    session_detach(c.session, E_CLOSED);
    say_numbers(1, 5);
    come_back(&c);
    heard(&c, "sub:room@5~ gap:1-3 4 5");
    come_back(&c); /* nothing of that was confirmed */
    heard(&c, "sub:room@5~ gap:1-3 4 5");
    mark(&c);
    confirm(&c);
    come_back(&c);
    heard(&c, "sub:room@5+~");
    client_free(&c);
    rig_end();
}

TEST(a_log_that_began_anew_is_told_until_it_has_arrived)
{
    struct client c;
    rig_begin();
    client_open(&c);
    subscribe(&c, "room");
    sim_settle(rig.ls);
    say_numbers(1, 3);
    mark(&c);
    confirm(&c);
    session_detach(c.session, E_CLOSED);
    struct session_sub *ss = session_sub_first(c.session);
    session_set_position(ss, &(struct position){.epoch = "lost", .offset = 3});
    come_back(&c);
    heard(&c, "sub:room@3~! 1 2 3");
    assert_string_not_equal(session_sub_position(ss).epoch, "lost");
    come_back(&c); /* it did not arrive */
    heard(&c, "sub:room@3~! 1 2 3");
    mark(&c);
    say_numbers(4, 4);
    confirm(&c); /* the pong is of before 4 */
    heard(&c, "4");
    come_back(&c);
    heard(&c, "sub:room@4+~ 4");
    client_free(&c);
    rig_end();
}

TEST(an_answer_that_found_the_connection_closing_is_owed)
{
    struct client c;
    rig_begin();
    rig.settings.history_count = 2;
    say_numbers(1, 5);
    client_open(&c);
    char epoch[24];
    subscribe(&c, "room");
    heard(&c, "sub:room@5");
    snprintf(epoch, sizeof(epoch), "%s", session_sub_position(session_sub_first(c.session)).epoch);
    ask(&c, (struct request){.type = REQUEST_UNSUBSCRIBE});
    heard(&c, "ok");
    subscribe_since(&c, "room", epoch, 1);
    c.outlet.is_closing = true; /* its last word has been said */
    heard(&c, "");
    come_back(&c);
    heard(&c, "sub:room@5~ gap:2-3 4 5");
    ask(&c, (struct request){.type = REQUEST_UNSUBSCRIBE});
    subscribe_since(&c, "room", "lost", 9);
    c.outlet.is_closing = true;
    heard(&c, "ok");
    come_back(&c);
    heard(&c, "sub:room@5~! 4 5");
    client_free(&c);
    rig_end();
}

TEST(a_subscription_that_was_asked_when_the_connection_went_begins_where_it_was_asked)
{
    struct client c;
    char epoch[24];
    rig_begin();
    say_numbers(1, 5);
    client_open(&c);
    subscribe(&c, "room");
    sim_settle(rig.ls);
    snprintf(epoch, sizeof(epoch), "%s", session_sub_position(session_sub_first(c.session)).epoch);
    ask(&c, (struct request){.type = REQUEST_UNSUBSCRIBE});
    subscribe_since(&c, "room", epoch, 3);
    session_detach(c.session, E_CLOSED); /* in the same turn */
    say_numbers(6, 6);
    come_back(&c);
    heard(&c, "sub:room@6+~ 4 5 6");
    client_free(&c);
    rig_end();
}

TEST(a_slow_reader_is_told_the_gap_when_it_can_take_it)
{
    struct client c;
    rig_begin();
    rig.settings.history_count = 2;
    client_open(&c);
    subscribe(&c, "room");
    heard(&c, "sub:room@0");
    c.unsent = 2000;
    say_numbers(1, 5);
    heard(&c, "");
    c.unsent = 0;
    c.outlet.is_closing = true;
    session_drained(c.session);
    heard(&c, "");
    come_back(&c);
    heard(&c, "sub:room@5~ gap:1-3 4 5");
    client_free(&c);
    rig_end();
}

/* ---- rights */

static void rules_begin(void)
{
    rig.rows[0] =
        (struct rules_row){.pattern = STR("asked*"),
                           .grants = {STR("policy"), STR("*"), STR("policy"), STR("*"), STR("*")}};
    rig.rows[1] =
        (struct rules_row){.pattern = STR("members*"),
                           .grants = {STR("member"), STR("*"), STR("member"), STR("*"), STR("*")}};
    rig.rows[2] = (struct rules_row){
        .pattern = STR("*"), .grants = {STR("*"), STR("*"), STR("none"), STR("*"), STR("*")}};
    rig_begin();
}

TEST(the_policy_is_asked_again_when_a_session_comes_back)
{
    struct client c;
    rules_begin();
    client_open_as(&c, "ann", 0, false);
    subscribe(&c, "asked-1");
    doorman_says(0);
    subscribe(&c, "asked-2");
    doorman_says(0);
    subscribe(&c, "open");
    heard(&c, "sub:asked-1@0 sub:asked-2@0 sub:open@0");
    session_detach(c.session, E_CLOSED);
    say("asked-1", "a");
    say("asked-2", "b");
    say("open", "c");
    come_back(&c);
    heard(&c, "sub:open@1+~ c");
    say("asked-1", "d"); /* not before the policy has said so */
    heard(&c, "");
    doorman_says(0);
    heard(&c, "sub:asked-1@2+~ a d");
    doorman_says(E_ACCESS_DENIED);
    heard(&c, "E4403:asked-2");
    assert_int_equal(session_subs_count(c.session), 2);
    say("asked-2", "e");
    heard(&c, "");
    client_free(&c);
    rig_end();
}

TEST(who_goes_again_while_the_policy_thinks_keeps_the_place)
{
    struct client c;
    rules_begin();
    client_open_as(&c, "ann", 0, false);
    subscribe(&c, "asked");
    doorman_says(0);
    heard(&c, "sub:asked@0");
    session_detach(c.session, E_CLOSED);
    say("asked", "a");
    come_back(&c);
    session_detach(c.session, E_CLOSED);
    doorman_says(0);
    say("asked", "b");
    come_back(&c);
    doorman_says(0);
    heard(&c, "sub:asked@2+~ a b");
    client_free(&c);
    rig_end();
}

TEST(a_right_that_was_lost_is_said)
{
    struct client c;
    rules_begin();
    client_open_as(&c, "ann", 0, false);
    ask(&c,
        (struct request){.type = REQUEST_SUBSCRIBE, .channel = STR("members"), .presence = true});
    heard(&c, "sub:members@0 =");
    session_detach(c.session, E_CLOSED);
    struct identity *guest = NULL;
    assert_int_equal(
        identity_new(STR("{\"sub\":\"ann\",\"role\":\"guest\"}"), STR("guest"), 0, &guest), 0);
    c.outlet = (struct outlet){.ops = &outlet_ops};
    assert_int_equal(session_attach(c.session, &c.outlet, guest), 0);
    identity_unref(guest);
    heard(&c, "E4403:members");
    assert_int_equal(session_subs_count(c.session), 0);
    assert_int_equal(c.unsubscribed, 1);
    client_free(&c);
    rig_end();
}

TEST(a_session_goes_only_to_its_own_user)
{
    struct client c;
    rules_begin();
    client_open_as(&c, "ann", 0, false);
    session_detach(c.session, E_CLOSED);
    struct identity *bob = who("bob", 0);
    assert_int_equal(session_attach(c.session, &c.outlet, bob), E_ACCESS_DENIED);
    assert_true(session_is_detached(c.session));
    identity_unref(bob);
    client_free(&c);
    rig_end();
}

/* ---- tickets */

TEST(a_ticket_is_claimed_by_its_user_longest_waiting_first_and_each_session_once)
{
    struct client a, b, c;
    char ticket[SESSION_TICKET_SIZE + 1];
    rig_begin();
    struct loop *l = loops_at(rig.ls, 0);
    session_ticket_new(l, ticket);
    assert_false(session_ticket_known(l, str_from(ticket)));
    struct identity *ann = who("ann", 0), *bob = who("bob", 0), *nobody = who(NULL, 0);
    client_open_as(&a, "ann", 0, false);
    client_open_as(&b, "ann", 0, false);
    client_open_as(&c, "bob", 0, false);
    session_ticket_join(a.session, str_from(ticket));
    session_ticket_join(b.session, str_from(ticket));
    session_ticket_join(c.session, str_from(ticket));
    struct str t = str_from(ticket), none = STR_NONE;
    assert_null(session_ticket_claim(l, t, none, &client_ops, ann)); /* all are connected */
    struct session *siblings[5];
    assert_int_equal(session_ticket_attached(l, t, none, &client_ops, siblings, 5), 3);
    session_detach(b.session, E_CLOSED);
    session_detach(a.session, E_CLOSED);
    assert_ptr_equal(session_ticket_claim(l, t, none, &client_ops, ann), b.session);
    assert_ptr_equal(session_ticket_claim(l, t, session_name(a.session), &client_ops, ann),
                     a.session);
    assert_null(session_ticket_claim(l, t, session_name(c.session), &client_ops, ann));
    assert_null(session_ticket_claim(l, t, none, &client_ops, bob)); /* his is connected */
    assert_null(session_ticket_claim(l, t, none, &client_ops, nobody));
    static const struct session_ops other_dialect = {.name = "other"};
    assert_null(session_ticket_claim(l, t, none, &other_dialect, ann));
    char wrong[SESSION_TICKET_SIZE + 1];
    memcpy(wrong, ticket, sizeof(wrong));
    wrong[10] = wrong[10] == 'a' ? 'b' : 'a';
    assert_null(session_ticket_claim(l, str_from(wrong), none, &client_ops, ann));
    assert_int_equal(come_back(&b), 0);
    assert_ptr_equal(session_ticket_claim(l, t, none, &client_ops, ann), a.session);
    assert_int_equal(come_back(&a), 0);
    assert_null(session_ticket_claim(l, t, none, &client_ops, ann));
    identity_unref(ann);
    identity_unref(bob);
    identity_unref(nobody);
    client_free(&a);
    client_free(&b);
    client_free(&c);
    assert_false(session_ticket_known(l, t)); /* gone with its last session */
    rig_end();
}

TEST(text_that_is_no_ticket_has_no_loop)
{
    rig_begin();
    struct loop *l = loops_at(rig.ls, 0);
    char ticket[SESSION_TICKET_SIZE + 1];
    session_ticket_new(l, ticket);
    assert_ptr_equal(session_ticket_loop(l, str_from(ticket)), l);
    static const char *const wrong[] = {"",
                                        "00",
                                        "zz0000000000000000000000",
                                        "ff000000000000000000000000",
                                        "-1000000000000000000000000",
                                        "000000000000000000000000000"};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        assert_null(session_ticket_loop(l, str_from(wrong[i])));
    rig_end();
}

/* ---- presence */

static void watch(struct client *c, const char *first)
{
    client_open(c);
    ask(c, (struct request){.type = REQUEST_SUBSCRIBE, .channel = STR("room"), .presence = true});
    heard(c, first);
}

TEST(a_lost_client_is_here_for_its_lease_and_one_that_is_back_in_time_never_left)
{
    struct client a, b;
    rig_begin();
    watch(&a, "sub:room@0 =");
    client_open_as(&b, "bob", 0, false);
    track(&b, "room", "");
    heard(&b, "ok");
    heard(&a, "++bob");
    session_detach(b.session, E_CLOSED);
    sim_run(rig.ls, rig.config.presence_lease_ms - 100);
    heard(&a, "");
    come_back(&b);
    sim_run(rig.ls, 2 * rig.config.presence_lease_ms);
    heard(&a, "");
    session_detach(b.session, E_CLOSED);
    sim_run(rig.ls, rig.config.presence_lease_ms + 10);
    heard(&a, "--bob");
    assert_true(session_is_detached(b.session)); /* it still waits for its client */
    sim_run(rig.ls, rig.config.resume_ms);
    assert_true(b.is_ended);
    client_free(&a);
    client_free(&b);
    rig_end();
}

TEST(a_goodbye_has_a_grace_and_a_leave_at_once_has_none)
{
    struct client a, b;
    rig_begin();
    watch(&a, "sub:room@0 =");
    client_open_as(&b, "bob", 0, false);
    track(&b, "room", "");
    heard(&a, "++bob");
    session_end(b.session, 0, false);
    sim_run(rig.ls, rig.config.presence_grace_ms - 100);
    heard(&a, "");
    sim_run(rig.ls, 200);
    heard(&a, "--bob");
    client_free(&b);
    client_open_as(&b, "bob", 0, false);
    track(&b, "room", "");
    heard(&a, "++bob");
    session_end(b.session, 0, true);
    heard(&a, "--bob");
    client_free(&a);
    client_free(&b);
    rig_end();
}

TEST(a_place_that_was_taken_over_leaves_presence_for_the_rest_of_its_lease)
{
    struct client a, b, c;
    rig_begin();
    watch(&a, "sub:room@0 =");
    client_open_as(&b, "bob", 0, false);
    track(&b, "room", "");
    heard(&a, "++bob");
    session_detach(b.session, E_CLOSED);
    sim_run(rig.ls, 5000);
    session_retire(b.session);
    sim_run(rig.ls, 5000);
    client_open_as(&c, "bob", 0, false);
    track(&c, "room", "");
    sim_run(rig.ls, 60000);
    heard(&a, "");
    client_free(&c);
    heard(&a, "--bob");
    client_free(&a);
    client_free(&b);
    rig_end();
}
