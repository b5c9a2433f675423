/* SPDX-License-Identifier: Apache-2.0 */
/* Text with $values of an event in it (socketio_rules.h). */
#ifndef PROTOCOL_SOCKETIO_TEMPLATE_H
#define PROTOCOL_SOCKETIO_TEMPLATE_H

#include "protocol/socketio.h"

struct template; /* in an arena, like all it points to */

/* NULL when it cannot be read: *column (from 1) and *fault say where and why. is_json: a JSON
 * value (or several, in parentheses) with $values in the place of values; else a name. */
struct template *template_new(struct arena *a, struct str text, bool is_json, size_t *column,
                              const char **fault);
/* A name: false when a value in it is missing or is neither text nor number. */
bool template_name(const struct template *t, const struct socketio_socket *s,
                   const struct socketio_event *ev, struct buf *out);
/* A JSON array of arguments; what is missing is null. */
void template_args(const struct template *t, const struct socketio_socket *s,
                   const struct socketio_event *ev, struct buf *out);

#endif
