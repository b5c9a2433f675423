/* SPDX-License-Identifier: Apache-2.0 */
/* The way in for threads that are no loops (an embedding program's own). Such a thread does not
 * know when the loops end; the door does: what passes before it is shut is delivered, what comes
 * later is turned away. It outlives the loops. */
#ifndef LOOP_DOOR_H
#define LOOP_DOOR_H

#include "loop/mailbox.h"

struct door;
struct door *door_new(void); /* shut */
void door_free(struct door **d);
void door_open(struct door *d, struct loops *ls);
/* Returns when nobody is in it any more. */
void door_shut(struct door *d);
/* Any thread. False: it is shut, and the mail is still the caller's. */
bool door_post(struct door *d, unsigned loop, struct mail *mail);

#endif
