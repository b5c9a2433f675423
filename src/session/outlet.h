/* SPDX-License-Identifier: Apache-2.0 */
/* Port: how a session's words leave. Owned here, filled by the transports. Embedded in the
 * transport's own record; the session only borrows it while attached. */
#ifndef SESSION_OUTLET_H
#define SESSION_OUTLET_H

#include "base/buf.h"
#include "base/err.h"
#include "loop/sock.h"

struct outlet;
struct identity;
struct outlet_ops {
    /* One message of the dialect; framing (WebSocket frame, chunk, packet) is the transport's. */
    void (*send)(struct outlet *o, struct str payload, bool is_binary);
    /* Ready framed bytes, shared; only asked for when o->sock is NULL. */
    void (*send_segment)(struct outlet *o, struct segment *g, size_t start, size_t n);
    /* As send_segment, private bytes. */
    void (*send_framed)(struct outlet *o, struct str bytes);
    /* Bytes that wait; only asked for when o->sock is NULL. */
    size_t (*unsent)(const struct outlet *o);
    /* Would a message have to wait now? NULL: by what is unsent. */
    bool (*waits)(const struct outlet *o);
    /* Ends the connection with an error (E_*, 0 = normally). The session is told by
     * session_detach or session_end afterwards, or is already detached. */
    void (*close)(struct outlet *o, int err, struct str detail);
    /* Has the client been heard since then? If not, it is asked, and given up when it does not
     * answer within wait_ms. */
    bool (*is_alive)(struct outlet *o, uint64_t since_ms, uint64_t wait_ms);
    /* Asks the client for a receipt of all that was sent so far; it comes by protocol_on_receipt.
     * NULL: it has none to give. */
    void (*ask)(struct outlet *o);
};
struct outlet {
    const struct outlet_ops *ops;
    struct sock *sock; /* where framed bytes go straight; NULL: through the ops */
    /* limits.c: under whom the connection is counted, and for how many sessions. */
    struct identity *counted;
    unsigned counted_sessions;
    bool is_proxied; /* there is somebody between: what the kernel says is not the client's word */
    bool is_closing; /* outlet_close was called: nothing may follow its last word */
};

static inline void outlet_close(struct outlet *o, int err, struct str detail)
{
    o->is_closing = true;
    o->ops->close(o, err, detail);
}
/* What could not be made for want of memory must not be missed without a word: the connection
 * ends, and the client comes back for it. An empty one is none. */
static inline void outlet_send_made(struct outlet *o, const struct buf *b, bool is_binary)
{
    if (b->failed)
        outlet_close(o, E_NO_MEMORY, STR_NONE);
    else if (b->n)
        o->ops->send(o, buf_str(b), is_binary);
}
static inline void outlet_send_segment(struct outlet *o, struct segment *g, size_t start, size_t n)
{
    if (o->sock)
        sock_send_segment(o->sock, g, start, n);
    else
        o->ops->send_segment(o, g, start, n);
}
static inline void outlet_send_framed(struct outlet *o, struct str bytes)
{
    if (o->sock)
        sock_send(o->sock, bytes.p, bytes.n);
    else
        o->ops->send_framed(o, bytes);
}
static inline size_t outlet_unsent(const struct outlet *o)
{
    return o->sock ? sock_unsent(o->sock) : o->ops->unsent ? o->ops->unsent(o) : 0;
}
/* More than what one turn may have queued: the client is behind. */
enum { OUTLET_BEHIND = 16 << 10 };
static inline bool outlet_waits(const struct outlet *o)
{
    return o->ops->waits ? o->ops->waits(o) : outlet_unsent(o) >= OUTLET_BEHIND;
}

#endif
