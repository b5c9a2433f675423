/* SPDX-License-Identifier: Apache-2.0 */
/* What goes to clients: events to one socket, to rooms, acks both ways; and the text of a
 * message for those who speak Socket.IO. */
#include "protocol/socketio_priv.h"

#include "base/json.h"
#include "base/mem.h"
#include "base/num.h"

enum { SEPARATOR = 0x1e, ACKS_MAX = 1000, ROOM_BYTES_MAX = 255 };

/* ---- names -------------------------------------------------------------------------------- */

void socketio_channel(struct buf *out, struct str nsp, struct str room)
{
    bool is_main = str_is(nsp, "/");
    bool looks_like_another = room.n && room.p[0] == '/' && str_find(room, '#') >= 0;
    if (!is_main || !room.n || looks_like_another) {
        buf_add_str(out, nsp);
        buf_add_c(out, '#');
    }
    buf_add_str(out, room);
}

void socketio_room_of(struct str channel, struct str *nsp, struct str *room)
{
    ptrdiff_t hash = channel.n && channel.p[0] == '/' ? str_find(channel, '#') : -1;
    *nsp = STR("/");
    *room = channel;
    if (hash < 0)
        return;
    *nsp = str_head(channel, (size_t)hash);
    *room = str_skip(channel, (size_t)hash + 1);
}

static struct socketio_content content_of_msg(const struct msg *m)
{
    static const enum socketio_form forms[] = {[MSG_JSON] = SOCKETIO_ONE,
                                               [MSG_JSON_LIST] = SOCKETIO_LIST,
                                               [MSG_BINARY] = SOCKETIO_BYTES,
                                               [MSG_ATTACHMENTS] = SOCKETIO_ATTACHMENTS};
    return (struct socketio_content){forms[m->format], m->content, m->attachments};
}

int socketio_encode(const struct msg *m, bool with_place, struct buf *out,
                    struct socketio_emit *emit)
{
    char id[64];
    struct str room;
    *emit = (struct socketio_emit){.event = m->event, .what = content_of_msg(m)};
    socketio_room_of(m->channel, &emit->nsp, &room);
    if (with_place && !m->is_volatile)
        emit->offset = str_of(id, msg_put_id(m, id));
    int n = socketio_add_event(out, emit);
    emit->offset = STR_NONE; /* id is ours */
    return n;
}

int socketio_content_of(struct arena *a, struct str args, struct str attachments,
                        struct socketio_content *out)
{
    struct jsonscan_value room[SOCKETIO_ARGS_MAX];
    struct socketio_packet packet = {.payload = args, .args = room};
    int err =
        jsonscan_array(args, SOCKETIO_JSON_DEPTH, room, SOCKETIO_ARGS_MAX, &packet.args_count);
    if (err)
        return err;
    packet.attachments = (unsigned)attachments_count(attachments);
    if (packet.attachments > ATTACHMENTS_MAX)
        return E_TOO_MANY;
    if (packet.attachments) {
        err = attachments_check(a, args, packet.attachments, SOCKETIO_JSON_DEPTH, NULL);
        if (err < 0)
            return err;
    }
    return socketio_content(a, &packet, 0, attachments, SOCKETIO_JSON_DEPTH, out);
}

/* ---- one socket --------------------------------------------------------------------------- */

void socketio_send_packet(struct socketio_socket *s, struct str packet,
                          const struct socketio_emit *emit)
{
    struct str bytes;
    engineio_send_text(s->conn, packet);
    for (size_t at = 0; socketio_emit_bytes(emit, &at, &bytes);)
        engineio_send_binary(s->conn, bytes);
}

void socketio_frame(struct str packet, const struct socketio_emit *emit, struct buf *out)
{
    struct str bytes;
    buf_add_c(out, SEPARATOR);
    buf_add_str(out, packet);
    for (size_t at = 0; socketio_emit_bytes(emit, &at, &bytes);) {
        struct buf b = {0};
        engineio_add_binary(&b, bytes);
        buf_add_c(out, SEPARATOR);
        buf_add_str(out, buf_str(&b));
        buf_free(&b);
    }
}

