/* SPDX-License-Identifier: Apache-2.0 */
/* The plain dialect (docs/protocols/native.md): JSON frames in, JSON frames out. The session is
 * the peer; its user pointer is whether its client compresses (DEFLATE or NULL).
 *
 * Words are made by native_encode_*, which SSE, long poll and the publish endpoint use too, so
 * that a client sees the same objects whatever carries them. */
#include "protocol/native.h"

#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "wire/native.h"

enum { JSON_DEPTH = 64, HISTORY_DEFAULT = 100 };
static char deflate_mark; /* session_user of a client that compresses */

/* ---- words -------------------------------------------------------------------------------- */

void native_message_of(const struct msg *m, struct native_message *out)
{
    *out = (struct native_message){.channel = m->channel,
                                   .event = m->event,
                                   .content = m->content,
                                   .attachments = m->attachments,
                                   .epoch = m->epoch,
                                   .key = m->key,
                                   .sender_sub = m->sender,
                                   .sender_session = m->sender_name,
                                   .offset = m->offset,
                                   .time_ms = m->time_ms,
                                   .binary = m->format == MSG_BINARY};
}

bool native_encode_message(const struct msg *m, struct buf *out)
{
    struct native_message nm;
    native_message_of(m, &nm);
    if (nm.binary)
        native_add_binary(out, &nm);
    else
        native_add_message(out, &nm);
    return nm.binary;
}

/* Members with their metas as views, in scratch memory. */
static struct native_member *members_of(const struct presence_entry *entries, size_t count,
                                        struct arena *a)
{
    struct native_member *members = arena_zero(a, (count ? count : 1) * sizeof(*members));
    for (size_t i = 0; members && i < count; i++) {
        const struct presence_entry *e = &entries[i];
        struct str *metas = arena_alloc(a, (e->metas_count ? e->metas_count : 1) * sizeof(*metas));
        if (!metas)
            return NULL;
        for (size_t j = 0; j < e->metas_count; j++)
            metas[j] = e->metas[j].meta;
        members[i] = (struct native_member){e->key, metas, e->metas_count};
    }
    return members;
}

static void add_presence(struct str channel, const struct presence_update *u, struct str ref,
                         struct buf *out)
{
    struct arena a = {0};
    struct native_member *joins = members_of(u->joins, u->joins_count, &a);
    struct native_member *leaves = members_of(u->leaves, u->leaves_count, &a);
    if (!joins || !leaves)
        out->failed = true;
    else if (u->is_state)
        native_add_presence_state(out, channel, joins, u->joins_count, ref);
    else
        native_add_presence_diff(out, channel, joins, u->joins_count, leaves, u->leaves_count);
    arena_free(&a);
}

void native_encode_presence(struct str channel, const struct presence_update *u, struct buf *out)
{
    add_presence(channel, u, STR_NONE, out);
}

static void add_subscribed(const struct answer *a, struct buf *out)
{
    if (a->is_repeat) {
        struct position at = session_sub_position(a->sub);
        native_add_subscribed(out, a->channel, str_from(at.epoch), at.offset, true, a->ref);
        return;
    }
    native_add_subscribed(out, a->channel, str_from(a->subscribed->at.epoch),
                          a->subscribed->at.offset, a->subscribed->recovered, a->ref);
}

static void add_history(const struct answer *a, struct buf *out)
{
    const struct hub_query *q = a->query;
    struct native_message nm;
    native_begin_history(out, a->channel, str_from(q->at.epoch));
    for (size_t i = 0; i < q->msgs_count; i++) {
        native_message_of(q->msgs[i], &nm);
        native_add_history(out, &nm);
    }
    native_end_history(out, q->more, a->ref);
}

void native_encode_answer(const struct answer *a, struct buf *out)
{
    if (a->err) {
        native_add_error(out, a->err, a->detail, a->channel, a->ref);
        return;
    }
    switch (a->type) {
    case REQUEST_SUBSCRIBE:
        add_subscribed(a, out);
        break;
    case REQUEST_UNSUBSCRIBE:
        native_add_unsubscribed(out, a->channel, a->ref);
        break;
    case REQUEST_PUBLISH:
        native_add_ack(out, a->channel, a->id, str_from(a->published->epoch), a->published->offset,
                       a->published->duplicate, a->ref);
        break;
    case REQUEST_TRACK:
    case REQUEST_UNTRACK:
        native_add_ack_plain(out, a->channel, a->ref);
        break;
    case REQUEST_PRESENCE:
        if (a->query->presence)
            add_presence(a->channel, a->query->presence, a->ref, out);
        break;
    case REQUEST_HISTORY:
        add_history(a, out);
        break;
    }
}

