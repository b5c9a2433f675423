/* SPDX-License-Identifier: Apache-2.0 */
/* The frame of a loop on libuv, and the order of a turn.
 *
 * libuv sleeps and wakes us (connections through the one epoll descriptor, mail through
 * uv_async, the wheel's next deadline through one uv_timer, signals); all work happens in its
 * check phase, in the order loop.h promises. The prepare phase decides whether the next sleep
 * is allowed: work that waits for the next turn turns uv_idle on.
 *
 * The end: loops_stop wakes every loop, each leaves libuv, the threads are joined, and then the
 * caller of loops_run closes what is open and delivers what is in the boxes, loop by loop, until
 * nothing moves. So no mail and no connection is ever just forgotten. */
#include "loop/loop_priv.h"
#include "base/check.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/epoll.h>
#include <unistd.h>

enum {
    MAIL_ROUNDS = 16, /* mail to oneself that breeds mail: after these the sockets are due */
    EPOLL_ROUNDS = 4,
    QUIET_ROUNDS = 1000,
    SIGNALS_MAX = 8,
};

struct signal_handler {
    uv_signal_t handle;
    void (*fn)(struct loop *l, int signum, void *arg);
    void *arg;
};

struct loops {
    atomic_bool stopping;
    pthread_t runner; /* of loops_start */
    unsigned count;
    unsigned signals_count;
    struct signal_handler signals[SIGNALS_MAX];
    struct loop *at[];
};

static _Thread_local struct loop *current;

struct loop *loop_current(void)
{
    return current;
}

void loop_enter(struct loop *l)
{
    current = l;
}

void loop_leave(void)
{
    current = NULL;
}

unsigned loop_index(const struct loop *l)
{
    return l->index;
}

struct loops *loop_siblings(struct loop *l)
{
    return l->siblings;
}

unsigned loops_count(const struct loops *ls)
{
    return ls->count;
}

struct loop *loops_at(struct loops *ls, unsigned index)
{
    CHECK(index < ls->count);
    return ls->at[index];
}

void *loop_slot(const struct loop *l, enum loop_slot slot)
{
    return l->slots[slot];
}

void loop_slot_set(struct loop *l, enum loop_slot slot, void *state)
{
    l->slots[slot] = state;
}

struct arena *loop_turn(struct loop *l)
{
    return &l->turn;
}

void loop_at_turn_end(struct loop *l, enum turn_stage stage, struct turn_task *task)
{
    if (!list_linked(&task->link))
        list_push(&l->stages[stage], &task->link);
}

void loop_turn_task_drop(struct turn_task *task)
{
    list_drop(&task->link);
}

static void run_stage(struct loop *l, enum turn_stage stage)
{
    struct list tasks, *link;
    list_init(&tasks);
    list_splice(&tasks, &l->stages[stage]); /* what they add is for the next turn */
    while ((link = list_take(&tasks))) {
        struct turn_task *task = LIST_OF(link, struct turn_task, link);
        task->run(l, task);
    }
}

/* ---- readiness ----------------------------------------------------------------------- */

bool loop_watch(struct loop *l, struct watch *w, int fd, unsigned events)
{
    struct epoll_event e = {.events = events, .data.ptr = w};
    int how = w->fd == fd && w->events ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
    if (epoll_ctl(l->epoll_fd, how, fd, &e) != 0)
        return false;
    w->fd = fd;
    w->events = events;
    return true;
}

void loop_unwatch(struct loop *l, struct watch *w)
{
    if (w->events == 0)
        return;
    epoll_ctl(l->epoll_fd, EPOLL_CTL_DEL, w->fd, NULL);
    w->events = 0;
    for (int i = l->events_at; i < l->events_count; i++)
        if (l->events[i].data.ptr == w)
            l->events[i].data.ptr = NULL;
}

static void run_ready(struct loop *l)
{
    for (int round = 0; l->epoll_ready && round < EPOLL_ROUNDS; round++) {
        int n = epoll_wait(l->epoll_fd, l->events, EVENTS_MAX, 0);
        l->epoll_ready = n == EVENTS_MAX; /* level-triggered above: libuv tells us again */
        l->events_count = n > 0 ? n : 0;
        for (l->events_at = 0; l->events_at < l->events_count;) {
            struct epoll_event e = l->events[l->events_at++];
            struct watch *w = e.data.ptr;
            if (w)
                w->ready(l, w, e.events);
        }
    }
    l->events_count = 0;
    l->epoll_ready = false;
}

