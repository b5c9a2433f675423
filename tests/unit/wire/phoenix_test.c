/* SPDX-License-Identifier: Apache-2.0 */
/* Phoenix frames, and supabase's payloads in them: one golden file for both. */
#include "golden.h"
#include "wire/phoenix.c"
#include "wire/supabase.h"

enum { DEPTH = JSONSCAN_DEPTH };

static void add_ref_or_dash(struct buf *out, struct str ref)
{
    buf_add_str(out, ref.n ? ref : STR("-"));
    buf_add_c(out, ' ');
}

static int render_text(struct arena *a, int vsn, struct str in, struct buf *out)
{
    struct phoenix_frame f;
    int err = phoenix_decode(a, vsn, in, DEPTH, &f);
    add_ref_or_dash(out, f.join_ref);
    add_ref_or_dash(out, f.ref);
    buf_printf(out, "%.*s %.*s %.*s", STR_ARG(f.topic), STR_ARG(f.event), STR_ARG(f.payload));
    return err;
}

static int render_kind3(struct arena *a, struct str in, struct buf *out)
{
    struct phoenix_frame f;
    struct supabase_broadcast b;
    int err = phoenix_decode_binary(a, in, DEPTH, &f);
    if (err < 0)
        return err;
    assert_true(str_is(f.event, "broadcast"));
    assert_int_equal(supabase_broadcast(a, &f, &b), 0);
    add_ref_or_dash(out, f.join_ref);
    add_ref_or_dash(out, f.ref);
    buf_printf(out, "%.*s %.*s %s ", STR_ARG(f.topic), STR_ARG(b.event),
               b.is_bytes ? "bytes" : "json");
    buf_add_str(out, b.payload);
    if (f.meta.n) {
        buf_add_c(out, ' ');
        buf_add_str(out, f.meta);
    }
    return 0;
}

static int render_encode(struct str in, struct buf *out)
{
    struct phoenix_address to;
    to.vsn = str_is(str_cut(&in, '|'), "1") ? 1 : 2;
    to.join_ref = str_cut(&in, '|');
    to.ref = str_cut(&in, '|');
    to.topic = str_cut(&in, '|');
    struct str what = str_cut(&in, '|');
    if (str_is(what, "ok"))
        phoenix_add_reply(out, &to, true, in);
    else if (str_is(what, "refuse"))
        phoenix_add_refusal(out, &to, in);
    else if (str_is(what, "system"))
        supabase_add_system(out, &to, "postgres_changes", true, in, str_skip(to.topic, 9));
    else
        phoenix_add(out, &to, str_is(what, "phx_close") ? "phx_close" : "phx_error", in);
    return 0;
}

static int render_broadcast(struct str in, struct buf *out)
{
    struct str form = str_cut(&in, '|');
    struct phoenix_broadcast b = {.is_bytes = form.n == 2};
    b.topic = str_cut(&in, '|');
    b.event = str_cut(&in, '|');
    b.payload = str_cut(&in, '|');
    b.meta = in;
    if (form.p[0] == '4')
        assert_true(phoenix_add_broadcast_binary(out, &b));
    else
        phoenix_add_broadcast(out, form.p[0] - '0', &b);
    return 0;
}

static int render_presence(struct str in, struct buf *out)
{
    buf_add_c(out, '{');
    phoenix_begin_member(out, STR("u1"));
    phoenix_add_meta(out, in, 31, 0);
    phoenix_end_member(out);
    phoenix_begin_member(out, STR("u\"2"));
    phoenix_add_meta(out, in, 32, 1);
    phoenix_add_meta(out, in, 33, 0);
    phoenix_end_member(out);
    buf_add_c(out, '}');
    return 0;
}

