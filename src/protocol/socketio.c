/* SPDX-License-Identifier: Apache-2.0 */
/* Socket.IO on a connection: what the client's packets mean, and the life of a socket up to its
 * session's end. See socketio.h for the way of a CONNECT, socketio_priv.h for the states.
 *
 * I1  A socket stands in its connection's list until it is AWAY or GONE; at most one for each
 *     namespace, so a second CONNECT, also while the first is undecided, breaks the connection.
 * I2  From JOINING on a socket has a session; its record goes with the session (on_ended).
 * I3  Somebody else's word (middleware, another loop) names the socket by number, never by
 *     pointer: it may be gone when the word comes. */
#include "protocol/socketio_priv.h"

#include "base/check.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"

/* A CONNECT costs a token's check or a program's word, so many are slowed down; each namespace is
 * a session of its own, so one connection has no more than so many. */
enum { NAMESPACES_MAX = 64, CONNECT_COST_MS = 20, CONNECT_BURST_MS = 64 * CONNECT_COST_MS };

static void free_dead(struct loop *l, struct turn_task *task);

struct socketio_home *socketio_home_of(const struct loop *l)
{
    return loop_slot(l, LOOP_SLOT_SOCKETIO);
}

void socketio_setup(struct loops *ls, const struct socketio_config *config)
{
    for (unsigned i = 0; i < loops_count(ls); i++) {
        struct socketio_home *home = mem_new(sizeof(*home));
        home->loop = loops_at(ls, i);
        home->config = config;
        loop_slot_set(home->loop, LOOP_SLOT_SOCKETIO, home);
        list_init(&home->graveyard);
    }
}

void socketio_teardown(struct loops *ls)
{
    for (unsigned i = 0; i < loops_count(ls); i++) {
        struct socketio_home *home = socketio_home_of(loops_at(ls, i));
        if (!home)
            continue;
        loop_turn_task_drop(&home->free_task);
        free_dead(home->loop, &home->free_task);
        map_free(&home->waiting);
        map_free(&home->lines);
        loop_slot_set(home->loop, LOOP_SLOT_SOCKETIO, NULL);
        mem_free(home);
    }
}

static const struct socketio_handlers *handlers_of(const struct socketio_socket *s)
{
    const struct socketio_handlers *h = socketio_home_of(s->loop)->config->handlers;
    return h && h->serves(h->arg, socketio_nsp(s)) ? h : NULL;
}

/* ---- records ------------------------------------------------------------------------------ */

struct socketio_socket *socketio_new(struct engineio *e, const struct socketio_namespace *ns,
                                     struct str nsp, struct identity *identity)
{
    struct socketio_socket *s = mem_new(sizeof(*s) + nsp.n);
    CHECK(nsp.n && nsp.n <= SOCKETIO_NSP_BYTES_MAX);
    s->loop = e->loop;
    s->conn = e;
    s->ns = ns;
    s->identity = identity_ref(identity);
    s->nsp_n = (uint8_t)nsp.n;
    memcpy(s->nsp, nsp.p, nsp.n);
    list_push(&e->sockets, &s->link);
    metric_add(M_SOCKETIO_SOCKETS, 1);
    return s;
}

/* A number by which it can be found until it is decided. */
static void await_word(struct socketio_socket *s, enum socket_state state)
{
    struct socketio_home *home = socketio_home_of(s->loop);
    s->state = (uint8_t)state;
    s->number = ++home->number;
    map_put(&home->waiting, str_of((char *)&s->number, sizeof(s->number)), s);
}

static void stop_waiting(struct socketio_socket *s)
{
    if (s->number)
        map_remove(&socketio_home_of(s->loop)->waiting,
                   str_of((char *)&s->number, sizeof(s->number)));
    s->number = 0;
}

static void free_dead(struct loop *l, struct turn_task *task)
{
    struct list *link;
    (void)l;
    while ((link = list_take(&LIST_OF(task, struct socketio_home, free_task)->graveyard)))
        mem_free(LIST_OF(link, struct socketio_socket, link));
}

