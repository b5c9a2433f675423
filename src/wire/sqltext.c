/* SPDX-License-Identifier: Apache-2.0 */
/* See sqltext.h. Every branch moves forward, so time is linear. */
#include "wire/sqltext.h"

static bool is_word_start(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (unsigned char)c >= 0x80;
}

static bool is_word(char c)
{
    return is_word_start(c) || (c >= '0' && c <= '9') || c == '$';
}

static char at(struct str s, size_t i)
{
    return i < s.n ? s.p[i] : 0;
}

/* Length of a block comment (they nest), or 0 when it does not end. */
static size_t block_comment(struct str s)
{
    size_t depth = 0, i = 0;
    while (i < s.n) {
        if (at(s, i) == '/' && at(s, i + 1) == '*') {
            depth++;
            i += 2;
        } else if (at(s, i) == '*' && at(s, i + 1) == '/') {
            i += 2;
            if (--depth == 0)
                return i;
        } else
            i++;
    }
    return 0;
}

/* Skips blanks and comments; false when a comment does not end. */
static bool skip_blanks(struct str *s, bool *any)
{
    for (;;) {
        char c = at(*s, 0);
        if (s->n && (c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f'))
            *s = str_skip(*s, 1);
        else if (c == '-' && at(*s, 1) == '-') {
            ptrdiff_t line = str_find(*s, '\n');
            *s = str_skip(*s, line < 0 ? s->n : (size_t)line + 1);
        } else if (c == '/' && at(*s, 1) == '*') {
            size_t n = block_comment(*s);
            if (n == 0)
                return false;
            *s = str_skip(*s, n);
        } else
            return true;
        *any = true;
    }
}

/* Length of a quoted run that begins at 0, quotes doubled inside; 0 when it does not end. */
static size_t quoted(struct str s, char mark, bool escapes)
{
    for (size_t i = 1; i < s.n; i++) {
        if (escapes && s.p[i] == '\\')
            i++;
        else if (s.p[i] == mark && at(s, i + 1) == mark)
            i++;
        else if (s.p[i] == mark)
            return i + 1;
    }
    return 0;
}

/* $$..$$ or $tag$..$tag$: length, or 0 when it is none. */
static size_t dollar_quoted(struct str s, size_t *tag)
{
    size_t n = 1;
    ptrdiff_t end;
    while (n < s.n && is_word(s.p[n]) && s.p[n] != '$')
        n++;
    if (at(s, n) != '$')
        return 0;
    *tag = n + 1;
    end = str_find_str(str_skip(s, *tag), str_head(s, *tag));
    return end < 0 ? 0 : *tag + (size_t)end + *tag;
}

static size_t mark_length(struct str s)
{
    static const char *const marks[] = {
        "->>", "#>>", "::", "->", "#>", "||", "<=", ">=", "<>", "!=", ":=", "=>", "~*", "!~"};
    for (size_t i = 0; i < sizeof marks / sizeof marks[0]; i++)
        if (str_starts(s, str_from(marks[i])))
            return strlen(marks[i]);
    return 1;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static size_t measure(struct str s, enum sqltext_kind *kind)
{
    char c = s.p[0];
    size_t n, tag = 0;
    *kind = SQLTEXT_STRING;
    if ((c == 'E' || c == 'e') && at(s, 1) == '\'') {
        n = quoted(str_skip(s, 1), '\'', true);
        return n ? n + 1 : 0;
    }
    if (c == '\'')
        return quoted(s, '\'', false);
    if (c == '$' && (n = dollar_quoted(s, &tag)) > 0)
        return n;
    *kind = SQLTEXT_QUOTED;
    if (c == '"')
        return quoted(s, '"', false);
    if (is_word_start(c)) {
        *kind = SQLTEXT_WORD;
        for (n = 1; n < s.n && is_word(s.p[n]);)
            n++;
        return n;
    }
    if (is_digit(c)) {
        *kind = SQLTEXT_NUMBER;
        for (n = 1; n < s.n && (is_word(s.p[n]) || s.p[n] == '.');)
            n++;
        return n;
    }
    *kind = SQLTEXT_MARK;
    return mark_length(s);
}

struct sqltext_token sqltext_next(struct sqltext *s)
{
    struct sqltext_token t = {0};
    size_t n;
    if (!skip_blanks(&s->rest, &t.spaced)) {
        t.kind = SQLTEXT_BAD;
        t.text = s->rest;
        s->rest = str_skip(s->rest, s->rest.n);
        return t;
    }
    if (s->rest.n == 0)
        return t;
    n = measure(s->rest, &t.kind);
    if (n == 0) {
        t.kind = SQLTEXT_BAD;
        n = s->rest.n;
    }
    t.text = str_head(s->rest, n);
    s->rest = str_skip(s->rest, n);
    return t;
}

struct sqltext_token sqltext_peek(const struct sqltext *s)
{
    struct sqltext copy = *s;
    return sqltext_next(&copy);
}

bool sqltext_is(const struct sqltext_token *t, const char *word)
{
    if (t->kind == SQLTEXT_MARK)
        return str_is(t->text, word);
    return t->kind == SQLTEXT_WORD && str_eq_nocase(t->text, str_from(word));
}

bool sqltext_take(struct sqltext *s, const char *word)
{
    struct sqltext copy = *s;
    struct sqltext_token t = sqltext_next(&copy);
    if (!sqltext_is(&t, word))
        return false;
    *s = copy;
    return true;
}

bool sqltext_take_words(struct sqltext *s, const char *words)
{
    struct sqltext copy = *s;
    struct str rest = str_from(words);
    while (rest.p && rest.n) {
        struct str word = str_cut(&rest, ' ');
        struct sqltext_token t = sqltext_next(&copy);
        if (t.kind != SQLTEXT_WORD || !str_eq_nocase(t.text, word))
            return false;
    }
    *s = copy;
    return true;
}

void sqltext_name(const struct sqltext_token *t, struct buf *out)
{
    struct str s = t->text;
    if (t->kind == SQLTEXT_QUOTED) {
        for (size_t i = 1; i + 1 < s.n; i++) {
            buf_add_c(out, s.p[i]);
            if (s.p[i] == '"')
                i++;
        }
        return;
    }
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        buf_add_c(out, c >= 'A' && c <= 'Z' ? (char)(c + 32) : c);
    }
}

static void unescape(struct str s, struct buf *out)
{
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (c == '\\' && i + 1 < s.n) {
            c = s.p[++i];
            c = (char)(c == 'n' ? '\n' : c == 't' ? '\t' : c == 'r' ? '\r' : c);
        } else if (c == '\'')
            i++;
        buf_add_c(out, c);
    }
}

void sqltext_string(const struct sqltext_token *t, struct buf *out)
{
    struct str s = t->text;
    size_t tag = 0;
    if (at(s, 0) == '$') {
        dollar_quoted(s, &tag);
        buf_add_str(out, str_of(s.p + tag, s.n - 2 * tag));
    } else if (at(s, 0) == '\'') {
        for (size_t i = 1; i + 1 < s.n; i++) {
            buf_add_c(out, s.p[i]);
            if (s.p[i] == '\'')
                i++;
        }
    } else
        unescape(str_of(s.p + 2, s.n - 3), out);
}

bool sqltext_parentheses(struct sqltext *s, struct str *inside)
{
    size_t depth = 1;
    if (!sqltext_take(s, "("))
        return false;
    inside->p = s->rest.p;
    for (;;) {
        struct sqltext_token t = sqltext_next(s);
        if (t.kind == SQLTEXT_END || t.kind == SQLTEXT_BAD)
            return false;
        if (sqltext_is(&t, "("))
            depth++;
        else if (sqltext_is(&t, ")") && --depth == 0) {
            inside->n = (size_t)(t.text.p - inside->p);
            return true;
        }
    }
}

/* CREATE [TEMP] TRIGGER: its body holds semicolons. */
static bool is_trigger(struct str statement)
{
    struct sqltext s = {statement};
    if (!sqltext_take(&s, "create"))
        return false;
    if (!sqltext_take(&s, "temp"))
        sqltext_take(&s, "temporary");
    return sqltext_take(&s, "trigger");
}

bool sqltext_statement(struct str *rest, struct str *statement, bool *bad)
{
    struct sqltext s = {*rest};
    struct sqltext_token t;
    bool trigger, any = false;
    size_t depth = 0;
    *bad = false;
    do {
        if (!skip_blanks(&s.rest, &any)) {
            *bad = true;
            return false;
        }
    } while (sqltext_take(&s, ";"));
    if (s.rest.n == 0)
        return false;
    statement->p = s.rest.p;
    trigger = is_trigger(s.rest);
    for (;;) {
        t = sqltext_next(&s);
        if (t.kind == SQLTEXT_BAD) {
            *bad = true;
            return false;
        }
        if (t.kind == SQLTEXT_END) {
            statement->n = (size_t)(s.rest.p - statement->p);
            break;
        }
        if (trigger && (sqltext_is(&t, "begin") || sqltext_is(&t, "case")))
            depth++;
        else if (trigger && depth && sqltext_is(&t, "end"))
            depth--;
        else if (depth == 0 && sqltext_is(&t, ";")) {
            statement->n = (size_t)(t.text.p - statement->p);
            break;
        }
    }
    *rest = s.rest;
    return true;
}
