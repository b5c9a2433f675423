/* SPDX-License-Identifier: Apache-2.0 */
/* What a handler may ask about its request. */
#include "http/http_priv.h"
#include "base/err.h"
#include "wire/url.h"

struct str http_header(const struct http_request *req, const char *name)
{
    return http1_header_get(req->headers, req->headers_count, name);
}

/* "?flag" has the value "", which is not the same as no flag. A value that cannot be decoded is one
 * NUL, which nothing accepts: as if it were not there it could mean the default. */
static struct str found(struct http_request *req, int result, struct str value)
{
    if (result == E_NO_MEMORY)
        req->no_memory = true;
    if (result < 0)
        return str_of("", 1);
    if (result == 0)
        return STR_NONE;
    return value.p ? value : STR("");
}

struct str http_query_at(struct http_request *req, const char *name, size_t index)
{
    struct str value = STR_NONE;
    int result = url_query_at(req->arena, req->query, name, index, &value);
    return found(req, result, value);
}

struct str http_query(struct http_request *req, const char *name)
{
    struct str value = STR_NONE;
    int result = url_query_first(req->arena, req->query, name, &value);
    return found(req, result, value);
}

struct str http_query_last(struct http_request *req, const char *name)
{
    struct str value = STR_NONE;
    int result = url_query_last(req->arena, req->query, name, &value);
    return found(req, result, value);
}

/* A client may send several Cookie headers (RFC 9113 does). */
struct str http_cookie(const struct http_request *req, const char *name)
{
    for (size_t i = 0; i < req->headers_count; i++) {
        if (!str_eq_nocase(req->headers[i].name, STR("Cookie")))
            continue;
        struct str value = url_cookie(req->headers[i].value, name);
        if (value.p)
            return value;
    }
    return STR_NONE;
}

struct str http_peer(const struct http_request *req)
{
    return sock_peer(req->conn->sock);
}

struct str http_client_address(const struct http_request *req)
{
    return proxy_client(req->conn->server, req);
}
