/* SPDX-License-Identifier: Apache-2.0 */
/* A turn's messages of a room together, one send call for each member. */
#include "tick.h"

static void flush_room(struct room *r)
{
    for (unsigned i = 0; i < r->count; i++)
        send_all(r->members[i], r->tick, r->tick_n);
}

static void on_turn_end(void)
{
    for (unsigned i = 0; i < dirty_count; i++) {
        flush_room(dirty[i]);
        dirty[i]->tick_n = 0;
        dirty[i]->is_dirty = 0;
    }
    dirty_count = 0;
}

int main(void)
{
    return floor_run();
}
