/* SPDX-License-Identifier: Apache-2.0 */
/* From a WebSocket client's bytes to its messages.
 *
 *   head --(wsframe_decode_head)--> payload --(left == 0)--> head ...
 *
 * Two lives run beside each other: the frame that is being read (opcode, left, mask) and the
 * message it may belong to (message_opcode, bytes, fragments, utf8). Control frames touch the
 * first only, so they can stand between fragments.
 *
 * What is under way stands in a struct wsmessage_partial: on the caller's stack while the input
 * has it whole, kept as m->partial while a head, a frame or a message is incomplete, and until the
 * next call after one was delivered from it. */
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
    uint64_t left;      /* of the current frame's payload */
    uint64_t phase;     /* payload bytes of it already seen */
    struct buf data;    /* of the current message, as far as it had to be kept */
    uint32_t bytes;     /* of the current message so far */
    uint32_t fragments; /* of it */
    uint32_t utf8;
    uint8_t mask[4];
    uint8_t head_bytes;
    uint8_t control_bytes;
    uint8_t opcode;         /* of the current frame */
    uint8_t message_opcode; /* 0 = no message has begun */
    bool fin, compressed, in_payload;
    uint8_t head[WSFRAME_HEAD_MAX];
    uint8_t control[WSFRAME_CONTROL_MAX];
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
    m->ended = true;
    *out = (struct wsmessage_out){.code = close_code(err), .err = err, .detail = detail};
    return WSMESSAGE_ERROR;
}

static bool is_control(const struct wsmessage_partial *p)
{
    return p->opcode >= WSFRAME_CLOSE;
}

/* ---- heads ------------------------------------------------------------------------------ */

/* Most payload the next frame may have. Deflate may make random bytes a little longer. */
static uint64_t length_max(const struct wsmessage *m, const struct wsmessage_partial *p)
{
    bool may_be_compressed = p->message_opcode ? p->compressed : m->deflate;
    uint64_t most = m->bytes_max;
    if (may_be_compressed)
        most += most / 1000 + 64;
    return most - (p->message_opcode ? p->bytes : 0);
}

/* Reads a frame's head from the input, with what came of it before. 1, 0 = more is needed. */
static int take_head(const struct wsmessage *m, struct wsmessage_partial *p, struct input *in,
                     struct wsframe_head *head, const char **detail)
{
    size_t had = p->head_bytes, more = sizeof(p->head) - had;
    struct str bytes = str_of((const char *)in->p, in->n);
    if (had) {
        more = in->n < more ? in->n : more;
        memcpy(p->head + had, in->p, more);
        bytes = str_of((const char *)p->head, had + more);
    }
    int used = wsframe_decode_head(bytes, m->deflate, length_max(m, p), head, detail);
    if (used < 0)
        return used;
    if (used == 0) {
        CHECK(bytes.n < sizeof(p->head));
        if (!had && bytes.n)
            memcpy(p->head, bytes.p, bytes.n);
        p->head_bytes = (uint8_t)bytes.n;
        in->p += in->n;
        in->n = 0;
        return 0;
    }
    CHECK((size_t)used >= had);
    in->p += (size_t)used - had;
    in->n -= (size_t)used - had;
    p->head_bytes = 0;
    return 1;
}

/* What the frame means for the message. 0 or E_*. */
static int begin_frame(const struct wsmessage *m, struct wsmessage_partial *p,
                       const struct wsframe_head *head, const char **detail)
{
    p->opcode = (uint8_t)head->opcode;
    p->fin = head->fin;
    p->left = head->length;
    p->phase = 0;
    memcpy(p->mask, head->mask, sizeof(p->mask));
    p->in_payload = true;
    if (is_control(p))
        return 0;
    *detail = p->message_opcode ? "a message begins inside another" : "nothing to continue";
    if ((head->opcode == WSFRAME_CONTINUATION) != (p->message_opcode != 0))
        return E_PROTOCOL;
    if (!p->message_opcode) {
        p->message_opcode = p->opcode;
        p->compressed = head->rsv1;
        p->bytes = p->fragments = p->utf8 = 0;
        buf_clear(&p->data);
    }
    *detail = "message too large";
    if (!p->compressed && head->length > m->bytes_max - p->bytes)
        return E_TOO_LARGE;
    *detail = "too many fragments";
    return ++p->fragments > FRAGMENTS_MAX ? E_TOO_MANY : 0;
}

/* ---- payloads --------------------------------------------------------------------------- */

/* What is there of the current frame's payload, unmasked. */
static struct str take_piece(struct wsmessage_partial *p, struct input *in)
{
    size_t n = p->left < in->n ? (size_t)p->left : in->n;
    struct str piece = str_of((const char *)in->p, n);
    wsframe_unmask(in->p, n, p->mask, p->phase);
    in->p += n;
    in->n -= n;
    p->left -= n;
    p->phase += n;
    p->in_payload = p->left > 0;
    return piece;
}

static enum wsmessage_event deliver_control(struct wsmessage *m, struct wsmessage_partial *p,
                                            struct str payload, struct wsmessage_out *out)
{
    *out = (struct wsmessage_out){.payload = payload};
    if (p->opcode == WSFRAME_PING)
        return WSMESSAGE_PING;
    if (p->opcode == WSFRAME_PONG)
        return WSMESSAGE_PONG;
    int r = wsframe_decode_close(payload, &out->code, &out->payload);
    if (r < 0)
        return refuse(m, out, r, r == E_BAD_UTF8 ? "close reason is not UTF-8" : "bad close code");
    m->ended = true;
    return WSMESSAGE_CLOSE;
}

