/* SPDX-License-Identifier: Apache-2.0 */
/* See feedindex.h. */
#include "db/feedindex.h"
#include "base/check.h"
#include "base/log.h"
#include "base/mem.h"
#include "db/rls.h"
#include "db/rowimage.h"

/* ---- classes ---------------------------------------------------------------------------- */
static struct feed_class *class_take(struct feed_table *ft, struct identity *id)
{
    struct buf key = {0};
    struct feed_class *c;
    if (!rls_applies(ft->t, id))
        return NULL;
    feedclaims_key(&ft->claims, id, &key);
    c = map_get(&ft->classes, buf_str(&key));
    if (!c) {
        c = mem_new(sizeof *c);
        c->key = str_of(str_dup(buf_str(&key)), key.n);
        c->identity = identity_ref(id);
        map_put(&ft->classes, c->key, c);
    }
    c->watchers++;
    buf_free(&key);
    return c;
}

static void class_drop(struct feed_table *ft, struct feed_class *c)
{
    if (!c || --c->watchers)
        return;
    map_remove(&ft->classes, c->key);
    identity_unref(c->identity);
    mem_free((char *)c->key.p);
    mem_free(c);
}

/* ---- buckets ---------------------------------------------------------------------------- */
static void bucket_add(struct feed_bucket *b, struct feed_binding *binding)
{
    b->list = mem_grow(b->list, &b->capacity, b->count + 1, sizeof(struct feed_binding *));
    b->list[b->count++] = binding;
}

static void bucket_drop(struct feed_bucket *b, const struct feed_binding *binding)
{
    for (size_t i = 0; i < b->count; i++) {
        if (b->list[i] == binding) {
            b->list[i] = b->list[--b->count];
            return;
        }
    }
    CHECK(!"a binding stands where it was put");
}

static void note_column(struct feed_table *ft, size_t column, int by)
{
    for (size_t i = 0; i < ft->indexed_count; i++) {
        if (ft->indexed[i] != column)
            continue;
        ft->indexed_users[i] += (unsigned)by;
        if (!ft->indexed_users[i]) {
            ft->indexed[i] = ft->indexed[--ft->indexed_count];
            ft->indexed_users[i] = ft->indexed_users[ft->indexed_count];
        }
        return;
    }
    CHECK(by > 0 && ft->indexed_count < FEED_INDEXED_MAX);
    ft->indexed[ft->indexed_count] = column;
    ft->indexed_users[ft->indexed_count++] = 1;
}

static struct feed_bucket *bucket_for(struct feed_table *ft, size_t column,
                                      const struct cell *value, bool make)
{
    struct buf key = {0};
    struct feed_bucket *b;
    rowfilter_key(column, value, &key);
    b = map_get(&ft->buckets, buf_str(&key));
    if (!b && make) {
        b = mem_new(sizeof *b);
        b->key = str_of(str_dup(buf_str(&key)), key.n);
        map_put(&ft->buckets, b->key, b);
    }
    buf_free(&key);
    return b;
}

static bool is_indexable(const struct feed_table *ft, size_t column)
{
    for (size_t i = 0; i < ft->indexed_count; i++)
        if (ft->indexed[i] == column)
            return true;
    return ft->indexed_count < FEED_INDEXED_MAX;
}

/* The first of equal values only: in.(5,5) stands once in its bucket. */
static bool is_repeat(struct feed_table *ft, size_t column, const struct cell *values, size_t i)
{
    struct feed_bucket *b = bucket_for(ft, column, &values[i], false);
    for (size_t k = 0; k < i; k++)
        if (b && bucket_for(ft, column, &values[k], false) == b)
            return true;
    return false;
}

static void place(struct feed_binding *b)
{
    struct feed_table *ft = b->table;
    const struct cell *values;
    size_t column, count;
    if (!rowfilter_index(&b->filter, &column, &values, &count) || !is_indexable(ft, column)) {
        bucket_add(&ft->linear, b);
        return;
    }
    note_column(ft, column, 1);
    for (size_t i = 0; i < count; i++)
        if (!is_repeat(ft, column, values, i))
            bucket_add(bucket_for(ft, column, &values[i], true), b);
}

