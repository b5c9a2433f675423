/* SPDX-License-Identifier: Apache-2.0 */
/* See sqlstatement.h. */
#include "wire/sqlstatement.h"
#include "base/json.h"
#include "wire/sqltranslate.h"
#include <stdio.h>

static void bad(struct sqlstatement *o, const struct sqltext *s, const char *expecting)
{
    struct sqltext_token t = sqltext_peek(s);
    o->kind = SQLSTATEMENT_BAD;
    snprintf(o->why, sizeof o->why, "expected %s%s%.*s%s", expecting,
             t.kind == SQLTEXT_END ? " before the end" : " at \"", STR_ARG(str_head(t.text, 40)),
             t.kind == SQLTEXT_END ? "" : "\"");
}

static bool is_name(const struct sqltext_token *t)
{
    return t->kind == SQLTEXT_WORD || t->kind == SQLTEXT_QUOTED;
}

static bool take_name(struct sqltext *s, struct buf *out)
{
    struct sqltext copy = *s;
    struct sqltext_token t = sqltext_next(&copy);
    if (!is_name(&t))
        return false;
    sqltext_name(&t, out);
    *s = copy;
    return true;
}

/* [schema.]name; realtime.messages is realtime_messages here. */
static bool take_table(struct sqltext *s, struct buf *out)
{
    struct buf first = {0};
    bool ok;
    sqltext_take(s, "only");
    ok = take_name(s, &first);
    if (ok && sqltext_take(s, ".")) {
        if (str_is(buf_str(&first), "realtime"))
            buf_add_z(out, "realtime_");
        ok = take_name(s, out);
    } else
        buf_add_str(out, buf_str(&first));
    buf_free(&first);
    return ok;
}

static bool ends(struct sqlstatement *o, const struct sqltext *s)
{
    struct sqltext_token t = sqltext_peek(s);
    if (t.kind == SQLTEXT_END)
        return true;
    bad(o, s, "the end of the statement");
    return false;
}

/* ---- policies ---------------------------------------------------------------------------- */
static bool take_roles(struct sqltext *s, struct buf *roles)
{
    do {
        if (roles->n)
            buf_add_c(roles, ',');
        if (!take_name(s, roles))
            return false;
    } while (sqltext_take(s, ","));
    return true;
}

static bool take_expression(struct sqltext *s, struct buf *out)
{
    struct str inside;
    if (!sqltext_parentheses(s, &inside) || str_trim(inside).n == 0)
        return false;
    sqltranslate_expression(inside, out);
    return out->n > 0;
}

static const char *take_command(struct sqltext *s)
{
    static const char *const commands[] = {"all", "select", "insert", "update", "delete"};
    for (size_t i = 0; i < 5; i++)
        if (sqltext_take(s, commands[i]))
            return commands[i];
    return NULL;
}

/* As translated it must still be whole: it will stand in parentheses of another statement. */
static bool is_whole(struct str expr)
{
    struct sqltext s = {expr};
    long depth = 0;
    for (;;) {
        struct sqltext_token t = sqltext_next(&s);
        if (t.kind == SQLTEXT_BAD)
            return false;
        if (t.kind == SQLTEXT_END)
            return depth == 0;
        depth += sqltext_is(&t, "(") ? 1 : sqltext_is(&t, ")") ? -1 : 0;
        if (depth < 0)
            return false;
    }
}

static void create_policy(struct sqlstatement *o, struct sqltext *s)
{
    o->kind = SQLSTATEMENT_CREATE_POLICY;
    o->command = "all";
    if (!take_name(s, &o->name)) {
        bad(o, s, "the policy's name");
        return;
    }
    if (!sqltext_take(s, "on") || !take_table(s, &o->table)) {
        bad(o, s, "\"on\" and a table");
        return;
    }
    if (sqltext_take(s, "as")) {
        o->restrictive = sqltext_take(s, "restrictive");
        if (!o->restrictive && !sqltext_take(s, "permissive")) {
            bad(o, s, "permissive or restrictive");
            return;
        }
    }
    if (sqltext_take(s, "for") && !(o->command = take_command(s))) {
        bad(o, s, "all, select, insert, update or delete");
        return;
    }
    if (sqltext_take(s, "to") && !take_roles(s, &o->roles)) {
        bad(o, s, "a role");
        return;
    }
    if (sqltext_take(s, "using") && !take_expression(s, &o->using_expr)) {
        bad(o, s, "an expression in parentheses after \"using\"");
        return;
    }
    if (sqltext_take_words(s, "with check") && !take_expression(s, &o->check_expr)) {
        bad(o, s, "an expression in parentheses after \"with check\"");
        return;
    }
    if (!ends(o, s))
        return;
    if (!is_whole(buf_str(&o->using_expr)) || !is_whole(buf_str(&o->check_expr)))
        bad(o, s, "an expression whose quotes and parentheses are closed");
    else if (o->using_expr.n && strcmp(o->command, "insert") == 0)
        bad(o, s, "only WITH CHECK for a policy on insert");
    else if (o->check_expr.n &&
             (strcmp(o->command, "select") == 0 || strcmp(o->command, "delete") == 0))
        bad(o, s, "only USING for a policy on select or delete");
}

