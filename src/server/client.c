/* SPDX-License-Identifier: Apache-2.0 */
/* tw_client: what was subscribed, and how far each channel has been read. After a loss it comes
 * back after growing, random waits and names its positions; what it has seen already is left out.
 * A frame that comes while an answer is awaited is kept for tw_client_next. */
#include "base/base64.h"
#include "base/err.h"
#include "base/json.h"
#include "base/mem.h"
#include "loop/clock.h"
#include "server/client_priv.h"
#include "server/embed_priv.h"
#include "tidewire.h"
#include "wire/jsonscan.h"
#include <stdio.h>
#include <stdlib.h>

#define TIMEOUT_MS 10000
#define WAIT_FIRST_MS 250
#define WAIT_LONGEST_MS 5000
#define KEPT_MAX 10000 /* frames that wait while a publish is awaited */
#define MEMBERS_MAX 32
#define LINE_BYTES_MAX (96u << 20)

struct client_sub {
    char *channel;
    char *epoch; /* NULL = not yet told */
    uint64_t offset;
    unsigned history;
    uint64_t oldest_ms; /* wall time; older messages are left out */
    bool presence;
};
struct kept {
    struct kept *next;
    struct str json;
};

struct tw_client {
    struct client_url url;
    char *token;
    uint64_t timeout_ms;
    struct link link;
    struct client_sub *subs;
    size_t subs_count, subs_capacity;
    struct kept *kept_first, **kept_last;
    size_t kept_count;
    struct buf frame, json, why, text;
    struct arena arena; /* of the event given out */
    uint64_t refs, wait_ms, retry_at_ms;
    bool was_connected, told_lost;
};

/* ---- life -------------------------------------------------------------------------------- */

tw_client *tw_client_new(const char *url, const char *token)
{
    struct tw_client *c = mem_new(sizeof(*c));
    const char *from_env = getenv("TIDEWIRE_URL");
    c->link.fd = -1;
    c->timeout_ms = TIMEOUT_MS;
    c->kept_last = &c->kept_first;
    c->token = token ? str_dup(str_from(token)) : NULL;
    if (!url)
        url = from_env && *from_env ? from_env : "http://127.0.0.1:8787";
    client_url_parse(url, &c->url, &c->why);
    return c;
}

void tw_client_free(tw_client *c)
{
    if (!c)
        return;
    client_ws_goodbye(&c->link);
    for (size_t i = 0; i < c->subs_count; i++) {
        mem_free(c->subs[i].channel);
        mem_free(c->subs[i].epoch);
    }
    for (struct kept *k = c->kept_first, *next; k; k = next) {
        next = k->next;
        mem_free(k);
    }
    mem_free(c->subs);
    mem_free(c->token);
    buf_free(&c->frame);
    buf_free(&c->json);
    buf_free(&c->why);
    buf_free(&c->text);
    arena_free(&c->arena);
    mem_free(c);
}

void tw_client_set_timeout(tw_client *c, uint64_t ms)
{
    c->timeout_ms = ms;
}

const char *tw_client_problem(const tw_client *c)
{
    return embed_text((struct buf *)&c->why);
}

/* ---- frames out -------------------------------------------------------------------------- */

static int send_json(struct tw_client *c, struct buf *json)
{
    int err = json->failed ? E_NO_MEMORY
                           : client_ws_send(&c->link, buf_str(json), link_now_ms() + c->timeout_ms);
    buf_free(json);
    if (err)
        buf_printf(&c->why, "cannot send: %s", err_info(err)->text);
    return err;
}

static int send_subscribe(struct tw_client *c, const struct client_sub *sub)
{
    struct buf b = {0};
    buf_add_c(&b, '{');
    json_add_field(&b, "type", STR("subscribe"));
    json_add_field(&b, "channel", str_from(sub->channel));
    if (sub->epoch) {
        json_add_key(&b, "since");
        buf_add_c(&b, '{');
        json_add_field(&b, "epoch", str_from(sub->epoch));
        json_add_u64(&b, "offset", sub->offset);
        buf_add_c(&b, '}');
    } else if (sub->history) {
        json_add_u64(&b, "history", sub->history);
    }
    if (sub->presence)
        json_add_bool(&b, "presence", true);
    buf_add_c(&b, '}');
    return send_json(c, &b);
}

