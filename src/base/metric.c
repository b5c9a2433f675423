/* SPDX-License-Identifier: Apache-2.0 */
/* Counters, gauges and histograms. A block belongs to one thread, which alone writes it, so an
 * addition is a plain load and store (relaxed, not a locked instruction); a reader sums all
 * blocks and may be one addition behind. Blocks stay when their thread ends: what was counted
 * remains counted, and threads are made at boot only. */
#include "base/metric.h"
#include "base/mem.h"
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>

enum kind { COUNTER, GAUGE, HISTOGRAM };

struct row {
    enum kind kind;
    const char *name, *labels, *help;
};

static const struct row rows[METRIC_COUNT] = {
#define METRIC(id, kind, name, labels, help) [M_##id] = {kind, name, labels, help},
#include "base/metric.def"
#undef METRIC
};

/* Upper bounds; one bucket more holds the rest. Time from 50 µs (a good turn) to 10 s. */
#define BOUNDS 16
static const uint64_t micros[BOUNDS] = {50,     100,     250,     500,     1000,   2500,
                                        5000,   10000,   25000,   50000,   100000, 250000,
                                        500000, 1000000, 2500000, 10000000};
static const uint64_t sizes[BOUNDS] = {16,      64,      128,     256,    512,   1024,
                                       2048,    4096,    8192,    16384,  65536, 1 << 18,
                                       1 << 20, 1 << 22, 1 << 24, 1 << 26};

struct block {
    struct block *next;
    _Atomic int64_t value[METRIC_COUNT]; /* of a histogram: how many observations */
    _Atomic int64_t sum[METRIC_COUNT];
    _Atomic int64_t bucket[METRIC_COUNT][BOUNDS + 1];
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct block *blocks;
static _Thread_local struct block *own;

static struct block *own_block(void)
{
    if (!own) {
        own = mem_new(sizeof(*own));
        pthread_mutex_lock(&lock);
        own->next = blocks;
        blocks = own;
        pthread_mutex_unlock(&lock);
    }
    return own;
}

static void bump(_Atomic int64_t *cell, int64_t n)
{
    int64_t now = atomic_load_explicit(cell, memory_order_relaxed);
    atomic_store_explicit(cell, now + n, memory_order_relaxed);
}

static bool in_bytes(enum metric m)
{
    return str_ends(str_from(rows[m].name), STR("_bytes"));
}

static const uint64_t *bounds_of(enum metric m)
{
    return in_bytes(m) ? sizes : micros;
}

void metric_add(enum metric m, int64_t n)
{
    bump(&own_block()->value[m], n);
}

void metric_observe(enum metric m, uint64_t value)
{
    struct block *b = own_block();
    const uint64_t *bounds = bounds_of(m);
    size_t i = 0;
    while (i < BOUNDS && value > bounds[i])
        i++;
    bump(&b->bucket[m][i], 1);
    bump(&b->sum[m], (int64_t)value);
    bump(&b->value[m], 1);
}

/* Sums one cell, named by its place in a block, over all blocks. */
static int64_t total(size_t offset)
{
    int64_t sum = 0;
    pthread_mutex_lock(&lock);
    for (const struct block *b = blocks; b; b = b->next) {
        const _Atomic int64_t *cell = (const void *)((const char *)b + offset);
        sum += atomic_load_explicit(cell, memory_order_relaxed);
    }
    pthread_mutex_unlock(&lock);
    return sum;
}

int64_t metric_read(enum metric m)
{
    return total(offsetof(struct block, value) + m * sizeof(int64_t));
}

/* Prometheus wants base units: microseconds are written as seconds. */
static void add_amount(struct buf *out, enum metric m, uint64_t v)
{
    if (in_bytes(m))
        buf_add_u64(out, v);
    else
        buf_printf(out, "%" PRIu64 ".%06" PRIu64, v / 1000000, v % 1000000);
}

static void add_series(struct buf *out, const struct row *row, const char *suffix)
{
    buf_printf(out, "%s%s", row->name, suffix);
    if (row->labels[0])
        buf_printf(out, "{%s}", row->labels);
    buf_add_c(out, ' ');
}

static void add_histogram(struct buf *out, enum metric m)
{
    const struct row *row = &rows[m];
    int64_t upto = 0;
    for (size_t i = 0; i <= BOUNDS; i++) {
        size_t cell = m * (BOUNDS + 1) + i;
        upto += total(offsetof(struct block, bucket) + cell * sizeof(int64_t));
        buf_printf(out, "%s_bucket{%s%sle=\"", row->name, row->labels, row->labels[0] ? "," : "");
        if (i < BOUNDS)
            add_amount(out, m, bounds_of(m)[i]);
        else
            buf_add_z(out, "+Inf");
        buf_printf(out, "\"} %" PRId64 "\n", upto);
    }
    add_series(out, row, "_sum");
    add_amount(out, m, (uint64_t)total(offsetof(struct block, sum) + m * sizeof(int64_t)));
    buf_add_c(out, '\n');
    /* The count is the last bucket, also while another thread observes. */
    add_series(out, row, "_count");
    buf_printf(out, "%" PRId64 "\n", upto);
}

void metric_write_all(struct buf *out)
{
    static const char *const kinds[] = {"counter", "gauge", "histogram"};
    for (int m = 0; m < METRIC_COUNT; m++) {
        const struct row *row = &rows[m];
        if (m == 0 || strcmp(row->name, rows[m - 1].name) != 0)
            buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", row->name, row->help, row->name,
                       kinds[row->kind]);
        if (row->kind == HISTOGRAM) {
            add_histogram(out, (enum metric)m);
            continue;
        }
        add_series(out, row, "");
        buf_printf(out, "%" PRId64 "\n", metric_read((enum metric)m));
    }
}
