/* SPDX-License-Identifier: Apache-2.0 */
/* The keys of a configuration and its demands on claims; judging a token by them.
 *
 * Order of a judgement: form, header, candidate keys (by exact algorithm and kid), signature, and
 * only then the claims, so that nothing of an unsigned token but its header is ever parsed. */
#include "auth/keyring.h"
#include "auth/identity.h"
#include "auth/jwt.h"
#include "auth/key.h"
#include "base/base64.h"
#include "base/check.h"
#include "base/digest.h"
#include "base/json.h"
#include "base/mem.h"
#include <jansson.h>
#include <math.h>

#define KEYS_MAX 64      /* a token without kid may have to be tried with all of them */
#define API_KEYS_MAX 256 /* each is compared with each opaque token */
#define API_KEY_BYTES_MIN 16
#define JWKS_BYTES_MAX (256 * 1024)
#define NAMES_MAX 64
#define LEEWAY_MS_MAX 60000
#define TOKEN_BYTES_DEFAULT 8192
#define TOKEN_BYTES_MAX 65536
#define CACHE_DEFAULT 10000
#define SECONDS_MAX 253402300799.0 /* the end of the year 9999 */

struct api_key {
    uint8_t digest[32];
    struct identity *identity;
};
struct names {
    char **text;
    size_t count;
};
struct keyring {
    struct ref ref;
    struct key keys[KEYS_MAX];
    size_t keys_count;
    struct api_key api_keys[API_KEYS_MAX];
    size_t api_keys_count;
    struct names audiences, issuers;
    struct identity *anonymous; /* NULL: not allowed */
    struct identity_config identity;
    char *role_claim, *role_default, *anonymous_role, *service_role;
    bool exp_optional;
    uint64_t leeway_ms, exp_leeway_ms;
    size_t token_bytes_max, cache_max;
};

/* ---- building ----------------------------------------------------------------------------- */

/* The next free key; NULL when there are too many. */
static struct key *next_key(struct keyring *k, struct buf *why)
{
    if (k->keys_count < KEYS_MAX)
        return &k->keys[k->keys_count++];
    buf_printf(why, "more than %d keys", KEYS_MAX);
    return NULL;
}

static int add_jwk(struct keyring *k, const struct auth_key_config *row, const json_t *jwk,
                   bool short_ok, struct buf *why)
{
    struct key *key = next_key(k, why);
    if (!key)
        return E_CONFIG;
    int err = key_init_jwk(key, jwk, row->algorithm, short_ok, why);
    if (err == KEY_SKIP) {
        key_fini(key);
        k->keys_count--;
        return 0;
    }
    key->name = str_dup(row->name);
    return err;
}

/* A set {"keys": [...]}, a bare array of keys, or one key. */
static int add_jwks(struct keyring *k, const struct auth_key_config *row, bool short_ok,
                    struct buf *why)
{
    json_error_t error;
    if (row->jwks.n > JWKS_BYTES_MAX) {
        buf_add_z(why, "the set is longer than 256 KiB");
        return E_CONFIG;
    }
    json_t *set = json_loadb(row->jwks.p, row->jwks.n, JSON_REJECT_DUPLICATES, &error);
    if (!set) {
        buf_printf(why, "line %d column %d: %s", error.line, error.column, error.text);
        return E_CONFIG;
    }
    const json_t *keys = json_is_object(set) ? json_object_get(set, "keys") : set;
    size_t before = k->keys_count;
    int err = 0;
    if (json_is_array(keys)) {
        for (size_t i = 0; i < json_array_size(keys) && !err; i++)
            err = add_jwk(k, row, json_array_get(keys, i), short_ok, why);
    } else {
        err = add_jwk(k, row, set, short_ok, why);
    }
    json_decref(set);
    if (!err && k->keys_count == before) {
        buf_add_z(why, "the set has no key that can verify tokens");
        err = E_CONFIG;
    }
    return err;
}

