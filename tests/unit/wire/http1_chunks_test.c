/* SPDX-License-Identifier: Apache-2.0 */
/* Chunked bodies, whole and byte by byte. */
#include "test.h"
#include "wire/http1_chunks.c"
#include "base/mem.h"
#include <stdio.h>

static struct http1_chunks c;

/* All of the input in pieces of `step` bytes; the body goes to *body. Bytes used, or E_*. */
static ptrdiff_t feed(struct str in, size_t step, uint64_t max, struct buf *body)
{
    size_t used = 0;
    http1_chunks_init(&c, max);
    while (used < in.n && !c.done) {
        struct str data, piece = str_head(str_skip(in, used), step);
        ptrdiff_t r = http1_chunks_feed(&c, piece, &data);
        if (r < 0)
            return r;
        assert_true(r > 0 && (size_t)r <= piece.n);
        buf_add_str(body, data);
        used += (size_t)r;
    }
    return (ptrdiff_t)used;
}

static ptrdiff_t run(struct str in, uint64_t max, struct buf *body)
{
    struct buf slow = {0};
    buf_clear(body);
    ptrdiff_t a = feed(in, 1, max, &slow);
    bool done = c.done;
    ptrdiff_t b = feed(in, SIZE_MAX, max, body);
    assert_int_equal(a, b);
    assert_int_equal(done, c.done);
    if (b >= 0)
        assert_true(str_eq(buf_str(&slow), buf_str(body)));
    buf_free(&slow);
    return b;
}

static void body_is(const char *in, const char *body)
{
    struct buf b = {0};
    ptrdiff_t r = run(str_from(in), 1000, &b);
    if (r != (ptrdiff_t)strlen(in) || !c.done || !str_is(buf_str(&b), body))
        fail_msg("%td (%s) for %s", r, c.detail ? c.detail : "", in);
    buf_free(&b);
}

static void refused_as(struct str in, int err)
{
    struct buf b = {0};
    ptrdiff_t r = run(in, 1000, &b);
    if (r != err)
        fail_msg("%td instead of %d for %.*s", r, err, STR_ARG(in));
    assert_non_null(c.detail);
    buf_free(&b);
}

static void refused(const char *in)
{
    refused_as(str_from(in), E_BAD_REQUEST);
}

TEST(chunks_become_a_body)
{
    body_is("0\r\n\r\n", "");
    body_is("5\r\nhello\r\n0\r\n\r\n", "hello");
    body_is("1\r\na\r\n00002\r\nbc\r\n000\r\n\r\n", "abc");
    body_is("A\r\n0123456789\r\na\r\nabcdefghij\r\n0\r\n\r\n", "0123456789abcdefghij");
    body_is("0000000000000002\r\n\r\n\r\n0\r\n\r\n", "\r\n");
}

TEST(what_follows_the_body_is_left)
{
    struct buf b = {0};
    struct str in = STR("1\r\nx\r\n0\r\n\r\nGET / HTTP/1.1\r\n");
    assert_int_equal(run(in, 10, &b), 11);
    assert_true(c.done);
    struct str data;
    assert_int_equal(http1_chunks_feed(&c, STR("x"), &data), 0);
    buf_free(&b);
}

TEST(extensions_are_checked_and_dropped)
{
    body_is("1;a\r\nx\r\n0;b=c;d=\"e\\\";\tf\";g\r\n\r\n", "x");
    body_is("1 ; a = b ;c\r\nx\r\n0\r\n\r\n", "x");
    body_is("1;a=\"\xc3\xa4\"\r\nx\r\n0\r\n\r\n", "x");
    refused("5;\nhello\r\n0\r\n\r\n");
    refused("5;\r\nhello\r\n0\r\n\r\n");
    refused("5;a\nhello\r\n0\r\n\r\n");
    refused("5;a=\r\nhello\r\n0\r\n\r\n");
    refused("5;a=\"b\r\n\"\r\nhello\r\n0\r\n\r\n");
    refused("5;a=\"b\\\r\n\"\r\nhello\r\n0\r\n\r\n");
    refused("5;a=\"b\"c\r\nhello\r\n0\r\n\r\n");
    refused("5;a b\r\nhello\r\n0\r\n\r\n");
    refused("5;a \r\nhello\r\n0\r\n\r\n");
    refused("5;=b\r\nhello\r\n0\r\n\r\n");
    refused("5;(\r\nhello\r\n0\r\n\r\n");
    refused("5;a\rb\r\nhello\r\n0\r\n\r\n");
}

