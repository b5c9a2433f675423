/* SPDX-License-Identifier: Apache-2.0 */
/* Strict UTF-8 (RFC 3629: no surrogates, no overlong forms, at most U+10FFFF). */
#ifndef BASE_UTF8_H
#define BASE_UTF8_H

#include "base/str.h"

bool utf8_valid(struct str s);
/* Incremental, for text that arrives in pieces. *state starts at 0; false = invalid for good
 * (fails at the first byte that cannot be continued). At the end *state must be 0 again. */
bool utf8_feed(uint32_t *state, struct str piece);
/* Writes cp (<= U+10FFFF) to out, returns 1..4. */
size_t utf8_put(char *out, uint32_t cp);

#endif
