/* SPDX-License-Identifier: Apache-2.0 */
/* What is written as an event stream, and what a reader of one would make of it. */
#include "test.h"
#include "wire/sse.c"

static struct buf b;

static void wrote(const char *z)
{
    if (!str_is(buf_str(&b), z))
        fail_msg("\"%.*s\" is not \"%s\"", STR_ARG(buf_str(&b)), z);
    buf_free(&b);
}

TEST(an_event_has_its_lines)
{
    assert_int_equal(sse_add_event(&b, STR("user-joined"), STR("k3-43"), STR("{\"a\":1}")), 0);
    wrote("event: user-joined\nid: k3-43\ndata: {\"a\":1}\n\n");
    assert_int_equal(sse_add_event(&b, STR_NONE, STR_NONE, STR("x")), 0);
    wrote("data: x\n\n");
}

TEST(data_is_split_at_every_line_end)
{
    sse_add_event(&b, STR_NONE, STR_NONE, STR("a\nb\r\nc\rd\n\re"));
    wrote("data: a\ndata: b\ndata: c\ndata: d\ndata: \ndata: e\n\n");
    sse_add_event(&b, STR_NONE, STR_NONE, STR("a\n"));
    wrote("data: a\ndata: \n\n");
    sse_add_event(&b, STR_NONE, STR_NONE, STR("\r\n"));
    wrote("data: \ndata: \n\n");
    sse_add_event(&b, STR_NONE, STR_NONE, STR("a\r"));
    wrote("data: a\ndata: \n\n");
}

TEST(empty_data_is_still_an_event)
{
    sse_add_event(&b, STR_NONE, STR_NONE, STR(""));
    wrote("data: \n\n");
    sse_add_event(&b, STR_NONE, STR_NONE, STR_NONE);
    wrote("data: \n\n");
}

TEST(line_ends_and_nul_cannot_be_smuggled_into_names_and_ids)
{
    struct str wrong[] = {STR("a\nb"), STR("a\rb"), STR("\n"), STR("a\0b")};
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(sse_add_event(&b, wrong[i], STR_NONE, STR("x")), E_BAD_REQUEST);
        assert_int_equal(sse_add_event(&b, STR_NONE, wrong[i], STR("x")), E_BAD_REQUEST);
        assert_int_equal(sse_add_id(&b, wrong[i]), E_BAD_REQUEST);
    }
    assert_int_equal(sse_add_id(&b, STR("")), E_BAD_REQUEST);
    assert_int_equal(b.n, 0);
}

TEST(ids_comments_and_retry)
{
    assert_int_equal(sse_add_id(&b, STR("k-1")), 0);
    sse_add_comment(&b, STR("ping"));
    sse_add_comment(&b, STR("a\nevent: evil"));
    sse_add_comment(&b, STR_NONE);
    sse_add_retry(&b, 2000);
    wrote("id: k-1\n\n: ping\n\n: a\n: event: evil\n\n: \n\nretry: 2000\n\n");
}
