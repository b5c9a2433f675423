/* SPDX-License-Identifier: Apache-2.0 */
/* Keys by OpenSSL EVP (RFC 7515, 7517, 7518, 8037). A key is checked when it is made (kind, size,
 * curve, point), so that verifying has nothing left to decide. To add an algorithm: a row in
 * `algorithms`, and a case in key_verify when it is of a new kind. */
#include "auth/key.h"
#include "base/base64.h"
#include "base/digest.h"
#include "base/err.h"
#include "base/mem.h"
#include <jansson.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/decoder.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#define RSA_BITS_MIN 2048 /* RFC 7518 section 3.3 */
#define RSA_BITS_MAX 8192 /* verifying grows with the square; nobody needs more */

static const struct key_algorithm algorithms[] = {
    {"HS256", KEY_HMAC, "SHA256", 32, NULL, NULL},
    {"HS384", KEY_HMAC, "SHA384", 48, NULL, NULL},
    {"HS512", KEY_HMAC, "SHA512", 64, NULL, NULL},
    {"RS256", KEY_RSA, "SHA256", 0, NULL, NULL},
    {"RS384", KEY_RSA, "SHA384", 0, NULL, NULL},
    {"RS512", KEY_RSA, "SHA512", 0, NULL, NULL},
    {"PS256", KEY_PSS, "SHA256", 0, NULL, NULL},
    {"PS384", KEY_PSS, "SHA384", 0, NULL, NULL},
    {"PS512", KEY_PSS, "SHA512", 0, NULL, NULL},
    {"ES256", KEY_EC, "SHA256", 32, "prime256v1", "P-256"},
    {"ES384", KEY_EC, "SHA384", 48, "secp384r1", "P-384"},
    {"ES512", KEY_EC, "SHA512", 66, "secp521r1", "P-521"},
    {"EdDSA", KEY_ED, NULL, 0, NULL, NULL},
};
#define ALGORITHMS_COUNT (sizeof(algorithms) / sizeof(algorithms[0]))

const struct key_algorithm *key_algorithm_find(struct str name)
{
    for (size_t i = 0; i < ALGORITHMS_COUNT; i++)
        if (str_is(name, algorithms[i].name))
            return &algorithms[i];
    return NULL;
}

static int refuse(struct buf *why, const char *text)
{
    ERR_clear_error();
    buf_add_z(why, text);
    return E_CONFIG;
}

void key_fini(struct key *key)
{
    EVP_MAC_CTX_free(key->mac);
    EVP_PKEY_free(key->pkey);
    mem_free(key->name);
    mem_free(key->kid);
    *key = (struct key){0};
}

/* ---- secrets ---------------------------------------------------------------------------- */

int key_init_secret(struct key *key, struct str secret, struct str algorithm, bool short_ok,
                    struct buf *why)
{
    const struct key_algorithm *alg = key_algorithm_find(algorithm.n ? algorithm : STR("HS256"));
    if (!alg || alg->kind != KEY_HMAC)
        return refuse(why, "a secret is for HS256, HS384 or HS512");
    /* The classic confusion: somebody's public key as an HMAC secret. */
    if (str_find_str(secret, STR("-----BEGIN ")) >= 0)
        return refuse(why, "the secret is a PEM text; give it as `pem`");
    if (secret.n == 0)
        return refuse(why, "the secret is empty");
    if (secret.n < alg->size && !short_ok) {
        buf_printf(why, "the secret has %zu bytes, %s needs at least %zu", secret.n, alg->name,
                   alg->size);
        return E_CONFIG;
    }
    EVP_MAC *hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    key->mac = hmac ? EVP_MAC_CTX_new(hmac) : NULL;
    EVP_MAC_free(hmac);
    char digest[8];
    memcpy(digest, alg->digest, strlen(alg->digest) + 1);
    OSSL_PARAM params[] = {OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, digest, 0),
                           OSSL_PARAM_construct_end()};
    if (!key->mac || !EVP_MAC_init(key->mac, (const uint8_t *)secret.p, secret.n, params))
        return refuse(why, "the secret cannot be used");
    key->algorithm = alg;
    return 0;
}

bool key_sign(const struct key *key, struct str text, struct buf *out)
{
    if (key->algorithm->kind != KEY_HMAC || !buf_reserve(out, EVP_MAX_MD_SIZE))
        return false;
    EVP_MAC_CTX *ctx = EVP_MAC_CTX_dup(key->mac);
    size_t n = 0;
    bool ok = ctx && EVP_MAC_update(ctx, (const uint8_t *)text.p, text.n) &&
              EVP_MAC_final(ctx, (uint8_t *)out->p + out->n, &n, EVP_MAX_MD_SIZE);
    EVP_MAC_CTX_free(ctx);
    if (ok)
        out->n += n;
    return ok;
}

