/* SPDX-License-Identifier: Apache-2.0 */
/* Judging tokens: what must pass, and the hostile collection that must not. */
#include "test.h"
#include "auth/keyring.c"
#include "auth/tokens.h"
#include <pthread.h>

static char pem[8192];

/* The usual configuration of these tests: one secret, one RSA key with a kid. */
static struct keyring *ring_of(void (*change)(struct auth_config *))
{
    static struct auth_key_config keys[2];
    struct auth_config config = {.keys = keys, .keys_count = 2};
    struct buf why = {0};
    struct keyring *k = NULL;
    keys[0] = (struct auth_key_config){.name = STR("main"), .secret = STR(SECRET)};
    keys[1] = (struct auth_key_config){.pem = pem_spki(signer_key(BY_RSA), pem, sizeof(pem)),
                                       .kid = STR("rsa")};
    if (change)
        change(&config);
    if (keyring_new(&config, &why, &k))
        fail_msg("%.*s", STR_ARG(buf_str(&why)));
    buf_free(&why);
    return k;
}

/* The reason for which a token is refused, AUTH_OK when it is not. */
static enum auth_reason reason_at(struct keyring *k, struct str token, uint64_t now_ms)
{
    struct identity *id = NULL;
    struct auth_verdict verdict;
    int err = keyring_verify(k, token, now_ms, &id, &verdict);
    assert_int_equal(err == 0, verdict.reason == AUTH_OK);
    assert_int_equal(err == 0, id != NULL);
    if (err) {
        assert_int_equal(err, verdict.reason == AUTH_EXPIRED    ? E_TOKEN_EXPIRED
                              : verdict.reason == AUTH_NO_TOKEN ? E_TOKEN_REQUIRED
                                                                : E_TOKEN_INVALID);
        assert_int_not_equal(verdict.text[0], 0);
    }
    identity_unref(id);
    return verdict.reason;
}

static enum auth_reason reason(struct keyring *k, struct str token)
{
    return reason_at(k, token, NOW_MS);
}

struct hostile {
    const char *json;
    enum auth_reason reason;
};
#define COUNT(table) (sizeof(table) / sizeof((table)[0]))

TEST(a_good_token_becomes_an_identity)
{
    struct keyring *k = ring_of(NULL);
    struct identity *id = NULL;
    const char *claims = "{\"sub\":\"u1\",\"role\":\"admin\",\"session_id\":\"s1\","
                         "\"exp\":1790003600,\"iat\":1790000000.5,\"nbf\":1,\"a\":{\"b\":[1]}}";
    assert_int_equal(keyring_verify(k, hs256(HS256_HEADER, claims), NOW_MS, &id, NULL), 0);
    assert_true(str_is(id->sub, "u1"));
    assert_true(str_is(id->role, "admin"));
    assert_true(str_is(id->session, "s1"));
    assert_true(str_is(id->text, claims));
    assert_int_equal(id->expires_ms, 1790003600000ULL);
    assert_true(id->role_given);
    assert_false(id->anonymous);
    assert_false(id->service);
    identity_unref(id);
    keyring_unref(k);
}

TEST(a_token_of_each_key_passes_with_and_without_its_kid)
{
    struct keyring *k = ring_of(NULL);
    assert_int_equal(keyring_count(k), 2);
    assert_int_equal(
        reason(k, token_by(BY_RSA, "RS256", STR_NONE, "{\"alg\":\"RS256\"}", GOOD_CLAIMS)),
        AUTH_OK);
    assert_int_equal(reason(k, token_by(BY_RSA, "RS256", STR_NONE,
                                        "{\"alg\":\"RS256\",\"kid\":\"rsa\"}", GOOD_CLAIMS)),
                     AUTH_OK);
    /* A key without kid may be tried for a kid that nobody has. */
    assert_int_equal(reason(k, hs256("{\"alg\":\"HS256\",\"kid\":\"x\"}", GOOD_CLAIMS)), AUTH_OK);
    assert_int_equal(reason(k, token_by(BY_RSA, "RS256", STR_NONE,
                                        "{\"alg\":\"RS256\",\"kid\":\"x\"}", GOOD_CLAIMS)),
                     AUTH_KEY_UNKNOWN);
    keyring_unref(k);
}

