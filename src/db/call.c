/* SPDX-License-Identifier: Apache-2.0 */
/* POST and GET /rpc/name: a stored function. All statements of its body run; the last one is the
 * answer, and when it only reads, select, filters, order and limit of the request apply to it. */
#include "db/request.h"
#include "base/json.h"
#include "db/sqlfunc.h"
#include "db/sqlite.h"
#include "wire/sqltext.h"
#include <stdio.h>

struct calling {
    struct query *q;
    const struct rest_call *req;
    const struct function *f;
    struct rest_answer *res;
    struct restquery tree;
    struct cell *args;
    bool *given;
};

static bool no_function(struct calling *c, struct str why)
{
    fault_set(c->q->fault, "PGRST202",
              "Could not find the function public.%.*s with these arguments in the schema cache",
              STR_ARG(c->f->name));
    fault_details(c->q->fault, "Argument: %.*s", STR_ARG(str_head(why, 100)));
    return false;
}

static size_t argument(const struct function *f, struct str name)
{
    size_t i = 0;
    while (i < f->args_count && !str_eq(f->args[i].name, name))
        i++;
    return i;
}

static bool args_from_body(struct calling *c)
{
    struct jsonscan_value body;
    struct jsonscan_iter it;
    struct jsonscan_member m;
    struct str text = str_trim(c->req->body).n ? c->req->body : STR("{}");
    if (jsonscan_check(text, JSONSCAN_DEPTH, &body) != 0 || body.type != JSONSCAN_OBJECT)
        return fault_set(c->q->fault, "PGRST102", "Empty or invalid json");
    it = jsonscan_iter(body.raw);
    while (jsonscan_next(&it, c->q->arena, &m) > 0) {
        size_t i = argument(c->f, m.key);
        if (i == c->f->args_count)
            return no_function(c, m.key);
        if (!type_from_json(&c->f->args[i].type, &m.value, c->q->arena, &c->args[i], c->q->fault))
            return false;
        c->given[i] = true;
    }
    return true;
}

static bool args_from_query(struct calling *c)
{
    for (const struct rest_arg *a = c->tree.args; a; a = a->next) {
        size_t i = argument(c->f, a->name);
        if (!type_from_text(&c->f->args[i].type, a->value, c->q->arena, &c->args[i], c->q->fault))
            return false;
        c->given[i] = true;
    }
    return true;
}

static bool take_args(struct calling *c)
{
    size_t n = c->f->args_count;
    struct str *names = arena_zero(c->q->arena, (n + 1) * sizeof *names);
    struct rest_error error;
    bool get = c->req->method == REST_CALL_READ;
    c->args = arena_zero(c->q->arena, (n + 1) * sizeof *c->args);
    c->given = arena_zero(c->q->arena, (n + 1) * sizeof *c->given);
    if (!names || !c->args || !c->given)
        return fault_set(c->q->fault, "53200", "out of memory");
    for (size_t i = 0; i < n; i++)
        names[i] = c->f->args[i].name;
    if (!restquery_parse(&c->tree, c->req->query, names, get ? n : 0, c->q->arena, &error))
        return request_bad_query(&error, c->q->fault);
    if (!(get ? args_from_query(c) : args_from_body(c)))
        return false;
    for (size_t i = 0; i < n; i++)
        if (!c->given[i] && !c->f->args[i].has_default)
            return no_function(c, names[i]);
    return true;
}

static void bind(void *arg, size_t index, struct buf *to)
{
    struct calling *c = arg;
    if (c->given[index])
        query_bind(c->q, to, c->args[index]);
    else {
        buf_add_c(to, '(');
        buf_add_str(to, c->f->args[index].default_sql);
        buf_add_c(to, ')');
    }
}

static void restart(struct query *q)
{
    buf_clear(&q->text);
    q->cells_count = 0;
}

static void put(struct calling *c, struct str statement, struct buf *to)
{
    bool as_owner = c->f->definer || (c->q->identity && c->q->identity->service);
    sqlfunc_statement(c->q->schema, c->f, statement, as_owner, bind, c, to);
}

/* A statement whose rows nobody wants. */
static bool run_only(struct calling *c, struct str statement)
{
    sqlite3_stmt *stmt;
    int rc;
    restart(c->q);
    put(c, statement, &c->q->text);
    stmt = query_prepare(c->q);
    if (!stmt)
        return false;
    while ((rc = sqlite_step(c->q->h, stmt, c->q->fault)) == SQLITE_ROW)
        ;
    sqlite_reset(stmt);
    return rc == SQLITE_DONE;
}

/* The columns of a statement's result, as a table of the function's name. */
static struct table *shape(struct calling *c, sqlite3_stmt *stmt)
{
    struct table *t = arena_zero(c->q->arena, sizeof *t);
    size_t n = (size_t)sqlite3_column_count(stmt);
    if (!t || !(t->columns = arena_zero(c->q->arena, (n + 1) * sizeof *t->columns)))
        return NULL;
    t->name = c->f->name;
    for (size_t i = 0; i < n; i++) {
        struct column *col = &t->columns[t->columns_count++];
        const char *declared = sqlite3_column_decltype(stmt, (int)i);
        col->name = arena_dup(c->q->arena, str_from(sqlite3_column_name(stmt, (int)i)));
        col->declared = arena_dup(c->q->arena, str_from(declared ? declared : ""));
        col->affinity = "BLOB";
        col->collation = "BINARY";
        type_parse(&col->type, col->declared);
        if (!c->f->returns_row && n == 1) /* a scalar says its type itself */
            col->type = c->f->type;
    }
    return t;
}