static bool keeps(const struct socketio_socket *s)
{
    return s->session && socketio_home_of(s->loop)->config->recovery_ms > 0 &&
           (s->state == SOCKET_CONNECTED || s->state == SOCKET_RECOVERING ||
            s->state == SOCKET_AWAY || s->state == SOCKET_ASKING);
}

int socketio_emit(struct socketio_socket *s, struct str event, const struct socketio_content *what,
                  bool is_volatile)
{
    struct socketio_emit emit = {.nsp = socketio_nsp(s), .event = event, .what = *what};
    struct buf b = {0}, framed = {0};
    char place[24] = "~";
    uint64_t number = 0;
    int err = 0;
    if (is_volatile && (s->state != SOCKET_CONNECTED || !engineio_writable(s->conn)))
        return 0;
    if (!is_volatile && keeps(s)) {
        number = s->outbox ? s->outbox->number + 1 : 1;
        emit.offset = str_of(place, 1 + num_put_u64(place + 1, number));
    }
    if (!number && s->state != SOCKET_CONNECTED)
        return E_CLOSED;
    buf_add_c(&b, '4');
    if (socketio_add_event(&b, &emit) < 0)
        err = E_BAD_REQUEST;
    if (!err && number) {
        socketio_frame(buf_str(&b), &emit, &framed);
        err = framed.failed ? E_NO_MEMORY : socketio_outbox_keep(s, buf_str(&framed), number);
        if (!err)
            s->outbox->number = number;
    }
    if (!err && s->state == SOCKET_CONNECTED)
        socketio_send_packet(s, buf_str(&b), &emit);
    buf_free(&b);
    buf_free(&framed);
    return err;
}

int socketio_answer(struct socketio_socket *s, struct str ack, const struct socketio_content *what)
{
    struct socketio_emit emit = {.nsp = socketio_nsp(s), .ack = ack, .what = *what};
    struct buf b = {0};
    if (s->state != SOCKET_CONNECTED)
        return E_CLOSED;
    buf_add_c(&b, '4');
    int n = socketio_add_ack(&b, &emit);
    if (n >= 0)
        socketio_send_packet(s, buf_str(&b), &emit);
    buf_free(&b);
    return n < 0 ? n : 0;
}

void socketio_disconnect(struct socketio_socket *s, bool closes)
{
    const struct socketio_handlers *h = socketio_home_of(s->loop)->config->handlers;
    struct engineio *e = s->conn;
    struct buf b = {0};
    bool was_connected = s->state == SOCKET_CONNECTED;
    if (s->state == SOCKET_AWAY) { /* there is nobody to tell, and nothing to come back to */
        s->state = SOCKET_GONE;
        session_end(s->session, E_CLOSED, true);
        return;
    }
    if (!was_connected && s->state != SOCKET_RECOVERING)
        return;
    buf_add_c(&b, '4');
    socketio_add_disconnect(&b, socketio_nsp(s));
    engineio_send_text(e, buf_str(&b));
    buf_free(&b);
    list_drop(&s->link);
    s->state = SOCKET_GONE;
    socketio_rules_gone(s);
    socketio_acks_drop(s, E_CLOSED);
    if (was_connected && h && h->disconnected && h->serves(h->arg, socketio_nsp(s)))
        h->disconnected(h->arg, s, "server namespace disconnect");
    session_end(s->session, E_CLOSED, true);
    while (closes && !list_is_empty(&e->sockets)) {
        struct socketio_socket *other = LIST_OF(e->sockets.next, struct socketio_socket, link);
        if (other->state != SOCKET_CONNECTED)
            break;
        socketio_disconnect(other, false);
    }
    if (closes)
        engineio_close(e, "forced close");
}

/* ---- acks --------------------------------------------------------------------------------- */

static void settle_ack(struct ack_wait *w, int err, const struct socketio_event *answer)
{
    list_drop(&w->link);
    timer_stop(&w->timer);
    w->socket->acks_count--;
    w->done(w->arg, w->socket, err, answer);
    mem_free(w);
}