TEST(hostile_headers_are_refused)
{
    static const struct hostile table[] = {
        /* "none", in nine spellings, and what else is no algorithm of ours */
        {"{\"alg\":\"none\"}", AUTH_ALGORITHM},
        {"{\"alg\":\"None\"}", AUTH_ALGORITHM},
        {"{\"alg\":\"NONE\"}", AUTH_ALGORITHM},
        {"{\"alg\":\"nOnE\"}", AUTH_ALGORITHM},
        {"{\"alg\":\"none \"}", AUTH_ALGORITHM},
        {"{\"alg\":\" none\"}", AUTH_ALGORITHM},
        {"{\"alg\":\"\\u006eone\"}", AUTH_ALGORITHM},
        {"{\"alg\":\"none\\u0000\"}", AUTH_MALFORMED},
        {"{\"alg\":\"no\\tne\"}", AUTH_ALGORITHM},
        {"{\"alg\":\"\"}", AUTH_HEADER},
        {"{\"alg\":null}", AUTH_HEADER},
        {"{\"alg\":[\"HS256\"]}", AUTH_HEADER},
        {"{\"alg\":{\"HS256\":1}}", AUTH_HEADER},
        {"{\"alg\":256}", AUTH_HEADER},
        {"{\"alg\":true}", AUTH_HEADER},
        {"{}", AUTH_HEADER},
        {"{\"ALG\":\"HS256\"}", AUTH_HEADER},
        {"{\"alg\":\"hs256\"}", AUTH_ALGORITHM},
        {"{\"alg\":\"HS256 \"}", AUTH_ALGORITHM},
        {"{\"alg\":\"HS384\"}", AUTH_ALGORITHM},
        {"{\"alg\":\"HS512\"}", AUTH_ALGORITHM},
        {"{\"alg\":\"ES256\"}", AUTH_ALGORITHM},
        {"{\"alg\":\"PS256\"}", AUTH_ALGORITHM},
        {"{\"alg\":\"RSA-OAEP\"}", AUTH_ALGORITHM},
        {"{\"alg\":\"dir\",\"enc\":\"A256GCM\"}", AUTH_HEADER},
        {"{\"alg\":\"RS256\"}", AUTH_SIGNATURE},
        /* doubled members */
        {"{\"alg\":\"HS256\",\"alg\":\"HS256\"}", AUTH_MALFORMED},
        {"{\"alg\":\"HS256\",\"alg\":\"none\"}", AUTH_MALFORMED},
        {"{\"alg\":\"none\",\"alg\":\"HS256\"}", AUTH_MALFORMED},
        {"{\"alg\":\"HS256\",\"\\u0061lg\":\"none\"}", AUTH_MALFORMED},
        {"{\"alg\":\"HS256\",\"kid\":\"a\",\"kid\":\"b\"}", AUTH_MALFORMED},
        /* what must be understood or refused */
        {"{\"alg\":\"HS256\",\"crit\":[\"exp\"],\"exp\":1}", AUTH_HEADER},
        {"{\"alg\":\"HS256\",\"crit\":[]}", AUTH_HEADER},
        {"{\"alg\":\"HS256\",\"crit\":null}", AUTH_HEADER},
        {"{\"alg\":\"HS256\",\"b64\":false,\"crit\":[\"b64\"]}", AUTH_HEADER},
        {"{\"alg\":\"HS256\",\"b64\":true}", AUTH_HEADER},
        {"{\"alg\":\"HS256\",\"zip\":\"DEF\"}", AUTH_HEADER},
        {"{\"alg\":\"HS256\",\"typ\":1}", AUTH_HEADER},
        /* kid */
        {"{\"alg\":\"HS256\",\"kid\":1}", AUTH_HEADER},
        {"{\"alg\":\"HS256\",\"kid\":null}", AUTH_HEADER},
        {"{\"alg\":\"HS256\",\"kid\":[\"rsa\"]}", AUTH_HEADER},
        {"{\"alg\":\"HS256\",\"kid\":\"rsa\\u0000x\"}", AUTH_MALFORMED},
        {"{\"alg\":\"HS256\",\"kid\":\"rsa\"}", AUTH_KEY_UNKNOWN},
        {"{\"alg\":\"RS256\",\"kid\":\"../../../../dev/null\"}", AUTH_KEY_UNKNOWN},
        {"{\"alg\":\"RS256\",\"kid\":\"/dev/null\"}", AUTH_KEY_UNKNOWN},
        {"{\"alg\":\"RS256\",\"kid\":\"x' UNION SELECT 'k' --\"}", AUTH_KEY_UNKNOWN},
        {"{\"alg\":\"RS256\",\"kid\":\"\"}", AUTH_KEY_UNKNOWN},
        {"{\"alg\":\"RS256\",\"kid\":\"RSA\"}", AUTH_KEY_UNKNOWN},
        /* not one JSON object */
        {"", AUTH_MALFORMED},
        {"null", AUTH_MALFORMED},
        {"[]", AUTH_MALFORMED},
        {"[{\"alg\":\"HS256\"}]", AUTH_MALFORMED},
        {"\"HS256\"", AUTH_MALFORMED},
        {"{\"alg\":\"HS256\"}{}", AUTH_MALFORMED},
        {"{\"alg\":\"HS256\"} x", AUTH_MALFORMED},
        {"{\"alg\":\"HS256\",}", AUTH_MALFORMED},
        {"{\"alg\":\"HS256\"", AUTH_MALFORMED},
        {"{'alg':'HS256'}", AUTH_MALFORMED},
        {"\xef\xbb\xbf{\"alg\":\"HS256\"}", AUTH_MALFORMED},
        {"{\"alg\":\"HS256\",\"x\":\"\xff\"}", AUTH_MALFORMED},
        {"{\"alg\":\"HS256\",\"x\":\"\\ud800\"}", AUTH_MALFORMED},
    };
    struct keyring *k = ring_of(NULL);
    for (size_t i = 0; i < COUNT(table); i++)
        if (reason(k, hs256(table[i].json, GOOD_CLAIMS)) != table[i].reason)
            fail_msg("%s", table[i].json);
    keyring_unref(k);
}

