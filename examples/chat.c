/* SPDX-License-Identifier: Apache-2.0 */
/* The chat server of a well-known guide, almost line for line in C: tokens are checked by a
 * middleware, rooms have members, messages carry the server's time, "is typing" ends by itself.
 *
 *   cc -o chat chat.c $(pkg-config --cflags --libs tidewire)
 *   TIDEWIRE_AUTH_JWT_SECRET=... ./chat --http.listen=127.0.0.1:3001
 *
 * Each argument is a setting (docs/reference/settings.md). In development, `./chat dev` makes a
 * secret and keys in ./tidewire-data as `tidewire dev` does. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tidewire.h>

enum { TYPING_MS = 10000, ROOM_SIZE = 256 };

/* What we keep for each socket: who it is, and where it is typing. */
struct user {
    tw_server *server;
    char *id, *name;
    char typing[ROOM_SIZE]; /* room; "" = nowhere */
    uint64_t timer;
};

static void free_user(void *data)
{
    struct user *user = data;
    tw_free(user->id);
    tw_free(user->name);
    free(user);
}

/* io.use(async (socket, next) => { ... }) */
static void authenticate(tw_socket *socket, tw_next *next, void *arg)
{
    tw_server *server = arg;
    const char *token = tw_socket_auth(socket, "token");
    char *claims = NULL;
    if (!token || !*token) {
        tw_next_error(next, "Authentication token required", NULL);
        return;
    }
    if (tw_token_verify(server, token, &claims)) {
        tw_next_error(next, "Invalid authentication token", NULL);
        return;
    }
    struct user *user = calloc(1, sizeof(*user));
    user->server = server;
    user->id = tw_json_get(claims, "sub");
    user->name = tw_json_get(claims, "name");
    tw_free(claims);
    tw_socket_set_data(socket, user, free_user);
    tw_next_ok(next);
}

/* Who may enter: rooms that begin with "private-" are for those whom the token lists. */
static bool check_room_access(tw_socket *socket, const char *room)
{
    if (strncmp(room, "private-", 8) != 0)
        return true;
    char *rooms = tw_json_get(tw_socket_claims(socket), "rooms");
    char *quoted = tw_json("%s", room);
    bool listed = rooms && strstr(rooms, quoted);
    tw_free(quoted);
    tw_free(rooms);
    return listed;
}

static void reply(tw_ack *ack, const char *status)
{
    tw_ack_sendf(ack, "[{\"status\":%s}]", status);
}

/* socket.on('join-room', (roomId) => { ... }) */
static void join_room(tw_socket *socket, const tw_io_event *e, tw_ack *ack, void *arg)
{
    struct user *user = tw_socket_data(socket);
    const char *room = tw_io_event_text(e, 0);
    (void)arg;
    if (!room || !check_room_access(socket, room)) {
        tw_socket_emit(socket, "error", "[{\"message\":\"Access denied\"}]");
        reply(ack, "error");
        return;
    }
    bool is_new = !tw_socket_is_in(socket, room); /* a client joins again at each reconnect */
    tw_socket_join(socket, room);
    if (is_new)
        tw_socket_tof(socket, room, "user-joined", "[{\"userId\":%s,\"userName\":%s}]", user->id,
                      user->name);
    reply(ack, "ok");
}

/* socket.on('send-message', ({ roomId, message }) => { ... }) */
static void send_message(tw_socket *socket, const tw_io_event *e, tw_ack *ack, void *arg)
{
    struct user *user = tw_socket_data(socket);
    const char *room = tw_io_event_field(e, 0, "roomId");
    const char *message = tw_io_event_field(e, 0, "message");
    (void)arg;
    if (!room || !message || !tw_socket_is_in(socket, room)) {
        tw_socket_emit(socket, "error", "[{\"message\":\"Access denied\"}]");
        reply(ack, "error");
        return;
    }
    tw_socket_tof(socket, room, "new-message",
                  "[{\"userId\":%s,\"userName\":%s,\"message\":%s,\"timestamp\":%lld}]", user->id,
                  user->name, message, (long long)tw_now_ms());
    reply(ack, "ok");
}

