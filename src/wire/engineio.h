/* SPDX-License-Identifier: Apache-2.0 */
/* Engine.IO 4: packets, polling payloads, the handshake and its errors. Pure text; sessions
 * and timers are protocol/engineio's. A packet is one ASCII digit and its data; a payload (body
 * of a poll) is packets joined by 0x1E; binary is a bare WebSocket frame or `b` + base64. */
#ifndef WIRE_ENGINEIO_H
#define WIRE_ENGINEIO_H

#include "base/arena.h"
#include "base/buf.h"

enum engineio_type {
    ENGINEIO_OPEN,
    ENGINEIO_CLOSE,
    ENGINEIO_PING,
    ENGINEIO_PONG,
    ENGINEIO_MESSAGE,
    ENGINEIO_UPGRADE,
    ENGINEIO_NOOP,
};

struct engineio_packet {
    enum engineio_type type;
    bool base64; /* a binary MESSAGE whose data is still base64: engineio_bytes */
    struct str data;
};

/* One text packet: a WebSocket text message or a piece of a payload. 0 or E_PROTOCOL. */
int engineio_decode(struct str text, struct engineio_packet *out);
/* The bytes of a base64 packet, appended; lenient as the reference is. */
void engineio_bytes(const struct engineio_packet *packet, struct buf *out);

/* Walks a payload: zero-initialise with .rest = body. An empty body is one empty piece, and so
 * is what follows a trailing separator: both fail in engineio_decode, as they must. */
struct engineio_payload {
    struct str rest;
    bool at_end;
};
bool engineio_payload_next(struct engineio_payload *p, struct str *piece);

/* Begins a packet in a payload (a separator first, unless it is empty) or in an empty buffer
 * for a WebSocket message. The caller appends the data. */
void engineio_begin(struct buf *out, enum engineio_type type);
/* The same, with data. */
void engineio_add(struct buf *out, enum engineio_type type, struct str data);
/* A binary message as base64: in payloads, and on WebSocket for clients that sent b64. */
void engineio_add_binary(struct buf *out, struct str bytes);

struct engineio_open {
    struct str sid;
    bool can_upgrade; /* "upgrades":["websocket"] */
    uint64_t ping_interval_ms, ping_timeout_ms, max_payload;
};
/* The OPEN packet, keys in the order clients and suites expect. */
void engineio_add_open(struct buf *out, const struct engineio_open *open);

/* ---- the request ---------------------------------------------------------------------- */
enum engineio_transport { ENGINEIO_UNKNOWN, ENGINEIO_POLLING, ENGINEIO_WEBSOCKET };

struct engineio_query {
    enum engineio_transport transport;
    int version;      /* 4, or 0 for anything else */
    struct str sid;   /* empty = none */
    struct str jsonp; /* `j`; meant when has_jsonp */
    bool has_jsonp;
    bool b64; /* takes no binary frames */
};
/* For each decoded pair in order: the last of equal names wins, unknown ones are ignored.
 * Views are kept. */
void engineio_query_take(struct engineio_query *q, struct str name, struct str value);

enum engineio_code {
    ENGINEIO_OK = -1,
    ENGINEIO_UNKNOWN_TRANSPORT,
    ENGINEIO_UNKNOWN_SID,
    ENGINEIO_BAD_METHOD,
    ENGINEIO_BAD_REQUEST,
    ENGINEIO_FORBIDDEN,
    ENGINEIO_BAD_VERSION,
};
/* What else the check looks at. session is the transport of the session that q->sid names,
 * ENGINEIO_UNKNOWN when there is none. */
struct engineio_request {
    bool is_get;
    bool is_upgrade;               /* asks for a WebSocket */
    bool bad_origin;               /* Origin with control characters */
    bool no_polling, no_websocket; /* switched off by setting */
    enum engineio_transport session;
};
/* All checks in the reference's order, but for `allowRequest`: that comes after (code 4). */
enum engineio_code engineio_check(const struct engineio_query *q,
                                  const struct engineio_request *request);
const char *engineio_code_text(enum engineio_code code);
/* 403 for FORBIDDEN on polling, else 400. */
int engineio_code_status(enum engineio_code code, bool is_upgrade);
/* {"code":N,"message":…}; message empty = the code's own text. */
void engineio_add_error(struct buf *out, enum engineio_code code, struct str message);

/* ---- JSONP (a `j` in the query) --------------------------------------------------------- */
/* ___eio[<digits of j>]("<payload>"); */
void engineio_jsonp_wrap(struct buf *out, struct str j, struct str payload);
/* The payload of a posted form (field `d`), in the arena. 0, E_PROTOCOL (none), E_* of url. */
int engineio_jsonp_body(struct arena *a, struct str form, struct str *out);

#endif
