/* SPDX-License-Identifier: Apache-2.0 */
/* Small helpers for programs that handle events: JSON written and read, tokens verified. */
#include "base/json.h"
#include "base/mem.h"
#include "loop/clock.h"
#include "server/embed_io.h"
#include <stdarg.h>

static void add_text(struct buf *out, const char *text)
{
    if (text)
        json_add_string(out, str_from(text));
    else
        buf_add_z(out, "null");
}

char *tw_json(const char *format, ...)
{
    struct buf out = {0};
    va_list ap;
    va_start(ap, format);
    for (const char *p = format; *p; p++) {
        if (*p != '%') {
            buf_add_c(&out, *p);
            continue;
        }
        p++;
        if (*p == 's') {
            add_text(&out, va_arg(ap, const char *));
        } else if (*p == 'j') {
            const char *raw = va_arg(ap, const char *);
            buf_add_z(&out, raw ? raw : "null");
        } else if (*p == 'd') {
            buf_add_i64(&out, va_arg(ap, int));
        } else if (*p == 'b') {
            buf_add_z(&out, va_arg(ap, int) ? "true" : "false");
        } else if (strncmp(p, "lld", 3) == 0) {
            buf_add_i64(&out, va_arg(ap, long long));
            p += 2;
        } else if (*p == '%') {
            buf_add_c(&out, '%');
        } else {
            break; /* nothing that is known; the text ends here rather than guess */
        }
    }
    va_end(ap);
    return embed_give(&out);
}

char *tw_json_get(const char *json, const char *path)
{
    struct jsonscan_value v;
    struct str rest = str_from(path);
    struct arena a = {0};
    struct buf out = {0};
    char *found = NULL;
    if (!json || jsonscan_check(str_from(json), JSONSCAN_DEPTH, &v))
        return NULL;
    while (rest.p && v.type == JSONSCAN_OBJECT) {
        struct str name = arena_dup(&a, str_cut(&rest, '.'));
        v = name.p ? jsonscan_find(v.raw, name.p) : (struct jsonscan_value){0};
    }
    struct str text = v.raw;
    bool good = !rest.p && v.type != JSONSCAN_NONE && v.type != JSONSCAN_NULL;
    if (good && v.type == JSONSCAN_STRING)
        good = jsonscan_string(v.raw, &a, &text) == 0;
    if (good) {
        buf_add_str(&out, text);
        found = embed_give(&out);
    }
    arena_free(&a);
    return found;
}

int tw_token_verify(tw_server *s, const char *token, char **claims_json)
{
    struct identity *id = NULL;
    struct auth_verdict verdict;
    struct buf out = {0};
    if (!token || !*token)
        return E_TOKEN_REQUIRED;
    int err = keyring_verify(s->keys, str_from(token), clock_wall_ms(), &id, &verdict);
    if (!err && claims_json) {
        buf_add_str(&out, id->text.n ? id->text : STR("{}"));
        *claims_json = embed_give(&out);
    }
    identity_unref(id);
    return err;
}
