/* SPDX-License-Identifier: Apache-2.0 */
/* The gate. session_request looks at state, form and limits, authorize_request at the rules,
 * request_perform does it. To add a request: a row in enum request_type, a case here and one
 * in authorize.c; the compiler names both places. */
#include "session/session_priv.h"

#include "base/mem.h"
#include "base/metric.h"
#include "base/utf8.h"

enum { HISTORY_MAX = 1000 /* messages in one answer */ };

/* Not answered by the hub since it was parked. */
static bool is_waiting(const struct session_sub *ss)
{
    return ss->sub.state == SUB_NONE || ss->sub.state == SUB_ASKED;
}

/* What an attached session had, and does not have any more: it is told as it goes. */
static void refuse_take_up(struct session *s, const struct answer *a)
{
    struct session_sub *ss = session_sub_find(s, a->channel);
    if (!ss || !ss->parked || !is_waiting(ss))
        return;
    s->ops->answer(s, a);
    if (s->state != SESSION_ENDED && session_sub_find(s, a->channel) == ss)
        session_sub_drop(s, ss);
}

void request_refuse(struct session *s, const struct request *r, int err, const char *detail)
{
    struct answer a = {.type = r->type,
                       .err = err,
                       .detail = detail,
                       .channel = r->channel,
                       .ref = r->ref,
                       .id = r->message.id,
                       .is_resume = r->takes_up};
    if (r->takes_up)
        refuse_take_up(s, &a);
    else
        s->ops->answer(s, &a);
}

/* ---- subscribe ---------------------------------------------------------------------------- */

static void keep_ref(struct session_sub *ss, struct str ref)
{
    mem_free(ss->ref);
    ss->ref = NULL;
    if (!ref.n)
        return;
    ss->ref = mem_new(sizeof(*ss->ref) + ref.n);
    ss->ref->n = ref.n;
    memcpy(ss->ref->text, ref.p, ref.n);
}

/* A repeat may want more than there is: who comes back knows better than we what it has got (the
 * peer's kernel may have been a proxy's), and presence can be wished for later. */
static bool wants_more(const struct session_sub *ss, const struct request *r)
{
    if (r->presence && !ss->sub.wants_presence)
        return true;
    if (ss->sub.state == SUB_NONE) /* a policy is being asked if it may come back: this may */
        return true;
    return ss->taken_up && r->since.has_since;
}

static void subscribe_new(struct session *s, const struct request *r);

static void subscribe_again(struct session *s, struct session_sub *ss, const struct request *r)
{
    struct request more = *r;
    if (!more.since.has_since) {
        more.since.since = session_sub_position(ss);
        more.since.has_since = more.since.since.epoch[0] != 0;
    }
    session_sub_drop(s, ss);
    subscribe_new(s, &more);
}

/* An attached session goes on with it, unless it went meanwhile. */
static void take_up(struct session *s, struct session_sub *ss, const struct request *r)
{
    if (!ss || !ss->parked || !is_waiting(ss))
        return;
    ss->parked->wants_presence = r->presence;
    resume_take_up(s, ss);
}

static void subscribe(struct session *s, const struct request *r)
{
    struct session_sub *ss = session_sub_find(s, r->channel);
    if (r->takes_up) {
        take_up(s, ss, r);
        return;
    }
    if (ss && wants_more(ss, r)) {
        subscribe_again(s, ss, r);
        return;
    }
    if (ss) {
        struct answer a = {.type = REQUEST_SUBSCRIBE,
                           .channel = r->channel,
                           .ref = r->ref,
                           .sub = ss,
                           .is_repeat = true};
        session_sub_to_end(s, ss); /* the target of messages without a channel */
        s->ops->answer(s, &a);
        return;
    }
    subscribe_new(s, r);
}

static void subscribe_new(struct session *s, const struct request *r)
{
    if (session_subs_count(s) >= s->home->config->subscriptions_max) {
        request_refuse(s, r, E_TOO_MANY, "Too many subscriptions on this connection");
        return;
    }
    struct session_sub *ss = session_sub_new(s);
    ss->sub.kind = (uint8_t)r->kind;
    ss->sub.wants_presence = r->presence;
    ss->sub.no_messages = r->no_messages;
    ss->trusted = r->trusted;
    keep_ref(ss, r->ref);
    if (subtable_is_meant(r))
        subtable_open(ss, r);
    else
        hub_subscribe(hub_of(s->home->loop), &ss->sub, r->channel, &r->since);
}

