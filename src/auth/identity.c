/* SPDX-License-Identifier: Apache-2.0 */
/* An identity is one block of memory plus the parsed claims, which nobody changes after it was
 * made: that is what lets it cross threads with nothing but a count. */
#include "auth/identity.h"
#include "auth/jwt.h"
#include "base/check.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/mem.h"
#include <jansson.h>
#include <stdlib.h>

#define SUB_BYTES_MAX 256
#define ROLE_BYTES_MAX 128
#define SESSION_BYTES_MAX 128

static struct str text_of(const json_t *v)
{
    return json_is_string(v) ? str_of(json_string_value(v), json_string_length(v)) : STR_NONE;
}

const struct json_t *identity_find(const struct json_t *claims, struct str path)
{
    const json_t *v = claims;
    if (!path.n)
        return NULL;
    while (v && path.p) {
        struct str name = str_cut(&path, '.');
        char key[128];
        if (name.n >= sizeof(key))
            return NULL;
        memcpy(key, name.p, name.n);
        key[name.n] = 0;
        v = json_object_get(v, key); /* NULL when v is no object */
    }
    return v;
}

/* Such names end up in logs, SQL settings and headers. */
static bool is_printable(struct str s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] < 0x20 || s.p[i] == 0x7f)
            return false;
    return true;
}

static bool short_text(const json_t *v, size_t max, struct str *out)
{
    *out = text_of(v);
    return (!v || json_is_null(v) || json_is_string(v)) && out->n <= max && is_printable(*out);
}

/* False without memory. Times are left out: a refreshed token sees what the old one saw. */
static bool hash_claims(json_t *claims, uint64_t *hash)
{
    json_t *lasting = json_copy(claims);
    json_object_del(lasting, "exp");
    json_object_del(lasting, "iat");
    json_object_del(lasting, "nbf");
    char *text = lasting ? json_dumps(lasting, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
    if (text)
        *hash = hash_str(str_from(text));
    free(text); /* jansson's */
    json_decref(lasting);
    return text != NULL;
}

static int read_names(const struct identity_config *config, const json_t *claims,
                      struct identity *id, struct auth_verdict *verdict)
{
    if (!short_text(json_object_get(claims, "session_id"), SESSION_BYTES_MAX, &id->session))
        return jwt_refuse(verdict, AUTH_CLAIM, "The claim `session_id` is not a short string");
    const json_t *sub = json_object_get(claims, "sub");
    if (!json_is_integer(sub) && !short_text(sub, SUB_BYTES_MAX, &id->sub))
        return jwt_refuse(verdict, AUTH_CLAIM, "The claim `sub` is not a short string");
    if (!short_text(identity_find(claims, config->role_claim), ROLE_BYTES_MAX, &id->role))
        return jwt_refuse(verdict, AUTH_CLAIM, "The role claim is not a short string");
    id->role_given = id->role.n > 0;
    if (!id->role_given && config->role_required)
        return jwt_refuse(verdict, AUTH_ROLE_MISSING, "The token has no role");
    return 0;
}

/* Copies the names that are not in the claims themselves behind the claims' text. */
static void add_tail(struct identity *id, struct str text, struct str role_default, size_t room)
{
    struct buf tail = {.p = (char *)(id + 1), .capacity = room, .max = room};
    buf_add_str(&tail, text);
    id->text = str_of(tail.p, text.n);
    if (!id->role_given) {
        id->role = str_of(tail.p + tail.n, role_default.n);
        buf_add_str(&tail, role_default);
    }
    const json_t *sub = json_object_get(id->claims, "sub");
    if (json_is_integer(sub)) {
        size_t at = tail.n;
        buf_add_i64(&tail, json_integer_value(sub));
        id->sub = str_of(tail.p + at, tail.n - at);
    }
}

int identity_make(const struct identity_config *config, json_t *claims, struct str text,
                  uint64_t expires_ms, struct identity **out, struct auth_verdict *verdict)
{
    struct identity named = {.claims = claims, .expires_ms = expires_ms};
    int err = read_names(config, claims, &named, verdict);
    if (!err && !hash_claims(claims, &named.claims_hash))
        err = E_NO_MEMORY;
    size_t room = text.n + config->role_default.n + 21; /* the digits of a numeric sub */
    struct identity *id = err ? NULL : mem_try(sizeof(*id) + room);
    if (!id) {
        json_decref(claims);
        return err ? err : E_NO_MEMORY;
    }
    *id = named;
    ref_init(&id->ref);
    add_tail(id, text, config->role_default, room);
    id->anonymous = !id->sub.n && str_eq(id->role, config->anonymous_role);
    id->service = config->service_role.n && str_eq(id->role, config->service_role);
    *out = id;
    return 0;
}

int identity_new(struct str claims_json, struct str role_default, uint64_t expires_ms,
                 struct identity **out)
{
    struct identity_config config = {.role_claim = STR("role"),
                                     .role_default =
                                         role_default.n ? role_default : STR("authenticated"),
                                     .anonymous_role = STR("anon")};
    struct auth_verdict verdict;
    json_t *claims = jwt_object(claims_json);
    if (!claims)
        return E_TOKEN_INVALID;
    return identity_make(&config, claims, claims_json, expires_ms, out, &verdict);
}

struct identity *identity_make_bare(struct str role, bool anonymous, bool service)
{
    struct identity_config config = {.role_claim = STR("role")};
    struct auth_verdict verdict;
    struct identity *id = NULL;
    struct buf text = {0};
    buf_add_c(&text, '{');
    json_add_field(&text, "role", role);
    buf_add_c(&text, '}');
    json_t *claims = jwt_object(buf_str(&text));
    if (claims && identity_make(&config, claims, buf_str(&text), 0, &id, &verdict) == 0) {
        id->anonymous = anonymous;
        id->service = service;
    }
    buf_free(&text);
    return id;
}

struct identity *identity_new_anonymous(struct str role)
{
    struct identity *id = identity_make_bare(role.n ? role : STR("anon"), true, false);
    CHECK(id);
    return id;
}

struct identity *identity_new_service(void)
{
    struct identity *id = identity_make_bare(STR("service_role"), false, true);
    CHECK(id);
    return id;
}

struct identity *identity_ref(struct identity *id)
{
    if (id)
        ref_take(&id->ref);
    return id;
}

void identity_unref(struct identity *id)
{
    if (!id || !ref_drop(&id->ref))
        return;
    json_decref(id->claims);
    mem_free(id);
}

static int append(const char *bytes, size_t n, void *out)
{
    buf_add(out, bytes, n);
    return ((struct buf *)out)->failed ? -1 : 0;
}

bool identity_claim_json(const struct identity *id, struct str path, struct buf *out)
{
    const json_t *v = identity_find(id->claims, path);
    return v && json_dump_callback(v, append, out, JSON_COMPACT | JSON_ENCODE_ANY) == 0;
}

struct str identity_claim_text(const struct identity *id, struct str path)
{
    return text_of(identity_find(id->claims, path));
}
