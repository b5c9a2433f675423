/* SPDX-License-Identifier: Apache-2.0 */
/* What the peer's kernel has acknowledged. Alone in a file because the kernel's header with
 * tcpi_bytes_acked does not go together with the C library's. */
#include "loop/acked.h"
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>

uint64_t acked_bytes(int fd)
{
    struct tcp_info info;
    socklen_t n = sizeof(info);
    memset(&info, 0, sizeof(info));
    if (fd < 0 || getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &n) != 0)
        return 0;
    if (n < offsetof(struct tcp_info, tcpi_bytes_acked) + sizeof(info.tcpi_bytes_acked))
        return 0;
    return info.tcpi_bytes_acked;
}
