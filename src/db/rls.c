/* SPDX-License-Identifier: Apache-2.0 */
/* See rls.h. */
#include "db/rls.h"
#include "base/check.h"
#include "base/log.h"
#include "base/mem.h"
#include "db/rowimage.h"
#include "db/sqlfunc.h"
#include "db/sqlite.h"
#include <stdio.h>

static struct str keep(struct schema *s, sqlite3_stmt *stmt, int column)
{
    const char *p = (const char *)sqlite3_column_text(stmt, column);
    return arena_dup(&s->arena,
                     str_of(p ? p : "", p ? (size_t)sqlite3_column_bytes(stmt, column) : 0));
}

static bool has_table(struct sqlite *h, const char *name)
{
    char sql[120];
    snprintf(sql, sizeof sql, "SELECT 1 FROM main.sqlite_schema WHERE name = '%s'", name);
    return sqlite_integer(h, sql, 0) == 1;
}

static enum policy_command command_of(struct str word)
{
    static const char *const words[] = {"all", "select", "insert", "update", "delete"};
    for (int i = POLICY_ALL; i <= POLICY_DELETE; i++)
        if (str_is(word, words[i]))
            return (enum policy_command)i;
    CHECK(!"the CHECK of tw_policies.command");
    return POLICY_ALL;
}

/* roles: "anon,authenticated", empty = public. */
static void read_roles(struct schema *s, struct policy_row *p, struct str roles)
{
    size_t most = 1;
    for (size_t i = 0; i < roles.n; i++)
        most += roles.p[i] == ',';
    p->roles = arena_zero(&s->arena, most * sizeof *p->roles);
    while (roles.n) {
        struct str role = str_cut(&roles, ',');
        if (str_is(role, "public")) {
            p->roles_count = 0;
            return;
        }
        p->roles[p->roles_count++] = role;
    }
}

static bool read_policies(struct sqlite *h, struct schema *s, struct fault *fault)
{
    sqlite3_stmt *stmt = sqlite_prepare(
        h,
        STR("SELECT \"table\", name, command, restrictive, roles, using_expr, check_expr"
            " FROM main.tw_policies ORDER BY \"table\", name DESC"),
        fault);
    int rc;
    if (!stmt)
        return false;
    while ((rc = sqlite_step(h, stmt, fault)) == SQLITE_ROW) {
        struct table *t = schema_table(s, keep(s, stmt, 0));
        struct policy_row *p;
        if (!t)
            continue;
        p = arena_zero(&s->arena, sizeof *p);
        p->name = keep(s, stmt, 1);
        p->command = command_of(keep(s, stmt, 2));
        p->restrictive = sqlite3_column_int(stmt, 3);
        read_roles(s, p, keep(s, stmt, 4));
        p->using_expr = keep(s, stmt, 5);
        p->check_expr = keep(s, stmt, 6);
        p->next = t->policies;
        t->policies = p;
    }
    sqlite_reset(stmt);
    return rc == SQLITE_DONE;
}

static bool read_flags(struct sqlite *h, struct schema *s, struct fault *fault)
{
    sqlite3_stmt *stmt = sqlite_prepare(
        h, STR("SELECT name, rls, published, full_identity FROM main.tw_tables"), fault);
    int rc;
    if (!stmt)
        return false;
    while ((rc = sqlite_step(h, stmt, fault)) == SQLITE_ROW) {
        struct table *t = schema_table(s, keep(s, stmt, 0));
        if (!t)
            continue;
        t->rls = sqlite3_column_int(stmt, 1);
        t->published = sqlite3_column_int(stmt, 2);
        t->full_identity = sqlite3_column_int(stmt, 3);
    }
    sqlite_reset(stmt);
    return rc == SQLITE_DONE;
}

bool rls_read(struct sqlite *h, struct schema *s, struct fault *fault)
{
    if (!has_table(h, "tw_policies")) /* a file that no migration has prepared */
        return true;
    return read_flags(h, s, fault) && read_policies(h, s, fault);
}

bool rls_applies(const struct table *t, const struct identity *id)
{
    return t->rls && !(id && id->service);
}

/* Expression of a policy for one part of one command, or empty. */
static struct str expression_of(const struct policy_row *p, enum rls_part part)
{
    if (part == RLS_CHECK && p->check_expr.n)
        return p->check_expr;
    return p->using_expr;
}

static bool add_policies(const struct table *t, enum policy_command command, enum rls_part part,
                         bool restrictive, struct buf *out)
{
    bool any = false;
    for (const struct policy_row *p = t->policies; p; p = p->next) {
        struct str expr = expression_of(p, part);
        if (p->restrictive != restrictive || !expr.n ||
            (p->command != command && p->command != POLICY_ALL))
            continue;
        buf_add_z(out, any ? (restrictive ? " AND (" : " OR (") : "(");
        any = true;
        /* A restrictive policy binds only its roles: for others it holds. */
        for (size_t i = 0; i < p->roles_count; i++) {
            buf_add_z(out, i ? " OR auth_is(" : (restrictive ? "NOT (auth_is(" : "(auth_is("));
            sqlite_literal(out, p->roles[i]);
            buf_add_c(out, ')');
        }
        if (p->roles_count)
            buf_add_z(out, restrictive ? ") OR " : ") AND ");
        buf_add_c(out, '(');
        buf_add_str(out, expr);
        buf_add_z(out, "))");
    }
    return any;
}

