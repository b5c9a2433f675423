/* SPDX-License-Identifier: Apache-2.0 */
/* From the bytes of a WebSocket client to its messages: frames, fragments, control frames in
 * between, masks, text that must be UTF-8, compression (RFC 7692, no context takeover), limits.
 *
 * All input is always taken; nothing is left to be presented again. A message that lies whole in
 * the input is unmasked there and delivered as a view; only one that is incomplete costs memory
 * (wsmessage_partial), which grows with the bytes that really came, never with the length a head
 * claims. Text is
 * checked as it arrives, so a bad byte is an error even inside an unfinished frame. Compressed
 * messages are kept compressed until complete, then inflated once with the limit as a cap. */
#ifndef WIRE_WSMESSAGE_H
#define WIRE_WSMESSAGE_H

#include "wire/wsframe.h"

struct deflate_reader; /* wire/deflate.h */
struct wsmessage_partial;

enum wsmessage_event {
    WSMESSAGE_MORE = 0, /* input used up */
    WSMESSAGE_TEXT,
    WSMESSAGE_BINARY,
    WSMESSAGE_PING, /* answer with a pong of the same payload */
    WSMESSAGE_PONG,
    WSMESSAGE_CLOSE, /* answer with a close; later input is dropped */
    WSMESSAGE_ERROR  /* send close `code` and end; later input is dropped */
};

struct wsmessage_out {
    struct str payload; /* good until the next call; for CLOSE the reason */
    int code;           /* CLOSE: the peer's code, 1005 without; ERROR: the one to send */
    int err;            /* ERROR: E_PROTOCOL, E_TOO_LARGE, E_BAD_UTF8, E_NO_MEMORY, E_TOO_MANY */
    const char *detail; /* ERROR: which rule */
};

struct wsmessage {
    struct wsmessage_partial *partial; /* NULL while nothing is incomplete */
    uint32_t bytes_max;
    bool deflate, ended;
};

/* message_bytes_max: of a message, after inflating too. deflate: permessage-deflate is agreed. */
void wsmessage_init(struct wsmessage *m, uint32_t message_bytes_max, bool deflate);
void wsmessage_fini(struct wsmessage *m);
/* Takes bytes from *in (which it changes: unmasking is in place; *in is moved on) until there is
 * something to tell. Call until WSMESSAGE_MORE; that last call frees what is not needed any more.
 * `inflate` may be NULL when deflate is off. */
enum wsmessage_event wsmessage_feed(struct wsmessage *m, uint8_t **in, size_t *in_bytes,
                                    struct deflate_reader *inflate, struct wsmessage_out *out);
/* Heap bytes held for an incomplete message (for budgets). */
size_t wsmessage_held(const struct wsmessage *m);

#endif
