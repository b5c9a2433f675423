/* SPDX-License-Identifier: Apache-2.0 */
/* See changelog.h. */
#include "db/changelog.h"
#include "base/json.h"
#include "db/sqlite.h"
#include "wire/sqltranslate.h"
#include <stdio.h>

/* Any stored value as JSON. Numbers as the shortest text that reads back; blobs as PostgreSQL's
 * "\x..". %1$s is the value. */
static const char any_value[] =
    "CASE typeof(%1$s) WHEN 'blob' THEN '\"\\\\x'||lower(hex(%1$s))||'\"'"
    " WHEN 'real' THEN CASE WHEN abs(%1$s) > 1.7976931348623157e308 THEN"
    " iif(%1$s > 0,'\"Infinity\"','\"-Infinity\"')"
    " WHEN CAST(printf('%%.15g',%1$s) AS REAL) = %1$s THEN printf('%%.15g',%1$s)"
    " ELSE printf('%%!.17g',%1$s) END ELSE json_quote(%1$s) END";
static const char bool_value[] = "CASE WHEN typeof(%1$s) = 'integer' THEN iif(%1$s,'true','false')"
                                 " ELSE json_quote(CAST(%1$s AS TEXT)) END";
static const char json_value[] =
    "CASE WHEN typeof(%1$s) = 'blob' THEN '\"\\\\x'||lower(hex(%1$s))||'\"'"
    " WHEN %1$s IS NULL THEN 'null' WHEN json_valid(%1$s) THEN json(%1$s) ELSE json_quote(%1$s) "
    "END";
static const char text_value[] =
    "CASE typeof(%1$s) WHEN 'null' THEN 'null' WHEN 'blob' THEN '\"\\\\x'||lower(hex(%1$s))||'\"'"
    " ELSE json_quote(CAST(%1$s AS TEXT)) END";

static const char *format_of(enum type_kind kind)
{
    switch (kind) {
    case TYPE_BOOL:
        return bool_value;
    case TYPE_JSON:
    case TYPE_ARRAY:
        return json_value;
    case TYPE_TEXT:
    case TYPE_UUID:
    case TYPE_TIMESTAMPTZ:
    case TYPE_TIMESTAMP:
    case TYPE_DATE:
    case TYPE_TIME:
        return text_value;
    case TYPE_INT:
    case TYPE_REAL:
    case TYPE_NUMERIC:
    case TYPE_BYTES:
    case TYPE_ANY:
        return any_value;
    }
    return any_value;
}

/* Texts put together by ||: json_object takes at most 63 members. */
void changelog_row(const struct table *t, const char *row, struct buf *out)
{
    for (size_t i = 0; i < t->columns_count; i++) {
        const struct column *c = &t->columns[i];
        struct buf key = {0}, name = {0};
        buf_add_z(&key, i ? "," : "{");
        json_add_string(&key, c->name);
        buf_add_c(&key, ':');
        buf_add_z(out, i ? "||" : "");
        sqlite_literal(out, buf_str(&key));
        buf_printf(&name, "%s.", row);
        sqlite_quote(&name, c->name);
        buf_add_c(&name, 0);
        buf_add_z(out, "||(");
        buf_printf(out, format_of(c->type.kind), name.p);
        buf_add_c(out, ')');
        buf_free(&key);
        buf_free(&name);
    }
    buf_add_z(out, "||'}'");
}

static void trigger_name(const struct table *t, char op, struct buf *out)
{
    buf_printf(out, "tw_log_%c_%.*s", op, STR_ARG(t->name));
}

static void trigger_sql(const struct table *t, char op, struct buf *out)
{
    struct buf name = {0};
    const char *verb = op == 'I' ? "INSERT" : op == 'U' ? "UPDATE" : "DELETE";
    trigger_name(t, op, &name);
    buf_add_z(out, "CREATE TRIGGER ");
    sqlite_quote(out, buf_str(&name));
    buf_printf(out, " AFTER %s ON ", verb);
    sqlite_quote(out, t->name);
    buf_add_z(out, " BEGIN INSERT INTO tw_changes(at, \"table\", op, old, new) VALUES (");
    buf_add_z(out, sqltranslate_now);
    buf_add_z(out, ", ");
    sqlite_literal(out, t->name);
    buf_printf(out, ", '%c', ", op);
    if (op == 'I')
        buf_add_z(out, "NULL");
    else
        changelog_row(t, "old", out);
    buf_add_z(out, ", ");
    if (op == 'D')
        buf_add_z(out, "NULL");
    else
        changelog_row(t, "new", out);
    buf_add_z(out, "); END");
    buf_free(&name);
}

