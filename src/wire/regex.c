/* SPDX-License-Identifier: Apache-2.0 */
/* See regex.h. The parser writes instructions directly; what is repeated is copied as
 * instructions (they are relative), so there is no tree. PROGRAM_MAX bounds every expansion. */
#include "wire/regex.h"
#include "base/mem.h"

enum { PROGRAM_MAX = 4000, RANGES_MAX = 2000, DEPTH_MAX = 60, REPEAT_MAX = 1000 };
#define STEPS_MAX 100000000ULL

enum op { OP_CHAR, OP_ANY, OP_CLASS, OP_SPLIT, OP_JUMP, OP_BEGIN, OP_END, OP_EDGE, OP_MATCH };
struct instruction {
    enum op op;
    uint32_t c;     /* CHAR; CLASS: first range; EDGE: kind */
    uint32_t count; /* CLASS: ranges */
    bool negated;
    int a, b; /* SPLIT, JUMP: where to, relative */
};
struct range {
    uint32_t from, to;
};
struct regex {
    struct instruction *program;
    size_t count;
    struct range *ranges;
    size_t ranges_count;
    bool fold;
};

uint32_t regex_next_char(struct str *s)
{
    const unsigned char *p = (const unsigned char *)s->p;
    uint32_t c = p[0];
    size_t n = c >= 0xF0 ? 4 : c >= 0xE0 ? 3 : c >= 0xC0 ? 2 : 1;
    if (n > s->n)
        n = 1;
    if (n > 1) {
        c &= 0xFFu >> (n + 1);
        for (size_t i = 1; i < n; i++)
            c = c << 6 | (p[i] & 0x3F);
    }
    *s = str_skip(*s, n);
    return c;
}

uint32_t regex_fold(uint32_t c)
{
    if (c < 0x80)
        return c >= 'A' && c <= 'Z' ? c + 32 : c;
    if (c >= 0xC0 && c <= 0xDE && c != 0xD7)
        return c + 32;
    if ((c >= 0x100 && c <= 0x137) || (c >= 0x14A && c <= 0x177))
        return c | 1;
    if ((c >= 0x139 && c <= 0x148) || (c >= 0x179 && c <= 0x17E))
        return c + (c & 1);
    if (c >= 0x391 && c <= 0x3AB && c != 0x3A2)
        return c + 32;
    if (c >= 0x410 && c <= 0x42F)
        return c + 32;
    if (c >= 0x400 && c <= 0x40F)
        return c + 80;
    if (c >= 0x460 && c <= 0x4FF && c != 0x482)
        return c >= 0x4C0 && c <= 0x4CE ? c + (c & 1) : c | 1;
    if (c >= 0x531 && c <= 0x556)
        return c + 48;
    return c;
}

/* ---- compiling ---------------------------------------------------------------------------- */
struct compiling {
    struct regex *r;
    struct str rest;
    const char *why;
    unsigned depth;
};

static bool refuse(struct compiling *c, const char *why)
{
    if (!c->why)
        c->why = why;
    return false;
}

static char peek(const struct compiling *c)
{
    return c->rest.n ? c->rest.p[0] : 0;
}

static bool take(struct compiling *c, char want)
{
    if (!c->rest.n || c->rest.p[0] != want)
        return false;
    c->rest = str_skip(c->rest, 1);
    return true;
}

static bool emit(struct compiling *c, struct instruction in)
{
    if (c->r->count == PROGRAM_MAX)
        return refuse(c, "invalid regular expression: too complex");
    c->r->program[c->r->count++] = in;
    return true;
}

/* Makes room for one instruction before `at`; jumps within what moves stay right. */
static bool insert(struct compiling *c, size_t at, struct instruction in)
{
    if (!emit(c, in))
        return false;
    memmove(&c->r->program[at + 1], &c->r->program[at],
            (c->r->count - 1 - at) * sizeof(struct instruction));
    c->r->program[at] = in;
    return true;
}

static bool copy(struct compiling *c, const struct instruction *from, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!emit(c, from[i]))
            return false;
    return true;
}

static bool add_range(struct compiling *c, uint32_t from, uint32_t to)
{
    if (c->r->ranges_count == RANGES_MAX)
        return refuse(c, "invalid regular expression: too complex");
    c->r->ranges[c->r->ranges_count++] = (struct range){from, to};
    return true;
}

