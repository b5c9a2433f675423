/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a query, as a Cookie header, and as text to encode and decode again. */
#include "base/check.h"
#include "base/err.h"
#include "base/mem.h"
#include "wire/url.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

static void goes_round(struct arena *a, struct str text)
{
    struct buf b = {0};
    struct str out;
    url_encode(&b, text);
    int r = url_decode(a, buf_str(&b), true, &out);
    CHECK(str_find(text, '\0') < 0 ? r == 0 && str_eq(out, text) : r == E_BAD_REQUEST);
    buf_free(&b);
}

/* Each pair must be found again by its decoded name. */
static void query(struct arena *a, struct str text)
{
    struct str rest = text, key, value, name, first, last, out;
    for (size_t i = 0; i < 20 && url_query_next(&rest, &key, &value); i++) {
        if (url_decode(a, key, true, &name) < 0)
            continue;
        CHECK(str_find(name, '\0') < 0);
        char *z = str_dup(name);
        size_t count = url_query_count(text, z);
        CHECK(count >= 1);
        CHECK(url_query_first(a, text, z, &first) == url_query_at(a, text, z, 0, &out));
        CHECK(str_eq(first, out));
        CHECK(url_query_last(a, text, z, &last) == url_query_at(a, text, z, count - 1, &out));
        CHECK(str_eq(last, out));
        CHECK(url_query_at(a, text, z, count, &out) == 0);
        mem_free(z);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    struct arena a = {0};
    struct str text = str_of((const char *)bytes, n), out;
    int plain = url_decode(&a, text, false, &out);
    CHECK(plain == 0 || plain == E_BAD_REQUEST);
    CHECK(plain < 0 || (out.n <= n && str_find(out, '\0') < 0));
    CHECK(url_decode(&a, text, true, &out) == plain);
    goes_round(&a, text);
    query(&a, text);
    out = url_cookie(text, "tw_token");
    CHECK(!out.p || (out.p >= text.p && out.p + out.n <= text.p + text.n));
    arena_free(&a);
    return 0;
}
