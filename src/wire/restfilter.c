/* SPDX-License-Identifier: Apache-2.0 */
/* Filters of the data API: the part after "column=", and and/or trees.
 *
 *   filter = ["not."] op [ "(any)" | "(all)" | "(" language ")" ] "." value
 *   tree   = "(" [node {"," node}] ")"
 *   node   = ["not."] ("and" | "or") tree | field "." filter
 *
 * In a tree a value ends at "," or ")" outside of quotes, braces and parentheses; by itself it is
 * the whole rest. To add an operator: a row in `operators` and an enum value. */
#include "wire/restscan.h"

static const struct {
    const char *word;
    enum rest_op op;
    bool quantifiable;
    bool has_language;
} operators[] = {
    {"eq", REST_EQ, true, false},       {"neq", REST_NEQ, false, false},
    {"gte", REST_GTE, true, false},     {"gt", REST_GT, true, false},
    {"lte", REST_LTE, true, false},     {"lt", REST_LT, true, false},
    {"like", REST_LIKE, true, false},   {"ilike", REST_ILIKE, true, false},
    {"match", REST_MATCH, true, false}, {"imatch", REST_IMATCH, true, false},
    {"in", REST_IN, false, false},      {"isdistinct", REST_ISDISTINCT, false, false},
    {"is", REST_IS, false, false},      {"cs", REST_CS, false, false},
    {"cd", REST_CD, false, false},      {"ov", REST_OV, false, false},
    {"sl", REST_SL, false, false},      {"sr", REST_SR, false, false},
    {"nxl", REST_NXL, false, false},    {"nxr", REST_NXR, false, false},
    {"adj", REST_ADJ, false, false},    {"fts", REST_FTS, false, true},
    {"plfts", REST_PLFTS, false, true}, {"phfts", REST_PHFTS, false, true},
    {"wfts", REST_WFTS, false, true},
};

static bool grow(struct restscan *s, struct rest_filter *f, size_t *room, struct str value)
{
    if (f->values_count == *room) {
        size_t more = *room ? *room * 2 : 8;
        struct str *p = restscan_new(s, more * sizeof *p);
        if (!p)
            return false;
        if (*room)
            memcpy(p, f->values, *room * sizeof *p);
        f->values = p;
        *room = more;
    }
    f->values[f->values_count++] = value;
    return restscan_count(s);
}

/* An unquoted element of in.(...) or {...}: up to a comma or the closing character. */
static struct str bare_element(struct restscan *s, char close)
{
    size_t start = s->at;
    while (!restscan_is_end(s) && restscan_peek(s) != ',' && restscan_peek(s) != close)
        s->at++;
    return str_of(s->text.p + start, s->at - start);
}

/* postgrest-js quotes an element but does not escape quotes inside: a quote that is not followed
 * by "," or the end belongs to the text. */
static bool loose_quoted(struct restscan *s, char close, struct str *out)
{
    size_t start = s->at;
    char *to = restscan_scratch(s);
    size_t n = 0;
    if (!to)
        return false;
    while (!restscan_is_end(s)) {
        char c = s->text.p[s->at++];
        char after = restscan_peek(s);
        if (c == '"' && (after == ',' || after == close || after == 0)) {
            *out = str_of(to, n);
            return true;
        }
        if (c == '\\' && (after == '"' || after == '\\'))
            c = s->text.p[s->at++];
        to[n++] = c;
    }
    return restscan_fail_at(s, start, "a closing \"");
}

static bool list(struct restscan *s, struct rest_filter *f, char open, char close)
{
    size_t room = 0;
    if (!restscan_take(s, open))
        return restscan_fail(s, open == '(' ? "\"(\"" : "\"{\"");
    if (restscan_take(s, close))
        return true;
    do {
        struct str value = STR_NONE;
        if (restscan_take(s, '"')) {
            if (!loose_quoted(s, close, &value))
                return false;
        } else
            value = bare_element(s, close);
        if (!grow(s, f, &room, value))
            return false;
    } while (restscan_take(s, ','));
    return restscan_take(s, close) ? true : restscan_fail(s, "\",\" or the end of the list");
}

/* Value inside a tree: quoted, or raw until "," or ")" outside braces and brackets. */
static bool tree_value(struct restscan *s, struct str *out)
{
    size_t start = s->at;
    unsigned braces = 0;
    bool quoted = false;
    if (restscan_take(s, '"')) {
        if (!restscan_quoted(s, out))
            return false;
        return true;
    }
    while (!restscan_is_end(s)) {
        char c = restscan_peek(s);
        if (c == '"' && braces)
            quoted = !quoted;
        else if (!quoted && (c == '{' || c == '['))
            braces++;
        else if (!quoted && braces && (c == '}' || c == ']'))
            braces--;
        else if (!braces && (c == ',' || c == ')'))
            break;
        s->at++;
    }
    *out = str_of(s->text.p + start, s->at - start);
    return true;
}

