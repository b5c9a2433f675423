/* SPDX-License-Identifier: Apache-2.0 */
/* A connection from inside. 128 bytes with the allocator's head for a plain idle one: what only
 * some need (TLS, timers, a second range, unused input, the peer's name) is allocated then.
 *
 *   HANDSHAKE --tls.c--> OPEN --sock_close--> FLUSHING --queue empty--> LINGERING
 *       |                 |                      |                          |
 *       '-----------------+--------- die --------+--------------------------+--> DEAD
 *
 *   HANDSHAKE  TLS is being agreed on; no owner yet
 *   OPEN       input goes to the owner
 *   FLUSHING   input is read and thrown away; the queue goes out
 *   LINGERING  our side is shut; input is thrown away until the peer's FIN or the deadline, so
 *              that no reset overtakes the last answer
 *   DEAD       in the graveyard; on_close and free in TURN_FREE */
#ifndef LOOP_SOCK_PRIV_H
#define LOOP_SOCK_PRIV_H

#include "loop/loop_priv.h"
#include "loop/sock.h"
#include <sys/socket.h>
#include <sys/uio.h>

enum sock_state { SOCK_HANDSHAKE, SOCK_OPEN, SOCK_FLUSHING, SOCK_LINGERING, SOCK_DEAD };

enum {
    OUT_LOW_BYTES = 16384,    /* on_drained when the queue falls below */
    OUT_IOV_MAX = 64,         /* ranges in one call */
    NOTSENT_LOWAT = 32768,    /* what the kernel may hold unsent for a stalled reader */
    CIPHER_BYTES_MAX = 65536, /* TLS: encrypted but not yet taken by the kernel */
    LINGER_DEFAULT_MS = 2000,
};

struct range {
    struct segment *g;
    uint32_t start, n;
};
struct range_ring {
    uint32_t first, count, capacity;
    struct range at[];
};
struct stash {
    uint32_t n, capacity;
    uint8_t bytes[];
};
struct tls;
/* A place in a tally that all loops share; it is the peer's, and moves with the connection. */
struct tallied {
    struct tally *tally; /* NULL: not counted */
    uint8_t key[8];
    uint8_t key_n;
};
struct sock_extra {
    struct sock *sock;
    struct timer timer;             /* handshake or linger deadline */
    uint64_t linger_ms, taken_seen; /* closing: progress since the last look? */
    struct tls *tls;
    char *peer;
    struct tallied tallied;
};

struct sock {
    struct watch watch;
    struct loop *loop;
    const struct sock_ops *ops;
    void *owner;
    enum sock_state state : 8;
    bool readable : 1; /* the kernel may have more for us */
    bool writable : 1; /* the kernel may take more */
    bool dirty : 1;    /* stands in loop->flush.dirty */
    bool paused : 1;
    bool replay : 1; /* the stash must be shown again */
    bool fin : 1;    /* the peer's FIN has reached us (perhaps behind unread bytes) */
    bool end_told : 1;
    bool full : 1;         /* a flush left something, or the owner waits: on_drained is owed */
    bool tail_private : 1; /* the last range's segment is ours alone: may be appended to */
    bool in_input : 1;     /* on_input is running: the stash is in its hands */
    bool brief : 1;        /* closing without linger: one attempt to write, then the end */
    bool moved : 1;        /* dead, but its descriptor lives on another loop */
    bool active : 1;       /* we connected: the kernel counts our SYN as acknowledged */
    bool eof : 1;          /* the peer's stream has been read to its end */
    bool queued : 1;       /* `link` stands among the readable or in the graveyard */
    bool is_ring : 1;      /* the queue is `more`, not `one` */
    int err;
    struct list link;  /* loop->socks, ->readable or ->graveyard */
    uint64_t position; /* bytes given */
    uint64_t taken;    /* bytes the kernel took */
    union {
        struct range one; /* the queue, while it is at most one range */
        struct range_ring *more;
    };
    struct stash *stash;
    struct sock_extra *extra;
    struct sock_listener *listener;
};

/* sock.c */
struct sock *sock_adopt(struct loop *l, int fd, enum sock_state state);
/* In the kernel's set of the loop; false = no memory there. */
bool sock_watch(struct sock *s);
void sock_set_state(struct sock *s, enum sock_state to);
void sock_die(struct sock *s, int err);
struct sock_extra *sock_need_extra(struct sock *s);
void sock_wake(struct sock *s); /* read again in the next turn */
/* After the kernel took something, or closing began: what follows from an empty queue. */
void sock_progress(struct sock *s);
bool sock_keep(struct sock *s, const uint8_t *rest, size_t n);

/* sock_in.c */
void sock_on_ready(struct loop *l, struct watch *w, unsigned events);

/* sock_out.c */
/* What should go to the kernel next: plain ranges, or encrypted bytes. Returns the entries. */
size_t sock_out_gather(struct sock *s, struct iovec *iov, size_t max, size_t *bytes);
void sock_out_took(struct sock *s, size_t n);
bool sock_out_is_empty(const struct sock *s);
void sock_out_clear(struct sock *s);
size_t sock_out_plain(struct sock *s, struct iovec *iov, size_t max, size_t *bytes);
void sock_out_drop(struct sock *s, size_t n); /* from the front of the plain queue */
size_t sock_out_queued(const struct sock *s); /* plain bytes in the queue */
/* All queued plain bytes into one piece (sock_move). */
void sock_out_copy(struct sock *s, uint8_t *to);

/* flush.c */
void flush_mark(struct sock *s);
void flush_forget(struct sock *s);
/* ring.c: as many of the marked as it likes; false when the kernel refuses the ring. */
bool flush_ring_run(struct loop *l, struct sock **batch, size_t count);
bool flush_ring_open(struct ring **r);
void flush_ring_free(struct ring **r);
/* The outcome of one attempt to write: bytes taken, or -errno. */
void flush_result(struct sock *s, size_t offered, long result);

/* address.c */
bool address_parse(struct str text, struct sockaddr_storage *out, socklen_t *n, char *err,
                   size_t err_size);
char *address_text(const struct sockaddr_storage *a); /* caller owns */

/* listen.c */
uint64_t listen_handshake_ms(const struct sock_listener *ls);
void listen_sock_gone(struct sock_listener **ls);
void listen_accepted(struct sock *s); /* handshake done: to the owner */

/* tls.c */
bool tls_begin(struct sock *s, struct tls_context *context);
/* Decrypts into out (room for all of it); 0.. = plain bytes, < 0 = broken. */
long tls_read(struct sock *s, const uint8_t *cipher, size_t n, uint8_t *out, size_t room);
/* Encrypts queued bytes while the outgoing buffer has room. */
void tls_pull(struct sock *s);
size_t tls_pending(const struct sock *s, struct iovec *iov);
void tls_took(struct sock *s, size_t n);
void tls_close_notify(struct sock *s);
uint64_t tls_acked(const struct tls *tls, uint64_t cipher_acked);
bool tls_ended(const struct sock *s);
bool tls_is_ready(const struct tls *t);
void tls_free(struct tls **tls);
static inline struct tls *tls_of(const struct sock *s)
{
    return s->extra ? s->extra->tls : NULL;
}

#endif
