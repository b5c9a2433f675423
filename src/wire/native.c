/* SPDX-License-Identifier: Apache-2.0 */
/* The plain dialect, what clients say. One pass over the text finds the members (jsonscan); then
 * each type takes the fields it knows. A field that is null counts as absent, unknown fields are
 * ignored. What the server says is in native_write.c.
 *
 * A new field: add it to struct native_request, take it in the type's function, document it. */
#include "wire/native.h"
#include "base/err.h"
#include "base/utf8.h"
#include "wire/jsonscan.h"
#include <stdio.h>

enum { MEMBERS_MAX = 64, DETAIL_BYTES = 160, UNLIMITED = 0 };

struct reader {
    struct jsonscan_member members[MEMBERS_MAX];
    size_t count;
    struct arena *arena;
    struct native_request *out;
};

static int refuse(struct reader *r, int err, const char *field, const char *rule)
{
    char *text = arena_alloc(r->arena, DETAIL_BYTES);
    if (text)
        snprintf(text, DETAIL_BYTES, "%s: %s", field, rule);
    r->out->detail = text ? text : rule;
    return err;
}

static int bad(struct reader *r, const char *field, const char *rule)
{
    return refuse(r, E_BAD_REQUEST, field, rule);
}

bool native_name_valid(struct str name, size_t bytes_max)
{
    for (size_t i = 0; i < name.n; i++) {
        unsigned char c = (unsigned char)name.p[i];
        /* C0, DEL, and C1 as UTF-8 (c2 80 .. c2 9f) */
        if (c < 0x20 || c == 0x7f ||
            (c == 0xc2 && i + 1 < name.n && (unsigned char)name.p[i + 1] < 0xa0))
            return false;
    }
    return name.n >= 1 && name.n <= bytes_max && utf8_valid(name);
}

/* ---- fields ---------------------------------------------------------------------------------
 * Each: 0 (also when absent), or E_* with the detail set. */

static const struct jsonscan_value *get(const struct reader *r, const char *field)
{
    const struct jsonscan_value *v = jsonscan_get(r->members, r->count, field);
    return v && v->type != JSONSCAN_NULL ? v : NULL;
}

static int unescape(struct reader *r, const char *field, struct str raw, struct str *out)
{
    int err = jsonscan_string(raw, r->arena, out);
    if (err == E_BAD_REQUEST)
        return bad(r, field, "must be a string");
    if (err == E_BAD_UTF8)
        return refuse(r, err, field, "holds half a surrogate pair");
    return err < 0 ? refuse(r, err, field, "out of memory") : 0;
}

/* 1..bytes_max bytes without control characters. */
static int take_name(struct reader *r, const char *field, size_t bytes_max, struct str *out)
{
    const struct jsonscan_value *v = get(r, field);
    if (!v)
        return 0;
    int err = unescape(r, field, v->raw, out);
    if (err < 0 || native_name_valid(*out, bytes_max))
        return err;
    return bad(r, field, "is empty, too long or holds control characters");
}

static int take_bool(struct reader *r, const char *field, bool *out)
{
    const struct jsonscan_value *v = get(r, field);
    return !v || jsonscan_bool(v->raw, out) ? 0 : bad(r, field, "must be true or false");
}

/* most: UNLIMITED or the largest value. given may be NULL. */
static int take_number(struct reader *r, const char *field, uint64_t most, uint64_t *out,
                       bool *given)
{
    const struct jsonscan_value *v = get(r, field);
    if (!v)
        return 0;
    if (!jsonscan_u64(v->raw, out))
        return bad(r, field, "must be a whole number from 0 on");
    if (most && *out > most)
        return bad(r, field, "is too large");
    if (given)
        *given = true;
    return 0;
}