TEST(keys_and_addresses_inside_a_token_are_not_looked_at)
{
    struct keyring *k = ring_of(NULL);
    static const char *const more[] = {
        "\"jwk\":{\"kty\":\"oct\",\"k\":\"AAAA\"}", "\"jku\":\"http://127.0.0.1:1/jwks\"",
        "\"x5u\":\"http://127.0.0.1:1/cert\"", "\"x5c\":[\"AAAA\"]", "\"cty\":\"JWT\""};
    char header[256];
    for (size_t i = 0; i < COUNT(more); i++) {
        snprintf(header, sizeof(header), "{\"alg\":\"HS256\",%s}", more[i]);
        assert_int_equal(reason(k, hs256(header, GOOD_CLAIMS)), AUTH_OK);
        assert_int_equal(
            reason(k, token_by(BY_SECRET, "HS256", STR("\0\0\0"), header, GOOD_CLAIMS)),
            AUTH_SIGNATURE);
    }
    keyring_unref(k);
}

TEST(hostile_claims_are_refused_though_the_signature_is_good)
{
    static const struct hostile table[] = {
        {"{\"sub\":\"u\"}", AUTH_EXP_MISSING},
        {"{\"exp\":0}", AUTH_EXPIRED},
        {"{\"exp\":1}", AUTH_EXPIRED},
        {"{\"exp\":1790000000}", AUTH_EXPIRED},
        {"{\"exp\":1789999999.999}", AUTH_EXPIRED},
        {"{\"exp\":-1}", AUTH_CLAIM},
        {"{\"exp\":-1e300}", AUTH_CLAIM},
        {"{\"exp\":\"1790003600\"}", AUTH_CLAIM},
        {"{\"exp\":\"\"}", AUTH_CLAIM},
        {"{\"exp\":null}", AUTH_CLAIM},
        {"{\"exp\":true}", AUTH_CLAIM},
        {"{\"exp\":[1790003600]}", AUTH_CLAIM},
        {"{\"exp\":{}}", AUTH_CLAIM},
        {"{\"exp\":NaN}", AUTH_MALFORMED},
        {"{\"exp\":Infinity}", AUTH_MALFORMED},
        {"{\"exp\":1e400}", AUTH_MALFORMED},
        {"{\"exp\":1e300}", AUTH_CLAIM},
        {"{\"exp\":1790003600000}", AUTH_CLAIM},
        {"{\"exp\":253402300800}", AUTH_CLAIM},
        {"{\"exp\":9223372036854775807}", AUTH_CLAIM},
        {"{\"exp\":9223372036854775808}", AUTH_MALFORMED},
        {"{\"exp\":18446744073709551616}", AUTH_MALFORMED},
        {"{\"exp\":0x7fffffff}", AUTH_MALFORMED},
        {"{\"exp\":1790003600,\"exp\":1}", AUTH_MALFORMED},
        {"{\"exp\":1,\"exp\":1790003600}", AUTH_MALFORMED},
        {"{\"exp\":1,\"\\u0065xp\":1790003600}", AUTH_MALFORMED},
        {"{\"exp\":1790003600,\"nbf\":1790000031}", AUTH_NOT_YET},
        {"{\"exp\":1790003600,\"nbf\":\"1\"}", AUTH_CLAIM},
        {"{\"exp\":1790003600,\"nbf\":null}", AUTH_CLAIM},
        {"{\"exp\":1790003600,\"nbf\":1e400}", AUTH_MALFORMED},
        {"{\"exp\":1790003600,\"nbf\":-5}", AUTH_CLAIM},
        {"{\"exp\":1790003600,\"iat\":\"now\"}", AUTH_CLAIM},
        {"{\"exp\":1790003600,\"iat\":[]}", AUTH_CLAIM},
        {"{\"exp\":1790003600,\"sub\":[\"u1\"]}", AUTH_CLAIM},
        {"{\"exp\":1790003600,\"sub\":{}}", AUTH_CLAIM},
        {"{\"exp\":1790003600,\"sub\":true}", AUTH_CLAIM},
        {"{\"exp\":1790003600,\"sub\":1.5}", AUTH_CLAIM},
        {"{\"exp\":1790003600,\"sub\":\"a\\nb\"}", AUTH_CLAIM},
        {"{\"exp\":1790003600,\"sub\":\"a\\u0000b\"}", AUTH_MALFORMED},
        {"{\"exp\":1790003600,\"sub\":\"a\",\"sub\":\"b\"}", AUTH_MALFORMED},
        {"{\"exp\":1790003600,\"role\":[\"admin\"]}", AUTH_CLAIM},
        {"{\"exp\":1790003600,\"role\":7}", AUTH_CLAIM},
        {"{\"exp\":1790003600,\"role\":\"a\\u001fb\"}", AUTH_CLAIM},
        {"{\"exp\":1790003600,\"role\":\"user\",\"role\":\"service_role\"}", AUTH_MALFORMED},
        {"{\"exp\":1790003600,\"session_id\":1}", AUTH_CLAIM},
        {"{\"exp\":1790003600}{}", AUTH_MALFORMED},
        {"{\"exp\":1790003600}garbage", AUTH_MALFORMED},
        {"{\"exp\":1790003600,}", AUTH_MALFORMED},
        {"[{\"exp\":1790003600}]", AUTH_MALFORMED},
        {"\"exp\"", AUTH_MALFORMED},
        {"null", AUTH_MALFORMED},
        {"", AUTH_MALFORMED},
        {"{\"exp\":1790003600,\"x\":{\"a\":1,\"a\":2}}", AUTH_MALFORMED},
        {"{\"exp\":1790003600,\"x\":\"\xc0\xaf\"}", AUTH_MALFORMED},
    };
    struct keyring *k = ring_of(NULL);
    k->leeway_ms = 30000;
    for (size_t i = 0; i < COUNT(table); i++)
        if (reason(k, hs256(HS256_HEADER, table[i].json)) != table[i].reason)
            fail_msg("%s", table[i].json);
    keyring_unref(k);
}