int tw_client_connect(tw_client *c)
{
    if (c->link.fd >= 0)
        return 0;
    if (!c->url.host[0]) /* tw_client_new has said why */
        return E_BAD_REQUEST;
    buf_clear(&c->why);
    buf_clear(&c->frame);
    int err = client_ws_open(&c->link, &c->url, c->token, link_now_ms() + c->timeout_ms, &c->why);
    for (size_t i = 0; !err && i < c->subs_count; i++)
        err = send_subscribe(c, &c->subs[i]);
    if (!err) {
        c->wait_ms = 0;
        c->was_connected = true;
    }
    return err;
}

int tw_client_subscribe(tw_client *c, const char *channel, unsigned history, uint64_t max_age_ms,
                        bool presence)
{
    c->subs = mem_grow(c->subs, &c->subs_capacity, c->subs_count + 1, sizeof(*c->subs));
    struct client_sub *sub = &c->subs[c->subs_count++];
    *sub = (struct client_sub){
        .channel = str_dup(str_from(channel)),
        .history = history,
        .oldest_ms = max_age_ms ? clock_wall_ms() - max_age_ms : 0,
        .presence = presence,
    };
    return c->link.fd >= 0 ? send_subscribe(c, sub) : 0;
}

/* ---- frames in --------------------------------------------------------------------------- */

static const char *text_of(struct tw_client *c, struct jsonscan_value v)
{
    struct str s = STR_NONE;
    if (v.type != JSONSCAN_STRING || jsonscan_string(v.raw, &c->arena, &s) != 0)
        return "";
    s = arena_dup(&c->arena, s);
    return s.p ? s.p : "";
}

static const char *raw_of(struct tw_client *c, struct jsonscan_value v)
{
    struct str s = v.type == JSONSCAN_NONE ? STR("") : arena_dup(&c->arena, v.raw);
    return s.p ? s.p : "";
}

static struct client_sub *sub_of(struct tw_client *c, const char *channel)
{
    for (size_t i = 0; i < c->subs_count; i++) {
        if (strcmp(c->subs[i].channel, channel) == 0)
            return &c->subs[i];
    }
    return NULL;
}

static void blank_event(tw_event *e, const char *type)
{
    *e = (tw_event){.type = type,
                    .channel = "",
                    .event = "",
                    .content = "",
                    .id = "",
                    .message = "",
                    .hint = "",
                    .json = ""};
}

/* json must live until the next call. */
static void read_event(struct tw_client *c, struct str json, tw_event *e)
{
    struct jsonscan_member m[MEMBERS_MAX];
    size_t n = 0;
    uint64_t code = 0;
    arena_reset(&c->arena);
    blank_event(e, "");
    struct str whole = arena_dup(&c->arena, json);
    if (!whole.p || jsonscan_object(whole, JSONSCAN_DEPTH, &c->arena, m, MEMBERS_MAX, &n) != 0)
        return;
    static const struct jsonscan_value none;
#define MEMBER(name) (jsonscan_get(m, n, name) ? *jsonscan_get(m, n, name) : none)
    e->json = whole.p;
    e->type = text_of(c, MEMBER("type"));
    e->channel = text_of(c, MEMBER("channel"));
    e->event = text_of(c, MEMBER("event"));
    e->content = raw_of(c, MEMBER("content"));
    e->id = text_of(c, MEMBER("id"));
    e->message = text_of(c, MEMBER("message"));
    e->hint = text_of(c, MEMBER("hint"));
    jsonscan_u64(MEMBER("offset").raw, &e->offset);
    jsonscan_u64(MEMBER("time").raw, &e->time_ms);
    if (jsonscan_u64(MEMBER("code").raw, &code) && code < 10000)
        e->code = (int)code;
#undef MEMBER
}

