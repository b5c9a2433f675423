/* SPDX-License-Identifier: Apache-2.0 */
/* A configuration text (YAML; JSON is its flow form) as a small tree with places, by libyaml's
 * events. Types are not guessed here: a scalar is text, the schema decides what it means, so
 * `no` is a word and 8080 a string until a row says otherwise. Bounded in size, depth and
 * nodes; anchors, tags, several documents and repeated keys are refused, since each of them
 * has surprised someone in a configuration file. */
#include "server/config_priv.h"
#include "base/mem.h"
#include <stdio.h>
#include <yaml.h>

#define TEXT_BYTES_MAX (1 << 20) /* a thousand channel rules are about 200 KiB */
#define NODES_MAX 100000
#define KEYS_MAX 2000 /* of one mapping; they are compared with each other */
#define DEPTH_MAX 16  /* the schema needs five */

struct reader {
    struct config_draft *draft;
    const char *label;
    struct arena *arena;
    bool expand;
    char *const *env;
    yaml_parser_t parser;
    struct config_node *stack[DEPTH_MAX];
    size_t depth;
    struct config_node *root;
    size_t nodes;
    bool has_key; /* in a map: the key was read, its value is next */
    struct str key;
    int key_line, key_col;
};

static struct config_place place_of(const struct reader *r, const yaml_mark_t *mark)
{
    return (struct config_place){r->label, (int)mark->line + 1, (int)mark->column + 1};
}

struct str config_env_get(char *const *env, struct str name)
{
    for (; env && *env; env++) {
        struct str s = str_from(*env);
        if (s.n > name.n && s.p[name.n] == '=' && str_starts(s, name))
            return str_skip(s, name.n + 1);
    }
    return STR_NONE;
}

/* One ${NAME} or ${NAME:-instead}; `inner` is what stands between the braces. */
static bool expand_one(struct reader *r, struct config_place place, struct str inner,
                       struct buf *out)
{
    struct str name = inner, instead = STR_NONE;
    ptrdiff_t at = str_find_str(inner, STR(":-"));
    if (at >= 0) {
        name = str_head(inner, (size_t)at);
        instead = str_skip(inner, (size_t)at + 2);
    }
    struct str value = config_env_get(r->env, name);
    if (at >= 0 && value.n == 0)
        value = instead;
    if (!value.p) {
        config_problem(r->draft, place,
                       "${%.*s} is not set; set the variable, or give a value for then: "
                       "${%.*s:-value} (a plain ${ is written $${)",
                       STR_ARG(name), STR_ARG(name));
        return false;
    }
    buf_add_str(out, value);
    return true;
}

static struct str expand(struct reader *r, struct config_place place, struct str text)
{
    if (!r->expand || str_find_str(text, STR("${")) < 0)
        return arena_dup(r->arena, text);
    struct buf out = {.max = TEXT_BYTES_MAX};
    struct str whole = text;
    bool good = true;
    while (text.n > 0) {
        ptrdiff_t at = str_find_str(text, STR("${"));
        if (at < 0) {
            buf_add_str(&out, text);
            break;
        }
        bool escaped = at > 0 && text.p[at - 1] == '$';
        buf_add_str(&out, str_head(text, (size_t)(escaped ? at - 1 : at)));
        text = str_skip(text, (size_t)at + 2);
        ptrdiff_t end = str_find(text, '}');
        if (escaped) {
            buf_add_z(&out, "${");
        } else if (end < 0) {
            config_problem(r->draft, place, "${ without a closing }");
            good = false;
            break;
        } else if (!expand_one(r, place, str_head(text, (size_t)end), &out)) {
            good = false;
            break;
        } else {
            text = str_skip(text, (size_t)end + 1);
        }
    }
    struct str done = arena_dup(r->arena, good ? buf_str(&out) : whole);
    if (out.failed)
        config_problem(r->draft, place, "the value is too long after ${…} was filled in");
    buf_free(&out);
    return done;
}

static bool has_child(const struct config_node *map, struct str key)
{
    for (const struct config_node *c = map->first; c; c = c->next) {
        if (str_eq(c->key, key))
            return true;
    }
    return false;
}

/* Puts a node where it belongs; false stops the reading. */
static bool place_node(struct reader *r, struct config_node *node)
{
    struct config_node *parent = r->depth ? r->stack[r->depth - 1] : NULL;
    if (!parent) {
        r->root = node;
        return true;
    }
    if (parent->kind == CONFIG_NODE_MAP) {
        node->key = r->key;
        node->key_line = r->key_line;
        node->key_col = r->key_col;
        r->has_key = false;
    }
    if (parent->last)
        parent->last->next = node;
    else
        parent->first = node;
    parent->last = node;
    parent->count++;
    return true;
}

static struct config_node *new_node(struct reader *r, enum config_node_kind kind,
                                    const yaml_mark_t *mark)
{
    struct config_place place = place_of(r, mark);
    if (++r->nodes > NODES_MAX) {
        config_problem(r->draft, place, "more than %d values; split the file's long lists",
                       NODES_MAX);
        return NULL;
    }
    struct config_node *node = arena_zero(r->arena, sizeof(*node));
    if (!node) {
        config_problem(r->draft, place, "out of memory");
        return NULL;
    }
    node->kind = kind;
    node->line = place.line;
    node->col = place.col;
    return node;
}

static bool wants_key(const struct reader *r)
{
    return r->depth > 0 && r->stack[r->depth - 1]->kind == CONFIG_NODE_MAP && !r->has_key;
}

