/* SPDX-License-Identifier: Apache-2.0 */
#include "golden.h"
#include "wire/socketio.c"

enum { DEPTH = JSONSCAN_DEPTH };

static void add_quoted(struct buf *out, struct str s)
{
    buf_printf(out, " \"%.*s\"", STR_ARG(s));
}

static int render_decode(struct arena *a, struct str in, struct buf *out)
{
    static const char *const names[] = {"connect", "disconnect", "event", "ack"};
    struct socketio_packet p;
    int err = socketio_decode(a, in, DEPTH, &p);
    if (err < 0) {
        assert_non_null(p.detail);
        return err;
    }
    buf_printf(out, "%s %.*s", names[p.type], STR_ARG(p.nsp));
    if (p.ack.n)
        buf_printf(out, " #%.*s", STR_ARG(p.ack));
    if (p.attachments)
        buf_printf(out, " +%u", p.attachments);
    if (p.type == SOCKETIO_CONNECT && p.payload.n)
        buf_printf(out, " %.*s", STR_ARG(p.payload));
    if (p.type == SOCKETIO_EVENT && p.payload.n)
        add_quoted(out, p.event);
    for (size_t i = 0; i < p.args_count; i++)
        buf_printf(out, " %.*s", STR_ARG(p.args[i].raw));
    return 0;
}

static void add_bytes(const struct socketio_emit *e, struct buf *out)
{
    struct str bytes;
    for (size_t at = 0; socketio_emit_bytes(e, &at, &bytes);) {
        buf_add_c(out, '|');
        buf_add_str(out, bytes);
    }
}

static int render_content(struct arena *a, struct str in, struct buf *out)
{
    static const char *const forms[] = {"one", "list", "bytes", "attachments"};
    struct socketio_packet p;
    struct socketio_pending pending = {0};
    struct str text = str_cut(&in, '|');
    int err = socketio_decode(a, text, DEPTH, &p);
    if (err == 0 && p.attachments) {
        err = socketio_pending_begin(&pending, text, p.attachments, 1000);
        while (err == 0 && socketio_pending_is(&pending))
            if ((err = socketio_pending_add(&pending, str_cut(&in, '|'))) != 0)
                break;
        assert_int_equal(err, 1);
        err = socketio_decode(a, buf_str(&pending.text), DEPTH, &p);
    }
    struct socketio_emit e = {.nsp = p.nsp, .ack = p.ack, .event = p.event};
    if (err == 0)
        err = socketio_content(a, &p, 0, buf_str(&pending.packed), DEPTH, &e.what);
    if (err == 0) {
        buf_printf(out, "%s %.*s", forms[e.what.form], STR_ARG(e.what.content));
        if (e.what.form == SOCKETIO_ATTACHMENTS) {
            buf_add_c(out, ' ');
            err = attachments_add_inline(out, a, e.what.content, e.what.attachments);
        }
        buf_add_z(out, " => ");
        int follow = socketio_add_event(out, &e);
        size_t at = out->n, bars = 0;
        add_bytes(&e, out);
        for (; at < out->n; at++)
            bars += out->p[at] == '|';
        assert_int_equal(follow, bars);
    }
    socketio_pending_clear(&pending);
    return err;
}

static struct socketio_emit emit_of(struct str in)
{
    static const char *const forms[] = {"one", "list", "bytes"};
    struct socketio_emit e = {0};
    e.nsp = str_cut(&in, '|');
    e.ack = str_cut(&in, '|');
    e.event = str_cut(&in, '|');
    struct str form = str_cut(&in, '|');
    for (int i = 0; i < 3; i++)
        if (str_is(form, forms[i]))
            e.what.form = (enum socketio_form)i;
    e.what.content = str_cut(&in, '|');
    e.offset = in;
    return e;
}

static int render_emit(struct str in, bool is_ack, struct buf *out)
{
    struct socketio_emit e = emit_of(in);
    int got = is_ack ? socketio_add_ack(out, &e) : socketio_add_event(out, &e);
    if (got < 0)
        assert_int_equal(out->n, 0);
    return got < 0 ? got : 0;
}

static int render_auth(struct arena *a, struct str in, struct buf *out)
{
    struct socketio_auth auth;
    int err = socketio_auth(a, in, &auth);
    buf_printf(out, "%.*s|%.*s|%.*s", STR_ARG(auth.pid), STR_ARG(auth.offset), STR_ARG(auth.token));
    return err;
}

static int render_server(const char *section, struct str in, struct buf *out)
{
    struct str nsp = str_cut(&in, '|'), first = str_cut(&in, '|');
    if (strcmp(section, "connect") == 0)
        socketio_add_connect(out, nsp, first, in);
    else if (strcmp(section, "connect_error") == 0)
        socketio_add_connect_error(out, nsp, first, in);
    else
        socketio_add_disconnect(out, nsp);
    return 0;
}

static int render(const char *section, struct str in, struct buf *out)
{
    struct arena a = {0};
    int err;
    if (strcmp(section, "decode") == 0)
        err = render_decode(&a, in, out);
    else if (strcmp(section, "content") == 0)
        err = render_content(&a, in, out);
    else if (strcmp(section, "event") == 0 || strcmp(section, "ack") == 0)
        err = render_emit(in, section[0] == 'a', out);
    else if (strcmp(section, "auth") == 0)
        err = render_auth(&a, in, out);
    else
        err = render_server(section, in, out);
    arena_free(&a);
    return err;
}

TEST(golden_packets_of_socketio)
{
    golden_run("tests/wire/socketio.txt", render);
}

