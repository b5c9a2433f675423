/* SPDX-License-Identifier: Apache-2.0 */
/* A server that sends back what comes, in every way that Socket.IO knows: the counterpart of
 * tests/clients/socketio.test.mjs, and a place to see each call of the library once.
 *
 *   ./echo dev --http.listen=127.0.0.1:3001 [--setting=value ...]
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tidewire.h>
#include <time.h>

static tw_io *main_io;
static tw_server *main_server;
static atomic_bool is_over;
static pthread_t ticker;
static atomic_flag ticks = ATOMIC_FLAG_INIT;

/* "message" -> "message-back" with the same arguments, bytes included */
static void back(tw_socket *socket, const tw_io_event *e, tw_ack *ack, void *arg)
{
    tw_bytes bytes[10];
    tw_io_message m = {.size = sizeof(m), .event = arg, .bytes = bytes};
    char *args = tw_json("[");
    for (size_t i = 0; i < tw_io_event_count(e); i++) {
        char *longer;
        if (tw_io_event_bytes(e, i, &bytes[m.bytes_count]))
            longer = tw_json("%j%j{\"_placeholder\":true,\"num\":%d}", args, i ? "," : "",
                             (int)m.bytes_count++);
        else
            longer = tw_json("%j%j%j", args, i ? "," : "", tw_io_event_arg(e, i));
        tw_free(args);
        args = longer;
    }
    char *all = tw_json("%j]", args);
    m.args = all;
    if (ack)
        tw_ack_send_bytes(ack, all, bytes, m.bytes_count);
    else
        tw_socket_send(socket, &m);
    tw_free(args);
    tw_free(all);
}

/* Answers later, from a thread of its own. */
static void *answer_later(void *arg)
{
    tw_ack_send(arg, "[\"later\"]");
    return NULL;
}

static void later(tw_socket *socket, const tw_io_event *e, tw_ack *ack, void *arg)
{
    pthread_t thread;
    (void)socket, (void)e, (void)arg;
    if (pthread_create(&thread, NULL, answer_later, ack) == 0)
        pthread_detach(thread);
    else
        tw_ack_drop(ack);
}

static void visited(tw_socket *socket, void *arg)
{
    (void)arg;
    if (socket)
        tw_socket_emit(socket, "visited", "[\"by id\"]");
}

/* From another thread to the socket, by its id. */
static void *visit_later(void *arg)
{
    tw_io_visit(main_io, arg, visited, NULL);
    free(arg);
    return NULL;
}

static void visit(tw_socket *socket, const tw_io_event *e, tw_ack *ack, void *arg)
{
    pthread_t thread;
    char *id = strdup(tw_socket_id(socket));
    (void)e, (void)arg;
    tw_ack_drop(ack);
    if (pthread_create(&thread, NULL, visit_later, id) == 0)
        pthread_detach(thread);
}

static void asked(tw_socket *socket, int error, const tw_io_event *answer, void *arg)
{
    tw_bytes bytes = {0};
    (void)arg;
    if (answer)
        tw_io_event_bytes(answer, 0, &bytes);
    tw_socket_emitf(socket, "answered", "[%s,%j,%d]", error ? tw_error_text(error) : "ok",
                    answer ? tw_io_event_args(answer) : NULL, (int)bytes.size);
}

/* Asks the client and tells it what it said, and how many bytes that were. */
static void ask(tw_socket *socket, const tw_io_event *e, tw_ack *ack, void *arg)
{
    tw_io_message m = {.size = sizeof(m), .event = "question", .args = "[1,\"2\"]"};
    (void)e, (void)arg;
    tw_ack_drop(ack);
    tw_socket_ask(socket, &m, 300, asked, NULL);
}

static void join(tw_socket *socket, const tw_io_event *e, tw_ack *ack, void *arg)
{
    (void)arg;
    tw_ack_send(ack, tw_socket_join(socket, tw_io_event_text(e, 0)) ? "[true]" : "[false]");
}

