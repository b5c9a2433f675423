/* SPDX-License-Identifier: Apache-2.0 */
/* tw_socket_*: what handlers do with a socket; and what any thread may say to a namespace. */
#include "server/embed_io.h"

#include "base/json.h"
#include "base/mem.h"
#include "wire/http1.h"
#include <stdarg.h>

/* ---- text out ----------------------------------------------------------------------------- */

const char *embed_say(struct loop *l, struct str text)
{
    struct str copy = arena_dup(loop_turn(l), text.n ? text : STR(""));
    return copy.p ? copy.p : "";
}

static const char *say(tw_socket *socket, struct str text)
{
    return embed_say(socketio_loop(embed_socket(socket)), text);
}

const char *tw_socket_id(tw_socket *socket)
{
    char sid[21];
    return say(socket, socketio_sid(embed_socket(socket), sid));
}

const char *tw_socket_namespace(tw_socket *socket)
{
    return say(socket, socketio_nsp(embed_socket(socket)));
}

const char *tw_socket_user(tw_socket *socket)
{
    return say(socket, socketio_identity(embed_socket(socket))->sub);
}

const char *tw_socket_role(tw_socket *socket)
{
    return say(socket, socketio_identity(embed_socket(socket))->role);
}

const char *tw_socket_claims(tw_socket *socket)
{
    struct str text = socketio_identity(embed_socket(socket))->text;
    return say(socket, text.n ? text : STR("{}"));
}

const char *tw_socket_auth(tw_socket *socket, const char *name)
{
    struct socketio_socket *s = embed_socket(socket);
    struct arena *a = loop_turn(socketio_loop(s));
    struct jsonscan_value v = jsonscan_find(socketio_auth_payload(s), name);
    struct str text = v.raw;
    if (v.type == JSONSCAN_NONE || v.type == JSONSCAN_NULL)
        return NULL;
    if (v.type == JSONSCAN_STRING && jsonscan_string(v.raw, a, &text) < 0)
        return NULL;
    return say(socket, text);
}

const char *tw_socket_handshake(tw_socket *socket, const char *name)
{
    struct socketio_socket *s = embed_socket(socket);
    struct str value = socketio_handshake(s, name), lines = socketio_handshake(s, "headers");
    while (!value.p && lines.n) {
        struct str line = str_cut(&lines, '\n'), key = str_cut(&line, ':');
        if (str_eq_nocase(key, str_from(name)))
            value = str_trim(line);
    }
    return value.p ? say(socket, value) : NULL;
}

bool tw_socket_is_connected(tw_socket *socket)
{
    return socketio_is_connected(embed_socket(socket));
}

bool tw_socket_is_recovered(tw_socket *socket)
{
    return socketio_is_recovered(embed_socket(socket));
}

/* ---- what hangs on it --------------------------------------------------------------------- */

struct embed_timer {
    struct list link;
    struct timer timer;
    struct socketio_socket *socket;
    uint64_t number;
    void (*fn)(tw_socket *socket, void *arg);
    void *arg;
};

static struct embed_data *data_of(struct socketio_socket *s)
{
    struct embed_data *d = socketio_data(s);
    if (!d) {
        d = mem_new(sizeof(*d));
        list_init(&d->timers);
        socketio_set_data(s, d);
    }
    return d;
}

static void drop_timer(struct embed_timer *t)
{
    timer_stop(&t->timer);
    list_drop(&t->link);
    mem_free(t);
}

void embed_timers_drop(struct socketio_socket *s)
{
    struct embed_data *d = socketio_data(s);
    while (d && !list_is_empty(&d->timers))
        drop_timer(LIST_OF(d->timers.next, struct embed_timer, link));
}

void embed_data_free(void *arg, void *data)
{
    struct embed_data *d = data;
    (void)arg;
    while (!list_is_empty(&d->timers))
        drop_timer(LIST_OF(d->timers.next, struct embed_timer, link));
    if (d->data && d->free_fn)
        d->free_fn(d->data);
    mem_free(d);
}

void tw_socket_set_data(tw_socket *socket, void *data, void (*free_fn)(void *data))
{
    struct embed_data *d = data_of(embed_socket(socket));
    if (d->data && d->data != data && d->free_fn)
        d->free_fn(d->data);
    d->data = data;
    d->free_fn = free_fn;
}

void *tw_socket_data(tw_socket *socket)
{
    struct embed_data *d = socketio_data(embed_socket(socket));
    return d ? d->data : NULL;
}

static void on_timer(struct loop *l, struct timer *timer)
{
    struct embed_timer *t = LIST_OF(timer, struct embed_timer, timer);
    struct embed_timer done = *t;
    (void)l;
    drop_timer(t);
    done.fn((tw_socket *)done.socket, done.arg);
}