TEST(sizes_are_plain_hex_of_at_most_sixteen_digits)
{
    static const char *const sizes[] = {"-1",  "+5",    "0x5", " 5", "5 ",
                                        "5 x", "\t5",   "g",   "",   "00000000000000005",
                                        "5,",  "5\x0b", "5\"", ".5"};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        char text[64];
        snprintf(text, sizeof(text), "%s\r\nhello\r\n0\r\n\r\n", sizes[i]);
        refused(text);
    }
    refused_as(STR("5\0\r\nhello\r\n"), E_BAD_REQUEST);
    refused_as(STR("ffffffffffffffff\r\nx"), E_TOO_LARGE);
    refused_as(STR("8000000000000000\r\nx"), E_TOO_LARGE);
    refused_as(STR("fffffffffffffffff\r\nx"), E_BAD_REQUEST);
}

TEST(lines_end_with_crlf_only)
{
    refused("5\nhello\r\n0\r\n\r\n");
    refused("5\rhello\r\n0\r\n\r\n");
    refused("5\r\nhello\n0\r\n\r\n");
    refused("5\r\nhello0\r\n\r\n");
    refused("5\r\nhelloX\r\n0\r\n\r\n");
    refused("5\r\nhello\r0\r\n\r\n");
    refused("0\r\n\n");
    refused("0\r\n\rX");
}

TEST(the_body_limit_is_seen_at_the_size)
{
    struct buf b = {0};
    assert_int_equal(run(STR("5\r\nhello\r\n5\r\nworld\r\n0\r\n\r\n"), 10, &b), 25);
    assert_int_equal(run(STR("5\r\nhello\r\n6\r\n"), 10, &b), E_TOO_LARGE);
    assert_int_equal(run(STR("b\r\n"), 10, &b), E_TOO_LARGE);
    assert_int_equal(b.n, 0);
    buf_free(&b);
}

TEST(trailers_are_checked_and_dropped)
{
    body_is("1\r\nx\r\n0\r\nX-Sum: abc\r\nEmpty:\r\n\r\n", "x");
    body_is("0\r\nA-Name-That-Is-Longer-Than-Any-Forbidden-One: x\r\n\r\n", "");
    refused("0\r\nContent-Length: 5\r\n\r\n");
    refused("0\r\nTRANSFER-encoding: chunked\r\n\r\n");
    refused("0\r\nhost: a\r\n\r\n");
    refused("0\r\nX: a\r\nAuthorization: b\r\n\r\n");
    refused("0\r\nproxy-authorization: b\r\n\r\n");
    refused("0\r\n X: a\r\n\r\n");
    refused("0\r\nX: a\r\n b\r\n\r\n");
    refused("0\r\nX : a\r\n\r\n");
    refused("0\r\n: a\r\n\r\n");
    refused("0\r\nX\r\n\r\n");
    refused("0\r\nX: a\n\r\n");
    refused("0\r\nX: a\rb\r\n\r\n");
    refused("0\r\nX: \x01\r\n\r\n");
    refused_as(STR("0\r\nX: \0\r\n\r\n"), E_BAD_REQUEST);
}

static struct str many(const char *piece, size_t times)
{
    static char *text;
    size_t n = strlen(piece);
    mem_free(text);
    text = times ? mem_new(n * times) : NULL;
    for (size_t i = 0; i < times; i++)
        memcpy(text + i * n, piece, n);
    return str_of(text, n * times);
}

TEST(floods_of_extensions_and_trailers_end)
{
    struct buf b = {0};
    struct str in = many(";a", 128 * 1024);
    char *text = mem_new(in.n + 1);
    text[0] = '1';
    memcpy(text + 1, in.p, in.n);
    assert_int_equal(run(str_of(text, in.n + 1), 1000, &b), E_HEADERS_TOO_LARGE);
    mem_free(text);
    assert_int_equal(run(many("1;a=bcdef\r\nx\r\n", 20000), 1 << 20, &b), E_HEADERS_TOO_LARGE);
    assert_int_equal(run(many("0\r\n", 1), 1000, &b), 3);
    in = many("X: yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\r\n", 30000);
    text = mem_new(in.n + 3);
    memcpy(text, "0\r\n", 3);
    memcpy(text + 3, in.p, in.n);
    assert_int_equal(run(str_of(text, in.n + 3), 1000, &b), E_HEADERS_TOO_LARGE);
    mem_free(text);
    many("", 0);
    buf_free(&b);
}

TEST(a_long_trailer_name_does_not_wrap_around)
{
    /* 256 + 4 characters must not look like the four of "host" */
    char text[320];
    memcpy(text, "0\r\n", 3);
    memset(text + 3, 'h', 260);
    memcpy(text + 263, ": x\r\n\r\n", 8);
    body_is(text, "");
}
