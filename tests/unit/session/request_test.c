/* SPDX-License-Identifier: Apache-2.0 */
/* The gate: state, form, limits, rules, policy. */
#include "sessionrig.h"

#include "session/session_priv.h"

TEST(what_has_not_the_form_or_is_over_a_limit_is_refused)
{
    struct client c;
    char big[200] = {0};
    memset(big, 'x', sizeof(big) - 1);
    rig_begin();
    client_open(&c);
    static const char *const names[] = {"a\nb", "\xff", "\x7f", "twenty-one-characters"};
    for (size_t i = 0; i < 4; i++) {
        subscribe(&c, names[i]);
        sim_settle(rig.ls);
        assert_int_equal(session_subs_count(c.session), 0);
        assert_memory_equal(c.log.p, "E4400", 5);
        buf_clear(&c.log);
    }
    ask(&c, (struct request){.type = REQUEST_PUBLISH, .message.content = str_from(big)});
    heard(&c, "E4413");
    ask(&c, (struct request){.type = REQUEST_TRACK, .meta = str_from(big)});
    heard(&c, "E4413");
    ask(&c, (struct request){.type = REQUEST_TRACK, .key = STR("a\tb")});
    heard(&c, "E4400");
    for (int i = 0; i < 6; i++) {
        char name[24];
        snprintf(name, sizeof(name), "c%d", i);
        subscribe(&c, name);
    }
    heard(&c, "E4428:c5 sub:c0@0 sub:c1@0 sub:c2@0 sub:c3@0 sub:c4@0");
    for (int i = 0; i < 4; i++) {
        char key[24];
        snprintf(key, sizeof(key), "k%d", i);
        track(&c, "c0", key);
    }
    heard(&c, "E4428 ok ok ok");
    client_free(&c);
    rig_end();
}

TEST(a_member_that_was_refused_does_not_count)
{
    struct client c;
    rig_begin();
    rig.hub.presence_members_max = 1;
    client_open(&c);
    track(&c, "full", "a");
    heard(&c, "ok");
    for (int i = 0; i < 10; i++)
        track(&c, "full", "b");
    heard(&c, "E4428 E4428 E4428 E4428 E4428 E4428 E4428 E4428 E4428 E4428");
    track(&c, "elsewhere", "c");
    heard(&c, "ok");
    client_free(&c);
    rig_end();
}

TEST(a_message_without_a_channel_goes_where_the_client_subscribed_last)
{
    struct client c;
    rig_begin();
    client_open(&c);
    struct request r = {.type = REQUEST_PUBLISH, .message.content = STR("x"), .wants_answer = true};
    ask(&c, r);
    heard(&c, "ack@1");
    subscribe(&c, "a");
    subscribe(&c, "main");
    subscribe(&c, "a"); /* again: the last now */
    heard(&c, "sub:a@0= sub:a@0 sub:main@1");
    ask(&c, r);
    heard(&c, "ack@1 x");
    ask(&c, (struct request){.type = REQUEST_UNSUBSCRIBE, .channel = STR("a")});
    ask(&c, r);
    heard(&c, "ok ack@2 x");
    client_free(&c);
    rig_end();
}

TEST(who_only_listens_is_small)
{
    struct client c;
    rig_begin();
    client_open(&c);
    subscribe(&c, "a");
    sim_settle(rig.ls);
    assert_true(sizeof(struct session) <= 136);     /* what malloc gives in 144 */
    assert_true(sizeof(struct session_sub) <= 104); /* ... in 112 */
    assert_null(c.session->extra);
    assert_null(c.session->log);
    assert_null(session_sub_first(c.session)->ref);
    client_free(&c);
    rig_end();
}

TEST(the_rate_holds_input_and_everything_counts)
{
    struct client c;
    rig_begin();
    rig.config.messages_per_second = 10;
    rig.config.messages_burst = 5;
    client_open(&c);
    for (int i = 0; i < 5; i++)
        subscribe(&c, "a");
    assert_int_equal(session_hold_ms(c.session), 0);
    session_charge(c.session);
    assert_in_range(session_hold_ms(c.session), 90, 110);
    sim_run(rig.ls, 110);
    assert_int_equal(session_hold_ms(c.session), 0);
    sim_run(rig.ls, 60000); /* idling saves no more than the burst */
    for (int i = 0; i < 6; i++)
        session_charge(c.session);
    assert_true(session_hold_ms(c.session) > 0);
    client_free(&c);
    rig_end();
}

/* ---- policies */

static void policy_begin(void)
{
    rig.rows[0] = (struct rules_row){
        .pattern = STR("asked*"),
        .grants = {STR("policy"), STR("policy"), STR("policy"), STR("policy"), STR("policy")}};
    rig.rows[1] = (struct rules_row){.pattern = STR("*"),
                                     .grants = {STR("*"), STR("*"), STR("*"), STR("*"), STR("*")}};
    rig_begin();
}

TEST(a_request_waits_for_the_policy_with_words_of_its_own)
{
    struct client c;
    char name[] = "asked", ref[] = "ref";
    policy_begin();
    client_open_as(&c, "ann", 0, false);
    ask(&c, (struct request){
                .type = REQUEST_SUBSCRIBE, .channel = str_from(name), .ref = str_from(ref)});
    memset(name, '#', 5); /* the receive buffer is used again */
    memset(ref, '#', 3);
    heard(&c, "");
    assert_true(str_is(doorman.asked[0]->channel, "asked"));
    doorman_says(0);
    heard(&c, "sub:asked@0");
    subscribe(&c, "asked-2");
    doorman_says(E_ACCESS_DENIED);
    heard(&c, "E4403:asked-2");
    subscribe(&c, "asked-3");
    doorman_says(E_UNAVAILABLE);
    heard(&c, "E4503:asked-3");
    assert_int_equal(session_subs_count(c.session), 1);
    client_free(&c);
    rig_end();
}

