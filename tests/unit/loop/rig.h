/* SPDX-License-Identifier: Apache-2.0 */
/* A running set of loops on a thread of their own, with one echo listener per loop; the test's
 * thread plays the client with blocking sockets. */
#ifndef UNIT_LOOP_RIG_H
#define UNIT_LOOP_RIG_H

#include "test.h"
#include "base/mem.h"
#include "loop/loop.h"
#include "loop/mailbox.h"
#include "loop/sock.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct rig {
    struct loops *ls;
    pthread_t thread;
    bool running;
    unsigned port;
    struct sock_listener *listeners[8];
};

static void *rig_main(void *arg)
{
    loops_run(arg);
    return NULL;
}

/* Runs fn on the loop and waits until it has returned. */
struct rig_call {
    struct mail mail;
    void (*fn)(struct loop *l, void *arg);
    void *arg;
    sem_t done;
};

static void rig_deliver(struct loop *l, struct mail *mail)
{
    struct rig_call *c = LIST_OF(mail, struct rig_call, mail);
    c->fn(l, c->arg);
    sem_post(&c->done);
}

static __attribute__((unused)) void rig_on_loop(struct rig *r, unsigned index,
                                                void (*fn)(struct loop *l, void *arg), void *arg)
{
    struct rig_call c = {.mail.deliver = rig_deliver, .fn = fn, .arg = arg};
    sem_init(&c.done, 0, 0);
    loop_post(loops_at(r->ls, index), &c.mail);
    while (sem_wait(&c.done) != 0)
        ;
    sem_destroy(&c.done);
}

static void rig_begin(struct rig *r, unsigned count)
{
    memset(r, 0, sizeof(*r));
    r->ls = loops_new(count);
}

/* Listens on every loop; config.address is filled in. */
static __attribute__((unused)) void rig_listen(struct rig *r, struct sock_listen_config config)
{
    char address[64], err[200] = "";
    for (unsigned i = 0; i < loops_count(r->ls); i++) {
        snprintf(address, sizeof(address), "127.0.0.1:%u", r->port);
        config.address = str_from(address);
        r->listeners[i] = sock_listen(loops_at(r->ls, i), &config, err, sizeof(err));
        if (!r->listeners[i])
            printf("# %s\n", err);
        assert_non_null(r->listeners[i]);
        if (i == 0)
            r->port = sock_listener_port(r->listeners[0]);
    }
}

static void rig_run(struct rig *r)
{
    assert_int_equal(pthread_create(&r->thread, NULL, rig_main, r->ls), 0);
    r->running = true;
}

static void rig_join(struct rig *r)
{
    loops_stop(r->ls);
    pthread_join(r->thread, NULL);
    r->running = false;
}

static void rig_end(struct rig *r)
{
    if (r->running)
        rig_join(r);
    for (unsigned i = 0; i < 8; i++)
        sock_listener_close(&r->listeners[i]);
    loops_free(&r->ls);
}

/* ---- the client ---------------------------------------------------------------------- */

static __attribute__((unused)) int client_connect(unsigned port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((in_port_t)port)};
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int on = 1;
    struct timeval limit = {.tv_sec = 20};
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
    assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
    return fd;
}

static __attribute__((unused)) void client_send(int fd, const void *p, size_t n)
{
    const char *at = p;
    while (n > 0) {
        ssize_t sent = send(fd, at, n, MSG_NOSIGNAL);
        assert_true(sent > 0);
        at += sent;
        n -= (size_t)sent;
    }
}

/* Reads exactly n bytes, or fewer at the end; -1 on a reset. */
static __attribute__((unused)) ssize_t client_read(int fd, void *p, size_t n)
{
    size_t got = 0;
    while (got < n) {
        ssize_t r = recv(fd, (char *)p + got, n - got, 0);
        if (r < 0)
            return -1;
        if (r == 0)
            break;
        got += (size_t)r;
    }
    return (ssize_t)got;
}

static __attribute__((unused)) void client_reset(int fd)
{
    struct linger now = {.l_onoff = 1, .l_linger = 0};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
    close(fd);
}

#endif
