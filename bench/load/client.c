/* SPDX-License-Identifier: Apache-2.0 */
/* The clients: connecting, shaking hands, reading frames, events and answers. Input is read into
 * one buffer; only an incomplete end is kept with the connection. */
#include "load.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>
#include <zlib.h>

enum { BUFFER_BYTES = 4 << 20, EVENTS = 256, SOURCES = 200, HEAD_MAX = 1024 };

#ifndef IP_BIND_ADDRESS_NO_PORT
#define IP_BIND_ADDRESS_NO_PORT 24
#endif

static void watch(struct load *l, struct conn *c, int op)
{
    struct epoll_event e = {.events = (c->is_paused ? 0 : EPOLLIN) | (c->wants_out ? EPOLLOUT : 0),
                            .data.ptr = c};
    epoll_ctl(l->epoll, op, c->fd, &e);
}

static void fail(struct load *l, struct conn *c)
{
    if (c->state == CONN_READY)
        l->ready--;
    l->failed++;
    conn_close(l, c);
}

void conn_close(struct load *l, struct conn *c)
{
    struct linger reset = {1, 0};
    (void)l;
    if (c->fd > 0) {
        setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
        close(c->fd);
    }
    free(c->stash);
    free(c->out);
    c->stash = c->out = NULL;
    c->stash_n = c->stash_capacity = c->out_n = 0;
    c->fd = 0;
    c->state = CONN_CLOSED;
}

static bool put(struct load *l, struct conn *c, const void *bytes, size_t n)
{
    ssize_t done = c->out_n ? 0 : send(c->fd, bytes, n, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (done < 0 && errno != EAGAIN && errno != EINTR)
        return false;
    if (done < 0)
        done = 0;
    if ((size_t)done == n)
        return true;
    c->out = realloc(c->out, c->out_n + n - (size_t)done);
    memcpy(c->out + c->out_n, (const uint8_t *)bytes + done, n - (size_t)done);
    c->out_n += (uint32_t)(n - (size_t)done);
    c->wants_out = true;
    watch(l, c, EPOLL_CTL_MOD);
    return true;
}

/* A masked frame; the mask is zero, so that masking costs the client nothing. */
static size_t frame(uint8_t *out, uint8_t opcode, const void *text, size_t n)
{
    size_t at = 2;
    out[0] = 0x80 | opcode;
    if (n < 126) {
        out[1] = 0x80 | (uint8_t)n;
    } else {
        out[1] = 0x80 | 126;
        out[2] = (uint8_t)(n >> 8);
        out[3] = (uint8_t)n;
        at = 4;
    }
    memset(out + at, 0, 4);
    memcpy(out + at + 4, text, n);
    return at + 4 + n;
}

bool conn_say(struct load *l, struct conn *c, const void *text, size_t n)
{
    static uint8_t out[65536 + 16];
    return n < 65536 && put(l, c, out, frame(out, 1, text, n));
}

/* ---- opening ------------------------------------------------------------------------------- */

static bool send_head(struct load *l, struct conn *c)
{
    char path[HEAD_MAX], head[HEAD_MAX * 2];
    size_t n = load_expand(c->dialect->path, c->room, l->o.token, path, sizeof(path));
    int head_n;
    if (c->dialect->carry == CARRY_WS)
        head_n = snprintf(head, sizeof(head),
                          "GET %.*s HTTP/1.1\r\nHost: %s:%s\r\nConnection: Upgrade\r\n"
                          "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                          "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n%s\r\n",
                          (int)n, path, l->o.host, l->o.port,
                          l->o.deflate && !c->is_feed
                              ? "Sec-WebSocket-Extensions: permessage-deflate; "
                                "server_no_context_takeover; client_no_context_takeover\r\n"
                              : "");
    else if (c->dialect->carry == CARRY_SSE)
        head_n = snprintf(head, sizeof(head),
                          "GET %.*s HTTP/1.1\r\nHost: %s:%s\r\nAccept: text/event-stream\r\n\r\n",
                          (int)n, path, l->o.host, l->o.port);
    else if (c->dialect->places[1])
        head_n = snprintf(
            head, sizeof(head), "GET %.*s HTTP/1.1\r\nHost: %s:%s\r\n%s%s%s%s%s%s\r\n", (int)n,
            path, l->o.host, l->o.port, c->place[0][0] ? "If-Modified-Since: " : "", c->place[0],
            c->place[0][0] ? "\r\n" : "", c->place[1][0] ? "If-None-Match: " : "", c->place[1],
            c->place[1][0] ? "\r\n" : "");
    else
        head_n = snprintf(head, sizeof(head), "GET %.*s%s%s HTTP/1.1\r\nHost: %s:%s\r\n\r\n",
                          (int)n, path, c->place[0][0] ? "&cursor=" : "&timeout=1", c->place[0],
                          l->o.host, l->o.port);
    c->has_head = false;
    return put(l, c, head, (size_t)head_n);
}

static void become_ready(struct load *l, struct conn *c)
{
    if (c->state == CONN_READY)
        return;
    c->state = CONN_READY;
    l->ready++;
    if (l->on_ready)
        l->on_ready(l, c);
}

bool conn_open(struct load *l, struct conn *c)
{
    static unsigned source;
    int on = 1;
    struct sockaddr_in to = {.sin_family = AF_INET}, from = {.sin_family = AF_INET};
    inet_pton(AF_INET, l->o.host, &to.sin_addr);
    to.sin_port = htons((uint16_t)strtoul(l->o.port, NULL, 10));
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (c->fd < 0)
        return false;
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    if ((ntohl(to.sin_addr.s_addr) >> 24) == 127) { /* many addresses, so that ports suffice */
        setsockopt(c->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on));
        from.sin_addr.s_addr = htonl(0x7f000002u + source++ % SOURCES);
        if (bind(c->fd, (struct sockaddr *)&from, sizeof(from)) != 0)
            return false;
    }
    if (connect(c->fd, (struct sockaddr *)&to, sizeof(to)) != 0)
        return false;
    c->state = CONN_SHAKING;
    c->step = 0;
    watch(l, c, EPOLL_CTL_ADD);
    bool sent = send_head(l, c);
    /* A first poll of Nchan's is answered by the first message only. */
    if (sent && c->dialect->carry == CARRY_POLL && c->dialect->places[1])
        become_ready(l, c);
    return sent;
}

