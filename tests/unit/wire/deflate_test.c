/* SPDX-License-Identifier: Apache-2.0 */
/* Messages compressed and inflated, gzip, and what broken or hostile data gets. */
#include "test.h"
#include "wire/deflate.c"

static struct deflate_writer *w;
static struct deflate_reader *r;

static void begin(void)
{
    w = deflate_writer_new(6);
    r = deflate_reader_new();
}

static void end(void)
{
    deflate_writer_free(&w);
    deflate_reader_free(&r);
    assert_null(w);
    assert_null(r);
}

static struct str noise(size_t n)
{
    static char bytes[300000];
    uint32_t x = 7;
    for (size_t i = 0; i < n; i++)
        bytes[i] = (char)((x = x * 1664525 + 1013904223) >> 24);
    return str_of(bytes, n);
}

static struct str text(size_t n)
{
    static char bytes[300000];
    static const char piece[] = "{\"type\":\"message\",\"n\":1,\"content\":\"hi\"},";
    for (size_t i = 0; i < n; i++)
        bytes[i] = piece[i % (sizeof(piece) - 1)];
    return str_of(bytes, n);
}

static void goes_round(int window, struct str in)
{
    struct buf b = {0};
    struct str out;
    assert_int_equal(deflate_message(w, window, in, &b), 0);
    assert_int_equal(deflate_inflate(r, buf_str(&b), in.n ? in.n : 1, &out), 0);
    assert_true(str_eq(in, out));
    buf_free(&b);
}

TEST(every_window_and_size_goes_round)
{
    static const size_t sizes[] = {0, 1, 2, 255, 256, 4095, 4096, 65535, 65536, 300000};
    begin();
    for (int window = 9; window <= 15; window++) {
        for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
            goes_round(window, text(sizes[i]));
            goes_round(window, noise(sizes[i]));
        }
    }
    end();
}

TEST(a_small_window_is_kept_to)
{
    /* What is compressed for 9 bits must be readable with a window of 512 bytes. */
    struct buf b = {0};
    static char out[300000];
    z_stream z = {0};
    begin();
    assert_int_equal(deflate_message(w, 9, text(300000), &b), 0);
    buf_add(&b, "\0\0\xff\xff", 4);
    assert_int_equal(inflateInit2(&z, -9), Z_OK);
    z.next_in = (Bytef *)b.p;
    z.avail_in = (uInt)b.n;
    z.next_out = (Bytef *)out;
    z.avail_out = sizeof(out);
    assert_int_equal(inflate(&z, Z_SYNC_FLUSH), Z_OK);
    assert_int_equal(z.avail_out, 0);
    assert_memory_equal(out, text(300000).p, 300000);
    inflateEnd(&z);
    buf_free(&b);
    end();
}

TEST(messages_do_not_depend_on_each_other)
{
    struct buf a = {0}, b = {0};
    begin();
    deflate_message(w, 15, text(1000), &a);
    deflate_message(w, 15, text(1000), &b);
    assert_true(str_eq(buf_str(&a), buf_str(&b)));
    buf_free(&a);
    buf_free(&b);
    end();
}

static int inflate_z(const char *bytes, size_t n, size_t most, struct str *out)
{
    return deflate_inflate(r, str_of(bytes, n), most, out);
}

TEST(the_examples_of_rfc_7692)
{
    struct str out;
    begin();
    assert_int_equal(inflate_z("\xf2\x48\xcd\xc9\xc9\x07\x00", 7, 5, &out), 0);
    assert_true(str_is(out, "Hello"));
    /* stored block */
    assert_int_equal(inflate_z("\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00", 11, 5, &out), 0);
    assert_true(str_is(out, "Hello"));
    /* a block marked as the last */
    assert_int_equal(inflate_z("\xf3\x48\xcd\xc9\xc9\x07\x00\x00", 8, 5, &out), 0);
    assert_true(str_is(out, "Hello"));
    /* two blocks */
    assert_int_equal(inflate_z("\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00", 13, 5, &out),
                     0);
    assert_true(str_is(out, "Hello"));
    end();
}

TEST(last_blocks_may_be_followed_by_more)
{
    struct str out;
    begin();
    assert_int_equal(inflate_z("\xf3\x48\xcd\xc9\xc9\x07\x00", 7, 5, &out), 0); /* and nothing */
    assert_true(str_is(out, "Hello"));
    assert_int_equal(
        inflate_z("\xf3\x48\xcd\xc9\xc9\x07\x00\xf2\x48\xcd\xc9\xc9\x07\x00", 14, 10, &out), 0);
    assert_true(str_is(out, "HelloHello"));
    end();
}

TEST(an_empty_message_is_one_byte)
{
    struct buf b = {0};
    struct str out;
    begin();
    deflate_message(w, 15, STR(""), &b);
    assert_int_equal(b.n, 1);
    assert_int_equal(b.p[0], 0);
    assert_int_equal(deflate_inflate(r, buf_str(&b), 10, &out), 0);
    assert_int_equal(out.n, 0);
    assert_non_null(out.p);
    buf_free(&b);
    end();
}

