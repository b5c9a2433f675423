/* SPDX-License-Identifier: Apache-2.0 */
/* Namespaces and handlers of the embedding program: the filling of struct socketio_handlers. A
 * word that comes later, from any thread (tw_next, tw_ack, tw_io_...), travels by mail to the loop
 * it is for and names its socket there; if that has gone, nothing happens. */
#include "server/embed_io.h"

#include "base/check.h"
#include "base/json.h"
#include "base/mem.h"

enum { SID_SIZE = 21, ACK_SIZE = SOCKETIO_ACK_MAX + 1 };

/* ---- namespaces --------------------------------------------------------------------------- */

struct tw_io *embed_io_find(const struct tw_server *s, struct str nsp)
{
    struct tw_io *pattern = NULL;
    for (struct tw_io *io = s->ios; io; io = io->next) {
        if (str_is(nsp, io->name))
            return io;
        if (!pattern && strchr(io->name, '*') && str_glob(str_from(io->name), nsp))
            pattern = io;
    }
    return pattern;
}

tw_io *tw_server_io(tw_server *s, const char *name)
{
    if (s->loops || !name || name[0] != '/' || strchr(name, '#'))
        return NULL;
    for (struct tw_io *io = s->ios; io; io = io->next)
        if (strcmp(io->name, name) == 0)
            return io;
    struct tw_io *io = mem_new(sizeof(*io));
    struct tw_io **end = &s->ios;
    io->server = s;
    io->name = str_dup(str_from(name));
    while (*end)
        end = &(*end)->next;
    *end = io;
    return io;
}

void tw_io_use(tw_io *io, void (*fn)(tw_socket *socket, tw_next *next, void *arg), void *arg)
{
    io->middlewares = mem_grow(io->middlewares, &io->middlewares_capacity,
                               io->middlewares_count + 1, sizeof(*io->middlewares));
    io->middlewares[io->middlewares_count++] = (struct embed_middleware){fn, arg};
}

void tw_io_on_connection(tw_io *io, void (*fn)(tw_socket *socket, void *arg), void *arg)
{
    io->connected = fn;
    io->connected_arg = arg;
}

void tw_io_on(tw_io *io, const char *event,
              void (*fn)(tw_socket *socket, const tw_io_event *e, tw_ack *ack, void *arg),
              void *arg)
{
    io->handlers = mem_grow(io->handlers, &io->handlers_capacity, io->handlers_count + 1,
                            sizeof(*io->handlers));
    io->handlers[io->handlers_count++] = (struct embed_handler){str_dup(str_from(event)), fn, arg};
}

void tw_io_on_disconnect(tw_io *io, void (*fn)(tw_socket *socket, const char *reason, void *arg),
                         void *arg)
{
    io->disconnected = fn;
    io->disconnected_arg = arg;
}

void embed_io_free(struct tw_server *s)
{
    while (s->ios) {
        struct tw_io *io = s->ios;
        s->ios = io->next;
        for (size_t i = 0; i < io->handlers_count; i++)
            mem_free(io->handlers[i].event);
        mem_free(io->handlers);
        mem_free(io->middlewares);
        mem_free(io->name);
        mem_free(io);
    }
}

/* ---- middlewares -------------------------------------------------------------------------- */

struct tw_next {
    struct mail mail;
    struct loop *loop;
    unsigned loop_index;
    struct tw_io *io;
    uint64_t number;
    size_t index;         /* of the middleware that has it */
    char *message, *data; /* the refusal; NULL message: go on */
};

static void free_next(struct tw_next *n)
{
    mem_free(n->message);
    mem_free(n->data);
    mem_free(n);
}

static void run_middleware(struct tw_next *n)
{
    struct socketio_socket *s = socketio_waiting(n->loop, n->number);
    if (s && n->index < n->io->middlewares_count) {
        const struct embed_middleware *m = &n->io->middlewares[n->index];
        m->fn((tw_socket *)s, n, m->arg);
        return;
    }
    uint64_t number = n->number;
    struct loop *l = n->loop;
    free_next(n);
    socketio_admit(l, number);
}

static void on_next(struct loop *l, struct mail *mail)
{
    struct tw_next *n = (struct tw_next *)(void *)mail;
    if (!n->message) {
        n->index++;
        run_middleware(n);
        return;
    }
    socketio_refuse(l, n->number, str_from(n->message), str_from(n->data));
    free_next(n);
}

static void give_word(struct tw_next *n)
{
    n->mail.deliver = on_next;
    if (!door_post(n->io->server->door, n->loop_index, &n->mail))
        free_next(n); /* the server has ended */
}

