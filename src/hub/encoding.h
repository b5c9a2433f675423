/* SPDX-License-Identifier: Apache-2.0 */
/* The kinds of clients there are, as seen by their bytes: a message is encoded once for each
 * kind present on a loop, and the bytes are shared. The hub owns this list and the table;
 * transport/encoding fills it. To add a kind: a row in encoding.def and a case in
 * transport/encoding.c (the compiler names the places). */
#ifndef HUB_ENCODING_H
#define HUB_ENCODING_H

#include "base/buf.h"

enum encoding_kind {
#define ENCODING(name) ENC_##name,
#include "hub/encoding.def"
#undef ENCODING
    ENC_COUNT
};

struct msg;
struct presence_update;
struct loop;

struct encoding_table {
    /* Appends what one client of that kind gets on the wire. Appending nothing = this kind
     * cannot carry the message (it is skipped). */
    void (*message)(struct loop *l, enum encoding_kind kind, const struct msg *m, struct buf *out);
    /* As message, told as what changed since `base`, the message that this kind's clients had
     * last under the same key. Appending nothing = not shorter: the whole one is sent. */
    void (*delta)(struct loop *l, enum encoding_kind kind, const struct msg *m,
                  const struct msg *base, struct buf *out);
    void (*presence)(struct loop *l, enum encoding_kind kind, struct str channel,
                     const struct presence_update *u, struct buf *out);
};

/* Clients of this kind rebuild messages from what changed (table->delta). */
static inline bool encoding_is_delta(enum encoding_kind kind)
{
    return kind == ENC_NATIVE_WS_DELTA || kind == ENC_NATIVE_WS_DELTA_DEFLATE;
}

/* Set once at boot, before the loops run. */
void encoding_set(const struct encoding_table *table);
const struct encoding_table *encoding_get(void);

#endif
