/* SPDX-License-Identifier: Apache-2.0 */
/* See schema.h. Reads SQLite's own catalogue (sqlite_schema, pragma_*) and our tables tw_policies,
 * tw_tables and tw_functions. */
#include "db/schema.h"
#include "base/mem.h"
#include "db/rls.h"
#include "db/schemafunc.h"
#include "db/sqlite.h"
#include <stdio.h>

struct reading {
    struct sqlite *h;
    struct schema *s;
    struct fault *fault;
};

static struct str keep(struct reading *r, sqlite3_stmt *stmt, int column)
{
    const char *p = (const char *)sqlite3_column_text(stmt, column);
    return arena_dup(&r->s->arena,
                     str_of(p ? p : "", p ? (size_t)sqlite3_column_bytes(stmt, column) : 0));
}

static sqlite3_stmt *ask(struct reading *r, const char *sql, struct str arg)
{
    sqlite3_stmt *stmt = sqlite_prepare(r->h, str_from(sql), r->fault);
    if (stmt && arg.p)
        sqlite3_bind_text(stmt, 1, arg.p, (int)arg.n, SQLITE_STATIC);
    return stmt;
}

/* SQLite's rules (datatype3, section 3.1), as a word that gives the same affinity again. */
static const char *affinity_of(struct str declared)
{
    char upper[128];
    size_t n = declared.n < sizeof upper - 1 ? declared.n : sizeof upper - 1;
    for (size_t i = 0; i < n; i++)
        upper[i] = declared.p[i] >= 'a' && declared.p[i] <= 'z' ? (char)(declared.p[i] - 32)
                                                                : declared.p[i];
    upper[n] = 0;
    if (strstr(upper, "INT"))
        return "INTEGER";
    if (strstr(upper, "CHAR") || strstr(upper, "CLOB") || strstr(upper, "TEXT"))
        return "TEXT";
    if (n == 0 || strstr(upper, "BLOB"))
        return "BLOB";
    if (strstr(upper, "REAL") || strstr(upper, "FLOA") || strstr(upper, "DOUB"))
        return "REAL";
    return "NUMERIC";
}

static bool read_columns(struct reading *r, struct table *t)
{
    sqlite3_stmt *stmt = ask(r,
                             "SELECT name, type, \"notnull\", dflt_value IS NOT NULL, pk, hidden,"
                             " count(*) OVER () FROM pragma_table_xinfo(?1, 'main')",
                             t->name);
    int rc;
    if (!stmt)
        return false;
    while ((rc = sqlite_step(r->h, stmt, r->fault)) == SQLITE_ROW) {
        struct column *c;
        const char *collation = NULL;
        if (!t->columns)
            t->columns =
                arena_zero(&r->s->arena, (size_t)sqlite3_column_int(stmt, 6) * sizeof *t->columns);
        c = &t->columns[t->columns_count++];
        c->name = keep(r, stmt, 0);
        c->declared = keep(r, stmt, 1);
        type_parse(&c->type, c->declared);
        c->affinity = affinity_of(c->declared);
        c->not_null = sqlite3_column_int(stmt, 2);
        c->has_default = sqlite3_column_int(stmt, 3);
        c->pk = sqlite3_column_int(stmt, 4);
        c->generated = sqlite3_column_int(stmt, 5) >= 2;
        sqlite3_table_column_metadata(r->h->db, "main", t->name.p, c->name.p, NULL, &collation,
                                      NULL, NULL, NULL);
        c->collation = arena_dup(&r->s->arena, str_from(collation ? collation : "BINARY")).p;
    }
    sqlite_reset(stmt);
    return rc == SQLITE_DONE;
}

/* INTEGER PRIMARY KEY is the rowid: 64 bits, filled by SQLite. */
static void note_rowid(struct table *t)
{
    struct column *pk = NULL;
    for (size_t i = 0; i < t->columns_count; i++) {
        if (!t->columns[i].pk)
            continue;
        if (pk)
            return;
        pk = &t->columns[i];
    }
    if (!pk || !str_eq_nocase(pk->declared, STR("integer")))
        return;
    pk->has_default = pk->not_null = true;
    type_parse(&pk->type, STR("bigint"));
}

