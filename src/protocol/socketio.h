/* SPDX-License-Identifier: Apache-2.0 */
/* Socket.IO 5 on the server's side: sockets (a client in a namespace), rooms, events, acks,
 * recovery. What the program wants done with them comes from outside: event rules of the
 * configuration (socketio_rules.c) and the embedder's handlers (struct socketio_handlers, filled
 * by server); both use the calls below.
 *
 *   CONNECT --token, roles--> (recovery) --middleware--> session opened, namespace's channel
 *   subscribed --> CONNECT reply --> connected() --> event()... --> disconnected()
 *
 * A room is a channel: "room" in the main namespace, "/ns#room" elsewhere; all sockets of a
 * namespace are in "/ns#" ("/#"). Joins and emits made here are the server's own word: the
 * channel rules ask clients, not us. All calls are for the loop of the socket, unless they say
 * otherwise. */
#ifndef PROTOCOL_SOCKETIO_H
#define PROTOCOL_SOCKETIO_H

#include "session/session.h"
#include "wire/socketio.h"

struct socketio_socket;
struct socketio_rules;

struct socketio_namespace {
    struct str match;        /* name, or a pattern with * or ? */
    const struct str *roles; /* who may connect; none = everybody */
    size_t roles_count;
    bool own_auth; /* the middleware looks at the token; a bad one is no reason to refuse here */
};

struct socketio_event {
    struct str name;
    struct str args; /* the JSON array of all arguments; placeholders stand for bytes */
    const struct jsonscan_value *list;
    size_t count;
    struct str attachments;          /* packed (wire/attachments.h) */
    struct str ack;                  /* digits; empty: no answer is wanted */
    struct socketio_content content; /* the arguments as a message's content */
};

struct socketio_handlers {
    void *arg;
    /* Does the program want to know of this namespace? */
    bool (*serves)(void *arg, struct str nsp);
    /* Must end in socketio_admit or socketio_refuse with the socket's number, now or later. */
    void (*middleware)(void *arg, struct socketio_socket *s, uint64_t number);
    void (*connected)(void *arg, struct socketio_socket *s);
    /* False: the program has no handler for it. */
    bool (*event)(void *arg, struct socketio_socket *s, const struct socketio_event *ev);
    void (*disconnected)(void *arg, struct socketio_socket *s, const char *reason);
    /* The socket's record goes: free what socketio_set_data gave. */
    void (*freed)(void *arg, void *data);
};

struct socketio_config {
    uint64_t recovery_ms; /* 0 = off */
    bool recovery_skips_middlewares;
    bool keeps_handshake; /* of each connection, for the handlers */
    size_t attachments_bytes_max;
    const struct socketio_namespace *namespaces; /* besides the main one */
    size_t namespaces_count;
    bool main_own_auth;
    struct socketio_rules *rules;             /* NULL: none */
    const struct socketio_handlers *handlers; /* NULL: none */
};
void socketio_setup(struct loops *ls, const struct socketio_config *config);
void socketio_teardown(struct loops *ls);

/* ---- one socket ----------------------------------------------------------------------------- */
struct str socketio_sid(const struct socketio_socket *s, char out[21]);
struct str socketio_nsp(const struct socketio_socket *s);
struct loop *socketio_loop(const struct socketio_socket *s);
struct identity *socketio_identity(const struct socketio_socket *s);
struct session *socketio_session(const struct socketio_socket *s);
bool socketio_is_connected(const struct socketio_socket *s);
/* Is it in that room, or is that its own id? */
bool socketio_is_in_room(const struct socketio_socket *s, struct str room_or_sid);
bool socketio_is_recovered(const struct socketio_socket *s);
struct str socketio_auth_payload(const struct socketio_socket *s); /* raw JSON; in the middleware */
/* The request of the connection: "address", "url", "headers" (lines), "secure", "time". */
struct str socketio_handshake(const struct socketio_socket *s, const char *what);
void *socketio_data(const struct socketio_socket *s);
void socketio_set_data(struct socketio_socket *s, void *data);
/* By sid, on this loop; also one that waits for its client. NULL: none. */
struct socketio_socket *socketio_find(struct loop *l, struct str sid);
/* Each socket of this loop, also those that wait for their clients; all namespaces. */
void socketio_each(struct loop *l, void (*fn)(void *arg, struct socketio_socket *s), void *arg);
/* Walks over the loops. With a sid: fn runs once, with that socket on its loop, or with NULL when
 * there is none. Without: it runs on each loop in turn, with NULL, the last time with is_last. The
 * last call owns the errand. Post what this returns to any loop. */
