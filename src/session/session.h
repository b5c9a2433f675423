/* SPDX-License-Identifier: Apache-2.0 */
/* One client from inside, whatever it speaks. A session outlives its connection: it holds the
 * identity, the subscriptions and what it tracks, and waits to be taken up again.
 *
 *   transport --bytes--> protocol --struct request--> session_request (the gate) --> hub
 *   hub --struct answer, messages--> session --session_ops, outlet--> protocol, transport
 *
 * The gate is the only way to the hub for clients: state, limits, rules, then the deed. Every
 * request gets exactly one answer, through session_ops.answer (perhaps before session_request
 * returns), unless the session has ended meanwhile.
 *
 * States:
 *            session_open                   session_end, expiry, resume_ms over
 *   (none) ---------------> OPEN -------------------------------------------> ENDED
 *                           |  ^                                                ^
 *            session_detach |  | session_attach                                 |
 *                           v  |                                                |
 *                         DETACHED ---------------------------------------------'
 *
 * OPEN: outlet is set, subscriptions stand in the hub. DETACHED: no outlet; subscriptions are
 * parked as names and positions; presence stays for its lease. ENDED: all is given back; the
 * memory goes at the end of the turn, after session_ops.ended.
 *
 * A session belongs to one loop. Across loops it is named by its id or its ticket. */
#ifndef SESSION_SESSION_H
#define SESSION_SESSION_H

#include "auth/auth.h"
#include "auth/policy.h"
#include "hub/hub.h"
#include "loop/timer.h"
#include "session/outlet.h"

struct session;

struct session_config {
    uint64_t resume_ms;         /* a detached session waits */
    uint64_t presence_lease_ms; /* ... and is shown as present */
    uint64_t presence_grace_ms; /* after an orderly goodbye, so that a reload is no flapping */
    uint64_t expiring_ms;       /* notice before a token expires */
    uint64_t token_ms;          /* a session that needs a token must get one within */
    size_t send_bytes_max;      /* unsent bytes after which a reader is slow */
    size_t subscriptions_max;   /* per session */
    size_t tracked_max;         /* presence entries per session */
    size_t payload_bytes_max;   /* content of a message */
    size_t meta_bytes_max;      /* presence meta */
    size_t channel_bytes_max;   /* name of a channel */
    size_t sessions_max;        /* of the process, detached ones included */
    size_t connections_per_identity_max;   /* of the process, by `sub`; 0 = no limit */
    unsigned identity_messages_per_second; /* of all a user's sessions; 0 = no limit */
    unsigned messages_per_second;          /* per session; 0 = no limit */
    unsigned messages_burst;
    size_t positions_max; /* remembered deliveries that are not acknowledged yet */
    struct str default_channel;
};

/* State of all loops; before they run. The counted things are shared, references are taken. */
void session_setup(struct loops *ls, const struct session_config *config, struct keyring *keys,
                   struct rules *rules, struct policy *policy);
void session_teardown(struct loops *ls);
/* On that loop: new keys and rules for what happens from now on. */
void session_reload(struct loop *l, struct keyring *keys, struct rules *rules);
const struct session_config *session_config_of(struct loop *l);
struct auth *session_auth(struct loop *l);
/* Verifies a token for this loop; as auth_verify. Counts failures. */
int session_verify(struct loop *l, struct str token, struct identity **out,
                   struct auth_verdict *verdict);