/* A binary message in the words of a text one (docs/protocols/native.md, "Binary"). */
static void binary_to_json(struct str in, struct buf *out)
{
    struct str part[2] = {STR_NONE, STR_NONE};
    for (int i = 0; i < 2 && in.n > 0; i++) {
        size_t n = (unsigned char)in.p[0];
        part[i] = str_head(str_skip(in, 1), n);
        in = str_skip(in, 1 + n);
    }
    uint64_t offset = 0;
    for (size_t i = 0; i < 8 && i < in.n; i++)
        offset = offset << 8 | (unsigned char)in.p[i];
    buf_add_c(out, '{');
    json_add_field(out, "type", STR("message"));
    json_add_field(out, "channel", part[0]);
    json_add_field(out, "event", part[1].n ? part[1] : STR("message"));
    json_add_key(out, "content");
    buf_add_c(out, '"');
    base64_encode(out, str_skip(in, 8));
    buf_add_z(out, "\",\"encoding\":\"base64\"");
    json_add_u64(out, "offset", offset);
    buf_add_c(out, '}');
}

/* Moves the channel's position; false for what was seen before or is too old to be wanted. */
static bool is_news(struct tw_client *c, const tw_event *e)
{
    struct client_sub *sub = sub_of(c, e->channel);
    if (!sub)
        return true;
    if (strcmp(e->type, "subscribed") == 0) {
        struct str epoch = STR_NONE;
        struct jsonscan_value v = jsonscan_find(str_from(e->json), "epoch");
        if (v.type != JSONSCAN_STRING || jsonscan_string(v.raw, &c->arena, &epoch) != 0)
            return true;
        bool first = !sub->epoch, same = !first && str_is(epoch, sub->epoch);
        mem_free(sub->epoch);
        sub->epoch = str_dup(epoch);
        /* With history, or a log begun anew, the messages that follow move the position. */
        if (!same)
            sub->offset = first && !sub->history ? e->offset : 0;
    } else if (strcmp(e->type, "message") == 0 && e->offset > 0) {
        if (e->offset <= sub->offset)
            return false;
        sub->offset = e->offset;
        return !sub->oldest_ms || e->time_ms == 0 || e->time_ms >= sub->oldest_ms;
    }
    return true;
}

/* One frame as JSON into c->json. As client_ws_next. */
static int next_json(struct tw_client *c, uint64_t deadline_ms, int *code)
{
    bool is_binary = false;
    buf_clear(&c->json);
    int got = client_ws_next(&c->link, &c->frame, &is_binary, deadline_ms, code, &c->why);
    if (got != 1)
        return got;
    if (is_binary)
        binary_to_json(buf_str(&c->frame), &c->json);
    else
        buf_add_str(&c->json, buf_str(&c->frame));
    buf_clear(&c->frame);
    return 1;
}

static void keep(struct tw_client *c, struct str json)
{
    if (c->kept_count == KEPT_MAX)
        return; /* the position stands still, so a later resume brings it */
    struct kept *k = mem_try(sizeof(*k) + json.n);
    if (!k)
        return;
    k->next = NULL;
    memcpy(k + 1, json.p, json.n);
    k->json = str_of((char *)(k + 1), json.n);
    *c->kept_last = k;
    c->kept_last = &k->next;
    c->kept_count++;
}

static bool take_kept(struct tw_client *c)
{
    struct kept *k = c->kept_first;
    if (!k)
        return false;
    c->kept_first = k->next;
    if (!c->kept_first)
        c->kept_last = &c->kept_first;
    c->kept_count--;
    buf_clear(&c->json);
    buf_add_str(&c->json, k->json);
    mem_free(k);
    return true;
}

/* ---- coming back ------------------------------------------------------------------------- */

/* Codes that will not be other the next time. */
static bool is_final(int err)
{
    return !err_info(err)->retryable && err != E_UNAVAILABLE && err != E_TIMEOUT && err != E_CLOSED;
}

/* The server's own reason, where it closed with one. */
static int reason_of(struct tw_client *c, int err, int code)
{
    const struct err_info *info = err_by_number(code);
    if (info && info->hint && *info->hint)
        buf_printf(&c->why, ". %s", info->hint);
    return info ? info->value : err;
}

static int on_lost(struct tw_client *c, int err, int code, tw_event *out)
{
    const struct err_info *info = err_by_number(code);
    link_close(&c->link);
    if ((info && !info->retryable) || (!info && is_final(err)))
        return reason_of(c, err, code);
    blank_event(out, "lost");
    out->message = tw_client_problem(c);
    out->code = code;
    c->told_lost = true;
    c->retry_at_ms = link_now_ms() + c->wait_ms;
    return 1;
}

