/* SPDX-License-Identifier: Apache-2.0 */
/* POST, PATCH, PUT and DELETE on a table. Each row of the body is one prepared INSERT (or, for an
 * upsert that meets its row, one UPDATE): the text is the same for all rows, so it is prepared
 * once. RETURNING carries, in this order: 1 when the row may be so, whether a representation may
 * be seen, and the row's text. SQLite has made all changes of a statement before it returns the
 * first row; a refused one fails the request, and the caller rolls its savepoint back.
 *
 * PostgreSQL's rules followed here: INSERT checks INSERT policies; with RETURNING the new row must
 * be visible too. UPDATE and DELETE see rows by their own USING, and by SELECT's when the request
 * reads them (a filter, RETURNING); an updated row that would leave sight is then refused. */
#include "base/check.h"
#include "db/request.h"
#include "db/rls.h"
#include "db/sqlite.h"
#include <stdio.h>

enum { BODY_COLUMNS_MAX = 500 };

struct writing {
    struct query *q;
    const struct rest_call *req;
    const struct restquery *tree;
    const struct table *t;
    struct rest_answer *res;
    struct rows rows;
    bool wants_rows; /* a representation */
    bool wants_key;  /* Location */
    bool guarded;    /* policies apply */
    enum restprefer_resolution resolution;
    int64_t affected, inserted;
    const struct column *columns[BODY_COLUMNS_MAX];
    size_t columns_count;
    /* Where an upsert looks for its row. */
    const struct column *target[32];
    size_t target_count;
};

static bool no_such_column(struct writing *w, struct str name)
{
    return fault_set(w->q->fault, "PGRST204",
                     "Could not find the '%.*s' column of '%.*s' in the schema cache",
                     STR_ARG(str_head(name, 100)), STR_ARG(w->t->name));
}

static bool not_json(struct writing *w, const char *why)
{
    return fault_set(w->q->fault, "PGRST102", "%s", why);
}

static bool add_column(struct writing *w, struct str name)
{
    const struct column *c = schema_column(w->t, name);
    if (!c)
        return no_such_column(w, name);
    if (c->generated) {
        fault_set(w->q->fault, "428C9", "cannot insert a non-DEFAULT value into column \"%.*s\"",
                  STR_ARG(name));
        fault_details(w->q->fault, "Column \"%.*s\" is a generated column.", STR_ARG(name));
        return false;
    }
    for (size_t i = 0; i < w->columns_count; i++)
        if (w->columns[i] == c)
            return true;
    if (w->columns_count == BODY_COLUMNS_MAX)
        return fault_set(w->q->fault, "54011", "too many columns");
    w->columns[w->columns_count++] = c;
    return true;
}

/* columns=, else the keys of the first object. */
static bool find_columns(struct writing *w, struct str object)
{
    struct jsonscan_iter it = jsonscan_iter(object);
    struct jsonscan_member m;
    if (w->tree->has_columns) {
        for (const struct rest_name *n = w->tree->columns; n; n = n->next)
            if (!add_column(w, n->name))
                return false;
        return true;
    }
    while (jsonscan_next(&it, w->q->arena, &m) > 0)
        if (!add_column(w, m.key))
            return false;
    return true;
}

/* The values of one object, by w->columns; NONE where it has no such member. */
static bool match_members(struct writing *w, struct str object, struct jsonscan_value *values)
{
    struct jsonscan_iter it = jsonscan_iter(object);
    struct jsonscan_member m;
    size_t seen = 0;
    memset(values, 0, w->columns_count * sizeof *values);
    while (jsonscan_next(&it, w->q->arena, &m) > 0) {
        size_t i = 0;
        while (i < w->columns_count && !str_eq(w->columns[i]->name, m.key))
            i++;
        if (i < w->columns_count) {
            seen += values[i].type == JSONSCAN_NONE;
            values[i] = m.value;
        } else if (!w->tree->has_columns)
            return not_json(w, "All object keys must match");
    }
    if (seen < w->columns_count && !w->tree->has_columns)
        return not_json(w, "All object keys must match");
    return true;
}

/* ---- statements ------------------------------------------------------------------------- */
/* The conditions under which a changed row may be so. */
static void put_checks(struct writing *w, enum policy_command command, bool must_see)
{
    struct buf *b = &w->q->text;
    if (!w->guarded || command == POLICY_DELETE) {
        buf_add_c(b, '1');
        return;
    }
    buf_add_z(b, "CASE WHEN "); /* not as a value: "a or b" must stop at a */
    rls_condition(w->t, command, RLS_CHECK, b);
    if (must_see) {
        buf_add_z(b, " AND ");
        rls_condition(w->t, POLICY_SELECT, RLS_USING, b);
    }
    buf_add_z(b, " THEN 1 ELSE 0 END");
}

