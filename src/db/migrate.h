/* SPDX-License-Identifier: Apache-2.0 */
/* SQL files of a folder, in the order of their names, each once and whole: a file that fails
 * leaves nothing. They may be written for PostgreSQL (Supabase) as far as wire/sqltranslate and
 * wire/sqlstatement go. At the end all policies are checked against the tables as they are now,
 * and the triggers of the change log are made to fit. */
#ifndef DB_MIGRATE_H
#define DB_MIGRATE_H

#include "db/fault.h"

struct sqlite;

/* Our own tables: at every start, before anything else. */
bool migrate_prepare(struct sqlite *h, struct fault *fault);
/* One file's text under a name; already applied is fine (and *applied false). The fault's details
 * say file and line. */
bool migrate_apply(struct sqlite *h, const char *name, struct str sql, bool *applied,
                   struct fault *fault);
/* All *.sql of a folder. *count = files applied now. */
bool migrate_folder(struct sqlite *h, const char *folder, int *count, struct fault *fault);

#endif