static int render_join(struct arena *a, struct str in, struct buf *out)
{
    struct supabase_join j;
    uint64_t ids[SUPABASE_BINDINGS_MAX];
    int err = supabase_join(a, in, &j);
    if (err < 0)
        return err;
    for (size_t i = 0; i < j.bindings_count; i++)
        ids[i] = 1000 + i;
    buf_printf(out, "%s%s%s%s%s", j.has_config ? "config " : "", j.is_private ? "private " : "",
               j.ack ? "ack " : "", j.self ? "self " : "", j.replication_ready ? "ready " : "");
    if (j.presence)
        buf_printf(out, "presence=%.*s ", STR_ARG(j.presence_key));
    else if (j.presence_key.n)
        buf_printf(out, "key=%.*s ", STR_ARG(j.presence_key));
    if (j.replay && j.replay_valid)
        buf_printf(out, "replay=%llu/%llu ", (unsigned long long)j.replay_since_ms,
                   (unsigned long long)j.replay_limit);
    else if (j.replay)
        buf_add_z(out, "replay=bad ");
    if (j.wait)
        buf_printf(out, "wait=%llu ", (unsigned long long)j.wait_ms);
    if (j.ignored)
        buf_printf(out, "ignored=%u ", j.ignored);
    if (j.token.n)
        buf_printf(out, "token=%.*s ", STR_ARG(j.token));
    if (j.version.n)
        buf_printf(out, "version=%.*s ", STR_ARG(j.version));
    supabase_add_joined(out, &j, ids);
    return 0;
}

static int render_push(struct arena *a, struct str in, struct buf *out)
{
    struct phoenix_frame f = {.payload = in};
    struct supabase_broadcast b;
    int err = supabase_broadcast(a, &f, &b);
    buf_printf(out, "%.*s %.*s", STR_ARG(b.event), STR_ARG(b.payload));
    if (b.persist.n)
        buf_printf(out, " persist=%.*s", STR_ARG(b.persist));
    return err;
}

static int render_track(struct arena *a, struct str in, struct buf *out)
{
    static const char *const names[] = {"none", "track ", "untrack", "bad meta", "unknown"};
    struct str meta;
    enum supabase_presence p = supabase_presence(a, in, &meta);
    buf_add_z(out, names[p]);
    if (p == SUPABASE_PRESENCE_TRACK)
        buf_add_str(out, meta);
    return 0;
}

static int render_batch(struct arena *a, struct str in, struct buf *out)
{
    const struct supabase_message *all;
    size_t count;
    struct buf errors = {0};
    int err = supabase_batch(a, in, DEPTH, 40, &all, &count, &errors);
    for (size_t i = 0; err == 0 && i < count; i++)
        buf_printf(out, "%s%.*s %.*s %.*s%s", i ? ";" : "", STR_ARG(all[i].topic),
                   STR_ARG(all[i].event), STR_ARG(all[i].payload),
                   all[i].is_private ? " private" : "");
    if (err == E_PROTOCOL)
        buf_printf(out, "422 %.*s", STR_ARG(buf_str(&errors)));
    else
        assert_int_equal(errors.n, 0);
    buf_free(&errors);
    return err == E_PROTOCOL ? 0 : err;
}

static int render_in(struct arena *a, const char *section, struct str in, struct buf *out)
{
    struct str s = str_from(section), token;
    int err;
    if (str_is(s, "v1") || str_is(s, "v2"))
        return render_text(a, s.p[1] - '0', in, out);
    if (str_is(s, "kind3"))
        return render_kind3(a, in, out);
    if (str_is(s, "encode"))
        return render_encode(in, out);
    if (str_is(s, "broadcast"))
        return render_broadcast(in, out);
    if (str_is(s, "presence"))
        return render_presence(in, out);
    if (str_is(s, "batch"))
        return render_batch(a, in, out);
    err = jsonscan_check(in, DEPTH, NULL); /* the rest gets accepted payloads only */
    assert_int_equal(err, 0);
    if (str_is(s, "join"))
        return render_join(a, in, out);
    if (str_is(s, "push"))
        return render_push(a, in, out);
    if (str_is(s, "track"))
        return render_track(a, in, out);
    assert_string_equal(section, "token");
    err = supabase_token(a, in, &token);
    buf_add_str(out, token);
    return err;
}

static int render(const char *section, struct str in, struct buf *out)
{
    struct arena a = {0};
    int err = render_in(&a, section, in, out);
    arena_free(&a);
    return err;
}

TEST(golden_frames_of_phoenix)
{
    golden_run("tests/wire/phoenix.txt", render);
}

TEST(the_vsn_of_a_request)
{
    assert_int_equal(phoenix_vsn(STR_NONE), 1);
    assert_int_equal(phoenix_vsn(STR("1.0.0")), 1);
    assert_int_equal(phoenix_vsn(STR("2.0.0")), 2);
    assert_int_equal(phoenix_vsn(STR("2")), 0);
    assert_int_equal(phoenix_vsn(STR("3.0.0")), 0);
}

