/* SPDX-License-Identifier: Apache-2.0 */
/* Who watches what: the lane's registry. Each watch has a binding for every table that one of its
 * asks means ("*" means all published ones). Per table, bindings with an eq or in test stand in
 * buckets by (column, value), the others in one list; and the watchers fall into visibility
 * classes. Built anew when the schema changes, from the asks. */
#ifndef DB_FEEDINDEX_H
#define DB_FEEDINDEX_H

#include "db/feed.h"
#include "db/feedclaims.h"
#include "db/rowfilter.h"

enum feed_verdict { FEED_HIDDEN, FEED_VISIBLE, FEED_VISIBLE_WHOLE /* the old row too */ };

/* Those who see the same rows of one table. */
struct feed_class {
    struct str key;
    struct identity *identity; /* one of them */
    unsigned watchers;
    uint64_t seq; /* of the verdict */
    enum feed_verdict verdict;
};
struct feed_watch;
struct feed_table;
struct feed_binding {
    struct feed_watch *watch;
    struct feed_table *table;
    unsigned bit;
    enum source_event event;
    struct rowfilter filter;
    struct feed_class *class; /* NULL: sees everything */
};
/* Bindings found together; one may stand in several buckets (in). */
struct feed_bucket {
    struct str key;
    struct feed_binding **list;
    size_t count, capacity;
};
enum { FEED_INDEXED_MAX = 64 };
struct feed_table {
    const struct table *t;
    struct buf columns;    /* JSON */
    struct buf visibility; /* SQL */
    struct feedclaims claims;
    struct map buckets;
    size_t indexed[FEED_INDEXED_MAX]; /* columns that bindings are found by */
    unsigned indexed_users[FEED_INDEXED_MAX];
    size_t indexed_count;
    struct feed_bucket linear;
    struct map classes;
};
struct feed_watch {
    uint64_t id;
    struct loop *home;
    struct identity *identity;
    struct feed_asks asks;
    struct feed_binding *bindings;
    size_t bindings_count;
    /* Of the change being given out: */
    uint64_t seq;
    uint64_t fits;
    enum feed_verdict verdict;
};
struct feedindex {
    const struct schema *schema; /* the tables are of this one */
    struct feed_table *tables;
    size_t tables_count;
    struct map tables_by_name;
    struct map watches; /* by the bytes of the id */
};

/* The published tables of a schema; watches are bound again. */
void feedindex_build(struct feedindex *ix, const struct schema *s);
void feedindex_free(struct feedindex *ix);
struct feed_table *feedindex_table(struct feedindex *ix, struct str name);
struct feed_watch *feedindex_watch(struct feedindex *ix, uint64_t id);
/* Takes the asks and a reference on the identity. False + fault: nothing was taken. */
bool feedindex_add(struct feedindex *ix, uint64_t id, struct loop *home, struct identity *identity,
                   struct feed_asks *asks, struct fault *fault);
void feedindex_remove(struct feedindex *ix, uint64_t id);
void feedindex_identify(struct feedindex *ix, uint64_t id, struct identity *identity);
/* Calls fn for every binding of the table that may fit a row with these values. */
void feedindex_candidates(struct feed_table *ft, const struct cell *cells,
                          void (*fn)(struct feed_binding *b, void *arg), void *arg);

#endif
