/* SPDX-License-Identifier: Apache-2.0 */
/* What clients of the plain dialect say, and what is refused with which words. */
#include "test.h"
#include "wire/native.c"
#include "base/buf.h"

static struct arena a;
static struct native_request q;

#define assert_str(s, z)                                                                           \
    do {                                                                                           \
        struct str got = s;                                                                        \
        if (!str_is(got, z))                                                                       \
            fail_msg("\"%.*s\" is not \"%s\"", STR_ARG(got), z);                                   \
    } while (0)

static void taken(const char *text)
{
    arena_reset(&a);
    int r = native_decode(str_from(text), 64, &a, &q);
    if (r)
        fail_msg("%d (%s) for %s", r, q.detail, text);
    assert_null(q.detail);
}

static void refused_as(const char *text, int err, const char *detail)
{
    arena_reset(&a);
    int r = native_decode(str_from(text), 64, &a, &q);
    if (r != err)
        fail_msg("%d instead of %d for %s", r, err, text);
    assert_non_null(q.detail);
    if (strcmp(q.detail, detail) != 0)
        fail_msg("\"%s\" is not \"%s\"", q.detail, detail);
}

static void bad_text(const char *text, const char *detail)
{
    refused_as(text, E_BAD_REQUEST, detail);
}

TEST(a_message_is_read)
{
    taken("{\"type\":\"message\",\"channel\":\"chat-room-1\",\"event\":\"say\",\"content\":{ \"t\" "
          ": [1, 2] },"
          "\"id\":\"i1\",\"key\":\"k1\",\"echo\":false,\"volatile\":true,\"ref\":17}");
    assert_int_equal(q.type, NATIVE_MESSAGE);
    assert_int_equal(q.channels_count, 1);
    assert_str(q.channels[0].name, "chat-room-1");
    assert_str(q.event, "say");
    assert_str(q.content, "{ \"t\" : [1, 2] }");
    assert_str(q.id, "i1");
    assert_str(q.key, "k1");
    assert_str(q.ref, "17");
    assert_int_equal(q.echo, NATIVE_ECHO_NO);
    assert_true(q.is_volatile);
    assert_false(q.binary);
}

TEST(what_may_be_left_out_has_defaults)
{
    taken("{\"type\":\"message\",\"content\":\"hi\"}");
    assert_int_equal(q.channels_count, 0);
    assert_str(q.event, "message");
    assert_int_equal(q.id.n + q.key.n + q.ref.n, 0);
    assert_int_equal(q.echo, NATIVE_ECHO_DEFAULT);
    taken("{\"type\":\"message\",\"content\":null,\"channel\":null,\"event\":null,\"ref\":null,"
          "\"unknown\":{\"x\":1},\"echo\":null}");
    assert_str(q.content, "null");
    assert_str(q.event, "message");
    assert_int_equal(q.channels_count, 0);
    taken("{\"content\":1,\"type\":\"message\",\"echo\":true}");
    assert_int_equal(q.echo, NATIVE_ECHO_YES);
}

TEST(the_form_of_the_whole_is_checked)
{
    bad_text("", "text: must be one JSON object");
    bad_text("hello", "text: must be one JSON object");
    bad_text("[]", "text: must be one JSON object");
    bad_text("{\"type\":\"ping\"", "text: must be one JSON object");
    bad_text("{\"type\":\"ping\"} {}", "text: must be one JSON object");
    bad_text("{}", "type: is missing");
    bad_text("{\"type\":null}", "type: is missing");
    bad_text("{\"type\":5}", "type: must be a string");
    bad_text("{\"type\":\"nope\"}", "type: is not one this protocol has");
    bad_text("{\"type\":\"Message\"}", "type: is not one this protocol has");
    refused_as("{\"type\":\"\\ud800\"}", E_BAD_UTF8, "type: holds half a surrogate pair");
    refused_as("{\"type\":\"\xff\"}", E_BAD_UTF8, "text: Text is not valid UTF-8");
    struct buf b = {0};
    buf_add_z(&b, "{\"type\":\"ping\"");
    for (int i = 0; i < 64; i++)
        buf_printf(&b, ",\"f%d\":1", i);
    buf_add_z(&b, "}");
    buf_add_c(&b, '\0');
    refused_as(b.p, E_TOO_LARGE, "text: too many fields, or nested too deeply");
    buf_free(&b);
    buf_add_z(&b, "{\"type\":\"message\",\"content\":");
    for (int i = 0; i < 70; i++)
        buf_add_c(&b, '[');
    buf_add_c(&b, '\0');
    refused_as(b.p, E_TOO_LARGE, "text: too many fields, or nested too deeply");
    buf_free(&b);
}