/* ---- the turn ------------------------------------------------------------------------ */

static void run_mail(struct loop *l)
{
    for (int round = 0; round < MAIL_ROUNDS && mailbox_deliver(l); round++)
        ;
}

static void run_turn(struct loop *l)
{
    uint64_t began = clock_us();
    l->now_ms = began / 1000;
    run_ready(l);
    sock_run_readable(l);
    run_mail(l);
    clock_refresh(l);
    timer_wheel_run(l);
    run_mail(l);
    run_stage(l, TURN_FANOUT);
    run_stage(l, TURN_FLUSH);
    flush_run(l);
    sock_run_graveyard(l);
    run_stage(l, TURN_FREE);
    arena_reset(&l->turn);
    metric_observe(M_LOOP_LAG, clock_us() - began);
}

static bool has_work(struct loop *l)
{
    for (int i = 0; i < TURN_STAGE_COUNT; i++)
        if (!list_is_empty(&l->stages[i]))
            return true;
    return !list_is_empty(&l->readable) || !list_is_empty(&l->graveyard) || l->flush.count > 0 ||
           !mailbox_is_empty(&l->box);
}

static void on_timer(uv_timer_t *t)
{
    struct loop *l = t->data;
    l->timer_ms = 0; /* the turn after this poll runs the wheel */
}

static void on_idle(uv_idle_t *idle)
{
    (void)idle;
}

static void on_prepare(uv_prepare_t *p)
{
    struct loop *l = p->data;
    uint64_t next = timer_wheel_next(&l->wheel);
    uint64_t now = uv_now(&l->uv);
    if (has_work(l) || next <= now || next <= l->now_ms) {
        uv_idle_start(&l->idle, on_idle);
        return;
    }
    uv_idle_stop(&l->idle);
    if (next == l->timer_ms)
        return;
    if (next == UINT64_MAX)
        uv_timer_stop(&l->timer);
    else
        uv_timer_start(&l->timer, on_timer, next - now, 0);
    l->timer_ms = next;
}

static void on_check(uv_check_t *check)
{
    struct loop *l = check->data;
    run_turn(l);
    if (atomic_load_explicit(&l->siblings->stopping, memory_order_acquire))
        uv_stop(&l->uv);
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
    struct loop *l = poll->data;
    (void)status;
    (void)events;
    l->epoll_ready = true;
}

static void on_async(uv_async_t *async)
{
    (void)async; /* the turn after this poll delivers the mail */
}

/* ---- life ---------------------------------------------------------------------------- */

static void init_handles(struct loop *l)
{
    CHECK(uv_loop_init(&l->uv) == 0);
    l->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    CHECK(l->epoll_fd >= 0);
    CHECK(uv_poll_init(&l->uv, &l->poll, l->epoll_fd) == 0);
    CHECK(uv_async_init(&l->uv, &l->async, on_async) == 0);
    uv_prepare_init(&l->uv, &l->prepare);
    uv_check_init(&l->uv, &l->check);
    uv_idle_init(&l->uv, &l->idle);
    uv_timer_init(&l->uv, &l->timer);
    l->poll.data = l->prepare.data = l->check.data = l->timer.data = l;
    uv_poll_start(&l->poll, UV_READABLE, on_poll);
    uv_prepare_start(&l->prepare, on_prepare);
    uv_check_start(&l->check, on_check);
}

static struct loop *loop_new(struct loops *ls, unsigned index)
{
    struct loop *l = mem_new(sizeof(*l));
    l->siblings = ls;
    l->index = index;
    l->events = mem_new(EVENTS_MAX * sizeof(struct epoll_event));
    l->rx = mem_resize(NULL, RX_BYTES);
    for (int i = 0; i < TURN_STAGE_COUNT; i++)
        list_init(&l->stages[i]);
    list_init(&l->socks);
    list_init(&l->readable);
    list_init(&l->graveyard);
    list_init(&l->listeners);
    list_init(&l->connects);
    l->reserve_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    mailbox_init(&l->box);
    clock_refresh(l);
    timer_wheel_init(&l->wheel, l->now_ms);
    init_handles(l);
    return l;
}

