/* SPDX-License-Identifier: Apache-2.0 */
/* Messages put together from frames, in every way the bytes may be cut. */
#include "test.h"
#include "wire/wsmessage.c"
#include <stdio.h>

static struct wsmessage m;
static struct deflate_reader *reader;
static struct buf wire; /* what the client sends */
static struct buf said; /* what came out, as text: "T:hello " "P:x " "!1002 " */
static size_t held_max;

static void client(unsigned first, const void *payload, size_t n)
{
    static const uint8_t mask[4] = {0x9a, 0x01, 0xfe, 0x40};
    buf_add_c(&wire, (char)first);
    uint8_t head[10];
    size_t used = wsframe_put_head(head, WSFRAME_TEXT, false, n);
    head[1] |= 0x80;
    buf_add(&wire, head + 1, used - 1);
    buf_add(&wire, mask, 4);
    buf_add(&wire, payload, n);
    if (n)
        wsframe_unmask((uint8_t *)wire.p + wire.n - n, n, mask, 0);
}

static void client_z(unsigned first, const char *payload)
{
    client(first, payload, strlen(payload));
}

static void say(enum wsmessage_event event, const struct wsmessage_out *out)
{
    static const char letters[] = " TBPpC!";
    if (event == WSMESSAGE_ERROR)
        buf_printf(&said, "!%d ", out->code);
    else if (event == WSMESSAGE_CLOSE)
        buf_printf(&said, "C%d:%.*s ", out->code, STR_ARG(out->payload));
    else if (out->payload.n > 40)
        buf_printf(&said, "%c#%zu ", letters[event], out->payload.n);
    else
        buf_printf(&said, "%c:%.*s ", letters[event], STR_ARG(out->payload));
    if (event == WSMESSAGE_ERROR)
        assert_true(out->err < 0 && out->detail);
}

/* Feeds a copy of `wire` in pieces of `step`, each in memory of its own. */
static void feed_in(size_t step, uint32_t most, bool deflate)
{
    wsmessage_init(&m, most, deflate);
    buf_clear(&said);
    held_max = 0;
    for (size_t at = 0; at < wire.n; at += step) {
        size_t n = wire.n - at < step ? wire.n - at : step;
        uint8_t *copy = mem_new(n), *p = copy;
        memcpy(copy, wire.p + at, n);
        struct wsmessage_out out;
        enum wsmessage_event event;
        while ((event = wsmessage_feed(&m, &p, &n, reader, &out)) != WSMESSAGE_MORE) {
            if (wsmessage_held(&m) > held_max)
                held_max = wsmessage_held(&m);
            say(event, &out);
        }
        assert_int_equal(n, 0);
        if (wsmessage_held(&m) > held_max)
            held_max = wsmessage_held(&m);
        mem_free(copy);
    }
}

/* Whatever the cuts, the same comes out. Ends with an empty wire. */
static void expect_limited(const char *text, uint32_t most, bool deflate)
{
    static const size_t steps[] = {SIZE_MAX / 2, 1, 2, 3, 5, 7, 13, 64, 1000};
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        feed_in(steps[i], most, deflate);
        if (!str_is(buf_str(&said), text))
            fail_msg("cut by %zu: %.*s instead of %s", steps[i], STR_ARG(buf_str(&said)), text);
        wsmessage_fini(&m);
        assert_int_equal(wsmessage_held(&m), 0);
    }
    buf_free(&wire);
    buf_free(&said);
}

static void expect(const char *text)
{
    expect_limited(text, 100000, false);
}

TEST(single_frames_are_messages)
{
    client_z(0x81, "hello");
    client_z(0x82, "\xff\xfe");
    client_z(0x81, "");
    client_z(0x89, "ping");
    client_z(0x8a, "");
    expect("T:hello B:\xff\xfe T: P:ping p: ");
}

TEST(fragments_are_joined_with_control_frames_between)
{
    client_z(0x01, "he");
    client_z(0x89, "1");
    client_z(0x00, "l");
    client_z(0x00, "");
    client_z(0x8a, "2");
    client_z(0x80, "lo");
    client_z(0x02, "");
    client_z(0x80, "");
    expect("P:1 p:2 T:hello B: ");
}

TEST(a_whole_frame_is_a_view_and_costs_no_memory)
{
    char text[300];
    memset(text, 'x', sizeof(text));
    client(0x81, text, sizeof(text));
    client_z(0x89, "p");
    client(0x82, text, sizeof(text));
    feed_in(SIZE_MAX / 2, 1000, false);
    assert_int_equal(held_max, 0);
    assert_true(str_is(buf_str(&said), "T#300 P:p B#300 "));
    wsmessage_fini(&m);
    buf_free(&wire);
    buf_free(&said);
}

