/* SPDX-License-Identifier: Apache-2.0 */
/* Counters, gauges and histograms from one table (metric.def). Each thread adds to a block of
 * its own (no sharing on the hot path); reading sums the blocks. To add one: add a row. */
#ifndef BASE_METRIC_H
#define BASE_METRIC_H

#include "base/buf.h"

enum metric {
#define METRIC(id, kind, name, labels, help) M_##id,
#include "base/metric.def"
#undef METRIC
    METRIC_COUNT
};

void metric_add(enum metric m, int64_t n);
/* A histogram observation, in the unit of the row (microseconds, bytes). */
void metric_observe(enum metric m, uint64_t value);
int64_t metric_read(enum metric m);
/* Prometheus text exposition (version 0.0.4). */
void metric_write_all(struct buf *out);

#endif
