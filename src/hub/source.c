/* SPDX-License-Identifier: Apache-2.0 */
/* See source.h. */
#include "hub/source.h"
#include "base/err.h"
#include "base/mem.h"

static const struct source_ops *ops;
static void *source;

void source_set(const struct source_ops *table, void *filler)
{
    ops = table;
    source = filler;
}

bool source_is_set(void)
{
    return ops != NULL;
}

void source_watch_open(struct loop *l, struct source_watch *w, const struct source_options *o)
{
    if (ops)
        ops->watch(source, l, w, o);
    else
        w->opened(w,
                  &(struct source_opened){.err = E_UNAVAILABLE, .message = "There is no database"});
}

void source_watch_close(struct loop *l, struct source_watch *w)
{
    if (ops && w->id)
        ops->unwatch(source, l, w);
}

void source_watch_identify(struct loop *l, struct source_watch *w, struct identity *id)
{
    if (ops && w->id)
        ops->identify(source, l, w, id);
}

void source_change_ref(struct source_change *c)
{
    ref_take(&c->ref);
}

void source_change_unref(struct source_change **cp)
{
    struct source_change *c = *cp;
    *cp = NULL;
    if (c && ref_drop(&c->ref))
        mem_free(c);
}
