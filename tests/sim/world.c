/* SPDX-License-Identifier: Apache-2.0 */
/* See world.h. */
#include "world.h"

#include "api/api.h"
#include "base/check.h"
#include "base/mem.h"
#include "transport/transport.h"

/* ---- the server --------------------------------------------------------------------------------
 */

static struct channel_settings settings;
static struct hub_config hub_config;
static struct session_config session_config;
static struct transport_config transport_config;
static struct api_config api_config;
static struct realtime_config realtime_config;
static struct http_server *server;
static struct keyring *keys;
static struct rules *rules;
static struct sock_listener *listeners[64];

static void on_accept(struct sock *s, void *arg)
{
    http_accept(arg, s);
}

static void set_configs(const struct world_config *config)
{
    settings = (struct channel_settings){.pattern = STR("*"),
                                         .history_count = config->history_count,
                                         .history_bytes = 1 << 22,
                                         .history_ms = 3600000,
                                         .presence = true,
                                         .echo = true};
    hub_config = (struct hub_config){.channels = &settings,
                                     .channels_count = 1,
                                     .history_bytes_max = 1 << 28,
                                     .idempotency_ms = 300000,
                                     .idempotency_max = 10000,
                                     .presence_members_max = 1000,
                                     .channels_max = 1000,
                                     .channel_idle_ms = 600000};
    session_config = (struct session_config){.resume_ms = 120000,
                                             .presence_lease_ms = 15000,
                                             .presence_grace_ms = 3000,
                                             .expiring_ms = 30000,
                                             .token_ms = 10000,
                                             .send_bytes_max = 16384,
                                             .subscriptions_max = 100,
                                             .tracked_max = 10,
                                             .payload_bytes_max = 1 << 16,
                                             .meta_bytes_max = 4096,
                                             .channel_bytes_max = 255,
                                             .sessions_max = 100000,
                                             .messages_burst = 100,
                                             .positions_max = 1024,
                                             .default_channel = STR("c0")};
    transport_config = (struct transport_config){.ws_ping_ms = 5000,
                                                 .ws_pong_ms = 5000,
                                                 .ws_close_ms = 2000,
                                                 .probe_ms = 1000,
                                                 .ws_message_bytes_max = 1 << 16,
                                                 .sse_ping_ms = 5000,
                                                 .sse_retry_ms = 100,
                                                 .deflate_level = 6,
                                                 .poll_ms = 5000,
                                                 .poll_ms_max = 5000,
                                                 .poll_keep_ms = 60000,
                                                 .poll_keep_max = 1000,
                                                 .channels_max = 100};
    api_config = (struct api_config){.publish_bytes_max = 1 << 16, .publish_batch_max = 100};
}

struct loops *world_new(const struct world_config *config)
{
    static const struct rules_row row = {
        .pattern = {"*", 1}, .grants = {{"*", 1}, {"*", 1}, {"*", 1}, {"*", 1}, {"*", 1}}};
    struct auth_key_config key = {.secret = STR("thirty-two-bytes-of-no-secret-at-all")};
    struct auth_config auth = {
        .anonymous = true, .keys = &key, .keys_count = 1, .exp_optional = true};
    struct http_config http = {.head_bytes_max = 16384,
                               .target_bytes_max = 8192,
                               .headers_max = 100,
                               .body_bytes_max = 1 << 16,
                               .head_ms_max = 10000,
                               .body_ms_max = 10000,
                               .keepalive_ms = 20000};
    struct loops *ls = loops_new(config->loops);
    struct buf why = {0};
    struct rules_error rules_error;
    char err[200];
    set_configs(config);
    hub_setup(ls, &hub_config);
    CHECK(!keyring_new(&auth, &why, &keys));
    CHECK(!rules_new(&row, 1, &rules_error, &rules));
    session_setup(ls, &session_config, keys, rules, NULL);
    server = http_server_new(&http);
    phoenix_setup(ls, &realtime_config);
    transport_setup(ls, server, &transport_config);
    api_setup(ls, server, &api_config);
    for (unsigned i = 0; i < config->loops; i++) {
        struct sock_listen_config listen = {
            .address = STR(WORLD_ADDRESS), .on_accept = on_accept, .arg = server};
        listeners[i] = sock_listen(loops_at(ls, i), &listen, err, sizeof(err));
    }
    return ls;
}

void world_free(struct loops **ls)
{
    for (unsigned i = 0; i < loops_count(*ls); i++)
        sock_listener_close(&listeners[i]);
    sim_run(*ls, 200000); /* connections time out, sessions end */
    api_teardown(*ls);
    session_teardown(*ls);
    phoenix_teardown(*ls);
    sim_settle(*ls);
    transport_teardown(*ls);
    hub_teardown(*ls);
    sim_settle(*ls);
    http_server_free(&server);
    keyring_unref(keys);
    rules_unref(rules);
    loops_free(ls);
}

bool world_mint(struct str claims, struct buf *out)
{
    return !keyring_mint(keys, claims, out);
}
