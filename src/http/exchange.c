/* SPDX-License-Identifier: Apache-2.0 */
/* One request and its answer. The head is parsed in the receive buffer with header room that the
 * loop lends, then copied once into the exchange's arena, because the answer may come later.
 * A few finished exchanges are kept per loop. */
#include "http/http_priv.h"
#include "base/err.h"
#include "base/mem.h"
#include "wire/url.h"

enum { BODY_KEEP = 4096 };

struct exchange *exchange_new(struct http_conn *c)
{
    struct http_loop *home = c->home;
    struct exchange *x = home->spare;
    if (x) {
        home->spare = x->next;
        home->spare_count--;
    } else {
        x = mem_new(sizeof(*x));
    }
    x->conn = c;
    x->home = home;
    x->next = NULL;
    http1_head_init(&x->head, home->room, home->server->config.headers_max);
    return x;
}

static void release(struct exchange *x)
{
    arena_free(&x->arena);
    buf_free(&x->body);
    buf_free(&x->headers);
    mem_free(x);
}

void exchange_free(struct exchange **exchange)
{
    struct exchange *x = *exchange;
    *exchange = NULL;
    if (!x)
        return;
    struct http_loop *home = x->home;
    loop_turn_task_drop(&x->task);
    if (home->spare_count >= SPARE_MAX || x->body.capacity > BODY_KEEP) {
        release(x);
        return;
    }
    struct arena arena = x->arena;
    struct buf body = x->body, headers = x->headers;
    arena_reset(&arena);
    buf_clear(&body);
    buf_clear(&headers);
    memset(x, 0, sizeof(*x));
    x->arena = arena;
    x->body = body;
    x->headers = headers;
    x->next = home->spare;
    home->spare = x;
    home->spare_count++;
}

static void on_turn_end(struct loop *l, struct turn_task *task)
{
    struct exchange *x = LIST_OF(task, struct exchange, task);
    (void)l;
    exchange_free(&x);
}

/* The caller of the answer may still be looking at the request. */
void exchange_free_later(struct exchange *x)
{
    x->task.run = on_turn_end;
    loop_at_turn_end(x->home->loop, TURN_FREE, &x->task);
}

void exchange_free_spares(struct http_loop *home)
{
    while (home->spare) {
        struct exchange *x = home->spare;
        home->spare = x->next;
        release(x);
    }
    home->spare_count = 0;
}

bool exchange_own_room(struct exchange *x)
{
    size_t max = x->home->server->config.headers_max;
    if (x->own_room)
        return true;
    struct http1_header *room = arena_alloc(&x->arena, max * sizeof(*room));
    if (!room)
        return false;
    memcpy(room, x->head.headers, x->head.headers_count * sizeof(*room));
    x->head.headers = room;
    x->own_room = true;
    return true;
}

struct shift {
    const char *from, *to;
    size_t n;
};

/* Views of other things (a literal "/") stay as they are. */
static void shift(struct str *s, const struct shift *by)
{
    if (s->p >= by->from && s->p <= by->from + by->n)
        s->p = by->to + (s->p - by->from);
}

static bool keep(struct exchange *x, struct str bytes)
{
    struct http1_head *h = &x->head;
    struct str copy = arena_dup(&x->arena, bytes);
    if (!copy.p)
        return false;
    struct shift by = {bytes.p, copy.p, bytes.n};
    struct http1_header *headers = h->headers;
    if (!x->own_room && h->headers_count > 0) {
        headers = arena_alloc(&x->arena, h->headers_count * sizeof(*headers));
        if (!headers)
            return false;
        memcpy(headers, h->headers, h->headers_count * sizeof(*headers));
    }
    for (size_t i = 0; i < h->headers_count; i++) {
        shift(&headers[i].name, &by);
        shift(&headers[i].value, &by);
    }
    h->headers = headers;
    shift(&h->method, &by);
    shift(&h->target, &by);
    shift(&h->path, &by);
    shift(&h->query, &by);
    shift(&h->host, &by);
    return true;
}

int exchange_take_head(struct exchange *x, struct str bytes)
{
    struct http1_head *h = &x->head;
    struct http_request *req = &x->req;
    if (!keep(x, bytes))
        return E_NO_MEMORY;
    req->conn = x->conn;
    req->loop = x->home->loop;
    req->method = route_method(h->method);
    req->method_text = h->method;
    req->target = h->target;
    req->path_raw = req->path = h->path;
    req->query = h->query;
    req->headers = h->headers;
    req->headers_count = h->headers_count;
    req->version_minor = h->version_minor;
    req->arena = &x->arena;
    x->close_after = !h->keep_alive;
    return url_decode(&x->arena, h->path, false, &req->path);
}
