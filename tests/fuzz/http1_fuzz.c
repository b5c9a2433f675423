/* SPDX-License-Identifier: Apache-2.0 */
/* The first byte says into what pieces the rest is cut. As a request head, then what follows it
 * (or all of it) as a chunked body: the pieces must not change the answer, and what was accepted
 * must hold what the parser promises. */
#include "base/check.h"
#include "base/err.h"
#include "base/mem.h"
#include "wire/http1.h"

enum { HEADERS = 24, BODY_MAX = 4096 };
static const struct http1_limits limits = {2048, 512, 20};

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

static bool inside(struct str part, struct str whole)
{
    return part.n == 0 || (part.p >= whole.p && part.p + part.n <= whole.p + whole.n);
}

static void check_head(const struct http1_head *h, struct str bytes, int r)
{
    struct str head = str_head(bytes, (size_t)r);
    CHECK((size_t)r <= bytes.n && (size_t)r <= limits.head_bytes_max + 2);
    CHECK(str_ends(head, STR("\r\n\r\n")));
    CHECK(h->headers_count <= limits.headers_max && h->target.n <= limits.target_bytes_max);
    CHECK(inside(h->method, head) && inside(h->target, head) && inside(h->query, head));
    CHECK(http1_token_valid(h->method) && h->path.n > 0);
    CHECK(h->path.p[0] == '/' || (h->form == HTTP1_ASTERISK && str_is(h->path, "*")));
    CHECK(h->host.n > 0 || h->version_minor == 0);
    CHECK(!h->chunked || (h->content_length == -1 && h->version_minor == 1));
    CHECK(!h->upgrade || h->version_minor == 1);
    for (size_t i = 0; i < h->headers_count; i++) {
        struct str value = h->headers[i].value;
        CHECK(inside(h->headers[i].name, head) && inside(value, head));
        CHECK(http1_token_valid(h->headers[i].name));
        for (size_t k = 0; k < value.n; k++)
            CHECK((unsigned char)value.p[k] >= 0x20 || value.p[k] == '\t');
        http1_list_has(value, "close");
        int q = http1_accept_q(value, "gzip");
        CHECK(q >= 0 && q <= 1000);
    }
}

/* In pieces, each time in other memory. */
static int parse_cut(struct str bytes, size_t step)
{
    struct http1_header room[HEADERS];
    struct http1_head h;
    char *last = NULL;
    int r = 0;
    http1_head_init(&h, room, HEADERS);
    for (size_t n = 0; r == 0 && n < bytes.n;) {
        n = bytes.n - n < step ? bytes.n : n + step;
        char *copy = mem_new(n);
        memcpy(copy, bytes.p, n);
        mem_free(last);
        last = copy;
        r = http1_parse_head(str_of(copy, n), &limits, &h);
    }
    if (r > 0)
        check_head(&h, str_of(last, bytes.n), r);
    mem_free(last);
    return r;
}

static size_t fuzz_head(struct str bytes, size_t step)
{
    struct http1_header room[HEADERS];
    struct http1_head h;
    http1_head_init(&h, room, HEADERS);
    int r = http1_parse_head(bytes, &limits, &h);
    CHECK(r >= 0 || h.detail);
    if (r > 0)
        check_head(&h, bytes, r);
    int cut = parse_cut(bytes, step);
    /* A broken head may be found broken for another reason when more of it is seen. */
    CHECK(r == cut || (r < 0 && cut < 0));
    return r > 0 ? (size_t)r : 0;
}

static ptrdiff_t chunks(struct str in, size_t step, struct buf *body)
{
    struct http1_chunks c;
    size_t used = 0;
    http1_chunks_init(&c, BODY_MAX);
    while (used < in.n && !c.done) {
        struct str data, piece = str_head(str_skip(in, used), step);
        ptrdiff_t r = http1_chunks_feed(&c, piece, &data);
        if (r < 0) {
            CHECK(c.detail);
            return r;
        }
        CHECK(r > 0 && (size_t)r <= piece.n && inside(data, piece));
        buf_add_str(body, data);
        used += (size_t)r;
    }
    CHECK(body->n <= BODY_MAX && c.body_bytes == body->n);
    return c.done ? (ptrdiff_t)used : 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    struct buf whole = {0}, cut = {0};
    if (n == 0)
        return 0;
    size_t step = (bytes[0] & 63) + 1u;
    struct str in = str_of((const char *)bytes + 1, n - 1);
    in = str_skip(in, fuzz_head(in, step));
    ptrdiff_t r = chunks(in, SIZE_MAX, &whole);
    CHECK(r == chunks(in, step, &cut));
    CHECK(r < 0 || str_eq(buf_str(&whole), buf_str(&cut)));
    buf_free(&whole);
    buf_free(&cut);
    return 0;
}
