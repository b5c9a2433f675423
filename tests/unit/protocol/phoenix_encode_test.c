/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"

#include "protocol/phoenix_encode.c"

static void expect(struct buf *out, const char *text)
{
    assert_int_equal(out->n, strlen(text));
    assert_memory_equal(out->p, text, out->n);
    buf_clear(out);
}

TEST(a_key_that_was_handed_over_leaves_in_a_frame_before_it_joins)
{
    const struct presence_meta bob = {.ref = 1, .meta = STR("{\"v\":1}")};
    const struct presence_meta old = {.ref = 2, .meta = STR("{\"v\":2}"), .is_handed = true};
    const struct presence_meta now = {.ref = 3, .ref_prev = 2, .meta = STR("{\"v\":3}")};
    const struct presence_entry joins[] = {{.key = STR("ann"), .metas = &now, .metas_count = 1}};
    const struct presence_entry leaves[] = {{.key = STR("bob"), .metas = &bob, .metas_count = 1},
                                            {.key = STR("ann"), .metas = &old, .metas_count = 1}};
    const struct presence_update u = {
        .joins = joins, .joins_count = 1, .leaves = leaves, .leaves_count = 2};
    struct buf out = {0};
    assert_true(phoenix_encode_handover(2, STR("private:r"), &u, &out));
    expect(&out, "[null,null,\"realtime:r\",\"presence_diff\",{\"joins\":{},\"leaves\":{\"ann\":"
                 "{\"metas\":[{\"v\":2,\"phx_ref\":\"2\"}]}}}]");
    phoenix_encode_presence(1, STR("r"), &u, &out);
    expect(&out, "{\"topic\":\"realtime:r\",\"event\":\"presence_diff\",\"payload\":{\"joins\":"
                 "{\"ann\":{\"metas\":[{\"v\":3,\"phx_ref\":\"3\",\"phx_ref_prev\":\"2\"}]}},"
                 "\"leaves\":{\"bob\":{\"metas\":[{\"v\":1,\"phx_ref\":\"1\"}]}}},\"ref\":null}");
    buf_free(&out);
}

TEST(an_update_by_the_same_session_is_one_frame)
{
    const struct presence_meta mine = {.ref = 2, .meta = STR("{}")};
    const struct presence_meta now = {.ref = 3, .ref_prev = 2, .meta = STR("{\"v\":3}")};
    const struct presence_entry joins[] = {{.key = STR("ann"), .metas = &now, .metas_count = 1}};
    const struct presence_entry leaves[] = {{.key = STR("ann"), .metas = &mine, .metas_count = 1}};
    const struct presence_update u = {
        .joins = joins, .joins_count = 1, .leaves = leaves, .leaves_count = 1};
    struct buf out = {0};
    assert_false(phoenix_encode_handover(2, STR("r"), &u, &out));
    assert_int_equal(out.n, 0);
    phoenix_encode_presence(2, STR("r"), &u, &out);
    expect(&out, "[null,null,\"realtime:r\",\"presence_diff\",{\"joins\":{\"ann\":{\"metas\":[{"
                 "\"v\":3,\"phx_ref\":\"3\",\"phx_ref_prev\":\"2\"}]}},\"leaves\":{\"ann\":"
                 "{\"metas\":[{\"phx_ref\":\"2\"}]}}}]");
    buf_free(&out);
}