/* ---- requests and answers ------------------------------------------------------------ */
enum request_type {
    REQUEST_SUBSCRIBE,
    REQUEST_UNSUBSCRIBE,
    REQUEST_PUBLISH,
    REQUEST_TRACK,
    REQUEST_UNTRACK,
    REQUEST_PRESENCE, /* ask for the state */
    REQUEST_HISTORY,
};
/* All text is borrowed for the call. */
struct request {
    enum request_type type;
    struct str channel; /* empty: the default rule (last subscribed, else the default channel) */
    struct str ref;     /* opaque, comes back in the answer */
    /* subscribe */
    struct subscribe_options since;
    bool presence;          /* tell who comes and goes */
    bool presence_optional; /* ... if allowed; else silently not */
    bool resumes; /* since is where this client was: what it missed is not what was before it */
    bool no_messages;
    bool tables;   /* the dialect knows channels that are tables (subtable.c) */
    bool takes_up; /* session_attach asks again for what was granted before */
    enum encoding_kind kind;
    /* publish: content, event, id, key, format, flags; the gate fills in channel and sender */
    struct msg_fields message;
    bool wants_answer;        /* also when all is well */
    bool wants_echo;          /* whatever the channel's setting says */
    size_t payload_bytes_max; /* the dialect's own in place of the general one; 0 = none */
    bool trusted;             /* the server's own program asks: rules and rate do not apply */
    bool is_charged;          /* what the client said was charged already (session_charge) */
    /* track, untrack: key empty = the identity's sub, else the session's name */
    struct str key, meta;
    /* history */
    uint64_t before, after;
    size_t limit;
    bool counts_subscribers;
};

/* A request's ref, while it is being answered. */
struct kept_ref {
    size_t n;
    char text[];
};
struct session_sub {
    struct subscription sub;  /* first: the hub gives it back */
    struct session_sub *next; /* a ring in order of subscribing; in the graveyard: the next one */
    struct session *session;
    struct parked_sub *parked; /* while detached: name and position */
    struct subtable *table;    /* of a table */
    struct kept_ref *ref;      /* NULL: none */
    struct sub_order *order;   /* place.c */
    bool keeps_asked : 1;      /* parked holds although the hub has answered: not told yet */
    bool taken_up : 1;         /* an attach went on with it, and nobody has said since when */
    bool is_resume : 1;        /* asked by an attach, not by a request */
    bool trusted : 1;          /* the server's own program asked for it */
    bool presence_stale : 1; /* an update could not be sent: the state follows when there is room */
};
/* Works in any state. */
struct str session_sub_channel(const struct session_sub *ss);

struct answer {
    enum request_type type;
    int err;            /* 0 or E_* */
    const char *detail; /* which field or limit, or NULL */
    struct str channel, ref;
    struct session_sub *sub;                 /* subscribe */
    const struct hub_subscribed *subscribed; /* subscribe; missed messages follow by themselves */
    bool is_resume;                          /* subscribe: of a session that was attached again */
    bool is_repeat;                          /* subscribe: it was subscribed already */
    const struct hub_publish *published;     /* publish */
    struct str id;                           /* publish: the client's */
    const struct hub_query *query;           /* presence, history */
};

/* The dialect's words. Filled by protocol (and by api for the HTTP endpoint). */
struct session_ops {
    const char *name;
    void (*answer)(struct session *s, const struct answer *a);
    /* One message for a subscription of ENC_NONE. */
    void (*message)(struct session *s, struct session_sub *ss, struct msg *m);
    /* A presence change for ENC_NONE; others get the encoding's bytes. May be NULL. */
    void (*presence)(struct session *s, struct session_sub *ss, const struct presence_update *u);
    /* After the missed messages of a subscribe (or catch-up) were sent. May be NULL. */
    void (*caught_up)(struct session *s, struct session_sub *ss);
    /* A gap met while catching up (slow reader). */
    void (*gap)(struct session *s, struct session_sub *ss, uint64_t from, uint64_t to);
    /* The subscription is going (unsubscribe, end): free user. May be NULL. */
    void (*unsubscribed)(struct session *s, struct session_sub *ss);
    void (*expiring)(struct session *s, uint64_t in_ms);
    /* The token has expired: say so; the session closes the outlet unless it returns true. */
    bool (*expired)(struct session *s);
    /* The server goes away: tell the client to come back in in_ms. */
    void (*reconnect)(struct session *s, uint64_t in_ms);
    /* For messages with `except` or `with`. NULL = wanted. */
    bool (*wants)(const struct session *s, const struct session_sub *ss, const struct msg *m);
    /* Detached, about to be taken up or to leave for another loop: session_place_* by the text
     * that the client gave. False: it cannot go on from there. May be NULL. */
    bool (*place)(struct session *s, struct str place);
    /* Last call: the protocol's own record goes. */
    void (*ended)(struct session *s, int err);
};

