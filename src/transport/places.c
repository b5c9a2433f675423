/* SPDX-License-Identifier: Apache-2.0 */
/* The channels of an SSE or poll request and where each of them stands. A cursor may come in
 * any of the forms of wire/cursor.h: with names (cookies), or in the order of the channels. */
#include "transport/transport_priv.h"

#include "wire/cursor.h"
#include "wire/native.h"

enum { TRACK_DEPTH_MAX = 32 };

void place_set(struct place *p, struct str epoch, uint64_t offset)
{
    if (epoch.n >= sizeof(p->at.epoch))
        return;
    memset(&p->at, 0, sizeof(p->at));
    if (epoch.n)
        memcpy(p->at.epoch, epoch.p, epoch.n);
    p->at.offset = offset;
    p->has_at = true;
}

struct place *places_find(struct places *ps, struct str channel)
{
    for (size_t i = 0; i < ps->count; i++)
        if (str_eq(ps->list[i].channel, channel))
            return &ps->list[i];
    return NULL;
}

static int read_channels(struct http_request *req, struct places *out, const char **detail)
{
    size_t max = transport_home_of(req->loop)->config->channels_max, named = 0;
    while (http_query_at(req, "channel", named).p)
        named++;
    if (named > max)
        named = max;
    out->list = arena_zero(req->arena, (named ? named : 1) * sizeof(*out->list));
    if (!out->list)
        return E_NO_MEMORY;
    for (size_t i = 0;; i++) {
        struct str name = http_query_at(req, "channel", i);
        if (!name.p)
            break;
        if (!native_name_valid(name, NATIVE_CHANNEL_MAX)) {
            *detail = "channel: must be 1 to 255 bytes without control characters";
            return E_BAD_REQUEST;
        }
        if (places_find(out, name))
            continue;
        if (out->count == max) {
            *detail = "Too many channels in one request";
            return E_TOO_MANY;
        }
        out->list[out->count++].channel = name;
    }
    if (req->no_memory)
        return E_NO_MEMORY;
    if (!out->count)
        out->list[out->count++].channel = session_config_of(req->loop)->default_channel;
    return 0;
}

int places_read(struct http_request *req, struct str cursor, struct places *out,
                const char **detail)
{
    *out = (struct places){0};
    int err = read_channels(req, out, detail);
    if (err || !cursor.n)
        return err;
    struct cursor_place room[CURSOR_PLACES_MAX];
    size_t count = 0;
    err = cursor_decode(cursor, req->arena, room, CURSOR_PLACES_MAX, &count);
    if (err) {
        *detail = "The cursor is not one of ours";
        return err;
    }
    for (size_t i = 0; i < count; i++) {
        struct place *p = room[i].channel.n ? places_find(out, room[i].channel)
                          : i < out->count  ? &out->list[i]
                                            : NULL;
        if (p && room[i].epoch.n)
            place_set(p, room[i].epoch, room[i].offset);
    }
    return 0;
}

/* track=<key>&meta=<object> holds for every channel; track={"type":"track","channel":…}, as often
 * as needed, is a WebSocket's frame and holds for its channel. */
void places_track(struct http_request *req, struct session *s, struct str channel)
{
    struct request r = {.type = REQUEST_TRACK, .channel = channel};
    for (size_t i = 0;; i++) {
        struct str track = http_query_at(req, "track", i);
        struct native_request nr;
        if (!track.p)
            return;
        if (track.n && track.p[0] == '{') {
            if (native_decode(track, TRACK_DEPTH_MAX, req->arena, &nr) || nr.type != NATIVE_TRACK ||
                nr.channels_count != 1 || !str_eq(nr.channels[0].name, channel))
                continue;
            r.key = nr.key;
            r.meta = nr.meta;
        } else {
            r.key = track;
            r.meta = http_query(req, "meta");
        }
        session_request(s, &r);
        return;
    }
}

void places_add_cursor(const struct places *ps, bool named, struct buf *out)
{
    struct cursor_place places[CURSOR_PLACES_MAX];
    size_t count = ps->count < CURSOR_PLACES_MAX ? ps->count : CURSOR_PLACES_MAX;
    for (size_t i = 0; i < count; i++)
        places[i] = (struct cursor_place){
            .channel = named ? ps->list[i].channel : STR_NONE,
            .epoch = ps->list[i].has_at ? str_from(ps->list[i].at.epoch) : STR_NONE,
            .offset = ps->list[i].at.offset};
    if (named)
        (void)cursor_add_named(out, places, count);
    else
        (void)cursor_add_list(out, places, count);
}
