/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the Supabase dialect share. */
#ifndef PROTOCOL_SUPABASE_H
#define PROTOCOL_SUPABASE_H

#include "protocol/phoenix.h"

/* supabase_join.c */
void supabase_join_run(struct phoenix *c, const struct phoenix_frame *f);
/* Asks the gate for the subscription; again, when a token has come. */
void supabase_join_ask(struct phoenix_topic *t);
/* supabase_push.c: any other push on a joined topic. */
void supabase_push_run(struct phoenix_topic *t, const struct phoenix_frame *f);

/* supabase.c. The topic after "realtime:". */
struct str supabase_name(const struct phoenix_topic *t);
void supabase_add_token_fault(struct buf *out, const struct auth_verdict *v, bool with_code);
/* A system message. */
void supabase_system(const struct phoenix_topic *t, bool ok, struct str text);
/* The channel ends, for a reason that joining again would not change. */
void supabase_shut_down(struct phoenix_topic *t, struct str why, int err);
void supabase_on_published(const struct phoenix_topic *t, const struct answer *a);

#endif
