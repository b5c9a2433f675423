/* SPDX-License-Identifier: Apache-2.0 */
/* SIGUSR2: what each loop holds, as one log line per loop and one for the process. Names of
 * channels and users are not told. */
#include "server/server_priv.h"
#include "base/log.h"
#include "base/metric.h"
#include "loop/mailbox.h"

struct sum {
    size_t channels, members, messages, bytes;
};

static void add_channel(const struct hub_channel_info *info, void *arg)
{
    struct sum *sum = arg;
    sum->channels++;
    sum->members += info->presence_members;
    sum->messages += info->history_count;
    sum->bytes += info->history_bytes;
}

static void dump_loop(struct loop *l, struct tw_server *s)
{
    struct sum sum = {0};
    (void)s;
    hub_each_channel(hub_of(l), add_channel, &sum);
    log_info("server", "state",
             "loop=%u sessions=%zu channels=%zu members=%zu messages=%zu bytes=%zu mail=%zu",
             loop_index(l), session_count(l), sum.channels, sum.members, sum.messages, sum.bytes,
             loop_mail_waiting(l));
}

void state_dump(struct tw_server *s)
{
    log_info("server", "state", "websocket=%lld sse=%lld poll=%lld http=%lld subscriptions=%lld",
             (long long)metric_read(M_CONNECTIONS_WS), (long long)metric_read(M_CONNECTIONS_SSE),
             (long long)metric_read(M_CONNECTIONS_POLL), (long long)metric_read(M_CONNECTIONS_HTTP),
             (long long)metric_read(M_SUBSCRIPTIONS));
    server_each_loop(s, dump_loop);
}
