/* SPDX-License-Identifier: Apache-2.0 */
/* Tidewire as a library: a real-time server inside your program. Link with libtidewire.
 *
 * Threads and ownership:
 *  1. The library makes its threads in tw_server_start (or uses the caller's in tw_server_run)
 *     and joins them in tw_server_stop. It makes none before and leaves none behind.
 *  2. What is marked "any thread" may be called from everywhere, also while the server starts and
 *     ends, until tw_server_free; it then answers that the server is not there. Everything else on
 *     one object from one thread at a time.
 *  3. One server per process: signal handling, metrics and the log are the process's.
 *  4. Text that you pass is copied before the call returns.
 *  5. Text you get as `const char *` belongs to the object and lives until the next call on it;
 *     text you get as `char *` is yours: tw_free.
 *  6. Functions that can fail return 0, or a negative error: tw_error_text(e) says it in words
 *     and the object's tw_…_problem has the particulars.
 *  7. Callbacks run on a thread of the library. They must not block and must not call
 *     tw_server_stop.
 *  8. Secrets are never written to the log, to problems or to explanations.
 *  9. tw_…_free takes NULL. A server is stopped before it is freed.
 * 10. The ABI is stable within a major version; structs that you fill begin with their size. */
#ifndef TIDEWIRE_H
#define TIDEWIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define TW_API __attribute__((visibility("default")))
#else
#define TW_API
#endif

typedef struct tw_config tw_config;
typedef struct tw_server tw_server;
typedef struct tw_client tw_client;

TW_API const char *tw_version(void);
/* Features and libraries of this build, one "name value" a line. */
TW_API const char *tw_build(void);
/* Milliseconds since 1970. */
TW_API uint64_t tw_now_ms(void);
/* Frees text that is yours. */
TW_API void tw_free(void *text);

/* ---- errors ----------------------------------------------------------------------------- */
/* The sentence for a negative result. Never NULL. */
TW_API const char *tw_error_text(int error);
/* Nobody answered, or not in time: trying again may help. */
TW_API bool tw_error_is_unreachable(int error);
/* The catalogue entry of an error number (4403) or name ("ACCESS_DENIED") as text; NULL when
 * there is none. json: as a JSON object. */
TW_API char *tw_explain(const char *code, bool json);
/* The whole catalogue, one line (or JSON object) each. */
TW_API char *tw_explain_all(bool json);

/* ---- configuration ---------------------------------------------------------------------- */
/* Settings are texts under the names of docs/reference/settings.md ("http.listen"). What is set
 * here is stronger than the environment, that than the file, that than the defaults. */
TW_API tw_config *tw_config_new(void);
TW_API void tw_config_free(tw_config *c);
/* A YAML or JSON file; NULL looks at $TIDEWIRE_CONFIG, ./tidewire.yaml and
 * /etc/tidewire/tidewire.yaml, and finding none is no error. */
TW_API int tw_config_load(tw_config *c, const char *path);
/* TIDEWIRE_… variables of the process. */
TW_API int tw_config_load_environment(tw_config *c);
TW_API int tw_config_set(tw_config *c, const char *name, const char *value);
/* True when a setting of that name exists; *is_bool (may be NULL): it is true or false. */
TW_API bool tw_config_knows(const char *name, bool *is_bool);
/* True when file, environment, flag or tw_config_set has spoken of it: it is not the default. */
TW_API bool tw_config_has(const tw_config *c, const char *name);
/* The value in force, as text ("(set)" for secrets). NULL when the name is unknown or the
 * configuration has problems. */
TW_API char *tw_config_get(tw_config *c, const char *name);
/* 0 when all is well; else tw_config_problems says what is not. */
TW_API int tw_config_check(tw_config *c);
/* One a line: file:line:column, what is wrong, what to do. */
TW_API const char *tw_config_problems(tw_config *c);
TW_API const char *tw_config_warnings(tw_config *c);
/* The file that was read, or "". */
TW_API const char *tw_config_file(const tw_config *c);
/* A setting or a section explained, with the value in force when c is not NULL. *found (may be
 * NULL) is false for an unknown name; the text then has a suggestion. */
TW_API char *tw_config_explain(tw_config *c, const char *name, bool *found);
TW_API char *tw_config_defaults(void);    /* commented YAML */
TW_API char *tw_config_environment(void); /* variables, as an environment file */
TW_API char *tw_config_schema(void);      /* JSON Schema */

/* ---- tokens ----------------------------------------------------------------------------- */
/* Signs claims (a JSON object) with the first shared secret of the configuration; `iat` is added
 * when it is missing, and `exp` when ttl_ms is not 0. *token is yours. */
