/* SPDX-License-Identifier: Apache-2.0 */
/* Request heads: what must be taken, what must be refused, and that neither depends on how the
 * bytes arrive. */
#include "test.h"
#include "wire/http1.c"
#include "base/mem.h"
#include <stdio.h>

static const struct http1_limits limits = {16384, 8192, 100};
static struct http1_header room[128];
static struct http1_head head;

/* The head byte by byte, each time in another place in memory. */
static int dribble(struct str text, const struct http1_limits *lim)
{
    struct http1_header own[128];
    struct http1_head h;
    char *places[2] = {NULL, NULL};
    int r = 0;
    http1_head_init(&h, own, 128);
    for (size_t n = 1; n <= text.n && r == 0; n++) {
        places[n & 1] = mem_new(n);
        memcpy(places[n & 1], text.p, n);
        mem_free(places[~n & 1]);
        places[~n & 1] = NULL;
        r = http1_parse_head(str_of(places[n & 1], n), lim, &h);
    }
    if (r > 0 && h.headers_count) /* views are into the bytes of the last call */
        assert_true(h.headers[0].name.p > places[r & 1] && h.headers[0].name.p < places[r & 1] + r);
    mem_free(places[0]);
    mem_free(places[1]);
    return r;
}

static int parse_limited(struct str text, const struct http1_limits *lim)
{
    http1_head_init(&head, room, 128);
    int r = http1_parse_head(text, lim, &head);
    int slow = dribble(text, lim);
    if (r != slow)
        fail_msg("whole %d, byte by byte %d: %.*s", r, slow, STR_ARG(text));
    return r;
}

static int parse(const char *text)
{
    return parse_limited(str_from(text), &limits);
}

#define assert_str(s, z)                                                                           \
    do {                                                                                           \
        if (!str_is(s, z))                                                                         \
            fail_msg("\"%.*s\" is not \"%s\"", STR_ARG(s), z);                                     \
    } while (0)

#define GET "GET / HTTP/1.1\r\n"
#define HOST "Host: a.example\r\n"

static void refused(const char *text, int err)
{
    int r = parse(text);
    if (r != err)
        fail_msg("%d instead of %d for: %s", r, err, text);
    assert_non_null(head.detail);
}

static void bad_head(const char *text)
{
    refused(text, E_BAD_REQUEST);
}

static void taken(const char *text)
{
    int r = parse(text);
    if (r != (int)strlen(text))
        fail_msg("%d (%s) for: %s", r, head.detail ? head.detail : "", text);
}

