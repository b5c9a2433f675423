/* SPDX-License-Identifier: Apache-2.0 */
#include "server/assemble.h"
#include "base/mem.h"
#include <errno.h>
#include <stdio.h>

#define KEY_FILE_BYTES_MAX (256 * 1024) /* a JWK set of hundreds of keys */

/* ---- keys ------------------------------------------------------------------------------ */

struct key_builder {
    struct auth_key_config *keys;
    size_t count;
    struct arena arena; /* texts of files, names */
    struct buf *why;
};

static struct str file_text(struct key_builder *b, struct str path)
{
    struct str text = STR_NONE;
    struct buf content = {.max = KEY_FILE_BYTES_MAX};
    char *z = str_dup(path), piece[4096];
    FILE *f = fopen(z, "re");
    size_t n;
    while (f && (n = fread(piece, 1, sizeof(piece), f)) > 0)
        buf_add(&content, piece, n);
    if (!f || ferror(f))
        buf_printf(b->why, "cannot read the key file \"%s\": %s", z, strerror(errno));
    else if (content.failed)
        buf_printf(b->why, "the key file \"%s\" is larger than %d bytes", z, KEY_FILE_BYTES_MAX);
    else
        text = arena_dup(&b->arena, content.n ? buf_str(&content) : STR(""));
    if (f)
        fclose(f);
    buf_free(&content);
    mem_free(z);
    return text;
}

static int add_key(struct key_builder *b, const struct config_key *k, size_t index)
{
    struct auth_key_config *key = &b->keys[b->count++];
    char name[32];
    snprintf(name, sizeof(name), "auth.keys[%zu]", index);
    key->name = arena_dup(&b->arena, str_from(name));
    key->secret = k->secret.hidden;
    key->kid = k->kid;
    if (k->alg != 0)
        key->algorithm = config_word(config_unit("auth.keys", "alg"), k->alg);
    if (k->pem_file.n && !(key->pem = file_text(b, k->pem_file)).p)
        return E_CONFIG;
    if (k->jwks_file.n && !(key->jwks = file_text(b, k->jwks_file)).p)
        return E_CONFIG;
    return 0;
}

static int add_keys(struct key_builder *b, const struct config *c)
{
    b->keys = mem_new((c->auth_keys_count + 1) * sizeof(*b->keys));
    if (c->auth_jwt_secret.hidden.n)
        b->keys[b->count++] = (struct auth_key_config){.name = STR("auth.jwt_secret"),
                                                       .secret = c->auth_jwt_secret.hidden,
                                                       .algorithm = STR("HS256")};
    for (size_t i = 0; i < c->auth_keys_count; i++) {
        int err = add_key(b, &c->auth_keys[i], i);
        if (err)
            return err;
    }
    return 0;
}

static struct auth_api_key_config *api_keys(const struct config *c)
{
    struct auth_api_key_config *out = mem_new((c->auth_api_keys_count + 1) * sizeof(*out));
    for (size_t i = 0; i < c->auth_api_keys_count; i++) {
        out[i].key = c->auth_api_keys[i].key.hidden;
        out[i].role = c->auth_api_keys[i].role;
        out[i].service = str_eq(out[i].role, c->auth_service_role);
    }
    return out;
}

int assemble_keyring(const struct config *c, struct buf *why, struct keyring **out)
{
    struct key_builder b = {.why = why};
    int err = add_keys(&b, c);
    struct auth_api_key_config *opaque = api_keys(c);
    struct auth_config config = {
        .keys = b.keys,
        .keys_count = b.count,
        .api_keys = opaque,
        .api_keys_count = c->auth_api_keys_count,
        .audiences = c->auth_audiences.items,
        .audiences_count = c->auth_audiences.count,
        .issuers = c->auth_issuers.items,
        .issuers_count = c->auth_issuers.count,
        .anonymous = c->auth_anonymous,
        .exp_optional = c->auth_exp_optional,
        .anonymous_role = c->auth_anonymous_role,
        .role_claim = c->auth_role_claim,
        .role_default = c->auth_default_role,
        .role_required = c->auth_role_required,
        .service_role = c->auth_service_role,
        .leeway_ms = (uint32_t)c->auth_leeway_ms,
        .exp_leeway_ms = (uint32_t)c->auth_exp_leeway_ms,
        .token_bytes_max = (size_t)c->auth_token_bytes_max,
        .cache_max = (size_t)c->auth_cache_max,
    };
    if (!err)
        err = keyring_new(&config, why, out);
    mem_free(b.keys);
    mem_free(opaque);
    arena_free(&b.arena);
    return err;
}

/* ---- rules ------------------------------------------------------------------------------ */

