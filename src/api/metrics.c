/* SPDX-License-Identifier: Apache-2.0 */
/* The numbers of the process in Prometheus' text format. On the main listener they are for this
 * machine alone: a peer on the loopback that does not speak for somebody else. */
#include "api/api_priv.h"
#include "base/metric.h"

static bool is_local(struct http_request *req)
{
    static const char *const spoken_for[] = {"X-Forwarded-For", "Forwarded", "Via", "X-Real-IP"};
    struct str peer = http_peer(req);
    for (size_t i = 0; i < sizeof(spoken_for) / sizeof(spoken_for[0]); i++) {
        if (http_header(req, spoken_for[i]).p)
            return false;
    }
    return str_starts(peer, STR("127.")) || str_starts(peer, STR("[::1]:"));
}

void metrics_on_request(struct http_request *req)
{
    if (!req->route_arg && !is_local(req)) {
        http_reply_error(req, E_ACCESS_DENIED,
                         "/metrics is for this machine; metrics.listen opens it elsewhere");
        return;
    }
    struct buf text = {0};
    metric_write_all(&text);
    http_reply(req, 200, "text/plain; version=0.0.4; charset=utf-8", buf_str(&text));
    buf_free(&text);
}