TEST(a_plain_request_is_read)
{
    taken("GET /a/b?x=1&y=%20 HTTP/1.1\r\nHost: a.example:8080\r\nUser-Agent: \t x y \t\r\n\r\n");
    assert_str(head.method, "GET");
    assert_str(head.target, "/a/b?x=1&y=%20");
    assert_str(head.path, "/a/b");
    assert_str(head.query, "x=1&y=%20");
    assert_str(head.host, "a.example:8080");
    assert_int_equal(head.version_minor, 1);
    assert_int_equal(head.headers_count, 2);
    assert_str(head.headers[1].name, "User-Agent");
    assert_str(head.headers[1].value, "x y");
    assert_true(head.keep_alive);
    assert_false(head.chunked || head.upgrade || head.expect_continue);
    assert_int_equal(head.content_length, -1);
    taken("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_null(head.query.p);
    taken("GET /? HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_non_null(head.query.p);
}

TEST(only_the_head_is_used_and_the_rest_is_left)
{
    const char *two = GET HOST "\r\nGET /next HTTP/1.1\r\nHost: b\r\n\r\n";
    http1_head_init(&head, room, 128);
    int r = http1_parse_head(str_from(two), &limits, &head);
    assert_int_equal(r, strlen(GET HOST "\r\n"));
    http1_head_init(&head, room, 128);
    assert_true(http1_parse_head(str_from(two + r), &limits, &head) > 0);
    assert_str(head.path, "/next");
    /* garbage behind a complete head does not matter to it */
    http1_head_init(&head, room, 128);
    assert_true(http1_parse_head(str_from(GET HOST "\r\n\x01\n\n"), &limits, &head) > 0);
}

TEST(one_crlf_before_a_request_is_skipped_and_no_more)
{
    taken("\r\n" GET HOST "\r\n");
    assert_str(head.path, "/");
    bad_head("\r\n\r\n" GET HOST "\r\n");
    bad_head("\n" GET HOST "\r\n");
    bad_head(" " GET HOST "\r\n");
    bad_head("\r\r\n" GET HOST "\r\n");
}

TEST(an_unfinished_head_asks_for_more)
{
    const char *text = GET HOST "X: y\r\n\r\n";
    for (size_t n = 0; n < strlen(text); n++) {
        http1_head_init(&head, room, 128);
        assert_int_equal(http1_parse_head(str_of(text, n), &limits, &head), 0);
    }
}

TEST(line_ends_other_than_crlf_are_refused)
{
    bad_head("GET / HTTP/1.1\nHost: a\r\n\r\n");
    bad_head(GET "Host: a\n\r\n");
    bad_head(GET "Host: a\r\n\n");
    bad_head(GET "Host: a\r\n\r\r\n");
    bad_head(GET "Host: a\rX: b\r\n\r\n");
    bad_head(GET "Host: a\r\nX: a\rb\r\n\r\n");
    bad_head("GET /\r HTTP/1.1\r\nHost: a\r\n\r\n");
}

TEST(control_characters_are_refused_wherever_they_stand)
{
    for (int c = 1; c < 256; c++) {
        char text[128];
        snprintf(text, sizeof(text), GET HOST "X: a%cb\r\n\r\n", c);
        bool control = (c < 0x20 && c != '\t') || c == 0x7f;
        assert_int_equal(parse(text) > 0, !control);
        if (c == '?' || c == '/')
            continue;
        snprintf(text, sizeof(text), "GET /a%cb HTTP/1.1\r\n" HOST "\r\n", c);
        assert_int_equal(parse(text) > 0, c > 0x20 && c < 0x7f && c != '#');
    }
    assert_int_equal(parse_limited(STR(GET HOST "X: a\0b\r\n\r\n"), &limits), E_BAD_REQUEST);
    assert_int_equal(parse_limited(STR(GET "Ho\0st: a\r\n\r\n"), &limits), E_BAD_REQUEST);
    assert_int_equal(parse_limited(STR("GET /\0 HTTP/1.1\r\n\r\n"), &limits), E_BAD_REQUEST);
}

TEST(request_lines_that_are_not_exactly_three_parts_are_refused)
{
    bad_head("GET  / HTTP/1.1\r\n" HOST "\r\n");
    bad_head("GET /  HTTP/1.1\r\n" HOST "\r\n");
    bad_head("GET / HTTP/1.1 \r\n" HOST "\r\n");
    bad_head("GET\t/ HTTP/1.1\r\n" HOST "\r\n");
    bad_head("GET /a b HTTP/1.1\r\n" HOST "\r\n");
    bad_head("GET /\r\n\r\n");
    bad_head("GET\r\n\r\n");
    bad_head("GET / \r\n" HOST "\r\n");
    bad_head(" / HTTP/1.1\r\n" HOST "\r\n");
    bad_head("G@T / HTTP/1.1\r\n" HOST "\r\n");
    bad_head("G\xc3\x84T / HTTP/1.1\r\n" HOST "\r\n");
    bad_head("ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEFGHIJ / HTTP/1.1\r\n" HOST "\r\n");
    taken("M-SEARCH / HTTP/1.1\r\n" HOST "\r\n");
}

TEST(versions_are_exact)
{
    taken("GET / HTTP/1.0\r\n\r\n");
    assert_int_equal(head.version_minor, 0);
    taken("GET / HTTP/1.2\r\n" HOST "\r\n");
    assert_int_equal(head.version_minor, 1);
    refused("GET / HTTP/2.0\r\n" HOST "\r\n", E_VERSION);
    refused("GET / HTTP/0.9\r\n" HOST "\r\n", E_VERSION);
    refused("GET / HTTP/3.0\r\n" HOST "\r\n", E_VERSION);
    refused("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", E_VERSION);
    bad_head("GET / http/1.1\r\n" HOST "\r\n");
    bad_head("GET / HTTP/1.10\r\n" HOST "\r\n");
    bad_head("GET / HTTP/01.1\r\n" HOST "\r\n");
    bad_head("GET / HTTP/1\r\n" HOST "\r\n");
    bad_head("GET / HTTP/1,1\r\n" HOST "\r\n");
    bad_head("GET / HTTP/1.x\r\n" HOST "\r\n");
    bad_head("GET / HTTPS/1.1\r\n" HOST "\r\n");
    bad_head("GET / HTTP /1.1\r\n" HOST "\r\n");
}

TEST(header_names_are_tokens_up_to_the_colon)
{
    bad_head(GET "Host : a\r\n\r\n");
    bad_head(GET HOST "X : a\r\n\r\n");
    bad_head(GET HOST "X\t: a\r\n\r\n");
    bad_head(GET HOST "nocolon\r\n\r\n");
    bad_head(GET HOST ": empty\r\n\r\n");
    bad_head(GET HOST "X(y): a\r\n\r\n");
    bad_head(GET HOST "X y: a\r\n\r\n");
    bad_head(GET HOST "X\xe4: a\r\n\r\n");
    bad_head(GET HOST "\"X\": a\r\n\r\n");
    taken(GET HOST "!#$%&'*+-.^_`|~09azAZ:\r\n\r\n");
    assert_int_equal(head.headers[1].value.n, 0);
}

TEST(folded_lines_are_refused)
{
    bad_head(GET HOST "X: a\r\n b\r\n\r\n");
    bad_head(GET HOST "X: a\r\n\tb\r\n\r\n");
    bad_head(GET HOST "X: a\r\n \r\n\r\n");
    bad_head(GET " Host: a\r\n\r\n");
    /* already when the line begins */
    http1_head_init(&head, room, 128);
    assert_int_equal(http1_parse_head(STR(GET HOST " "), &limits, &head), E_BAD_REQUEST);
}

TEST(host_is_there_once_and_well_formed)
{
    bad_head(GET "\r\n");
    bad_head(GET HOST HOST "\r\n");
    bad_head(GET "Host: a\r\nHost: b\r\n\r\n");
    bad_head(GET "Host: a\r\nhOST: a\r\n\r\n");
    static const char *const wrong[] = {
        "",          "a b",     "a@b",        "a/b",      "a,b",     "a?b",    "http://a", "a:b",
        "a:-1",      "a:65536", "a:99999999", ":80",      "[::1",    "[::1]x", "[g::1]",   "[]",
        "[1.2.3.4]", "a\\b",    "a#b",        "\xc3\xa4", "a:80:80", "[::1]:x"};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        char text[128];
        snprintf(text, sizeof(text), GET "Host: %s\r\n\r\n", wrong[i]);
        bad_head(text);
    }
    static const char *const right[] = {
        "a",     "a.b-c_d~e", "127.0.0.1", "127.0.0.1:8787",
        "[::1]", "[::1]:80",  "a:",        "[::ffff:1.2.3.4]:65535"};
    for (size_t i = 0; i < sizeof(right) / sizeof(right[0]); i++) {
        char text[128];
        snprintf(text, sizeof(text), GET "Host:%s\r\n\r\n", right[i]);
        taken(text);
        assert_str(head.host, right[i]);
    }
    taken(GET "Host:\ta\t\r\n\r\n");
    assert_str(head.host, "a");
    taken("GET / HTTP/1.0\r\n\r\n");
    taken("GET / HTTP/1.0\r\nHost:\r\n\r\n");
    bad_head("GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n");
    bad_head("GET / HTTP/1.0\r\nHost: a b\r\n\r\n");
}

TEST(target_forms)
{
    taken("GET http://a.example HTTP/1.1\r\n" HOST "\r\n");
    assert_str(head.path, "/");
    assert_int_equal(head.form, HTTP1_ABSOLUTE);
    taken("GET HTTP://A.example/x?y HTTP/1.1\r\n" HOST "\r\n");
    assert_str(head.path, "/x");
    assert_str(head.query, "y");
    taken("GET https://a.example?y HTTP/1.1\r\n" HOST "\r\n");
    assert_str(head.path, "/");
    assert_str(head.query, "y");
    taken("GET http://a.example/ HTTP/1.0\r\n\r\n");
    assert_str(head.host, "a.example");
    bad_head("GET http://b.example/ HTTP/1.1\r\n" HOST "\r\n");
    bad_head("GET http://a.example:80/ HTTP/1.1\r\n" HOST "\r\n");
    bad_head("GET http:///x HTTP/1.1\r\n" HOST "\r\n");
    bad_head("GET http://u@a.example/ HTTP/1.1\r\n" HOST "\r\n");
    bad_head("GET http:a.example HTTP/1.1\r\n" HOST "\r\n");
    bad_head("GET ftp://a.example/ HTTP/1.1\r\n" HOST "\r\n");
    bad_head("GET a.example HTTP/1.1\r\n" HOST "\r\n");
    bad_head("GET x/y HTTP/1.1\r\n" HOST "\r\n");
    bad_head("GET ?x HTTP/1.1\r\n" HOST "\r\n");
    bad_head("GET http://a.example/ HTTP/1.1\r\n\r\n");
    taken("OPTIONS * HTTP/1.1\r\n" HOST "\r\n");
    assert_int_equal(head.form, HTTP1_ASTERISK);
    bad_head("GET * HTTP/1.1\r\n" HOST "\r\n");
    bad_head("OPTIONS ** HTTP/1.1\r\n" HOST "\r\n");
    refused("CONNECT a.example:443 HTTP/1.1\r\n" HOST "\r\n", E_METHOD_NOT_ALLOWED);
    bad_head("GET /#x HTTP/1.1\r\n" HOST "\r\n");
}

#define POST "POST / HTTP/1.1\r\n" HOST

TEST(content_length_is_one_plain_number)
{
    taken(POST "Content-Length: 5\r\n\r\n");
    assert_int_equal(head.content_length, 5);
    taken(POST "content-length: 0\r\n\r\n");
    assert_int_equal(head.content_length, 0);
    taken(POST "Content-Length: 9223372036854775807\r\n\r\n");
    assert_true(head.content_length == INT64_MAX);
    static const char *const wrong[] = {"",
                                        "+5",
                                        "-5",
                                        "0x5",
                                        "5 5",
                                        "5,5",
                                        "5, 5",
                                        "5, 6",
                                        "5;",
                                        "5.0",
                                        "1e3",
                                        "five",
                                        "\"5\"",
                                        "9223372036854775808",
                                        "18446744073709551621",
                                        "99999999999999999999999",
                                        "5\t5",
                                        "\x0b"
                                        "5"};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        char text[160];
        snprintf(text, sizeof(text), POST "Content-Length: %s\r\n\r\n", wrong[i]);
        bad_head(text);
    }
    bad_head(POST "Content-Length: 5\r\nContent-Length: 5\r\n\r\n");
    bad_head(POST "Content-Length: 5\r\nContent-Length: 6\r\n\r\n");
    bad_head(POST "Content-Length : 5\r\n\r\n");
}

