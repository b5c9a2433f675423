/* SPDX-License-Identifier: Apache-2.0 */
/* The query string of the data API (PostgREST's grammar) as a tree: what to select, from which
 * relations, which rows, in which order. Pure text work: no schema, no SQL. Names and values are
 * taken as they stand; whether a column exists is for db/query to say.
 *
 *   ?select=id,user:users!fk(name),data->>tag::text&room_id=eq.5&users.name=like.a*&order=id.desc
 *
 * Everything lives in the arena that was passed in; names and values may point into it or into
 * the query string, which must stay as long. To add an operator: a row in restfilter.c, an enum
 * value here, and the compiler names the switch in db/where.c. */
#ifndef WIRE_RESTQUERY_H
#define WIRE_RESTQUERY_H

#include "base/arena.h"

enum {
    REST_DEPTH_MAX = 12,   /* nested embeds, nested and/or: bounds our recursion */
    REST_STEPS_MAX = 16,   /* JSON path steps */
    REST_ITEMS_MAX = 1000, /* select items, filters, orders, list elements of one request */
};

struct rest_step {
    bool as_text;  /* ->> */
    bool is_index; /* ->0, ->-1 */
    int64_t index;
    struct str key;
};
struct rest_field {
    struct str name;
    struct rest_step *steps;
    size_t steps_count;
};

enum rest_op {
    REST_EQ,
    REST_NEQ,
    REST_GT,
    REST_GTE,
    REST_LT,
    REST_LTE,
    REST_LIKE,
    REST_ILIKE,
    REST_MATCH,
    REST_IMATCH,
    REST_IN,
    REST_IS,
    REST_ISDISTINCT,
    REST_CS,
    REST_CD,
    REST_OV,
    REST_SL,
    REST_SR,
    REST_NXL,
    REST_NXR,
    REST_ADJ,
    REST_FTS,
    REST_PLFTS,
    REST_PHFTS,
    REST_WFTS
};
enum rest_quantifier { REST_ONE, REST_ANY, REST_ALL };
enum rest_is { REST_IS_NULL, REST_IS_NOT_NULL, REST_IS_TRUE, REST_IS_FALSE, REST_IS_UNKNOWN };

struct rest_filter {
    struct rest_field field;
    bool negated;
    enum rest_op op;
    enum rest_quantifier quantifier;
    enum rest_is is;    /* REST_IS */
    struct str value;   /* one value, as text */
    struct str *values; /* REST_IN, ANY, ALL */
    size_t values_count;
    struct str language; /* fts(english) */
};

/* A tree of conditions; a leaf holds a filter. Children and the conditions of a node are lists. */
enum rest_logic_kind { REST_LEAF, REST_AND, REST_OR };
struct rest_logic {
    enum rest_logic_kind kind;
    bool negated; /* of REST_AND and REST_OR; a leaf's is in the filter */
    struct rest_filter filter;
    struct rest_logic *children;
    struct rest_logic *next;
};

enum rest_nulls { REST_NULLS_DEFAULT, REST_NULLS_FIRST, REST_NULLS_LAST };
struct rest_order {
    struct str relation; /* order=rel(col): the embed's name; else STR_NONE */
    struct rest_field field;
    bool descending;
    enum rest_nulls nulls;
    struct rest_order *next;
};

enum rest_item_kind { REST_STAR, REST_FIELD, REST_EMBED };
enum rest_aggregate { REST_NO_AGG, REST_COUNT, REST_SUM, REST_AVG, REST_MIN, REST_MAX };
struct rest_node;
struct rest_item {
    enum rest_item_kind kind;
    struct str alias;        /* STR_NONE when none */
    struct rest_field field; /* name STR_NONE for a bare count() */
    struct str cast;
    enum rest_aggregate aggregate;
    struct str aggregate_cast;
    struct rest_node *embed;
    struct rest_item *next;
};

enum rest_join { REST_JOIN_DEFAULT, REST_JOIN_INNER, REST_JOIN_LEFT };
/* One relation: the root, or an embed. */
struct rest_node {
    struct str relation; /* root: empty; embed: as written */
    struct str alias;
    struct str hint;
    enum rest_join join;
    bool spread;     /* ...rel(x) */
    bool has_select; /* false: nothing written, which means everything */
    struct rest_item *items;
    struct rest_logic *where; /* all must hold */
    struct rest_order *order;
    int64_t limit; /* -1 = none */
    int64_t offset;
};

struct rest_name {
    struct str name;
    struct rest_name *next;
};
struct rest_arg {
    struct str name;
    struct str value;
    struct rest_arg *next;
};
struct restquery {
    struct rest_node root;
    bool has_columns; /* columns= was given */
    struct rest_name *columns;
    struct rest_name *on_conflict;
    struct rest_arg *args; /* of a function: parameters that name one of its arguments */
};

/* What went wrong, in PostgREST's words. */
struct rest_error {
    const char *code; /* "PGRST100" */
    int status;
    struct str message;
    struct str details;
    struct str hint;
};

/* function_args: names that are arguments of the called function and not filters; else none.
 * False and *error filled on a bad query. Texts of the error are in the arena. */
bool restquery_parse(struct restquery *q, struct str query, const struct str *function_args,
                     size_t function_args_count, struct arena *arena, struct rest_error *error);

/* The filter of a subscription: "room_id=eq.5,name=not.like.a*", all must hold; commas inside
 * quotes or parentheses belong to values. *out is a list of leaves, NULL when there is none. */
bool restquery_parse_watch(struct rest_logic **out, struct str filter, struct arena *arena,
                           struct rest_error *error);

/* "a=1&b=c+d" walk: false at the end. Decodes percent and '+' into the arena. */
bool restquery_next_pair(struct str *rest, struct str *name, struct str *value,
                         struct arena *arena);

#endif