static bool add_named(struct compiling *c, struct str name)
{
    static const struct {
        const char *name;
        struct range ranges[4];
        size_t count;
    } known[] = {
        {"digit", {{'0', '9'}}, 1},
        {"alpha", {{'a', 'z'}, {'A', 'Z'}, {0xAA, 0x2FFFF}}, 3},
        {"alnum", {{'a', 'z'}, {'A', 'Z'}, {'0', '9'}, {0xAA, 0x2FFFF}}, 4},
        {"lower", {{'a', 'z'}}, 1},
        {"upper", {{'A', 'Z'}}, 1},
        {"space", {{9, 13}, {' ', ' '}, {0xA0, 0xA0}, {0x2000, 0x200A}}, 4},
        {"blank", {{' ', ' '}, {9, 9}}, 2},
        {"punct", {{'!', '/'}, {':', '@'}, {'[', '`'}, {'{', '~'}}, 4},
        {"xdigit", {{'0', '9'}, {'a', 'f'}, {'A', 'F'}}, 3},
        {"print", {{' ', '~'}, {0xA0, 0x10FFFF}}, 2},
        {"graph", {{'!', '~'}, {0xA1, 0x10FFFF}}, 2},
        {"cntrl", {{0, 31}, {127, 127}}, 2},
    };
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (!str_is(name, known[i].name))
            continue;
        for (size_t k = 0; k < known[i].count; k++)
            if (!add_range(c, known[i].ranges[k].from, known[i].ranges[k].to))
                return false;
        return true;
    }
    return refuse(c, "invalid regular expression: invalid character class");
}

/* \d \w \s, as ranges. False: the letter is none of these. */
static bool add_escape_class(struct compiling *c, char letter)
{
    if (letter == 'd')
        return add_named(c, STR("digit"));
    if (letter == 's')
        return add_named(c, STR("space"));
    return letter == 'w' && add_named(c, STR("alnum")) && add_range(c, '_', '_');
}

static bool emit_class(struct compiling *c, size_t first, bool negated)
{
    return emit(c, (struct instruction){.op = OP_CLASS,
                                        .c = (uint32_t)first,
                                        .count = (uint32_t)(c->r->ranges_count - first),
                                        .negated = negated});
}

static uint32_t plain_escape(char letter)
{
    switch (letter) {
    case 'n':
        return '\n';
    case 't':
        return '\t';
    case 'r':
        return '\r';
    case 'f':
        return '\f';
    case 'v':
        return '\v';
    default:
        return (unsigned char)letter;
    }
}

/* One character of a bracket expression, escapes read. */
static uint32_t bracket_char(struct compiling *c)
{
    uint32_t one = regex_next_char(&c->rest);
    if (one != '\\' || !c->rest.n)
        return one;
    one = regex_next_char(&c->rest);
    return one < 0x80 ? plain_escape((char)one) : one;
}

static bool bracket_item(struct compiling *c)
{
    uint32_t from, to;
    if (str_starts(c->rest, STR("[:"))) {
        ptrdiff_t end = str_find_str(c->rest, STR(":]"));
        struct str name;
        if (end < 2)
            return refuse(c, "invalid regular expression: brackets [] not balanced");
        name = str_of(c->rest.p + 2, (size_t)end - 2);
        c->rest = str_skip(c->rest, (size_t)end + 2);
        return add_named(c, name);
    }
    if (c->rest.n >= 2 && c->rest.p[0] == '\\' && c->rest.p[1] && strchr("dws", c->rest.p[1])) {
        char letter = c->rest.p[1];
        c->rest = str_skip(c->rest, 2);
        return add_escape_class(c, letter);
    }
    from = to = bracket_char(c);
    if (c->rest.n >= 2 && c->rest.p[0] == '-' && c->rest.p[1] != ']') {
        c->rest = str_skip(c->rest, 1);
        to = bracket_char(c);
    }
    if (to < from)
        return refuse(c, "invalid regular expression: invalid character range");
    return add_range(c, from, to);
}

