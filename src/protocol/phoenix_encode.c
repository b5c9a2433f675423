/* SPDX-License-Identifier: Apache-2.0 */
/* What the members of a topic get, as one frame's payload that serves all of one kind: null refs,
 * JSON as text (also for clients of the plain `phoenix` package), bytes as kind 4. */
#include "protocol/phoenix.h"

#include "base/json.h"
#include "wire/attachments.h"

/* The topic on the wire of a channel. */
static struct str topic_of(struct str channel, struct buf *out)
{
    struct str prefix = STR(PHOENIX_PRIVATE_PREFIX);
    buf_add_z(out, PHOENIX_TOPIC_PREFIX);
    buf_add_str(out, str_starts(channel, prefix) ? str_skip(channel, prefix.n) : channel);
    return buf_str(out);
}

bool phoenix_encode_for(const struct phoenix_form *form, const struct msg *m, struct buf *out)
{
    char id[64];
    struct buf topic = {0}, meta = {0}, inlined = {0};
    struct arena a = {0};
    bool is_binary = false;
    buf_add_z(&meta, form->is_replay ? "{\"replayed\":true" : "{");
    json_add_field(&meta, "id", str_of(id, msg_put_id(m, id)));
    buf_add_c(&meta, '}');
    struct phoenix_broadcast b = {.topic = topic_of(m->channel, &topic),
                                  .event = m->event,
                                  .payload = m->content,
                                  .meta = buf_str(&meta),
                                  .is_bytes = m->format == MSG_BINARY};
    if (m->format == MSG_ATTACHMENTS &&
        !attachments_add_inline(&inlined, &a, m->content, m->attachments))
        b.payload = buf_str(&inlined);
    if (b.is_bytes && form->vsn == 2 && !form->is_text)
        is_binary = phoenix_add_broadcast_binary(out, &b);
    if (!is_binary)
        phoenix_add_broadcast(out, form->vsn, &b);
    arena_free(&a);
    buf_free(&inlined);
    buf_free(&meta);
    buf_free(&topic);
    return is_binary;
}

bool phoenix_encode_message(int vsn, const struct msg *m, struct buf *out)
{
    return phoenix_encode_for(&(struct phoenix_form){.vsn = vsn}, m, out);
}

/* Those that were handed over, or those that were not. */
static void add_members(const struct presence_entry *entries, size_t count, bool is_handed,
                        struct buf *out)
{
    buf_add_c(out, '{');
    for (size_t i = 0; i < count; i++) {
        size_t before = out->n, added = 0;
        phoenix_begin_member(out, entries[i].key);
        for (size_t j = 0; j < entries[i].metas_count; j++) {
            const struct presence_meta *m = &entries[i].metas[j];
            if (m->is_handed != is_handed)
                continue;
            phoenix_add_meta(out, m->meta, m->ref, m->ref_prev);
            added++;
        }
        if (added)
            phoenix_end_member(out);
        else
            out->n = before;
    }
    buf_add_c(out, '}');
}

static bool has_handed(const struct presence_update *u)
{
    for (size_t i = 0; i < u->leaves_count; i++)
        for (size_t j = 0; j < u->leaves[i].metas_count; j++)
            if (u->leaves[i].metas[j].is_handed)
                return true;
    return false;
}

bool phoenix_encode_handover(int vsn, struct str channel, const struct presence_update *u,
                             struct buf *out)
{
    struct buf topic = {0};
    if (!has_handed(u))
        return false;
    const struct phoenix_address to = {.vsn = vsn, .topic = topic_of(channel, &topic)};
    phoenix_begin(out, &to, "presence_diff");
    buf_add_z(out, "{\"joins\":{},\"leaves\":");
    add_members(u->leaves, u->leaves_count, true, out);
    buf_add_c(out, '}');
    phoenix_end(out, &to);
    buf_free(&topic);
    return true;
}

void phoenix_encode_presence(int vsn, struct str channel, const struct presence_update *u,
                             struct buf *out)
{
    struct buf topic = {0};
    const struct phoenix_address to = {.vsn = vsn, .topic = topic_of(channel, &topic)};
    phoenix_begin(out, &to, u->is_state ? "presence_state" : "presence_diff");
    if (u->is_state) {
        add_members(u->joins, u->joins_count, false, out);
    } else {
        buf_add_z(out, "{\"joins\":");
        add_members(u->joins, u->joins_count, false, out);
        buf_add_z(out, ",\"leaves\":");
        add_members(u->leaves, u->leaves_count, false, out);
        buf_add_c(out, '}');
    }
    phoenix_end(out, &to);
    buf_free(&topic);
}
