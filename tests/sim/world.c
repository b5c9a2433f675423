/* SPDX-License-Identifier: Apache-2.0 */
/* See world.h. */
#include "world.h"

#include "api/api.h"
#include "base/check.h"
#include "base/mem.h"
#include "base/num.h"
#include "transport/transport.h"

#include <stdio.h>
#include <stdlib.h>

static const char address[] = "sim:1";

/* ---- the server --------------------------------------------------------------------------------
 */

static struct channel_settings settings;
static struct hub_config hub_config;
static struct session_config session_config;
static struct transport_config transport_config;
static struct api_config api_config;
static struct realtime_config realtime_config;
static struct http_server *server;
static struct keyring *keys;
static struct rules *rules;
static struct sock_listener *listeners[64];

static void on_accept(struct sock *s, void *arg)
{
    http_accept(arg, s);
}

static void set_configs(const struct world_config *config)
{
    settings = (struct channel_settings){.pattern = STR("*"),
                                         .history_count = config->history_count,
                                         .history_bytes = 1 << 22,
                                         .history_ms = 3600000,
                                         .presence = true,
                                         .echo = true};
    hub_config = (struct hub_config){.channels = &settings,
                                     .channels_count = 1,
                                     .history_bytes_max = 1 << 28,
                                     .idempotency_ms = 300000,
                                     .idempotency_max = 10000,
                                     .presence_members_max = 1000,
                                     .channels_max = 1000,
                                     .channel_idle_ms = 600000};
    session_config = (struct session_config){.resume_ms = 120000,
                                             .presence_lease_ms = 15000,
                                             .presence_grace_ms = 3000,
                                             .expiring_ms = 30000,
                                             .token_ms = 10000,
                                             .send_bytes_max = 16384,
                                             .subscriptions_max = 100,
                                             .tracked_max = 10,
                                             .payload_bytes_max = 1 << 16,
                                             .meta_bytes_max = 4096,
                                             .channel_bytes_max = 255,
                                             .sessions_max = 100000,
                                             .messages_burst = 100,
                                             .positions_max = 1024,
                                             .default_channel = STR("c0")};
    transport_config = (struct transport_config){.ws_ping_ms = 5000,
                                                 .ws_pong_ms = 5000,
                                                 .ws_close_ms = 2000,
                                                 .probe_ms = 1000,
                                                 .ws_message_bytes_max = 1 << 16,
                                                 .sse_ping_ms = 5000,
                                                 .sse_retry_ms = 100,
                                                 .deflate_level = 6,
                                                 .poll_ms = 5000,
                                                 .poll_ms_max = 5000,
                                                 .poll_keep_ms = 60000,
                                                 .poll_keep_max = 1000,
                                                 .channels_max = 100};
    api_config = (struct api_config){.publish_bytes_max = 1 << 16, .publish_batch_max = 100};
}

struct loops *world_new(const struct world_config *config)
{
    static const struct rules_row row = {
        .pattern = {"*", 1}, .grants = {{"*", 1}, {"*", 1}, {"*", 1}, {"*", 1}, {"*", 1}}};
    struct auth_config auth = {.anonymous = true};
    struct http_config http = {.head_bytes_max = 16384,
                               .target_bytes_max = 8192,
                               .headers_max = 100,
                               .body_bytes_max = 1 << 16,
                               .head_ms_max = 10000,
                               .body_ms_max = 10000,
                               .keepalive_ms = 20000};
    struct loops *ls = loops_new(config->loops);
    struct buf why = {0};
    struct rules_error rules_error;
    char err[200];
    set_configs(config);
    hub_setup(ls, &hub_config);
    CHECK(!keyring_new(&auth, &why, &keys));
    CHECK(!rules_new(&row, 1, &rules_error, &rules));
    session_setup(ls, &session_config, keys, rules, NULL);
    server = http_server_new(&http);
    phoenix_setup(ls, &realtime_config);
    transport_setup(ls, server, &transport_config);
    api_setup(ls, server, &api_config);
    for (unsigned i = 0; i < config->loops; i++) {
        struct sock_listen_config listen = {
            .address = str_from(address), .on_accept = on_accept, .arg = server};
        listeners[i] = sock_listen(loops_at(ls, i), &listen, err, sizeof(err));
    }
    return ls;
}

