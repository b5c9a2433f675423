/* SPDX-License-Identifier: Apache-2.0 */
/* Decoding goes left to right as the grammar does, each step cutting its part off `rest`; the
 * JSON is checked once by jsonscan and stays raw. Encoding writes straight into the caller's
 * buffer, after whatever it has put there (Engine.IO's `4`). */
#include "wire/socketio.h"
#include "base/err.h"
#include "base/json.h"
#include "base/num.h"
#include "base/utf8.h"

static int refuse(struct socketio_packet *out, int err, const char *detail)
{
    out->detail = detail;
    return err;
}

static int take_type(struct str *rest, struct socketio_packet *out, bool *binary)
{
    char c = rest->n ? rest->p[0] : '\0';
    if (c < '0' || c > '6')
        return refuse(out, E_PROTOCOL, "unknown packet type");
    enum socketio_type type = (enum socketio_type)(c - '0');
    if (type == SOCKETIO_CONNECT_ERROR)
        return refuse(out, E_PROTOCOL, "CONNECT_ERROR from a client");
    *binary = type == SOCKETIO_BINARY_EVENT || type == SOCKETIO_BINARY_ACK;
    out->type = type == SOCKETIO_BINARY_EVENT ? SOCKETIO_EVENT
                : type == SOCKETIO_BINARY_ACK ? SOCKETIO_ACK
                                              : type;
    *rest = str_skip(*rest, 1);
    return 0;
}

/* <digits>- */
static int take_attachments(struct str *rest, struct socketio_packet *out)
{
    ptrdiff_t dash = str_find(str_head(*rest, 20), '-');
    uint64_t n;
    if (dash < 0 || !num_u64(str_head(*rest, (size_t)dash), &n) || n == 0)
        return refuse(out, E_PROTOCOL, "illegal attachments");
    if (n > ATTACHMENTS_MAX)
        return refuse(out, E_PROTOCOL, "too many attachments");
    out->attachments = (unsigned)n;
    *rest = str_skip(*rest, (size_t)dash + 1);
    return 0;
}

/* /name, or /name at the end */
static int take_nsp(struct str *rest, struct socketio_packet *out)
{
    out->nsp = STR("/");
    if (rest->n == 0 || rest->p[0] != '/')
        return 0;
    struct str name = str_cut(rest, ',');
    if (name.n > SOCKETIO_NSP_MAX)
        return refuse(out, E_TOO_LARGE, "namespace too long");
    if (!utf8_valid(name))
        return refuse(out, E_BAD_UTF8, "namespace is not UTF-8");
    out->nsp = name;
    return 0;
}

