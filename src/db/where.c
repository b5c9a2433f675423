/* SPDX-License-Identifier: Apache-2.0 */
/* Filters as SQL conditions. A value is read by the type of its column (type_from_text), so a
 * filter that PostgreSQL would refuse is refused with its words, and what is compared has the
 * column's own form. */
#include "base/json.h"
#include "db/query.h"
#include "db/sqlite.h"

/* "$."a"[0]" for SQLite. A key with a quote in it cannot be said there. */
static bool json_path(struct query *q, const struct rest_field *f, struct str *out)
{
    struct buf b = {0};
    buf_add_c(&b, '$');
    for (size_t i = 0; i < f->steps_count; i++) {
        const struct rest_step *s = &f->steps[i];
        if (s->is_index && s->index < 0)
            buf_printf(&b, "[#%lld]", (long long)s->index);
        else if (s->is_index)
            buf_printf(&b, "[%lld]", (long long)s->index);
        else if (str_find(s->key, '"') >= 0) {
            buf_free(&b);
            return fault_set(q->fault, "PGRST100", "a JSON key with a quote cannot be selected");
        } else
            buf_printf(&b, ".\"%.*s\"", STR_ARG(s->key));
    }
    *out = arena_dup(q->arena, buf_str(&b));
    buf_free(&b);
    return true;
}

bool where_field(struct query *q, const struct rest_field *f, const struct table *t,
                 struct str alias, bool for_filter, struct buf *to, struct type *type)
{
    const struct column *c = schema_column(t, f->name);
    struct str path;
    bool as_text;
    if (!c)
        return query_no_column(q, t, f->name);
    *type = c->type;
    if (f->steps_count == 0) {
        query_column(to, alias, c);
        return true;
    }
    if (c->type.kind != TYPE_JSON && c->type.kind != TYPE_ARRAY && c->type.kind != TYPE_ANY)
        return fault_set(q->fault, "42883", "operator does not exist: %s -> unknown", c->type.name);
    if (!json_path(q, f, &path))
        return false;
    as_text = f->steps[f->steps_count - 1].as_text;
    if (as_text) {
        type_parse(type, STR("text"));
        buf_add_z(to, "tw_text(");
    } else
        type_parse(type, STR("jsonb"));
    query_column(to, alias, c);
    buf_add_z(to, for_filter && !as_text ? " ->> " : " -> ");
    query_bind(q, to, cell_text(path));
    if (as_text)
        buf_add_c(to, ')');
    return true;
}

/* A JSON path with "->" compares as what the JSON holds. */
static struct cell json_cell(struct query *q, struct str text)
{
    struct jsonscan_value v;
    struct type any;
    struct fault ignored;
    struct cell c;
    type_parse(&any, STR(""));
    if (jsonscan_check(text, JSONSCAN_DEPTH, &v) == 0 &&
        type_from_json(&any, &v, q->arena, &c, &ignored))
        return c;
    return cell_text(text);
}

struct operand {
    struct str sql;
    struct type type;
    bool path;        /* a JSON path */
    bool json_column; /* a whole JSON value */
};

static bool value_of(struct query *q, const struct operand *o, struct str text, struct cell *out)
{
    if (o->path && o->type.kind == TYPE_JSON) {
        *out = json_cell(q, text);
        return true;
    }
    return type_from_text(&o->type, text, q->arena, out, q->fault);
}

/* In the order of enum rest_op. */
static const char *comparison(enum rest_op op)
{
    static const char *const words[] = {" = ", " <> ", " > ", " >= ", " < ", " <= "};
    return op == REST_ISDISTINCT ? " IS NOT " : words[op];
}

static bool is_text_like(const struct operand *o)
{
    return o->type.kind == TYPE_TEXT || o->type.kind == TYPE_ANY;
}

static bool pattern(struct query *q, const struct operand *o, enum rest_op op, struct str value,
                    struct buf *to)
{
    bool like = op == REST_LIKE || op == REST_ILIKE;
    bool fold = op == REST_ILIKE || op == REST_IMATCH;
    char *p;
    if (!is_text_like(o))
        return fault_set(q->fault, "42883", "operator does not exist: %s %s unknown", o->type.name,
                         like ? (fold ? "~~*" : "~~") : (fold ? "~*" : "~"));
    if (like) { /* '*' stands for '%', which need not be escaped in URLs */
        p = arena_alloc(q->arena, value.n + 1);
        if (!p)
            return fault_set(q->fault, "53200", "out of memory");
        for (size_t i = 0; i < value.n; i++)
            p[i] = value.p[i] == '*' ? '%' : value.p[i];
        value = str_of(p, value.n);
    }
    buf_add_z(to, like ? "tw_like(" : "tw_match(");
    query_bind(q, to, cell_text(value));
    buf_printf(to, ", %.*s, %d)", STR_ARG(o->sql), fold);
    return true;
}

