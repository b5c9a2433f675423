/* SPDX-License-Identifier: Apache-2.0 */
/* Puts the transports on their paths. */
#include "transport/transport_priv.h"

#include "base/mem.h"

struct transport_home *transport_home_of(struct loop *l)
{
    return loop_slot(l, LOOP_SLOT_TRANSPORT);
}

void transport_setup(struct loops *ls, struct http_server *hs,
                     const struct transport_config *config)
{
    encoding_set(&encoding_table);
    for (unsigned i = 0; i < loops_count(ls); i++) {
        struct transport_home *home = mem_new(sizeof(*home));
        home->loop = loops_at(ls, i);
        home->config = config;
        home->deflate = deflate_writer_new(config->deflate_level);
        home->inflate = deflate_reader_new();
        list_init(&home->streams);
        list_init(&home->polls);
        list_init(&home->longpolls);
        loop_slot_set(home->loop, LOOP_SLOT_TRANSPORT, home);
        ws_setup(home);
        poll_setup(home);
    }
    if (config->socketio.enabled) {
        engineio_setup(ls, &config->socketio.engineio, &socketio_poll_ops);
        socketio_routes(hs, &config->socketio);
    }
    http_route(hs, "/socket", 1u << HTTP_GET, 0, 0, upgrade_on_native, NULL);
    http_route(hs, "/api/events", 1u << HTTP_GET, 0, 0, sse_on_request, NULL);
    if (realtime_config_of(loops_at(ls, 0))->enabled)
        realtime_setup(hs, realtime_config_of(loops_at(ls, 0))->frame_bytes_max);
    if (config->conformance)
        echo_setup(hs);
    http_route(hs, "/api/poll", 1u << HTTP_GET, 0, 0, poll_on_request, NULL);
}

void transport_drain(struct loop *l)
{
    struct transport_home *home = transport_home_of(l);
    poll_drain(home);
    longpoll_drain(home);
    sse_drain(home);
    if (home->config->socketio.enabled)
        engineio_drain(l);
}

void transport_teardown(struct loops *ls)
{
    engineio_teardown(ls);
    for (unsigned i = 0; i < loops_count(ls); i++) {
        struct transport_home *home = transport_home_of(loops_at(ls, i));
        ws_teardown(home);
        poll_teardown(home);
        longpoll_teardown(home);
        deflate_writer_free(&home->deflate);
        deflate_reader_free(&home->inflate);
        buf_free(&home->text);
        buf_free(&home->framed);
        loop_slot_set(home->loop, LOOP_SLOT_TRANSPORT, NULL);
        mem_free(home);
    }
}
