/* SPDX-License-Identifier: Apache-2.0 */
/* The grammar as a table: a query string, and the tree written out again (or the error). */
#include "test.h"
#include "wire/restquery.c"
#include "base/buf.h"

static const char *const op_names[] = {
    "eq",     "neq", "gt",  "gte",        "lt",    "lte",   "like", "ilike", "match",
    "imatch", "in",  "is",  "isdistinct", "cs",    "cd",    "ov",   "sl",    "sr",
    "nxl",    "nxr", "adj", "fts",        "plfts", "phfts", "wfts"};
static const char *const is_names[] = {"null", "not_null", "true", "false", "unknown"};
static const char *const agg_names[] = {"", "count", "sum", "avg", "min", "max"};

static void put_field(struct buf *b, const struct rest_field *f)
{
    buf_printf(b, "<%.*s>", STR_ARG(f->name));
    for (size_t i = 0; i < f->steps_count; i++) {
        buf_add_z(b, f->steps[i].as_text ? "->>" : "->");
        if (f->steps[i].is_index)
            buf_printf(b, "#%lld", (long long)f->steps[i].index);
        else
            buf_add_str(b, f->steps[i].key);
    }
}

static void put_filter(struct buf *b, const struct rest_filter *f)
{
    put_field(b, &f->field);
    buf_printf(b, " %s%s", f->negated ? "not " : "", op_names[f->op]);
    if (f->quantifier)
        buf_add_z(b, f->quantifier == REST_ANY ? " any" : " all");
    if (f->language.n)
        buf_printf(b, " %.*s", STR_ARG(f->language));
    if (f->op == REST_IS)
        buf_printf(b, " %s", is_names[f->is]);
    else if (f->op == REST_IN || f->quantifier) {
        for (size_t i = 0; i < f->values_count; i++)
            buf_printf(b, " '%.*s'", STR_ARG(f->values[i]));
    } else
        buf_printf(b, " '%.*s'", STR_ARG(f->value));
}

static void put_logic(struct buf *b, const struct rest_logic *l)
{
    if (l->kind == REST_LEAF) {
        put_filter(b, &l->filter);
        return;
    }
    buf_printf(b, "%s%s(", l->negated ? "not " : "", l->kind == REST_AND ? "and" : "or");
    for (const struct rest_logic *c = l->children; c; c = c->next) {
        put_logic(b, c);
        if (c->next)
            buf_add_z(b, ", ");
    }
    buf_add_c(b, ')');
}

static void put_node(struct buf *b, const struct rest_node *n);

static void put_items(struct buf *b, const struct rest_node *n)
{
    for (const struct rest_item *i = n->items; i; i = i->next) {
        if (i->alias.n)
            buf_printf(b, "%.*s:", STR_ARG(i->alias));
        if (i->kind == REST_STAR)
            buf_add_c(b, '*');
        else if (i->kind == REST_EMBED)
            put_node(b, i->embed);
        else {
            if (i->field.name.p)
                put_field(b, &i->field);
            if (i->cast.n)
                buf_printf(b, "::%.*s", STR_ARG(i->cast));
            if (i->aggregate)
                buf_printf(b, ".%s()", agg_names[i->aggregate]);
            if (i->aggregate_cast.n)
                buf_printf(b, "::%.*s", STR_ARG(i->aggregate_cast));
        }
        if (i->next)
            buf_add_z(b, ", ");
    }
}