static bool verify_hmac(const struct key *key, struct str text, struct str signature)
{
    char space[EVP_MAX_MD_SIZE];
    struct buf mac = {.p = space, .capacity = sizeof(space), .max = sizeof(space)};
    return key_sign(key, text, &mac) && digest_equal(buf_str(&mac), signature);
}

/* ---- public keys ------------------------------------------------------------------------ */

/* The algorithm that a public key and a wish (may be empty) agree on, or NULL. */
static const struct key_algorithm *agree(EVP_PKEY *pkey, struct str wish)
{
    const struct key_algorithm *alg = NULL;
    if (EVP_PKEY_is_a(pkey, "RSA")) {
        alg = key_algorithm_find(wish.n ? wish : STR("RS256"));
        return alg && (alg->kind == KEY_RSA || alg->kind == KEY_PSS) ? alg : NULL;
    }
    if (EVP_PKEY_is_a(pkey, "ED25519") || EVP_PKEY_is_a(pkey, "ED448"))
        alg = key_algorithm_find(STR("EdDSA"));
    char curve[32] = "";
    if (EVP_PKEY_is_a(pkey, "EC"))
        EVP_PKEY_get_utf8_string_param(pkey, OSSL_PKEY_PARAM_GROUP_NAME, curve, sizeof(curve),
                                       NULL);
    for (size_t i = 0; i < ALGORITHMS_COUNT && curve[0]; i++)
        if (algorithms[i].curve && strcmp(algorithms[i].curve, curve) == 0)
            alg = &algorithms[i];
    return alg && (!wish.n || str_is(wish, alg->name)) ? alg : NULL;
}

static bool is_sound(EVP_PKEY *pkey)
{
    if (EVP_PKEY_is_a(pkey, "ED25519") || EVP_PKEY_is_a(pkey, "ED448"))
        return true; /* any 32 or 57 bytes are a key */
    if (EVP_PKEY_is_a(pkey, "RSA")) {
        int bits = EVP_PKEY_get_bits(pkey);
        if (bits < RSA_BITS_MIN || bits > RSA_BITS_MAX)
            return false;
    }
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, pkey, NULL);
    bool ok = ctx && EVP_PKEY_public_check(ctx) == 1;
    EVP_PKEY_CTX_free(ctx);
    return ok;
}

/* Takes pkey. */
static int adopt(struct key *key, EVP_PKEY *pkey, struct str algorithm, struct buf *why)
{
    key->pkey = pkey;
    key->algorithm = agree(pkey, algorithm);
    if (!key->algorithm && algorithm.n) {
        buf_printf(why, "the key does not fit the algorithm \"%.*s\"", STR_ARG(algorithm));
        return E_CONFIG;
    }
    if (!key->algorithm)
        return refuse(why, "no algorithm is known for this kind of key");
    if (!is_sound(pkey))
        return refuse(why, EVP_PKEY_is_a(pkey, "RSA") ? "an RSA key needs 2048 to 8192 bits"
                                                      : "the key is not valid");
    return 0;
}

static EVP_PKEY *pem_certificate(struct str pem)
{
    BIO *bio = BIO_new_mem_buf(pem.p, (int)pem.n);
    X509 *certificate = bio ? PEM_read_bio_X509(bio, NULL, NULL, NULL) : NULL;
    EVP_PKEY *pkey = certificate ? X509_get_pubkey(certificate) : NULL;
    X509_free(certificate);
    BIO_free(bio);
    return pkey;
}

/* "PUBLIC KEY" (SubjectPublicKeyInfo) and "RSA PUBLIC KEY" (PKCS#1). */
static EVP_PKEY *pem_public(struct str pem)
{
    EVP_PKEY *pkey = NULL;
    OSSL_DECODER_CTX *ctx =
        OSSL_DECODER_CTX_new_for_pkey(&pkey, "PEM", NULL, NULL, EVP_PKEY_PUBLIC_KEY, NULL, NULL);
    const uint8_t *p = (const uint8_t *)pem.p;
    size_t n = pem.n;
    if (!ctx || !OSSL_DECODER_from_data(ctx, &p, &n)) {
        EVP_PKEY_free(pkey);
        pkey = NULL;
    }
    OSSL_DECODER_CTX_free(ctx);
    return pkey;
}