TEST(long_names_and_deep_claims_are_refused)
{
    struct keyring *k = ring_of(NULL);
    char claims[6000], name[300];
    memset(name, 'x', sizeof(name));
    snprintf(claims, sizeof(claims), "{\"exp\":1790003600,\"sub\":\"%.257s\"}", name);
    assert_int_equal(reason(k, hs256(HS256_HEADER, claims)), AUTH_CLAIM);
    snprintf(claims, sizeof(claims), "{\"exp\":1790003600,\"sub\":\"%.256s\"}", name);
    assert_int_equal(reason(k, hs256(HS256_HEADER, claims)), AUTH_OK);
    snprintf(claims, sizeof(claims), "{\"exp\":1790003600,\"role\":\"%.129s\"}", name);
    assert_int_equal(reason(k, hs256(HS256_HEADER, claims)), AUTH_CLAIM);
    snprintf(claims, sizeof(claims), "{\"alg\":\"HS256\",\"kid\":\"%.257s\"}", name);
    assert_int_equal(reason(k, hs256(claims, GOOD_CLAIMS)), AUTH_HEADER);
    int n = snprintf(claims, sizeof(claims), "{\"exp\":1790003600,\"x\":");
    memset(claims + n, '[', 5000);
    claims[n + 5000] = 0;
    assert_int_equal(reason(k, hs256(HS256_HEADER, claims)), AUTH_MALFORMED);
    keyring_unref(k);
}

/* The compact form itself, from a good token that is bent in one place. */
static enum auth_reason bent(struct keyring *k, const char *format)
{
    static char text[20000];
    struct str token = hs256(HS256_HEADER, GOOD_CLAIMS), rest = token;
    struct str h = str_cut(&rest, '.'), c = str_cut(&rest, '.');
    snprintf(text, sizeof(text), format, STR_ARG(h), STR_ARG(c), STR_ARG(rest));
    return reason(k, str_from(text));
}

TEST(the_compact_form_is_exact)
{
    static const char *const bends[] = {
        "%.*s.%.*s",          "%.*s.%.*s.%.*s.",       "%.*s.%.*s.%.*s.x",
        ".%.*s.%.*s.%.*s",    "%.*s..%.*s.%.*s",       "%.*s.%.*s..%.*s",
        "%.*s.%.*s.%.*s=",    "%.*s=.%.*s.%.*s",       " %.*s.%.*s.%.*s",
        "%.*s.%.*s.%.*s ",    "%.*s.%.*s.%.*s\n",      "%.*s.%.*s.\n%.*s",
        "%.*s.%.*s.%.*s/",    "%.*s.%.*s.+%.*s",       "%.*s.%.*s.%%41%.*s",
        "\"%.*s.%.*s.%.*s\"", "Bearer %.*s.%.*s.%.*s", "%.*s\xff.%.*s.%.*s",
    };
    struct keyring *k = ring_of(NULL);
    assert_int_equal(bent(k, "%.*s.%.*s.%.*s"), AUTH_OK);
    for (size_t i = 0; i < COUNT(bends); i++)
        if (bent(k, bends[i]) != AUTH_MALFORMED)
            fail_msg("%s", bends[i]);
    assert_int_equal(bent(k, "%.*s.%.*sA.%.*s"), AUTH_SIGNATURE);
    assert_int_equal(bent(k, "%.*s.%.*s=.%.*s"), AUTH_SIGNATURE);
    assert_int_equal(bent(k, "%.*s. %.*s.%.*s"), AUTH_SIGNATURE);
    assert_int_equal(reason(k, STR(".")), AUTH_MALFORMED);
    assert_int_equal(reason(k, STR("..")), AUTH_MALFORMED);
    assert_int_equal(reason(k, STR("a")), AUTH_MALFORMED);
    assert_int_equal(reason(k, STR("{\"payload\":\"\",\"signatures\":[]}")), AUTH_MALFORMED);
    assert_int_equal(reason(k, str_of("\0", 1)), AUTH_MALFORMED);
    assert_int_equal(reason(k, STR("sb_publishable_nobody_knows_it")), AUTH_API_KEY);
    keyring_unref(k);
}

TEST(claims_must_be_canonical_even_when_they_are_signed)
{
    /* {"exp":1790003600} in base64url, then bent; the signature is over the bent text. */
    static const char *const claims[] = {
        "eyJleHAiOjE3OTAwMDM2MDB9",     "eyJleHAiOjE3OTAwMDM2MDB9=",  "eyJleHAiOjE3OTAwMDM2MDB9A",
        "eyJleHAiOjE3OTAwMDM2MDB9ICB=", "eyJleHAiOjE3OTAwMDM2MDB9IB", "eyJleHAiOjE3 OTAwMDM2MDB9",
        "eyJleHAiOjE3OTAwMDM2MDB9\n",   "eyJleHAiOjE3OTAwMDM2MDB+",   ""};
    struct keyring *k = ring_of(NULL);
    for (size_t i = 0; i < COUNT(claims); i++) {
        struct buf token = {0}, signature = {0};
        base64url_encode(&token, STR(HS256_HEADER));
        buf_printf(&token, ".%s", claims[i]);
        sign_by(BY_SECRET, "HS256", STR(SECRET), buf_str(&token), &signature);
        buf_add_c(&token, '.');
        base64url_encode(&token, buf_str(&signature));
        assert_int_equal(reason(k, buf_str(&token)), i ? AUTH_MALFORMED : AUTH_OK);
        buf_free(&token);
        buf_free(&signature);
    }
    keyring_unref(k);
}

