/* SPDX-License-Identifier: Apache-2.0 */
#include "golden.h"
#include "wire/engineio.c"

static const char *const type_names[] = {"open",    "close",   "ping", "pong",
                                         "message", "upgrade", "noop"};

static int render_packet(struct str in, struct buf *out)
{
    struct engineio_packet p;
    int err = engineio_decode(in, &p);
    if (err < 0)
        return err;
    buf_printf(out, "%s ", p.base64 ? "bytes" : type_names[p.type]);
    if (p.base64)
        engineio_bytes(&p, out);
    else
        buf_add_str(out, p.data);
    return 0;
}

static int render_payload(struct str in, struct buf *out)
{
    struct engineio_payload p = {.rest = in};
    struct str piece;
    while (engineio_payload_next(&p, &piece)) {
        if (out->n)
            buf_add_c(out, '|');
        if (render_packet(piece, out) < 0) {
            buf_add_c(out, '!');
            break;
        }
    }
    return 0;
}

static int render_join(struct str in, struct buf *out)
{
    while (in.n) {
        struct str piece = str_cut(&in, '|');
        struct engineio_packet p;
        if (str_starts(piece, STR("bytes:")))
            engineio_add_binary(out, str_skip(piece, 6));
        else if (engineio_decode(piece, &p) == 0)
            engineio_add(out, p.type, p.data);
    }
    return 0;
}

static struct engineio_query query_of(struct str text)
{
    struct engineio_query q = {0};
    struct str name, value;
    while (url_query_next(&text, &name, &value))
        engineio_query_take(&q, name, value);
    return q;
}

static int render_query(struct str in, struct buf *out)
{
    static const char *const transports[] = {"unknown", "polling", "websocket"};
    struct engineio_query q = query_of(in);
    buf_printf(out, "%s v%d", transports[q.transport], q.version);
    if (q.sid.n)
        buf_printf(out, " sid=%.*s", STR_ARG(q.sid));
    if (q.b64)
        buf_add_z(out, " b64");
    if (q.has_jsonp)
        buf_printf(out, " j=%.*s", STR_ARG(q.jsonp));
    return 0;
}

static int render_check(struct str in, struct buf *out)
{
    struct str head = str_cut(&in, ' ');
    struct engineio_query q = query_of(in);
    struct engineio_request r = {
        .is_get = str_starts(head, STR("GET")),
        .is_upgrade = str_find_str(head, STR("+upgrade")) >= 0,
        .bad_origin = str_find_str(head, STR("+origin")) >= 0,
        .no_polling = str_find_str(head, STR("-polling")) >= 0,
        .no_websocket = str_find_str(head, STR("-websocket")) >= 0,
        .session = str_find_str(head, STR("@polling")) >= 0     ? ENGINEIO_POLLING
                   : str_find_str(head, STR("@websocket")) >= 0 ? ENGINEIO_WEBSOCKET
                                                                : ENGINEIO_UNKNOWN,
    };
    enum engineio_code code = engineio_check(&q, &r);
    if (code == ENGINEIO_OK) {
        buf_add_z(out, "OK");
        return 0;
    }
    buf_printf(out, "%d ", engineio_code_status(code, r.is_upgrade));
    engineio_add_error(out, code, STR_NONE);
    return 0;
}

static int render_form(struct str in, struct buf *out)
{
    struct arena a = {0};
    struct str payload;
    int err = engineio_jsonp_body(&a, in, &payload);
    if (err == 0)
        buf_add_str(out, payload);
    arena_free(&a);
    return err;
}

static int render(const char *section, struct str in, struct buf *out)
{
    struct str s = str_from(section);
    if (str_is(s, "packet"))
        return render_packet(in, out);
    if (str_is(s, "payload"))
        return render_payload(in, out);
    if (str_is(s, "join"))
        return render_join(in, out);
    if (str_is(s, "query"))
        return render_query(in, out);
    if (str_is(s, "check"))
        return render_check(in, out);
    if (str_is(s, "form"))
        return render_form(in, out);
    assert_string_equal(section, "jsonp");
    struct str j = str_cut(&in, '|');
    engineio_jsonp_wrap(out, j, in);
    return 0;
}

TEST(golden_packets_of_engineio)
{
    golden_run("tests/wire/engineio.txt", render);
}

TEST(the_handshake_has_its_keys_in_order)
{
    struct buf b = {0};
    struct engineio_open open = {.sid = STR("abcdefghijklmnopqrst"),
                                 .can_upgrade = true,
                                 .ping_interval_ms = 25000,
                                 .ping_timeout_ms = 20000,
                                 .max_payload = 1000000};
    engineio_add_open(&b, &open);
    buf_add_c(&b, '\0');
    assert_string_equal(b.p, "0{\"sid\":\"abcdefghijklmnopqrst\",\"upgrades\":[\"websocket\"],"
                             "\"pingInterval\":25000,\"pingTimeout\":20000,"
                             "\"maxPayload\":1000000}");
    assert_int_equal(b.n - 1, 118); /* the reference's Content-Length */
    buf_clear(&b);
    open.can_upgrade = false;
    engineio_add_open(&b, &open);
    assert_true(str_find_str(buf_str(&b), STR("\"upgrades\":[],")) > 0);
    buf_free(&b);
}

TEST(a_refusal_of_the_rules_has_its_own_words_and_status)
{
    struct buf b = {0};
    engineio_add_error(&b, ENGINEIO_FORBIDDEN, STR("custom reason"));
    assert_true(str_is(buf_str(&b), "{\"code\":4,\"message\":\"custom reason\"}"));
    assert_int_equal(engineio_code_status(ENGINEIO_FORBIDDEN, false), 403);
    assert_int_equal(engineio_code_status(ENGINEIO_FORBIDDEN, true), 400);
    assert_string_equal(engineio_code_text(ENGINEIO_FORBIDDEN), "Forbidden");
    buf_free(&b);
}

TEST(a_body_without_memory_is_one_empty_piece)
{
    struct engineio_payload p = {0};
    struct engineio_packet packet;
    struct str piece = STR("x");
    assert_true(engineio_payload_next(&p, &piece));
    assert_int_equal(piece.n, 0);
    assert_int_equal(engineio_decode(piece, &packet), E_PROTOCOL);
    assert_false(engineio_payload_next(&p, &piece));
}