static void on_ack_timer(struct loop *l, struct timer *timer)
{
    (void)l;
    settle_ack(LIST_OF(timer, struct ack_wait, timer), E_TIMEOUT, NULL);
}

void socketio_acks_drop(struct socketio_socket *s, int err)
{
    while (s->acks && !list_is_empty(s->acks))
        settle_ack(LIST_OF(s->acks->next, struct ack_wait, link), err, NULL);
}

int socketio_emit_ack(struct socketio_socket *s, struct str event,
                      const struct socketio_content *what, uint64_t ms, socketio_on_ack done,
                      void *arg)
{
    char id[24];
    struct socketio_emit emit = {.nsp = socketio_nsp(s), .event = event, .what = *what};
    struct buf b = {0};
    if (s->state != SOCKET_CONNECTED)
        return E_CLOSED;
    if (s->acks_count >= ACKS_MAX)
        return E_TOO_MANY;
    emit.ack = str_of(id, num_put_u64(id, s->ack_id));
    buf_add_c(&b, '4');
    int n = socketio_add_event(&b, &emit);
    if (n >= 0) {
        if (!s->acks) {
            s->acks = mem_new(sizeof(*s->acks));
            list_init(s->acks);
        }
        struct ack_wait *w = mem_new(sizeof(*w));
        w->socket = s;
        w->id = s->ack_id++;
        w->done = done;
        w->arg = arg;
        list_push(s->acks, &w->link);
        s->acks_count++;
        if (ms)
            timer_set(s->loop, &w->timer, ms, on_ack_timer);
        socketio_send_packet(s, buf_str(&b), &emit);
    }
    buf_free(&b);
    return n < 0 ? n : 0;
}

void socketio_on_ack_packet(struct socketio_socket *s, const struct socketio_packet *packet,
                            struct str attachments)
{
    uint64_t id;
    struct socketio_event answer = {.args = packet->payload,
                                    .list = packet->args,
                                    .count = packet->args_count,
                                    .attachments = attachments};
    if (!s->acks || !packet->payload.n || !num_u64(packet->ack, &id))
        return;
    for (struct list *at = s->acks->next; at != s->acks; at = at->next) {
        struct ack_wait *w = LIST_OF(at, struct ack_wait, link);
        if (w->id == id) {
            settle_ack(w, 0, &answer);
            return;
        }
    }
}

/* ---- rooms -------------------------------------------------------------------------------- */

static bool is_room(struct str room)
{
    if (!room.n || room.n > ROOM_BYTES_MAX)
        return false;
    for (size_t i = 0; i < room.n; i++)
        if ((uint8_t)room.p[i] < 0x20 || room.p[i] == 0x7f)
            return false;
    return true;
}

bool socketio_join(struct socketio_socket *s, struct str room)
{
    struct buf channel = {0};
    if (!is_room(room) || !s->session || !session_is_open(s->session))
        return false;
    socketio_channel(&channel, socketio_nsp(s), room);
    /* what a recovery holds back is in the framing of polls */
    enum encoding_kind kind = s->hold ? ENC_SOCKETIO_POLL : engineio_kind(s->conn);
    bool fits = channel.n <= ROOM_BYTES_MAX;
    if (fits)
        session_request(s->session, &(struct request){.type = REQUEST_SUBSCRIBE,
                                                      .channel = buf_str(&channel),
                                                      .kind = kind,
                                                      .trusted = true});
    buf_free(&channel);
    return fits;
}

static struct session_sub *sub_of_room(const struct socketio_socket *s, struct str room)
{
    struct buf channel = {0};
    struct session_sub *ss = NULL;
    if (room.n && s->session) {
        socketio_channel(&channel, socketio_nsp(s), room);
        ss = session_sub_find(s->session, buf_str(&channel));
        buf_free(&channel);
    }
    return ss;
}

