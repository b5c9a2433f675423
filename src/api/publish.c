/* SPDX-License-Identifier: Apache-2.0 */
/* POST /api/publish: the up-channel of SSE and poll clients and of backends. One message or an
 * array; each passes the gate by itself, in order, in a session that lives for this request.
 * The answer is given when all of them have theirs. */
#include "api/api_priv.h"

#include "base/json.h"
#include "base/mem.h"
#include "base/metric.h"
#include "base/num.h"
#include "wire/http1.h"
#include "wire/jsonscan.h"
#include "wire/native.h"

enum { JSON_DEPTH = 64 };

struct item {
    struct buf answer;
    int err;
};
struct publish {
    struct http_request *req;
    struct session *session;
    struct item *items;
    size_t count, left;
    bool is_array, is_gone;
};

static void free_publish(struct publish *p)
{
    for (size_t i = 0; i < p->count; i++)
        buf_free(&p->items[i].answer);
    mem_free(p->items);
    mem_free(p);
}

static void finish(struct publish *p)
{
    struct buf body = {0};
    int status = p->is_array || !p->items[0].err ? 200 : err_info(p->items[0].err)->status;
    if (p->is_array)
        buf_add_c(&body, '[');
    for (size_t i = 0; i < p->count; i++) {
        if (i)
            buf_add_c(&body, ',');
        buf_add_str(&body, buf_str(&p->items[i].answer));
        body.failed |= p->items[i].answer.failed;
    }
    if (p->is_array)
        buf_add_c(&body, ']');
    p->req->on_abort = NULL;
    if (body.failed) /* what was published is remembered by its id: the retry is told */
        http_reply_error(p->req, E_NO_MEMORY, NULL);
    else
        http_reply(p->req, status, "application/json", buf_str(&body));
    buf_free(&body);
}

static void settle(struct publish *p, size_t index, int err, const char *detail,
                   const struct answer *a)
{
    struct item *item = &p->items[index];
    item->err = err;
    if (err) {
        /* The same object as everywhere, without the frame's type. */
        struct err_info const *info = err_info(err);
        buf_add_c(&item->answer, '{');
        json_add_u64(&item->answer, "code", (uint64_t)info->number);
        json_add_field(&item->answer, "name", str_from(info->name));
        json_add_field(&item->answer, "message", str_from(detail ? detail : info->text));
        json_add_field(&item->answer, "hint", str_from(info->hint));
        json_add_bool(&item->answer, "retryable", info->retryable);
        buf_add_c(&item->answer, '}');
    } else {
        native_add_published(&item->answer, a->channel, str_from(a->published->epoch),
                             a->published->offset, a->published->duplicate);
    }
    p->left--;
}

static void on_answer(struct session *s, const struct answer *a)
{
    struct publish *p = session_user(s);
    uint64_t index = 0;
    (void)num_u64(a->ref, &index);
    settle(p, (size_t)index, a->err, a->detail, a);
    if (p->left || p->is_gone)
        return;
    finish(p);
    session_end(s, 0, true);
}

static void on_ended(struct session *s, int err)
{
    struct publish *p = session_user(s);
    (void)err;
    if (p->left && !p->is_gone) {
        p->req->on_abort = NULL;
        http_reply_error(p->req, E_UNAVAILABLE, NULL);
    }
    free_publish(p);
}

static const struct session_ops publish_ops = {
    .name = "publish", .answer = on_answer, .ended = on_ended};

static void on_abort(struct http_request *req)
{
    struct publish *p = req->state;
    p->is_gone = true;
    session_end(p->session, E_CLOSED, true);
}

static void send(struct publish *p, size_t index, const struct native_request *nr)
{
    char ref[24];
    struct request r = {
        .type = REQUEST_PUBLISH,
        .channel = nr->channels_count ? nr->channels[0].name : STR_NONE,
        .ref = str_of(ref, num_put_u64(ref, index)),
        .wants_answer = true,
        .message = {.event = nr->event,
                    .content = nr->content,
                    .id = nr->id,
                    .key = nr->key,
                    .format = nr->binary ? MSG_BINARY : MSG_JSON,
                    .is_volatile = nr->is_volatile},
    };
    session_request(p->session, &r);
}

