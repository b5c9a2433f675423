/* SPDX-License-Identifier: Apache-2.0 */
/* Paths of the api room; see api.h. */
#include "api/api_priv.h"

#include "base/mem.h"
#include "base/num.h"

struct api_home *api_home_of(struct loop *l)
{
    return loop_slot(l, LOOP_SLOT_API);
}

bool api_origin(struct http_request *req)
{
    if (http_origin_allowed(req))
        return true;
    http_reply_error(req, E_ORIGIN_DENIED, NULL);
    return false;
}

int api_identify(struct http_request *req, struct identity **out)
{
    static const char *const params[] = {"token", "apikey"};
    struct str token = auth_bearer(http_header(req, "authorization"));
    if (!token.n)
        token = http_header(req, "apikey");
    for (size_t i = 0; !token.n && i < sizeof(params) / sizeof(params[0]); i++)
        token = http_query(req, params[i]);
    return req->no_memory ? E_NO_MEMORY : session_verify(req->loop, token, out, NULL);
}

uint64_t api_number(struct http_request *req, const char *name, uint64_t fallback)
{
    uint64_t value;
    return num_u64(http_query(req, name), &value) ? value : fallback;
}

static void add_health(struct http_server *hs)
{
    http_route(hs, "/health/live", 1u << HTTP_GET, 0, 0, health_on_live, NULL);
    http_route(hs, "/health/ready", 1u << HTTP_GET, 0, 0, health_on_ready, NULL);
}

void api_setup_operators(struct http_server *hs)
{
    add_health(hs);
    http_route(hs, "/metrics", 1u << HTTP_GET, 0, 0, metrics_on_request, hs);
}

void api_set_ready(struct loop *l, bool ready)
{
    api_home_of(l)->is_ready = ready;
    if (!ready)
        tail_end_all(l);
}

void api_setup(struct loops *ls, struct http_server *hs, const struct api_config *config)
{
    for (unsigned i = 0; i < loops_count(ls); i++) {
        struct api_home *home = mem_new(sizeof(*home));
        home->config = config;
        list_init(&home->tails);
        list_init(&home->taps);
        loop_slot_set(loops_at(ls, i), LOOP_SLOT_API, home);
    }
    struct api_home *first = api_home_of(loops_at(ls, 0));
    if (config->folder && (first->folder = folder_open(config->folder, config->secrets)))
        http_route(hs, "/", 1u << HTTP_GET, HTTP_ROUTE_PREFIX, 0, folder_on_request, first->folder);
    add_health(hs);
    http_route(hs, "/metrics", 1u << HTTP_GET, 0, 0, metrics_on_request, NULL);
    http_route(hs, "/api/publish", 1u << HTTP_POST, 0, config->publish_bytes_max,
               publish_on_request, NULL);
    http_route(hs, "/api/tail", 1u << HTTP_GET, HTTP_ROUTE_PLAIN, 0, tail_on_request, NULL);
    http_route(hs, "/api/channels", 1u << HTTP_GET, HTTP_ROUTE_PREFIX, 0, channels_on_request,
               NULL);
    if (config->db)
        http_route(hs, "/rest/v1",
                   1u << HTTP_GET | 1u << HTTP_POST | 1u << HTTP_PATCH | 1u << HTTP_DELETE,
                   HTTP_ROUTE_PREFIX, config->rest_bytes_max, rest_on_request, config->db);
    if (config->realtime)
        broadcast_setup(hs, config->publish_bytes_max);
}

void api_teardown(struct loops *ls)
{
    folder_close(&api_home_of(loops_at(ls, 0))->folder);
    for (unsigned i = 0; i < loops_count(ls); i++) {
        tail_teardown(api_home_of(loops_at(ls, i)));
        mem_free(loop_slot(loops_at(ls, i), LOOP_SLOT_API));
        loop_slot_set(loops_at(ls, i), LOOP_SLOT_API, NULL);
    }
}
