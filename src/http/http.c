/* SPDX-License-Identifier: Apache-2.0 */
/* The server as a whole: configuration, what each loop keeps, life and death. Routes are added
 * at boot and only read afterwards, so loops share them without a lock. */
#include "http/http_priv.h"
#include "base/check.h"
#include "base/log.h"
#include "base/mem.h"
#include "wire/deflate.h"

static size_t or_default(size_t v, size_t fallback)
{
    return v ? v : fallback;
}

static struct str *copy_list(struct arena *a, const struct str *list, size_t count)
{
    struct str *out = arena_alloc(a, (count + 1) * sizeof(*out));
    CHECK(out);
    for (size_t i = 0; i < count; i++)
        out[i] = arena_dup(a, list[i]);
    return out;
}

static void read_proxies(struct http_server *hs)
{
    struct http_config *config = &hs->config;
    hs->proxies =
        arena_alloc(&hs->boot, (config->trusted_proxies_count + 1) * sizeof(*hs->proxies));
    CHECK(hs->proxies);
    for (size_t i = 0; i < config->trusted_proxies_count; i++) {
        struct str text = config->trusted_proxies[i];
        if (str_is(text, "unix"))
            hs->trusts_unix = true;
        else if (proxy_parse(text, &hs->proxies[hs->proxies_count]))
            hs->proxies_count++;
        else
            log_warn("http", "proxy", "not_an_address=%.*s", STR_ARG(text));
    }
}

struct http_server *http_server_new(const struct http_config *config)
{
    struct http_server *hs = mem_new(sizeof(*hs));
    struct http_config *c = &hs->config;
    *c = *config;
    c->head_bytes_max = or_default(c->head_bytes_max, 32 << 10);
    c->target_bytes_max = or_default(c->target_bytes_max, 16 << 10);
    c->headers_max = or_default(c->headers_max, 100);
    c->body_bytes_max = or_default(c->body_bytes_max, 1 << 20);
    c->head_ms_max = or_default(c->head_ms_max, 10000);
    c->body_ms_max = or_default(c->body_ms_max, 30000);
    c->keepalive_ms = or_default(c->keepalive_ms, 75000);
    c->origins = copy_list(&hs->boot, config->origins, config->origins_count);
    c->trusted_proxies =
        copy_list(&hs->boot, config->trusted_proxies, config->trusted_proxies_count);
    hs->limits = (struct http1_limits){.head_bytes_max = c->head_bytes_max,
                                       .target_bytes_max = c->target_bytes_max,
                                       .headers_max = c->headers_max};
    read_proxies(hs);
    return hs;
}

struct http_loop *http_loop_of(struct http_server *hs, struct loop *l)
{
    unsigned index = loop_index(l);
    CHECK(index < LOOPS_MAX);
    struct http_loop *home = hs->loops[index];
    if (home)
        return home;
    home = mem_new(sizeof(*home));
    home->loop = l;
    home->server = hs;
    list_init(&home->conns);
    home->room = mem_new(hs->config.headers_max * sizeof(home->room[0]));
    hs->loops[index] = home; /* each loop writes only its own place */
    return home;
}

struct str http_date(struct http_loop *home)
{
    uint64_t now_s = loop_wall_ms(home->loop) / 1000;
    if (now_s != home->date_s) {
        struct buf b = {.p = home->date, .capacity = sizeof(home->date), .max = sizeof(home->date)};
        http1_add_date(&b, (int64_t)now_s);
        home->date_n = b.n;
        home->date_s = now_s;
    }
    return str_of(home->date, home->date_n);
}

void http_accept(struct http_server *hs, struct sock *s)
{
    conn_begin(hs, s);
}

void http_server_drain(struct http_server *hs, struct loop *l)
{
    struct http_loop *home = http_loop_of(hs, l);
    home->draining = true;
    struct list *link = home->conns.next;
    while (link != &home->conns) {
        struct list *next = link->next;
        conn_close_idle(LIST_OF(link, struct http_conn, link));
        link = next;
    }
}

static void loop_state_free(struct http_loop **home)
{
    struct http_loop *h = *home;
    *home = NULL;
    if (!h)
        return;
    CHECK(list_is_empty(&h->conns)); /* the loops have been run to their end */
    exchange_free_spares(h);
    deflate_writer_free(&h->gzip);
    buf_free(&h->head);
    buf_free(&h->packed);
    mem_free(h->room);
    mem_free(h);
}

void http_server_free(struct http_server **server)
{
    struct http_server *hs = *server;
    *server = NULL;
    if (!hs)
        return;
    for (unsigned i = 0; i < LOOPS_MAX; i++)
        loop_state_free(&hs->loops[i]);
    map_free(&hs->exact);
    map_free(&hs->files);
    mem_free(hs->prefix);
    arena_free(&hs->boot);
    mem_free(hs);
}
