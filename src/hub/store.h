/* SPDX-License-Identifier: Apache-2.0 */
/* Port: where durable channels keep their log. The hub owns this table, db fills it. All calls
 * come from the loop that owns the channel, and `done` runs on that loop, in the order of the
 * calls for one channel. */
#ifndef HUB_STORE_H
#define HUB_STORE_H

#include "hub/hub.h"

struct store_open {
    struct loop *home;
    void (*done)(struct store_open *o);
    struct str channel;
    uint64_t ids_since_ms; /* publishes of that time and later may be repeated ... */
    size_t ids_max;        /* ... the last so many */
    int err;
    struct position at;      /* epoch "" = never seen: the hub's epoch is to be stored */
    uint64_t evicted_offset; /* newest offset that retention has removed, 0 = none */
    struct msg **ids;        /* those that have an id, without content, oldest first: new */
    size_t ids_count;        /* references, array by mem_new: the caller's */
};
struct store_append {
    struct loop *home;
    void (*done)(struct store_append *a);
    struct msg *msg; /* with epoch, offset and time; a reference of the caller's */
    int err;         /* 0 only when it will survive a crash */
};
struct store_read {
    struct loop *home;
    void (*done)(struct store_read *r);
    struct str channel;
    uint64_t after;
    size_t limit;
    int err;
    struct msg **msgs; /* new references, array by mem_new: the caller's */
    size_t msgs_count;
    uint64_t evicted_offset; /* newest offset that retention has removed, 0 = none */
};
struct store_ops {
    void (*open)(void *store, struct store_open *o);
    void (*append)(void *store, struct store_append *a);
    void (*read)(void *store, struct store_read *r);
};
/* Before the loops run. Without one, durable channels refuse to publish (fail closed). */
void hub_set_store(const struct store_ops *ops, void *store);

#endif
