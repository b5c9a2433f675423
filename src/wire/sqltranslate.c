/* SPDX-License-Identifier: Apache-2.0 */
/* See sqltranslate.h. */
#include "wire/sqltranslate.h"
#include "base/json.h"

const char sqltranslate_now[] =
    "(rtrim(rtrim(strftime('%Y-%m-%dT%H:%M:%f','now'),'0'),'.')||'+00:00')";
const char sqltranslate_uuid[] =
    "(lower(hex(randomblob(4))||'-'||hex(randomblob(2))||'-4'||substr(hex(randomblob(2)),2)||'-'||"
    "substr('89AB',1+(abs(random())%4),1)||substr(hex(randomblob(2)),2)||'-'||hex(randomblob(6))))";

struct translating {
    struct sqltext s;
    struct buf *out;
    struct sqltext_token last; /* what was written before */
    unsigned depth;            /* of defaults within defaults */
};

static void expression(struct str sql, unsigned depth, struct buf *out);

static void put(struct translating *t, const struct sqltext_token *token, struct str text)
{
    if (token->spaced && t->out->n)
        buf_add_c(t->out, ' ');
    buf_add_str(t->out, text);
    t->last = *token;
}

/* ".name" after a schema's name: takes both and gives the name; else takes nothing. */
static bool take_member(struct sqltext *s, struct sqltext_token *member)
{
    struct sqltext copy = *s;
    if (!sqltext_take(&copy, "."))
        return false;
    *member = sqltext_next(&copy);
    if (member->kind != SQLTEXT_WORD && member->kind != SQLTEXT_QUOTED)
        return false;
    *s = copy;
    return true;
}

static bool take_empty_call(struct sqltext *s)
{
    struct sqltext copy = *s;
    if (!sqltext_take(&copy, "(") || !sqltext_take(&copy, ")"))
        return false;
    *s = copy;
    return true;
}

static bool is_now(const struct sqltext_token *t)
{
    return sqltext_is(t, "now") || sqltext_is(t, "clock_timestamp") ||
           sqltext_is(t, "transaction_timestamp") || sqltext_is(t, "statement_timestamp");
}

static bool is_uuid(const struct sqltext_token *t)
{
    return sqltext_is(t, "gen_random_uuid") || sqltext_is(t, "uuid_generate_v4");
}

/* timezone('utc', now()): the way many tables say now(). */
static bool take_timezone(struct sqltext *s)
{
    struct sqltext copy = *s, in;
    struct sqltext_token t;
    struct str inside;
    if (!sqltext_parentheses(&copy, &inside))
        return false;
    in = (struct sqltext){inside};
    t = sqltext_next(&in);
    if (t.kind != SQLTEXT_STRING || !str_eq_nocase(t.text, STR("'utc'")))
        return false;
    if (sqltext_take(&in, "::"))
        sqltext_next(&in);
    if (!sqltext_take(&in, ","))
        return false;
    t = sqltext_next(&in);
    if (!is_now(&t))
        return false;
    *s = copy;
    return true;
}

/* A call or keyword that stands for an expression of ours, or NULL. */
static const char *expression_for(struct sqltext *s, const struct sqltext_token *t)
{
    if (sqltext_is(t, "current_timestamp") || sqltext_is(t, "localtimestamp"))
        return sqltranslate_now;
    if ((is_now(t) || is_uuid(t)) && take_empty_call(s))
        return is_now(t) ? sqltranslate_now : sqltranslate_uuid;
    if (sqltext_is(t, "timezone") && take_timezone(s))
        return sqltranslate_now;
    if (sqltext_is(t, "char_length") || sqltext_is(t, "character_length"))
        return "length";
    return NULL;
}

/* "::type(n)[]": everything after the two colons that belongs to the type. */
static void skip_type(struct sqltext *s)
{
    struct sqltext_token t = sqltext_next(s), member;
    struct str inside;
    take_member(s, &member);
    if (sqltext_is(&t, "character"))
        sqltext_take(s, "varying");
    else if (sqltext_is(&t, "double"))
        sqltext_take(s, "precision");
    else if (sqltext_is(&t, "timestamp") || sqltext_is(&t, "time")) {
        if (!sqltext_take_words(s, "with time zone"))
            sqltext_take_words(s, "without time zone");
    }
    t = sqltext_peek(s);
    if (sqltext_is(&t, "("))
        sqltext_parentheses(s, &inside);
    while (sqltext_take(s, "["))
        sqltext_take(s, "]");
}

