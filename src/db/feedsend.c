/* SPDX-License-Identifier: Apache-2.0 */
/* Broadcasts from the database: whatever inserts into realtime_messages (a trigger, a function, a
 * migration, another process) sends its event and payload to its topic, after the commit. Rows
 * that came while no server ran are not sent later. */
#include "base/log.h"
#include "base/mem.h"
#include "db/feed.h"
#include "hub/hub.h"
#include "wire/jsonscan.h"

struct send {
    struct mail mail;
    size_t n;
    char row[];
};

static struct str text_of(struct str row, const char *name, struct arena *arena)
{
    struct jsonscan_value v = jsonscan_find(row, name);
    struct str text = STR_NONE;
    if (v.type == JSONSCAN_STRING && jsonscan_string(v.raw, arena, &text) != 0)
        text = STR_NONE;
    return text;
}

static struct str channel_of(struct str row, struct arena *arena)
{
    struct str topic = text_of(row, "topic", arena);
    struct buf b = {0};
    struct str channel;
    if (!str_is(jsonscan_find(row, "private").raw, "true"))
        return topic;
    buf_add_z(&b, "private:");
    buf_add_str(&b, topic);
    channel = topic.n ? arena_dup(arena, buf_str(&b)) : STR_NONE;
    buf_free(&b);
    return channel;
}

static void publish(struct loop *l, struct str row, struct arena *arena)
{
    struct jsonscan_value payload = jsonscan_find(row, "payload");
    struct msg_fields f = {.channel = channel_of(row, arena),
                           .event = text_of(row, "event", arena),
                           .content = payload.type > JSONSCAN_NULL ? payload.raw : STR("{}")};
    struct hub_publish *p;
    struct msg *m;
    if (!str_is(text_of(row, "extension", arena), "broadcast"))
        return;
    if (!f.channel.n || f.channel.n > 255 || f.event.n > 128) {
        log_warn("db", "send_refused", "hint=%s", "topic and event must have 1 to 255 bytes");
        return;
    }
    m = msg_new(&f);
    if (!m)
        return;
    p = mem_new(sizeof *p);
    p->msg = m;
    p->home = l;
    hub_publish(hub_of(l), p);
}

static void deliver(struct loop *l, struct mail *mail)
{
    struct send *s = (struct send *)mail;
    struct arena arena = {0};
    if (hub_of(l))
        publish(l, str_of(s->row, s->n), &arena);
    arena_free(&arena);
    mem_free(s);
}

void feedsend_row(struct loop *home, struct str row)
{
    struct send *s = mem_try(sizeof *s + row.n);
    if (!s)
        return;
    *s = (struct send){.mail.deliver = deliver, .n = row.n};
    memcpy(s->row, row.p, row.n);
    loop_post(home, &s->mail);
}
