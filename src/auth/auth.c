/* SPDX-License-Identifier: Apache-2.0 */
/* One loop's view of a keyring: a bounded memory of tokens that were verified, found by the
 * SHA-256 of the token. The least recently used goes first when it is full; one that has expired
 * goes when it is asked for. Refused tokens are not remembered: whoever sends them would choose
 * what is in the memory. */
#include "auth/auth.h"
#include "auth/jwt.h"
#include "auth/key.h"
#include "auth/keyring.h"
#include "base/check.h"
#include "base/digest.h"
#include "base/list.h"
#include "base/map.h"
#include "base/mem.h"
#include <inttypes.h>
#include <jansson.h>

struct verified {
    uint8_t digest[32]; /* the map's key points here */
    struct list by_use;
    struct identity *identity;
};
struct auth {
    struct keyring *keyring;
    struct map verified;
    struct list by_use; /* the least recent first */
};

struct auth *auth_new(struct keyring *k)
{
    struct auth *a = mem_new(sizeof(*a));
    a->keyring = keyring_ref(k);
    list_init(&a->by_use);
    return a;
}

static struct str key_of(const uint8_t digest[32])
{
    return str_of((const char *)digest, 32);
}

static void forget(struct auth *a, struct verified *v)
{
    map_remove(&a->verified, key_of(v->digest));
    list_drop(&v->by_use);
    identity_unref(v->identity);
    mem_free(v);
}

static void forget_all(struct auth *a)
{
    while (!list_is_empty(&a->by_use))
        forget(a, LIST_OF(a->by_use.next, struct verified, by_use));
    map_free(&a->verified);
    a->verified = (struct map){0};
}

void auth_free(struct auth **a)
{
    if (!*a)
        return;
    forget_all(*a);
    keyring_unref((*a)->keyring);
    mem_free(*a);
    *a = NULL;
}

void auth_set_keyring(struct auth *a, struct keyring *k)
{
    struct keyring *old = a->keyring;
    a->keyring = keyring_ref(k);
    keyring_unref(old);
    forget_all(a);
}

/* Tokens of any length may be asked for; only as many bytes as a token may have are hashed. */
static struct verified *find(const struct auth *a, struct str token)
{
    uint8_t digest[32];
    if (!a->verified.count || !token.n || token.n > keyring_token_bytes_max(a->keyring))
        return NULL;
    digest_sha256(token, digest);
    return map_get(&a->verified, key_of(digest));
}

int auth_verify(struct auth *a, struct str token, uint64_t now_ms, struct identity **out,
                struct auth_verdict *verdict)
{
    struct verified *v = find(a, token);
    if (v && v->identity->expires_ms && now_ms >= v->identity->expires_ms) {
        forget(a, v); /* and let the keyring say the words */
        v = NULL;
    }
    if (!v) {
        int err = keyring_verify(a->keyring, token, now_ms, out, verdict);
        if (!err)
            auth_remember(a, token, *out);
        return err;
    }
    list_drop(&v->by_use);
    list_push(&a->by_use, &v->by_use);
    *out = identity_ref(v->identity);
    if (verdict)
        *verdict = (struct auth_verdict){.reason = AUTH_OK};
    return 0;
}

bool auth_is_costly(const struct auth *a, struct str token)
{
    return token.n && !find(a, token) && keyring_is_costly(a->keyring, token);
}

void auth_remember(struct auth *a, struct str token, struct identity *id)
{
    struct verified *v = find(a, token);
    if (v || !token.n)
        return;
    v = mem_try(sizeof(*v));
    if (!v)
        return; /* it is only a memory */
    if (a->verified.count >= keyring_cache_max(a->keyring))
        forget(a, LIST_OF(a->by_use.next, struct verified, by_use));
    *v = (struct verified){.identity = identity_ref(id)};
    digest_sha256(token, v->digest);
    map_put(&a->verified, key_of(v->digest), v);
    list_push(&a->by_use, &v->by_use);
}

struct str auth_bearer(struct str header)
{
    struct str rest = str_trim(header);
    struct str scheme = str_cut(&rest, ' ');
    return rest.p && str_eq_nocase(scheme, STR("Bearer")) ? str_trim(rest) : STR_NONE;
}

/* ---- explaining --------------------------------------------------------------------------- */

static int append(const char *bytes, size_t n, void *out)
{
    buf_add(out, bytes, n);
    return 0;
}

static void explain_object(struct buf *out, const char *name, const json_t *object)
{
    buf_printf(out, "%-10s", name);
    json_dump_callback(object, append, out, JSON_COMPACT);
    buf_add_c(out, '\n');
}

static void explain_keys(const struct keyring *k, const struct jwt *jwt, struct buf *out)
{
    const struct key *key;
    for (size_t n = 0; (key = keyring_candidate(k, jwt, n)); n++) {
        bool good = key_verify(key, jwt->signed_text, str_of(jwt->signature, jwt->signature_n));
        buf_printf(out, "%-10s%s%s%s%s (%s): %s\n", "key",
                   key->name && key->name[0] ? key->name : "-", key->kid ? ", kid \"" : "",
                   key->kid ? key->kid : "", key->kid ? "\"" : "", key->algorithm->name,
                   good ? "the signature is good" : "the signature is wrong");
    }
}

/* Read without trust, to be shown only. */
static void explain_parts(const struct keyring *k, struct str token, struct buf *out)
{
    struct jwt jwt;
    struct auth_verdict verdict;
    struct buf text = {0};
    json_t *claims = NULL;
    int err = jwt_parse(&jwt, token, keyring_token_bytes_max(k), &verdict);
    if (jwt.header)
        explain_object(out, "header", jwt.header);
    if (!err) {
        explain_keys(k, &jwt, out);
        if (jwt_claims(&jwt, &text, &claims, &verdict) == 0)
            explain_object(out, "claims", claims);
    }
    json_decref(claims);
    buf_free(&text);
    jwt_fini(&jwt);
}

static void explain_identity(const struct identity *id, uint64_t now_ms, struct buf *out)
{
    buf_printf(out, "%-10s%s%.*s\n", "sub", id->sub.n ? "" : "(none)", STR_ARG(id->sub));
    buf_printf(out, "%-10s%.*s%s%s\n", "role", STR_ARG(id->role),
               id->anonymous ? ", anonymous" : "", id->service ? ", passes every rule" : "");
    if (id->expires_ms)
        buf_printf(out, "%-10sin %" PRIu64 " s\n", "expires", (id->expires_ms - now_ms) / 1000);
    else
        buf_printf(out, "%-10snever\n", "expires");
}

int auth_explain(struct auth *a, struct str token, uint64_t now_ms, struct buf *out)
{
    struct identity *id = NULL;
    struct auth_verdict verdict;
    int err = keyring_verify(a->keyring, token, now_ms, &id, &verdict);
    if (str_find(token, '.') >= 0)
        explain_parts(a->keyring, token, out);
    if (err)
        buf_printf(out, "%-10s%s\n", "refused",
                   verdict.text[0] ? verdict.text : err_info(err)->text);
    else
        explain_identity(id, now_ms, out);
    identity_unref(id);
    return err;
}
