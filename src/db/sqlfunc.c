/* SPDX-License-Identifier: Apache-2.0 */
/* See sqlfunc.h. */
#include "db/sqlfunc.h"
#include "base/mem.h"
#include "db/sqlite.h"
#include "wire/sqltext.h"

enum { CALLS_MAX = 16, DEPTH_MAX = 64 };

struct writing {
    const struct schema *schema;
    const struct function *f;
    bool as_owner;
    struct buf *out;
    bool tables[DEPTH_MAX]; /* by depth of parentheses: may a table's name stand here? */
    size_t depth;
};

static void note_clause(struct writing *w, const struct sqltext_token *t)
{
    static const char *const begins[] = {"from", "join", "into", "update", "table"};
    static const char *const ends[] = {"where",  "group",  "order", "select", "set",    "on",
                                       "values", "having", "limit", "union",  "except", "using"};
    if (sqltext_is(t, "(") && w->depth + 1 < DEPTH_MAX)
        w->tables[++w->depth] = false;
    else if (sqltext_is(t, ")") && w->depth)
        w->depth--;
    for (size_t i = 0; i < sizeof begins / sizeof begins[0]; i++)
        if (sqltext_is(t, begins[i]))
            w->tables[w->depth] = true;
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++)
        if (sqltext_is(t, ends[i]))
            w->tables[w->depth] = false;
}

static bool before_table(const struct sqltext_token *last)
{
    return sqltext_is(last, "from") || sqltext_is(last, "join") || sqltext_is(last, "into") ||
           sqltext_is(last, "update") || sqltext_is(last, ",");
}

static bool put_table(struct writing *w, const struct sqltext_token *t,
                      const struct sqltext_token *last)
{
    struct buf name = {0};
    const struct table *table;
    if (!w->as_owner || !w->tables[w->depth] || !before_table(last) ||
        (t->kind != SQLTEXT_WORD && t->kind != SQLTEXT_QUOTED))
        return false;
    sqltext_name(t, &name);
    table = schema_table(w->schema, buf_str(&name));
    if (table) {
        buf_add_z(w->out, " main.");
        sqlite_quote(w->out, table->name);
    }
    buf_free(&name);
    return table != NULL;
}

static size_t argument(const struct function *f, struct str name)
{
    size_t i = 0;
    while (i < f->args_count && !str_eq(f->args[i].name, name))
        i++;
    return i;
}

void sqlfunc_statement(const struct schema *s, const struct function *f, struct str statement,
                       bool as_owner, void (*bind)(void *arg, size_t index, struct buf *to),
                       void *arg, struct buf *out)
{
    struct writing w = {.schema = s, .f = f, .as_owner = as_owner, .out = out};
    struct sqltext in = {statement};
    struct sqltext_token last = {0};
    for (;;) {
        struct sqltext_token t = sqltext_next(&in), next = sqltext_peek(&in);
        if (t.kind == SQLTEXT_END || t.kind == SQLTEXT_BAD)
            return;
        note_clause(&w, &t);
        if (put_table(&w, &t, &last)) {
            last = t;
            continue;
        }
        if (t.spaced)
            buf_add_c(out, ' ');
        if (sqltext_is(&t, ":") && next.kind == SQLTEXT_WORD && !next.spaced &&
            argument(f, next.text) < f->args_count) {
            sqltext_next(&in);
            bind(arg, argument(f, next.text), out);
            t = next;
        } else
            buf_add_str(out, t.text);
        last = t;
    }
}

/* ---- as SQL functions -------------------------------------------------------------------- */
static void numbered(void *arg, size_t index, struct buf *to)
{
    (void)arg;
    buf_printf(to, "?%zu", index + 1);
}

/* The text is the same for every call, and a policy calls often: it is kept. */
struct bound {
    struct sqlite *h;
    struct buf sql[2];           /* as the caller, as the owner */
    int64_t version, generation; /* of the schema they are for */
    char name[];
};

static void free_bound(void *arg)
{
    struct bound *b = arg;
    buf_free(&b->sql[0]);
    buf_free(&b->sql[1]);
    mem_free(b);
}

static struct str text_of(struct bound *b, const struct function *f, bool as_owner)
{
    const struct schema *s = b->h->schema;
    struct buf *sql = &b->sql[as_owner];
    if (b->version != s->version || b->generation != s->generation) {
        buf_clear(&b->sql[0]);
        buf_clear(&b->sql[1]);
        b->version = s->version;
        b->generation = s->generation;
    }
    if (!sql->n)
        sqlfunc_statement(s, f, f->body, as_owner, numbered, NULL, sql);
    return buf_str(sql);
}

static sqlite3_stmt *statement_of(struct bound *b, const struct function *f, struct fault *fault)
{
    struct sqlite *h = b->h;
    bool as_owner = f->definer || (h->identity && h->identity->service);
    sqlite3_stmt *stmt = sqlite_prepare(h, text_of(b, f, as_owner), fault);
    if (stmt && sqlite3_stmt_busy(stmt)) { /* it calls itself */
        fault_set(fault, "54001", "stack depth limit exceeded");
        stmt = NULL;
    }
    return stmt;
}

static void call(sqlite3_context *c, int argc, sqlite3_value **argv)
{
    struct bound *b = sqlite3_user_data(c);
    struct sqlite *h = b->h;
    const struct function *f = h->schema ? schema_function(h->schema, str_from(b->name)) : NULL;
    struct fault fault = {0};
    sqlite3_stmt *stmt;
    int rc;
    if (!f || (size_t)argc != f->args_count || h->calls >= CALLS_MAX) {
        sqlite3_result_error(c, f ? "stack depth limit exceeded" : "no such function", -1);
        return;
    }
    h->calls++;
    stmt = statement_of(b, f, &fault);
    for (int i = 0; stmt && i < argc && i < sqlite3_bind_parameter_count(stmt); i++)
        sqlite3_bind_value(stmt, i + 1, argv[i]);
    rc = stmt ? sqlite_step(h, stmt, &fault) : SQLITE_ERROR;
    if (rc == SQLITE_ROW)
        sqlite3_result_value(c, sqlite3_column_value(stmt, 0));
    else if (rc != SQLITE_DONE)
        sqlite3_result_error(c, fault.message, -1);
    if (stmt)
        sqlite_reset(stmt);
    h->calls--;
}

bool sqlfunc_register(struct sqlite *h, struct fault *fault)
{
    for (size_t i = 0; h->schema && i < h->schema->functions_count; i++) {
        const struct function *f = &h->schema->functions[i];
        struct bound *b;
        int rc;
        if (f->writes || f->returns_set || f->returns_row || f->returns_void)
            continue;
        b = mem_new(sizeof *b + f->name.n + 1);
        b->h = h;
        memcpy(b->name, f->name.p, f->name.n);
        rc = sqlite3_create_function_v2(h->db, b->name, (int)f->args_count, SQLITE_UTF8, b, call,
                                        NULL, NULL, free_bound);
        if (rc != SQLITE_OK)
            return sqlite_fault(h, rc, fault);
    }
    return true;
}