void world_free(struct loops **ls)
{
    for (unsigned i = 0; i < loops_count(*ls); i++)
        sock_listener_close(&listeners[i]);
    sim_run(*ls, 200000); /* connections time out, sessions end */
    api_teardown(*ls);
    session_teardown(*ls);
    phoenix_teardown(*ls);
    sim_settle(*ls);
    transport_teardown(*ls);
    hub_teardown(*ls);
    sim_settle(*ls);
    http_server_free(&server);
    keyring_unref(keys);
    rules_unref(rules);
    loops_free(ls);
}

/* ---- text
 * ---------------------------------------------------------------------------------------- */

static uint64_t field_u64(struct str json, const char *name)
{
    char key[40];
    snprintf(key, sizeof(key), "\"%s\":", name);
    ptrdiff_t at = str_find_str(json, str_from(key));
    uint64_t value = 0;
    if (at < 0)
        return 0;
    struct str rest = str_skip(json, (size_t)at + strlen(key));
    for (size_t i = 0; i < rest.n && rest.p[i] >= '0' && rest.p[i] <= '9'; i++)
        value = value * 10 + (uint64_t)(rest.p[i] - '0');
    return value;
}

static struct str field_text(struct str json, const char *name)
{
    char key[40];
    snprintf(key, sizeof(key), "\"%s\":\"", name);
    ptrdiff_t at = str_find_str(json, str_from(key));
    if (at < 0)
        return STR_NONE;
    struct str rest = str_skip(json, (size_t)at + strlen(key));
    return str_cut(&rest, '"');
}

/* ---- clients
 * -------------------------------------------------------------------------------------- */

struct client {
    struct loops *ls;
    enum client_kind kind;
    unsigned first, count; /* channels */
    struct heard heard[WORLD_CHANNELS];
    struct sim_peer *peer;
    uint64_t retry_ms, poll_sent_ms;
    bool is_open;     /* head of the answer was read */
    bool is_waiting;  /* a poll was sent */
    bool fell_silent; /* the server will take it for dead, and trust no acknowledgement ... */
    bool may_repeat;  /* ... and has: the next connection may bring messages again */
    char session[64]; /* WebSocket: name.ticket */
    char cursor[600]; /* SSE: Last-Event-ID; poll: cursor */
    char id[600];     /* SSE: of the event being read */
    char name[32];
    struct buf text; /* SSE: chunks put together */
};

struct client *client_new(struct loops *ls, enum client_kind kind, unsigned channel)
{
    static unsigned number;
    static const char *const kinds[] = {"ws", "ws-proxied", "sse", "sse-multi", "poll"};
    struct client *c = mem_new(sizeof(*c));
    c->ls = ls;
    c->kind = kind;
    c->first = kind == CLIENT_SSE_MULTI ? 0 : channel;
    c->count = kind == CLIENT_SSE_MULTI ? WORLD_CHANNELS : 1;
    snprintf(c->name, sizeof(c->name), "%s-%u", kinds[kind], ++number % 1000);
    return c;
}

struct sim_peer *client_peer(struct client *c)
{
    return c->peer;
}

const char *client_name(const struct client *c)
{
    return c->name;
}

bool client_listens(const struct client *c, unsigned channel)
{
    return channel >= c->first && channel < c->first + c->count;
}

const struct heard *client_heard(const struct client *c, unsigned channel)
{
    return &c->heard[channel];
}

void client_falls_silent(struct client *c)
{
    c->fell_silent = c->kind == CLIENT_WS;
}

void client_give_up(struct client *c)
{
    if (c->peer)
        sim_peer_free(&c->peer);
    if (getenv("TRACE"))
        printf("%llu %s lost\n", (unsigned long long)sim_now_ms(), c->name);
    c->is_open = c->is_waiting = false;
    c->retry_ms = sim_now_ms() + 20 + sim_chance(300);
    buf_clear(&c->text);
}

void client_free(struct client **c)
{
    if ((*c)->peer)
        sim_peer_free(&(*c)->peer);
    buf_free(&(*c)->text);
    mem_free(*c);
    *c = NULL;
}

