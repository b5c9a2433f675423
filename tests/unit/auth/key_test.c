/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"
#include "auth/key.c"
#include "auth/jwt.h"
#include "auth/tokens.h"

static char pem[8192];

static int from_pem(struct key *key, struct str text, const char *alg, const char *expect)
{
    struct buf why = {0};
    *key = (struct key){0};
    int err = key_init_pem(key, text, str_from(alg), &why);
    if (expect && str_find_str(buf_str(&why), str_from(expect)) < 0)
        fail_msg("%.*s", STR_ARG(buf_str(&why)));
    buf_free(&why);
    return err;
}

static int from_secret(struct key *key, struct str secret, const char *alg, bool short_ok)
{
    struct buf why = {0};
    *key = (struct key){0};
    int err = key_init_secret(key, secret, str_from(alg), short_ok, &why);
    assert_int_equal(err != 0, why.n != 0);
    buf_free(&why);
    return err;
}

static int from_jwk(struct key *key, const char *text, const char *rsa)
{
    struct buf why = {0};
    *key = (struct key){0};
    json_t *jwk = jwt_object(str_from(text));
    assert_non_null(jwk);
    int err = key_init_jwk(key, jwk, str_from(rsa), false, &why);
    json_decref(jwk);
    buf_free(&why);
    return err;
}

/* Verifies what OpenSSL signed, and refuses it after any one change. */
static void check_signature(const struct key *key, enum signer who, const char *alg)
{
    struct buf signature = {0};
    struct str text = STR("header.claims");
    sign_by(who, alg, STR(SECRET SECRET), text, &signature);
    assert_true(key_verify(key, text, buf_str(&signature)));
    assert_false(key_verify(key, STR("header.claimz"), buf_str(&signature)));
    assert_false(key_verify(key, text, str_head(buf_str(&signature), signature.n - 1)));
    assert_false(key_verify(key, text, STR_NONE));
    for (size_t i = 0; i < signature.n; i += 7) {
        signature.p[i] ^= 1;
        assert_false(key_verify(key, text, buf_str(&signature)));
        signature.p[i] ^= 1;
    }
    memset(signature.p, 0, signature.n);
    assert_false(key_verify(key, text, buf_str(&signature)));
    buf_add_c(&signature, 0);
    assert_false(key_verify(key, text, buf_str(&signature)));
    buf_free(&signature);
}

static const struct {
    enum signer who;
    const char *alg;
} asymmetric[] = {{BY_RSA, "RS256"},  {BY_RSA, "RS384"},     {BY_RSA, "RS512"},  {BY_RSA, "PS256"},
                  {BY_RSA, "PS384"},  {BY_RSA, "PS512"},     {BY_P256, "ES256"}, {BY_P384, "ES384"},
                  {BY_P521, "ES512"}, {BY_ED25519, "EdDSA"}, {BY_ED448, "EdDSA"}};
#define ASYMMETRIC_COUNT (sizeof(asymmetric) / sizeof(asymmetric[0]))

TEST(every_asymmetric_algorithm_verifies_what_openssl_signed)
{
    for (size_t i = 0; i < ASYMMETRIC_COUNT; i++) {
        struct key key;
        struct str text = pem_spki(signer_key(asymmetric[i].who), pem, sizeof(pem));
        assert_int_equal(from_pem(&key, text, asymmetric[i].alg, NULL), 0);
        check_signature(&key, asymmetric[i].who, asymmetric[i].alg);
        key_fini(&key);
    }
}

TEST(every_asymmetric_algorithm_verifies_with_a_jwk)
{
    for (size_t i = 0; i < ASYMMETRIC_COUNT; i++) {
        struct key key;
        struct buf jwk = {0};
        char more[64];
        snprintf(more, sizeof(more), ",\"alg\":\"%s\",\"kid\":\"k%zu\"", asymmetric[i].alg, i);
        jwk_add(&jwk, asymmetric[i].who, more);
        buf_add_c(&jwk, 0);
        assert_int_equal(from_jwk(&key, jwk.p, ""), 0);
        assert_string_equal(key.algorithm->name, asymmetric[i].alg);
        assert_int_equal(key.kid[0], 'k');
        check_signature(&key, asymmetric[i].who, asymmetric[i].alg);
        key_fini(&key);
        buf_free(&jwk);
    }
}

TEST(hmac_verifies_what_openssl_signed)
{
    static const char *const algs[] = {"HS256", "HS384", "HS512"};
    for (size_t i = 0; i < 3; i++) {
        struct key key;
        assert_int_equal(from_secret(&key, STR(SECRET SECRET), algs[i], false), 0);
        check_signature(&key, BY_SECRET, algs[i]);
        key_fini(&key);
    }
}