static bool bracket(struct compiling *c)
{
    size_t first = c->r->ranges_count;
    bool negated = take(c, '^'), any = false;
    while (c->rest.n && (!any || peek(c) != ']')) { /* a leading ] is itself */
        if (!bracket_item(c))
            return false;
        any = true;
    }
    if (!take(c, ']'))
        return refuse(c, "invalid regular expression: brackets [] not balanced");
    return emit_class(c, first, negated);
}

static bool escape(struct compiling *c)
{
    size_t first = c->r->ranges_count;
    char letter;
    if (!c->rest.n)
        return refuse(c, "invalid regular expression: trailing backslash");
    letter = c->rest.p[0];
    if (letter >= '1' && letter <= '9')
        return refuse(c, "invalid regular expression: back references are not supported");
    if (letter == 0 || (unsigned char)letter >= 0x80)
        return emit(c, (struct instruction){.op = OP_CHAR, .c = regex_next_char(&c->rest)});
    if (strchr("dwsDWS", letter)) {
        c->rest = str_skip(c->rest, 1);
        return add_escape_class(c, (char)(letter | 32)) && emit_class(c, first, letter < 'a');
    }
    if (strchr("ymMbYB", letter)) {
        c->rest = str_skip(c->rest, 1);
        return emit(c, (struct instruction){.op = OP_EDGE, .c = (uint32_t)letter});
    }
    if (letter == 'A' || letter == 'Z') {
        c->rest = str_skip(c->rest, 1);
        return emit(c, (struct instruction){.op = letter == 'A' ? OP_BEGIN : OP_END});
    }
    if ((letter >= 'a' && letter <= 'z') || (letter >= 'A' && letter <= 'Z')) {
        if (!strchr("ntrfv", letter))
            return refuse(c, "invalid regular expression: invalid escape");
    }
    return emit(
        c, (struct instruction){.op = OP_CHAR, .c = plain_escape((char)regex_next_char(&c->rest))});
}

static bool alternatives(struct compiling *c);

static bool group(struct compiling *c)
{
    if (str_starts(c->rest, STR("?:")))
        c->rest = str_skip(c->rest, 2);
    else if (peek(c) == '?')
        return refuse(c, "invalid regular expression: looking around is not supported");
    if (++c->depth > DEPTH_MAX)
        return refuse(c, "invalid regular expression: too complex");
    if (!alternatives(c))
        return false;
    c->depth--;
    return take(c, ')') ? true
                        : refuse(c, "invalid regular expression: parentheses () not balanced");
}

static bool atom(struct compiling *c)
{
    uint32_t one;
    if (take(c, '('))
        return group(c);
    if (take(c, '['))
        return bracket(c);
    if (take(c, '\\'))
        return escape(c);
    if (take(c, '.'))
        return emit(c, (struct instruction){.op = OP_ANY});
    if (take(c, '^'))
        return emit(c, (struct instruction){.op = OP_BEGIN});
    if (take(c, '$'))
        return emit(c, (struct instruction){.op = OP_END});
    if (peek(c) == '*' || peek(c) == '+' || peek(c) == '?')
        return refuse(c, "invalid regular expression: quantifier operand invalid");
    one = regex_next_char(&c->rest);
    return emit(c, (struct instruction){.op = OP_CHAR, .c = c->r->fold ? regex_fold(one) : one});
}

static bool star(struct compiling *c, size_t start)
{
    int n = (int)(c->r->count - start);
    return insert(c, start, (struct instruction){.op = OP_SPLIT, .a = 1, .b = n + 2}) &&
           emit(c, (struct instruction){.op = OP_JUMP, .a = -(n + 1)});
}

static bool plus(struct compiling *c, size_t start)
{
    int n = (int)(c->r->count - start);
    return emit(c, (struct instruction){.op = OP_SPLIT, .a = -n, .b = 1});
}

static bool maybe(struct compiling *c, size_t start)
{
    int n = (int)(c->r->count - start);
    return insert(c, start, (struct instruction){.op = OP_SPLIT, .a = 1, .b = n + 1});
}

static bool number(struct compiling *c, unsigned *out)
{
    bool any = false;
    *out = 0;
    while (peek(c) >= '0' && peek(c) <= '9') {
        *out = *out * 10 + (unsigned)(peek(c) - '0');
        if (*out > REPEAT_MAX)
            return refuse(c, "invalid regular expression: invalid repetition count(s)");
        c->rest = str_skip(c->rest, 1);
        any = true;
    }
    return any;
}

