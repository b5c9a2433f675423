/* SPDX-License-Identifier: Apache-2.0 */
/* Writing JSON text. Reading is wire/jsonscan (hot path, spans) or jansson (cold path). */
#ifndef BASE_JSON_H
#define BASE_JSON_H

#include "base/buf.h"

/* A JSON string with quotes; bytes that are not UTF-8 become U+FFFD, so output is valid. */
void json_add_string(struct buf *b, struct str s);
/* "name": ready for a value; adds a comma first unless the last byte is '{' or '['. */
void json_add_key(struct buf *b, const char *name);
/* key + string value. */
void json_add_field(struct buf *b, const char *name, struct str value);
/* key + raw JSON. */
void json_add_raw(struct buf *b, const char *name, struct str json);
void json_add_u64(struct buf *b, const char *name, uint64_t v);
void json_add_bool(struct buf *b, const char *name, bool v);

#endif
