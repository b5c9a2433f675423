/* SPDX-License-Identifier: Apache-2.0 */
/* The life of a server: the parts are made from the configuration in the order of the rooms,
 * run, and taken apart in the opposite order. Nothing here is on the way of a message. */
#include "server/server_priv.h"
#include "server/dev.h"
#include "server/embed_io.h"
#include "base/check.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/tally.h"
#include "tidewire.h"
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

extern const struct http_file embed_files[];
extern const size_t embed_files_count;

/* ---- mail to all loops ------------------------------------------------------------------- */

struct errand {
    struct mail mail;
    struct tw_server *server;
    void (*fn)(struct loop *l, struct tw_server *s);
};

static void errand_deliver(struct loop *l, struct mail *mail)
{
    struct errand *e = (struct errand *)mail;
    e->fn(l, e->server);
    mem_free(e);
}

static void send_errand(struct tw_server *s, struct loop *to,
                        void (*fn)(struct loop *l, struct tw_server *s))
{
    struct errand *e = mem_new(sizeof(*e));
    *e = (struct errand){.mail.deliver = errand_deliver, .server = s, .fn = fn};
    loop_post(to, &e->mail);
}

void server_each_loop(struct tw_server *s, void (*fn)(struct loop *l, struct tw_server *s))
{
    for (unsigned i = 0; i < loops_count(s->loops); i++)
        send_errand(s, loops_at(s->loops, i), fn);
}

struct tw_server *server_of(struct loop *l)
{
    return ((struct server_loop *)loop_slot(l, LOOP_SLOT_SERVER))->server;
}

/* ---- making ------------------------------------------------------------------------------ */

tw_server *tw_server_new(tw_config *c)
{
    struct tw_server *s = mem_new(sizeof(*s));
    if (embed_config_finish(c, &s->boot, &s->keys, &s->rules) != 0) {
        mem_free(s);
        return NULL;
    }
    s->door = door_new();
    s->live = config_ref(s->boot);
    s->source = embed_config_again(c);
    return s;
}

static unsigned loops_wanted(const struct config *c)
{
    cpu_set_t set;
    int processors = sched_getaffinity(0, sizeof(set), &set) == 0 ? CPU_COUNT(&set) : 1;
    if (c->loops > 0)
        return (unsigned)c->loops;
    return processors < 1 ? 1 : processors > 64 ? 64 : (unsigned)processors;
}

void server_log_setup(const struct config *c)
{
    enum config_log_format format = (enum config_log_format)c->log_format;
    bool json = format == CONFIG_LOG_JSON || (format == CONFIG_LOG_AUTO && !isatty(2));
    log_setup((enum log_level)c->log_level, json);
}

/* A connection is a descriptor: take as many as the system lets us have. */
static void raise_descriptors(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == limit.rlim_max)
        return;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

static int make_tls(struct tw_server *s)
{
    char why[256] = "";
    if (!s->boot->tls_cert_file.n)
        return 0;
    char *cert = str_dup(s->boot->tls_cert_file), *key = str_dup(s->boot->tls_key_file);
    s->tls = tls_context_new(cert, key, why, sizeof(why));
    mem_free(cert);
    mem_free(key);
    if (s->tls)
        return 0;
    buf_printf(&s->problem, "tls: %s", why);
    return E_CONFIG;
}

/* In the data folder, which is made when it is not there. */
static int make_database(struct tw_server *s)
{
    char why[800] = "";
    struct database_paths paths;
    struct db_config config;
    if (!s->boot->database_file.n)
        return 0;
    char *folder = str_dup(s->boot->data);
    assemble_database(s->boot, &paths, &config);
    if (mkdir(folder, 0700) != 0 && errno != EEXIST)
        snprintf(why, sizeof(why), "%s: %s", folder, strerror(errno));
    else
        s->db = db_open(s->loops, &config, why, sizeof(why));
    database_paths_free(&paths);
    mem_free(folder);
    if (s->db)
        return 0;
    buf_printf(&s->problem, "the database cannot be opened: %s. Name another folder with --data",
               why);
    return E_UNAVAILABLE;
}