TEST(transfer_encoding_is_chunked_alone_or_refused)
{
    taken(POST "Transfer-Encoding: chunked\r\n\r\n");
    assert_true(head.chunked);
    taken(POST "TRANSFER-ENCODING:\tChunked \r\n\r\n");
    assert_true(head.chunked);
    static const char *const wrong[] = {"",
                                        "xchunked",
                                        "identity",
                                        "chunked, identity",
                                        "identity, chunked",
                                        "gzip",
                                        "gzip, chunked",
                                        "chunked, chunked",
                                        "\"chunked\"",
                                        "'chunked'",
                                        "chunked;x",
                                        "chunked,",
                                        ", chunked",
                                        "chun ked",
                                        "chunked\x0b",
                                        "\x0b"
                                        "chunked",
                                        "chunked\x0c",
                                        "c hunked",
                                        "chunke"};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        char text[160];
        snprintf(text, sizeof(text), POST "Transfer-Encoding: %s\r\n\r\n", wrong[i]);
        bad_head(text);
    }
    bad_head(POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n");
    bad_head(POST "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n\r\n");
    bad_head(POST "Transfer-Encoding : chunked\r\n\r\n");
    bad_head(POST "Transfer-Encoding:\r\n chunked\r\n\r\n");
    bad_head(POST "Transfer-Encoding: \nchunked\r\n\r\n");
    bad_head(POST "X: y\rTransfer-Encoding: chunked\r\n\r\n");
    bad_head(POST "X: y\nTransfer-Encoding: chunked\r\n\r\n");
    bad_head("POST / HTTP/1.0\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n");
    assert_int_equal(parse_limited(STR(POST "Transfer-Encoding: chunked\0\r\n\r\n"), &limits),
                     E_BAD_REQUEST);
}

