/* SPDX-License-Identifier: Apache-2.0 */
/* The simulated machine: everything behind the doors of src/loop under a virtual clock, seeded
 * chance and a network that splits, delays, stalls and cuts, all on one thread. The linker chooses
 * it in place of src/loop; the rooms above run unchanged. A run is a function of its seed.
 *
 * A scenario makes loops, listeners (through the rooms), opens connections of its own with
 * sim_dial, and lets time pass with sim_run. Threads are turns: each step one loop with work
 * takes one, chosen by chance; mail keeps its order per box, as the real one does. */
#ifndef SIM_SIM_H
#define SIM_SIM_H

#include "loop/sock.h"

/* Before loops_new. Same seed, same run. */
void sim_seed(uint64_t seed);
uint64_t sim_chance(uint64_t below); /* 0 .. below - 1 */
uint64_t sim_now_ms(void);
/* Runs until that much virtual time has passed (and nothing is due any more at that time). */
void sim_run(struct loops *ls, uint64_t ms);
/* Runs what can run without time passing. */
void sim_settle(struct loops *ls);

/* Network behaviour from now on. */
struct sim_net {
    unsigned split_percent;  /* chance that bytes travel in pieces */
    unsigned delay_ms_max;   /* each piece */
    size_t kernel_bytes_max; /* what one side's kernel takes before the writer must wait */
};
extern struct sim_net sim_net;

/* A client outside of the program: connects to a listener at that address, as a plain pipe. */
struct sim_peer;
struct sim_peer *sim_dial(struct loops *ls, const char *address);
void sim_peer_send(struct sim_peer *p, const void *bytes, size_t n);
/* Bytes that have arrived and were not consumed yet. */
struct str sim_peer_input(const struct sim_peer *p);
void sim_peer_consume(struct sim_peer *p, size_t n);
bool sim_peer_is_closed(const struct sim_peer *p);
/* What was on its way to the peer's kernel is lost; what its kernel had can still be read. */
void sim_peer_cut(struct sim_peer *p);                 /* both sides learn of it (RST) */
void sim_peer_vanish(struct sim_peer *p);              /* nobody is told: half-open */
void sim_peer_stall(struct sim_peer *p, bool stalled); /* it stops reading */
void sim_peer_close(struct sim_peer *p);               /* FIN */
/* Forgets it (closes if needed). */
void sim_peer_free(struct sim_peer **p);
/* Connections of the program that are open. */
size_t sim_open_socks(void);

#endif
