/* SPDX-License-Identifier: Apache-2.0 */
/* Frame heads, masks, close payloads (RFC 6455 section 5). */
#include "test.h"
#include "wire/wsframe.c"

static struct wsframe_head head;
static const char *detail;

/* Decodes byte by byte; the answer must not change once it is there. */
static int decode_limited(struct str bytes, bool deflate, uint64_t most)
{
    int r = 0;
    for (size_t n = 0; n <= bytes.n && r == 0; n++)
        r = wsframe_decode_head(str_head(bytes, n), deflate, most, &head, &detail);
    assert_int_equal(r, wsframe_decode_head(bytes, deflate, most, &head, &detail));
    return r;
}

static int decode(struct str bytes)
{
    return decode_limited(bytes, false, 1 << 20);
}

TEST(heads_of_the_three_lengths_are_read)
{
    assert_int_equal(decode(STR("\x81\x85\x37\xfa\x21\x3d\x7f")), 6);
    assert_true(head.fin && !head.rsv1);
    assert_int_equal(head.opcode, WSFRAME_TEXT);
    assert_int_equal(head.length, 5);
    assert_memory_equal(head.mask, "\x37\xfa\x21\x3d", 4);
    assert_int_equal(decode(STR("\x02\xfe\x01\x00mask")), 8);
    assert_false(head.fin);
    assert_int_equal(head.length, 256);
    assert_int_equal(decode(STR("\x82\xff\0\0\0\0\0\1\0\0mask")), 14);
    assert_int_equal(head.length, 65536);
    assert_int_equal(decode(STR("\x80\x80mask")), 6);
    assert_int_equal(head.length, 0);
}

TEST(every_first_byte_is_judged_by_the_rules)
{
    for (unsigned b = 0; b < 256; b++) {
        for (int deflate = 0; deflate < 2; deflate++) {
            char frame[] = {(char)b, (char)0x80, 'm', 'a', 's', 'k'};
            unsigned op = b & 15;
            bool known = op <= 2 || (op >= 8 && op <= 10);
            bool good = known && !(b & 0x30) && (op < 8 || b & 0x80) &&
                        (!(b & 0x40) || (deflate && (op == 1 || op == 2)));
            int r = decode_limited(str_of(frame, 6), deflate, 100);
            assert_int_equal(r, good ? 6 : E_PROTOCOL);
            /* and at once, without waiting for the second byte */
            assert_int_equal(wsframe_decode_head(str_of(frame, 1), deflate, 100, &head, &detail),
                             good ? 0 : E_PROTOCOL);
        }
    }
}

TEST(unmasked_frames_are_refused)
{
    assert_int_equal(decode(STR("\x81\x05hello")), E_PROTOCOL);
    assert_int_equal(decode(STR("\x89\x00")), E_PROTOCOL);
}

TEST(lengths_are_minimal)
{
    assert_int_equal(decode(STR("\x81\xfe\x00\x7dmask")), E_PROTOCOL);
    assert_int_equal(decode(STR("\x81\xfe\x00\x00mask")), E_PROTOCOL);
    assert_int_equal(decode(STR("\x81\xfe\x00\x7emask")), 8);
    assert_int_equal(decode(STR("\x81\xff\0\0\0\0\0\0\xff\xffmask")), E_PROTOCOL);
    assert_int_equal(decode(STR("\x81\xff\0\0\0\0\0\0\0\1mask")), E_PROTOCOL);
}

TEST(long_frames_are_refused_at_the_head)
{
    assert_int_equal(decode(STR("\x82\xff\x80\0\0\0\0\0\0\x04")), E_PROTOCOL); /* 2^63 + 4 */
    assert_int_equal(decode(STR("\x82\xff\x80")), E_PROTOCOL);
    assert_int_equal(decode(STR("\x82\xff\x40\0\0\0\0\0\0\0")), E_TOO_LARGE); /* 2^62 */
    assert_int_equal(decode(STR("\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff")), E_TOO_LARGE);
    assert_int_equal(decode_limited(STR("\x82\xfe\x01\x01"), false, 256), E_TOO_LARGE);
    assert_int_equal(decode_limited(STR("\x82\xfe\x01\x00mask"), false, 256), 8);
    assert_int_equal(decode_limited(STR("\x82\x81"), false, 0), E_TOO_LARGE);
    /* the limit is for messages: a ping has its own */
    assert_int_equal(decode_limited(STR("\x89\x81mask"), false, 0), 6);
}

TEST(control_frames_have_at_most_125_bytes)
{
    assert_int_equal(decode(STR("\x89\xfdmask")), 6);
    assert_int_equal(decode(STR("\x89\xfe")), E_PROTOCOL);
    assert_int_equal(decode(STR("\x88\xff")), E_PROTOCOL);
}

