/* SPDX-License-Identifier: Apache-2.0 */
/* Select lists and reads. What a node selects becomes the arguments of tw_row and a spec that says
 * how each is written and under which key (functions.h). */
#include "base/json.h"
#include "db/functions.h"
#include "db/query.h"
#include "db/rls.h"
#include "db/sqlite.h"

/* The list being written. A spread embed writes into its parent's list, each value wrapped in a
 * sub-select of its own (`tail`). */
struct list_out {
    struct buf *spec, *values, *groups;
    bool *aggregated;
    struct buf *header;
    struct str tail;
    const struct list_out *outer;
};

static bool add_items(struct query *q, const struct rest_node *node, const struct table *t,
                      struct str alias, const struct list_out *out);

static void add_value(const struct list_out *out, char kind, struct str key, struct str sql)
{
    struct buf wrapped = {0};
    functions_spec_add(out->spec, kind, key);
    if (out->header) {
        buf_add_z(out->header, out->header->n ? "," : "");
        buf_add_str(out->header, key);
    }
    buf_add_z(out->values, ", ");
    for (const struct list_out *w = out; w; w = w->outer)
        if (w->tail.n)
            buf_add_z(&wrapped, "(SELECT ");
    buf_add_str(&wrapped, sql);
    for (const struct list_out *w = out; w; w = w->outer) {
        if (w->tail.n) {
            buf_add_str(&wrapped, w->tail);
            buf_add_c(&wrapped, ')');
        }
    }
    buf_add_buf(out->values, &wrapped);
    out->values->failed |= wrapped.failed;
    buf_free(&wrapped);
}

static void add_group(const struct list_out *out, struct str sql)
{
    buf_add_z(out->groups, out->groups->n ? ", " : "");
    buf_add_str(out->groups, sql);
}

static void add_all_columns(const struct table *t, struct str alias, const struct list_out *out)
{
    for (size_t i = 0; i < t->columns_count; i++) {
        struct buf b = {0};
        query_column(&b, alias, &t->columns[i]);
        add_value(out, (char)t->columns[i].type.kind, t->columns[i].name, buf_str(&b));
        add_group(out, buf_str(&b));
        buf_free(&b);
    }
}

/* Wraps *sql for "::name"; *kind becomes how it is written. */
static bool apply_cast(struct query *q, struct str name, const struct type *from, struct buf *sql,
                       char *kind)
{
    struct type to;
    struct buf b = {0};
    const char *format = "%.*s";
    if (!type_parse_cast(&to, name))
        return fault_set(q->fault, "42704", "type \"%.*s\" does not exist",
                         STR_ARG(str_head(name, 60)));
    *kind = (char)to.kind;
    switch (to.kind) {
    case TYPE_TEXT:
        *kind = 's';
        if (from->kind == TYPE_BOOL)
            format = "CASE %.*s WHEN 1 THEN 'true' WHEN 0 THEN 'false' END";
        break;
    case TYPE_INT:
        format = "CAST(%.*s AS INTEGER)";
        break;
    case TYPE_REAL:
    case TYPE_NUMERIC:
        format = "CAST(%.*s AS REAL)";
        break;
    case TYPE_BOOL:
        format = from->kind == TYPE_BOOL ? "%.*s" : "(%.*s <> 0)";
        break;
    case TYPE_DATE:
        format = "substr(%.*s, 1, 10)";
        break;
    case TYPE_JSON:
    case TYPE_ARRAY:
    case TYPE_TIMESTAMPTZ:
    case TYPE_TIMESTAMP:
    case TYPE_TIME:
    case TYPE_UUID:
    case TYPE_BYTES:
    case TYPE_ANY:
        break;
    }
    buf_printf(&b, format, STR_ARG(buf_str(sql)));
    buf_clear(sql);
    buf_add_buf(sql, &b);
    buf_free(&b);
    return true;
}

static bool is_count_word(const struct rest_item *i, const struct table *t)
{
    return !i->aggregate && str_is(i->field.name, "count") && !i->field.steps_count &&
           !schema_column(t, i->field.name);
}

static struct str key_of(const struct rest_item *i)
{
    static const char *const names[] = {"", "count", "sum", "avg", "min", "max"};
    if (i->alias.n)
        return i->alias;
    if (i->aggregate)
        return str_from(names[i->aggregate]);
    for (size_t s = i->field.steps_count; s > 0; s--)
        if (!i->field.steps[s - 1].is_index)
            return i->field.steps[s - 1].key;
    return i->field.name;
}