static void unsubscribe(struct session *s, const struct request *r)
{
    struct session_sub *ss = session_sub_find(s, r->channel);
    struct answer a = {.type = REQUEST_UNSUBSCRIBE, .channel = r->channel, .ref = r->ref};
    if (ss)
        session_sub_drop(s, ss);
    s->ops->answer(s, &a);
}

/* ---- publish ------------------------------------------------------------------------------- */

/* What waits for the hub: its own struct first, then what the answer needs. */
struct publishing {
    struct hub_publish publish;
    uint64_t session_id;
    struct str channel, ref, id;
    char text[];
};

static struct str put(char **at, struct str s)
{
    char *p = *at;
    if (s.n)
        memcpy(p, s.p, s.n);
    *at += s.n;
    return str_of(p, s.n);
}

static void on_published(struct hub_publish *p)
{
    struct publishing *w = (struct publishing *)(void *)p;
    struct session *s = session_find(p->home, w->session_id);
    if (s && s->state == SESSION_OPEN) {
        struct answer a = {.type = REQUEST_PUBLISH,
                           .err = p->err,
                           .channel = w->channel,
                           .ref = w->ref,
                           .id = w->id,
                           .published = p};
        s->ops->answer(s, &a);
    }
    mem_free(w);
}

static void publish(struct session *s, const struct request *r)
{
    struct loop *l = s->home->loop;
    struct msg_fields f = r->message;
    f.channel = r->channel;
    f.sender = s->identity->sub;
    f.sender_name = s->outlet ? session_name(s) : STR_NONE;
    f.sender_session = s->outlet ? session_echo(s) : 0;
    struct msg *m = msg_new(&f);
    if (!m) {
        request_refuse(s, r, E_NO_MEMORY, NULL);
        return;
    }
    size_t texts = r->channel.n + r->ref.n + f.id.n;
    struct publishing *w = mem_new(sizeof(*w) + (r->wants_answer ? texts : 0));
    w->publish.msg = m;
    if (r->wants_answer) {
        char *at = w->text;
        w->publish.done = on_published;
        w->session_id = s->id;
        w->channel = put(&at, r->channel);
        w->ref = put(&at, r->ref);
        w->id = put(&at, f.id);
    }
    hub_publish(hub_of(l), &w->publish);
}

int session_publish(struct loop *l, const struct msg_fields *f)
{
    struct msg *m = msg_new(f);
    if (!m)
        return E_NO_MEMORY;
    struct hub_publish *p = mem_new(sizeof(*p));
    p->msg = m;
    hub_publish(hub_of(l), p);
    return 0;
}

/* ---- presence ------------------------------------------------------------------------------ */

struct tracking {
    struct hub_track track;
    uint64_t session_id;
    struct str ref;
    char text[];
};

static struct tracked *tracked_find(struct session *s, struct str channel, struct str key)
{
    struct list *all = s->extra ? &s->extra->tracked : NULL;
    for (struct list *l = all ? all->next : NULL; l != all; l = l->next) {
        struct tracked *t = LIST_OF(l, struct tracked, link);
        if (str_eq(str_of(t->text, t->channel_n), channel) &&
            str_eq(str_of(t->text + t->channel_n, t->key_n), key))
            return t;
    }
    return NULL;
}

static void tracked_drop(struct session *s, struct tracked *t)
{
    list_drop(&t->link);
    s->extra->tracked_count--;
    mem_free(t);
}

/* Refused for good: it does not count. (Without memory a former meta may stand there still.) */
static void forget_refused(struct session *s, const struct hub_track *t)
{
    struct tracked *mine =
        t->is_untrack || t->err == E_NO_MEMORY ? NULL : tracked_find(s, t->channel, t->key);
    if (t->err && mine)
        tracked_drop(s, mine);
}

static void on_tracked(struct hub_track *t)
{
    struct tracking *w = (struct tracking *)(void *)t;
    struct session *s = session_find(t->home, w->session_id);
    if (s && s->state == SESSION_OPEN) {
        struct answer a = {.type = t->is_untrack ? REQUEST_UNTRACK : REQUEST_TRACK,
                           .err = t->err,
                           .channel = t->channel,
                           .ref = w->ref};
        forget_refused(s, t);
        s->ops->answer(s, &a);
    }
    mem_free(w);
}