/* "references auth.users (id) on delete cascade": a table that is not here. */
static bool skip_foreign_users(struct sqltext *s)
{
    struct sqltext copy = *s;
    struct sqltext_token member, t;
    struct str inside;
    if (!sqltext_take(&copy, "auth") || !take_member(&copy, &member))
        return false;
    t = sqltext_peek(&copy);
    if (sqltext_is(&t, "("))
        sqltext_parentheses(&copy, &inside);
    while (sqltext_take(&copy, "on")) {
        sqltext_next(&copy); /* delete, update */
        if (!sqltext_take_words(&copy, "set null") && !sqltext_take_words(&copy, "set default") &&
            !sqltext_take_words(&copy, "no action"))
            sqltext_next(&copy); /* cascade, restrict */
    }
    *s = copy;
    return true;
}

/* auth.uid -> auth_uid, public.t -> t. True when a schema's name was taken. */
static bool qualified(struct translating *t, const struct sqltext_token *token)
{
    struct sqltext_token member;
    bool is_public = sqltext_is(token, "public") || sqltext_is(token, "extensions");
    bool is_ours = sqltext_is(token, "auth") || sqltext_is(token, "realtime");
    struct buf name = {0};
    const char *stands_for;
    if ((!is_public && !is_ours) || !take_member(&t->s, &member))
        return false;
    member.spaced = token->spaced;
    if (is_public) {
        stands_for = expression_for(&t->s, &member);
        put(t, &member, stands_for ? str_from(stands_for) : member.text);
        return true;
    }
    sqltext_name(token, &name);
    buf_add_c(&name, '_');
    sqltext_name(&member, &name);
    put(t, &member, buf_str(&name));
    buf_free(&name);
    return true;
}

static bool ends_operand(const struct sqltext_token *t)
{
    return t->kind == SQLTEXT_WORD || t->kind == SQLTEXT_QUOTED || t->kind == SQLTEXT_STRING ||
           t->kind == SQLTEXT_NUMBER || sqltext_is(t, ")");
}

/* default f(x) -> default (f(x)): SQLite wants the parentheses. */
static void put_default(struct translating *t)
{
    struct sqltext copy = t->s;
    struct sqltext_token name = sqltext_next(&copy), member, open;
    struct str inside, call;
    if (name.kind != SQLTEXT_WORD || t->depth > 8 ||
        expression_for(&(struct sqltext){t->s.rest}, &name))
        return;
    take_member(&copy, &member);
    open = sqltext_peek(&copy);
    if (!sqltext_is(&open, "(") || !sqltext_parentheses(&copy, &inside))
        return;
    call = str_of(name.text.p, (size_t)(copy.rest.p - name.text.p));
    struct sqltext probe = {call};
    struct sqltext_token first = sqltext_next(&probe);
    if (expression_for(&probe, &first)) /* brings its own parentheses */
        return;
    buf_add_z(t->out, " (");
    expression(call, t->depth + 1, t->out);
    buf_add_c(t->out, ')');
    t->s = copy;
}

/* '{a,b}'::text[] -> '["a","b"]': arrays are JSON here. Elements without quotes only. */
static bool put_array(struct translating *t, const struct sqltext_token *token)
{
    struct sqltext copy = t->s;
    struct str in = token->text;
    struct buf json = {0};
    if (in.n < 4 || in.p[1] != '{' || in.p[in.n - 2] != '}' || str_find(in, '"') >= 0 ||
        !sqltext_take(&copy, "::"))
        return false;
    skip_type(&copy);
    if (copy.rest.p == in.p || copy.rest.p[-1] != ']')
        return false;
    in = str_of(in.p + 2, in.n - 4);
    buf_add_z(&json, "'[");
    while (in.n)
        json_add_string(&json, str_cut(&in, ',')), buf_add_z(&json, in.n ? "," : "");
    buf_add_z(&json, "]'");
    put(t, token, buf_str(&json));
    buf_free(&json);
    t->s = copy;
    return true;
}

static int commas(struct str list)
{
    struct sqltext s = {list};
    int n = 0, depth = 0;
    for (;;) {
        struct sqltext_token t = sqltext_next(&s);
        if (t.kind == SQLTEXT_END || t.kind == SQLTEXT_BAD)
            return n;
        depth += sqltext_is(&t, "(") ? 1 : sqltext_is(&t, ")") ? -1 : 0;
        n += depth == 0 && sqltext_is(&t, ",");
    }
}