TEST(each_operation_of_a_request_is_asked_for)
{
    struct client c;
    policy_begin();
    client_open_as(&c, "ann", 0, false);
    ask(&c, (struct request){.type = REQUEST_SUBSCRIBE,
                             .channel = STR("asked"),
                             .presence = true,
                             .since.history = 3});
    assert_int_equal(doorman.asked[0]->op, AUTH_SUBSCRIBE);
    doorman_says(0);
    assert_int_equal(doorman.asked[0]->op, AUTH_HISTORY);
    doorman_says(0);
    assert_int_equal(doorman.asked[0]->op, AUTH_PRESENCE);
    doorman_says(E_ACCESS_DENIED);
    heard(&c, "E4403:asked");
    client_free(&c);
    rig_end();
}

TEST(who_has_gone_meanwhile_is_not_answered)
{
    struct client c;
    policy_begin();
    client_open_as(&c, "ann", 0, false);
    for (int i = 0; i < 2; i++) {
        ask(&c, (struct request){.type = REQUEST_PUBLISH,
                                 .channel = STR("asked"),
                                 .message.content = STR("x"),
                                 .wants_answer = true});
        subscribe(&c, "asked");
    }
    doorman_says(0);
    heard(&c, "ack@1");
    session_detach(c.session, E_CLOSED);
    doorman_says(0); /* detached: nobody is there to be answered */
    session_end(c.session, 0, true);
    sim_settle(rig.ls);
    doorman_says(0); /* its memory is gone */
    doorman_says(E_ACCESS_DENIED);
    heard(&c, "");
    assert_true(c.is_ended);
    client_free(&c);
    rig_end();
}

TEST(a_yes_for_one_is_no_yes_for_another)
{
    struct client c;
    policy_begin();
    client_open_as(&c, "ann", 0, false);
    subscribe(&c, "asked");
    struct identity *bob = who("bob", 0);
    session_set_identity(c.session, bob);
    doorman_says(0); /* that was for ann */
    heard(&c, "");
    assert_int_equal(doorman.count, 1);
    assert_ptr_equal(doorman.asked[0]->identity, bob);
    doorman_says(E_ACCESS_DENIED);
    heard(&c, "E4403:asked");
    identity_unref(bob);
    client_free(&c);
    rig_end();
}

TEST(a_request_that_cannot_be_kept_for_the_policy_is_refused)
{
    struct client c;
    policy_begin();
    client_open_as(&c, "ann", 0, false);
    mem_fail_at(1, 1);
    ask(&c, (struct request){.type = REQUEST_PUBLISH,
                             .channel = STR("asked"),
                             .message.content = STR("x"),
                             .wants_answer = true});
    mem_fail_at(0, 0);
    heard(&c, "E4507");
    assert_int_equal(doorman.count, 0);
    client_free(&c);
    rig_end();
}

TEST(without_memory_a_message_is_refused_and_the_next_is_taken)
{
    struct client c;
    rig_begin();
    client_open(&c);
    struct request r = {.type = REQUEST_PUBLISH,
                        .message = {.content = STR("x"), .id = STR("id")},
                        .wants_answer = true};
    mem_fail_at(1, 1);
    ask(&c, r);
    mem_fail_at(0, 0);
    heard(&c, "E4507");
    ask(&c, r);
    heard(&c, "ack@1");
    ask(&c, r);
    heard(&c, "dup@1");
    client_free(&c);
    rig_end();
}

/* ---- callbacks that end the session */

TEST(a_client_may_end_inside_its_answer)
{
    struct client c;
    rig_begin();
    rig.hub.channels_max = 1;
    say("one", "x");
    client_open(&c);
    c.ends_on_error = true;
    subscribe(&c, "two"); /* refused by the hub */
    heard(&c, "E4428:two");
    assert_true(c.is_ended);
    assert_int_equal(c.unsubscribed, 1);
    client_free(&c);
    rig_end();
}

TEST(sessions_have_a_limit_and_an_end)
{
    struct client many[6];
    rig_begin();
    rig.config.sessions_max = 5;
    for (int i = 0; i < 6; i++)
        client_open(&many[i]);
    assert_null(many[5].session);
    client_free(&many[0]);
    client_free(&many[5]);
    client_open(&many[5]);
    assert_non_null(many[5].session);
    for (int i = 1; i < 6; i++)
        client_free(&many[i]);
    assert_int_equal(session_count(loops_at(rig.ls, 0)), 0);
    rig_end();
}

TEST(a_drain_tells_each_client_once_and_some_at_a_time)
{
    struct client many[5];
    rig_begin();
    for (int i = 0; i < 5; i++)
        client_open(&many[i]);
    session_detach(many[4].session, E_CLOSED);
    struct loop *l = loops_at(rig.ls, 0);
    assert_int_equal(session_drain(l, 3, 1000), 1);
    assert_int_equal(session_drain(l, 3, 1000), 0);
    assert_int_equal(session_drain(l, 3, 1000), 0);
    for (int i = 0; i < 4; i++)
        heard(&many[i], "reconnect");
    heard(&many[4], "");
    for (int i = 0; i < 5; i++)
        client_free(&many[i]);
    rig_end();
}
