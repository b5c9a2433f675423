/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of this room share: the loop's own state and the steps of a turn. Each step
 * stands in the file of its noun; loop.c only puts them in order. */
#ifndef LOOP_LOOP_PRIV_H
#define LOOP_LOOP_PRIV_H

#include "loop/clock.h"
#include "loop/loop.h"
#include "loop/mailbox.h"
#include "loop/timer.h"
#include <pthread.h>
#include <stdatomic.h>
#include <uv.h>

enum {
    READ_BYTES = 65536,   /* one read of one connection and turn */
    STASH_SMALL = 32768,  /* unused input up to this is copied in front of the next read */
    RECORD_BYTES = 17408, /* a TLS record that OpenSSL may still hold when a read begins */
    RX_BYTES = STASH_SMALL + READ_BYTES + RECORD_BYTES,
    EVENTS_MAX = 512, /* readiness taken from the kernel at once */
    WHEEL_LEVELS = 5, /* 256^5 ms = 34 years */
    WHEEL_SLOTS = 256,
    SEGMENT_CLASSES = 3,
};

struct mailbox {
    pthread_mutex_t lock;
    struct mail *first, **last;         /* under lock: from other threads */
    atomic_size_t waiting;              /* mails in `first` */
    struct mail *own_first, **own_last; /* from the loop's own thread: needs no lock */
    atomic_size_t own_waiting;
};

struct wheel {
    uint64_t at; /* everything due up to here has run */
    struct list slots[WHEEL_LEVELS][WHEEL_SLOTS];
    uint64_t bits[WHEEL_LEVELS][WHEEL_SLOTS / 64]; /* slots that may hold something */
    struct list soon;                              /* due when they were set: the next run */
};

struct sock;
struct ring;
struct segment;
struct epoll_event;

struct flush {
    struct sock **dirty;
    size_t count, capacity;
    struct ring *ring; /* NULL = not to be had */
};

struct segment_pool {
    struct segment *free[SEGMENT_CLASSES];
    unsigned count[SEGMENT_CLASSES];
};

struct loop {
    struct loops *siblings;
    unsigned index;

    uv_loop_t uv;
    uv_poll_t poll; /* watches epoll_fd */
    uv_prepare_t prepare;
    uv_check_t check;
    uv_idle_t idle; /* on while work waits: the next poll must not sleep */
    uv_async_t async;
    uv_timer_t timer; /* the wheel's next deadline */
    uint64_t timer_ms;

    int epoll_fd;
    bool epoll_ready;
    struct epoll_event *events;
    int events_at, events_count;

    uint64_t now_ms;
    struct wheel wheel;
    struct mailbox box;
    struct list stages[TURN_STAGE_COUNT];
    struct arena turn;
    void *slots[LOOP_SLOT_COUNT];

    uint8_t *rx;     /* plain input, with room for a stash in front */
    uint8_t *cipher; /* TLS input */
    uint8_t *record; /* plain bytes gathered for one TLS record */
    struct list socks, readable, graveyard, listeners, connects;
    struct flush flush;
    struct segment_pool pool;
    int reserve_fd; /* given up for a moment when descriptors run out */

    uint8_t random[512];
    size_t random_left;
};

/* clock.c */
void clock_refresh(struct loop *l);

/* mailbox.c */
void mailbox_init(struct mailbox *b);
void mailbox_fini(struct mailbox *b);
/* Delivers what waits now; true when there was something. */
bool mailbox_deliver(struct loop *l);
bool mailbox_is_empty(struct mailbox *b);

/* timer.c */
void timer_wheel_init(struct wheel *w, uint64_t now_ms);
void timer_wheel_run(struct loop *l);
/* When to look again; UINT64_MAX = never. */
uint64_t timer_wheel_next(struct wheel *w);

/* sock.c */
void sock_run_readable(struct loop *l);
void sock_run_graveyard(struct loop *l);
void sock_abort_all(struct loop *l);

/* listen.c, connect.c */
void listen_close_all(struct loop *l);
void connect_cancel_all(struct loop *l);

/* segment.c */
void segment_pool_fini(struct loop *l);

/* flush.c */
void flush_begin(struct loop *l);
void flush_run(struct loop *l);
void flush_fini(struct loop *l);

/* loop.c */
void loop_enter(struct loop *l); /* makes it the calling thread's current loop */
void loop_leave(void);

#endif