TW_API int tw_token_mint(tw_config *c, const char *claims_json, uint64_t ttl_ms, char **token);
/* Is the token good? 0, or the error a client would get; *report (yours) says why, when it
 * expires and what it claims. */
TW_API int tw_token_check(tw_config *c, const char *token, char **report);
/* A fresh secret for HS256, as text. */
TW_API char *tw_secret(void);
/* Particulars of the last failure of mint and check. */
TW_API const char *tw_token_problem(const tw_config *c);

/* ---- the database file ------------------------------------------------------------------ */
/* Without a server: "migrate" (arg: folder, else database.migrations), "backup" (arg: file),
 * "policies", "path". 0 or not; *report (yours) says what was done or what is wrong. */
TW_API int tw_db(tw_config *c, const char *verb, const char *arg, char **report);

/* ---- server ----------------------------------------------------------------------------- */
/* Takes a snapshot of the configuration. NULL when it has problems (tw_config_problems). */
TW_API tw_server *tw_server_new(tw_config *c);
TW_API void tw_server_free(tw_server *s);
/* Listens and serves on threads of the library. Returns when it is ready. */
TW_API int tw_server_start(tw_server *s);
/* Listens and serves on the calling thread (and more), until tw_server_stop, or until a signal:
 * SIGTERM and SIGINT drain, a second one quits; SIGHUP reloads; SIGUSR2 writes the state to the
 * log. 0 after an orderly end. */
TW_API int tw_server_run(tw_server *s);
/* Runs on loop 0 when the server is ready; before tw_server_start or _run. */
TW_API void tw_server_on_ready(tw_server *s, void (*fn)(tw_server *s, void *arg), void *arg);
/* Tells clients to come back, spread over drain_ms, then ends. After tw_server_start it returns
 * when all is over (one thread calls it, and not in a callback); during tw_server_run it returns
 * at once, any thread, and tw_server_run ends. */
TW_API void tw_server_stop(tw_server *s, uint64_t drain_ms);
/* Reads file and environment anew; what can change without a restart does. With a problem
 * nothing changes (the log says why). Any thread. */
TW_API void tw_server_reload(tw_server *s);
/* "http://127.0.0.1:8787", with the port that was really bound. */
TW_API const char *tw_server_url(const tw_server *s);
/* Particulars of the last failure. */
TW_API const char *tw_server_problem(const tw_server *s);

/* ---- publishing from inside --------------------------------------------------------------- */
typedef struct tw_message {
    size_t size;         /* sizeof(tw_message) */
    const char *channel; /* NULL = the default channel */
    const char *event;   /* NULL = "message" */
    const void *content; /* one JSON text, or bytes when binary */
    size_t content_bytes;
    bool binary;
    const char *id; /* idempotency id; may be NULL */
    /* Runs on a thread of the library: 0 and the offset, or why not. May be NULL. */
    void (*done)(int error, uint64_t offset, void *arg);
    void *arg;
} tw_message;
/* Publishes as the server itself: no rule is asked. Any thread. 0 = it is on its way; else an
 * error (the server does not run: "Service unavailable"), and done is not called. Messages of one
 * thread to one channel keep their order. */
TW_API int tw_publish(tw_server *s, const tw_message *message);

/* Development: a secret is made in the data folder (./tidewire-data unless said otherwise, mode
 * 0700), an anonymous client may do everything, and only loopback addresses are listened on. After
 * loading; what it says is weaker than the file's word. */
TW_API int tw_config_develop(tw_config *c);
/* Writes <data>/dev.env (0600): TIDEWIRE_URL, TIDEWIRE_ANON_KEY, TIDEWIRE_SERVICE_KEY,
 * TIDEWIRE_JWT_SECRET. For a server whose configuration is one of development. */
TW_API int tw_server_write_dev_env(tw_server *s);
/* The banner for a terminal: what is where, and in development a key. From tw_server_on_ready's
 * function on. */
TW_API char *tw_server_banner(tw_server *s, bool color);

