/* SPDX-License-Identifier: Apache-2.0 */
/* Reading goes member by member with jsonscan_find on spans that are known to be JSON; joins are
 * rare, so that a second look at the same bytes does not matter. */
#include "wire/supabase.h"
#include "base/err.h"
#include "base/json.h"

/* ---- fields that may be of a wrong type ------------------------------------------------------ */

static struct jsonscan_value object_at(struct supabase_join *join, struct str raw, const char *key)
{
    struct jsonscan_value value = jsonscan_find(raw, key);
    if (value.type == JSONSCAN_OBJECT)
        return value;
    join->ignored += value.type > JSONSCAN_NULL;
    return (struct jsonscan_value){STR_NONE, JSONSCAN_NONE};
}

/* true, "true", "TRUE"; anything else is false. */
static bool bool_at(struct supabase_join *join, struct str raw, const char *key)
{
    struct jsonscan_value value = jsonscan_find(raw, key);
    bool is_true = str_is(value.raw, "true") || str_eq_nocase(value.raw, STR("\"true\""));
    bool is_false = str_is(value.raw, "false") || str_eq_nocase(value.raw, STR("\"false\""));
    join->ignored += value.type > JSONSCAN_NULL && !is_true && !is_false;
    return is_true;
}

static int text_at(struct supabase_join *join, struct arena *a, struct str raw, const char *key,
                   struct supabase_text *out)
{
    struct jsonscan_value value = jsonscan_find(raw, key);
    *out = (struct supabase_text){value.raw, STR_NONE};
    if (value.type == JSONSCAN_STRING) {
        int err = jsonscan_string(value.raw, a, &out->text);
        if (err == E_NO_MEMORY)
            return err;
        join->ignored += err < 0;
    } else {
        join->ignored += value.type > JSONSCAN_NULL;
    }
    return 0;
}

/* ---- join ------------------------------------------------------------------------------------ */

static int take_token(struct supabase_join *join, struct arena *a, struct str payload)
{
    struct supabase_text access, user;
    int err = text_at(join, a, payload, "access_token", &access);
    if (err == 0)
        err = text_at(join, a, payload, "user_token", &user);
    if (err < 0)
        return err;
    /* A key in place of a token means the connection's own, as no token does. */
    struct str first = access.text.n ? access.text : user.text;
    if (!str_starts(first, STR("sb_")))
        join->token = user.text.n ? user.text : access.text;
    return 0;
}

static void take_replay(struct supabase_join *join, struct str broadcast)
{
    struct jsonscan_value replay = jsonscan_find(broadcast, "replay");
    join->replay = replay.type > JSONSCAN_NULL;
    if (replay.type != JSONSCAN_OBJECT)
        return;
    struct jsonscan_value limit = jsonscan_find(replay.raw, "limit");
    int64_t n = SUPABASE_REPLAY_MAX;
    join->replay_valid =
        jsonscan_u64(jsonscan_find(replay.raw, "since").raw, &join->replay_since_ms) &&
        (limit.type <= JSONSCAN_NULL || jsonscan_i64(limit.raw, &n));
    join->replay_limit = n < 1 ? 1 : n > SUPABASE_REPLAY_MAX ? SUPABASE_REPLAY_MAX : (uint64_t)n;
}

static int take_presence(struct supabase_join *join, struct arena *a, struct str config)
{
    struct str presence = object_at(join, config, "presence").raw;
    struct str enabled = jsonscan_find(presence, "enabled").raw;
    /* Clients older than the switch do not send it, and want presence. */
    join->presence = !enabled.n || str_is(enabled, "null") || bool_at(join, presence, "enabled");
    struct jsonscan_value key = jsonscan_find(presence, "key");
    if (key.type == JSONSCAN_NUMBER)
        join->presence_key = key.raw;
    else if (key.type == JSONSCAN_STRING)
        return jsonscan_string(key.raw, a, &join->presence_key) == E_NO_MEMORY ? E_NO_MEMORY : 0;
    return 0;
}

