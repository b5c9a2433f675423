/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"
#include "auth/auth.c"
#include "auth/tokens.h"

static struct keyring *ring(size_t cache_max, bool anonymous)
{
    static char pem[2048];
    struct auth_key_config keys[] = {{.name = STR("main"), .secret = STR(SECRET)},
                                     {.name = STR("web"),
                                      .kid = STR("e1"),
                                      .pem = pem_spki(signer_key(BY_ED25519), pem, sizeof(pem))}};
    struct auth_config config = {
        .keys = keys, .keys_count = 2, .cache_max = cache_max, .anonymous = anonymous};
    struct buf why = {0};
    struct keyring *k = NULL;
    assert_int_equal(keyring_new(&config, &why, &k), 0);
    return k;
}

static struct auth *auth_of(size_t cache_max, bool anonymous)
{
    struct keyring *k = ring(cache_max, anonymous);
    struct auth *a = auth_new(k);
    keyring_unref(k);
    return a;
}

static struct str token_of(int n, const char *exp)
{
    char claims[128];
    snprintf(claims, sizeof(claims), "{\"sub\":\"u%d\",\"exp\":%s}", n, exp);
    return hs256(HS256_HEADER, claims);
}

static struct identity *verified(struct auth *a, struct str token)
{
    struct identity *id = NULL;
    struct auth_verdict verdict;
    assert_int_equal(auth_verify(a, token, NOW_MS, &id, &verdict), 0);
    assert_int_equal(verdict.reason, AUTH_OK);
    return id;
}

TEST(a_token_is_verified_once_and_then_remembered)
{
    struct auth *a = auth_of(0, false);
    struct str token = token_of(1, "1790003600");
    struct identity *first = verified(a, token), *again = verified(a, token);
    assert_ptr_equal(first, again);
    assert_int_equal(a->verified.count, 1);
    identity_unref(first);
    identity_unref(again);
    auth_free(&a);
    assert_null(a);
    auth_free(&a);
}

TEST(what_is_remembered_still_expires)
{
    struct auth *a = auth_of(0, false);
    struct auth_verdict verdict;
    struct identity *id = verified(a, token_of(1, "1790000010"));
    identity_unref(id);
    struct str token = token_of(1, "1790000010");
    assert_int_equal(auth_verify(a, token, NOW_MS + 9999, &id, NULL), 0);
    identity_unref(id);
    assert_int_equal(auth_verify(a, token, NOW_MS + 10000, &id, &verdict), E_TOKEN_EXPIRED);
    assert_int_equal(verdict.reason, AUTH_EXPIRED);
    assert_null(id);
    assert_int_equal(a->verified.count, 0);
    auth_free(&a);
}

TEST(the_memory_is_bounded_and_the_least_used_goes_first)
{
    struct auth *a = auth_of(3, false);
    struct identity *kept = verified(a, token_of(0, "1790003600"));
    for (int i = 1; i < 20; i++) {
        identity_unref(verified(a, token_of(i, "1790003600")));
        struct identity *again = verified(a, token_of(0, "1790003600"));
        assert_ptr_equal(again, kept);
        identity_unref(again);
        assert_true(a->verified.count <= 3);
    }
    identity_unref(kept);
    auth_free(&a);
}

TEST(refused_tokens_are_not_remembered)
{
    struct auth *a = auth_of(0, false);
    struct identity *id = NULL;
    struct str token = token_by(BY_SECRET, "HS256", STR("other"), HS256_HEADER, GOOD_CLAIMS);
    assert_int_equal(auth_verify(a, token, NOW_MS, &id, NULL), E_TOKEN_INVALID);
    assert_int_equal(auth_verify(a, STR_NONE, NOW_MS, &id, NULL), E_TOKEN_REQUIRED);
    assert_null(id);
    assert_int_equal(a->verified.count, 0);
    auth_free(&a);
}

TEST(a_new_keyring_forgets_what_the_old_one_took)
{
    struct auth *a = auth_of(0, false);
    struct identity *id = verified(a, token_of(1, "1790003600"));
    struct keyring *empty = NULL;
    struct buf why = {0};
    assert_int_equal(keyring_new(&(struct auth_config){.anonymous = true}, &why, &empty), 0);
    auth_set_keyring(a, empty);
    keyring_unref(empty);
    struct identity *none = NULL;
    assert_int_equal(auth_verify(a, token_of(1, "1790003600"), NOW_MS, &none, NULL),
                     E_TOKEN_INVALID);
    assert_true(str_is(id->sub, "u1")); /* who holds one keeps it */
    identity_unref(id);
    id = verified(a, STR_NONE);
    assert_true(id->anonymous);
    identity_unref(id);
    auth_free(&a);
}

