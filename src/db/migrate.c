/* SPDX-License-Identifier: Apache-2.0 */
/* See migrate.h. */
#include "db/migrate.h"
#include "base/digest.h"
#include "base/log.h"
#include "base/mem.h"
#include "db/base_sql.h"
#include "db/changelog.h"
#include "db/rls.h"
#include "db/sqlfunc.h"
#include "db/sqlite.h"
#include "wire/sqlstatement.h"
#include "wire/sqltranslate.h"
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum { FILE_BYTES_MAX = 16 << 20, FILES_MAX = 10000 };

static bool run(struct sqlite *h, const char *sql, const struct str *values, size_t count,
                struct fault *fault)
{
    sqlite3_stmt *stmt = sqlite_prepare(h, str_from(sql), fault);
    int rc;
    if (!stmt)
        return false;
    for (size_t i = 0; i < count; i++)
        sqlite3_bind_text64(stmt, (int)i + 1, values[i].p ? values[i].p : "", values[i].n,
                            SQLITE_STATIC, SQLITE_UTF8);
    while ((rc = sqlite_step(h, stmt, fault)) == SQLITE_ROW)
        ;
    sqlite_reset(stmt);
    return rc == SQLITE_DONE;
}

static bool needs_table(struct sqlite *h, struct str name, struct fault *fault)
{
    sqlite3_stmt *stmt = sqlite_prepare(
        h, STR("SELECT 1 FROM main.sqlite_schema WHERE type = 'table' AND name = ?1"), fault);
    bool has;
    if (!stmt)
        return false;
    sqlite3_bind_text(stmt, 1, name.p, (int)name.n, SQLITE_STATIC);
    has = sqlite3_step(stmt) == SQLITE_ROW;
    sqlite_reset(stmt);
    return has ? true
               : fault_set(fault, "42P01", "relation \"%.*s\" does not exist", STR_ARG(name));
}

static struct str text(const struct buf *b)
{
    return buf_str(b);
}

