/* SPDX-License-Identifier: Apache-2.0 */
/* What engineio.c and the socketio files share: the connection, and what goes up from it. */
#ifndef PROTOCOL_ENGINEIO_PRIV_H
#define PROTOCOL_ENGINEIO_PRIV_H

#include "protocol/engineio.h"
#include "wire/socketio.h"

enum engineio_state {
    EIO_POLLING,
    EIO_PROBING,
    EIO_ON_WS,
    EIO_CLOSING,
    EIO_CLOSED,
};

/* What waits for a poll: ranges of shared segments, each packet with a 0x1E before it. */
struct poll_range {
    struct segment *segment;
    uint32_t start, n;
};
struct poll_queue {
    struct poll_range *ranges;
    size_t count, capacity, bytes;
};

void poll_queue_add(struct poll_queue *q, struct segment *g, size_t start, size_t n);
void poll_queue_clear(struct poll_queue *q);
void poll_queue_copy(const struct poll_queue *q, struct buf *out);

/* Kept only when somebody may ask. */
struct engineio_handshake {
    uint64_t time_ms;
    bool is_tls;
    struct str address, url, headers;
    char text[];
};

/* One allocation; NULL when nothing is to be kept. */
struct engineio_handshake *engineio_handshake_new(const struct engineio_hello *hello);

struct engineio {
    struct outlet outlet; /* first: sockets send through it */
    struct loop *loop;
    struct list link; /* of the loop's connections */
    struct list sockets;
    struct outlet *ws;
    void *poll;
    struct poll_queue queue;
    struct socketio_pending *pending; /* a packet whose attachments are still coming */
    struct identity *identity;
    struct engineio_handshake *handshake;
    struct timer timer;
    struct turn_task task; /* answers the poll, or frees */
    uint64_t ping_at_ms;   /* next ping; while one is out: when its pong is too late */
    uint64_t until_ms;     /* connect, or (PROBING) upgrade, or (CLOSING) the last poll */
    uint64_t connect_until_ms;
    uint64_t sent_sequence; /* hub's number when the last poll was answered */
    uint64_t connects_ms;   /* its CONNECTs so far are paid for by then (socketio.c) */
    int auth_err;
    uint8_t state;
    bool is_stranger;
    bool awaits_pong, is_extended, b64, is_deflate, is_registered, has_joined, has_probed;
    char sid[21];
};

const struct engineio_config *engineio_config_of(struct loop *l);
/* One message in the client's own framing; binary follows its packet. */
void engineio_send_text(struct engineio *e, struct str packet); /* with its leading `4` */
void engineio_send_binary(struct engineio *e, struct str bytes);
/* Packets in the framing of polls, each with its 0x1E. */
void engineio_send_framed(struct engineio *e, struct str framed);
/* By us: the client is told. reason goes to the sockets. */
void engineio_close(struct engineio *e, const char *reason);
/* The kind of bytes that this connection takes now. */
enum encoding_kind engineio_kind(const struct engineio *e);
/* It is in a namespace now. */
void engineio_joined(struct engineio *e);
bool engineio_writable(const struct engineio *e);

/* ---- up, into socketio.c ------------------------------------------------------------------ */
void socketio_on_text(struct engineio *e, struct str text);
void socketio_on_bytes(struct engineio *e, struct str bytes);
/* Pings and pongs: what was sent before the ping has arrived with its pong. */
void socketio_on_mark(struct engineio *e);
void socketio_on_confirm(struct engineio *e);
/* A poll's client came back for more: it has what was sent until then. */
void socketio_on_arrived(struct engineio *e, uint64_t sequence);
void socketio_on_drained(struct engineio *e);
/* The kind of bytes changed. */
void socketio_on_kind(struct engineio *e);
/* For good; where recovery is on its sockets wait for the client. */
void socketio_on_gone(struct engineio *e, const char *reason);
uint64_t socketio_hold_ms(const struct engineio *e);

#endif
