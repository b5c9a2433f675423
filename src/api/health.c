/* SPDX-License-Identifier: Apache-2.0 */
/* Two questions of a supervisor. live: does the process still turn its loops? Answered by the
 * loop itself, so a stuck one does not. ready: should clients be sent here? No while draining. */
#include "api/api_priv.h"

static void say(struct http_request *req, struct str body)
{
    http_add_header(req, "Cache-Control", STR("no-store"));
    http_reply(req, 200, "application/json", body);
}

void health_on_live(struct http_request *req)
{
    say(req, STR("{\"status\":\"live\"}"));
}

void health_on_ready(struct http_request *req)
{
    if (api_home_of(req->loop)->is_ready)
        say(req, STR("{\"status\":\"ready\"}"));
    else
        http_reply_error(req, E_DRAINING, NULL);
}
