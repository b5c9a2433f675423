/* SPDX-License-Identifier: Apache-2.0 */
/* See restquery.h. The parameters are read in two passes, since a filter may name an embed that
 * a later select= brings. */
#include "wire/restquery.h"
#include "base/num.h"
#include "wire/restscan.h"

struct reading {
    struct restquery *q;
    const struct str *args;
    size_t args_count;
    unsigned items;
    struct arena *arena;
    struct rest_error *error;
};

static int hex_of(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* A '%' that begins no escape stands for itself, as browsers' decoders do. */
static struct str unescape(struct str s, struct arena *arena)
{
    char *to = arena_alloc(arena, s.n + 1);
    size_t n = 0;
    if (!to)
        return STR_NONE;
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (c == '+')
            c = ' ';
        else if (c == '%' && i + 2 < s.n && hex_of(s.p[i + 1]) >= 0 && hex_of(s.p[i + 2]) >= 0) {
            c = (char)(hex_of(s.p[i + 1]) * 16 + hex_of(s.p[i + 2]));
            i += 2;
        }
        to[n++] = c;
    }
    return str_of(to, n);
}

bool restquery_next_pair(struct str *rest, struct str *name, struct str *value, struct arena *arena)
{
    while (rest->p && rest->n) {
        struct str pair = str_cut(rest, '&');
        if (pair.n == 0)
            continue;
        struct str raw = str_cut(&pair, '=');
        *name = unescape(raw, arena);
        *value = pair.p ? unescape(pair, arena) : str_of("", 0);
        return true;
    }
    return false;
}

static struct restscan scan_of(struct reading *r, struct str text, const char *what)
{
    return (struct restscan){
        .text = text, .items = &r->items, .what = what, .arena = r->arena, .error = r->error};
}

static bool bad(struct reading *r, const char *code, int status, struct str message,
                struct str details, struct str hint)
{
    *r->error = (struct rest_error){code, status, message, details, hint};
    return false;
}

static struct rest_node *embed_named(struct rest_node *node, struct str name)
{
    for (struct rest_item *i = node->items; i; i = i->next)
        if (i->kind == REST_EMBED && i->embed->alias.n && str_eq(i->embed->alias, name))
            return i->embed;
    for (struct rest_item *i = node->items; i; i = i->next)
        if (i->kind == REST_EMBED && !i->embed->alias.n && str_eq(i->embed->relation, name))
            return i->embed;
    return NULL;
}

static bool not_embedded(struct reading *r, struct str name)
{
    char line[300];
    struct str message, hint;
    size_t n = 0;
    name = str_head(name, 100);
    memcpy(line, "'", 1);
    n = 1;
    memcpy(line + n, name.p, name.n);
    n += name.n;
    memcpy(line + n, "' is not an embedded resource in this request", 45);
    message = arena_dup(r->arena, str_of(line, n + 45));
    memcpy(line, "Verify that '", 13);
    n = 13;
    memcpy(line + n, name.p, name.n);
    n += name.n;
    memcpy(line + n, "' is included in the 'select' query parameter.", 46);
    hint = arena_dup(r->arena, str_of(line, n + 46));
    return bad(r, "PGRST108", 400, message, STR_NONE, hint);
}

/* "a.b.last": walks the embeds a, b; the scan is left at `last`. */
static bool walk_path(struct reading *r, struct restscan *s, struct rest_node **node)
{
    *node = &r->q->root;
    for (unsigned depth = 0;; depth++) {
        size_t start = s->at;
        struct str name;
        if (depth > REST_DEPTH_MAX)
            return restscan_fail(s, "less nesting");
        if (!restscan_name(s, &name))
            return false;
        if (restscan_peek(s) != '.') {
            s->at = start;
            return true;
        }
        if (str_is(name, "not")) { /* not.and, not.or of this node */
            struct str after = str_skip(s->text, s->at);
            if (str_eq(after, STR(".and")) || str_eq(after, STR(".or"))) {
                s->at = start;
                return true;
            }
        }
        s->at++;
        *node = embed_named(*node, name);
        if (!*node)
            return not_embedded(r, name);
    }
}

static bool add_condition(struct reading *r, struct rest_node *node, struct rest_logic *logic)
{
    struct rest_logic **tail = &node->where;
    (void)r;
    while (*tail)
        tail = &(*tail)->next;
    *tail = logic;
    return true;
}

static bool read_tree(struct reading *r, struct rest_node *node, struct str key, struct str value)
{
    struct restscan s = scan_of(r, value, "logic tree");
    struct rest_logic *logic = restscan_new(&s, sizeof *logic);
    if (!logic)
        return false;
    logic->negated = str_starts(key, STR("not."));
    logic->kind = str_ends(key, STR("or")) ? REST_OR : REST_AND;
    if (!restfilter_tree(logic, &s))
        return false;
    if (!restscan_is_end(&s))
        return restscan_fail(&s, "end of input");
    return add_condition(r, node, logic);
}

