/* SPDX-License-Identifier: Apache-2.0 */
/* Any text as a packet, followed by its binary messages after 0x1e. What is taken can be sent
 * to another client: encoded again it is a packet that is taken, with the same event. */
#include "base/check.h"
#include "base/err.h"
#include "wire/socketio.h"

enum { DEPTH = 64 };

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

static void resend(struct arena *a, const struct socketio_packet *p, struct str packed)
{
    struct socketio_emit e = {.nsp = p->nsp, .ack = p->ack, .event = p->event};
    struct socketio_packet again;
    struct buf out = {0}, shown = {0};
    struct str one;
    e.offset = p->type == SOCKETIO_EVENT ? STR("k-1") : STR_NONE;
    CHECK(socketio_content(a, p, 0, packed, DEPTH, &e.what) == 0);
    int follow =
        p->type == SOCKETIO_EVENT ? socketio_add_event(&out, &e) : socketio_add_ack(&out, &e);
    CHECK(follow >= 0);
    int sent = 0;
    for (size_t at = 0; socketio_emit_bytes(&e, &at, &one);)
        sent++;
    CHECK(sent == follow);
    int err = socketio_decode(a, buf_str(&out), DEPTH, &again);
    /* The offset is one argument more than may come in. */
    CHECK(err == 0 || (err == E_TOO_LARGE && p->args_count == SOCKETIO_ARGS_MAX));
    if (err == 0) {
        CHECK(again.type == p->type && str_eq(again.event, p->event));
        CHECK(str_eq(again.nsp, p->nsp) && str_eq(again.ack, p->ack));
        CHECK(again.args_count == p->args_count + (p->type == SOCKETIO_EVENT));
        CHECK(again.attachments == (unsigned)follow);
    }
    if (e.what.form == SOCKETIO_ATTACHMENTS) {
        CHECK(attachments_add_inline(&shown, a, e.what.content, e.what.attachments) == 0);
        CHECK(jsonscan_check(buf_str(&shown), DEPTH + 1, NULL) == 0);
    }
    buf_free(&out);
    buf_free(&shown);
}

/* Waits for the binary messages as a session does. */
static void take(struct arena *a, struct str text, struct str rest, struct socketio_packet *p)
{
    struct socketio_pending pending = {0};
    int got = 0;
    CHECK(socketio_pending_begin(&pending, text, p->attachments, 1 << 20) == 0);
    while (got == 0)
        got = socketio_pending_add(&pending, str_cut(&rest, 0x1e));
    CHECK(got == 1);
    CHECK(attachments_count(buf_str(&pending.packed)) == p->attachments);
    CHECK(socketio_decode(a, buf_str(&pending.text), DEPTH, p) == 0);
    if (p->payload.n)
        resend(a, p, buf_str(&pending.packed));
    socketio_pending_clear(&pending);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    struct str rest = str_of((const char *)bytes, n);
    struct str text = str_cut(&rest, 0x1e);
    struct arena a = {0};
    struct socketio_packet p;
    struct socketio_auth auth;
    if (socketio_decode(&a, text, DEPTH, &p) == 0) {
        if (p.type == SOCKETIO_CONNECT)
            socketio_auth(&a, p.payload, &auth);
        else if (p.attachments)
            take(&a, text, rest, &p);
        else if (p.payload.n)
            resend(&a, &p, STR_NONE);
    } else {
        CHECK(p.detail);
    }
    arena_free(&a);
    return 0;
}