static enum wsmessage_event take_control(struct wsmessage *m, struct wsmessage_partial *p,
                                         struct input *in, struct wsmessage_out *out)
{
    struct str piece = take_piece(p, in);
    if (p->in_payload || p->control_bytes) {
        CHECK(p->control_bytes + piece.n <= sizeof(p->control));
        if (piece.n)
            memcpy(p->control + p->control_bytes, piece.p, piece.n);
        p->control_bytes = (uint8_t)(p->control_bytes + piece.n);
        if (p->in_payload)
            return WSMESSAGE_MORE;
        piece = str_of((const char *)p->control, p->control_bytes);
        p->control_bytes = 0;
    }
    return deliver_control(m, p, piece, out);
}

static enum wsmessage_event deliver(struct wsmessage *m, struct wsmessage_partial *p,
                                    struct str payload, bool checked,
                                    struct deflate_reader *inflate, struct wsmessage_out *out)
{
    bool text = p->message_opcode == WSFRAME_TEXT;
    p->message_opcode = 0;
    if (p->compressed) {
        int r = deflate_inflate(inflate, payload, m->bytes_max, &payload);
        if (r == E_PROTOCOL) {
            refuse(m, out, r, "compressed data is broken");
            out->code = 1007;
            return WSMESSAGE_ERROR;
        }
        if (r < 0)
            return refuse(m, out, r, r == E_TOO_LARGE ? "message too large" : "out of memory");
    }
    if (text && (checked ? p->utf8 != 0 : !utf8_valid(payload)))
        return refuse(m, out, E_BAD_UTF8, "text is not UTF-8");
    *out = (struct wsmessage_out){.payload = payload};
    return text ? WSMESSAGE_TEXT : WSMESSAGE_BINARY;
}

static enum wsmessage_event take_data(struct wsmessage *m, struct wsmessage_partial *p,
                                      struct input *in, struct deflate_reader *inflate,
                                      struct wsmessage_out *out)
{
    struct str piece = take_piece(p, in);
    bool whole = p->fin && !p->in_payload, checked = false;
    if (whole && p->fragments == 1 && p->phase == piece.n)
        return deliver(m, p, piece, false, inflate, out);
    if (p->message_opcode == WSFRAME_TEXT && !p->compressed) {
        if (!utf8_feed(&p->utf8, piece))
            return refuse(m, out, E_BAD_UTF8, "text is not UTF-8");
        checked = true;
    }
    struct buf *data = &p->data;
    buf_add_str(data, piece);
    if (data->failed)
        return refuse(m, out, E_NO_MEMORY, "out of memory");
    p->bytes += (uint32_t)piece.n;
    return whole ? deliver(m, p, buf_str(data), checked, inflate, out) : WSMESSAGE_MORE;
}

static enum wsmessage_event feed(struct wsmessage *m, struct wsmessage_partial *p, struct input *in,
                                 struct deflate_reader *inflate, struct wsmessage_out *out)
{
    struct wsframe_head head;
    const char *detail = NULL;
    enum wsmessage_event event = WSMESSAGE_MORE;
    while (event == WSMESSAGE_MORE) {
        if (!p->in_payload) {
            int r = take_head(m, p, in, &head, &detail);
            if (r == 0)
                break;
            if (r > 0)
                r = begin_frame(m, p, &head, &detail);
            if (r < 0)
                return refuse(m, out, r, detail);
        } else if (in->n == 0) {
            break;
        }
        event = is_control(p) ? take_control(m, p, in, out) : take_data(m, p, in, inflate, out);
    }
    return event;
}

/* Nothing is under way, and *out points into nothing of it. */
static bool is_over(const struct wsmessage *m, const struct wsmessage_partial *p,
                    enum wsmessage_event event)
{
    if (event != WSMESSAGE_MORE)
        return event == WSMESSAGE_ERROR;
    return m->ended || (!p->message_opcode && !p->in_payload && !p->head_bytes);
}

enum wsmessage_event wsmessage_feed(struct wsmessage *m, uint8_t **in, size_t *in_bytes,
                                    struct deflate_reader *inflate, struct wsmessage_out *out)
{
    struct input input = {*in, *in_bytes};
    struct wsmessage_partial fresh, *p = m->partial ? m->partial : &fresh;
    enum wsmessage_event event = WSMESSAGE_MORE;
    CHECK(!m->deflate || inflate);
    if (!m->partial)
        memset(&fresh, 0, offsetof(struct wsmessage_partial, head)); /* the rest goes by counts */
    if (!m->ended)
        event = feed(m, p, &input, inflate, out);
    if (m->ended) {
        input.p += input.n;
        input.n = 0;
    }
    if (is_over(m, p, event)) {
        buf_free(&p->data);
        mem_free(m->partial);
        m->partial = NULL;
    } else if (p == &fresh && (p->message_opcode || p->in_payload || p->head_bytes || p->data.p)) {
        m->partial = mem_new(sizeof(*p));
        memcpy(m->partial, p, sizeof(*p));
    }
    *in = input.p;
    *in_bytes = input.n;
    return event;
}