static void hear(struct client *c, struct str channel, uint64_t offset)
{
    unsigned index = channel.n == 2 ? (unsigned)(channel.p[1] - '0') : 99;
    CHECK(index < WORLD_CHANNELS);
    struct heard *h = &c->heard[index];
    if (h->is_new && offset <= h->last)
        h->last = offset - 1;
    h->is_new = false;
    if (h->has_begun && offset <= h->last && c->may_repeat) {
        h->last = offset; /* again, but from here on without a hole */
        return;
    }
    if (h->has_begun && offset <= h->last)
        h->twice++;
    else if (h->has_begun && offset != h->last + 1)
        h->holes++;
    h->has_begun = true;
    if (offset > h->last)
        h->last = offset;
    h->count++;
}

static void hear_gap(struct client *c, struct str channel, uint64_t to)
{
    struct heard *h = &c->heard[channel.p[1] - '0'];
    h->gaps++;
    if (to > h->last || h->is_new)
        h->last = to;
    h->is_new = false;
}

/* A frame of the dialect, from WebSocket or poll. */
static void on_frame(struct client *c, struct str json)
{
    if (getenv("TRACE"))
        printf("%llu %s %.*s\n", (unsigned long long)sim_now_ms(), c->name, STR_ARG(json));
    struct str type = field_text(json, "type");
    struct str channel = field_text(json, "channel");
    if (str_is(type, "message")) {
        hear(c, channel, field_u64(json, "offset"));
    } else if (str_is(type, "gap")) {
        hear_gap(c, channel, field_u64(json, "to"));
    } else if (str_is(type, "connected")) {
        struct str ticket = field_text(json, "ticket");
        struct str session = field_text(json, "session");
        snprintf(c->session, sizeof(c->session), "%.*s.%.*s", STR_ARG(session), STR_ARG(ticket));
        c->may_repeat = c->fell_silent || c->kind == CLIENT_WS_PROXIED;
        c->fell_silent = false;
    } else if (str_is(type, "subscribed") && str_find_str(json, STR("\"recovered\":true")) < 0 &&
               !c->heard[channel.p[1] - '0'].has_begun) {
        c->heard[channel.p[1] - '0'].has_begun = c->heard[channel.p[1] - '0'].is_new = true;
        c->heard[channel.p[1] - '0'].last = field_u64(json, "offset");
    }
}

static void send_ws_text(struct client *c, const char *text)
{
    uint8_t head[6] = {0x81, (uint8_t)(0x80 | strlen(text)), 0, 0, 0, 0};
    CHECK(strlen(text) < 126);
    sim_peer_send(c->peer, head, sizeof(head));
    sim_peer_send(c->peer, text, strlen(text));
}

static bool read_head(struct client *c)
{
    struct str in = sim_peer_input(c->peer);
    ptrdiff_t end = str_find_str(in, STR("\r\n\r\n"));
    if (end < 0)
        return false;
    CHECK(str_starts(in, STR("HTTP/1.1 101")) || str_starts(in, STR("HTTP/1.1 200")));
    sim_peer_consume(c->peer, (size_t)end + 4);
    return true;
}

static void step_ws(struct client *c)
{
    if (!c->is_open && !(c->is_open = read_head(c)))
        return;
    for (;;) {
        struct str in = sim_peer_input(c->peer);
        const uint8_t *p = (const uint8_t *)in.p;
        size_t head = 2, n;
        if (in.n < 2)
            return;
        n = p[1] & 127;
        if (n == 126) {
            if (in.n < 4)
                return;
            n = (size_t)p[2] << 8 | p[3];
            head = 4;
        }
        if (in.n < head + n)
            return;
        uint8_t opcode = p[0] & 15;
        if (opcode == 1)
            on_frame(c, str_of(in.p + head, n));
        if (opcode == 9) {
            uint8_t pong[6 + 125] = {0x8a, (uint8_t)(0x80 | n), 0, 0, 0, 0};
            memcpy(pong + 6, in.p + head, n);
            sim_peer_send(c->peer, pong, 6 + n);
        }
        sim_peer_consume(c->peer, head + n);
    }
}

