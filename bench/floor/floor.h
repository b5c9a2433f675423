/* SPDX-License-Identifier: Apache-2.0 */
/* What a WebSocket server costs at least: accept, read, find the room, send. No checks, no state
 * worth the name, one constant handshake (the load generator always sends the same key). Each
 * floor is this file and two functions of its own: on_message and on_turn_end. */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { ROOMS = 4096, FDS = 65536, BUFFER = 1 << 20 };

struct room {
    int *members;
    unsigned count, capacity;
    uint8_t *tick; /* what was said in this turn (coalescing floors) */
    size_t tick_n;
    int is_dirty;
};
static struct room rooms[ROOMS];
static int room_of[FDS], place_of[FDS]; /* room + 1; 0 = the handshake is not done */

static void on_message(struct room *r, const uint8_t *frame, size_t n);
static void on_turn_end(void);

/* A reader that is too slow stops the whole floor: it is no server. */
static inline void send_all(int fd, const uint8_t *p, size_t n)
{
    while (n > 0) {
        ssize_t done = send(fd, p, n, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (done < 0 && errno != EAGAIN)
            return;
        if (done < 0)
            poll(&(struct pollfd){fd, POLLOUT, 0}, 1, 1000);
        p += done > 0 ? done : 0;
        n -= done > 0 ? (size_t)done : 0;
    }
}

static void leave(int fd)
{
    if (room_of[fd]) {
        struct room *r = &rooms[room_of[fd] - 1];
        int last = r->members[--r->count];
        r->members[place_of[fd]] = last;
        place_of[last] = place_of[fd];
    }
    room_of[fd] = 0;
    close(fd);
}

static void shake(int fd, const char *text, size_t n)
{
    static const char answer[] = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                                 "Connection: Upgrade\r\n"
                                 "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";
    const char *at = memmem(text, n, "/room/", 6);
    unsigned room = at ? (unsigned)strtoul(at + 6, NULL, 10) % ROOMS : 0;
    struct room *r = &rooms[room];
    if (r->count == r->capacity) {
        r->capacity = r->capacity ? r->capacity * 2 : 8;
        r->members = realloc(r->members, r->capacity * sizeof(int));
    }
    room_of[fd] = (int)room + 1;
    place_of[fd] = (int)r->count;
    r->members[r->count++] = fd;
    send_all(fd, (const uint8_t *)answer, sizeof(answer) - 1);
}

/* Whole frames only: what the load generator sends fits in one read. */
static void take_frames(int fd, uint8_t *p, size_t n)
{
    static uint8_t out[BUFFER];
    size_t at = 0;
    while (n - at >= 6) {
        size_t head = 2, length = p[at + 1] & 127;
        if (length == 126) {
            head = 4;
            length = (size_t)p[at + 2] << 8 | p[at + 3];
        }
        if (n - at < head + 4 + length)
            break;
        const uint8_t *mask = p + at + head, *body = mask + 4;
        memcpy(out, p + at, head);
        out[1] &= 127;
        for (size_t i = 0; i < length; i++)
            out[head + i] = body[i] ^ mask[i & 3];
        if ((out[0] & 15) == 1)
            on_message(&rooms[room_of[fd] - 1], out, head + length);
        at += head + 4 + length;
    }
}

static void on_readable(int fd)
{
    static uint8_t in[BUFFER];
    ssize_t n = recv(fd, in, sizeof(in), MSG_DONTWAIT);
    if (n == 0 || (n < 0 && errno != EAGAIN))
        leave(fd);
    else if (n > 0 && !room_of[fd])
        shake(fd, (const char *)in, (size_t)n);
    else if (n > 0)
        take_frames(fd, in, (size_t)n);
}

static void accept_all(int listener, int epoll)
{
    int on = 1, fd;
    while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0) {
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
        struct epoll_event e = {.events = EPOLLIN, .data.fd = fd};
        epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &e);
    }
}

static int floor_run(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t a_n = sizeof(a);
    struct epoll_event events[512];
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    if (bind(listener, (struct sockaddr *)&a, sizeof(a)) != 0 || listen(listener, 4096) != 0)
        return 1;
    getsockname(listener, (struct sockaddr *)&a, &a_n);
    printf("http://127.0.0.1:%d\n", ntohs(a.sin_port));
    fflush(stdout);
    struct epoll_event e = {.events = EPOLLIN, .data.fd = listener};
    epoll_ctl(epoll, EPOLL_CTL_ADD, listener, &e);
    for (;;) {
        int n = epoll_wait(epoll, events, 512, -1);
        for (int i = 0; i < n; i++) {
            if (events[i].data.fd == listener)
                accept_all(listener, epoll);
            else
                on_readable(events[i].data.fd);
        }
        on_turn_end();
    }
}
