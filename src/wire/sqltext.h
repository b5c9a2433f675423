/* SPDX-License-Identifier: Apache-2.0 */
/* SQL text as tokens: enough to cut a file into statements and to rewrite names, with strings
 * ('..', E'..', $tag$..$tag$), quoted names and comments (nested too) understood. No grammar. */
#ifndef WIRE_SQLTEXT_H
#define WIRE_SQLTEXT_H

#include "base/buf.h"

enum sqltext_kind {
    SQLTEXT_END,
    SQLTEXT_WORD,   /* name or keyword, as written */
    SQLTEXT_QUOTED, /* "name", with quotes */
    SQLTEXT_STRING, /* with its quotes */
    SQLTEXT_NUMBER,
    SQLTEXT_MARK, /* operator or punctuation: :: ->> -> || <= >= <> != or one character */
    SQLTEXT_BAD   /* a string, name or comment that does not end */
};
struct sqltext_token {
    enum sqltext_kind kind;
    struct str text;
    bool spaced; /* blanks or a comment stood before it */
};
struct sqltext {
    struct str rest;
};

struct sqltext_token sqltext_next(struct sqltext *s);
struct sqltext_token sqltext_peek(const struct sqltext *s);
bool sqltext_is(const struct sqltext_token *t, const char *word); /* any case; marks exactly */
/* Takes the next token when it is that word or mark. */
bool sqltext_take(struct sqltext *s, const char *word);
/* Takes "a b c" or nothing. */
bool sqltext_take_words(struct sqltext *s, const char *words);
/* Content of a name token: lower case unless quoted. */
void sqltext_name(const struct sqltext_token *t, struct buf *out);
/* Content of a string token. */
void sqltext_string(const struct sqltext_token *t, struct buf *out);
/* Takes "( ... )" and gives what stands inside; false when it is not balanced. */
bool sqltext_parentheses(struct sqltext *s, struct str *inside);

/* The next statement of a file without its ';', comments before it skipped; false at the end.
 * The body of CREATE TRIGGER (BEGIN ... END) is one statement. *bad: something does not end. */
bool sqltext_statement(struct str *rest, struct str *statement, bool *bad);

#endif