static int add_row(struct keyring *k, const struct auth_key_config *row, bool short_ok,
                   struct buf *why)
{
    if ((row->secret.n > 0) + (row->pem.n > 0) + (row->jwks.n > 0) != 1) {
        buf_add_z(why, "give exactly one of secret, pem and jwks");
        return E_CONFIG;
    }
    if (row->algorithm.n && !key_algorithm_find(row->algorithm)) {
        buf_printf(why, "unknown algorithm \"%.*s\"", STR_ARG(row->algorithm));
        return E_CONFIG;
    }
    if (row->jwks.n)
        return add_jwks(k, row, short_ok, why);
    struct key *key = next_key(k, why);
    if (!key)
        return E_CONFIG;
    key->name = str_dup(row->name);
    key->kid = row->kid.n ? str_dup(row->kid) : NULL;
    return row->secret.n ? key_init_secret(key, row->secret, row->algorithm, short_ok, why)
                         : key_init_pem(key, row->pem, row->algorithm, why);
}

static int add_keys(struct keyring *k, const struct auth_config *config, struct buf *why)
{
    for (size_t i = 0; i < config->keys_count; i++) {
        const struct auth_key_config *row = &config->keys[i];
        struct buf detail = {0};
        int err = add_row(k, row, config->short_secrets, &detail);
        if (err)
            buf_printf(why, "auth.keys[%zu]%s%.*s: %.*s", i, row->name.n ? " " : "",
                       STR_ARG(row->name), STR_ARG(buf_str(&detail)));
        buf_free(&detail);
        if (err)
            return err;
    }
    return 0;
}

static int add_api_keys(struct keyring *k, const struct auth_config *config, struct buf *why)
{
    for (size_t i = 0; i < config->api_keys_count; i++) {
        const struct auth_api_key_config *row = &config->api_keys[i];
        struct str role = row->role.n ? row->role : str_from(k->anonymous_role);
        const char *fault = NULL;
        if (i >= API_KEYS_MAX)
            fault = "there are too many";
        else if (row->key.n < API_KEY_BYTES_MIN)
            fault = "the key is shorter than 16 bytes";
        if (!fault) {
            struct api_key *key = &k->api_keys[k->api_keys_count++];
            digest_sha256(row->key, key->digest);
            key->identity = identity_make_bare(
                role, !row->service && str_is(role, k->anonymous_role), row->service);
            if (!key->identity)
                fault = "the role is not a fit name";
        }
        if (fault) {
            buf_printf(why, "auth.api_keys[%zu]: %s", i, fault);
            return E_CONFIG;
        }
    }
    return 0;
}

static bool copy_names(struct names *names, const struct str *from, size_t count)
{
    if (count > NAMES_MAX)
        return false;
    names->text = mem_new((count + 1) * sizeof(names->text[0]));
    for (; names->count < count; names->count++)
        names->text[names->count] = str_dup(from[names->count]);
    return true;
}

static char *text_or(struct str s, const char *otherwise)
{
    return str_dup(s.n ? s : str_from(otherwise));
}

static int set_demands(struct keyring *k, const struct auth_config *config, struct buf *why)
{
    k->role_claim = text_or(config->role_claim, "role");
    k->role_default = text_or(config->role_default, "authenticated");
    k->anonymous_role = text_or(config->anonymous_role, "anon");
    k->service_role = text_or(config->service_role, "service_role");
    k->identity = (struct identity_config){.role_claim = str_from(k->role_claim),
                                           .role_default = str_from(k->role_default),
                                           .anonymous_role = str_from(k->anonymous_role),
                                           .service_role = str_from(k->service_role),
                                           .role_required = config->role_required};
    k->exp_optional = config->exp_optional;
    k->leeway_ms = config->leeway_ms;
    k->exp_leeway_ms = config->exp_leeway_ms;
    k->token_bytes_max = config->token_bytes_max ? config->token_bytes_max : TOKEN_BYTES_DEFAULT;
    k->cache_max = config->cache_max ? config->cache_max : CACHE_DEFAULT;
    const char *fault = NULL;
    if (strcmp(k->role_default, k->service_role) == 0)
        fault = "auth.role_default: must not be the service role";
    else if (strcmp(k->anonymous_role, k->service_role) == 0)
        fault = "auth.anonymous_role: must not be the service role";
    else if (k->leeway_ms > LEEWAY_MS_MAX || k->exp_leeway_ms > LEEWAY_MS_MAX)
        fault = "auth.leeway: at most 60 s";
    else if (k->token_bytes_max > TOKEN_BYTES_MAX)
        fault = "auth.token_bytes_max: at most 64 KiB";
    else if (!copy_names(&k->audiences, config->audiences, config->audiences_count))
        fault = "auth.audiences: too many";
    else if (!copy_names(&k->issuers, config->issuers, config->issuers_count))
        fault = "auth.issuers: too many";
    else if (config->anonymous &&
             !(k->anonymous = identity_make_bare(str_from(k->anonymous_role), true, false)))
        fault = "auth.anonymous_role: not a fit name";
    if (fault)
        buf_add_z(why, fault);
    return fault ? E_CONFIG : 0;
}

