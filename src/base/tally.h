/* SPDX-License-Identifier: Apache-2.0 */
/* How many of something each name has, over all threads: connections of an address, of a user.
 * And a token bucket for a name while it has any. Sharded by hash and locked per shard, so that
 * loops hardly ever meet; a name costs memory only while its count is not zero. */
#ifndef BASE_TALLY_H
#define BASE_TALLY_H

#include "base/str.h"

struct tally;
struct tally *tally_new(void);
void tally_free(struct tally **t);
/* One more, unless that name has `max` already: then false. */
bool tally_take(struct tally *t, struct str name, size_t max);
/* One less; the name was taken before. */
void tally_give(struct tally *t, struct str name);
size_t tally_count(struct tally *t, struct str name);
/* Takes one token of the name's bucket, which gains `rate` a second up to `burst`, and returns how
 * many milliseconds it is overdrawn now: the caller waits so long. 0 for a name without a count. */
uint64_t tally_spend(struct tally *t, struct str name, uint64_t now_ms, unsigned rate,
                     unsigned burst);

#endif