static int check_folder(struct tw_server *s)
{
    struct stat st;
    if (!s->boot->http_folder.n)
        return 0;
    if (stat(s->boot->http_folder.p, &st) == 0 && S_ISDIR(st.st_mode))
        return 0;
    buf_printf(&s->problem, "http.folder: \"%s\" is no folder", s->boot->http_folder.p);
    return E_UNAVAILABLE;
}

static int make_rooms(struct tw_server *s)
{
    struct http_config http;
    s->loops = loops_new(loops_wanted(s->boot));
    int err = make_database(s);
    if (err) {
        loops_free(&s->loops);
        return err;
    }
    assemble_http(s->boot, &http);
    assemble_hub(s->boot, &s->channels, &s->hub);
    assemble_session(s->boot, &s->session);
    assemble_realtime(s->boot, &s->realtime);
    assemble_transport(s->boot, &s->transport);
    assemble_api(s->boot, &s->api);
    (void)assemble_events(s->boot, &(struct socketio_rules_error){0},
                          &s->events); /* checked before */
    assemble_socketio(s->boot, s->events, &s->namespaces, &s->socketio);
    s->api.db = s->db;
    embed_io_fill(s);
    s->addresses = tally_new();
    s->http = http_server_new(&http);
    hub_setup(s->loops, &s->hub);
    if (s->db) {
        hub_set_store(&db_store_ops, s->db);
        source_set(&db_source_ops, s->db);
    }
    session_setup(s->loops, &s->session, s->keys, s->rules, s->db ? db_policy(s->db) : NULL);
    phoenix_setup(s->loops, &s->realtime);
    socketio_setup(s->loops, &s->socketio);
    transport_setup(s->loops, s->http, &s->transport);
    api_setup(s->loops, s->http, &s->api);
    if (s->source->develop)
        s->tokens = dev_tokens_serve(s->http, s->boot, s->keys);
    http_serve_files(s->http, embed_files, embed_files_count);
    if (s->boot->metrics_listen.n) {
        s->operators = http_server_new(&(struct http_config){0});
        api_setup_operators(s->operators);
    }
    return 0;
}

static void drop_rooms(struct tw_server *s)
{
    if (!s->loops)
        return;
    door_shut(s->door);
    listeners_close(s);
    worker_lane_close(&s->lane);
    db_stop(s->db); /* its answers find everything as it was, */
    loops_settle(s->loops);
    api_teardown(s->loops);
    transport_teardown(s->loops);
    session_teardown(s->loops);
    phoenix_teardown(s->loops);
    socketio_teardown(s->loops);
    loops_settle(s->loops); /* sessions that ended have sent the hub their last word */
    hub_teardown(s->loops);
    source_set(NULL, NULL);
    hub_set_store(NULL, NULL);
    db_close(&s->db);
    http_server_free(&s->http);
    dev_tokens_free(&s->tokens);
    http_server_free(&s->operators);
    loops_free(&s->loops);
    tally_free(&s->addresses);
    mem_free(s->homes);
    mem_free(s->channels);
    s->channels = NULL;
    mem_free(s->namespaces);
    s->namespaces = NULL;
    socketio_rules_free(&s->events);
    tls_context_free(&s->tls);
}

void tw_server_free(tw_server *s)
{
    if (!s)
        return;
    CHECK(s->state == SERVER_NEW || s->state == SERVER_STOPPED);
    drop_rooms(s);
    embed_io_free(s);
    door_free(&s->door);
    keyring_unref(s->keys);
    rules_unref(s->rules);
    config_unref(&s->boot);
    config_unref(&s->live);
    tw_config_free(s->source);
    buf_free(&s->problem);
    mem_free(s);
}

/* ---- running ----------------------------------------------------------------------------- */

static void on_watchdog(struct loop *l, struct timer *t)
{
    struct tw_server *s = server_of(l);
    notify_send("WATCHDOG=1");
    timer_set(l, t, s->watchdog_ms, on_watchdog);
}

