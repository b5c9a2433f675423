/* SPDX-License-Identifier: Apache-2.0 */
/* PUT on a table: an upsert of one row that the address names by its primary key. Here is what
 * must hold before; the rest is write.c's. */
#include "db/request.h"

static bool names_a_part(const struct rest_logic *l)
{
    return l->kind == REST_LEAF && l->filter.op == REST_EQ && !l->filter.negated &&
           l->filter.quantifier == REST_ONE && l->filter.field.steps_count == 0;
}

static const struct rest_filter *filter_of(const struct rest_node *root, struct str column)
{
    for (const struct rest_logic *l = root->where; l; l = l->next)
        if (str_eq(l->filter.field.name, column))
            return &l->filter;
    return NULL;
}

static bool names_the_key(const struct rest_node *root, const struct table *t,
                          const struct unique_key *pk)
{
    size_t count = 0;
    for (const struct rest_logic *l = root->where; l; l = l->next, count++)
        if (!names_a_part(l))
            return false;
    for (size_t i = 0; pk && i < pk->count; i++)
        if (!filter_of(root, t->columns[pk->columns[i]].name))
            return false;
    return pk && count == pk->count;
}

static bool is_same(const struct cell *a, const struct cell *b)
{
    if (a->kind != b->kind)
        return false;
    switch (a->kind) {
    case CELL_NULL:
        return false;
    case CELL_INT:
        return a->i == b->i;
    case CELL_REAL:
        return a->r == b->r;
    case CELL_TEXT:
    case CELL_BLOB:
        return str_eq(a->s, b->s);
    }
    return false;
}

static bool has_value(struct query *q, struct str object, const struct column *c, struct str text)
{
    struct jsonscan_iter it = jsonscan_iter(object);
    struct jsonscan_member m;
    struct cell given, named;
    while (jsonscan_next(&it, q->arena, &m) > 0)
        if (str_eq(m.key, c->name))
            return type_from_json(&c->type, &m.value, q->arena, &given, q->fault) &&
                   type_from_text(&c->type, text, q->arena, &named, q->fault) &&
                   is_same(&given, &named);
    return false;
}

/* The body's one row; empty when it is not one. */
static struct str one_row(struct query *q, const struct jsonscan_value *body)
{
    struct jsonscan_iter it = jsonscan_iter(body->raw);
    struct jsonscan_member first, second;
    if (body->type == JSONSCAN_OBJECT)
        return body->raw;
    if (jsonscan_next(&it, q->arena, &first) <= 0 || first.value.type != JSONSCAN_OBJECT ||
        jsonscan_next(&it, q->arena, &second) > 0)
        return STR_NONE;
    return first.value.raw;
}

bool put_check(struct query *q, const struct rest_node *root, const struct table *t,
               const struct jsonscan_value *body)
{
    const struct unique_key *pk = schema_primary(t);
    struct str row = one_row(q, body);
    if (root->limit >= 0 || root->offset)
        return fault_set(q->fault, "PGRST114",
                         "limit/offset querystring parameters are not allowed for PUT");
    if (!names_the_key(root, t, pk))
        return fault_set(
            q->fault, "PGRST105",
            "Filters must include all and only primary key columns with 'eq' operators");
    for (size_t i = 0; i < pk->count; i++) {
        const struct column *c = &t->columns[pk->columns[i]];
        if (row.n && has_value(q, row, c, filter_of(root, c->name)->value))
            continue;
        return q->fault->code[0]
                   ? false
                   : fault_set(q->fault, "PGRST115",
                               "Payload values do not match URL in primary key column(s)");
    }
    return true;
}
