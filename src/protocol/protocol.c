/* SPDX-License-Identifier: Apache-2.0 */
/* The switches of protocol.h. */
#include "protocol/protocol.h"

#include "protocol/engineio.h"
#include "protocol/native.h"
#include "protocol/phoenix.h"

void *protocol_open(const struct protocol_hello *hello, int *err)
{
    switch (hello->kind) {
    case PROTOCOL_NATIVE:
        return native_open(hello, err);
    case PROTOCOL_ECHO:
        return hello->outlet; /* there is nobody behind it */
    case PROTOCOL_PHOENIX:
        return phoenix_open(hello, err);
    case PROTOCOL_SOCKETIO:
        if (!hello->target)
            return engineio_open_ws(hello->engineio, hello->outlet, hello->is_deflate, err);
        *err = engineio_probe(hello->target, hello->outlet, hello->is_deflate);
        return *err ? NULL : hello->target;
    }
    *err = E_UNSUPPORTED;
    return NULL;
}

void protocol_on_message(enum protocol_kind kind, void *peer, struct str payload, bool is_binary)
{
    switch (kind) {
    case PROTOCOL_NATIVE:
        native_on_message(peer, payload, is_binary);
        break;
    case PROTOCOL_ECHO:
        ((struct outlet *)peer)->ops->send(peer, payload, is_binary);
        break;
    case PROTOCOL_PHOENIX:
        phoenix_on_message(peer, payload, is_binary);
        break;
    case PROTOCOL_SOCKETIO:
        engineio_on_ws_message(peer, payload, is_binary);
        break;
    }
}

void protocol_on_ping(enum protocol_kind kind, void *peer)
{
    if (kind == PROTOCOL_PHOENIX)
        phoenix_on_ping(peer);
}

void protocol_on_receipt(enum protocol_kind kind, void *peer, uint64_t position)
{
    switch (kind) {
    case PROTOCOL_NATIVE:
        session_confirm(peer, position);
        break;
    case PROTOCOL_PHOENIX:
        phoenix_on_receipt(peer, position);
        break;
    case PROTOCOL_SOCKETIO:
    case PROTOCOL_ECHO:
        break;
    }
}

void protocol_on_drained(enum protocol_kind kind, void *peer)
{
    switch (kind) {
    case PROTOCOL_NATIVE:
        session_drained(peer);
        break;
    case PROTOCOL_PHOENIX:
        phoenix_on_drained(peer);
        break;
    case PROTOCOL_SOCKETIO:
        engineio_on_ws_drained(peer);
        break;
    case PROTOCOL_ECHO:
        break;
    }
}

uint64_t protocol_hold_ms(enum protocol_kind kind, void *peer)
{
    switch (kind) {
    case PROTOCOL_NATIVE:
        return session_hold_ms(peer);
    case PROTOCOL_PHOENIX:
        return ((struct phoenix *)peer)->hold_ms;
    case PROTOCOL_SOCKETIO:
        return engineio_hold_ms(peer);
    case PROTOCOL_ECHO:
        break;
    }
    return 0;
}

void protocol_on_closed(enum protocol_kind kind, void *peer, int err, bool is_goodbye)
{
    switch (kind) {
    case PROTOCOL_NATIVE:
        if (is_goodbye)
            session_end(peer, err, false);
        else
            session_detach(peer, err);
        break;
    case PROTOCOL_PHOENIX:
        phoenix_on_closed(peer, err, is_goodbye);
        break;
    case PROTOCOL_SOCKETIO:
        engineio_on_ws_closed(peer, err);
        break;
    case PROTOCOL_ECHO:
        break;
    }
}