static bool is_wanted(const struct schema *s, struct str trigger, struct str sql)
{
    static const char ops[] = {'I', 'U', 'D'};
    bool wanted = false;
    for (size_t i = 0; i < s->tables_count && !wanted; i++) {
        for (size_t k = 0; k < 3 && s->tables[i].published && !wanted; k++) {
            struct buf name = {0}, text = {0};
            trigger_name(&s->tables[i], ops[k], &name);
            if (str_eq(buf_str(&name), trigger)) {
                trigger_sql(&s->tables[i], ops[k], &text);
                wanted = str_eq(buf_str(&text), sql);
            }
            buf_free(&name);
            buf_free(&text);
        }
    }
    return wanted;
}

/* One trigger that should not be as it is; false when there is none (or on a fault). */
static bool find_stale(struct sqlite *h, struct buf *name, struct fault *fault)
{
    sqlite3_stmt *stmt = sqlite_prepare(h,
                                        STR("SELECT name, sql FROM main.sqlite_schema WHERE type ="
                                            " 'trigger' AND name GLOB 'tw_log_[IUD]_*'"),
                                        fault);
    bool found = false;
    while (stmt && !found && sqlite_step(h, stmt, fault) == SQLITE_ROW) {
        struct str trigger = str_from((const char *)sqlite3_column_text(stmt, 0));
        struct str sql = str_from((const char *)sqlite3_column_text(stmt, 1));
        found = !is_wanted(h->schema, trigger, sql);
        if (found)
            buf_add_str(name, trigger);
    }
    if (stmt)
        sqlite_reset(stmt);
    return found;
}

static bool drop_stale(struct sqlite *h, struct fault *fault)
{
    bool ok = true;
    for (;;) {
        struct buf name = {0}, sql = {0};
        bool found = find_stale(h, &name, fault);
        if (found) {
            buf_add_z(&sql, "DROP TRIGGER main.");
            sqlite_quote(&sql, buf_str(&name));
            ok = sqlite_exec_made(h, &sql, fault);
        }
        buf_free(&name);
        buf_free(&sql);
        if (!found || !ok)
            return ok && !fault->code[0];
    }
}

static bool has_trigger(struct sqlite *h, struct str name)
{
    struct fault ignored;
    sqlite3_stmt *stmt = sqlite_prepare(
        h, STR("SELECT 1 FROM main.sqlite_schema WHERE type = 'trigger' AND name = ?1"), &ignored);
    bool has;
    if (!stmt)
        return false;
    sqlite3_bind_text(stmt, 1, name.p, (int)name.n, SQLITE_STATIC);
    has = sqlite3_step(stmt) == SQLITE_ROW;
    sqlite_reset(stmt);
    return has;
}

bool changelog_install(struct sqlite *h, struct fault *fault)
{
    static const char ops[] = {'I', 'U', 'D'};
    fault->code[0] = 0;
    if (!drop_stale(h, fault))
        return false;
    for (size_t i = 0; i < h->schema->tables_count; i++) {
        const struct table *t = &h->schema->tables[i];
        for (size_t k = 0; k < 3 && t->published && !t->view; k++) {
            struct buf name = {0}, sql = {0};
            bool ok = true;
            trigger_name(t, ops[k], &name);
            if (!has_trigger(h, buf_str(&name))) {
                trigger_sql(t, ops[k], &sql);
                ok = sqlite_exec_made(h, &sql, fault);
            }
            buf_free(&name);
            buf_free(&sql);
            if (!ok)
                return false;
        }
    }
    return true;
}

int64_t changelog_trim(struct sqlite *h, const char *age, int64_t rows_max, struct fault *fault)
{
    char sql[400];
    snprintf(
        sql, sizeof sql,
        "DELETE FROM main.tw_changes WHERE seq <= (SELECT max(seq) FROM main.tw_changes) - %lld"
        " OR at < strftime('%%Y-%%m-%%dT%%H:%%M:%%S','now','%s')",
        (long long)rows_max, age);
    if (!sqlite_exec(h, sql, fault))
        return -1;
    return sqlite3_changes64(h->db);
}