/* {m} {m,} {m,n}: the piece m times, then n - m times maybe, or any number of times. */
static bool counted(struct compiling *c, size_t start)
{
    struct instruction *piece;
    size_t n = c->r->count - start;
    unsigned least, most;
    bool endless = false, ok = true;
    if (!number(c, &least))
        return refuse(c, "invalid regular expression: invalid repetition count(s)");
    most = least;
    if (take(c, ',')) {
        endless = peek(c) == '}';
        if (!endless && (!number(c, &most) || most < least))
            return refuse(c, "invalid regular expression: invalid repetition count(s)");
    }
    if (!take(c, '}'))
        return refuse(c, "invalid regular expression: braces {} not balanced");
    piece = mem_new((n + 1) * sizeof *piece);
    memcpy(piece, &c->r->program[start], n * sizeof *piece);
    c->r->count = start;
    for (unsigned i = 0; i < least && ok; i++)
        ok = copy(c, piece, n);
    for (unsigned i = least; i < most && ok; i++) {
        size_t at = c->r->count;
        ok = copy(c, piece, n) && maybe(c, at);
    }
    if (endless && ok) {
        size_t at = c->r->count;
        ok = copy(c, piece, n) && star(c, at);
    }
    mem_free(piece);
    return ok;
}

static bool piece(struct compiling *c)
{
    size_t start = c->r->count;
    if (!atom(c))
        return false;
    for (;;) {
        bool ok;
        if (take(c, '*'))
            ok = star(c, start);
        else if (take(c, '+'))
            ok = plus(c, start);
        else if (take(c, '?'))
            ok = maybe(c, start);
        else if (c->rest.n >= 2 && c->rest.p[0] == '{' && c->rest.p[1] >= '0' &&
                 c->rest.p[1] <= '9' && take(c, '{'))
            ok = counted(c, start);
        else
            return true;
        if (!ok)
            return false;
        take(c, '?'); /* not greedy: the same texts match */
    }
}

static bool branch(struct compiling *c)
{
    while (c->rest.n && peek(c) != '|' && peek(c) != ')')
        if (!piece(c))
            return false;
    return true;
}

/* a|b|c: split a (jump out) split b (jump out) c */
static bool alternatives(struct compiling *c)
{
    size_t start = c->r->count;
    if (!branch(c))
        return false;
    while (take(c, '|')) {
        int n = (int)(c->r->count - start);
        size_t jump;
        if (!insert(c, start, (struct instruction){.op = OP_SPLIT, .a = 1, .b = n + 2}) ||
            !emit(c, (struct instruction){.op = OP_JUMP}))
            return false;
        jump = c->r->count - 1;
        if (!branch(c))
            return false;
        c->r->program[jump].a = (int)(c->r->count - jump);
    }
    return true;
}

struct regex *regex_compile(struct str pattern, bool fold, const char **why)
{
    struct regex *r = mem_new(sizeof *r);
    struct compiling c = {.r = r, .rest = pattern};
    bool ok;
    if (str_starts(c.rest, STR("(?i)"))) {
        fold = true;
        c.rest = str_skip(c.rest, 4);
    }
    r->fold = fold;
    r->program = mem_new(PROGRAM_MAX * sizeof *r->program);
    r->ranges = mem_new(RANGES_MAX * sizeof *r->ranges);
    ok = pattern.n <= REGEX_PATTERN_MAX ? alternatives(&c)
                                        : refuse(&c, "invalid regular expression: too long");
    if (ok && c.rest.n)
        ok = refuse(&c, "invalid regular expression: parentheses () not balanced");
    ok = ok && emit(&c, (struct instruction){.op = OP_MATCH});
    if (!ok) {
        *why = c.why;
        regex_free(&r);
        return NULL;
    }
    r->program = mem_resize(r->program, r->count * sizeof *r->program);
    r->ranges = mem_resize(r->ranges, (r->ranges_count + 1) * sizeof *r->ranges);
    return r;
}

void regex_free(struct regex **rp)
{
    struct regex *r = *rp;
    if (!r)
        return;
    *rp = NULL;
    mem_free(r->program);
    mem_free(r->ranges);
    mem_free(r);
}