static int take_binding(struct supabase_join *join, struct arena *a, struct str raw,
                        struct supabase_binding *out)
{
    int err = text_at(join, a, raw, "event", &out->event);
    if (err == 0)
        err = text_at(join, a, raw, "schema", &out->schema);
    if (err == 0)
        err = text_at(join, a, raw, "table", &out->table);
    if (err == 0)
        err = text_at(join, a, raw, "filter", &out->filter);
    struct jsonscan_value select = jsonscan_find(raw, "select");
    out->select = select.type == JSONSCAN_ARRAY ? select.raw : STR_NONE;
    return err;
}

static int take_bindings(struct supabase_join *join, struct arena *a, struct str config)
{
    struct jsonscan_value changes = jsonscan_find(config, "postgres_changes");
    if (changes.type != JSONSCAN_ARRAY) {
        join->ignored += changes.type > JSONSCAN_NULL;
        return 0;
    }
    struct supabase_binding *bindings = NULL;
    struct jsonscan_iter it = jsonscan_iter(changes.raw);
    struct jsonscan_member item;
    int got;
    while ((got = jsonscan_next(&it, a, &item)) > 0) {
        if (item.value.type != JSONSCAN_OBJECT) {
            join->ignored += item.value.type > JSONSCAN_NULL;
            continue;
        }
        if (join->bindings_count == SUPABASE_BINDINGS_MAX)
            return E_TOO_MANY;
        if (!bindings && !(bindings = arena_zero(a, SUPABASE_BINDINGS_MAX * sizeof(*bindings))))
            return E_NO_MEMORY;
        int err = take_binding(join, a, item.value.raw, &bindings[join->bindings_count]);
        if (err < 0)
            return err;
        join->bindings_count++;
    }
    join->bindings = bindings;
    return got;
}

int supabase_join(struct arena *a, struct str payload, struct supabase_join *out)
{
    *out = (struct supabase_join){0};
    struct supabase_text version;
    int err = take_token(out, a, payload);
    if (err == 0)
        err = text_at(out, a, payload, "version", &version);
    if (err < 0)
        return err;
    out->version = version.text;
    out->has_config = jsonscan_find(payload, "config").type != JSONSCAN_NONE;
    struct str config = object_at(out, payload, "config").raw;
    struct str broadcast = object_at(out, config, "broadcast").raw;
    struct str options = object_at(out, config, "postgres_changes_options").raw;
    out->is_private = bool_at(out, config, "private");
    out->ack = bool_at(out, broadcast, "ack");
    out->self = bool_at(out, broadcast, "self");
    out->replication_ready = bool_at(out, broadcast, "replication_ready");
    out->wait = bool_at(out, options, "wait");
    if (!jsonscan_u64(jsonscan_find(options, "timeout").raw, &out->wait_ms))
        out->wait_ms = 0;
    take_replay(out, broadcast);
    err = take_presence(out, a, config);
    return err < 0 ? err : take_bindings(out, a, config);
}

static void add_echo(struct buf *out, const char *name, struct str raw)
{
    if (raw.n)
        json_add_raw(out, name, raw);
}

void supabase_add_joined(struct buf *out, const struct supabase_join *join, const uint64_t *ids)
{
    buf_add_z(out, "{\"postgres_changes\":[");
    for (size_t i = 0; i < join->bindings_count; i++) {
        const struct supabase_binding *b = &join->bindings[i];
        buf_add_z(out, i ? ",{" : "{");
        json_add_u64(out, "id", ids[i]);
        add_echo(out, "event", b->event.raw);
        add_echo(out, "schema", b->schema.raw);
        add_echo(out, "table", b->table.raw);
        add_echo(out, "filter", b->filter.raw);
        buf_add_c(out, '}');
    }
    buf_add_z(out, "]}");
}

int supabase_token(struct arena *a, struct str payload, struct str *out)
{
    struct supabase_join join = {0};
    struct supabase_text token;
    int err = text_at(&join, a, payload, "access_token", &token);
    *out = err < 0 || str_starts(token.text, STR("sb_")) ? STR_NONE : token.text;
    return err;
}

/* ---- pushes ---------------------------------------------------------------------------------- */