TEST(an_empty_signature_or_a_changed_byte_is_refused)
{
    struct keyring *k = ring_of(NULL);
    char text[512];
    struct str token = hs256(HS256_HEADER, GOOD_CLAIMS);
    size_t n = token.n;
    memcpy(text, token.p, n);
    size_t signature_at = n - 43;
    assert_int_equal(text[signature_at - 1], '.');
    assert_int_equal(reason(k, str_of(text, signature_at)), AUTH_SIGNATURE);
    assert_int_equal(reason(k, str_of(text, n - 2)), AUTH_MALFORMED);
    for (size_t i = 0; i < n; i++) {
        char was = text[i];
        text[i] = was == 'A' ? 'B' : 'A';
        if (was != '.')
            assert_int_not_equal(reason(k, str_of(text, n)), AUTH_OK);
        text[i] = was;
    }
    assert_int_equal(reason(k, str_of(text, n)), AUTH_OK);
    /* 43 digits hold 258 bits: the last two of them must be zero. */
    const char *alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    char last = text[n - 1];
    for (const char *c = alphabet; *c; c++) {
        text[n - 1] = *c;
        assert_int_equal(reason(k, str_of(text, n)) == AUTH_OK, *c == last);
    }
    keyring_unref(k);
}

TEST(a_public_key_is_no_secret)
{
    /* The attacker signs by HMAC with what everybody can read, in each form it comes in. */
    char text[8192];
    EVP_PKEY *rsa = signer_key(BY_RSA);
    struct keyring *both = ring_of(NULL);
    struct auth_key_config one = {.pem = pem_spki(rsa, pem, sizeof(pem))};
    struct auth_config config = {.keys = &one, .keys_count = 1};
    struct buf why = {0};
    struct keyring *only = NULL;
    assert_int_equal(keyring_new(&config, &why, &only), 0);
    for (int form = 0; form < 6; form++) {
        struct str s = form / 2 == 0   ? pem_spki(rsa, text, sizeof(text))
                       : form / 2 == 1 ? pem_pkcs1(rsa, text, sizeof(text))
                                       : pem_certificate_of(rsa, text, sizeof(text));
        s.n -= form % 2; /* with and without the last newline */
        static const char *const algs[] = {"HS256", "HS384", "HS512"};
        for (int a = 0; a < 3; a++) {
            char header[64];
            snprintf(header, sizeof(header), "{\"alg\":\"%s\"}", algs[a]);
            struct str token = token_by(BY_SECRET, algs[a], s, header, GOOD_CLAIMS);
            assert_int_equal(reason(only, token), AUTH_ALGORITHM);
            assert_int_equal(reason(both, token), a == 0 ? AUTH_SIGNATURE : AUTH_ALGORITHM);
            snprintf(header, sizeof(header), "{\"alg\":\"RS256\",\"x\":\"%s\"}", algs[a]);
            token = token_by(BY_SECRET, algs[a], s, header, GOOD_CLAIMS);
            assert_int_equal(reason(only, token), AUTH_SIGNATURE);
        }
    }
    keyring_unref(only);
    keyring_unref(both);
    buf_free(&why);
}

TEST(a_token_has_a_longest_size)
{
    struct keyring *k = ring_of(NULL);
    static char claims[16000];
    int n = snprintf(claims, sizeof(claims), "%s", "{\"exp\":1790003600,\"x\":\"");
    memset(claims + n, 'x', 7000);
    strcpy(claims + n + 7000, "\"}");
    assert_int_equal(reason(k, hs256(HS256_HEADER, claims)), AUTH_TOO_LONG);
    memmove(claims + n + 5900, "\"}", 3);
    assert_int_equal(reason(k, hs256(HS256_HEADER, claims)), AUTH_OK);
    keyring_unref(k);
}

TEST(expiry_and_not_before_have_their_own_leeway)
{
    struct keyring *k = ring_of(NULL);
    struct auth_verdict verdict;
    struct identity *id = NULL;
    struct str token = hs256(HS256_HEADER, "{\"exp\":1790000000,\"nbf\":1789990000}");
    assert_int_equal(reason_at(k, token, NOW_MS - 1), AUTH_OK);
    assert_int_equal(reason_at(k, token, NOW_MS), AUTH_EXPIRED);
    assert_int_equal(reason_at(k, token, NOW_MS - 10000 * 1000 - 1), AUTH_NOT_YET);
    assert_int_equal(reason_at(k, token, 0), AUTH_NOT_YET);
    assert_int_equal(reason_at(k, token, UINT64_MAX), AUTH_EXPIRED);
    assert_int_equal(keyring_verify(k, token, NOW_MS + 12999, &id, &verdict), E_TOKEN_EXPIRED);
    assert_int_equal(verdict.seconds, 12);
    assert_string_equal(verdict.text, "Token has expired 12 seconds ago");
    k->leeway_ms = 30000;
    k->exp_leeway_ms = 10000;
    assert_int_equal(reason_at(k, token, NOW_MS - 10030 * 1000), AUTH_OK);
    assert_int_equal(reason_at(k, token, NOW_MS - 10030 * 1000 - 1), AUTH_NOT_YET);
    assert_int_equal(keyring_verify(k, token, NOW_MS + 9999, &id, NULL), 0);
    assert_int_equal(id->expires_ms, NOW_MS + 10000); /* so that nobody is let in as expired */
    identity_unref(id);
    assert_int_equal(reason_at(k, token, NOW_MS + 10000), AUTH_EXPIRED);
    keyring_unref(k);
}