/* 'id=eq.5' for Location, in one text value. */
static void put_key(struct writing *w)
{
    const struct unique_key *pk = schema_primary(w->t);
    for (size_t i = 0; pk && i < pk->count; i++) {
        struct buf *b = &w->q->text;
        buf_add_z(b, i ? " || '&' || " : "");
        sqlite_literal(b, w->t->columns[pk->columns[i]].name);
        buf_add_z(b, " || '=eq.' || tw_url(");
        query_column(b, w->t->name, &w->t->columns[pk->columns[i]]);
        buf_add_c(b, ')');
    }
    if (!pk)
        buf_add_z(&w->q->text, "NULL");
}

static bool put_returning(struct writing *w, enum policy_command command, bool must_see)
{
    buf_add_z(&w->q->text, " RETURNING ");
    put_checks(w, command, must_see);
    if (w->wants_key) {
        buf_add_z(&w->q->text, ", ");
        put_key(w);
    } else if (w->wants_rows) {
        buf_add_z(&w->q->text, ", ");
        return select_row(w->q, &w->tree->root, w->t, w->t->name, &w->q->text);
    }
    return true;
}

static void put_table(struct writing *w)
{
    buf_add_z(&w->q->text, "main.");
    sqlite_quote(&w->q->text, w->t->name);
    buf_add_z(&w->q->text, " AS ");
    sqlite_quote(&w->q->text, w->t->name);
}

/* Begins a new statement in the same query. */
static void restart(struct writing *w)
{
    buf_clear(&w->q->text);
    buf_clear(&w->q->csv_header);
    w->q->cells_count = 0;
    w->q->aliases = 0;
}

static bool refused(struct writing *w)
{
    return fault_set(w->q->fault, "42501",
                     "new row violates row-level security policy for table \"%.*s\"",
                     STR_ARG(w->t->name));
}

/* Runs what stands in w->q and takes its rows. *count = rows changed. */
static bool run(struct writing *w, int64_t *count)
{
    sqlite3_stmt *stmt = query_prepare(w->q);
    int rc;
    bool ok = true;
    *count = 0;
    if (!stmt)
        return false;
    while ((rc = sqlite_step(w->q->h, stmt, w->q->fault)) == SQLITE_ROW) {
        ++*count;
        if (!sqlite3_column_int(stmt, 0)) {
            ok = refused(w);
            break;
        }
        if (w->wants_key && *count == 1 && w->affected == 0 && sqlite3_column_text(stmt, 1))
            buf_printf(&w->res->location, "/%.*s?%s", STR_ARG(w->t->name),
                       (const char *)sqlite3_column_text(stmt, 1));
        if (w->wants_rows && !w->wants_key)
            rows_add(&w->rows, stmt, 1);
    }
    sqlite_reset(stmt);
    w->affected += *count;
    return ok && (rc == SQLITE_DONE || rc == SQLITE_ROW);
}

/* ---- insert ----------------------------------------------------------------------------- */
static bool cell_for(struct writing *w, size_t i, const struct jsonscan_value *v, struct cell *out)
{
    return type_from_json(&w->columns[i]->type, v, w->q->arena, out, w->q->fault);
}

/* A column takes its default when the object does not name it, where that was asked for. */
static bool takes_default(const struct writing *w, const struct jsonscan_value *v)
{
    return v->type == JSONSCAN_NONE && w->req->prefer.missing_default;
}

static bool put_insert(struct writing *w, const struct jsonscan_value *values)
{
    struct buf list = {0};
    struct buf *b = &w->q->text;
    bool ok = true;
    size_t n = 0;
    restart(w);
    buf_add_z(b, "INSERT INTO ");
    put_table(w);
    for (size_t i = 0; i < w->columns_count && ok; i++) {
        struct cell c;
        if (takes_default(w, &values[i]))
            continue;
        ok = cell_for(w, i, &values[i], &c);
        buf_add_z(b, n ? ", " : " (");
        sqlite_quote(b, w->columns[i]->name);
        buf_add_z(&list, n ? ", " : "");
        query_bind(w->q, &list, c);
        n++;
    }
    if (n == 0)
        buf_add_z(b, " DEFAULT VALUES");
    else {
        buf_add_z(b, ") VALUES (");
        buf_add_buf(b, &list);
        buf_add_c(b, ')');
    }
    buf_free(&list);
    return ok;
}