static size_t column_index(const struct table *t, struct str name)
{
    for (size_t i = 0; i < t->columns_count; i++)
        if (str_eq_nocase(t->columns[i].name, name))
            return i;
    return t->columns_count;
}

static struct str key_name(struct reading *r, const struct table *t, const struct unique_key *k,
                           struct str index)
{
    struct buf b = {0};
    struct str out;
    if (!k->primary && index.n && !str_starts(index, STR("sqlite_autoindex_")))
        return index;
    buf_add_str(&b, t->name);
    for (size_t i = 0; !k->primary && i < k->count; i++) {
        buf_add_c(&b, '_');
        buf_add_str(&b, t->columns[k->columns[i]].name);
    }
    buf_add_z(&b, k->primary ? "_pkey" : "_key");
    out = arena_dup(&r->s->arena, buf_str(&b));
    buf_free(&b);
    return out;
}

static void add_primary(struct reading *r, struct table *t)
{
    struct unique_key *k = &t->keys[t->keys_count];
    k->columns = arena_zero(&r->s->arena, (t->columns_count + 1) * sizeof *k->columns);
    for (int place = 1;; place++) {
        size_t i = 0;
        while (i < t->columns_count && t->columns[i].pk != place)
            i++;
        if (i == t->columns_count)
            break;
        k->columns[k->count++] = i;
    }
    if (k->count == 0)
        return;
    k->primary = true;
    k->name = key_name(r, t, k, STR_NONE);
    t->keys_count++;
}

static bool read_key_columns(struct reading *r, struct table *t, struct unique_key *k,
                             struct str index)
{
    sqlite3_stmt *stmt =
        ask(r, "SELECT name FROM pragma_index_info(?1, 'main') ORDER BY seqno", index);
    int rc;
    bool plain = true;
    if (!stmt)
        return false;
    k->columns = arena_zero(&r->s->arena, (t->columns_count + 1) * sizeof *k->columns);
    while ((rc = sqlite_step(r->h, stmt, r->fault)) == SQLITE_ROW) {
        size_t i = sqlite3_column_type(stmt, 0) == SQLITE_NULL ? t->columns_count
                                                               : column_index(t, keep(r, stmt, 0));
        if (i == t->columns_count || k->count == t->columns_count)
            plain = false; /* an expression */
        else
            k->columns[k->count++] = i;
    }
    sqlite_reset(stmt);
    if (plain)
        t->keys_count++;
    return rc == SQLITE_DONE;
}

static bool read_keys(struct reading *r, struct table *t)
{
    sqlite3_stmt *stmt = ask(r,
                             "SELECT name, count(*) OVER () FROM pragma_index_list(?1, 'main')"
                             " WHERE \"unique\" AND NOT partial AND origin <> 'pk'",
                             t->name);
    struct str names[64];
    size_t n = 0;
    int rc;
    if (!stmt)
        return false;
    while ((rc = sqlite_step(r->h, stmt, r->fault)) == SQLITE_ROW)
        if (n < 64)
            names[n++] = keep(r, stmt, 0);
    sqlite_reset(stmt);
    t->keys = arena_zero(&r->s->arena, (n + 1) * sizeof *t->keys);
    add_primary(r, t);
    for (size_t i = 0; i < n && rc == SQLITE_DONE; i++) {
        struct unique_key *k = &t->keys[t->keys_count];
        if (!read_key_columns(r, t, k, names[i]))
            return false;
        if (k == &t->keys[t->keys_count - 1])
            k->name = key_name(r, t, k, names[i]);
    }
    return rc == SQLITE_DONE;
}

static bool same_columns(const struct unique_key *k, const struct foreign_key *f)
{
    if (k->count != f->count)
        return false;
    for (size_t i = 0; i < k->count; i++) {
        bool found = false;
        for (size_t j = 0; j < f->count; j++)
            found |= f->from_columns[j] == k->columns[i];
        if (!found)
            return false;
    }
    return true;
}

