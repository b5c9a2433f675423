/* SPDX-License-Identifier: Apache-2.0 */
/* See schemafunc.h. */
#include "db/schemafunc.h"
#include "db/sqlite.h"

static struct str keep(struct schema *s, sqlite3_stmt *stmt, int column)
{
    const char *p = (const char *)sqlite3_column_text(stmt, column);
    return arena_dup(&s->arena,
                     str_of(p ? p : "", p ? (size_t)sqlite3_column_bytes(stmt, column) : 0));
}

static void read_returns(struct function *f)
{
    f->returns_void = str_is(f->returns, "void");
    f->returns_set = str_starts(f->returns, STR("setof ")) || str_starts(f->returns, STR("table"));
    f->returns_row = str_starts(f->returns, STR("table"));
    type_parse(&f->type,
               str_starts(f->returns, STR("setof ")) ? str_skip(f->returns, 6) : f->returns);
    if (f->type.kind == TYPE_ANY && !f->returns_void) /* setof a_table, record */
        f->returns_row = true;
}

static bool read_args(struct sqlite *h, struct schema *s, struct function *f, struct fault *fault)
{
    sqlite3_stmt *stmt = sqlite_prepare(
        h,
        STR("SELECT a.value ->> 'name', a.value ->> 'type', a.value ->> 'default',"
            " count(*) OVER () FROM main.tw_functions f, json_each(f.args) a WHERE f.name = ?1"
            " ORDER BY a.key"),
        fault);
    int rc;
    if (!stmt)
        return false;
    sqlite3_bind_text(stmt, 1, f->name.p, (int)f->name.n, SQLITE_STATIC);
    while ((rc = sqlite_step(h, stmt, fault)) == SQLITE_ROW) {
        struct function_arg *a;
        if (!f->args)
            f->args = arena_zero(&s->arena, (size_t)sqlite3_column_int(stmt, 3) * sizeof *a);
        a = &f->args[f->args_count++];
        a->name = keep(s, stmt, 0);
        type_parse(&a->type, keep(s, stmt, 1));
        a->has_default = sqlite3_column_type(stmt, 2) != SQLITE_NULL;
        a->default_sql = keep(s, stmt, 2);
    }
    sqlite_reset(stmt);
    return rc == SQLITE_DONE;
}

bool schemafunc_read(struct sqlite *h, struct schema *s, struct fault *fault)
{
    sqlite3_stmt *stmt;
    int rc;
    if (sqlite_integer(h, "SELECT 1 FROM main.sqlite_schema WHERE name = 'tw_functions'", 0) != 1)
        return true;
    stmt = sqlite_prepare(h,
                          STR("SELECT name, returns, body, writes, definer, count(*) OVER ()"
                              " FROM main.tw_functions ORDER BY name"),
                          fault);
    if (!stmt)
        return false;
    while ((rc = sqlite_step(h, stmt, fault)) == SQLITE_ROW) {
        struct function *f;
        if (!s->functions)
            s->functions = arena_zero(&s->arena, (size_t)sqlite3_column_int(stmt, 5) * sizeof *f);
        f = &s->functions[s->functions_count++];
        f->name = keep(s, stmt, 0);
        f->returns = keep(s, stmt, 1);
        f->body = keep(s, stmt, 2);
        f->writes = sqlite3_column_int(stmt, 3);
        f->definer = sqlite3_column_int(stmt, 4);
        read_returns(f);
        map_put(&s->functions_by_name, f->name, f);
    }
    sqlite_reset(stmt);
    for (size_t i = 0; i < s->functions_count && rc == SQLITE_DONE; i++)
        if (!read_args(h, s, &s->functions[i], fault))
            return false;
    return rc == SQLITE_DONE;
}