/* The raw JSON of a field, of any type or of one (JSONSCAN_NONE = any). */
static int take_raw(struct reader *r, const char *field, enum jsonscan_type type, struct str *out)
{
    const struct jsonscan_value *v = get(r, field);
    if (v && type != JSONSCAN_NONE && v->type != type)
        return bad(r, field, "must be an object");
    if (v)
        *out = v->raw;
    return 0;
}

static int take_ref(struct reader *r)
{
    const struct jsonscan_value *v = get(r, "ref");
    if (!v)
        return 0;
    if (v->type != JSONSCAN_STRING && v->type != JSONSCAN_NUMBER)
        return bad(r, "ref", "must be a string or a number");
    if (v->raw.n > NATIVE_REF_MAX)
        return bad(r, "ref", "is too long");
    r->out->ref = v->raw;
    return 0;
}

/* ---- channels and positions --------------------------------------------------------------------
 */

static int take_channel_name(struct reader *r, const char *field, struct str raw,
                             struct native_channel *out)
{
    *out = (struct native_channel){.name = STR_NONE};
    int err = unescape(r, field, raw, &out->name);
    if (err < 0 || native_name_valid(out->name, NATIVE_CHANNEL_MAX))
        return err;
    return bad(r, field, "must be 1 to 255 bytes without control characters");
}

static int take_channel(struct reader *r)
{
    const struct jsonscan_value *v = get(r, "channel");
    if (!v)
        return 0;
    struct native_channel *one = arena_alloc(r->arena, sizeof(*one));
    if (!one)
        return refuse(r, E_NO_MEMORY, "channel", "out of memory");
    r->out->channels = one;
    r->out->channels_count = 1;
    return take_channel_name(r, "channel", v->raw, one);
}

static int take_channels(struct reader *r)
{
    const struct jsonscan_value *v = get(r, "channels");
    struct jsonscan_value items[NATIVE_CHANNELS_MAX];
    size_t count;
    if (!v)
        return take_channel(r);
    if (get(r, "channel"))
        return bad(r, "channels", "must not stand beside channel");
    int err = jsonscan_array(v->raw, JSONSCAN_DEPTH_MAX, items, NATIVE_CHANNELS_MAX, &count);
    if (err == E_TOO_LARGE)
        return refuse(r, E_TOO_LARGE, "channels", "at most 100 at a time");
    if (err < 0 || count == 0)
        return bad(r, "channels", "must be a list of channel names");
    struct native_channel *all = arena_alloc(r->arena, count * sizeof(*all));
    if (!all)
        return refuse(r, E_NO_MEMORY, "channels", "out of memory");
    r->out->channels = all;
    r->out->channels_count = count;
    for (size_t i = 0; i < count && err == 0; i++)
        err = take_channel_name(r, "channels", items[i].raw, &all[i]);
    return err;
}

/* {"epoch": .., "offset": ..} */
static int take_position(struct reader *r, struct str raw, struct native_position *out)
{
    struct jsonscan_value epoch = jsonscan_find(raw, "epoch");
    struct jsonscan_value offset = jsonscan_find(raw, "offset");
    *out = (struct native_position){.given = true};
    if (offset.type != JSONSCAN_NUMBER || !jsonscan_u64(offset.raw, &out->offset))
        return bad(r, "since", "offset must be a whole number from 0 on");
    if (epoch.type == JSONSCAN_NONE || epoch.type == JSONSCAN_NULL)
        return 0;
    int err = unescape(r, "since", epoch.raw, &out->epoch);
    if (err < 0)
        return err;
    return cursor_epoch_valid(out->epoch) ? 0 : bad(r, "since", "malformed epoch");
}

