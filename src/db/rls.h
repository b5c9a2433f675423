/* SPDX-License-Identifier: Apache-2.0 */
/* Row-level security as PostgreSQL has it, on SQLite.
 *
 * Policies are rows of tw_policies. What a role may see of table t is one condition, composed as
 * PostgreSQL does: any permissive policy, and all restrictive ones; none fits = nothing. On each
 * connection that condition becomes a temporary view *named like the table*: SQLite looks for a
 * name in temp before main, so whatever reads "t" (a request, an embed, a sub-select in a policy
 * of another table, a stored function) reads through t's policy, by SQLite's own name resolution
 * and not by our rewriting text. A policy that needs itself is SQLite's "circularly defined"
 * (42P17). The service role reads main."t".
 *
 * Writes name main."t" and carry the conditions of their command in WHERE and RETURNING. */
#ifndef DB_RLS_H
#define DB_RLS_H

#include "db/schema.h"

struct sqlite;
struct identity;

enum rls_part { RLS_USING, RLS_CHECK };

/* Policies and flags of the tables into a schema being read. */
bool rls_read(struct sqlite *h, struct schema *s, struct fault *fault);
/* The views of h->schema, replacing those of before. */
bool rls_install(struct sqlite *h, struct fault *fault);
/* Drops them: for migrations, which see the tables as they are. */
bool rls_uninstall(struct sqlite *h, struct fault *fault);

/* Must the table's policies be asked for this identity? NULL identity: yes. */
bool rls_applies(const struct table *t, const struct identity *id);
/* The condition of a command, in parentheses; "(0)" when nothing is allowed. */
void rls_condition(const struct table *t, enum policy_command command, enum rls_part part,
                   struct buf *out);
/* temp."t" or main."t": what a statement for this identity reads. */
void rls_source(const struct table *t, const struct identity *id, struct buf *out);

/* Is it one expression over the table's columns that only reads? For CREATE POLICY. */
bool rls_check_expression(struct sqlite *h, struct str table, struct str expression,
                          struct fault *fault);

#endif
