/* SPDX-License-Identifier: Apache-2.0 */
/* The server object, shared by the files of its life: server.c (parts, start, end), listeners.c,
 * drain.c, reload.c, state.c. Everything is touched on loop 0, or before and after the loops run;
 * what other loops must know goes to them by mail (server_each_loop).
 *
 *   NEW --server_open--> SERVING --drain_begin--> DRAINING --loops_stop--> STOPPED
 */
#ifndef SERVER_SERVER_PRIV_H
#define SERVER_SERVER_PRIV_H

#include "loop/door.h"
#include "loop/timer.h"
#include "loop/worker.h"
#include "server/assemble.h"
#include "server/embed_priv.h"

enum server_state { SERVER_NEW, SERVER_SERVING, SERVER_DRAINING, SERVER_STOPPED };

struct tw_request; /* tidewire.h */

/* What one loop knows of it; in LOOP_SLOT_SERVER. */
struct server_loop {
    struct tw_server *server;
    struct timer drain;
    uint64_t drain_began_ms, drain_spread_ms;
    size_t drain_told;
};

struct tw_server {
    enum server_state state;
    struct tw_config *source; /* to do it again on reload */
    struct config *boot;      /* what the rooms were built from; FIXED settings stay as here */
    struct config *live;      /* what was read last; RELOAD settings are as here */
    struct keyring *keys;
    struct rules *rules;

    struct door *door; /* for the program's threads; shut while it does not run */
    struct loops *loops;
    struct db *db;             /* NULL = none is configured */
    struct server_loop *homes; /* one per loop */
    struct http_server *http;
    struct http_server *operators; /* metrics.listen; NULL = none */
    struct dev_tokens *tokens;     /* `dev` alone */
    struct tls_context *tls;
    struct tally *addresses; /* connections of each */
    struct channel_settings *channels;
    struct hub_config hub;
    struct session_config session;
    struct realtime_config realtime;
    struct transport_config transport;
    struct api_config api;
    struct socketio_config socketio;
    struct socketio_namespace *namespaces;
    struct socketio_rules *events;
    const char *(*allow)(const struct tw_request *request, void *arg); /* embed_io.c */
    void *allow_arg;
    struct tw_io *ios; /* of the embedding program (embed_io.c) */
    struct socketio_handlers handlers;

    struct sock_listener **listeners;
    size_t listeners_count, listeners_capacity;
    char url[160];
    char operators_url[160];

    bool started;     /* by tw_server_start: has a thread of its own to be joined */
    bool has_signals; /* tw_server_run */
    void (*on_ready)(struct tw_server *s, void *arg);
    void *on_ready_arg;

    struct timer end_timer; /* loop 0 */
    uint64_t end_ms, spread_ms;
    struct timer watchdog;
    uint64_t watchdog_ms;
    struct worker_lane *lane; /* reads files for a reload */
    struct buf problem;
};

/* Runs fn on every loop, this one included, in a later phase. arg must outlive it, or fn frees
 * what is its own. */
void server_each_loop(struct tw_server *s, void (*fn)(struct loop *l, struct tw_server *s));
/* 0, or E_UNAVAILABLE with s->problem: somebody else has the address, or it is not ours. */
struct tw_server *server_of(struct loop *l);
int listeners_open(struct tw_server *s);
void listeners_close(struct tw_server *s);

/* On loop 0. Clients are told to come back, spread over the time; the loops stop when nobody is
 * left, or after drain_ms. A second call stops them at once. */
void drain_begin(struct tw_server *s, uint64_t drain_ms);
/* On loop 0. */
void reload_begin(struct tw_server *s);
/* On loop 0: the state of all loops to the log. */
void state_dump(struct tw_server *s);
void server_log_setup(const struct config *c);

/* notify.c: the service manager's socket ("READY=1"); without one nothing happens. */
void notify_send(const char *text);
/* Milliseconds between signs of life that it wants; 0 = none. */
uint64_t notify_watchdog_ms(void);
/* Listening descriptors that it handed over: the first one and their number. */
int notify_listen_fds(int *first);

#endif
