/* SPDX-License-Identifier: Apache-2.0 */
/* HTTP/1.1 request heads and chunked bodies (RFC 9110, 9112), strict: whatever two parsers could
 * read in two ways is refused. Pure: bytes in, views of those bytes out.
 *
 * A head is read line by line as it arrives; the struct remembers how far it came, so a head
 * that comes one byte at a time costs as much as one that comes whole. The caller keeps all
 * bytes of the unfinished head and may move them between calls. After the answer > 0 the views
 * are good as long as the bytes stay where they are. */
#ifndef WIRE_HTTP1_H
#define WIRE_HTTP1_H

#include "base/buf.h"

struct http1_limits {
    size_t head_bytes_max;
    size_t target_bytes_max;
    size_t headers_max;
};

struct http1_header {
    struct str name;  /* as sent */
    struct str value; /* without blanks at both ends */
};

enum http1_form { HTTP1_ORIGIN, HTTP1_ABSOLUTE, HTTP1_ASTERISK };

struct http1_head {
    struct str method;
    struct str target; /* as sent */
    struct str path;   /* raw, without the query; "/" for http://host, "*" for the asterisk form */
    struct str query;  /* raw, after '?'; p is NULL without one */
    struct str host;   /* of Host (or of an absolute target); empty only on HTTP/1.0 */
    enum http1_form form;
    int version_minor;      /* 0 or 1 */
    int64_t content_length; /* -1 when absent */
    bool chunked;
    bool keep_alive;
    bool upgrade; /* Connection names "upgrade" and an Upgrade header is there */
    bool expect_continue;
    struct http1_header *headers; /* the room given to http1_head_init */
    size_t headers_count;
    const char *detail; /* after < 0: which rule was broken */
    /* private: progress */
    size_t headers_room;
    size_t scanned;
    size_t line;
    size_t start;
    const char *base;
};

/* Before each request. Borrows the room until the head is done with. */
void http1_head_init(struct http1_head *h, struct http1_header *room, size_t count);
/* bytes: all that is there of this request, from its first byte. > 0: length of the head
 * (including a leading CRLF that is skipped), 0: more is needed, < 0: E_BAD_REQUEST,
 * E_HEADERS_TOO_LARGE, E_URI_TOO_LONG, E_VERSION, E_EXPECTATION, E_METHOD_NOT_ALLOWED (CONNECT).
 * After an error the connection cannot be used again. */
int http1_parse_head(struct str bytes, const struct http1_limits *limits, struct http1_head *h);
/* First header of that name (any case), or STR_NONE. */
struct str http1_header_get(const struct http1_header *headers, size_t count, const char *name);
/* True when a comma list holds the token (any case). */
bool http1_list_has(struct str list, const char *token);
/* For Accept-Encoding: q value in thousandths; 0 = not accepted. "*" counts. */
int http1_accept_q(struct str accept, const char *coding);
bool http1_token_valid(struct str s);

/* ---- chunked body -------------------------------------------------------------------- */
struct http1_chunks {
    uint64_t left; /* of the current chunk */
    uint64_t body_bytes;
    uint64_t body_bytes_max;
    uint32_t extension_bytes; /* of all chunks */
    uint32_t trailer_bytes;   /* of all trailers */
    uint8_t state;
    uint8_t count; /* digits of a size, characters of a trailer's name */
    char name[24]; /* of the current trailer, lower case */
    bool done;
    const char *detail; /* after < 0 */
};

void http1_chunks_init(struct http1_chunks *c, uint64_t body_bytes_max);
/* Eats from the front of `in`: > 0 bytes used; *data is the piece of body among them (view, may
 * be empty). Call again with the rest until c->done or `in` is empty (then 0). < 0:
 * E_BAD_REQUEST, E_TOO_LARGE (body), E_HEADERS_TOO_LARGE (extensions, trailers). Trailers are
 * checked and dropped. Bytes after the end of the body are not touched. */
ptrdiff_t http1_chunks_feed(struct http1_chunks *c, struct str in, struct str *data);

/* ---- answers ------------------------------------------------------------------------- */
const char *http1_status_text(int status);
/* "HTTP/1.1 200 OK" CRLF */
void http1_add_status(struct buf *out, int status);
/* "name: value" CRLF. Control characters in the value become blanks (no header injection). */
void http1_add_header(struct buf *out, const char *name, struct str value);
/* "Sun, 06 Nov 1994 08:49:37 GMT", from seconds since 1970; 29 bytes. */
void http1_add_date(struct buf *out, int64_t unix_s);
/* Hex length and CRLF that start a chunk; the caller adds data and CRLF. */
void http1_add_chunk_head(struct buf *out, size_t data_bytes);

#endif
