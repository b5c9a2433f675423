/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the transport room share. */
#ifndef TRANSPORT_TRANSPORT_PRIV_H
#define TRANSPORT_TRANSPORT_PRIV_H

#include "base/map.h"
#include "transport/transport.h"
#include "wire/deflate.h"
#include "wire/wshandshake.h"

struct poll_home;

/* Of one loop. */
struct transport_home {
    struct loop *loop;
    const struct transport_config *config;
    struct deflate_writer *deflate;
    struct deflate_reader *inflate;
    struct buf text, framed; /* scratch of encoding.c */
    struct list ws_silent;   /* ws.c: in the order of their next pings, and the first one's time */
    struct timer ws_ping_timer;
    struct list streams; /* sse.c */
    struct list polls;   /* poll.c: parked */
    struct poll_home *poll;
    struct list longpolls; /* longpoll.c */
    struct map longpolls_by_token;
};
struct transport_home *transport_home_of(struct loop *l);

/* ---- upgrade.c ---------------------------------------------------------------------------- */
struct who {
    struct identity *identity; /* a reference of the caller's */
    bool needs_token;
};
/* The token from wherever it may stand, verified. 0 or E_*; with E_* the request has been
 * answered (401 and the guide's words). */
int upgrade_identify(struct http_request *req, struct who *who);
/* The request's token, or none. needs_origin: one from a cookie counts only when the page says
 * where it comes from. */
struct str upgrade_token(struct http_request *req, bool needs_origin);
/* False (and answered 403) when the page's origin is not on the list. */
bool upgrade_origin(struct http_request *req);
/* The Set-Cookie line of a ticket. */
void upgrade_add_cookie(struct http_request *req, const char *ticket, struct buf *out);
void upgrade_on_native(struct http_request *req);
/* Checks the handshake; answers and returns false when it is none. */
bool upgrade_shake(struct http_request *req, struct wshandshake *ws);

/* ---- realtime.c --------------------------------------------------------------------------- */
void realtime_setup(struct http_server *hs, size_t frame_bytes_max);
/* By the project's key; false when the request was answered. */
bool realtime_admit(struct http_request *req, struct identity **id);

/* ---- longpoll.c --------------------------------------------------------------------------- */
void longpoll_on_request(struct http_request *req);
void longpoll_drain(struct transport_home *home);
void longpoll_teardown(struct transport_home *home);

/* ---- ws.c --------------------------------------------------------------------------------- */
struct ws_open {
    enum protocol_kind kind;
    struct who who; /* the reference is taken */
    bool deflate;
    int window_bits;
    size_t message_bytes_max; /* 0: as configured */
    bool has_own_pings;       /* the protocol pings by itself */
    char ticket[SESSION_TICKET_SIZE + 1];
    char name[24]; /* of the session, when the client knows it; empty: any of the ticket */
    bool claims;   /* look for a detached session of that ticket */
    const struct session_ops *claim_ops;
    bool tells_ticket;
    bool is_unknown; /* it named a ticket that is not known (any more) */
    int refusal;     /* E_*: it is told by a close code, and that is all */
    struct str query;
    /* Engine.IO only; borrowed for the call. */
    const struct engineio_hello *engineio;
    struct engineio *target; /* the connection to be upgraded; NULL: a new one */
};
/* Answers 101 (with extra header lines) and runs the connection. */
void ws_accept(struct http_request *req, struct str answer, const struct ws_open *open);
void ws_setup(struct transport_home *home);
void ws_teardown(struct transport_home *home);

/* ---- socketio.c --------------------------------------------------------------------------- */
extern const struct engineio_poll_ops socketio_poll_ops;
void socketio_on_request(struct http_request *req);
void socketio_routes(struct http_server *hs, const struct transport_socketio *config);

/* ---- echo.c ------------------------------------------------------------------------------- */
void echo_setup(struct http_server *hs);

/* ---- encoding.c --------------------------------------------------------------------------- */
extern const struct encoding_table encoding_table;
/* A WebSocket frame of a payload, compressed when asked and worth it. */
void encoding_frame(struct transport_home *home, bool is_binary, bool deflate, int window_bits,
                    struct str payload, struct buf *out);
/* An HTTP chunk; for gzip streams the text is packed so that pieces can be joined freely. */
void encoding_chunk(struct transport_home *home, bool gzip, struct str text, struct buf *out);
/* The first bytes of a stream that encoding_chunk(gzip) continues. */
void encoding_gzip_head(struct buf *out);

/* ---- sse.c, poll.c ------------------------------------------------------------------------ */
void sse_on_request(struct http_request *req);
void sse_drain(struct transport_home *home);
void poll_on_request(struct http_request *req);
void poll_drain(struct transport_home *home);
void poll_setup(struct transport_home *home);
void poll_teardown(struct transport_home *home);

/* What SSE and poll requests have in common (stream.c): channels, where each begins. */
struct place {
    struct str channel;
    struct position at;
    bool has_at;
    bool is_closed; /* it may not be read: nothing to be known */
};
struct places {
    struct place *list;
    size_t count;
};
/* ?channel= (repeatable) and the cursor text (may be empty), in req->arena. 0 or E_* with detail.
 */
int places_read(struct http_request *req, struct str cursor, struct places *out,
                const char **detail);
/* The cursor for the places as they are now. */
void places_add_cursor(const struct places *ps, bool named, struct buf *out);
struct place *places_find(struct places *ps, struct str channel);
/* Presence in that channel, as the request's `track` says. */
void places_track(struct http_request *req, struct session *s, struct str channel);
void place_set(struct place *p, struct str epoch, uint64_t offset);

#endif
