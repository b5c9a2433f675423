/* SPDX-License-Identifier: Apache-2.0 */
/* See sqlite.h. Time limits are counted in virtual machine steps, not in seconds: the same
 * statement is refused on every machine alike. */
#include "db/sqlite.h"
#include "base/check.h"
#include "base/log.h"
#include "base/mem.h"
#include "db/functions.h"
#include "db/rowimage.h"
#include "db/schema.h"
#include <stdio.h>

enum { STATEMENTS_MAX = 300, STEPS_EACH = 1000 };

struct statement {
    struct list link;
    char *sql;
    size_t n;
    sqlite3_stmt *stmt;
};

static const struct {
    int rc;
    const char *code;
    const char *message;
} plain[] = {
    {SQLITE_BUSY, "55P03", "the database is locked by another process"},
    {SQLITE_LOCKED, "55P03", "the table is locked"},
    {SQLITE_NOMEM, "53200", "out of memory"},
    {SQLITE_READONLY, "25006", "cannot execute in a read-only transaction"},
    {SQLITE_INTERRUPT, "57014", "canceling statement: it takes too many steps"},
    {SQLITE_IOERR, "58030", "could not read or write the database file"},
    {SQLITE_CORRUPT, "XX001", "the database file is damaged"},
    {SQLITE_NOTADB, "XX001", "the file is not a database"},
    {SQLITE_FULL, "53100", "no space left to store: disk full"},
    {SQLITE_CANTOPEN, "58P01", "could not open the database file"},
    {SQLITE_TOOBIG, "54000", "value or statement too large"},
    {SQLITE_AUTH, "42501", "not authorized"},
    {SQLITE_MISMATCH, "22P02", "datatype mismatch"},
};

/* "UNIQUE constraint failed: t.a, t.b" -> table t and "a, b". */
static void table_and_columns(const char *text, char *table, size_t table_size, char *columns,
                              size_t columns_size)
{
    const char *colon = strstr(text, "failed: ");
    const char *at = colon ? colon + 8 : "";
    size_t n = 0;
    table[0] = columns[0] = 0;
    while (*at) {
        const char *end = strstr(at, ", "), *stop = end ? end : at + strlen(at);
        const char *dot = memchr(at, '.', (size_t)(stop - at));
        if (dot && !table[0])
            snprintf(table, table_size, "%.*s", (int)(dot - at), at);
        at = dot ? dot + 1 : at;
        n += (size_t)snprintf(columns + n, columns_size - n, "%s%.*s", n ? ", " : "",
                              (int)(stop - at), at);
        if (n >= columns_size || !end)
            break;
        at = end + 2;
    }
}

static void unique_fault(struct sqlite *h, const char *text, struct fault *fault)
{
    char table[128], columns[256], name[400];
    table_and_columns(text, table, sizeof table, columns, sizeof columns);
    schema_constraint_name(h->schema, str_from(table), str_from(columns), name, sizeof name);
    fault_set(fault, "23505", "duplicate key value violates unique constraint \"%s\"", name);
    if (columns[0])
        fault_details(fault, "Key (%s) already exists.", columns);
}

static void constraint_fault(struct sqlite *h, int rc, const char *text, struct fault *fault)
{
    char table[128], columns[256];
    const char *what = strstr(text, "failed: ");
    table_and_columns(text, table, sizeof table, columns, sizeof columns);
    switch (rc) {
    case SQLITE_CONSTRAINT_UNIQUE:
    case SQLITE_CONSTRAINT_PRIMARYKEY:
    case SQLITE_CONSTRAINT_ROWID:
        unique_fault(h, text, fault);
        break;
    case SQLITE_CONSTRAINT_NOTNULL:
        fault_set(fault, "23502",
                  "null value in column \"%s\" of relation \"%s\" violates not-null constraint",
                  columns, table);
        break;
    case SQLITE_CONSTRAINT_CHECK:
        fault_set(fault, "23514", "new row violates check constraint \"%s\"",
                  what ? what + 8 : text);
        break;
    case SQLITE_CONSTRAINT_FOREIGNKEY:
        fault_set(fault, "23503", "insert, update or delete violates a foreign key constraint");
        break;
    case SQLITE_CONSTRAINT_TRIGGER:
        fault_set(fault, "P0001", "%s", text);
        break;
    default:
        fault_set(fault, "23000", "%s", text);
    }
}