void rls_condition(const struct table *t, enum policy_command command, enum rls_part part,
                   struct buf *out)
{
    struct buf permissive = {0}, restrictive = {0};
    bool any = add_policies(t, command, part, false, &permissive);
    bool more = add_policies(t, command, part, true, &restrictive);
    buf_add_c(out, '(');
    if (!any)
        buf_add_c(out, '0');
    else if (!more)
        buf_add_buf(out, &permissive);
    else {
        buf_add_c(out, '(');
        buf_add_buf(out, &permissive);
        buf_add_z(out, ") AND ");
        buf_add_buf(out, &restrictive);
    }
    buf_add_c(out, ')');
    out->failed |= permissive.failed | restrictive.failed;
    buf_free(&permissive);
    buf_free(&restrictive);
}

void rls_source(const struct table *t, const struct identity *id, struct buf *out)
{
    buf_add_z(out, rls_applies(t, id) ? "temp." : "main.");
    sqlite_quote(out, t->name);
}

bool rls_uninstall(struct sqlite *h, struct fault *fault)
{
    for (;;) {
        struct buf b = {0};
        sqlite3_stmt *stmt = sqlite_prepare(
            h, STR("SELECT name, type FROM temp.sqlite_schema WHERE type = 'view' LIMIT 1"), fault);
        bool ok;
        if (!stmt)
            return false;
        if (sqlite_step(h, stmt, fault) != SQLITE_ROW) {
            sqlite_reset(stmt);
            return true;
        }
        buf_add_z(&b, "DROP VIEW temp.");
        sqlite_quote(&b, str_from((const char *)sqlite3_column_text(stmt, 0)));
        sqlite_reset(stmt);
        ok = sqlite_exec_made(h, &b, fault);
        buf_free(&b);
        if (!ok)
            return false;
    }
}

static bool install_view(struct sqlite *h, const struct table *t, struct str condition,
                         struct fault *fault)
{
    struct buf b = {0};
    bool ok;
    buf_add_z(&b, "CREATE TEMP VIEW ");
    sqlite_quote(&b, t->name);
    buf_add_z(&b, " AS SELECT * FROM main.");
    sqlite_quote(&b, t->name);
    buf_add_z(&b, " WHERE ");
    buf_add_str(&b, condition);
    ok = sqlite_exec_made(h, &b, fault);
    buf_free(&b);
    return ok;
}

/* A condition that is no SQL (nobody checked it) hides its table and nothing else. */
static bool install_views(struct sqlite *h, struct fault *fault)
{
    for (size_t i = 0; i < h->schema->tables_count; i++) {
        const struct table *t = &h->schema->tables[i];
        struct buf b = {0};
        bool ok;
        if (!t->rls)
            continue;
        rls_condition(t, POLICY_SELECT, RLS_USING, &b);
        ok = install_view(h, t, buf_str(&b), fault);
        buf_free(&b);
        if (ok)
            continue;
        log_error("db", "bad_policy", "table=%.*s text=%s", STR_ARG(t->name), fault->message);
        if (!install_view(h, t, STR("0"), fault))
            return false;
    }
    return true;
}

/* For rows that are in no table: what the feed judges, and private channels. */
static bool install_images(struct sqlite *h, struct fault *fault)
{
    for (size_t i = 0; i < h->schema->tables_count; i++) {
        const struct table *t = &h->schema->tables[i];
        bool topics = str_is(t->name, "realtime_messages");
        if (((t->published && h->images) || topics) && !rowimage_ensure(h, t, fault))
            return false;
    }
    return true;
}

bool rls_install(struct sqlite *h, struct fault *fault)
{
    bool ok = sqlite_exec(h, "PRAGMA query_only=OFF", fault) && rls_uninstall(h, fault) &&
              sqlfunc_register(h, fault) && install_views(h, fault) && install_images(h, fault);
    if (!h->writer)
        ok = sqlite_exec(h, "PRAGMA query_only=ON", fault) && ok;
    return ok;
}

static int only_reads(void *arg, int action, const char *a, const char *b, const char *db,
                      const char *inner)
{
    (void)arg, (void)db, (void)inner;
    switch (action) {
    case SQLITE_SELECT:
    case SQLITE_RECURSIVE:
        return SQLITE_OK;
    case SQLITE_READ: /* a: table */
        return a && (strncmp(a, "tw_", 3) == 0 || strncmp(a, "sqlite_", 7) == 0 ||
                     strncmp(a, "pragma_", 7) == 0)
                   ? SQLITE_DENY
                   : SQLITE_OK;
    case SQLITE_FUNCTION: /* b: function */
        return b && strcmp(b, "load_extension") == 0 ? SQLITE_DENY : SQLITE_OK;
    default:
        return SQLITE_DENY;
    }
}

bool rls_check_expression(struct sqlite *h, struct str table, struct str expression,
                          struct fault *fault)
{
    struct buf b = {0};
    sqlite3_stmt *stmt = NULL;
    const char *tail = NULL;
    int rc;
    buf_add_z(&b, "SELECT (");
    buf_add_str(&b, expression);
    buf_add_z(&b, ") FROM main.");
    sqlite_quote(&b, table);
    buf_add_c(&b, 0);
    sqlite3_set_authorizer(h->db, only_reads, NULL);
    rc = b.failed ? SQLITE_NOMEM : sqlite3_prepare_v2(h->db, b.p, -1, &stmt, &tail);
    sqlite3_set_authorizer(h->db, NULL, NULL);
    if (rc != SQLITE_OK)
        sqlite_fault(h, rc, fault);
    else if ((tail && *tail) || !sqlite3_stmt_readonly(stmt) || sqlite3_column_count(stmt) != 1) {
        rc = SQLITE_ERROR;
        fault_set(fault, "42601", "a policy is one expression");
    }
    sqlite3_finalize(stmt);
    buf_free(&b);
    return rc == SQLITE_OK;
}
