/* SPDX-License-Identifier: Apache-2.0 */
/* What one change costs the feed's thread when SUBSCRIBERS of SUBSCRIBERS distinct users watch its
 * room under a membership policy: finding the watches, judging each user's visibility, listing the
 * deliveries; and the same for a table that everybody may read, so that the difference is what
 * visibility costs. Writing to sockets is not in it. It opens the rooms from inside, as a unit
 * test does. */
#include "db/db_priv.h"
#include "db/feed.h"
#include "base/mem.h"
#include "db/sqlite.h"
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum { SUBSCRIBERS = 10000, CHANGES = 50 };

static double cpu_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static struct identity *user(unsigned i)
{
    struct identity *id = mem_new(sizeof *id);
    struct buf claims = {0}, sub = {0};
    buf_printf(&sub, "user-%u", i);
    buf_printf(&claims, "{\"role\":\"authenticated\",\"sub\":\"user-%u\"}", i);
    ref_init(&id->ref);
    id->sub = str_of(str_dup(buf_str(&sub)), sub.n);
    id->text = str_of(str_dup(buf_str(&claims)), claims.n);
    id->role = STR("authenticated");
    buf_free(&sub);
    buf_free(&claims);
    return id;
}

static void subscribe(struct feedlane *lane, struct loop *home, unsigned i, const char *table)
{
    static uint64_t ids;
    static const char filter[] = "room_id=eq.r";
    struct feedlane_opening o = {.id = ++ids, .home = home, .identity = user(i)};
    o.asks.list = mem_new(sizeof *o.asks.list);
    o.asks.count = 1;
    o.asks.list[0].event = SOURCE_INSERT;
    o.asks.list[0].table = str_dup(str_from(table));
    o.asks.list[0].filter = str_dup(STR(filter));
    o.asks.list[0].filter_n = sizeof filter - 1;
    feedlane_watch(lane, &o);
    if (o.err) {
        fprintf(stderr, "%s\n", o.message);
        exit(1);
    }
}

static void must(struct sqlite *h, const char *sql)
{
    struct fault fault = {0};
    if (!sqlite_exec(h, sql, &fault)) {
        fprintf(stderr, "%s\n%s\n", fault.message, sql);
        exit(1);
    }
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Milliseconds of the feed's thread for one change of the table; the median. */
static double change_ms(struct feedlane *lane, struct sqlite *h, const char *table)
{
    double times[CHANGES];
    char line[200];
    for (int i = 0; i < CHANGES; i++) {
        double began;
        snprintf(line, sizeof line,
                 "INSERT INTO main.%s(room_id, user_id, content) VALUES ('r','user-1','hello %d')",
                 table, i);
        must(h, line);
        began = cpu_ms();
        feedlane_poll(lane);
        times[i] = cpu_ms() - began;
    }
    qsort(times, CHANGES, sizeof *times, by_size);
    return times[CHANGES / 2];
}

int main(void)
{
    char folder[] = "/tmp/tidewire-bench-XXXXXX", path[64], err[800] = "", line[80];
    struct db_config config = {.builtin = db_demo_sql};
    struct sqlite_options read = {0}, write = {.writer = true};
    struct fault fault = {0};
    struct loops *ls = loops_new(1);
    struct db *db;
    struct feedlane *lane;
    struct sqlite *h;
    double open_ms, judged_ms;
    if (!mkdtemp(folder))
        return 1;
    snprintf(path, sizeof path, "%s/db", folder);
    config.path = path;
    db = db_open(ls, &config, err, sizeof err);
    h = db ? sqlite_open(path, &write, &fault) : NULL;
    lane = h ? feedlane_new(db, sqlite_open(path, &read, &fault), &fault) : NULL;
    if (!lane) {
        fprintf(stderr, "%s%s\n", err, fault.message);
        return 1;
    }
    must(h, "INSERT INTO main.demo_rooms VALUES ('r','Room','user-0');"
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 9999)"
            " INSERT INTO main.demo_members SELECT 'r', 'user-' || i FROM n");
    for (unsigned i = 0; i < SUBSCRIBERS; i++)
        subscribe(lane, loops_at(ls, 0), i, "messages");
    open_ms = change_ms(lane, h, "messages");
    for (unsigned i = 0; i < SUBSCRIBERS; i++)
        subscribe(lane, loops_at(ls, 0), i, "demo_messages");
    judged_ms = change_ms(lane, h, "demo_messages");
    printf("{\"subscribers\":%d,\"users\":%d,\"change_ms\":%.2f,\"without_policy_ms\":%.2f,"
           "\"visibility_ms\":%.2f}\n",
           SUBSCRIBERS, SUBSCRIBERS, judged_ms, open_ms, judged_ms - open_ms);
    snprintf(line, sizeof line, "rm -r %s", folder);
    return system(line) ? 1 : 0;
}
