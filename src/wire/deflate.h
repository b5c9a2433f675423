/* SPDX-License-Identifier: Apache-2.0 */
/* zlib behind a small door: WebSocket messages (RFC 7692, without context takeover), gzip for
 * bodies and streams. A writer and a reader are made once per owner (a loop) and reset for each
 * message: 261 KB and 39 KB are too much per connection and too slow to make per message. */
#ifndef WIRE_DEFLATE_H
#define WIRE_DEFLATE_H

#include "base/buf.h"

struct deflate_writer;
struct deflate_reader;
struct deflate_gzip;

/* level 1..9. Streams are made when first needed, one per window size. Owner frees. */
struct deflate_writer *deflate_writer_new(int level);
void deflate_writer_free(struct deflate_writer **w);
/* Appends the payload of a compressed message (without the closing 00 00 FF FF). window_bits
 * 9..15. 0 or E_NO_MEMORY (out is as before). */
int deflate_message(struct deflate_writer *w, int window_bits, struct str in, struct buf *out);
/* Appends a complete gzip member (for a body). 0 or E_NO_MEMORY. */
int deflate_gzip_once(struct deflate_writer *w, struct str in, struct buf *out);

struct deflate_reader *deflate_reader_new(void);
void deflate_reader_free(struct deflate_reader **r);
/* Inflates a message's payload. *out lies in the reader, good until its next use.
 * 0, E_TOO_LARGE (more than bytes_max; found before it is passed), E_PROTOCOL (not deflate data,
 * or it breaks off), E_NO_MEMORY. */
int deflate_inflate(struct deflate_reader *r, struct str in, size_t bytes_max, struct str *out);

/* A gzip stream that lives as long as an answer (SSE). Small window: about 40 KB each. */
struct deflate_gzip *deflate_gzip_new(int level);
void deflate_gzip_free(struct deflate_gzip **g);
/* Compresses and flushes, so that the reader sees all of `in` now. */
int deflate_gzip_write(struct deflate_gzip *g, struct str in, struct buf *out);
/* The end of the stream. */
int deflate_gzip_end(struct deflate_gzip *g, struct buf *out);

#endif
