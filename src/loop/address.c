/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses from text and back. No names here except "localhost": a listener that waits for a
 * name server would be a surprise. */
#include "loop/sock_priv.h"
#include "base/mem.h"
#include "base/num.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/un.h>

static bool parse_unix(struct str path, struct sockaddr_storage *out, socklen_t *n)
{
    struct sockaddr_un *u = (struct sockaddr_un *)out;
    if (path.n == 0 || path.n >= sizeof(u->sun_path))
        return false;
    u->sun_family = AF_UNIX;
    memcpy(u->sun_path, path.p, path.n);
    *n = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + path.n + 1);
    return true;
}

/* host "" = every address, IPv6 with IPv4 inside. */
static bool parse_host(struct str host, in_port_t port, struct sockaddr_storage *out, socklen_t *n)
{
    char z[INET6_ADDRSTRLEN + 1];
    struct sockaddr_in *v4 = (struct sockaddr_in *)out;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)out;
    if (host.n >= 2 && host.p[0] == '[' && host.p[host.n - 1] == ']')
        host = str_of(host.p + 1, host.n - 2);
    else if (str_find(host, ':') >= 0)
        return false;
    if (host.n >= sizeof(z))
        return false;
    if (str_is(host, "localhost"))
        host = STR("127.0.0.1");
    if (host.n > 0)
        memcpy(z, host.p, host.n);
    z[host.n] = 0;
    if (inet_pton(AF_INET, z, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = port;
        *n = sizeof(*v4);
        return true;
    }
    if (host.n > 0 && inet_pton(AF_INET6, z, &v6->sin6_addr) != 1)
        return false;
    v6->sin6_family = AF_INET6;
    v6->sin6_port = port;
    *n = sizeof(*v6);
    return true;
}

bool address_parse(struct str text, struct sockaddr_storage *out, socklen_t *n, char *err,
                   size_t err_size)
{
    memset(out, 0, sizeof(*out));
    if (str_starts(text, STR("unix:"))) {
        if (parse_unix(str_skip(text, 5), out, n))
            return true;
        snprintf(err, err_size, "\"%.*s\": the path is empty or too long", STR_ARG(text));
        return false;
    }
    size_t colon = text.n;
    while (colon > 0 && text.p[colon - 1] != ':')
        colon--;
    uint64_t port;
    if (colon == 0 || !num_u64(str_skip(text, colon), &port) || port > 65535) {
        snprintf(err, err_size, "\"%.*s\": expected address:port", STR_ARG(text));
        return false;
    }
    if (parse_host(str_head(text, colon - 1), htons((in_port_t)port), out, n))
        return true;
    snprintf(err, err_size, "\"%.*s\": not an IP address", STR_ARG(text));
    return false;
}

char *address_text(const struct sockaddr_storage *a)
{
    char ip[INET6_ADDRSTRLEN];
    char text[INET6_ADDRSTRLEN + 16];
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)a;
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)a;
    if (a->ss_family == AF_INET) {
        inet_ntop(AF_INET, &v4->sin_addr, ip, sizeof(ip));
        snprintf(text, sizeof(text), "%s:%u", ip, ntohs(v4->sin_port));
    } else if (a->ss_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr)) {
        inet_ntop(AF_INET, &v6->sin6_addr.s6_addr[12], ip, sizeof(ip));
        snprintf(text, sizeof(text), "%s:%u", ip, ntohs(v6->sin6_port));
    } else if (a->ss_family == AF_INET6) {
        inet_ntop(AF_INET6, &v6->sin6_addr, ip, sizeof(ip));
        snprintf(text, sizeof(text), "[%s]:%u", ip, ntohs(v6->sin6_port));
    } else {
        snprintf(text, sizeof(text), a->ss_family == AF_UNIX ? "unix" : "unknown");
    }
    return str_dup(str_from(text));
}
