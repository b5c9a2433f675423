/* SPDX-License-Identifier: Apache-2.0 */
/* select=, order=, columns= and on_conflict= of the data API.
 *
 *   select = item {"," item}
 *   item   = "*" | [alias ":"] field ["::" cast] ["." agg "()" ["::" cast]] | [alias ":"] "count()"
 *          | ["..."] [alias ":"] relation {"!" hint | "!inner" | "!left"} "(" [select] ")"
 *   order  = (field | relation "(" field ")") {".asc" | ".desc" | ".nullsfirst" | ".nullslast"} */
#include "wire/restscan.h"

static bool parse_list(struct rest_node *node, struct restscan *s);

static bool take_cast(struct restscan *s, struct str *cast)
{
    size_t start;
    if (!restscan_take_word(s, "::"))
        return true;
    start = s->at;
    while (!restscan_is_end(s)) {
        char c = s->text.p[s->at];
        bool word = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                    c == '_' || c == ' ' || c == '[' || c == ']';
        if (!word)
            break;
        s->at++;
    }
    *cast = str_trim(str_of(s->text.p + start, s->at - start));
    return cast->n > 0 ? true : restscan_fail(s, "cast type");
}

static enum rest_aggregate aggregate_of(struct str word)
{
    static const char *const names[] = {"", "count", "sum", "avg", "min", "max"};
    for (size_t i = REST_COUNT; i <= REST_MAX; i++)
        if (str_is(word, names[i]))
            return (enum rest_aggregate)i;
    return REST_NO_AGG;
}

static bool take_aggregate(struct restscan *s, struct rest_item *item)
{
    size_t start = s->at + 1;
    struct str word;
    if (!restscan_take(s, '.'))
        return true;
    if (!restscan_name(s, &word))
        return false;
    item->aggregate = aggregate_of(word);
    if (item->aggregate == REST_NO_AGG)
        return restscan_fail_at(s, start, "aggregate (sum, avg, count, max, min)");
    if (!restscan_take_word(s, "()"))
        return restscan_fail(s, "\"()\"");
    return take_cast(s, &item->aggregate_cast);
}

/* After the relation's name: hints, then the list in parentheses. */
static bool take_embed(struct restscan *s, struct rest_item *item, struct rest_field *field,
                       bool spread)
{
    struct rest_node *node = restscan_new(s, sizeof *node);
    if (!node)
        return false;
    item->kind = REST_EMBED;
    item->embed = node;
    node->relation = field->name;
    node->alias = item->alias;
    node->spread = spread;
    node->limit = -1;
    while (restscan_take(s, '!')) {
        struct str hint;
        if (!restscan_name(s, &hint))
            return false;
        if (str_is(hint, "inner"))
            node->join = REST_JOIN_INNER;
        else if (str_is(hint, "left"))
            node->join = REST_JOIN_LEFT;
        else
            node->hint = hint;
    }
    if (field->steps_count)
        return restscan_fail(s, "a relation without a JSON path");
    if (!restscan_take(s, '('))
        return restscan_fail(s, "\"(\"");
    if (++s->depth > REST_DEPTH_MAX)
        return restscan_fail(s, "less nesting");
    node->has_select = true;
    if (restscan_peek(s) != ')' && !parse_list(node, s))
        return false;
    s->depth--;
    return restscan_take(s, ')') ? true : restscan_fail(s, "\",\" or \")\"");
}

static bool parse_item(struct rest_item *item, struct restscan *s)
{
    bool spread = restscan_take_word(s, "...");
    struct rest_field field = {0};
    if (!spread && restscan_take(s, '*')) {
        item->kind = REST_STAR;
        return true;
    }
    item->kind = REST_FIELD;
    if (!restscan_name(s, &field.name))
        return false;
    if (restscan_peek(s) == ':' && !str_starts(str_skip(s->text, s->at), STR("::"))) {
        s->at++;
        item->alias = field.name;
        if (!restscan_name(s, &field.name))
            return false;
    }
    if (restscan_peek(s) == '!' || (restscan_peek(s) == '(' && !str_is(field.name, "count")))
        return take_embed(s, item, &field, spread);
    if (spread)
        return restscan_fail(s, "\"(\"");
    if (restscan_peek(s) == '(') {
        if (!restscan_take_word(s, "()"))
            return take_embed(s, item, &field, false);
        item->aggregate = REST_COUNT;
        return take_cast(s, &item->aggregate_cast);
    }
    if (!restscan_steps(s, &field))
        return false;
    item->field = field;
    return take_cast(s, &item->cast) && take_aggregate(s, item);
}

static bool parse_list(struct rest_node *node, struct restscan *s)
{
    struct rest_item **tail = &node->items;
    do {
        struct rest_item *item = restscan_new(s, sizeof *item);
        while (restscan_peek(s) == ' ')
            s->at++;
        if (!item || !restscan_count(s) || !parse_item(item, s))
            return false;
        while (restscan_peek(s) == ' ')
            s->at++;
        *tail = item;
        tail = &item->next;
    } while (restscan_take(s, ','));
    return true;
}

bool restselect_parse(struct rest_node *node, struct restscan *s)
{
    node->has_select = true;
    node->items = NULL;
    if (restscan_is_end(s))
        return true;
    if (!parse_list(node, s))
        return false;
    return restscan_is_end(s) ? true : restscan_fail(s, "\",\" or end of input");
}

static bool order_words(struct restscan *s, struct rest_order *o)
{
    while (restscan_take(s, '.')) {
        if (restscan_take_word(s, "asc"))
            o->descending = false;
        else if (restscan_take_word(s, "desc"))
            o->descending = true;
        else if (restscan_take_word(s, "nullsfirst"))
            o->nulls = REST_NULLS_FIRST;
        else if (restscan_take_word(s, "nullslast"))
            o->nulls = REST_NULLS_LAST;
        else
            return restscan_fail(s, "asc, desc, nullsfirst or nullslast");
    }
    return true;
}

bool restselect_order(struct rest_order **out, struct restscan *s)
{
    *out = NULL;
    if (restscan_is_end(s))
        return true;
    do {
        struct rest_order *o = restscan_new(s, sizeof *o);
        if (!o || !restscan_count(s) || !restscan_field(s, &o->field))
            return false;
        if (restscan_take(s, '(')) {
            o->relation = o->field.name;
            o->field = (struct rest_field){0};
            if (!restscan_field(s, &o->field))
                return false;
            if (!restscan_take(s, ')'))
                return restscan_fail(s, "\")\"");
        }
        if (!order_words(s, o))
            return false;
        *out = o;
        out = &o->next;
    } while (restscan_take(s, ','));
    return restscan_is_end(s) ? true : restscan_fail(s, "\",\" or end of input");
}

bool restselect_names(struct rest_name **out, struct restscan *s)
{
    *out = NULL;
    if (restscan_is_end(s))
        return true;
    do {
        struct rest_name *n = restscan_new(s, sizeof *n);
        if (!n || !restscan_count(s) || !restscan_name(s, &n->name))
            return false;
        *out = n;
        out = &n->next;
    } while (restscan_take(s, ','));
    return restscan_is_end(s) ? true : restscan_fail(s, "\",\" or end of input");
}
