/* SPDX-License-Identifier: Apache-2.0 */
/* Kinds 0 to 2 of the binary form are not spoken: realtime-js cannot read them. */
#include "wire/phoenix.h"
#include "base/err.h"
#include "base/json.h"
#include "base/utf8.h"
#include "wire/attachments.h"

enum { KIND_USER_PUSH = 3, KIND_USER_BROADCAST = 4 };
/* Elements looked at: what comes after the fifth is ignored, but there is an end to it. */
enum { ELEMENTS_MAX = 16, MEMBERS_MAX = 32 };

int phoenix_vsn(struct str text)
{
    if (text.n == 0 || str_is(text, "1.0.0"))
        return 1;
    return str_is(text, "2.0.0") ? 2 : 0;
}

/* ---- decoding ------------------------------------------------------------------------------ */

static int take_ref(const struct jsonscan_value *value, struct str *out)
{
    if (!value || value->type == JSONSCAN_NONE || value->type == JSONSCAN_NULL)
        return 0;
    if (value->type != JSONSCAN_STRING && value->type != JSONSCAN_NUMBER)
        return E_PROTOCOL;
    if (value->raw.n > PHOENIX_REF_MAX)
        return E_TOO_LARGE;
    *out = value->raw;
    return 0;
}

static int take_name(struct arena *a, const struct jsonscan_value *value, size_t bytes_max,
                     struct str *out)
{
    if (!value || value->type != JSONSCAN_STRING)
        return E_PROTOCOL;
    int err = jsonscan_string(value->raw, a, out);
    if (err < 0)
        return err;
    return out->n > bytes_max ? E_TOO_LARGE : 0;
}

static int take_frame(struct arena *a, const struct jsonscan_value *const from[5],
                      struct phoenix_frame *out)
{
    int err = take_ref(from[0], &out->join_ref);
    if (err == 0)
        err = take_ref(from[1], &out->ref);
    if (err == 0)
        err = take_name(a, from[2], PHOENIX_TOPIC_MAX, &out->topic);
    if (err == 0)
        err = take_name(a, from[3], PHOENIX_EVENT_MAX, &out->event);
    out->payload = from[4] ? from[4]->raw : STR("{}");
    return err;
}

static int decode_object(struct arena *a, struct str text, unsigned depth,
                         struct phoenix_frame *out)
{
    static const char *const names[5] = {"join_ref", "ref", "topic", "event", "payload"};
    struct jsonscan_member members[MEMBERS_MAX];
    const struct jsonscan_value *from[5];
    size_t count;
    int err = jsonscan_object(text, depth, a, members, MEMBERS_MAX, &count);
    if (err < 0)
        return err;
    for (size_t i = 0; i < 5; i++)
        from[i] = jsonscan_get(members, count, names[i]);
    return take_frame(a, from, out);
}

static int decode_array(struct arena *a, struct str text, unsigned depth, struct phoenix_frame *out)
{
    struct jsonscan_value items[ELEMENTS_MAX];
    const struct jsonscan_value *from[5];
    size_t count;
    int err = jsonscan_array(text, depth, items, ELEMENTS_MAX, &count);
    if (err < 0)
        return err;
    if (count < 5)
        return E_PROTOCOL;
    for (size_t i = 0; i < 5; i++)
        from[i] = &items[i];
    return take_frame(a, from, out);
}

int phoenix_decode(struct arena *a, int vsn, struct str text, unsigned depth,
                   struct phoenix_frame *out)
{
    *out = (struct phoenix_frame){0};
    return vsn == 1 ? decode_object(a, text, depth, out) : decode_array(a, text, depth, out);
}

/* Text of a header string: as it is when UTF-8, else each byte is a character. */
static int header_text(struct arena *a, struct str bytes, struct str *out)
{
    *out = bytes;
    if (utf8_valid(bytes))
        return 0;
    char *p = arena_alloc(a, bytes.n * 2);
    if (!p)
        return E_NO_MEMORY;
    size_t n = 0;
    for (size_t i = 0; i < bytes.n; i++)
        n += utf8_put(p + n, (unsigned char)bytes.p[i]);
    *out = str_of(p, n);
    return 0;
}

/* A ref as the JSON string it would be in a text frame. */
static int header_ref(struct arena *a, struct str bytes, struct str *out)
{
    struct str text;
    struct buf json = {0};
    if (bytes.n == 0)
        return 0;
    int err = header_text(a, bytes, &text);
    if (err < 0)
        return err;
    json_add_string(&json, text);
    if (json.n > PHOENIX_REF_MAX)
        err = E_TOO_LARGE;
    else if (json.failed || !(*out = arena_dup(a, buf_str(&json))).p)
        err = E_NO_MEMORY;
    buf_free(&json);
    return err;
}

int phoenix_decode_binary(struct arena *a, struct str bytes, unsigned depth,
                          struct phoenix_frame *out)
{
    enum { HEAD = 7, STRINGS = 5 };
    struct str parts[STRINGS]; /* join_ref, ref, topic, event, meta */
    const unsigned char *head = (const unsigned char *)bytes.p;
    *out = (struct phoenix_frame){.event = STR("broadcast"), .is_user_broadcast = true};
    if (bytes.n < HEAD)
        return E_PROTOCOL;
    if (head[0] != KIND_USER_PUSH)
        return E_UNSUPPORTED;
    struct str rest = str_skip(bytes, HEAD);
    for (size_t i = 0; i < STRINGS; i++) {
        if (head[i + 1] > rest.n)
            return E_PROTOCOL;
        parts[i] = str_head(rest, head[i + 1]);
        rest = str_skip(rest, head[i + 1]);
    }
    out->payload = rest;
    out->meta = parts[4];
    out->is_bytes = head[6] == 0;
    int err = header_ref(a, parts[0], &out->join_ref);
    if (err == 0)
        err = header_ref(a, parts[1], &out->ref);
    if (err == 0)
        err = header_text(a, parts[2], &out->topic);
    if (err == 0)
        err = header_text(a, parts[3], &out->user_event);
    if (err == 0 && !out->is_bytes)
        err = jsonscan_check(rest, depth, NULL);
    struct jsonscan_value meta;
    if (err == 0 && out->meta.n && (err = jsonscan_check(out->meta, depth, &meta)) == 0)
        out->meta = meta.type == JSONSCAN_OBJECT ? meta.raw : STR_NONE;
    return err;
}

