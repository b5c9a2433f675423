/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a polling payload, a query and a JSONP form. What was taken apart and put
 * together again is the same payload. */
#include "base/check.h"
#include "wire/engineio.h"
#include "wire/url.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

static void payload(struct str text)
{
    struct engineio_payload p = {.rest = text};
    struct engineio_packet packet;
    struct str piece;
    struct buf again = {0}, decoded = {0};
    bool ok = true, has_base64 = false;
    size_t pieces = 0;
    while (engineio_payload_next(&p, &piece)) {
        pieces++;
        if (engineio_decode(piece, &packet) < 0) {
            ok = false;
            continue;
        }
        has_base64 |= packet.base64;
        if (packet.base64) {
            buf_clear(&decoded);
            engineio_bytes(&packet, &decoded);
            engineio_add_binary(&again, buf_str(&decoded));
        } else {
            engineio_add(&again, packet.type, packet.data);
        }
    }
    CHECK(pieces >= 1);
    if (ok && !has_base64)
        CHECK(str_eq(buf_str(&again), text));
    buf_free(&again);
    buf_free(&decoded);
}

static void request(struct str text)
{
    struct engineio_query q = {0};
    struct str rest = text, name, value;
    while (url_query_next(&rest, &name, &value))
        engineio_query_take(&q, name, value);
    for (unsigned bits = 0; bits < 24; bits++) {
        struct engineio_request r = {.is_get = bits & 1,
                                     .is_upgrade = bits & 2,
                                     .bad_origin = bits & 4,
                                     .session = (enum engineio_transport)(bits >> 3)};
        enum engineio_code code = engineio_check(&q, &r);
        CHECK(code != ENGINEIO_OK || (q.version == 4 && q.transport != ENGINEIO_UNKNOWN));
    }
    struct buf out = {0};
    engineio_jsonp_wrap(&out, q.jsonp, text);
    CHECK(str_ends(buf_str(&out), STR("\");")));
    buf_free(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    struct str text = str_of((const char *)bytes, n), form;
    struct arena a = {0};
    payload(text);
    request(text);
    if (engineio_jsonp_body(&a, text, &form) == 0)
        CHECK(form.n <= n);
    arena_free(&a);
    return 0;
}
