/* SPDX-License-Identifier: Apache-2.0 */
/* The change feed: follows the change log on a lane of its own and gives each change to the
 * watches that it fits and whose identity may see it (hub/source.h).
 *
 *   1. filter index: bindings with an eq or in test are found by hash of (column, value) of the
 *      changed row; others are tried one by one
 *   2. visibility: once per class of the table (feedclaims.h), on the row as it was logged
 *   3. one mail per loop and batch
 *
 * All state is the lane's; loops talk to it by jobs, in order: what was committed before a watch
 * opened is not live for it, everything after is.
 *
 * I1  feed->seq is the newest change that was given out; it only grows.
 * I2  a policy that fails for a class hides the change from that class only. */
#ifndef DB_FEED_H
#define DB_FEED_H

#include "db/db_priv.h"

/* NULL + fault. */
struct feed *feed_open(struct db *db, struct fault *fault);
void feed_close(struct feed **feed);
/* The log may have grown. Any thread. */
void feed_wake(struct db *db, struct loop *home);
/* One loop's state. */
struct feed_home *feed_home_new(struct db *db, struct loop *l);
void feed_home_free(struct feed_home **home);

/* ---- between feed.c (the loops' side) and feedlane.c (the lane's) ------------------------- */
struct feed_delivery {
    uint64_t id;
    uint64_t fits;
    struct source_change *change; /* a reference; NULL = changes were lost */
};
struct feed_deliveries {
    struct feed_delivery *list;
    size_t count, capacity;
};
/* A binding as it was asked for; texts are owned. */
struct feed_ask {
    enum source_event event;
    char *table; /* NULL = all */
    char *filter;
    size_t filter_n;
};
struct feed_asks {
    struct feed_ask *list;
    size_t count;
};
void feed_asks_free(struct feed_asks *a);

struct feedlane;
struct table;
struct feedlane *feedlane_new(struct db *db, struct sqlite *h, struct fault *fault);
void feedlane_free(struct feedlane **lane); /* with its watches */
/* Follows the log to its end, giving out through `mail`. */
void feedlane_poll(struct feedlane *lane);
/* Takes the asks when it succeeds. `replay` gets what was missed, when has_since. */
struct feedlane_opening {
    uint64_t id;
    struct loop *home;
    struct identity *identity; /* a reference is taken */
    struct feed_asks asks;
    bool has_since;
    uint64_t since;
    char since_epoch[SOURCE_EPOCH_MAX];
    /* The answer: */
    int err;
    char message[256];
    uint64_t seq;
    char epoch[SOURCE_EPOCH_MAX];
    bool gap;
    struct feed_deliveries replay;
};
void feedlane_watch(struct feedlane *lane, struct feedlane_opening *o);
void feedlane_unwatch(struct feedlane *lane, uint64_t id);
void feedlane_identify(struct feedlane *lane, uint64_t id, struct identity *identity);
/* feed.c: hands a batch to a loop; takes the list. */
void feed_mail(struct loop *home, struct feed_deliveries *d);
void feed_drop(struct feed_deliveries *d);
/* feedsend.c: a row that was inserted into realtime_messages, as JSON, becomes a message. */
void feedsend_row(struct loop *home, struct str row);

/* feedchange.c: a row of the log as a change. full_old: old_record whole, else the primary key. */
struct feedchange_row {
    uint64_t seq;
    uint64_t time_ms;
    struct str at;
    char op; /* 'I', 'U', 'D' */
    struct str old, new, key;
};
struct source_change *feedchange_new(const struct table *t, struct str columns_json,
                                     const struct feedchange_row *row, bool full_old);
void feedchange_columns(const struct table *t, struct buf *out);

#endif
