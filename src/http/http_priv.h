/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of this room share. A connection that waits for a request is a struct
 * http_conn and nothing more; from the first byte of a request until its answer is finished it
 * has a struct exchange with an arena. */
#ifndef HTTP_HTTP_PRIV_H
#define HTTP_HTTP_PRIV_H

#include "http/http.h"
#include "base/arena.h"
#include "base/map.h"
#include "loop/mailbox.h"
#include "loop/timer.h"

enum {
    GZIP_BYTES_MIN = 1024,
    GZIP_BYTES_MAX = 1 << 20,   /* larger ones would hold up the loop */
    LINGER_MS = 5000,           /* without progress, for the peer to read the last answer */
    HALF_CLOSED_MS = 1000,      /* a peer that sent FIN may still wait for a quick answer */
    OUT_BYTES_MAX = 256 * 1024, /* answers not taken yet: no further request is read */
    SPARE_MAX = 16,             /* exchanges kept per loop */
    LOOPS_MAX = 256,
};

struct route {
    struct str path; /* a prefix: without '/' at the end */
    unsigned methods, flags;
    size_t body_max;
    http_handler handler;
    void *arg;
    struct route *same; /* further methods of the same path */
};

struct proxy_net {
    uint8_t ip[16]; /* IPv4 as ::ffff:a.b.c.d */
    unsigned bits;
};

/* Per loop: scratch and caches, and the connections (for drain). */
struct http_loop {
    struct loop *loop;
    struct http_server *server;
    struct list conns;
    bool draining;
    uint64_t date_s;
    char date[32];
    size_t date_n;
    struct buf head;   /* the answer's head (and small body) under construction */
    struct buf packed; /* its compressed body */
    struct deflate_writer *gzip;
    struct http1_header *room; /* headers of a head that arrives whole */
    struct exchange *spare;
    unsigned spare_count;
};

struct http_server {
    struct http_config config;
    struct http1_limits limits;
    struct arena boot;
    struct map exact;      /* path -> its first struct route */
    struct route **prefix; /* longest path first */
    size_t prefix_count, prefix_capacity;
    struct map files;
    struct proxy_net *proxies;
    size_t proxies_count;
    bool trusts_unix;
    struct http_loop *loops[LOOPS_MAX];
};

enum http_state {
    HTTP_IDLE,
    HTTP_READING_HEAD,
    HTTP_READING_BODY,
    HTTP_ANSWERING,
    HTTP_STREAMING,
    HTTP_CLOSING,
    HTTP_GONE
};

/* Lives on the stack of on_input, so that it learns when a handler gave the connection away. */
struct feed {
    uint8_t *rest; /* behind the request at hand */
    size_t rest_n;
    bool gone; /* the connection is no longer ours to touch */
};

struct http_conn {
    struct http_server *server;
    struct http_loop *home;
    struct sock *sock;
    struct list link;
    struct timer timer;    /* one absolute deadline, by state */
    struct turn_task task; /* waits for output to leave, or for its own end */
    struct exchange *x;
    struct feed *feed;
    uint64_t taken_seen; /* of our output, at the last deadline */
    uint32_t requests;
    enum http_state state : 8;
    bool half_closed : 1; /* the peer has sent FIN */
    bool choked : 1;      /* too much unsent: waits before the next request */
};

struct exchange {
    struct http_request req; /* first: handlers hold a pointer to it */
    struct http_conn *conn;
    struct http_loop *home;
    struct arena arena;
    struct http1_head head;
    struct http1_chunks chunks;
    struct buf body;
    struct buf headers; /* of the answer, added by the handler */
    uint64_t body_left; /* Content-Length not yet here */
    const char *detail; /* why, when there is more to say */
    int refusal;        /* E_*: decided at the head; the body is only read over */
    unsigned allowed;   /* methods, for 405 and OPTIONS */
    const struct route *route;
    const struct http_file *file;
    void (*on_drained)(struct http_request *req);
    struct exchange *next; /* spare */
    struct turn_task task; /* its end, when answered from outside of the handler's call */
    bool *gone;            /* set while a handler runs: it gave the exchange away */
    bool own_room : 1;     /* headers stand in the arena, not in the loop's room */
    bool close_after : 1;
    bool answered : 1;
    bool chunked_answer : 1;
    bool error : 1;
    bool has_cors : 1; /* the handler wrote its own headers of these kinds */
    bool has_encoding : 1;
};

static inline struct exchange *exchange_of(const struct http_request *req)
{
    return (struct exchange *)(void *)req;
}

/* http.c */
struct http_loop *http_loop_of(struct http_server *hs, struct loop *l);
struct str http_date(struct http_loop *home);

/* conn.c */
void conn_begin(struct http_server *hs, struct sock *s);
void conn_set_state(struct http_conn *c, enum http_state to);
/* The answer is complete: on to the next request, or the end. */
void conn_answered(struct exchange *x);
void conn_close_idle(struct http_conn *c);
/* No further request: what is queued goes out, then the connection ends. */
void conn_end(struct http_conn *c);
/* Runs the handler (again, after a move). */
void conn_dispatch(struct exchange *x);
/* Leaves HTTP: freed at the end of the turn. */
void conn_leave(struct http_conn *c);

/* exchange.c */
struct exchange *exchange_new(struct http_conn *c);
void exchange_free(struct exchange **x);
void exchange_free_later(struct exchange *x);
void exchange_free_spares(struct http_loop *home);
/* A head that has not come whole gets header room of its own; false = no memory. */
bool exchange_own_room(struct exchange *x);
/* The head is complete: its bytes move into the arena and the request is filled in.
 * 0 or E_*. */
int exchange_take_head(struct exchange *x, struct str bytes);

/* route.c */
enum http_method route_method(struct str text);
/* Chooses handler or file for the request, or sets x->refusal (and x->allowed). */
void route_choose(struct exchange *x);
size_t route_body_max(const struct exchange *x);
void route_run(struct exchange *x);
void route_add_methods(struct buf *out, unsigned methods);

/* response.c */
/* To a head that could not be understood; the connection closes. */
void response_refuse(struct http_conn *c, int err, const char *detail);

/* cors.c */
void cors_add(struct exchange *x, struct buf *head);
void cors_preflight(struct exchange *x);

/* static.c */
const struct http_file *static_find(struct http_server *hs, struct str path);
void static_serve(struct exchange *x);

/* proxy.c */
bool proxy_parse(struct str text, struct proxy_net *out);
struct str proxy_client(const struct http_server *hs, const struct http_request *req);

#endif