static bool give_rows(struct calling *c, sqlite3_stmt *stmt)
{
    struct rows rows;
    struct restaccept_result accept = c->req->accept;
    struct rest_call req = *c->req;
    int rc;
    if (c->f->returns_row && !c->f->returns_set)
        accept.format = ACCEPT_OBJECT;
    req.accept = accept;
    rows_begin(&rows, &req, c->res);
    if (accept.format == ACCEPT_CSV) {
        buf_add_buf(&c->res->body, &c->q->csv_header);
        buf_add_c(&c->res->body, '\n');
    }
    while ((rc = sqlite_step(c->q->h, stmt, c->q->fault)) == SQLITE_ROW)
        rows_add(&rows, stmt, 0);
    sqlite_reset(stmt);
    if (rc != SQLITE_DONE)
        return false;
    if (rows.count == 0 && c->f->returns_row && !c->f->returns_set) {
        buf_add_z(&c->res->body, "null");
        c->res->content_type = "application/json; charset=utf-8";
        return true;
    }
    return rows_end(&rows, c->q);
}

/* One value, or an array of values. */
static bool give_values(struct calling *c, sqlite3_stmt *stmt)
{
    struct buf *b = &c->res->body;
    int rc;
    b->max = 64 << 20;
    if (c->f->returns_set)
        buf_add_c(b, '[');
    while ((rc = sqlite_step(c->q->h, stmt, c->q->fault)) == SQLITE_ROW) {
        if (c->res->rows++ && !c->f->returns_set)
            continue;
        buf_add_z(b, c->res->rows > 1 ? "," : "");
        type_write(b, (char)c->f->type.kind, sqlite3_column_value(stmt, 0));
    }
    if (c->f->returns_set)
        buf_add_c(b, ']');
    else if (c->res->rows == 0)
        buf_add_z(b, "null");
    c->res->content_type = "application/json; charset=utf-8";
    sqlite_reset(stmt);
    return rc == SQLITE_DONE;
}

/* A reading statement as the source of an ordinary read. */
static bool give_selection(struct calling *c, const struct table *t, struct str statement)
{
    struct buf source = {0};
    sqlite3_stmt *stmt;
    bool ok;
    restart(c->q);
    buf_add_c(&source, '(');
    put(c, statement, &source);
    buf_add_c(&source, ')');
    c->q->source = arena_dup(c->q->arena, buf_str(&source));
    buf_free(&source);
    ok = select_read(c->q, &c->tree.root, t, c->req->rows_max);
    stmt = ok ? query_prepare(c->q) : NULL;
    return stmt && give_rows(c, stmt);
}

/* A writing statement with RETURNING: its rows as they come. */
static bool give_returned(struct calling *c, const struct table *t, sqlite3_stmt *stmt)
{
    struct rows rows;
    int rc;
    rows_begin(&rows, c->req, c->res);
    while ((rc = sqlite_step(c->q->h, stmt, c->q->fault)) == SQLITE_ROW) {
        struct buf *b = &c->res->body;
        buf_add_z(b, rows.count++ ? "," : "");
        for (size_t i = 0; i < t->columns_count; i++) {
            struct buf key = {0};
            json_add_string(&key, t->columns[i].name);
            buf_printf(b, "%s%.*s:", i ? "," : "{", STR_ARG(buf_str(&key)));
            type_write(b, (char)t->columns[i].type.kind, sqlite3_column_value(stmt, (int)i));
            buf_free(&key);
        }
        buf_add_c(b, '}');
    }
    sqlite_reset(stmt);
    return rc == SQLITE_DONE && rows_end(&rows, c->q);
}

static bool give(struct calling *c, struct str statement)
{
    sqlite3_stmt *stmt;
    struct table *t;
    if (c->f->returns_void)
        return run_only(c, statement);
    restart(c->q);
    put(c, statement, &c->q->text);
    stmt = query_prepare(c->q);
    if (!stmt)
        return false;
    if (sqlite3_column_count(stmt) == 0)
        return fault_set(c->q->fault, "42P13", "the last statement of function %.*s gives no rows",
                         STR_ARG(c->f->name));
    if (!c->f->returns_row)
        return give_values(c, stmt);
    t = shape(c, stmt);
    if (!t)
        return fault_set(c->q->fault, "53200", "out of memory");
    if (!sqlite3_stmt_readonly(stmt))
        return give_returned(c, t, stmt);
    sqlite_reset(stmt);
    return give_selection(c, t, statement);
}

bool call_run(struct query *q, const struct rest_call *req, const struct function *f,
              struct rest_answer *res)
{
    struct calling c = {.q = q, .req = req, .f = f, .res = res};
    struct str rest = f->body, statement = STR_NONE, next = STR_NONE;
    bool bad;
    if (f->writes && (req->method == REST_CALL_READ || !q->h->writer))
        return fault_set(q->fault, "25006", "cannot execute %.*s in a read-only transaction",
                         STR_ARG(f->name));
    if (!take_args(&c) || !sqltext_statement(&rest, &statement, &bad))
        return q->fault->code[0] ? false : fault_set(q->fault, "42601", "empty function");
    while (sqltext_statement(&rest, &next, &bad)) {
        if (!run_only(&c, statement))
            return false;
        statement = next;
    }
    if (!give(&c, statement))
        return false;
    res->status = f->returns_void ? 204 : 200;
    if (f->returns_set && res->rows)
        snprintf(res->content_range, sizeof res->content_range, "%lld-%lld/*",
                 (long long)c.tree.root.offset, (long long)(c.tree.root.offset + res->rows - 1));
    else
        snprintf(res->content_range, sizeof res->content_range, "*/*");
    return true;
}