/* ---- matching ----------------------------------------------------------------------------- */
struct states {
    uint32_t *list;
    size_t count;
};
struct matching {
    const struct regex *r;
    uint32_t *mark; /* position + 1 at which a state was entered last */
    uint32_t *stack;
    uint32_t now;
    bool at_begin, at_end, before_word, after_word;
    bool matched;
};

static bool is_word(uint32_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c >= 0xAA;
}

static bool edge_holds(const struct matching *m, char kind)
{
    bool edge = m->before_word != m->after_word;
    if (kind == 'm')
        return !m->before_word && m->after_word;
    if (kind == 'M')
        return m->before_word && !m->after_word;
    return kind == 'Y' || kind == 'B' ? !edge : edge;
}

/* Follows everything that takes no character. */
static void enter(struct matching *m, struct states *s, uint32_t at)
{
    size_t depth = 0;
    m->stack[depth++] = at;
    while (depth) {
        const struct instruction *in;
        at = m->stack[--depth];
        if (m->mark[at] == m->now)
            continue;
        m->mark[at] = m->now;
        in = &m->r->program[at];
        switch (in->op) {
        case OP_SPLIT:
            m->stack[depth++] = at + (uint32_t)in->b;
            m->stack[depth++] = at + (uint32_t)in->a;
            break;
        case OP_JUMP:
            m->stack[depth++] = at + (uint32_t)in->a;
            break;
        case OP_BEGIN:
            if (m->at_begin)
                m->stack[depth++] = at + 1;
            break;
        case OP_END:
            if (m->at_end)
                m->stack[depth++] = at + 1;
            break;
        case OP_EDGE:
            if (edge_holds(m, (char)in->c))
                m->stack[depth++] = at + 1;
            break;
        case OP_MATCH:
            m->matched = true;
            break;
        case OP_CHAR:
        case OP_ANY:
        case OP_CLASS:
            s->list[s->count++] = at;
            break;
        }
    }
}

static bool in_class(const struct regex *r, const struct instruction *in, uint32_t c)
{
    for (uint32_t i = 0; i < in->count; i++)
        if (c >= r->ranges[in->c + i].from && c <= r->ranges[in->c + i].to)
            return true;
    return false;
}

/* A class folded: the letter in either case. */
static bool takes(const struct regex *r, const struct instruction *in, uint32_t c)
{
    if (in->op == OP_ANY)
        return true;
    if (in->op == OP_CHAR)
        return in->c == (r->fold ? regex_fold(c) : c);
    if (in_class(r, in, c))
        return !in->negated;
    if (r->fold &&
        (in_class(r, in, regex_fold(c)) || (c >= 'a' && c <= 'z' && in_class(r, in, c - 32))))
        return !in->negated;
    return in->negated;
}

static void look_around(struct matching *m, struct str rest, bool before_word, bool begin)
{
    struct str copy = rest;
    m->at_begin = begin;
    m->at_end = rest.n == 0;
    m->before_word = before_word;
    m->after_word = rest.n && is_word(regex_next_char(&copy));
}

bool regex_matches(const struct regex *r, struct str text)
{
    size_t n = r->count;
    uint32_t *memory;
    struct states now, next;
    struct matching m = {.r = r, .now = 1};
    if ((uint64_t)text.n * n > STEPS_MAX || text.n > UINT32_MAX / 2)
        return false;
    memory = mem_new((n * 4 + n * 2 + 4) * sizeof *memory);
    now = (struct states){memory, 0};
    next = (struct states){memory + n, 0};
    m.mark = memory + 2 * n;
    m.stack = memory + 3 * n; /* each state is entered once and leaves at most two behind */
    look_around(&m, text, false, true);
    for (;;) {
        uint32_t c;
        struct states other;
        enter(&m, &now, 0);
        if (m.matched || text.n == 0)
            break;
        c = regex_next_char(&text);
        m.now++;
        look_around(&m, text, is_word(c), false);
        next.count = 0;
        for (size_t i = 0; i < now.count; i++)
            if (takes(r, &r->program[now.list[i]], c))
                enter(&m, &next, now.list[i] + 1);
        other = now;
        now = next;
        next = other;
    }
    mem_free(memory);
    return m.matched;
}