static const struct str audiences[] = {{"web", 3}, {"app", 3}};
static const struct str issuers[] = {{"https://id.example/", 19}};
static void demand_names(struct auth_config *config)
{
    config->audiences = audiences;
    config->audiences_count = 2;
    config->issuers = issuers;
    config->issuers_count = 1;
}

TEST(audience_and_issuer_are_checked_when_configured)
{
    static const struct hostile table[] = {
        {"\"aud\":\"web\",\"iss\":\"https://id.example/\"", AUTH_OK},
        {"\"aud\":\"app\",\"iss\":\"https://id.example/\"", AUTH_OK},
        {"\"aud\":[\"x\",\"app\"],\"iss\":\"https://id.example/\"", AUTH_OK},
        {"\"aud\":\"Web\",\"iss\":\"https://id.example/\"", AUTH_AUDIENCE},
        {"\"aud\":\"webapp\",\"iss\":\"https://id.example/\"", AUTH_AUDIENCE},
        {"\"aud\":\"\",\"iss\":\"https://id.example/\"", AUTH_AUDIENCE},
        {"\"aud\":[],\"iss\":\"https://id.example/\"", AUTH_AUDIENCE},
        {"\"aud\":[\"x\"],\"iss\":\"https://id.example/\"", AUTH_AUDIENCE},
        {"\"aud\":[\"web\",1],\"iss\":\"https://id.example/\"", AUTH_CLAIM},
        {"\"aud\":[[\"web\"]],\"iss\":\"https://id.example/\"", AUTH_CLAIM},
        {"\"aud\":{\"web\":1},\"iss\":\"https://id.example/\"", AUTH_AUDIENCE},
        {"\"aud\":null,\"iss\":\"https://id.example/\"", AUTH_AUDIENCE},
        {"\"iss\":\"https://id.example/\"", AUTH_AUDIENCE},
        {"\"aud\":\"web\"", AUTH_ISSUER},
        {"\"aud\":\"web\",\"iss\":\"https://id.example\"", AUTH_ISSUER},
        {"\"aud\":\"web\",\"iss\":[\"https://id.example/\"]", AUTH_ISSUER},
        {"\"aud\":\"web\",\"iss\":null", AUTH_ISSUER},
    };
    struct keyring *k = ring_of(demand_names);
    char claims[256];
    for (size_t i = 0; i < COUNT(table); i++) {
        snprintf(claims, sizeof(claims), "{\"exp\":1790003600,%s}", table[i].json);
        if (reason(k, hs256(HS256_HEADER, claims)) != table[i].reason)
            fail_msg("%s", table[i].json);
    }
    keyring_unref(k);
}

static void relax(struct auth_config *config)
{
    config->exp_optional = true;
    config->anonymous = true;
    config->anonymous_role = STR("guest");
    config->role_claim = STR("app_metadata.role");
    config->role_default = STR("member");
}

TEST(settings_choose_the_roles)
{
    struct keyring *k = ring_of(relax);
    struct identity *id = NULL;
    assert_int_equal(keyring_verify(k, STR_NONE, NOW_MS, &id, NULL), 0);
    assert_true(id->anonymous);
    assert_true(str_is(id->role, "guest"));
    assert_int_equal(id->sub.n, 0);
    identity_unref(id);
    struct str token = hs256(HS256_HEADER, "{\"role\":\"x\",\"sub\":-42}");
    assert_int_equal(keyring_verify(k, token, NOW_MS, &id, NULL), 0);
    assert_true(str_is(id->role, "member"));
    assert_false(id->role_given);
    assert_true(str_is(id->sub, "-42"));
    assert_int_equal(id->expires_ms, 0);
    identity_unref(id);
    token = hs256(HS256_HEADER, "{\"app_metadata\":{\"role\":\"service_role\"}}");
    assert_int_equal(keyring_verify(k, token, NOW_MS, &id, NULL), 0);
    assert_true(id->service);
    identity_unref(id);
    token = hs256(HS256_HEADER, "{\"app_metadata\":{\"role\":\"guest\"}}");
    assert_int_equal(keyring_verify(k, token, NOW_MS, &id, NULL), 0);
    assert_true(id->anonymous);
    identity_unref(id);
    token = hs256(HS256_HEADER, "{\"sub\":\"u\",\"app_metadata\":{\"role\":\"guest\"}}");
    assert_int_equal(keyring_verify(k, token, NOW_MS, &id, NULL), 0);
    assert_false(id->anonymous);
    identity_unref(id);
    keyring_unref(k);
}

static void require_role(struct auth_config *config)
{
    config->role_required = true;
}

