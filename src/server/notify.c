/* SPDX-License-Identifier: Apache-2.0 */
/* The service manager's protocol (sd_notify(3), sd_listen_fds(3)): a datagram per event to
 * $NOTIFY_SOCKET, descriptors from 3 on when $LISTEN_PID is us. No library is needed for that. */
#include "server/server_priv.h"
#include "base/num.h"
#include "loop/clock.h"
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define LISTEN_FDS_START 3
#define LISTEN_FDS_MAX 16

void notify_send(const char *text)
{
    char message[128];
    struct str path = str_from(getenv("NOTIFY_SOCKET"));
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    if (path.n < 2 || path.n >= sizeof(a.sun_path) || (path.p[0] != '/' && path.p[0] != '@'))
        return;
    memcpy(a.sun_path, path.p, path.n);
    if (path.p[0] == '@')
        a.sun_path[0] = 0;
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return;
    /* A reload must say when it began. */
    int n = snprintf(message, sizeof(message), "%s\nMONOTONIC_USEC=%llu\n", text,
                     (unsigned long long)clock_us());
    socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + path.n);
    (void)!sendto(fd, message, (size_t)n, MSG_NOSIGNAL, (struct sockaddr *)&a, size);
    close(fd);
}

uint64_t notify_watchdog_ms(void)
{
    uint64_t us, pid;
    struct str owner = str_from(getenv("WATCHDOG_PID"));
    if (!num_u64(str_from(getenv("WATCHDOG_USEC")), &us) || us < 2000)
        return 0;
    if (owner.n && (!num_u64(owner, &pid) || pid != (uint64_t)getpid()))
        return 0;
    return us / 2000;
}

int notify_listen_fds(int *first)
{
    uint64_t pid, count;
    *first = LISTEN_FDS_START;
    if (!num_u64(str_from(getenv("LISTEN_PID")), &pid) || pid != (uint64_t)getpid())
        return 0;
    if (!num_u64(str_from(getenv("LISTEN_FDS")), &count) || count > LISTEN_FDS_MAX)
        return 0;
    return (int)count;
}
