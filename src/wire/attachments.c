/* SPDX-License-Identifier: Apache-2.0 */
/* The walk is a flat pass over text that is known to be JSON: it only has to find strings and
 * brackets, and to remember for each open object what it has said about being a placeholder.
 * (Walking by jsonscan_iter would read nested values once per level, which a hostile client can
 * turn into depth times the work.) */
#include "wire/attachments.h"
#include "base/base64.h"
#include "base/err.h"
#include "wire/jsonscan.h"

void attachments_pack(struct buf *packed, struct str bytes)
{
    if (bytes.n > UINT32_MAX) {
        packed->failed = true;
        return;
    }
    uint32_t n = (uint32_t)bytes.n;
    char head[4] = {(char)(n >> 24), (char)(n >> 16), (char)(n >> 8), (char)n};
    if (!buf_reserve(packed, sizeof(head) + bytes.n))
        return;
    buf_add(packed, head, sizeof(head));
    buf_add_str(packed, bytes);
}

bool attachments_next(struct str *packed, struct str *bytes)
{
    if (packed->n < 4)
        return false;
    const unsigned char *p = (const unsigned char *)packed->p;
    size_t n = (size_t)p[0] << 24 | (size_t)p[1] << 16 | (size_t)p[2] << 8 | p[3];
    if (n > packed->n - 4)
        return false;
    *bytes = str_of(packed->p + 4, n);
    *packed = str_skip(*packed, 4 + n);
    return true;
}

size_t attachments_count(struct str packed)
{
    struct str bytes;
    size_t count = 0;
    while (attachments_next(&packed, &bytes))
        count++;
    return count;
}

/* ---- the walk ------------------------------------------------------------------------- */

enum key { KEY_OTHER, KEY_PLACEHOLDER, KEY_NUM };

/* One open array or object. */
struct attachments_level {
    size_t start;
    struct str num; /* raw value of the last "num" */
    enum key key;   /* of the value that comes next */
    bool is_object;
    bool wants_key;
    bool placeholder; /* the last "_placeholder" was true */
    bool has_other;   /* members that a placeholder has not */
};

bool attachments_walk_init(struct attachments_walk *w, struct arena *a, struct str json,
                           size_t count, size_t depth_max)
{
    *w =
        (struct attachments_walk){.json = json, .count = count, .depth_max = depth_max, .arena = a};
    w->levels = arena_alloc(a, (depth_max + 1) * sizeof(*w->levels));
    return w->levels != NULL;
}

/* Length of the string that starts at s.p[0] == '"', with its quotes. */
static size_t string_length(struct str s)
{
    size_t i = 1;
    while (i < s.n && s.p[i] != '"')
        i += s.p[i] == '\\' ? 2 : 1;
    return i < s.n ? i + 1 : s.n;
}

static size_t scalar_length(struct str s)
{
    size_t i = 0;
    while (i < s.n && !strchr(",]} \t\r\n", s.p[i]))
        i++;
    return i;
}

static int take_key(struct attachments_walk *w, struct attachments_level *level, struct str raw)
{
    struct str key;
    int err = jsonscan_string(raw, w->arena, &key);
    if (err < 0)
        return err;
    level->key = str_is(key, "_placeholder") ? KEY_PLACEHOLDER
                 : str_is(key, "num")        ? KEY_NUM
                                             : KEY_OTHER;
    level->has_other |= level->key == KEY_OTHER;
    level->wants_key = false;
    return 0;
}

/* A value of the object; empty raw = an object or array. The last of equal keys counts. */
static void take_value(struct attachments_level *level, struct str raw)
{
    if (level->key == KEY_PLACEHOLDER)
        level->placeholder = str_is(raw, "true");
    else if (level->key == KEY_NUM)
        level->num = raw;
}

static int push(struct attachments_walk *w, bool is_object)
{
    if (w->depth)
        take_value(&w->levels[w->depth - 1], STR_NONE);
    if (w->depth > w->depth_max)
        return E_TOO_LARGE;
    w->levels[w->depth++] =
        (struct attachments_level){.start = w->at, .is_object = is_object, .wants_key = is_object};
    w->at++;
    return 0;
}