TEST(names_over_255_bytes_do_not_fit_a_binary_frame)
{
    char name[256];
    memset(name, 'n', sizeof(name));
    struct buf out = {0};
    struct phoenix_broadcast b = {str_of(name, 255), str_of(name, 255), STR("{}"), STR_NONE, false};
    assert_true(phoenix_add_broadcast_binary(&out, &b));
    assert_int_equal(out.n, 5 + 255 + 255 + 2);
    assert_int_equal((unsigned char)out.p[1], 255);
    buf_clear(&out);
    b.event.n = 256;
    assert_false(phoenix_add_broadcast_binary(&out, &b));
    b.event.n = 1;
    b.topic.n = 256;
    assert_false(phoenix_add_broadcast_binary(&out, &b));
    assert_int_equal(out.n, 0);
    buf_free(&out);
}

static void add_times(struct buf *b, const char *head, const char *piece, size_t times,
                      const char *tail)
{
    buf_clear(b);
    buf_add_z(b, head);
    for (size_t i = 0; i < times; i++) {
        if (i)
            buf_add_c(b, ',');
        buf_add_z(b, piece);
    }
    buf_add_z(b, tail);
}

TEST(bindings_and_messages_are_counted)
{
    struct buf b = {0}, errors = {0};
    struct arena a = {0};
    struct supabase_join j;
    const struct supabase_message *all;
    size_t count;
    add_times(&b, "{\"config\":{\"postgres_changes\":[", "{}", SUPABASE_BINDINGS_MAX, "]}}");
    assert_int_equal(supabase_join(&a, buf_str(&b), &j), 0);
    assert_int_equal(j.bindings_count, SUPABASE_BINDINGS_MAX);
    add_times(&b, "{\"config\":{\"postgres_changes\":[", "{}", SUPABASE_BINDINGS_MAX + 1, "]}}");
    assert_int_equal(supabase_join(&a, buf_str(&b), &j), E_TOO_MANY);
    const char *message = "{\"topic\":\"a\",\"event\":\"e\",\"payload\":{}}";
    add_times(&b, "{\"messages\":[", message, SUPABASE_MESSAGES_MAX, "]}");
    assert_int_equal(supabase_batch(&a, buf_str(&b), DEPTH, 100, &all, &count, &errors), 0);
    assert_int_equal(count, SUPABASE_MESSAGES_MAX);
    add_times(&b, "{\"messages\":[", message, SUPABASE_MESSAGES_MAX + 1, "]}");
    assert_int_equal(supabase_batch(&a, buf_str(&b), DEPTH, 100, &all, &count, &errors),
                     E_TOO_MANY);
    buf_free(&b);
    buf_free(&errors);
    arena_free(&a);
}

/* A join and a broadcast; 0, or the error of the step that failed. */
static int way_of_a_frame(void)
{
    struct arena a = {0};
    struct phoenix_frame f;
    struct supabase_join j;
    const struct supabase_message *all;
    size_t count;
    struct buf errors = {0};
    int err = phoenix_decode(&a, 2,
                             STR("[\"1\",\"1\",\"realtime:\\u0078\",\"phx_join\",{\"access_token\":"
                                 "\"\\u0065\",\"config\":{\"postgres_changes\":[{\"event\":\"*\","
                                 "\"filter\":\"\\u0061=eq.1\"}]}}]"),
                             DEPTH, &f);
    if (err == 0)
        err = supabase_join(&a, f.payload, &j);
    if (err == 0)
        err = phoenix_decode_binary(&a,
                                    STR("\x03\x01\x01\x02\x02\x00\x01"
                                        "12t\xe9"
                                        "e\xe9"
                                        "{}"),
                                    DEPTH, &f);
    if (err == 0)
        err = supabase_batch(
            &a, STR("{\"messages\":[{\"topic\":\"\\u0061\",\"event\":\"e\",\"payload\":{}}]}"),
            DEPTH, 100, &all, &count, &errors);
    buf_free(&errors);
    arena_free(&a);
    return err;
}

TEST(every_allocation_may_fail)
{
    long n = 0;
    int err;
    do {
        mem_fail_at(++n, 0);
        err = way_of_a_frame();
        assert_true(err == 0 || err == E_NO_MEMORY);
    } while (err < 0);
    mem_fail_at(0, 0);
    assert_true(n > 3);
}
