/* SPDX-License-Identifier: Apache-2.0 */
/* Open addressing, linear probing, at most 3/4 full.
 * I1  A slot is taken (a record), free (NULL) or a tombstone.
 * I2  Between a key's home and its slot stands no free slot.
 * I3  Removing moves nothing, so a walk may remove what it stands on, and others. */
#include "base/table.h"
#include "base/check.h"
#include "base/hash.h"
#include "base/mem.h"

enum { CAPACITY_MIN = 4, CAPACITY_MAX = 1 << 30 };
static char tombstone;

static bool is_record(const void *slot)
{
    return slot && slot != &tombstone;
}

static uint32_t home_of(const struct table *t, struct str key)
{
    return (uint32_t)hash_str(key) & (t->capacity - 1);
}

static void **find(const struct table *t, struct str key)
{
    if (!t->count)
        return NULL;
    for (uint32_t i = home_of(t, key);; i = (i + 1) & (t->capacity - 1)) {
        void **slot = &t->slots[i];
        if (!*slot)
            return NULL;
        if (is_record(*slot) && str_eq(t->key_of(*slot), key))
            return slot;
    }
}

static void place(struct table *t, void *record)
{
    uint32_t i = home_of(t, t->key_of(record));
    while (is_record(t->slots[i]))
        i = (i + 1) & (t->capacity - 1);
    t->used += !t->slots[i];
    t->slots[i] = record;
    t->count++;
}

/* New slots for one record more: more, fewer or only without tombstones, as it fits. */
static void rebuild(struct table *t)
{
    struct table old = *t;
    uint32_t capacity = CAPACITY_MIN;
    while (capacity / 4 * 3 < old.count + 1 || capacity / 2 < old.count)
        capacity *= 2;
    CHECK(capacity <= CAPACITY_MAX);
    *t = (struct table){
        .key_of = old.key_of, .slots = mem_new(capacity * sizeof(void *)), .capacity = capacity};
    for (uint32_t i = 0; i < old.capacity; i++)
        if (is_record(old.slots[i]))
            place(t, old.slots[i]);
    CHECK(t->count == old.count);
    mem_free(old.slots);
}

void *table_get(const struct table *t, struct str key)
{
    void **slot = find(t, key);
    return slot ? *slot : NULL;
}

void *table_put(struct table *t, void *record)
{
    CHECK(record && t->key_of);
    void **slot = find(t, t->key_of(record));
    if (slot) {
        void *before = *slot;
        *slot = record;
        return before;
    }
    if ((t->used + 1) > t->capacity / 4 * 3)
        rebuild(t);
    place(t, record);
    return NULL;
}

void *table_remove(struct table *t, struct str key)
{
    void **slot = find(t, key);
    if (!slot)
        return NULL;
    void *record = *slot;
    uint32_t mask = t->capacity - 1, i = (uint32_t)(slot - t->slots);
    *slot = &tombstone;
    t->count--;
    if (t->slots[(i + 1) & mask])
        return record;
    while (t->slots[i] == &tombstone) { /* nobody passes here any more */
        t->slots[i] = NULL;
        t->used--;
        i = (i - 1) & mask;
    }
    CHECK(t->used >= t->count);
    return record;
}

void *table_next(const struct table *t, size_t *at)
{
    while (*at < t->capacity) {
        void *slot = t->slots[(*at)++];
        if (is_record(slot))
            return slot;
    }
    return NULL;
}

void table_free(struct table *t)
{
    mem_free(t->slots);
    *t = (struct table){.key_of = t->key_of};
}