static void displace(struct feed_binding *b)
{
    struct feed_table *ft = b->table;
    const struct cell *values;
    size_t column, count;
    bool indexed = rowfilter_index(&b->filter, &column, &values, &count);
    for (size_t i = 0; i < ft->linear.count && indexed; i++)
        indexed = ft->linear.list[i] != b;
    if (!indexed) {
        bucket_drop(&ft->linear, b);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        struct feed_bucket *bucket = bucket_for(ft, column, &values[i], false);
        if (!bucket) /* an equal value before this one emptied it */
            continue;
        for (size_t k = 0; k < bucket->count; k++) {
            if (bucket->list[k] == b) {
                bucket_drop(bucket, b);
                break;
            }
        }
        if (bucket->count)
            continue;
        map_remove(&ft->buckets, bucket->key);
        mem_free((char *)bucket->key.p);
        mem_free(bucket->list);
        mem_free(bucket);
    }
    note_column(ft, column, -1);
}

/* ---- watches ---------------------------------------------------------------------------- */
/* Does not look into the schema: it may be another by now. */
static void unbind(struct feed_watch *w)
{
    for (size_t i = 0; i < w->bindings_count; i++) {
        displace(&w->bindings[i]);
        class_drop(w->bindings[i].table, w->bindings[i].class);
        rowfilter_free(&w->bindings[i].filter);
    }
    mem_free(w->bindings);
    w->bindings = NULL;
    w->bindings_count = 0;
}

static bool bind_one(struct feed_watch *w, unsigned bit, struct feed_table *ft, struct fault *fault)
{
    const struct feed_ask *ask = &w->asks.list[bit];
    struct feed_binding *b = &w->bindings[w->bindings_count];
    *b = (struct feed_binding){.watch = w, .table = ft, .bit = bit, .event = ask->event};
    if (!rowfilter_compile(&b->filter, ft->t, str_of(ask->filter, ask->filter_n), fault))
        return false;
    b->class = class_take(ft, w->identity);
    w->bindings_count++;
    return true;
}

static bool bind_ask(struct feedindex *ix, struct feed_watch *w, unsigned bit, struct fault *fault)
{
    const struct feed_ask *ask = &w->asks.list[bit];
    struct feed_table *ft;
    if (!ask->table && ask->filter_n)
        return fault_set(fault, "22023", "a filter needs a table");
    for (size_t i = 0; !ask->table && i < ix->tables_count; i++)
        if (!bind_one(w, bit, &ix->tables[i], fault))
            return false;
    if (!ask->table)
        return true;
    ft = feedindex_table(ix, str_from(ask->table));
    return ft ? bind_one(w, bit, ft, fault)
              : fault_set(fault, "42P01", "table %s is not published", ask->table);
}

/* False when one of the asks cannot be; with `lenient` those are left out. */
static bool bind(struct feedindex *ix, struct feed_watch *w, bool lenient, struct fault *fault)
{
    size_t most = w->asks.count * (ix->tables_count + 1);
    size_t placed = 0;
    bool ok = true;
    w->bindings = mem_new((most + 1) * sizeof *w->bindings);
    for (unsigned i = 0; i < w->asks.count && ok; i++)
        ok = bind_ask(ix, w, i, fault) || lenient;
    for (; placed < w->bindings_count; placed++) /* now that the array stays where it is */
        place(&w->bindings[placed]);
    if (!ok)
        unbind(w);
    return ok;
}

static struct str id_key(const uint64_t *id)
{
    return str_of((const char *)id, sizeof *id);
}

struct feed_watch *feedindex_watch(struct feedindex *ix, uint64_t id)
{
    return map_get(&ix->watches, id_key(&id));
}

bool feedindex_add(struct feedindex *ix, uint64_t id, struct loop *home, struct identity *identity,
                   struct feed_asks *asks, struct fault *fault)
{
    struct feed_watch *w = mem_new(sizeof *w);
    w->id = id;
    w->home = home;
    w->identity = identity;
    w->asks = *asks;
    if (!bind(ix, w, false, fault)) {
        mem_free(w);
        return false;
    }
    identity_ref(identity);
    *asks = (struct feed_asks){0};
    CHECK(!map_put(&ix->watches, id_key(&w->id), w));
    return true;
}

static void free_watch(struct feed_watch *w)
{
    unbind(w);
    identity_unref(w->identity);
    feed_asks_free(&w->asks);
    mem_free(w);
}