static void drop_policy(struct sqlstatement *o, struct sqltext *s)
{
    o->kind = SQLSTATEMENT_DROP_POLICY;
    o->if_exists = sqltext_take_words(s, "if exists");
    if (!take_name(s, &o->name) || !sqltext_take(s, "on") || !take_table(s, &o->table)) {
        bad(o, s, "NAME on TABLE");
        return;
    }
    if (!sqltext_take(s, "cascade"))
        sqltext_take(s, "restrict");
    ends(o, s);
}

/* ---- tables ------------------------------------------------------------------------------ */
/* False: an ALTER TABLE for SQLite. */
static bool alter_table(struct sqlstatement *o, struct sqltext *s)
{
    bool enable, disable;
    sqltext_take_words(s, "if exists");
    if (!take_table(s, &o->table))
        return false;
    enable = sqltext_take(s, "enable") || sqltext_take(s, "force");
    disable = !enable && (sqltext_take(s, "disable") || sqltext_take_words(s, "no force"));
    if ((enable || disable) && sqltext_take_words(s, "row level security")) {
        o->kind = SQLSTATEMENT_RLS;
        o->on = enable;
        ends(o, s);
        return true;
    }
    if (sqltext_take_words(s, "replica identity")) {
        o->kind = SQLSTATEMENT_IDENTITY;
        o->on = sqltext_take(s, "full");
        if (!o->on && !sqltext_take(s, "default"))
            bad(o, s, "full or default");
        return true;
    }
    if (sqltext_take_words(s, "owner to") || enable || disable) {
        o->kind = SQLSTATEMENT_IGNORED;
        return true;
    }
    return false;
}

static void take_tables(struct sqlstatement *o, struct sqltext *s)
{
    do {
        struct sqltext_token t;
        struct str inside;
        if (!take_table(s, &o->names)) {
            bad(o, s, "a table");
            return;
        }
        buf_add_c(&o->names, '\n');
        t = sqltext_peek(s);
        if (sqltext_is(&t, "(")) /* a column list: all columns are sent */
            sqltext_parentheses(s, &inside);
    } while (sqltext_take(s, ","));
    ends(o, s);
}

static void publication(struct sqlstatement *o, struct sqltext *s, bool create)
{
    struct buf name = {0};
    o->kind = SQLSTATEMENT_PUBLISH;
    o->on = true;
    if (!take_name(s, &name))
        bad(o, s, "the publication's name");
    else if (create && !sqltext_take(s, "for"))
        o->kind = SQLSTATEMENT_IGNORED;
    else if (create && sqltext_take_words(s, "all tables"))
        ends(o, s);
    else {
        if (!create) {
            o->on = !sqltext_take(s, "drop");
            if (o->on && !sqltext_take(s, "add") && !sqltext_take(s, "set"))
                bad(o, s, "add, set or drop");
        }
        if (o->kind == SQLSTATEMENT_PUBLISH && !sqltext_take(s, "table"))
            bad(o, s, "\"table\"");
        if (o->kind == SQLSTATEMENT_PUBLISH)
            take_tables(o, s);
    }
    buf_free(&name);
}

/* ---- functions --------------------------------------------------------------------------- */
static bool ends_argument(const struct sqltext_token *t)
{
    return t->kind == SQLTEXT_END || t->kind == SQLTEXT_BAD || sqltext_is(t, ",");
}

/* name type [default expr] */
static bool take_argument(struct sqltext *s, struct buf *names, struct buf *json)
{
    struct buf name = {0}, type = {0}, value = {0};
    const char *from = NULL, *to = NULL;
    bool ok;
    sqltext_take(s, "in");
    ok = take_name(s, &name);
    for (;;) {
        struct sqltext_token t = sqltext_peek(s);
        if (ends_argument(&t))
            break;
        sqltext_next(s);
        if (!from && (sqltext_is(&t, "default") || sqltext_is(&t, "="))) {
            from = to = s->rest.p;
        } else if (from) {
            to = t.text.p + t.text.n;
        } else {
            if (type.n && t.spaced)
                buf_add_c(&type, ' ');
            buf_add_str(&type, t.text);
        }
    }
    ok = ok && type.n > 0 && (!from || to > from);
    if (ok) {
        buf_add_z(json, json->n > 1 ? ",{" : "{");
        json_add_field(json, "name", buf_str(&name));
        json_add_field(json, "type", buf_str(&type));
        if (from) {
            sqltranslate_expression(str_of(from, (size_t)(to - from)), &value);
            json_add_field(json, "default", buf_str(&value));
        }
        buf_add_c(json, '}');
        buf_add_str(names, buf_str(&name));
        buf_add_c(names, '\n');
    }
    buf_free(&name);
    buf_free(&type);
    buf_free(&value);
    return ok;
}

