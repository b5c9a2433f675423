/* SPDX-License-Identifier: Apache-2.0 */
/* See feedclaims.h. */
#include "db/feedclaims.h"
#include "wire/jsonscan.h"
#include "wire/sqltext.h"

enum { SEEN_MAX = 64 };

struct searching {
    struct feedclaims *claims;
    const struct schema *s;
    const void *seen[SEEN_MAX]; /* tables and functions that were looked at */
    size_t seen_count;
};

static void look_at_text(struct searching *g, struct str text);

static bool first_time(struct searching *g, const void *thing)
{
    for (size_t i = 0; i < g->seen_count; i++)
        if (g->seen[i] == thing)
            return false;
    if (g->seen_count == SEEN_MAX) {
        g->claims->all = true;
        return false;
    }
    g->seen[g->seen_count++] = thing;
    return true;
}

static void look_at_table(struct searching *g, const struct table *t)
{
    if (!t->rls || !first_time(g, t))
        return;
    for (const struct policy_row *p = t->policies; p; p = p->next)
        if (p->command == POLICY_ALL || p->command == POLICY_SELECT)
            look_at_text(g, p->using_expr);
}

static void add_claim(struct searching *g, struct str name)
{
    struct feedclaims *c = g->claims;
    for (size_t i = 0; i < c->count; i++)
        if (str_eq(c->names[i], name))
            return;
    if (c->count == FEEDCLAIMS_MAX)
        c->all = true;
    else
        c->names[c->count++] = name;
}

/* After auth_jwt: "() ->> 'name'" names a claim; anything else may read all of them. in_select:
 * it is "(select auth_jwt())", whose closing parenthesis comes before the arrow. */
static void look_at_jwt(struct searching *g, struct sqltext *s, bool in_select)
{
    struct sqltext copy = *s;
    struct sqltext_token t;
    if (!sqltext_take(&copy, "(") || !sqltext_take(&copy, ")")) {
        g->claims->all = true;
        return;
    }
    if (in_select)
        sqltext_take(&copy, ")");
    t = sqltext_next(&copy);
    if (sqltext_is(&t, "->>") || sqltext_is(&t, "->")) {
        t = sqltext_next(&copy);
        if (t.kind == SQLTEXT_STRING && t.text.n > 2 && t.text.p[0] == '\'' && t.text.p[1] != '$' &&
            str_find(str_of(t.text.p + 1, t.text.n - 2), '\'') < 0) {
            add_claim(g, str_of(t.text.p + 1, t.text.n - 2));
            return;
        }
    }
    g->claims->all = true;
}

static bool opens_select(const struct sqltext_token last[3])
{
    return sqltext_is(&last[0], "select") && sqltext_is(&last[1], "(") &&
           !sqltext_is(&last[2], "in") && !sqltext_is(&last[2], "exists");
}

static void look_at_text(struct searching *g, struct str text)
{
    struct sqltext s = {text};
    struct sqltext_token t = {0}, last[3] = {0};
    for (;;) {
        struct buf name = {0};
        const struct table *table;
        const struct function *f;
        last[2] = last[1];
        last[1] = last[0];
        last[0] = t;
        t = sqltext_next(&s);
        if (t.kind == SQLTEXT_END || t.kind == SQLTEXT_BAD)
            return;
        if (t.kind != SQLTEXT_WORD && t.kind != SQLTEXT_QUOTED)
            continue;
        sqltext_name(&t, &name);
        if (str_is(buf_str(&name), "auth_uid"))
            g->claims->sub = true;
        else if (str_is(buf_str(&name), "auth_email"))
            add_claim(g, STR("email"));
        else if (str_is(buf_str(&name), "auth_jwt"))
            look_at_jwt(g, &s, opens_select(last));
        else if ((table = schema_table(g->s, buf_str(&name))) != NULL) {
            if (table->view) /* it may read anything */
                g->claims->all = true;
            look_at_table(g, table);
        } else if ((f = schema_function(g->s, buf_str(&name))) != NULL && first_time(g, f))
            look_at_text(g, f->body);
        buf_free(&name);
    }
}

void feedclaims_find(struct feedclaims *c, const struct schema *s, const struct table *t)
{
    struct searching g = {.claims = c, .s = s};
    *c = (struct feedclaims){0};
    look_at_table(&g, t);
}

static void add_part(struct buf *out, struct str part)
{
    buf_add_u64(out, part.n); /* lengths, so that parts cannot run into each other */
    buf_add_c(out, ':');
    buf_add_str(out, part);
}

void feedclaims_key(const struct feedclaims *c, const struct identity *id, struct buf *out)
{
    add_part(out, id->role);
    if (c->all) {
        add_part(out, id->sub);
        add_part(out, id->text);
        return;
    }
    if (c->sub)
        add_part(out, id->sub);
    for (size_t i = 0; i < c->count; i++) {
        struct jsonscan_value v = {0};
        char name[128];
        if (c->names[i].n < sizeof name && id->text.n) {
            memcpy(name, c->names[i].p, c->names[i].n);
            name[c->names[i].n] = 0;
            v = jsonscan_find(id->text, name);
        }
        add_part(out, v.raw);
    }
}
