/* SPDX-License-Identifier: Apache-2.0 */
/* Which foreign key an embed means. A name may be the other table, the foreign key's name, or the
 * column that holds it; a hint after "!" narrows by key, column or junction table. Several left
 * are an error that lists them (PGRST201), as PostgREST does. */
#include "base/json.h"
#include "db/query.h"
#include "db/rls.h"
#include "db/sqlite.h"

enum { FOUND_MAX = 16 };

struct found {
    struct relation list[FOUND_MAX];
    size_t count;
};

static void add(struct found *f, struct relation r)
{
    if (f->count < FOUND_MAX)
        f->list[f->count++] = r;
}

static bool one_column(const struct foreign_key *fk, struct str name)
{
    return fk->count == 1 && (str_eq(fk->from->columns[fk->from_columns[0]].name, name) ||
                              str_eq(fk->to->columns[fk->to_columns[0]].name, name));
}

static bool from_column(const struct foreign_key *fk, struct str name)
{
    return fk->count == 1 && str_eq(fk->from->columns[fk->from_columns[0]].name, name);
}

static bool hint_fits(const struct foreign_key *fk, struct str hint)
{
    return !hint.n || str_eq(fk->name, hint) || one_column(fk, hint);
}

/* The junction's primary key must hold both foreign keys. */
static bool in_primary(const struct foreign_key *fk)
{
    for (size_t i = 0; i < fk->count; i++)
        if (!fk->from->columns[fk->from_columns[i]].pk)
            return false;
    return true;
}

static void find_junctions(const struct schema *s, const struct table *parent, struct str name,
                           struct str hint, struct found *found)
{
    for (size_t i = 0; i < s->foreigns_count; i++) {
        const struct foreign_key *near = &s->foreigns[i];
        if (near->to != parent || !in_primary(near) || near->from->internal)
            continue;
        for (size_t j = 0; j < s->foreigns_count; j++) {
            const struct foreign_key *far = &s->foreigns[j];
            if (far == near || far->from != near->from || !in_primary(far) ||
                !str_eq(far->to->name, name))
                continue;
            if (hint.n && !str_eq(near->from->name, hint) && !str_eq(near->name, hint) &&
                !str_eq(far->name, hint))
                continue;
            add(found, (struct relation){RELATION_JUNCTION, far->to, near, far, true});
        }
    }
}

static void find_all(const struct schema *s, const struct table *parent, struct str name,
                     struct str hint, struct found *found)
{
    for (size_t i = 0; i < s->foreigns_count; i++) {
        const struct foreign_key *fk = &s->foreigns[i];
        bool by_name = str_eq(fk->name, name);
        if (fk->from == parent && !fk->to->internal &&
            (str_eq(fk->to->name, name) || by_name || from_column(fk, name)) && hint_fits(fk, hint))
            add(found, (struct relation){RELATION_TO_ONE, fk->to, fk, NULL, false});
        if (fk->to == parent && !fk->from->internal && (str_eq(fk->from->name, name) || by_name) &&
            hint_fits(fk, hint))
            add(found, (struct relation){fk->one_to_one ? RELATION_TO_ONE : RELATION_TO_MANY,
                                         fk->from, fk, NULL, true});
    }
    find_junctions(s, parent, name, hint, found);
}

static const char *cardinality(const struct relation *r)
{
    if (r->kind == RELATION_JUNCTION)
        return "many-to-many";
    if (r->kind == RELATION_TO_MANY)
        return "one-to-many";
    return r->fk->one_to_one ? "one-to-one" : "many-to-one";
}

static void put_columns(struct buf *b, const struct table *t, const size_t *columns, size_t count)
{
    buf_printf(b, "%.*s(", STR_ARG(t->name));
    for (size_t i = 0; i < count; i++)
        buf_printf(b, "%s%.*s", i ? ", " : "", STR_ARG(t->columns[columns[i]].name));
    buf_add_c(b, ')');
}

static void describe(const struct table *parent, const struct relation *r, struct buf *out)
{
    struct buf with = {0}, using = {0};
    const struct foreign_key *fk = r->fk;
    buf_printf(&with, "%.*s with %.*s", STR_ARG(parent->name), STR_ARG(r->target->name));
    if (r->kind == RELATION_JUNCTION) {
        buf_printf(&using, "%.*s using %.*s(", STR_ARG(fk->from->name), STR_ARG(fk->name));
        buf_printf(&using, "%.*s) and %.*s", STR_ARG(fk->from->columns[fk->from_columns[0]].name),
                   STR_ARG(r->far->name));
    } else {
        buf_printf(&using, "%.*s using ", STR_ARG(fk->name));
        put_columns(&using, r->reverse ? fk->to : fk->from,
                    r->reverse ? fk->to_columns : fk->from_columns, fk->count);
        buf_add_z(&using, " and ");
        put_columns(&using, r->reverse ? fk->from : fk->to,
                    r->reverse ? fk->from_columns : fk->to_columns, fk->count);
    }
    buf_add_c(out, '{');
    json_add_field(out, "cardinality", str_from(cardinality(r)));
    json_add_field(out, "embedding", buf_str(&with));
    json_add_field(out, "relationship", buf_str(&using));
    buf_add_c(out, '}');
    buf_free(&with);
    buf_free(&using);
}

