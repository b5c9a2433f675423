/* SPDX-License-Identifier: Apache-2.0 */
/* The plain dialect, what the server says. Each function appends one JSON object; content, ref,
 * meta and data are spliced in as they came. Run out of memory shows in the buf only. */
#include "base/base64.h"
#include "base/check.h"
#include "base/err.h"
#include "base/json.h"
#include "wire/attachments.h"
#include "wire/native.h"

static void begin(struct buf *b, const char *type)
{
    buf_add_z(b, "{\"type\":\"");
    buf_add_z(b, type);
    buf_add_c(b, '"');
}

static void end(struct buf *b, struct str ref)
{
    if (ref.n)
        json_add_raw(b, "ref", ref);
    buf_add_c(b, '}');
}

static void add_text(struct buf *b, const char *name, struct str value)
{
    if (value.n)
        json_add_field(b, name, value);
}

static void add_id(struct buf *b, struct str epoch, uint64_t offset)
{
    json_add_key(b, "id");
    buf_add_c(b, '"');
    cursor_add_id(b, epoch, offset);
    buf_add_c(b, '"');
}

void native_add_connected(struct buf *b, struct str session, struct str ticket, bool recovered,
                          uint64_t ping_ms, uint64_t time_ms)
{
    begin(b, "connected");
    add_text(b, "session", session);
    add_text(b, "ticket", ticket);
    json_add_bool(b, "recovered", recovered);
    json_add_u64(b, "ping", ping_ms);
    json_add_u64(b, "time", time_ms);
    end(b, STR_NONE);
}

void native_add_subscribed(struct buf *b, struct str channel, struct str epoch, uint64_t offset,
                           bool recovered, struct str ref)
{
    begin(b, "subscribed");
    json_add_field(b, "channel", channel);
    json_add_field(b, "epoch", epoch);
    json_add_u64(b, "offset", offset);
    json_add_bool(b, "recovered", recovered);
    end(b, ref);
}

void native_add_unsubscribed(struct buf *b, struct str channel, struct str ref)
{
    begin(b, "unsubscribed");
    json_add_field(b, "channel", channel);
    end(b, ref);
}

/* ---- messages -----------------------------------------------------------------------------------
 */

static void add_content(struct buf *b, const struct native_message *m)
{
    if (m->delta.n) {
        json_add_u64(b, "base", m->delta_base);
        json_add_raw(b, "delta", m->delta);
        json_add_u64(b, "sum", m->delta_sum);
    } else if (m->binary) {
        buf_add_str(b, STR(",\"content\":\""));
        base64_encode(b, m->content);
        buf_add_str(b, STR("\",\"encoding\":\"base64\""));
    } else if (m->attachments.n) {
        struct arena a = {0};
        size_t before = b->n;
        buf_add_str(b, STR(",\"content\":"));
        if (attachments_add_inline(b, &a, m->content, m->attachments))
            b->n = before; /* a message without content; what was published is checked */
        arena_free(&a);
    } else {
        buf_add_str(b, STR(",\"content\":"));
        buf_add_str(b, m->content);
    }
}

static void add_sender(struct buf *b, const struct native_message *m)
{
    if (!m->sender_sub.n && !m->sender_session.n)
        return;
    buf_add_str(b, STR(",\"sender\":{"));
    add_text(b, "sub", m->sender_sub);
    add_text(b, "session", m->sender_session);
    buf_add_c(b, '}');
}

void native_add_message(struct buf *b, const struct native_message *m)
{
    begin(b, "message");
    json_add_field(b, "channel", m->channel);
    json_add_field(b, "event", m->event.n ? m->event : STR("message"));
    add_content(b, m);
    json_add_u64(b, "offset", m->offset);
    add_id(b, m->epoch, m->offset);
    json_add_u64(b, "time", m->time_ms);
    add_sender(b, m);
    add_text(b, "key", m->key);
    add_text(b, "cursor", m->cursor);
    end(b, STR_NONE);
}

void native_add_binary(struct buf *b, const struct native_message *m)
{
    struct str event = m->event.n ? m->event : STR("message");
    CHECK(m->channel.n <= NATIVE_CHANNEL_MAX && event.n <= 255);
    buf_add_c(b, (char)m->channel.n);
    buf_add_str(b, m->channel);
    buf_add_c(b, (char)event.n);
    buf_add_str(b, event);
    for (int shift = 56; shift >= 0; shift -= 8)
        buf_add_c(b, (char)(m->offset >> shift));
    buf_add_str(b, m->content);
}

void native_begin_history(struct buf *b, struct str channel, struct str epoch)
{
    begin(b, "history");
    json_add_field(b, "channel", channel);
    json_add_field(b, "epoch", epoch);
    buf_add_str(b, STR(",\"messages\":["));
}

void native_add_history(struct buf *b, const struct native_message *m)
{
    if (b->n && b->p[b->n - 1] == '}')
        buf_add_c(b, ',');
    native_add_message(b, m);
}

