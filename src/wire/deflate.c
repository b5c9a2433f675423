/* SPDX-License-Identifier: Apache-2.0 */
/* zlib behind a small door. Streams are reset, not made, for each message. zlib takes its own
 * memory (it is the exception the house allows), so only its refusal shows here. */
#include "wire/deflate.h"
#include "base/check.h"
#include "base/err.h"
#include "base/mem.h"
#include <zlib.h>

enum {
    WINDOW_MIN = 9, /* zlib has no raw stream of 8 */
    WINDOW_MAX = 15,
    WINDOWS = WINDOW_MAX - WINDOW_MIN + 1,
    GZIP = 16, /* added to window bits: zlib's sign for a gzip wrapper */
    GZIP_STREAM_WINDOW = 12,
    GZIP_STREAM_MEMORY = 5,
    OUT_BYTES_KEPT = 256 * 1024, /* what a reader keeps between messages */
    OUT_BYTES_FIRST = 4096
};

struct deflate_writer {
    z_stream streams[WINDOWS];
    z_stream gzip;
    bool made[WINDOWS];
    bool gzip_made;
    int level;
};

struct deflate_reader {
    z_stream stream;
    bool made;
    bool ended; /* the last block that was read is marked as the last */
    struct buf out;
};

struct deflate_gzip {
    z_stream stream;
};

/* zlib counts in unsigned int. */
static uInt portion(size_t n)
{
    return n > UINT32_MAX / 2 ? UINT32_MAX / 2 : (uInt)n;
}

static void point_in(z_stream *z, struct str in)
{
    z->next_in = (Bytef *)(uintptr_t)in.p; /* zlib does not write there */
    z->avail_in = portion(in.n);
}

/* All of `in` through `z`, with `flush` at the end. */
static int run(z_stream *z, struct str in, int flush, struct buf *out)
{
    do {
        size_t piece = portion(in.n);
        bool last = piece == in.n;
        point_in(z, str_head(in, piece));
        in = str_skip(in, piece);
        do {
            size_t room = (size_t)z->avail_in / 2 + 64;
            if (!buf_reserve(out, room))
                return E_NO_MEMORY;
            room = portion(out->capacity - out->n);
            z->next_out = (Bytef *)out->p + out->n;
            z->avail_out = (uInt)room;
            int r = deflate(z, last ? flush : Z_NO_FLUSH);
            CHECK(r == Z_OK || r == Z_STREAM_END || r == Z_BUF_ERROR);
            out->n += room - z->avail_out;
        } while (z->avail_out == 0);
        CHECK(z->avail_in == 0);
    } while (in.n);
    return 0;
}

/* ---- writer ---------------------------------------------------------------------------- */

struct deflate_writer *deflate_writer_new(int level)
{
    struct deflate_writer *w = mem_new(sizeof(*w));
    CHECK(level >= 1 && level <= 9);
    w->level = level;
    return w;
}

void deflate_writer_free(struct deflate_writer **w)
{
    if (!*w)
        return;
    for (size_t i = 0; i < WINDOWS; i++) {
        if ((*w)->made[i])
            deflateEnd(&(*w)->streams[i]);
    }
    if ((*w)->gzip_made)
        deflateEnd(&(*w)->gzip);
    mem_free(*w);
    *w = NULL;
}

static bool ready(z_stream *z, bool *made, int level, int window, int memory)
{
    if (!*made)
        *made = deflateInit2(z, level, Z_DEFLATED, window, memory, Z_DEFAULT_STRATEGY) == Z_OK;
    return *made;
}

/* Puts *out back to `before` when something went wrong; the stream starts afresh either way. */
static int finish(z_stream *z, int r, struct buf *out, size_t before)
{
    deflateReset(z);
    if (r < 0)
        out->n = before;
    return r;
}

int deflate_message(struct deflate_writer *w, int window_bits, struct str in, struct buf *out)
{
    CHECK(window_bits >= WINDOW_MIN && window_bits <= WINDOW_MAX);
    int i = window_bits - WINDOW_MIN;
    size_t before = out->n;
    if (in.n == 0) {
        buf_add_c(out, '\0'); /* RFC 7692 section 7.2.3.6 */
        return out->failed ? E_NO_MEMORY : 0;
    }
    /* A small window goes with little memory for the hash: a rare client must not cost much. */
    int memory = window_bits == WINDOW_MAX ? 8 : window_bits - 7;
    if (!ready(&w->streams[i], &w->made[i], w->level, -window_bits, memory))
        return E_NO_MEMORY;
    int r = run(&w->streams[i], in, Z_SYNC_FLUSH, out);
    if (r == 0) {
        CHECK(out->n - before >= 5 && memcmp(out->p + out->n - 4, "\0\0\xff\xff", 4) == 0);
        out->n -= 4;
    }
    return finish(&w->streams[i], r, out, before);
}

