/* SPDX-License-Identifier: Apache-2.0 */
/* TCP (and TLS, and Unix) connections as their owner sees them.
 *
 * Input: on_input gets what has arrived and returns how many bytes it used; the rest is kept
 * and shown again with more behind it. An idle connection holds no read buffer.
 * Output: a queue of ranges into counted segments (or of private copies). Nothing is written
 * until TURN_FLUSH, then all marked connections go out in one batch; what the kernel does not
 * take stays queued and leaves when the socket is writable again.
 * A range that begins where the last one ended extends it, so a burst is one send. */
#ifndef LOOP_SOCK_H
#define LOOP_SOCK_H

#include "loop/loop.h"

/* Framed bytes shared by many connections of one loop; appended to while it is the newest.
 * Counted per loop, not atomic: a segment never leaves its loop. */
struct segment {
    unsigned refs;
    uint32_t n;
    uint32_t capacity;
    uint8_t bytes[];
};
/* One reference for the caller; capacity is at least what was asked. NULL without memory. */
struct segment *segment_new(struct loop *l, size_t capacity);
void segment_ref(struct segment *g);
void segment_unref(struct segment **g);

struct sock;
struct sock_ops {
    /* Returns bytes used (0..n). Called again as soon as more arrives. */
    size_t (*on_input)(struct sock *s, uint8_t *bytes, size_t n);
    /* The peer finished its side (FIN); by default (NULL) the connection is closed. While
     * paused it is told at once, though bytes before the FIN may be unread (the peer may be
     * gone); then again when the stream has been read to its end. */
    void (*on_end)(struct sock *s);
    /* The queue was not empty after a flush (or sock_expect_drained was called) and now has
     * fallen below the low mark. */
    void (*on_drained)(struct sock *s);
    /* Last call for this sock, err = 0 or E_*; the owner must forget it. Never called from
     * inside sock_close/sock_abort, but in the TURN_FREE stage after it. */
    void (*on_close)(struct sock *s, int err);
};

void sock_set_owner(struct sock *s, const struct sock_ops *ops, void *owner);
void *sock_owner(const struct sock *s);
struct loop *sock_loop(const struct sock *s);

/* Takes a reference on the segment. Bytes [start, start + n) must be final. */
void sock_send_segment(struct sock *s, struct segment *g, size_t start, size_t n);
/* Copies (into a private segment that grows while unsent). */
void sock_send(struct sock *s, const void *bytes, size_t n);
/* The owner waits for room: on_drained comes also when the next flush leaves nothing. */
void sock_expect_drained(struct sock *s);
/* Bytes queued that the kernel has not taken. */
size_t sock_unsent(const struct sock *s);
/* True when everything given so far has been taken by the kernel. */
bool sock_is_drained(const struct sock *s);
/* Stream position: bytes given to sock_send* since the connection began. */
uint64_t sock_position(const struct sock *s);
/* Stream position up to which the peer's kernel has acknowledged (TCP_INFO), in the same
 * count as sock_position; also readable in on_close, after a reset. 0 when unknown. */
uint64_t sock_acked(struct sock *s);

/* Stops and starts reading (a request being answered, a peer that must wait). */
void sock_pause(struct sock *s);
void sock_resume(struct sock *s);
/* Sends what is queued, shuts our side and waits for the peer's, then closes; ends early after
 * linger_ms in which the peer took nothing. Input is ignored from now on. */
void sock_close(struct sock *s, uint64_t linger_ms);
/* Drops what is queued and resets. */
void sock_abort(struct sock *s, int err);
bool sock_is_closing(const struct sock *s);

/* "127.0.0.1:1234", "[::1]:1234" or "unix"; valid as long as the sock, or until it is forgotten. */
struct str sock_peer(const struct sock *s);
/* The text is not needed in the near future (it is made anew when it is). */
void sock_forget_peer(struct sock *s);
/* Only the address, without port, as key for limits per address. */
struct str sock_peer_address(const struct sock *s);
bool sock_is_tls(const struct sock *s);
/* Counts the connection under its peer's address (of IPv6 the /64, which is one subscriber's)
 * until it is gone, wherever it is moved. False: that address has `max` already. Unix peers are
 * not counted. The tally outlives the loops. */
struct tally;
bool sock_tally(struct sock *s, struct tally *tally, size_t max);

/* Hands an open connection to another loop, with bytes read but not used (copied) put in
 * front of its input. The old sock is dead for its owner (no on_close is called); `arrived`
 * runs on the target loop with the new one and must set an owner. */
void sock_move(struct sock *s, struct loop *to, struct str unused,
               void (*arrived)(struct sock *s, void *arg), void *arg);

struct tls_context;
struct sock_listener;
struct sock_listen_config {
    struct str address;      /* "127.0.0.1:8787", ":8787", "[::1]:80", "unix:/path" */
    struct tls_context *tls; /* NULL = plain; borrowed */
    unsigned backlog;        /* 0 = 4096 */
    size_t connections_max;  /* of this listener and loop; 0 = no limit */
    /* Sent to a connection that is closed at once for lack of room (plain listeners only;
     * borrowed as long as the listener). */
    struct str busy_answer;
    /* A listening descriptor that was handed to the process (a service manager's socket):
     * accept there instead of binding; `address` then only names it. 0 = none. Taken. */
    int inherited_fd;
    unsigned unix_mode; /* of a Unix socket's file, for example 0660; 0 = as umask says */
    bool exclusive;     /* fail when somebody else listens there (else the port is shared) */
    uint64_t tls_handshake_ms;
    /* Runs for each new connection (after the TLS handshake); must set an owner. */
    void (*on_accept)(struct sock *s, void *arg);
    void *arg;
};
/* One listener per loop on the same address (SO_REUSEPORT). NULL and *err text on failure.
 * A Unix socket is served by loop 0 alone: the listeners of the other loops stay silent. */
struct sock_listener *sock_listen(struct loop *l, const struct sock_listen_config *config,
                                  char *err, size_t err_size);
/* The port that was bound (for ":0"). */
unsigned sock_listener_port(const struct sock_listener *ls);
/* Stops accepting; open connections go on. */
void sock_listener_close(struct sock_listener **ls);

/* Outgoing connection (brokers, tests, bench): `ready` runs with err 0 and an open sock, or
 * with E_* and NULL. host is an IP address or a name (resolved on a worker). */
void sock_connect(struct loop *l, const char *host, unsigned port,
                  void (*ready)(struct sock *s, int err, void *arg), void *arg);

/* Server certificates, TLS 1.2+, ALPN http/1.1. NULL and text on failure. Reload replaces the
 * certificate for new handshakes; on failure the old one stays. Thread-safe after creation. */
struct tls_context *tls_context_new(const char *cert_file, const char *key_file, char *err,
                                    size_t err_size);
bool tls_context_reload(struct tls_context *t, char *err, size_t err_size);
void tls_context_free(struct tls_context **t);

/* Which flush is in use: "io_uring" or "writev"; TIDEWIRE_FLUSH=writev forces the latter. */
const char *flush_backend(const struct loop *l);

#endif