static void on_sse_line(struct client *c, struct str line, struct str *event)
{
    if (str_starts(line, STR("id: ")))
        snprintf(c->id, sizeof(c->id), "%.*s", STR_ARG(str_skip(line, 4)));
    else if (str_starts(line, STR("event: ")))
        *event = str_skip(line, 7);
    else if (str_starts(line, STR("data: ")) && str_is(*event, "gap"))
        hear_gap(c, field_text(line, "channel"), field_u64(line, "to"));
    else if (str_starts(line, STR("data: {\"n\":"))) {
        char channel[3] = {'c', (char)('0' + field_u64(line, "c")), 0};
        hear(c, str_from(channel), field_u64(line, "n"));
    }
}

/* Where a stream begins: its first id, before any message. */
static void begin_from_cursor(struct client *c)
{
    struct str rest = str_from(c->cursor);
    for (unsigned i = 0; i < c->count && rest.p; i++) {
        struct str place = str_cut(&rest, '~');
        struct heard *h = &c->heard[c->first + i];
        ptrdiff_t dash = str_find(place, '-');
        uint64_t offset;
        if (!h->has_begun && dash > 0 && num_u64(str_skip(place, (size_t)dash + 1), &offset)) {
            h->has_begun = true;
            h->last = offset;
        }
    }
}

static void read_events(struct client *c)
{
    for (;;) {
        ptrdiff_t end = str_find_str(buf_str(&c->text), STR("\n\n"));
        if (end < 0)
            return;
        struct str block = str_of(c->text.p, (size_t)end), event = STR_NONE;
        bool has_data = str_find_str(block, STR("data: {\"n\"")) >= 0;
        bool had_id = str_find_str(block, STR("id: ")) >= 0;
        while (block.n)
            on_sse_line(c, str_cut(&block, '\n'), &event);
        if (had_id)
            memcpy(c->cursor, c->id, sizeof(c->cursor));
        if (had_id && !has_data)
            begin_from_cursor(c);
        buf_shift(&c->text, (size_t)end + 2);
    }
}

static void step_sse(struct client *c)
{
    if (!c->is_open && !(c->is_open = read_head(c)))
        return;
    for (;;) {
        struct str in = sim_peer_input(c->peer);
        ptrdiff_t line = str_find_str(in, STR("\r\n"));
        if (line < 0)
            break;
        size_t n = strtoul(in.p, NULL, 16), head = (size_t)line + 2;
        if (in.n < head + n + 2)
            break;
        buf_add(&c->text, in.p + head, n);
        sim_peer_consume(c->peer, head + n + 2);
    }
    read_events(c);
}

static void send_poll(struct client *c)
{
    char head[900];
    snprintf(head, sizeof(head),
             "GET /api/poll?channel=c%u&cursor=%s HTTP/1.1\r\nHost: sim\r\n\r\n", c->first,
             c->cursor);
    sim_peer_send(c->peer, head, strlen(head));
    c->is_waiting = true;
}

static void step_poll(struct client *c)
{
    struct str in = sim_peer_input(c->peer);
    ptrdiff_t end = str_find_str(in, STR("\r\n\r\n"));
    if (!c->is_waiting) {
        send_poll(c);
        return;
    }
    if (end < 0)
        return;
    CHECK(str_starts(in, STR("HTTP/1.1 200")));
    ptrdiff_t at = str_find_str(in, STR("Content-Length: "));
    size_t n = strtoul(in.p + at + 16, NULL, 10), head = (size_t)end + 4;
    if (in.n < head + n)
        return;
    struct str json = str_of(in.p + head, n);
    on_frame(c, json);
    snprintf(c->cursor, sizeof(c->cursor), "%.*s", STR_ARG(field_text(json, "cursor")));
    begin_from_cursor(c);
    sim_peer_consume(c->peer, head + n);
    c->is_waiting = false;
    step_poll(c);
}

