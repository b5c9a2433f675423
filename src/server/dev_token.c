/* SPDX-License-Identifier: Apache-2.0 */
/* GET /api/demo/token?user=ann&name=Ann&seconds=3600, in `tidewire dev` alone: the demo page is two
 * users at once, and each needs a token. {"token","expires","key"}; key is the anon key. Only for a
 * page that was loaded by a name of this machine: a foreign name that was made to resolve to it
 * gets nothing. */
#include "server/dev.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/num.h"
#include "base/utf8.h"
#include "http/http.h"
#include "loop/loop.h"

#define NAME_BYTES_MAX 64
#define SECONDS 3600
#define SECONDS_MAX 86400

struct dev_tokens {
    struct keyring *keys; /* as at the start: the development secret does not change */
    struct config *config;
};

/* The name in Host, with or without a port. */
static bool is_this_machine(struct str host)
{
    static const char *const names[] = {"localhost", "127.0.0.1", "[::1]"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        struct str name = str_from(names[i]);
        if (str_eq_nocase(str_head(host, name.n), name) &&
            (host.n == name.n || host.p[name.n] == ':'))
            return true;
    }
    return false;
}

static bool is_name(struct str s)
{
    return s.n > 0 && s.n <= NAME_BYTES_MAX && utf8_valid(s);
}

static int answer(struct dev_tokens *t, struct http_request *req, struct buf *body)
{
    uint64_t now = loop_wall_ms(req->loop) / 1000, seconds = SECONDS;
    struct str given = http_query(req, "seconds");
    struct dev_user user = {.id = http_query(req, "user"),
                            .name = http_query(req, "name"),
                            .role = STR("authenticated"),
                            .issued = now};
    if (!user.name.n)
        user.name = user.id;
    if (!is_name(user.id) || !is_name(user.name) ||
        (given.n && (!num_u64(given, &seconds) || !seconds || seconds > SECONDS_MAX)))
        return E_BAD_REQUEST;
    user.expires = now + seconds;
    struct buf token = {0}, anon = {0}, service = {0};
    int err = dev_mint(t->config, t->keys, &user, &token);
    err = err ? err : dev_keys(t->config, t->keys, &anon, &service);
    if (!err) {
        buf_add_c(body, '{');
        json_add_field(body, "token", buf_str(&token));
        json_add_u64(body, "expires", user.expires * 1000);
        json_add_field(body, "key", buf_str(&anon));
        buf_add_c(body, '}');
    }
    buf_free(&token);
    buf_free(&anon);
    buf_free(&service);
    return err;
}

static void on_request(struct http_request *req)
{
    struct buf body = {0};
    int err = http_origin_allowed(req) && is_this_machine(http_header(req, "host"))
                  ? answer(req->route_arg, req, &body)
                  : E_ORIGIN_DENIED;
    http_add_header(req, "Cache-Control", STR("no-store"));
    if (err)
        http_reply_error(req, err, NULL);
    else
        http_reply(req, 200, "application/json", buf_str(&body));
    buf_free(&body);
}

struct dev_tokens *dev_tokens_serve(struct http_server *hs, struct config *c, struct keyring *keys)
{
    struct dev_tokens *t = mem_new(sizeof(*t));
    t->keys = keyring_ref(keys);
    t->config = config_ref(c);
    http_route(hs, "/api/demo/token", 1u << HTTP_GET, 0, 0, on_request, t);
    return t;
}

void dev_tokens_free(struct dev_tokens **t)
{
    if (!*t)
        return;
    keyring_unref((*t)->keys);
    config_unref(&(*t)->config);
    mem_free(*t);
    *t = NULL;
}
