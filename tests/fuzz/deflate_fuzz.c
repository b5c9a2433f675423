/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a compressed message (broken, cut, bombs), and any bytes as a message that must
 * come back from each window size. */
#include "base/check.h"
#include "base/err.h"
#include "wire/deflate.h"

enum { MOST = 1 << 16 };

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

static void goes_round(struct deflate_writer *w, struct deflate_reader *r, int window,
                       struct str in)
{
    struct buf packed = {0};
    struct str out;
    CHECK(deflate_message(w, window, in, &packed) == 0 && packed.n > 0);
    CHECK(deflate_inflate(r, buf_str(&packed), in.n ? in.n : 1, &out) == 0);
    CHECK(str_eq(in, out));
    CHECK(in.n < 2 || deflate_inflate(r, buf_str(&packed), in.n - 1, &out) == E_TOO_LARGE);
    buf_free(&packed);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    static struct deflate_writer *w;
    static struct deflate_reader *r;
    struct str in = str_of((const char *)bytes, n), out;
    if (!w) {
        w = deflate_writer_new(6);
        r = deflate_reader_new();
    }
    int answer = deflate_inflate(r, in, MOST, &out);
    CHECK(answer == 0 || answer == E_PROTOCOL || answer == E_TOO_LARGE);
    CHECK(out.n <= MOST && (answer == 0) == (out.p != NULL));
    if (answer == 0) {
        struct buf copy = {0};
        buf_add_str(&copy, out);
        goes_round(w, r, 15, buf_str(&copy));
        buf_free(&copy);
    }
    goes_round(w, r, n ? 9 + bytes[0] % 7 : 9, in);
    return 0;
}
