/* SPDX-License-Identifier: Apache-2.0 */
/* Tokens for the command line and for tests: minting with the configured secret, and saying in
 * words what is wrong with one. */
#include "base/base64.h"
#include "loop/clock.h"
#include "server/embed_priv.h"
#include "tidewire.h"
#include <jansson.h>
#include <stdlib.h>

static int with_keys(tw_config *c, struct config **config, struct keyring **keys)
{
    buf_clear(&c->token);
    int err = embed_config_finish(c, config, keys, NULL);
    if (err)
        buf_add_str(&c->token, config_draft_problems(c->draft));
    return err;
}

/* The claims with `iat` and `exp`; NULL when they are no object. */
static char *complete_claims(tw_config *c, const char *text, uint64_t ttl_ms)
{
    json_error_t error;
    json_t *claims = json_loads(text, JSON_REJECT_DUPLICATES, &error);
    json_int_t now = (json_int_t)(clock_wall_ms() / 1000);
    if (!json_is_object(claims)) {
        buf_printf(&c->token, "the claims are not a JSON object: %s", claims ? text : error.text);
        json_decref(claims);
        return NULL;
    }
    if (!json_object_get(claims, "iat"))
        json_object_set_new(claims, "iat", json_integer(now));
    if (ttl_ms && !json_object_get(claims, "exp"))
        json_object_set_new(claims, "exp", json_integer(now + (json_int_t)((ttl_ms + 999) / 1000)));
    char *out = json_dumps(claims, JSON_COMPACT);
    json_decref(claims);
    return out;
}

char *tw_secret(void)
{
    uint8_t bytes[32];
    struct buf out = {0};
    clock_random_bytes(bytes, sizeof(bytes));
    base64url_encode(&out, str_of((const char *)bytes, sizeof(bytes)));
    return embed_give(&out);
}

int tw_token_mint(tw_config *c, const char *claims_json, uint64_t ttl_ms, char **token)
{
    struct keyring *keys = NULL;
    struct buf out = {0};
    int err = with_keys(c, NULL, &keys);
    char *claims = err ? NULL : complete_claims(c, claims_json, ttl_ms);
    if (!err && !claims)
        err = E_BAD_REQUEST;
    if (!err && (err = keyring_mint(keys, str_from(claims), &out)) == E_CONFIG)
        buf_add_z(&c->token, "no shared secret is configured: set auth.jwt_secret "
                             "(TIDEWIRE_AUTH_JWT_SECRET), or start `tidewire dev` here once");
    free(claims); /* jansson's */
    keyring_unref(keys);
    if (err)
        buf_free(&out);
    else
        *token = embed_give(&out);
    return err;
}

int tw_token_check(tw_config *c, const char *token, char **report)
{
    struct keyring *keys = NULL;
    int err = with_keys(c, NULL, &keys);
    if (err)
        return err;
    struct auth *auth = auth_new(keys);
    struct buf out = {0};
    err = auth_explain(auth, str_from(token), clock_wall_ms(), &out);
    *report = embed_give(&out);
    auth_free(&auth);
    keyring_unref(keys);
    return err;
}

const char *tw_token_problem(const tw_config *c)
{
    return embed_text((struct buf *)&c->token);
}
