/* SPDX-License-Identifier: Apache-2.0 */
/* HTTP/1.1 server (RFC 9110, 9112) on loop/sock: strict heads (wire/http1), keep-alive,
 * pipelining (one request at a time is answered; the rest waits unread), bodies with limits,
 * CORS, routes, compression of bodies, static files.
 *
 * A handler gets a complete request (head, and body unless the route takes none) and must, now
 * or later, do exactly one of: http_reply, http_stream_begin ... http_stream_end, or
 * http_take_over (upgrade). Until then the connection reads no further request. When the peer
 * vanishes first, req->on_abort runs (if set) and the request must not be touched after it. */
#ifndef HTTP_HTTP_H
#define HTTP_HTTP_H

#include "base/buf.h"
#include "loop/sock.h"
#include "wire/http1.h"

enum http_method {
    HTTP_GET,
    HTTP_HEAD,
    HTTP_POST,
    HTTP_PUT,
    HTTP_PATCH,
    HTTP_DELETE,
    HTTP_OPTIONS,
    HTTP_OTHER
};

struct http_conn;
struct http_request {
    struct http_conn *conn;
    struct loop *loop;
    enum http_method method;
    struct str method_text;
    struct str target; /* raw */
    struct str path;   /* percent-decoded, before '?' */
    struct str path_raw;
    struct str query; /* raw, after '?' */
    const struct http1_header *headers;
    size_t headers_count;
    struct str body;
    int version_minor;   /* HTTP/1.x */
    struct arena *arena; /* lives until the answer is finished */
    void *route_arg;
    bool no_memory; /* for a parameter that is there: do not take it for absent */
    /* For the handler's own use until it has answered. */
    void *state;
    void (*on_abort)(struct http_request *req);
};

/* Value of the first header of that name (any case), or STR_NONE. */
struct str http_header(const struct http_request *req, const char *name);
/* Decoded value of a query parameter ("" for a name alone), or STR_NONE; the n-th of that name with
 * _at. Last wins for http_query when `last`. Values are in req->arena; one that has a bad escape or
 * a NUL in it is "\0", so that it is refused like any other nonsense. */
struct str http_query(struct http_request *req, const char *name);
struct str http_query_at(struct http_request *req, const char *name, size_t index);
struct str http_query_last(struct http_request *req, const char *name);
/* Value of a cookie, or STR_NONE. */
struct str http_cookie(const struct http_request *req, const char *name);
struct str http_peer(const struct http_request *req);
/* Is there somebody between us and the client who takes bytes in its stead? By the headers that
 * proxies add, by http.trusted_proxies, and where a peer of this machine asks for another host. */
bool http_is_proxied(const struct http_request *req);
/* Address for limits: the peer, or X-Forwarded-For's last untrusted hop when the peer is in
 * `http.trusted_proxies`. */
struct str http_client_address(const struct http_request *req);
/* True when the Origin header is absent or on the allow-list. */
bool http_origin_allowed(const struct http_request *req);

/* ---- answers ------------------------------------------------------------------------- */
/* Adds a header to the answer (before http_reply / http_stream_begin). Text is copied. */
void http_add_header(struct http_request *req, const char *name, struct str value);
/* Complete answer. body is copied or compressed as accepted; HEAD sends the head only.
 * content_type may be NULL when there is no body. */
void http_reply(struct http_request *req, int status, const char *content_type, struct str body);
/* As http_reply with body {"code":N,"message":..,"hint":..} from err.def (detail replaces the
 * row's text when not NULL). Always carries CORS headers. */
void http_reply_error(struct http_request *req, int err, const char *detail);

/* Streaming answer without length (chunked, or until close for HTTP/1.0), for SSE. After begin
 * the bytes are yours: write to http_sock with your own chunk framing when http_stream_chunked
 * says so, so that shared segments can hold "chunk head + data + CRLF". */
void http_stream_begin(struct http_request *req, int status, const char *content_type);
bool http_stream_chunked(const struct http_request *req);
struct sock *http_sock(const struct http_request *req);
/* Ends the stream (terminal chunk); the connection goes on to its next request or closes. */
void http_stream_end(struct http_request *req);
/* Closes the connection without an orderly end of the stream. */
void http_stream_abort(struct http_request *req);
/* Runs when a stream's sock has drained after being full (see sock_ops.on_drained). */
void http_stream_on_drained(struct http_request *req, void (*fn)(struct http_request *req));

/* Upgrade: the connection leaves HTTP. `head` (e.g. the 101 answer) is sent, the sock gets the
 * new owner, unread bytes are presented to its on_input. The request (and its arena) is freed
 * at the end of the turn. Returns the sock. */
struct sock *http_take_over(struct http_request *req, struct str head, const struct sock_ops *ops,
                            void *owner);
/* Hands the whole request to another loop, where it is routed anew (a session that lives
 * there). The request must not be touched afterwards. */
void http_move(struct http_request *req, struct loop *to);

/* ---- routes and server --------------------------------------------------------------- */
typedef void (*http_handler)(struct http_request *req);
enum http_route_flags {
    HTTP_ROUTE_PREFIX = 1,     /* path or anything below it */
    HTTP_ROUTE_ANY_METHOD = 2, /* the handler looks at the method itself (OPTIONS included) */
    HTTP_ROUTE_OWN_CORS = 4,   /* the handler writes CORS headers itself */
    HTTP_ROUTE_PLAIN = 16,     /* answers are never compressed */
    HTTP_ROUTE_OPEN_CORS = 8,  /* any origin, without credentials */
};
struct http_config {
    size_t head_bytes_max;        /* 32 KiB */
    size_t target_bytes_max;      /* 16 KiB */
    size_t headers_max;           /* 100 */
    size_t body_bytes_max;        /* default for routes, 1 MiB */
    uint64_t head_ms_max;         /* absolute deadline for a head, 10 s */
    uint64_t body_ms_max;         /* absolute deadline for a body, 30 s */
    uint64_t keepalive_ms;        /* idle between requests, 75 s */
    size_t requests_per_conn_max; /* 0 = no limit */
    struct str *origins;          /* allow-list: exact origins, "*", or patterns with '*' */
    size_t origins_count;
    struct str *trusted_proxies;
    size_t trusted_proxies_count;
};
struct http_server;
/* One per process, immutable after the first request; config is copied. */
struct http_server *http_server_new(const struct http_config *config);
/* methods: bit set of 1 << HTTP_GET ... (HEAD comes with GET); body_max 0 = the default. */
void http_route(struct http_server *hs, const char *path, unsigned methods, unsigned flags,
                size_t body_max, http_handler handler, void *arg);
/* Is that peer one of `http.trusted_proxies`? */
bool http_trusts(const struct http_server *hs, struct str address);
/* A complete 503 for sock_listen_config.busy_answer. */
struct str http_busy_answer(void);
/* Gives an accepted connection to HTTP. */
void http_accept(struct http_server *hs, struct sock *s);
/* Answers with Connection: close from now on and closes idle connections. */
void http_server_drain(struct http_server *hs, struct loop *l);
void http_server_free(struct http_server **hs);

/* A file in the binary (tools/embed): path, type, ETag, plain and compressed bytes. */
struct http_file {
    const char *path;
    const char *content_type;
    const char *etag;
    const uint8_t *bytes;
    size_t n;
    const uint8_t *gzip; /* NULL when not smaller */
    size_t gzip_n;
    const uint8_t *brotli;
    size_t brotli_n;
};
/* Serves the files by exact path ("/" = "/index.html"), with ETag/304, HEAD, a strict CSP. */
void http_serve_files(struct http_server *hs, const struct http_file *files, size_t count);

#endif
