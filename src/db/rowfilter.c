/* SPDX-License-Identifier: Apache-2.0 */
/* See rowfilter.h. */
#include "db/rowfilter.h"
#include "db/functions.h"
#include "wire/regex.h"
#include <stdio.h>

struct rowfilter_test {
    size_t column;
    enum rest_op op;
    bool negated;
    enum rest_is is;
    struct cell *values;
    size_t values_count;
    struct regex *regex;
};

static bool is_text(const struct type *t)
{
    return t->kind == TYPE_TEXT || t->kind == TYPE_ANY;
}

static bool refuse(struct fault *fault, struct str column)
{
    return fault_set(fault, "22P02", "invalid value for filter on column %.*s",
                     STR_ARG(str_head(column, 100)));
}

static bool compile_pattern(struct rowfilter *f, struct rowfilter_test *test,
                            const struct rest_filter *from, const struct column *c,
                            struct fault *fault)
{
    const char *why;
    char *p;
    if (!is_text(&c->type))
        return refuse(fault, c->name);
    if (from->op == REST_MATCH || from->op == REST_IMATCH) {
        test->regex = regex_compile(from->value, from->op == REST_IMATCH, &why);
        return test->regex ? true : fault_set(fault, "2201B", "%s", why);
    }
    p = arena_alloc(&f->arena, from->value.n + 1);
    if (!p)
        return fault_set(fault, "53200", "out of memory");
    for (size_t i = 0; i < from->value.n; i++)
        p[i] = from->value.p[i] == '*' ? '%' : from->value.p[i];
    test->values[0] = cell_text(str_of(p, from->value.n));
    test->values_count = 1;
    return true;
}

static bool compile_values(struct rowfilter *f, struct rowfilter_test *test,
                           const struct rest_filter *from, const struct column *c,
                           struct fault *fault)
{
    size_t n = from->op == REST_IN ? from->values_count : 1;
    for (size_t i = 0; i < n; i++) {
        struct str text = from->op == REST_IN ? from->values[i] : from->value;
        text = arena_dup(&f->arena, text);
        if (!text.p || !type_from_text(&c->type, text, &f->arena, &test->values[i], fault))
            return false;
    }
    test->values_count = n;
    return true;
}

static bool compile(struct rowfilter *f, struct rowfilter_test *test,
                    const struct rest_filter *from, const struct table *t, struct fault *fault)
{
    const struct column *c = schema_column(t, from->field.name);
    if (!c || from->field.steps_count)
        return fault_set(fault, "42703", "invalid column for filter %.*s",
                         STR_ARG(str_head(from->field.name, 100)));
    *test = (struct rowfilter_test){.column = (size_t)(c - t->columns),
                                    .op = from->op,
                                    .negated = from->negated,
                                    .is = from->is};
    test->values = arena_zero(&f->arena, (from->values_count + 1) * sizeof *test->values);
    if (!test->values)
        return fault_set(fault, "53200", "out of memory");
    if (from->quantifier != REST_ONE || (from->op >= REST_CS && from->op <= REST_WFTS))
        return fault_set(fault, "0A000", "this operator cannot filter changes");
    if (from->op == REST_IS)
        return from->is < REST_IS_TRUE || c->type.kind == TYPE_BOOL ? true : refuse(fault, c->name);
    if (from->op == REST_LIKE || from->op == REST_ILIKE || from->op == REST_MATCH ||
        from->op == REST_IMATCH)
        return compile_pattern(f, test, from, c, fault);
    return compile_values(f, test, from, c, fault);
}

bool rowfilter_compile(struct rowfilter *f, const struct table *t, struct str filter,
                       struct fault *fault)
{
    struct rest_logic *list;
    struct rest_error error;
    size_t n = 0;
    *f = (struct rowfilter){.arena = {.max = 1 << 20}};
    if (!restquery_parse_watch(&list, filter, &f->arena, &error)) {
        fault_set(fault, "PGRST100", "Error parsing `filter` params: %.*s", STR_ARG(error.message));
        rowfilter_free(f);
        return false;
    }
    for (const struct rest_logic *l = list; l; l = l->next)
        n++;
    f->tests = arena_zero(&f->arena, (n + 1) * sizeof *f->tests);
    for (const struct rest_logic *l = list; l && f->tests; l = l->next) {
        f->count++;
        if (compile(f, &f->tests[f->count - 1], &l->filter, t, fault))
            continue;
        rowfilter_free(f);
        return false;
    }
    return f->tests ? true : fault_set(fault, "53200", "out of memory");
}

