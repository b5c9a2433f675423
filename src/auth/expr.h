/* SPDX-License-Identifier: Apache-2.0 */
/* The little language of rules: one expression over an identity and a channel name, read once,
 * then evaluated without allocation, loops or failure.
 *
 *   expression := and { "or" and }          value := "text" | 'text' | number | true | false
 *   and        := not { "and" not }                | sub | role | channel
 *   not        := "not" not | comparison           | claims.a.b | claims["a"].b
 *   comparison := value [ operator value ]         | segment(n) | after("prefix")
 *   operator   := == != < <= > >=                  | [ value, ... ]     (right of in, matches)
 *                 in  not in  matches              | null               (right of == and !=)
 *                                                  | ( expression )
 *
 * `segment(n)` is the n-th part of the channel, cut at ':' and '/', from 1; `after(p)` is the
 * channel without its prefix p. `matches` compares with globs. `in` looks into a list, or a claim:
 * its items (array), its names whose value is not false or null (object), its words (text). A
 * number equals its decimal text.
 *
 * Three answers: yes, no, unknown. What needs a value that is not there (or is of another type) is
 * unknown; `not` keeps it unknown; only yes allows. So a missing claim never opens anything, from
 * whichever side it is asked. Only `x == null` and `x != null` ask whether a value is there. */
#ifndef AUTH_EXPR_H
#define AUTH_EXPR_H

#include "auth/auth.h"

struct expr;
enum expr_answer { EXPR_NO, EXPR_YES, EXPR_UNKNOWN };

/* NULL when it cannot be read: *column (from 1) and *fault (a sentence) say where and why. The
 * text is copied. Caller owns. */
struct expr *expr_new(struct str text, size_t *column, const char **fault);
void expr_free(struct expr *e);
enum expr_answer expr_answer(const struct expr *e, const struct identity *id, struct str channel);
/* True when the answer depends on who asks, not only on the channel. */
bool expr_is_personal(const struct expr *e);

#endif
