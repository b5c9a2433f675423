/* SPDX-License-Identifier: Apache-2.0 */
/* tw_publish: from any thread to the hub. The message is made here, carried to loop 0 by mail and
 * published there, so that messages of one thread keep their order. */
#include "base/mem.h"
#include "server/server_priv.h"
#include "tidewire.h"
#include "wire/jsonscan.h"
#include "wire/native.h"

struct embed_publish {
    struct hub_publish publish; /* first: the hub gives it back */
    struct mail mail;
    void (*done)(int error, uint64_t offset, void *arg);
    void *arg;
};

static void on_published(struct hub_publish *p)
{
    struct embed_publish *e = (struct embed_publish *)p;
    if (e->done)
        e->done(p->err, p->offset, e->arg);
    mem_free(e);
}

static void carry(struct loop *l, struct mail *mail)
{
    struct embed_publish *e = LIST_OF((struct list *)(void *)mail, struct embed_publish, mail);
    hub_publish(hub_of(l), &e->publish);
}

static int check(const tw_server *s, const tw_message *m, const struct msg_fields *f)
{
    if (m->size < sizeof(*m) || !native_name_valid(f->channel, NATIVE_CHANNEL_MAX) ||
        (f->event.n && !native_name_valid(f->event, NATIVE_EVENT_MAX)) ||
        (f->id.n && !native_name_valid(f->id, NATIVE_ID_MAX)))
        return E_BAD_REQUEST;
    if (f->content.n > (size_t)s->boot->limits_payload_bytes)
        return E_TOO_LARGE;
    return m->binary ? 0 : jsonscan_check(f->content, JSONSCAN_DEPTH, NULL);
}

int tw_publish(tw_server *s, const tw_message *m)
{
    struct msg_fields fields = {
        .channel = m->channel ? str_from(m->channel) : s->boot->channels_default,
        .event = str_from(m->event),
        .content = str_of(m->content, m->content_bytes),
        .id = str_from(m->id),
        .format = m->binary ? MSG_BINARY : MSG_JSON,
    };
    int err = check(s, m, &fields);
    struct msg *msg = err ? NULL : msg_new(&fields);
    if (!msg)
        return err ? err : E_NO_MEMORY;
    struct embed_publish *e = mem_new(sizeof(*e));
    e->publish.msg = msg;
    e->publish.done = on_published;
    e->mail.deliver = carry;
    e->done = m->done;
    e->arg = m->arg;
    if (door_post(s->door, 0, &e->mail))
        return 0;
    msg_unref(&msg);
    mem_free(e);
    return E_UNAVAILABLE;
}
