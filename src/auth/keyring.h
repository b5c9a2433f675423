/* SPDX-License-Identifier: Apache-2.0 */
/* What auth.c needs of a keyring besides the door. */
#ifndef AUTH_KEYRING_H
#define AUTH_KEYRING_H

#include "auth/auth.h"

struct jwt;
struct key;
size_t keyring_cache_max(const struct keyring *k);
size_t keyring_token_bytes_max(const struct keyring *k);
/* True when a key of an asymmetric algorithm would be tried for this token. */
bool keyring_is_costly(const struct keyring *k, struct str token);
/* The n-th key (0, 1 ...) that may verify a token of this header, or NULL. */
const struct key *keyring_candidate(const struct keyring *k, const struct jwt *jwt, size_t n);

#endif