void native_each_frame(const struct answer *a, void (*emit)(void *arg, const struct buf *frame),
                       void *arg)
{
    const struct hub_subscribed *s = a->err ? NULL : a->subscribed;
    struct buf b = {0};
    native_encode_answer(a, &b);
    if (b.n || b.failed)
        emit(arg, &b);
    if (s && s->gap_to) {
        buf_clear(&b);
        native_add_gap(&b, a->channel, s->gap_from, s->gap_to, STR_NONE);
        emit(arg, &b);
    }
    if (s && s->presence) {
        buf_clear(&b);
        native_encode_presence(a->channel, s->presence, &b);
        emit(arg, &b);
    }
    buf_free(&b);
}

/* ---- out ---------------------------------------------------------------------------------- */

static void emit_frame(void *arg, const struct buf *frame)
{
    if (session_outlet(arg))
        outlet_send_made(session_outlet(arg), frame, false);
}

static void send_one(struct session *s, struct buf *b)
{
    emit_frame(s, b);
    buf_free(b);
}

static void on_answer(struct session *s, const struct answer *a)
{
    native_each_frame(a, emit_frame, s);
}

static void on_gap(struct session *s, struct session_sub *ss, uint64_t from, uint64_t to)
{
    struct buf b = {0};
    native_add_gap(&b, session_sub_channel(ss), from, to, STR_NONE);
    send_one(s, &b);
}

static void on_expiring(struct session *s, uint64_t in_ms)
{
    struct buf b = {0};
    native_add_expiring(&b, in_ms);
    send_one(s, &b);
}

static bool on_expired(struct session *s)
{
    struct buf b = {0};
    native_add_error(&b, E_TOKEN_EXPIRED, NULL, STR_NONE, STR_NONE);
    send_one(s, &b);
    return false;
}

static void on_reconnect(struct session *s, uint64_t in_ms)
{
    struct buf b = {0};
    native_add_reconnect(&b, in_ms);
    send_one(s, &b);
    if (session_outlet(s))
        outlet_close(session_outlet(s), E_DRAINING, STR("restarting"));
}

const struct session_ops native_ops = {.name = "native",
                                       .answer = on_answer,
                                       .gap = on_gap,
                                       .expiring = on_expiring,
                                       .expired = on_expired,
                                       .reconnect = on_reconnect};

/* ---- in ----------------------------------------------------------------------------------- */

static enum encoding_kind kind_of(const struct session *s, bool delta)
{
    if (session_user(s))
        return delta ? ENC_NATIVE_WS_DELTA_DEFLATE : ENC_NATIVE_WS_DEFLATE;
    return delta ? ENC_NATIVE_WS_DELTA : ENC_NATIVE_WS;
}

struct session *native_open(const struct protocol_hello *hello, int *err)
{
    struct session *s = hello->resumed;
    struct buf b = {0};
    bool recovered = s != NULL;
    if (!s) {
        struct session_open o = {.ops = &native_ops,
                                 .outlet = hello->outlet,
                                 .identity = hello->identity,
                                 .needs_token = hello->needs_token,
                                 .keeps_positions = true,
                                 .exact_frames = true};
        s = session_open(hello->loop, &o);
        if (!s) {
            *err = E_TOO_MANY;
            return NULL;
        }
        if (hello->ticket.n)
            session_ticket_join(s, hello->ticket);
    }
    session_set_user(s, hello->is_deflate ? &deflate_mark : NULL);
    native_add_connected(&b, session_name(s), hello->tells_ticket ? session_ticket(s) : STR_NONE,
                         recovered, hello->ping_ms, loop_wall_ms(hello->loop));
    outlet_send_made(hello->outlet, &b, false);
    buf_free(&b);
    if (!hello->resumed)
        return s;
    for (struct session_sub *ss = session_sub_first(s); ss; ss = session_sub_next(s, ss))
        session_set_kind(s, ss, kind_of(s, encoding_is_delta(session_sub_kind(ss))));
    *err = session_attach(s, hello->outlet, hello->identity);
    return *err ? NULL : s;
}

static struct request base_request(const struct native_request *nr, enum request_type type)
{
    return (struct request){.type = type,
                            .channel = nr->channels_count ? nr->channels[0].name : STR_NONE,
                            .ref = nr->ref};
}

