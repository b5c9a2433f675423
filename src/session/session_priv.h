/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the session room share. */
#ifndef SESSION_SESSION_PRIV_H
#define SESSION_SESSION_PRIV_H

#include "base/map.h"
#include "base/table.h"
#include "base/tally.h"
#include "session/session.h"

enum session_state { SESSION_OPEN, SESSION_DETACHED, SESSION_ENDED };

/* One message on its way to the client (position.c). */
struct delivered {
    uint64_t end; /* stream position after its last byte */
    uint64_t offset;
    struct session_sub *sub; /* NULL: unsubscribed meanwhile */
};
struct position_log {
    struct delivered *ring;
    uint32_t head, count, capacity;
    struct delivered last; /* the newest that was confirmed and left the ring */
    uint64_t stream;       /* bytes handed over, where the outlet has no sock */
};

/* A subscription while there is no connection; of a table, always. */
struct parked_sub {
    struct position at; /* where it goes on */
    uint64_t delivered; /* newest offset that was handed to the old connection */
    bool wants_presence, no_messages;
    uint8_t kind;
    size_t name_n;
    char name[];
};

struct tracked {
    struct list link;
    size_t channel_n, key_n;
    char text[]; /* channel, key */
};

struct session_home;

/* What only some sessions need (session_need), from then on. */
struct session_extra {
    struct session *session;
    struct timer timer;                       /* stands for whatever is due next */
    uint64_t resume_until_ms, lease_until_ms; /* while detached; 0 = not waiting */
    uint64_t token_until_ms;                  /* while needs_token */
    uint64_t ask_ms;                          /* when to ask for the client's word; 0 = no */
    uint64_t look_ms; /* the peer's word is missing for more to be sent: look again; 0 = no */
    uint64_t identity_until_ms; /* limits.c */
    struct outlet *counted_on;  /* limits.c */
    uint64_t echo_as;           /* the one whose place it took; 0 = itself */
    struct list tracked;
    uint16_t tracked_count;
};

/* 144 bytes with the allocator's head: most of a server's sessions only listen. */
struct session {
    uint64_t id;
    struct session_home *home;
    const struct session_ops *ops;
    struct outlet *outlet;
    struct identity *identity;
    void *user;
    struct session_sub *last_sub; /* a ring: its next is the first; NULL = none */
    struct position_log *log;
    struct session_extra *extra;
    struct session *next;   /* of the same ticket (resume.c), or in the graveyard */
    uint64_t paid_until_ns; /* the rate: each message moves it on by its price */
    uint32_t resume_ms;     /* 0 = as configured */
    uint8_t state;
    bool keeps_positions : 1, exact_frames : 1, names_place : 1, is_warned : 1, needs_token : 1;
    bool is_told : 1, has_ticket : 1;
    bool is_asked : 1; /* for its word, and it has not answered yet */
    char ticket[SESSION_TICKET_SIZE];
    char name[16];
};

/* Of one loop. */
struct session_home {
    struct loop *loop;
    const struct session_config *config;
    struct auth *auth;
    struct rules *rules;
    struct policy *policy;
    void (*monitor)(const struct session *s, const char *what, int err);
    struct tally *users; /* of all loops; NULL = no limit by identity */
    struct table by_id;
    struct table tickets; /* the first session of each */
    struct map signposts; /* tickets of this loop whose session is away (fetch.c) */
    bool is_over;         /* teardown: there is nobody left to tell */
    struct session *graveyard;
    struct session_sub *graveyard_subs;
    struct turn_task free_task;
    struct buf scratch;
};
struct session_home *session_home_of(struct loop *l);

static inline struct str sub_ref(const struct session_sub *ss)
{
    return ss->ref ? str_of(ss->ref->text, ss->ref->n) : STR_NONE;
}

static inline void session_tell(const struct session *s, const char *what, int err)
{
    if (s->home->monitor)
        s->home->monitor(s, what, err);
}

/* limits.c: false when this identity has too many connections. NULL outlet: not counted. */
bool limits_enter(struct session *s, struct outlet *o, struct identity *id);
void limits_leave(struct session *s);
/* A message: takes from the user's bucket. */
void limits_spend(struct session *s);
uint64_t limits_hold_ms(const struct session *s);