static void put_conflict_nothing(struct writing *w)
{
    struct buf *b = &w->q->text;
    buf_add_z(b, " ON CONFLICT");
    for (size_t i = 0; i < w->target_count; i++) {
        buf_add_z(b, i ? ", " : " (");
        sqlite_quote(b, w->target[i]->name);
    }
    buf_add_z(b, w->target_count ? ") DO NOTHING" : " DO NOTHING");
}

/* For an upsert: the values of its target; false when one is absent or NULL (then it inserts). */
static bool target_cells(struct writing *w, const struct jsonscan_value *values, struct cell *cells)
{
    for (size_t k = 0; k < w->target_count; k++) {
        size_t i = 0;
        while (i < w->columns_count && w->columns[i] != w->target[k])
            i++;
        if (i == w->columns_count || values[i].type <= JSONSCAN_NULL ||
            !cell_for(w, i, &values[i], &cells[k]))
            return false;
    }
    return w->target_count > 0;
}

static void put_target(struct writing *w, const struct cell *cells)
{
    for (size_t k = 0; k < w->target_count; k++) {
        buf_add_z(&w->q->text, k ? " AND " : " WHERE ");
        query_column(&w->q->text, w->t->name, w->target[k]);
        buf_add_z(&w->q->text, " = ");
        query_bind(w->q, &w->q->text, cells[k]);
    }
}

/* 1 the row is there and may be updated, 0 it is not there, -1 fault. */
static int find_row(struct writing *w, const struct cell *cells)
{
    sqlite3_stmt *stmt;
    int rc, answer = 0;
    restart(w);
    buf_add_z(&w->q->text, "SELECT ");
    if (w->guarded) {
        buf_add_z(&w->q->text, "CASE WHEN ");
        rls_condition(w->t, POLICY_UPDATE, RLS_USING, &w->q->text);
        buf_add_z(&w->q->text, " AND ");
        rls_condition(w->t, POLICY_SELECT, RLS_USING, &w->q->text);
        buf_add_z(&w->q->text, " THEN 1 ELSE 0 END");
    } else
        buf_add_c(&w->q->text, '1');
    buf_add_z(&w->q->text, " FROM ");
    put_table(w);
    put_target(w, cells);
    stmt = query_prepare(w->q);
    if (!stmt)
        return -1;
    rc = sqlite_step(w->q->h, stmt, w->q->fault);
    if (rc == SQLITE_ROW)
        answer = sqlite3_column_int(stmt, 0) ? 1 : -2;
    sqlite_reset(stmt);
    if (answer == -2) {
        fault_set(w->q->fault, "42501",
                  "new row violates row-level security policy (USING expression) for table "
                  "\"%.*s\"",
                  STR_ARG(w->t->name));
        return -1;
    }
    return rc == SQLITE_ROW || rc == SQLITE_DONE ? answer : -1;
}

/* The row that is there becomes as the object says. The checks of INSERT hold too, as for any
 * proposed row. */
static bool update_met_row(struct writing *w, const struct jsonscan_value *values,
                           const struct cell *cells)
{
    struct buf *b = &w->q->text;
    size_t n = 0;
    int64_t count;
    restart(w);
    buf_add_z(b, "UPDATE ");
    put_table(w);
    for (size_t i = 0; i < w->columns_count; i++) {
        struct cell c;
        if (takes_default(w, &values[i]))
            continue;
        if (!cell_for(w, i, &values[i], &c))
            return false;
        buf_add_z(b, n++ ? ", " : " SET ");
        sqlite_quote(b, w->columns[i]->name);
        buf_add_z(b, " = ");
        query_bind(w->q, b, c);
    }
    put_target(w, cells);
    buf_add_z(b, " RETURNING ");
    put_checks(w, POLICY_UPDATE, true);
    buf_add_z(b, " AND ");
    put_checks(w, POLICY_INSERT, false);
    if (w->wants_key) {
        buf_add_z(b, ", ");
        put_key(w);
    } else if (w->wants_rows) {
        buf_add_z(b, ", ");
        if (!select_row(w->q, &w->tree->root, w->t, w->t->name, b))
            return false;
    }
    return run(w, &count);
}

