/* SPDX-License-Identifier: Apache-2.0 */
/* The WebSocket upgrade and the terms of permessage-deflate. */
#include "wire/wshandshake.h"
#include "base/base64.h"
#include "base/digest.h"
#include "base/err.h"

enum { KEY_BYTES = 24, ACCEPT_BYTES = 28, OFFERS_MAX = 32 };

static int refuse(struct wshandshake *ws, int err, const char *detail)
{
    ws->detail = detail;
    return err;
}

/* ---- permessage-deflate ------------------------------------------------------------------ */

static void skip_blanks(struct str *s)
{
    while (s->n && (s->p[0] == ' ' || s->p[0] == '\t'))
        *s = str_skip(*s, 1);
}

/* Cuts a token off the front; empty when there is none. */
static struct str take_token(struct str *s)
{
    size_t n = 0;
    while (n < s->n && http1_token_valid(str_of(s->p + n, 1)))
        n++;
    struct str token = str_head(*s, n);
    *s = str_skip(*s, n);
    return token;
}

static bool take_char(struct str *s, char c)
{
    skip_blanks(s);
    if (s->n == 0 || s->p[0] != c)
        return false;
    *s = str_skip(*s, 1);
    skip_blanks(s);
    return true;
}

/* A parameter's value: a token, or a quoted one (RFC 7692 section 5). Escapes inside quotes are
 * legal and senseless here: false declines the whole header. */
static bool take_value(struct str *s, struct str *value)
{
    bool quoted = s->n && s->p[0] == '"';
    if (quoted)
        *s = str_skip(*s, 1);
    *value = take_token(s);
    if (quoted && (s->n == 0 || s->p[0] != '"'))
        return false;
    if (quoted)
        *s = str_skip(*s, 1);
    return value->n > 0;
}

/* "8".."15", without leading zeros; 0 when it is something else. */
static int window_of(struct str value)
{
    int v = 0;
    if (value.n < 1 || value.n > 2 || value.p[0] == '0')
        return 0;
    for (size_t i = 0; i < value.n; i++) {
        if (value.p[i] < '0' || value.p[i] > '9')
            return 0;
        v = v * 10 + value.p[i] - '0';
    }
    return v >= 8 && v <= 15 ? v : 0;
}

struct offer {
    bool server_takeover, client_takeover, server_bits, client_bits; /* seen */
    int window;
    bool acceptable;
};

static bool once(bool *seen)
{
    bool first = !*seen;
    *seen = true;
    return first;
}

/* Is this parameter known, well-formed, and there for the first time? value.p NULL: none. */
static bool take_parameter(struct offer *o, struct str name, struct str value)
{
    if (str_is(name, "server_no_context_takeover"))
        return !value.p && once(&o->server_takeover);
    if (str_is(name, "client_no_context_takeover"))
        return !value.p && once(&o->client_takeover);
    if (str_is(name, "client_max_window_bits"))
        return (!value.p || window_of(value)) && once(&o->client_bits);
    if (str_is(name, "server_max_window_bits")) {
        o->window = window_of(value);
        return o->window > 8 && once(&o->server_bits);
    }
    return false;
}

/* Reads one offer up to the ',' or the end. false: the header is malformed from here on. */
static bool take_offer(struct str *s, struct offer *o)
{
    struct str name = take_token(s);
    *o = (struct offer){.window = 15, .acceptable = str_is(name, "permessage-deflate")};
    if (name.n == 0)
        return false;
    while (take_char(s, ';')) {
        struct str key = take_token(s), value = STR_NONE;
        if (key.n == 0 || (take_char(s, '=') && !take_value(s, &value)))
            return false;
        o->acceptable = o->acceptable && take_parameter(o, key, value);
    }
    return s->n == 0 || s->p[0] == ',';
}

bool wshandshake_negotiate(struct str offers, int *window_bits, bool *window_bits_asked)
{
    struct offer o;
    skip_blanks(&offers);
    for (int i = 0; i < OFFERS_MAX && offers.n; i++) {
        if (take_char(&offers, ','))
            continue; /* empty list elements are legal (RFC 9110 section 5.6.1) */
        if (!take_offer(&offers, &o))
            return false;
        if (o.acceptable) {
            *window_bits = o.window;
            *window_bits_asked = o.server_bits;
            return true;
        }
    }
    return false;
}

/* ---- the request -------------------------------------------------------------------------- */

struct seen {
    struct str key, version;
    int keys, versions;
    bool upgrade, connection, any_upgrade;
};

