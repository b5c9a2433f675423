/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as a query string: no crash, and an error always has a code and words. */
#include "base/check.h"
#include "wire/restquery.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena = {.max = 64 << 20};
    struct restquery q;
    struct rest_error e;
    struct str args[] = {STR("room"), STR("ids")};
    if (size <= 16384 &&
        !restquery_parse(&q, str_of((const char *)data, size), args, 2, &arena, &e))
        CHECK(e.code && e.status >= 400 && e.message.n);
    arena_free(&arena);
    return 0;
}