static void error_fault(const char *text, struct fault *fault)
{
    static const struct {
        const char *piece, *code;
    } words[] = {
        {"invalid regular expression", "2201B"},
        {"circularly defined", "42P17"},
        {"no such column", "42703"},
        {"no such table", "42P01"},
        {"no such function", "42883"},
        {"wrong number of arguments", "42883"},
        {"malformed JSON", "22P02"},
        {"JSON path error", "22P02"},
        {"cannot modify", "42501"},
        {"ambiguous column", "42702"},
        {"string or blob too big", "54000"},
        {"parser stack overflow", "54001"},
        {"not authorized", "42501"},
        {"prohibited", "42501"},
        {"integer overflow", "22003"},
        {"syntax error", "42601"},
        {"unrecognized token", "42601"},
        {"incomplete input", "42601"},
        {"already exists", "42P07"},
    };
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (!strstr(text, words[i].piece))
            continue;
        if (strcmp(words[i].code, "42P17") == 0)
            fault_set(fault, "42P17", "infinite recursion detected in policy for relation (%s)",
                      text);
        else
            fault_set(fault, words[i].code, "%s", text);
        return;
    }
    fault_set(fault, "XX000", "%s", text);
}

bool sqlite_fault(struct sqlite *h, int rc, struct fault *fault)
{
    const char *text = h && h->db ? sqlite3_errmsg(h->db) : sqlite3_errstr(rc);
    int primary = rc & 0xFF;
    if (primary == SQLITE_CONSTRAINT) {
        constraint_fault(h, h && h->db ? sqlite3_extended_errcode(h->db) : rc, text, fault);
        return false;
    }
    for (size_t i = 0; i < sizeof plain / sizeof plain[0]; i++) {
        if (plain[i].rc != primary)
            continue;
        if (strcmp(plain[i].code, "XX001") == 0 || primary == SQLITE_IOERR ||
            primary == SQLITE_FULL)
            log_error("db", "storage", "code=%d text=%s", rc, text);
        return fault_set(fault, plain[i].code, "%s", plain[i].message);
    }
    error_fault(text, fault);
    return false;
}

static int on_progress(void *arg)
{
    struct sqlite *h = arg;
    return --h->steps_left < 0;
}

void sqlite_begin(struct sqlite *h, const struct identity *id)
{
    h->identity = id;
    h->steps_left = h->steps_max;
}

void sqlite_end(struct sqlite *h)
{
    h->identity = NULL;
    h->topic = h->extension = STR_NONE;
    h->steps_left = INT64_MAX / 2;
}

bool sqlite_exec(struct sqlite *h, const char *sql, struct fault *fault)
{
    int rc = sqlite3_exec(h->db, sql, NULL, NULL, NULL);
    return rc == SQLITE_OK ? true : sqlite_fault(h, rc, fault);
}

static bool setup(struct sqlite *h, const struct sqlite_options *o, struct fault *fault)
{
    char sql[200];
    sqlite3_extended_result_codes(h->db, 1);
    sqlite3_busy_timeout(h->db, o->busy_ms ? o->busy_ms : 5000);
    sqlite3_db_config(h->db, SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 0, NULL);
    sqlite3_db_config(h->db, SQLITE_DBCONFIG_DQS_DML, 0, NULL); /* "x" is a name, never a text */
    sqlite3_db_config(h->db, SQLITE_DBCONFIG_DQS_DDL, 0, NULL);
    sqlite3_limit(h->db, SQLITE_LIMIT_ATTACHED, 0);
    sqlite3_limit(h->db, SQLITE_LIMIT_LENGTH, 64 << 20);
    if (o->writer && !sqlite_exec(h, "PRAGMA journal_mode=WAL", fault))
        return false;
    if (!sqlite_exec(h,
                     "PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON;"
                     "PRAGMA recursive_triggers=ON; PRAGMA temp_store=MEMORY;"
                     "PRAGMA case_sensitive_like=ON", /* as in PostgreSQL */
                     fault))
        return false;
    snprintf(sql, sizeof sql, "PRAGMA mmap_size=%lld; %s", (long long)o->mmap_bytes,
             o->writer ? "" : "PRAGMA query_only=ON");
    if (!sqlite_exec(h, sql, fault))
        return false;
    if (o->pages_max) {
        snprintf(sql, sizeof sql, "PRAGMA max_page_count=%lld", (long long)o->pages_max);
        if (!sqlite_exec(h, sql, fault))
            return false;
    }
    sqlite3_progress_handler(h->db, STEPS_EACH, on_progress, h);
    return functions_register(h, fault) && rowimage_register(h, fault);
}

/* SQLite's account of its memory is one lock for all connections. At boot, before any is open. */
static void without_statistics(void)
{
    static bool is_done;
    if (!is_done)
        sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
    is_done = true;
}

struct sqlite *sqlite_open(const char *path, const struct sqlite_options *o, struct fault *fault)
{
    struct sqlite *h = mem_new(sizeof *h);
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | (o->writer ? SQLITE_OPEN_CREATE : 0);
    int rc;
    without_statistics();
    rc = sqlite3_open_v2(path, &h->db, flags, NULL);
    h->writer = o->writer;
    h->steps_max = o->steps_max ? o->steps_max : 200000;
    list_init(&h->recent);
    sqlite_end(h);
    if (rc != SQLITE_OK)
        sqlite_fault(h, rc, fault);
    if (rc != SQLITE_OK || !setup(h, o, fault))
        sqlite_close(&h);
    return h;
}