uint64_t tw_socket_after(tw_socket *socket, uint64_t ms, void (*fn)(tw_socket *socket, void *arg),
                         void *arg)
{
    struct socketio_socket *s = embed_socket(socket);
    if (!socketio_is_connected(s)) /* it may leave this loop without a word */
        return 0;
    struct embed_data *d = data_of(s);
    struct embed_timer *t = mem_new(sizeof(*t));
    t->socket = s;
    t->number = ++d->timer_number;
    t->fn = fn;
    t->arg = arg;
    list_push(&d->timers, &t->link);
    timer_set(socketio_loop(s), &t->timer, ms ? ms : 1, on_timer);
    return t->number;
}

void tw_socket_cancel(tw_socket *socket, uint64_t timer)
{
    struct embed_data *d = socketio_data(embed_socket(socket));
    for (struct list *at = d ? d->timers.next : NULL; d && at != &d->timers; at = at->next) {
        struct embed_timer *t = LIST_OF(at, struct embed_timer, link);
        if (t->number == timer) {
            drop_timer(t);
            return;
        }
    }
}

/* ---- rooms -------------------------------------------------------------------------------- */

bool tw_socket_join(tw_socket *socket, const char *room)
{
    return room && socketio_join(embed_socket(socket), str_from(room));
}

void tw_socket_leave(tw_socket *socket, const char *room)
{
    socketio_leave(embed_socket(socket), str_from(room));
}

bool tw_socket_is_in(tw_socket *socket, const char *room)
{
    return socketio_is_in(embed_socket(socket), str_from(room));
}

struct each_room {
    struct loop *loop;
    void (*fn)(const char *room, void *arg);
    void *arg;
};

static void on_room(void *arg, struct str room)
{
    struct each_room *e = arg;
    e->fn(embed_say(e->loop, room), e->arg);
}

void tw_socket_rooms(tw_socket *socket, void (*fn)(const char *room, void *arg), void *arg)
{
    struct each_room e = {socketio_loop(embed_socket(socket)), fn, arg};
    socketio_each_room(embed_socket(socket), on_room, &e);
}

void tw_socket_disconnect(tw_socket *socket, bool close)
{
    socketio_disconnect(embed_socket(socket), close);
}

/* ---- arguments ---------------------------------------------------------------------------- */

int embed_content(struct arena *a, const char *args, const tw_bytes *bytes, size_t count,
                  struct socketio_content *out)
{
    struct buf packed = {0};
    struct str text = arena_dup(a, str_trim(str_from(args ? args : "[]")));
    for (size_t i = 0; i < count; i++)
        attachments_pack(&packed, str_of(bytes[i].data, bytes[i].size));
    struct str all = packed.n ? arena_dup(a, buf_str(&packed)) : STR_NONE;
    bool failed = packed.failed || !text.p || (packed.n && !all.p);
    buf_free(&packed);
    return failed ? E_NO_MEMORY : socketio_content_of(a, text, all, out);
}

static int content_of(struct arena *a, const tw_io_message *m, struct socketio_content *out)
{
    if (m->size < sizeof(*m) || !m->event || m->bytes_count > ATTACHMENTS_MAX)
        return E_BAD_REQUEST;
    return embed_content(a, m->args, m->bytes, m->bytes_count, out);
}

static tw_io_message simple(const char *event, const char *args)
{
    return (tw_io_message){.size = sizeof(tw_io_message), .event = event, .args = args};
}

/* ---- to one ------------------------------------------------------------------------------- */

int tw_socket_send(tw_socket *socket, const tw_io_message *message)
{
    struct socketio_socket *s = embed_socket(socket);
    struct socketio_content what;
    int err = content_of(loop_turn(socketio_loop(s)), message, &what);
    return err ? err : socketio_emit(s, str_from(message->event), &what, message->is_volatile);
}

int tw_socket_emit(tw_socket *socket, const char *event, const char *args)
{
    tw_io_message m = simple(event, args);
    return tw_socket_send(socket, &m);
}

struct asking {
    void (*done)(tw_socket *socket, int error, const tw_io_event *answer, void *arg);
    void *arg;
};

static void on_asked(void *arg, struct socketio_socket *s, int err,
                     const struct socketio_event *answer)
{
    struct asking *a = arg;
    struct tw_io_event e = {socketio_loop(s), answer};
    a->done((tw_socket *)s, err, answer ? &e : NULL, a->arg);
    mem_free(a);
}