void socketio_free(struct socketio_socket *s)
{
    struct socketio_home *home = socketio_home_of(s->loop);
    const struct socketio_handlers *h = home->config->handlers;
    stop_waiting(s);
    list_drop(&s->link);
    socketio_acks_drop(s, E_CLOSED);
    mem_free(s->acks);
    socketio_hold_drop(s);
    socketio_outbox_free(s);
    socketio_rules_freed(s);
    if (s->data && h && h->freed)
        h->freed(h->arg, s->data);
    s->data = NULL;
    identity_unref(s->identity);
    s->identity = NULL;
    mem_free(s->auth);
    s->auth = NULL;
    s->state = SOCKET_GONE;
    metric_add(M_SOCKETIO_SOCKETS, -1);
    list_push(&home->graveyard, &s->link); /* a caller may still look at it */
    home->free_task.run = free_dead;
    loop_at_turn_end(s->loop, TURN_FREE, &home->free_task);
}

static struct socketio_socket *find_socket(const struct engineio *e, struct str nsp)
{
    for (struct list *at = e->sockets.next; at != &e->sockets; at = at->next) {
        struct socketio_socket *s = LIST_OF(at, struct socketio_socket, link);
        if (str_eq(socketio_nsp(s), nsp))
            return s;
    }
    return NULL;
}

/* ---- CONNECT ------------------------------------------------------------------------------ */

static void send_refusal(struct engineio *e, struct str nsp, struct str message, struct str data)
{
    struct buf b = {0};
    buf_add_c(&b, '4');
    socketio_add_connect_error(&b, nsp, message, data);
    engineio_send_text(e, buf_str(&b));
    buf_free(&b);
}

/* The guide's words are the words; what exactly is wrong stands in data. */
static void refuse_token(struct engineio *e, struct str nsp, int err)
{
    const struct err_info *info = err_info(err);
    struct str message = str_from(err_info(err == E_TOKEN_EXPIRED ? E_TOKEN_INVALID : err)->text);
    struct buf data = {0};
    buf_add_c(&data, '{');
    json_add_u64(&data, "code", (uint64_t)info->number);
    json_add_field(&data, "name", str_from(info->name));
    buf_add_c(&data, '}');
    send_refusal(e, nsp, message, buf_str(&data));
    buf_free(&data);
}

static const struct socketio_namespace *find_namespace(struct loop *l, struct str nsp)
{
    static const struct socketio_namespace plain = {.match = {"/", 1}};
    static const struct socketio_namespace own_auth = {.match = {"/", 1}, .own_auth = true};
    const struct socketio_config *config = socketio_home_of(l)->config;
    if (nsp.n > SOCKETIO_NSP_BYTES_MAX || str_find(nsp, '#') >= 0)
        return NULL;
    if (str_is(nsp, "/"))
        return config->main_own_auth ? &own_auth : &plain;
    for (size_t i = 0; i < config->namespaces_count; i++)
        if (str_eq(config->namespaces[i].match, nsp))
            return &config->namespaces[i];
    for (size_t i = 0; i < config->namespaces_count; i++)
        if (str_glob(config->namespaces[i].match, nsp))
            return &config->namespaces[i];
    return NULL;
}

/* Whose CONNECT is it: its own token, else the request's. 0 and a reference, or E_*. */
static int identify(struct engineio *e, const struct socketio_namespace *ns, struct str token,
                    struct identity **out)
{
    struct auth_verdict verdict;
    int err = e->auth_err;
    *out = NULL;
    if (token.n)
        err = session_verify(e->loop, token, out, &verdict);
    else if (e->identity)
        *out = identity_ref(e->identity);
    else if (!err)
        err = session_verify(e->loop, STR_NONE, out, &verdict);
    if (err && ns->own_auth) {
        *out = identity_new_anonymous(STR_NONE);
        return 0;
    }
    return err;
}

