/* SPDX-License-Identifier: Apache-2.0 */
/* Chunked bodies (RFC 9112 section 7.1), one state per place in the grammar. Everything but the
 * data itself is read byte by byte, so it does not matter where the input is cut. Chunk
 * extensions and trailers are checked, counted and dropped. */
#include "wire/http1.h"
#include "base/err.h"

enum {
    SIZE_DIGITS_MAX = 16,
    EXTENSION_BYTES_MAX = 16 * 1024, /* of all chunks: a signature per chunk fits, a flood not */
    TRAILER_BYTES_MAX = 8 * 1024
};

/*   size -> (extension) -> LF -> data -> data CR -> data LF -> size ...
 *                           '-> (size 0) trailer line | CR -> end LF -> done */
enum state {
    SIZE,
    EXT_BLANK,      /* blanks before ';' */
    EXT_NAME_FIRST, /* after ';' */
    EXT_NAME,
    EXT_NAME_BLANK,  /* blanks before '=' or ';' */
    EXT_VALUE_FIRST, /* after '=' */
    EXT_VALUE,
    EXT_QUOTED,
    EXT_QUOTED_PAIR,
    EXT_QUOTED_END,
    SIZE_LF,
    DATA,
    DATA_CR,
    DATA_LF,
    TRAILER_FIRST,
    TRAILER_NAME,
    TRAILER_VALUE,
    TRAILER_LF,
    END_LF,
    DONE
};

static int refuse(struct http1_chunks *c, int err, const char *detail)
{
    c->detail = detail;
    return err;
}

static bool is_token(unsigned char b)
{
    return http1_token_valid(str_of((const char *)&b, 1));
}

static bool is_blank(unsigned char b)
{
    return b == ' ' || b == '\t';
}

void http1_chunks_init(struct http1_chunks *c, uint64_t body_bytes_max)
{
    *c = (struct http1_chunks){.body_bytes_max = body_bytes_max, .state = SIZE};
}

static int digit_of(unsigned char b)
{
    if (b >= '0' && b <= '9')
        return b - '0';
    b |= 0x20;
    return b >= 'a' && b <= 'f' ? b - 'a' + 10 : -1;
}

/* What may follow a size, an extension's name or its value: the next state, or -1. */
static int after_piece(unsigned char b)
{
    return b == ';' ? EXT_NAME_FIRST : b == '\r' ? SIZE_LF : -1;
}

static int step_size(struct http1_chunks *c, unsigned char b)
{
    int digit = digit_of(b);
    if (digit >= 0) {
        if (c->count++ == SIZE_DIGITS_MAX)
            return refuse(c, E_BAD_REQUEST, "chunk size too long");
        c->left = c->left << 4 | (uint64_t)digit;
        return SIZE;
    }
    if (c->count == 0)
        return refuse(c, E_BAD_REQUEST, "chunk size is missing");
    if (c->left > c->body_bytes_max - c->body_bytes)
        return refuse(c, E_TOO_LARGE, "body too large");
    int next = is_blank(b) ? EXT_BLANK : after_piece(b);
    return next < 0 ? refuse(c, E_BAD_REQUEST, "malformed chunk size") : next;
}

static int next_in_extension(enum state state, unsigned char b)
{
    bool blank = is_blank(b), token = is_token(b);
    if (state == EXT_BLANK)
        return blank ? EXT_BLANK : b == ';' ? EXT_NAME_FIRST : -1;
    if (state == EXT_NAME_FIRST)
        return blank ? EXT_NAME_FIRST : token ? EXT_NAME : -1;
    if (state == EXT_NAME)
        return token      ? EXT_NAME
               : blank    ? EXT_NAME_BLANK
               : b == '=' ? EXT_VALUE_FIRST
                          : after_piece(b);
    if (state == EXT_NAME_BLANK)
        return blank ? EXT_NAME_BLANK : b == '=' ? EXT_VALUE_FIRST : b == ';' ? EXT_NAME_FIRST : -1;
    if (state == EXT_VALUE_FIRST)
        return blank ? EXT_VALUE_FIRST : b == '"' ? EXT_QUOTED : token ? EXT_VALUE : -1;
    if (state == EXT_VALUE)
        return token ? EXT_VALUE : blank ? EXT_BLANK : after_piece(b);
    if (state == EXT_QUOTED_END)
        return blank ? EXT_BLANK : after_piece(b);
    /* in quotes: anything but control characters */
    if ((b < 0x20 && b != '\t') || b == 0x7f)
        return -1;
    if (state == EXT_QUOTED_PAIR)
        return EXT_QUOTED;
    return b == '"' ? EXT_QUOTED_END : b == '\\' ? EXT_QUOTED_PAIR : EXT_QUOTED;
}