int key_init_pem(struct key *key, struct str pem, struct str algorithm, struct buf *why)
{
    if (pem.n > 64 * 1024)
        return refuse(why, "the PEM text is longer than 64 KiB");
    if (str_find_str(pem, STR("PRIVATE KEY-----")) >= 0)
        return refuse(why, "this is a private key; verifying needs only the public one");
    bool certificate = str_find_str(pem, STR("-----BEGIN CERTIFICATE-----")) >= 0;
    EVP_PKEY *pkey = certificate ? pem_certificate(pem) : pem_public(pem);
    if (!pkey)
        return refuse(why, "no public key or certificate can be read from the PEM text");
    return adopt(key, pkey, algorithm, why);
}

/* ---- JSON web keys ---------------------------------------------------------------------- */

static struct str member(const json_t *jwk, const char *name)
{
    const json_t *v = json_object_get(jwk, name);
    return json_is_string(v) ? str_of(json_string_value(v), json_string_length(v)) : STR_NONE;
}

/* Decodes a base64url member; false when it is absent, empty or not canonical. */
static bool member_bytes(const json_t *jwk, const char *name, struct buf *out)
{
    struct str text = member(jwk, name);
    return text.n > 0 && base64url_decode(out, text) && out->n > 0 && !out->failed;
}

static EVP_PKEY *pkey_from(const char *type, OSSL_PARAM_BLD *build)
{
    EVP_PKEY *pkey = NULL;
    OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(build);
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, type, NULL);
    if (!params || !ctx || EVP_PKEY_fromdata_init(ctx) != 1 ||
        EVP_PKEY_fromdata(ctx, &pkey, EVP_PKEY_PUBLIC_KEY, params) != 1) {
        EVP_PKEY_free(pkey);
        pkey = NULL;
    }
    EVP_PKEY_CTX_free(ctx);
    OSSL_PARAM_free(params);
    return pkey;
}

static EVP_PKEY *jwk_rsa(const json_t *jwk)
{
    struct buf n = {.max = RSA_BITS_MAX / 8 + 4}, e = {.max = 8};
    EVP_PKEY *pkey = NULL;
    OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
    BIGNUM *bn = NULL, *be = NULL;
    if (build && member_bytes(jwk, "n", &n) && member_bytes(jwk, "e", &e)) {
        bn = BN_bin2bn((const uint8_t *)n.p, (int)n.n, NULL);
        be = BN_bin2bn((const uint8_t *)e.p, (int)e.n, NULL);
        if (bn && be && OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_N, bn) &&
            OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_E, be))
            pkey = pkey_from("RSA", build);
    }
    BN_free(bn);
    BN_free(be);
    OSSL_PARAM_BLD_free(build);
    buf_free(&n);
    buf_free(&e);
    return pkey;
}

static EVP_PKEY *jwk_ec(const json_t *jwk, const struct key_algorithm *alg)
{
    struct buf x = {.max = alg->size + 4}, y = {.max = alg->size + 4};
    uint8_t point[1 + 2 * 66] = {4}; /* uncompressed */
    EVP_PKEY *pkey = NULL;
    OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
    if (build && member_bytes(jwk, "x", &x) && member_bytes(jwk, "y", &y) && x.n == alg->size &&
        y.n == alg->size) {
        memcpy(point + 1, x.p, x.n);
        memcpy(point + 1 + x.n, y.p, y.n);
        if (OSSL_PARAM_BLD_push_utf8_string(build, OSSL_PKEY_PARAM_GROUP_NAME, alg->curve, 0) &&
            OSSL_PARAM_BLD_push_octet_string(build, OSSL_PKEY_PARAM_PUB_KEY, point, 1 + x.n + y.n))
            pkey = pkey_from("EC", build);
    }
    OSSL_PARAM_BLD_free(build);
    buf_free(&x);
    buf_free(&y);
    return pkey;
}

static EVP_PKEY *jwk_okp(const json_t *jwk, const char *curve)
{
    struct buf x = {.max = 57 + 4};
    EVP_PKEY *pkey = NULL;
    if (member_bytes(jwk, "x", &x))
        pkey = EVP_PKEY_new_raw_public_key_ex(NULL, curve, NULL, (const uint8_t *)x.p, x.n);
    buf_free(&x);
    return pkey;
}

static int jwk_oct(struct key *key, const json_t *jwk, bool short_ok, struct buf *why)
{
    struct buf k = {.max = 4096};
    int err = member_bytes(jwk, "k", &k)
                  ? key_init_secret(key, buf_str(&k), member(jwk, "alg"), short_ok, why)
                  : refuse(why, "`k` is not base64url");
    buf_free(&k);
    return err;
}

/* A set may hold keys for other purposes; those are passed over. */
static bool is_for_verifying(const json_t *jwk)
{
    struct str use = member(jwk, "use"), alg = member(jwk, "alg");
    if (use.n && !str_is(use, "sig"))
        return false;
    if (alg.n && !key_algorithm_find(alg))
        return false;
    const json_t *ops = json_object_get(jwk, "key_ops"), *op;
    size_t i;
    bool verify = !ops;
    json_array_foreach(ops, i, op)
    {
        const char *name = json_string_value(op);
        verify = verify || (name && (strcmp(name, "verify") == 0 || strcmp(name, "sign") == 0));
    }
    return verify;
}

