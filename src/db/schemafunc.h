/* SPDX-License-Identifier: Apache-2.0 */
/* Stored SQL templates (CREATE FUNCTION ... LANGUAGE sql) from tw_functions into the schema. */
#ifndef DB_SCHEMAFUNC_H
#define DB_SCHEMAFUNC_H

#include "db/schema.h"

bool schemafunc_read(struct sqlite *h, struct schema *s, struct fault *fault);

#endif