static bool has_role(const struct socketio_namespace *ns, const struct identity *id)
{
    if (!ns->roles_count || id->service)
        return true;
    for (size_t i = 0; i < ns->roles_count; i++)
        if (str_is(ns->roles[i], "*") || str_eq(ns->roles[i], id->role))
            return true;
    return false;
}

static void charge_connect(struct engineio *e)
{
    uint64_t now_ms = loop_now_ms(e->loop);
    uint64_t least_ms = now_ms > CONNECT_BURST_MS ? now_ms - CONNECT_BURST_MS : 0;
    e->connects_ms = (e->connects_ms > least_ms ? e->connects_ms : least_ms) + CONNECT_COST_MS;
}

static bool has_room(const struct engineio *e)
{
    size_t count = 0;
    for (struct list *at = e->sockets.next; at != &e->sockets; at = at->next)
        count++;
    return count < NAMESPACES_MAX;
}

static void on_connect(struct engineio *e, const struct socketio_packet *packet)
{
    const struct socketio_config *config = socketio_home_of(e->loop)->config;
    const struct socketio_namespace *ns = find_namespace(e->loop, packet->nsp);
    struct socketio_auth auth;
    struct identity *identity = NULL;
    charge_connect(e);
    if (find_socket(e, packet->nsp)) {
        engineio_close(e, "forced server close");
        return;
    }
    if (!ns) {
        send_refusal(e, packet->nsp, STR("Invalid namespace"), STR_NONE);
        return;
    }
    if (!has_room(e)) {
        send_refusal(e, packet->nsp, str_from(err_info(E_TOO_MANY)->text), STR_NONE);
        return;
    }
    if (socketio_auth(loop_turn(e->loop), packet->payload, &auth)) {
        engineio_close(e, "forced close");
        return;
    }
    int err = identify(e, ns, auth.token, &identity);
    if (err) {
        refuse_token(e, packet->nsp, err);
        return;
    }
    if (!has_role(ns, identity)) {
        metric_add(M_ACCESS_DENIED, 1);
        send_refusal(e, packet->nsp, str_from(err_info(E_ACCESS_DENIED)->text), STR_NONE);
        identity_unref(identity);
        return;
    }
    struct socketio_socket *s = socketio_new(e, ns, packet->nsp, identity);
    identity_unref(identity);
    s->auth = packet->payload.n ? str_dup(packet->payload) : NULL;
    if (config->recovery_ms && auth.pid.n == SESSION_TICKET_SIZE) {
        await_word(s, SOCKET_FETCHING);
        socketio_recover(s, auth.pid, auth.offset);
    } else {
        socketio_connect(s);
    }
}

/* ---- middleware, session ------------------------------------------------------------------ */

struct socketio_socket *socketio_waiting(struct loop *l, uint64_t number)
{
    return map_get(&socketio_home_of(l)->waiting, str_of((char *)&number, sizeof(number)));
}

/* A session of its own, and the channel that all of the namespace are in; the CONNECT reply
 * follows when that is live. */
static void join_namespace(struct socketio_socket *s)
{
    const struct socketio_config *config = socketio_home_of(s->loop)->config;
    struct session_open o = {.ops = &socketio_ops,
                             .outlet = &s->conn->outlet,
                             .identity = s->identity,
                             .user = s,
                             .names_place = config->recovery_ms > 0,
                             .resume_ms = config->recovery_ms};
    struct buf channel = {0};
    char ticket[SESSION_TICKET_SIZE + 1];
    stop_waiting(s);
    s->session = session_open(s->loop, &o);
    if (!s->session) {
        send_refusal(s->conn, socketio_nsp(s), str_from(err_info(E_TOO_MANY)->text), STR_NONE);
        socketio_free(s);
        return;
    }
    identity_unref(s->identity);
    s->identity = NULL;
    s->state = SOCKET_JOINING;
    s->confirmed = hub_sequence(hub_of(s->loop));
    if (config->recovery_ms) {
        session_ticket_new(s->loop, ticket);
        session_ticket_join(s->session, str_from(ticket));
    }
    socketio_channel(&channel, socketio_nsp(s), STR_NONE);
    session_request(s->session, &(struct request){.type = REQUEST_SUBSCRIBE,
                                                  .channel = buf_str(&channel),
                                                  .kind = engineio_kind(s->conn),
                                                  .trusted = true});
    buf_free(&channel);
}