/* ---- encoding ------------------------------------------------------------------------------ */

static void add_ref(struct buf *out, struct str ref)
{
    buf_add_str(out, ref.n ? ref : STR("null"));
}

void phoenix_begin(struct buf *out, const struct phoenix_address *to, const char *event)
{
    if (to->vsn == 1) {
        buf_add_c(out, '{');
        json_add_field(out, "topic", to->topic);
        json_add_field(out, "event", str_from(event));
        json_add_key(out, "payload");
        return;
    }
    buf_add_c(out, '[');
    add_ref(out, to->join_ref);
    buf_add_c(out, ',');
    add_ref(out, to->ref);
    buf_add_c(out, ',');
    json_add_string(out, to->topic);
    buf_add_c(out, ',');
    json_add_string(out, str_from(event));
    buf_add_c(out, ',');
}

void phoenix_end(struct buf *out, const struct phoenix_address *to)
{
    if (to->vsn == 1) {
        json_add_key(out, "ref");
        add_ref(out, to->ref);
        buf_add_c(out, '}');
    } else {
        buf_add_c(out, ']');
    }
}

void phoenix_add(struct buf *out, const struct phoenix_address *to, const char *event,
                 struct str payload)
{
    phoenix_begin(out, to, event);
    buf_add_str(out, payload.n ? payload : STR("{}"));
    phoenix_end(out, to);
}

void phoenix_add_reply(struct buf *out, const struct phoenix_address *to, bool ok,
                       struct str response)
{
    phoenix_begin(out, to, "phx_reply");
    buf_add_z(out, ok ? "{\"status\":\"ok\",\"response\":" : "{\"status\":\"error\",\"response\":");
    buf_add_str(out, response.n ? response : STR("{}"));
    buf_add_c(out, '}');
    phoenix_end(out, to);
}

void phoenix_add_refusal(struct buf *out, const struct phoenix_address *to, struct str reason)
{
    phoenix_begin(out, to, "phx_reply");
    buf_add_z(out, "{\"status\":\"error\",\"response\":{");
    json_add_field(out, "reason", reason);
    buf_add_z(out, "}}");
    phoenix_end(out, to);
}

void phoenix_add_broadcast(struct buf *out, int vsn, const struct phoenix_broadcast *b)
{
    const struct phoenix_address to = {.vsn = vsn, .topic = b->topic};
    phoenix_begin(out, &to, "broadcast");
    buf_add_z(out, "{\"type\":\"broadcast\"");
    json_add_field(out, "event", b->event);
    json_add_key(out, "payload");
    if (b->is_bytes)
        attachments_add_base64(out, b->payload);
    else
        buf_add_str(out, b->payload.n ? b->payload : STR("{}"));
    if (b->meta.n)
        json_add_raw(out, "meta", b->meta);
    buf_add_c(out, '}');
    phoenix_end(out, &to);
}

bool phoenix_add_broadcast_binary(struct buf *out, const struct phoenix_broadcast *b)
{
    if (b->topic.n > 255 || b->event.n > 255 || b->meta.n > 255)
        return false;
    const char head[5] = {KIND_USER_BROADCAST, (char)b->topic.n, (char)b->event.n, (char)b->meta.n,
                          b->is_bytes ? 0 : 1};
    buf_add(out, head, sizeof(head));
    buf_add_str(out, b->topic);
    buf_add_str(out, b->event);
    buf_add_str(out, b->meta);
    buf_add_str(out, b->payload);
    return true;
}

/* ---- presence ------------------------------------------------------------------------------ */

void phoenix_begin_member(struct buf *out, struct str key)
{
    if (out->n && out->p[out->n - 1] != '{')
        buf_add_c(out, ',');
    json_add_string(out, key);
    buf_add_z(out, ":{\"metas\":[");
}

static void add_ref_number(struct buf *out, const char *name, uint64_t ref)
{
    json_add_key(out, name);
    buf_printf(out, "\"%llx\"", (unsigned long long)ref);
}

void phoenix_add_meta(struct buf *out, struct str meta, uint64_t ref, uint64_t ref_prev)
{
    struct str inner = str_trim(meta);
    bool is_object = inner.n >= 2 && inner.p[0] == '{' && inner.p[inner.n - 1] == '}';
    inner = is_object ? str_of(inner.p + 1, inner.n - 2) : STR_NONE;
    while (inner.n && strchr(" \t\r\n", inner.p[inner.n - 1]))
        inner.n--;
    if (out->n && out->p[out->n - 1] != '[')
        buf_add_c(out, ',');
    buf_add_c(out, '{');
    buf_add_str(out, inner);
    add_ref_number(out, "phx_ref", ref);
    if (ref_prev)
        add_ref_number(out, "phx_ref_prev", ref_prev);
    buf_add_c(out, '}');
}

void phoenix_end_member(struct buf *out)
{
    buf_add_z(out, "]}");
}