static void leave(tw_socket *socket, const tw_io_event *e, tw_ack *ack, void *arg)
{
    (void)arg;
    tw_socket_leave(socket, tw_io_event_text(e, 0));
    tw_ack_send(ack, "[true]");
}

/* to(rooms, except, event): "room" events to the others; rooms and except separated by commas */
static size_t split(char *text, const char **out, size_t max)
{
    size_t n = 0;
    for (char *p = text; p && *p && n < max; n++) {
        out[n] = p;
        p = strchr(p, ',');
        if (p)
            *p++ = '\0';
    }
    return n;
}

static void to(tw_socket *socket, const tw_io_event *e, tw_ack *ack, void *arg)
{
    const char *rooms[8], *except[8];
    char *r = strdup(tw_io_event_text(e, 0)), *x = strdup(tw_io_event_text(e, 1));
    tw_io_target t = {.size = sizeof(t), .rooms = rooms, .except = except};
    char *args = tw_json("[%j]", tw_io_event_arg(e, 2));
    tw_io_message m = {.size = sizeof(m), .event = "told", .args = args};
    t.rooms_count = split(r, rooms, 8);
    t.except_count = split(x, except, 8);
    if (arg)
        tw_io_broadcast(main_io, &t, &m);
    else
        tw_socket_broadcast(socket, &t, &m);
    tw_ack_send(ack, "[true]");
    tw_free(args);
    free(r);
    free(x);
}

static void burst(tw_socket *socket, const tw_io_event *e, tw_ack *ack, void *arg)
{
    tw_io_message m = {.size = sizeof(m), .event = "drop", .args = "[1]", .is_volatile = true};
    (void)e, (void)arg;
    for (int i = 0; i < 5; i++)
        tw_socket_send(socket, &m);
    tw_ack_send(ack, "[5]");
}

/* all(room): the ids of those in it, connected or not; "" = everybody */
struct roll {
    tw_ack *ack;
    char *ids;
};

static void call_out(tw_socket *socket, void *arg)
{
    struct roll *r = arg;
    char *longer = tw_json("%j%j%s", r->ids, r->ids[1] ? "," : "", tw_socket_id(socket));
    tw_free(r->ids);
    r->ids = longer;
}

static void rolled(void *arg)
{
    struct roll *r = arg;
    tw_ack_sendf(r->ack, "[%j]]", r->ids);
    tw_free(r->ids);
    free(r);
}

static void all(tw_socket *socket, const tw_io_event *e, tw_ack *ack, void *arg)
{
    const char *room = tw_io_event_text(e, 0);
    tw_io_target t = {.size = sizeof(t), .rooms = &room, .rooms_count = room && *room};
    struct roll *r = malloc(sizeof(*r));
    (void)socket, (void)arg;
    *r = (struct roll){ack, tw_json("[")};
    if (tw_io_each(main_io, &t, call_out, rolled, r))
        rolled(r);
}

/* move(room, what, other): joins, leaves, disconnects or closes all of a room */
static void move(tw_socket *socket, const tw_io_event *e, tw_ack *ack, void *arg)
{
    const char *room = tw_io_event_text(e, 0), *what = tw_io_event_text(e, 1);
    const char *other = tw_io_event_text(e, 2);
    tw_io_target t = {.size = sizeof(t), .rooms = &room, .rooms_count = 1};
    int err = -1;
    (void)socket, (void)arg;
    if (room && what && strcmp(what, "join") == 0)
        err = tw_io_join(main_io, &t, other);
    else if (room && what && strcmp(what, "leave") == 0)
        err = tw_io_leave(main_io, &t, other);
    else if (room && what)
        err = tw_io_disconnect(main_io, &t, strcmp(what, "close") == 0);
    tw_ack_sendf(ack, "[%b]", err == 0);
}

/* Threads of the program that do all they may, at once. */
enum { STORM_THREADS = 4, STORM_ROUNDS = 50 };
struct storm {
    pthread_t thread;
    char *id;
    int number;
};