/* ---- Socket.IO: your own server ------------------------------------------------------------ */
/* A tw_io is a namespace; a tw_socket is a client in it; a room is a channel, so what is sent here
 * reaches the other dialects, too. docs/guide/embedding.md is the tour, examples/chat.c a server.
 *
 * Handlers are registered before the server starts and run on the thread of that socket's loop:
 * one socket's handlers never run at the same time, those of two sockets may. A tw_socket is good
 * only inside a handler; elsewhere a socket is named by its id (tw_io_visit). What is marked "any
 * thread" may be called from everywhere, all else on a tw_socket only in its handlers.
 *
 * A socket outlives its connection: when the client vanishes, on_disconnect runs and the socket
 * waits (socketio.recovery_ms). What is sent to it and to its rooms is kept; when the client comes
 * back, on_connection runs again, on whichever loop, and it goes on. Until it has gone for good:
 *
 *   middlewares -> on_connection -> events ... -> on_disconnect -> free_fn of its data
 *                       ^                              |
 *                       '------ it came back ----------'
 *
 * Arguments are a JSON array as text: "[\"hello\", {\"n\": 1}]"; NULL is none. Where bytes
 * belong into it stands {"_placeholder":true,"num":0}, the number counting tw_io_message.bytes. */
typedef struct tw_io tw_io;
typedef struct tw_socket tw_socket;
typedef struct tw_io_event tw_io_event;
typedef struct tw_next tw_next;
typedef struct tw_ack tw_ack;
typedef struct tw_request tw_request;
typedef struct tw_bytes {
    const void *data;
    size_t size;
} tw_bytes;
typedef struct tw_io_message {
    size_t size; /* sizeof(tw_io_message) */
    const char *event;
    const char *args;
    const tw_bytes *bytes; /* at most 10 */
    size_t bytes_count;
    bool is_volatile; /* not for clients that would have to wait for it; never replayed */
} tw_io_message;
typedef struct tw_io_target {
    size_t size;              /* sizeof(tw_io_target) */
    const char *const *rooms; /* rooms or socket ids, each client once; none = all */
    size_t rooms_count;
    const char *const *except; /* nobody in one of these */
    size_t except_count;
} tw_io_target;

/* "/" or "/name", or a pattern with * ("/room-*": each name that a client asks for). The same name
 * gives the same tw_io; it belongs to the server. NULL after the start. */
TW_API tw_io *tw_server_io(tw_server *s, const char *name);
/* Asked for each handshake, before anything is made for it (allowRequest): NULL lets it in, a text
 * refuses it in these words ("" = "Forbidden"). Threads of the library; before the start. Origins
 * are the setting http.origins. */
TW_API void tw_server_on_request(tw_server *s,
                                 const char *(*fn)(const tw_request *request, void *arg),
                                 void *arg);
/* "address", "url", "secure" ("true" or NULL), or a header's name. Good in that call only. */
TW_API const char *tw_request_get(const tw_request *request, const char *name);
/* Middlewares run in order for each client that connects; each ends in tw_next_ok or
 * tw_next_error, now or later. With one, a bad or missing token is its matter: tw_socket_auth,
 * tw_token_verify. */
TW_API void tw_io_use(tw_io *io, void (*fn)(tw_socket *socket, tw_next *next, void *arg),
                      void *arg);
TW_API void tw_io_on_connection(tw_io *io, void (*fn)(tw_socket *socket, void *arg), void *arg);
/* ack: NULL when the client wants no answer; else yours: tw_ack_send or tw_ack_drop, now or
 * later. */
TW_API void tw_io_on(tw_io *io, const char *event,
                     void (*fn)(tw_socket *socket, const tw_io_event *e, tw_ack *ack, void *arg),
                     void *arg);
/* reason: as in Socket.IO ("transport close", "client namespace disconnect" ...). The socket may
 * come back (tw_socket_is_recovered): its rooms and data stay until then. */
TW_API void tw_io_on_disconnect(tw_io *io,
                                void (*fn)(tw_socket *socket, const char *reason, void *arg),
                                void *arg);

/* The word of a middleware. Any thread; each takes next. data_json may be NULL. */
TW_API void tw_next_ok(tw_next *next);
TW_API void tw_next_error(tw_next *next, const char *message, const char *data_json);
/* The answer to an event. Any thread; each takes ack. */
TW_API void tw_ack_send(tw_ack *ack, const char *args);
TW_API void tw_ack_send_bytes(tw_ack *ack, const char *args, const tw_bytes *bytes, size_t count);
TW_API void tw_ack_drop(tw_ack *ack);

/* What came. Text lives as long as the handler runs. */
TW_API const char *tw_io_event_name(const tw_io_event *e);
/* All arguments as they came, a JSON array, to be passed on (its bytes: tw_io_event_bytes). */
TW_API const char *tw_io_event_args(const tw_io_event *e);
TW_API size_t tw_io_event_count(const tw_io_event *e);
/* The i-th argument as raw JSON; NULL when there is none. */
TW_API const char *tw_io_event_arg(const tw_io_event *e, size_t i);
/* The same when it is text or a number: as text; else NULL. */
TW_API const char *tw_io_event_text(const tw_io_event *e, size_t i);
/* The same when it is bytes. */
TW_API bool tw_io_event_bytes(const tw_io_event *e, size_t i, tw_bytes *out);
/* A member inside an argument, by dotted path ("user.name"), when it is text, a number, true or
 * false: as text; else NULL. */
