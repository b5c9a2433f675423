/* SPDX-License-Identifier: Apache-2.0 */
/* Dates and times as text that sorts as time does: the form PostgreSQL writes into JSON,
 * "2026-01-31T12:00:00.5+00:00" (always UTC, no trailing zeros in the fraction). '+' < '.' < '0'
 * in ASCII, so comparing bytes compares instants. */
#ifndef DB_TIMESTAMP_H
#define DB_TIMESTAMP_H

#include "base/arena.h"

/* kind: 'Z' with zone, 'T' without, 'D' date, 'H' time of day. Takes ISO 8601 and PostgreSQL's
 * "2026-01-31 12:00:00+02". STR_NONE when it is none of these. Text is in the arena. */
struct str timestamp_canonical(struct str text, char kind, struct arena *arena);

#endif
