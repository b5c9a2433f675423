/* SPDX-License-Identifier: Apache-2.0 */
/* How each kind of client opens, joins and publishes. `raw` is what the floors and most peers
 * speak: the path names the room, a text frame is a message for everybody in it. */
#include "load.h"
#include <string.h>

#define NATIVE_SUBSCRIBE "{\"type\":\"subscribe\",\"channel\":\"r%r\"}", "\"type\":\"subscribed\""
#define PHOENIX_JOIN                                                                               \
    "{\"topic\":\"realtime:r%r\",\"event\":\"phx_join\",\"payload\":{\"config\":{\"broadcast\":"   \
    "{\"self\":true,\"ack\":false},\"presence\":{\"key\":\"\"},\"private\":false}},"               \
    "\"ref\":\"1\",\"join_ref\":\"1\"}"

const struct load_dialect load_dialects[] = {
    {.name = "raw", .carry = CARRY_WS, .path = "/room/%r", .before = "", .after = ""},
    {.name = "native",
     .carry = CARRY_WS,
     .path = "/socket%t",
     .steps = {{NULL, "\"connected\""}, {NATIVE_SUBSCRIBE}},
     .before = "{\"type\":\"message\",\"channel\":\"r%r\",\"content\":\"",
     .after = "\"}"},
    {.name = "native-only", /* connects, subscribes to nothing */
     .carry = CARRY_WS,
     .path = "/socket%t",
     .steps = {{NULL, "\"connected\""}},
     .before = "{\"type\":\"message\",\"channel\":\"r%r\",\"content\":\"",
     .after = "\"}"},
    {.name = "sse",
     .carry = CARRY_SSE,
     .path = "/api/events?channel=r%r",
     .steps = {{NULL, "\"connected\""}},
     .feed = "native-only"},
    {.name = "poll",
     .carry = CARRY_POLL,
     .path = "/api/poll?batch=1&channel=r%r",
     .places = {"\"cursor\":\"", NULL},
     .feed = "native-only"},
    {.name = "socketio",
     .carry = CARRY_WS,
     .path = "/socket.io/?EIO=4&transport=websocket",
     .steps = {{NULL, "0{"}, {"40", "40{"}, {"420[\"join\",\"r%r\"]", "430"}},
     .before = "42[\"send\",\"r%r\",\"",
     .after = "\"]",
     .ping = "2",
     .pong = "3"},
    {.name = "phoenix",
     .carry = CARRY_WS,
     .path = "/realtime/v1/websocket?vsn=1.0.0&apikey=%t",
     .steps = {{PHOENIX_JOIN, "\"phx_reply\""}},
     .before = "{\"topic\":\"realtime:r%r\",\"event\":\"broadcast\",\"payload\":{\"type\":"
               "\"broadcast\",\"event\":\"m\",\"payload\":{\"t\":\"",
     .after = "\"}},\"ref\":\"2\",\"join_ref\":\"1\"}"},
    {.name = "nchan-sse", .carry = CARRY_SSE, .path = "/sse/%r", .feed = "raw"},
    {.name = "nchan-poll",
     .carry = CARRY_POLL,
     .path = "/poll/%r",
     .places = {"Last-Modified: ", "Etag: "},
     .feed = "raw"},
    {.name = NULL},
};

const struct load_dialect *load_dialect_find(const char *name)
{
    for (const struct load_dialect *d = load_dialects; d->name; d++)
        if (strcmp(d->name, name) == 0)
            return d;
    return NULL;
}

size_t load_expand(const char *text, unsigned room, const char *token, char *out, size_t size)
{
    size_t n = 0;
    for (; *text && n + 1 < size; text++) {
        int more = 1;
        if (text[0] == '%' && text[1] == 'r')
            more = snprintf(out + n, size - n, "%u", room);
        else if (text[0] == '%' && text[1] == 't')
            more = snprintf(out + n, size - n, "%s", token);
        else
            out[n] = *text;
        if (*text == '%')
            text++;
        n += more > 0 ? (size_t)more : 0;
    }
    if (n >= size)
        n = size - 1;
    out[n] = 0;
    return n;
}
