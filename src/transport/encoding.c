/* SPDX-License-Identifier: Apache-2.0 */
/* The bytes of each kind of client: the protocol's text, then the frame, event or chunk around
 * it, then compression; once per message and kind, shared by all clients of that kind.
 *
 * Compression keeps no context between messages (RFC 7692, no takeover), so one frame serves
 * all. For gzip streams the same trick works: each piece is deflate data that refers to nothing
 * before it and ends on a byte (an empty stored block), so pieces can follow each other in any
 * client's stream. Small pieces go as stored blocks: five bytes, no work. */
#include "transport/transport_priv.h"

#include "base/base64.h"
#include "base/metric.h"
#include "wire/attachments.h"
#include "wire/delta.h"
#include "wire/native.h"
#include "wire/sse.h"
#include "wire/wsframe.h"

enum { WINDOW_BITS = 15, STORED_MAX = 192 };

void encoding_frame(struct transport_home *home, bool is_binary, bool deflate, int window_bits,
                    struct str payload, struct buf *out)
{
    enum wsframe_opcode opcode = is_binary ? WSFRAME_BINARY : WSFRAME_TEXT;
    struct buf *packed = &home->framed;
    if (deflate && payload.n >= home->config->deflate_threshold) {
        buf_clear(packed);
        if (!deflate_message(home->deflate, window_bits, payload, packed) &&
            packed->n < payload.n) {
            metric_add(M_COMPRESSED_SAVED, (int64_t)(payload.n - packed->n));
            wsframe_add_head(out, opcode, true, packed->n);
            buf_add_str(out, buf_str(packed));
            return;
        }
    }
    wsframe_add_head(out, opcode, false, payload.n);
    buf_add_str(out, payload);
}

void encoding_gzip_head(struct buf *out)
{
    static const uint8_t head[10] = {0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff};
    buf_add(out, head, sizeof(head));
}

static void pack(struct transport_home *home, struct str text, struct buf *out)
{
    if (text.n <= STORED_MAX) {
        uint8_t head[5] = {0, (uint8_t)text.n, 0, (uint8_t)~text.n, 0xff};
        buf_add(out, head, sizeof(head));
        buf_add_str(out, text);
        return;
    }
    if (!deflate_message(home->deflate, WINDOW_BITS, text, out))
        buf_add(out, "\0\0\xff\xff", 4);
    else
        out->failed = true; /* what is there already would spoil the stream */
}

void encoding_chunk(struct transport_home *home, bool gzip, struct str text, struct buf *out)
{
    struct buf *packed = &home->framed;
    if (gzip) {
        buf_clear(packed);
        pack(home, text, packed);
        metric_add(M_COMPRESSED_SAVED, (int64_t)text.n - (int64_t)packed->n);
        text = buf_str(packed);
        out->failed |= packed->failed;
    }
    buf_printf(out, "%zx\r\n", text.n);
    buf_add_str(out, text);
    buf_add(out, "\r\n", 2);
}

/* The guide's form: data is the payload, the id the message's. */
static void add_event(const struct msg *m, struct buf *out)
{
    char id[64];
    bool is_plain = str_is(m->event, "message");
    struct str event = m->format == MSG_BINARY ? STR("binary") : is_plain ? STR_NONE : m->event;
    struct buf packed = {0};
    struct str data = m->content;
    if (m->format == MSG_BINARY) {
        buf_add_c(&packed, '"');
        base64_encode(&packed, m->content);
        buf_add_c(&packed, '"');
        data = buf_str(&packed);
    } else if (m->attachments.n) {
        struct arena a = {0};
        if (!attachments_add_inline(&packed, &a, m->content, m->attachments))
            data = buf_str(&packed);
        arena_free(&a);
    }
    (void)sse_add_event(out, event, str_of(id, msg_put_id(m, id)), data);
    out->failed |= packed.failed;
    buf_free(&packed);
}