static bool is_blank(char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* Digits; the reference takes blanks around them for zeros, and so a lone blank is ack 0. */
static int take_ack(struct str *rest, struct socketio_packet *out)
{
    size_t n = 0, from, to;
    while (n < rest->n && (is_blank(rest->p[n]) || (rest->p[n] >= '0' && rest->p[n] <= '9')))
        n++;
    if (n == 0)
        return 0;
    for (from = 0; from < n && is_blank(rest->p[from]);)
        from++;
    for (to = n; to > from && is_blank(rest->p[to - 1]);)
        to--;
    while (from + 1 < to && rest->p[from] == '0')
        from++;
    out->ack = from < to ? str_of(rest->p + from, to - from) : STR("0");
    for (size_t i = 0; i < out->ack.n; i++)
        if (is_blank(out->ack.p[i]))
            return refuse(out, E_PROTOCOL, "illegal ack id");
    if (out->ack.n > SOCKETIO_ACK_MAX)
        return refuse(out, E_TOO_LARGE, "ack id too long");
    *rest = str_skip(*rest, n);
    return 0;
}

bool socketio_event_reserved(struct str event)
{
    static const char *const names[] = {"connect",       "connect_error", "disconnect",
                                        "disconnecting", "newListener",   "removeListener"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (str_is(event, names[i]))
            return true;
    return false;
}

/* Event names are text; a number stands for its digits. */
static int take_event(struct arena *a, const struct jsonscan_value *name,
                      struct socketio_packet *out)
{
    if (name->type == JSONSCAN_NUMBER) {
        out->event = name->raw;
        return 0;
    }
    if (name->type != JSONSCAN_STRING)
        return refuse(out, E_PROTOCOL, "event has no name");
    int err = jsonscan_string(name->raw, a, &out->event);
    if (err < 0)
        return refuse(out, err, "event name is no text");
    if (socketio_event_reserved(out->event))
        return refuse(out, E_PROTOCOL, "reserved event name");
    return 0;
}

/* The payload of EVENT and ACK. */
static int take_args(struct arena *a, unsigned depth, struct socketio_packet *out)
{
    struct jsonscan_value room[SOCKETIO_ARGS_MAX + 1];
    size_t count, names = out->type == SOCKETIO_EVENT ? 1 : 0;
    int err = jsonscan_array(out->payload, depth, room, SOCKETIO_ARGS_MAX + names, &count);
    if (err < 0)
        return refuse(out, err, "payload is no array of arguments");
    if (count < names)
        return refuse(out, E_PROTOCOL, "event has no name");
    if (names && (err = take_event(a, &room[0], out)) < 0)
        return err;
    out->args_count = count - names;
    struct jsonscan_value *args = arena_alloc(a, (out->args_count + 1) * sizeof(*args));
    if (!args)
        return refuse(out, E_NO_MEMORY, "no memory");
    memcpy(args, room + names, out->args_count * sizeof(*args));
    out->args = args;
    if (!out->attachments)
        return 0;
    err = attachments_check(a, out->payload, out->attachments, depth, NULL);
    return err < 0 ? refuse(out, err, "illegal placeholder") : 0;
}

static int take_payload(struct arena *a, struct str rest, unsigned depth,
                        struct socketio_packet *out)
{
    if (rest.n == 0)
        return 0;
    out->payload = rest;
    if (out->type == SOCKETIO_DISCONNECT)
        return refuse(out, E_PROTOCOL, "DISCONNECT with a payload");
    if (out->type != SOCKETIO_CONNECT)
        return take_args(a, depth, out);
    struct jsonscan_value value;
    int err = jsonscan_check(rest, depth, &value);
    if (err < 0 || value.type != JSONSCAN_OBJECT)
        return refuse(out, err < 0 ? err : E_PROTOCOL, "auth is no object");
    out->payload = value.raw;
    return 0;
}

int socketio_decode(struct arena *a, struct str text, unsigned depth, struct socketio_packet *out)
{
    struct str rest = text;
    bool binary = false;
    *out = (struct socketio_packet){0};
    int err = take_type(&rest, out, &binary);
    if (err == 0 && binary)
        err = take_attachments(&rest, out);
    if (err == 0)
        err = take_nsp(&rest, out);
    if (err == 0)
        err = take_ack(&rest, out);
    if (err == 0)
        err = take_payload(a, rest, depth, out);
    return err;
}

/* ---- attachments on their way ------------------------------------------------------------ */

int socketio_pending_begin(struct socketio_pending *p, struct str text, unsigned wanted,
                           size_t bytes_max)
{
    socketio_pending_clear(p);
    buf_add_str(&p->text, text);
    if (p->text.failed)
        return E_NO_MEMORY;
    p->packed.max = bytes_max + 4 * (size_t)wanted;
    p->wanted = wanted;
    return 0;
}

int socketio_pending_add(struct socketio_pending *p, struct str bytes)
{
    if (!socketio_pending_is(p) || p->got >= p->wanted)
        return E_PROTOCOL;
    if (bytes.n + 4 > p->packed.max - p->packed.n)
        return E_TOO_LARGE;
    attachments_pack(&p->packed, bytes);
    if (p->packed.failed)
        return E_NO_MEMORY;
    return ++p->got == p->wanted;
}

void socketio_pending_clear(struct socketio_pending *p)
{
    buf_free(&p->text);
    buf_free(&p->packed);
    *p = (struct socketio_pending){0};
}

int socketio_auth(struct arena *a, struct str payload, struct socketio_auth *out)
{
    const char *const keys[] = {"pid", "offset", "token"};
    struct str *const fields[] = {&out->pid, &out->offset, &out->token};
    *out = (struct socketio_auth){0};
    for (size_t i = 0; payload.n && i < 3; i++) {
        struct jsonscan_value value = jsonscan_find(payload, keys[i]);
        if (value.type != JSONSCAN_STRING)
            continue;
        int err = jsonscan_string(value.raw, a, fields[i]);
        if (err < 0)
            return err;
    }
    return 0;
}

/* ---- content ------------------------------------------------------------------------------ */

/* [args[first], ...] as one text. */
static int add_list(struct arena *a, const struct socketio_packet *packet, size_t first,
                    struct str *out)
{
    *out = STR("[]");
    if (first >= packet->args_count)
        return 0;
    struct str from = packet->args[first].raw, last = packet->args[packet->args_count - 1].raw;
    size_t n = (size_t)(last.p + last.n - from.p);
    char *p = arena_alloc(a, n + 2);
    if (!p)
        return E_NO_MEMORY;
    p[0] = '[';
    memcpy(p + 1, from.p, n);
    p[n + 1] = ']';
    *out = str_of(p, n + 2);
    return 0;
}

/* The nth packed attachment. */
static struct str attachment_at(struct str packed, uint64_t nth)
{
    struct str bytes = STR_NONE;
    for (uint64_t i = 0; i <= nth && attachments_next(&packed, &bytes);)
        i++;
    return bytes;
}

int socketio_content(struct arena *a, const struct socketio_packet *packet, size_t first,
                     struct str packed, unsigned depth, struct socketio_content *out)
{
    struct str list, span = STR_NONE;
    uint64_t num = 0;
    int err = add_list(a, packet, first, &list);
    if (err < 0)
        return err;
    *out = (struct socketio_content){SOCKETIO_LIST, list, STR_NONE};
    bool single = first + 1 == packet->args_count;
    struct attachments_walk w;
    if (packet->attachments) {
        if (!attachments_walk_init(&w, a, list, packet->attachments, depth))
            return E_NO_MEMORY;
        int got = attachments_walk_next(&w, &span, &num);
        if (got < 0)
            return got;
    }
    if (span.n && single && span.n == packet->args[first].raw.n)
        *out = (struct socketio_content){SOCKETIO_BYTES, attachment_at(packed, num), STR_NONE};
    else if (span.n)
        *out = (struct socketio_content){SOCKETIO_ATTACHMENTS, list, packed};
    else if (single)
        *out = (struct socketio_content){SOCKETIO_ONE, packet->args[first].raw, STR_NONE};
    return 0;
}

/* What stands between the brackets of a JSON array. */
static bool list_items(struct str json, struct str *items)
{
    if (json.n < 2 || json.p[0] != '[' || json.p[json.n - 1] != ']')
        return false;
    *items = str_of(json.p + 1, json.n - 2);
    while (items->n && is_blank(items->p[0]))
        *items = str_skip(*items, 1);
    while (items->n && is_blank(items->p[items->n - 1]))
        items->n--;
    return true;
}

/* The arguments' text and how many binary messages belong to it; < 0: not of its form. */
static int emit_items(const struct socketio_emit *e, struct str *items)
{
    size_t count;
    switch (e->what.form) {
    case SOCKETIO_ONE:
        *items = e->what.content;
        return 0;
    case SOCKETIO_LIST:
        return list_items(e->what.content, items) ? 0 : E_BAD_REQUEST;
    case SOCKETIO_BYTES:
        *items = STR("{\"_placeholder\":true,\"num\":0}");
        return 1;
    case SOCKETIO_ATTACHMENTS:
        count = attachments_count(e->what.attachments);
        if (count > ATTACHMENTS_MAX || !list_items(e->what.content, items))
            return E_BAD_REQUEST;
        return (int)count;
    }
    return E_BAD_REQUEST;
}

static void add_nsp(struct buf *out, struct str nsp)
{
    if (nsp.n > 1) {
        buf_add_str(out, nsp);
        buf_add_c(out, ',');
    }
}

static void add_head(struct buf *out, const struct socketio_emit *e, char plain, char binary,
                     int attachments)
{
    buf_add_c(out, attachments ? binary : plain);
    if (attachments) {
        buf_add_u64(out, (uint64_t)attachments);
        buf_add_c(out, '-');
    }
    add_nsp(out, e->nsp);
    buf_add_str(out, e->ack);
}

int socketio_add_event(struct buf *out, const struct socketio_emit *e)
{
    struct str items;
    int attachments = emit_items(e, &items);
    if (attachments < 0 || socketio_event_reserved(e->event))
        return E_BAD_REQUEST;
    add_head(out, e, '2', '5', attachments);
    buf_add_c(out, '[');
    json_add_string(out, e->event);
    if (items.n) {
        buf_add_c(out, ',');
        buf_add_str(out, items);
    }
    if (e->offset.n) {
        buf_add_c(out, ',');
        json_add_string(out, e->offset);
    }
    buf_add_c(out, ']');
    return attachments;
}

int socketio_add_ack(struct buf *out, const struct socketio_emit *e)
{
    struct str items;
    int attachments = emit_items(e, &items);
    if (attachments < 0)
        return E_BAD_REQUEST;
    add_head(out, e, '3', '6', attachments);
    buf_add_c(out, '[');
    buf_add_str(out, items);
    buf_add_c(out, ']');
    return attachments;
}

bool socketio_emit_bytes(const struct socketio_emit *e, size_t *at, struct str *bytes)
{
    struct str rest = str_skip(e->what.attachments, *at);
    switch (e->what.form) {
    case SOCKETIO_BYTES:
        *bytes = e->what.content;
        return (*at)++ == 0;
    case SOCKETIO_ATTACHMENTS:
        if (!attachments_next(&rest, bytes))
            return false;
        *at += 4 + bytes->n;
        return true;
    case SOCKETIO_ONE:
    case SOCKETIO_LIST:
        break;
    }
    return false;
}

void socketio_add_connect(struct buf *out, struct str nsp, struct str sid, struct str pid)
{
    buf_add_c(out, '0');
    add_nsp(out, nsp);
    buf_add_c(out, '{');
    json_add_field(out, "sid", sid);
    if (pid.n)
        json_add_field(out, "pid", pid);
    buf_add_c(out, '}');
}

void socketio_add_connect_error(struct buf *out, struct str nsp, struct str message,
                                struct str data)
{
    buf_add_c(out, '4');
    add_nsp(out, nsp);
    buf_add_c(out, '{');
    json_add_field(out, "message", message);
    if (data.n)
        json_add_raw(out, "data", data);
    buf_add_c(out, '}');
}

void socketio_add_disconnect(struct buf *out, struct str nsp)
{
    buf_add_c(out, '1');
    add_nsp(out, nsp);
}