int supabase_broadcast(struct arena *a, const struct phoenix_frame *frame,
                       struct supabase_broadcast *out)
{
    *out = (struct supabase_broadcast){0};
    struct str extra = frame->is_user_broadcast ? frame->meta : frame->payload;
    if (extra.n)
        out->persist = jsonscan_find(extra, "persist").raw;
    if (frame->is_user_broadcast) {
        out->event = frame->user_event;
        out->payload = frame->payload;
        out->is_bytes = frame->is_bytes;
    } else {
        struct jsonscan_value event = jsonscan_find(frame->payload, "event");
        struct jsonscan_value payload = jsonscan_find(frame->payload, "payload");
        int err =
            event.type == JSONSCAN_STRING ? jsonscan_string(event.raw, a, &out->event) : E_PROTOCOL;
        if (err < 0)
            return err;
        out->payload = payload.type == JSONSCAN_NONE ? STR("{}") : payload.raw;
    }
    if (out->event.n == 0)
        return E_PROTOCOL;
    return out->event.n > PHOENIX_EVENT_MAX ? E_TOO_LARGE : 0;
}

enum supabase_presence supabase_presence(struct arena *a, struct str payload, struct str *meta)
{
    struct jsonscan_value event = jsonscan_find(payload, "event");
    struct str name;
    *meta = STR("{}");
    if (event.type == JSONSCAN_NONE)
        return SUPABASE_PRESENCE_NONE;
    if (event.type != JSONSCAN_STRING || jsonscan_string(event.raw, a, &name) < 0)
        return SUPABASE_PRESENCE_UNKNOWN;
    if (str_eq_nocase(name, STR("untrack")))
        return SUPABASE_PRESENCE_UNTRACK;
    if (!str_eq_nocase(name, STR("track")))
        return SUPABASE_PRESENCE_UNKNOWN;
    struct jsonscan_value value = jsonscan_find(payload, "payload");
    if (value.type == JSONSCAN_OBJECT)
        *meta = value.raw;
    return value.type == JSONSCAN_OBJECT || value.type == JSONSCAN_NONE
               ? SUPABASE_PRESENCE_TRACK
               : SUPABASE_PRESENCE_BAD_META;
}

void supabase_add_system(struct buf *out, const struct phoenix_address *to, const char *extension,
                         bool ok, struct str message, struct str channel)
{
    phoenix_begin(out, to, "system");
    buf_add_c(out, '{');
    json_add_field(out, "extension", str_from(extension));
    json_add_field(out, "status", ok ? STR("ok") : STR("error"));
    json_add_field(out, "message", message);
    json_add_field(out, "channel", channel);
    buf_add_c(out, '}');
    phoenix_end(out, to);
}

void supabase_add_gap(struct buf *out, const struct phoenix_address *to, struct str message,
                      struct str channel, uint64_t gap_from, uint64_t gap_to)
{
    phoenix_begin(out, to, "system");
    buf_add_c(out, '{');
    json_add_field(out, "extension", STR("broadcast"));
    json_add_field(out, "status", STR("error"));
    json_add_field(out, "message", message);
    json_add_field(out, "channel", channel);
    if (gap_to) {
        json_add_key(out, "gap");
        buf_add_c(out, '{');
        json_add_u64(out, "from", gap_from);
        json_add_u64(out, "to", gap_to);
        buf_add_c(out, '}');
    }
    buf_add_c(out, '}');
    phoenix_end(out, to);
}

/* ---- REST batch --------------------------------------------------------------------------------
 */

static const char BLANK[] = "can't be blank", INVALID[] = "is invalid";

static void add_fault(struct buf *errors, const char *field, const char *what)
{
    json_add_key(errors, field);
    buf_add_c(errors, '[');
    json_add_string(errors, str_from(what));
    buf_add_c(errors, ']');
}

/* A string that is not blank; else what is wrong with it. */
static const char *take_string(struct arena *a, struct str raw, const char *key, struct str *out)
{
    struct jsonscan_value value = jsonscan_find(raw, key);
    if (value.type <= JSONSCAN_NULL)
        return BLANK;
    if (value.type != JSONSCAN_STRING || jsonscan_string(value.raw, a, out) < 0)
        return INVALID;
    return str_trim(*out).n ? NULL : BLANK;
}