static void breeze(tw_socket *socket, void *arg)
{
    (void)arg;
    if (socket)
        tw_socket_emitf(socket, "breeze", "[%f]", 0.5);
}

static void *blow(void *arg)
{
    struct storm *w = arg;
    for (int i = 0; i < STORM_ROUNDS; i++) {
        tw_message m = {.size = sizeof(m), .channel = "storm", .event = "wind", .content = "1"};
        m.content_bytes = 1;
        tw_publish(main_server, &m);
        tw_io_tof(main_io, "storm", "gust", "[%d,%d]", w->number, i);
        tw_io_visit(main_io, w->id, breeze, NULL);
    }
    return NULL;
}

static void *storm_is_over(void *arg)
{
    struct storm *all_of_it = arg;
    for (int i = 0; i < STORM_THREADS; i++)
        pthread_join(all_of_it[i].thread, NULL);
    free(all_of_it->id);
    free(all_of_it);
    return NULL;
}

static void storm(tw_socket *socket, const tw_io_event *e, tw_ack *ack, void *arg)
{
    struct storm *w = calloc(STORM_THREADS, sizeof(*w));
    char *id = strdup(tw_socket_id(socket));
    pthread_t thread;
    (void)e, (void)arg;
    for (int i = 0; i < STORM_THREADS; i++) {
        w[i].id = id;
        w[i].number = i;
        if (pthread_create(&w[i].thread, NULL, blow, &w[i]) != 0)
            abort();
    }
    if (pthread_create(&thread, NULL, storm_is_over, w) != 0)
        abort();
    pthread_detach(thread);
    tw_ack_send(ack, "[true]");
}

/* One that goes on while the server ends, and is told so. */
static void *tick(void *arg)
{
    long long n = 0;
    (void)arg;
    while (!atomic_load(&is_over)) {
        tw_io_tof(main_io, "ticks", "tick", "[%lld]", ++n);
        tw_io_visit(main_io, "nobody-of-20-letters", breeze, NULL);
        nanosleep(&(struct timespec){.tv_nsec = 200000}, NULL);
    }
    return NULL;
}

static void start_ticks(tw_socket *socket, const tw_io_event *e, tw_ack *ack, void *arg)
{
    (void)socket, (void)e, (void)arg;
    if (!atomic_flag_test_and_set(&ticks) && pthread_create(&ticker, NULL, tick, NULL) != 0)
        abort();
    tw_ack_send(ack, "[true]");
}

static const char *allow(const tw_request *request, void *arg)
{
    const char *wish = tw_request_get(request, "x-refuse");
    (void)arg;
    return wish ? strcmp(wish, "plain") == 0 ? "" : "custom reason" : NULL;
}

static void who(tw_socket *socket, const tw_io_event *e, tw_ack *ack, void *arg)
{
    char *args = tw_json("[{\"id\":%s,\"nsp\":%s,\"user\":%s,\"agent\":%s,\"recovered\":%b}]",
                         tw_socket_id(socket), tw_socket_namespace(socket), tw_socket_user(socket),
                         tw_socket_handshake(socket, "x-test"), tw_socket_is_recovered(socket));
    (void)e, (void)arg;
    tw_ack_send(ack, args);
    tw_free(args);
}

static void bye(tw_socket *socket, const tw_io_event *e, tw_ack *ack, void *arg)
{
    const char *close = tw_io_event_arg(e, 0);
    (void)arg;
    tw_ack_drop(ack);
    tw_socket_disconnect(socket, close && strcmp(close, "true") == 0);
}

static void welcome(tw_socket *socket, void *arg)
{
    (void)arg;
    tw_socket_emit(socket, "auth", "[\"welcome\"]");
}

static void tell_reason(tw_socket *socket, const char *reason, void *arg)
{
    char *args = tw_json("[%s,%s]", tw_socket_id(socket), reason);
    (void)arg;
    tw_io_to(main_io, "watchers", "left", args);
    tw_free(args);
}