int tw_socket_ask(tw_socket *socket, const tw_io_message *message, uint64_t timeout_ms,
                  void (*done)(tw_socket *socket, int error, const tw_io_event *answer, void *arg),
                  void *arg)
{
    struct socketio_socket *s = embed_socket(socket);
    struct socketio_content what;
    int err = content_of(loop_turn(socketio_loop(s)), message, &what);
    if (err)
        return err;
    struct asking *a = mem_new(sizeof(*a));
    *a = (struct asking){done, arg};
    err = socketio_emit_ack(s, str_from(message->event), &what, timeout_ms, on_asked, a);
    if (err)
        mem_free(a);
    return err;
}

/* ---- to many ------------------------------------------------------------------------------ */

static bool add_names(struct buf *out, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (!names[i] || !names[i][0] || strchr(names[i], '\n'))
            return false;
        buf_add_z(out, names[i]);
        buf_add_c(out, '\n');
    }
    return !out->failed;
}

static int fill_target(const tw_io_target *t, struct buf *rooms, struct buf *except)
{
    if (!t)
        return 0;
    if (t->size < sizeof(*t) || !add_names(rooms, t->rooms, t->rooms_count) ||
        !add_names(except, t->except, t->except_count))
        return E_BAD_REQUEST;
    return 0;
}

int tw_socket_broadcast(tw_socket *socket, const tw_io_target *target, const tw_io_message *message)
{
    struct socketio_socket *s = embed_socket(socket);
    struct buf rooms = {0}, except = {0};
    struct socketio_broadcast b = {.loop = socketio_loop(s),
                                   .nsp = socketio_nsp(s),
                                   .sender = s,
                                   .not_sender = true,
                                   .event = str_from(message->event),
                                   .is_volatile = message->is_volatile};
    int err = content_of(loop_turn(b.loop), message, &b.what);
    if (!err)
        err = fill_target(target, &rooms, &except);
    b.rooms = buf_str(&rooms);
    b.except = buf_str(&except);
    if (!err)
        err = socketio_broadcast(&b);
    buf_free(&rooms);
    buf_free(&except);
    return err;
}

int tw_socket_to(tw_socket *socket, const char *room, const char *event, const char *args)
{
    const char *rooms[] = {room};
    tw_io_target t = {.size = sizeof(t), .rooms = rooms, .rooms_count = 1};
    tw_io_message m = simple(event, args);
    return tw_socket_broadcast(socket, &t, &m);
}

/* From any thread: the message with all its texts goes to loop 0. */
struct io_mail {
    struct mail mail;
    struct tw_io *io;
    struct arena arena;
    struct buf rooms, except;
    struct socketio_broadcast b;
};

static void free_io_mail(struct io_mail *im)
{
    arena_free(&im->arena);
    buf_free(&im->rooms);
    buf_free(&im->except);
    mem_free(im);
}

static void on_io_mail(struct loop *l, struct mail *mail)
{
    struct io_mail *im = (struct io_mail *)(void *)mail;
    im->b.loop = l;
    (void)socketio_broadcast(&im->b);
    free_io_mail(im);
}

int tw_io_broadcast(tw_io *io, const tw_io_target *target, const tw_io_message *message)
{
    if (strchr(io->name, '*'))
        return E_BAD_REQUEST;
    struct io_mail *im = mem_new(sizeof(*im));
    im->mail.deliver = on_io_mail;
    int err = content_of(&im->arena, message, &im->b.what);
    if (!err)
        err = fill_target(target, &im->rooms, &im->except);
    if (!err && socketio_event_reserved(str_from(message->event)))
        err = E_BAD_REQUEST;
    if (err) {
        free_io_mail(im);
        return err;
    }
    im->b.nsp = str_from(io->name);
    im->b.event = arena_dup(&im->arena, str_from(message->event));
    im->b.rooms = buf_str(&im->rooms);
    im->b.except = buf_str(&im->except);
    im->b.is_volatile = message->is_volatile;
    if (door_post(io->server->door, 0, &im->mail))
        return 0;
    free_io_mail(im);
    return E_UNAVAILABLE;
}

int tw_io_emit(tw_io *io, const char *event, const char *args)
{
    tw_io_message m = simple(event, args);
    return tw_io_broadcast(io, NULL, &m);
}

int tw_io_to(tw_io *io, const char *room, const char *event, const char *args)
{
    const char *rooms[] = {room};
    tw_io_target t = {.size = sizeof(t), .rooms = rooms, .rooms_count = 1};
    tw_io_message m = simple(event, args);
    return tw_io_broadcast(io, &t, &m);
}

/* ---- visits ------------------------------------------------------------------------------- */

struct visit {
    struct socketio_errand errand; /* first */
    const struct tw_io *io;
    void (*fn)(tw_socket *socket, void *arg);
    void *arg;
};