/* {channel: position}: gives each named channel its own. */
static int take_positions(struct reader *r, struct str raw)
{
    struct jsonscan_iter it = jsonscan_iter(raw);
    struct jsonscan_member m;
    int err, seen = 0;
    while ((err = jsonscan_next(&it, r->arena, &m)) > 0) {
        if (seen++ == NATIVE_CHANNELS_MAX)
            return refuse(r, E_TOO_LARGE, "since", "at most 100 positions");
        if (m.value.type != JSONSCAN_OBJECT)
            return bad(r, "since", "must be a position, or an object of positions by channel");
        for (size_t i = 0; i < r->out->channels_count; i++) {
            struct native_channel *c = &r->out->channels[i];
            if (str_eq(c->name, m.key))
                err = take_position(r, m.value.raw, &c->since);
            if (err < 0)
                return err;
        }
    }
    return err < 0 ? refuse(r, err, "since", "malformed channel name") : 0;
}

static int take_since(struct reader *r)
{
    const struct jsonscan_value *v = get(r, "since");
    if (!v)
        return 0;
    if (v->type != JSONSCAN_OBJECT)
        return bad(r, "since", "must be a position, or an object of positions by channel");
    /* A position's offset is a number; a channel that is named so has an object. */
    struct jsonscan_value offset = jsonscan_find(v->raw, "offset");
    if (offset.type == JSONSCAN_NONE || offset.type == JSONSCAN_OBJECT)
        return take_positions(r, v->raw);
    if (r->out->channels_count > 1)
        return bad(r, "since", "several channels need a position each");
    int err = take_position(r, v->raw, &r->out->since);
    if (r->out->channels_count)
        r->out->channels[0].since = r->out->since;
    return err;
}

/* ---- the types ---------------------------------------------------------------------------------
 */

static int take_subscribe(struct reader *r)
{
    struct native_request *q = r->out;
    int err = take_channels(r);
    if (err == 0)
        err = take_since(r);
    if (err == 0)
        err = take_number(r, "history", UNLIMITED, &q->history, NULL);
    if (err == 0)
        err = take_bool(r, "presence", &q->presence);
    if (err == 0)
        err = take_bool(r, "delta", &q->delta);
    return err;
}

static int take_message(struct reader *r)
{
    struct native_request *q = r->out;
    const struct jsonscan_value *content = jsonscan_get(r->members, r->count, "content");
    bool echo = true;
    if (!content)
        return bad(r, "content", "is missing");
    q->content = content->raw;
    int err = take_channel(r);
    if (err == 0)
        err = take_name(r, "event", NATIVE_EVENT_MAX, &q->event);
    if (err == 0)
        err = take_name(r, "id", NATIVE_ID_MAX, &q->id);
    if (err == 0)
        err = take_name(r, "key", NATIVE_KEY_MAX, &q->key);
    if (err == 0)
        err = take_bool(r, "volatile", &q->is_volatile);
    if (err == 0)
        err = take_bool(r, "echo", &echo);
    if (get(r, "echo"))
        q->echo = echo ? NATIVE_ECHO_YES : NATIVE_ECHO_NO;
    return err;
}

static int take_track(struct reader *r)
{
    int err = take_channel(r);
    if (err == 0)
        err = take_name(r, "key", NATIVE_KEY_MAX, &r->out->key);
    if (err == 0 && r->out->type == NATIVE_TRACK)
        err = take_raw(r, "meta", JSONSCAN_OBJECT, &r->out->meta);
    return err;
}

static int take_history(struct reader *r)
{
    struct native_request *q = r->out;
    int err = take_channel(r);
    q->limit = NATIVE_HISTORY_DEFAULT;
    if (err == 0)
        err = take_number(r, "limit", NATIVE_HISTORY_MAX, &q->limit, NULL);
    if (err == 0)
        err = take_number(r, "before", UNLIMITED, &q->before, &q->has_before);
    if (err == 0)
        err = take_number(r, "after", UNLIMITED, &q->after, &q->has_after);
    return err;
}

static int take_auth(struct reader *r)
{
    int err = take_name(r, "token", NATIVE_TOKEN_MAX, &r->out->token);
    return err == 0 && r->out->token.n == 0 ? bad(r, "token", "is missing") : err;
}

