/* SPDX-License-Identifier: Apache-2.0 */
/* The WebSocket upgrade (RFC 6455 section 4) and the terms of permessage-deflate (RFC 7692).
 *
 * Both sides are told not to keep compression context, so that one stream per loop serves all
 * and one compressed frame can go to many. A client may ask that we use a smaller window
 * (server_max_window_bits): 9 to 15 are granted and reported, 8 is declined since zlib has no
 * such raw stream. An offer that is odd in any way is declined and the next one looked at. */
#ifndef WIRE_WSHANDSHAKE_H
#define WIRE_WSHANDSHAKE_H

#include "wire/http1.h"

struct wshandshake_config {
    bool deflate;                /* agree to permessage-deflate */
    const struct str *protocols; /* subprotocols we speak */
    size_t protocols_count;
};

struct wshandshake {
    char accept[28];     /* Sec-WebSocket-Accept, no NUL */
    struct str protocol; /* the first offered one that we speak (view of config); STR_NONE */
    bool deflate;
    int window_bits;        /* most we may use to compress: 9..15 */
    bool window_bits_asked; /* must be in the answer */
    const char *detail;     /* after < 0 */
};

/* Checks an upgrade request. 0, E_METHOD_NOT_ALLOWED, E_BAD_REQUEST, or E_UPGRADE_REQUIRED
 * (answer 426 with "Upgrade: websocket" and "Sec-WebSocket-Version: 13"). */
int wshandshake_check(struct str method, int version_minor, const struct http1_header *headers,
                      size_t headers_count, const struct wshandshake_config *config,
                      struct wshandshake *out);
/* The whole 101 answer. more: complete header lines, each with CRLF (Set-Cookie), or STR_NONE. */
void wshandshake_add_answer(struct buf *out, const struct wshandshake *ws, struct str more);
/* Accept value for a key: 28 characters. */
void wshandshake_accept(struct str key, char out[28]);
/* First acceptable offer of a Sec-WebSocket-Extensions value; false = none. */
bool wshandshake_negotiate(struct str offers, int *window_bits, bool *window_bits_asked);

#endif
