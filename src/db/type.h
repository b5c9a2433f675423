/* SPDX-License-Identifier: Apache-2.0 */
/* Column types by their declaration, so that JSON looks as PostgreSQL's would. SQLite stores what
 * it likes; what a column *means* is the word in its CREATE TABLE. Here stand: which word is which
 * type, what JSON or text becomes as a stored value (with PostgreSQL's errors), and how a stored
 * value is written as JSON. To add a type: a row in type.c's table and, if it reads or writes
 * unlike the others, a kind. */
#ifndef DB_TYPE_H
#define DB_TYPE_H

#include "base/arena.h"
#include "db/fault.h"
#include "wire/jsonscan.h"
#include <sqlite3.h>

/* The letter is how a kind is named in the specs of tw_row (functions.h). */
enum type_kind {
    TYPE_TEXT = 't',
    TYPE_BOOL = 'b',
    TYPE_INT = 'i',
    TYPE_REAL = 'f',
    TYPE_NUMERIC = 'n',
    TYPE_JSON = 'j',
    TYPE_ARRAY = 'a', /* a JSON array as text */
    TYPE_TIMESTAMPTZ = 'Z',
    TYPE_TIMESTAMP = 'T',
    TYPE_DATE = 'D',
    TYPE_TIME = 'H',
    TYPE_UUID = 'u',
    TYPE_BYTES = 'x',
    TYPE_ANY = 'v' /* undeclared: by what is stored */
};
struct type {
    enum type_kind kind;
    enum type_kind element; /* TYPE_ARRAY */
    char pg[24];            /* pg_type.typname: "int8", "_text" */
    const char *name;       /* in messages: "bigint" */
    unsigned length;        /* varchar(n); 0 = none */
};

/* From the declared text: "character varying(20)", "timestamptz", "INTEGER", "text[]". */
void type_parse(struct type *t, struct str declared);
/* For "::cast"; false when there is no such type. */
bool type_parse_cast(struct type *t, struct str name);

/* A value ready to be bound; text and blob point elsewhere (arena or caller). */
enum cell_kind { CELL_NULL, CELL_INT, CELL_REAL, CELL_TEXT, CELL_BLOB };
struct cell {
    enum cell_kind kind;
    int64_t i;
    double r;
    struct str s;
};
static inline struct cell cell_text(struct str s)
{
    return (struct cell){.kind = CELL_TEXT, .s = s};
}
static inline struct cell cell_int(int64_t i)
{
    return (struct cell){.kind = CELL_INT, .i = i};
}
void cell_bind(sqlite3_stmt *stmt, int index, const struct cell *c);

/* From a JSON value of a request body (already checked by jsonscan). False + fault. */
bool type_from_json(const struct type *t, const struct jsonscan_value *v, struct arena *arena,
                    struct cell *out, struct fault *fault);
/* From text (a filter's value, an argument in a URL). */
bool type_from_text(const struct type *t, struct str text, struct arena *arena, struct cell *out,
                    struct fault *fault);

/* Shortest text that reads back as the same double; "NaN", "Infinity", "-Infinity". */
void type_write_real(struct buf *out, double r);
/* A stored value as JSON. `spec` is a kind letter, or 'r': JSON of our own making, or 's': as
 * text, or 'S': raw text. */
void type_write(struct buf *out, char spec, sqlite3_value *v);

#endif