static void put_node(struct buf *b, const struct rest_node *n)
{
    if (n->spread)
        buf_add_z(b, "...");
    buf_add_str(b, n->relation);
    if (n->hint.n)
        buf_printf(b, "!%.*s", STR_ARG(n->hint));
    if (n->join)
        buf_add_z(b, n->join == REST_JOIN_INNER ? "!inner" : "!left");
    buf_add_c(b, '(');
    put_items(b, n);
    for (const struct rest_logic *l = n->where; l; l = l->next) {
        buf_add_z(b, " & ");
        put_logic(b, l);
    }
    for (const struct rest_order *o = n->order; o; o = o->next) {
        buf_add_z(b, o == n->order ? " order " : ", ");
        if (o->relation.n)
            buf_printf(b, "%.*s.", STR_ARG(o->relation));
        put_field(b, &o->field);
        buf_add_z(b, o->descending ? " desc" : "");
        buf_add_z(b, o->nulls ? (o->nulls == REST_NULLS_FIRST ? " nf" : " nl") : "");
    }
    if (n->limit >= 0)
        buf_printf(b, " limit %lld", (long long)n->limit);
    if (n->offset)
        buf_printf(b, " offset %lld", (long long)n->offset);
    buf_add_c(b, ')');
}

static void put_query(struct buf *b, const struct restquery *q)
{
    put_node(b, &q->root);
    for (const struct rest_name *n = q->columns; n; n = n->next)
        buf_printf(b, " +%.*s", STR_ARG(n->name));
    for (const struct rest_name *n = q->on_conflict; n; n = n->next)
        buf_printf(b, " !%.*s", STR_ARG(n->name));
    for (const struct rest_arg *a = q->args; a; a = a->next)
        buf_printf(b, " %.*s='%.*s'", STR_ARG(a->name), STR_ARG(a->value));
}

static void expect(const char *query, const char *want)
{
    struct arena arena = {0};
    struct buf b = {0};
    struct restquery q;
    struct rest_error e;
    struct str args[] = {STR("room"), STR("ids")};
    if (restquery_parse(&q, str_from(query), args, 2, &arena, &e))
        put_query(&b, &q);
    else
        buf_printf(&b, "%s %d | %.*s | %.*s", e.code, e.status, STR_ARG(e.message),
                   STR_ARG(e.details));
    buf_add_c(&b, 0);
    if (strcmp(b.p, want) != 0)
        fail_msg("%s\n got: %s\nwant: %s", query, b.p, want);
    buf_free(&b);
    arena_free(&arena);
}

TEST(select_takes_columns_aliases_casts_paths_and_embeds)
{
    expect("", "()");
    expect("select=", "()");
    expect("select=*", "(*)");
    expect("select=id,content", "(<id>, <content>)");
    expect("select=a:id", "(a:<id>)");
    expect("select=id::text", "(<id>::text)");
    expect("select=a:id::text", "(a:<id>::text)");
    expect("select=id::double precision", "(<id>::double precision)");
    expect("select=data->a->>b", "(<data>->a->>b)");
    expect("select=data->0->-1", "(<data>->#0->#-1)");
    expect("select=x:data->>'a'", "PGRST100 400 | \"failed to parse select parameter "
                                  "(x:data->>'a')\" (line 1, column 10) | unexpected \"'\" "
                                  "expecting digit, letter or quoted key after the JSON arrow");
    expect("select=%22a%20b%22,%22q%5C%22x%22", "(<a b>, <q\"x>)");
    expect("select=first+name", "(<first name>)");
    expect("select=first-name", "(<first-name>)");
    expect("select=id,users(name)", "(<id>, users(<name>))");
    expect("select=id,users()", "(<id>, users())");
    expect("select=author:users!messages_user_id_fkey(*)",
           "(author:users!messages_user_id_fkey(*))");
    expect("select=users!inner(name)", "(users!inner(<name>))");
    expect("select=users!user_id!left(name)", "(users!user_id!left(<name>))");
    expect("select=a(b(c(d)))", "(a(b(c(<d>))))");
    expect("select=...users(name,x:id)", "(...users(<name>, x:<id>))");
    expect("select=count()", "(.count())");
    expect("select=n:count()", "(n:.count())");
    expect("select=amount.sum()", "(<amount>.sum())");
    expect("select=amount::int.sum()::text", "(<amount>::int.sum()::text)");
    expect("select=count(x)", "(count(<x>))");
    expect("select=users(count)", "(users(<count>))");
    expect("select=*,users(*)", "(*, users(*))");
}

