/* SPDX-License-Identifier: Apache-2.0 */
/* SIGHUP: file, environment and key files are read anew on a worker, checked as a whole, and only
 * then handed to the loops, each at a turn of its own. With a problem nothing changes. */
#include "server/server_priv.h"
#include "base/log.h"
#include "base/mem.h"
#include "tidewire.h"

struct reload {
    struct worker_job job;
    struct tw_server *server;
    struct tw_config *source; /* the server's */
    struct tw_config *again;  /* what was read, for its problems */
    struct config *config;
    struct keyring *keys;
    struct rules *rules;
    int err;
};

static void read_anew(struct worker_job *job)
{
    struct reload *r = (struct reload *)job;
    r->again = embed_config_again(r->source);
    r->err = embed_config_finish(r->again, &r->config, &r->keys, &r->rules);
}

static void say_problems(struct tw_config *c)
{
    struct str rest = config_draft_problems(c->draft);
    while (rest.n > 0) {
        struct str line = str_cut(&rest, '\n');
        log_error("server", "reload_refused", "problem=%.*s", STR_ARG(line));
    }
}

/* Carries references of its own: the next reload may come before a loop has read this one. */
struct reload_mail {
    struct mail mail;
    struct keyring *keys;
    struct rules *rules;
};

static void reload_deliver(struct loop *l, struct mail *mail)
{
    struct reload_mail *m = (struct reload_mail *)mail;
    session_reload(l, m->keys, m->rules);
    keyring_unref(m->keys);
    rules_unref(m->rules);
    mem_free(m);
}

static void tell_loops(struct tw_server *s)
{
    for (unsigned i = 0; i < loops_count(s->loops); i++) {
        struct reload_mail *m = mem_new(sizeof(*m));
        m->mail.deliver = reload_deliver;
        m->keys = keyring_ref(s->keys);
        m->rules = rules_ref(s->rules);
        loop_post(loops_at(s->loops, i), &m->mail);
    }
}

static void reload_tls(struct tw_server *s)
{
    char why[256] = "";
    if (s->tls && !tls_context_reload(s->tls, why, sizeof(why)))
        log_error("server", "certificate_kept", "why=%s", why);
}

static void apply(struct tw_server *s, struct reload *r)
{
    struct buf fixed = {0};
    config_fixed_differences(s->boot, r->config, &fixed);
    if (fixed.n)
        log_warn("server", "needs_restart", "settings=%.*s", STR_ARG(buf_str(&fixed)));
    buf_free(&fixed);
    config_unref(&s->live);
    s->live = config_ref(r->config);
    keyring_unref(s->keys);
    rules_unref(s->rules);
    s->keys = keyring_ref(r->keys);
    s->rules = rules_ref(r->rules);
    tell_loops(s);
    server_log_setup(s->live);
    reload_tls(s);
    log_info("server", "reloaded", "file=%s", config_draft_file(s->source->draft));
}

static void have_read(struct loop *l, struct worker_job *job)
{
    struct reload *r = (struct reload *)job;
    struct tw_server *s = r->server;
    (void)l;
    if (r->err)
        say_problems(r->again);
    else if (s->state == SERVER_SERVING)
        apply(s, r);
    notify_send("READY=1");
    config_unref(&r->config);
    keyring_unref(r->keys);
    rules_unref(r->rules);
    tw_config_free(r->again);
    mem_free(r);
}

void reload_begin(struct tw_server *s)
{
    struct loop *l = loops_at(s->loops, 0);
    if (!s->lane)
        s->lane = worker_lane_new(1, 4);
    notify_send("RELOADING=1");
    struct reload *r = mem_new(sizeof(*r));
    r->job.work = read_anew;
    r->job.done = have_read;
    r->server = s;
    r->source = s->source;
    if (!worker_post(s->lane, l, &r->job)) {
        log_warn("server", "reload_busy", "waiting=4");
        mem_free(r);
    }
}
