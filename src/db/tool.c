/* SPDX-License-Identifier: Apache-2.0 */
/* What the command line does with the file itself: no loops, no lanes. */
#include "db/db.h"
#include "db/migrate.h"
#include "db/sqlite.h"
#include <stdio.h>

static struct sqlite *open_file(const char *path, bool create, struct buf *out)
{
    struct sqlite_options o = {.writer = create};
    struct fault fault = {0};
    struct sqlite *h = sqlite_open(path, &o, &fault);
    if (!h)
        buf_printf(out, "%s: %s\n", path, fault.message);
    return h;
}

static int end(struct sqlite *h, bool ok, const struct fault *fault, struct buf *out)
{
    if (!ok)
        buf_printf(out, "%s: %s%s%s%s\n", fault->code, fault->message,
                   fault->details[0] ? " (" : "", fault->details, fault->details[0] ? ")" : "");
    sqlite_close(&h);
    return ok ? 0 : 1;
}

int db_tool_migrate(const char *path, const char *folder, struct buf *out)
{
    struct sqlite *h = open_file(path, true, out);
    struct fault fault = {0};
    int count = 0;
    bool ok;
    if (!h)
        return 1;
    ok = migrate_prepare(h, &fault) && migrate_folder(h, folder, &count, &fault);
    if (ok)
        buf_printf(out, "%d applied\n", count);
    return end(h, ok, &fault, out);
}

/* SQLite's own backup: a consistent copy while the server writes. */
int db_tool_backup(const char *path, const char *to, struct buf *out)
{
    struct sqlite *from = open_file(path, false, out);
    sqlite3 *target = NULL;
    sqlite3_backup *b = NULL;
    struct fault fault = {0};
    int rc;
    if (!from)
        return 1;
    rc = sqlite3_open_v2(to, &target, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL);
    if (rc == SQLITE_OK)
        b = sqlite3_backup_init(target, "main", from->db, "main");
    rc = b ? sqlite3_backup_step(b, -1) : sqlite3_errcode(target);
    if (b)
        sqlite3_backup_finish(b);
    if (rc != SQLITE_DONE)
        fault_set(&fault, "58030", "backup to %s failed: %s", to, sqlite3_errstr(rc));
    else
        buf_printf(out, "%s\n", to);
    sqlite3_close(target);
    return end(from, rc == SQLITE_DONE, &fault, out);
}

static void put_policy(sqlite3_stmt *stmt, struct buf *out)
{
    static const char *const roles = "public";
    const char *named = (const char *)sqlite3_column_text(stmt, 6);
    buf_printf(out, "  %s: %s for %s to %s", (const char *)sqlite3_column_text(stmt, 3),
               sqlite3_column_int(stmt, 5) ? "restrictive" : "permissive",
               (const char *)sqlite3_column_text(stmt, 4), named && named[0] ? named : roles);
    if (sqlite3_column_bytes(stmt, 7))
        buf_printf(out, " using (%s)", (const char *)sqlite3_column_text(stmt, 7));
    if (sqlite3_column_bytes(stmt, 8))
        buf_printf(out, " with check (%s)", (const char *)sqlite3_column_text(stmt, 8));
    buf_add_c(out, '\n');
}

int db_tool_policies(const char *path, struct buf *out)
{
    struct sqlite *h = open_file(path, false, out);
    struct fault fault = {0};
    sqlite3_stmt *stmt;
    int rc = SQLITE_ERROR;
    char last[300] = "";
    if (!h)
        return 1;
    stmt = sqlite_prepare(
        h,
        STR("SELECT t.name, t.rls, t.published, p.name, p.command, p.restrictive, p.roles,"
            " p.using_expr, p.check_expr FROM tw_tables t LEFT JOIN tw_policies p ON p.\"table\" ="
            " t.name ORDER BY 1, 4"),
        &fault);
    while (stmt && (rc = sqlite_step(h, stmt, &fault)) == SQLITE_ROW) {
        const char *table = (const char *)sqlite3_column_text(stmt, 0);
        if (strcmp(table, last) != 0)
            buf_printf(out, "%s: row level security %s%s\n", table,
                       sqlite3_column_int(stmt, 1) ? "on" : "off",
                       sqlite3_column_int(stmt, 2) ? ", published" : "");
        snprintf(last, sizeof last, "%s", table);
        if (sqlite3_column_type(stmt, 3) != SQLITE_NULL)
            put_policy(stmt, out);
    }
    if (stmt)
        sqlite_reset(stmt);
    return end(h, rc == SQLITE_DONE, &fault, out);
}
