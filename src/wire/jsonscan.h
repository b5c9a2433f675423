/* SPDX-License-Identifier: Apache-2.0 */
/* Reading JSON without building a tree: one pass checks the text (RFC 8259, UTF-8, depth) and
 * notes where the members of the outermost object or array lie. Values stay raw spans, so that
 * what was published can be passed on byte for byte. No recursion: nesting is a stack of bits.
 *
 * Duplicate keys: all are noted, the last one wins in every lookup. Lone surrogate escapes
 * ("\ud800") are legal text and pass the check; jsonscan_string refuses them. */
#ifndef WIRE_JSONSCAN_H
#define WIRE_JSONSCAN_H

#include "base/arena.h"

enum { JSONSCAN_DEPTH = 64, JSONSCAN_DEPTH_MAX = 512 };

enum jsonscan_type {
    JSONSCAN_NONE = 0, /* not there */
    JSONSCAN_NULL,
    JSONSCAN_BOOL,
    JSONSCAN_NUMBER,
    JSONSCAN_STRING,
    JSONSCAN_ARRAY,
    JSONSCAN_OBJECT
};

struct jsonscan_value {
    struct str raw; /* without blanks around it; strings with their quotes */
    enum jsonscan_type type;
};

struct jsonscan_member {
    struct str key; /* unescaped; empty in arrays */
    struct jsonscan_value value;
};

/* All of these: 0, E_BAD_REQUEST (not JSON), E_BAD_UTF8, E_TOO_LARGE (deeper than depth_max, or
 * more members than there is room for), E_NO_MEMORY. depth_max <= JSONSCAN_DEPTH_MAX. */

/* Is the whole text one JSON value? *value (may be NULL) is that value. */
int jsonscan_check(struct str text, unsigned depth_max, struct jsonscan_value *value);
/* The text must be an object (array): its members (items) are written to room. Keys with escapes
 * are unescaped into the arena. */
int jsonscan_object(struct str text, unsigned depth_max, struct arena *a,
                    struct jsonscan_member *room, size_t room_count, size_t *count);
int jsonscan_array(struct str text, unsigned depth_max, struct jsonscan_value *room,
                   size_t room_count, size_t *count);
/* Last member of that name, or NULL. */
const struct jsonscan_value *jsonscan_get(const struct jsonscan_member *members, size_t count,
                                          const char *key);

/* ---- below: only for spans that one of the above has accepted --------------------------- */
/* Walks members of an object or items of an array, of any number. */
struct jsonscan_iter {
    const char *p, *end;
    bool object;
};
struct jsonscan_iter jsonscan_iter(struct str raw);
/* 1, 0 at the end, < 0 E_* (a key that cannot be unescaped). */
int jsonscan_next(struct jsonscan_iter *it, struct arena *a, struct jsonscan_member *out);
/* Member of a nested object; type NONE when absent or raw is no object. */
struct jsonscan_value jsonscan_find(struct str raw, const char *key);

/* Text of a string span; a view when nothing is escaped, else in the arena. 0, E_BAD_REQUEST (no
 * string), E_BAD_UTF8 (lone surrogate), E_NO_MEMORY. */
int jsonscan_string(struct str raw, struct arena *a, struct str *out);
bool jsonscan_u64(struct str raw, uint64_t *out); /* digits only: no sign, fraction, exponent */
bool jsonscan_i64(struct str raw, int64_t *out);
bool jsonscan_bool(struct str raw, bool *out);
bool jsonscan_double(struct str raw, double *out); /* false when it is no finite number */

#endif