TEST(select_refuses_what_is_not_grammar)
{
    expect("select=id,", "PGRST100 400 | \"failed to parse select parameter (id,)\" (line 1, "
                         "column 4) | unexpected end of input expecting field name (* or "
                         "[a..z0..9_$])");
    expect("select=a(b", "PGRST100 400 | \"failed to parse select parameter (a(b)\" (line 1, "
                         "column 4) | unexpected end of input expecting \",\" or \")\"");
    expect("select=a)b", "PGRST100 400 | \"failed to parse select parameter (a)b)\" (line 1, "
                         "column 2) | unexpected \")\" expecting \",\" or end of input");
    expect("select=id;drop",
           "PGRST100 400 | \"failed to parse select parameter (id;drop)\" "
           "(line 1, column 3) | unexpected \";\" expecting \",\" or end of input");
    expect("select=amount.pow()", "PGRST100 400 | \"failed to parse select parameter "
                                  "(amount.pow())\" (line 1, column 8) | unexpected \"p\" "
                                  "expecting aggregate (sum, avg, count, max, min)");
    expect("select=...x", "PGRST100 400 | \"failed to parse select parameter (...x)\" (line 1, "
                          "column 5) | unexpected end of input expecting \"(\"");
    expect("select=a(b(c(d(e(f(g(h(i(j(k(l(m(n)))))))))))))",
           "PGRST100 400 | \"failed to parse select parameter (a(b(c(d(e(f(g(h(i(j(k(l(m(n)))))))"
           ")))))))\" (line 1, column 27) | unexpected \"n\" expecting less nesting");
    expect("select=%22open", "PGRST100 400 | \"failed to parse select parameter (\"open)\" (line "
                             "1, column 2) | unexpected \"o\" expecting a closing \"");
}

TEST(filters_take_every_operator)
{
    expect("id=eq.5", "( & <id> eq '5')");
    expect("id=not.eq.5", "( & <id> not eq '5')");
    expect("id=gte.1&id=lt.9", "( & <id> gte '1' & <id> lt '9')");
    expect("name=eq.a.b", "( & <name> eq 'a.b')");
    expect("name=eq.", "( & <name> eq '')");
    expect("name=like.a*b%25", "( & <name> like 'a*b%')");
    expect("name=like(any).{a*,\"b,c\"}", "( & <name> like any 'a*' 'b,c')");
    expect("id=eq(any).{1,2}", "( & <id> eq any '1' '2')");
    expect("id=gt(all).{1,2}", "( & <id> gt all '1' '2')");
    expect("id=in.(1,2,3)", "( & <id> in '1' '2' '3')");
    expect("id=not.in.(1)", "( & <id> not in '1')");
    expect("id=in.()", "( & <id> in)");
    expect("n=in.(a,\"b,c\",\"d\\\"e\",\"f\"g\")", "( & <n> in 'a' 'b,c' 'd\"e' 'f\"g')");
    expect("x=is.null", "( & <x> is null)");
    expect("x=is.NULL", "( & <x> is null)");
    expect("x=not.is.true", "( & <x> not is true)");
    expect("x=is.not_null", "( & <x> is not_null)");
    expect("x=isdistinct.5", "( & <x> isdistinct '5')");
    expect("x=cs.{a,b}", "( & <x> cs '{a,b}')");
    expect("x=cd.[1]", "( & <x> cd '[1]')");
    expect("x=ov.(1,2)", "( & <x> ov '(1,2)')");
    expect("x=sl.(1,2)", "( & <x> sl '(1,2)')");
    expect("x=match.^a", "( & <x> match '^a')");
    expect("x=imatch(any).{^a,b$}", "( & <x> imatch any '^a' 'b$')");
    expect("x=fts(english).a", "( & <x> fts english 'a')");
    expect("x=wfts.a+b", "( & <x> wfts 'a b')");
    expect("data->>a=eq.1", "( & <data>->>a eq '1')");
    expect("data->a->0=eq.1", "( & <data>->a->#0 eq '1')");
    expect("%22a.b%22=eq.1", "( & <a.b> eq '1')");
    expect("apikey=secret&id=eq.1", "( & <id> eq '1')");
}

