/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the db room share. */
#ifndef DB_DB_PRIV_H
#define DB_DB_PRIV_H

#include "db/db.h"
#include "db/lanes.h"
#include "loop/timer.h"

enum { DB_READERS_MAX = 64 };

struct feed;
/* What one loop keeps: in LOOP_SLOT_DB. */
struct db_home {
    struct db *db;
    unsigned next_reader;
    struct feed_home *feed;
    struct timer poll, sweep; /* loop 0 */
};
struct db {
    struct db_config config;
    char *path;
    char *changes_age;
    struct loops *loops;
    struct db_home *homes;
    struct lanes_lane *writer;
    struct lanes_lane *readers[DB_READERS_MAX];
    unsigned readers_count;
    struct feed *feed;
    struct policy *policy;
};

struct db_home *db_home_of(struct db *db, struct loop *l);
/* A reader lane, each in its turn. */
struct lanes_lane *db_reader(struct db *db, struct loop *l);

/* policy.c */
struct policy *policy_open(struct db *db);
void policy_close(struct policy **p);

#endif