TEST(a_signature_of_one_algorithm_is_none_of_another)
{
    struct key key;
    struct buf signature = {0};
    struct str text = pem_spki(signer_key(BY_RSA), pem, sizeof(pem));
    static const char *const algs[] = {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"};
    for (size_t i = 0; i < 6; i++) {
        assert_int_equal(from_pem(&key, text, algs[i], NULL), 0);
        for (size_t j = 0; j < 6; j++) {
            buf_clear(&signature);
            sign_by(BY_RSA, algs[j], STR_NONE, STR("a.b"), &signature);
            assert_int_equal(key_verify(&key, STR("a.b"), buf_str(&signature)), i == j);
        }
        key_fini(&key);
    }
    buf_free(&signature);
}

TEST(an_ec_signature_in_der_is_refused)
{
    struct key key;
    struct str text = pem_spki(signer_key(BY_P256), pem, sizeof(pem));
    assert_int_equal(from_pem(&key, text, "", NULL), 0);
    assert_string_equal(key.algorithm->name, "ES256");
    unsigned char der[128];
    size_t n = sizeof(der);
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    assert_int_equal(EVP_DigestSignInit(ctx, NULL, EVP_sha256(), NULL, signer_key(BY_P256)), 1);
    assert_int_equal(EVP_DigestSign(ctx, der, &n, (const unsigned char *)"a.b", 3), 1);
    EVP_MD_CTX_free(ctx);
    assert_false(key_verify(&key, STR("a.b"), str_of((const char *)der, n)));
    key_fini(&key);
}

TEST(pem_comes_in_three_forms)
{
    struct key key;
    assert_int_equal(from_pem(&key, pem_pkcs1(signer_key(BY_RSA), pem, sizeof(pem)), "", NULL), 0);
    assert_string_equal(key.algorithm->name, "RS256");
    check_signature(&key, BY_RSA, "RS256");
    key_fini(&key);
    struct str text = pem_certificate_of(signer_key(BY_RSA), pem, sizeof(pem));
    assert_int_equal(from_pem(&key, text, "PS256", NULL), 0);
    check_signature(&key, BY_RSA, "PS256");
    key_fini(&key);
    text = pem_certificate_of(signer_key(BY_P384), pem, sizeof(pem));
    assert_int_equal(from_pem(&key, text, "", NULL), 0);
    check_signature(&key, BY_P384, "ES384");
    key_fini(&key);
}

TEST(a_pem_that_cannot_verify_is_refused_with_the_reason)
{
    struct key key;
    struct str text = pem_private(signer_key(BY_RSA), pem, sizeof(pem));
    assert_int_equal(from_pem(&key, text, "", "private key"), E_CONFIG);
    assert_int_equal(from_pem(&key, STR("-----BEGIN PUBLIC KEY-----\nAAAA\n"), "", "no public key"),
                     E_CONFIG);
    assert_int_equal(from_pem(&key, STR("hello"), "", "no public key"), E_CONFIG);
    text = pem_spki(signer_key(BY_RSA), pem, sizeof(pem));
    assert_int_equal(from_pem(&key, text, "ES256", "does not fit"), E_CONFIG);
    key_fini(&key);
    assert_int_equal(from_pem(&key, text, "HS256", "does not fit"), E_CONFIG);
    key_fini(&key);
    text = pem_spki(signer_key(BY_P256), pem, sizeof(pem));
    assert_int_equal(from_pem(&key, text, "ES384", "does not fit"), E_CONFIG);
    key_fini(&key);
    EVP_PKEY *weak = EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)1024);
    text = pem_spki(weak, pem, sizeof(pem));
    assert_int_equal(from_pem(&key, text, "", "2048"), E_CONFIG);
    key_fini(&key);
    EVP_PKEY_free(weak);
    EVP_PKEY *other = EVP_PKEY_Q_keygen(NULL, NULL, "X25519");
    text = pem_spki(other, pem, sizeof(pem));
    assert_int_equal(from_pem(&key, text, "", "no algorithm"), E_CONFIG);
    key_fini(&key);
    EVP_PKEY_free(other);
}

TEST(a_secret_must_be_long_and_no_pem)
{
    struct key key;
    assert_int_equal(from_secret(&key, STR("short"), "HS256", false), E_CONFIG);
    assert_int_equal(from_secret(&key, STR("short"), "HS256", true), 0);
    key_fini(&key);
    assert_int_equal(from_secret(&key, STR(SECRET), "HS512", false), E_CONFIG);
    assert_int_equal(from_secret(&key, STR(""), "HS256", true), E_CONFIG);
    assert_int_equal(from_secret(&key, STR(SECRET), "RS256", true), E_CONFIG);
    assert_int_equal(from_secret(&key, STR(SECRET), "none", true), E_CONFIG);
    struct str text = pem_spki(signer_key(BY_RSA), pem, sizeof(pem));
    assert_int_equal(from_secret(&key, text, "HS256", true), E_CONFIG);
}

