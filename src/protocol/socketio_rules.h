/* SPDX-License-Identifier: Apache-2.0 */
/* Event rules: what a Socket.IO server does when its program is a few lines of configuration.
 * docs/protocols/socketio.md has the language. */
#ifndef PROTOCOL_SOCKETIO_RULES_H
#define PROTOCOL_SOCKETIO_RULES_H

#include "base/str.h"

struct socketio_rule_row {
    struct str on;          /* the client's event */
    struct str nsp;         /* its namespace */
    struct str join, leave; /* room to go into or out of: text with $values */
    struct str emit;        /* event to send on */
    struct str to;    /* room; "*" = all of the namespace; "$sid" = back to the sender alone */
    struct str data;  /* the event's arguments: JSON with $values in the place of values; several
                         are an array in parentheses: (1, 2) */
    struct str ack;   /* the answer, in the same form */
    struct str until; /* this event is over when that event comes (with the same arguments), */
    uint64_t ttl_ms;  /* ... or after so long, or when the client vanishes */
    bool member;      /* only for those who are in the room `to` */
    bool once;        /* not again for the same user and room within the idempotency window */
    bool echo;        /* the sender gets it, too */
};
struct socketio_rules_error {
    size_t row;
    const char *member;
    size_t column; /* in the member's text, from 1; 0: all of it */
    char text[160];
};
struct socketio_rules;
/* 0 or E_CONFIG with *error filled. Texts are copied. Caller owns *out. */
int socketio_rules_new(const struct socketio_rule_row *rows, size_t count,
                       struct socketio_rules_error *error, struct socketio_rules **out);
void socketio_rules_free(struct socketio_rules **rules);

#endif
