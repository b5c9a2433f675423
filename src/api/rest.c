/* SPDX-License-Identifier: Apache-2.0 */
/* /rest/v1: the data API of PostgREST, for supabase-js and whoever speaks it. Headers become a
 * db_rest, the database's threads do the work, the answer's headers are put together here.
 *
 *   GET HEAD POST PATCH PUT DELETE /rest/v1/<table>     POST GET HEAD /rest/v1/rpc/<function>
 *
 * docs/protocols/rest.md has the grammar and what differs from PostgREST. */
#include "api/api_priv.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/num.h"
#include "wire/url.h"
#include <stdio.h>

enum { NAME_MAX_BYTES = 255, KEY_MAX_BYTES = 255 };

struct rest_request {
    struct db_rest db; /* first */
    struct http_request *req;
    struct identity *identity;
    bool is_gone;
};

static const char expose[] = "Content-Encoding, Content-Location, Content-Range, Content-Type, "
                             "Date, Location, Preference-Applied, Range-Unit, Server, "
                             "Transfer-Encoding";

static void expose_headers(struct http_request *req)
{
    if (http_header(req, "origin").p)
        http_add_header(req, "Access-Control-Expose-Headers", str_from(expose));
}

static const char json_type[] = "application/json; charset=utf-8";

/* {"code":..,"details":null,"hint":..,"message":..} */
static void refuse(struct http_request *req, int status, const char *code, const char *message,
                   const char *hint)
{
    struct buf body = {0};
    buf_add_c(&body, '{');
    json_add_field(&body, "code", str_from(code));
    json_add_raw(&body, "details", STR("null"));
    if (hint)
        json_add_field(&body, "hint", str_from(hint));
    else
        json_add_raw(&body, "hint", STR("null"));
    json_add_field(&body, "message", str_from(message));
    buf_add_c(&body, '}');
    expose_headers(req);
    if (status == 401)
        http_add_header(req, "WWW-Authenticate", STR("Bearer"));
    http_reply(req, status, json_type, buf_str(&body));
    buf_free(&body);
}

static void refuse_identity(struct http_request *req, int err)
{
    switch (err) {
    case E_TOKEN_EXPIRED:
        refuse(req, 401, "PGRST303", "JWT expired", NULL);
        break;
    case E_TOKEN_REQUIRED:
        refuse(req, 401, "PGRST302", "Anonymous access is disabled", NULL);
        break;
    case E_TOKEN_INVALID:
        refuse(req, 401, "PGRST301", "No suitable key or wrong key type or wrong claims",
               "Try `tidewire token check`.");
        break;
    default:
        http_reply_error(req, err, NULL);
    }
}

/* ---- the request ------------------------------------------------------------------------ */
/* "/rest/v1/rpc/name": what is called and whether it is a function; false: no such path. */
static bool read_path(const struct http_request *req, struct str *name, bool *is_function)
{
    struct str rest = str_skip(req->path, sizeof "/rest/v1" - 1);
    while (str_starts(rest, STR("/")))
        rest = str_skip(rest, 1);
    *is_function = str_starts(rest, STR("rpc/"));
    *name = *is_function ? str_skip(rest, 4) : rest;
    while (str_ends(*name, STR("/")))
        name->n--;
    return name->n > 0 && name->n <= NAME_MAX_BYTES && str_find(*name, '/') < 0;
}

static bool read_method(const struct http_request *req, bool is_function, enum rest_method *out)
{
    switch (req->method) {
    case HTTP_GET:
    case HTTP_HEAD:
        *out = is_function ? REST_CALL_READ : REST_READ;
        return true;
    case HTTP_POST:
        *out = is_function ? REST_CALL : REST_INSERT;
        return true;
    case HTTP_PATCH:
        *out = REST_UPDATE;
        return !is_function;
    case HTTP_DELETE:
        *out = REST_DELETE;
        return !is_function;
    case HTTP_PUT:
        *out = REST_PUT;
        return !is_function;
    case HTTP_OPTIONS:
    case HTTP_OTHER:
        break;
    }
    return false;
}

/* Accept-Profile of a read, Content-Profile of a write: there is one schema. */
static bool is_profile_known(const struct http_request *req)
{
    bool reads = req->method == HTTP_GET || req->method == HTTP_HEAD;
    struct str profile = http_header(req, reads ? "accept-profile" : "content-profile");
    return !profile.n || str_is(profile, "public");
}

static void read_prefer(const struct http_request *req, struct restprefer *out)
{
    for (size_t i = 0; i < req->headers_count; i++)
        if (str_eq_nocase(req->headers[i].name, STR("prefer")))
            restprefer_parse(out, req->headers[i].value);
}

