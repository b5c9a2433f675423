/* SPDX-License-Identifier: Apache-2.0 */
/* Time and chance for code that runs before there is a loop, or without one (secrets, tokens on
 * the command line, a client that blocks). With a loop at hand use loop_wall_ms, loop_random. */
#ifndef LOOP_CLOCK_H
#define LOOP_CLOCK_H

#include <stddef.h>
#include <stdint.h>

uint64_t clock_us(void);      /* monotonic */
uint64_t clock_wall_ms(void); /* since 1970 */
void clock_random_bytes(void *out, size_t n);
/* The key of hashes and the log's clock, once in a process and before anything is hashed: a map
 * that was filled under another key finds nothing. */
void clock_boot(void);

#endif