TEST(both_ways_of_framing_are_refused_in_either_order)
{
    bad_head(POST "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n");
    bad_head(POST "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n");
    bad_head(POST "Transfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n");
}

TEST(keep_alive_follows_version_and_connection)
{
    taken(GET HOST "Connection: close\r\n\r\n");
    assert_false(head.keep_alive);
    taken(GET HOST "Connection: x, CLOSE ,y\r\n\r\n");
    assert_false(head.keep_alive);
    taken(GET HOST "Connection: keep-alive\r\nConnection: close\r\n\r\n");
    assert_false(head.keep_alive);
    taken(GET HOST "Connection: closed\r\n\r\n");
    assert_true(head.keep_alive);
    taken("GET / HTTP/1.0\r\n\r\n");
    assert_false(head.keep_alive);
    taken("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n");
    assert_true(head.keep_alive);
}

TEST(upgrade_needs_both_headers_and_http_1_1)
{
    taken(GET HOST "Connection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\r\n");
    assert_true(head.upgrade);
    taken(GET HOST "Upgrade: websocket\r\n\r\n");
    assert_false(head.upgrade);
    taken(GET HOST "Connection: upgrade\r\n\r\n");
    assert_false(head.upgrade);
    taken("GET / HTTP/1.0\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n");
    assert_false(head.upgrade);
}