int keyring_new(const struct auth_config *config, struct buf *why, struct keyring **out)
{
    struct keyring *k = mem_new(sizeof(*k));
    ref_init(&k->ref);
    int err = set_demands(k, config, why);
    if (!err)
        err = add_keys(k, config, why);
    if (!err)
        err = add_api_keys(k, config, why);
    if (err) {
        keyring_unref(k);
        return err;
    }
    *out = k;
    return 0;
}

struct keyring *keyring_ref(struct keyring *k)
{
    ref_take(&k->ref);
    return k;
}

static void free_names(struct names *names)
{
    for (size_t i = 0; i < names->count; i++)
        mem_free(names->text[i]);
    mem_free(names->text);
}

void keyring_unref(struct keyring *k)
{
    if (!k || !ref_drop(&k->ref))
        return;
    for (size_t i = 0; i < k->keys_count; i++)
        key_fini(&k->keys[i]);
    for (size_t i = 0; i < k->api_keys_count; i++)
        identity_unref(k->api_keys[i].identity);
    identity_unref(k->anonymous);
    free_names(&k->audiences);
    free_names(&k->issuers);
    mem_free(k->role_claim);
    mem_free(k->role_default);
    mem_free(k->anonymous_role);
    mem_free(k->service_role);
    mem_free(k);
}

size_t keyring_count(const struct keyring *k)
{
    return k->keys_count;
}

size_t keyring_cache_max(const struct keyring *k)
{
    return k->cache_max;
}

size_t keyring_token_bytes_max(const struct keyring *k)
{
    return k->token_bytes_max;
}

int keyring_mint(const struct keyring *k, struct str claims_json, struct buf *out)
{
    const struct key *key = NULL;
    for (size_t i = 0; i < k->keys_count && !key; i++)
        if (k->keys[i].algorithm->kind == KEY_HMAC)
            key = &k->keys[i];
    if (!key)
        return E_CONFIG;
    json_t *claims = jwt_object(claims_json);
    json_decref(claims);
    if (!claims)
        return E_BAD_REQUEST;
    struct buf header = {0}, signature = {0};
    size_t start = out->n;
    buf_add_c(&header, '{');
    json_add_field(&header, "alg", str_from(key->algorithm->name));
    json_add_field(&header, "typ", STR("JWT"));
    if (key->kid)
        json_add_field(&header, "kid", str_from(key->kid));
    buf_add_c(&header, '}');
    base64url_encode(out, buf_str(&header));
    buf_add_c(out, '.');
    base64url_encode(out, claims_json);
    bool ok = !header.failed && !out->failed &&
              key_sign(key, str_of(out->p + start, out->n - start), &signature);
    buf_add_c(out, '.');
    base64url_encode(out, buf_str(&signature));
    buf_free(&header);
    buf_free(&signature);
    return ok && !out->failed ? 0 : E_NO_MEMORY;
}

/* ---- choosing keys -------------------------------------------------------------------------- */

static bool has_kid(const struct keyring *k, struct str kid)
{
    for (size_t i = 0; i < k->keys_count; i++)
        if (k->keys[i].kid && str_is(kid, k->keys[i].kid))
            return true;
    return false;
}

static bool may_try(const struct key *key, const struct jwt *jwt, bool kid_known)
{
    if (!str_is(jwt->alg, key->algorithm->name))
        return false;
    if (!jwt->kid.p)
        return true;
    return kid_known ? key->kid && str_is(jwt->kid, key->kid) : !key->kid;
}