const char *assemble_grant_name(enum auth_op op)
{
    switch (op) {
    case AUTH_SUBSCRIBE:
        return "allow.subscribe";
    case AUTH_PUBLISH:
        return "allow.publish";
    case AUTH_PRESENCE:
        return "allow.presence";
    case AUTH_TRACK:
        return "allow.track";
    case AUTH_HISTORY:
        return "allow.history";
    case AUTH_OPS:
        break;
    }
    return "";
}

/* Private channels of Supabase clients ask the database's policies, as upstream; unless the
 * configuration has its own word on them. */
static bool add_private(const struct config *c, struct rules_row *row)
{
    if (!c->database_file.n)
        return false;
    for (size_t i = 0; i < c->channel_rules_count; i++)
        if (str_starts(c->channel_rules[i].match, STR("private:")))
            return false;
    row->pattern = STR("private:*");
    row->goes_first = true;
    for (unsigned op = 0; op < AUTH_OPS; op++)
        row->grants[op] = STR("policy");
    return true;
}

int assemble_rules(const struct config *c, struct rules_error *error, struct rules **out)
{
    struct rules_row *rows = mem_new((c->channel_rules_count + 1) * sizeof(*rows));
    for (size_t i = 0; i < c->channel_rules_count; i++) {
        const struct config_channel *from = &c->channel_rules[i];
        rows[i].pattern = from->match;
        rows[i].grants[AUTH_SUBSCRIBE] = from->allow_subscribe;
        rows[i].grants[AUTH_PUBLISH] = from->allow_publish;
        rows[i].grants[AUTH_PRESENCE] = from->allow_presence;
        rows[i].grants[AUTH_TRACK] = from->allow_track;
        rows[i].grants[AUTH_HISTORY] = from->allow_history;
    }
    size_t count = c->channel_rules_count;
    count += add_private(c, &rows[count]);
    int err = rules_new(rows, count, error, out);
    mem_free(rows);
    return err;
}

/* ---- http, hub, session ----------------------------------------------------------------- */

void assemble_http(const struct config *c, struct http_config *out)
{
    *out = (struct http_config){
        .head_bytes_max = (size_t)c->http_head_bytes_max,
        .target_bytes_max = (size_t)c->http_target_bytes_max,
        .headers_max = (size_t)c->http_headers_max,
        .body_bytes_max = (size_t)c->http_body_bytes_max,
        .head_ms_max = (uint64_t)c->http_head_ms_max,
        .body_ms_max = (uint64_t)c->http_body_ms_max,
        .keepalive_ms = (uint64_t)c->http_keepalive_ms,
        .requests_per_conn_max = (size_t)c->http_requests_per_conn_max,
        .origins = c->http_origins.items,
        .origins_count = c->http_origins.count,
        .trusted_proxies = c->http_trusted_proxies.items,
        .trusted_proxies_count = c->http_trusted_proxies.count,
    };
}

static enum slow_policy slow_of(int word)
{
    switch ((enum config_slow)word) {
    case CONFIG_SLOW_RESUME:
        return SLOW_RESUME;
    case CONFIG_SLOW_LATEST_BY_KEY:
        return SLOW_LATEST;
    case CONFIG_SLOW_CLOSE:
        return SLOW_CLOSE;
    }
    return SLOW_RESUME;
}

static void settings_of(const struct config_channel *from, struct channel_settings *out)
{
    *out = (struct channel_settings){
        .pattern = from->match,
        .history_count = (size_t)from->history_count,
        .history_bytes = (size_t)from->history_bytes,
        .history_ms = (uint64_t)from->history_age_ms,
        .presence = from->presence,
        .echo = from->echo,
        .durable = from->durable,
        .slow = slow_of(from->slow),
        .batch_ms = (uint64_t)from->batch_ms,
        .publish_rate = (size_t)from->messages_per_second,
        .payload_bytes_max = (size_t)from->payload_bytes,
        .throttle_ms = (uint64_t)from->throttle_ms,
    };
}

static uint64_t longest(int64_t a, int64_t b)
{
    return (uint64_t)(a > b ? a : b);
}

void assemble_hub(const struct config *c, struct channel_settings **channels,
                  struct hub_config *out)
{
    size_t count = c->channel_rules_count;
    struct channel_settings *all = mem_new((count + 1) * sizeof(*all));
    for (size_t i = 0; i < count; i++)
        settings_of(&c->channel_rules[i], &all[i]);
    struct config_channel rest = {
        .match = STR("*"),
        .history_count = c->history_count,
        .history_age_ms = c->history_age_ms,
        .history_bytes = c->history_bytes,
        .presence = c->channels_presence,
        .echo = c->channels_echo,
        .slow = c->channels_slow,
        .batch_ms = c->channels_batch_ms,
    };
    settings_of(&rest, &all[count]);
    *channels = all;
    *out = (struct hub_config){
        .channels = all,
        .channels_count = count + 1,
        .history_bytes_max = (size_t)c->history_process_bytes,
        .idempotency_ms = (uint64_t)c->history_idempotency_ms,
        .idempotency_max = (size_t)c->history_idempotency_max,
        .presence_members_max = (size_t)c->presence_members_max,
        .channels_max = (size_t)c->channels_max,
        /* A client that comes back finds its quiet room's epoch as it was. */
        .channel_idle_ms =
            longest(c->channels_idle_ms,
                    (int64_t)longest(c->session_resume_ms, c->socketio_recovery_ms) + 60000),
    };
}