static void refuse(tw_socket *socket, tw_next *next, void *arg)
{
    const char *secret = tw_socket_auth(socket, "secret");
    (void)arg;
    if (secret && strcmp(secret, "open sesame") == 0)
        tw_next_ok(next);
    else
        tw_next_error(next, "not authorized", "{\"code\":\"E1\",\"n\":2}");
}

static void *admit_later(void *arg)
{
    tw_next_ok(arg);
    return NULL;
}

static void slow(tw_socket *socket, tw_next *next, void *arg)
{
    pthread_t thread;
    (void)socket, (void)arg;
    if (pthread_create(&thread, NULL, admit_later, next) == 0)
        pthread_detach(thread);
    else
        tw_next_error(next, "no thread", NULL);
}

static void serve(tw_server *server, const char *nsp)
{
    tw_io *io = tw_server_io(server, nsp);
    tw_io_on_connection(io, welcome, NULL);
    tw_io_on(io, "message", back, "message-back");
    tw_io_on(io, "message-with-ack", back, "message-back");
    tw_io_on(io, "later", later, NULL);
    tw_io_on(io, "ask", ask, NULL);
    tw_io_on(io, "visit", visit, NULL);
    tw_io_on(io, "join", join, NULL);
    tw_io_on(io, "leave", leave, NULL);
    tw_io_on(io, "to", to, NULL);
    tw_io_on(io, "io-to", to, "all");
    tw_io_on(io, "burst", burst, NULL);
    tw_io_on(io, "all", all, NULL);
    tw_io_on(io, "move", move, NULL);
    tw_io_on(io, "storm", storm, NULL);
    tw_io_on(io, "start-ticks", start_ticks, NULL);
    tw_io_on(io, "who", who, NULL);
    tw_io_on(io, "bye", bye, NULL);
    tw_io_on_disconnect(io, tell_reason, NULL);
}

static void ready(tw_server *server, void *arg)
{
    (void)arg;
    tw_server_write_dev_env(server);
}

int main(int argc, char **argv)
{
    tw_config *config = tw_config_new();
    for (int i = 1; i < argc; i++) {
        char *value = strchr(argv[i], '=');
        if (strcmp(argv[i], "dev") == 0)
            continue;
        if (value)
            *value++ = '\0';
        else if (i + 1 < argc)
            value = argv[i + 1], i++;
        const char *name =
            strncmp(argv[i - (value == argv[i])], "--", 2) ? "?" : argv[i - (value == argv[i])] + 2;
        int bad = strcmp(name, "config") == 0   ? tw_config_load(config, value)
                  : strcmp(name, "listen") == 0 ? tw_config_set(config, "http.listen", value)
                                                : tw_config_set(config, name, value);
        if (bad) {
            fprintf(stderr, "--%s: %s\n", name, tw_config_problems(config));
            return 1;
        }
    }
    tw_server *server = tw_config_develop(config) ? NULL : tw_server_new(config);
    if (!server) {
        fputs(tw_config_problems(config), stderr);
        return 1;
    }
    main_server = server;
    main_io = tw_server_io(server, "/");
    tw_server_on_request(server, allow, NULL);
    serve(server, "/");
    serve(server, "/custom");
    serve(server, "/dyn-*");
    serve(server, "/auth");
    tw_io_use(tw_server_io(server, "/auth"), refuse, NULL);
    serve(server, "/slow");
    tw_io_use(tw_server_io(server, "/slow"), slow, NULL);
    tw_server_on_ready(server, ready, NULL);
    int err = tw_server_run(server);
    if (err)
        fprintf(stderr, "%s: %s\n", tw_error_text(err), tw_server_problem(server));
    atomic_store(&is_over, true);
    if (atomic_flag_test_and_set(&ticks))
        pthread_join(ticker, NULL);
    tw_server_free(server);
    tw_config_free(config);
    return err ? 1 : 0;
}
