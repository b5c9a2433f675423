/* SPDX-License-Identifier: Apache-2.0 */
/* The clients of world.h. Nothing here knows what carries the bytes: the simulated network
 * (sim_net.c) or real sockets (tests/fault/io_test.c). */
#include "world.h"

#include "base/buf.h"
#include "base/check.h"
#include "base/mem.h"
#include "base/num.h"

#include <stdio.h>
#include <stdlib.h>

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
    bool is_gone;
    size_t losses;
    char session[64]; /* WebSocket: name.ticket */
    char cursor[600]; /* SSE: Last-Event-ID; poll: cursor */
    char id[600];     /* SSE: of the event being read */
    char name[32];
    unsigned number;
    unsigned here[CLIENT_NUMBERS]; /* metas of each */
    struct buf text;               /* SSE: chunks put together */
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
    c->number = ++number % CLIENT_NUMBERS;
    snprintf(c->name, sizeof(c->name), "%s-%u", kinds[kind], number % 1000);
    return c;
}

static bool is_ws(const struct client *c)
{
    return c->kind == CLIENT_WS || c->kind == CLIENT_WS_PROXIED;
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
    c->losses++;
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

/* Entries of a presence frame from `name` on, up to the end of its array. */
static void hear_entries(struct client *c, struct str json, const char *name, int sign)
{
    char key[20];
    snprintf(key, sizeof(key), "\"%s\":[", name);
    ptrdiff_t at = str_find_str(json, str_from(key));
    struct str rest = at < 0 ? STR_NONE : str_skip(json, (size_t)at + strlen(key));
    while (str_starts(rest, STR("{\"key\":\"w"))) {
        unsigned number = (unsigned)strtoul(rest.p + 9, NULL, 10);
        ptrdiff_t end = str_find_str(rest, STR("]}"));
        struct str metas = str_head(rest, (size_t)end);
        CHECK(number < CLIENT_NUMBERS && end > 0);
        for (ptrdiff_t i; (i = str_find_str(metas, STR("{\"i\":"))) >= 0;) {
            CHECK(sign > 0 || c->here[number] > 0); /* nobody leaves who was not here */
            c->here[number] += (unsigned)sign;
            metas = str_skip(metas, (size_t)i + 5);
        }
        rest = str_skip(rest, (size_t)end + 2);
        if (str_starts(rest, STR(",")))
            rest = str_skip(rest, 1);
    }
}

static void hear_presence(struct client *c, struct str json)
{
    if (str_find_str(json, STR("\"state\":[")) >= 0)
        memset(c->here, 0, sizeof(c->here));
    hear_entries(c, json, "state", 1);
    hear_entries(c, json, "leaves", -1);
    hear_entries(c, json, "joins", 1);
}

bool client_is_present(const struct client *c)
{
    return is_ws(c) && !c->is_gone;
}

void client_leave(struct client *c)
{
    client_give_up(c);
    c->is_gone = true;
}

size_t client_losses(const struct client *c)
{
    return c->losses;
}

bool client_is_gone(const struct client *c)
{
    return c->is_gone;
}

unsigned client_number(const struct client *c)
{
    return c->number;
}

bool client_sees(const struct client *c, const bool *numbers)
{
    for (unsigned i = 0; i < CLIENT_NUMBERS; i++)
        if ((c->here[i] > 0) != numbers[i])
            return false;
    return true;
}

static void hear_gap(struct client *c, struct str channel, uint64_t to)
{
    struct heard *h = &c->heard[channel.p[1] - '0'];
    h->gaps++;
    if (to > h->last || h->is_new)
        h->last = to;
    h->is_new = false;
}

static void send_wishes(struct client *c);

/* A frame of the dialect, from WebSocket or poll. */
static void on_frame(struct client *c, struct str json)
{
    if (getenv("TRACE"))
        printf("%llu %s %.*s\n", (unsigned long long)sim_now_ms(), c->name, STR_ARG(json));
    struct str type = field_text(json, "type");
    struct str channel = field_text(json, "channel");
    if (str_is(type, "message")) {
        hear(c, channel, field_u64(json, "offset"));
    } else if (str_is(type, "presence")) {
        hear_presence(c, json);
    } else if (str_is(type, "error")) { /* no memory just now: once more */
        CHECK(field_u64(json, "code") == 4507 || field_u64(json, "code") == 4428);
        if (is_ws(c))
            send_wishes(c);
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

static void send_text(struct sim_peer *peer, const char *text)
{
    size_t n = strlen(text);
    uint8_t head[8] = {0x81, (uint8_t)(0x80 | (n < 126 ? n : 126))};
    CHECK(n < 65536);
    if (n >= 126) {
        head[2] = (uint8_t)(n >> 8);
        head[3] = (uint8_t)n;
    }
    sim_peer_send(peer, head, n < 126 ? 6 : 8);
    sim_peer_send(peer, text, n);
}

static void send_ws_text(struct client *c, const char *text)
{
    send_text(c->peer, text);
}

/* What it wants on each connection; saying it again is no harm. */
static void send_wishes(struct client *c)
{
    char text[200];
    snprintf(text, sizeof(text), "{\"type\":\"subscribe\",\"channel\":\"c%u\",\"presence\":true}",
             c->first);
    send_ws_text(c, text);
    snprintf(text, sizeof(text),
             "{\"type\":\"track\",\"channel\":\"c%u\",\"key\":\"w%u\",\"meta\":{\"i\":%u}}",
             c->first, c->number, c->number);
    send_ws_text(c, text);
}

static bool is_no_memory(struct str in)
{
    return str_starts(in, STR("HTTP/1.1 503")) || str_starts(in, STR("HTTP/1.1 429"));
}

/* False also when it was refused: the peer is gone then. */
static bool read_head(struct client *c)
{
    struct str in = sim_peer_input(c->peer);
    ptrdiff_t end = str_find_str(in, STR("\r\n\r\n"));
    if (end < 0)
        return false;
    if (is_no_memory(in)) {
        client_give_up(c);
        return false;
    }
    CHECK(str_starts(in, STR("HTTP/1.1 101")) || str_starts(in, STR("HTTP/1.1 200")));
    sim_peer_consume(c->peer, (size_t)end + 4);
    return true;
}

/* The next text frame; empty when there is none. Consumes it with the next call. */
static struct str next_frame(struct sim_peer *peer, size_t *size)
{
    for (;;) {
        struct str in = sim_peer_input(peer);
        const uint8_t *p = (const uint8_t *)in.p;
        size_t head = in.n >= 2 && (p[1] & 127) == 126 ? 4 : 2;
        if (in.n < head)
            return STR_NONE;
        size_t n = head == 4 ? (size_t)p[2] << 8 | p[3] : p[1] & 127;
        if (in.n < head + n)
            return STR_NONE;
        *size = head + n;
        if ((p[0] & 15) == 1)
            return str_of(in.p + head, n);
        if ((p[0] & 15) == 8) { /* answered, and that was all */
            uint8_t end[6] = {0x88, 0x80};
            sim_peer_send(peer, end, sizeof(end));
            sim_peer_close(peer);
        }
        if ((p[0] & 15) == 9 && n < 126) { /* its payload comes back */
            uint8_t pong[6 + 125] = {0x8a, (uint8_t)(0x80 | n)};
            memcpy(pong + 6, in.p + head, n);
            sim_peer_send(peer, pong, 6 + n);
        }
        sim_peer_consume(peer, head + n);
    }
}

static void step_ws(struct client *c)
{
    if (!c->is_open && !(c->is_open = read_head(c)))
        return;
    size_t size;
    for (struct str json; c->peer && (json = next_frame(c->peer, &size)).n;) {
        on_frame(c, json);
        sim_peer_consume(c->peer, size);
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

/* Its memory is not the server's. */
static void add_text(struct client *c, struct str s)
{
    if (c->text.n + s.n > c->text.capacity) {
        c->text.capacity = (c->text.n + s.n) * 2;
        c->text.p = mem_resize(c->text.p, c->text.capacity);
    }
    if (s.n)
        memcpy(c->text.p + c->text.n, s.p, s.n);
    c->text.n += s.n;
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
        add_text(c, str_of(in.p + head, n));
        sim_peer_consume(c->peer, head + n + 2);
    }
    read_events(c);
}

static void send_poll(struct client *c)
{
    char head[900];
    snprintf(head, sizeof(head),
             "GET /api/poll?channel=c%u&cursor=%s HTTP/1.1\r\nHost: localhost\r\n\r\n", c->first,
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
    if (is_no_memory(in)) {
        client_give_up(c);
        return;
    }
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
    c->peer = sim_dial(c->ls, WORLD_ADDRESS);
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
        send_wishes(c);
        break;
    case CLIENT_SSE:
    case CLIENT_SSE_MULTI:
        snprintf(head, sizeof(head), "GET /api/events?%s HTTP/1.1\r\nHost: localhost\r\n%s%s%s\r\n",
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
    if (!c->peer && !c->is_gone && sim_now_ms() >= c->retry_ms)
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
    if (c->peer && sim_peer_is_closed(c->peer))
        client_give_up(c);
}

/* ---- publisher
 * -------------------------------------------------------------------------------------- */

struct publisher {
    struct loops *ls;
    unsigned channel;
    struct sim_peer *peer;
    uint64_t next, wrong, sent_ms, retry_ms;
    size_t losses;
    bool on_ws, is_open, is_waiting;
    char token[200];
};

struct publisher *publisher_new(struct loops *ls, unsigned channel, bool on_ws)
{
    struct publisher *p = mem_new(sizeof(*p));
    struct buf token = {0};
    char claims[40];
    p->ls = ls;
    p->channel = channel;
    p->next = 1;
    p->on_ws = on_ws;
    snprintf(claims, sizeof(claims), "{\"sub\":\"publisher-%u\"}", channel);
    CHECK(world_mint(str_from(claims), &token) && token.n < sizeof(p->token));
    memcpy(p->token, token.p, token.n);
    buf_free(&token);
    return p;
}

static void dial(struct publisher *p)
{
    char head[600];
    p->peer = sim_dial(p->ls, WORLD_ADDRESS);
    p->is_open = !p->on_ws;
    if (!p->on_ws)
        return;
    snprintf(
        head, sizeof(head),
        "GET /socket?session=none&token=%s HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
        "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        p->token);
    sim_peer_send(p->peer, head, strlen(head));
}

static void send_publish(struct publisher *p)
{
    char body[200], head[400];
    snprintf(body, sizeof(body),
             "{%s\"channel\":\"c%u\",\"content\":{\"n\":%llu,\"c\":%u},\"id\":\"p%llu\"}",
             p->on_ws ? "\"type\":\"message\"," : "", p->channel, (unsigned long long)p->next,
             p->channel, (unsigned long long)p->next);
    if (!p->peer)
        dial(p);
    if (p->on_ws) {
        send_text(p->peer, body);
    } else {
        snprintf(head, sizeof(head),
                 "POST /api/publish HTTP/1.1\r\nHost: localhost\r\nContent-Length: %zu\r\n\r\n",
                 strlen(body));
        sim_peer_send(p->peer, head, strlen(head));
        sim_peer_send(p->peer, body, strlen(body));
    }
    p->is_waiting = true;
    p->sent_ms = sim_now_ms();
}

static void on_acked(struct publisher *p, struct str json)
{
    p->wrong += field_u64(json, "offset") != p->next;
    if (getenv("TRACE"))
        printf("%llu publisher-%u %.*s\n", (unsigned long long)sim_now_ms(), p->channel,
               STR_ARG(json));
    p->next++;
    p->is_waiting = false;
}

/* Refused or lost: the same id again, in a while. Once, whatever happened to the first. */
static void begin_again(struct publisher *p)
{
    if (p->peer)
        sim_peer_free(&p->peer);
    p->retry_ms = sim_now_ms() + 30;
    p->losses++;
}

static void step_post(struct publisher *p)
{
    struct str in = sim_peer_input(p->peer);
    ptrdiff_t end = str_find_str(in, STR("\r\n\r\n"));
    if (end < 0)
        return;
    ptrdiff_t at = str_find_str(in, STR("Content-Length: "));
    size_t n = strtoul(in.p + at + 16, NULL, 10), head = (size_t)end + 4;
    if (in.n < head + n)
        return;
    if (is_no_memory(in)) {
        begin_again(p);
        return;
    }
    CHECK(str_starts(in, STR("HTTP/1.1 200")));
    on_acked(p, str_of(in.p + head, n));
    sim_peer_consume(p->peer, head + n);
}

static void step_socket(struct publisher *p)
{
    size_t size;
    if (!p->is_open) {
        struct str in = sim_peer_input(p->peer);
        ptrdiff_t end = str_find_str(in, STR("\r\n\r\n"));
        if (end < 0)
            return;
        if (is_no_memory(in)) {
            begin_again(p);
            return;
        }
        CHECK(str_starts(in, STR("HTTP/1.1 101")));
        sim_peer_consume(p->peer, (size_t)end + 4);
        p->is_open = true;
    }
    for (struct str json; (json = next_frame(p->peer, &size)).n; sim_peer_consume(p->peer, size)) {
        struct str type = field_text(json, "type");
        if (str_is(type, "ack") && p->is_waiting)
            on_acked(p, json);
        else if (str_is(type, "error")) {
            CHECK(field_u64(json, "code") == 4507 || field_u64(json, "code") == 4428);
            begin_again(p);
            return;
        }
    }
}

void publisher_step(struct publisher *p, bool may_begin)
{
    if (p->peer &&
        (sim_peer_is_closed(p->peer) || (p->is_waiting && sim_now_ms() > p->sent_ms + 3000)))
        begin_again(p);
    if (p->is_waiting && !p->peer && sim_now_ms() >= p->retry_ms)
        send_publish(p);
    else if (!p->is_waiting && may_begin)
        send_publish(p);
    if (!p->peer)
        return;
    if (p->on_ws)
        step_socket(p);
    else
        step_post(p);
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

size_t publisher_losses(const struct publisher *p)
{
    return p->losses;
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
