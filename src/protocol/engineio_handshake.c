/* SPDX-License-Identifier: Apache-2.0 */
/* What is kept of the request that began a connection, for handlers that ask. */
#include "protocol/engineio_priv.h"

#include "base/mem.h"

struct engineio_handshake *engineio_handshake_new(const struct engineio_hello *hello)
{
    if (!hello->url.n)
        return NULL;
    struct engineio_handshake *h =
        mem_new(sizeof(*h) + hello->address.n + hello->url.n + hello->headers.n);
    char *at = h->text;
    h->time_ms = loop_wall_ms(hello->loop);
    h->is_tls = hello->is_tls;
    h->address = str_put(&at, hello->address);
    h->url = str_put(&at, hello->url);
    h->headers = str_put(&at, hello->headers);
    return h;
}