void tw_next_ok(tw_next *next)
{
    give_word(next);
}

void tw_next_error(tw_next *next, const char *message, const char *data_json)
{
    struct jsonscan_value value;
    next->message = str_dup(str_from(message ? message : "refused"));
    if (data_json && !jsonscan_check(str_from(data_json), SOCKETIO_DATA_DEPTH, &value))
        next->data = str_dup(value.raw);
    give_word(next);
}

static void on_middleware(void *arg, struct socketio_socket *s, uint64_t number)
{
    struct tw_next *n = mem_new(sizeof(*n));
    n->loop = socketio_loop(s);
    n->loop_index = loop_index(n->loop);
    n->io = embed_io_find(arg, socketio_nsp(s));
    n->number = number;
    run_middleware(n);
}

/* ---- events ------------------------------------------------------------------------------- */

struct tw_ack {
    struct mail mail;
    struct loop *loop;
    struct tw_server *server;
    unsigned loop_index;
    uint32_t connection; /* of the socket: an answer to an earlier one is nobody's */
    char sid[SID_SIZE];
    char id[ACK_SIZE];
    struct arena arena;
    struct socketio_content what;
};

static struct tw_ack *make_ack(struct tw_server *server, const struct socketio_socket *s,
                               struct str id)
{
    if (!id.n)
        return NULL;
    struct tw_ack *a = mem_new(sizeof(*a));
    a->server = server;
    a->loop = socketio_loop(s);
    a->loop_index = loop_index(a->loop);
    a->connection = socketio_connection(s);
    socketio_sid(s, a->sid);
    memcpy(a->id, id.p, id.n);
    return a;
}

static bool on_event(void *arg, struct socketio_socket *s, const struct socketio_event *ev)
{
    struct tw_io *io = embed_io_find(arg, socketio_nsp(s));
    struct tw_io_event e = {socketio_loop(s), ev};
    bool handled = false;
    for (size_t i = 0; io && i < io->handlers_count; i++) {
        const struct embed_handler *h = &io->handlers[i];
        if (!str_is(ev->name, h->event))
            continue;
        h->fn((tw_socket *)s, &e, handled ? NULL : make_ack(arg, s, ev->ack), h->arg);
        handled = true;
        if (!socketio_is_connected(s))
            break; /* the handler has sent it away */
    }
    return handled;
}

void tw_ack_drop(tw_ack *ack)
{
    if (!ack)
        return;
    arena_free(&ack->arena);
    mem_free(ack);
}

static void on_ack(struct loop *l, struct mail *mail)
{
    struct tw_ack *a = (struct tw_ack *)(void *)mail;
    struct socketio_socket *s = socketio_find(l, str_from(a->sid));
    if (s && socketio_connection(s) == a->connection)
        (void)socketio_answer(s, str_from(a->id), &a->what);
    tw_ack_drop(a);
}

void tw_ack_send_bytes(tw_ack *ack, const char *args, const tw_bytes *bytes, size_t count)
{
    if (!ack)
        return;
    if (embed_content(&ack->arena, args, bytes, count, &ack->what)) {
        tw_ack_drop(ack);
        return;
    }
    ack->mail.deliver = on_ack;
    if (loop_current() == ack->loop)
        on_ack(ack->loop, &ack->mail);
    else if (!door_post(ack->server->door, ack->loop_index, &ack->mail))
        tw_ack_drop(ack); /* the server has ended */
}

void tw_ack_send(tw_ack *ack, const char *args)
{
    tw_ack_send_bytes(ack, args, NULL, 0);
}

const char *tw_io_event_name(const tw_io_event *e)
{
    return arena_dup(loop_turn(e->loop), e->ev->name).p;
}

size_t tw_io_event_count(const tw_io_event *e)
{
    return e->ev->count;
}

const char *tw_io_event_args(const tw_io_event *e)
{
    return arena_dup(loop_turn(e->loop), e->ev->args).p;
}

const char *tw_io_event_arg(const tw_io_event *e, size_t i)
{
    return i < e->ev->count ? arena_dup(loop_turn(e->loop), e->ev->list[i].raw).p : NULL;
}

/* Text and numbers as text. */
static const char *plain(struct loop *l, struct jsonscan_value v)
{
    struct str text = v.raw;
    if (v.type == JSONSCAN_STRING && jsonscan_string(v.raw, loop_turn(l), &text) < 0)
        return NULL;
    if (v.type != JSONSCAN_STRING && v.type != JSONSCAN_NUMBER)
        return NULL;
    return arena_dup(loop_turn(l), text.n ? text : STR("")).p;
}

