/* SPDX-License-Identifier: Apache-2.0 */
/* WebSocket frames. */
#include "wire/wsframe.h"
#include "base/err.h"
#include "base/utf8.h"

enum { FIN = 0x80, RSV1 = 0x40, RSV23 = 0x30, MASKED = 0x80, REASON_MAX = 123 };

static int refuse(const char **detail, int err, const char *text)
{
    if (detail)
        *detail = text;
    return err;
}

static bool is_control(unsigned opcode)
{
    return opcode >= WSFRAME_CLOSE;
}

static int check_bits(unsigned char b, bool deflate, const char **detail)
{
    unsigned opcode = b & 15;
    if (b & RSV23)
        return refuse(detail, E_PROTOCOL, "reserved bits are set");
    if (b & RSV1 && (!deflate || (opcode != WSFRAME_TEXT && opcode != WSFRAME_BINARY)))
        return refuse(detail, E_PROTOCOL, "compressed bit is set where it must not be");
    if (opcode > WSFRAME_PONG || (opcode > WSFRAME_BINARY && opcode < WSFRAME_CLOSE))
        return refuse(detail, E_PROTOCOL, "unknown opcode");
    if (is_control(opcode) && !(b & FIN))
        return refuse(detail, E_PROTOCOL, "control frame is fragmented");
    return 0;
}

static uint64_t big_endian(const unsigned char *p, size_t n)
{
    uint64_t v = 0;
    for (size_t i = 0; i < n; i++)
        v = v << 8 | p[i];
    return v;
}

/* Reads the length behind the second byte. 1, 0 = more is needed, < 0. */
static int take_length(struct str bytes, uint64_t *length, size_t *used, const char **detail)
{
    const unsigned char *p = (const unsigned char *)bytes.p;
    unsigned small = p[1] & 0x7f;
    size_t size = small == 126 ? 2 : small == 127 ? 8 : 0;
    *used = 2 + size;
    *length = small;
    if (size == 0)
        return 1;
    if (bytes.n > 2 && size == 8 && p[2] & 0x80)
        return refuse(detail, E_PROTOCOL, "length with the highest bit set");
    if (bytes.n < *used)
        return 0;
    *length = big_endian(p + 2, size);
    if (*length <= (size == 2 ? 125 : 65535))
        return refuse(detail, E_PROTOCOL, "length is not in its shortest form");
    return 1;
}

int wsframe_decode_head(struct str bytes, bool deflate, uint64_t length_max,
                        struct wsframe_head *out, const char **detail)
{
    const unsigned char *p = (const unsigned char *)bytes.p;
    uint64_t length;
    size_t used;
    int r = bytes.n ? check_bits(p[0], deflate, detail) : 0;
    if (r < 0 || bytes.n < 2)
        return r;
    if (!(p[1] & MASKED))
        return refuse(detail, E_PROTOCOL, "frame is not masked");
    if (is_control(p[0] & 15) && (p[1] & 0x7f) > WSFRAME_CONTROL_MAX)
        return refuse(detail, E_PROTOCOL, "control frame is too long");
    r = take_length(bytes, &length, &used, detail);
    if (r <= 0)
        return r;
    if (length > length_max && !is_control(p[0] & 15))
        return refuse(detail, E_TOO_LARGE, "message too large");
    if (bytes.n < used + 4)
        return 0;
    *out = (struct wsframe_head){.opcode = (enum wsframe_opcode)(p[0] & 15),
                                 .fin = p[0] & FIN,
                                 .rsv1 = p[0] & RSV1,
                                 .length = length};
    memcpy(out->mask, p + used, 4);
    return (int)used + 4;
}

void wsframe_unmask(uint8_t *p, size_t n, const uint8_t mask[4], uint64_t phase)
{
    uint8_t turned[8];
    uint64_t word, key;
    size_t i = 0;
    for (size_t k = 0; k < 8; k++)
        turned[k] = mask[(phase + k) & 3];
    memcpy(&key, turned, 8);
    for (; i + 8 <= n; i += 8) {
        memcpy(&word, p + i, 8);
        word ^= key;
        memcpy(p + i, &word, 8);
    }
    for (; i < n; i++)
        p[i] ^= turned[i & 7];
}

size_t wsframe_put_head(uint8_t *out, enum wsframe_opcode opcode, bool compressed, uint64_t length)
{
    size_t size = length > 65535 ? 8 : length > 125 ? 2 : 0;
    out[0] = (uint8_t)(FIN | (compressed ? RSV1 : 0) | (unsigned)opcode);
    out[1] = (uint8_t)(size == 8 ? 127 : size == 2 ? 126 : length);
    for (size_t i = 0; i < size; i++)
        out[2 + i] = (uint8_t)(length >> 8 * (size - 1 - i));
    return 2 + size;
}

void wsframe_add_head(struct buf *out, enum wsframe_opcode opcode, bool compressed, uint64_t length)
{
    uint8_t head[WSFRAME_SERVER_HEAD_MAX];
    buf_add(out, head, wsframe_put_head(head, opcode, compressed, length));
}

void wsframe_add(struct buf *out, enum wsframe_opcode opcode, struct str payload)
{
    wsframe_add_head(out, opcode, false, payload.n);
    buf_add_str(out, payload);
}

bool wsframe_close_code_valid(int code)
{
    return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) ||
           (code >= 3000 && code <= 4999);
}

void wsframe_add_close(struct buf *out, int code, struct str reason)
{
    if (code == 0 || code == 1005) {
        wsframe_add_head(out, WSFRAME_CLOSE, false, 0);
        return;
    }
    if (!wsframe_close_code_valid(code))
        code = 1011;
    if (reason.n > REASON_MAX) {
        reason.n = REASON_MAX;
        while (reason.n && ((unsigned char)reason.p[reason.n] & 0xc0) == 0x80)
            reason.n--;
    }
    wsframe_add_head(out, WSFRAME_CLOSE, false, 2 + reason.n);
    buf_add_c(out, (char)(code >> 8));
    buf_add_c(out, (char)code);
    buf_add_str(out, reason);
}

int wsframe_decode_close(struct str payload, int *code, struct str *reason)
{
    *code = 1005;
    *reason = STR_NONE;
    if (payload.n == 0)
        return 0;
    if (payload.n == 1)
        return E_PROTOCOL;
    *code = (int)big_endian((const unsigned char *)payload.p, 2);
    *reason = str_skip(payload, 2);
    if (!wsframe_close_code_valid(*code))
        return E_PROTOCOL;
    return utf8_valid(*reason) ? 0 : E_BAD_UTF8;
}