static void stop_typing(tw_socket *socket)
{
    struct user *user = tw_socket_data(socket);
    if (!user || !user->typing[0])
        return;
    tw_socket_tof(socket, user->typing, "user-stopped-typing", "[{\"userId\":%s}]", user->id);
    user->typing[0] = '\0';
    tw_socket_cancel(socket, user->timer);
}

static void typing_is_over(tw_socket *socket, void *arg)
{
    (void)arg;
    stop_typing(socket);
}

static void typing_start(tw_socket *socket, const tw_io_event *e, tw_ack *ack, void *arg)
{
    struct user *user = tw_socket_data(socket);
    const char *room = tw_io_event_text(e, 0);
    (void)arg;
    tw_ack_drop(ack);
    if (!room || strlen(room) >= ROOM_SIZE || !tw_socket_is_in(socket, room))
        return;
    if (strcmp(user->typing, room) != 0) {
        stop_typing(socket);
        strcpy(user->typing, room);
        tw_socket_tof(socket, room, "user-typing", "[{\"userId\":%s}]", user->id);
    }
    tw_socket_cancel(socket, user->timer);
    user->timer = tw_socket_after(socket, TYPING_MS, typing_is_over, NULL);
}

static void typing_stop(tw_socket *socket, const tw_io_event *e, tw_ack *ack, void *arg)
{
    (void)e, (void)arg;
    tw_ack_drop(ack);
    stop_typing(socket);
}

/* io.on('connection', (socket) => { ... }) */
static void connected(tw_socket *socket, void *arg)
{
    struct user *user = tw_socket_data(socket);
    (void)arg;
    printf("User %s: %s\n", tw_socket_is_recovered(socket) ? "is back" : "connected", user->id);
}

static void disconnected(tw_socket *socket, const char *reason, void *arg)
{
    struct user *user = tw_socket_data(socket);
    (void)arg;
    stop_typing(socket); /* for a client that vanished */
    printf("User disconnected: %s (%s)\n", user->id, reason);
}

static void ready(tw_server *server, void *arg)
{
    (void)arg;
    printf("Listening on %s\n", tw_server_url(server));
    fflush(stdout);
}

static int fail(const char *what, const char *why)
{
    fprintf(stderr, "%s%s\n", what, why);
    return 1;
}

int main(int argc, char **argv)
{
    tw_config *config = tw_config_new();
    bool dev = false;
    for (int i = 1; i < argc; i++) {
        char *value = strchr(argv[i], '=');
        if (strcmp(argv[i], "dev") == 0) {
            dev = true;
        } else if (strncmp(argv[i], "--", 2) == 0 && value) {
            *value++ = '\0';
            if (tw_config_set(config, argv[i] + 2, value))
                return fail("unknown setting: ", argv[i]);
        } else {
            return fail("not --setting=value: ", argv[i]);
        }
    }
    tw_config_load_environment(config);
    if (dev && tw_config_develop(config))
        return fail("", tw_config_problems(config));
    tw_server *server = tw_server_new(config);
    if (!server)
        return fail("", tw_config_problems(config));

    tw_io *io = tw_server_io(server, "/");
    tw_io_use(io, authenticate, server);
    tw_io_on_connection(io, connected, NULL);
    tw_io_on(io, "join-room", join_room, NULL);
    tw_io_on(io, "send-message", send_message, NULL);
    tw_io_on(io, "typing-start", typing_start, NULL);
    tw_io_on(io, "typing-stop", typing_stop, NULL);
    tw_io_on_disconnect(io, disconnected, NULL);

    tw_server_on_ready(server, ready, NULL);
    int err = tw_server_run(server);
    if (err)
        fprintf(stderr, "%s: %s\n", tw_error_text(err), tw_server_problem(server));
    tw_server_free(server);
    tw_config_free(config);
    return err ? 1 : 0;
}