/* ---- life ---------------------------------------------------------------------------- */
struct session_open {
    const struct session_ops *ops;
    struct outlet *outlet;     /* NULL: none (the HTTP endpoint) */
    struct identity *identity; /* the session takes a reference of its own */
    void *user;                /* the protocol's record */
    bool needs_token;          /* nothing is allowed before session_authenticate */
    bool keeps_positions;      /* the dialect has no position of its own: note what was delivered */
    bool exact_frames;         /* ... and the outlet's sock speaks of the client's kernel */
    bool names_place;          /* the client names the last message it got (session_place_find) */
    uint64_t resume_ms;        /* a detached one waits so long; 0 = as configured */
    uint64_t echo_as; /* session_echo of one whose place it takes: what that one said is its own */
};
/* NULL when sessions_max is reached. */
struct session *session_open(struct loop *l, const struct session_open *o);
/* The connection is lost: wait for the client to come back (resume_ms 0: ends). The outlet's
 * sock is still readable (sock_acked). */
void session_detach(struct session *s, int err);
/* A new connection for a detached session. identity replaces the old one if it is for the same
 * sub; E_ACCESS_DENIED otherwise. Subscriptions come back by themselves, where they are granted
 * still: each gets an answer with is_resume (perhaps before the call returns). Correct positions
 * before (session_set_position, session_rewind_to). */
int session_attach(struct session *s, struct outlet *outlet, struct identity *identity);
/* For good. leave_now: presence goes without grace. */
void session_end(struct session *s, int err, bool leave_now);

/* A ticket names the group of sessions of one browser; a session is in at most one group. It is
 * a secret: only the server makes one. */
enum { SESSION_TICKET_SIZE = 26 };
void session_ticket_new(struct loop *l, char out[SESSION_TICKET_SIZE + 1]);
/* Is there a group of that ticket on this loop? */
bool session_ticket_known(struct loop *l, struct str ticket);
/* The ticket must come from session_ticket_new or be known. */
void session_ticket_join(struct session *s, struct str ticket);
struct str session_ticket(const struct session *s);
/* The loop where the ticket's sessions live, or NULL for text that is no ticket. */
struct loop *session_ticket_loop(struct loop *l, struct str ticket);
/* A detached session of that ticket for this identity and dialect, longest waiting first (with a
 * name: that one and no other); NULL
 * if none. */
struct session *session_ticket_claim(struct loop *l, struct str ticket, struct str name,
                                     const struct session_ops *ops,
                                     const struct identity *identity);
/* For dialects that ask for each channel anew when they come back, in a session of its own: a
 * detached session of that ticket, dialect and user (or of nobody) that listens to the channel.
 * It goes on waiting: its place (session_sub_position, session_echo) may be taken over by a
 * request with `resumes`, and when that was granted session_retire lets it go. */
struct session *session_ticket_find(struct loop *l, struct str ticket,
                                    const struct session_ops *ops, const struct identity *identity,
                                    struct str channel);
/* Its place was taken: it ends. What it tracks stays for the rest of its lease, for the one that
 * tracks the key again. */
void session_retire(struct session *s);
/* The same, wherever in the process the session lives, and also while its old connection seems
 * alive: that one is closed. The only session of its ticket, for dialects where a ticket is of
 * one client; it comes to loop l, with all that is its own. `place` goes to ops->place on the
 * loop where it lived. */
struct session_fetch {
    struct mail mail;
    struct loop *home;
    const struct session_ops *ops;
    struct identity *identity;             /* the asker's, held until done */
    struct str ticket, place;              /* the asker's bytes, held until done */
    void (*done)(struct session_fetch *f); /* once, on home; perhaps before the call returns */
    struct session *session; /* detached, on home; NULL: there is none for this identity */
};
void session_fetch(struct loop *l, struct session_fetch *f);
/* Attached sessions of that ticket (tabs, or a connection that is dead and does not know it), one
 * for each connection. */
size_t session_ticket_attached(struct loop *l, struct str ticket, struct str name,
                               const struct session_ops *ops, struct session **out, size_t max);

