/* SPDX-License-Identifier: Apache-2.0 */
/* Hash map from text to pointer: open addressing, linear probing, at most 3/4 full.
 * I1  A slot is taken (value set), free (all zero) or a tombstone (no value, hash TOMBSTONE).
 * I2  Between a key's home and its slot stands no free slot: removing leaves a tombstone unless
 *     the next slot is free, and then the tombstones before it are freed as well.
 * I3  Removing moves nothing, so a walk may remove what it stands on. */
#include "base/map.h"
#include "base/check.h"
#include "base/hash.h"
#include "base/mem.h"

#define CAPACITY_MIN 8
#define TOMBSTONE 1

static struct map_slot *find(const struct map *m, struct str key, uint64_t hash)
{
    if (!m->count)
        return NULL;
    size_t mask = m->capacity - 1;
    for (size_t i = hash & mask;; i = (i + 1) & mask) {
        struct map_slot *slot = &m->slots[i];
        if (!slot->value && slot->hash != TOMBSTONE)
            return NULL;
        if (slot->value && slot->hash == hash && str_eq(slot->key, key))
            return slot;
    }
}

static void place(struct map *m, struct str key, void *value, uint64_t hash)
{
    size_t mask = m->capacity - 1, i = hash & mask;
    while (m->slots[i].value)
        i = (i + 1) & mask;
    m->used += m->slots[i].hash != TOMBSTONE;
    m->slots[i] = (struct map_slot){key, value, hash};
    m->count++;
}

/* A new table for one entry more: larger, smaller or only without tombstones, as it fits. */
static void rebuild(struct map *m)
{
    struct map old = *m;
    size_t capacity = CAPACITY_MIN;
    while (capacity < (old.count + 1) * 2)
        capacity *= 2;
    *m = (struct map){.slots = mem_new(capacity * sizeof(struct map_slot)), .capacity = capacity};
    for (size_t i = 0; i < old.capacity; i++)
        if (old.slots[i].value)
            place(m, old.slots[i].key, old.slots[i].value, old.slots[i].hash);
    CHECK(m->count == old.count);
    mem_free(old.slots);
}

void *map_get(const struct map *m, struct str key)
{
    const struct map_slot *slot = m->count ? find(m, key, hash_str(key)) : NULL;
    return slot ? slot->value : NULL;
}

void *map_put(struct map *m, struct str key, void *value)
{
    CHECK(value);
    uint64_t hash = hash_str(key);
    struct map_slot *slot = find(m, key, hash);
    if (slot) {
        void *before = slot->value;
        slot->key = key; /* the old key may die with the old value */
        slot->value = value;
        return before;
    }
    if ((m->used + 1) * 4 > m->capacity * 3)
        rebuild(m);
    place(m, key, value, hash);
    return NULL;
}

void *map_remove(struct map *m, struct str key)
{
    struct map_slot *slot = find(m, key, m->count ? hash_str(key) : 0);
    if (!slot)
        return NULL;
    void *value = slot->value;
    size_t mask = m->capacity - 1, i = (size_t)(slot - m->slots);
    const struct map_slot *next = &m->slots[(i + 1) & mask];
    *slot = (struct map_slot){.hash = TOMBSTONE};
    m->count--;
    if (next->value || next->hash == TOMBSTONE)
        return value;
    while (!m->slots[i].value && m->slots[i].hash == TOMBSTONE) {
        m->slots[i].hash = 0;
        m->used--;
        i = (i - 1) & mask;
    }
    CHECK(m->used >= m->count);
    return value;
}

void *map_next(const struct map *m, size_t *at)
{
    while (*at < m->capacity) {
        const struct map_slot *slot = &m->slots[(*at)++];
        if (slot->value)
            return slot->value;
    }
    return NULL;
}

void map_free(struct map *m)
{
    mem_free(m->slots);
    *m = (struct map){0};
}