void socketio_connect(struct socketio_socket *s)
{
    const struct socketio_handlers *h = handlers_of(s);
    stop_waiting(s);
    if (!h || !h->middleware) {
        join_namespace(s);
        return;
    }
    await_word(s, SOCKET_ASKING);
    h->middleware(h->arg, s, s->number);
}

void socketio_admit(struct loop *l, uint64_t number)
{
    struct socketio_socket *s = socketio_waiting(l, number);
    if (!s || s->state != SOCKET_ASKING)
        return;
    if (s->is_recovered) { /* asked again though it is known: skipMiddlewares is off */
        stop_waiting(s);
        socketio_connected(s);
        return;
    }
    join_namespace(s);
}

void socketio_refuse(struct loop *l, uint64_t number, struct str message, struct str data)
{
    struct socketio_socket *s = socketio_waiting(l, number);
    if (!s || s->state != SOCKET_ASKING)
        return;
    send_refusal(s->conn, socketio_nsp(s), message, data);
    if (s->session)
        session_end(s->session, E_ACCESS_DENIED, true);
    else
        socketio_free(s);
}

/* The CONNECT reply goes first, so that what the program says at once comes after it. */
void socketio_connected(struct socketio_socket *s)
{
    const struct socketio_handlers *h = handlers_of(s);
    struct buf b = {0};
    char sid[21];
    s->state = SOCKET_CONNECTED;
    engineio_joined(s->conn);
    buf_add_c(&b, '4');
    socketio_add_connect(&b, socketio_nsp(s), socketio_sid(s, sid), session_ticket(s->session));
    engineio_send_text(s->conn, buf_str(&b));
    buf_free(&b);
    if (s->hold)
        socketio_release(s);
    if (h && h->connected && s->state == SOCKET_CONNECTED)
        h->connected(h->arg, s);
    if (s->state == SOCKET_CONNECTED) {
        mem_free(s->auth);
        s->auth = NULL;
    }
}

/* Back again: the middlewares are asked only where the setting wants it. */
void socketio_recovered(struct socketio_socket *s)
{
    const struct socketio_handlers *h = handlers_of(s);
    s->is_recovered = true;
    if (!h || !h->middleware || socketio_home_of(s->loop)->config->recovery_skips_middlewares) {
        socketio_connected(s);
        return;
    }
    await_word(s, SOCKET_ASKING);
    h->middleware(h->arg, s, s->number);
}

/* ---- events ------------------------------------------------------------------------------- */

static void on_event(struct socketio_socket *s, const struct socketio_packet *packet,
                     struct str attachments)
{
    const struct socketio_handlers *h = handlers_of(s);
    struct arena *a = loop_turn(s->loop);
    struct socketio_event ev = {.name = packet->event,
                                .list = packet->args,
                                .count = packet->args_count,
                                .attachments = attachments,
                                .ack = packet->ack};
    if (!packet->payload.n)
        return; /* tolerated, as the reference does */
    if (socketio_content(a, packet, 0, attachments, SOCKETIO_JSON_DEPTH, &ev.content))
        return;
    ev.args = ev.content.form == SOCKETIO_LIST || ev.content.form == SOCKETIO_ATTACHMENTS
                  ? ev.content.content
                  : STR_NONE;
    if (!ev.args.p) { /* one argument: the brackets are not in the content */
        struct buf b = {0};
        buf_add_c(&b, '[');
        buf_add_str(&b, packet->args[0].raw);
        buf_add_c(&b, ']');
        ev.args = arena_dup(a, buf_str(&b));
        buf_free(&b);
    }
    if (h && h->event && h->event(h->arg, s, &ev))
        return;
    (void)socketio_rules_event(s, &ev);
}

