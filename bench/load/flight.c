/* SPDX-License-Identifier: Apache-2.0 */
/* Messages on their way. A payload is "~" and a mark of fixed length (id, sender, its number,
 * time), then filler:  ~iiiiiiii ssss nnnnnnnn tttttttttttt  in hexadecimal, without spaces. */
#include "load.h"
#include <string.h>

static void put_hex(char *out, uint64_t v, int digits)
{
    for (int i = digits; i-- > 0; v >>= 4)
        out[i] = "0123456789abcdef"[v & 15];
}

static uint64_t get_hex(const uint8_t *p, int digits)
{
    uint64_t v = 0;
    for (int i = 0; i < digits; i++)
        v = v << 4 | (uint64_t)(p[i] <= '9' ? p[i] - '0' : p[i] - 'a' + 10);
    return v;
}

/* Buckets of a sixteenth of a power of two, microseconds. */
static unsigned bucket_of(uint64_t us)
{
    if (us < 16)
        return (unsigned)us;
    unsigned power = 63 - (unsigned)__builtin_clzll(us);
    unsigned b = (power - 3) * 16 + (unsigned)(us >> (power - 4) & 15);
    return b < 4095 ? b : 4095;
}

static double bucket_us(unsigned b)
{
    return b < 16 ? b : (double)((uint64_t)(16 + b % 16) << (b / 16 - 1));
}

double load_latency_ms(const struct load *l, double share)
{
    uint64_t total = 0, seen = 0;
    for (unsigned i = 0; i < 4096; i++)
        total += l->latency[i];
    for (unsigned i = 0; i < 4096; i++) {
        seen += l->latency[i];
        if (seen && (double)seen >= share * (double)total)
            return bucket_us(i) / 1000;
    }
    return 0;
}

static void count(struct load *l, struct conn *c, uint32_t id, uint32_t sender, uint32_t number)
{
    uint32_t *next = &c->next[sender];
    c->got++;
    if (number == *next) {
        *next = number + 1;
    } else if (number > *next) {
        c->holes += number - *next;
        if (!c->stalled)
            l->displaced++;
        *next = number + 1;
    } else {
        l->repeated++;
        return;
    }
    c->digest = c->digest * 1099511628211u + id;
    struct flight *f = &l->flights[id % LOAD_FLIGHTS];
    if (c->stalled)
        return;
    if (f->id != id || !f->left)
        l->displaced++;
    else if (--f->left == 0)
        l->in_flight--;
    l->deliveries++;
}

void load_take(struct load *l, struct conn *c, const uint8_t *text, size_t n)
{
    const uint8_t *end = text + n;
    uint64_t now_us = 0;
    if (c->is_feed) /* some servers send a publisher its own */
        return;
    while (text < end && (text = memchr(text, '~', (size_t)(end - text)))) {
        if (end - text < LOAD_MARK_BYTES) {
            l->strange++;
            return;
        }
        uint32_t sender = (uint32_t)get_hex(text + 9, 4);
        uint64_t sent_us = get_hex(text + 21, 12);
        if (!now_us)
            l->last_in_us = now_us = load_now_us();
        if (sender >= l->senders)
            l->strange++;
        else
            count(l, c, (uint32_t)get_hex(text + 1, 8), sender, (uint32_t)get_hex(text + 13, 8));
        if (l->counts && now_us >= sent_us && !c->stalled)
            l->latency[bucket_of(now_us - sent_us)]++;
        text += LOAD_MARK_BYTES;
    }
    if (!now_us && memmem(end - n, n, "\"gap\"", 5))
        c->gaps++;
}

void load_publish(struct load *l)
{
    static char text[65536];
    const struct load_options *o = &l->o;
    uint32_t room = l->turn % o->rooms, sender = l->turn / o->rooms % l->senders;
    struct conn *c = o->dialect->feed ? &l->conns[o->rooms * o->members + room]
                                      : &l->conns[room * o->members + sender];
    uint32_t id = ++l->ids;
    l->turn++;
    size_t n = load_expand(c->dialect->before, room, "", text, 1024);
    memcpy(text + n, l->filler, o->bytes);
    text[n] = '~';
    put_hex(text + n + 1, id, 8);
    put_hex(text + n + 9, sender, 4);
    put_hex(text + n + 13, l->sent[room * l->senders + sender]++, 8);
    put_hex(text + n + 21, load_now_us(), 12);
    n += o->bytes;
    memcpy(text + n, c->dialect->after, strlen(c->dialect->after));
    n += strlen(c->dialect->after);
    struct flight *f = &l->flights[id % LOAD_FLIGHTS];
    if (f->left) {
        l->lost += f->left;
        l->in_flight--;
    }
    *f = (struct flight){id, o->members - (room ? 0 : o->stalled)};
    l->in_flight++;
    if (!conn_say(l, c, text, n))
        l->strange++;
}

void load_pump(struct load *l)
{
    while (l->in_flight < l->o.window)
        load_publish(l);
}

bool load_drain(struct load *l)
{
    uint64_t quiet_us = load_now_us();
    while (l->in_flight > 0) {
        uint64_t before = l->deliveries;
        load_turn(l, 100);
        if (l->deliveries != before)
            quiet_us = load_now_us();
        else if (load_now_us() - quiet_us > 10000000)
            break;
    }
    for (unsigned i = 0; i < LOAD_FLIGHTS; i++) {
        l->lost += l->flights[i].left;
        l->flights[i].left = 0;
    }
    bool all = l->in_flight == 0;
    l->in_flight = 0;
    return all;
}

uint64_t load_faults(const struct load *l)
{
    return l->lost + l->repeated + l->displaced + l->strange + l->failed;
}