static bool take_arguments(struct sqlstatement *o, struct sqltext *s)
{
    struct str inside;
    struct sqltext in;
    struct sqltext_token t;
    if (!sqltext_parentheses(s, &inside))
        return false;
    in = (struct sqltext){inside};
    buf_add_c(&o->args, '[');
    t = sqltext_peek(&in);
    if (t.kind != SQLTEXT_END) {
        do
            if (!take_argument(&in, &o->names, &o->args))
                return false;
        while (sqltext_take(&in, ","));
    }
    buf_add_c(&o->args, ']');
    t = sqltext_peek(&in);
    return t.kind == SQLTEXT_END;
}

static bool take_returns(struct sqlstatement *o, struct sqltext *s)
{
    struct sqltext_token t = sqltext_peek(s);
    struct str inside;
    if (sqltext_is(&t, "table")) {
        sqltext_next(s);
        buf_add_z(&o->returns, "table");
        return sqltext_parentheses(s, &inside);
    }
    if (sqltext_take(s, "setof"))
        buf_add_z(&o->returns, "setof ");
    if (!take_table(s, &o->returns))
        return false;
    if (sqltext_take(s, "precision"))
        buf_add_z(&o->returns, " precision");
    if (sqltext_take_words(s, "with time zone"))
        buf_add_z(&o->returns, " with time zone");
    if (sqltext_take(s, "[")) {
        buf_add_z(&o->returns, "[]");
        return sqltext_take(s, "]");
    }
    return true;
}

static bool is_argument(const struct sqlstatement *o, const struct sqltext_token *t)
{
    struct str rest = buf_str(&o->names);
    struct buf name = {0};
    bool hit = false;
    if (!is_name(t))
        return false;
    sqltext_name(t, &name);
    while (rest.n && !hit)
        hit = str_eq(str_cut(&rest, '\n'), buf_str(&name));
    buf_free(&name);
    return hit;
}

/* $2 -> :second */
static bool put_numbered(const struct sqlstatement *o, struct sqltext *s, struct buf *out)
{
    struct sqltext copy = *s;
    struct sqltext_token t = sqltext_next(&copy);
    struct str rest = buf_str(&o->names), name = STR_NONE;
    unsigned wanted = 0;
    if (t.kind != SQLTEXT_NUMBER || t.spaced || t.text.n > 2)
        return false;
    for (size_t i = 0; i < t.text.n; i++)
        wanted = wanted * 10 + (unsigned)(t.text.p[i] - '0');
    for (unsigned i = 0; i < wanted && rest.n; i++)
        name = str_cut(&rest, '\n');
    if (!name.n || wanted == 0)
        return false;
    buf_add_c(out, ':');
    buf_add_str(out, name);
    *s = copy;
    return true;
}

/* Arguments in the body become :name; function.name too. */
static void put_body(struct sqlstatement *o, struct str body)
{
    struct sqltext s = {body};
    struct buf plain = {0};
    bool after_dot = false;
    for (;;) {
        struct sqltext_token t = sqltext_next(&s), next;
        struct sqltext copy = s;
        if (t.kind == SQLTEXT_END || t.kind == SQLTEXT_BAD)
            break;
        if (t.spaced)
            buf_add_c(&plain, ' ');
        if (t.kind == SQLTEXT_WORD && str_eq_nocase(t.text, buf_str(&o->name)) &&
            sqltext_take(&copy, ".")) {
            next = sqltext_next(&copy);
            if (is_argument(o, &next)) {
                s = copy;
                t = next;
            }
        }
        next = sqltext_peek(&s);
        if (sqltext_is(&t, "$") && put_numbered(o, &s, &plain))
            continue;
        if (!after_dot && is_argument(o, &t) && !sqltext_is(&next, ".") && !sqltext_is(&next, "("))
            buf_add_c(&plain, ':');
        buf_add_str(&plain, t.text);
        after_dot = sqltext_is(&t, ".");
    }
    sqltranslate_expression(buf_str(&plain), &o->body);
    while (o->body.n && (o->body.p[o->body.n - 1] == ';' || o->body.p[o->body.n - 1] == ' '))
        o->body.n--;
    buf_free(&plain);
}