/* select realtime.send(payload, event, topic [, private]) ...: the row that it is. */
static bool put_send(struct translating *t)
{
    struct sqltext copy = t->s;
    struct sqltext_token member;
    struct str inside;
    int n;
    if (t->depth > 8 || !sqltext_take(&copy, "realtime") || !take_member(&copy, &member) ||
        !sqltext_is(&member, "send") || !sqltext_parentheses(&copy, &inside))
        return false;
    n = commas(inside);
    if (n != 2 && n != 3)
        return false;
    buf_printf(t->out,
               " insert into realtime_messages(extension, payload, event, topic%s)"
               " select 'broadcast', ",
               n == 3 ? ", private" : "");
    expression(inside, t->depth + 1, t->out);
    t->last = member;
    t->s = copy;
    return true;
}

static void one(struct translating *t, const struct sqltext_token *token)
{
    const char *stands_for;
    if ((sqltext_is(token, "select") || sqltext_is(token, "perform")) && put_send(t))
        return;
    if (sqltext_is(token, "::")) {
        skip_type(&t->s);
        return;
    }
    if (sqltext_is(token, "references") && skip_foreign_users(&t->s))
        return;
    if (qualified(t, token))
        return;
    stands_for = expression_for(&t->s, token);
    if (stands_for) {
        put(t, token, str_from(stands_for));
        return;
    }
    if (sqltext_is(token, "ilike")) {
        put(t, token, STR("match"));
        return;
    }
    if (sqltext_is(token, "~") && ends_operand(&t->last)) {
        put(t, token, STR("regexp"));
        return;
    }
    if (token->kind == SQLTEXT_STRING && put_array(t, token))
        return;
    if (token->kind == SQLTEXT_STRING && token->text.p[0] != '\'') {
        struct buf plain = {0}, text = {0};
        sqltext_string(token, &plain);
        buf_add_c(&text, '\'');
        for (size_t i = 0; i < plain.n; i++) {
            if (plain.p[i] == '\'')
                buf_add_c(&text, '\'');
            buf_add_c(&text, plain.p[i]);
        }
        buf_add_c(&text, '\'');
        put(t, token, buf_str(&text));
        buf_free(&plain);
        buf_free(&text);
        return;
    }
    put(t, token, token->text);
    if (sqltext_is(token, "default"))
        put_default(t);
}

static void expression(struct str sql, unsigned depth, struct buf *out)
{
    struct buf part = {0};
    struct translating t = {{sql}, &part, {0}, depth};
    for (;;) {
        struct sqltext_token token = sqltext_next(&t.s);
        if (token.kind == SQLTEXT_END || token.kind == SQLTEXT_BAD)
            break;
        one(&t, &token);
    }
    buf_add_str(out, buf_str(&part));
    out->failed |= part.failed;
    buf_free(&part);
}

void sqltranslate_expression(struct str sql, struct buf *out)
{
    expression(sql, 0, out);
}

/* ---- CREATE TABLE ------------------------------------------------------------------------ */
static bool is_serial(const struct sqltext_token *t)
{
    return sqltext_is(t, "serial") || sqltext_is(t, "bigserial") || sqltext_is(t, "smallserial");
}

/* "generated always|by default as identity [(...)]" */
static bool skip_identity(struct sqltext *s)
{
    struct sqltext copy = *s;
    struct sqltext_token t;
    struct str inside;
    if (!sqltext_take(&copy, "generated"))
        return false;
    if (!sqltext_take(&copy, "always") && !sqltext_take_words(&copy, "by default"))
        return false;
    if (!sqltext_take_words(&copy, "as identity"))
        return false;
    t = sqltext_peek(&copy);
    if (sqltext_is(&t, "("))
        sqltext_parentheses(&copy, &inside);
    *s = copy;
    return true;
}

static bool has_identity(struct str definition)
{
    struct sqltext s = {definition};
    for (unsigned n = 0;; n++) {
        struct sqltext_token t;
        if (skip_identity(&s))
            return true;
        t = sqltext_next(&s);
        if (t.kind == SQLTEXT_END || t.kind == SQLTEXT_BAD)
            return false;
        if (n == 1 && is_serial(&t))
            return true;
    }
}

/* name type rest -> name integer rest, without the identity words. */
static void put_identity(struct str definition, struct buf *out)
{
    struct sqltext s = {definition};
    struct sqltext_token name = sqltext_next(&s);
    bool first = true;
    buf_add_str(out, name.text);
    buf_add_z(out, " integer");
    for (;;) {
        struct sqltext_token t;
        if (skip_identity(&s))
            continue;
        if (sqltext_take_words(&s, "primary key")) {
            buf_add_z(out, " primary key autoincrement");
            continue;
        }
        t = sqltext_next(&s);
        if (t.kind == SQLTEXT_END || t.kind == SQLTEXT_BAD)
            return;
        if (!first) {
            buf_add_c(out, ' ');
            buf_add_str(out, t.text);
        }
        first = false; /* the type */
    }
}

