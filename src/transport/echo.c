/* SPDX-License-Identifier: Apache-2.0 */
/* /echo of `tidewire dev --conformance`: what comes goes back, by WebSocket and by POST, through
 * the same machinery as everything else and with limits of its own, so that a conformance suite
 * judges what clients will really meet. */
#include "transport/transport_priv.h"

enum { ECHO_BYTES_MAX = 16 << 20 };

static void open_socket(struct http_request *req)
{
    struct wshandshake ws;
    struct buf answer = {0};
    if (!upgrade_origin(req) || !upgrade_shake(req, &ws))
        return;
    struct ws_open open = {.kind = PROTOCOL_ECHO,
                           .message_bytes_max = ECHO_BYTES_MAX,
                           .deflate = ws.deflate,
                           .window_bits = ws.window_bits};
    wshandshake_add_answer(&answer, &ws, STR_NONE);
    ws_accept(req, buf_str(&answer), &open);
    buf_free(&answer);
}

static void on_request(struct http_request *req)
{
    if (req->method == HTTP_POST) /* never as what it says it is: it could be a page */
        http_reply(req, 200, "application/octet-stream", req->body);
    else
        open_socket(req);
}

void echo_setup(struct http_server *hs)
{
    http_route(hs, "/echo", 1u << HTTP_GET | 1u << HTTP_POST, 0, ECHO_BYTES_MAX, on_request, NULL);
}