int deflate_gzip_once(struct deflate_writer *w, struct str in, struct buf *out)
{
    size_t before = out->n;
    if (!ready(&w->gzip, &w->gzip_made, w->level, WINDOW_MAX + GZIP, 8))
        return E_NO_MEMORY;
    return finish(&w->gzip, run(&w->gzip, in, Z_FINISH, out), out, before);
}

/* ---- reader ---------------------------------------------------------------------------- */

struct deflate_reader *deflate_reader_new(void)
{
    return mem_new(sizeof(struct deflate_reader));
}

void deflate_reader_free(struct deflate_reader **r)
{
    if (!*r)
        return;
    if ((*r)->made)
        inflateEnd(&(*r)->stream);
    buf_free(&(*r)->out);
    mem_free(*r);
    *r = NULL;
}

/* One portion of input. A block marked as the last one may be followed by more (RFC 7692 section
 * 7.2.3.4): a fresh stream goes on. */
static int inflate_piece(struct deflate_reader *r, struct str in)
{
    z_stream *z = &r->stream;
    point_in(z, in);
    for (;;) {
        size_t room = r->out.max - r->out.n;
        if (room > r->out.capacity - r->out.n) {
            size_t more = r->out.n ? r->out.n : OUT_BYTES_FIRST;
            if (r->out.capacity == r->out.n && !buf_reserve(&r->out, more < room ? more : room))
                return E_NO_MEMORY;
            room = r->out.capacity - r->out.n;
        }
        /* With no room left one byte of scratch shows whether more would come. */
        Bytef scratch;
        uInt given = room ? portion(room) : 1;
        z->next_out = room ? (Bytef *)r->out.p + r->out.n : &scratch;
        z->avail_out = given;
        int answer = inflate(z, Z_SYNC_FLUSH);
        if (answer == Z_MEM_ERROR)
            return E_NO_MEMORY;
        if (answer != Z_OK && answer != Z_STREAM_END && answer != Z_BUF_ERROR)
            return E_PROTOCOL;
        size_t got = given - z->avail_out;
        if (got && !room)
            return E_TOO_LARGE;
        r->out.n += got;
        r->ended = answer == Z_STREAM_END;
        if (r->ended && z->avail_in)
            inflateReset(z);
        else if (r->ended || z->avail_out)
            return 0;
    }
}

int deflate_inflate(struct deflate_reader *r, struct str in, size_t bytes_max, struct str *out)
{
    static const char tail[4] = {0, 0, (char)0xff, (char)0xff};
    if (!r->made)
        r->made = inflateInit2(&r->stream, -WINDOW_MAX) == Z_OK;
    if (!r->made)
        return E_NO_MEMORY;
    if (r->out.capacity > OUT_BYTES_KEPT)
        buf_free(&r->out);
    buf_clear(&r->out);
    CHECK(bytes_max > 0);
    r->out.max = bytes_max;
    r->ended = false;
    int answer = 0;
    while (answer == 0 && in.n) {
        size_t piece = portion(in.n);
        answer = inflate_piece(r, str_head(in, piece));
        in = str_skip(in, piece);
    }
    /* The sender took the closing bytes away; behind a last block they may be missing rightly. */
    if (answer == 0 && !r->ended)
        answer = inflate_piece(r, str_of(tail, sizeof(tail)));
    /* Bit 7: at the border of a block; the low bits: none of a byte is unread. */
    if (answer == 0 && !r->ended && (r->stream.data_type & 0xbf) != 0x80)
        answer = E_PROTOCOL;
    inflateReset(&r->stream);
    *out = answer == 0 ? str_of(r->out.p ? r->out.p : "", r->out.n) : STR_NONE;
    return answer;
}

/* ---- a gzip stream ----------------------------------------------------------------------- */

struct deflate_gzip *deflate_gzip_new(int level)
{
    struct deflate_gzip *g = mem_new(sizeof(*g));
    bool made = false;
    if (!ready(&g->stream, &made, level, GZIP_STREAM_WINDOW + GZIP, GZIP_STREAM_MEMORY))
        mem_free(g);
    return made ? g : NULL;
}

void deflate_gzip_free(struct deflate_gzip **g)
{
    if (!*g)
        return;
    deflateEnd(&(*g)->stream);
    mem_free(*g);
    *g = NULL;
}

int deflate_gzip_write(struct deflate_gzip *g, struct str in, struct buf *out)
{
    return run(&g->stream, in, Z_SYNC_FLUSH, out);
}

int deflate_gzip_end(struct deflate_gzip *g, struct buf *out)
{
    return run(&g->stream, STR_NONE, Z_FINISH, out);
}