static void say_step(struct load *l, struct conn *c)
{
    char text[HEAD_MAX];
    const char *say = c->dialect->steps[c->step].say;
    if (c->step == LOAD_STEPS_MAX || !c->dialect->steps[c->step].until)
        become_ready(l, c);
    else if (say)
        conn_say(l, c, text, load_expand(say, c->room, l->o.token, text, sizeof(text)));
}

static void take_step(struct load *l, struct conn *c, const uint8_t *text, size_t n)
{
    const char *until = c->dialect->steps[c->step].until;
    if (memmem(text, n, "\"error\"", 7)) {
        if (!l->failed)
            fprintf(stderr, "bench: refused: %.*s\n", (int)n, (const char *)text);
        fail(l, c);
        return;
    }
    if (!until || !memmem(text, n, until, strlen(until)))
        return;
    c->step++;
    say_step(l, c);
}

/* ---- what comes ---------------------------------------------------------------------------- */

static void take_text(struct load *l, struct conn *c, const uint8_t *text, size_t n)
{
    const char *ping = c->dialect->ping;
    if (c->state == CONN_OPENING)
        take_step(l, c, text, n);
    else if (ping && n == strlen(ping) && memcmp(text, ping, n) == 0)
        conn_say(l, c, c->dialect->pong, strlen(c->dialect->pong));
    else
        load_take(l, c, text, n);
}

static size_t unpack(const uint8_t *bytes, size_t n, uint8_t *out, size_t size)
{
    static z_stream z;
    static bool is_ready;
    static const uint8_t end[4] = {0, 0, 0xff, 0xff};
    if (!is_ready)
        is_ready = inflateInit2(&z, -15) == Z_OK;
    inflateReset(&z);
    z.next_out = out;
    z.avail_out = (uInt)size;
    z.next_in = (uint8_t *)bytes;
    z.avail_in = (uInt)n;
    int r = inflate(&z, Z_SYNC_FLUSH);
    z.next_in = (uint8_t *)end;
    z.avail_in = 4;
    if (r == Z_OK)
        r = inflate(&z, Z_SYNC_FLUSH);
    return r == Z_OK || r == Z_BUF_ERROR ? size - z.avail_out : 0;
}

static void take_frame(struct load *l, struct conn *c, uint8_t head, const uint8_t *body, size_t n)
{
    static uint8_t plain[1 << 20];
    uint8_t out[160], opcode = head & 15;
    if (opcode == 8) {
        fail(l, c);
    } else if (opcode == 9 && n < 126) {
        put(l, c, out, frame(out, 10, body, n));
    } else if (opcode == 1 || opcode == 2) {
        if (head & 0x40) {
            n = unpack(body, n, plain, sizeof(plain));
            body = plain;
        }
        take_text(l, c, body, n);
    }
}

static size_t take_frames(struct load *l, struct conn *c, const uint8_t *p, size_t n)
{
    size_t at = 0;
    while (n - at >= 2 && c->state != CONN_CLOSED) {
        size_t head = 2, length = p[at + 1] & 127;
        if (length == 126) {
            head = 4;
            length = n - at < 4 ? 0 : (size_t)p[at + 2] << 8 | p[at + 3];
        } else if (length == 127) {
            head = 10;
            length = 0;
            for (size_t i = 2; i < 10 && n - at >= 10; i++)
                length = length << 8 | p[at + i];
        }
        if (n - at < head + length)
            break;
        take_frame(l, c, p[at], p + at + head, length);
        at += head + length;
    }
    return at;
}