static void become_ready(struct loop *l, struct tw_server *s)
{
    api_set_ready(l, true);
    if (loop_index(l) != 0)
        return;
    log_info("server", "ready", "url=%s loops=%u flush=%s version=%s", s->url,
             loops_count(s->loops), flush_backend(l), tw_version());
    if (keyring_count(s->keys) + s->boot->auth_api_keys_count == 0 && !s->boot->auth_anonymous)
        log_warn("server", "nobody_can_enter",
                 "why=no key is configured and anonymous clients are not let in; set "
                 "auth.jwt_secret or auth.keys, or auth.anonymous");
    notify_send("READY=1");
    s->watchdog_ms = notify_watchdog_ms();
    if (s->watchdog_ms)
        timer_set(l, &s->watchdog, s->watchdog_ms, on_watchdog);
    if (s->on_ready)
        s->on_ready(s, s->on_ready_arg);
}

static int server_open(struct tw_server *s)
{
    CHECK(s->state == SERVER_NEW && !s->loops);
    buf_clear(&s->problem);
    server_log_setup(s->boot);
    raise_descriptors();
    int err = check_folder(s);
    err = err ? err : make_tls(s);
    if (err)
        return err;
    err = make_rooms(s);
    if (err)
        return err;
    s->homes = mem_new(loops_count(s->loops) * sizeof(*s->homes));
    for (unsigned i = 0; i < loops_count(s->loops); i++) {
        s->homes[i].server = s;
        loop_slot_set(loops_at(s->loops, i), LOOP_SLOT_SERVER, &s->homes[i]);
    }
    err = listeners_open(s);
    if (err) {
        drop_rooms(s);
        return err;
    }
    s->state = SERVER_SERVING;
    door_open(s->door, s->loops);
    server_each_loop(s, become_ready);
    return 0;
}

int tw_server_start(tw_server *s)
{
    int err = server_open(s);
    if (err)
        return err;
    s->started = true;
    loops_start(s->loops);
    return 0;
}

static void on_signal(struct loop *l, int signum, void *arg)
{
    struct tw_server *s = arg;
    (void)l;
    log_info("server", "signal", "number=%d", signum);
    if (signum == SIGHUP)
        reload_begin(s);
    else if (signum == SIGUSR2)
        state_dump(s);
    else
        drain_begin(s, (uint64_t)s->live->drain_timeout);
}

int tw_server_run(tw_server *s)
{
    static const int signals[] = {SIGTERM, SIGINT, SIGHUP, SIGUSR2};
    int err = server_open(s);
    if (err)
        return err;
    for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
        loops_on_signal(s->loops, signals[i], on_signal, s);
    loops_run(s->loops);
    s->state = SERVER_STOPPED;
    log_info("server", "stopped", "url=%s", s->url);
    drop_rooms(s);
    return 0;
}

/* ---- from other threads ------------------------------------------------------------------ */

struct stop_errand {
    struct mail mail;
    struct tw_server *server;
    uint64_t drain_ms;
};

static void stop_deliver(struct loop *l, struct mail *mail)
{
    struct stop_errand *e = (struct stop_errand *)mail;
    (void)l;
    drain_begin(e->server, e->drain_ms);
    mem_free(e);
}

void tw_server_stop(tw_server *s, uint64_t drain_ms)
{
    struct stop_errand *e = mem_new(sizeof(*e));
    *e = (struct stop_errand){.mail.deliver = stop_deliver, .server = s, .drain_ms = drain_ms};
    if (!door_post(s->door, 0, &e->mail)) {
        mem_free(e);
        return;
    }
    if (!s->started)
        return;
    loops_join(s->loops);
    s->state = SERVER_STOPPED;
    drop_rooms(s);
}

static void do_reload(struct loop *l, struct tw_server *s)
{
    (void)l;
    reload_begin(s);
}

void tw_server_reload(tw_server *s)
{
    struct errand *e = mem_new(sizeof(*e));
    *e = (struct errand){.mail.deliver = errand_deliver, .server = s, .fn = do_reload};
    if (!door_post(s->door, 0, &e->mail))
        mem_free(e);
}

/* ---- asking ------------------------------------------------------------------------------ */

void tw_server_on_ready(tw_server *s, void (*fn)(tw_server *s, void *arg), void *arg)
{
    s->on_ready = fn;
    s->on_ready_arg = arg;
}

const char *tw_server_url(const tw_server *s)
{
    return s->url;
}

const char *tw_server_problem(const tw_server *s)
{
    return embed_text((struct buf *)&s->problem);
}
