/* SPDX-License-Identifier: Apache-2.0 */
/* loop.h, mailbox.h, timer.h, worker.h and clock.h under a virtual clock; see sim.h. */
#include "sim_priv.h"

#include "base/check.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "loop/clock.h"

static uint64_t state = 1, now_us = 1000000;
static struct loop *current;
enum { WALL_BEGIN_MS = 1790000000 };

void sim_seed(uint64_t seed)
{
    state = seed * 0x9e3779b97f4a7c15ull + 1;
    now_us = 1000000;
    hash_seed(seed, ~seed);
}

/* splitmix64 */
static uint64_t next(void)
{
    uint64_t z = (state += 0x9e3779b97f4a7c15ull);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return z ^ (z >> 31);
}

uint64_t sim_chance(uint64_t below)
{
    return below ? next() % below : 0;
}

uint64_t sim_now_ms(void)
{
    return now_us / 1000;
}

uint64_t clock_us(void)
{
    return now_us;
}

uint64_t clock_wall_ms(void)
{
    return (uint64_t)WALL_BEGIN_MS * 1000 + now_us / 1000;
}

void clock_boot(void)
{
}

void clock_random_bytes(void *out, size_t n)
{
    for (size_t i = 0; i < n; i++)
        ((uint8_t *)out)[i] = (uint8_t)next();
}

/* ---- loops ----------------------------------------------------------------------------------- */

struct loops *loops_new(unsigned count)
{
    struct loops *ls = mem_new(sizeof(*ls) + count * sizeof(struct loop));
    ls->count = count;
    list_init(&ls->listeners);
    list_init(&ls->events);
    log_clock = clock_wall_ms;
    for (unsigned i = 0; i < count; i++) {
        struct loop *l = &ls->loops[i];
        l->siblings = ls;
        l->index = i;
        l->mail_end = &l->mail;
        list_init(&l->timers);
        list_init(&l->ready);
        for (int s = 0; s < TURN_STAGE_COUNT; s++)
            list_init(&l->tasks[s]);
    }
    return ls;
}

unsigned loops_count(const struct loops *ls)
{
    return ls->count;
}

struct loop *loops_at(struct loops *ls, unsigned index)
{
    CHECK(index < ls->count);
    return &ls->loops[index];
}

void loops_stop(struct loops *ls)
{
    ls->is_stopped = true;
}

void loops_free(struct loops **ls)
{
    sim_net_free(*ls);
    for (unsigned i = 0; i < (*ls)->count; i++)
        arena_free(&(*ls)->loops[i].turn);
    mem_free(*ls);
    *ls = NULL;
}

unsigned loop_index(const struct loop *l)
{
    return l->index;
}

struct loops *loop_siblings(struct loop *l)
{
    return l->siblings;
}

struct loop *loop_current(void)
{
    return current;
}

void *loop_slot(const struct loop *l, enum loop_slot slot)
{
    return l->slots[slot];
}

void loop_slot_set(struct loop *l, enum loop_slot slot, void *value)
{
    l->slots[slot] = value;
}

uint64_t loop_now_ms(const struct loop *l)
{
    (void)l;
    return now_us / 1000;
}

uint64_t loop_now_us(const struct loop *l)
{
    (void)l;
    return now_us;
}

uint64_t loop_wall_ms(const struct loop *l)
{
    (void)l;
    return clock_wall_ms();
}

void loop_random(struct loop *l, void *out, size_t n)
{
    (void)l;
    clock_random_bytes(out, n);
}

uint64_t loop_random_u64(struct loop *l)
{
    (void)l;
    return next();
}

struct arena *loop_turn(struct loop *l)
{
    return &l->turn;
}

void loop_at_turn_end(struct loop *l, enum turn_stage stage, struct turn_task *task)
{
    if (!list_linked(&task->link))
        list_push(&l->tasks[stage], &task->link);
}

void loop_turn_task_drop(struct turn_task *task)
{
    list_drop(&task->link);
}

/* ---- mail --------------------------------------------------------------------------------------
 */

void loop_post(struct loop *to, struct mail *mail)
{
    mail->next = NULL;
    *to->mail_end = mail;
    to->mail_end = &mail->next;
    to->mail_count++;
}

size_t loop_mail_waiting(const struct loop *l)
{
    return l->mail_count;
}

static bool take_mail(struct loop *l)
{
    struct mail *m = l->mail;
    if (!m)
        return false;
    l->mail = m->next;
    if (!l->mail)
        l->mail_end = &l->mail;
    l->mail_count--;
    m->deliver(l, m);
    return true;
}

/* ---- timers ------------------------------------------------------------------------------------
 */