TEST(expectations)
{
    taken(POST "Expect: 100-Continue\r\nContent-Length: 1\r\n\r\n");
    assert_true(head.expect_continue);
    refused(POST "Expect: 200-ok\r\n\r\n", E_EXPECTATION);
    refused(POST "Expect:\r\n\r\n", E_EXPECTATION);
    taken("POST / HTTP/1.0\r\nExpect: 100-continue\r\n\r\n");
    assert_false(head.expect_continue);
}

static struct str repeated(char c, size_t n, const char *before, const char *after)
{
    static char *text;
    size_t a = strlen(before), b = strlen(after);
    mem_free(text);
    text = mem_new(a + n + b + 1);
    memcpy(text, before, a);
    memset(text + a, c, n);
    memcpy(text + a + n, after, b);
    struct str s = str_of(text, a + n + b);
    return s;
}

TEST(limits_hold_and_say_which)
{
    struct http1_limits small = {200, 50, 3};
    const char *end = " HTTP/1.1\r\nHost: a\r\n\r\n";
    assert_true(parse_limited(repeated('a', 49, "GET /", end), &small) > 0);
    assert_int_equal(parse_limited(repeated('a', 50, "GET /", end), &small), E_URI_TOO_LONG);
    assert_int_equal(parse_limited(repeated('a', 5000, "GET /", end), &small), E_URI_TOO_LONG);
    assert_int_equal(parse_limited(repeated('a', 5000, "GET /", ""), &small), E_URI_TOO_LONG);
    /* head: exactly at the limit, and one above it */
    size_t fixed = strlen("GET / HTTP/1.1\r\nHost: a\r\nX: \r\n\r\n");
    const char *begin = "GET / HTTP/1.1\r\nHost: a\r\nX: ";
    assert_int_equal(parse_limited(repeated('x', 200 - fixed, begin, "\r\n\r\n"), &small), 200);
    assert_int_equal(parse_limited(repeated('x', 201 - fixed, begin, "\r\n\r\n"), &small),
                     E_HEADERS_TOO_LARGE);
    assert_int_equal(parse_limited(repeated('x', 9000, begin, ""), &small), E_HEADERS_TOO_LARGE);
    assert_true(parse_limited(STR(GET "Host: a\r\nA:1\r\nB:2\r\n\r\n"), &small) > 0);
    assert_int_equal(parse_limited(STR(GET "Host: a\r\nA:1\r\nB:2\r\nC:3\r\n\r\n"), &small),
                     E_HEADERS_TOO_LARGE);
    repeated('x', 0, "", "");
}

TEST(the_room_for_headers_is_a_limit_too)
{
    http1_head_init(&head, room, 1);
    assert_int_equal(http1_parse_head(STR(GET HOST "A: b\r\n\r\n"), &limits, &head),
                     E_HEADERS_TOO_LARGE);
}

TEST(nonsense_is_refused_at_its_first_bytes)
{
    static const char *const early[] = {"\x16\x03\x01",
                                        "(",
                                        "GET\t",
                                        "GET@/ ",
                                        "\x80",
                                        " ",
                                        "ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEFGHI",
                                        "\n",
                                        "\rG",
                                        "{\"a\":1}"};
    for (size_t i = 0; i < sizeof(early) / sizeof(early[0]); i++)
        assert_int_equal(parse(early[i]), E_BAD_REQUEST);
}