/* "Range: 0-9" of a read without limit or offset in its query. */
static struct str with_range(struct http_request *req)
{
    struct str range = http_header(req, "range");
    uint64_t first, last = 0;
    struct str from;
    char text[80];
    struct buf query = {0};
    struct str out;
    if (str_starts(range, STR("items=")))
        range = str_skip(range, 6);
    from = str_cut(&range, '-');
    if (!range.p || !num_u64(from, &first) || (range.n && !num_u64(range, &last)) ||
        (range.n && last < first) || http_query(req, "limit").p || http_query(req, "offset").p)
        return req->query;
    buf_add_str(&query, req->query);
    snprintf(text, sizeof text, "%soffset=%llu", query.n ? "&" : "", (unsigned long long)first);
    buf_add_z(&query, text);
    if (range.n) {
        snprintf(text, sizeof text, "&limit=%llu", (unsigned long long)(last - first + 1));
        buf_add_z(&query, text);
    }
    out = arena_dup(req->arena, buf_str(&query));
    buf_free(&query);
    return out;
}

static bool is_json_body(const struct http_request *req)
{
    struct str type = http_header(req, "content-type");
    struct str name = str_trim(str_cut(&type, ';'));
    return !req->body.n || !name.n || str_eq_nocase(name, STR("application/json")) ||
           str_starts(name, STR("application/vnd.pgrst."));
}

/* ---- the answer ------------------------------------------------------------------------- */
static void add_headers(struct http_request *req, const struct db_rest *r)
{
    const struct rest_answer *a = &r->answer;
    expose_headers(req);
    if (r->failed) {
        char text[64];
        snprintf(text, sizeof text, "Tidewire; error=%s", r->code);
        http_add_header(req, "Proxy-Status", str_from(text));
        if (a->status == 401)
            http_add_header(req, "WWW-Authenticate", STR("Bearer"));
        if (a->status == 503)
            http_add_header(req, "Retry-After", STR("1"));
        return;
    }
    http_add_header(req, "Content-Profile", STR("public"));
    if (a->content_range[0])
        http_add_header(req, "Content-Range", str_from(a->content_range));
    if (a->location.n)
        http_add_header(req, "Location", buf_str(&a->location));
    if (a->applied.n)
        http_add_header(req, "Preference-Applied", buf_str(&a->applied));
    if (a->replayed)
        http_add_header(req, "Idempotent-Replayed", STR("true"));
}

static void clear(struct rest_request *r)
{
    db_rest_clear(&r->db);
    identity_unref(r->identity);
    mem_free(r);
}

static void on_done(struct loop *l, struct db_rest *db)
{
    struct rest_request *r = (struct rest_request *)db;
    struct http_request *req = r->req;
    (void)l;
    if (!r->is_gone) {
        req->on_abort = NULL;
        add_headers(req, db);
        http_reply(req, db->answer.status, db->answer.content_type, buf_str(&db->answer.body));
    }
    clear(r);
}

static void on_abort(struct http_request *req)
{
    ((struct rest_request *)req->state)->is_gone = true;
}

/* Everything that can be said without the database; false when it was. */
static bool read_call(struct http_request *req, struct rest_call *call)
{
    bool is_function;
    if (!read_path(req, &call->name, &is_function)) {
        struct str rest = str_skip(req->path, sizeof "/rest/v1" - 1);
        if (rest.n <= 1)
            refuse(req, 404, "PGRST126", "Root endpoint metadata is disabled", NULL);
        else
            refuse(req, 404, "PGRST125", "Invalid path specified in request URL", NULL);
        return false;
    }
    if (!read_method(req, is_function, &call->method)) {
        refuse(req, 405, is_function ? "PGRST101" : "PGRST117", "Unsupported HTTP method", NULL);
        return false;
    }
    if (!is_profile_known(req)) {
        refuse(req, 406, "PGRST106", "Invalid schema",
               "Only the following schemas are exposed: public");
        return false;
    }
    if (!restaccept_parse(http_header(req, "accept"), &call->accept)) {
        refuse(req, 406, "PGRST107", "None of these media types are available", NULL);
        return false;
    }
    if (!is_json_body(req)) {
        refuse(req, 415, "PGRST107", "Content-Type not acceptable: send application/json", NULL);
        return false;
    }
    return true;
}

void rest_on_request(struct http_request *req)
{
    struct rest_request *r = mem_new(sizeof *r);
    struct rest_call *call = &r->db.call;
    int err;
    if (!read_call(req, call)) {
        mem_free(r);
        return;
    }
    err = api_identify(req, &r->identity);
    if (err) {
        refuse_identity(req, err);
        mem_free(r);
        return;
    }
    read_prefer(req, &call->prefer);
    call->query = call->method == REST_READ ? with_range(req) : req->query;
    call->body = req->body;
    call->identity = r->identity;
    call->head = req->method == HTTP_HEAD;
    call->key = http_header(req, "idempotency-key");
    if (call->key.n > KEY_MAX_BYTES)
        call->key = STR_NONE;
    r->req = req;
    r->db.done = on_done;
    req->state = r;
    req->on_abort = on_abort;
    db_rest(req->route_arg, req->loop, &r->db);
}