static void set_since(struct subscribe_options *o, const struct native_position *p)
{
    if (!p->given || p->epoch.n >= sizeof(o->since.epoch))
        return;
    o->has_since = true;
    memset(o->since.epoch, 0, sizeof(o->since.epoch));
    if (p->epoch.n)
        memcpy(o->since.epoch, p->epoch.p, p->epoch.n);
    o->since.offset = p->offset;
}

static void subscribe(struct session *s, const struct native_request *nr)
{
    struct request r = base_request(nr, REQUEST_SUBSCRIBE);
    size_t count = nr->channels_count ? nr->channels_count : 1;
    r.presence = nr->presence;
    r.tables = true;
    r.kind = kind_of(s, nr->delta);
    r.since.history = nr->history;
    for (size_t i = 0; i < count && session_is_open(s); i++) {
        if (nr->channels_count)
            r.channel = nr->channels[i].name;
        r.since.has_since = false;
        set_since(&r.since, &nr->since);
        if (nr->channels_count)
            set_since(&r.since, &nr->channels[i].since);
        session_request(s, &r);
    }
}

static void unsubscribe(struct session *s, const struct native_request *nr)
{
    struct request r = base_request(nr, REQUEST_UNSUBSCRIBE);
    session_request(s, &r);
    for (size_t i = 1; i < nr->channels_count && session_is_open(s); i++) {
        r.channel = nr->channels[i].name;
        session_request(s, &r);
    }
}

static void publish(struct session *s, const struct native_request *nr)
{
    struct request r = base_request(nr, REQUEST_PUBLISH);
    r.message = (struct msg_fields){.event = nr->event,
                                    .content = nr->content,
                                    .id = nr->id,
                                    .key = nr->key,
                                    .format = nr->binary ? MSG_BINARY : MSG_JSON,
                                    .no_echo = nr->echo == NATIVE_ECHO_NO,
                                    .is_volatile = nr->is_volatile};
    r.wants_echo = nr->echo == NATIVE_ECHO_YES;
    r.wants_answer = nr->id.n || nr->ref.n;
    session_request(s, &r);
}

static void authenticate(struct session *s, const struct native_request *nr)
{
    struct buf b = {0};
    struct auth_verdict verdict;
    session_charge(s);
    int err = session_authenticate(s, nr->token, &verdict);
    struct identity *id = session_identity(s);
    if (err)
        native_add_error(&b, err, NULL, STR_NONE, nr->ref);
    else
        native_add_authenticated(&b, id->sub, id->role, id->expires_ms, nr->ref);
    send_one(s, &b);
}

static void pong(struct session *s, const struct native_request *nr)
{
    struct buf b = {0};
    session_charge(s);
    native_add_pong(&b, nr->data, nr->ref);
    send_one(s, &b);
}

static void dispatch(struct session *s, const struct native_request *nr)
{
    struct request r = {0};
    switch (nr->type) {
    case NATIVE_SUBSCRIBE:
        subscribe(s, nr);
        return;
    case NATIVE_UNSUBSCRIBE:
        unsubscribe(s, nr);
        return;
    case NATIVE_MESSAGE:
        publish(s, nr);
        return;
    case NATIVE_AUTH:
        authenticate(s, nr);
        return;
    case NATIVE_PING:
        pong(s, nr);
        return;
    case NATIVE_TRACK:
        r = base_request(nr, REQUEST_TRACK);
        r.key = nr->key;
        r.meta = nr->meta;
        break;
    case NATIVE_UNTRACK:
        r = base_request(nr, REQUEST_UNTRACK);
        r.key = nr->key;
        break;
    case NATIVE_PRESENCE:
        r = base_request(nr, REQUEST_PRESENCE);
        break;
    case NATIVE_HISTORY:
        r = base_request(nr, REQUEST_HISTORY);
        r.before = nr->before;
        r.after = nr->after;
        r.limit = nr->limit ? nr->limit : HISTORY_DEFAULT;
        break;
    }
    session_request(s, &r);
}

void native_on_message(struct session *s, struct str payload, bool is_binary)
{
    struct native_request nr = {0};
    struct arena *a = loop_turn(session_loop(s));
    metric_add(M_MESSAGES_RECEIVED_NATIVE, 1);
    int err = is_binary ? native_decode_binary(payload, a, &nr)
                        : native_decode(payload, JSON_DEPTH, a, &nr);
    if (!err) {
        dispatch(s, &nr);
        return;
    }
    struct buf b = {0};
    session_charge(s);
    native_add_error(&b, err, nr.detail, STR_NONE, nr.ref);
    send_one(s, &b);
}
