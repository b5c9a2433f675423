/* SPDX-License-Identifier: Apache-2.0 */
/* Behind a reverse proxy the peer is the proxy. X-Forwarded-For is believed only hop by hop from
 * the right, and only as long as the one who wrote the hop is a trusted proxy: what stands
 * further left anybody may have invented. */
#include "http/http_priv.h"
#include "base/num.h"
#include <arpa/inet.h>

enum { HOPS_MAX = 32 };

static bool parse_ip(struct str text, uint8_t ip[16])
{
    char z[INET6_ADDRSTRLEN + 1];
    if (text.n == 0 || text.n >= sizeof(z))
        return false;
    memcpy(z, text.p, text.n);
    z[text.n] = 0;
    memset(ip, 0, 16);
    ip[10] = ip[11] = 0xff;
    if (inet_pton(AF_INET, z, ip + 12) == 1)
        return true;
    return inet_pton(AF_INET6, z, ip) == 1;
}

/* "10.0.0.1", "10.0.0.0/8", "fd00::/8" */
bool proxy_parse(struct str text, struct proxy_net *out)
{
    struct str bits = text;
    struct str ip = str_cut(&bits, '/');
    uint64_t n;
    if (!parse_ip(ip, out->ip))
        return false;
    bool v4 = str_find(ip, ':') < 0;
    out->bits = 128;
    if (!bits.p)
        return true;
    if (!num_u64(bits, &n) || n > (v4 ? 32 : 128))
        return false;
    out->bits = (unsigned)n + (v4 ? 96 : 0);
    return true;
}

static bool contains(const struct proxy_net *net, const uint8_t ip[16])
{
    unsigned whole = net->bits / 8, rest = net->bits % 8;
    if (memcmp(net->ip, ip, whole) != 0)
        return false;
    if (rest == 0)
        return true;
    uint8_t mask = (uint8_t)(0xff << (8 - rest));
    return (net->ip[whole] & mask) == (ip[whole] & mask);
}

bool http_trusts(const struct http_server *hs, struct str address)
{
    uint8_t ip[16];
    if (str_is(address, "unix"))
        return hs->trusts_unix;
    if (!parse_ip(address, ip))
        return false;
    for (size_t i = 0; i < hs->proxies_count; i++)
        if (contains(&hs->proxies[i], ip))
            return true;
    return false;
}

/* Without a port or brackets: "1.2.3.4:5", "[::1]:5", "::1" */
static struct str bare(struct str hop)
{
    hop = str_trim(hop);
    if (hop.n > 0 && hop.p[0] == '[') {
        ptrdiff_t end = str_find(hop, ']');
        return end > 0 ? str_of(hop.p + 1, (size_t)end - 1) : hop;
    }
    ptrdiff_t colon = str_find(hop, ':');
    if (colon >= 0 && str_find(str_skip(hop, (size_t)colon + 1), ':') < 0)
        return str_head(hop, (size_t)colon);
    return hop;
}

/* The last hop of a list is cut off. */
static struct str cut_last(struct str *list)
{
    size_t i = list->n;
    while (i > 0 && list->p[i - 1] != ',')
        i--;
    struct str last = str_skip(*list, i);
    list->n = i > 0 ? i - 1 : 0;
    return last;
}

struct str proxy_client(const struct http_server *hs, const struct http_request *req)
{
    uint8_t ip[16];
    struct str client = sock_peer_address(req->conn->sock);
    int hops = 0;
    for (size_t i = req->headers_count; i-- > 0;) {
        if (!str_eq_nocase(req->headers[i].name, STR("X-Forwarded-For")))
            continue;
        struct str list = req->headers[i].value;
        while (list.n > 0) {
            struct str hop = bare(cut_last(&list));
            if (!http_trusts(hs, client) || hops++ >= HOPS_MAX || !parse_ip(hop, ip))
                return client;
            client = hop;
        }
    }
    return client;
}

static bool is_loopback(struct str address)
{
    return str_starts(address, STR("127.")) || str_is(address, "::1") || str_is(address, "unix");
}

static bool is_local_name(struct str host)
{
    struct str name = bare(host);
    return str_eq_nocase(name, STR("localhost")) || str_ends(name, STR(".localhost")) ||
           is_loopback(name);
}

bool http_is_proxied(const struct http_request *req)
{
    static const char *const marks[] = {"X-Forwarded-For", "Forwarded", "Via", "X-Real-IP",
                                        "X-Forwarded-Proto"};
    struct str peer = sock_peer_address(req->conn->sock);
    for (size_t i = 0; i < sizeof(marks) / sizeof(marks[0]); i++)
        if (http_header(req, marks[i]).p)
            return true;
    if (str_is(peer, "unix") || http_trusts(req->conn->server, peer))
        return true;
    return is_loopback(peer) && !is_local_name(http_header(req, "host"));
}
