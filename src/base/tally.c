/* SPDX-License-Identifier: Apache-2.0 */
#include "base/tally.h"
#include "base/check.h"
#include "base/hash.h"
#include "base/map.h"
#include "base/mem.h"
#include <pthread.h>

enum { SHARDS = 16 };

struct entry {
    size_t count;
    uint64_t at_ms;       /* when tokens_milli was right */
    int64_t tokens_milli; /* a thousandth of a token each; negative = overdrawn */
    bool has_bucket;
    size_t name_n;
    char name[];
};
struct tally {
    struct shard {
        pthread_mutex_t lock;
        struct map names;
    } shards[SHARDS];
};

struct tally *tally_new(void)
{
    struct tally *t = mem_new(sizeof(*t));
    for (int i = 0; i < SHARDS; i++)
        pthread_mutex_init(&t->shards[i].lock, NULL);
    return t;
}

void tally_free(struct tally **tally)
{
    struct tally *t = *tally;
    *tally = NULL;
    if (!t)
        return;
    for (int i = 0; i < SHARDS; i++) {
        struct entry *e;
        for (size_t at = 0; (e = map_next(&t->shards[i].names, &at));)
            mem_free(e);
        map_free(&t->shards[i].names);
        pthread_mutex_destroy(&t->shards[i].lock);
    }
    mem_free(t);
}

static struct shard *enter(struct tally *t, struct str name)
{
    struct shard *s = &t->shards[hash_str(name) >> 60 & (SHARDS - 1)];
    pthread_mutex_lock(&s->lock);
    return s;
}

static void leave(struct shard *s)
{
    pthread_mutex_unlock(&s->lock);
}

static struct entry *add(struct shard *s, struct str name)
{
    struct entry *e = mem_new(sizeof(*e) + name.n);
    e->name_n = name.n;
    memcpy(e->name, name.p ? name.p : "", name.n);
    map_put(&s->names, str_of(e->name, name.n), e);
    return e;
}

bool tally_take(struct tally *t, struct str name, size_t max)
{
    struct shard *s = enter(t, name);
    struct entry *e = map_get(&s->names, name);
    bool good = e ? e->count < max : max > 0;
    if (good && !e)
        e = add(s, name);
    if (good)
        e->count++;
    leave(s);
    return good;
}

void tally_give(struct tally *t, struct str name)
{
    struct shard *s = enter(t, name);
    struct entry *e = map_get(&s->names, name);
    CHECK(e && e->count > 0);
    if (--e->count == 0) {
        map_remove(&s->names, name);
        mem_free(e);
    }
    leave(s);
}

size_t tally_count(struct tally *t, struct str name)
{
    struct shard *s = enter(t, name);
    struct entry *e = map_get(&s->names, name);
    size_t count = e ? e->count : 0;
    leave(s);
    return count;
}

static uint64_t spend(struct entry *e, uint64_t now_ms, unsigned rate, unsigned burst)
{
    int64_t most = (int64_t)burst * 1000;
    if (!e->has_bucket) {
        e->has_bucket = true;
        e->tokens_milli = most;
        e->at_ms = now_ms;
    }
    /* Loops read their clocks at turns of their own: time here never goes back. */
    uint64_t passed_ms = now_ms > e->at_ms ? now_ms - e->at_ms : 0;
    e->at_ms += passed_ms;
    e->tokens_milli += (int64_t)(passed_ms < 1000000 ? passed_ms : 1000000) * (int64_t)rate;
    if (e->tokens_milli > most)
        e->tokens_milli = most;
    e->tokens_milli -= 1000;
    return e->tokens_milli >= 0 ? 0 : (uint64_t)-e->tokens_milli / rate + 1;
}

uint64_t tally_spend(struct tally *t, struct str name, uint64_t now_ms, unsigned rate,
                     unsigned burst)
{
    CHECK(rate > 0);
    struct shard *s = enter(t, name);
    struct entry *e = map_get(&s->names, name);
    uint64_t wait_ms = e ? spend(e, now_ms, rate, burst) : 0;
    leave(s);
    return wait_ms;
}