static bool containment(struct query *q, const struct operand *o, enum rest_op op, struct str value,
                        struct buf *to)
{
    struct cell c;
    bool braces = value.n && value.p[0] == '{';
    if (o->type.kind == TYPE_ARRAY && braces) {
        if (!type_from_text(&o->type, value, q->arena, &c, q->fault))
            return false;
    } else if (o->type.kind == TYPE_JSON || o->type.kind == TYPE_ARRAY) {
        struct type json;
        type_parse(&json, STR("json"));
        if (!type_from_text(&json, value, q->arena, &c, q->fault))
            return false;
    } else
        return fault_set(q->fault, "42883", "operator does not exist: %s %s unknown", o->type.name,
                         op == REST_CS ? "@>" : (op == REST_CD ? "<@" : "&&"));
    buf_add_z(to, op == REST_OV ? "tw_overlaps(" : "tw_contains(");
    if (op == REST_CD)
        query_bind(q, to, c);
    else
        buf_add_str(to, o->sql);
    buf_add_z(to, ", ");
    if (op == REST_CD)
        buf_add_str(to, o->sql);
    else
        query_bind(q, to, c);
    buf_add_c(to, ')');
    return true;
}

static void put_json(struct buf *b, const struct cell *c)
{
    switch (c->kind) {
    case CELL_NULL:
        buf_add_z(b, "null");
        break;
    case CELL_INT:
        buf_add_i64(b, c->i);
        break;
    case CELL_REAL:
        type_write_real(b, c->r);
        break;
    case CELL_TEXT:
    case CELL_BLOB:
        json_add_string(b, c->s);
        break;
    }
}

/* One parameter for the whole list, so that the statement is the same for any length. */
static bool in_list(struct query *q, const struct operand *o, const struct rest_filter *f,
                    struct buf *to)
{
    struct buf b = {0};
    struct str json;
    buf_add_c(&b, '[');
    for (size_t i = 0; i < f->values_count; i++) {
        struct cell c;
        if (!value_of(q, o, f->values[i], &c)) {
            buf_free(&b);
            return false;
        }
        buf_add_z(&b, i ? "," : "");
        put_json(&b, &c);
    }
    buf_add_c(&b, ']');
    json = arena_dup(q->arena, buf_str(&b));
    to->failed |= b.failed || !json.p;
    buf_free(&b);
    buf_add_str(to, o->sql);
    buf_add_z(to, " IN (SELECT value FROM json_each(");
    query_bind(q, to, cell_text(json));
    buf_add_z(to, "))");
    return true;
}

static bool is_test(struct query *q, const struct operand *o, enum rest_is is, struct buf *to)
{
    static const char *const words[] = {" IS NULL", " IS NOT NULL", " IS TRUE", " IS FALSE",
                                        " IS NULL"};
    static const char *const names[] = {"", "", "TRUE", "FALSE", "UNKNOWN"};
    if (is >= REST_IS_TRUE && o->type.kind != TYPE_BOOL)
        return fault_set(q->fault, "42804", "argument of IS %s must be type boolean, not type %s",
                         names[is], o->type.name);
    buf_add_str(to, o->sql);
    buf_add_z(to, words[is]);
    return true;
}

static bool test_one(struct query *q, const struct operand *o, enum rest_op op, struct str value,
                     struct buf *to)
{
    struct cell c;
    if (op == REST_LIKE || op == REST_ILIKE || op == REST_MATCH || op == REST_IMATCH)
        return pattern(q, o, op, value, to);
    if (!value_of(q, o, value, &c))
        return false;
    if (o->json_column) { /* as values: blanks do not count */
        buf_printf(to, "json(%.*s)%sjson(", STR_ARG(o->sql), comparison(op));
        query_bind(q, to, c);
        buf_add_c(to, ')');
        return true;
    }
    buf_add_str(to, o->sql);
    buf_add_z(to, comparison(op));
    query_bind(q, to, c);
    return true;
}

static bool test_many(struct query *q, const struct operand *o, const struct rest_filter *f,
                      struct buf *to)
{
    if (f->values_count == 0)
        buf_add_z(to, f->quantifier == REST_ANY ? "0" : "1");
    for (size_t i = 0; i < f->values_count; i++) {
        if (i)
            buf_add_z(to, f->quantifier == REST_ANY ? " OR " : " AND ");
        if (!test_one(q, o, f->op, f->values[i], to))
            return false;
    }
    return true;
}

