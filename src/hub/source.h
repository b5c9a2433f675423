/* SPDX-License-Identifier: Apache-2.0 */
/* Port: changes of tables as they are committed. The hub owns this table, db fills it; protocols
 * (Supabase's postgres_changes, the plain dialect's channel "table:<name>") use it.
 *
 * A *watch* is one subscriber with up to SOURCE_BINDINGS_MAX bindings (event, table, filter). It
 * gets each change that any of its bindings fits and that its identity may see, once, in commit
 * order, with a mask of the bindings. A change seen by an identity that may see less (the whole
 * old row) is another object of the same seq.
 *
 * Opening is atomic: `opened` says from which seq it is live; every change after it comes. With
 * `since` the changes between are given first, after `opened`; what is no longer in the log is a
 * gap, and said. */
#ifndef HUB_SOURCE_H
#define HUB_SOURCE_H

#include "base/ref.h"
#include "loop/loop.h"

struct identity;

enum { SOURCE_BINDINGS_MAX = 64, SOURCE_EPOCH_MAX = 24 };

enum source_event { SOURCE_ANY, SOURCE_INSERT, SOURCE_UPDATE, SOURCE_DELETE };
struct source_binding {
    enum source_event event;
    struct str schema; /* "public", "*" or empty = public */
    struct str table;  /* "*" or empty = every published table */
    struct str filter; /* "room_id=eq.5,level=gt.3"; empty = none */
};

/* Counted, immutable, crosses loops. */
struct source_change {
    struct ref ref;
    uint64_t seq;
    uint64_t time_ms; /* of the commit */
    enum source_event event;
    struct str table;
    /* {"schema":"public","table":..,"type":"INSERT","commit_timestamp":..,"columns":[..],
     * "record":{..},"errors":null}, with "old_record" as Supabase has it, and "idempotency_key" of
     * an insert that had one; and its parts. */
    struct str data;
    struct str record;     /* empty for DELETE */
    struct str old_record; /* empty for INSERT */
    struct str key;        /* idempotency key of the insert, or empty */
};
void source_change_ref(struct source_change *c);
void source_change_unref(struct source_change **c);

struct source_watch;
struct source_opened {
    int err;                      /* 0, E_BAD_REQUEST (see message), E_TOO_MANY, E_UNAVAILABLE */
    const char *message;          /* why, for people; borrowed */
    uint64_t seq;                 /* live from here */
    char epoch[SOURCE_EPOCH_MAX]; /* seq is meant within it */
    bool gap;                     /* `since` could not be honoured in full */
};
/* Embedded in the subscriber's record; on one loop. */
struct source_watch {
    uint64_t id; /* 0 = not open; set by source_watch */
    struct identity *identity;
    void (*opened)(struct source_watch *w, const struct source_opened *answer);
    /* fits: bit i = binding i. The change is borrowed. */
    void (*changed)(struct source_watch *w, struct source_change *change, uint64_t fits);
    /* Changes were lost for it (the log was trimmed faster than it was followed). */
    void (*lost)(struct source_watch *w);
};
struct source_options {
    const struct source_binding *bindings; /* borrowed for the call */
    size_t bindings_count;
    bool has_since;
    uint64_t since;
    struct str epoch; /* of since */
};

struct source_ops {
    void (*watch)(void *source, struct loop *l, struct source_watch *w,
                  const struct source_options *o);
    void (*unwatch)(void *source, struct loop *l, struct source_watch *w);
    void (*identify)(void *source, struct loop *l, struct source_watch *w, struct identity *id);
};
/* Before the loops run. Without one, watching answers E_UNAVAILABLE. */
void source_set(const struct source_ops *ops, void *source);
bool source_is_set(void);

/* w->identity, opened, changed, lost are set by the caller; the source takes a reference on the
 * identity. opened runs later, on this loop. */
void source_watch_open(struct loop *l, struct source_watch *w, const struct source_options *o);
/* Nothing is called for it any more. Harmless when it is not open. */
void source_watch_close(struct loop *l, struct source_watch *w);
/* A fresh token: changes from now on are judged by it. */
void source_watch_identify(struct loop *l, struct source_watch *w, struct identity *id);

#endif
