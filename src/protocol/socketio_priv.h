/* SPDX-License-Identifier: Apache-2.0 */
/* What the socketio files share: the socket and its parts. */
#ifndef PROTOCOL_SOCKETIO_PRIV_H
#define PROTOCOL_SOCKETIO_PRIV_H

#include "base/map.h"
#include "protocol/engineio_priv.h"
#include "protocol/socketio.h"

enum { SOCKETIO_JSON_DEPTH = 64, SOCKETIO_NSP_BYTES_MAX = 128 };

/*   FETCHING --(its old session found)--> RECOVERING --all answered--> CONNECTED
 *      |none                                   |history does not reach
 *      v                                       v (a new record)
 *   ASKING (middleware) --admitted--> JOINING --namespace's channel is live--> CONNECTED
 *   CONNECTED, RECOVERING --connection lost--> AWAY --fetched--> RECOVERING */
enum socket_state {
    SOCKET_FETCHING,
    SOCKET_ASKING,
    SOCKET_JOINING,
    SOCKET_RECOVERING,
    SOCKET_CONNECTED,
    SOCKET_AWAY,
    SOCKET_GONE,
};

/* Events to this socket alone that it may not have yet: oldest first. */
struct direct {
    struct list link;
    uint64_t number, sequence;
    size_t n;
    char framed[]; /* as for a poll */
};
struct outbox {
    struct list events;
    size_t count, bytes;
    uint64_t number;  /* of the newest */
    uint64_t dropped; /* sequence of the newest that had to go before it was confirmed */
};

/* Output of a recovery: held until it is sure to succeed. */
struct hold {
    struct outlet outlet; /* first */
    struct buf framed;
    size_t waiting; /* subscriptions not answered yet */
    bool failed;
    struct turn_task task;
    struct socketio_socket *socket;
};

struct ack_wait {
    struct list link;
    struct timer timer;
    struct socketio_socket *socket;
    uint64_t id;
    socketio_on_ack done;
    void *arg;
};

struct socketio_socket {
    struct list link; /* conn->sockets */
    struct loop *loop;
    struct engineio *conn; /* NULL: away */
    struct session *session;
    struct identity *identity; /* until there is a session */
    const struct socketio_namespace *ns;
    uint64_t number;            /* of the waiting; 0 = not waiting for anybody's word */
    uint64_t marked, confirmed; /* hub's sequence at the last ping; what the client has for sure */
    struct outbox *outbox;
    struct hold *hold;
    struct list *acks;
    uint64_t ack_id;
    uint32_t acks_count;
    uint32_t connection; /* how often it has come back */
    char *auth;          /* raw JSON, until connected */
    void *data;
    void *rules_data; /* socketio_rules.c */
    uint8_t state;
    bool is_recovered, is_cut;
    uint8_t nsp_n;
    char nsp[];
};

struct socketio_home {
    struct loop *loop;
    const struct socketio_config *config;
    struct map waiting; /* number -> socket that waits for somebody's word */
    uint64_t number;
    struct map lines; /* sid -> events that are on their way to it (socketio_reach.c) */
    struct list graveyard;
    struct turn_task free_task;
};
struct socketio_home *socketio_home_of(const struct loop *l);

/* socketio.c */
extern const struct session_ops socketio_ops;
struct socketio_socket *socketio_new(struct engineio *e, const struct socketio_namespace *ns,
                                     struct str nsp, struct identity *identity);
void socketio_free(struct socketio_socket *s);
void socketio_connect(struct socketio_socket *s); /* middleware, then a session of its own */
void socketio_connected(struct socketio_socket *s);
void socketio_recovered(struct socketio_socket *s);
/* Is the name of a room a socket's id? */
bool socketio_is_sid(struct str room);

/* socketio_reach.c: to the socket of that id, wherever it lives; in the order of this loop. */
void socketio_tell(const struct socketio_broadcast *b, struct str sid);

/* socketio_recover.c */
void socketio_recover(struct socketio_socket *s, struct str pid, struct str place);
bool socketio_place(struct session *session, struct str place);
void socketio_on_resumed(struct socketio_socket *s, const struct answer *a);
void socketio_hold_drop(struct socketio_socket *s);
void socketio_release(struct socketio_socket *s);
void socketio_confirm(struct socketio_socket *s, uint64_t sequence);
void socketio_outbox_free(struct socketio_socket *s);
int socketio_outbox_keep(struct socketio_socket *s, struct str framed, uint64_t number);

/* socketio_out.c */
void socketio_send_packet(struct socketio_socket *s, struct str packet,
                          const struct socketio_emit *emit);
void socketio_frame(struct str packet, const struct socketio_emit *emit, struct buf *out);
void socketio_on_ack_packet(struct socketio_socket *s, const struct socketio_packet *packet,
                            struct str attachments);
void socketio_acks_drop(struct socketio_socket *s, int err);

/* socketio_rules.c */
bool socketio_rules_event(struct socketio_socket *s, const struct socketio_event *ev);
void socketio_rules_answer(struct socketio_socket *s, const struct answer *a);
void socketio_rules_gone(struct socketio_socket *s);  /* its connection was lost, or it left */
void socketio_rules_freed(struct socketio_socket *s); /* its record goes */

#endif
