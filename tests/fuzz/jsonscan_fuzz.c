/* SPDX-License-Identifier: Apache-2.0 */
/* Any bytes as JSON text. jansson, which is another reader of the same standard, must agree as
 * far as it can represent the values; what was accepted is walked and must come out the same. */
#include "base/check.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "wire/jsonscan.h"
#include <jansson.h>

enum { MEMBERS = 32 };

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

static void walk(struct arena *a, struct str raw, unsigned depth);

/* Values that jansson cannot hold: numbers out of range, half surrogates. */
static bool beyond_jansson(struct str text)
{
    size_t digits = 0;
    for (size_t i = 0; i < text.n; i++) {
        char c = text.p[i];
        digits = c >= '0' && c <= '9' ? digits + 1 : 0;
        if (digits > 17 || (c == '\\' && i + 1 < text.n && text.p[i + 1] == 'u') || c == 'e' ||
            c == 'E')
            return true;
    }
    return false;
}

static void compare(struct str text, int answer)
{
    json_error_t error;
    if (str_find(text, '\0') >= 0)
        return; /* jansson takes a raw NUL behind a number for the end */
    json_t *j = json_loadb(text.p, text.n, JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);
    CHECK(!j || answer == 0 || answer == E_TOO_LARGE);
    CHECK(j || answer != 0 || beyond_jansson(text));
    json_decref(j);
}

static void look_at(struct arena *a, const struct jsonscan_value *v, unsigned depth)
{
    struct str s;
    uint64_t u;
    int64_t i;
    bool b;
    double d;
    CHECK(jsonscan_check(v->raw, JSONSCAN_DEPTH, NULL) == 0);
    int r = jsonscan_string(v->raw, a, &s);
    CHECK((v->type == JSONSCAN_STRING) == (r != E_BAD_REQUEST));
    CHECK(r != 0 || utf8_valid(s));
    CHECK(!jsonscan_u64(v->raw, &u) || v->type == JSONSCAN_NUMBER);
    CHECK(!jsonscan_i64(v->raw, &i) || v->type == JSONSCAN_NUMBER);
    CHECK(!jsonscan_double(v->raw, &d) || v->type == JSONSCAN_NUMBER);
    CHECK(jsonscan_bool(v->raw, &b) == (v->type == JSONSCAN_BOOL));
    if (depth < 4)
        walk(a, v->raw, depth + 1);
}

/* The iterator must find what the one-pass functions note. */
static void walk(struct arena *a, struct str raw, unsigned depth)
{
    struct jsonscan_member noted[MEMBERS], m;
    struct jsonscan_value items[MEMBERS];
    size_t count = 0, i = 0;
    struct jsonscan_iter it = jsonscan_iter(raw);
    int r = raw.p[0] == '{' ? jsonscan_object(raw, JSONSCAN_DEPTH, a, noted, MEMBERS, &count)
                            : jsonscan_array(raw, JSONSCAN_DEPTH, items, MEMBERS, &count);
    if (r != 0)
        return;
    while ((r = jsonscan_next(&it, a, &m)) > 0) {
        CHECK(i < count);
        const struct jsonscan_value *v = it.object ? &noted[i].value : &items[i];
        CHECK(str_eq(m.value.raw, v->raw) && m.value.raw.p == v->raw.p && m.value.type == v->type);
        if (it.object) {
            CHECK(str_eq(m.key, noted[i].key));
            if (str_find(m.key, '\0') < 0) {
                char *name = str_dup(m.key);
                CHECK(jsonscan_find(raw, name).raw.p == jsonscan_get(noted, count, name)->raw.p);
                mem_free(name);
            }
        }
        look_at(a, v, depth);
        i++;
    }
    CHECK(r == 0 && i == count);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    struct arena a = {0};
    struct jsonscan_value v;
    struct str text = str_of((const char *)bytes, n);
    int r = jsonscan_check(text, JSONSCAN_DEPTH, &v);
    CHECK(r == 0 || r == E_BAD_REQUEST || r == E_BAD_UTF8 || r == E_TOO_LARGE);
    compare(text, r);
    if (r == 0)
        look_at(&a, &v, 0);
    arena_free(&a);
    return 0;
}