static void finish_foreign(struct reading *r, struct foreign_key *f)
{
    struct buf b = {0};
    for (size_t i = 0; i < f->from->keys_count; i++)
        f->one_to_one |= same_columns(&f->from->keys[i], f);
    buf_add_str(&b, f->from->name);
    for (size_t i = 0; i < f->count; i++)
        buf_printf(&b, "_%.*s", STR_ARG(f->from->columns[f->from_columns[i]].name));
    buf_add_z(&b, "_fkey");
    f->name = arena_dup(&r->s->arena, buf_str(&b));
    buf_free(&b);
}

/* "to" is empty where the target's primary key is meant. */
static bool add_foreign_pair(struct foreign_key *f, struct str from, struct str to, size_t seq)
{
    const struct unique_key *pk = schema_primary(f->to);
    size_t a = column_index(f->from, from);
    size_t b =
        to.n ? column_index(f->to, to) : (pk && seq < pk->count ? pk->columns[seq] : SIZE_MAX);
    if (a >= f->from->columns_count || b >= f->to->columns_count)
        return false;
    f->from_columns[f->count] = a;
    f->to_columns[f->count++] = b;
    return true;
}

static bool read_foreigns(struct reading *r)
{
    sqlite3_stmt *stmt =
        ask(r,
            "SELECT m.name, f.id, f.seq, f.\"table\", f.\"from\", f.\"to\", count(*) OVER ()"
            " FROM sqlite_schema m, pragma_foreign_key_list(m.name, 'main') f"
            " WHERE m.type = 'table' ORDER BY m.name, f.id, f.seq",
            STR_NONE);
    int rc, last_id = -1;
    struct table *last = NULL;
    struct foreign_key *f = NULL;
    if (!stmt)
        return false;
    while ((rc = sqlite_step(r->h, stmt, r->fault)) == SQLITE_ROW) {
        struct table *from = schema_table(r->s, keep(r, stmt, 0));
        struct table *to = schema_table(r->s, keep(r, stmt, 3));
        int id = sqlite3_column_int(stmt, 1);
        size_t most = (size_t)sqlite3_column_int(stmt, 6);
        if (!r->s->foreigns)
            r->s->foreigns = arena_zero(&r->s->arena, most * sizeof *f);
        if (!from || !to)
            continue;
        if (from != last || id != last_id) {
            f = &r->s->foreigns[r->s->foreigns_count++];
            f->from = from;
            f->to = to;
            f->from_columns = arena_zero(&r->s->arena, 2 * from->columns_count * sizeof(size_t));
            f->to_columns = f->from_columns + from->columns_count;
            last = from;
            last_id = id;
        }
        if (f->count < from->columns_count)
            add_foreign_pair(f, keep(r, stmt, 4), keep(r, stmt, 5),
                             (size_t)sqlite3_column_int(stmt, 2));
    }
    sqlite_reset(stmt);
    for (size_t i = 0; i < r->s->foreigns_count; i++)
        finish_foreign(r, &r->s->foreigns[i]);
    return rc == SQLITE_DONE;
}

static bool read_tables(struct reading *r)
{
    sqlite3_stmt *stmt = ask(r,
                             "SELECT name, type = 'view', count(*) OVER () FROM sqlite_schema"
                             " WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite\\_%'"
                             " ESCAPE '\\' ORDER BY name",
                             STR_NONE);
    int rc;
    if (!stmt)
        return false;
    while ((rc = sqlite_step(r->h, stmt, r->fault)) == SQLITE_ROW) {
        struct table *t;
        if (!r->s->tables)
            r->s->tables =
                arena_zero(&r->s->arena, (size_t)sqlite3_column_int(stmt, 2) * sizeof *t);
        t = &r->s->tables[r->s->tables_count++];
        t->name = keep(r, stmt, 0);
        t->view = sqlite3_column_int(stmt, 1);
        t->internal = str_starts(t->name, STR("tw_")) || str_is(t->name, "realtime_messages");
        map_put(&r->s->by_name, t->name, t);
    }
    sqlite_reset(stmt);
    for (size_t i = 0; i < r->s->tables_count && rc == SQLITE_DONE; i++) {
        struct table *t = &r->s->tables[i];
        if (!read_columns(r, t))
            return false;
        note_rowid(t);
        if (!t->view && !read_keys(r, t))
            return false;
    }
    return rc == SQLITE_DONE;
}