/* An event stream: marks never lie across chunks, so the chunks need not be taken apart. */
static size_t take_events(struct load *l, struct conn *c, const uint8_t *p, size_t n)
{
    const uint8_t *last = memrchr(p, '\n', n);
    size_t whole = last ? (size_t)(last + 1 - p) : 0;
    if (whole)
        take_text(l, c, p, whole);
    return whole;
}

static bool find_place(const char *key, const uint8_t *p, size_t n, char *out, size_t size)
{
    const char *at = memmem(p, n, key, strlen(key));
    if (!at)
        return false;
    at += strlen(key);
    size_t length = 0;
    while (at + length < (const char *)p + n && at[length] != '"' && at[length] != '\r' &&
           length + 1 < size)
        length++;
    memcpy(out, at, length);
    out[length] = 0;
    return true;
}

/* A poll's answer: its place, its messages, and the next poll. */
static size_t take_answer(struct load *l, struct conn *c, const uint8_t *p, size_t n)
{
    const uint8_t *end = memmem(p, n, "\r\n\r\n", 4);
    char number[32];
    if (!end)
        return 0;
    size_t head = (size_t)(end + 4 - p);
    if (!find_place("Content-Length: ", p, head, number, sizeof(number)) &&
        !find_place("content-length: ", p, head, number, sizeof(number)))
        strcpy(number, "0");
    size_t whole = head + strtoull(number, NULL, 10);
    if (n < whole)
        return 0;
    for (int i = 0; i < 2 && c->dialect->places[i]; i++)
        find_place(c->dialect->places[i], p, whole, c->place[i], sizeof(c->place[i]));
    if (memcmp(p + 9, "200", 3) != 0 && memcmp(p + 9, "304", 3) != 0)
        l->strange++;
    send_head(l, c);
    if (c->state == CONN_READY)
        load_take(l, c, p + head, whole - head);
    else
        become_ready(l, c);
    return whole;
}

static size_t take_head(struct load *l, struct conn *c, const uint8_t *p, size_t n)
{
    const uint8_t *end = memmem(p, n, "\r\n\r\n", 4);
    if (!end)
        return 0;
    if (memcmp(p + 9, c->dialect->carry == CARRY_WS ? "101" : "200", 3) != 0) {
        if (!l->failed)
            fprintf(stderr, "bench: refused: %.*s\n", (int)n, (const char *)p);
        fail(l, c);
        return n;
    }
    c->has_head = true;
    c->state = CONN_OPENING;
    say_step(l, c);
    return (size_t)(end + 4 - p);
}

static size_t take(struct load *l, struct conn *c, const uint8_t *p, size_t n)
{
    size_t used = 0;
    if (c->dialect->carry == CARRY_POLL)
        return take_answer(l, c, p, n);
    if (c->state == CONN_SHAKING)
        used = take_head(l, c, p, n);
    if (c->state <= CONN_SHAKING)
        return used;
    return used + (c->dialect->carry == CARRY_WS ? take_frames(l, c, p + used, n - used)
                                                 : take_events(l, c, p + used, n - used));
}

static void keep(struct conn *c, const uint8_t *p, size_t n)
{
    if (n > c->stash_capacity) {
        c->stash = realloc(c->stash, n);
        c->stash_capacity = (uint32_t)n;
    }
    if (n)
        memcpy(c->stash, p, n);
    c->stash_n = (uint32_t)n;
}

static void on_readable(struct load *l, struct conn *c)
{
    size_t had = c->stash_n;
    if (had)
        memcpy(l->buffer, c->stash, had);
    ssize_t n = recv(c->fd, l->buffer + had, BUFFER_BYTES - had, MSG_DONTWAIT);
    if (n <= 0) {
        if (n == 0 || (errno != EAGAIN && errno != EINTR))
            fail(l, c);
        return;
    }
    l->reads++;
    l->bytes_in += (uint64_t)n;
    size_t used = take(l, c, l->buffer, had + (size_t)n);
    if (c->state != CONN_CLOSED)
        keep(c, l->buffer + used, had + (size_t)n - used);
}

static void on_writable(struct load *l, struct conn *c)
{
    ssize_t n = send(c->fd, c->out, c->out_n, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n <= 0)
        return;
    memmove(c->out, c->out + n, c->out_n - (size_t)n);
    c->out_n -= (uint32_t)n;
    c->wants_out = c->out_n > 0;
    watch(l, c, EPOLL_CTL_MOD);
}

void conn_pause(struct load *l, struct conn *c, bool pause)
{
    c->is_paused = pause;
    watch(l, c, EPOLL_CTL_MOD);
}

void load_turn(struct load *l, int wait_ms)
{
    struct epoll_event events[EVENTS];
    if (!l->buffer)
        l->buffer = malloc(BUFFER_BYTES);
    int n = epoll_wait(l->epoll, events, EVENTS, wait_ms);
    for (int i = 0; i < n; i++) {
        struct conn *c = events[i].data.ptr;
        if (c->state != CONN_CLOSED && (events[i].events & EPOLLOUT))
            on_writable(l, c);
        if (c->state != CONN_CLOSED && (events[i].events & ~(unsigned)EPOLLOUT))
            on_readable(l, c);
    }
}