TEST(memory_is_held_only_while_a_message_is_incomplete)
{
    client_z(0x01, "ab");
    feed_in(3, 1000, false);
    assert_true(wsmessage_held(&m) > 0);
    size_t n = 0;
    struct wsmessage_out out;
    uint8_t end[] = {0x80, 0x80, 0, 0, 0, 0}, *p = end;
    n = sizeof(end);
    assert_int_equal(wsmessage_feed(&m, &p, &n, NULL, &out), WSMESSAGE_TEXT);
    assert_true(str_is(out.payload, "ab"));
    assert_int_equal(wsmessage_feed(&m, &p, &n, NULL, &out), WSMESSAGE_MORE);
    assert_int_equal(wsmessage_held(&m), 0);
    buf_free(&wire);
    buf_free(&said);
}

TEST(a_claimed_length_reserves_nothing)
{
    uint8_t head[] = {0x82, 0xff, 0, 0, 0, 0, 1, 0, 0, 0, 1, 2, 3, 4, 'x'}, *p = head;
    size_t n = sizeof(head);
    struct wsmessage_out out;
    wsmessage_init(&m, 16 << 20, false);
    assert_int_equal(wsmessage_feed(&m, &p, &n, NULL, &out), WSMESSAGE_MORE);
    assert_true(wsmessage_held(&m) < 1024);
    wsmessage_fini(&m);
}

TEST(order_of_fragments_is_enforced)
{
    client_z(0x80, "x");
    expect("!1002 ");
    client_z(0x00, "x");
    expect("!1002 ");
    client_z(0x01, "a");
    client_z(0x81, "b");
    client_z(0x81, "never");
    expect("!1002 ");
    client_z(0x01, "a");
    client_z(0x80, "b");
    client_z(0x80, "c");
    expect("T:ab !1002 ");
}

TEST(close_ends_it)
{
    client_z(0x01, "unfinished");
    client(0x88,
           "\x03\xe8"
           "bye",
           5);
    client_z(0x81, "never");
    expect("C1000:bye ");
    client(0x88, "", 0);
    client_z(0x89, "never");
    expect("C1005: ");
    client(0x88, "\x03", 1);
    expect("!1002 ");
    client(0x88, "\x03\xed", 2);
    expect("!1002 ");
    client(0x88, "\x03\xe8\xff", 3);
    expect("!1007 ");
    client(0x88,
           "\x11\x33"
           "denied",
           8);
    expect("C4403:denied ");
}

TEST(frames_that_break_the_rules)
{
    client_z(0x83, "");
    expect("!1002 ");
    client_z(0x8b, "");
    expect("!1002 ");
    client_z(0xc1, "x"); /* compressed without agreement */
    expect("!1002 ");
    client_z(0x91, "x");
    expect("!1002 ");
    client_z(0x09, "x");
    expect("!1002 ");
    buf_add(&wire, "\x81\x01x", 3); /* not masked */
    expect("!1002 ");
    buf_add(&wire, "\x82\xff\x80\0\0\0\0\0\0\x04", 10);
    expect("!1002 ");
    buf_add(&wire, "\x82\xff\x40\0\0\0\0\0\0\0", 10);
    expect("!1009 ");
    buf_add(&wire, "\x81\xfe\0\x05mask", 8);
    expect("!1002 ");
}

TEST(the_limit_is_on_the_whole_message)
{
    client_z(0x82, "0123456789");
    expect_limited("B:0123456789 ", 10, false);
    client_z(0x82, "0123456789x");
    expect_limited("!1009 ", 10, false);
    client_z(0x02, "01234");
    client_z(0x89, "longer than what is left");
    client_z(0x80, "56789");
    client_z(0x02, "01234");
    client_z(0x00, "56789");
    client_z(0x80, "x");
    expect_limited("P:longer than what is left B:0123456789 !1009 ", 10, false);
    client_z(0x02, "0123456789");
    client_z(0x80, "");
    expect_limited("B:0123456789 ", 10, false);
}

