/* SPDX-License-Identifier: Apache-2.0 */
/* WebSocket from the client's side (RFC 6455): the upgrade, masked frames out, whole messages in.
 * wire/ws* is the server's side and refuses what a client must do, and the other way round. */
#include "base/base64.h"
#include "base/err.h"
#include "loop/clock.h"
#include "server/client_priv.h"
#include "wire/jsonscan.h"
#include "wire/wsframe.h"
#include "wire/wshandshake.h"
#include <stdio.h>

#define MESSAGE_BYTES_MAX (64 << 20)

/* The error that an HTTP answer's JSON body tells. */
int client_refusal(int status, struct str body, struct buf *why)
{
    uint64_t code = 0;
    struct arena a = {0};
    struct str message = STR_NONE, hint = STR_NONE;
    if (jsonscan_check(body, JSONSCAN_DEPTH, NULL) == 0) {
        jsonscan_u64(jsonscan_find(body, "code").raw, &code);
        (void)!jsonscan_string(jsonscan_find(body, "message").raw, &a, &message);
        (void)!jsonscan_string(jsonscan_find(body, "hint").raw, &a, &hint);
    }
    const struct err_info *info = err_by_number((int)code);
    buf_printf(why, "refused with HTTP %d: %.*s%s%.*s", status, STR_ARG(message),
               hint.n ? ". " : "", STR_ARG(hint));
    arena_free(&a);
    return info ? info->value : E_PROTOCOL;
}

int client_ws_open(struct link *l, const struct client_url *url, const char *token,
                   uint64_t deadline_ms, struct buf *why)
{
    uint8_t random[16];
    char accept[28];
    struct client_answer answer;
    struct buf key = {0}, out = {0};
    struct str body;
    clock_random_bytes(random, sizeof(random));
    base64_encode(&key, str_of((const char *)random, sizeof(random)));
    client_add_request(&out, url, "GET", "/socket", "1.1", token, STR_NONE);
    buf_printf(&out,
               "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
               "Sec-WebSocket-Protocol: tidewire.v1\r\nSec-WebSocket-Key: %.*s\r\n\r\n",
               STR_ARG(buf_str(&key)));
    wshandshake_accept(buf_str(&key), accept);
    int err = link_open(l, url, deadline_ms, why);
    if (!err && (err = link_send(l, buf_str(&out), deadline_ms)) != 0)
        buf_printf(why, "cannot send: %s", err_info(err)->text);
    if (!err)
        err = client_read_head(l, &answer, deadline_ms, why);
    if (!err && answer.status != 101) {
        err = client_read_body(l, &answer, &body, deadline_ms, why);
        if (!err)
            err = client_refusal(answer.status, body, why);
    } else if (!err && !str_eq(answer.accept, str_of(accept, sizeof(accept)))) {
        buf_add_z(why, "the upgrade was answered wrongly: a proxy stands between");
        err = E_PROTOCOL;
    } else if (!err) {
        buf_shift(&l->in, answer.head_n);
    }
    if (err)
        link_close(l);
    buf_free(&key);
    buf_free(&out);
    return err;
}

static int send_frame(struct link *l, enum wsframe_opcode opcode, struct str payload,
                      uint64_t deadline_ms)
{
    struct buf out = {0};
    uint8_t mask[4];
    wsframe_add_head(&out, opcode, false, payload.n);
    if (out.failed)
        return E_NO_MEMORY;
    out.p[1] = (char)((uint8_t)out.p[1] | 0x80);
    clock_random_bytes(mask, sizeof(mask));
    buf_add(&out, mask, sizeof(mask));
    size_t start = out.n;
    buf_add_str(&out, payload);
    int err = E_NO_MEMORY;
    if (!out.failed) {
        wsframe_unmask((uint8_t *)out.p + start, payload.n, mask, 0);
        err = link_send(l, buf_str(&out), deadline_ms);
    }
    buf_free(&out);
    return err;
}

int client_ws_send(struct link *l, struct str text, uint64_t deadline_ms)
{
    return send_frame(l, WSFRAME_TEXT, text, deadline_ms);
}

void client_ws_goodbye(struct link *l)
{
    if (l->fd >= 0)
        (void)!send_frame(l, WSFRAME_CLOSE, str_of("\x03\xe8", 2), link_now_ms() + 1000);
    link_close(l);
}

struct frame {
    enum wsframe_opcode opcode;
    bool fin;
    size_t head_n;
    uint64_t length;
};

/* A server's frame head: 1 known, 0 more is needed, negative = not one. */
static int read_head(struct str in, struct frame *out)
{
    const uint8_t *p = (const uint8_t *)in.p;
    if (in.n < 2)
        return 0;
    if ((p[0] & 0x70) || (p[1] & 0x80))
        return E_PROTOCOL; /* a reserved bit, or a masked frame of a server */
    out->fin = p[0] & 0x80;
    out->opcode = (enum wsframe_opcode)(p[0] & 0x0f);
    out->length = p[1] & 0x7f;
    size_t more = out->length == 126 ? 2 : out->length == 127 ? 8 : 0;
    out->head_n = 2 + more;
    if (in.n < out->head_n)
        return 0;
    for (size_t i = 0; i < more; i++)
        out->length = (i ? out->length << 8 : 0) | p[2 + i];
    return out->length > MESSAGE_BYTES_MAX ? E_TOO_LARGE : 1;
}

static int on_close(struct link *l, struct str payload, int *code, struct buf *why)
{
    struct str reason = STR_NONE;
    *code = 1005;
    (void)!wsframe_decode_close(payload, code, &reason);
    buf_printf(why, "closed with %d%s%.*s", *code, reason.n ? ": " : "", STR_ARG(reason));
    (void)!send_frame(l, WSFRAME_CLOSE, str_head(payload, 2), link_now_ms() + 1000);
    return E_CLOSED;
}

int client_ws_next(struct link *l, struct buf *out, bool *is_binary, uint64_t deadline_ms,
                   int *code, struct buf *why)
{
    *code = 1006;
    for (;;) {
        struct frame f;
        int got = read_head(buf_str(&l->in), &f);
        if (got > 0 && l->in.n < f.head_n + f.length)
            got = 0;
        if (got == 0) {
            int err = link_receive(l, deadline_ms);
            if (err == E_TIMEOUT)
                return 0;
            if (err) {
                buf_add_z(why, "the connection was lost");
                return err;
            }
            continue;
        }
        if (got < 0) {
            buf_add_z(why, "the server broke the WebSocket protocol");
            return got;
        }
        struct str payload = str_of(l->in.p + f.head_n, (size_t)f.length);
        int result = -1;
        if (f.opcode == WSFRAME_CLOSE) {
            return on_close(l, payload, code, why);
        } else if (f.opcode == WSFRAME_PING) {
            (void)!send_frame(l, WSFRAME_PONG, payload, deadline_ms);
        } else if (f.opcode != WSFRAME_PONG) {
            if (f.opcode != WSFRAME_CONTINUATION)
                *is_binary = f.opcode == WSFRAME_BINARY;
            buf_add_str(out, payload);
            result = f.fin ? 1 : -1;
        }
        buf_shift(&l->in, f.head_n + (size_t)f.length);
        if (result == 1)
            return 1;
        if (out->n > MESSAGE_BYTES_MAX)
            return E_TOO_LARGE;
    }
}
