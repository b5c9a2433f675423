/* SPDX-License-Identifier: Apache-2.0 */
/* WebSocket frames (RFC 6455 section 5): heads, masking, close payloads. Messages are put
 * together in wire/wsmessage.h. */
#ifndef WIRE_WSFRAME_H
#define WIRE_WSFRAME_H

#include "base/buf.h"

enum wsframe_opcode {
    WSFRAME_CONTINUATION = 0,
    WSFRAME_TEXT = 1,
    WSFRAME_BINARY = 2,
    WSFRAME_CLOSE = 8,
    WSFRAME_PING = 9,
    WSFRAME_PONG = 10
};
enum { WSFRAME_HEAD_MAX = 14, WSFRAME_SERVER_HEAD_MAX = 10, WSFRAME_CONTROL_MAX = 125 };

struct wsframe_head {
    enum wsframe_opcode opcode;
    bool fin;
    bool rsv1; /* compressed (RFC 7692) */
    uint8_t mask[4];
    uint64_t length;
};

/* Reads a client's frame head. > 0: its length, 0: more is needed, < 0: E_PROTOCOL (close 1002),
 * E_TOO_LARGE (1009: length > length_max). Wrong bits are found as soon as their byte is there.
 * *detail (may be NULL) says which rule. */
int wsframe_decode_head(struct str bytes, bool deflate, uint64_t length_max,
                        struct wsframe_head *out, const char **detail);
/* XORs p[0..n) with the mask; `phase` is the offset of p[0] in the payload. */
void wsframe_unmask(uint8_t *p, size_t n, const uint8_t mask[4], uint64_t phase);

/* Head of an unmasked, final frame into out[10]; returns its length (2, 4 or 10). */
size_t wsframe_put_head(uint8_t *out, enum wsframe_opcode opcode, bool compressed, uint64_t length);
void wsframe_add_head(struct buf *out, enum wsframe_opcode opcode, bool compressed,
                      uint64_t length);
void wsframe_add(struct buf *out, enum wsframe_opcode opcode, struct str payload);
/* A close frame; code 0 or 1005 = empty payload. The reason is cut at 123 bytes on a character
 * boundary. Codes that must not be sent (1006, 1015) become 1011. */
void wsframe_add_close(struct buf *out, int code, struct str reason);

/* May a peer send this code? 1000-1003, 1007-1014, 3000-4999. */
bool wsframe_close_code_valid(int code);
/* A close frame's payload: 0, or E_PROTOCOL (1 byte, bad code), E_BAD_UTF8. Empty: *code 1005. */
int wsframe_decode_close(struct str payload, int *code, struct str *reason);

#endif