void feedindex_remove(struct feedindex *ix, uint64_t id)
{
    struct feed_watch *w = map_remove(&ix->watches, id_key(&id));
    if (w)
        free_watch(w);
}

void feedindex_identify(struct feedindex *ix, uint64_t id, struct identity *identity)
{
    struct feed_watch *w = feedindex_watch(ix, id);
    if (!w)
        return;
    for (size_t i = 0; i < w->bindings_count; i++) {
        struct feed_binding *b = &w->bindings[i];
        struct feed_class *before = b->class;
        b->class = class_take(b->table, identity);
        class_drop(b->table, before);
    }
    identity_ref(identity);
    identity_unref(w->identity);
    w->identity = identity;
}

/* ---- tables ----------------------------------------------------------------------------- */
/* In WHERE, so that "a or b" stops at a: as a value SQLite would evaluate both. */
static void put_visibility(struct feed_table *ft)
{
    buf_add_z(&ft->visibility, "SELECT 1 FROM temp.");
    rowimage_name(ft->t, &ft->visibility);
    buf_add_z(&ft->visibility, " AS ");
    sqlite_quote(&ft->visibility, ft->t->name);
    buf_add_z(&ft->visibility, " WHERE ");
    rls_condition(ft->t, POLICY_SELECT, RLS_USING, &ft->visibility);
}

static void free_tables(struct feedindex *ix)
{
    for (size_t i = 0; i < ix->tables_count; i++) {
        struct feed_table *ft = &ix->tables[i];
        CHECK(ft->linear.count == 0 && ft->buckets.count == 0 && ft->classes.count == 0);
        buf_free(&ft->columns);
        buf_free(&ft->visibility);
        map_free(&ft->buckets);
        map_free(&ft->classes);
        mem_free(ft->linear.list);
    }
    mem_free(ix->tables);
    map_free(&ix->tables_by_name);
    ix->tables = NULL;
    ix->tables_by_name = (struct map){0};
    ix->tables_count = 0;
}

static void unbind_all(struct feedindex *ix)
{
    struct feed_watch *w;
    size_t at = 0;
    while ((w = map_next(&ix->watches, &at)) != NULL)
        unbind(w);
}

void feedindex_build(struct feedindex *ix, const struct schema *s)
{
    struct feed_watch *w;
    size_t at = 0;
    unbind_all(ix);
    free_tables(ix);
    ix->schema = s;
    ix->tables = mem_new((s->tables_count + 1) * sizeof *ix->tables);
    for (size_t i = 0; i < s->tables_count; i++) {
        struct feed_table *ft = &ix->tables[ix->tables_count];
        if (!s->tables[i].published || s->tables[i].internal)
            continue;
        ix->tables_count++;
        ft->t = &s->tables[i];
        feedchange_columns(ft->t, &ft->columns);
        put_visibility(ft);
        feedclaims_find(&ft->claims, s, ft->t);
        map_put(&ix->tables_by_name, ft->t->name, ft);
    }
    while ((w = map_next(&ix->watches, &at)) != NULL) {
        struct fault fault = {0};
        bind(ix, w, true, &fault);
        if (fault.code[0])
            log_warn("db", "watch_unbound", "code=%s text=%s", fault.code, fault.message);
    }
}

void feedindex_free(struct feedindex *ix)
{
    struct feed_watch *w;
    size_t at = 0;
    while ((w = map_next(&ix->watches, &at)) != NULL) {
        map_remove(&ix->watches, id_key(&w->id));
        free_watch(w);
    }
    map_free(&ix->watches);
    free_tables(ix);
}

struct feed_table *feedindex_table(struct feedindex *ix, struct str name)
{
    return map_get(&ix->tables_by_name, name);
}

static void visit(const struct feed_bucket *b, void (*fn)(struct feed_binding *, void *), void *arg)
{
    for (size_t i = 0; i < b->count; i++)
        fn(b->list[i], arg);
}

void feedindex_candidates(struct feed_table *ft, const struct cell *cells,
                          void (*fn)(struct feed_binding *b, void *arg), void *arg)
{
    visit(&ft->linear, fn, arg);
    for (size_t i = 0; i < ft->indexed_count; i++) {
        struct feed_bucket *b = bucket_for(ft, ft->indexed[i], &cells[ft->indexed[i]], false);
        if (b)
            visit(b, fn, arg);
    }
}