TEST(filters_refuse_what_is_not_grammar)
{
    expect("id=5", "PGRST100 400 | \"failed to parse filter (5)\" (line 1, column 1) | unexpected "
                   "\"5\" expecting \"not\" or operator (eq, gt, ...)");
    expect("id=eqq.5", "PGRST100 400 | \"failed to parse filter (eqq.5)\" (line 1, column 1) | "
                       "unexpected \"e\" expecting \"not\" or operator (eq, gt, ...)");
    expect("id=eq", "PGRST100 400 | \"failed to parse filter (eq)\" (line 1, column 3) | "
                    "unexpected end of input expecting \".\"");
    expect("id=in.1", "PGRST100 400 | \"failed to parse filter (in.1)\" (line 1, column 4) | "
                      "unexpected \"1\" expecting \"(\"");
    expect("id=in.(1", "PGRST100 400 | \"failed to parse filter (in.(1)\" (line 1, column 6) | "
                       "unexpected end of input expecting \",\" or the end of the list");
    expect("id=is.5", "PGRST100 400 | \"failed to parse filter (is.5)\" (line 1, column 4) | "
                      "unexpected \"5\" expecting isVal: (null, not_null, true, false, unknown)");
    expect("id=neq(any).{1}", "PGRST100 400 | \"failed to parse filter (neq(any).{1})\" (line 1, "
                              "column 4) | unexpected \"(\" expecting \".\"");
    expect("id;--=eq.1", "PGRST100 400 | \"failed to parse tree path (id;--)\" (line 1, column 3) "
                         "| unexpected \";\" expecting \".\", \"->\" or end of input");
}

TEST(trees_nest_and_quote)
{
    expect("or=(a.eq.1,b.gt.2)", "( & or(<a> eq '1', <b> gt '2'))");
    expect("or=(a.eq.1,and(b.gt.2,not.c.is.null))",
           "( & or(<a> eq '1', and(<b> gt '2', <c> not is null)))");
    expect("or=(not.eq.1,a.eqq.2)",
           "PGRST100 400 | \"failed to parse logic tree ((not.eq.1,a.eqq.2))\" (line 1, column 13) "
           "| unexpected \"e\" expecting \"not\" or operator (eq, gt, ...)");
    expect("or=(a.eq.1,and(b.gt.2,c.not.is.null))",
           "( & or(<a> eq '1', and(<b> gt '2', <c> not is null)))");
    expect("not.or=(a.eq.1,b.eq.2)", "( & not or(<a> eq '1', <b> eq '2'))");
    expect("and=(a.eq.1,not.or(b.eq.2,b.eq.3))",
           "( & and(<a> eq '1', not or(<b> eq '2', <b> eq '3')))");
    expect("or=(a.in.(1,2),b.like(any).{x,y})", "( & or(<a> in '1' '2', <b> like any 'x' 'y'))");
    expect("or=(a.eq.\"x,y)\",b.cs.{a,b})", "( & or(<a> eq 'x,y)', <b> cs '{a,b}'))");
    expect("or=(data->>a.eq.1,%22b.c%22.eq.2)", "( & or(<data>->>a eq '1', <b.c> eq '2'))");
    expect("or=(a.eq.1)&b=eq.2", "( & or(<a> eq '1') & <b> eq '2')");
    expect("or=a.eq.1", "PGRST100 400 | \"failed to parse logic tree (a.eq.1)\" (line 1, column "
                        "1) | unexpected \"a\" expecting \"(\"");
    expect("or=()", "PGRST100 400 | \"failed to parse logic tree (())\" (line 1, column 2) | "
                    "unexpected \")\" expecting field name (* or [a..z0..9_$])");
    expect("or=(a.eq.1)x", "PGRST100 400 | \"failed to parse logic tree ((a.eq.1)x)\" (line 1, "
                           "column 9) | unexpected \"x\" expecting end of input");
}