/* authorize.c: asks the rules (and the policy) for each op of the request; then runs
 * request_perform or answers with the error. */
void authorize_request(struct session *s, const struct request *r);
/* request.c */
void request_perform(struct session *s, const struct request *r);
void request_refuse(struct session *s, const struct request *r, int err, const char *detail);

/* The state of who is there for one that has missed a change. */
void request_refresh_presence(struct session *s, struct session_sub *ss);

/* deliver.c */
/* A client that does not read: nothing large is made for it now. */
bool deliver_is_full(const struct session *s);
/* ... but the state of presence of this subscription when it has read. */
void deliver_when_drained(struct session *s, struct session_sub *ss);
/* ... or there was no memory for something: session_drained comes in a while. */
void deliver_look_again(struct session *s);
/* One message for this one alone. False when it can take no more now; session_drained follows. */
bool deliver_message(struct session *s, struct session_sub *ss, struct msg *m);
extern const struct subscription_ops deliver_ops;

/* subtable.c: channels that are tables */
bool subtable_is_meant(const struct request *r);
void subtable_open(struct session_sub *ss, const struct request *r);
void subtable_drained(struct session_sub *ss);
void subtable_identify(struct session_sub *ss);
void subtable_park(struct session_sub *ss);
void subtable_resume(struct session_sub *ss);
void subtable_free(struct session_sub *ss);

/* position.c */
/* An entry with offset 0 says that the log began anew: what stands before it is of another. */
#define POSITION_RESET UINT64_MAX
bool position_note(struct session *s, struct session_sub *ss, uint64_t end, uint64_t offset);
bool position_has_room(struct session *s, size_t count);
void position_forget(struct session *s, const struct session_sub *ss);
void position_fold(struct session *s, uint64_t acked);
/* What the peer's kernel has acknowledged leaves the ring, if it is the client's. */
void position_fold_acked(struct session *s);
uint64_t position_of(const struct session *s, const struct session_sub *ss, uint64_t delivered);
void position_free(struct session *s);
uint64_t position_stream(const struct session *s);
/* Bytes were handed over. */
void position_advance(struct session *s, size_t n);

/* Asks the client for its word if it is time to. */
void position_ask(struct session *s);

/* session.c: the client is asked in so long at the latest, unless it is being asked. */
void session_ask_in(struct session *s, uint64_t ms);

/* place.c: a run of messages goes to this subscription alone, from sub.offset on. */
void place_begin_run(struct session_sub *ss, bool is_begin);
void place_end_run(struct session_sub *ss, uint64_t to);
void place_forget(struct session_sub *ss);

/* resume.c */
struct str resume_ticket_of(const void *session); /* key of home->tickets */
/* The answer to a subscription that was parked before it came. */
void resume_learn(struct session_sub *ss, const struct hub_subscribed *answer);
void resume_take_up(struct session *s, struct session_sub *ss);
struct parked_sub *resume_parked_new(struct session_sub *ss, struct str name);
void resume_free_parked(struct session_sub *ss);
/* Where the client is until it has got that answer. */
void resume_keep_asked(struct session_sub *ss, const struct hub_subscribed *answer);
/* The first session of that ticket on this loop; the others follow by `next`. */
struct session *resume_ticket_first(const struct session_home *home, struct str ticket);
/* Out of its ticket's row; false when it has none. */
bool resume_ticket_unlink(struct session *s);
/* ... for good. */
void resume_ticket_leave(struct session *s);

/* fetch.c */
/* The last session of a ticket has ended on this loop; its home should know. */
void fetch_tell_gone(struct loop *l, struct str ticket);
bool fetch_is_away(const struct session_home *home, struct str ticket);
/* It is here again. */
void fetch_drop_signpost(struct session_home *home, struct str ticket);
void fetch_signposts_free(struct session_home *home);

/* session.c */
struct session_extra *session_need(struct session *s);
struct session_sub *session_sub_new(struct session *s);
void session_sub_drop(struct session *s, struct session_sub *ss);
void session_sub_to_end(struct session *s, struct session_sub *ss);
/* Into and out of a loop's tables, with all that it has. */
void session_enlist(struct session_home *home, struct session *s);
void session_delist(struct session *s);
void session_watch(struct session *s); /* sets the timer to what is due next */
void session_untrack_all(struct session *s, uint64_t grace_ms);

#endif
