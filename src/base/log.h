/* SPDX-License-Identifier: Apache-2.0 */
/* Structured log lines: area (= room), event (a fixed short word), then key=value pairs.
 * Text on a terminal, JSON lines otherwise. Values are escaped (one event = one line), cut at
 * 256 bytes; each call site may say at most 20 lines a second and tells what it swallowed.
 * Never pass payloads, tokens or keys. Levels: error = someone must act; warn; info = at most
 * once per connection; debug = per packet; trace. */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include "base/str.h"
#include <stdatomic.h>

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG, LOG_TRACE };

struct log_site {
    uint64_t second;
    unsigned lines, swallowed;
};

extern _Atomic enum log_level log_level_now;
void log_setup(enum log_level level, bool json);
/* Parses "error".."trace"; false when it is none of them. */
bool log_level_parse(struct str s, enum log_level *out);
/* Wall clock for the lines; set by the loop room (milliseconds since 1970). */
extern uint64_t (*log_clock)(void);
/* pairs: a printf format of key=value pairs; a value with %s is escaped by the writer. */
void log_write(struct log_site *site, enum log_level level, const char *area, const char *event,
               const char *pairs, ...) __attribute__((format(printf, 5, 6)));
/* The last lines of this process, oldest first, for check_failed. */
void log_dump_recent(int fd);

#define LOG_AT(level, area, event, ...)                                                            \
    do {                                                                                           \
        static _Thread_local struct log_site log_site_;                                            \
        if ((level) <= atomic_load_explicit(&log_level_now, memory_order_relaxed))                 \
            log_write(&log_site_, (level), (area), (event), __VA_ARGS__);                          \
    } while (0)
#define log_error(area, event, ...) LOG_AT(LOG_ERROR, area, event, __VA_ARGS__)
#define log_warn(area, event, ...) LOG_AT(LOG_WARN, area, event, __VA_ARGS__)
#define log_info(area, event, ...) LOG_AT(LOG_INFO, area, event, __VA_ARGS__)
#define log_debug(area, event, ...) LOG_AT(LOG_DEBUG, area, event, __VA_ARGS__)
#define log_trace(area, event, ...) LOG_AT(LOG_TRACE, area, event, __VA_ARGS__)

#endif
