/* SPDX-License-Identifier: Apache-2.0 */
/* Two bytes choose terms and cuts; the rest is what a WebSocket client sends. Whole or cut, the
 * same must come out, within the limits. */
#include "base/check.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "wire/deflate.h"
#include "wire/wsmessage.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

static void note(struct buf *log, enum wsmessage_event event, const struct wsmessage_out *out,
                 uint32_t most)
{
    bool control = event == WSMESSAGE_PING || event == WSMESSAGE_PONG || event == WSMESSAGE_CLOSE;
    CHECK(out->payload.n <= (control ? WSFRAME_CONTROL_MAX : most));
    CHECK(event != WSMESSAGE_TEXT || utf8_valid(out->payload));
    CHECK(event != WSMESSAGE_ERROR || (out->err < 0 && out->detail && out->payload.n == 0));
    if (event == WSMESSAGE_ERROR || (event == WSMESSAGE_CLOSE && out->code != 1005))
        CHECK(wsframe_close_code_valid(out->code));
    buf_add_c(log, (char)event);
    buf_add_u64(log, (uint64_t)out->code);
    buf_add_c(log, ':');
    buf_add_u64(log, out->payload.n);
    buf_add_str(log, out->payload);
}

static void run(struct str in, size_t step, uint32_t most, struct deflate_reader *reader,
                struct buf *log)
{
    struct wsmessage m;
    bool over = false;
    wsmessage_init(&m, most, reader != NULL);
    for (size_t at = 0; at < in.n; at += step) {
        size_t n = in.n - at < step ? in.n - at : step;
        uint8_t *copy = mem_new(n), *p = copy;
        memcpy(copy, in.p + at, n);
        struct wsmessage_out out;
        enum wsmessage_event event;
        while ((event = wsmessage_feed(&m, &p, &n, reader, &out)) != WSMESSAGE_MORE) {
            CHECK(!over);
            note(log, event, &out, most);
            over = event == WSMESSAGE_ERROR || event == WSMESSAGE_CLOSE;
        }
        CHECK(n == 0 && wsmessage_held(&m) <= 4 * (size_t)most + 1024);
        mem_free(copy);
    }
    wsmessage_fini(&m);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    static struct deflate_reader *reader;
    struct buf whole = {0}, cut = {0};
    if (n < 2)
        return 0;
    if (!reader)
        reader = deflate_reader_new();
    struct deflate_reader *used = bytes[0] & 1 ? reader : NULL;
    uint32_t most = (uint32_t)(bytes[0] >> 1) * 64 + 1;
    struct str in = str_of((const char *)bytes + 2, n - 2);
    run(in, in.n ? in.n : 1, most, used, &whole);
    run(in, bytes[1] + 1u, most, used, &cut);
    CHECK(str_eq(buf_str(&whole), buf_str(&cut)));
    buf_free(&whole);
    buf_free(&cut);
    return 0;
}
