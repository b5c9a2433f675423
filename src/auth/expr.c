/* SPDX-License-Identifier: Apache-2.0 */
/* A recursive descent parser into an array of nodes, and an evaluator over it. Depth and number of
 * nodes are limited when it is read, so evaluating is bounded by the text's length times the size
 * of the claims it looks at. To add an operator: a row in `operators` and a case in compare(); a
 * new value: value() reads it, load() gives it. */
#include "auth/expr.h"
#include "auth/identity.h"
#include "base/check.h"
#include "base/mem.h"
#include "base/num.h"
#include <jansson.h>

#define NODES_MAX 256
#define DEPTH_MAX 32
#define TEXT_BYTES_MAX 2048
#define SEGMENT_MAX 64

enum node_kind {
    NODE_OR,
    NODE_AND,
    NODE_NOT,
    NODE_EQUAL,
    NODE_UNEQUAL,
    NODE_LESS,
    NODE_LESS_EQUAL,
    NODE_MORE,
    NODE_MORE_EQUAL,
    NODE_IN,
    NODE_NOT_IN,
    NODE_MATCHES,
    NODE_TEXT,
    NODE_NUMBER,
    NODE_BOOL,
    NODE_NULL,
    NODE_LIST,
    NODE_SUB,
    NODE_ROLE,
    NODE_CHANNEL,
    NODE_CLAIM,
    NODE_SEGMENT,
    NODE_AFTER,
};

/* a and b are the indices of operands; a list's items are chained through b, from a; 0 ends (the
 * first node is never an operand of another: it is the dummy root). */
struct node {
    enum node_kind kind;
    uint16_t a, b;
    struct str text; /* literal, prefix, or a claim's path: names, each ended by NUL */
    int64_t number;  /* literal, segment, true or false */
};
struct expr {
    struct node *nodes;
    size_t count, capacity;
    uint16_t root;
    bool personal;
    char *text; /* what the nodes' texts point into */
    size_t text_n, text_capacity;
};

/* ---- reading ---------------------------------------------------------------------------- */

struct reader {
    struct expr *e;
    struct str all;
    size_t at;    /* next byte */
    size_t start; /* of the token at hand, for messages */
    unsigned depth;
    const char *fault;
    size_t column; /* of the fault */
};

static uint16_t refuse(struct reader *r, const char *fault)
{
    if (!r->fault) {
        r->fault = fault;
        r->column = r->start + 1;
    }
    return 0;
}

static uint16_t refuse_at(struct reader *r, size_t at, const char *fault)
{
    r->start = at;
    return refuse(r, fault);
}

static uint16_t add(struct reader *r, struct node node)
{
    if (r->fault)
        return 0;
    if (r->e->count == NODES_MAX)
        return refuse(r, "the expression is too long");
    r->e->nodes = mem_grow(r->e->nodes, &r->e->capacity, r->e->count + 1, sizeof(node));
    r->e->nodes[r->e->count] = node;
    return (uint16_t)r->e->count++;
}