void socketio_leave(struct socketio_socket *s, struct str room)
{
    struct session_sub *ss = sub_of_room(s, room);
    if (ss)
        session_unsubscribe(s->session, ss);
}

bool socketio_is_in(const struct socketio_socket *s, struct str room)
{
    return sub_of_room(s, room) != NULL;
}

bool socketio_is_in_room(const struct socketio_socket *s, struct str room_or_sid)
{
    char sid[21];
    if (socketio_is_sid(room_or_sid))
        return str_eq(socketio_sid(s, sid), room_or_sid);
    return socketio_is_in(s, room_or_sid);
}

void socketio_each_room(const struct socketio_socket *s, void (*fn)(void *arg, struct str room),
                        void *arg)
{
    if (!s->session)
        return;
    for (struct session_sub *ss = session_sub_first(s->session), *next; ss; ss = next) {
        struct str nsp, room;
        next = session_sub_next(s->session, ss);
        socketio_room_of(session_sub_channel(ss), &nsp, &room);
        if (room.n)
            fn(arg, room);
    }
}

/* ---- to many ------------------------------------------------------------------------------ */

static enum msg_format format_of(enum socketio_form form)
{
    switch (form) {
    case SOCKETIO_ONE:
        return MSG_JSON;
    case SOCKETIO_LIST:
        return MSG_JSON_LIST;
    case SOCKETIO_BYTES:
        return MSG_BINARY;
    case SOCKETIO_ATTACHMENTS:
        return MSG_ATTACHMENTS;
    }
    return MSG_JSON;
}

static void tell_sid(const struct socketio_broadcast *b, struct str sid)
{
    char own[21];
    if (!b->not_sender || !b->sender || !str_eq(socketio_sid(b->sender, own), sid))
        socketio_tell(b, sid);
}

/* Names become channels, each ended by '\n'; sids stay as they are. */
static size_t channels_of(struct str nsp, struct str names, struct buf *out)
{
    size_t count = 0;
    while (names.n) {
        struct str name = str_cut(&names, '\n');
        if (!name.n)
            continue;
        if (socketio_is_sid(name))
            buf_add_str(out, name);
        else
            socketio_channel(out, nsp, name);
        buf_add_c(out, '\n');
        count++;
    }
    return count;
}

static void publish(const struct socketio_broadcast *b, const struct msg_fields *f)
{
    struct session *session = b->sender ? b->sender->session : NULL;
    if (!session || !session_is_open(session)) {
        (void)session_publish(b->loop, f);
        return;
    }
    session_request(session, &(struct request){.type = REQUEST_PUBLISH,
                                               .channel = f->channel,
                                               .message = *f,
                                               .wants_echo = !b->not_sender,
                                               .trusted = true});
}

int socketio_broadcast(const struct socketio_broadcast *b)
{
    struct buf with = {0}, except = {0}, all = {0};
    struct msg_fields f = {.event = b->event,
                           .content = b->what.content,
                           .attachments = b->what.attachments,
                           .format = format_of(b->what.form),
                           .no_echo = b->not_sender,
                           .is_volatile = b->is_volatile};
    if (socketio_event_reserved(b->event) || !b->event.n)
        return E_BAD_REQUEST;
    if (!b->what.content.p)
        f.content = STR("");
    size_t count = channels_of(b->nsp, b->rooms, &with);
    channels_of(b->nsp, b->except, &except);
    struct str names = buf_str(&with);
    f.except = except.n ? buf_str(&except) : STR_NONE;
    f.with = count > 1 ? buf_str(&with) : STR_NONE;
    if (!count) {
        socketio_channel(&all, b->nsp, STR_NONE);
        f.channel = buf_str(&all);
        publish(b, &f);
    }
    while (names.n) {
        f.channel = str_cut(&names, '\n');
        if (socketio_is_sid(f.channel))
            tell_sid(b, f.channel);
        else if (f.channel.n <= ROOM_BYTES_MAX)
            publish(b, &f);
    }
    buf_free(&with);
    buf_free(&except);
    buf_free(&all);
    return 0;
}