static bool apply_aggregate(struct query *q, const struct rest_item *i, struct buf *sql, char *kind,
                            struct type *type)
{
    static const char *const names[] = {"", "count", "sum", "avg", "min", "max"};
    struct buf b = {0};
    buf_printf(&b, "%s(%.*s)", names[i->aggregate], STR_ARG(buf_str(sql)));
    buf_clear(sql);
    buf_add_buf(sql, &b);
    buf_free(&b);
    if (i->aggregate == REST_COUNT)
        *kind = TYPE_INT;
    else if (i->aggregate == REST_SUM || i->aggregate == REST_AVG)
        *kind = TYPE_NUMERIC;
    if (!i->aggregate_cast.n)
        return true;
    type_parse(type, STR("numeric"));
    return apply_cast(q, i->aggregate_cast, type, sql, kind);
}

static bool add_field(struct query *q, const struct rest_item *item, const struct table *t,
                      struct str alias, const struct list_out *out)
{
    struct rest_item i = *item;
    struct buf sql = {0};
    struct type type = {0};
    char kind = TYPE_INT;
    bool ok = true;
    if (is_count_word(&i, t)) {
        i.aggregate = REST_COUNT;
        i.field.name = STR_NONE;
    }
    if (!i.field.name.p)
        buf_add_c(&sql, '*');
    else {
        ok = where_field(q, &i.field, t, alias, false, &sql, &type);
        kind = ok ? (char)type.kind : 'v';
    }
    if (ok && i.cast.n)
        ok = apply_cast(q, i.cast, &type, &sql, &kind);
    if (ok && i.aggregate) {
        *out->aggregated = true;
        ok = apply_aggregate(q, &i, &sql, &kind, &type);
    } else if (ok)
        add_group(out, buf_str(&sql));
    if (ok)
        add_value(out, kind, key_of(&i), buf_str(&sql));
    buf_free(&sql);
    return ok;
}

/* " FROM src AS alias WHERE join AND filters" */
static bool embed_tail(struct query *q, const struct rest_node *embed, const struct relation *r,
                       struct str parent, struct str alias, struct buf *to)
{
    buf_add_z(to, " FROM ");
    rls_source(r->target, q->identity, to);
    buf_printf(to, " AS %.*s WHERE ", STR_ARG(alias));
    relation_join(q, r, parent, alias, to);
    return where_add(q, embed, r->target, alias, to);
}

static void add_limits(struct query *q, int64_t limit, int64_t offset, struct buf *to)
{
    buf_add_z(to, " LIMIT ");
    query_bind(q, to, cell_int(limit));
    buf_add_z(to, " OFFSET ");
    query_bind(q, to, cell_int(offset));
}

/* tw_row(...) and, when aggregating, what to group by. */
static bool row(struct query *q, const struct rest_node *node, const struct table *t,
                struct str alias, bool root, struct buf *to, struct buf *group_by)
{
    struct buf spec = {0}, values = {.max = 1 << 20}, groups = {0};
    bool aggregated = false, ok;
    bool csv = root && q->format == QUERY_CSV;
    struct list_out out = {&spec,    &values, &groups, &aggregated, csv ? &q->csv_header : NULL,
                           STR_NONE, NULL};
    struct str kept;
    functions_spec_begin(&spec, q->format == QUERY_JSON_STRIPPED);
    ok = add_items(q, node, t, alias, &out);
    kept = arena_dup(q->arena, buf_str(&spec));
    if (ok && (spec.failed || !kept.p))
        ok = fault_set(q->fault, "53200", "out of memory");
    if (ok) {
        buf_add_z(to, csv ? "tw_csv(" : "tw_row(");
        query_bind(q, to, cell_text(kept));
        buf_add_buf(to, &values);
        buf_add_c(to, ')');
        to->failed |= values.failed;
    }
    if (aggregated && groups.n) {
        buf_add_z(group_by, " GROUP BY ");
        buf_add_buf(group_by, &groups);
    }
    buf_free(&spec);
    buf_free(&values);
    buf_free(&groups);
    return ok;
}