const struct key *keyring_candidate(const struct keyring *k, const struct jwt *jwt, size_t n)
{
    bool kid_known = jwt->kid.p && has_kid(k, jwt->kid);
    for (size_t i = 0; i < k->keys_count; i++)
        if (may_try(&k->keys[i], jwt, kid_known) && n-- == 0)
            return &k->keys[i];
    return NULL;
}

static int no_candidate(const struct keyring *k, const struct jwt *jwt, struct auth_verdict *v)
{
    if (k->keys_count == 0)
        return jwt_refuse(v, AUTH_KEY_UNKNOWN, "No keys are configured");
    const struct key_algorithm *alg = key_algorithm_find(jwt->alg);
    bool used = false;
    for (size_t i = 0; i < k->keys_count; i++)
        used = used || k->keys[i].algorithm == alg;
    if (used)
        return jwt_refuse(v, AUTH_KEY_UNKNOWN, "No key of the token's `kid` is configured for %s",
                          alg->name);
    if (alg)
        return jwt_refuse(v, AUTH_ALGORITHM, "No configured key is for %s", alg->name);
    return jwt_refuse(v, AUTH_ALGORITHM, "The token's algorithm is not supported");
}

bool keyring_is_costly(const struct keyring *k, struct str token)
{
    struct jwt jwt;
    struct auth_verdict verdict;
    bool costly = false;
    if (jwt_parse(&jwt, token, k->token_bytes_max, &verdict) == 0) {
        const struct key *key = keyring_candidate(k, &jwt, 0);
        costly = key && key->algorithm->kind != KEY_HMAC;
    }
    jwt_fini(&jwt);
    return costly;
}

/* ---- judging claims ------------------------------------------------------------------------- */

/* Seconds since 1970; *ms = 0 where the claim is absent. */
static int read_time(const json_t *claims, const char *name, uint64_t *ms, struct auth_verdict *v)
{
    const json_t *value = json_object_get(claims, name);
    *ms = 0;
    if (!value)
        return 0;
    double seconds = json_is_number(value) ? json_number_value(value) : -1;
    if (!isfinite(seconds) || seconds < 0 || seconds > SECONDS_MAX)
        return jwt_refuse(v, AUTH_CLAIM, "The claim `%s` is not a time in seconds since 1970",
                          name);
    *ms = (uint64_t)(seconds * 1000);
    return 0;
}

static int check_times(const struct keyring *k, const json_t *claims, uint64_t now_ms,
                       uint64_t *expires_ms, struct auth_verdict *v)
{
    uint64_t exp, nbf, iat;
    int err = read_time(claims, "exp", &exp, v);
    if (!err)
        err = read_time(claims, "nbf", &nbf, v);
    if (!err)
        err = read_time(claims, "iat", &iat, v);
    if (err)
        return err;
    bool has_exp = json_object_get(claims, "exp") != NULL;
    if (!has_exp && !k->exp_optional)
        return jwt_refuse(v, AUTH_EXP_MISSING, "The token has no `exp`");
    *expires_ms = has_exp ? exp + k->exp_leeway_ms : 0;
    if (has_exp && now_ms >= *expires_ms) {
        v->seconds = (now_ms - exp) / 1000;
        return jwt_refuse(v, AUTH_EXPIRED, "Token has expired %llu seconds ago",
                          (unsigned long long)v->seconds);
    }
    if (nbf > now_ms + k->leeway_ms) {
        v->seconds = (nbf - now_ms + 999) / 1000;
        return jwt_refuse(v, AUTH_NOT_YET, "The token is not valid before %llu seconds from now",
                          (unsigned long long)v->seconds);
    }
    return 0;
}

static bool is_one_of(const json_t *value, const struct names *names)
{
    struct str text = str_of(json_string_value(value), json_string_length(value));
    for (size_t i = 0; i < names->count; i++)
        if (str_is(text, names->text[i]))
            return true;
    return false;
}

