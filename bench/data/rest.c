/* SPDX-License-Identifier: Apache-2.0 */
/* Requests of the data API over keep-alive connections, each sent when the one before is answered:
 *
 *   rest PORT KEY insert|bulk|read CONNECTIONS SECONDS
 *
 * One line of JSON: answers (and rows) a second, the time of an answer, answers that were not as
 * they must be. It shares no code with the server. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    CONNS_MAX = 1024,
    BULK_ROWS = 100,
    REQUEST_MAX = 65536,
    ANSWER_MAX = 65536,
    TIMES = 1 << 21
};

struct conn {
    int fd;
    uint64_t sent_ns;
    size_t got;
    char answer[ANSWER_MAX];
};

static struct conn conns[CONNS_MAX];
static uint32_t times[TIMES]; /* microseconds */
static size_t answers, faults;
static char request[REQUEST_MAX];
static size_t request_n;
static const char *expected;

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

static size_t make_body(char *body, size_t size, int rows)
{
    size_t n = 0;
    n += (size_t)snprintf(body, size, rows > 1 ? "[" : "");
    for (int i = 0; i < rows; i++)
        n += (size_t)snprintf(
            body + n, size - n,
            "%s{\"room_id\":\"room-%d\",\"content\":\"hello, how are you today?\"}", i ? "," : "",
            i % 10);
    n += (size_t)snprintf(body + n, size - n, rows > 1 ? "]" : "");
    return n;
}

static void make_request(const char *mode, const char *key)
{
    static char body[REQUEST_MAX / 2];
    size_t n;
    if (strcmp(mode, "read") == 0) {
        request_n = (size_t)snprintf(request, sizeof request,
                                     "GET /rest/v1/messages?select=id,content&room_id=eq.room-1"
                                     "&order=id.desc&limit=20 HTTP/1.1\r\nHost: x\r\n"
                                     "apikey: %s\r\n\r\n",
                                     key);
        expected = "HTTP/1.1 200";
        return;
    }
    n = make_body(body, sizeof body, strcmp(mode, "bulk") == 0 ? BULK_ROWS : 1);
    request_n = (size_t)snprintf(request, sizeof request,
                                 "POST /rest/v1/messages HTTP/1.1\r\nHost: x\r\napikey: %s\r\n"
                                 "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
                                 key, n, body);
    expected = "HTTP/1.1 201";
}

static bool ask(struct conn *c)
{
    c->got = 0;
    c->sent_ns = now_ns();
    return send(c->fd, request, request_n, MSG_NOSIGNAL) == (ssize_t)request_n;
}

static bool open_conn(struct conn *c, int port, int epoll)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = c};
    int on = 1;
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    c->fd = socket(AF_INET, SOCK_STREAM, 0);
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return connect(c->fd, (struct sockaddr *)&to, sizeof to) == 0 &&
           epoll_ctl(epoll, EPOLL_CTL_ADD, c->fd, &e) == 0 && ask(c);
}

/* Whole by its Content-Length; an answer without a body has none. */
static bool is_whole(struct conn *c)
{
    char *end, *length;
    c->answer[c->got] = 0;
    end = strstr(c->answer, "\r\n\r\n");
    if (!end)
        return false;
    length = strcasestr(c->answer, "\r\ncontent-length:");
    return c->got >= (size_t)(end + 4 - c->answer) +
                         (length && length < end ? strtoul(length + 17, NULL, 10) : 0);
}

static bool take(struct conn *c)
{
    ssize_t n = recv(c->fd, c->answer + c->got, sizeof c->answer - 1 - c->got, MSG_DONTWAIT);
    if (n <= 0)
        return n < 0;
    c->got += (size_t)n;
    if (!is_whole(c))
        return true;
    if (strncmp(c->answer, expected, strlen(expected)) != 0 && !faults++)
        fprintf(stderr, "%.300s\n", c->answer);
    times[answers++ % TIMES] = (uint32_t)((now_ns() - c->sent_ns) / 1000);
    return ask(c);
}

static int by_size(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

static void print_line(const char *mode, int count, double seconds)
{
    size_t n = answers < TIMES ? answers : TIMES;
    double rows = strcmp(mode, "bulk") == 0 ? BULK_ROWS : 1;
    qsort(times, n, sizeof *times, by_size);
    printf("{\"mode\":\"%s\",\"connections\":%d,\"per_second\":%.0f,\"rows_per_second\":%.0f,"
           "\"p50_ms\":%.2f,\"p99_ms\":%.2f,\"faults\":%zu}\n",
           mode, count, (double)answers / seconds, rows * (double)answers / seconds,
           n ? times[n / 2] / 1e3 : 0, n ? times[n * 99 / 100] / 1e3 : 0, faults);
}

int main(int argc, char **argv)
{
    struct epoll_event events[256];
    int epoll = epoll_create1(0), count = argc > 5 ? atoi(argv[4]) : 0;
    uint64_t began, until;
    if (count < 1 || count > CONNS_MAX) {
        fprintf(stderr, "rest PORT KEY insert|bulk|read CONNECTIONS SECONDS\n");
        return 2;
    }
    make_request(argv[3], argv[2]);
    began = now_ns();
    until = began + (uint64_t)(atof(argv[5]) * 1e9);
    for (int i = 0; i < count; i++)
        if (!open_conn(&conns[i], atoi(argv[1]), epoll))
            return 1;
    while (now_ns() < until) {
        int n = epoll_wait(epoll, events, 256, 100);
        for (int i = 0; i < n; i++)
            if (!take(events[i].data.ptr))
                return 1;
    }
    print_line(argv[3], count, (double)(now_ns() - began) / 1e9);
    return faults ? 1 : 0;
}
