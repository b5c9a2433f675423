/* SPDX-License-Identifier: Apache-2.0 */
/* Positions as text, for SSE ids, Last-Event-ID, poll cursors, cookies and message ids.
 *
 *   k3v9-41          one position, "<epoch>-<offset>": also the id of a message
 *   k3v9-41~~p0aa-7  several, in the order of the request's channels; an empty one = from now on
 *   .AWEK...         several with their channels' names ("." and base64url of a packed list), for
 *                    places where the order of the channels may be another (cookies)
 *
 * Only [A-Za-z0-9_.~-] occur: safe in URLs, headers and cookies. Cursors come back from outside:
 * decoding trusts nothing. */
#ifndef WIRE_CURSOR_H
#define WIRE_CURSOR_H

#include "base/arena.h"
#include "base/buf.h"

enum { CURSOR_PLACES_MAX = 100, CURSOR_BYTES_MAX = 16384, CURSOR_EPOCH_MAX = 32 };

struct cursor_place {
    struct str channel; /* empty in the forms without names */
    struct str epoch;   /* 1..32 of [A-Za-z0-9_]; empty: no position (from now on) */
    uint64_t offset;
};

bool cursor_epoch_valid(struct str epoch);
/* "<epoch>-<offset>" */
void cursor_add_id(struct buf *out, struct str epoch, uint64_t offset);
/* false when it is not of that form. View. */
bool cursor_parse_id(struct str text, struct str *epoch, uint64_t *offset);

/* The ordered form. 0, or E_TOO_LARGE (past the limits above; nothing is written). */
int cursor_add_list(struct buf *out, const struct cursor_place *places, size_t count);
/* The form with names. 0, E_TOO_LARGE (nothing is written) or E_NO_MEMORY. */
int cursor_add_named(struct buf *out, const struct cursor_place *places, size_t count);
/* Any form, into room (CURSOR_PLACES_MAX is always enough). *count >= 1. Views, or in the arena.
 * 0, E_BAD_REQUEST, E_TOO_LARGE, E_NO_MEMORY. */
int cursor_decode(struct str text, struct arena *a, struct cursor_place *room, size_t room_count,
                  size_t *count);

#endif