static bool on_scalar(struct reader *r, const yaml_event_t *e)
{
    struct str text = str_of((const char *)e->data.scalar.value, e->data.scalar.length);
    struct config_place place = place_of(r, &e->start_mark);
    if (memchr(text.p, 0, text.n)) {
        config_problem(r->draft, place, "a NUL byte stands in the text");
        return false;
    }
    if (wants_key(r)) {
        if (r->stack[r->depth - 1]->count >= KEYS_MAX) {
            config_problem(r->draft, place, "more than %d keys in one mapping", KEYS_MAX);
            return false;
        }
        if (has_child(r->stack[r->depth - 1], text)) {
            config_problem(r->draft, place, "\"%.*s\" stands twice; keep one of them",
                           STR_ARG(text));
            return false;
        }
        r->key = arena_dup(r->arena, text);
        r->key_line = place.line;
        r->key_col = place.col;
        r->has_key = true;
        return true;
    }
    struct config_node *node = new_node(r, CONFIG_NODE_SCALAR, &e->start_mark);
    if (!node)
        return false;
    node->is_null = e->data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
                    (text.n == 0 || str_is(text, "~") || str_is(text, "null"));
    node->text = expand(r, place, text);
    return place_node(r, node);
}

static bool on_begin(struct reader *r, enum config_node_kind kind, const yaml_event_t *e)
{
    struct config_place place = place_of(r, &e->start_mark);
    if (wants_key(r)) {
        config_problem(r->draft, place, "a key must be plain text");
        return false;
    }
    if (r->depth == DEPTH_MAX) {
        config_problem(r->draft, place, "nested more than %d deep", DEPTH_MAX);
        return false;
    }
    struct config_node *node = new_node(r, kind, &e->start_mark);
    if (!node || !place_node(r, node))
        return false;
    r->stack[r->depth++] = node;
    return true;
}

static bool refuse(struct reader *r, const yaml_event_t *e, const char *what)
{
    config_problem(r->draft, place_of(r, &e->start_mark), "%s", what);
    return false;
}

static bool has_anchor_or_tag(const yaml_event_t *e)
{
    if (e->type == YAML_SCALAR_EVENT)
        return e->data.scalar.anchor || e->data.scalar.tag;
    if (e->type == YAML_SEQUENCE_START_EVENT)
        return e->data.sequence_start.anchor || e->data.sequence_start.tag;
    if (e->type == YAML_MAPPING_START_EVENT)
        return e->data.mapping_start.anchor || e->data.mapping_start.tag;
    return false;
}

static bool on_event(struct reader *r, const yaml_event_t *e)
{
    if (has_anchor_or_tag(e))
        return refuse(r, e,
                      "anchors (&) and tags (!) are not taken here; quote the text if it "
                      "should begin so");
    switch (e->type) {
    case YAML_DOCUMENT_START_EVENT:
        return !r->root || refuse(r, e, "a second document (---); put all settings into one");
    case YAML_ALIAS_EVENT:
        return refuse(r, e, "aliases (*) are not taken here; quote a text that begins with *");
    case YAML_SCALAR_EVENT:
        return on_scalar(r, e);
    case YAML_SEQUENCE_START_EVENT:
        return on_begin(r, CONFIG_NODE_LIST, e);
    case YAML_MAPPING_START_EVENT:
        return on_begin(r, CONFIG_NODE_MAP, e);
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT:
        r->depth--;
        return true;
    case YAML_NO_EVENT:
    case YAML_STREAM_START_EVENT:
    case YAML_STREAM_END_EVENT:
    case YAML_DOCUMENT_END_EVENT:
        return true;
    }
    return true;
}

static void parser_problem(struct reader *r)
{
    const yaml_parser_t *p = &r->parser;
    yaml_mark_t mark = p->problem_mark;
    const char *hint = p->error == YAML_SCANNER_ERROR && p->problem && strstr(p->problem, "tab")
                           ? "; indent with blanks"
                           : "";
    if (p->error == YAML_READER_ERROR)
        mark = p->mark;
    config_problem(r->draft, place_of(r, &mark), "not readable as YAML: %s%s%s%s",
                   p->context ? p->context : "", p->context ? ", " : "",
                   p->problem ? p->problem : "out of memory", hint);
}

static bool read_events(struct reader *r)
{
    for (bool more = true; more;) {
        yaml_event_t e;
        if (!yaml_parser_parse(&r->parser, &e)) {
            parser_problem(r);
            return false;
        }
        more = e.type != YAML_STREAM_END_EVENT;
        bool good = on_event(r, &e);
        yaml_event_delete(&e);
        if (!good)
            return false;
    }
    return true;
}

struct config_node *config_yaml_parse(struct config_draft *d, const char *label, struct str text,
                                      bool expand_env, char *const *env)
{
    struct reader r = {
        .draft = d, .label = label, .arena = &d->arena, .expand = expand_env, .env = env};
    if (text.n > TEXT_BYTES_MAX) {
        config_problem(d, (struct config_place){label, 0, 0}, "larger than %d bytes",
                       TEXT_BYTES_MAX);
        return NULL;
    }
    if (!yaml_parser_initialize(&r.parser)) {
        config_problem(d, (struct config_place){label, 0, 0}, "out of memory");
        return NULL;
    }
    yaml_parser_set_input_string(&r.parser, (const unsigned char *)(text.p ? text.p : ""), text.n);
    yaml_parser_set_encoding(&r.parser, YAML_UTF8_ENCODING);
    bool good = read_events(&r);
    yaml_parser_delete(&r.parser);
    if (!good)
        return NULL;
    if (!r.root) { /* an empty file says nothing */
        r.root = arena_zero(&d->arena, sizeof(*r.root));
        if (r.root)
            r.root->kind = CONFIG_NODE_MAP;
    }
    return r.root;
}
