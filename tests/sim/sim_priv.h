/* SPDX-License-Identifier: Apache-2.0 */
/* What sim_loop.c and sim_net.c share. */
#ifndef SIM_SIM_PRIV_H
#define SIM_SIM_PRIV_H

#include "sim.h"

#include "base/buf.h"
#include "loop/mailbox.h"
#include "loop/timer.h"
#include "loop/worker.h"

struct loop {
    struct loops *siblings;
    unsigned index;
    void *slots[LOOP_SLOT_COUNT];
    struct mail *mail, **mail_end;
    size_t mail_count;
    struct list timers, ready; /* ready: socks with input or news */
    struct list tasks[TURN_STAGE_COUNT];
    struct arena turn;
};
struct loops {
    unsigned count;
    bool is_stopped;
    struct list listeners, events; /* events: bytes and news on the wire */
    size_t open_socks;
    struct loop loops[];
};

void sim_read_ready(struct loop *l);
void sim_flush(struct loop *l);
void sim_net_deliver(struct loops *ls);
uint64_t sim_net_next_us(const struct loops *ls);
void sim_net_free(struct loops *ls);

#endif