static bool is_value(struct restscan *s, struct rest_filter *f, bool in_tree)
{
    static const struct {
        const char *word;
        enum rest_is is;
    } words[] = {{"null", REST_IS_NULL},
                 {"not_null", REST_IS_NOT_NULL},
                 {"true", REST_IS_TRUE},
                 {"false", REST_IS_FALSE},
                 {"unknown", REST_IS_UNKNOWN}};
    size_t start = s->at;
    struct str value = STR_NONE;
    if (in_tree) {
        if (!tree_value(s, &value))
            return false;
    } else {
        value = str_skip(s->text, s->at);
        s->at = s->text.n;
    }
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (str_eq_nocase(value, str_from(words[i].word))) {
            f->is = words[i].is;
            return true;
        }
    }
    return restscan_fail_at(s, start, "isVal: (null, not_null, true, false, unknown)");
}

static bool take_operator(struct restscan *s, struct rest_filter *f)
{
    size_t start = s->at, word_end;
    struct str word;
    while (!restscan_is_end(s) && restscan_peek(s) >= 'a' && restscan_peek(s) <= 'z')
        s->at++;
    word_end = s->at;
    word = str_of(s->text.p + start, word_end - start);
    for (size_t i = 0; i < sizeof operators / sizeof operators[0]; i++) {
        if (!str_is(word, operators[i].word))
            continue;
        f->op = operators[i].op;
        if (operators[i].quantifiable && restscan_take_word(s, "(any)"))
            f->quantifier = REST_ANY;
        else if (operators[i].quantifiable && restscan_take_word(s, "(all)"))
            f->quantifier = REST_ALL;
        else if (operators[i].has_language && restscan_take(s, '(')) {
            f->language = bare_element(s, ')');
            if (!restscan_take(s, ')'))
                return restscan_fail(s, "\")\"");
        }
        if (!restscan_take(s, '.'))
            return restscan_fail(s, "\".\"");
        return true;
    }
    return restscan_fail_at(
        s, start, f->negated ? "operator (eq, gt, ...)" : "\"not\" or operator (eq, gt, ...)");
}

bool restfilter_parse(struct rest_filter *f, struct restscan *s, bool in_tree)
{
    if (!restscan_count(s))
        return false;
    f->negated = restscan_take_word(s, "not.");
    if (!take_operator(s, f))
        return false;
    if (f->op == REST_IS)
        return is_value(s, f, in_tree);
    if (f->op == REST_IN) {
        if (!list(s, f, '(', ')'))
            return false;
    } else if (f->quantifier != REST_ONE) {
        if (!list(s, f, '{', '}'))
            return false;
    } else if (in_tree) {
        return tree_value(s, &f->value);
    } else {
        f->value = str_skip(s->text, s->at);
        s->at = s->text.n;
    }
    if (!in_tree && !restscan_is_end(s))
        return restscan_fail(s, "end of input");
    return true;
}

static bool tree_leaf(struct rest_filter *f, struct restscan *s)
{
    if (!restscan_field(s, &f->field))
        return false;
    if (!restscan_take(s, '.'))
        return restscan_fail(s, "\".\"");
    return restfilter_parse(f, s, true);
}

static bool tree_node(struct rest_logic *logic, struct restscan *s)
{
    size_t start = s->at;
    bool negated = restscan_take_word(s, "not.");
    if (restscan_take_word(s, "and("))
        logic->kind = REST_AND;
    else if (restscan_take_word(s, "or("))
        logic->kind = REST_OR;
    else {
        logic->kind = REST_LEAF;
        if (negated && tree_leaf(&logic->filter, s)) { /* not.col.op.value */
            logic->filter.negated = !logic->filter.negated;
            return true;
        }
        s->at = start;
        logic->filter = (struct rest_filter){0};
        return tree_leaf(&logic->filter, s);
    }
    s->at--;
    logic->negated = negated;
    return restfilter_tree(logic, s);
}

bool restfilter_tree(struct rest_logic *logic, struct restscan *s)
{
    struct rest_logic **tail = &logic->children;
    if (++s->depth > REST_DEPTH_MAX)
        return restscan_fail(s, "less nesting");
    if (!restscan_take(s, '('))
        return restscan_fail(s, "\"(\"");
    do {
        struct rest_logic *child = restscan_new(s, sizeof *child);
        while (restscan_peek(s) == ' ')
            s->at++;
        if (!child || !tree_node(child, s))
            return false;
        while (restscan_peek(s) == ' ')
            s->at++;
        *tail = child;
        tail = &child->next;
    } while (restscan_take(s, ','));
    s->depth--;
    return restscan_take(s, ')') ? true : restscan_fail(s, "\",\" or \")\"");
}
