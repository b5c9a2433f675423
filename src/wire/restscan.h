/* SPDX-License-Identifier: Apache-2.0 */
/* What the parsers of the data API's grammar share: a place in a text, names, quoted values,
 * JSON paths, and errors in PostgREST's words. Private to restquery, restselect, restfilter. */
#ifndef WIRE_RESTSCAN_H
#define WIRE_RESTSCAN_H

#include "wire/restquery.h"

struct restscan {
    struct str text;
    size_t at;
    unsigned depth;
    unsigned *items;  /* counts down over the whole request */
    const char *what; /* "select", "filter", "order" ... for the message */
    struct arena *arena;
    struct rest_error *error;
    /* Unescaped quoted texts: each at the place where it stands in the text, so that one which is
     * read again after a step back is written over itself. */
    char *scratch;
};

bool restscan_is_end(const struct restscan *s);
char restscan_peek(const struct restscan *s); /* 0 at the end */
bool restscan_take(struct restscan *s, char c);
bool restscan_take_word(struct restscan *s, const char *word);
/* Fails at the current place; returns false. `expecting` in PostgREST's manner. */
bool restscan_fail(struct restscan *s, const char *expecting);
bool restscan_fail_at(struct restscan *s, size_t at, const char *expecting);
/* Counts one more element of the request. */
bool restscan_count(struct restscan *s);
/* letters, digits, _, $, inner blanks and dashes, or "quoted". */
bool restscan_name(struct restscan *s, struct str *out);
/* After the opening quote: up to the closing one, \ escapes any byte. */
bool restscan_quoted(struct restscan *s, struct str *out);
/* name and JSON path. */
bool restscan_field(struct restscan *s, struct rest_field *out);
bool restscan_steps(struct restscan *s, struct rest_field *out);
void *restscan_new(struct restscan *s, size_t size);
/* Where the unescaped text of what stands at `at` goes; it is never longer than that. */
char *restscan_scratch(struct restscan *s);

/* restselect.c */
bool restselect_parse(struct rest_node *node, struct restscan *s);
bool restselect_order(struct rest_order **out, struct restscan *s);
bool restselect_names(struct rest_name **out, struct restscan *s);
/* restfilter.c */
bool restfilter_parse(struct rest_filter *f, struct restscan *s, bool in_tree);
bool restfilter_tree(struct rest_logic *logic, struct restscan *s);

#endif