static bool is_word(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

static char peek(struct reader *r)
{
    while (r->at < r->all.n && (r->all.p[r->at] == ' ' || r->all.p[r->at] == '\t' ||
                                r->all.p[r->at] == '\n' || r->all.p[r->at] == '\r'))
        r->at++;
    r->start = r->at;
    return r->at < r->all.n ? r->all.p[r->at] : 0;
}

/* Takes a sign or a whole word when it is next. */
static bool take(struct reader *r, const char *token)
{
    peek(r);
    struct str want = str_from(token), rest = str_skip(r->all, r->at);
    if (r->fault || !str_starts(rest, want))
        return false;
    if (is_word(token[0]) && rest.n > want.n && is_word(rest.p[want.n]))
        return false;
    r->at += want.n;
    return true;
}

static void expect(struct reader *r, const char *sign, const char *fault)
{
    if (!take(r, sign))
        refuse(r, fault);
}

/* The bytes of a name or a number; may be empty. */
static struct str word(struct reader *r)
{
    peek(r);
    while (r->at < r->all.n && is_word(r->all.p[r->at]))
        r->at++;
    return str_of(r->all.p + r->start, r->at - r->start);
}

static void keep(struct reader *r, char c)
{
    /* Each name kept with its NUL was read with a dot or brackets, so there is always room. */
    CHECK(r->e->text_n < r->e->text_capacity);
    r->e->text[r->e->text_n++] = c;
}

/* A quoted text; \ before a quote or a backslash takes it as it is. */
static struct str quoted(struct reader *r)
{
    char quote = peek(r);
    size_t from = r->e->text_n;
    if (quote != '"' && quote != '\'') {
        refuse(r, "a text in quotes is expected");
        return STR_NONE;
    }
    for (r->at++; r->at < r->all.n && r->all.p[r->at] != quote; r->at++) {
        char c = r->all.p[r->at];
        if (c == '\\' && r->at + 1 < r->all.n)
            c = r->all.p[++r->at];
        if (!c)
            refuse(r, "a text cannot hold NUL");
        keep(r, c);
    }
    if (r->at >= r->all.n)
        refuse(r, "the text has no closing quote");
    r->at++;
    return str_of(r->e->text + from, r->e->text_n - from);
}

/* After "claims": .name or ["name"], at least once. */
static uint16_t claim(struct reader *r)
{
    size_t from = r->e->text_n;
    for (;;) {
        if (take(r, ".")) {
            struct str name = word(r);
            if (!name.n)
                return refuse(r, "the name of a claim is expected");
            for (size_t i = 0; i < name.n; i++)
                keep(r, name.p[i]);
        } else if (take(r, "[")) {
            quoted(r);
            expect(r, "]", "] is expected");
        } else {
            break;
        }
        keep(r, 0);
        if (r->fault)
            return 0;
    }
    if (r->e->text_n == from)
        return refuse(r, "claims needs a name: claims.name");
    r->e->personal = true;
    return add(r, (struct node){.kind = NODE_CLAIM,
                                .text = str_of(r->e->text + from, r->e->text_n - from)});
}

static uint16_t number(struct reader *r)
{
    struct node node = {.kind = NODE_NUMBER};
    bool negative = take(r, "-");
    size_t at = r->start;
    if (!num_i64(word(r), &node.number))
        return refuse_at(r, at, "this is not a whole number");
    if (negative)
        node.number = -node.number;
    return add(r, node);
}

static uint16_t segment(struct reader *r)
{
    struct node node = {.kind = NODE_SEGMENT};
    expect(r, "(", "( is expected");
    struct str digits = word(r);
    if (!num_i64(digits, &node.number) || node.number < 1 || node.number > SEGMENT_MAX)
        return refuse(r, "segments are counted from 1 to 64");
    expect(r, ")", ") is expected");
    return add(r, node);
}

static uint16_t after(struct reader *r)
{
    struct node node = {.kind = NODE_AFTER};
    expect(r, "(", "( is expected");
    node.text = quoted(r);
    expect(r, ")", ") is expected");
    return add(r, node);
}

static uint16_t expression(struct reader *r);
static uint16_t value(struct reader *r);

static uint16_t list(struct reader *r)
{
    uint16_t head = add(r, (struct node){.kind = NODE_LIST}), last = 0;
    if (take(r, "]"))
        return head;
    do {
        peek(r);
        size_t at = r->start;
        uint16_t item = value(r);
        if (r->fault)
            return 0;
        enum node_kind kind = r->e->nodes[item].kind;
        if (kind < NODE_TEXT || kind == NODE_NULL || kind == NODE_LIST)
            return refuse_at(r, at, "a list holds plain values");
        /* Values have no operands, so their b is free for the chain. */
        if (last)
            r->e->nodes[last].b = item;
        else
            r->e->nodes[head].a = item;
        last = item;
    } while (take(r, ","));
    expect(r, "]", ", or ] is expected");
    return r->fault ? 0 : head;
}

static uint16_t value(struct reader *r)
{
    char c = peek(r);
    if (c == '"' || c == '\'') {
        struct str text = quoted(r);
        return add(r, (struct node){.kind = NODE_TEXT, .text = text});
    }
    if (c == '-' || (c >= '0' && c <= '9'))
        return number(r);
    if (take(r, "true"))
        return add(r, (struct node){.kind = NODE_BOOL, .number = 1});
    if (take(r, "false"))
        return add(r, (struct node){.kind = NODE_BOOL});
    if (take(r, "null"))
        return add(r, (struct node){.kind = NODE_NULL});
    if (take(r, "channel"))
        return add(r, (struct node){.kind = NODE_CHANNEL});
    if (take(r, "segment"))
        return segment(r);
    if (take(r, "after"))
        return after(r);
    if (take(r, "claims"))
        return claim(r);
    bool sub = take(r, "sub");
    if (sub || take(r, "role")) {
        r->e->personal = true;
        return add(r, (struct node){.kind = sub ? NODE_SUB : NODE_ROLE});
    }
    if (!take(r, "("))
        return refuse(r, c ? "a value is expected" : "the expression ends too early");
    uint16_t inner = expression(r);
    expect(r, ")", ") is expected");
    return inner;
}

static const struct {
    const char *sign;
    enum node_kind kind;
} operators[] = {
    {"==", NODE_EQUAL},   {"!=", NODE_UNEQUAL}, {"<=", NODE_LESS_EQUAL}, {">=", NODE_MORE_EQUAL},
    {"<", NODE_LESS},     {">", NODE_MORE},     {"in", NODE_IN},         {"matches", NODE_MATCHES},
    {"not", NODE_NOT_IN}, {NULL, NODE_OR},
};

static bool is_value(const struct reader *r, uint16_t at)
{
    return r->fault || r->e->nodes[at].kind >= NODE_TEXT;
}

static uint16_t comparison(struct reader *r)
{
    peek(r);
    size_t op = 0, left_at = r->start;
    uint16_t a = value(r);
    while (operators[op].sign && !take(r, operators[op].sign))
        op++;
    if (r->fault)
        return 0;
    enum node_kind kind = operators[op].kind, left = r->e->nodes[a].kind;
    if (!operators[op].sign) {
        bool fits = left < NODE_TEXT || left == NODE_CLAIM || left == NODE_BOOL;
        return fits ? a : refuse(r, "a comparison is expected after this value");
    }
    if (kind == NODE_NOT_IN)
        expect(r, "in", "in is expected after not");
    bool into_list = kind == NODE_IN || kind == NODE_NOT_IN || kind == NODE_MATCHES;
    if (left == NODE_NULL || left == NODE_LIST || !is_value(r, a))
        return refuse_at(r, left_at, "the left side of a comparison must be a plain value");
    peek(r);
    size_t right_at = r->start;
    uint16_t b = into_list && take(r, "[") ? list(r) : value(r);
    if (r->fault)
        return 0;
    if (!is_value(r, b))
        return refuse_at(r, right_at, "the right side of a comparison must be a value");
    enum node_kind right = r->e->nodes[b].kind;
    if (right == NODE_NULL && kind != NODE_EQUAL && kind != NODE_UNEQUAL)
        return refuse_at(r, right_at, "null goes with == and != only");
    if ((kind == NODE_IN || kind == NODE_NOT_IN) && right != NODE_LIST && right != NODE_CLAIM)
        return refuse_at(r, right_at, "in needs a list or a claim on its right");
    return add(r, (struct node){.kind = kind, .a = a, .b = b});
}

static uint16_t negation(struct reader *r)
{
    if (!take(r, "not"))
        return comparison(r);
    if (++r->depth > DEPTH_MAX)
        return refuse(r, "too deeply nested");
    uint16_t a = negation(r);
    r->depth--;
    return add(r, (struct node){.kind = NODE_NOT, .a = a});
}

static uint16_t conjunction(struct reader *r)
{
    uint16_t a = negation(r);
    while (take(r, "and")) {
        uint16_t b = negation(r);
        a = add(r, (struct node){.kind = NODE_AND, .a = a, .b = b});
    }
    return a;
}

static uint16_t expression(struct reader *r)
{
    if (++r->depth > DEPTH_MAX)
        return refuse(r, "too deeply nested");
    uint16_t a = conjunction(r);
    while (take(r, "or")) {
        uint16_t b = conjunction(r);
        a = add(r, (struct node){.kind = NODE_OR, .a = a, .b = b});
    }
    r->depth--;
    return a;
}

struct expr *expr_new(struct str text, size_t *column, const char **fault)
{
    struct expr *e = mem_new(sizeof(*e));
    struct reader r = {.e = e, .all = str_head(text, TEXT_BYTES_MAX)};
    e->text_capacity = r.all.n + 1;
    e->text = mem_new(e->text_capacity);
    add(&r, (struct node){.kind = NODE_NULL}); /* index 0 means none */
    if (text.n > TEXT_BYTES_MAX)
        refuse(&r, "the expression is too long");
    e->root = expression(&r);
    peek(&r);
    if (r.at < r.all.n)
        refuse(&r, "the expression should end here");
    if (!r.fault)
        return e;
    *column = r.column;
    *fault = r.fault;
    expr_free(e);
    return NULL;
}

void expr_free(struct expr *e)
{
    if (!e)
        return;
    mem_free(e->nodes);
    mem_free(e->text);
    mem_free(e);
}

bool expr_is_personal(const struct expr *e)
{
    return e->personal;
}

/* ---- evaluating --------------------------------------------------------------------------- */

enum operand_kind { ABSENT, BOOLEAN, INTEGER, REAL, TEXT, JSON };
struct operand {
    enum operand_kind kind;
    int64_t integer; /* or a boolean */
    double real;
    struct str text;
    const json_t *json; /* array or object */
};
struct asked {
    const struct expr *e;
    const struct identity *id;
    struct str channel;
};

static enum expr_answer answer_of(bool yes)
{
    return yes ? EXPR_YES : EXPR_NO;
}

static enum expr_answer either(enum expr_answer a, enum expr_answer b)
{
    if (a == EXPR_YES || b == EXPR_YES)
        return EXPR_YES;
    return a == EXPR_UNKNOWN ? a : b;
}

static enum expr_answer inverse(enum expr_answer a)
{
    return a == EXPR_UNKNOWN ? a : answer_of(a == EXPR_NO);
}

/* Nobody is called "" : an empty name is an absent one. */
static struct operand text_operand(struct str text)
{
    return (struct operand){.kind = text.n ? TEXT : ABSENT, .text = text};
}

static struct operand json_operand(const json_t *v)
{
    if (json_is_string(v))
        return (struct operand){.kind = TEXT,
                                .text = str_of(json_string_value(v), json_string_length(v))};
    if (json_is_integer(v))
        return (struct operand){.kind = INTEGER, .integer = json_integer_value(v)};
    if (json_is_real(v))
        return (struct operand){.kind = REAL, .real = json_real_value(v)};
    if (json_is_boolean(v))
        return (struct operand){.kind = BOOLEAN, .integer = json_is_true(v)};
    if (json_is_array(v) || json_is_object(v))
        return (struct operand){.kind = JSON, .json = v};
    return (struct operand){.kind = ABSENT};
}

static struct operand claim_operand(const json_t *claims, struct str path)
{
    const json_t *v = claims;
    while (path.n && v) {
        v = json_object_get(v, path.p);
        path = str_skip(path, strlen(path.p) + 1);
    }
    return json_operand(v);
}

static struct str nth_segment(struct str channel, int64_t n)
{
    size_t start = 0;
    for (size_t i = 0; i <= channel.n; i++) {
        if (i < channel.n && channel.p[i] != ':' && channel.p[i] != '/')
            continue;
        if (--n == 0)
            return str_of(channel.p + start, i - start);
        start = i + 1;
    }
    return STR_NONE;
}

static struct operand load(const struct asked *q, const struct node *node)
{
    switch (node->kind) {
    case NODE_TEXT:
        return (struct operand){.kind = TEXT, .text = node->text};
    case NODE_NUMBER:
        return (struct operand){.kind = INTEGER, .integer = node->number};
    case NODE_BOOL:
        return (struct operand){.kind = BOOLEAN, .integer = node->number};
    case NODE_SUB:
        return text_operand(q->id->sub);
    case NODE_ROLE:
        return text_operand(q->id->role);
    case NODE_CHANNEL:
        return text_operand(q->channel);
    case NODE_CLAIM:
        return claim_operand(q->id->claims, node->text);
    case NODE_SEGMENT:
        return text_operand(nth_segment(q->channel, node->number));
    case NODE_AFTER:
        return text_operand(str_starts(q->channel, node->text) ? str_skip(q->channel, node->text.n)
                                                               : STR_NONE);
    case NODE_OR:
    case NODE_AND:
    case NODE_NOT:
    case NODE_EQUAL:
    case NODE_UNEQUAL:
    case NODE_LESS:
    case NODE_LESS_EQUAL:
    case NODE_MORE:
    case NODE_MORE_EQUAL:
    case NODE_IN:
    case NODE_NOT_IN:
    case NODE_MATCHES:
    case NODE_NULL:
    case NODE_LIST:
        break;
    }
    return (struct operand){.kind = ABSENT};
}

static bool is_number(struct operand a)
{
    return a.kind == INTEGER || a.kind == REAL;
}

static double real_of(struct operand a)
{
    return a.kind == INTEGER ? (double)a.integer : a.real;
}

static bool number_is_text(int64_t number, struct str text)
{
    char digits[21];
    size_t sign = number < 0;
    digits[0] = '-';
    size_t n = num_put_u64(digits + sign, sign ? 0 - (uint64_t)number : (uint64_t)number);
    return str_eq(str_of(digits, sign + n), text);
}

static enum expr_answer equal(struct operand a, struct operand b)
{
    if (a.kind == TEXT && b.kind == TEXT)
        return answer_of(str_eq(a.text, b.text));
    if (a.kind == b.kind && (a.kind == INTEGER || a.kind == BOOLEAN))
        return answer_of(a.integer == b.integer);
    if (is_number(a) && is_number(b))
        return answer_of(real_of(a) == real_of(b));
    if (a.kind == INTEGER && b.kind == TEXT)
        return answer_of(number_is_text(a.integer, b.text));
    if (a.kind == TEXT && b.kind == INTEGER)
        return answer_of(number_is_text(b.integer, a.text));
    return EXPR_UNKNOWN;
}

static enum expr_answer less(struct operand a, struct operand b, bool or_equal)
{
    if (a.kind == INTEGER && b.kind == INTEGER)
        return answer_of(or_equal ? a.integer <= b.integer : a.integer < b.integer);
    if (!is_number(a) || !is_number(b))
        return EXPR_UNKNOWN;
    return answer_of(or_equal ? real_of(a) <= real_of(b) : real_of(a) < real_of(b));
}

static enum expr_answer fits(struct operand a, struct operand glob)
{
    if (a.kind != TEXT || glob.kind != TEXT)
        return EXPR_UNKNOWN;
    return answer_of(str_glob(glob.text, a.text));
}

/* OAuth's `scope` is one text of words. */
static enum expr_answer has_word(struct str words, struct operand a)
{
    enum expr_answer answer = a.kind == TEXT ? EXPR_NO : EXPR_UNKNOWN;
    while (words.p && answer == EXPR_NO)
        answer = answer_of(str_eq(str_cut(&words, ' '), a.text) && a.text.n);
    return answer;
}

static enum expr_answer has_name(const json_t *object, struct operand a)
{
    if (a.kind != TEXT)
        return EXPR_UNKNOWN;
    const json_t *v = json_object_getn(object, a.text.p, a.text.n);
    return answer_of(v && !json_is_null(v) && !json_is_false(v));
}

/* Is a equal to (or, with globs, does it fit) one of what stands on the right? */
static enum expr_answer among(const struct asked *q, struct operand a, const struct node *right,
                              enum expr_answer (*test)(struct operand, struct operand))
{
    enum expr_answer answer = EXPR_NO;
    if (right->kind == NODE_LIST) {
        for (uint16_t at = right->a; at && answer != EXPR_YES; at = q->e->nodes[at].b)
            answer = either(answer, test(a, load(q, &q->e->nodes[at])));
        return answer;
    }
    struct operand b = load(q, right);
    if (b.kind == JSON && json_is_array(b.json)) {
        for (size_t i = 0; i < json_array_size(b.json) && answer != EXPR_YES; i++)
            answer = either(answer, test(a, json_operand(json_array_get(b.json, i))));
        return answer;
    }
    if (test == fits)
        return fits(a, b);
    if (b.kind == JSON)
        return has_name(b.json, a);
    return b.kind == TEXT ? has_word(b.text, a) : EXPR_UNKNOWN;
}

static enum expr_answer compare(const struct asked *q, const struct node *node)
{
    const struct node *right = &q->e->nodes[node->b];
    struct operand a = load(q, &q->e->nodes[node->a]), b = load(q, right);
    enum node_kind kind = node->kind;
    if (right->kind == NODE_NULL)
        return answer_of((a.kind == ABSENT) == (kind == NODE_EQUAL));
    if (a.kind == ABSENT)
        return EXPR_UNKNOWN;
    if (kind == NODE_EQUAL || kind == NODE_UNEQUAL)
        return kind == NODE_EQUAL ? equal(a, b) : inverse(equal(a, b));
    if (kind == NODE_LESS || kind == NODE_LESS_EQUAL)
        return less(a, b, kind == NODE_LESS_EQUAL);
    if (kind == NODE_MORE || kind == NODE_MORE_EQUAL)
        return less(b, a, kind == NODE_MORE_EQUAL);
    enum expr_answer found = among(q, a, right, kind == NODE_MATCHES ? fits : equal);
    return kind == NODE_NOT_IN ? inverse(found) : found;
}

static enum expr_answer answer_at(const struct asked *q, uint16_t at)
{
    const struct node *node = &q->e->nodes[at];
    if (node->kind == NODE_OR) {
        enum expr_answer a = answer_at(q, node->a);
        return a == EXPR_YES ? a : either(a, answer_at(q, node->b));
    }
    if (node->kind == NODE_AND) {
        enum expr_answer a = answer_at(q, node->a);
        return a == EXPR_NO ? a : inverse(either(inverse(a), inverse(answer_at(q, node->b))));
    }
    if (node->kind == NODE_NOT)
        return inverse(answer_at(q, node->a));
    if (node->kind < NODE_TEXT)
        return compare(q, node);
    struct operand alone = load(q, node);
    return alone.kind == BOOLEAN ? answer_of(alone.integer) : EXPR_UNKNOWN;
}

enum expr_answer expr_answer(const struct expr *e, const struct identity *id, struct str channel)
{
    struct asked q = {e, id, channel.p ? channel : STR("")};
    return answer_at(&q, e->root);
}