static uint64_t next_wait(struct tw_client *c)
{
    uint32_t chance;
    clock_random_bytes(&chance, sizeof(chance));
    uint64_t most = c->wait_ms ? c->wait_ms * 2 : WAIT_FIRST_MS;
    c->wait_ms = most < WAIT_LONGEST_MS ? most : WAIT_LONGEST_MS;
    return c->wait_ms / 2 + chance % (c->wait_ms / 2 + 1);
}

/* Sleeps until the retry is due, or the deadline. */
static void rest_until(uint64_t at_ms, uint64_t deadline_ms)
{
    link_rest(at_ms < deadline_ms ? at_ms : deadline_ms);
}

/* 1 connected and *out says so; 0 not yet; negative = refused for good. */
static int come_back(struct tw_client *c, uint64_t deadline_ms, tw_event *out)
{
    rest_until(c->retry_at_ms, deadline_ms);
    if (link_now_ms() < c->retry_at_ms)
        return 0;
    int err = tw_client_connect(c);
    if (!err) {
        blank_event(out, "back");
        c->told_lost = false;
        return 1;
    }
    link_close(&c->link);
    c->retry_at_ms = link_now_ms() + next_wait(c);
    return is_final(err) ? err : 0;
}

int tw_client_next(tw_client *c, int timeout_ms, tw_event *out)
{
    uint64_t deadline = link_now_ms() + (uint64_t)(timeout_ms < 0 ? INT32_MAX : timeout_ms);
    if (c->url.host[0])
        buf_clear(&c->why);
    for (;;) {
        int code = 0, got;
        if (c->link.fd < 0 && !c->was_connected) {
            int err = tw_client_connect(c);
            if (err)
                return err;
        }
        if (take_kept(c)) {
            got = 1;
        } else if (c->link.fd < 0) {
            got = come_back(c, deadline, out);
            if (got != 0 || link_now_ms() >= deadline)
                return got;
            continue;
        } else {
            got = next_json(c, deadline, &code);
        }
        if (got < 0)
            return on_lost(c, got, code, out);
        if (got == 0)
            return 0;
        read_event(c, buf_str(&c->json), out);
        if (is_news(c, out))
            return 1;
    }
}

/* ---- publishing -------------------------------------------------------------------------- */

static int send_message(struct tw_client *c, const char *channel, const char *event,
                        const char *content, const char *id, struct str ref)
{
    struct buf b = {0};
    buf_add_c(&b, '{');
    json_add_field(&b, "type", STR("message"));
    if (channel)
        json_add_field(&b, "channel", str_from(channel));
    if (event)
        json_add_field(&b, "event", str_from(event));
    if (id)
        json_add_field(&b, "id", str_from(id));
    json_add_field(&b, "ref", ref);
    json_add_raw(&b, "content", str_from(content));
    buf_add_c(&b, '}');
    return send_json(c, &b);
}

static bool has_ref(struct str json, struct str ref)
{
    struct jsonscan_value v = jsonscan_check(json, JSONSCAN_DEPTH, NULL) == 0
                                  ? jsonscan_find(json, "ref")
                                  : (struct jsonscan_value){0};
    return v.type == JSONSCAN_STRING && v.raw.n == ref.n + 2 &&
           str_eq(str_of(v.raw.p + 1, ref.n), ref);
}