static bool embed_many(struct query *q, const struct rest_node *embed, const struct relation *r,
                       struct str parent, struct str alias, struct buf *to)
{
    struct buf group_by = {0};
    bool ok;
    buf_add_z(to, "(SELECT tw_array(j) FROM (SELECT ");
    ok = row(q, embed, r->target, alias, false, to, &group_by);
    buf_add_z(to, " AS j");
    ok = ok && embed_tail(q, embed, r, parent, alias, to);
    buf_add_buf(to, &group_by);
    ok = ok && select_order(q, embed, r->target, alias, to);
    add_limits(q, embed->limit, embed->offset, to);
    buf_add_z(to, "))");
    buf_free(&group_by);
    return ok;
}

static bool embed_one(struct query *q, const struct rest_node *embed, const struct relation *r,
                      struct str parent, struct str alias, struct buf *to)
{
    struct buf group_by = {0};
    bool ok;
    buf_add_z(to, "(SELECT ");
    ok = row(q, embed, r->target, alias, false, to, &group_by);
    ok = ok && embed_tail(q, embed, r, parent, alias, to);
    buf_add_z(to, " LIMIT 1)");
    buf_free(&group_by);
    return ok;
}

static bool add_spread(struct query *q, const struct rest_node *embed, const struct table *parent,
                       const struct relation *r, struct str parent_alias, struct str alias,
                       const struct list_out *out)
{
    struct buf tail = {0}, groups = {0};
    bool aggregated = false, ok;
    struct list_out inner = {out->spec,   out->values, &groups, &aggregated,
                             out->header, STR_NONE,    out};
    if (r->kind != RELATION_TO_ONE) {
        fault_set(q->fault, "PGRST119", "A spread operation on '%.*s' is not possible",
                  STR_ARG(str_head(embed->relation, 100)));
        fault_details(q->fault,
                      "'%.*s' and '%.*s' do not form a many-to-one or one-to-one relationship",
                      STR_ARG(parent->name), STR_ARG(r->target->name));
        return false;
    }
    ok = embed_tail(q, embed, r, parent_alias, alias, &tail);
    buf_add_z(&tail, " LIMIT 1");
    inner.tail = buf_str(&tail);
    ok = ok && add_items(q, embed, r->target, alias, &inner);
    if (ok && aggregated)
        ok = fault_set(q->fault, "PGRST127", "Aggregates in a spread are not supported");
    buf_free(&tail);
    buf_free(&groups);
    return ok;
}

static bool add_embed(struct query *q, const struct rest_node *embed, const struct table *t,
                      struct str alias, const struct list_out *out)
{
    struct relation r;
    struct str child = query_alias(q);
    struct buf sql = {.max = 1 << 20};
    bool ok;
    if (!relation_find(q, t, embed, &r))
        return false;
    if (embed->spread)
        return add_spread(q, embed, t, &r, alias, child, out);
    if (embed->has_select && !embed->items) /* rel(): only there to filter by */
        return true;
    ok = r.kind == RELATION_TO_ONE ? embed_one(q, embed, &r, alias, child, &sql)
                                   : embed_many(q, embed, &r, alias, child, &sql);
    if (ok)
        add_value(out, 'r', embed->alias.n ? embed->alias : embed->relation, buf_str(&sql));
    out->values->failed |= sql.failed;
    buf_free(&sql);
    return ok;
}

static bool add_items(struct query *q, const struct rest_node *node, const struct table *t,
                      struct str alias, const struct list_out *out)
{
    if (!node->has_select)
        add_all_columns(t, alias, out);
    for (const struct rest_item *i = node->items; i; i = i->next) {
        bool ok = true;
        switch (i->kind) {
        case REST_STAR:
            add_all_columns(t, alias, out);
            break;
        case REST_FIELD:
            ok = add_field(q, i, t, alias, out);
            break;
        case REST_EMBED:
            ok = add_embed(q, i->embed, t, alias, out);
            break;
        }
        if (!ok)
            return false;
    }
    return true;
}

bool select_row(struct query *q, const struct rest_node *node, const struct table *t,
                struct str alias, struct buf *to)
{
    struct buf group_by = {0};
    bool ok = row(q, node, t, alias, true, to, &group_by);
    buf_free(&group_by);
    return ok;
}

bool select_has_aggregate(const struct rest_node *node, const struct table *t)
{
    for (const struct rest_item *i = node->items; i; i = i->next)
        if (i->kind == REST_FIELD && (i->aggregate || is_count_word(i, t)))
            return true;
    return false;
}

