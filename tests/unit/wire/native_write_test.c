/* SPDX-License-Identifier: Apache-2.0 */
/* Every server message as docs/protocols/native.md shows it; all of it is JSON. */
#include "test.h"
#include "wire/native_write.c"
#include "wire/jsonscan.h"

static struct buf b;

static void wrote(const char *z)
{
    if (!str_is(buf_str(&b), z))
        fail_msg("%.*s is not %s", STR_ARG(buf_str(&b)), z);
    assert_int_equal(jsonscan_check(buf_str(&b), 64, NULL), 0);
    buf_free(&b);
}

static struct native_message message(void)
{
    return (struct native_message){.channel = STR("c\"1"),
                                   .event = STR("say"),
                                   .content = STR("{\"a\": 1}"),
                                   .epoch = STR("k3"),
                                   .offset = 42,
                                   .time_ms = 1790000000000};
}

TEST(connection_and_subscription)
{
    native_add_connected(&b, STR("s1"), STR("t1"), true, 25000, 1790000000000);
    wrote("{\"type\":\"connected\",\"session\":\"s1\",\"ticket\":\"t1\",\"recovered\":true,"
          "\"ping\":25000,\"time\":1790000000000}");
    native_add_connected(&b, STR("s1"), STR_NONE, false, 0, 0);
    wrote("{\"type\":\"connected\",\"session\":\"s1\",\"recovered\":false,\"ping\":0,\"time\":0}");
    native_add_subscribed(&b, STR("c"), STR("k3"), 41, true, STR("\"r\""));
    wrote("{\"type\":\"subscribed\",\"channel\":\"c\",\"epoch\":\"k3\",\"offset\":41,"
          "\"recovered\":true,\"ref\":\"r\"}");
    native_add_unsubscribed(&b, STR("c"), STR_NONE);
    wrote("{\"type\":\"unsubscribed\",\"channel\":\"c\"}");
}

TEST(messages_carry_their_content_untouched)
{
    struct native_message m = message();
    native_add_message(&b, &m);
    wrote("{\"type\":\"message\",\"channel\":\"c\\\"1\",\"event\":\"say\",\"content\":{\"a\": 1},"
          "\"offset\":42,\"id\":\"k3-42\",\"time\":1790000000000}");
    m.sender_sub = STR("u1");
    m.sender_session = STR("s1");
    m.key = STR("k");
    m.cursor = STR("k3-42");
    m.event = STR_NONE;
    native_add_message(&b, &m);
    wrote(
        "{\"type\":\"message\",\"channel\":\"c\\\"1\",\"event\":\"message\",\"content\":{\"a\": 1},"
        "\"offset\":42,\"id\":\"k3-42\",\"time\":1790000000000,"
        "\"sender\":{\"sub\":\"u1\",\"session\":\"s1\"},\"key\":\"k\",\"cursor\":\"k3-42\"}");
}

TEST(a_sender_may_have_a_session_only)
{
    struct native_message m = message();
    m.sender_session = STR("s1");
    native_add_message(&b, &m);
    assert_true(str_find_str(buf_str(&b), STR("\"sender\":{\"session\":\"s1\"}")) > 0);
    assert_int_equal(jsonscan_check(buf_str(&b), 64, NULL), 0);
    buf_free(&b);
}

TEST(binary_content_is_base64_in_text_and_itself_in_binary)
{
    struct native_message m = message();
    m.binary = true;
    m.content = STR("\0\xff\n");
    native_add_message(&b, &m);
    wrote("{\"type\":\"message\",\"channel\":\"c\\\"1\",\"event\":\"say\",\"content\":\"AP8K\","
          "\"encoding\":\"base64\",\"offset\":42,\"id\":\"k3-42\",\"time\":1790000000000}");
    m.offset = 0x0102030405060708;
    native_add_binary(&b, &m);
    assert_true(str_eq(buf_str(&b), STR("\3c\"1\3say\1\2\3\4\5\6\7\x08\0\xff\n")));
    buf_free(&b);
    m.event = STR_NONE;
    m.content = STR_NONE;
    native_add_binary(&b, &m);
    assert_true(str_eq(buf_str(&b), STR("\3c\"1\7message\1\2\3\4\5\6\7\x08")));
    buf_free(&b);
}

TEST(deltas_stand_in_place_of_content)
{
    struct native_message m = message();
    m.delta = STR("[12,-1,\"\xc3\xa9\",2]");
    m.delta_base = 41;
    m.delta_sum = 2322756775;
    native_add_message(&b, &m);
    wrote("{\"type\":\"message\",\"channel\":\"c\\\"1\",\"event\":\"say\",\"base\":41,"
          "\"delta\":[12,-1,\"\xc3\xa9\",2],\"sum\":2322756775,"
          "\"offset\":42,\"id\":\"k3-42\",\"time\":1790000000000}");
}