TEST(text_must_be_utf8)
{
    static const char *const wrong[] = {"\xc0\x80",
                                        "\xe0\x80\x80",
                                        "\xed\xa0\x80",
                                        "\xed\xa0\x80\xed\xb0\x80",
                                        "\xf4\x90\x80\x80",
                                        "\xf5\x80\x80\x80",
                                        "\xff",
                                        "\xfe",
                                        "\x80",
                                        "\xc3",
                                        "\xe2\x82",
                                        "\xf0\x9f\x98",
                                        "a\xc3(",
                                        "\xf8\x88\x80\x80\x80",
                                        "\xc1\xbf"};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        client_z(0x81, wrong[i]);
        expect("!1007 ");
        /* in two fragments, a byte and the rest */
        client(0x01, wrong[i], 1);
        client_z(0x80, wrong[i] + 1);
        expect("!1007 ");
        client_z(0x82, wrong[i]);
        buf_clear(&said);
        feed_in(SIZE_MAX / 2, 100, false);
        assert_int_equal(said.p[0], 'B');
        buf_free(&wire);
    }
    client_z(0x01, "\xe2");
    client_z(0x00, "\x82");
    client_z(0x80, "\xac");
    client_z(0x81, "\xf0\x9f\x98\x80\xed\x9f\xbf\xee\x80\x80\xf4\x8f\xbf\xbf");
    expect("T:\xe2\x82\xac T:\xf0\x9f\x98\x80\xed\x9f\xbf\xee\x80\x80\xf4\x8f\xbf\xbf ");
}

TEST(bad_text_is_an_error_inside_an_unfinished_frame)
{
    /* 70,000 bytes are announced, the third is wrong, and nothing more comes */
    buf_add(&wire, "\x81\xff\0\0\0\0\0\1\x11\x70\0\0\0\0", 14);
    buf_add(&wire, "ab\xff", 3);
    expect("!1007 ");
    buf_add(&wire, "\x81\xff\0\0\0\0\0\1\x11\x70\0\0\0\0", 14);
    buf_add(&wire, "ab\xed\xa0", 4); /* a surrogate shows at its second byte */
    expect("!1007 ");
}

TEST(a_message_that_ends_inside_a_character_is_refused)
{
    client_z(0x01, "ab\xe2");
    client_z(0x80, "\x82");
    expect("!1007 ");
}

TEST(many_small_fragments_cost_what_their_bytes_cost)
{
    client_z(0x01, "");
    for (int i = 0; i < 65536; i++)
        client_z(0x00, "x");
    for (int i = 0; i < 100000; i++)
        client_z(0x00, "");
    feed_in(4096, 1 << 20, false);
    assert_true(held_max < 70000 * 2);
    wsmessage_fini(&m);
    client_z(0x80, "!");
    feed_in(4096, 1 << 20, false);
    assert_true(str_is(buf_str(&said), "T#65537 "));
    wsmessage_fini(&m);
    buf_free(&wire);
    buf_free(&said);
}

TEST(between_messages_nothing_is_held)
{
    assert_true(sizeof(struct wsmessage) <= 16);
    client_z(0x81, "x");
    feed_in(SIZE_MAX / 2, 1000, false);
    assert_null(m.partial);
    wsmessage_fini(&m);
}

TEST(fragments_without_end_are_refused)
{
    client_z(0x02, "x");
    feed_in(SIZE_MAX / 2, 1000, false);
    m.partial->fragments = FRAGMENTS_MAX; /* as if they had come */
    struct wsmessage_out out;
    uint8_t next[] = {0x00, 0x80, 1, 2, 3, 4}, *p = next;
    size_t n = sizeof(next);
    assert_int_equal(wsmessage_feed(&m, &p, &n, NULL, &out), WSMESSAGE_ERROR);
    assert_int_equal(out.code, 1008);
    assert_int_equal(out.err, E_TOO_MANY);
    assert_int_equal(wsmessage_held(&m), 0);
    buf_free(&wire);
    buf_free(&said);
}

TEST(a_large_message_in_small_pieces_is_put_together_once)
{
    size_t n = 4 << 20;
    char *text = mem_new(n);
    memset(text, 'x', n);
    client(0x82, text, n);
    feed_in(1000, 16 << 20, false);
    assert_true(str_is(buf_str(&said), "B#4194304 "));
    assert_true(held_max <= 2 * n + 4096);
    mem_free(text);
    wsmessage_fini(&m);
    buf_free(&wire);
    buf_free(&said);
}