TEST(a_role_can_be_required_and_nobody_can_be_shut_out)
{
    struct keyring *k = ring_of(require_role);
    assert_int_equal(reason(k, hs256(HS256_HEADER, "{\"exp\":1790003600}")), AUTH_ROLE_MISSING);
    assert_int_equal(reason(k, hs256(HS256_HEADER, "{\"exp\":1790003600,\"role\":\"\"}")),
                     AUTH_ROLE_MISSING);
    assert_int_equal(reason(k, STR_NONE), AUTH_NO_TOKEN);
    keyring_unref(k);
}

static const struct auth_api_key_config api_keys[] = {
    {STR("sb_publishable_abcdefgh"), STR_NONE, false},
    {STR("sb_secret_abcdefghijkl"), STR("service_role"), true},
};
static void give_api_keys(struct auth_config *config)
{
    config->api_keys = api_keys;
    config->api_keys_count = 2;
}

TEST(opaque_keys_map_to_roles)
{
    struct keyring *k = ring_of(give_api_keys);
    struct identity *id = NULL;
    assert_int_equal(keyring_verify(k, api_keys[0].key, NOW_MS, &id, NULL), 0);
    assert_true(id->anonymous && !id->service);
    assert_true(str_is(id->role, "anon"));
    assert_true(str_is(id->text, "{\"role\":\"anon\"}"));
    identity_unref(id);
    assert_int_equal(keyring_verify(k, api_keys[1].key, NOW_MS, &id, NULL), 0);
    assert_true(id->service && !id->anonymous);
    identity_unref(id);
    assert_int_equal(reason(k, str_head(api_keys[1].key, api_keys[1].key.n - 1)), AUTH_API_KEY);
    assert_int_equal(reason(k, STR("sb_secret_abcdefghijklm")), AUTH_API_KEY);
    assert_int_equal(reason(k, STR("SB_SECRET_ABCDEFGHIJKL")), AUTH_MALFORMED);
    keyring_unref(k);
}

TEST(a_set_rotates_by_kid)
{
    struct buf set = {0}, why = {0};
    buf_add_z(&set, "{\"keys\":[");
    jwk_add(&set, BY_P256, ",\"kid\":\"old\",\"use\":\"sig\"");
    buf_add_c(&set, ',');
    jwk_add(&set, BY_ED25519, ",\"kid\":\"new\",\"alg\":\"EdDSA\"");
    buf_add_z(&set, ",{\"kty\":\"RSA\",\"use\":\"enc\",\"n\":\"AQAB\",\"e\":\"AQAB\"}]}");
    struct auth_key_config row = {.jwks = buf_str(&set)};
    struct auth_config config = {.keys = &row, .keys_count = 1};
    struct keyring *k = NULL;
    assert_int_equal(keyring_new(&config, &why, &k), 0);
    assert_int_equal(keyring_count(k), 2);
    const char *ed = "{\"alg\":\"EdDSA\",\"kid\":\"new\"}",
               *es = "{\"alg\":\"ES256\",\"kid\":\"old\"}";
    assert_int_equal(reason(k, token_by(BY_ED25519, "EdDSA", STR_NONE, ed, GOOD_CLAIMS)), AUTH_OK);
    assert_true(keyring_is_costly(k, token_by(BY_P256, "ES256", STR_NONE, es, GOOD_CLAIMS)));
    assert_int_equal(reason(k, token_by(BY_P256, "ES256", STR_NONE, es, GOOD_CLAIMS)), AUTH_OK);
    /* the other key's kid, an unknown kid, the other curve's signature */
    es = "{\"alg\":\"ES256\",\"kid\":\"new\"}";
    assert_int_equal(reason(k, token_by(BY_P256, "ES256", STR_NONE, es, GOOD_CLAIMS)),
                     AUTH_KEY_UNKNOWN);
    es = "{\"alg\":\"ES256\",\"kid\":\"next\"}";
    assert_int_equal(reason(k, token_by(BY_P256, "ES256", STR_NONE, es, GOOD_CLAIMS)),
                     AUTH_KEY_UNKNOWN);
    es = "{\"alg\":\"ES256\",\"kid\":\"old\"}";
    assert_int_equal(reason(k, token_by(BY_P384, "ES384", STR_NONE, es, GOOD_CLAIMS)),
                     AUTH_SIGNATURE);
    assert_int_equal(reason(k, hs256(HS256_HEADER, GOOD_CLAIMS)), AUTH_ALGORITHM);
    assert_false(keyring_is_costly(k, hs256(HS256_HEADER, GOOD_CLAIMS)));
    keyring_unref(k);
    buf_free(&set);
    buf_free(&why);
}

TEST(a_bad_configuration_says_where)
{
    static const struct {
        struct auth_key_config row;
        const char *says;
    } table[] = {
        {{.name = STR("a")}, "auth.keys[1] a: give exactly one"},
        {{.secret = STR(SECRET), .pem = STR("x")}, "auth.keys[1]: give exactly one"},
        {{.secret = STR("short")}, "needs at least 32"},
        {{.secret = STR(SECRET), .algorithm = STR("none")}, "unknown algorithm \"none\""},
        {{.jwks = STR("{\"keys\":[")}, "line 1 column"},
        {{.jwks = STR("{\"keys\":[]}")}, "no key that can verify"},
        {{.jwks = STR("{\"keys\":[1]}")}, "no `kty`"},
        {{.jwks = STR("1")}, "line 1 column 1"},
    };
    for (size_t i = 0; i < COUNT(table); i++) {
        struct auth_key_config rows[2] = {{.secret = STR(SECRET)}, table[i].row};
        struct auth_config config = {.keys = rows, .keys_count = 2};
        struct buf why = {0};
        struct keyring *k = NULL;
        assert_int_equal(keyring_new(&config, &why, &k), E_CONFIG);
        assert_null(k);
        if (str_find_str(buf_str(&why), str_from(table[i].says)) < 0)
            fail_msg("%.*s", STR_ARG(buf_str(&why)));
        buf_free(&why);
    }
}

