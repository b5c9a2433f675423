/* SPDX-License-Identifier: Apache-2.0 */
/* See request.h. */
#include "db/request.h"
#include "base/check.h"
#include "db/sqlite.h"
#include <stdio.h>

void request_free_answer(struct rest_answer *r)
{
    buf_free(&r->body);
    buf_free(&r->location);
    buf_free(&r->applied);
}

bool request_bad_query(const struct rest_error *error, struct fault *fault)
{
    fault_set(fault, error->code, "%.*s", STR_ARG(error->message));
    fault_details(fault, "%.*s", STR_ARG(error->details));
    fault_hint(fault, "%.*s", STR_ARG(error->hint));
    fault->status = error->status;
    return false;
}

/* ---- rows ------------------------------------------------------------------------------- */
void rows_begin(struct rows *r, const struct rest_call *req, struct rest_answer *res)
{
    *r = (struct rows){.res = res, .req = req};
    res->body.max = 256 << 20;
    if (req->accept.format == ACCEPT_JSON)
        buf_add_c(&res->body, '[');
}

void rows_add(struct rows *r, sqlite3_stmt *stmt, int column)
{
    const char *p = (const char *)sqlite3_column_text(stmt, column);
    if (r->count++ && r->req->accept.format != ACCEPT_OBJECT)
        buf_add_z(&r->res->body, r->req->accept.format == ACCEPT_CSV ? "\n" : ",");
    if (r->count > 1 && r->req->accept.format == ACCEPT_OBJECT)
        return;
    buf_add(&r->res->body, p ? p : "", (size_t)sqlite3_column_bytes(stmt, column));
}

bool rows_end(struct rows *r, struct query *q)
{
    static const char *const types[] = {"application/json; charset=utf-8",
                                        "application/vnd.pgrst.object+json; charset=utf-8",
                                        "text/csv; charset=utf-8"};
    r->res->rows = r->count;
    r->res->content_type = types[r->req->accept.format];
    if (r->req->accept.format == ACCEPT_JSON)
        buf_add_c(&r->res->body, ']');
    if (r->req->accept.format == ACCEPT_OBJECT && r->count != 1) {
        fault_set(q->fault, "PGRST116", "Cannot coerce the result to a single JSON object");
        fault_details(q->fault, "The result contains %lld rows", (long long)r->count);
        return false;
    }
    return r->res->body.failed ? fault_set(q->fault, "54000", "the answer is too large") : true;
}

/* ---- reading ---------------------------------------------------------------------------- */
static bool run_rows(struct query *q, struct rows *rows)
{
    sqlite3_stmt *stmt = query_prepare(q);
    int rc;
    if (!stmt)
        return false;
    if (rows->req->accept.format == ACCEPT_CSV) {
        buf_add_buf(&rows->res->body, &q->csv_header);
        buf_add_c(&rows->res->body, '\n');
    }
    while ((rc = sqlite_step(q->h, stmt, q->fault)) == SQLITE_ROW)
        rows_add(rows, stmt, 0);
    sqlite_reset(stmt);
    return rc == SQLITE_DONE && rows_end(rows, q);
}

static bool count_rows(struct query *q, const struct rest_node *root, const struct table *t,
                       int64_t *out)
{
    struct query count;
    sqlite3_stmt *stmt;
    bool ok;
    query_init(&count, q->h, q->identity, q->arena, q->fault);
    ok = select_count(&count, root, t);
    stmt = ok ? query_prepare(&count) : NULL;
    ok = stmt && sqlite_step(q->h, stmt, q->fault) == SQLITE_ROW;
    if (ok)
        *out = sqlite3_column_int64(stmt, 0);
    if (stmt)
        sqlite_reset(stmt);
    query_free(&count);
    return ok;
}

/* Content-Range and status of a page: 206 when there is more than the page, 416 when it begins
 * behind the end. total -1 = not asked for. */
static bool page(struct query *q, struct rest_answer *res, int64_t offset, int64_t total)
{
    char last[24];
    res->status = 200;
    if (total >= 0)
        snprintf(last, sizeof last, "%lld", (long long)total);
    else
        snprintf(last, sizeof last, "*");
    if (res->rows == 0)
        snprintf(res->content_range, sizeof res->content_range, "*/%s", last);
    else
        snprintf(res->content_range, sizeof res->content_range, "%lld-%lld/%s", (long long)offset,
                 (long long)(offset + res->rows - 1), last);
    if (total >= 0 && offset > total) {
        fault_set(q->fault, "PGRST103", "Requested range not satisfiable");
        fault_details(q->fault, "An offset of %lld was requested, but there are only %lld rows.",
                      (long long)offset, (long long)total);
        return false;
    }
    if (total >= 0 && res->rows < total)
        res->status = 206;
    return true;
}