int tw_client_publish(tw_client *c, const char *channel, const char *event,
                      const char *content_json, const char *id, tw_event *answer)
{
    char ref[32];
    int code = 0;
    if (!c->url.host[0])
        return E_BAD_REQUEST;
    buf_clear(&c->why);
    if (jsonscan_check(str_from(content_json), JSONSCAN_DEPTH, NULL) != 0) {
        buf_add_z(&c->why, "the content is not JSON");
        return E_BAD_REQUEST;
    }
    int err = tw_client_connect(c);
    snprintf(ref, sizeof(ref), "p%llu", (unsigned long long)++c->refs);
    if (!err)
        err = send_message(c, channel, event, content_json, id, str_from(ref));
    uint64_t deadline = link_now_ms() + c->timeout_ms;
    while (!err) {
        int got = next_json(c, deadline, &code);
        if (got <= 0) {
            link_close(&c->link);
            if (got == 0)
                buf_add_z(&c->why, "no answer in time");
            return got ? reason_of(c, got, code) : E_TIMEOUT;
        }
        if (!has_ref(buf_str(&c->json), str_from(ref))) {
            keep(c, buf_str(&c->json));
            continue;
        }
        read_event(c, buf_str(&c->json), answer);
        if (strcmp(answer->type, "error") != 0)
            return 0;
        const struct err_info *info = err_by_number(answer->code);
        buf_printf(&c->why, "%s%s%s", answer->message, *answer->hint ? ". " : "", answer->hint);
        err = info ? info->value : E_PROTOCOL;
    }
    return err;
}

/* ---- http -------------------------------------------------------------------------------- */

int tw_client_http(tw_client *c, const char *method, const char *path, const char *body,
                   char **answer)
{
    struct link link = {.fd = -1};
    struct client_answer head = {0};
    struct str text = STR_NONE;
    struct buf out = {0};
    uint64_t deadline = link_now_ms() + c->timeout_ms;
    if (!c->url.host[0])
        return E_BAD_REQUEST;
    buf_clear(&c->why);
    client_add_request(&out, &c->url, method, path, "1.1", c->token, str_from(body));
    buf_add_z(&out, "Connection: close\r\n\r\n");
    if (body)
        buf_add_z(&out, body);
    int err = link_open(&link, &c->url, deadline, &c->why);
    if (!err && (err = link_send(&link, buf_str(&out), deadline)) != 0)
        buf_printf(&c->why, "cannot send: %s", err_info(err)->text);
    if (!err)
        err = client_read_head(&link, &head, deadline, &c->why);
    if (!err)
        err = client_read_body(&link, &head, &text, deadline, &c->why);
    if (!err && answer)
        *answer = str_dup(text.n ? text : STR(""));
    link_close(&link);
    buf_free(&out);
    return err ? err : head.status;
}

/* ---- a stream of lines ------------------------------------------------------------------- */

int tw_client_watch(tw_client *c, const char *path)
{
    struct client_answer head = {0};
    struct str body;
    struct buf out = {0};
    uint64_t deadline = link_now_ms() + c->timeout_ms;
    if (!c->url.host[0])
        return E_BAD_REQUEST;
    buf_clear(&c->why);
    link_close(&c->link);
    client_add_request(&out, &c->url, "GET", path, "1.0", c->token, STR_NONE);
    buf_add_z(&out, "\r\n");
    int err = link_open(&c->link, &c->url, deadline, &c->why);
    if (!err && (err = link_send(&c->link, buf_str(&out), deadline)) != 0)
        buf_printf(&c->why, "cannot send: %s", err_info(err)->text);
    if (!err)
        err = client_read_head(&c->link, &head, deadline, &c->why);
    if (!err && head.status != 200) {
        err = client_read_body(&c->link, &head, &body, deadline, &c->why);
        err = err ? err : client_refusal(head.status, body, &c->why);
    }
    if (err)
        link_close(&c->link);
    else
        buf_shift(&c->link.in, head.head_n);
    buf_free(&out);
    return err;
}

int tw_client_next_line(tw_client *c, int timeout_ms, tw_event *out)
{
    uint64_t deadline = link_now_ms() + (uint64_t)(timeout_ms < 0 ? INT32_MAX : timeout_ms);
    ptrdiff_t end = -1;
    while (c->link.fd >= 0 && (end = str_find(buf_str(&c->link.in), '\n')) < 0) {
        int err = c->link.in.n > LINE_BYTES_MAX ? E_TOO_LARGE : link_receive(&c->link, deadline);
        if (err == E_TIMEOUT)
            return 0;
        if (err)
            link_close(&c->link);
    }
    if (c->link.fd < 0) {
        buf_clear(&c->why);
        buf_add_z(&c->why, "the stream has ended");
        return E_CLOSED;
    }
    read_event(c, str_head(buf_str(&c->link.in), (size_t)end), out);
    buf_shift(&c->link.in, (size_t)end + 1);
    return 1;
}
