/* SPDX-License-Identifier: Apache-2.0 */
/* Sockets by their ids, wherever they live: an errand walks from loop to loop. For one socket it
 * ends where it finds it. A session that follows its client to another loop is in no table for a
 * moment, but its mail goes ahead of ours if we leave the same loop after it; so who was not found
 * in one round is looked for in a second one. */
#include "protocol/socketio_priv.h"

#include "base/hash.h"
#include "base/mem.h"

/* ---- ids ---------------------------------------------------------------------------------- */

/* Clients and rooms expect 20 characters: the session's public name has 16, four more follow from
 * them, by which a room's name is known to be a sid. */
static void add_check(struct str name, char out[4])
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    uint64_t hash = hash_bytes(name.p, name.n, 3, 5);
    for (int i = 0; i < 4; i++, hash >>= 6)
        out[i] = digits[hash & 63];
}

struct str socketio_sid(const struct socketio_socket *s, char out[21])
{
    struct str name = s->session ? session_name(s->session) : STR("----------------");
    memcpy(out, name.p, 16);
    add_check(name, out + 16);
    out[20] = '\0';
    return str_of(out, 20);
}

bool socketio_is_sid(struct str room)
{
    char check[4];
    if (room.n != 20)
        return false;
    add_check(str_head(room, 16), check);
    return memcmp(check, room.p + 16, 4) == 0;
}

struct socketio_socket *socketio_find(struct loop *l, struct str sid)
{
    char own[21];
    struct session *session = socketio_is_sid(sid) ? session_find_name(l, sid) : NULL;
    struct socketio_socket *s =
        session && session_dialect(session) == &socketio_ops ? session_user(session) : NULL;
    return s && str_eq(socketio_sid(s, own), sid) ? s : NULL;
}

/* ---- errands ------------------------------------------------------------------------------ */

static void walk(struct loop *l, struct mail *mail)
{
    struct socketio_errand *e = (struct socketio_errand *)(void *)mail;
    struct loops *ls = loop_siblings(l);
    unsigned count = loops_count(ls), most = count > 1 && e->sid[0] ? 2 * count : count;
    bool is_over = !socketio_home_of(l); /* the server is being taken down */
    struct socketio_socket *s = e->sid[0] && !is_over ? socketio_find(l, str_of(e->sid, 20)) : NULL;
    bool is_last = s || ++e->visited >= most;
    if (is_last || !e->sid[0])
        e->fn(l, s, e, is_last);
    if (!is_last)
        loop_post(loops_at(ls, (loop_index(l) + 1) % count), &e->mail);
}

struct mail *socketio_errand(struct socketio_errand *e, struct str sid)
{
    e->mail.deliver = walk;
    e->visited = 0;
    if (sid.n == 20)
        memmove(e->sid, sid.p, 20);
    else
        e->sid[0] = '\0';
    return &e->mail;
}

static void collect(struct session *session, void *arg)
{
    const struct socketio_socket *s = session_user(session);
    char sid[21];
    if (session_dialect(session) == &socketio_ops && s->state != SOCKET_JOINING)
        buf_add_str(arg, socketio_sid(s, sid));
}

/* By their names: what is done to one may end others. */
void socketio_each(struct loop *l, void (*fn)(void *arg, struct socketio_socket *s), void *arg)
{
    struct buf sids = {0};
    if (socketio_home_of(l))
        session_each(l, collect, &sids);
    for (struct str rest = buf_str(&sids); rest.n >= 20; rest = str_skip(rest, 20)) {
        struct socketio_socket *s = socketio_find(l, str_head(rest, 20));
        if (s)
            fn(arg, s);
    }
    buf_free(&sids);
}

/* ---- events for one ----------------------------------------------------------------------- */

/* One errand at a time carries what a loop has for an id, and comes back for what has come
 * meanwhile: a later event cannot find a socket that moves before an earlier one has. */
struct told {
    struct list link;
    struct str nsp, event;
    struct socketio_content what;
    bool is_volatile;
    char text[];
};
struct line {
    struct socketio_errand errand; /* first */
    struct loop *home;
    struct list carried; /* the errand's, while it is under way */
    struct list waiting; /* the home loop's */
};

static struct str put(char **at, struct str s)
{
    char *p = *at;
    if (s.n)
        memcpy(p, s.p, s.n);
    *at += s.n;
    return str_of(p, s.n);
}

static struct told *copy(const struct socketio_broadcast *b)
{
    struct told *t =
        mem_new(sizeof(*t) + b->nsp.n + b->event.n + b->what.content.n + b->what.attachments.n);
    char *at = t->text;
    t->nsp = put(&at, b->nsp);
    t->event = put(&at, b->event);
    t->what.form = b->what.form;
    t->what.content = put(&at, b->what.content);
    t->what.attachments = put(&at, b->what.attachments);
    t->is_volatile = b->is_volatile;
    return t;
}

static void give(struct socketio_socket *s, struct str nsp, struct str event,
                 const struct socketio_content *what, bool is_volatile)
{
    if (s && str_eq(socketio_nsp(s), nsp))
        (void)socketio_emit(s, event, what, is_volatile);
}

/* To the socket, or to nobody. */
static void deliver(struct list *all, struct socketio_socket *s)
{
    struct list *link;
    while ((link = list_take(all))) {
        struct told *t = LIST_OF(link, struct told, link);
        give(s, t->nsp, t->event, &t->what, t->is_volatile);
        mem_free(t);
    }
}

static void on_arrived(struct loop *l, struct socketio_socket *s, struct socketio_errand *e,
                       bool is_last);

static void send_off(struct line *line)
{
    line->errand.fn = on_arrived;
    loop_post(line->home, socketio_errand(&line->errand, str_of(line->errand.sid, 20)));
}

static void on_back(struct loop *l, struct mail *mail)
{
    struct line *line = (struct line *)(void *)mail;
    struct socketio_home *home = socketio_home_of(l);
    if (home && !list_is_empty(&line->waiting)) {
        list_splice(&line->carried, &line->waiting);
        send_off(line);
        return;
    }
    if (home)
        map_remove(&home->lines, str_of(line->errand.sid, 20));
    deliver(&line->waiting, NULL);
    mem_free(line);
}

static void on_arrived(struct loop *l, struct socketio_socket *s, struct socketio_errand *e,
                       bool is_last)
{
    struct line *line = (struct line *)(void *)e;
    (void)l, (void)is_last;
    deliver(&line->carried, s);
    e->mail.deliver = on_back;
    loop_post(line->home, &e->mail);
}

void socketio_tell(const struct socketio_broadcast *b, struct str sid)
{
    struct socketio_home *home = socketio_home_of(b->loop);
    struct line *line = map_get(&home->lines, sid);
    struct socketio_socket *here = line ? NULL : socketio_find(b->loop, sid);
    if (here) {
        give(here, b->nsp, b->event, &b->what, b->is_volatile);
        return;
    }
    struct told *t = copy(b);
    if (line) {
        list_push(&line->waiting, &t->link);
        return;
    }
    line = mem_new(sizeof(*line));
    line->home = b->loop;
    list_init(&line->carried);
    list_init(&line->waiting);
    list_push(&line->carried, &t->link);
    memcpy(line->errand.sid, sid.p, 20);
    map_put(&home->lines, str_of(line->errand.sid, 20), line);
    send_off(line);
}