static bool insert_one(struct writing *w, struct str object)
{
    struct jsonscan_value *values =
        arena_alloc(w->q->arena, (w->columns_count + 1) * sizeof *values);
    struct cell cells[32];
    int64_t count;
    if (!values)
        return fault_set(w->q->fault, "53200", "out of memory");
    if (!match_members(w, object, values))
        return false;
    if (w->resolution == PREFER_MERGE && target_cells(w, values, cells)) {
        int met = find_row(w, cells);
        if (met)
            return met > 0 && update_met_row(w, values, cells);
    }
    if (!put_insert(w, values))
        return false;
    if (w->resolution == PREFER_IGNORE)
        put_conflict_nothing(w);
    if (!put_returning(w, POLICY_INSERT, w->wants_rows || w->wants_key) || !run(w, &count))
        return false;
    w->inserted += count;
    return true;
}

/* on_conflict=, else the primary key; it must be a unique key of the table. */
static bool find_target(struct writing *w)
{
    const struct unique_key *pk = schema_primary(w->t);
    const struct rest_name *asked = w->req->method == REST_PUT ? NULL : w->tree->on_conflict;
    for (const struct rest_name *n = asked; n; n = n->next) {
        const struct column *c = schema_column(w->t, n->name);
        if (!c)
            return query_no_column(w->q, w->t, n->name);
        if (w->target_count < 32)
            w->target[w->target_count++] = c;
    }
    if (!asked) {
        for (size_t i = 0; pk && i < pk->count && i < 32; i++)
            w->target[w->target_count++] = &w->t->columns[pk->columns[i]];
        return true;
    }
    for (size_t k = 0; k < w->t->keys_count; k++) {
        const struct unique_key *key = &w->t->keys[k];
        size_t hits = 0;
        for (size_t i = 0; i < key->count; i++)
            for (size_t j = 0; j < w->target_count; j++)
                hits += w->target[j] == &w->t->columns[key->columns[i]];
        if (hits == key->count && key->count == w->target_count)
            return true;
    }
    return fault_set(w->q->fault, "42P10",
                     "there is no unique or exclusion constraint matching the ON CONFLICT "
                     "specification");
}

static bool insert_all(struct writing *w, const struct jsonscan_value *body)
{
    struct jsonscan_iter it;
    struct jsonscan_member item;
    bool first = true;
    if (body->type == JSONSCAN_OBJECT)
        return find_columns(w, body->raw) && insert_one(w, body->raw);
    it = jsonscan_iter(body->raw);
    while (jsonscan_next(&it, w->q->arena, &item) > 0) {
        if (item.value.type != JSONSCAN_OBJECT)
            return not_json(w, "All array items must be objects");
        if (first && !find_columns(w, item.value.raw))
            return false;
        first = false;
        if (!insert_one(w, item.value.raw))
            return false;
    }
    return true;
}

/* ---- update, delete --------------------------------------------------------------------- */
/* WHERE with the policies of the command and, when rows are read, those of SELECT. */
static bool put_where(struct writing *w, enum policy_command command, bool must_see)
{
    struct buf *b = &w->q->text;
    buf_add_z(b, " WHERE 1");
    if (w->guarded) {
        buf_add_z(b, " AND ");
        rls_condition(w->t, command, RLS_USING, b);
    }
    if (w->guarded && must_see) {
        buf_add_z(b, " AND ");
        rls_condition(w->t, POLICY_SELECT, RLS_USING, b);
    }
    return where_add(w->q, &w->tree->root, w->t, w->t->name, b);
}

static bool needs_where(struct writing *w, const char *verb)
{
    if (w->tree->root.where)
        return true;
    return fault_set(w->q->fault, "21000", "%s requires a WHERE clause", verb);
}

static bool update_all(struct writing *w, const struct jsonscan_value *body)
{
    struct buf *b = &w->q->text;
    struct jsonscan_value *values;
    bool must_see = true; /* there is always a filter */
    int64_t count;
    if (body->type != JSONSCAN_OBJECT)
        return not_json(w, "The body of an update must be a JSON object");
    if (!needs_where(w, "UPDATE") || !find_columns(w, body->raw))
        return false;
    values = arena_alloc(w->q->arena, (w->columns_count + 1) * sizeof *values);
    if (!values || !match_members(w, body->raw, values))
        return values != NULL ? false : fault_set(w->q->fault, "53200", "out of memory");
    if (w->columns_count == 0)
        return true;
    buf_add_z(b, "UPDATE ");
    put_table(w);
    for (size_t i = 0; i < w->columns_count; i++) {
        struct cell c;
        if (!cell_for(w, i, &values[i], &c))
            return false;
        buf_add_z(b, i ? ", " : " SET ");
        sqlite_quote(b, w->columns[i]->name);
        buf_add_z(b, " = ");
        query_bind(w->q, b, c);
    }
    return put_where(w, POLICY_UPDATE, must_see) && put_returning(w, POLICY_UPDATE, must_see) &&
           run(w, &count);
}

