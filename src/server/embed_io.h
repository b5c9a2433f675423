/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by embed_io.c (namespaces, handlers) and embed_socket.c (sockets): Socket.IO for
 * programs that link the library. A tw_socket is a struct socketio_socket by another name. */
#ifndef SERVER_EMBED_IO_H
#define SERVER_EMBED_IO_H

#include "server/server_priv.h"
#include "tidewire.h"

enum { SOCKETIO_DATA_DEPTH = 64 };
struct embed_middleware {
    void (*fn)(tw_socket *socket, tw_next *next, void *arg);
    void *arg;
};
struct embed_handler {
    char *event;
    void (*fn)(tw_socket *socket, const tw_io_event *e, tw_ack *ack, void *arg);
    void *arg;
};
struct tw_io {
    struct tw_io *next; /* of the server's */
    struct tw_server *server;
    char *name;
    struct embed_middleware *middlewares;
    size_t middlewares_count, middlewares_capacity;
    struct embed_handler *handlers;
    size_t handlers_count, handlers_capacity;
    void (*connected)(tw_socket *socket, void *arg);
    void *connected_arg;
    void (*disconnected)(tw_socket *socket, const char *reason, void *arg);
    void *disconnected_arg;
};

static inline struct socketio_socket *embed_socket(tw_socket *socket)
{
    return (struct socketio_socket *)socket;
}

/* What hangs on a socket. */
struct embed_data {
    void *data;
    void (*free_fn)(void *data);
    struct list timers;
    uint64_t timer_number;
};
void embed_timers_drop(struct socketio_socket *s);
void embed_data_free(void *arg, void *data);
/* Text for the embedder, good until the next call on this loop. */
const char *embed_say(struct loop *l, struct str text);

/* Before the rooms are made: namespaces of the program, and who serves them. */
void embed_io_fill(struct tw_server *s);
void embed_io_free(struct tw_server *s);
/* What came, as the program sees it. */
struct tw_io_event {
    struct loop *loop;
    const struct socketio_event *ev;
};
/* The namespace that serves this name. */
struct tw_io *embed_io_find(const struct tw_server *s, struct str nsp);
/* allowRequest: the words of the refusal, or none. */
struct str embed_allow(void *arg, struct http_request *req);
/* Arguments of a message, in a: 0 or E_*. */
int embed_content(struct arena *a, const char *args, const tw_bytes *bytes, size_t count,
                  struct socketio_content *out);

#endif