/* The frame that a WebSocket would get, unnamed; binary content as base64 text. */
static void add_frame_event(const struct msg *m, struct buf *text, struct buf *out)
{
    struct native_message nm;
    native_message_of(m, &nm);
    buf_clear(text);
    native_add_message(text, &nm);
    (void)sse_add_event(out, STR_NONE, STR_NONE, buf_str(text));
}

static int phoenix_vsn_of(enum encoding_kind kind)
{
    return kind == ENC_PHOENIX1 || kind == ENC_PHOENIX1_DEFLATE ? 1 : 2;
}

static bool phoenix_deflates(enum encoding_kind kind)
{
    return kind == ENC_PHOENIX1_DEFLATE || kind == ENC_PHOENIX2_DEFLATE;
}

/* A text frame for the packet, a binary one for each of its attachments. */
static void add_socketio_frames(struct transport_home *home, enum encoding_kind kind,
                                const struct msg *m, struct buf *out)
{
    bool with_place = kind == ENC_SOCKETIO_WS || kind == ENC_SOCKETIO_WS_DEFLATE;
    bool deflate = kind == ENC_SOCKETIO_WS_DEFLATE || kind == ENC_SOCKETIO_WS_PLAIN_DEFLATE;
    struct buf *text = &home->text;
    struct socketio_emit emit;
    struct str bytes;
    buf_add_c(text, '4');
    if (socketio_encode(m, with_place, text, &emit) < 0)
        return;
    encoding_frame(home, false, deflate, WINDOW_BITS, buf_str(text), out);
    for (size_t at = 0; socketio_emit_bytes(&emit, &at, &bytes);)
        encoding_frame(home, true, deflate, WINDOW_BITS, bytes, out);
}

/* The same in a poll's body; what joins packets stands before each. */
static void add_socketio_packets(bool with_place, const struct msg *m, struct buf *text,
                                 struct buf *out)
{
    struct socketio_emit emit;
    struct str bytes;
    buf_add_c(text, '4');
    if (socketio_encode(m, with_place, text, &emit) < 0)
        return;
    buf_add_c(out, 0x1e);
    buf_add_str(out, buf_str(text));
    for (size_t at = 0; socketio_emit_bytes(&emit, &at, &bytes);) {
        buf_add_z(out, "\x1e"
                       "b");
        base64_encode(out, bytes);
    }
}

static bool is_deflate(enum encoding_kind kind)
{
    return kind == ENC_NATIVE_WS_DEFLATE || kind == ENC_NATIVE_WS_DELTA_DEFLATE;
}

static void encode_delta(struct loop *l, enum encoding_kind kind, const struct msg *m,
                         const struct msg *base, struct buf *out)
{
    struct transport_home *home = transport_home_of(l);
    struct native_message nm;
    struct buf delta = {0};
    native_message_of(m, &nm);
    if (delta_add(&delta, base->content, m->content, &nm.delta_sum)) {
        nm.delta = buf_str(&delta);
        nm.delta_base = base->offset;
        buf_clear(&home->text);
        native_add_message(&home->text, &nm);
        out->failed |= delta.failed || home->text.failed;
        encoding_frame(home, false, is_deflate(kind), WINDOW_BITS, buf_str(&home->text), out);
    }
    buf_free(&delta);
}