static void leave_by_client(struct socketio_socket *s)
{
    const struct socketio_handlers *h = handlers_of(s);
    list_drop(&s->link);
    s->state = SOCKET_GONE;
    socketio_rules_gone(s);
    socketio_acks_drop(s, E_CLOSED);
    if (h && h->disconnected)
        h->disconnected(h->arg, s, "client namespace disconnect");
    session_end(s->session, 0, false);
}

/* A complete packet, its bytes at hand. */
static void on_packet(struct engineio *e, const struct socketio_packet *packet,
                      struct str attachments)
{
    struct socketio_socket *s = find_socket(e, packet->nsp);
    if (packet->type == SOCKETIO_CONNECT) {
        on_connect(e, packet);
        return;
    }
    if (!s || s->state != SOCKET_CONNECTED) {
        engineio_close(e, "forced server close");
        return;
    }
    session_charge(s->session);
    switch (packet->type) {
    case SOCKETIO_DISCONNECT:
        leave_by_client(s);
        break;
    case SOCKETIO_EVENT:
    case SOCKETIO_BINARY_EVENT:
        on_event(s, packet, attachments);
        break;
    case SOCKETIO_ACK:
    case SOCKETIO_BINARY_ACK:
        socketio_on_ack_packet(s, packet, attachments);
        break;
    case SOCKETIO_CONNECT:
    case SOCKETIO_CONNECT_ERROR:
        break;
    }
}

static void on_broken(struct engineio *e, const char *detail)
{
    log_debug("protocol", "socketio-error", "sid=%.4s rule=\"%s\"", e->sid, detail ? detail : "");
    engineio_close(e, "forced close");
}

void socketio_on_text(struct engineio *e, struct str text)
{
    struct arena *a = loop_turn(e->loop);
    struct socketio_packet packet;
    if (e->pending && socketio_pending_is(e->pending)) {
        on_broken(e, "got plaintext data when reconstructing a packet");
        return;
    }
    if (socketio_decode(a, text, SOCKETIO_JSON_DEPTH, &packet)) {
        on_broken(e, packet.detail);
        return;
    }
    if (!packet.attachments) {
        on_packet(e, &packet, STR_NONE);
        return;
    }
    if (!e->pending)
        e->pending = mem_new(sizeof(*e->pending));
    if (socketio_pending_begin(e->pending, text, packet.attachments,
                               socketio_home_of(e->loop)->config->attachments_bytes_max))
        on_broken(e, "no memory for attachments");
}

void socketio_on_bytes(struct engineio *e, struct str bytes)
{
    struct arena *a = loop_turn(e->loop);
    struct socketio_packet packet;
    if (!e->pending || !socketio_pending_is(e->pending)) {
        on_broken(e, "got binary data when not reconstructing a packet");
        return;
    }
    int got = socketio_pending_add(e->pending, bytes);
    if (got < 0)
        on_broken(e, "attachments are too large");
    if (got <= 0)
        return;
    struct socketio_pending whole = *e->pending; /* the next packet may come meanwhile */
    *e->pending = (struct socketio_pending){0};
    if (socketio_decode(a, buf_str(&whole.text), SOCKETIO_JSON_DEPTH, &packet))
        on_broken(e, packet.detail);
    else
        on_packet(e, &packet, buf_str(&whole.packed));
    socketio_pending_clear(&whole);
}

/* ---- the connection ----------------------------------------------------------------------- */

void socketio_on_mark(struct engineio *e)
{
    for (struct list *at = e->sockets.next; at != &e->sockets; at = at->next) {
        struct socketio_socket *s = LIST_OF(at, struct socketio_socket, link);
        s->marked = hub_sequence(hub_of(e->loop));
    }
}

void socketio_on_confirm(struct engineio *e)
{
    for (struct list *at = e->sockets.next; at != &e->sockets; at = at->next) {
        struct socketio_socket *s = LIST_OF(at, struct socketio_socket, link);
        socketio_confirm(s, s->marked);
    }
}