static void send_track(struct session *s, const struct request *r, bool is_untrack,
                       uint64_t grace_ms, bool is_silent)
{
    size_t texts = r->channel.n + r->key.n + r->meta.n + r->ref.n;
    if (s->home->is_over)
        return;
    struct tracking *w = mem_new(sizeof(*w) + texts);
    char *at = w->text;
    w->session_id = s->id;
    w->ref = put(&at, r->ref);
    w->track.session = s->id;
    w->track.is_untrack = is_untrack;
    w->track.grace_ms = grace_ms;
    w->track.channel = put(&at, r->channel);
    w->track.key = put(&at, r->key);
    w->track.meta = put(&at, r->meta);
    w->track.done = is_silent ? NULL : on_tracked;
    hub_track(hub_of(s->home->loop), &w->track);
}

static void track(struct session *s, const struct request *r)
{
    struct tracked *t = tracked_find(s, r->channel, r->key);
    struct session_extra *x = session_need(s);
    if (!t && x->tracked_count >= s->home->config->tracked_max) {
        request_refuse(s, r, E_TOO_MANY, "Too many presence entries on this connection");
        return;
    }
    if (!t) {
        t = mem_new(sizeof(*t) + r->channel.n + r->key.n);
        t->channel_n = r->channel.n;
        t->key_n = r->key.n;
        memcpy(t->text, r->channel.p, r->channel.n);
        memcpy(t->text + r->channel.n, r->key.p, r->key.n);
        list_push(&x->tracked, &t->link);
        x->tracked_count++;
    }
    send_track(s, r, false, 0, false);
}

static void untrack(struct session *s, const struct request *r)
{
    struct tracked *t = tracked_find(s, r->channel, r->key);
    if (t)
        tracked_drop(s, t);
    send_track(s, r, true, 0, false);
}

void session_untrack_all(struct session *s, uint64_t grace_ms)
{
    while (s->extra && !list_is_empty(&s->extra->tracked)) {
        struct tracked *t = LIST_OF(s->extra->tracked.next, struct tracked, link);
        struct request r = {.channel = str_of(t->text, t->channel_n),
                            .key = str_of(t->text + t->channel_n, t->key_n)};
        send_track(s, &r, true, grace_ms, true);
        tracked_drop(s, t);
    }
}

/* ---- presence state and history ------------------------------------------------------------- */

struct querying {
    struct hub_query query;
    uint64_t session_id;
    enum request_type type;
    bool is_refresh;
    struct str ref;
    char text[];
};

static void answer_query(struct session *s, struct querying *w)
{
    struct hub_query *q = &w->query;
    struct answer a = {
        .type = w->type, .err = q->err, .channel = q->channel, .ref = w->ref, .query = q};
    struct session_sub *ss = w->is_refresh ? session_sub_find(s, q->channel) : NULL;
    /* An answer can be large, so it is not made for one who has not read the others. */
    bool is_full = deliver_is_full(s);
    if (w->is_refresh && (is_full || q->err)) {
        if (ss)
            deliver_when_drained(s, ss);
        return;
    }
    if (is_full && !a.err) {
        a.err = E_TOO_MANY;
        a.detail = "Too many answers wait to be read";
    }
    s->ops->answer(s, &a);
}

static void on_queried(struct hub_query *q)
{
    struct querying *w = (struct querying *)(void *)q;
    struct session *s = session_find(q->home, w->session_id);
    if (s && s->state == SESSION_OPEN)
        answer_query(s, w);
    hub_query_clear(q);
    mem_free(w);
}

static void query(struct session *s, const struct request *r, bool is_refresh)
{
    struct querying *w = mem_new(sizeof(*w) + r->channel.n + r->ref.n);
    char *at = w->text;
    w->session_id = s->id;
    w->type = r->type;
    w->is_refresh = is_refresh;
    w->ref = put(&at, r->ref);
    w->query.channel = put(&at, r->channel);
    w->query.want_history = r->type == REQUEST_HISTORY;
    w->query.want_presence = r->type == REQUEST_PRESENCE;
    w->query.want_subscribers = r->counts_subscribers;
    w->query.before = r->before;
    w->query.after = r->after;
    w->query.limit = r->limit;
    w->query.done = on_queried;
    hub_query(hub_of(s->home->loop), &w->query);
}

