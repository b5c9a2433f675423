/* SPDX-License-Identifier: Apache-2.0 */
/* The machine: one event loop per thread, nothing shared, mail between (mailbox.h).
 *
 * A turn of a loop goes:
 *   1. wait for readiness (libuv; connections stand in an epoll of our own that libuv watches,
 *      edge-triggered, so a connection costs no uv handle and no further epoll_ctl)
 *   2. read what is ready, bounded per connection; deliver mail; run due timers
 *   3. TURN_FANOUT tasks (hub: encode this turn's messages once, hand ranges to connections)
 *   4. TURN_FLUSH: one batch call writes all marked connections (flush.c)
 *   5. TURN_FREE tasks (what was closed in this turn is freed now, never inside a callback)
 * Mail to oneself is delivered in the same turn. The simulated twin in tests/sim implements
 * these same headers under a virtual clock; the linker chooses. */
#ifndef LOOP_LOOP_H
#define LOOP_LOOP_H

#include "base/arena.h"
#include "base/list.h"

struct loop;
struct loops;

/* Loops exist after loops_new and may be given work; loops_run drives loop 0 on the calling
 * thread and the others on threads of their own, until loops_stop (any thread, signal-safe). */
struct loops *loops_new(unsigned count);
unsigned loops_count(const struct loops *ls);
struct loop *loops_at(struct loops *ls, unsigned index);
void loops_run(struct loops *ls);
void loops_stop(struct loops *ls);
/* The same with loop 0 on a thread of its own: returns at once. loops_join waits until
 * loops_stop was called and all is over, as loops_run would have returned. */
void loops_start(struct loops *ls);
void loops_join(struct loops *ls);
/* Before loops_run returns, on its thread: every sock is closed (its on_close has run) and
 * every mail delivered. loops_free delivers what workers have posted since. */
void loops_free(struct loops **ls);
/* After the loops ran: delivers what is still in the mailboxes and ends every connection, so that
 * a room whose mail this is can be taken down next. */
void loops_settle(struct loops *ls);
/* Runs fn on loop 0 when the process gets that signal. Before loops_run. */
void loops_on_signal(struct loops *ls, int signum,
                     void (*fn)(struct loop *l, int signum, void *arg), void *arg);

unsigned loop_index(const struct loop *l);
struct loops *loop_siblings(struct loop *l);
/* The loop that the calling thread runs, or NULL. */
struct loop *loop_current(void);

/* One pointer per room and loop: how a room finds its state on this loop. */
enum loop_slot {
    LOOP_SLOT_SERVER,
    LOOP_SLOT_HTTP,
    LOOP_SLOT_HUB,
    LOOP_SLOT_SESSION,
    LOOP_SLOT_ENGINEIO,
    LOOP_SLOT_SOCKETIO,
    LOOP_SLOT_PHOENIX,
    LOOP_SLOT_TRANSPORT,
    LOOP_SLOT_API,
    LOOP_SLOT_DB,
    LOOP_SLOT_CLUSTER,
    LOOP_SLOT_EMBED,
    LOOP_SLOT_COUNT
};
void *loop_slot(const struct loop *l, enum loop_slot slot);
void loop_slot_set(struct loop *l, enum loop_slot slot, void *state);

/* Monotonic, cached once per turn phase. All timers and leases use it. */
uint64_t loop_now_ms(const struct loop *l);
/* Wall clock (milliseconds since 1970), for timestamps and token claims only. */
uint64_t loop_wall_ms(const struct loop *l);
/* Microseconds, monotonic, not cached: for measuring. */
uint64_t loop_now_us(const struct loop *l);
/* Unpredictable bytes (getrandom, buffered per loop); seeded chance in the simulator. */
void loop_random(struct loop *l, void *out, size_t n);
uint64_t loop_random_u64(struct loop *l);

/* A descriptor that a library owns (libpq, inotify); level-triggered. `ready` gets the bits
 * that hold. The struct belongs to the caller and must stay until loop_unwatch. */
enum { WATCH_READ = 1, WATCH_WRITE = 4, WATCH_ERROR = 8 };
struct watch {
    void (*ready)(struct loop *l, struct watch *w, unsigned events);
    int fd;
    unsigned events;
};
/* Starts, or changes what is asked for; false when the kernel refuses. */
bool loop_watch(struct loop *l, struct watch *w, int fd, unsigned events)
    __attribute__((warn_unused_result));
/* Before the descriptor is closed. Harmless when not watched. */
void loop_unwatch(struct loop *l, struct watch *w);

/* Memory that lives until the end of this turn. */
struct arena *loop_turn(struct loop *l);

enum turn_stage { TURN_FANOUT, TURN_FLUSH, TURN_FREE, TURN_STAGE_COUNT };
struct turn_task {
    struct list link;
    void (*run)(struct loop *l, struct turn_task *task);
};
/* Runs once in that stage of this turn (or of the next, if this one's stage has passed).
 * Harmless when already queued. The task belongs to the caller and must outlive the call. */
void loop_at_turn_end(struct loop *l, enum turn_stage stage, struct turn_task *task);
void loop_turn_task_drop(struct turn_task *task);

#endif