void timer_set(struct loop *l, struct timer *t, uint64_t delay_ms,
               void (*fn)(struct loop *l, struct timer *t))
{
    list_drop(&t->link);
    t->due_ms = now_us / 1000 + (delay_ms ? delay_ms : 1);
    t->fn = fn;
    list_push(&l->timers, &t->link);
}

void timer_stop(struct timer *t)
{
    list_drop(&t->link);
    t->due_ms = 0;
}

static struct timer *next_timer(const struct loop *l)
{
    struct timer *first = NULL;
    for (struct list *at = l->timers.next; at != &l->timers; at = at->next) {
        struct timer *t = LIST_OF(at, struct timer, link);
        if (!first || t->due_ms < first->due_ms)
            first = t;
    }
    return first;
}

static bool run_timer(struct loop *l)
{
    struct timer *t = next_timer(l);
    if (!t || t->due_ms > now_us / 1000)
        return false;
    timer_stop(t);
    t->fn(l, t);
    return true;
}

/* ---- turns -------------------------------------------------------------------------------------
 */

static void run_stage(struct loop *l, enum turn_stage stage)
{
    struct list *link;
    for (int rounds = 0; rounds < 10000 && (link = list_take(&l->tasks[stage])); rounds++) {
        struct turn_task *task = LIST_OF(link, struct turn_task, link);
        task->run(l, task);
    }
}

static void take_turn(struct loop *l)
{
    current = l;
    sim_read_ready(l);
    for (uint64_t n = 1 + sim_chance(8); n && run_timer(l); n--)
        ;
    for (uint64_t n = 1 + sim_chance(20); n && take_mail(l); n--)
        ;
    for (enum turn_stage stage = 0; stage < TURN_STAGE_COUNT; stage++) {
        run_stage(l, stage);
        if (stage == TURN_FLUSH)
            sim_flush(l);
    }
    arena_reset(&l->turn);
    current = NULL;
}

static bool has_work(const struct loop *l)
{
    struct timer *t = next_timer(l);
    for (int s = 0; s < TURN_STAGE_COUNT; s++)
        if (!list_is_empty(&l->tasks[s]))
            return true;
    return l->mail || !list_is_empty(&l->ready) || (t && t->due_ms <= now_us / 1000);
}

/* One turn of some loop that has work; false when none has. */
static bool step(struct loops *ls)
{
    unsigned first = (unsigned)sim_chance(ls->count);
    sim_net_deliver(ls);
    for (unsigned i = 0; i < ls->count; i++) {
        struct loop *l = &ls->loops[(first + i) % ls->count];
        if (has_work(l)) {
            take_turn(l);
            return true;
        }
    }
    return false;
}

void sim_settle(struct loops *ls)
{
    while (step(ls))
        ;
}

void sim_run(struct loops *ls, uint64_t ms)
{
    uint64_t end_us = now_us + ms * 1000;
    for (;;) {
        sim_settle(ls);
        uint64_t next_us = sim_net_next_us(ls);
        for (unsigned i = 0; i < ls->count; i++) {
            struct timer *t = next_timer(&ls->loops[i]);
            if (t && t->due_ms * 1000 < next_us)
                next_us = t->due_ms * 1000;
        }
        if (next_us > end_us)
            break;
        now_us = next_us > now_us ? next_us : now_us;
    }
    now_us = end_us;
    sim_settle(ls);
}

void loops_settle(struct loops *ls)
{
    sim_settle(ls);
}

/* Not meant for the simulator: the scenario drives. */
void loops_run(struct loops *ls)
{
    while (!ls->is_stopped)
        sim_run(ls, 1);
}

/* ---- workers: the job runs at once, its answer comes by mail
 * --------------------------------------- */

struct worker_lane {
    struct worker_job *waiting;
};

struct worker_lane *worker_lane_new(unsigned threads, size_t waiting_max)
{
    (void)threads, (void)waiting_max;
    return mem_new(sizeof(struct worker_lane));
}

static void on_done(struct loop *l, struct mail *mail)
{
    struct worker_job *job = LIST_OF(mail, struct worker_job, mail);
    job->done(l, job);
}

bool worker_post(struct worker_lane *lane, struct loop *home, struct worker_job *job)
{
    (void)lane;
    job->home = home;
    job->work(job);
    worker_finish(job);
    return true;
}

struct worker_job *worker_take(struct worker_lane *lane, size_t max)
{
    (void)lane, (void)max;
    return NULL;
}

void worker_finish(struct worker_job *job)
{
    job->mail.deliver = on_done;
    loop_post(job->home, &job->mail);
}

void worker_lane_close(struct worker_lane **lane)
{
    mem_free(*lane);
    *lane = NULL;
}