void socketio_on_arrived(struct engineio *e, uint64_t sequence)
{
    for (struct list *at = e->sockets.next; at != &e->sockets; at = at->next)
        socketio_confirm(LIST_OF(at, struct socketio_socket, link), sequence);
}

void socketio_on_drained(struct engineio *e)
{
    for (struct list *at = e->sockets.next, *next; at != &e->sockets; at = next) {
        struct socketio_socket *s = LIST_OF(at, struct socketio_socket, link);
        next = at->next;
        if (s->session && !s->hold)
            session_drained(s->session);
    }
}

void socketio_on_kind(struct engineio *e)
{
    enum encoding_kind kind = engineio_kind(e);
    for (struct list *at = e->sockets.next; at != &e->sockets; at = at->next) {
        struct socketio_socket *s = LIST_OF(at, struct socketio_socket, link);
        if (!s->session || s->hold) /* takes the kind when it is through */
            continue;
        for (struct session_sub *ss = session_sub_first(s->session); ss;
             ss = session_sub_next(s->session, ss))
            session_set_kind(s->session, ss, kind);
    }
}

static bool may_return(const struct socketio_socket *s)
{
    return socketio_home_of(s->loop)->config->recovery_ms && !s->is_cut &&
           (s->state == SOCKET_CONNECTED || s->state == SOCKET_RECOVERING ||
            (s->state == SOCKET_ASKING && s->session));
}

static void lose(struct socketio_socket *s, const char *reason)
{
    const struct socketio_handlers *h = handlers_of(s);
    bool was_connected = s->state == SOCKET_CONNECTED, returns = may_return(s);
    list_drop(&s->link);
    if (!s->session) {
        socketio_free(s);
        return;
    }
    s->state = returns ? SOCKET_AWAY : SOCKET_GONE;
    if (was_connected) {
        socketio_rules_gone(s);
        socketio_acks_drop(s, E_CLOSED);
        if (h && h->disconnected)
            h->disconnected(h->arg, s, reason);
    }
    stop_waiting(s);
    s->conn = NULL;
    if (returns && session_is_open(s->session))
        session_detach(s->session, E_CLOSED);
    if (returns)
        socketio_hold_drop(s);
    else
        session_end(s->session, E_CLOSED, false);
}

void socketio_on_gone(struct engineio *e, const char *reason)
{
    struct list *link;
    while ((link = e->sockets.next) != &e->sockets)
        lose(LIST_OF(link, struct socketio_socket, link), reason);
}

uint64_t socketio_hold_ms(const struct engineio *e)
{
    uint64_t now_ms = loop_now_ms(e->loop);
    uint64_t most_ms = e->connects_ms > now_ms ? e->connects_ms - now_ms : 0;
    for (struct list *at = e->sockets.next; at != &e->sockets; at = at->next) {
        struct socketio_socket *s = LIST_OF(at, struct socketio_socket, link);
        uint64_t ms = s->session ? session_hold_ms(s->session) : 0;
        most_ms = ms > most_ms ? ms : most_ms;
    }
    return most_ms;
}

/* ---- the session's words ------------------------------------------------------------------ */

static void on_answer(struct session *session, const struct answer *a)
{
    struct socketio_socket *s = session_user(session);
    if (a->type == REQUEST_SUBSCRIBE && a->is_resume) {
        socketio_on_resumed(s, a);
        return;
    }
    if (a->type == REQUEST_SUBSCRIBE && s->state == SOCKET_JOINING) {
        if (a->err)
            engineio_close(s->conn, "forced server close");
        else
            socketio_connected(s);
        return;
    }
    socketio_rules_answer(s, a);
}