static int check_audience(const struct keyring *k, const json_t *claims, struct auth_verdict *v)
{
    const json_t *aud = json_object_get(claims, "aud");
    if (k->audiences.count == 0)
        return 0;
    bool found = json_is_string(aud) && is_one_of(aud, &k->audiences);
    for (size_t i = 0; i < json_array_size(aud); i++) {
        const json_t *one = json_array_get(aud, i);
        if (!json_is_string(one))
            return jwt_refuse(v, AUTH_CLAIM, "The claim `aud` holds something else than strings");
        found = found || is_one_of(one, &k->audiences);
    }
    return found ? 0 : jwt_refuse(v, AUTH_AUDIENCE, "The token is for another audience");
}

static int check_issuer(const struct keyring *k, const json_t *claims, struct auth_verdict *v)
{
    const json_t *iss = json_object_get(claims, "iss");
    if (k->issuers.count == 0 || (json_is_string(iss) && is_one_of(iss, &k->issuers)))
        return 0;
    return jwt_refuse(v, AUTH_ISSUER, "The token is from another issuer");
}

/* The signature is good: do the claims hold? */
static int judge_claims(const struct keyring *k, const struct jwt *jwt, uint64_t now_ms,
                        struct identity **out, struct auth_verdict *v)
{
    struct buf text = {0};
    json_t *claims = NULL;
    uint64_t expires_ms = 0;
    int err = jwt_claims(jwt, &text, &claims, v);
    if (!err)
        err = check_times(k, claims, now_ms, &expires_ms, v);
    if (!err)
        err = check_audience(k, claims, v);
    if (!err)
        err = check_issuer(k, claims, v);
    if (err)
        json_decref(claims);
    else
        err = identity_make(&k->identity, claims, buf_str(&text), expires_ms, out, v);
    buf_free(&text);
    return err;
}

/* Compares with every key, so that the time says nothing about which was nearly right. */
static struct identity *api_identity(const struct keyring *k, struct str token)
{
    uint8_t digest[32];
    struct identity *found = NULL;
    digest_sha256(token, digest);
    for (size_t i = 0; i < k->api_keys_count; i++)
        if (digest_equal(str_of((const char *)k->api_keys[i].digest, sizeof(digest)),
                         str_of((const char *)digest, sizeof(digest))))
            found = k->api_keys[i].identity;
    return found;
}

static int judge(const struct keyring *k, struct str token, uint64_t now_ms, struct identity **out,
                 struct auth_verdict *v)
{
    struct jwt jwt;
    int err = jwt_parse(&jwt, token, k->token_bytes_max, v);
    const struct key *key = NULL;
    for (size_t n = 0; !err; n++) {
        key = keyring_candidate(k, &jwt, n);
        if (!key)
            err = n ? jwt_refuse(v, AUTH_SIGNATURE, "The token's signature is wrong")
                    : no_candidate(k, &jwt, v);
        else if (key_verify(key, jwt.signed_text, str_of(jwt.signature, jwt.signature_n)))
            break;
    }
    if (!err)
        err = judge_claims(k, &jwt, now_ms, out, v);
    jwt_fini(&jwt);
    return err;
}

int keyring_verify(const struct keyring *k, struct str token, uint64_t now_ms,
                   struct identity **out, struct auth_verdict *verdict)
{
    struct auth_verdict own;
    struct auth_verdict *v = verdict ? verdict : &own;
    *v = (struct auth_verdict){.reason = AUTH_OK};
    *out = NULL;
    if (!token.n && !k->anonymous)
        return jwt_refuse(v, AUTH_NO_TOKEN, "A token is needed");
    if (!token.n) {
        *out = identity_ref(k->anonymous);
        return 0;
    }
    bool may_be_opaque = k->api_keys_count && token.n <= k->token_bytes_max;
    struct identity *id = may_be_opaque ? api_identity(k, token) : NULL;
    if (id) {
        *out = identity_ref(id);
        return 0;
    }
    if (str_starts(token, STR("sb_")) && str_find(token, '.') < 0)
        return jwt_refuse(v, AUTH_API_KEY, "The API key is not one of the configured ones");
    int err = judge(k, token, now_ms, out, v);
    CHECK(!err == (*out != NULL));
    return err;
}