static int decode_repeated(const char *head, const char *piece, size_t times, const char *tail)
{
    struct buf b = {0};
    struct arena a = {0};
    struct socketio_packet p;
    buf_add_z(&b, head);
    for (size_t i = 0; i < times; i++)
        buf_add_z(&b, piece);
    buf_add_z(&b, tail);
    int err = socketio_decode(&a, buf_str(&b), DEPTH, &p);
    arena_free(&a);
    buf_free(&b);
    return err;
}

TEST(limits_are_kept)
{
    assert_int_equal(decode_repeated("2[\"e\"", ",1", SOCKETIO_ARGS_MAX, "]"), 0);
    assert_int_equal(decode_repeated("2[\"e\"", ",1", SOCKETIO_ARGS_MAX + 1, "]"), E_TOO_LARGE);
    assert_int_equal(decode_repeated("3[1", ",1", SOCKETIO_ARGS_MAX - 1, "]"), 0);
    assert_int_equal(decode_repeated("3[1", ",1", SOCKETIO_ARGS_MAX, "]"), E_TOO_LARGE);
    assert_int_equal(decode_repeated("0/", "a", SOCKETIO_NSP_MAX - 1, ","), 0);
    assert_int_equal(decode_repeated("0/", "a", SOCKETIO_NSP_MAX, ","), E_TOO_LARGE);
    assert_int_equal(decode_repeated("2[\"e\",", "[", 100000, ""), E_TOO_LARGE);
    assert_int_equal(decode_repeated("51-[\"e\",", "[", 100000, ""), E_TOO_LARGE);
    assert_int_equal(decode_repeated("51-[\"e\",", "{\"a\":", 100000, ""), E_TOO_LARGE);
}

TEST(attachments_are_bounded_together)
{
    struct socketio_pending p = {0};
    assert_int_equal(socketio_pending_add(&p, STR("x")), E_PROTOCOL);
    assert_int_equal(socketio_pending_begin(&p, STR("52-[\"a\"]"), 2, 10), 0);
    assert_int_equal(socketio_pending_add(&p, STR("12345")), 0);
    assert_int_equal(socketio_pending_add(&p, STR("123456")), E_TOO_LARGE);
    socketio_pending_clear(&p);
    assert_false(socketio_pending_is(&p));
    assert_int_equal(socketio_pending_begin(&p, STR("52-[\"a\"]"), 2, 10), 0);
    assert_int_equal(socketio_pending_add(&p, STR("12345")), 0);
    assert_int_equal(socketio_pending_add(&p, STR("12345")), 1);
    assert_int_equal(socketio_pending_add(&p, STR("")), E_PROTOCOL);
    assert_int_equal(attachments_count(buf_str(&p.packed)), 2);
    socketio_pending_clear(&p);
}

TEST(the_first_arguments_can_be_left_out_of_the_content)
{
    struct arena a = {0};
    struct socketio_packet p;
    struct socketio_content c;
    assert_int_equal(socketio_decode(&a, STR("2[\"to\",\"room\",{\"x\":1}]"), DEPTH, &p), 0);
    assert_int_equal(socketio_content(&a, &p, 1, STR_NONE, DEPTH, &c), 0);
    assert_int_equal(c.form, SOCKETIO_ONE);
    assert_true(str_is(c.content, "{\"x\":1}"));
    assert_int_equal(socketio_content(&a, &p, 2, STR_NONE, DEPTH, &c), 0);
    assert_int_equal(c.form, SOCKETIO_LIST);
    assert_true(str_is(c.content, "[]"));
    arena_free(&a);
}

TEST(attachments_from_elsewhere_are_checked_before_they_are_sent)
{
    struct buf packed = {0}, out = {0};
    for (int i = 0; i <= ATTACHMENTS_MAX; i++)
        attachments_pack(&packed, STR("x"));
    struct socketio_emit e = {.event = STR("e"),
                              .what = {SOCKETIO_ATTACHMENTS, STR("[1]"), buf_str(&packed)}};
    assert_int_equal(socketio_add_event(&out, &e), E_BAD_REQUEST);
    assert_int_equal(socketio_add_ack(&out, &e), E_BAD_REQUEST);
    assert_int_equal(out.n, 0);
    buf_free(&packed);
    buf_free(&out);
}

/* The whole way of a binary event; 0, or the error of the step that failed. */
static int way_of_a_packet(void)
{
    struct arena a = {0};
    struct socketio_packet p;
    struct socketio_pending pending = {0};
    struct socketio_content c;
    struct buf out = {0};
    int err = socketio_decode(
        &a, STR("51-[\"\\u0065v\",{\"f\":{\"_placeholder\":true,\"num\":0}}]"), DEPTH, &p);
    if (err == 0)
        err = socketio_pending_begin(&pending, STR("51-..."), 1, 100);
    if (err == 0)
        err = socketio_pending_add(&pending, STR("abc"));
    if (err >= 0)
        err = socketio_content(&a, &p, 0, buf_str(&pending.packed), DEPTH, &c);
    if (err == 0)
        err = attachments_add_inline(&out, &a, c.content, c.attachments);
    socketio_pending_clear(&pending);
    buf_free(&out);
    arena_free(&a);
    return err;
}

TEST(every_allocation_may_fail)
{
    long n = 0;
    int err;
    do {
        mem_fail_at(++n, 0);
        err = way_of_a_packet();
        assert_true(err == 0 || err == E_NO_MEMORY);
    } while (err < 0);
    mem_fail_at(0, 0);
    assert_true(n > 3);
}