/* One of the words after the arguments; false at the end or at what is not known. */
static bool take_option(struct sqlstatement *o, struct sqltext *s, struct buf *body, bool *sql)
{
    if (sqltext_take(s, "returns"))
        return take_returns(o, s);
    if (sqltext_take(s, "language")) {
        *sql = sqltext_take(s, "sql");
        return *sql;
    }
    if (sqltext_take(s, "stable") || sqltext_take(s, "immutable")) {
        o->writes = false;
        return true;
    }
    if (sqltext_take(s, "volatile") || sqltext_take(s, "strict") ||
        sqltext_take_words(s, "parallel safe") || sqltext_take_words(s, "security invoker") ||
        sqltext_take_words(s, "called on null input"))
        return true;
    if (sqltext_take_words(s, "security definer")) {
        o->definer = true;
        return true;
    }
    if (sqltext_take(s, "set")) { /* search_path = '' */
        sqltext_next(s);
        if (!sqltext_take(s, "="))
            sqltext_take(s, "to");
        do
            sqltext_next(s);
        while (sqltext_take(s, ","));
        return true;
    }
    if (sqltext_take(s, "as")) {
        struct sqltext_token t = sqltext_next(s);
        if (t.kind != SQLTEXT_STRING)
            return false;
        sqltext_string(&t, body);
        return true;
    }
    return false;
}

static void create_function(struct sqlstatement *o, struct sqltext *s)
{
    struct buf body = {0};
    bool sql = false;
    struct sqltext_token t;
    o->kind = SQLSTATEMENT_CREATE_FUNCTION;
    o->writes = true;
    if (!take_table(s, &o->name) || !take_arguments(o, s)) {
        bad(o, s, "NAME(argument type, ...)");
        return;
    }
    while (take_option(o, s, &body, &sql))
        ;
    t = sqltext_peek(s);
    if (t.kind != SQLTEXT_END)
        bad(o, s, "returns, language sql, stable, security definer or as 'body'");
    else if (!sql || !body.n || !o->returns.n)
        bad(o, s, "returns, language sql and a body");
    else
        put_body(o, buf_str(&body));
    buf_free(&body);
}

static void drop_function(struct sqlstatement *o, struct sqltext *s)
{
    o->kind = SQLSTATEMENT_DROP_FUNCTION;
    o->if_exists = sqltext_take_words(s, "if exists");
    if (!take_table(s, &o->name))
        bad(o, s, "the function's name");
}

/* ---- the statement ----------------------------------------------------------------------- */
static bool means_nothing(struct sqltext *s)
{
    static const char *const words[] = {
        "grant",          "revoke",           "comment on",        "create extension",
        "create schema",  "alter default",    "create type",       "alter function",
        "begin",          "commit",           "start transaction", "set",
        "reset",          "create role",      "alter role",        "alter schema",
        "notify",         "drop publication", "alter extension",   "drop extension",
        "alter sequence", "create sequence",  "drop type",         "analyze verbose"};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (sqltext_take_words(s, words[i]))
            return true;
    return false;
}

void sqlstatement_parse(struct sqlstatement *o, struct str statement)
{
    struct sqltext s = {statement}, copy;
    *o = (struct sqlstatement){0};
    if (means_nothing(&s))
        o->kind = SQLSTATEMENT_IGNORED;
    else if (sqltext_take_words(&s, "create policy"))
        create_policy(o, &s);
    else if (sqltext_take_words(&s, "drop policy"))
        drop_policy(o, &s);
    else if (sqltext_take_words(&s, "create publication"))
        publication(o, &s, true);
    else if (sqltext_take_words(&s, "alter publication"))
        publication(o, &s, false);
    else if (sqltext_take_words(&s, "drop function"))
        drop_function(o, &s);
    else if (sqltext_take_words(&s, "alter policy"))
        bad(o, &s, "drop policy and create policy instead of alter policy");
    else if (sqltext_take_words(&s, "create function"))
        create_function(o, &s);
    else if (sqltext_take_words(&s, "create or replace function")) {
        o->if_exists = true;
        create_function(o, &s);
    } else {
        copy = s;
        if (sqltext_take_words(&copy, "alter table"))
            alter_table(o, &copy);
    }
}

void sqlstatement_free(struct sqlstatement *s)
{
    buf_free(&s->table);
    buf_free(&s->name);
    buf_free(&s->names);
    buf_free(&s->roles);
    buf_free(&s->using_expr);
    buf_free(&s->check_expr);
    buf_free(&s->args);
    buf_free(&s->returns);
    buf_free(&s->body);
}
