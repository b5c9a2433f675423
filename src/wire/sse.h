/* SPDX-License-Identifier: Apache-2.0 */
/* Writing text/event-stream (WHATWG HTML, server-sent events). */
#ifndef WIRE_SSE_H
#define WIRE_SSE_H

#include "base/buf.h"

/* One event: optional "event:" and "id:" lines (n == 0: no line), data split over lines at CR,
 * LF and CRLF, then the blank line. 0, or E_BAD_REQUEST when event or id hold a line end, or id
 * a NUL; then nothing is written. The text is UTF-8 by promise of the caller. */
int sse_add_event(struct buf *out, struct str event, struct str id, struct str data);
/* An event that only moves Last-Event-ID (no data: nothing is dispatched). */
int sse_add_id(struct buf *out, struct str id);
/* ": text" and a blank line; each line of text becomes a comment. */
void sse_add_comment(struct buf *out, struct str text);
/* "retry: ms" and a blank line. */
void sse_add_retry(struct buf *out, uint64_t ms);

#endif
