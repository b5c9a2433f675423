/* SPDX-License-Identifier: Apache-2.0 */
/* The bare send loop: each message to each member at once, one call each. */
#include "floor.h"

static void on_message(struct room *r, const uint8_t *frame, size_t n)
{
    for (unsigned i = 0; i < r->count; i++)
        send_all(r->members[i], frame, n);
}

static void on_turn_end(void)
{
}

int main(void)
{
    return floor_run();
}
