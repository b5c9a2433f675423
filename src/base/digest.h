/* SPDX-License-Identifier: Apache-2.0 */
/* Digests by OpenSSL EVP, algorithms fetched once per process. */
#ifndef BASE_DIGEST_H
#define BASE_DIGEST_H

#include "base/str.h"

void digest_sha1(struct str bytes, uint8_t out[20]);
void digest_sha256(struct str bytes, uint8_t out[32]);
void digest_hmac_sha256(struct str key, struct str bytes, uint8_t out[32]);
/* Equality in time that depends on the lengths only. */
bool digest_equal(struct str a, struct str b);

#endif
