/* SPDX-License-Identifier: Apache-2.0 */
/* SipHash-1-3 (Aumasson, Bernstein): keyed, so that nobody outside can choose collisions. */
#ifndef BASE_HASH_H
#define BASE_HASH_H

#include "base/str.h"

/* Sets the process key; called once at boot by the loop room, before any map is used. */
void hash_seed(uint64_t k0, uint64_t k1);
uint64_t hash_str(struct str s);
uint64_t hash_bytes(const void *p, size_t n, uint64_t k0, uint64_t k1);

#endif
