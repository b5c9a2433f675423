/* SPDX-License-Identifier: Apache-2.0 */
/* Engine.IO 4 on the wire. Version 3 (lengths before packets, `b4`, client pings) is not spoken:
 * its requests are told so by code 5. To add a packet type: a row in the enum and in decode's
 * range. */
#include "wire/engineio.h"
#include "base/base64.h"
#include "base/err.h"
#include "base/json.h"
#include "wire/url.h"

enum { SEPARATOR = 0x1e };

int engineio_decode(struct str text, struct engineio_packet *out)
{
    if (text.n == 0)
        return E_PROTOCOL;
    out->data = str_skip(text, 1);
    out->base64 = text.p[0] == 'b';
    if (out->base64) {
        out->type = ENGINEIO_MESSAGE;
        return 0;
    }
    if (text.p[0] < '0' || text.p[0] > '6')
        return E_PROTOCOL;
    out->type = (enum engineio_type)(text.p[0] - '0');
    return 0;
}

void engineio_bytes(const struct engineio_packet *packet, struct buf *out)
{
    base64_decode_lenient(out, packet->data);
}

bool engineio_payload_next(struct engineio_payload *p, struct str *piece)
{
    if (p->at_end)
        return false;
    const char *separator = p->rest.n ? memchr(p->rest.p, SEPARATOR, p->rest.n) : NULL;
    if (!separator) {
        *piece = p->rest;
        p->at_end = true;
        return true;
    }
    *piece = str_head(p->rest, (size_t)(separator - p->rest.p));
    p->rest = str_skip(p->rest, piece->n + 1);
    return true;
}

static void separate(struct buf *out)
{
    if (out->n)
        buf_add_c(out, SEPARATOR);
}

void engineio_begin(struct buf *out, enum engineio_type type)
{
    separate(out);
    buf_add_c(out, (char)('0' + (int)type));
}

void engineio_add(struct buf *out, enum engineio_type type, struct str data)
{
    engineio_begin(out, type);
    buf_add_str(out, data);
}

void engineio_add_binary(struct buf *out, struct str bytes)
{
    separate(out);
    buf_add_c(out, 'b');
    base64_encode(out, bytes);
}

void engineio_add_open(struct buf *out, const struct engineio_open *open)
{
    engineio_begin(out, ENGINEIO_OPEN);
    buf_add_c(out, '{');
    json_add_field(out, "sid", open->sid);
    json_add_raw(out, "upgrades", open->can_upgrade ? STR("[\"websocket\"]") : STR("[]"));
    json_add_u64(out, "pingInterval", open->ping_interval_ms);
    json_add_u64(out, "pingTimeout", open->ping_timeout_ms);
    json_add_u64(out, "maxPayload", open->max_payload);
    buf_add_c(out, '}');
}

/* ---- the request ---------------------------------------------------------------------- */

void engineio_query_take(struct engineio_query *q, struct str name, struct str value)
{
    if (str_is(name, "transport")) {
        q->transport = str_is(value, "polling")     ? ENGINEIO_POLLING
                       : str_is(value, "websocket") ? ENGINEIO_WEBSOCKET
                                                    : ENGINEIO_UNKNOWN;
    } else if (str_is(name, "EIO")) {
        q->version = str_is(value, "4") ? 4 : 0;
    } else if (str_is(name, "sid")) {
        q->sid = value;
    } else if (str_is(name, "b64")) {
        q->b64 = value.n > 0; /* the reference asks whether the text is empty, not what it says */
    } else if (str_is(name, "j")) {
        q->jsonp = value;
        q->has_jsonp = true;
    }
}

static bool is_offered(const struct engineio_query *q, const struct engineio_request *request)
{
    switch (q->transport) {
    case ENGINEIO_POLLING:
        return !request->no_polling;
    case ENGINEIO_WEBSOCKET:
        return !request->no_websocket;
    case ENGINEIO_UNKNOWN:
        break;
    }
    return false;
}