static bool key_valid(struct str key)
{
    for (size_t i = 0; i < KEY_BYTES - 2 && key.n == KEY_BYTES; i++) {
        char c = key.p[i];
        if (!((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
              c == '+' || c == '/'))
            return false;
    }
    return key.n == KEY_BYTES && str_ends(key, STR("=="));
}

/* The first protocol of the client's list that we speak. false: malformed list. */
static bool choose_protocol(struct str list, const struct wshandshake_config *config,
                            struct wshandshake *out)
{
    while (list.p) {
        struct str name = str_trim(str_cut(&list, ','));
        if (!http1_token_valid(name))
            return false;
        for (size_t i = 0; i < config->protocols_count && !out->protocol.p; i++) {
            if (str_eq(name, config->protocols[i]))
                out->protocol = config->protocols[i];
        }
    }
    return true;
}

static int take_header(struct seen *seen, const struct http1_header *h,
                       const struct wshandshake_config *config, struct wshandshake *out)
{
    if (str_eq_nocase(h->name, STR("Upgrade"))) {
        seen->any_upgrade = true;
        seen->upgrade = seen->upgrade || http1_list_has(h->value, "websocket");
    } else if (str_eq_nocase(h->name, STR("Connection"))) {
        seen->connection = seen->connection || http1_list_has(h->value, "upgrade");
    } else if (str_eq_nocase(h->name, STR("Sec-WebSocket-Key"))) {
        seen->key = h->value;
        seen->keys++;
    } else if (str_eq_nocase(h->name, STR("Sec-WebSocket-Version"))) {
        seen->version = h->value;
        seen->versions++;
    } else if (str_eq_nocase(h->name, STR("Sec-WebSocket-Protocol"))) {
        if (!choose_protocol(h->value, config, out))
            return refuse(out, E_BAD_REQUEST, "malformed Sec-WebSocket-Protocol");
    } else if (str_eq_nocase(h->name, STR("Sec-WebSocket-Extensions"))) {
        if (config->deflate && !out->deflate)
            out->deflate =
                wshandshake_negotiate(h->value, &out->window_bits, &out->window_bits_asked);
    }
    return 0;
}

int wshandshake_check(struct str method, int version_minor, const struct http1_header *headers,
                      size_t headers_count, const struct wshandshake_config *config,
                      struct wshandshake *out)
{
    struct seen seen = {0};
    *out = (struct wshandshake){.window_bits = 15};
    if (!str_is(method, "GET"))
        return refuse(out, E_METHOD_NOT_ALLOWED, "a WebSocket begins with GET");
    if (version_minor < 1)
        return refuse(out, E_BAD_REQUEST, "a WebSocket needs HTTP/1.1");
    for (size_t i = 0; i < headers_count; i++) {
        int r = take_header(&seen, &headers[i], config, out);
        if (r < 0)
            return r;
    }
    if (!seen.any_upgrade)
        return refuse(out, E_UPGRADE_REQUIRED, "this path speaks WebSocket");
    if (!seen.upgrade)
        return refuse(out, E_BAD_REQUEST, "Upgrade does not name websocket");
    if (!seen.connection)
        return refuse(out, E_BAD_REQUEST, "Connection does not name upgrade");
    if (seen.versions != 1 || !str_is(seen.version, "13"))
        return refuse(out, E_UPGRADE_REQUIRED, "Sec-WebSocket-Version must be 13");
    if (seen.keys != 1 || !key_valid(seen.key))
        return refuse(out, E_BAD_REQUEST, "Sec-WebSocket-Key must be 16 bytes in base64");
    wshandshake_accept(seen.key, out->accept);
    return 0;
}

/* ---- the answer --------------------------------------------------------------------------- */

void wshandshake_accept(struct str key, char out[28])
{
    static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    char text[KEY_BYTES + sizeof(guid) - 1], encoded[ACCEPT_BYTES];
    uint8_t digest[20];
    struct buf b = {.p = encoded, .capacity = sizeof(encoded), .max = sizeof(encoded)};
    size_t n = key.n < KEY_BYTES ? key.n : KEY_BYTES;
    memcpy(text, key.p, n);
    memcpy(text + n, guid, sizeof(guid) - 1);
    digest_sha1(str_of(text, n + sizeof(guid) - 1), digest);
    base64_encode(&b, str_of((const char *)digest, sizeof(digest)));
    memcpy(out, encoded, ACCEPT_BYTES);
}

void wshandshake_add_answer(struct buf *out, const struct wshandshake *ws, struct str more)
{
    http1_add_status(out, 101);
    http1_add_header(out, "Upgrade", STR("websocket"));
    http1_add_header(out, "Connection", STR("Upgrade"));
    http1_add_header(out, "Sec-WebSocket-Accept", str_of(ws->accept, sizeof(ws->accept)));
    if (ws->protocol.p)
        http1_add_header(out, "Sec-WebSocket-Protocol", ws->protocol);
    if (ws->deflate) {
        buf_add_z(out, "Sec-WebSocket-Extensions: permessage-deflate; "
                       "server_no_context_takeover; client_no_context_takeover");
        if (ws->window_bits_asked) {
            buf_add_z(out, "; server_max_window_bits=");
            buf_add_u64(out, (uint64_t)ws->window_bits);
        }
        buf_add_z(out, "\r\n");
    }
    buf_add_str(out, more);
    buf_add_z(out, "\r\n");
}
