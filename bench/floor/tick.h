/* SPDX-License-Identifier: Apache-2.0 */
/* What the coalescing floors share: a turn's messages of a room in one buffer. */
#include "floor.h"

static struct room *dirty[ROOMS];
static unsigned dirty_count;
static void flush_room(struct room *r);

static void on_message(struct room *r, const uint8_t *frame, size_t n)
{
    if (!r->tick)
        r->tick = malloc(BUFFER);
    if (r->tick_n + n > BUFFER) {
        flush_room(r);
        r->tick_n = 0;
    }
    if (!r->is_dirty)
        dirty[dirty_count++] = r;
    r->is_dirty = 1;
    memcpy(r->tick + r->tick_n, frame, n);
    r->tick_n += n;
}