static int take_ping(struct reader *r)
{
    return take_raw(r, "data", JSONSCAN_NONE, &r->out->data);
}

static const struct {
    const char *name;
    int (*take)(struct reader *r);
} types[] = {
    [NATIVE_SUBSCRIBE] = {"subscribe", take_subscribe},
    [NATIVE_UNSUBSCRIBE] = {"unsubscribe", take_channels},
    [NATIVE_MESSAGE] = {"message", take_message},
    [NATIVE_TRACK] = {"track", take_track},
    [NATIVE_UNTRACK] = {"untrack", take_track},
    [NATIVE_PRESENCE] = {"presence", take_channel},
    [NATIVE_HISTORY] = {"history", take_history},
    [NATIVE_AUTH] = {"auth", take_auth},
    [NATIVE_PING] = {"ping", take_ping},
};

/* The members of the object. */
static int open_object(struct reader *r, struct str text, unsigned depth, struct arena *a,
                       struct native_request *out)
{
    r->arena = a;
    r->out = out;
    *out = (struct native_request){.event = STR("message")};
    int err = jsonscan_object(text, depth, a, r->members, MEMBERS_MAX, &r->count);
    if (err == E_BAD_REQUEST)
        return bad(r, "text", "must be one JSON object");
    if (err == E_TOO_LARGE)
        return refuse(r, err, "text", "too many fields, or nested too deeply");
    return err < 0 ? refuse(r, err, "text", err_info(err)->text) : 0;
}

int native_decode(struct str text, unsigned depth, struct arena *a, struct native_request *out)
{
    struct reader r;
    struct str name;
    int err = open_object(&r, text, depth, a, out);
    if (err == 0)
        err = take_ref(&r);
    if (err < 0)
        return err;
    const struct jsonscan_value *type = get(&r, "type");
    if (!type)
        return bad(&r, "type", "is missing");
    err = unescape(&r, "type", type->raw, &name);
    if (err < 0)
        return err;
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        if (!str_is(name, types[i].name))
            continue;
        out->type = (enum native_type)i;
        return types[i].take(&r);
    }
    return bad(&r, "type", "is not one this protocol has");
}

int native_decode_publish(struct str object, unsigned depth, struct arena *a,
                          struct native_request *out)
{
    struct reader r;
    int err = open_object(&r, object, depth, a, out);
    out->type = NATIVE_MESSAGE;
    return err < 0 ? err : take_message(&r);
}

/* ---- binary frames
 * -------------------------------------------------------------------------------- */

static bool cut_short_text(struct str *rest, struct str *out)
{
    size_t n = rest->n ? (unsigned char)rest->p[0] : 0;
    if (rest->n < 1 + n)
        return false;
    *out = str_of(rest->p + 1, n);
    *rest = str_skip(*rest, 1 + n);
    return true;
}

int native_decode_binary(struct str bytes, struct arena *a, struct native_request *out)
{
    struct reader r = {.arena = a, .out = out};
    struct str channel, event;
    *out = (struct native_request){.type = NATIVE_MESSAGE, .event = STR("message"), .binary = true};
    if (!cut_short_text(&bytes, &channel) || !cut_short_text(&bytes, &event))
        return bad(&r, "binary frame", "breaks off before its content");
    if (channel.n) {
        if (!native_name_valid(channel, NATIVE_CHANNEL_MAX))
            return bad(&r, "channel", "must be UTF-8 without control characters");
        out->channels = arena_alloc(a, sizeof(*out->channels));
        if (!out->channels)
            return refuse(&r, E_NO_MEMORY, "channel", "out of memory");
        out->channels[0] = (struct native_channel){.name = channel};
        out->channels_count = 1;
    }
    if (event.n && !native_name_valid(event, NATIVE_EVENT_MAX))
        return bad(&r, "event", "must be at most 128 bytes of UTF-8 without control characters");
    if (event.n)
        out->event = event;
    out->content = bytes;
    return 0;
}