void assemble_session(const struct config *c, struct session_config *out)
{
    *out = (struct session_config){
        .resume_ms = (uint64_t)c->session_resume_ms,
        .presence_lease_ms = (uint64_t)c->presence_lease_ms,
        .presence_grace_ms = (uint64_t)c->presence_grace_ms,
        .expiring_ms = (uint64_t)c->auth_expiring_ms,
        .token_ms = (uint64_t)c->auth_token_ms_max,
        .send_bytes_max = (size_t)c->limits_output_bytes,
        .subscriptions_max = (size_t)c->limits_subscriptions,
        .tracked_max = (size_t)c->presence_tracked_max,
        .payload_bytes_max = (size_t)c->limits_payload_bytes,
        .meta_bytes_max = (size_t)c->presence_meta_bytes,
        .channel_bytes_max = 255, /* docs/protocols/native.md */
        .sessions_max = (size_t)c->session_max,
        .connections_per_identity_max = (size_t)c->limits_connections_per_identity,
        .identity_messages_per_second = (unsigned)c->limits_messages_per_second_per_identity,
        .messages_per_second = (unsigned)c->limits_messages_per_second,
        .messages_burst = (unsigned)c->limits_burst,
        .positions_max = (size_t)c->session_positions_max,
        .default_channel = c->channels_default,
    };
}

void assemble_realtime(const struct config *c, struct realtime_config *out)
{
    *out = (struct realtime_config){
        .enabled = c->realtime_enabled,
        .private_only = c->realtime_private_only,
        .clients_max = (size_t)c->realtime_clients_max,
        .messages_per_second = (unsigned)c->realtime_messages_per_second,
        .joins_per_second = (unsigned)c->realtime_joins_per_second,
        .presence_per_second = (unsigned)c->realtime_presence_per_second,
        .presence_calls = (unsigned)c->realtime_presence_calls,
        .channels_per_client = (size_t)c->realtime_channels_per_client,
        .presence_keys_max = (size_t)c->realtime_presence_keys_max,
        .payload_bytes = (size_t)c->realtime_payload_bytes,
        .frame_bytes_max = (size_t)c->realtime_frame_bytes_max,
        .idle_ms = (uint64_t)c->realtime_idle_ms,
    };
}

/* ---- socket.io ---------------------------------------------------------------------------- */

int assemble_events(const struct config *c, struct socketio_rules_error *error,
                    struct socketio_rules **out)
{
    size_t count = c->socketio_events_count;
    *out = NULL;
    if (!count)
        return 0;
    struct socketio_rule_row *rows = mem_new(count * sizeof(*rows));
    for (size_t i = 0; i < count; i++) {
        const struct config_event *from = &c->socketio_events[i];
        rows[i] = (struct socketio_rule_row){.on = from->on,
                                             .nsp = from->nsp,
                                             .join = from->join,
                                             .leave = from->leave,
                                             .emit = from->emit,
                                             .to = from->to,
                                             .data = from->data,
                                             .ack = from->ack,
                                             .until = from->until,
                                             .ttl_ms = (uint64_t)from->ttl_ms,
                                             .member = from->member,
                                             .once = from->once,
                                             .echo = from->echo};
    }
    int err = socketio_rules_new(rows, count, error, out);
    mem_free(rows);
    return err;
}

void assemble_socketio(const struct config *c, struct socketio_rules *rules,
                       struct socketio_namespace **namespaces, struct socketio_config *out)
{
    size_t count = c->socketio_namespaces_count;
    struct socketio_namespace *all = mem_new((count + 1) * sizeof(*all));
    for (size_t i = 0; i < count; i++)
        all[i] = (struct socketio_namespace){
            .match = c->socketio_namespaces[i].match,
            .roles = c->socketio_namespaces[i].roles.items,
            .roles_count = c->socketio_namespaces[i].roles.count,
        };
    *namespaces = all;
    *out = (struct socketio_config){
        .recovery_ms = (uint64_t)c->socketio_recovery_ms,
        .recovery_skips_middlewares = c->socketio_recovery_skip_middlewares,
        .attachments_bytes_max = (size_t)c->limits_payload_bytes,
        .namespaces = all,
        .namespaces_count = count,
        .rules = rules,
    };
}

