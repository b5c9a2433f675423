/* SPDX-License-Identifier: Apache-2.0 */
/* Base64 (RFC 4648): standard with padding, or URL-safe without. Decoding is strict and
 * canonical (unused bits must be zero) except base64_decode_lenient. */
#ifndef BASE_BASE64_H
#define BASE_BASE64_H

#include "base/buf.h"

void base64_encode(struct buf *out, struct str bytes);
void base64url_encode(struct buf *out, struct str bytes);
/* Writes the digits of whole groups of three bytes to out (n / 3 * 4 of them). */
void base64url_put(char *out, const void *bytes, size_t n);
bool base64_decode(struct buf *out, struct str text);
bool base64url_decode(struct buf *out, struct str text); /* no padding allowed */
/* Takes both alphabets, skips what is not one of them, stops at '='. */
void base64_decode_lenient(struct buf *out, struct str text);

#endif