static bool read_number(struct reading *r, struct str value, const char *what, int64_t *out)
{
    struct restscan s = scan_of(r, value, what);
    if (str_starts(value, STR("-")) && num_i64(value, out))
        return bad(r, "PGRST103", 416, STR("Requested range not satisfiable"),
                   STR("Limit and offset must be greater than or equal to zero."), STR_NONE);
    if (!num_i64(value, out))
        return restscan_fail(&s, "digit");
    return true;
}

static bool is_tree_key(struct str key)
{
    return str_is(key, "and") || str_is(key, "or") || str_is(key, "not.and") ||
           str_is(key, "not.or");
}

static bool read_parameter(struct reading *r, struct str key, struct str value)
{
    struct restscan s = scan_of(r, key, "tree path");
    struct rest_node *node;
    struct str last;
    struct rest_logic *logic;
    if (!walk_path(r, &s, &node))
        return false;
    last = str_skip(key, s.at);
    if (str_is(last, "limit"))
        return read_number(r, value, "limit", &node->limit);
    if (str_is(last, "offset"))
        return read_number(r, value, "offset", &node->offset);
    if (str_is(last, "order")) {
        struct restscan o = scan_of(r, value, "order");
        return restselect_order(&node->order, &o);
    }
    if (is_tree_key(last))
        return read_tree(r, node, last, value);
    logic = restscan_new(&s, sizeof *logic);
    if (!logic || !restscan_field(&s, &logic->filter.field))
        return false;
    if (!restscan_is_end(&s))
        return restscan_fail(&s, "\".\", \"->\" or end of input");
    s = scan_of(r, value, "filter");
    return restfilter_parse(&logic->filter, &s, false) && add_condition(r, node, logic);
}

static bool is_argument(const struct reading *r, struct str key)
{
    for (size_t i = 0; i < r->args_count; i++)
        if (str_eq(r->args[i], key))
            return true;
    return false;
}

static bool add_argument(struct reading *r, struct str key, struct str value)
{
    struct rest_arg **tail = &r->q->args;
    struct rest_arg *arg = arena_zero(r->arena, sizeof *arg);
    if (!arg || r->items-- == 0)
        return bad(r, "PGRST100", 400, STR("too many parameters"), STR_NONE, STR_NONE);
    while (*tail)
        tail = &(*tail)->next;
    *arg = (struct rest_arg){key, value, NULL};
    *tail = arg;
    return true;
}

/* First pass: what shapes the tree. */
static bool read_shape(struct reading *r, struct str key, struct str value)
{
    struct restscan s = scan_of(r, value, "select parameter");
    if (str_is(key, "select"))
        return restselect_parse(&r->q->root, &s);
    if (str_is(key, "columns")) {
        s.what = "columns parameter";
        r->q->has_columns = true;
        return restselect_names(&r->q->columns, &s);
    }
    if (str_is(key, "on_conflict")) {
        s.what = "on_conflict parameter";
        return restselect_names(&r->q->on_conflict, &s);
    }
    return true;
}

static bool is_shape_key(struct str key)
{
    /* apikey: some clients put it into the URL; it is for the gateway, not for us. */
    return str_is(key, "select") || str_is(key, "columns") || str_is(key, "on_conflict") ||
           str_is(key, "apikey");
}

bool restquery_parse(struct restquery *q, struct str query, const struct str *function_args,
                     size_t function_args_count, struct arena *arena, struct rest_error *error)
{
    struct reading r = {q, function_args, function_args_count, REST_ITEMS_MAX, arena, error};
    struct str rest = query, key, value;
    *q = (struct restquery){.root = {.limit = -1}};
    *error = (struct rest_error){0};
    while (restquery_next_pair(&rest, &key, &value, arena)) {
        if (!key.p || !value.p)
            return bad(&r, "PGRST100", 400, STR("the query is too large"), STR_NONE, STR_NONE);
        if (!is_argument(&r, key) && !read_shape(&r, key, value))
            return false;
    }
    rest = query;
    while (restquery_next_pair(&rest, &key, &value, arena)) {
        if (!key.p || !value.p)
            return bad(&r, "PGRST100", 400, STR("the query is too large"), STR_NONE, STR_NONE);
        if (is_argument(&r, key)) {
            if (!add_argument(&r, key, value))
                return false;
        } else if (!is_shape_key(key) && !read_parameter(&r, key, value))
            return false;
    }
    return true;
}
