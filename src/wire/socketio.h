/* SPDX-License-Identifier: Apache-2.0 */
/* Socket.IO 5 packets, as they stand inside Engine.IO messages:
 * <type>[<#attachments>-][<nsp>,][<ack id>][<JSON>]. Arguments stay raw JSON. Namespaces,
 * rooms and who may say what are protocol/socketio's. */
#ifndef WIRE_SOCKETIO_H
#define WIRE_SOCKETIO_H

#include "wire/attachments.h"
#include "wire/jsonscan.h"

enum {
    SOCKETIO_ARGS_MAX = 64,  /* of one packet, the event's name not counted */
    SOCKETIO_NSP_MAX = 1024, /* bytes; a client may have put a query with a token there */
    SOCKETIO_ACK_MAX = 32,   /* digits */
};

enum socketio_type {
    SOCKETIO_CONNECT,
    SOCKETIO_DISCONNECT,
    SOCKETIO_EVENT,
    SOCKETIO_ACK,
    SOCKETIO_CONNECT_ERROR, /* only to clients */
    SOCKETIO_BINARY_EVENT,
    SOCKETIO_BINARY_ACK,
};

struct socketio_packet {
    enum socketio_type type; /* EVENT and ACK also for their binary kinds */
    unsigned attachments;    /* binary messages that follow */
    struct str nsp;          /* "/" when none is written */
    struct str ack;          /* digits without leading zeros; empty = none */
    struct str payload;      /* raw JSON; empty = absent: such events and acks are ignored */
    struct str event;        /* the name as text */
    const struct jsonscan_value *args; /* in the arena */
    size_t args_count;
    const char *detail; /* after < 0: what is wrong, for the log */
};

/* A client's packet. 0; E_PROTOCOL, E_BAD_REQUEST, E_BAD_UTF8, E_TOO_LARGE: the connection is to be
 * closed; E_NO_MEMORY. depth: of JSON. Placeholders are checked against the announced number
 * here, before the bytes arrive. Stricter than the reference: digits only in numbers, and a
 * placeholder has no other members. */
int socketio_decode(struct arena *a, struct str text, unsigned depth, struct socketio_packet *out);

/* A packet whose attachments are still coming. Zero-initialised: nothing is pending. */
struct socketio_pending {
    struct buf text;
    struct buf packed;
    unsigned wanted, got;
};
static inline bool socketio_pending_is(const struct socketio_pending *p)
{
    return p->wanted > 0;
}
/* Keeps a copy of the text. bytes_max bounds all its attachments together. 0, E_NO_MEMORY. */
int socketio_pending_begin(struct socketio_pending *p, struct str text, unsigned wanted,
                           size_t bytes_max);
/* 1 when it was the last one: decode p->text again, use p->packed, then clear. 0: more to come.
 * E_PROTOCOL when nothing is pending, E_TOO_LARGE. */
int socketio_pending_add(struct socketio_pending *p, struct str bytes);
void socketio_pending_clear(struct socketio_pending *p);

/* What clients may say in the payload of CONNECT; empty when absent or no string. */
struct socketio_auth {
    struct str pid, offset, token;
};
int socketio_auth(struct arena *a, struct str payload, struct socketio_auth *out);

/* ---- arguments as a message's content, and back ------------------------------------------ */
enum socketio_form {
    SOCKETIO_ONE,         /* content is the only argument */
    SOCKETIO_LIST,        /* content is a JSON array of the arguments (none, or several) */
    SOCKETIO_BYTES,       /* content is the only argument, bytes */
    SOCKETIO_ATTACHMENTS, /* content is a JSON array with placeholders, attachments are packed */
};
struct socketio_content {
    enum socketio_form form;
    struct str content;
    struct str attachments;
};
/* Of args[first..]: views, or in the arena. 0 or E_NO_MEMORY. */
int socketio_content(struct arena *a, const struct socketio_packet *packet, size_t first,
                     struct str packed, unsigned depth, struct socketio_content *out);

struct socketio_emit {
    struct str nsp;   /* "/" or empty: the main one */
    struct str ack;   /* digits; of an EVENT: the client is to answer; empty = none */
    struct str event; /* EVENT only */
    struct socketio_content what;
    struct str offset; /* EVENT: recovery position, one more argument; empty = none */
};
/* Names that clients and servers keep for themselves: a client that receives one drops its
 * connection, so they are never sent. */
bool socketio_event_reserved(struct str event);
/* Append the packet; return how many binary messages must follow it (socketio_emit_bytes), or
 * E_BAD_REQUEST (a reserved name, a content that is not of its form) with nothing appended. */
int socketio_add_event(struct buf *out, const struct socketio_emit *e);
int socketio_add_ack(struct buf *out, const struct socketio_emit *e);
/* The binary messages of e in order: *at starts at 0; false at the end. */
bool socketio_emit_bytes(const struct socketio_emit *e, size_t *at, struct str *bytes);
/* pid empty = no recovery. */
void socketio_add_connect(struct buf *out, struct str nsp, struct str sid, struct str pid);
/* data: raw JSON, empty = none. */
void socketio_add_connect_error(struct buf *out, struct str nsp, struct str message,
                                struct str data);
void socketio_add_disconnect(struct buf *out, struct str nsp);

#endif