void rowfilter_free(struct rowfilter *f)
{
    for (size_t i = 0; i < f->count; i++)
        regex_free(&f->tests[i].regex);
    arena_free(&f->arena);
    *f = (struct rowfilter){0};
}

static bool is_number(const struct cell *c)
{
    return c->kind == CELL_INT || c->kind == CELL_REAL;
}

static double number_of(const struct cell *c)
{
    return c->kind == CELL_INT ? (double)c->i : c->r;
}

static struct str text_of(const struct cell *c, char room[40])
{
    if (c->kind == CELL_INT)
        return str_of(room, (size_t)snprintf(room, 40, "%lld", (long long)c->i));
    if (c->kind == CELL_REAL)
        return str_of(room, (size_t)snprintf(room, 40, "%.15g", c->r));
    return c->s;
}

static int compare(const struct cell *a, const struct cell *b)
{
    char left[40], right[40];
    if (a->kind == CELL_INT && b->kind == CELL_INT)
        return a->i < b->i ? -1 : a->i > b->i;
    if (is_number(a) && is_number(b)) {
        double x = number_of(a), y = number_of(b);
        return x < y ? -1 : x > y;
    }
    return str_cmp(text_of(a, left), text_of(b, right));
}

static bool in_list(const struct rowfilter_test *t, const struct cell *c)
{
    for (size_t i = 0; i < t->values_count; i++)
        if (compare(c, &t->values[i]) == 0)
            return true;
    return false;
}

static bool is_test(const struct rowfilter_test *t, const struct cell *c)
{
    switch (t->is) {
    case REST_IS_NULL:
    case REST_IS_UNKNOWN:
        return c->kind == CELL_NULL;
    case REST_IS_NOT_NULL:
        return c->kind != CELL_NULL;
    case REST_IS_TRUE:
        return c->kind == CELL_INT && c->i != 0;
    case REST_IS_FALSE:
        return c->kind == CELL_INT && c->i == 0;
    }
    return false;
}

static bool compares(enum rest_op op, int order)
{
    static const bool truth[][3] = {
        /* less, equal, greater; by enum rest_op */
        {false, true, false}, {true, false, true},  {false, false, true},
        {false, true, true},  {true, false, false}, {true, true, false},
    };
    return truth[op][order < 0 ? 0 : order == 0 ? 1 : 2];
}

/* With NULL the answer is unknown, and so is its negation: it does not fit. */
static bool fits(const struct rowfilter_test *t, const struct cell *c)
{
    char room[40];
    bool hit;
    if (t->op == REST_IS)
        return is_test(t, c) != t->negated;
    if (t->op == REST_ISDISTINCT) {
        hit = c->kind == CELL_NULL || compare(c, &t->values[0]) != 0;
        return hit != t->negated;
    }
    if (c->kind == CELL_NULL)
        return false;
    if (t->regex)
        hit = regex_matches(t->regex, text_of(c, room));
    else if (t->op == REST_LIKE || t->op == REST_ILIKE)
        hit = textmatch_like(t->values[0].s, text_of(c, room), t->op == REST_ILIKE);
    else if (t->op == REST_IN)
        hit = in_list(t, c);
    else
        hit = compares(t->op, compare(c, &t->values[0]));
    return hit != t->negated;
}

bool rowfilter_fits(const struct rowfilter *f, const struct cell *cells)
{
    for (size_t i = 0; i < f->count; i++)
        if (!fits(&f->tests[i], &cells[f->tests[i].column]))
            return false;
    return true;
}

bool rowfilter_index(const struct rowfilter *f, size_t *column, const struct cell **values,
                     size_t *count)
{
    for (size_t i = 0; i < f->count; i++) {
        const struct rowfilter_test *t = &f->tests[i];
        if (t->negated || (t->op != REST_EQ && t->op != REST_IN))
            continue;
        *column = t->column;
        *values = t->values;
        *count = t->values_count;
        return true;
    }
    return false;
}

void rowfilter_key(size_t column, const struct cell *value, struct buf *out)
{
    char room[40];
    buf_add_u64(out, column);
    buf_add_c(out, ':');
    if (value->kind == CELL_REAL && value->r > -9e15 && value->r < 9e15 &&
        value->r == (double)(int64_t)value->r)
        buf_add_i64(out, (int64_t)value->r); /* 5.0 = 5 */
    else
        buf_add_str(out, text_of(value, room));
}