static bool ambiguous(struct query *q, const struct table *parent, struct str name,
                      const struct found *found)
{
    struct buf details = {0}, hint = {0};
    buf_add_c(&details, '[');
    buf_printf(&hint, "Try changing '%.*s' to one of the following: ", STR_ARG(name));
    for (size_t i = 0; i < found->count; i++) {
        const struct relation *r = &found->list[i];
        struct str by = r->kind == RELATION_JUNCTION ? r->fk->from->name : r->fk->name;
        struct buf one = {0};
        describe(parent, r, &one);
        if (details.n + one.n + 3 < sizeof q->fault->details) { /* stays whole JSON */
            buf_add_z(&details, i ? "," : "");
            buf_add_buf(&details, &one);
        }
        buf_printf(&hint, "%s'%.*s!%.*s'", i ? ", " : "", STR_ARG(name), STR_ARG(by));
        buf_free(&one);
    }
    buf_add_c(&details, ']');
    buf_add_z(&hint, ". Find the desired relationship in the 'details' key.");
    fault_set(q->fault, "PGRST201",
              "Could not embed because more than one relationship was found for '%.*s' and '%.*s'",
              STR_ARG(parent->name), STR_ARG(name));
    fault_details(q->fault, "%.*s", STR_ARG(buf_str(&details)));
    fault_hint(q->fault, "%.*s", STR_ARG(buf_str(&hint)));
    buf_free(&details);
    buf_free(&hint);
    return false;
}

bool relation_find(struct query *q, const struct table *parent, const struct rest_node *embed,
                   struct relation *out)
{
    struct found found = {0};
    struct str name = str_head(embed->relation, 100);
    find_all(q->schema, parent, embed->relation, embed->hint, &found);
    if (found.count == 1) {
        *out = found.list[0];
        return true;
    }
    if (found.count > 1)
        return ambiguous(q, parent, name, &found);
    fault_set(q->fault, "PGRST200",
              "Could not find a relationship between '%.*s' and '%.*s' in the schema cache",
              STR_ARG(parent->name), STR_ARG(name));
    fault_details(q->fault,
                  "Searched for a foreign key relationship between '%.*s' and '%.*s'%s%.*s%s in "
                  "the schema 'public', but no matches were found.",
                  STR_ARG(parent->name), STR_ARG(name), embed->hint.n ? " using the hint '" : "",
                  STR_ARG(str_head(embed->hint, 100)), embed->hint.n ? "'" : "");
    return false;
}

static void pairs(struct str left, const struct table *lt, const size_t *lc, struct str right,
                  const struct table *rt, const size_t *rc, size_t count, struct buf *to)
{
    for (size_t i = 0; i < count; i++) {
        buf_add_z(to, i ? " AND " : "");
        query_column(to, left, &lt->columns[lc[i]]);
        buf_add_z(to, " = ");
        query_column(to, right, &rt->columns[rc[i]]);
    }
}

static void list(struct str alias, const struct table *t, const size_t *columns, size_t count,
                 struct buf *to)
{
    for (size_t i = 0; i < count; i++) {
        buf_add_z(to, i ? ", " : "");
        query_column(to, alias, &t->columns[columns[i]]);
    }
}

void relation_join(struct query *q, const struct relation *r, struct str parent, struct str child,
                   struct buf *to)
{
    const struct foreign_key *fk = r->fk;
    if (r->kind != RELATION_JUNCTION) {
        if (r->reverse)
            pairs(child, fk->from, fk->from_columns, parent, fk->to, fk->to_columns, fk->count, to);
        else
            pairs(child, fk->to, fk->to_columns, parent, fk->from, fk->from_columns, fk->count, to);
        return;
    }
    /* IN, so that the target is found by its key instead of being scanned. */
    struct str junction = query_alias(q);
    buf_add_c(to, '(');
    list(child, r->far->to, r->far->to_columns, r->far->count, to);
    buf_add_z(to, ") IN (SELECT ");
    list(junction, r->far->from, r->far->from_columns, r->far->count, to);
    buf_add_z(to, " FROM ");
    rls_source(fk->from, q->identity, to);
    buf_printf(to, " AS %.*s WHERE ", STR_ARG(junction));
    pairs(junction, fk->from, fk->from_columns, parent, fk->to, fk->to_columns, fk->count, to);
    buf_add_c(to, ')');
}

bool relation_exists(struct query *q, const struct rest_node *embed, const struct table *parent,
                     struct str parent_alias, struct buf *to)
{
    struct relation r;
    struct str alias = query_alias(q);
    if (!relation_find(q, parent, embed, &r))
        return false;
    buf_add_z(to, "EXISTS (SELECT 1 FROM ");
    rls_source(r.target, q->identity, to);
    buf_printf(to, " AS %.*s WHERE ", STR_ARG(alias));
    relation_join(q, &r, parent_alias, alias, to);
    if (!where_add(q, embed, r.target, alias, to))
        return false;
    buf_add_c(to, ')');
    return true;
}

const struct rest_node *relation_named(const struct rest_node *node, struct str name)
{
    for (const struct rest_item *i = node->items; i; i = i->next)
        if (i->kind == REST_EMBED &&
            str_eq(i->embed->alias.n ? i->embed->alias : i->embed->relation, name))
            return i->embed;
    return NULL;
}