/* text[] -> "text[]" where a column's type stands. */
static void put_column(struct str definition, struct buf *out)
{
    struct sqltext s = {definition}, copy;
    struct sqltext_token name = sqltext_next(&s), type;
    copy = s;
    type = sqltext_next(&copy);
    if (name.kind != SQLTEXT_END && type.kind == SQLTEXT_WORD && sqltext_take(&copy, "[") &&
        sqltext_take(&copy, "]")) {
        buf_add_str(out, name.text);
        buf_add_z(out, " \"");
        sqltext_name(&type, out);
        buf_add_z(out, "[]\" ");
        sqltranslate_expression(copy.rest, out);
    } else
        sqltranslate_expression(definition, out);
}

static void put_definition(struct str definition, struct buf *out)
{
    struct buf plain = {0};
    if (has_identity(definition)) {
        put_identity(definition, &plain);
        sqltranslate_expression(buf_str(&plain), out);
    } else
        put_column(definition, out);
    buf_free(&plain);
}

static void put_definitions(struct str list, struct buf *out)
{
    struct sqltext s = {list};
    size_t depth = 0;
    const char *start = list.p;
    for (;;) {
        struct sqltext_token t = sqltext_next(&s);
        bool end = t.kind == SQLTEXT_END || t.kind == SQLTEXT_BAD;
        if (end || (depth == 0 && sqltext_is(&t, ","))) {
            const char *stop = end ? list.p + list.n : t.text.p;
            put_definition(str_of(start, (size_t)(stop - start)), out);
            if (end)
                return;
            buf_add_z(out, ", ");
            start = s.rest.p;
        } else if (sqltext_is(&t, "("))
            depth++;
        else if (depth && sqltext_is(&t, ")"))
            depth--;
    }
}

static bool create_table(struct str sql, struct buf *out)
{
    struct sqltext s = {sql};
    struct sqltext_token t;
    struct str head, inside;
    if (!sqltext_take_words(&s, "create table"))
        return false;
    do
        t = sqltext_next(&s);
    while (t.kind != SQLTEXT_END && t.kind != SQLTEXT_BAD && !sqltext_is(&t, "(") &&
           !sqltext_is(&t, "as"));
    if (!sqltext_is(&t, "("))
        return false;
    head = str_of(sql.p, (size_t)(t.text.p - sql.p));
    s.rest = str_of(t.text.p, sql.n - head.n);
    if (!sqltext_parentheses(&s, &inside))
        return false;
    sqltranslate_expression(head, out);
    buf_add_z(out, " (");
    put_definitions(inside, out);
    buf_add_c(out, ')');
    if (s.rest.n) {
        buf_add_c(out, ' ');
        sqltranslate_expression(s.rest, out);
    }
    return true;
}

/* alter table t add [column] definition */
static bool add_column(struct str sql, struct buf *out)
{
    struct sqltext s = {sql}, copy;
    struct sqltext_token t;
    if (!sqltext_take_words(&s, "alter table"))
        return false;
    do {
        copy = s;
        t = sqltext_next(&s);
    } while (t.kind != SQLTEXT_END && t.kind != SQLTEXT_BAD && !sqltext_is(&t, "add"));
    if (!sqltext_is(&t, "add"))
        return false;
    sqltext_take(&s, "column");
    sqltext_take_words(&s, "if not exists");
    sqltranslate_expression(str_of(sql.p, (size_t)(copy.rest.p - sql.p)), out);
    buf_add_z(out, " add column ");
    put_definition(s.rest, out);
    return true;
}

static bool create_index(struct str sql, struct buf *out)
{
    struct sqltext s = {sql};
    struct buf plain = {0};
    if (!sqltext_take(&s, "create"))
        return false;
    sqltext_take(&s, "unique");
    if (!sqltext_take(&s, "index"))
        return false;
    s.rest = sql;
    for (;;) {
        struct sqltext_token t;
        if (sqltext_take(&s, "concurrently") || sqltext_take_words(&s, "using btree") ||
            sqltext_take_words(&s, "using hash"))
            continue;
        t = sqltext_next(&s);
        if (t.kind == SQLTEXT_END || t.kind == SQLTEXT_BAD)
            break;
        buf_add_str(&plain, t.text);
        buf_add_c(&plain, ' ');
    }
    sqltranslate_expression(buf_str(&plain), out);
    buf_free(&plain);
    return true;
}

void sqltranslate_statement(struct str sql, struct buf *out)
{
    if (!create_table(sql, out) && !create_index(sql, out) && !add_column(sql, out))
        sqltranslate_expression(sql, out);
}