/* For clients that take no shared bytes (b64 on a WebSocket). */
static void on_message(struct session *session, struct session_sub *ss, struct msg *m)
{
    struct socketio_socket *s = session_user(session);
    struct socketio_emit emit;
    struct buf b = {0};
    (void)ss;
    buf_add_c(&b, '4');
    if (s->conn &&
        socketio_encode(m, socketio_home_of(s->loop)->config->recovery_ms > 0, &b, &emit) >= 0)
        socketio_send_packet(s, buf_str(&b), &emit);
    buf_free(&b);
}

/* What a slow reader missed for good: it has no slot for a gap, so it must begin anew. */
static void on_gap(struct session *session, struct session_sub *ss, uint64_t from, uint64_t to)
{
    struct socketio_socket *s = session_user(session);
    (void)ss, (void)from, (void)to;
    if (!s->conn)
        return;
    struct engineio *e = s->conn;
    s->is_cut = true; /* may not return: recovered: false tells of the gap */
    engineio_close(e, "transport error");
}

static bool wants(const struct session *session, const struct session_sub *ss, const struct msg *m)
{
    const struct socketio_socket *s = session_user(session);
    struct str rest = m->except;
    char sid[21];
    (void)ss;
    while (rest.n)
        if (str_eq(str_cut(&rest, '\n'), socketio_sid(s, sid)))
            return false;
    rest = m->with;
    while (rest.n) { /* the first of them that it is in brings the one copy */
        struct str name = str_cut(&rest, '\n');
        if (session_sub_find((struct session *)session, name))
            return str_eq(name, m->channel);
    }
    return true;
}

/* It can come back with a fresh token and go on: the client asks for one at each connect. */
static bool on_expired(struct session *session)
{
    struct socketio_socket *s = session_user(session);
    if (s->conn)
        engineio_close(s->conn, "transport close");
    return true;
}

static void on_reconnect(struct session *session, uint64_t in_ms)
{
    struct socketio_socket *s = session_user(session);
    (void)in_ms;
    if (s->conn)
        engineio_close(s->conn, "server shutting down");
}

static void on_ended(struct session *session, int err)
{
    struct socketio_socket *s = session_user(session);
    (void)err;
    s->session = NULL;
    s->state = SOCKET_GONE;
    socketio_free(s);
}

const struct session_ops socketio_ops = {.name = "socketio",
                                         .answer = on_answer,
                                         .message = on_message,
                                         .gap = on_gap,
                                         .wants = wants,
                                         .place = socketio_place,
                                         .expired = on_expired,
                                         .reconnect = on_reconnect,
                                         .ended = on_ended};

/* ---- asking ------------------------------------------------------------------------------- */

struct str socketio_nsp(const struct socketio_socket *s)
{
    return str_of(s->nsp, s->nsp_n);
}

struct loop *socketio_loop(const struct socketio_socket *s)
{
    return s->loop;
}

struct identity *socketio_identity(const struct socketio_socket *s)
{
    return s->session ? session_identity(s->session) : s->identity;
}

struct session *socketio_session(const struct socketio_socket *s)
{
    return s->session;
}

bool socketio_is_connected(const struct socketio_socket *s)
{
    return s->state == SOCKET_CONNECTED;
}

bool socketio_is_recovered(const struct socketio_socket *s)
{
    return s->is_recovered;
}

struct str socketio_auth_payload(const struct socketio_socket *s)
{
    return s->auth ? str_from(s->auth) : STR("{}");
}

struct str socketio_handshake(const struct socketio_socket *s, const char *what)
{
    const struct engineio_handshake *h = s->conn ? s->conn->handshake : NULL;
    if (!h)
        return STR_NONE;
    if (strcmp(what, "address") == 0)
        return h->address;
    if (strcmp(what, "url") == 0)
        return h->url;
    if (strcmp(what, "headers") == 0)
        return h->headers;
    return strcmp(what, "secure") == 0 && h->is_tls ? STR("true") : STR_NONE;
}

uint32_t socketio_connection(const struct socketio_socket *s)
{
    return s->connection;
}

void *socketio_data(const struct socketio_socket *s)
{
    return s->data;
}

void socketio_set_data(struct socketio_socket *s, void *data)
{
    s->data = data;
}