/* 1 when what closes is a placeholder. */
static int pop(struct attachments_walk *w, struct str *span, uint64_t *num)
{
    w->at++;
    if (w->depth == 0)
        return E_BAD_REQUEST;
    const struct attachments_level *level = &w->levels[--w->depth];
    if (!level->placeholder)
        return 0;
    *span = str_of(w->json.p + level->start, w->at - level->start);
    if (level->has_other || !jsonscan_u64(level->num, num) || *num >= w->count)
        return E_PROTOCOL;
    return 1;
}

static int take_scalar(struct attachments_walk *w, struct attachments_level *level)
{
    struct str rest = str_skip(w->json, w->at);
    bool is_string = rest.p[0] == '"';
    struct str raw = str_head(rest, is_string ? string_length(rest) : scalar_length(rest));
    if (raw.n == 0)
        return E_BAD_REQUEST;
    w->at += raw.n;
    if (!level)
        return 0;
    if (level->wants_key)
        return is_string ? take_key(w, level, raw) : E_BAD_REQUEST;
    take_value(level, raw);
    return 0;
}

int attachments_walk_next(struct attachments_walk *w, struct str *span, uint64_t *num)
{
    while (w->at < w->json.n) {
        struct attachments_level *level = w->depth ? &w->levels[w->depth - 1] : NULL;
        int got = 0;
        switch (w->json.p[w->at]) {
        case '{':
        case '[':
            got = push(w, w->json.p[w->at] == '{');
            break;
        case '}':
        case ']':
            got = pop(w, span, num);
            break;
        case ',':
            if (level)
                level->wants_key = level->is_object;
            w->at++;
            break;
        case ':':
        case ' ':
        case '\t':
        case '\r':
        case '\n':
            w->at++;
            break;
        default:
            got = take_scalar(w, level);
        }
        if (got != 0)
            return got;
    }
    return 0;
}

int attachments_check(struct arena *a, struct str json, size_t count, size_t depth_max,
                      size_t *found)
{
    struct attachments_walk w;
    struct str span;
    uint64_t num;
    int got;
    if (found)
        *found = 0;
    if (!attachments_walk_init(&w, a, json, count, depth_max))
        return E_NO_MEMORY;
    while ((got = attachments_walk_next(&w, &span, &num)) > 0)
        if (found)
            ++*found;
    return got;
}

/* ---- inline ---------------------------------------------------------------------------- */

void attachments_add_base64(struct buf *out, struct str bytes)
{
    buf_add_z(out, "{\"encoding\":\"base64\",\"content\":\"");
    base64_encode(out, bytes);
    buf_add_z(out, "\"}");
}

/* The only item of an array, else the array. */
static struct str single_item(struct str json)
{
    struct jsonscan_value item;
    size_t count;
    if (jsonscan_array(json, JSONSCAN_DEPTH_MAX, &item, 1, &count) == 0 && count == 1)
        return item.raw;
    return json;
}

int attachments_add_inline(struct buf *out, struct arena *a, struct str json, struct str packed)
{
    struct str bytes[ATTACHMENTS_MAX];
    size_t count = 0, before = out->n;
    while (count < ATTACHMENTS_MAX && attachments_next(&packed, &bytes[count]))
        count++;
    json = single_item(json);
    struct attachments_walk w;
    if (!attachments_walk_init(&w, a, json, count, JSONSCAN_DEPTH_MAX))
        return E_NO_MEMORY;
    const char *from = json.p;
    struct str span;
    uint64_t num;
    int got;
    while ((got = attachments_walk_next(&w, &span, &num)) > 0) {
        buf_add(out, from, (size_t)(span.p - from));
        attachments_add_base64(out, bytes[num]);
        from = span.p + span.n;
    }
    buf_add(out, from, (size_t)(json.p + json.n - from));
    if (got == 0 && out->failed)
        got = E_NO_MEMORY;
    if (got < 0)
        out->n = before;
    return got;
}