/* Bytes with channel and event in the query. */
static int read_binary(struct http_request *req, struct native_request *nr)
{
    struct native_channel *channel = arena_zero(req->arena, sizeof(*channel));
    if (!channel)
        return E_NO_MEMORY;
    channel->name = http_query(req, "channel");
    nr->channels = channel;
    nr->channels_count = channel->name.n ? 1 : 0;
    nr->event = http_query(req, "event");
    nr->id = http_query(req, "id");
    nr->content = req->body;
    nr->binary = true;
    if (channel->name.n && !native_name_valid(channel->name, NATIVE_CHANNEL_MAX))
        nr->detail = "channel: must be 1 to 255 bytes without control characters";
    else if (nr->event.n && !native_name_valid(nr->event, NATIVE_EVENT_MAX))
        nr->detail = "event: is too long or holds control characters";
    else if (nr->id.n && !native_name_valid(nr->id, NATIVE_ID_MAX))
        nr->detail = "id: is too long or holds control characters";
    return nr->detail ? E_BAD_REQUEST : 0;
}

/* The id of a message that has none; a key that cannot be one is an error, for without it a retry
 * would be a second message. */
static int take_key(struct str key, struct native_request *nr)
{
    if (!key.n || nr->id.n)
        return 0;
    nr->id = key;
    if (native_name_valid(key, NATIVE_ID_MAX))
        return 0;
    nr->detail = "Idempotency-Key: is longer than 64 bytes or is not UTF-8";
    return E_BAD_REQUEST;
}

static int read_one(struct http_request *req, struct str text, struct native_request *nr)
{
    *nr = (struct native_request){0};
    int err = native_decode_publish(text, JSON_DEPTH, req->arena, nr);
    return err;
}

/* The elements of the body, checked as a whole first: an array is refused whole if it is none. */
static int split(struct http_request *req, struct publish *p, struct jsonscan_value **out,
                 const char **detail)
{
    size_t max = api_home_of(req->loop)->config->publish_batch_max;
    struct jsonscan_value whole;
    int err = jsonscan_check(req->body, JSON_DEPTH, &whole);
    if (err) {
        *detail = err == E_TOO_LARGE ? "The body is nested too deeply" : "The body is not JSON";
        return err;
    }
    p->is_array = whole.type == JSONSCAN_ARRAY;
    *out = arena_zero(req->arena, (p->is_array ? max : 1) * sizeof(**out));
    if (!*out)
        return E_NO_MEMORY;
    p->count = 1;
    (*out)[0] = whole;
    if (!p->is_array)
        return 0;
    err = jsonscan_array(req->body, JSON_DEPTH, *out, max, &p->count);
    if (err)
        *detail = "Too many messages in one array";
    return err;
}

static void publish_all(struct publish *p, const struct jsonscan_value *values)
{
    struct http_request *req = p->req;
    struct loop *l = req->loop;
    uint64_t session = session_id(p->session);
    struct str key = http_header(req, "idempotency-key");
    for (size_t i = 0, count = p->count; i < count; i++) {
        struct native_request nr = {0};
        int err = values ? read_one(req, values[i].raw, &nr) : read_binary(req, &nr);
        if (!err && count == 1 && !p->is_array)
            err = take_key(key, &nr);
        metric_add(M_MESSAGES_RECEIVED_HTTP, 1);
        if (!err) {
            send(p, i, &nr);
        } else {
            settle(p, i, err, nr.detail, NULL);
            if (!p->left) {
                finish(p);
                session_end(p->session, 0, true);
            }
        }
        if (!session_find(l, session))
            return; /* all were answered at once */
    }
}

void publish_on_request(struct http_request *req)
{
    if (!api_origin(req))
        return;
    struct publish *p = mem_new(sizeof(*p));
    struct jsonscan_value *values = NULL;
    struct identity *id = NULL;
    const char *detail = NULL;
    struct str type = http_header(req, "content-type");
    bool is_binary = str_starts(type, STR("application/octet-stream"));
    p->req = req;
    int err = api_identify(req, &id);
    if (!err && is_binary)
        p->count = 1;
    else if (!err)
        err = split(req, p, &values, &detail);
    if (!err && p->is_array && !p->count) {
        http_reply(req, 200, "application/json", STR("[]"));
        identity_unref(id);
        mem_free(p);
        return;
    }
    if (!err) {
        struct session_open o = {.ops = &publish_ops, .identity = id, .user = p};
        p->session = session_open(req->loop, &o);
        err = p->session ? 0 : E_TOO_MANY;
    }
    identity_unref(id);
    if (err) {
        http_reply_error(req, err, detail);
        mem_free(p);
        return;
    }
    p->items = mem_new(p->count * sizeof(*p->items));
    p->left = p->count;
    req->state = p;
    req->on_abort = on_abort;
    publish_all(p, values);
}