TW_API const char *tw_io_event_field(const tw_io_event *e, size_t i, const char *path);

/* Who it is. Text lives until the next call on this thread. */
TW_API const char *tw_socket_id(tw_socket *socket);
TW_API const char *tw_socket_namespace(tw_socket *socket);
/* Of its verified token: the subject, the role ("anon" and the like without one), all claims as a
 * JSON object. */
TW_API const char *tw_socket_user(tw_socket *socket);
TW_API const char *tw_socket_role(tw_socket *socket);
TW_API const char *tw_socket_claims(tw_socket *socket);
/* In middlewares and on connection: a member of what the client gave as `auth`, as text; NULL. */
TW_API const char *tw_socket_auth(tw_socket *socket, const char *name);
/* "address", "url", "secure", or a header's name. */
TW_API const char *tw_socket_handshake(tw_socket *socket, const char *name);
TW_API bool tw_socket_is_recovered(tw_socket *socket);
/* False in middlewares, after on_disconnect, and for one that waits for its client. */
TW_API bool tw_socket_is_connected(tw_socket *socket);
/* Yours; free_fn (may be NULL) runs when the socket will not come back any more. */
TW_API void tw_socket_set_data(tw_socket *socket, void *data, void (*free_fn)(void *data));
TW_API void *tw_socket_data(tw_socket *socket);
/* fn runs once after ms, unless the connection is lost before; returns a number for cancel, or 0
 * (and fn never runs) when it is not connected. */
TW_API uint64_t tw_socket_after(tw_socket *socket, uint64_t ms,
                                void (*fn)(tw_socket *socket, void *arg), void *arg);
TW_API void tw_socket_cancel(tw_socket *socket, uint64_t timer);

/* Rooms. No rule is asked: your program decides. False when the name is no room's (empty, longer
 * than 255 bytes, control characters), or its client is away. */
TW_API bool tw_socket_join(tw_socket *socket, const char *room);
TW_API void tw_socket_leave(tw_socket *socket, const char *room);
TW_API bool tw_socket_is_in(tw_socket *socket, const char *room);
TW_API void tw_socket_rooms(tw_socket *socket, void (*fn)(const char *room, void *arg), void *arg);
/* close: the whole connection, with all its namespaces. The client does not come back by itself. */
TW_API void tw_socket_disconnect(tw_socket *socket, bool close);

/* Sending: 0 or a negative error (an event name that Socket.IO keeps for itself, arguments that
 * are no JSON array). To this socket; also what it misses while it is away reaches it. */
TW_API int tw_socket_emit(tw_socket *socket, const char *event, const char *args);
TW_API int tw_socket_send(tw_socket *socket, const tw_io_message *message);
/* The client is asked for an answer. done runs once, on the socket's thread: error 0 and what it
 * said (its arguments, bytes too), or NULL and why nothing came: too late, the connection was lost.
 * timeout_ms 0 = no limit. With a negative result done does not run; a client that owes 1000
 * answers is not asked. */
TW_API int tw_socket_ask(tw_socket *socket, const tw_io_message *message, uint64_t timeout_ms,
                         void (*done)(tw_socket *socket, int error, const tw_io_event *answer,
                                      void *arg),
                         void *arg);
/* To the others in a room; to the others of a target (target NULL: all others). */
TW_API int tw_socket_to(tw_socket *socket, const char *room, const char *event, const char *args);
TW_API int tw_socket_broadcast(tw_socket *socket, const tw_io_target *target,
                               const tw_io_message *message);
/* To everybody, to a room (or the socket of an id), to a target. Any thread; not for patterns. */
TW_API int tw_io_emit(tw_io *io, const char *event, const char *args);
TW_API int tw_io_to(tw_io *io, const char *room, const char *event, const char *args);
TW_API int tw_io_broadcast(tw_io *io, const tw_io_target *target, const tw_io_message *message);
/* The same with arguments as by tw_json ("[{\"userId\":%s}]", id); room NULL = everybody. */
TW_API int tw_socket_emitf(tw_socket *socket, const char *event, const char *format, ...);
TW_API int tw_socket_tof(tw_socket *socket, const char *room, const char *event, const char *format,
                         ...);