static void encode_message(struct loop *l, enum encoding_kind kind, const struct msg *m,
                           struct buf *out)
{
    struct transport_home *home = transport_home_of(l);
    struct buf *text = &home->text;
    struct buf event = {0};
    bool is_binary;
    buf_clear(text);
    switch (kind) {
    case ENC_NATIVE_WS:
    case ENC_NATIVE_WS_DEFLATE:
    case ENC_NATIVE_WS_DELTA:
    case ENC_NATIVE_WS_DELTA_DEFLATE:
        is_binary = native_encode_message(m, text);
        encoding_frame(home, is_binary, is_deflate(kind), WINDOW_BITS, buf_str(text), out);
        break;
    case ENC_PHOENIX1:
    case ENC_PHOENIX1_DEFLATE:
    case ENC_PHOENIX2:
    case ENC_PHOENIX2_DEFLATE:
        is_binary = phoenix_encode_message(phoenix_vsn_of(kind), m, text);
        encoding_frame(home, is_binary, phoenix_deflates(kind), WINDOW_BITS, buf_str(text), out);
        break;
    case ENC_SSE:
    case ENC_SSE_GZIP:
        add_event(m, text);
        encoding_chunk(home, kind == ENC_SSE_GZIP, buf_str(text), out);
        break;
    case ENC_SSE_FRAMES:
    case ENC_SSE_FRAMES_GZIP:
        add_frame_event(m, text, &event);
        encoding_chunk(home, kind == ENC_SSE_FRAMES_GZIP, buf_str(&event), out);
        out->failed |= event.failed;
        buf_free(&event);
        break;
    case ENC_SOCKETIO_WS:
    case ENC_SOCKETIO_WS_DEFLATE:
    case ENC_SOCKETIO_WS_PLAIN:
    case ENC_SOCKETIO_WS_PLAIN_DEFLATE:
        add_socketio_frames(home, kind, m, out);
        break;
    case ENC_SOCKETIO_POLL:
    case ENC_SOCKETIO_POLL_PLAIN:
        add_socketio_packets(kind == ENC_SOCKETIO_POLL, m, text, out);
        break;
    case ENC_NONE:
    case ENC_COUNT:
        break;
    }
    out->failed |= text->failed;
}

static void encode_presence(struct loop *l, enum encoding_kind kind, struct str channel,
                            const struct presence_update *u, struct buf *out)
{
    struct transport_home *home = transport_home_of(l);
    struct buf *text = &home->text;
    struct buf event = {0};
    buf_clear(text);
    switch (kind) {
    case ENC_NATIVE_WS:
    case ENC_NATIVE_WS_DEFLATE:
    case ENC_NATIVE_WS_DELTA:
    case ENC_NATIVE_WS_DELTA_DEFLATE:
        native_encode_presence(channel, u, text);
        encoding_frame(home, false, is_deflate(kind), WINDOW_BITS, buf_str(text), out);
        break;
    case ENC_PHOENIX1:
    case ENC_PHOENIX1_DEFLATE:
    case ENC_PHOENIX2:
    case ENC_PHOENIX2_DEFLATE:
        if (phoenix_encode_handover(phoenix_vsn_of(kind), channel, u, text))
            encoding_frame(home, false, phoenix_deflates(kind), WINDOW_BITS, buf_str(text), out);
        buf_clear(text);
        phoenix_encode_presence(phoenix_vsn_of(kind), channel, u, text);
        encoding_frame(home, false, phoenix_deflates(kind), WINDOW_BITS, buf_str(text), out);
        break;
    case ENC_SSE:
    case ENC_SSE_GZIP:
    case ENC_SSE_FRAMES:
    case ENC_SSE_FRAMES_GZIP:
        native_encode_presence(channel, u, text);
        (void)sse_add_event(&event,
                            kind == ENC_SSE || kind == ENC_SSE_GZIP ? STR("presence") : STR_NONE,
                            STR_NONE, buf_str(text));
        encoding_chunk(home, kind == ENC_SSE_GZIP || kind == ENC_SSE_FRAMES_GZIP, buf_str(&event),
                       out);
        out->failed |= event.failed;
        buf_free(&event);
        break;
    case ENC_SOCKETIO_WS:
    case ENC_SOCKETIO_WS_DEFLATE:
    case ENC_SOCKETIO_WS_PLAIN:
    case ENC_SOCKETIO_WS_PLAIN_DEFLATE:
    case ENC_SOCKETIO_POLL:
    case ENC_SOCKETIO_POLL_PLAIN:
    case ENC_NONE:
    case ENC_COUNT:
        break;
    }
    out->failed |= text->failed;
}

const struct encoding_table encoding_table = {encode_message, encode_delta, encode_presence};