TEST(too_much_of_anything_is_refused)
{
    static struct auth_key_config rows[KEYS_MAX + 1];
    static struct auth_api_key_config opaque[API_KEYS_MAX + 1];
    struct buf why = {0};
    struct keyring *k = NULL;
    for (size_t i = 0; i < COUNT(rows); i++)
        rows[i].secret = STR(SECRET);
    for (size_t i = 0; i < COUNT(opaque); i++)
        opaque[i].key = STR("0123456789abcdef");
    struct auth_config config = {.keys = rows, .keys_count = COUNT(rows)};
    assert_int_equal(keyring_new(&config, &why, &k), E_CONFIG);
    config = (struct auth_config){.api_keys = opaque, .api_keys_count = COUNT(opaque)};
    assert_int_equal(keyring_new(&config, &why, &k), E_CONFIG);
    opaque[0].key = STR("short");
    assert_int_equal(keyring_new(&config, &why, &k), E_CONFIG);
    config = (struct auth_config){.leeway_ms = 60001};
    assert_int_equal(keyring_new(&config, &why, &k), E_CONFIG);
    config = (struct auth_config){.token_bytes_max = 65537};
    assert_int_equal(keyring_new(&config, &why, &k), E_CONFIG);
    config = (struct auth_config){.role_default = STR("service_role")};
    assert_int_equal(keyring_new(&config, &why, &k), E_CONFIG);
    config = (struct auth_config){.anonymous = true, .anonymous_role = STR("service_role")};
    assert_int_equal(keyring_new(&config, &why, &k), E_CONFIG);
    buf_free(&why);
}

TEST(what_is_minted_verifies)
{
    struct keyring *k = ring_of(NULL);
    struct buf token = {0};
    assert_int_equal(keyring_mint(k, STR(GOOD_CLAIMS), &token), 0);
    assert_true(str_eq(buf_str(&token), hs256(HS256_HEADER, GOOD_CLAIMS)));
    buf_clear(&token);
    assert_int_equal(keyring_mint(k, STR("[]"), &token), E_BAD_REQUEST);
    assert_int_equal(keyring_mint(k, STR("{\"a\":1,\"a\":1}"), &token), E_BAD_REQUEST);
    assert_int_equal(token.n, 0);
    buf_free(&token);
    keyring_unref(k);
}

TEST(without_memory_nobody_is_let_in_and_nothing_leaks)
{
    struct keyring *k = ring_of(NULL);
    struct str token = hs256(HS256_HEADER, GOOD_CLAIMS);
    bool done = false;
    for (long n = 1; !done; n++) {
        struct identity *id = NULL;
        mem_fail_at(n, 0);
        int err = keyring_verify(k, token, NOW_MS, &id, NULL);
        done = mem_tries() < n;
        mem_fail_at(0, 0);
        assert_int_equal(err, done ? 0 : E_NO_MEMORY);
        identity_unref(id);
    }
    keyring_unref(k);
}

/* A keyring and an identity are all that threads share in this room. */
struct shared {
    struct keyring *k;
    struct identity *id;
    struct str tokens[3];
};
static void *verify_often(void *arg)
{
    struct shared *s = arg;
    for (int i = 0; i < 60; i++) {
        struct identity *id = NULL;
        if (keyring_verify(s->k, s->tokens[i % 3], NOW_MS, &id, NULL))
            return s;
        identity_unref(identity_ref(s->id));
        identity_unref(id);
        keyring_unref(keyring_ref(s->k));
        struct buf out = {0};
        bool ok = identity_claim_json(s->id, STR("sub"), &out);
        buf_free(&out);
        if (!ok)
            return s;
    }
    return NULL;
}

TEST(threads_share_a_keyring_and_an_identity)
{
    char space[3][1024];
    struct shared s = {.k = ring_of(give_api_keys), .tokens = {[2] = api_keys[1].key}};
    struct str tokens[] = {hs256(HS256_HEADER, GOOD_CLAIMS), STR_NONE};
    memcpy(space[0], tokens[0].p, tokens[0].n);
    s.tokens[0] = str_of(space[0], tokens[0].n);
    tokens[1] = token_by(BY_RSA, "RS256", STR_NONE, "{\"alg\":\"RS256\"}", GOOD_CLAIMS);
    memcpy(space[1], tokens[1].p, tokens[1].n);
    s.tokens[1] = str_of(space[1], tokens[1].n);
    assert_int_equal(keyring_verify(s.k, s.tokens[0], NOW_MS, &s.id, NULL), 0);
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, verify_often, &s), 0);
    for (int i = 0; i < 4; i++) {
        void *failed;
        assert_int_equal(pthread_join(threads[i], &failed), 0);
        assert_null(failed);
    }
    identity_unref(s.id);
    keyring_unref(s.k);
}