static int step_extension(struct http1_chunks *c, unsigned char b)
{
    if (++c->extension_bytes > EXTENSION_BYTES_MAX)
        return refuse(c, E_HEADERS_TOO_LARGE, "chunk extensions too long");
    int next = next_in_extension((enum state)c->state, b);
    return next < 0 ? refuse(c, E_BAD_REQUEST, "malformed chunk extension") : next;
}

/* Fields that frame, route or authorize must not come late (RFC 9110 section 6.5.1). */
static bool trailer_forbidden(struct str name)
{
    static const char *const names[] = {
        "authorization",  "cache-control",
        "connection",     "content-encoding",
        "content-length", "content-range",
        "content-type",   "cookie",
        "expect",         "host",
        "max-forwards",   "proxy-authorization",
        "range",          "te",
        "trailer",        "transfer-encoding",
        "upgrade",
    };
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (str_is(name, names[i]))
            return true;
    }
    return false;
}

static int step_trailer(struct http1_chunks *c, unsigned char b)
{
    if (++c->trailer_bytes > TRAILER_BYTES_MAX)
        return refuse(c, E_HEADERS_TOO_LARGE, "trailers too large");
    if (c->state == TRAILER_VALUE) {
        if (b == '\r')
            return TRAILER_LF;
        return b == '\t' || (b >= 0x20 && b != 0x7f)
                   ? TRAILER_VALUE
                   : refuse(c, E_BAD_REQUEST, "malformed trailer");
    }
    if (c->state == TRAILER_FIRST) {
        c->count = 0;
        if (b == '\r')
            return END_LF;
    }
    if (is_token(b)) {
        /* A name that does not fit is none of the forbidden ones; count stays past the room. */
        if (c->count < sizeof(c->name))
            c->name[c->count] = b >= 'A' && b <= 'Z' ? (char)(b | 0x20) : (char)b;
        c->count = (uint8_t)(c->count + (c->count <= sizeof(c->name)));
        return TRAILER_NAME;
    }
    if (b != ':' || c->count == 0)
        return refuse(c, E_BAD_REQUEST, "malformed trailer");
    if (c->count <= sizeof(c->name) && trailer_forbidden(str_of(c->name, c->count)))
        return refuse(c, E_BAD_REQUEST, "a trailer that belongs in the head");
    return TRAILER_VALUE;
}

static int step_line_end(struct http1_chunks *c, unsigned char b)
{
    if (b != (c->state == DATA_CR ? '\r' : '\n'))
        return refuse(c, E_BAD_REQUEST, "CRLF is missing in the chunked body");
    switch (c->state) {
    case SIZE_LF:
        c->count = 0;
        return c->left ? DATA : TRAILER_FIRST;
    case DATA_CR:
        return DATA_LF;
    case DATA_LF:
        return SIZE;
    case TRAILER_LF:
        return TRAILER_FIRST;
    default:
        return DONE;
    }
}

static int step(struct http1_chunks *c, unsigned char b)
{
    if (c->state == SIZE)
        return step_size(c, b);
    if (c->state < SIZE_LF)
        return step_extension(c, b);
    if (c->state >= TRAILER_FIRST && c->state <= TRAILER_VALUE)
        return step_trailer(c, b);
    return step_line_end(c, b);
}

ptrdiff_t http1_chunks_feed(struct http1_chunks *c, struct str in, struct str *data)
{
    size_t used = 0;
    *data = STR_NONE;
    while (used < in.n && c->state != DONE) {
        if (c->state == DATA) {
            *data = str_head(str_skip(in, used), c->left < in.n ? (size_t)c->left : in.n);
            c->left -= data->n;
            c->body_bytes += data->n;
            c->state = c->left ? DATA : DATA_CR;
            return (ptrdiff_t)(used + data->n);
        }
        int next = step(c, (unsigned char)in.p[used++]);
        if (next < 0)
            return next;
        c->state = (uint8_t)next;
    }
    c->done = c->state == DONE;
    return (ptrdiff_t)used;
}