static struct schema *load(struct sqlite *h, int64_t version, int64_t generation,
                           struct fault *fault)
{
    struct reading r = {h, mem_new(sizeof *r.s), fault};
    r.s->arena.is_sure = true; /* the operator's own tables: half a schema is none */
    r.s->version = version;
    r.s->generation = generation;
    if (!read_tables(&r) || !read_foreigns(&r) || !schemafunc_read(h, r.s, fault) ||
        !rls_read(h, r.s, fault))
        schema_free(&r.s);
    return r.s;
}

static bool versions(struct sqlite *h, int64_t *version, int64_t *generation)
{
    *version = sqlite_integer(h, "PRAGMA main.schema_version", 0);
    *generation = sqlite_integer(h, "SELECT value FROM main.tw_meta WHERE name = 'generation'", 0);
    return h->schema && h->schema->version == *version && h->schema->generation == *generation;
}

bool schema_load(struct sqlite *h, struct fault *fault)
{
    int64_t version, generation;
    struct schema *fresh;
    versions(h, &version, &generation);
    fresh = load(h, version, generation, fault);
    if (!fresh)
        return false;
    schema_free(&h->schema);
    h->schema = fresh;
    sqlite_forget_statements(h);
    return true;
}

/* Without a transaction around it. */
static bool reload(struct sqlite *h, struct fault *fault)
{
    struct fault ignored;
    bool ok = sqlite_run(h, "BEGIN", fault) && schema_load(h, fault);
    if (!sqlite_run(h, "COMMIT", ok ? fault : &ignored) || !ok) {
        schema_free(&h->schema);
        return false;
    }
    if (!rls_install(h, fault)) {
        schema_free(&h->schema); /* without its policies it must not be used */
        return false;
    }
    return true;
}

bool schema_begin(struct sqlite *h, bool immediate, struct fault *fault)
{
    int64_t version, generation;
    for (int tries = 0; tries < 10; tries++) {
        if (!sqlite_run(h, immediate ? "BEGIN IMMEDIATE" : "BEGIN", fault))
            return false;
        if (versions(h, &version, &generation))
            return true;
        if (!sqlite_run(h, "COMMIT", fault) || !reload(h, fault))
            return false;
    }
    return fault_set(fault, "PGRST002", "Could not query the database for the schema cache");
}

void schema_free(struct schema **sp)
{
    struct schema *s = *sp;
    if (!s)
        return;
    *sp = NULL;
    map_free(&s->by_name);
    map_free(&s->functions_by_name);
    arena_free(&s->arena);
    mem_free(s);
}

struct table *schema_table(const struct schema *s, struct str name)
{
    return s ? map_get(&s->by_name, name) : NULL;
}

struct column *schema_column(const struct table *t, struct str name)
{
    for (size_t i = 0; i < t->columns_count; i++)
        if (str_eq(t->columns[i].name, name))
            return &t->columns[i];
    return NULL;
}

struct function *schema_function(const struct schema *s, struct str name)
{
    return map_get(&s->functions_by_name, name);
}

const struct unique_key *schema_primary(const struct table *t)
{
    return t->keys_count && t->keys[0].primary ? &t->keys[0] : NULL;
}

static bool key_is(const struct table *t, const struct unique_key *k, struct str columns)
{
    struct buf b = {0};
    bool same;
    for (size_t i = 0; i < k->count; i++)
        buf_printf(&b, "%s%.*s", i ? ", " : "", STR_ARG(t->columns[k->columns[i]].name));
    same = str_eq(buf_str(&b), columns);
    buf_free(&b);
    return same;
}

void schema_constraint_name(const struct schema *s, struct str table, struct str columns, char *out,
                            size_t size)
{
    const struct table *t = schema_table(s, table);
    for (size_t i = 0; t && i < t->keys_count; i++) {
        if (key_is(t, &t->keys[i], columns)) {
            snprintf(out, size, "%.*s", STR_ARG(t->keys[i].name));
            return;
        }
    }
    snprintf(out, size, "%.*s_%.*s_key", STR_ARG(table), STR_ARG(columns));
}