static bool is_of(const struct tw_io *io, const struct socketio_socket *s)
{
    return embed_io_find(io->server, socketio_nsp(s)) == io;
}

static void on_visit(struct loop *l, struct socketio_socket *s, struct socketio_errand *e,
                     bool is_last)
{
    struct visit *v = (struct visit *)(void *)e;
    (void)l, (void)is_last;
    v->fn(s && is_of(v->io, s) ? (tw_socket *)s : NULL, v->arg);
    mem_free(v);
}

int tw_io_visit(tw_io *io, const char *socket_id, void (*fn)(tw_socket *socket, void *arg),
                void *arg)
{
    if (!socket_id || strlen(socket_id) != 20)
        return E_BAD_REQUEST;
    struct visit *v = mem_new(sizeof(*v));
    v->errand.fn = on_visit;
    v->io = io;
    v->fn = fn;
    v->arg = arg;
    if (door_post(io->server->door, 0, socketio_errand(&v->errand, str_from(socket_id))))
        return 0;
    mem_free(v);
    return E_UNAVAILABLE;
}

/* All of a target, loop after loop. */
struct tour {
    struct socketio_errand errand; /* first */
    const struct tw_io *io;
    struct buf rooms, except;
    void (*fn)(tw_socket *socket, void *arg);
    void (*done)(void *arg);
    void *arg;
    /* of tw_io_join, _leave, _disconnect */
    void (*deed)(const struct tour *t, tw_socket *socket);
    bool close;
    char *room;
};

static void free_tour(struct tour *t)
{
    buf_free(&t->rooms);
    buf_free(&t->except);
    mem_free(t->room);
    mem_free(t);
}

static bool is_in_one(const struct socketio_socket *s, struct str names)
{
    while (names.n)
        if (socketio_is_in_room(s, str_cut(&names, '\n')))
            return true;
    return false;
}

static void on_each(void *arg, struct socketio_socket *s)
{
    const struct tour *t = arg;
    struct str rooms = buf_str(&t->rooms);
    if (!is_of(t->io, s) || (rooms.n && !is_in_one(s, rooms)) || is_in_one(s, buf_str(&t->except)))
        return;
    if (t->deed)
        t->deed(t, (tw_socket *)s);
    else
        t->fn((tw_socket *)s, t->arg);
}

static void on_tour(struct loop *l, struct socketio_socket *s, struct socketio_errand *e,
                    bool is_last)
{
    struct tour *t = (struct tour *)(void *)e;
    (void)s;
    socketio_each(l, on_each, t);
    if (!is_last)
        return;
    if (t->done)
        t->done(t->arg);
    free_tour(t);
}

/* Takes the tour. */
static int begin_tour(tw_io *io, const tw_io_target *target, struct tour *t)
{
    int err = fill_target(target, &t->rooms, &t->except);
    t->errand.fn = on_tour;
    t->io = io;
    if (!err && !door_post(io->server->door, 0, socketio_errand(&t->errand, STR_NONE)))
        err = E_UNAVAILABLE;
    if (err)
        free_tour(t);
    return err;
}

int tw_io_each(tw_io *io, const tw_io_target *target, void (*fn)(tw_socket *socket, void *arg),
               void (*done)(void *arg), void *arg)
{
    struct tour *t = mem_new(sizeof(*t));
    t->fn = fn;
    t->done = done;
    t->arg = arg;
    return begin_tour(io, target, t);
}

static void do_join(const struct tour *t, tw_socket *socket)
{
    (void)tw_socket_join(socket, t->room);
}

static void do_leave(const struct tour *t, tw_socket *socket)
{
    tw_socket_leave(socket, t->room);
}

static void do_disconnect(const struct tour *t, tw_socket *socket)
{
    tw_socket_disconnect(socket, t->close);
}

static int tour_of_room(tw_io *io, const tw_io_target *target, const char *room,
                        void (*deed)(const struct tour *t, tw_socket *socket))
{
    if (!room || !*room)
        return E_BAD_REQUEST;
    struct tour *t = mem_new(sizeof(*t));
    t->deed = deed;
    t->room = str_dup(str_from(room));
    return begin_tour(io, target, t);
}

int tw_io_join(tw_io *io, const tw_io_target *target, const char *room)
{
    return tour_of_room(io, target, room, do_join);
}

int tw_io_leave(tw_io *io, const tw_io_target *target, const char *room)
{
    return tour_of_room(io, target, room, do_leave);
}

int tw_io_disconnect(tw_io *io, const tw_io_target *target, bool close)
{
    struct tour *t = mem_new(sizeof(*t));
    t->deed = do_disconnect;
    t->close = close;
    return begin_tour(io, target, t);
}