TEST(running_out_of_memory_is_an_error_not_a_crash)
{
    client_z(0x01, "ab");
    wsmessage_init(&m, 1000, false);
    uint8_t *p = (uint8_t *)wire.p;
    size_t n = wire.n;
    struct wsmessage_out out;
    mem_fail_at(1, 1);
    enum wsmessage_event event = wsmessage_feed(&m, &p, &n, NULL, &out);
    mem_fail_at(0, 0);
    assert_int_equal(event, WSMESSAGE_ERROR);
    assert_int_equal(out.err, E_NO_MEMORY);
    assert_int_equal(out.code, 1011);
    assert_int_equal(n, 0);
    assert_int_equal(wsmessage_held(&m), 0);
    buf_free(&wire);
}

/* ---- compressed -------------------------------------------------------------------------- */

TEST(compressed_messages_are_inflated)
{
    reader = deflate_reader_new();
    client(0xc1, "\xf2\x48\xcd\xc9\xc9\x07\x00", 7); /* RFC 7692 section 7.2.3.1 */
    client(0x41, "\xf2\x48\xcd", 3);
    client_z(0x89, "p");
    client(0x80, "\xc9\xc9\x07\x00", 4);
    client_z(0x81, "plain");
    client(0xc1, "\xf3\x48\xcd\xc9\xc9\x07\x00\x00", 8); /* 7.2.3.4 */
    client(0xc2, "\x00", 1);
    expect_limited("T:Hello P:p T:Hello T:plain T:Hello B: ", 1000, true);
    deflate_reader_free(&reader);
}

TEST(the_compressed_bit_stands_on_the_first_frame_only)
{
    reader = deflate_reader_new();
    client(0x41, "\xf2\x48\xcd", 3);
    client(0xc0, "\xc9\xc9\x07\x00", 4);
    expect_limited("!1002 ", 1000, true);
    client(0xc9, "x", 1);
    expect_limited("!1002 ", 1000, true);
    deflate_reader_free(&reader);
}

TEST(broken_compression_is_refused)
{
    reader = deflate_reader_new();
    client(0xc1, "\xff\xff\xff", 3);
    expect_limited("!1007 ", 1000, true);
    client(0xc1, "\xf2\x48\xcd", 3); /* breaks off */
    expect_limited("!1007 ", 1000, true);
    client(0xc2, "", 0);
    expect_limited("!1007 ", 1000, true);
    client(0xc1, "\x00\x01\x00\xfe\xff\xff\x00", 7); /* stored block: byte ff, no UTF-8 */
    expect_limited("!1007 ", 1000, true);
    deflate_reader_free(&reader);
}

TEST(a_bomb_is_refused_before_the_limit_is_passed)
{
    struct deflate_writer *w = deflate_writer_new(9);
    struct buf bomb = {0};
    size_t n = 64 << 20;
    char *zeros = mem_new(n);
    reader = deflate_reader_new();
    assert_int_equal(deflate_message(w, 15, str_of(zeros, n), &bomb), 0);
    mem_free(zeros);
    client(0xc2, bomb.p, bomb.n);
    expect_limited("!1009 ", 1 << 20, true);
    /* exactly at the limit it is taken */
    buf_clear(&bomb);
    zeros = mem_new(1 << 20);
    assert_int_equal(deflate_message(w, 15, str_of(zeros, 1 << 20), &bomb), 0);
    mem_free(zeros);
    client(0xc2, bomb.p, bomb.n);
    client(0xc2, bomb.p, bomb.n);
    expect_limited("B#1048576 B#1048576 ", 1 << 20, true);
    client(0xc2, bomb.p, bomb.n);
    expect_limited("!1009 ", (1 << 20) - 1, true);
    buf_free(&bomb);
    deflate_writer_free(&w);
    deflate_reader_free(&reader);
}

TEST(random_bytes_may_grow_a_little_when_compressed)
{
    struct deflate_writer *w = deflate_writer_new(6);
    struct buf packed = {0};
    uint8_t noise[5000];
    uint32_t x = 1;
    for (size_t i = 0; i < sizeof(noise); i++)
        noise[i] = (uint8_t)((x = x * 1664525 + 1013904223) >> 24);
    reader = deflate_reader_new();
    assert_int_equal(deflate_message(w, 15, str_of((char *)noise, sizeof(noise)), &packed), 0);
    assert_true(packed.n > sizeof(noise));
    client(0xc2, packed.p, packed.n);
    expect_limited("B#5000 ", sizeof(noise), true);
    client(0x82, noise, sizeof(noise)); /* plain ones have no such slack */
    expect_limited("!1009 ", sizeof(noise) - 1, true);
    buf_free(&packed);
    deflate_writer_free(&w);
    deflate_reader_free(&reader);
}