static const char *take_object(struct str raw, const char *key, size_t bytes_max, struct str *out)
{
    struct jsonscan_value value = jsonscan_find(raw, key);
    *out = value.raw;
    if (value.type <= JSONSCAN_NULL)
        return BLANK;
    if (value.type != JSONSCAN_OBJECT)
        return INVALID;
    return value.raw.n > bytes_max ? "Payload size exceeds tenant limit" : NULL;
}

static const char *take_private(struct str raw, bool *out)
{
    struct str value = jsonscan_find(raw, "private").raw;
    *out = str_is(value, "true") || str_is(value, "\"true\"") || str_is(value, "\"1\"");
    bool is_false = value.n == 0 || str_is(value, "null") || str_is(value, "false") ||
                    str_is(value, "\"false\"") || str_is(value, "\"0\"") || str_is(value, "\"\"");
    return *out || is_false ? NULL : INVALID;
}

/* One message, its faults as one JSON object. True when there are none. */
static bool take_message(struct arena *a, struct str raw, size_t payload_bytes_max,
                         struct supabase_message *out, struct buf *errors)
{
    const char *topic = take_string(a, raw, "topic", &out->topic);
    const char *event = take_string(a, raw, "event", &out->event);
    const char *payload = take_object(raw, "payload", payload_bytes_max, &out->payload);
    const char *private = take_private(raw, &out->is_private);
    buf_add_c(errors, '{');
    if (topic)
        add_fault(errors, "topic", topic);
    if (payload)
        add_fault(errors, "payload", payload);
    if (event)
        add_fault(errors, "event", event);
    if (private)
        add_fault(errors, "private", private);
    buf_add_c(errors, '}');
    return !topic && !event && !payload && !private;
}

static int refuse_batch(struct buf *errors, size_t before, const char *what)
{
    errors->n = before;
    buf_add_z(errors, "{\"errors\":{");
    add_fault(errors, "messages", what);
    buf_add_z(errors, "}}");
    return E_PROTOCOL;
}

/* How many items; < 0 when one is no object (E_PROTOCOL) or there are too many. */
static int count_items(struct arena *a, struct str list)
{
    struct jsonscan_iter it = jsonscan_iter(list);
    struct jsonscan_member item;
    int count = 0, got;
    while ((got = jsonscan_next(&it, a, &item)) > 0) {
        if (item.value.type != JSONSCAN_OBJECT)
            return E_PROTOCOL;
        if (++count > SUPABASE_MESSAGES_MAX)
            return E_TOO_MANY;
    }
    return got < 0 ? got : count;
}

int supabase_batch(struct arena *a, struct str body, unsigned depth, size_t payload_bytes_max,
                   const struct supabase_message **messages, size_t *count, struct buf *errors)
{
    struct jsonscan_value root, list = {STR_NONE, JSONSCAN_NONE};
    size_t before = errors->n;
    *count = 0;
    int err = jsonscan_check(body, depth, &root);
    if (err < 0)
        return err;
    if (root.type == JSONSCAN_OBJECT)
        list = jsonscan_find(root.raw, "messages");
    if (list.type <= JSONSCAN_NULL)
        return refuse_batch(errors, before, BLANK);
    int n = list.type == JSONSCAN_ARRAY ? count_items(a, list.raw) : E_PROTOCOL;
    if (n == E_PROTOCOL || n == 0)
        return refuse_batch(errors, before, n ? INVALID : BLANK);
    if (n < 0)
        return n;
    struct supabase_message *all = arena_zero(a, (size_t)n * sizeof(*all));
    if (!all)
        return E_NO_MEMORY;
    struct jsonscan_iter it = jsonscan_iter(list.raw);
    struct jsonscan_member item;
    bool ok = true;
    buf_add_z(errors, "{\"errors\":{\"messages\":[");
    while (*count < (size_t)n && jsonscan_next(&it, a, &item) > 0) {
        if (*count)
            buf_add_c(errors, ',');
        ok &= take_message(a, item.value.raw, payload_bytes_max, &all[(*count)++], errors);
    }
    buf_add_z(errors, "]}}");
    if (!ok)
        return errors->failed ? E_NO_MEMORY : E_PROTOCOL;
    errors->n = before;
    *messages = all;
    return 0;
}
