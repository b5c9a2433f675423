/* SPDX-License-Identifier: Apache-2.0 */
/* From a WebSocket client's bytes to its messages.
 *
 *   head --(wsframe_decode_head)--> payload --(left == 0)--> head ...
 *
 * Two lives run beside each other: the frame that is being read (opcode, left, mask) and the
 * message it may belong to (message_opcode, bytes, fragments, utf8). Control frames touch the
 * first only, so they can stand between fragments.
 *
 * m->partial exists while a message or a control frame is incomplete, and until the next call
 * after one was delivered from it. */
#include "wire/wsmessage.h"
#include "base/check.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "wire/deflate.h"

/* A fragment costs no memory of its own; this only ends what cannot be meant seriously: a
 * 16 MiB message in pieces of 16 bytes is still taken. */
enum { FRAGMENTS_MAX = 1 << 20 };

struct wsmessage_partial {
    struct buf data;
    uint8_t control[WSFRAME_CONTROL_MAX];
    uint8_t control_bytes;
};

struct input {
    uint8_t *p;
    size_t n;
};

void wsmessage_init(struct wsmessage *m, uint32_t message_bytes_max, bool deflate)
{
    CHECK(message_bytes_max > 0);
    *m = (struct wsmessage){.bytes_max = message_bytes_max, .deflate = deflate};
}

static void drop_partial(struct wsmessage *m)
{
    if (!m->partial)
        return;
    buf_free(&m->partial->data);
    mem_free(m->partial);
    m->partial = NULL;
}

void wsmessage_fini(struct wsmessage *m)
{
    drop_partial(m);
    m->ended = true;
}

size_t wsmessage_held(const struct wsmessage *m)
{
    return m->partial ? sizeof(*m->partial) + m->partial->data.capacity : 0;
}

static struct wsmessage_partial *partial(struct wsmessage *m)
{
    if (!m->partial)
        m->partial = mem_new(sizeof(*m->partial));
    return m->partial;
}

static int close_code(int err)
{
    switch (err) {
    case E_PROTOCOL:
        return 1002;
    case E_BAD_UTF8:
        return 1007;
    case E_TOO_MANY:
        return 1008;
    case E_TOO_LARGE:
        return 1009;
    default:
        return 1011;
    }
}

static enum wsmessage_event refuse(struct wsmessage *m, struct wsmessage_out *out, int err,
                                   const char *detail)
{
    drop_partial(m);
    m->ended = true;
    *out = (struct wsmessage_out){.code = close_code(err), .err = err, .detail = detail};
    return WSMESSAGE_ERROR;
}

static bool is_control(const struct wsmessage *m)
{
    return m->opcode >= WSFRAME_CLOSE;
}

/* ---- heads ------------------------------------------------------------------------------ */

/* Most payload the next frame may have. Deflate may make random bytes a little longer. */
static uint64_t length_max(const struct wsmessage *m)
{
    bool may_be_compressed = m->message_opcode ? m->compressed : m->deflate;
    uint64_t most = m->bytes_max;
    if (may_be_compressed)
        most += most / 1000 + 64;
    return most - (m->message_opcode ? m->bytes : 0);
}

/* Reads a frame's head from the input, with what came of it before. 1, 0 = more is needed. */
static int take_head(struct wsmessage *m, struct input *in, struct wsframe_head *head,
                     const char **detail)
{
    size_t had = m->head_bytes, more = sizeof(m->head) - had;
    struct str bytes = str_of((const char *)in->p, in->n);
    if (had) {
        more = in->n < more ? in->n : more;
        memcpy(m->head + had, in->p, more);
        bytes = str_of((const char *)m->head, had + more);
    }
    int used = wsframe_decode_head(bytes, m->deflate, length_max(m), head, detail);
    if (used < 0)
        return used;
    if (used == 0) {
        CHECK(bytes.n < sizeof(m->head));
        if (!had && bytes.n)
            memcpy(m->head, bytes.p, bytes.n);
        m->head_bytes = (uint8_t)bytes.n;
        in->p += in->n;
        in->n = 0;
        return 0;
    }
    CHECK((size_t)used >= had);
    in->p += (size_t)used - had;
    in->n -= (size_t)used - had;
    m->head_bytes = 0;
    return 1;
}

/* What the frame means for the message. 0 or E_*. */
static int begin_frame(struct wsmessage *m, const struct wsframe_head *head, const char **detail)
{
    m->opcode = (uint8_t)head->opcode;
    m->fin = head->fin;
    m->left = head->length;
    m->phase = 0;
    memcpy(m->mask, head->mask, sizeof(m->mask));
    m->in_payload = true;
    if (is_control(m))
        return 0;
    *detail = m->message_opcode ? "a message begins inside another" : "nothing to continue";
    if ((head->opcode == WSFRAME_CONTINUATION) != (m->message_opcode != 0))
        return E_PROTOCOL;
    if (!m->message_opcode) {
        m->message_opcode = m->opcode;
        m->compressed = head->rsv1;
        m->bytes = m->fragments = m->utf8 = 0;
        if (m->partial)
            buf_clear(&m->partial->data);
    }
    *detail = "message too large";
    if (!m->compressed && head->length > m->bytes_max - m->bytes)
        return E_TOO_LARGE;
    *detail = "too many fragments";
    return ++m->fragments > FRAGMENTS_MAX ? E_TOO_MANY : 0;
}