TEST(ref_is_kept_raw_and_told_even_when_something_else_is_wrong)
{
    taken("{\"type\":\"ping\",\"ref\":\"a\\n\\u00e4\"}");
    assert_str(q.ref, "\"a\\n\\u00e4\"");
    bad_text("{\"type\":\"nope\",\"ref\":-1.5e3}", "type: is not one this protocol has");
    assert_str(q.ref, "-1.5e3");
    bad_text("{\"type\":\"ping\",\"ref\":{}}", "ref: must be a string or a number");
    bad_text("{\"type\":\"ping\",\"ref\":true}", "ref: must be a string or a number");
    struct buf b = {0};
    buf_printf(&b, "{\"type\":\"ping\",\"ref\":\"%0300d\"}", 0);
    buf_add_c(&b, '\0');
    bad_text(b.p, "ref: is too long");
    buf_free(&b);
}

TEST(wrong_fields_are_named)
{
    const char *name = "is empty, too long or holds control characters";
    struct buf b = {0};
    static const struct {
        const char *field, *value, *rule;
    } rows[] = {
        {"channel", "5", "must be a string"},
        {"channel", "[\"a\"]", "must be a string"},
        {"channel", "\"\"", "must be 1 to 255 bytes without control characters"},
        {"channel", "\"a\\u0000\"", "must be 1 to 255 bytes without control characters"},
        {"channel", "\"a\\nb\"", "must be 1 to 255 bytes without control characters"},
        {"channel", "\"a\\u0085b\"", "must be 1 to 255 bytes without control characters"},
        {"channel", "\"a\x7f\"", "must be 1 to 255 bytes without control characters"},
        {"event", "1", "must be a string"},
        {"event", "\"\"", NULL},
        {"event", "\"a\\u001b\"", NULL},
        {"id", "1", "must be a string"},
        {"id", "\"\"", NULL},
        {"key", "{}", "must be a string"},
        {"echo", "\"false\"", "must be true or false"},
        {"echo", "0", "must be true or false"},
        {"volatile", "1", "must be true or false"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct buf detail = {0};
        buf_clear(&b);
        buf_printf(&b, "{\"type\":\"message\",\"content\":1,\"%s\":%s}", rows[i].field,
                   rows[i].value);
        buf_add_c(&b, '\0');
        buf_printf(&detail, "%s: %s", rows[i].field, rows[i].rule ? rows[i].rule : name);
        buf_add_c(&detail, '\0');
        bad_text(b.p, detail.p);
        buf_free(&detail);
    }
    buf_free(&b);
    bad_text("{\"type\":\"message\"}", "content: is missing");
}

static void with_length(const char *field, int n, bool fine)
{
    struct buf b = {0};
    buf_printf(&b, "{\"type\":\"message\",\"content\":1,\"%s\":\"%0*d\"}", field, n, 0);
    arena_reset(&a);
    int r = native_decode(buf_str(&b), 64, &a, &q);
    assert_int_equal(r, fine ? 0 : E_BAD_REQUEST);
    buf_free(&b);
}

TEST(lengths_at_their_limits)
{
    static const struct {
        const char *field;
        int most;
    } rows[] = {{"channel", 255}, {"event", 128}, {"id", 64}, {"key", 255}};
    for (size_t i = 0; i < 4; i++) {
        with_length(rows[i].field, rows[i].most, true);
        with_length(rows[i].field, rows[i].most + 1, false);
    }
}

TEST(names_are_text_without_control_characters)
{
    assert_true(native_name_valid(STR("a/b#c:d \xc3\xa4\xf0\x9f\x98\x80"), 255));
    assert_true(native_name_valid(STR("\xc2\xa0"), 2)); /* the first behind C1 */
    assert_false(native_name_valid(STR("\xc2\x9f"), 255));
    assert_false(native_name_valid(STR("\xc2\x80"), 255));
    assert_false(native_name_valid(STR("a\0b"), 255));
    assert_false(native_name_valid(STR("\t"), 255));
    assert_false(native_name_valid(STR("\xff"), 255));
    assert_false(native_name_valid(STR("\xc2"), 255));
    assert_false(native_name_valid(STR(""), 255));
    assert_false(native_name_valid(STR("abc"), 2));
}

TEST(channels_come_one_or_many)
{
    taken("{\"type\":\"subscribe\",\"channels\":[\"a\",\"b\\u0062\"]}");
    assert_int_equal(q.channels_count, 2);
    assert_str(q.channels[1].name, "bb");
    assert_false(q.channels[0].since.given || q.since.given);
    taken("{\"type\":\"unsubscribe\",\"channel\":\"a\"}");
    assert_int_equal(q.type, NATIVE_UNSUBSCRIBE);
    taken("{\"type\":\"subscribe\"}");
    assert_int_equal(q.channels_count, 0);
    bad_text("{\"type\":\"subscribe\",\"channels\":[]}",
             "channels: must be a list of channel names");
    bad_text("{\"type\":\"subscribe\",\"channels\":\"a\"}",
             "channels: must be a list of channel names");
    bad_text("{\"type\":\"subscribe\",\"channels\":[1]}", "channels: must be a string");
    bad_text("{\"type\":\"subscribe\",\"channels\":[\"a\",\"\"]}",
             "channels: must be 1 to 255 bytes without control characters");
    bad_text("{\"type\":\"subscribe\",\"channels\":[\"a\"],\"channel\":\"b\"}",
             "channels: must not stand beside channel");
    struct buf b = {0};
    buf_add_z(&b, "{\"type\":\"subscribe\",\"channels\":[\"x\"");
    for (int i = 1; i < 100; i++)
        buf_add_z(&b, ",\"x\"");
    buf_add_str(&b, STR("]}\0"));
    taken(b.p);
    assert_int_equal(q.channels_count, 100);
    b.n -= 3;
    buf_add_str(&b, STR(",\"x\"]}\0"));
    refused_as(b.p, E_TOO_LARGE, "channels: at most 100 at a time");
    buf_free(&b);
}

TEST(positions_come_one_or_by_channel)
{
    taken(
        "{\"type\":\"subscribe\",\"channel\":\"a\",\"since\":{\"epoch\":\"k3v9\",\"offset\":41}}");
    assert_true(q.since.given && q.channels[0].since.given);
    assert_str(q.channels[0].since.epoch, "k3v9");
    assert_int_equal(q.channels[0].since.offset, 41);
    taken("{\"type\":\"subscribe\",\"since\":{\"offset\":0}}");
    assert_true(q.since.given);
    assert_int_equal(q.since.epoch.n, 0);
    taken("{\"type\":\"subscribe\",\"channels\":[\"a\",\"offset\",\"c\"],"
          "\"since\":{\"offset\":{\"epoch\":\"x\",\"offset\":7},\"a\":{\"offset\":1},\"z\":{"
          "\"offset\":2}}}");
    assert_true(q.channels[0].since.given && q.channels[1].since.given);
    assert_false(q.channels[2].since.given || q.since.given);
    assert_str(q.channels[1].since.epoch, "x");
    assert_int_equal(q.channels[1].since.offset, 7);
    taken("{\"type\":\"subscribe\",\"channel\":\"a\",\"since\":{}}");
    assert_false(q.channels[0].since.given);
    taken("{\"type\":\"subscribe\",\"channel\":\"a\",\"since\":{\"epoch\":null,\"offset\":3}}");
    assert_int_equal(q.channels[0].since.offset, 3);
    bad_text("{\"type\":\"subscribe\",\"channels\":[\"a\",\"b\"],\"since\":{\"offset\":3}}",
             "since: several channels need a position each");
    bad_text("{\"type\":\"subscribe\",\"since\":5}",
             "since: must be a position, or an object of positions by channel");
    bad_text("{\"type\":\"subscribe\",\"channel\":\"a\",\"since\":{\"a\":5}}",
             "since: must be a position, or an object of positions by channel");
    bad_text("{\"type\":\"subscribe\",\"since\":{\"offset\":-1}}",
             "since: offset must be a whole number from 0 on");
    bad_text("{\"type\":\"subscribe\",\"since\":{\"offset\":\"1\"}}",
             "since: offset must be a whole number from 0 on");
    bad_text("{\"type\":\"subscribe\",\"channel\":\"a\",\"since\":{\"a\":{\"epoch\":\"k\"}}}",
             "since: offset must be a whole number from 0 on");
    bad_text("{\"type\":\"subscribe\",\"since\":{\"epoch\":\"k-1\",\"offset\":1}}",
             "since: malformed epoch");
    bad_text("{\"type\":\"subscribe\",\"since\":{\"epoch\":\"\",\"offset\":1}}",
             "since: malformed epoch");
    bad_text("{\"type\":\"subscribe\",\"since\":{\"epoch\":5,\"offset\":1}}",
             "since: must be a string");
}

TEST(positions_are_limited)
{
    struct buf b = {0};
    buf_add_z(&b, "{\"type\":\"subscribe\",\"channel\":\"a\",\"since\":{\"a\":{\"offset\":1}");
    for (int i = 1; i < 100; i++)
        buf_printf(&b, ",\"c%d\":{\"offset\":1}", i);
    buf_add_str(&b, STR("}}\0"));
    taken(b.p);
    b.n -= 3;
    buf_add_str(&b, STR(",\"z\":{\"offset\":1}}}\0"));
    refused_as(b.p, E_TOO_LARGE, "since: at most 100 positions");
    buf_free(&b);
}

TEST(subscribe_has_its_options)
{
    taken("{\"type\":\"subscribe\",\"channel\":\"table:messages\",\"history\":20,\"presence\":true,"
          "\"delta\":true,\"ref\":\"r\"}");
    assert_int_equal(q.history, 20);
    assert_true(q.presence && q.delta);
    bad_text("{\"type\":\"subscribe\",\"history\":-1}",
             "history: must be a whole number from 0 on");
    bad_text("{\"type\":\"subscribe\",\"history\":1.5}",
             "history: must be a whole number from 0 on");
    bad_text("{\"type\":\"subscribe\",\"presence\":1}", "presence: must be true or false");
}

TEST(presence_track_and_untrack)
{
    taken("{\"type\":\"track\",\"channel\":\"a\",\"key\":\"u1\",\"meta\":{\"x\":[1]}}");
    assert_str(q.meta, "{\"x\":[1]}");
    assert_str(q.key, "u1");
    taken("{\"type\":\"track\",\"channel\":\"a\"}");
    assert_int_equal(q.meta.n, 0);
    bad_text("{\"type\":\"track\",\"channel\":\"a\",\"meta\":[1]}", "meta: must be an object");
    taken("{\"type\":\"untrack\",\"channel\":\"a\",\"key\":\"u1\"}");
    assert_int_equal(q.type, NATIVE_UNTRACK);
    taken("{\"type\":\"presence\",\"channel\":\"a\",\"ref\":1}");
    assert_int_equal(q.type, NATIVE_PRESENCE);
}

TEST(history_pages)
{
    taken("{\"type\":\"history\",\"channel\":\"a\"}");
    assert_int_equal(q.limit, 100);
    assert_false(q.has_before || q.has_after);
    taken("{\"type\":\"history\",\"channel\":\"a\",\"limit\":1000,\"before\":50,\"after\":0}");
    assert_int_equal(q.limit, 1000);
    assert_true(q.has_before && q.has_after);
    assert_int_equal(q.before, 50);
    bad_text("{\"type\":\"history\",\"limit\":1001}", "limit: is too large");
    bad_text("{\"type\":\"history\",\"before\":\"5\"}", "before: must be a whole number from 0 on");
}

TEST(auth_and_ping)
{
    taken("{\"type\":\"auth\",\"token\":\"a.b.c\"}");
    assert_str(q.token, "a.b.c");
    bad_text("{\"type\":\"auth\"}", "token: is missing");
    bad_text("{\"type\":\"auth\",\"token\":\"\"}",
             "token: is empty, too long or holds control characters");
    taken("{\"type\":\"ping\",\"data\":[1, {\"a\":null}]}");
    assert_str(q.data, "[1, {\"a\":null}]");
    taken("{\"type\":\"ping\"}");
    assert_int_equal(q.data.n, 0);
}

TEST(a_publish_body_is_a_message_without_type)
{
    arena_reset(&a);
    assert_int_equal(
        native_decode_publish(STR("{\"channel\":\"a\",\"content\":[1],\"id\":\"x\",\"type\":7}"),
                              64, &a, &q),
        0);
    assert_int_equal(q.type, NATIVE_MESSAGE);
    assert_str(q.content, "[1]");
    assert_int_equal(native_decode_publish(STR("{\"channel\":\"a\"}"), 64, &a, &q), E_BAD_REQUEST);
    assert_string_equal(q.detail, "content: is missing");
    assert_int_equal(native_decode_publish(STR("[]"), 64, &a, &q), E_BAD_REQUEST);
}

static int binary(struct str bytes)
{
    arena_reset(&a);
    return native_decode_binary(bytes, &a, &q);
}

TEST(binary_frames_are_read)
{
    assert_int_equal(binary(STR("\4room\4draw\0\xff\n")), 0);
    assert_str(q.channels[0].name, "room");
    assert_str(q.event, "draw");
    assert_true(str_eq(q.content, STR("\0\xff\n")));
    assert_true(q.binary);
    assert_int_equal(binary(STR("\0\0x")), 0);
    assert_int_equal(q.channels_count, 0);
    assert_str(q.event, "message");
    assert_int_equal(binary(STR("\0\0")), 0);
    assert_int_equal(q.content.n, 0);
    static const struct str wrong[] = {{"", 0},         {"\0", 1},      {"\5room", 5},
                                       {"\4room", 5},   {"\0\1", 2},    {"\1\n\0", 3},
                                       {"\1\xff\0", 3}, {"\0\1\x7f", 3}};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        assert_int_equal(binary(wrong[i]), E_BAD_REQUEST);
        assert_non_null(q.detail);
    }
}

TEST(a_small_arena_ends_in_an_error)
{
    for (size_t most = 1; most < 2000; most += 16) {
        struct arena small = {.max = most};
        int r = native_decode(STR("{\"type\":\"subscribe\",\"channels\":[\"\\u0061\",\"b\",\"c\"],"
                                  "\"since\":{\"\\u0061\":{\"epoch\":\"\\u006b\",\"offset\":1}}}"),
                              64, &small, &q);
        assert_true(r == 0 || r == E_NO_MEMORY);
        if (r < 0)
            assert_non_null(q.detail);
        arena_free(&small);
        small.max = most;
        r = native_decode_binary(STR("\1c\1ex"), &small, &q);
        assert_true(r == 0 || r == E_NO_MEMORY);
        r = native_decode(STR("{\"type\":\"presence\",\"channel\":\"c\"}"), 64, &small, &q);
        assert_true(r == 0 || r == E_NO_MEMORY);
        arena_free(&small);
    }
    arena_free(&a);
}
