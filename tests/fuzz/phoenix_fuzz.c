/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a frame: '{' is vsn 1, '[' is vsn 2, else binary. Then its payload as everything
 * that Supabase puts into one, and the bytes as a REST batch. Replies must be JSON. */
#include "base/check.h"
#include "base/err.h"
#include "wire/phoenix.h"
#include "wire/supabase.h"

enum { DEPTH = 64 };

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

static void check_json(struct buf *out)
{
    CHECK(jsonscan_check(buf_str(out), DEPTH + 8, NULL) == 0);
    buf_clear(out);
}

static void answer(struct arena *a, int vsn, const struct phoenix_frame *f, struct buf *out)
{
    const struct phoenix_address to = {vsn, f->join_ref, f->ref, f->topic};
    struct phoenix_frame again;
    phoenix_add_reply(out, &to, true, STR_NONE);
    CHECK(phoenix_decode(a, vsn, buf_str(out), DEPTH, &again) == 0);
    CHECK(str_eq(again.ref, f->ref) && str_eq(again.topic, f->topic));
    check_json(out);
    supabase_add_system(out, &to, "system", false, f->event, f->topic);
    check_json(out);
}

static void join(struct arena *a, struct str payload, struct buf *out)
{
    static const uint64_t ids[SUPABASE_BINDINGS_MAX];
    struct supabase_join j;
    struct str token, meta;
    if (supabase_join(a, payload, &j) == 0) {
        CHECK(!j.replay_valid || (j.replay_limit >= 1 && j.replay_limit <= SUPABASE_REPLAY_MAX));
        supabase_add_joined(out, &j, ids);
        check_json(out);
    }
    CHECK(supabase_token(a, payload, &token) == 0);
    if (supabase_presence(a, payload, &meta) == SUPABASE_PRESENCE_TRACK) {
        buf_add_c(out, '{');
        phoenix_begin_member(out, token);
        phoenix_add_meta(out, meta, 1, 2);
        phoenix_end_member(out);
        buf_add_c(out, '}');
        check_json(out);
    }
}

static void broadcast(struct arena *a, const struct phoenix_frame *f, struct buf *out)
{
    struct supabase_broadcast b;
    if (supabase_broadcast(a, f, &b) < 0)
        return;
    const struct phoenix_broadcast p = {f->topic, b.event, b.payload, STR_NONE, b.is_bytes};
    for (int vsn = 1; vsn <= 2; vsn++) {
        phoenix_add_broadcast(out, vsn, &p);
        check_json(out);
    }
    size_t n = 5 + p.topic.n + p.event.n + p.payload.n;
    if (phoenix_add_broadcast_binary(out, &p))
        CHECK(out->n == n);
    buf_clear(out);
}

static void batch(struct arena *a, struct str body, struct buf *out)
{
    const struct supabase_message *all;
    size_t count;
    int err = supabase_batch(a, body, DEPTH, 100, &all, &count, out);
    for (size_t i = 0; err == 0 && i < count; i++)
        CHECK(all[i].topic.n && all[i].event.n && all[i].payload.n >= 2);
    if (err == E_PROTOCOL)
        check_json(out);
    CHECK(out->n == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    struct str text = str_of((const char *)bytes, n);
    struct arena a = {0};
    struct buf out = {0};
    struct phoenix_frame f;
    int vsn = n && bytes[0] == '{' ? 1 : 2;
    bool is_text = n && (bytes[0] == '{' || bytes[0] == '[');
    int err = is_text ? phoenix_decode(&a, vsn, text, DEPTH, &f)
                      : phoenix_decode_binary(&a, text, DEPTH, &f);
    if (err == 0) {
        answer(&a, vsn, &f, &out);
        broadcast(&a, &f, &out);
        if (is_text)
            join(&a, f.payload, &out);
    }
    batch(&a, text, &out);
    arena_free(&a);
    buf_free(&out);
    return 0;
}