/* ---- payloads --------------------------------------------------------------------------- */

/* What is there of the current frame's payload, unmasked. */
static struct str take_piece(struct wsmessage *m, struct input *in)
{
    size_t n = m->left < in->n ? (size_t)m->left : in->n;
    struct str piece = str_of((const char *)in->p, n);
    wsframe_unmask(in->p, n, m->mask, m->phase);
    in->p += n;
    in->n -= n;
    m->left -= n;
    m->phase += n;
    m->in_payload = m->left > 0;
    return piece;
}

static enum wsmessage_event deliver_control(struct wsmessage *m, struct str payload,
                                            struct wsmessage_out *out)
{
    *out = (struct wsmessage_out){.payload = payload};
    if (m->opcode == WSFRAME_PING)
        return WSMESSAGE_PING;
    if (m->opcode == WSFRAME_PONG)
        return WSMESSAGE_PONG;
    int r = wsframe_decode_close(payload, &out->code, &out->payload);
    if (r < 0)
        return refuse(m, out, r, r == E_BAD_UTF8 ? "close reason is not UTF-8" : "bad close code");
    m->ended = true;
    return WSMESSAGE_CLOSE;
}

static enum wsmessage_event take_control(struct wsmessage *m, struct input *in,
                                         struct wsmessage_out *out)
{
    struct str piece = take_piece(m, in);
    struct wsmessage_partial *held = m->partial;
    if (m->in_payload || (held && held->control_bytes)) {
        held = partial(m);
        CHECK(held->control_bytes + piece.n <= sizeof(held->control));
        if (piece.n)
            memcpy(held->control + held->control_bytes, piece.p, piece.n);
        held->control_bytes = (uint8_t)(held->control_bytes + piece.n);
        if (m->in_payload)
            return WSMESSAGE_MORE;
        piece = str_of((const char *)held->control, held->control_bytes);
        held->control_bytes = 0;
    }
    return deliver_control(m, piece, out);
}

static enum wsmessage_event deliver(struct wsmessage *m, struct str payload, bool checked,
                                    struct deflate_reader *inflate, struct wsmessage_out *out)
{
    bool text = m->message_opcode == WSFRAME_TEXT;
    m->message_opcode = 0;
    if (m->compressed) {
        int r = deflate_inflate(inflate, payload, m->bytes_max, &payload);
        if (r == E_PROTOCOL) {
            refuse(m, out, r, "compressed data is broken");
            out->code = 1007;
            return WSMESSAGE_ERROR;
        }
        if (r < 0)
            return refuse(m, out, r, r == E_TOO_LARGE ? "message too large" : "out of memory");
    }
    if (text && (checked ? m->utf8 != 0 : !utf8_valid(payload)))
        return refuse(m, out, E_BAD_UTF8, "text is not UTF-8");
    *out = (struct wsmessage_out){.payload = payload};
    return text ? WSMESSAGE_TEXT : WSMESSAGE_BINARY;
}

static enum wsmessage_event take_data(struct wsmessage *m, struct input *in,
                                      struct deflate_reader *inflate, struct wsmessage_out *out)
{
    struct str piece = take_piece(m, in);
    bool whole = m->fin && !m->in_payload, checked = false;
    if (whole && m->fragments == 1 && m->phase == piece.n)
        return deliver(m, piece, false, inflate, out);
    if (m->message_opcode == WSFRAME_TEXT && !m->compressed) {
        if (!utf8_feed(&m->utf8, piece))
            return refuse(m, out, E_BAD_UTF8, "text is not UTF-8");
        checked = true;
    }
    struct buf *data = &partial(m)->data;
    buf_add_str(data, piece);
    if (data->failed)
        return refuse(m, out, E_NO_MEMORY, "out of memory");
    m->bytes += (uint32_t)piece.n;
    return whole ? deliver(m, buf_str(data), checked, inflate, out) : WSMESSAGE_MORE;
}

static enum wsmessage_event feed(struct wsmessage *m, struct input *in,
                                 struct deflate_reader *inflate, struct wsmessage_out *out)
{
    struct wsframe_head head;
    const char *detail = NULL;
    enum wsmessage_event event = WSMESSAGE_MORE;
    while (event == WSMESSAGE_MORE) {
        if (!m->in_payload) {
            int r = take_head(m, in, &head, &detail);
            if (r == 0)
                break;
            if (r > 0)
                r = begin_frame(m, &head, &detail);
            if (r < 0)
                return refuse(m, out, r, detail);
        } else if (in->n == 0) {
            break;
        }
        event = is_control(m) ? take_control(m, in, out) : take_data(m, in, inflate, out);
    }
    return event;
}

enum wsmessage_event wsmessage_feed(struct wsmessage *m, uint8_t **in, size_t *in_bytes,
                                    struct deflate_reader *inflate, struct wsmessage_out *out)
{
    struct input input = {*in, *in_bytes};
    enum wsmessage_event event = WSMESSAGE_MORE;
    CHECK(!m->deflate || inflate);
    if (!m->ended)
        event = feed(m, &input, inflate, out);
    if (m->ended) {
        input.p += input.n;
        input.n = 0;
    }
    if (event == WSMESSAGE_MORE && (m->ended || (!m->message_opcode && !m->in_payload)))
        drop_partial(m);
    *in = input.p;
    *in_bytes = input.n;
    return event;
}