int key_init_jwk(struct key *key, const json_t *jwk, struct str rsa_algorithm, bool short_ok,
                 struct buf *why)
{
    struct str kty = member(jwk, "kty"), crv = member(jwk, "crv"), alg = member(jwk, "alg");
    const json_t *kid = json_object_get(jwk, "kid");
    if (!kty.n)
        return refuse(why, "a key of the set has no `kty`");
    if (kid && !json_is_string(kid))
        return refuse(why, "`kid` of a key of the set is not a string");
    if (!is_for_verifying(jwk))
        return KEY_SKIP;
    if (kid)
        key->kid = str_dup(member(jwk, "kid"));
    if (str_is(kty, "oct"))
        return jwk_oct(key, jwk, short_ok, why);
    EVP_PKEY *pkey = NULL;
    if (str_is(kty, "RSA")) {
        pkey = jwk_rsa(jwk);
        if (!alg.n)
            alg = rsa_algorithm;
    } else if (str_is(kty, "EC")) {
        const struct key_algorithm *of_curve = NULL;
        for (size_t i = 0; i < ALGORITHMS_COUNT; i++)
            if (algorithms[i].curve_name && str_is(crv, algorithms[i].curve_name))
                of_curve = &algorithms[i];
        if (!of_curve)
            return KEY_SKIP;
        pkey = jwk_ec(jwk, of_curve);
    } else if (str_is(kty, "OKP") && (str_is(crv, "Ed25519") || str_is(crv, "Ed448"))) {
        pkey = jwk_okp(jwk, str_is(crv, "Ed25519") ? "ED25519" : "ED448");
    } else {
        return KEY_SKIP;
    }
    if (!pkey)
        return refuse(why, "a key of the set is not valid");
    return adopt(key, pkey, alg, why);
}

/* ---- verifying -------------------------------------------------------------------------- */

static bool verify_pkey(const struct key *key, struct str text, const uint8_t *signature, size_t n)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    EVP_PKEY_CTX *pctx = NULL; /* owned by ctx */
    bool ok = ctx && EVP_DigestVerifyInit_ex(ctx, &pctx, key->algorithm->digest, NULL, NULL,
                                             key->pkey, NULL) == 1;
    if (ok && key->algorithm->kind == KEY_PSS)
        ok = EVP_PKEY_CTX_set_rsa_padding(pctx, RSA_PKCS1_PSS_PADDING) == 1 &&
             EVP_PKEY_CTX_set_rsa_pss_saltlen(pctx, RSA_PSS_SALTLEN_DIGEST) == 1;
    ok = ok && EVP_DigestVerify(ctx, signature, n, (const uint8_t *)text.p, text.n) == 1;
    EVP_MD_CTX_free(ctx);
    ERR_clear_error(); /* a refusal must not be found by the next TLS call of this thread */
    return ok;
}

/* JWS has r and s side by side, OpenSSL wants them in DER. */
static bool verify_ec(const struct key *key, struct str text, struct str signature)
{
    size_t half = key->algorithm->size;
    if (signature.n != 2 * half)
        return false;
    const uint8_t *raw = (const uint8_t *)signature.p;
    uint8_t der[160], *end = der; /* 2 * 66 bytes and three heads */
    ECDSA_SIG *pair = ECDSA_SIG_new();
    BIGNUM *r = BN_bin2bn(raw, (int)half, NULL), *s = BN_bin2bn(raw + half, (int)half, NULL);
    bool ok = pair && r && s && ECDSA_SIG_set0(pair, r, s);
    if (!ok) {
        BN_free(r);
        BN_free(s);
    }
    int n = ok ? i2d_ECDSA_SIG(pair, NULL) : 0;
    ok = n > 0 && (size_t)n <= sizeof(der) && i2d_ECDSA_SIG(pair, &end) == n;
    ECDSA_SIG_free(pair);
    return ok && verify_pkey(key, text, der, (size_t)n);
}

bool key_verify(const struct key *key, struct str text, struct str signature)
{
    if (signature.n == 0)
        return false;
    switch (key->algorithm->kind) {
    case KEY_HMAC:
        return verify_hmac(key, text, signature);
    case KEY_EC:
        return verify_ec(key, text, signature);
    case KEY_RSA:
    case KEY_PSS:
    case KEY_ED:
        return verify_pkey(key, text, (const uint8_t *)signature.p, signature.n);
    }
    return false;
}