void request_refresh_presence(struct session *s, struct session_sub *ss)
{
    query(s, &(struct request){.type = REQUEST_PRESENCE, .channel = session_sub_channel(ss)}, true);
}

void request_perform(struct session *s, const struct request *r)
{
    switch (r->type) {
    case REQUEST_SUBSCRIBE:
        subscribe(s, r);
        break;
    case REQUEST_UNSUBSCRIBE:
        unsubscribe(s, r);
        break;
    case REQUEST_PUBLISH:
        publish(s, r);
        break;
    case REQUEST_TRACK:
        track(s, r);
        break;
    case REQUEST_UNTRACK:
        untrack(s, r);
        break;
    case REQUEST_PRESENCE:
    case REQUEST_HISTORY:
        query(s, r, false);
        break;
    }
}

/* ---- the gate -------------------------------------------------------------------------------- */

static bool is_name(struct str s, size_t max)
{
    if (!s.n || s.n > max || !utf8_valid(s))
        return false;
    for (size_t i = 0; i < s.n; i++)
        if ((uint8_t)s.p[i] < 0x20 || s.p[i] == 0x7f)
            return false;
    return true;
}

/* Empty channel: the one subscribed last, else the default channel. */
static struct str fill_channel(struct session *s, const struct request *r)
{
    struct session_sub *last = session_sub_last(s);
    if (r->channel.n)
        return r->channel;
    if (r->type != REQUEST_SUBSCRIBE && last)
        return session_sub_channel(last);
    return s->home->config->default_channel;
}

static int check_form(struct session *s, struct request *r, const char **detail)
{
    const struct session_config *config = s->home->config;
    size_t payload_max = r->payload_bytes_max ? r->payload_bytes_max : config->payload_bytes_max;
    if (!is_name(r->channel, config->channel_bytes_max)) {
        *detail = "Channel names are 1 to 255 bytes of UTF-8 without control characters";
        return E_BAD_REQUEST;
    }
    if (r->type == REQUEST_PUBLISH) {
        const struct channel_settings *cs = hub_settings(hub_of(s->home->loop), r->channel);
        if (cs->payload_bytes_max)
            payload_max = cs->payload_bytes_max;
        if (!cs->echo && !r->wants_echo)
            r->message.no_echo = true;
        if (r->message.content.n + r->message.attachments.n > payload_max) {
            *detail = "The content is larger than the channel takes";
            return E_TOO_LARGE;
        }
    }
    if (r->type == REQUEST_TRACK && r->meta.n > config->meta_bytes_max) {
        *detail = "The presence meta is too large";
        return E_TOO_LARGE;
    }
    if ((r->type == REQUEST_TRACK || r->type == REQUEST_UNTRACK) && !is_name(r->key, 255)) {
        *detail = "Presence keys are 1 to 255 bytes of UTF-8 without control characters";
        return E_BAD_REQUEST;
    }
    return 0;
}

void session_request(struct session *s, const struct request *given)
{
    struct request r = *given;
    const char *detail = NULL;
    if (s->state != SESSION_OPEN)
        return;
    if (!r.trusted && !r.is_charged)
        session_charge(s);
    r.channel = fill_channel(s, given);
    if ((r.type == REQUEST_TRACK || r.type == REQUEST_UNTRACK) && !r.key.n)
        r.key = s->identity->sub.n ? s->identity->sub : session_name(s);
    if (r.type == REQUEST_TRACK && !r.meta.n)
        r.meta = STR("{}");
    if (r.type == REQUEST_HISTORY && r.limit > HISTORY_MAX)
        r.limit = HISTORY_MAX;
    int err = check_form(s, &r, &detail);
    if (!err && !r.trusted && s->identity->expires_ms &&
        s->identity->expires_ms <= loop_wall_ms(s->home->loop))
        err = E_TOKEN_EXPIRED;
    if (s->needs_token)
        err = E_TOKEN_REQUIRED;
    if (err)
        request_refuse(s, &r, err, detail);
    else if (r.trusted)
        request_perform(s, &r);
    else
        authorize_request(s, &r);
}