static bool delete_all(struct writing *w)
{
    int64_t count;
    if (!needs_where(w, "DELETE"))
        return false;
    buf_add_z(&w->q->text, "DELETE FROM ");
    put_table(w);
    return put_where(w, POLICY_DELETE, true) && put_returning(w, POLICY_DELETE, false) &&
           run(w, &count);
}

/* ---- the answer ------------------------------------------------------------------------- */
static bool check_max(struct writing *w)
{
    if (!w->req->prefer.has_max || !w->req->prefer.strict ||
        w->affected <= w->req->prefer.max_affected)
        return true;
    fault_set(w->q->fault, "PGRST124", "Query result exceeds max-affected preference constraint");
    fault_details(w->q->fault, "The query affects %lld rows", (long long)w->affected);
    return false;
}

static void put_range(struct writing *w)
{
    char total[24] = "*";
    char *out = w->res->content_range;
    size_t size = sizeof w->res->content_range;
    if (w->req->prefer.count)
        snprintf(total, sizeof total, "%lld", (long long)w->affected);
    if (w->req->method == REST_UPDATE && w->affected)
        snprintf(out, size, "0-%lld/%s", (long long)w->affected - 1, total);
    else
        snprintf(out, size, "*/%s", total);
}

static bool answer(struct writing *w)
{
    struct rest_answer *res = w->res;
    bool representation = w->wants_rows && !w->wants_key;
    bool met_all = w->resolution == PREFER_MERGE && w->affected && !w->inserted;
    if (!check_max(w))
        return false;
    res->rows = w->affected;
    if (representation && !rows_end(&w->rows, w->q))
        return false;
    put_range(w);
    if (w->req->method == REST_PUT && met_all)
        res->status = representation ? 200 : 204;
    else if (w->req->method == REST_INSERT || w->req->method == REST_PUT)
        res->status = met_all ? 200 : 201;
    else
        res->status = representation ? 200 : 204;
    return true;
}

/* Columns of a CSV answer, also when no row comes. */
static void begin_rows(struct writing *w)
{
    rows_begin(&w->rows, w->req, w->res);
    if (w->req->accept.format == ACCEPT_CSV && w->wants_rows) {
        struct buf ignored = {0};
        select_row(w->q, &w->tree->root, w->t, w->t->name, &ignored);
        buf_add_buf(&w->res->body, &w->q->csv_header);
        buf_add_c(&w->res->body, '\n');
        buf_free(&ignored);
    }
    if (!w->wants_rows)
        buf_clear(&w->res->body);
    restart(w);
}

bool write_run(struct query *q, const struct rest_call *req, const struct restquery *tree,
               const struct table *t, struct rest_answer *res)
{
    struct writing *w = arena_zero(q->arena, sizeof *w);
    struct jsonscan_value body = {0};
    if (!w)
        return fault_set(q->fault, "53200", "out of memory");
    CHECK(q->h->writer);
    *w = (struct writing){.q = q, .req = req, .tree = tree, .t = t, .res = res};
    w->wants_key = req->prefer.returning == PREFER_RETURN_HEADERS;
    w->wants_rows = req->prefer.returning == PREFER_RETURN_REPRESENTATION;
    w->guarded = rls_applies(t, req->identity);
    w->resolution = req->prefer.resolution;
    if (t->view)
        return fault_set(q->fault, "55000", "cannot write to view \"%.*s\"", STR_ARG(t->name));
    begin_rows(w);
    if (req->method == REST_DELETE)
        return delete_all(w) && answer(w);
    if (jsonscan_check(req->body, JSONSCAN_DEPTH, &body) != 0 ||
        (body.type != JSONSCAN_OBJECT && body.type != JSONSCAN_ARRAY))
        return not_json(w, "Empty or invalid json");
    if (req->method == REST_UPDATE)
        return update_all(w, &body) && answer(w);
    if (req->method == REST_PUT) {
        w->resolution = PREFER_MERGE;
        if (!put_check(q, &tree->root, t, &body))
            return false;
    }
    if ((w->resolution || tree->on_conflict) && !find_target(w))
        return false;
    return insert_all(w, &body) && answer(w);
}
