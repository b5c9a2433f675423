/* SPDX-License-Identifier: Apache-2.0 */
/* What changed between two texts (docs/protocols/native.md, "Deltas"): a JSON array of steps over
 * the base, from left to right: n copies n bytes, -n leaves n bytes out, a string is put in. */
#ifndef WIRE_DELTA_H
#define WIRE_DELTA_H

#include "base/buf.h"

/* Appends the array that makes `target` of `base` and sets *sum to the CRC-32 of target. False,
 * with nothing appended, when it would not be clearly shorter. Both are valid UTF-8. */
bool delta_add(struct buf *out, struct str base, struct str target, uint32_t *sum);

#endif
