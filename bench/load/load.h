/* SPDX-License-Identifier: Apache-2.0 */
/* `tidewire bench`: many clients of one server in one small program, which measures the server
 * and checks every message.
 *
 * It shares no code with the server, so that a fault of one is not hidden by the same fault of
 * the other. One thread, one epoll; each message carries a mark (who sent it, its number, when),
 * and each client keeps the number it expects next of each sender: a lost, repeated or displaced
 * message is counted, and the run fails. The load is a closed loop: at most `window` messages
 * are on their way, and one is done when all who must have it have it.
 *
 * A dialect is a row in dialect.c, a scenario a function in scenario.c. */
#ifndef LOAD_LOAD_H
#define LOAD_LOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

enum { LOAD_STEPS_MAX = 4, LOAD_PIDS_MAX = 16, LOAD_MARK_BYTES = 33, LOAD_FLIGHTS = 8192 };

enum load_carry { CARRY_WS, CARRY_SSE, CARRY_POLL };
/* In texts %r is the room, %t the token. */
struct load_dialect {
    const char *name;
    enum load_carry carry;
    const char *path;
    struct {
        const char *say, *until; /* send (may be NULL), then wait for a frame that has this */
    } steps[LOAD_STEPS_MAX];
    const char *before, *after; /* what stands around a payload that is published */
    const char *feed;           /* dialect of those who publish; NULL: its own listeners do */
    const char *ping, *pong;    /* a frame that is answered */
    const char *places[2];      /* polls: where the answer says how to go on */
};
extern const struct load_dialect load_dialects[]; /* ended by a NULL name */
const struct load_dialect *load_dialect_find(const char *name);
/* The text with %r and %t filled in; bytes written. */
size_t load_expand(const char *text, unsigned room, const char *token, char *out, size_t size);

struct load_options {
    const char *label, *host, *token, *scenario;
    char port[8];
    const struct load_dialect *dialect;
    pid_t pids[LOAD_PIDS_MAX];
    size_t pids_count;
    unsigned rooms, members, window, bytes, stalled, rate, count;
    double seconds;
    bool all_send, deflate, json;
};

struct load;
enum conn_state { CONN_CLOSED, CONN_SHAKING, CONN_OPENING, CONN_READY };
struct conn {
    const struct load_dialect *dialect;
    int fd;
    uint8_t state, step;
    bool stalled;   /* no message has to reach it */
    bool is_paused; /* it does not read */
    bool is_feed, wants_out, has_head;
    uint32_t room, member;
    uint8_t *stash, *out;
    uint32_t stash_n, stash_capacity, out_n;
    uint32_t *next; /* of each sender in the room: the number that must come */
    uint32_t got, holes, gaps;
    uint64_t digest; /* of the order in which the room's messages came */
    char place[2][160];
};

struct flight {
    uint32_t id, left;
};
struct usage {
    uint64_t cpu_ns, softirq_ns, user_ticks, ticks, pss, anon, tcp_pages;
};

struct load {
    struct load_options o;
    int epoll;
    unsigned senders; /* in each room */
    struct conn *conns;
    unsigned conns_count, ready, failed;
    uint32_t *sent; /* of each sender of each room: numbers used */
    struct flight flights[LOAD_FLIGHTS];
    unsigned in_flight;
    uint32_t ids, turn; /* messages begun; whose turn it is to send */
    uint64_t deliveries, bytes_in, reads, lost, repeated, displaced, strange;
    uint64_t last_in_us;
    uint32_t latency[4096];
    bool counts;                                    /* latencies are kept */
    void (*on_ready)(struct load *, struct conn *); /* may be NULL */
    uint8_t *buffer;
    char filler[65536];
};

/* client.c */
bool conn_open(struct load *l, struct conn *c);
void conn_close(struct load *l, struct conn *c); /* by reset */
bool conn_say(struct load *l, struct conn *c, const void *text, size_t n);
/* Waits for events at most so long; handles them. */
void load_turn(struct load *l, int wait_ms);
void conn_pause(struct load *l, struct conn *c, bool pause);

/* flight.c */
/* Everything that came for c as one piece of text: finds the marks in it and counts. */
void load_take(struct load *l, struct conn *c, const uint8_t *text, size_t n);
/* Sends until the window is full. */
void load_pump(struct load *l);
/* Begins one message in its turn. */
void load_publish(struct load *l);
/* True when every message has reached everyone, false after 10 s of silence. */
bool load_drain(struct load *l);
double load_latency_ms(const struct load *l, double share);
uint64_t load_faults(const struct load *l);

/* server.c */
uint64_t load_now_us(void);
void usage_read(const struct load_options *o, struct usage *u);
bool load_need_files(unsigned count);

/* scenario.c */
int load_run(struct load *l);
#endif
