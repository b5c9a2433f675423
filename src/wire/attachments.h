/* SPDX-License-Identifier: Apache-2.0 */
/* Binary values inside JSON, the way Socket.IO carries them: in the JSON stands a placeholder
 * {"_placeholder":true,"num":N}, the bytes follow beside it. Here they are kept *packed*: each
 * 4 bytes of big-endian length, then the data (msg.attachments). Dialects that cannot carry
 * bytes beside JSON get them inline, marked: {"encoding":"base64","content":"..."}.
 *
 * Every placeholder is checked before it is passed on: receivers of another client's packet
 * drop their connection when they meet one they cannot fill. */
#ifndef WIRE_ATTACHMENTS_H
#define WIRE_ATTACHMENTS_H

#include "base/arena.h"
#include "base/buf.h"

enum { ATTACHMENTS_MAX = 10 };

void attachments_pack(struct buf *packed, struct str bytes);
/* Cuts the first one off *packed; false at the end. */
bool attachments_next(struct str *packed, struct str *bytes);
size_t attachments_count(struct str packed);

/* Walks the placeholders of a JSON text that jsonscan has accepted, in depth-first order, which
 * is also the order of the text. One pass, whatever the nesting. */
struct attachments_walk {
    struct str json;
    size_t at;
    size_t count; /* of attachments: num must be below */
    size_t depth, depth_max;
    struct attachments_level *levels; /* in the arena */
    struct arena *arena;
};
/* False without memory. depth_max: as given to jsonscan. */
bool attachments_walk_init(struct attachments_walk *w, struct arena *a, struct str json,
                           size_t count, size_t depth_max);
/* 1 with the span and its num; 0 at the end; E_PROTOCOL when num is no whole number below count
 * or the placeholder has other members, E_* of jsonscan for a key. */
int attachments_walk_next(struct attachments_walk *w, struct str *span, uint64_t *num);
/* The whole walk. *found (may be NULL): how many there are. */
int attachments_check(struct arena *a, struct str json, size_t count, size_t depth_max,
                      size_t *found);

/* {"encoding":"base64","content":"..."} */
void attachments_add_base64(struct buf *out, struct str bytes);
/* A checked JSON array of arguments with each placeholder replaced by its inline form; a single
 * argument stands alone, without the brackets. 0 or E_*. */
int attachments_add_inline(struct buf *out, struct arena *a, struct str json, struct str packed);

#endif
