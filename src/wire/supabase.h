/* SPDX-License-Identifier: Apache-2.0 */
/* What Supabase Realtime puts into Phoenix payloads, read as leniently as upstream does: a field
 * of a wrong type is as if it were not there, "true" is true, nulls are skipped. And the body of
 * the REST broadcast, with upstream's own error texts. */
#ifndef WIRE_SUPABASE_H
#define WIRE_SUPABASE_H

#include "wire/phoenix.h"

enum { SUPABASE_BINDINGS_MAX = 100, SUPABASE_MESSAGES_MAX = 1000, SUPABASE_REPLAY_MAX = 25 };

/* raw: as sent, to be echoed byte for byte (empty = absent). text: when it is a string. */
struct supabase_text {
    struct str raw, text;
};
struct supabase_binding {
    struct supabase_text event, schema, table, filter;
    struct str select; /* raw JSON array; empty = absent */
};

struct supabase_join {
    bool has_config; /* without it the client speaks the API before version 2 */
    bool is_private, ack, self, replication_ready;
    bool presence;           /* enabled, also when nothing is said */
    struct str presence_key; /* empty: the server makes one */
    bool replay;             /* asked for; replay_valid: its numbers can be used */
    bool replay_valid;
    uint64_t replay_since_ms, replay_limit; /* 1..SUPABASE_REPLAY_MAX */
    bool wait;                              /* hold the reply until the changes are live */
    uint64_t wait_ms;
    const struct supabase_binding *bindings; /* in the arena, in the client's order */
    size_t bindings_count;
    struct str token;   /* access_token or user_token; empty: the connection's */
    struct str version; /* "realtime-js/2.109.0" */
    unsigned ignored;   /* fields of a wrong type, for the log */
};
/* payload: raw JSON that was accepted by phoenix_decode. 0; E_TOO_MANY bindings; E_NO_MEMORY. */
int supabase_join(struct arena *a, struct str payload, struct supabase_join *out);
/* The answer's `response`: {"postgres_changes":[...]} with ids[i] (not 0) for binding i. */
void supabase_add_joined(struct buf *out, const struct supabase_join *join, const uint64_t *ids);

/* An `access_token` push; empty when it says nothing new (null, "sb_..."). 0 or E_NO_MEMORY. */
int supabase_token(struct arena *a, struct str payload, struct str *out);

struct supabase_broadcast {
    struct str event;
    struct str payload; /* JSON ({} when absent), or bytes */
    struct str persist; /* raw JSON: true or {"ttl":N}; empty = no */
    bool is_bytes;
};
/* A `broadcast` push of either form. 0, E_PROTOCOL (no event), E_TOO_LARGE, E_BAD_UTF8. */
int supabase_broadcast(struct arena *a, const struct phoenix_frame *frame,
                       struct supabase_broadcast *out);

enum supabase_presence {
    SUPABASE_PRESENCE_NONE, /* no event in it: answered ok */
    SUPABASE_PRESENCE_TRACK,
    SUPABASE_PRESENCE_UNTRACK,
    SUPABASE_PRESENCE_BAD_META, /* "Presence track payload must be a map" */
    SUPABASE_PRESENCE_UNKNOWN,
};
/* A `presence` push; meta (raw JSON object) for TRACK. */
enum supabase_presence supabase_presence(struct arena *a, struct str payload, struct str *meta);

/* {"extension":..,"status":..,"message":..,"channel":..}; channel: the topic after "realtime:". */
void supabase_add_system(struct buf *out, const struct phoenix_address *to, const char *extension,
                         bool ok, struct str message, struct str channel);

/* The same, of missed messages: extension "broadcast", status "error", and the lost offsets as
 * "gap":{"from":..,"to":..} where they are known (gap_to not 0). */
void supabase_add_gap(struct buf *out, const struct phoenix_address *to, struct str message,
                      struct str channel, uint64_t gap_from, uint64_t gap_to);

/* ---- POST /realtime/v1/api/broadcast -------------------------------------------------------- */
struct supabase_message {
    struct str topic, event, payload; /* payload: raw JSON object; topic without "realtime:" */
    bool is_private;
};
/* 0 with all messages in the arena. E_BAD_REQUEST, E_BAD_UTF8: the body is no JSON (400).
 * E_PROTOCOL: upstream's 422, its body {"errors":...} appended to errors; nothing is to be
 * published. E_TOO_MANY, E_TOO_LARGE, E_NO_MEMORY. */
int supabase_batch(struct arena *a, struct str body, unsigned depth, size_t payload_bytes_max,
                   const struct supabase_message **messages, size_t *count, struct buf *errors);

#endif
