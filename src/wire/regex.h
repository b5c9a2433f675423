/* SPDX-License-Identifier: Apache-2.0 */
/* Regular expressions whose time is bounded whatever the pattern: it becomes a program that is
 * run for all states at once (Thompson), so a match costs at most text x program steps. The C
 * library's own needs exponential memory for "x++++++" and may not be given strangers' patterns.
 *
 * PostgreSQL's syntax as far as it is regular: . * + ? {m,n} | ( ) (?: ) [ ] [^ ] [[:alpha:]]
 * ^ $ \d \D \w \W \s \S \y \m \M \A \Z \n \t, non-greedy marks (they do not change whether it
 * matches), a leading (?i). Refused: back references, looking around. Text is UTF-8. */
#ifndef WIRE_REGEX_H
#define WIRE_REGEX_H

#include "base/str.h"

enum { REGEX_PATTERN_MAX = 1000 };

struct regex;
/* fold: case does not matter. NULL and *why (a sentence) when it cannot be. Caller owns. */
struct regex *regex_compile(struct str pattern, bool fold, const char **why);
/* Anywhere in the text. A text that would take too many steps (some 100 million) does not match. */
bool regex_matches(const struct regex *r, struct str text);
void regex_free(struct regex **r);

/* One character off the front; bytes that are no UTF-8 stand for themselves. s->n > 0. */
uint32_t regex_next_char(struct str *s);
/* Simple folding of the scripts that have case: Latin, Greek, Cyrillic, Armenian. */
uint32_t regex_fold(uint32_t c);

#endif