TEST(presence_lists)
{
    struct str metas[] = {STR("{\"n\":1}"), STR_NONE};
    struct native_member members[] = {{STR("u1"), metas, 2}, {STR("u2"), NULL, 0}};
    native_add_presence_state(&b, STR("c"), members, 2, STR("5"));
    wrote("{\"type\":\"presence\",\"channel\":\"c\",\"state\":[{\"key\":\"u1\",\"metas\":[{\"n\":1}"
          ",{}]},"
          "{\"key\":\"u2\",\"metas\":[]}],\"ref\":5}");
    native_add_presence_diff(&b, STR("c"), members + 1, 1, NULL, 0);
    wrote("{\"type\":\"presence\",\"channel\":\"c\",\"joins\":[{\"key\":\"u2\",\"metas\":[]}],"
          "\"leaves\":[]}");
}

TEST(acks)
{
    native_add_ack(&b, STR("c"), STR("i"), STR("k3"), 42, true, STR("7"));
    wrote("{\"type\":\"ack\",\"id\":\"i\",\"channel\":\"c\",\"epoch\":\"k3\",\"offset\":42,"
          "\"duplicate\":true,\"ref\":7}");
    native_add_ack_plain(&b, STR("c"), STR("7"));
    wrote("{\"type\":\"ack\",\"channel\":\"c\",\"ref\":7}");
    native_add_published(&b, STR("c"), STR("k3"), 42, false);
    wrote(
        "{\"channel\":\"c\",\"offset\":42,\"epoch\":\"k3\",\"id\":\"k3-42\",\"duplicate\":false}");
}

TEST(history_is_begun_filled_and_ended)
{
    struct native_message m = message();
    native_begin_history(&b, STR("c"), STR("k3"));
    native_end_history(&b, false, STR_NONE);
    wrote(
        "{\"type\":\"history\",\"channel\":\"c\",\"epoch\":\"k3\",\"messages\":[],\"more\":false}");
    m.content = STR("[]");
    native_begin_history(&b, STR("c"), STR("k3"));
    native_add_history(&b, &m);
    native_add_history(&b, &m);
    native_end_history(&b, true, STR("1"));
    assert_true(str_find_str(buf_str(&b), STR("},{\"type\"")) > 0);
    assert_true(str_ends(buf_str(&b), STR("}],\"more\":true,\"ref\":1}")));
    assert_int_equal(jsonscan_check(buf_str(&b), 64, NULL), 0);
    buf_free(&b);
}

TEST(notices)
{
    native_add_gap(&b, STR("c"), 12, 40, STR_NONE);
    wrote("{\"type\":\"gap\",\"channel\":\"c\",\"from\":12,\"to\":40}");
    native_add_gap(&b, STR("c"), 12, 40, STR("k-1"));
    wrote("{\"type\":\"gap\",\"channel\":\"c\",\"from\":12,\"to\":40,\"cursor\":\"k-1\"}");
    native_add_expiring(&b, 30000);
    wrote("{\"type\":\"expiring\",\"in\":30000}");
    native_add_authenticated(&b, STR("u1"), STR("user"), 1790000000000, STR("1"));
    wrote("{\"type\":\"authenticated\",\"sub\":\"u1\",\"role\":\"user\",\"expires\":1790000000000,"
          "\"ref\":1}");
    native_add_authenticated(&b, STR_NONE, STR("anon"), 0, STR_NONE);
    wrote("{\"type\":\"authenticated\",\"role\":\"anon\"}");
    native_add_pong(&b, STR("[1, 2]"), STR("\"x\""));
    wrote("{\"type\":\"pong\",\"data\":[1, 2],\"ref\":\"x\"}");
    native_add_pong(&b, STR_NONE, STR_NONE);
    wrote("{\"type\":\"pong\"}");
    native_add_reconnect(&b, 1500);
    wrote("{\"type\":\"reconnect\",\"in\":1500}");
    native_add_timeout(&b, STR("k-1"), 5);
    wrote("{\"type\":\"timeout\",\"cursor\":\"k-1\",\"timestamp\":5}");
}

TEST(errors_are_rows_of_the_table)
{
    native_add_error(&b, E_ACCESS_DENIED, NULL, STR("c"), STR("9"));
    assert_true(
        str_starts(buf_str(&b), STR("{\"type\":\"error\",\"code\":4403,\"name\":\"ACCESS_DENIED\","
                                    "\"message\":\"Access denied\",\"hint\":")));
    assert_true(str_ends(buf_str(&b), STR(",\"retryable\":false,\"channel\":\"c\",\"ref\":9}")));
    assert_int_equal(jsonscan_check(buf_str(&b), 64, NULL), 0);
    buf_free(&b);
    native_add_error(&b, E_BAD_REQUEST, "since: malformed \"epoch\"", STR_NONE, STR_NONE);
    assert_true(str_find_str(buf_str(&b), STR("\"message\":\"since: malformed \\\"epoch\\\"\"")) >
                0);
    assert_true(str_ends(buf_str(&b), STR(",\"retryable\":false}")));
    assert_int_equal(jsonscan_check(buf_str(&b), 64, NULL), 0);
    buf_free(&b);
}
