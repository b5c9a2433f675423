/* SPDX-License-Identifier: Apache-2.0 */
/* What is kept of the request that began a connection, for handlers that ask. */
#include "protocol/engineio_priv.h"

#include "base/mem.h"

static struct str keep(char **at, struct str s)
{
    char *p = *at;
    if (s.n)
        memcpy(p, s.p, s.n);
    *at += s.n;
    return str_of(p, s.n);
}

struct engineio_handshake *engineio_handshake_new(const struct engineio_hello *hello)
{
    if (!hello->url.n)
        return NULL;
    struct engineio_handshake *h =
        mem_new(sizeof(*h) + hello->address.n + hello->url.n + hello->headers.n);
    char *at = h->text;
    h->time_ms = loop_wall_ms(hello->loop);
    h->is_tls = hello->is_tls;
    h->address = keep(&at, hello->address);
    h->url = keep(&at, hello->url);
    h->headers = keep(&at, hello->headers);
    return h;
}