static bool create_policy(struct sqlite *h, const struct sqlstatement *s, struct fault *fault)
{
    struct str values[] = {text(&s->table),      text(&s->name),
                           str_from(s->command), s->restrictive ? STR("1") : STR("0"),
                           text(&s->roles),      text(&s->using_expr),
                           text(&s->check_expr)};
    if (!needs_table(h, values[0], fault))
        return false;
    if (run(h,
            "INSERT INTO main.tw_policies(\"table\", name, command, restrictive, roles, using_expr,"
            " check_expr) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            values, 7, fault))
        return true;
    if (strcmp(fault->code, "23505") == 0)
        fault_set(fault, "42710", "policy \"%.*s\" for table \"%.*s\" already exists",
                  STR_ARG(values[1]), STR_ARG(values[0]));
    return false;
}

static bool drop_policy(struct sqlite *h, const struct sqlstatement *s, struct fault *fault)
{
    struct str values[] = {text(&s->table), text(&s->name)};
    if (!run(h, "DELETE FROM main.tw_policies WHERE \"table\" = ?1 AND name = ?2", values, 2,
             fault))
        return false;
    if (sqlite3_changes(h->db) || s->if_exists)
        return true;
    return fault_set(fault, "42704", "policy \"%.*s\" for table \"%.*s\" does not exist",
                     STR_ARG(values[1]), STR_ARG(values[0]));
}

static bool set_flag(struct sqlite *h, const char *flag, struct str table, bool on,
                     struct fault *fault)
{
    char sql[200];
    struct str values[] = {table, on ? STR("1") : STR("0")};
    snprintf(sql, sizeof sql,
             "INSERT INTO main.tw_tables(name, %s) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET"
             " %s = excluded.%s",
             flag, flag, flag);
    return needs_table(h, table, fault) && run(h, sql, values, 2, fault);
}

static bool publish(struct sqlite *h, const struct sqlstatement *s, struct fault *fault)
{
    struct str rest = text(&s->names);
    if (!rest.n)
        return run(h,
                   "INSERT INTO main.tw_tables(name, published) SELECT name, 1 FROM"
                   " main.sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%' AND name"
                   " NOT LIKE 'tw\\_%' ESCAPE '\\' AND name <> 'realtime_messages'"
                   " ON CONFLICT (name) DO UPDATE SET published = 1",
                   NULL, 0, fault);
    while (rest.n)
        if (!set_flag(h, "published", str_cut(&rest, '\n'), s->on, fault))
            return false;
    return true;
}

/* An argument that has a column's name would mean the column in PostgreSQL and the argument here:
 * refused, rather than guessed. */
static bool check_arguments(struct sqlite *h, const struct sqlstatement *s, struct fault *fault)
{
    struct str rest = text(&s->names);
    while (rest.n) {
        struct str name = str_cut(&rest, '\n');
        for (size_t i = 0; i < h->schema->tables_count; i++) {
            const struct table *t = &h->schema->tables[i];
            if (!t->internal && schema_column(t, name) &&
                str_find_str(text(&s->body), t->name) >= 0)
                return fault_set(fault, "42702",
                                 "argument \"%.*s\" has the name of a column of \"%.*s\": give it "
                                 "another name",
                                 STR_ARG(name), STR_ARG(t->name));
        }
    }
    return true;
}

static bool create_function(struct sqlite *h, const struct sqlstatement *s, struct fault *fault)
{
    struct str values[] = {text(&s->name),
                           text(&s->args),
                           text(&s->returns),
                           text(&s->body),
                           s->writes ? STR("1") : STR("0"),
                           s->definer ? STR("1") : STR("0")};
    if (!schema_load(h, fault) || !check_arguments(h, s, fault))
        return false;
    return run(h,
               s->if_exists
                   ? "INSERT OR REPLACE INTO main.tw_functions(name, args, returns, body, writes,"
                     " definer) VALUES (?1, ?2, ?3, ?4, ?5, ?6)"
                   : "INSERT INTO main.tw_functions(name, args, returns, body, writes, definer)"
                     " VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
               values, 6, fault);
}

static bool drop_function(struct sqlite *h, const struct sqlstatement *s, struct fault *fault)
{
    struct str name = text(&s->name);
    if (!run(h, "DELETE FROM main.tw_functions WHERE name = ?1", &name, 1, fault))
        return false;
    if (sqlite3_changes(h->db) || s->if_exists)
        return true;
    return fault_set(fault, "42883", "function %.*s does not exist", STR_ARG(name));
}

/* alter table A rename to B: what we know about A is about B from now on. */
static bool follow_rename(struct sqlite *h, struct str statement, struct fault *fault)
{
    struct sqltext s = {statement};
    struct buf from = {0}, to = {0};
    struct sqltext_token t;
    bool ok = true;
    if (!sqltext_take_words(&s, "alter table"))
        return true;
    t = sqltext_next(&s);
    sqltext_name(&t, &from);
    if (sqltext_take_words(&s, "rename to")) {
        struct str values[2];
        t = sqltext_next(&s);
        sqltext_name(&t, &to);
        values[0] = text(&from);
        values[1] = text(&to);
        ok = run(h, "UPDATE main.tw_tables SET name = ?2 WHERE name = ?1", values, 2, fault) &&
             run(h, "UPDATE main.tw_policies SET \"table\" = ?2 WHERE \"table\" = ?1", values, 2,
                 fault);
    }
    buf_free(&from);
    buf_free(&to);
    return ok;
}

static int no_own_tables(void *arg, int action, const char *a, const char *b, const char *db,
                         const char *inner)
{
    (void)arg, (void)b, (void)db;
    if (action == SQLITE_ATTACH || action == SQLITE_DETACH)
        return SQLITE_DENY;
    if (inner == NULL && a && strncmp(a, "tw_", 3) == 0 &&
        (action == SQLITE_INSERT || action == SQLITE_UPDATE || action == SQLITE_DELETE ||
         action == SQLITE_DROP_TABLE || action == SQLITE_ALTER_TABLE))
        return SQLITE_DENY;
    return SQLITE_OK;
}

static bool for_sqlite(struct sqlite *h, struct str statement, struct fault *fault)
{
    struct buf sql = {0};
    bool ok;
    sqltranslate_statement(statement, &sql);
    buf_add_c(&sql, 0);
    sqlite3_set_authorizer(h->db, no_own_tables, NULL);
    ok = sql.failed ? fault_set(fault, "53200", "out of memory") : sqlite_exec(h, sql.p, fault);
    sqlite3_set_authorizer(h->db, NULL, NULL);
    if (ok)
        ok = follow_rename(h, str_of(sql.p, sql.n - 1), fault);
    buf_free(&sql);
    return ok;
}

static bool run_statement(struct sqlite *h, struct str statement, struct fault *fault)
{
    struct sqlstatement s;
    bool ok = true;
    sqlstatement_parse(&s, statement);
    switch (s.kind) {
    case SQLSTATEMENT_OTHER:
        ok = for_sqlite(h, statement, fault);
        break;
    case SQLSTATEMENT_IGNORED:
        log_info("db", "migrate_ignored", "statement=%.*s", STR_ARG(str_head(statement, 60)));
        break;
    case SQLSTATEMENT_CREATE_POLICY:
        ok = create_policy(h, &s, fault);
        break;
    case SQLSTATEMENT_DROP_POLICY:
        ok = drop_policy(h, &s, fault);
        break;
    case SQLSTATEMENT_RLS:
        ok = set_flag(h, "rls", text(&s.table), s.on, fault);
        break;
    case SQLSTATEMENT_IDENTITY:
        ok = set_flag(h, "full_identity", text(&s.table), s.on, fault);
        break;
    case SQLSTATEMENT_PUBLISH:
        ok = publish(h, &s, fault);
        break;
    case SQLSTATEMENT_CREATE_FUNCTION:
        ok = create_function(h, &s, fault);
        break;
    case SQLSTATEMENT_DROP_FUNCTION:
        ok = drop_function(h, &s, fault);
        break;
    case SQLSTATEMENT_BAD:
        ok = fault_set(fault, "42601", "syntax error: %s", s.why);
        break;
    }
    sqlstatement_free(&s);
    return ok;
}

static size_t line_of(struct str all, const char *at)
{
    size_t line = 1;
    for (const char *p = all.p; p < at; p++)
        line += *p == '\n';
    return line;
}

static bool run_all(struct sqlite *h, const char *name, struct str sql, struct fault *fault)
{
    struct str rest = sql, statement;
    bool bad = false;
    while (sqltext_statement(&rest, &statement, &bad)) {
        if (!run_statement(h, statement, fault)) {
            fault_details(fault, "%s, line %zu", name, line_of(sql, statement.p));
            return false;
        }
    }
    if (bad) {
        fault_set(fault, "42601", "a string, name or comment does not end");
        fault_details(fault, "%s, after line %zu", name, line_of(sql, rest.p));
    }
    return !bad;
}

static bool check_policy(struct sqlite *h, const struct table *t, const struct policy_row *p,
                         struct fault *fault)
{
    if ((!p->using_expr.n || rls_check_expression(h, t->name, p->using_expr, fault)) &&
        (!p->check_expr.n || rls_check_expression(h, t->name, p->check_expr, fault)))
        return true;
    fault_details(fault, "policy \"%.*s\" on \"%.*s\"", STR_ARG(p->name), STR_ARG(t->name));
    return false;
}

/* Everything must fit together at the end of a file. */
static bool settle(struct sqlite *h, struct fault *fault)
{
    if (!run(h,
             "DELETE FROM main.tw_tables WHERE name NOT IN (SELECT name FROM main.sqlite_schema)",
             NULL, 0, fault) ||
        !run(h,
             "DELETE FROM main.tw_policies WHERE \"table\" NOT IN (SELECT name FROM"
             " main.sqlite_schema)",
             NULL, 0, fault) ||
        !schema_load(h, fault) || !sqlfunc_register(h, fault))
        return false;
    for (size_t i = 0; i < h->schema->tables_count; i++)
        for (const struct policy_row *p = h->schema->tables[i].policies; p; p = p->next)
            if (!check_policy(h, &h->schema->tables[i], p, fault))
                return false;
    return changelog_install(h, fault);
}

/* The schema that was loaded here has no views: nobody may take it for the real one. */
static bool end(struct sqlite *h, bool ok, struct fault *fault)
{
    struct fault ignored;
    if (ok)
        ok = sqlite_exec(h, "COMMIT", fault);
    if (!ok)
        sqlite_exec(h, "ROLLBACK", &ignored);
    schema_free(&h->schema);
    sqlite_forget_statements(h);
    return ok;
}

bool migrate_prepare(struct sqlite *h, struct fault *fault)
{
    if (!rls_uninstall(h, fault) || !sqlite_exec(h, "BEGIN IMMEDIATE", fault))
        return false;
    return end(h, sqlite_exec(h, base_sql, fault) && settle(h, fault), fault);
}

static void hex_digest(struct str sql, char out[65])
{
    uint8_t digest[32];
    digest_sha256(sql, digest);
    for (int i = 0; i < 32; i++)
        snprintf(out + 2 * i, 3, "%02x", digest[i]);
}

/* 1 applied as it is, 0 not yet, -1 fault. Another text under the same name is only warned of. */
static int was_applied(struct sqlite *h, const char *name, const char *digest, struct fault *fault)
{
    sqlite3_stmt *stmt =
        sqlite_prepare(h, STR("SELECT digest FROM main.tw_migrations WHERE name = ?1"), fault);
    int answer = 0;
    if (!stmt)
        return -1;
    sqlite3_bind_text(stmt, 1, name, -1, SQLITE_STATIC);
    if (sqlite3_step(stmt) == SQLITE_ROW) {
        answer = 1;
        if (strcmp((const char *)sqlite3_column_text(stmt, 0), digest) != 0)
            log_warn("db", "migration_changed", "file=%s hint=%s", name,
                     "it was applied before and is not run again");
    }
    sqlite_reset(stmt);
    return answer;
}

bool migrate_apply(struct sqlite *h, const char *name, struct str sql, bool *applied,
                   struct fault *fault)
{
    char digest[65];
    int before;
    struct str values[] = {str_from(name), STR_NONE};
    *applied = false;
    hex_digest(sql, digest);
    before = was_applied(h, name, digest, fault);
    if (before)
        return before > 0;
    values[1] = str_from(digest);
    if (!rls_uninstall(h, fault) || !sqlite_exec(h, "BEGIN IMMEDIATE", fault))
        return false;
    *applied = end(h,
                   run_all(h, name, sql, fault) && settle(h, fault) &&
                       run(h,
                           "INSERT INTO main.tw_migrations(name, digest, applied) VALUES (?1, ?2,"
                           " strftime('%Y-%m-%dT%H:%M:%SZ','now'))",
                           values, 2, fault),
                   fault);
    if (*applied)
        log_info("db", "migrated", "file=%s", name);
    return *applied;
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool read_file(const char *path, struct buf *out, struct fault *fault)
{
    FILE *f = fopen(path, "rb");
    char piece[8192];
    size_t n;
    out->max = FILE_BYTES_MAX;
    if (!f)
        return fault_set(fault, "58P01", "cannot read %s: %s", path, strerror(errno));
    while ((n = fread(piece, 1, sizeof piece, f)) > 0)
        buf_add(out, piece, n);
    fclose(f);
    return out->failed ? fault_set(fault, "54000", "%s is too large", path) : true;
}

static bool apply_file(struct sqlite *h, const char *folder, const char *name, int *count,
                       struct fault *fault)
{
    char path[4096];
    struct buf sql = {0};
    bool applied = false, ok;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    ok = read_file(path, &sql, fault) && migrate_apply(h, name, buf_str(&sql), &applied, fault);
    *count += applied;
    buf_free(&sql);
    return ok;
}

bool migrate_folder(struct sqlite *h, const char *folder, int *count, struct fault *fault)
{
    DIR *dir = opendir(folder);
    struct dirent *entry;
    char **names = NULL;
    size_t n = 0, capacity = 0;
    bool ok = true;
    *count = 0;
    if (!dir)
        return fault_set(fault, "58P01", "cannot open %s: %s", folder, strerror(errno));
    while ((entry = readdir(dir)) && n < FILES_MAX) {
        if (!str_ends(str_from(entry->d_name), STR(".sql")) || entry->d_name[0] == '.')
            continue;
        names = mem_grow(names, &capacity, n + 1, sizeof *names);
        names[n++] = str_dup(str_from(entry->d_name));
    }
    closedir(dir);
    if (n)
        qsort(names, n, sizeof *names, by_name);
    for (size_t i = 0; i < n; i++) {
        ok = ok && apply_file(h, folder, names[i], count, fault);
        mem_free(names[i]);
    }
    mem_free(names);
    return ok;
}