TEST(what_breaks_off_or_is_no_deflate_is_refused)
{
    struct buf b = {0};
    struct str out;
    begin();
    assert_int_equal(inflate_z("", 0, 10, &out), E_PROTOCOL);
    assert_int_equal(inflate_z("\xff", 1, 10, &out), E_PROTOCOL);
    assert_int_equal(inflate_z("\x07", 1, 10, &out), E_PROTOCOL); /* reserved block type */
    assert_int_equal(inflate_z("\x00\x05\x00\x00\x00hello", 10, 10, &out), E_PROTOCOL);
    assert_int_equal(inflate_z("\xf3\x48\xcd\xc9\xc9\x07\x00\xff\xff", 9, 10, &out), E_PROTOCOL);
    /* a distance that reaches before the beginning */
    assert_int_equal(inflate_z("\x4b\x04\x53\x00", 4, 100, &out), E_PROTOCOL);
    deflate_message(w, 15, text(5000), &b);
    int refused = 0;
    for (size_t n = 0; n < b.n - 1; n++)
        refused += deflate_inflate(r, str_of(b.p, n), 10000, &out) == E_PROTOCOL;
    assert_int_equal(refused, b.n - 1);
    assert_int_equal(deflate_inflate(r, buf_str(&b), 5000, &out), 0); /* and it still works */
    buf_free(&b);
    end();
}

TEST(the_cap_is_exact)
{
    struct buf b = {0};
    struct str out;
    begin();
    deflate_message(w, 15, text(100000), &b);
    assert_int_equal(deflate_inflate(r, buf_str(&b), 100000, &out), 0);
    assert_int_equal(deflate_inflate(r, buf_str(&b), 99999, &out), E_TOO_LARGE);
    assert_int_equal(deflate_inflate(r, buf_str(&b), 1, &out), E_TOO_LARGE);
    assert_true(r->out.n <= 100000);
    assert_int_equal(deflate_inflate(r, buf_str(&b), 200000, &out), 0);
    assert_true(str_eq(out, text(100000)));
    buf_free(&b);
    end();
}

TEST(a_reader_gives_back_what_a_large_message_took)
{
    struct buf b = {0};
    struct str out;
    begin();
    deflate_message(w, 15, text(300000), &b);
    assert_int_equal(deflate_inflate(r, buf_str(&b), 1 << 20, &out), 0);
    assert_true(r->out.capacity >= 300000);
    assert_int_equal(inflate_z("\x00", 1, 1 << 20, &out), 0);
    assert_true(r->out.capacity <= OUT_BYTES_KEPT);
    buf_free(&b);
    end();
}

TEST(failed_memory_is_reported_and_nothing_is_added)
{
    struct buf b = {.max = 100}, packed = {0};
    struct str out;
    begin();
    buf_add_z(&b, "before");
    assert_int_equal(deflate_message(w, 15, noise(5000), &b), E_NO_MEMORY);
    assert_int_equal(b.n, 6);
    buf_free(&b);
    goes_round(15, text(100)); /* the stream is as new */
    deflate_message(w, 15, text(5000), &packed);
    deflate_reader_free(&r);
    r = deflate_reader_new();
    mem_fail_at(1, 1);
    int err = deflate_inflate(r, buf_str(&packed), 5000, &out);
    mem_fail_at(0, 0);
    assert_int_equal(err, E_NO_MEMORY);
    assert_int_equal(deflate_inflate(r, buf_str(&packed), 5000, &out), 0);
    buf_free(&packed);
    end();
}

static struct str gunzip(struct str in, bool *ended)
{
    static char out[700000];
    z_stream z = {0};
    assert_int_equal(inflateInit2(&z, 15 + 16), Z_OK);
    z.next_in = (Bytef *)(uintptr_t)in.p;
    z.avail_in = (uInt)in.n;
    z.next_out = (Bytef *)out;
    z.avail_out = sizeof(out);
    int answer = inflate(&z, Z_SYNC_FLUSH);
    assert_true(answer == Z_OK || answer == Z_STREAM_END);
    *ended = answer == Z_STREAM_END;
    struct str s = str_of(out, sizeof(out) - z.avail_out);
    inflateEnd(&z);
    return s;
}

TEST(gzip_in_one_go)
{
    struct buf b = {0};
    bool ended;
    begin();
    for (size_t n = 0; n <= 300000; n = n * 3 + 1) {
        buf_clear(&b);
        assert_int_equal(deflate_gzip_once(w, text(n), &b), 0);
        assert_true(str_eq(gunzip(buf_str(&b), &ended), text(n)));
        assert_true(ended);
    }
    buf_free(&b);
    end();
}

TEST(a_gzip_stream_shows_each_write_at_once)
{
    struct deflate_gzip *g = deflate_gzip_new(6);
    struct buf b = {0}, sent = {0};
    bool ended;
    for (size_t i = 1; i < 50; i++) {
        buf_add_str(&sent, text(i * 37));
        assert_int_equal(deflate_gzip_write(g, text(i * 37), &b), 0);
        assert_true(str_eq(gunzip(buf_str(&b), &ended), buf_str(&sent)));
        assert_false(ended);
    }
    size_t before = b.n;
    assert_int_equal(deflate_gzip_write(g, STR(""), &b), 0);
    assert_true(b.n <= before + 5); /* nothing new costs next to nothing */
    assert_int_equal(deflate_gzip_end(g, &b), 0);
    assert_true(str_eq(gunzip(buf_str(&b), &ended), buf_str(&sent)));
    assert_true(ended);
    deflate_gzip_free(&g);
    assert_null(g);
    buf_free(&b);
    buf_free(&sent);
}