static bool read_rows(struct query *q, const struct rest_call *req, const struct restquery *tree,
                      const struct table *t, struct rest_answer *res)
{
    struct rows rows;
    int64_t total = -1;
    rows_begin(&rows, req, res);
    if (!select_read(q, &tree->root, t, req->rows_max) || !run_rows(q, &rows))
        return false;
    if (req->prefer.count && !select_has_aggregate(&tree->root, t) &&
        !count_rows(q, &tree->root, t, &total))
        return false;
    return page(q, res, tree->root.offset, total);
}

/* ---- the request ------------------------------------------------------------------------ */
static bool check_prefer(const struct rest_call *req, struct fault *fault)
{
    if (!req->prefer.strict || !req->prefer.unknown[0])
        return true;
    fault_set(fault, "PGRST122", "Invalid preferences given with handling=strict");
    fault_details(fault, "Invalid preferences: %s", req->prefer.unknown);
    return false;
}

static bool insert_once(struct query *q, const struct rest_call *req, const struct restquery *tree,
                        const struct table *t, struct rest_answer *res)
{
    int64_t before =
        sqlite_integer(q->h, "SELECT seq FROM main.sqlite_sequence WHERE name = 'tw_changes'", 0);
    switch (once_begin(q->h, req, q->arena, res, q->fault)) {
    case ONCE_NEW:
        return write_run(q, req, tree, t, res) && once_end(q->h, req, res, before, q->fault);
    case ONCE_REPEAT:
        return true;
    case ONCE_FAULT:
        break;
    }
    return false;
}

static bool run_table(struct query *q, const struct rest_call *req, struct rest_answer *res)
{
    struct restquery tree;
    struct rest_error error;
    const struct table *t = query_table(q->schema, req->name, q->fault);
    if (!t)
        return false;
    if (!restquery_parse(&tree, req->query, NULL, 0, q->arena, &error))
        return request_bad_query(&error, q->fault);
    if (req->method == REST_READ)
        return read_rows(q, req, &tree, t, res);
    if (req->method == REST_INSERT && req->key.n)
        return insert_once(q, req, &tree, t, res);
    return write_run(q, req, &tree, t, res);
}

static struct function *function_of(struct query *q, const struct rest_call *req)
{
    struct function *f = schema_function(q->schema, req->name);
    if (!f) {
        fault_set(q->fault, "PGRST202",
                  "Could not find the function public.%.*s in the schema cache",
                  STR_ARG(str_head(req->name, 100)));
        fault_details(q->fault,
                      "Searched for the function public.%.*s, but no matches were found in the "
                      "schema cache.",
                      STR_ARG(str_head(req->name, 100)));
    }
    return f;
}

bool request_run(struct sqlite *h, const struct rest_call *req, struct arena *arena,
                 struct rest_answer *res, struct fault *fault)
{
    struct query q;
    bool ok;
    *res = (struct rest_answer){0};
    *fault = (struct fault){0};
    CHECK(h->schema);
    if (!check_prefer(req, fault))
        return false;
    query_init(&q, h, req->identity, arena, fault);
    q.format = req->accept.format == ACCEPT_CSV
                   ? QUERY_CSV
                   : (req->accept.strip_nulls ? QUERY_JSON_STRIPPED : QUERY_JSON);
    sqlite_begin(h, req->identity);
    if (req->method == REST_CALL || req->method == REST_CALL_READ) {
        struct function *f = function_of(&q, req);
        ok = f && call_run(&q, req, f, res);
    } else
        ok = run_table(&q, req, res);
    sqlite_end(h);
    query_free(&q);
    if (!ok) {
        request_free_answer(res);
        *res = (struct rest_answer){0};
        return false;
    }
    restprefer_write(&req->prefer, &res->applied);
    return true;
}

bool request_writes(struct sqlite *h, const struct rest_call *req)
{
    const struct function *f;
    if (req->method != REST_CALL)
        return req->method != REST_READ && req->method != REST_CALL_READ;
    f = h->schema ? schema_function(h->schema, req->name) : NULL;
    return f && f->writes;
}

bool request_run_alone(struct sqlite *h, const struct rest_call *req, struct arena *arena,
                       struct rest_answer *res, struct fault *fault)
{
    bool ok;
    *res = (struct rest_answer){0};
    if (!schema_begin(h, h->writer, fault))
        return false;
    ok = request_run(h, req, arena, res, fault);
    if (ok && !sqlite_run(h, "COMMIT", fault)) {
        request_free_answer(res);
        *res = (struct rest_answer){0};
        ok = false;
    }
    if (!ok) {
        struct fault ignored;
        sqlite_run(h, "ROLLBACK", &ignored);
    }
    return ok;
}
