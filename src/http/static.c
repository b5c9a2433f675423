/* SPDX-License-Identifier: Apache-2.0 */
/* Files that stand in the binary, compressed when it was built. They are always asked for anew
 * (no-cache) and answered 304 when the page has them: a new binary is seen at once. Each coding
 * has a tag of its own, as RFC 9110 wants of different bytes. */
#include "http/http_priv.h"
#include "base/check.h"

struct variant {
    const uint8_t *bytes;
    size_t n;
    const char *coding; /* NULL = as it is */
};

void http_serve_files(struct http_server *hs, const struct http_file *files, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        map_put(&hs->files, str_from(files[i].path), (void *)&files[i]); /* only read */
        if (strcmp(files[i].path, "/index.html") == 0)
            map_put(&hs->files, STR("/"), (void *)&files[i]);
    }
}

const struct http_file *static_find(struct http_server *hs, struct str path)
{
    return map_get(&hs->files, path);
}

static struct variant choose(const struct http_request *req, const struct http_file *file)
{
    struct str accept = http_header(req, "Accept-Encoding");
    if (file->brotli && accept.p && http1_accept_q(accept, "br") > 0)
        return (struct variant){file->brotli, file->brotli_n, "br"};
    if (file->gzip && accept.p && http1_accept_q(accept, "gzip") > 0)
        return (struct variant){file->gzip, file->gzip_n, "gzip"};
    return (struct variant){file->bytes, file->n, NULL};
}

static struct str strip_quotes(struct str tag)
{
    if (tag.n >= 2 && tag.p[0] == '"' && tag.p[tag.n - 1] == '"')
        return str_of(tag.p + 1, tag.n - 2);
    return tag;
}

/* Weak comparison over the list of If-None-Match (RFC 9110 13.1.2). */
static bool has_it(const struct http_request *req, struct str tag)
{
    struct str list = http_header(req, "If-None-Match");
    while (list.p) {
        struct str one = str_trim(str_cut(&list, ','));
        if (str_starts(one, STR("W/")))
            one = str_skip(one, 2);
        if (str_is(one, "*") || str_eq(one, tag))
            return true;
    }
    return false;
}

void static_serve(struct exchange *x)
{
    static const char policy[] =
        "default-src 'self'; connect-src 'self' ws: wss:; img-src 'self' data:; "
        "object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";
    struct http_request *req = &x->req;
    struct variant v = choose(req, x->file);
    struct buf tag = {0};
    struct str etag = strip_quotes(str_from(x->file->etag));
    buf_printf(&tag, "\"%.*s%s%s\"", STR_ARG(etag), v.coding ? "-" : "", v.coding ? v.coding : "");
    http_add_header(req, "ETag", buf_str(&tag));
    http_add_header(req, "Cache-Control", STR("no-cache"));
    if (x->file->gzip || x->file->brotli)
        http_add_header(req, "Vary", STR("Accept-Encoding"));
    bool known = has_it(req, buf_str(&tag));
    buf_free(&tag);
    if (known) {
        http_reply(req, 304, NULL, STR_NONE);
        return;
    }
    x->has_encoding = true; /* what is compressed was compressed when built */
    if (v.coding)
        http_add_header(req, "Content-Encoding", str_from(v.coding));
    http_add_header(req, "X-Content-Type-Options", STR("nosniff"));
    http_add_header(req, "Content-Security-Policy", str_from(policy));
    http_add_header(req, "Referrer-Policy", STR("same-origin"));
    http_reply(req, 200, x->file->content_type, str_of((const char *)v.bytes, v.n));
}