struct loops *loops_new(unsigned count)
{
    CHECK(count >= 1);
    clock_boot();
    signal(SIGPIPE, SIG_IGN);
    struct loops *ls = mem_new(sizeof(*ls) + count * sizeof(ls->at[0]));
    ls->count = count;
    for (unsigned i = 0; i < count; i++)
        ls->at[i] = loop_new(ls, i);
    return ls;
}

static void on_signal(uv_signal_t *handle, int signum)
{
    struct signal_handler *h = handle->data;
    h->fn(LIST_OF(handle->loop, struct loop, uv), signum, h->arg);
}

void loops_on_signal(struct loops *ls, int signum,
                     void (*fn)(struct loop *l, int signum, void *arg), void *arg)
{
    CHECK(ls->signals_count < SIGNALS_MAX);
    struct signal_handler *h = &ls->signals[ls->signals_count++];
    h->fn = fn;
    h->arg = arg;
    h->handle.data = h;
    CHECK(uv_signal_init(&ls->at[0]->uv, &h->handle) == 0);
    CHECK(uv_signal_start(&h->handle, on_signal, signum) == 0);
}

static void *run_loop(void *arg)
{
    struct loop *l = arg;
    loop_enter(l);
    flush_begin(l);
    uv_run(&l->uv, UV_RUN_DEFAULT);
    loop_leave();
    return NULL;
}

/* One step of the end; true when something moved. All on one thread. */
static bool settle(struct loop *l)
{
    loop_enter(l);
    listen_close_all(l);
    connect_cancel_all(l);
    sock_abort_all(l);
    bool moved = mailbox_deliver(l);
    for (int i = 0; i < TURN_STAGE_COUNT; i++) {
        moved = moved || !list_is_empty(&l->stages[i]);
        run_stage(l, i);
    }
    moved = moved || !list_is_empty(&l->graveyard) || !list_is_empty(&l->socks);
    sock_run_graveyard(l);
    arena_reset(&l->turn);
    loop_leave();
    return moved;
}

void loops_settle(struct loops *ls)
{
    bool moved = true;
    for (int round = 0; moved && round < QUIET_ROUNDS; round++) {
        moved = false;
        for (unsigned i = 0; i < ls->count; i++)
            moved = settle(ls->at[i]) || moved;
    }
    if (moved)
        log_warn("loop", "unsettled", "rounds=%d", QUIET_ROUNDS);
}

void loops_run(struct loops *ls)
{
    pthread_t *threads = mem_new(ls->count * sizeof(*threads));
    for (unsigned i = 1; i < ls->count; i++)
        CHECK(pthread_create(&threads[i], NULL, run_loop, ls->at[i]) == 0);
    run_loop(ls->at[0]);
    for (unsigned i = 1; i < ls->count; i++)
        pthread_join(threads[i], NULL);
    mem_free(threads);
    loops_settle(ls);
}

static void *run_all(void *loops)
{
    loops_run(loops);
    return NULL;
}

void loops_start(struct loops *ls)
{
    CHECK(pthread_create(&ls->runner, NULL, run_all, ls) == 0);
}

void loops_join(struct loops *ls)
{
    pthread_join(ls->runner, NULL);
}

void loops_stop(struct loops *ls)
{
    atomic_store_explicit(&ls->stopping, true, memory_order_release);
    for (unsigned i = 0; i < ls->count; i++)
        uv_async_send(&ls->at[i]->async);
}

static void close_handle(uv_handle_t *h, void *arg)
{
    (void)arg;
    if (!uv_is_closing(h))
        uv_close(h, NULL);
}

static void loop_free(struct loop *l)
{
    flush_fini(l);
    uv_walk(&l->uv, close_handle, NULL);
    uv_run(&l->uv, UV_RUN_DEFAULT);
    CHECK(uv_loop_close(&l->uv) == 0);
    close(l->epoll_fd);
    if (l->reserve_fd >= 0)
        close(l->reserve_fd);
    segment_pool_fini(l);
    arena_free(&l->turn);
    mailbox_fini(&l->box);
    mem_free(l->rx);
    mem_free(l->cipher);
    mem_free(l->record);
    mem_free(l->events);
    mem_free(l);
}

void loops_free(struct loops **ls)
{
    if (!*ls)
        return;
    loops_settle(*ls);
    for (unsigned i = 0; i < (*ls)->count; i++)
        loop_free((*ls)->at[i]);
    mem_free(*ls);
    *ls = NULL;
}
