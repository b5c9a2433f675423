/* SPDX-License-Identifier: Apache-2.0 */
/* Sockets by their ids, wherever they live: an errand walks from loop to loop. For one socket it
 * ends where it finds it. A session that follows its client to another loop is in no table for a
 * moment, but its mail goes ahead of ours if we leave the same loop after it; so who was not found
 * in one round is looked for in a second one. */
#include "protocol/socketio_priv.h"

#include "base/hash.h"

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
        memcpy(e->sid, sid.p, 20);
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
