/* SPDX-License-Identifier: Apache-2.0 */
/* How the bytes of clients travel: WebSocket (ws.c, opened by upgrade.c), Server-Sent Events
 * (sse.c), long poll (poll.c), and the bytes of each kind of client (encoding.c).
 *
 * Each transport takes an HTTP request, finds out who it is (upgrade_identify), opens a session
 * with an outlet of its own, and from then on only moves bytes. */
#ifndef TRANSPORT_TRANSPORT_H
#define TRANSPORT_TRANSPORT_H

#include "http/http.h"
#include "protocol/engineio.h"
#include "protocol/protocol.h"
#include "protocol/socketio.h"

struct transport_socketio {
    bool enabled;
    const char *path; /* "/socket.io" */
    bool no_polling, no_websocket;
    bool compresses; /* answers of polls */
    bool keeps_handshake;
    struct str cookie; /* name of one that holds the sid; empty = none */
    /* Asked for each handshake: the words of a refusal (code 4), or none. NULL: all may. */
    struct str (*allow)(void *arg, struct http_request *req);
    void *allow_arg;
    struct engineio_config engineio;
};

struct transport_config {
    struct transport_socketio socketio;
    uint64_t ws_ping_ms;  /* a ping when nothing was sent for so long */
    uint64_t ws_pong_ms;  /* no sign of life for so long after it: gone */
    uint64_t ws_close_ms; /* wait for the peer's close frame */
    uint64_t probe_ms;    /* a new connection waits for its silent siblings */
    size_t ws_message_bytes_max;
    bool deflate;
    size_t deflate_threshold; /* smaller messages are sent as they are */
    int deflate_level;
    uint64_t sse_ping_ms;
    uint64_t sse_retry_ms;
    bool sse_gzip;
    uint64_t poll_ms; /* default wait */
    uint64_t poll_ms_max;
    uint64_t poll_keep_ms; /* positions of pollers without a cursor */
    size_t poll_keep_max;
    size_t channels_max; /* in one SSE or poll request */
    const char *cookie_path;
    bool conformance; /* adds /echo */
};

/* Routes on the server, encodings in the hub's table, state on each loop. */
void transport_setup(struct loops *ls, struct http_server *hs,
                     const struct transport_config *config);
void transport_teardown(struct loops *ls);
/* Polls that wait are answered, streams are told; part of a drain. */
void transport_drain(struct loop *l);

#endif
