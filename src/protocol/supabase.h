/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the Supabase dialect share. */
#ifndef PROTOCOL_SUPABASE_H
#define PROTOCOL_SUPABASE_H

#include "protocol/phoenix.h"
#include "wire/supabase.h"

/* supabase_join.c */
void supabase_join_run(struct phoenix *c, const struct phoenix_frame *f);
/* Asks the gate for the subscription; again, when a token has come. */
void supabase_join_ask(struct phoenix_topic *t);
/* An error reply, "Code: why", and the end of the topic. */
void supabase_join_fail(struct phoenix_topic *t, const char *code, struct str why);
/* supabase_push.c: any other push on a joined topic. */
void supabase_push_run(struct phoenix_topic *t, const struct phoenix_frame *f);

/* supabase.c. The topic after "realtime:". */
struct str supabase_name(const struct phoenix_topic *t);
void supabase_add_token_fault(struct buf *out, const struct auth_verdict *v, bool with_code);
void supabase_system(const struct phoenix_topic *t, const char *extension, bool ok,
                     struct str text);
/* The channel ends, for a reason that joining again would not change. */
void supabase_shut_down(struct phoenix_topic *t, struct str why, int err);
void supabase_on_published(const struct phoenix_topic *t, const struct answer *a);

/* supabase_changes.c; c may be NULL. Opens the watch; goes on with supabase_join_ask, or _fail. */
void supabase_changes_open(struct phoenix_topic *t, const struct supabase_join *join,
                           const struct changes_place *at);
/* The `response` of the join. */
struct str supabase_changes_reply(const struct supabase_changes *c);
/* The join was answered: system message, then what was held. */
void supabase_changes_joined(struct supabase_changes *c);
void supabase_changes_drained(struct supabase_changes *c);
/* The client has read all up to that position of the connection. */
void supabase_changes_receipt(struct supabase_changes *c, uint64_t position);
/* The session has another identity. */
void supabase_changes_identify(struct supabase_changes *c);
/* The connection is going: nothing comes any more, the place stands. */
void supabase_changes_stop(struct supabase_changes *c);
struct changes_place supabase_changes_place(const struct supabase_changes *c);
void supabase_changes_free(struct supabase_changes *c, struct loop *l);

#endif
