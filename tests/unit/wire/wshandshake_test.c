/* SPDX-License-Identifier: Apache-2.0 */
/* The upgrade and what is agreed in it. */
#include "test.h"
#include "wire/wshandshake.c"
#include <stdio.h>

static struct wshandshake ws;
static const struct str protocols[] = {{"tidewire.v1", 11}, {"phoenix", 7}};
static const struct wshandshake_config config = {true, protocols, 2};

#define KEY "dGhlIHNhbXBsZSBub25jZQ=="

/* The headers of a good request; one may be replaced, or left out (value NULL), one added. */
static int check(const char *name, const char *value, const char *more, const char *more_value)
{
    struct http1_header all[] = {{STR("Upgrade"), STR("websocket")},
                                 {STR("Connection"), STR("Upgrade")},
                                 {STR("Sec-WebSocket-Version"), STR("13")},
                                 {STR("Sec-WebSocket-Key"), STR(KEY)}};
    struct http1_header used[5];
    size_t n = 0;
    for (size_t i = 0; i < 4; i++) {
        bool this = name && str_eq_nocase(all[i].name, str_from(name));
        if (this && !value)
            continue;
        used[n] = all[i];
        if (this)
            used[n].value = str_from(value);
        n++;
    }
    if (more)
        used[n++] = (struct http1_header){str_from(more), str_from(more_value)};
    return wshandshake_check(STR("GET"), 1, used, n, &config, &ws);
}

