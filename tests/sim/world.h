/* SPDX-License-Identifier: Apache-2.0 */
/* A whole Tidewire in the simulator, and clients of each plain dialect that reconnect as real
 * ones do, also when they are refused for want of memory. Scenarios (main.c) drive them and ask
 * at the end whether each saw every message. */
#ifndef SIM_WORLD_H
#define SIM_WORLD_H

#include "sim.h"

#include "base/buf.h"

enum { WORLD_CHANNELS = 3 };
#define WORLD_ADDRESS "sim:1"

struct world_config {
    unsigned loops;
    size_t history_count; /* per channel */
};
struct loops *world_new(const struct world_config *config);
void world_free(struct loops **ls);
bool world_mint(struct str claims, struct buf *out);

/* A WebSocket behind a proxy: what the kernel acknowledged says nothing, messages may come again.
 */
enum client_kind {
    CLIENT_WS,
    CLIENT_WS_PROXIED,
    CLIENT_SSE,
    CLIENT_SSE_MULTI,
    CLIENT_POLL,
    CLIENT_KINDS
};
/* What a client has of one channel. */
struct heard {
    bool has_begun;
    bool is_new;   /* subscribed, nothing heard yet: what was missed may still come */
    uint64_t last; /* offset */
    size_t count, gaps, twice, holes;
};
struct client;
struct client *client_new(struct loops *ls, enum client_kind kind, unsigned channel);
/* Does it see exactly these numbers present? WebSocket clients track "w<number>" in their channel
 * and watch who comes and goes. */
bool client_sees(const struct client *c, const bool *numbers);
unsigned client_number(const struct client *c); /* below CLIENT_NUMBERS */
bool client_is_present(const struct client *c); /* of a kind that tracks, and not gone */
void client_leave(struct client *c);            /* for good, without a word */
bool client_is_gone(const struct client *c);
size_t client_losses(const struct client *c); /* connections that ended, refusals among them */
enum { CLIENT_NUMBERS = 64 };
/* Reads what has come, reconnects when it must; call often. */
void client_step(struct client *c);
struct sim_peer *client_peer(struct client *c); /* NULL while disconnected */
/* It answers no ping for long: who names no position may get messages again. */
void client_falls_silent(struct client *c);
/* The application notices that the connection is dead. */
void client_give_up(struct client *c);
const struct heard *client_heard(const struct client *c, unsigned channel);
bool client_listens(const struct client *c, unsigned channel);
const char *client_name(const struct client *c);
void client_free(struct client **c);

/* Publishes {"n":i} with an id, over and over until it is told the offset; by POST, or on a
 * WebSocket as a user of its own. */
struct publisher;
struct publisher *publisher_new(struct loops *ls, unsigned channel, bool on_ws);
void publisher_step(struct publisher *p, bool may_begin);
struct sim_peer *publisher_peer(struct publisher *p);
uint64_t publisher_done(const struct publisher *p);  /* acknowledged */
uint64_t publisher_wrong(const struct publisher *p); /* acknowledged with an unexpected offset */
size_t publisher_losses(const struct publisher *p);
bool publisher_is_idle(const struct publisher *p);
void publisher_free(struct publisher **p);

#endif