static bool operand_of(struct query *q, const struct rest_field *f, const struct table *t,
                       struct str alias, struct operand *o)
{
    struct buf b = {0};
    bool ok = where_field(q, f, t, alias, true, &b, &o->type);
    const struct column *c = ok ? schema_column(t, f->name) : NULL;
    o->path = f->steps_count > 0;
    o->json_column = !o->path && o->type.kind == TYPE_JSON;
    if (ok && !o->path && o->type.kind == TYPE_ANY && strcmp(c->affinity, "BLOB") == 0) {
        struct buf cast = {0}; /* no affinity: what was stored as a number is compared as text */
        buf_printf(&cast, "CAST(%.*s AS TEXT)", STR_ARG(buf_str(&b)));
        b.failed |= cast.failed;
        o->sql = arena_dup(q->arena, buf_str(&cast));
        buf_free(&cast);
    } else
        o->sql = arena_dup(q->arena, buf_str(&b));
    q->text.failed |= b.failed || !o->sql.p;
    buf_free(&b);
    return ok;
}

static bool test(struct query *q, const struct rest_filter *f, const struct operand *o,
                 struct buf *to)
{
    switch (f->op) {
    case REST_IN:
        return in_list(q, o, f, to);
    case REST_IS:
        return is_test(q, o, f->is, to);
    case REST_CS:
    case REST_CD:
    case REST_OV:
        return containment(q, o, f->op, f->value, to);
    case REST_EQ:
    case REST_NEQ:
    case REST_GT:
    case REST_GTE:
    case REST_LT:
    case REST_LTE:
    case REST_LIKE:
    case REST_ILIKE:
    case REST_MATCH:
    case REST_IMATCH:
    case REST_ISDISTINCT:
        return f->quantifier == REST_ONE ? test_one(q, o, f->op, f->value, to)
                                         : test_many(q, o, f, to);
    case REST_SL:
    case REST_SR:
    case REST_NXL:
    case REST_NXR:
    case REST_ADJ:
    case REST_FTS:
    case REST_PLFTS:
    case REST_PHFTS:
    case REST_WFTS:
        break;
    }
    fault_set(q->fault, "0A000", "range and full-text operators are not supported on SQLite");
    return false;
}

/* rel=is.null: no related row; rel=not.is.null: one. */
static bool embed_test(struct query *q, const struct rest_node *embed, const struct rest_filter *f,
                       const struct table *t, struct str alias, struct buf *to)
{
    bool wanted = f->is == REST_IS_NOT_NULL;
    if (f->op != REST_IS || f->is > REST_IS_NOT_NULL)
        return fault_set(q->fault, "PGRST120", "Bad operator on the '%.*s' embedded resource",
                         STR_ARG(str_head(f->field.name, 100)));
    buf_add_z(to, wanted != f->negated ? "(" : "(NOT ");
    if (!relation_exists(q, embed, t, alias, to))
        return false;
    buf_add_c(to, ')');
    return true;
}

static bool leaf(struct query *q, const struct rest_node *node, const struct rest_filter *f,
                 const struct table *t, struct str alias, struct buf *to)
{
    const struct rest_node *embed =
        schema_column(t, f->field.name) ? NULL : relation_named(node, f->field.name);
    struct operand o;
    if (embed)
        return embed_test(q, embed, f, t, alias, to);
    if (!operand_of(q, &f->field, t, alias, &o))
        return false;
    buf_add_z(to, f->negated ? "(NOT (" : "(");
    if (!test(q, f, &o, to))
        return false;
    buf_add_z(to, f->negated ? "))" : ")");
    return true;
}

static bool logic(struct query *q, const struct rest_node *node, const struct rest_logic *l,
                  const struct table *t, struct str alias, struct buf *to)
{
    if (l->kind == REST_LEAF)
        return leaf(q, node, &l->filter, t, alias, to);
    buf_add_z(to, l->negated ? "(NOT (" : "(");
    for (const struct rest_logic *c = l->children; c; c = c->next) {
        if (c != l->children)
            buf_add_z(to, l->kind == REST_OR ? " OR " : " AND ");
        if (!logic(q, node, c, t, alias, to))
            return false;
    }
    buf_add_z(to, l->negated ? "))" : ")");
    return true;
}

bool where_add(struct query *q, const struct rest_node *node, const struct table *t,
               struct str alias, struct buf *to)
{
    for (const struct rest_logic *l = node->where; l; l = l->next) {
        buf_add_z(to, " AND ");
        if (!logic(q, node, l, t, alias, to))
            return false;
    }
    for (const struct rest_item *i = node->items; i; i = i->next) {
        if (i->kind != REST_EMBED || i->embed->join != REST_JOIN_INNER)
            continue;
        buf_add_z(to, " AND ");
        if (!relation_exists(q, i->embed, t, alias, to))
            return false;
    }
    return true;
}
