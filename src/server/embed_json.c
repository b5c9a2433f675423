/* SPDX-License-Identifier: Apache-2.0 */
/* Small helpers for programs that handle events: JSON written and read, tokens verified. */
#include "base/json.h"
#include "base/mem.h"
#include "loop/clock.h"
#include "server/embed_io.h"
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static void add_text(struct buf *out, const char *text)
{
    if (text)
        json_add_string(out, str_from(text));
    else
        buf_add_z(out, "null");
}

/* The shortest that reads back as the same; JSON has no word for what is no number. */
static void add_double(struct buf *out, double value)
{
    char text[32];
    if (!isfinite(value)) {
        buf_add_z(out, "null");
        return;
    }
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, sizeof(text), "%.*g", digits, value);
        if (strtod(text, NULL) == value)
            break;
    }
    for (char *p = text; *p; p++) /* a locale's comma */
        if (*p == ',')
            *p = '.';
    buf_add_z(out, text);
}

/* One value; how much of the format it took, 0 for what is not known. */
static size_t add_value(struct buf *out, const char *format, va_list *ap)
{
    switch (*format) {
    case 's':
        add_text(out, va_arg(*ap, const char *));
        return 1;
    case 'j': {
        const char *raw = va_arg(*ap, const char *);
        buf_add_z(out, raw ? raw : "null");
        return 1;
    }
    case 'd':
        buf_add_i64(out, va_arg(*ap, int));
        return 1;
    case 'f':
        add_double(out, va_arg(*ap, double));
        return 1;
    case 'b':
        buf_add_z(out, va_arg(*ap, int) ? "true" : "false");
        return 1;
    case '%':
        buf_add_c(out, '%');
        return 1;
    case 'l':
        if (strncmp(format, "lld", 3) != 0)
            return 0;
        buf_add_i64(out, va_arg(*ap, long long));
        return 3;
    }
    return 0;
}

static char *write_json(const char *format, va_list *ap)
{
    struct buf out = {0};
    for (const char *p = format; *p; p++) {
        if (*p != '%') {
            buf_add_c(&out, *p);
            continue;
        }
        size_t taken = add_value(&out, p + 1, ap);
        if (!taken)
            break; /* the text ends here rather than guess */
        p += taken;
    }
    return embed_give(&out);
}

char *tw_json(const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    char *text = write_json(format, &ap);
    va_end(ap);
    return text;
}

int tw_socket_emitf(tw_socket *socket, const char *event, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    char *args = write_json(format, &ap);
    va_end(ap);
    int err = tw_socket_emit(socket, event, args);
    tw_free(args);
    return err;
}

int tw_socket_tof(tw_socket *socket, const char *room, const char *event, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    char *args = write_json(format, &ap);
    va_end(ap);
    int err = tw_socket_to(socket, room, event, args);
    tw_free(args);
    return err;
}

int tw_io_tof(tw_io *io, const char *room, const char *event, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    char *args = write_json(format, &ap);
    va_end(ap);
    int err = room ? tw_io_to(io, room, event, args) : tw_io_emit(io, event, args);
    tw_free(args);
    return err;
}

void tw_ack_sendf(tw_ack *ack, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    char *args = write_json(format, &ap);
    va_end(ap);
    tw_ack_send(ack, args);
    tw_free(args);
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