/* ---- asking and telling --------------------------------------------------------------- */
void session_request(struct session *s, const struct request *r);
/* A fresh token in-band: 0, or the old identity stays and E_*. Same sub only. */
int session_authenticate(struct session *s, struct str token, struct auth_verdict *verdict);
/* Who it is from now on, by a token that the dialect has verified, and perhaps somebody else. What
 * it listens to is not asked again: repeat the subscribe, the answer says if it is still granted.
 */
void session_set_identity(struct session *s, struct identity *identity);
/* The outlet has room again. */
void session_drained(struct session *s);
/* The client has read all up to that position of the outlet's sock. */
void session_confirm(struct session *s, uint64_t position);
/* Something that is no request costs the client as much as one (an error, a ping, a token). */
void session_charge(struct session *s);
/* Milliseconds for which this client's input should wait (its rate is used up); 0 = none. */
uint64_t session_hold_ms(struct session *s);

uint64_t session_id(const struct session *s);
/* Names it as the sender of what must not come back to it. */
uint64_t session_echo(const struct session *s);
/* Public, not secret. */
struct str session_name(const struct session *s);
struct loop *session_loop(const struct session *s);
struct identity *session_identity(const struct session *s);
struct outlet *session_outlet(const struct session *s);
const struct session_ops *session_dialect(const struct session *s);
void *session_user(const struct session *s);
void session_set_user(struct session *s, void *user);
/* Another way for the same open session (a transport that was upgraded, output held back). */
void session_set_outlet(struct session *s, struct outlet *outlet);
/* By its public name, on this loop; NULL when there is none. */
struct session *session_find_name(struct loop *l, struct str name);
/* The server itself publishes: no session, no rules. f->channel must be set. */
int session_publish(struct loop *l, const struct msg_fields *f);
bool session_is_open(const struct session *s);
bool session_is_detached(const struct session *s);
struct session_sub *session_sub_find(struct session *s, struct str channel);
struct session_sub *session_sub_first(struct session *s);
struct session_sub *session_sub_next(struct session *s, struct session_sub *ss);
struct session_sub *session_sub_last(struct session *s);
size_t session_subs_count(const struct session *s);
void session_unsubscribe(struct session *s, struct session_sub *ss);
/* Works in any state. */
enum encoding_kind session_sub_kind(const struct session_sub *ss);
void session_set_kind(struct session *s, struct session_sub *ss, enum encoding_kind kind);
/* By id, on this loop; NULL when it is gone. */
struct session *session_find(struct loop *l, uint64_t id);
/* A drain: tells at most `most` sessions of this loop that have a connection, and have not been
 * told, to come back after a random time up to within_ms. Returns how many are left to tell. */
size_t session_drain(struct loop *l, size_t most, uint64_t within_ms);
size_t session_count(struct loop *l);
/* Runs for what happens to sessions of this loop ("open", "lost", "back", "end"), for operators
 * who watch; NULL ends it. */
void session_set_monitor(struct loop *l,
                         void (*fn)(const struct session *s, const char *what, int err));
void session_each(struct loop *l, void (*fn)(struct session *s, void *arg), void *arg);

/* Position of a detached (or detaching) session, corrected by what the client itself knows. */
void session_set_position(struct session_sub *ss, const struct position *at);
struct position session_sub_position(const struct session_sub *ss);
/* Deliveries in the order they were sent, newest last: for dialects whose client names the last
 * message it got. Rewinds each subscription to what stood before everything after that
 * message; false when it is not known. */
bool session_rewind_to(struct session *s, struct str channel, uint64_t offset);

/* Place of a client that names the last message it got, in all channels; the session is detached.
 * sequence: see hub.h; sub and offset are exact for the channel of that message (or NULL). */
struct session_place {
    uint64_t sequence;
    struct session_sub *sub;
    uint64_t offset;
};
/* False when the message was not sent on this session, or too long ago. */
bool session_place_find(struct session *s, struct str epoch, uint64_t offset,
                        struct session_place *out);
/* Was anything sent since it was opened, or attached? */
bool session_place_was_sent(struct session *s);
/* Each subscription goes on from there; false when that is not known any more. */
bool session_place_set(struct session *s, const struct session_place *place);

#endif