struct socketio_errand {
    struct mail mail;
    void (*fn)(struct loop *l, struct socketio_socket *s, struct socketio_errand *e, bool is_last);
    unsigned visited;
    char sid[20];
};
struct mail *socketio_errand(struct socketio_errand *e, struct str sid);
/* A middleware's word, on that loop. Nothing happens when the socket has gone meanwhile.
 * data: raw JSON or empty. */
void socketio_admit(struct loop *l, uint64_t number);
/* The socket that waits for that word; NULL when it has gone. */
struct socketio_socket *socketio_waiting(struct loop *l, uint64_t number);
void socketio_refuse(struct loop *l, uint64_t number, struct str message, struct str data);

/* Server's own join: no rule is asked. False: the name is no room's. */
bool socketio_join(struct socketio_socket *s, struct str room);
void socketio_leave(struct socketio_socket *s, struct str room);
bool socketio_is_in(const struct socketio_socket *s, struct str room);
/* Each room's name; the socket's own and the namespace's are left out. */
void socketio_each_room(const struct socketio_socket *s, void (*fn)(void *arg, struct str room),
                        void *arg);
/* Sends DISCONNECT; closes: the whole connection. */
void socketio_disconnect(struct socketio_socket *s, bool closes);

/* To this socket alone, also while it waits for its client. 0 or E_*. */
int socketio_emit(struct socketio_socket *s, struct str event, const struct socketio_content *what,
                  bool is_volatile);
/* The client is to answer. done runs once: err 0 and what it said (as an event without a name),
 * E_TIMEOUT, or E_CLOSED. ms 0 = no time limit. E_TOO_MANY: it owes a thousand answers. */
typedef void (*socketio_on_ack)(void *arg, struct socketio_socket *s, int err,
                                const struct socketio_event *answer);
int socketio_emit_ack(struct socketio_socket *s, struct str event,
                      const struct socketio_content *what, uint64_t ms, socketio_on_ack done,
                      void *arg);
/* A number that changes each time the client comes back: acks are of one connection. */
uint32_t socketio_connection(const struct socketio_socket *s);
/* The answer to an event's ack. */
int socketio_answer(struct socketio_socket *s, struct str ack, const struct socketio_content *what);

/* To many. sender may be NULL; is_from_sender: it gets none itself. rooms and except: names, each
 * ended by '\n'; no rooms = all of the namespace. A room that is a sid is that socket. 0 or E_*. */
struct socketio_broadcast {
    struct loop *loop;
    struct str nsp;
    struct socketio_socket *sender;
    bool not_sender;
    struct str rooms, except;
    struct str event;
    struct socketio_content what;
    bool is_volatile;
};
int socketio_broadcast(const struct socketio_broadcast *b);

/* Arguments from a JSON array (with placeholders) and packed bytes; views and arena memory. */
int socketio_content_of(struct arena *a, struct str args, struct str attachments,
                        struct socketio_content *out);

/* ---- names ------------------------------------------------------------------------------------
 */
/* Appends the channel of a room; room empty = all of the namespace. */
void socketio_channel(struct buf *out, struct str nsp, struct str room);
/* The namespace and the room of a channel. */
void socketio_room_of(struct str channel, struct str *nsp, struct str *room);
/* The EVENT packet for a message of a channel (without Engine.IO's type), with its place or not;
 * how many binary messages follow (*emit tells them), or < 0: it cannot be said in Socket.IO. */
int socketio_encode(const struct msg *m, bool with_place, struct buf *out,
                    struct socketio_emit *emit);

#endif
