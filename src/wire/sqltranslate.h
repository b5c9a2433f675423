/* SPDX-License-Identifier: Apache-2.0 */
/* A file written for PostgreSQL, as SQLite reads it. Token by token, no grammar: what is not on
 * this list is passed on as it stands, and SQLite then says what it does not know.
 *
 *   public.t                      t
 *   auth.uid() role() jwt() email()   auth_uid() ...      realtime.topic()   realtime_topic()
 *   realtime.messages             realtime_messages
 *   select realtime.send(..)      insert into realtime_messages(..) select ..
 *   x::type                       x
 *   now(), current_timestamp, timezone('utc', now())   (the time as text, UTC, as PostgreSQL writes
 * it) char_length(x)                length(x) gen_random_uuid(), uuid_generate_v4()   (a random
 * UUID) default f()                   default (f()) text[]                        "text[]" bigint
 * generated .. as identity, serial   integer (with primary key: autoincrement) references
 * auth.users(..) ..  (dropped) a ilike b, a ~ b              a match b, a regexp b   (functions of
 * ours) index concurrently, using btree   (dropped) */
#ifndef WIRE_SQLTRANSLATE_H
#define WIRE_SQLTRANSLATE_H

#include "wire/sqltext.h"

/* A whole statement. */
void sqltranslate_statement(struct str sql, struct buf *out);
/* An expression of a policy, or the body of a function. */
void sqltranslate_expression(struct str sql, struct buf *out);

extern const char sqltranslate_now[];
extern const char sqltranslate_uuid[];

#endif