static bool related_order(struct query *q, const struct rest_node *node, const struct table *t,
                          const struct rest_order *o, struct str alias, struct buf *to)
{
    const struct rest_node *embed = relation_named(node, o->relation);
    struct str child = query_alias(q);
    struct str name = str_head(o->relation, 100);
    struct relation r;
    struct type type;
    if (!embed) {
        fault_set(q->fault, "PGRST108", "'%.*s' is not an embedded resource in this request",
                  STR_ARG(name));
        fault_hint(q->fault, "Verify that '%.*s' is included in the 'select' query parameter.",
                   STR_ARG(name));
        return false;
    }
    if (!relation_find(q, t, embed, &r))
        return false;
    if (r.kind != RELATION_TO_ONE) {
        fault_set(q->fault, "PGRST118", "A related order on '%.*s' is not possible", STR_ARG(name));
        fault_details(q->fault,
                      "'%.*s' and '%.*s' do not form a many-to-one or one-to-one relationship",
                      STR_ARG(t->name), STR_ARG(name));
        return false;
    }
    buf_add_z(to, "(SELECT ");
    if (!where_field(q, &o->field, r.target, child, true, to, &type) ||
        !embed_tail(q, embed, &r, alias, child, to))
        return false;
    buf_add_z(to, " LIMIT 1)");
    return true;
}

/* PostgreSQL's default puts NULL last when ascending and first when descending, SQLite's the
 * other way; said only where NULL can be, so that an index may still give the order. */
static void nulls(const struct rest_order *o, const struct column *c, struct buf *to)
{
    bool first = o->nulls == REST_NULLS_FIRST || (o->nulls == REST_NULLS_DEFAULT && o->descending);
    if (o->descending)
        buf_add_z(to, " DESC");
    if (c && c->not_null && !o->field.steps_count)
        return;
    buf_add_z(to, first ? " NULLS FIRST" : " NULLS LAST");
}

/* INTEGER PRIMARY KEY: the order in which rows came, which people expect where they ask for none
 * (and which SQLite would not keep when another index covers the request). */
static const struct column *rowid_column(const struct table *t)
{
    const struct unique_key *pk = schema_primary(t);
    const struct column *c = pk && pk->count == 1 ? &t->columns[pk->columns[0]] : NULL;
    return c && str_eq_nocase(c->declared, STR("integer")) ? c : NULL;
}

bool select_order(struct query *q, const struct rest_node *node, const struct table *t,
                  struct str alias, struct buf *to)
{
    const struct column *rowid = rowid_column(t);
    if (!node->order && rowid && !select_has_aggregate(node, t)) {
        buf_add_z(to, " ORDER BY ");
        query_column(to, alias, rowid);
    }
    for (const struct rest_order *o = node->order; o; o = o->next) {
        struct type type;
        const struct column *c = NULL;
        buf_add_z(to, o == node->order ? " ORDER BY " : ", ");
        if (o->relation.n) {
            if (!related_order(q, node, t, o, alias, to))
                return false;
        } else {
            if (!where_field(q, &o->field, t, alias, true, to, &type))
                return false;
            c = schema_column(t, o->field.name);
        }
        nulls(o, c, to);
    }
    return true;
}

static void put_root(struct query *q, const struct table *t)
{
    if (q->source.n)
        buf_add_str(&q->text, q->source);
    else
        rls_source(t, q->identity, &q->text);
    buf_add_z(&q->text, " AS ");
    sqlite_quote(&q->text, t->name);
    buf_add_z(&q->text, " WHERE 1");
}

bool select_read(struct query *q, const struct rest_node *node, const struct table *t,
                 int64_t limit_max)
{
    struct buf group_by = {0};
    int64_t limit = node->limit;
    bool ok;
    if (limit_max && (limit < 0 || limit > limit_max))
        limit = limit_max;
    buf_add_z(&q->text, "SELECT ");
    ok = row(q, node, t, t->name, true, &q->text, &group_by);
    buf_add_z(&q->text, " FROM ");
    put_root(q, t);
    ok = ok && where_add(q, node, t, t->name, &q->text);
    buf_add_buf(&q->text, &group_by);
    ok = ok && select_order(q, node, t, t->name, &q->text);
    add_limits(q, limit, node->offset, &q->text);
    buf_free(&group_by);
    return ok;
}

bool select_count(struct query *q, const struct rest_node *node, const struct table *t)
{
    buf_add_z(&q->text, "SELECT count(*) FROM ");
    put_root(q, t);
    return where_add(q, node, t, t->name, &q->text);
}