TEST(order_limit_and_offset_are_read)
{
    expect("order=id", "( order <id>)");
    expect("order=id.desc,b.asc.nullsfirst", "( order <id> desc, <b> nf)");
    expect("order=b.nullslast", "( order <b> nl)");
    expect("order=data->>a.desc", "( order <data>->>a desc)");
    expect("order=rel(col).desc", "( order rel.<col> desc)");
    expect("limit=10&offset=5", "( limit 10 offset 5)");
    expect("limit=0", "( limit 0)");
    expect("limit=x", "PGRST100 400 | \"failed to parse limit (x)\" (line 1, column 1) | "
                      "unexpected \"x\" expecting digit");
    expect("limit=-1", "PGRST103 416 | Requested range not satisfiable | Limit and offset must be "
                       "greater than or equal to zero.");
    expect("order=id.up", "PGRST100 400 | \"failed to parse order (id.up)\" (line 1, column 4) | "
                          "unexpected \"u\" expecting asc, desc, nullsfirst or nullslast");
}

TEST(parameters_of_embeds_reach_them)
{
    expect("select=id,users(name)&users.name=eq.a&users.order=id.desc&users.limit=3",
           "(<id>, users(<name> & <name> eq 'a' order <id> desc limit 3))");
    expect("users.name=eq.a&select=users(name)", "(users(<name> & <name> eq 'a'))");
    expect("select=u:users(name)&u.name=eq.a", "(u:users(<name> & <name> eq 'a'))");
    expect("select=a(b(c))&a.b.c=eq.1&a.b.or=(c.eq.1,c.eq.2)",
           "(a(b(<c> & <c> eq '1' & or(<c> eq '1', <c> eq '2'))))");
    expect("select=a(b)&a.not.or=(b.eq.1)", "(a(<b> & not or(<b> eq '1')))");
    expect("select=id&users.name=eq.a", "PGRST108 400 | 'users' is not an embedded resource in "
                                        "this request | ");
    expect("select=users(*)&users=is.null", "(users(*) & <users> is null)");
}

TEST(columns_conflict_targets_and_arguments_are_read)
{
    expect("columns=%22a%22,%22b%20c%22&on_conflict=id,room", "() +a +b c !id !room");
    expect("room=5&ids={1,2}&id=eq.3", "( & <id> eq '3') room='5' ids='{1,2}'");
}

/* A parameter's name is read twice: as a path of embeds, then as a field. */
TEST(a_long_quoted_name_fits_where_it_is_unescaped)
{
    struct arena arena = {0};
    struct buf b = {0};
    struct restquery q;
    struct rest_error e;
    buf_add_c(&b, '"');
    for (int i = 0; i < 20000; i++)
        buf_add_c(&b, 'a');
    buf_add_z(&b, "\\\"b\"=eq.%22x");
    assert_true(restquery_parse(&q, buf_str(&b), NULL, 0, &arena, &e));
    assert_int_equal(q.root.where->filter.field.name.n, 20002);
    assert_memory_equal(q.root.where->filter.field.name.p + 19999, "a\"b", 3);
    assert_memory_equal(q.root.where->filter.value.p, "\"x", 2);
    buf_free(&b);
    arena_free(&arena);
}

TEST(a_quoted_name_that_turns_out_to_be_no_not_is_read_again)
{
    expect("or=(%22not%22.eq.1,not.%22a%5C%22b%22.eq.%22c%5C%22d%22)",
           "( & or(<not> eq '1', <a\"b> not eq 'c\"d'))");
}

TEST(too_many_elements_are_refused)
{
    struct arena arena = {0};
    struct buf b = {0};
    struct restquery q;
    struct rest_error e;
    buf_add_z(&b, "id=in.(1");
    for (int i = 0; i < REST_ITEMS_MAX; i++)
        buf_add_z(&b, ",1");
    buf_add_c(&b, ')');
    assert_false(restquery_parse(&q, buf_str(&b), NULL, 0, &arena, &e));
    assert_string_equal(e.code, "PGRST100");
    buf_free(&b);
    arena_free(&arena);
}
