/* SPDX-License-Identifier: Apache-2.0 */
/* What a person at a terminal wants to see when the server is up, in fewer than twelve lines. */
#include "server/dev.h"
#include "server/server_priv.h"
#include "tidewire.h"

int tw_server_write_dev_env(tw_server *s)
{
    buf_clear(&s->problem);
    return dev_write_env(s->boot, s->keys, str_from(s->url), &s->problem);
}

static void add_line(struct buf *out, bool color, const char *name, const char *before,
                     struct str value, const char *after)
{
    buf_printf(out, "  %s%-10s%s %s", color ? "\033[2m" : "", name, color ? "\033[0m" : "", before);
    buf_add_str(out, value);
    buf_add_z(out, after);
    buf_add_c(out, '\n');
}

char *tw_server_banner(tw_server *s, bool color)
{
    struct buf out = {0}, anon = {0}, service = {0};
    struct str url = str_from(s->url), place = url;
    bool tls = str_starts(url, STR("https:"));
    ptrdiff_t at = str_find_str(url, STR("://"));
    if (at >= 0)
        place = str_skip(url, (size_t)at + 3);
    buf_printf(&out, "\n  %sTidewire %s%s", color ? "\033[1m" : "", tw_version(),
               color ? "\033[0m" : "");
    if (s->source->develop)
        buf_printf(&out, "  %sdevelopment: for this machine alone%s%s", color ? "\033[33m" : "",
                   s->boot->auth_anonymous ? ", nobody needs a token" : "", color ? "\033[0m" : "");
    buf_add_z(&out, "\n\n");
    add_line(&out, color, "Page", "", url, "/");
    add_line(&out, color, "WebSocket", tls ? "wss://" : "ws://", place, "/socket");
    add_line(&out, color, "Events", "", url, "/api/events  (SSE)");
    add_line(&out, color, "Poll", "", url, "/api/poll");
    add_line(&out, color, "Publish", "curl -d '{\"content\":\"hi\"}' ", url, "/api/publish");
    add_line(&out, color, "Metrics", "", s->operators ? str_from(s->operators_url) : url,
             "/metrics");
    if (s->source->develop && dev_keys(s->boot, s->keys, &anon, &service) == 0)
        add_line(&out, color, "Anon key", "", buf_str(&anon), "");
    buf_add_z(&out, "\n  Press Ctrl-C to stop.\n\n");
    buf_free(&anon);
    buf_free(&service);
    return embed_give(&out);
}