TEST(the_example_of_the_rfc)
{
    char accept[28];
    wshandshake_accept(STR(KEY), accept);
    assert_memory_equal(accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", 28);
    assert_int_equal(check(NULL, NULL, NULL, NULL), 0);
    assert_memory_equal(ws.accept, accept, 28);
    assert_false(ws.deflate);
    assert_null(ws.protocol.p);
}

TEST(what_is_missing_is_named)
{
    assert_int_equal(check("Upgrade", NULL, NULL, NULL), E_UPGRADE_REQUIRED);
    assert_int_equal(check("Upgrade", "h2c", NULL, NULL), E_BAD_REQUEST);
    assert_int_equal(check("Upgrade", "WebSocket", NULL, NULL), 0);
    assert_int_equal(check("Upgrade", "h2c, websocket", NULL, NULL), 0);
    assert_int_equal(check("Connection", NULL, NULL, NULL), E_BAD_REQUEST);
    assert_int_equal(check("Connection", "keep-alive", NULL, NULL), E_BAD_REQUEST);
    assert_int_equal(check("Connection", "keep-alive, UPGRADE", NULL, NULL), 0);
    assert_non_null(ws.accept);
}

TEST(the_version_is_13_once)
{
    assert_int_equal(check("Sec-WebSocket-Version", NULL, NULL, NULL), E_UPGRADE_REQUIRED);
    assert_int_equal(check("Sec-WebSocket-Version", "8", NULL, NULL), E_UPGRADE_REQUIRED);
    assert_int_equal(check("Sec-WebSocket-Version", "013", NULL, NULL), E_UPGRADE_REQUIRED);
    assert_int_equal(check("Sec-WebSocket-Version", "13, 8", NULL, NULL), E_UPGRADE_REQUIRED);
    assert_int_equal(check(NULL, NULL, "Sec-WebSocket-Version", "13"), E_UPGRADE_REQUIRED);
    assert_string_equal(ws.detail, "Sec-WebSocket-Version must be 13");
}

TEST(the_key_is_sixteen_bytes_once)
{
    static const char *const wrong[] = {"",
                                        "x",
                                        "dGhlIHNhbXBsZSBub25jZQ=",
                                        "dGhlIHNhbXBsZSBub25jZQ",
                                        "dGhlIHNhbXBsZSBub25jZQ===",
                                        "dGhlIHNhbXBsZSBub25jZZZZ",
                                        "dGhlIHNhbXBsZSBub25jZ!==",
                                        "dGhlIHNhbXBsZSBub25j===="};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        assert_int_equal(check("Sec-WebSocket-Key", wrong[i], NULL, NULL), E_BAD_REQUEST);
    assert_int_equal(check("Sec-WebSocket-Key", NULL, NULL, NULL), E_BAD_REQUEST);
    assert_int_equal(check(NULL, NULL, "sec-websocket-key", KEY), E_BAD_REQUEST);
    assert_int_equal(check("Sec-WebSocket-Key", "aaaaaaaaaaaaaaaaaaaaaa==", NULL, NULL), 0);
}

TEST(method_and_http_version_count)
{
    assert_int_equal(wshandshake_check(STR("POST"), 1, NULL, 0, &config, &ws),
                     E_METHOD_NOT_ALLOWED);
    assert_int_equal(wshandshake_check(STR("GET"), 0, NULL, 0, &config, &ws), E_BAD_REQUEST);
}

TEST(the_first_protocol_we_speak_is_chosen)
{
    assert_int_equal(check(NULL, NULL, "Sec-WebSocket-Protocol", "x, phoenix, tidewire.v1"), 0);
    assert_true(str_is(ws.protocol, "phoenix"));
    assert_int_equal(check(NULL, NULL, "Sec-WebSocket-Protocol", "x"), 0);
    assert_null(ws.protocol.p);
    assert_int_equal(check(NULL, NULL, "Sec-WebSocket-Protocol", "Phoenix"), 0);
    assert_null(ws.protocol.p);
    assert_int_equal(check(NULL, NULL, "Sec-WebSocket-Protocol", "a b"), E_BAD_REQUEST);
    assert_int_equal(check(NULL, NULL, "Sec-WebSocket-Protocol", ""), E_BAD_REQUEST);
    assert_int_equal(check(NULL, NULL, "Sec-WebSocket-Protocol", "a,,b"), E_BAD_REQUEST);
}

static void offer(const char *text, int window, bool asked)
{
    int bits = 0;
    bool said = false;
    if (!wshandshake_negotiate(str_from(text), &bits, &said))
        fail_msg("declined: %s", text);
    assert_int_equal(bits, window);
    assert_int_equal(said, asked);
}

static void declined(const char *text)
{
    int bits;
    bool said;
    if (wshandshake_negotiate(str_from(text), &bits, &said))
        fail_msg("taken: %s", text);
}

#define PMD "permessage-deflate"

TEST(good_offers_are_taken)
{
    offer(PMD, 15, false);
    offer(PMD "; client_max_window_bits", 15, false);
    offer(PMD ";client_max_window_bits=8", 15, false);
    offer(PMD " ; client_max_window_bits = 15", 15, false);
    offer(PMD "; server_no_context_takeover; client_no_context_takeover", 15, false);
    offer(PMD "; server_max_window_bits=9", 9, true);
    offer(PMD "; server_max_window_bits=\"10\"", 10, true);
    offer(PMD "; server_max_window_bits=15; client_max_window_bits=\"9\"", 15, true);
    offer("x-webkit-deflate-frame, " PMD, 15, false);
    offer("foo; bar=\"baz\", , " PMD "; server_max_window_bits=11", 11, true);
}

TEST(odd_offers_are_declined)
{
    static const char *const wrong[] = {
        "",
        "permessage",
        "permessage-deflate2",
        PMD "; server_max_window_bits=7",
        PMD "; server_max_window_bits=8", /* no such raw stream in zlib */
        PMD "; server_max_window_bits=16",
        PMD "; server_max_window_bits=0",
        PMD "; server_max_window_bits=abc",
        PMD "; server_max_window_bits=08",
        PMD "; server_max_window_bits=010",
        PMD "; server_max_window_bits=-9",
        PMD "; server_max_window_bits=+9",
        PMD "; server_max_window_bits=9.0",
        PMD "; server_max_window_bits=999999999999",
        PMD "; server_max_window_bits",
        PMD "; server_max_window_bits=",
        PMD "; server_max_window_bits=\"\"",
        PMD "; server_max_window_bits=\"9",
        PMD "; server_max_window_bits=\"9\\0\"",
        PMD "; server_max_window_bits=9; server_max_window_bits=9",
        PMD "; client_max_window_bits=7",
        PMD "; client_max_window_bits=16",
        PMD "; client_max_window_bits=08",
        PMD "; client_max_window_bits=",
        PMD "; client_max_window_bits; client_max_window_bits",
        PMD "; server_no_context_takeover=1",
        PMD "; server_no_context_takeover=\"\"",
        PMD "; client_no_context_takeover=true",
        PMD "; server_no_context_takeover; server_no_context_takeover",
        PMD "; client_no_context_takeover; client_no_context_takeover",
        PMD "; unknown",
        PMD "; unknown=5",
        PMD "; ",
        PMD ";",
        PMD "; ;",
        PMD "=5",
        PMD " " PMD,
        PMD "; a b",
        "; " PMD,
        "\"" PMD "\"",
        "foo=, " PMD,
    };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        declined(wrong[i]);
}

TEST(the_next_offer_is_looked_at_when_one_is_declined)
{
    offer(PMD "; server_max_window_bits=8, " PMD, 15, false);
    offer(PMD "; unknown, " PMD "; server_max_window_bits=12, " PMD, 12, true);
    offer(PMD "; server_max_window_bits=9; server_no_context_takeover, " PMD "", 9, true);
    assert_int_equal(check(NULL, NULL, "Sec-WebSocket-Extensions", PMD "; x, " PMD), 0);
    assert_true(ws.deflate);
    assert_int_equal(check(NULL, NULL, "Sec-WebSocket-Extensions", PMD "; x"), 0);
    assert_false(ws.deflate);
}

TEST(endless_offers_end)
{
    struct buf b = {0};
    for (int i = 0; i < 1000; i++)
        buf_add_z(&b, "x,");
    buf_add_z(&b, PMD);
    int bits;
    bool said;
    assert_false(wshandshake_negotiate(buf_str(&b), &bits, &said));
    buf_free(&b);
}

TEST(deflate_can_be_off)
{
    struct wshandshake_config off = {.deflate = false};
    struct http1_header all[] = {{STR("Upgrade"), STR("websocket")},
                                 {STR("Connection"), STR("Upgrade")},
                                 {STR("Sec-WebSocket-Version"), STR("13")},
                                 {STR("Sec-WebSocket-Key"), STR(KEY)},
                                 {STR("Sec-WebSocket-Extensions"), STR(PMD)}};
    assert_int_equal(wshandshake_check(STR("GET"), 1, all, 5, &off, &ws), 0);
    assert_false(ws.deflate);
}

TEST(the_answer_is_complete)
{
    struct buf b = {0};
    assert_int_equal(
        check(NULL, NULL, "Sec-WebSocket-Extensions", PMD "; server_max_window_bits=10"), 0);
    ws.protocol = protocols[0];
    wshandshake_add_answer(&b, &ws, STR("Set-Cookie: a=b\r\n"));
    assert_true(str_is(buf_str(&b),
                       "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                       "Connection: Upgrade\r\n"
                       "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
                       "Sec-WebSocket-Protocol: tidewire.v1\r\n"
                       "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; "
                       "client_no_context_takeover; server_max_window_bits=10\r\n"
                       "Set-Cookie: a=b\r\n\r\n"));
    buf_clear(&b);
    assert_int_equal(check(NULL, NULL, NULL, NULL), 0);
    wshandshake_add_answer(&b, &ws, STR_NONE);
    assert_int_equal(str_find_str(buf_str(&b), STR("Sec-WebSocket-E")), -1);
    assert_int_equal(str_find_str(buf_str(&b), STR("Sec-WebSocket-P")), -1);
    buf_free(&b);
}