static bool has_word(const struct str_list *list, const char *word)
{
    for (size_t i = 0; i < list->count; i++)
        if (str_is(list->items[i], word))
            return true;
    return false;
}

static void assemble_engineio(const struct config *c, struct transport_socketio *out)
{
    *out = (struct transport_socketio){
        .enabled = c->socketio_enabled,
        .path = c->socketio_path.p, /* texts of the configuration end in a NUL */
        .no_polling = !has_word(&c->socketio_transports, "polling"),
        .no_websocket = !has_word(&c->socketio_transports, "websocket"),
        .compresses = c->socketio_http_compression,
        .cookie = c->socketio_cookie,
        .engineio =
            {
                .ping_interval_ms = (uint64_t)c->socketio_ping_interval_ms,
                .ping_timeout_ms = (uint64_t)c->socketio_ping_timeout_ms,
                .upgrade_timeout_ms = (uint64_t)c->socketio_upgrade_timeout_ms,
                .connect_timeout_ms = (uint64_t)c->socketio_connect_timeout_ms,
                .strangers_max = (size_t)c->socketio_handshakes_max,
                .close_ms = 30000, /* as long as the reference waits for that poll */
                .payload_bytes_max = (size_t)c->socketio_max_http_buffer_size,
                .can_upgrade =
                    c->socketio_allow_upgrades && has_word(&c->socketio_transports, "websocket"),
                .recovers = c->socketio_recovery_ms > 0,
                .deflate = c->socketio_per_message_deflate,
                .initial_packet = c->socketio_initial_packet,
            },
    };
}

void assemble_transport(const struct config *c, struct transport_config *out)
{
    *out = (struct transport_config){
        .ws_ping_ms = (uint64_t)c->ws_ping_ms,
        .ws_pong_ms = (uint64_t)c->ws_pong_ms_max,
        .ws_close_ms = (uint64_t)c->ws_close_ms_max,
        .probe_ms = (uint64_t)c->ws_probe_ms,
        .ws_message_bytes_max = (size_t)c->ws_message_bytes_max,
        .deflate = c->ws_deflate,
        .deflate_threshold = (size_t)c->ws_deflate_threshold,
        .deflate_level = (int)c->ws_deflate_level,
        .sse_ping_ms = (uint64_t)c->sse_heartbeat_ms,
        .sse_retry_ms = (uint64_t)c->sse_retry_ms,
        .sse_gzip = c->sse_gzip,
        .poll_ms = (uint64_t)c->poll_timeout_max,
        .poll_ms_max = (uint64_t)c->poll_timeout_max,
        .poll_keep_ms = (uint64_t)c->poll_linger_ms,
        .poll_keep_max = (size_t)c->poll_linger_max,
        .channels_max = (size_t)c->limits_subscriptions,
        .cookie_path = "/",
        .conformance = c->conformance,
    };
    assemble_engineio(c, &out->socketio);
}

void assemble_api(const struct config *c, struct api_config *out)
{
    *out = (struct api_config){
        .publish_bytes_max = (size_t)c->limits_publish_bytes,
        .publish_batch_max = (size_t)c->limits_publish_batch,
        .folder = c->http_folder.n ? c->http_folder.p : NULL,
        .secrets = c->data.p,
        .rest_bytes_max = (size_t)c->database_body_bytes,
        .realtime = c->realtime_enabled,
        .broadcast_bytes_max = (size_t)c->realtime_payload_bytes,
    };
}

/* ---- database ---------------------------------------------------------------------------- */

void assemble_database(const struct config *c, struct database_paths *paths, struct db_config *out)
{
    struct buf file = {0};
    if (!str_starts(c->database_file, STR("/")))
        buf_printf(&file, "%.*s/", STR_ARG(c->data));
    buf_add_str(&file, c->database_file);
    paths->file = str_dup(buf_str(&file));
    paths->migrations = c->database_migrations.n ? str_dup(c->database_migrations) : NULL;
    snprintf(paths->age, sizeof(paths->age), "-%lld seconds",
             (long long)c->database_changes_age_ms / 1000);
    buf_free(&file);
    *out = (struct db_config){
        .path = paths->file,
        .migrations = paths->migrations,
        .builtin = c->database_demo ? db_demo_sql : NULL,
        .readers = (unsigned)c->database_readers,
        .rows_max = c->database_rows_max,
        .steps_max = c->database_steps_max,
        .waiting_max = (size_t)c->database_waiting_max,
        .pages_max = c->database_bytes_max / 4096,
        .changes_age = paths->age,
        .changes_rows_max = c->database_changes_max,
        .poll_ms = (uint64_t)c->database_poll_ms,
    };
}

void database_paths_free(struct database_paths *paths)
{
    mem_free(paths->file);
    mem_free(paths->migrations);
}