static void connect_client(struct client *c)
{
    char head[1200], channels[100] = "";
    for (unsigned i = 0; i < c->count; i++)
        snprintf(channels + strlen(channels), 20, "%schannel=c%u", i ? "&" : "", c->first + i);
    c->peer = sim_dial(c->ls, address);
    switch (c->kind) {
    case CLIENT_WS:
    case CLIENT_WS_PROXIED:
        snprintf(head, sizeof(head),
                 "GET /socket?session=%s HTTP/1.1\r\nHost: localhost\r\n%sUpgrade: websocket\r\n"
                 "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                 "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
                 c->session[0] ? c->session : "none",
                 c->kind == CLIENT_WS_PROXIED ? "Via: 1.1 sim\r\n" : "");
        sim_peer_send(c->peer, head, strlen(head));
        snprintf(head, sizeof(head), "{\"type\":\"subscribe\",\"channel\":\"c%u\"}", c->first);
        send_ws_text(c, head);
        break;
    case CLIENT_SSE:
    case CLIENT_SSE_MULTI:
        snprintf(head, sizeof(head), "GET /api/events?%s HTTP/1.1\r\nHost: sim\r\n%s%s%s\r\n",
                 channels, c->cursor[0] ? "Last-Event-ID: " : "", c->cursor,
                 c->cursor[0] ? "\r\n" : "");
        sim_peer_send(c->peer, head, strlen(head));
        break;
    case CLIENT_POLL:
    case CLIENT_KINDS:
        break;
    }
}

void client_step(struct client *c)
{
    if (!c->peer && sim_now_ms() >= c->retry_ms)
        connect_client(c);
    if (!c->peer)
        return;
    switch (c->kind) {
    case CLIENT_WS:
    case CLIENT_WS_PROXIED:
        step_ws(c);
        break;
    case CLIENT_SSE:
    case CLIENT_SSE_MULTI:
        step_sse(c);
        break;
    case CLIENT_POLL:
    case CLIENT_KINDS:
        step_poll(c);
        break;
    }
    if (sim_peer_is_closed(c->peer))
        client_give_up(c);
}

/* ---- publisher
 * -------------------------------------------------------------------------------------- */

struct publisher {
    struct loops *ls;
    unsigned channel;
    struct sim_peer *peer;
    uint64_t next, wrong, sent_ms;
    bool is_waiting;
};

struct publisher *publisher_new(struct loops *ls, unsigned channel)
{
    struct publisher *p = mem_new(sizeof(*p));
    p->ls = ls;
    p->channel = channel;
    p->next = 1;
    return p;
}

static void send_publish(struct publisher *p)
{
    char body[200], head[400];
    snprintf(body, sizeof(body),
             "{\"channel\":\"c%u\",\"content\":{\"n\":%llu,\"c\":%u},\"id\":\"p%llu\"}", p->channel,
             (unsigned long long)p->next, p->channel, (unsigned long long)p->next);
    snprintf(head, sizeof(head),
             "POST /api/publish HTTP/1.1\r\nHost: sim\r\nContent-Length: %zu\r\n\r\n%s",
             strlen(body), body);
    if (!p->peer)
        p->peer = sim_dial(p->ls, address);
    sim_peer_send(p->peer, head, strlen(head));
    p->is_waiting = true;
    p->sent_ms = sim_now_ms();
}

void publisher_step(struct publisher *p, bool may_begin)
{
    if (p->peer &&
        (sim_peer_is_closed(p->peer) || (p->is_waiting && sim_now_ms() > p->sent_ms + 3000))) {
        sim_peer_free(&p->peer);
        if (p->is_waiting)
            send_publish(p); /* the same id again: once, whatever happened to the first */
        return;
    }
    if (!p->is_waiting) {
        if (may_begin)
            send_publish(p);
        return;
    }
    struct str in = sim_peer_input(p->peer);
    ptrdiff_t end = str_find_str(in, STR("\r\n\r\n"));
    if (end < 0)
        return;
    ptrdiff_t at = str_find_str(in, STR("Content-Length: "));
    size_t n = strtoul(in.p + at + 16, NULL, 10), head = (size_t)end + 4;
    if (in.n < head + n)
        return;
    struct str json = str_of(in.p + head, n);
    CHECK(str_starts(in, STR("HTTP/1.1 200")));
    p->wrong += field_u64(json, "offset") != p->next;
    p->next++;
    p->is_waiting = false;
    sim_peer_consume(p->peer, head + n);
}

struct sim_peer *publisher_peer(struct publisher *p)
{
    return p->peer;
}

uint64_t publisher_done(const struct publisher *p)
{
    return p->next - 1;
}

uint64_t publisher_wrong(const struct publisher *p)
{
    return p->wrong;
}

bool publisher_is_idle(const struct publisher *p)
{
    return !p->is_waiting;
}

void publisher_free(struct publisher **p)
{
    if ((*p)->peer)
        sim_peer_free(&(*p)->peer);
    mem_free(*p);
    *p = NULL;
}