TW_API int tw_io_tof(tw_io *io, const char *room, const char *event, const char *format, ...);
TW_API void tw_ack_sendf(tw_ack *ack, const char *format, ...);

/* Runs fn on the socket's thread, once: with NULL when there is no such socket (any more) in this
 * namespace. Any thread: this is how a handler goes on after it has waited for something. With a
 * negative result fn does not run. */
TW_API int tw_io_visit(tw_io *io, const char *socket_id, void (*fn)(tw_socket *socket, void *arg),
                       void *arg);
/* Runs fn for each socket of a target (NULL: all of the namespace), also for those that wait for
 * their clients; loop after loop, so never twice at a time. Then done (may be NULL). Any thread.
 * It is what fetchSockets and a broadcast that wants answers are made of. */
TW_API int tw_io_each(tw_io *io, const tw_io_target *target,
                      void (*fn)(tw_socket *socket, void *arg), void (*done)(void *arg), void *arg);
/* socketsJoin, socketsLeave, disconnectSockets. Any thread. */
TW_API int tw_io_join(tw_io *io, const tw_io_target *target, const char *room);
TW_API int tw_io_leave(tw_io *io, const tw_io_target *target, const char *room);
TW_API int tw_io_disconnect(tw_io *io, const tw_io_target *target, bool close);

/* A token by the server's keys: 0 and its claims (yours), or the error. Any thread. */
TW_API int tw_token_verify(tw_server *s, const char *token, char **claims_json);
/* Writes JSON: %s text (quoted and escaped, NULL is null), %j raw JSON (NULL is null), %d int, %lld
 * long long, %f double, %b bool, %%. Yours. Any thread. */
TW_API char *tw_json(const char *format, ...);
/* A member of a JSON object by dotted path: text without quotes, else raw JSON. Yours; NULL when
 * it is not there. */
TW_API char *tw_json_get(const char *json, const char *path);

/* ---- client ------------------------------------------------------------------------------- */
/* A client of the plain dialect over WebSocket, for tools and tests. It blocks, and one thread
 * uses it. After a loss it comes back by itself with its positions, so that each message is seen
 * once, or a gap is told. TLS is not spoken yet. */
typedef struct tw_event {
    const char *type;    /* of the frame: "message", "presence", "gap", …; or "lost", "back" */
    const char *channel; /* these are "" when the frame has none */
    const char *event;
    const char *content; /* raw JSON */
    const char *id;
    const char *message; /* of an error, or why the connection was lost */
    const char *hint;
    int code; /* of an error */
    uint64_t offset;
    uint64_t time_ms;
    const char *json; /* the whole frame as it came; "" for lost and back */
} tw_event;

/* url: http://host:port or ws://host:port, perhaps with a path before /socket; NULL: $TIDEWIRE_URL,
 * else http://127.0.0.1:8787. token may be NULL. */
TW_API tw_client *tw_client_new(const char *url, const char *token);
TW_API void tw_client_free(tw_client *c);
/* How long connecting and an answer may take; default 10 s. */
TW_API void tw_client_set_timeout(tw_client *c, uint64_t ms);
TW_API int tw_client_connect(tw_client *c);
/* history: the newest n first; max_age_ms: leaves out what is older (0 = no limit). */
TW_API int tw_client_subscribe(tw_client *c, const char *channel, unsigned history,
                               uint64_t max_age_ms, bool presence);
/* Waits for the answer: 0 and *answer (type "ack"), or the error. NULL arguments are left out. */
TW_API int tw_client_publish(tw_client *c, const char *channel, const char *event,
                             const char *content_json, const char *id, tw_event *answer);
/* The next thing that happened. 1 and *out (good until the next call), 0 when nothing did within
 * timeout_ms, negative when it cannot go on (a refusal). */
TW_API int tw_client_next(tw_client *c, int timeout_ms, tw_event *out);
/* Particulars of the last failure. */
TW_API const char *tw_client_problem(const tw_client *c);
/* GET of a stream of JSON lines (/api/tail), in place of the WebSocket: 0, or why not. */
TW_API int tw_client_watch(tw_client *c, const char *path);
/* Its next line, as tw_client_next. */
TW_API int tw_client_next_line(tw_client *c, int timeout_ms, tw_event *out);
/* One HTTP request to the client's server. Returns the status, or a negative error; *answer (may
 * be NULL) is yours. body may be NULL. */
TW_API int tw_client_http(tw_client *c, const char *method, const char *path, const char *body,
                          char **answer);

#ifdef __cplusplus
}
#endif

#endif
