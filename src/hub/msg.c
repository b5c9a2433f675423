/* SPDX-License-Identifier: Apache-2.0 */
/* The one copy of a published message; see msg.h. */
#include "hub/msg.h"

#include "base/mem.h"
#include "base/num.h"

struct msg *msg_new(const struct msg_fields *f)
{
    struct str event = f->event.n ? f->event : STR("message");
    size_t size = sizeof(struct msg) + f->channel.n + event.n + f->content.n + f->attachments.n +
                  f->id.n + f->key.n + f->sender.n + f->sender_name.n + f->except.n + f->with.n;
    struct msg *m = size > UINT32_MAX ? NULL : mem_try(size);
    if (!m)
        return NULL;
    *m = (struct msg){.size = (uint32_t)size,
                      .sender_session = f->sender_session,
                      .format = f->format,
                      .no_echo = f->no_echo,
                      .is_volatile = f->is_volatile,
                      .no_history = f->no_history};
    ref_init(&m->ref);
    char *at = (char *)(m + 1);
    m->channel = str_put(&at, f->channel);
    m->event = str_put(&at, event);
    m->content = str_put(&at, f->content);
    m->attachments = str_put(&at, f->attachments);
    m->id = str_put(&at, f->id);
    m->key = str_put(&at, f->key);
    m->sender = str_put(&at, f->sender);
    m->sender_name = str_put(&at, f->sender_name);
    m->except = str_put(&at, f->except);
    m->with = str_put(&at, f->with);
    return m;
}

void msg_ref(struct msg *m)
{
    ref_take(&m->ref);
}

void msg_unref(struct msg **m)
{
    struct msg *one = *m;
    *m = NULL;
    if (one && ref_drop(&one->ref))
        mem_free(one);
}

size_t msg_put_id(const struct msg *m, char *out)
{
    memcpy(out, m->epoch.p, m->epoch.n);
    out[m->epoch.n] = '-';
    return m->epoch.n + 1 + num_put_u64(out + m->epoch.n + 1, m->offset);
}