static void drop(struct sqlite *h, struct statement *s)
{
    map_remove(&h->statements, str_of(s->sql, s->n));
    list_drop(&s->link);
    sqlite3_finalize(s->stmt);
    mem_free(s->sql);
    mem_free(s);
    h->statements_count--;
}

void sqlite_forget_statements(struct sqlite *h)
{
    while (!list_is_empty(&h->recent))
        drop(h, LIST_OF(h->recent.next, struct statement, link));
}

void sqlite_close(struct sqlite **hp)
{
    struct sqlite *h = *hp;
    if (!h)
        return;
    *hp = NULL;
    sqlite_forget_statements(h);
    map_free(&h->statements);
    schema_free(&h->schema);
    sqlite3_close_v2(h->db);
    rowimage_free(&h->image);
    mem_free(h);
}

static void make_room(struct sqlite *h)
{
    struct list *link = h->recent.next;
    while (h->statements_count >= STATEMENTS_MAX && link != &h->recent) {
        struct statement *s = LIST_OF(link, struct statement, link);
        link = link->next;
        if (!sqlite3_stmt_busy(s->stmt))
            drop(h, s);
    }
}

sqlite3_stmt *sqlite_prepare(struct sqlite *h, struct str sql, struct fault *fault)
{
    struct statement *s = map_get(&h->statements, sql);
    int rc;
    if (s) {
        list_drop(&s->link);
        list_push(&h->recent, &s->link);
        return s->stmt;
    }
    make_room(h);
    s = mem_new(sizeof *s);
    s->sql = str_dup(sql);
    s->n = sql.n;
    rc = sqlite3_prepare_v3(h->db, s->sql, (int)sql.n + 1, SQLITE_PREPARE_PERSISTENT, &s->stmt,
                            NULL);
    if (rc != SQLITE_OK || !s->stmt) {
        sqlite_fault(h, rc, fault);
        mem_free(s->sql);
        mem_free(s);
        return NULL;
    }
    CHECK(!map_put(&h->statements, str_of(s->sql, s->n), s));
    list_push(&h->recent, &s->link);
    h->statements_count++;
    return s->stmt;
}

bool sqlite_exec_made(struct sqlite *h, struct buf *sql, struct fault *fault)
{
    buf_add_c(sql, 0);
    return sql->failed ? fault_set(fault, "53200", "out of memory") : sqlite_exec(h, sql->p, fault);
}

sqlite3_stmt *sqlite_prepare_made(struct sqlite *h, const struct buf *sql, struct fault *fault)
{
    if (!sql->failed)
        return sqlite_prepare(h, buf_str(sql), fault);
    fault_set(fault, "53200", "out of memory");
    return NULL;
}

void sqlite_reset(sqlite3_stmt *stmt)
{
    sqlite3_reset(stmt);
    sqlite3_clear_bindings(stmt);
}

int sqlite_step(struct sqlite *h, sqlite3_stmt *stmt, struct fault *fault)
{
    int rc = sqlite3_step(stmt);
    if (rc != SQLITE_ROW && rc != SQLITE_DONE)
        sqlite_fault(h, rc, fault);
    return rc;
}

bool sqlite_run(struct sqlite *h, const char *sql, struct fault *fault)
{
    sqlite3_stmt *stmt = sqlite_prepare(h, str_from(sql), fault);
    int rc;
    if (!stmt)
        return false;
    rc = sqlite_step(h, stmt, fault);
    sqlite_reset(stmt);
    return rc == SQLITE_DONE;
}

int64_t sqlite_integer(struct sqlite *h, const char *sql, int64_t otherwise)
{
    struct fault fault;
    sqlite3_stmt *stmt = sqlite_prepare(h, str_from(sql), &fault);
    int64_t v = otherwise;
    if (!stmt)
        return otherwise;
    if (sqlite3_step(stmt) == SQLITE_ROW)
        v = sqlite3_column_int64(stmt, 0);
    sqlite_reset(stmt);
    return v;
}

static void quote(struct buf *out, struct str text, char mark)
{
    buf_add_c(out, mark);
    for (size_t i = 0; i < text.n; i++) {
        if (text.p[i] == mark)
            buf_add_c(out, mark);
        buf_add_c(out, text.p[i]);
    }
    buf_add_c(out, mark);
}

void sqlite_quote(struct buf *out, struct str name)
{
    quote(out, name, '"');
}

void sqlite_literal(struct buf *out, struct str text)
{
    quote(out, text, '\'');
}