TEST(unmasking_is_right_for_every_alignment_length_and_phase)
{
    const uint8_t mask[4] = {0x12, 0x34, 0x56, 0x78};
    for (size_t at = 0; at < 9; at++) {
        for (size_t n = 0; n < 40; n++) {
            for (uint64_t phase = 0; phase < 5; phase++) {
                uint8_t bytes[64];
                for (size_t i = 0; i < sizeof(bytes); i++)
                    bytes[i] = (uint8_t)(i * 7);
                wsframe_unmask(bytes + at, n, mask, phase);
                for (size_t i = 0; i < sizeof(bytes); i++) {
                    uint8_t x = i >= at && i < at + n ? mask[(i - at + phase) % 4] : 0;
                    assert_int_equal(bytes[i], (uint8_t)(i * 7) ^ x);
                }
            }
        }
    }
}

TEST(the_examples_of_the_rfc)
{
    uint8_t hello[] = {0x7f, 0x9f, 0x4d, 0x51, 0x58};
    wsframe_unmask(hello, 5, (const uint8_t *)"\x37\xfa\x21\x3d", 0);
    assert_memory_equal(hello, "Hello", 5);
    struct buf b = {0};
    wsframe_add(&b, WSFRAME_TEXT, STR("Hello"));
    assert_true(str_eq(buf_str(&b), STR("\x81\x05Hello")));
    buf_clear(&b);
    wsframe_add(&b, WSFRAME_PING, STR("Hello"));
    assert_true(str_eq(buf_str(&b), STR("\x89\x05Hello")));
    buf_clear(&b);
    wsframe_add_head(&b, WSFRAME_BINARY, false, 256);
    assert_true(str_eq(buf_str(&b), STR("\x82\x7e\x01\x00")));
    buf_clear(&b);
    wsframe_add_head(&b, WSFRAME_BINARY, false, 65536);
    assert_true(str_eq(buf_str(&b), STR("\x82\x7f\0\0\0\0\0\1\0\0")));
    buf_clear(&b);
    wsframe_add_head(&b, WSFRAME_TEXT, true, 7); /* RFC 7692 section 7.2.3.1 */
    assert_true(str_eq(buf_str(&b), STR("\xc1\x07")));
    buf_free(&b);
}

TEST(head_lengths_at_the_borders)
{
    uint8_t out[10];
    assert_int_equal(wsframe_put_head(out, WSFRAME_TEXT, false, 0), 2);
    assert_int_equal(wsframe_put_head(out, WSFRAME_TEXT, false, 125), 2);
    assert_int_equal(wsframe_put_head(out, WSFRAME_TEXT, false, 126), 4);
    assert_int_equal(wsframe_put_head(out, WSFRAME_TEXT, false, 65535), 4);
    assert_int_equal(wsframe_put_head(out, WSFRAME_TEXT, false, 65536), 10);
}

TEST(close_codes_that_may_be_sent)
{
    for (int code = 0; code < 66000; code++) {
        bool good = (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1011) ||
                    (code >= 1012 && code <= 1014) || (code >= 3000 && code <= 4999);
        assert_int_equal(wsframe_close_code_valid(code), good);
    }
    assert_false(wsframe_close_code_valid(-1));
}

static int decode_close(struct str payload, int *code)
{
    struct str reason;
    return wsframe_decode_close(payload, code, &reason);
}

TEST(close_payloads_are_checked)
{
    int code;
    struct str reason;
    assert_int_equal(wsframe_decode_close(STR("\x03\xe8"
                                              "bye"),
                                          &code, &reason),
                     0);
    assert_int_equal(code, 1000);
    assert_true(str_is(reason, "bye"));
    assert_int_equal(decode_close(STR(""), &code), 0);
    assert_int_equal(code, 1005);
    assert_int_equal(decode_close(STR("\x03"), &code), E_PROTOCOL);
    assert_int_equal(decode_close(STR("\x03\xed"), &code), E_PROTOCOL);
    assert_int_equal(decode_close(STR("\x03\xe8\xc3"), &code), E_BAD_UTF8);
    assert_int_equal(decode_close(STR("\x03\xe8\xed\xa0\x80"), &code), E_BAD_UTF8);
}

TEST(close_frames_are_written_within_their_limits)
{
    struct buf b = {0};
    wsframe_add_close(&b, 1000, STR("bye"));
    assert_true(str_eq(buf_str(&b), STR("\x88\x05\x03\xe8"
                                        "bye")));
    buf_clear(&b);
    wsframe_add_close(&b, 1005, STR("dropped"));
    assert_true(str_eq(buf_str(&b), STR("\x88\x00")));
    buf_clear(&b);
    wsframe_add_close(&b, 1006, STR(""));
    assert_true(str_eq(buf_str(&b), STR("\x88\x02\x03\xf3")));
    buf_clear(&b);
    /* 122 letters and a character of two bytes: it is left out, not cut in two */
    char reason[124];
    memset(reason, 'x', 122);
    memcpy(reason + 122, "\xc3\xa4", 2);
    wsframe_add_close(&b, 4403, str_of(reason, 124));
    assert_int_equal(b.n, 2 + 2 + 122);
    assert_int_equal(b.p[1], 124);
    buf_free(&b);
}
