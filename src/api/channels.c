/* SPDX-License-Identifier: Apache-2.0 */
/* GET /api/channels/{name}: where a channel stands, who is there, what was said. History and
 * presence pass the gate as two requests; presence that may not be seen is left out. */
#include "api/api_priv.h"

#include "base/json.h"
#include "base/mem.h"
#include "wire/native.h"
#include "wire/url.h"

struct lookup {
    struct http_request *req;
    struct session *session;
    struct buf head, messages, presence;
    unsigned left;
    int err;
    const char *detail;
    bool is_gone;
};

static void add_messages(struct lookup *k, const struct hub_query *q)
{
    struct native_message nm;
    for (size_t i = 0; i < q->msgs_count; i++) {
        const struct msg *m = q->msgs[i];
        nm = (struct native_message){.channel = m->channel,
                                     .event = m->event,
                                     .content = m->content,
                                     .epoch = m->epoch,
                                     .key = m->key,
                                     .sender_sub = m->sender,
                                     .sender_session = m->sender_name,
                                     .offset = m->offset,
                                     .time_ms = m->time_ms,
                                     .binary = m->format == MSG_BINARY};
        if (i)
            buf_add_c(&k->messages, ',');
        native_add_message(&k->messages, &nm);
    }
}

static void add_presence(struct lookup *k, const struct presence_update *u)
{
    for (size_t i = 0; i < u->joins_count; i++) {
        const struct presence_entry *e = &u->joins[i];
        if (i)
            buf_add_c(&k->presence, ',');
        buf_add_c(&k->presence, '{');
        json_add_field(&k->presence, "key", e->key);
        json_add_key(&k->presence, "metas");
        buf_add_c(&k->presence, '[');
        for (size_t j = 0; j < e->metas_count; j++) {
            if (j)
                buf_add_c(&k->presence, ',');
            buf_add_str(&k->presence, e->metas[j].meta);
        }
        buf_add_z(&k->presence, "]}");
    }
}

static void finish(struct lookup *k)
{
    struct buf body = {0};
    k->req->on_abort = NULL;
    if (k->err) {
        http_reply_error(k->req, k->err, k->detail);
        return;
    }
    buf_add_str(&body, buf_str(&k->head));
    buf_add_z(&body, ",\"presence\":[");
    buf_add_str(&body, buf_str(&k->presence));
    buf_add_z(&body, "],\"messages\":[");
    buf_add_str(&body, buf_str(&k->messages));
    buf_add_z(&body, "]}");
    http_add_header(k->req, "Cache-Control", STR("no-store"));
    if (body.failed || k->head.failed || k->presence.failed || k->messages.failed)
        http_reply_error(k->req, E_NO_MEMORY, NULL);
    else
        http_reply(k->req, 200, "application/json", buf_str(&body));
    buf_free(&body);
}

static void on_answer(struct session *s, const struct answer *a)
{
    struct lookup *k = session_user(s);
    k->left--;
    if (a->type == REQUEST_PRESENCE) {
        if (!a->err && a->query->presence)
            add_presence(k, a->query->presence);
    } else if (a->err) {
        k->err = a->err;
        k->detail = a->detail;
    } else {
        buf_add_c(&k->head, '{');
        json_add_field(&k->head, "channel", a->channel);
        json_add_field(&k->head, "epoch", str_from(a->query->at.epoch));
        json_add_u64(&k->head, "offset", a->query->at.offset);
        json_add_u64(&k->head, "subscribers", a->query->subscribers);
        json_add_bool(&k->head, "more", a->query->more);
        add_messages(k, a->query);
    }
    if (k->left || k->is_gone)
        return;
    finish(k);
    session_end(s, 0, true);
}

static void on_ended(struct session *s, int err)
{
    struct lookup *k = session_user(s);
    (void)err;
    if (k->left && !k->is_gone) {
        k->req->on_abort = NULL;
        http_reply_error(k->req, E_UNAVAILABLE, NULL);
    }
    buf_free(&k->head);
    buf_free(&k->messages);
    buf_free(&k->presence);
    mem_free(k);
}

static const struct session_ops lookup_ops = {
    .name = "channels", .answer = on_answer, .ended = on_ended};

static void on_abort(struct http_request *req)
{
    struct lookup *k = req->state;
    k->is_gone = true;
    session_end(k->session, E_CLOSED, true);
}

void channels_on_request(struct http_request *req)
{
    if (!api_origin(req))
        return;
    struct identity *id = NULL;
    struct str name = STR_NONE;
    struct str raw = str_skip(req->path_raw, sizeof("/api/channels/") - 1);
    int err = api_identify(req, &id);
    if (!err && (!raw.n || url_decode(req->arena, raw, false, &name)))
        err = E_NOT_FOUND;
    if (err) {
        identity_unref(id);
        http_reply_error(req, err, NULL);
        return;
    }
    struct lookup *k = mem_new(sizeof(*k));
    struct session_open o = {.ops = &lookup_ops, .identity = id, .user = k};
    k->req = req;
    k->left = 2;
    k->session = session_open(req->loop, &o);
    identity_unref(id);
    if (!k->session) {
        http_reply_error(req, E_TOO_MANY, NULL);
        mem_free(k);
        return;
    }
    req->state = k;
    req->on_abort = on_abort;
    struct request r = {.type = REQUEST_PRESENCE, .channel = name};
    session_request(k->session, &r);
    r.type = REQUEST_HISTORY;
    r.counts_subscribers = true;
    r.limit = (size_t)api_number(req, "limit", 100);
    r.before = api_number(req, "before", 0);
    r.after = api_number(req, "after", 0);
    session_request(k->session, &r);
}