TEST(a_jwk_says_its_algorithm_or_it_follows_from_the_key)
{
    struct key key;
    struct buf jwk = {0};
    jwk_add(&jwk, BY_RSA, "");
    buf_add_c(&jwk, 0);
    assert_int_equal(from_jwk(&key, jwk.p, ""), 0);
    assert_string_equal(key.algorithm->name, "RS256");
    assert_null(key.kid);
    key_fini(&key);
    assert_int_equal(from_jwk(&key, jwk.p, "PS512"), 0);
    assert_string_equal(key.algorithm->name, "PS512");
    key_fini(&key);
    assert_int_equal(from_jwk(&key,
                              "{\"kty\":\"oct\",\"k\":\"YS1zZWNyZXQtb2YtYXQtbGVhc3QtdGhpcnR5"
                              "LXR3by1ieXRlcyE\",\"kid\":\"x\"}",
                              ""),
                     0);
    assert_string_equal(key.algorithm->name, "HS256");
    struct buf signature = {0};
    sign_by(BY_SECRET, "HS256", STR(SECRET), STR("a.b"), &signature);
    assert_true(key_verify(&key, STR("a.b"), buf_str(&signature)));
    key_fini(&key);
    buf_free(&signature);
    buf_free(&jwk);
}

TEST(jwks_for_other_purposes_are_passed_over)
{
    static const char *const others[] = {
        "{\"kty\":\"RSA\",\"use\":\"enc\",\"n\":\"AQAB\",\"e\":\"AQAB\"}",
        "{\"kty\":\"RSA\",\"alg\":\"RSA-OAEP\",\"n\":\"AQAB\",\"e\":\"AQAB\"}",
        "{\"kty\":\"RSA\",\"key_ops\":[\"encrypt\"],\"n\":\"AQAB\",\"e\":\"AQAB\"}",
        "{\"kty\":\"EC\",\"crv\":\"secp256k1\",\"x\":\"AQAB\",\"y\":\"AQAB\"}",
        "{\"kty\":\"OKP\",\"crv\":\"X25519\",\"x\":\"AQAB\"}",
        "{\"kty\":\"AKP\",\"pub\":\"AQAB\"}",
        "{\"kty\":\"oct\",\"alg\":\"none\",\"k\":\"AQAB\"}",
    };
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        struct key key;
        assert_int_equal(from_jwk(&key, others[i], ""), KEY_SKIP);
        key_fini(&key);
    }
}

TEST(a_broken_jwk_is_refused)
{
    static const char *const broken[] = {
        "{}",
        "{\"kty\":1}",
        "{\"kty\":\"RSA\",\"kid\":1}",
        "{\"kty\":\"RSA\"}",
        "{\"kty\":\"RSA\",\"n\":\"AQAB\",\"e\":\"AQAB\"}",
        "{\"kty\":\"RSA\",\"n\":\"AQAB=\",\"e\":\"AQAB\"}",
        "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"AQAB\",\"y\":\"AQAB\"}",
        /* not on the curve */
        "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE\","
        "\"y\":\"AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE\"}",
        "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"AQAB\"}",
        "{\"kty\":\"oct\"}",
        "{\"kty\":\"oct\",\"k\":\"AQAB\"}",
        "{\"kty\":\"oct\",\"k\":\"%\"}",
        "{\"kty\":\"oct\",\"alg\":\"RS256\",\"k\":\"YS1zZWNyZXQtb2YtYXQtbGVhc3QtdGhpcnR5\"}",
    };
    for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++) {
        struct key key;
        if (from_jwk(&key, broken[i], "") != E_CONFIG)
            fail_msg("%s", broken[i]);
        key_fini(&key);
    }
}

TEST(the_examples_of_the_standards_verify)
{
    static const struct {
        const char *jwk, *text, *signature;
    } table[] = {
        /* RFC 7515 A.1 */
        {"{\"kty\":\"oct\",\"k\":\"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-"
         "1qS0gZH75aKtMN3Yj0iPS4"
         "hcgUuTwjAzZr1Z9CAow\"}",
         "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9."
         "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0"
         "cnVlfQ",
         "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"},
        /* RFC 7515 A.3 */
        {"{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\","
         "\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\"}",
         "eyJhbGciOiJFUzI1NiJ9."
         "eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0"
         "cnVlfQ",
         "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q"},
        /* RFC 8037 A.4 */
        {"{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"11qYAYKxCrfVS_"
         "7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}",
         "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc",
         "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg"},
    };
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
        struct key key;
        struct buf signature = {0};
        assert_int_equal(from_jwk(&key, table[i].jwk, ""), 0);
        assert_true(base64url_decode(&signature, str_from(table[i].signature)));
        assert_true(key_verify(&key, str_from(table[i].text), buf_str(&signature)));
        buf_free(&signature);
        key_fini(&key);
    }
}