const char *tw_io_event_text(const tw_io_event *e, size_t i)
{
    return i < e->ev->count ? plain(e->loop, e->ev->list[i]) : NULL;
}

const char *tw_io_event_field(const tw_io_event *e, size_t i, const char *path)
{
    struct str rest = str_from(path);
    if (i >= e->ev->count)
        return NULL;
    struct jsonscan_value v = e->ev->list[i];
    while (rest.p && v.type == JSONSCAN_OBJECT) {
        struct str name = arena_dup(loop_turn(e->loop), str_cut(&rest, '.'));
        v = jsonscan_find(v.raw, name.p);
    }
    if (!rest.p && v.type == JSONSCAN_BOOL)
        return v.raw.p[0] == 't' ? "true" : "false";
    return rest.p ? NULL : plain(e->loop, v);
}

bool tw_io_event_bytes(const tw_io_event *e, size_t i, tw_bytes *out)
{
    struct str packed = e->ev->attachments, bytes = STR_NONE;
    struct jsonscan_value num = {0};
    uint64_t n;
    if (i < e->ev->count && e->ev->list[i].type == JSONSCAN_OBJECT)
        num = jsonscan_find(e->ev->list[i].raw, "num");
    if (num.type != JSONSCAN_NUMBER || !jsonscan_u64(num.raw, &n) || !packed.n ||
        jsonscan_find(e->ev->list[i].raw, "_placeholder").type != JSONSCAN_BOOL)
        return false;
    for (uint64_t at = 0; at <= n; at++)
        if (!attachments_next(&packed, &bytes))
            return false;
    *out = (tw_bytes){bytes.p, bytes.n};
    return true;
}

/* ---- life --------------------------------------------------------------------------------- */

static bool serves(void *arg, struct str nsp)
{
    return embed_io_find(arg, nsp) != NULL;
}

static void on_connected(void *arg, struct socketio_socket *s)
{
    struct tw_io *io = embed_io_find(arg, socketio_nsp(s));
    if (io->connected)
        io->connected((tw_socket *)s, io->connected_arg);
}

static void on_disconnected(void *arg, struct socketio_socket *s, const char *reason)
{
    struct tw_io *io = embed_io_find(arg, socketio_nsp(s));
    embed_timers_drop(s);
    if (io->disconnected)
        io->disconnected((tw_socket *)s, reason, io->disconnected_arg);
    embed_timers_drop(s);
}

/* ---- allowRequest ------------------------------------------------------------------------- */

void tw_server_on_request(tw_server *s, const char *(*fn)(const tw_request *request, void *arg),
                          void *arg)
{
    s->allow = fn;
    s->allow_arg = arg;
}

const char *tw_request_get(const tw_request *request, const char *name)
{
    struct http_request *req = (struct http_request *)request;
    struct str value = strcmp(name, "address") == 0 ? http_client_address(req)
                       : strcmp(name, "url") == 0   ? req->target
                       : strcmp(name, "secure") == 0 && sock_is_tls(http_sock(req))
                           ? STR("true")
                           : http_header(req, name);
    return value.p ? embed_say(req->loop, value) : NULL;
}

struct str embed_allow(void *arg, struct http_request *req)
{
    const struct tw_server *s = arg;
    return str_from(s->allow((const tw_request *)req, s->allow_arg));
}

/* ---- filling ------------------------------------------------------------------------------ */

void embed_io_fill(struct tw_server *s)
{
    size_t count = s->socketio.namespaces_count;
    for (struct tw_io *io = s->ios; io; io = io->next)
        count++;
    s->transport.socketio.allow = s->allow ? embed_allow : NULL;
    s->transport.socketio.allow_arg = s;
    if (!s->ios)
        return;
    s->namespaces = mem_resize(s->namespaces, (count + 1) * sizeof(*s->namespaces));
    for (struct tw_io *io = s->ios; io; io = io->next) {
        bool own_auth = io->middlewares_count > 0;
        if (strcmp(io->name, "/") == 0) {
            s->socketio.main_own_auth = own_auth;
            continue;
        }
        s->namespaces[s->socketio.namespaces_count++] =
            (struct socketio_namespace){.match = str_from(io->name), .own_auth = own_auth};
    }
    s->handlers = (struct socketio_handlers){.arg = s,
                                             .serves = serves,
                                             .middleware = on_middleware,
                                             .connected = on_connected,
                                             .event = on_event,
                                             .disconnected = on_disconnected,
                                             .freed = embed_data_free};
    s->socketio.namespaces = s->namespaces;
    s->socketio.handlers = &s->handlers;
    s->transport.socketio.keeps_handshake = true;
}