enum engineio_code engineio_check(const struct engineio_query *q,
                                  const struct engineio_request *request)
{
    if (!is_offered(q, request))
        return ENGINEIO_UNKNOWN_TRANSPORT;
    if (request->bad_origin)
        return ENGINEIO_BAD_REQUEST;
    if (request->is_upgrade && q->transport != ENGINEIO_WEBSOCKET)
        return ENGINEIO_BAD_REQUEST;
    if (q->sid.n) {
        if (request->session == ENGINEIO_UNKNOWN)
            return ENGINEIO_UNKNOWN_SID;
        /* A WebSocket request without Upgrade is refused here also after the upgrade. */
        bool wants_ws = q->transport == ENGINEIO_WEBSOCKET;
        if (wants_ws != request->is_upgrade || (!wants_ws && request->session != q->transport))
            return ENGINEIO_BAD_REQUEST;
        return q->version == 4 ? ENGINEIO_OK : ENGINEIO_BAD_REQUEST;
    }
    if (!request->is_get)
        return ENGINEIO_BAD_METHOD;
    if (q->transport == ENGINEIO_WEBSOCKET && !request->is_upgrade)
        return ENGINEIO_BAD_REQUEST;
    return q->version == 4 ? ENGINEIO_OK : ENGINEIO_BAD_VERSION;
}

const char *engineio_code_text(enum engineio_code code)
{
    switch (code) {
    case ENGINEIO_OK:
        return "OK";
    case ENGINEIO_UNKNOWN_TRANSPORT:
        return "Transport unknown";
    case ENGINEIO_UNKNOWN_SID:
        return "Session ID unknown";
    case ENGINEIO_BAD_METHOD:
        return "Bad handshake method";
    case ENGINEIO_FORBIDDEN:
        return "Forbidden";
    case ENGINEIO_BAD_VERSION:
        return "Unsupported protocol version";
    case ENGINEIO_BAD_REQUEST:
        break;
    }
    return "Bad request";
}

int engineio_code_status(enum engineio_code code, bool is_upgrade)
{
    return code == ENGINEIO_FORBIDDEN && !is_upgrade ? 403 : 400;
}

void engineio_add_error(struct buf *out, enum engineio_code code, struct str message)
{
    buf_add_c(out, '{');
    json_add_u64(out, "code", code > 0 ? (uint64_t)code : 0);
    json_add_field(out, "message", message.n ? message : str_from(engineio_code_text(code)));
    buf_add_c(out, '}');
}

/* ---- JSONP ------------------------------------------------------------------------------ */

/* A JSON string is no JavaScript string in old browsers: U+2028 and U+2029 end a line there. */
static void add_script_string(struct buf *out, struct str text)
{
    struct buf json = {0};
    json_add_string(&json, text);
    struct str rest = buf_str(&json);
    ptrdiff_t at;
    while ((at = str_find_str(rest, STR("\xe2\x80"))) >= 0) {
        size_t n = (size_t)at;
        char last = n + 2 < rest.n ? rest.p[n + 2] : '\0';
        buf_add_str(out, str_head(rest, n));
        if (last == '\xa8' || last == '\xa9') {
            buf_add_z(out, last == '\xa8' ? "\\u2028" : "\\u2029");
            rest = str_skip(rest, n + 3);
        } else {
            buf_add_z(out, "\xe2\x80");
            rest = str_skip(rest, n + 2);
        }
    }
    buf_add_str(out, rest);
    out->failed |= json.failed;
    buf_free(&json);
}

void engineio_jsonp_wrap(struct buf *out, struct str j, struct str payload)
{
    buf_add_z(out, "___eio[");
    for (size_t i = 0; i < j.n; i++)
        if (j.p[i] >= '0' && j.p[i] <= '9')
            buf_add_c(out, j.p[i]);
    buf_add_z(out, "](");
    add_script_string(out, payload);
    buf_add_z(out, ");");
}

int engineio_jsonp_body(struct arena *a, struct str form, struct str *out)
{
    struct str value;
    int found = url_query_last(a, form, "d", &value);
    if (found <= 0)
        return found < 0 ? found : E_PROTOCOL;
    char *to = arena_alloc(a, value.n ? value.n : 1);
    if (!to)
        return E_NO_MEMORY;
    *out = str_of(to, 0);
    /* A form cannot hold newlines: \n stands for one, and \\n for a written \n. */
    while (value.n) {
        size_t skip = 1;
        if (str_starts(value, STR("\\\\n"))) {
            to[out->n++] = '\\';
            to[out->n++] = 'n';
            skip = 3;
        } else if (str_starts(value, STR("\\n"))) {
            to[out->n++] = '\n';
            skip = 2;
        } else {
            to[out->n++] = value.p[0];
        }
        value = str_skip(value, skip);
    }
    return 0;
}