TEST(a_costly_token_can_be_verified_elsewhere)
{
    struct auth *a = auth_of(0, true);
    const char *header = "{\"alg\":\"EdDSA\",\"kid\":\"e1\"}";
    struct str token = token_by(BY_ED25519, "EdDSA", STR_NONE, header, GOOD_CLAIMS);
    assert_true(auth_is_costly(a, token));
    struct identity *id = NULL;
    assert_int_equal(keyring_verify(a->keyring, token, NOW_MS, &id, NULL), 0);
    auth_remember(a, token, id);
    auth_remember(a, token, id);
    assert_int_equal(a->verified.count, 1);
    assert_false(auth_is_costly(a, token));
    struct identity *again = verified(a, token);
    assert_ptr_equal(again, id);
    identity_unref(again);
    identity_unref(id);
    assert_false(auth_is_costly(a, STR_NONE));
    assert_false(auth_is_costly(a, STR("x.y.z")));
    assert_false(auth_is_costly(a, hs256(HS256_HEADER, GOOD_CLAIMS)));
    auth_free(&a);
}

TEST(the_bearer_of_a_header)
{
    assert_true(str_is(auth_bearer(STR("Bearer abc")), "abc"));
    assert_true(str_is(auth_bearer(STR("bearer  abc ")), "abc"));
    assert_null(auth_bearer(STR("Basic abc")).p);
    assert_null(auth_bearer(STR("Bearer")).p);
    assert_int_equal(auth_bearer(STR("Bearer ")).n, 0);
    assert_null(auth_bearer(STR("Bearerabc")).p);
    assert_null(auth_bearer(STR_NONE).p);
}

static void explains(struct auth *a, struct str token, int err, const char *const *words)
{
    struct buf out = {0};
    assert_int_equal(auth_explain(a, token, NOW_MS, &out), err);
    for (; *words; words++)
        if (str_find_str(buf_str(&out), str_from(*words)) < 0)
            fail_msg("no \"%s\" in: %.*s", *words, STR_ARG(buf_str(&out)));
    buf_free(&out);
}

TEST(an_explanation_says_what_is_wrong)
{
    struct auth *a = auth_of(0, false);
    explains(a, hs256(HS256_HEADER, GOOD_CLAIMS), 0,
             (const char *[]){"header    {\"alg\":\"HS256\"",
                              "key       main (HS256): the signature is good",
                              "claims    {\"sub\":\"u1\"", "sub       u1", "role      admin",
                              "expires   in 3600 s", NULL});
    explains(a, hs256(HS256_HEADER, "{\"exp\":1}"), E_TOKEN_EXPIRED,
             (const char *[]){"signature is good", "refused   Token has expired 1789999999 seconds",
                              NULL});
    explains(a, token_by(BY_SECRET, "HS256", STR("other"), HS256_HEADER, GOOD_CLAIMS),
             E_TOKEN_INVALID,
             (const char *[]){"signature is wrong", "refused   The token's signature is wrong",
                              "claims    {\"sub\":\"u1\"", NULL});
    explains(
        a, hs256("{\"alg\":\"none\"}", GOOD_CLAIMS), E_TOKEN_INVALID,
        (const char *[]){"header    {\"alg\":\"none\"}", "refused   The token's algorithm", NULL});
    explains(a, token_by(BY_ED25519, "EdDSA", STR_NONE, "{\"alg\":\"EdDSA\",\"kid\":\"e1\"}", "{}"),
             E_TOKEN_INVALID,
             (const char *[]){"key       web, kid \"e1\" (EdDSA): the signature is good",
                              "refused   The token has no `exp`", NULL});
    explains(a, STR("garbage"), E_TOKEN_INVALID,
             (const char *[]){"refused   The token does not", NULL});
    explains(a, STR_NONE, E_TOKEN_REQUIRED, (const char *[]){"refused   A token is needed", NULL});
    auth_free(&a);
    a = auth_of(0, true);
    explains(
        a, STR_NONE, 0,
        (const char *[]){"sub       (none)", "role      anon, anonymous", "expires   never", NULL});
    auth_free(&a);
}