void native_end_history(struct buf *b, bool more, struct str ref)
{
    buf_add_c(b, ']');
    json_add_bool(b, "more", more);
    end(b, ref);
}

/* ---- presence
 * -------------------------------------------------------------------------------------- */

static void add_members(struct buf *b, const char *name, const struct native_member *all,
                        size_t count)
{
    json_add_key(b, name);
    buf_add_c(b, '[');
    for (size_t i = 0; i < count; i++) {
        if (i)
            buf_add_c(b, ',');
        buf_add_c(b, '{');
        json_add_field(b, "key", all[i].key);
        buf_add_str(b, STR(",\"metas\":["));
        for (size_t k = 0; k < all[i].metas_count; k++) {
            if (k)
                buf_add_c(b, ',');
            buf_add_str(b, all[i].metas[k].n ? all[i].metas[k] : STR("{}"));
        }
        buf_add_str(b, STR("]}"));
    }
    buf_add_c(b, ']');
}

void native_add_presence_state(struct buf *b, struct str channel, const struct native_member *all,
                               size_t count, struct str ref)
{
    begin(b, "presence");
    json_add_field(b, "channel", channel);
    add_members(b, "state", all, count);
    end(b, ref);
}

void native_add_presence_diff(struct buf *b, struct str channel, const struct native_member *joins,
                              size_t joins_count, const struct native_member *leaves,
                              size_t leaves_count)
{
    begin(b, "presence");
    json_add_field(b, "channel", channel);
    add_members(b, "joins", joins, joins_count);
    add_members(b, "leaves", leaves, leaves_count);
    end(b, STR_NONE);
}

/* ---- answers
 * --------------------------------------------------------------------------------------- */

void native_add_ack(struct buf *b, struct str channel, struct str id, struct str epoch,
                    uint64_t offset, bool duplicate, struct str ref)
{
    begin(b, "ack");
    add_text(b, "id", id);
    json_add_field(b, "channel", channel);
    json_add_field(b, "epoch", epoch);
    json_add_u64(b, "offset", offset);
    json_add_bool(b, "duplicate", duplicate);
    end(b, ref);
}

void native_add_ack_plain(struct buf *b, struct str channel, struct str ref)
{
    begin(b, "ack");
    json_add_field(b, "channel", channel);
    end(b, ref);
}

void native_add_gap(struct buf *b, struct str channel, uint64_t from, uint64_t to,
                    struct str cursor)
{
    begin(b, "gap");
    json_add_field(b, "channel", channel);
    json_add_u64(b, "from", from);
    json_add_u64(b, "to", to);
    add_text(b, "cursor", cursor);
    end(b, STR_NONE);
}

void native_add_expiring(struct buf *b, uint64_t in_ms)
{
    begin(b, "expiring");
    json_add_u64(b, "in", in_ms);
    end(b, STR_NONE);
}

void native_add_authenticated(struct buf *b, struct str sub, struct str role, uint64_t expires_ms,
                              struct str ref)
{
    begin(b, "authenticated");
    add_text(b, "sub", sub);
    add_text(b, "role", role);
    if (expires_ms)
        json_add_u64(b, "expires", expires_ms);
    end(b, ref);
}

void native_add_pong(struct buf *b, struct str data, struct str ref)
{
    begin(b, "pong");
    if (data.n)
        json_add_raw(b, "data", data);
    end(b, ref);
}

void native_add_reconnect(struct buf *b, uint64_t in_ms)
{
    begin(b, "reconnect");
    json_add_u64(b, "in", in_ms);
    end(b, STR_NONE);
}

void native_add_timeout(struct buf *b, struct str cursor, uint64_t time_ms)
{
    begin(b, "timeout");
    add_text(b, "cursor", cursor);
    json_add_u64(b, "timestamp", time_ms);
    end(b, STR_NONE);
}

void native_add_error(struct buf *b, int err, const char *detail, struct str channel,
                      struct str ref)
{
    const struct err_info *info = err_info(err);
    begin(b, "error");
    json_add_u64(b, "code", (uint64_t)info->number);
    json_add_field(b, "name", str_from(info->name));
    json_add_field(b, "message", str_from(detail ? detail : info->text));
    json_add_field(b, "hint", str_from(info->hint));
    json_add_bool(b, "retryable", info->retryable);
    add_text(b, "channel", channel);
    end(b, ref);
}

void native_add_published(struct buf *b, struct str channel, struct str epoch, uint64_t offset,
                          bool duplicate)
{
    buf_add_c(b, '{');
    json_add_field(b, "channel", channel);
    json_add_u64(b, "offset", offset);
    json_add_field(b, "epoch", epoch);
    add_id(b, epoch, offset);
    json_add_bool(b, "duplicate", duplicate);
    buf_add_c(b, '}');
}