TEST(many_equal_names_cost_no_more_than_their_number)
{
    struct http1_limits wide = {1 << 20, 8192, 100};
    char *text = mem_new(1 << 20);
    size_t n = (size_t)sprintf(text, GET HOST);
    for (int i = 0; i < 10000; i++)
        n += (size_t)sprintf(text + n, "X: y\r\n");
    http1_head_init(&head, room, 128);
    assert_int_equal(http1_parse_head(str_of(text, n), &wide, &head), E_HEADERS_TOO_LARGE);
    assert_int_equal(head.headers_count, 100);
    mem_free(text);
}

TEST(headers_are_found_in_any_case)
{
    taken(GET HOST "X-Y: 1\r\nx-y: 2\r\n\r\n");
    assert_str(http1_header_get(head.headers, head.headers_count, "x-Y"), "1");
    assert_null(http1_header_get(head.headers, head.headers_count, "z").p);
}

TEST(lists_hold_whole_tokens)
{
    assert_true(http1_list_has(STR("a,b , Upgrade\t,c"), "upgrade"));
    assert_false(http1_list_has(STR("upgrades, xupgrade"), "upgrade"));
    assert_false(http1_list_has(STR(""), "upgrade"));
    assert_false(http1_list_has(STR_NONE, "upgrade"));
}

TEST(accepted_codings_are_weighed)
{
    assert_int_equal(http1_accept_q(STR("gzip, deflate, br"), "gzip"), 1000);
    assert_int_equal(http1_accept_q(STR("br;q=0.5, gzip ; Q=0.125"), "gzip"), 125);
    assert_int_equal(http1_accept_q(STR("gzip;q=0"), "gzip"), 0);
    assert_int_equal(http1_accept_q(STR("gzip;q=0.000, *"), "gzip"), 0);
    assert_int_equal(http1_accept_q(STR("*;q=0.3"), "br"), 300);
    assert_int_equal(http1_accept_q(STR("identity"), "br"), 0);
    assert_int_equal(http1_accept_q(STR_NONE, "br"), 0);
    assert_int_equal(http1_accept_q(STR("br;q=2"), "br"), 0);
    assert_int_equal(http1_accept_q(STR("br;q=1.000"), "br"), 1000);
    assert_int_equal(http1_accept_q(STR("br;q=1.001"), "br"), 0);
    assert_int_equal(http1_accept_q(STR("br;q=x"), "br"), 0);
    assert_int_equal(http1_accept_q(STR("br;q=12"), "br"), 0);
    assert_int_equal(http1_accept_q(STR("br;q=0.1234"), "br"), 0);
}

TEST(answers_are_written)
{
    struct buf b = {0};
    http1_add_status(&b, 431);
    http1_add_header(&b, "X",
                     STR("a\r\nInjected: 1\t\x7f"
                         "\xc3\xa4"));
    http1_add_chunk_head(&b, 0);
    http1_add_chunk_head(&b, 0x1a2b);
    assert_str(buf_str(&b), "HTTP/1.1 431 Request Header Fields Too Large\r\n"
                            "X: a  Injected: 1\t \xc3\xa4\r\n0\r\n1a2b\r\n");
    assert_string_equal(http1_status_text(299), "Unknown");
    buf_free(&b);
}

TEST(dates_are_right_over_the_centuries)
{
    static const struct {
        int64_t s;
        const char *text;
    } rows[] = {{0, "Thu, 01 Jan 1970 00:00:00 GMT"},
                {784111777, "Sun, 06 Nov 1994 08:49:37 GMT"},
                {951782400, "Tue, 29 Feb 2000 00:00:00 GMT"},
                {951868799, "Tue, 29 Feb 2000 23:59:59 GMT"},
                {1709164800, "Thu, 29 Feb 2024 00:00:00 GMT"},
                {2147483648, "Tue, 19 Jan 2038 03:14:08 GMT"},
                {4107542399, "Sun, 28 Feb 2100 23:59:59 GMT"},
                {4107542400, "Mon, 01 Mar 2100 00:00:00 GMT"},
                {253402300799, "Fri, 31 Dec 9999 23:59:59 GMT"},
                {INT64_MAX, "Fri, 31 Dec 9999 23:59:59 GMT"},
                {-5, "Thu, 01 Jan 1970 00:00:00 GMT"}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct buf b = {0};
        http1_add_date(&b, rows[i].s);
        assert_str(buf_str(&b), rows[i].text);
        assert_int_equal(b.n, 29);
        buf_free(&b);
    }
}
