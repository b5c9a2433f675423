/* SPDX-License-Identifier: Apache-2.0 */
/* Strict numbers from text: digits only, no sign or blank unless said, no overflow. */
#ifndef BASE_NUM_H
#define BASE_NUM_H

#include "base/str.h"

bool num_u64(struct str s, uint64_t *out);   /* 1..20 digits */
bool num_i64(struct str s, int64_t *out);    /* optional '-' */
bool num_hex64(struct str s, uint64_t *out); /* 1..16 hex digits, either case */
/* "250ms" "5s" "2m" "1h" "7d", or plain milliseconds; as milliseconds. */
bool num_duration_ms(struct str s, int64_t *out);
/* "64KiB" "1MiB" "2GiB" "10kB" "5MB", or plain bytes. */
bool num_size(struct str s, int64_t *out);
/* Writes digits, returns the length (at most 20); no NUL. */
size_t num_put_u64(char *out, uint64_t v);

#endif
