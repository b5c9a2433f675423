/* SPDX-License-Identifier: Apache-2.0 */
/* Tokens for the tests of the auth room, made by OpenSSL without the code under test (which only
 * ever signs with HMAC). Keys are made once per process. */
#ifndef UNIT_AUTH_TOKENS_H
#define UNIT_AUTH_TOKENS_H

#include "base/base64.h"
#include "base/buf.h"
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <string.h>

#define NOW_MS 1790000000000ULL
#define NOW_S "1790000000"
#define SECRET "a-secret-of-at-least-thirty-two-bytes!"
#define HS256_HEADER "{\"alg\":\"HS256\",\"typ\":\"JWT\"}"
#define GOOD_CLAIMS "{\"sub\":\"u1\",\"role\":\"admin\",\"exp\":1790003600}"

enum signer { BY_SECRET, BY_RSA, BY_P256, BY_P384, BY_P521, BY_ED25519, BY_ED448, SIGNERS };

/* Kept in a static for the whole process. */
static inline EVP_PKEY *signer_key(enum signer who)
{
    static EVP_PKEY *keys[SIGNERS];
    static const char *const curves[SIGNERS] = {NULL, NULL, "P-256", "P-384", "P-521", NULL, NULL};
    if (!keys[who]) {
        if (who == BY_RSA)
            keys[who] = EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)2048);
        else if (curves[who])
            keys[who] = EVP_PKEY_Q_keygen(NULL, NULL, "EC", curves[who]);
        else
            keys[who] = EVP_PKEY_Q_keygen(NULL, NULL, who == BY_ED448 ? "ED448" : "ED25519");
        assert_non_null(keys[who]);
    }
    return keys[who];
}

static inline struct str bio_text(BIO *bio, char *out, size_t size)
{
    int n = BIO_read(bio, out, (int)size - 1);
    assert_true(n > 0);
    out[n] = 0;
    BIO_free(bio);
    return str_of(out, (size_t)n);
}

static inline struct str pem_spki(EVP_PKEY *key, char *out, size_t size)
{
    BIO *bio = BIO_new(BIO_s_mem());
    assert_int_equal(PEM_write_bio_PUBKEY(bio, key), 1);
    return bio_text(bio, out, size);
}

static inline struct str pem_pkcs1(EVP_PKEY *key, char *out, size_t size)
{
    BIO *bio = BIO_new(BIO_s_mem());
    unsigned char *der = NULL;
    int n = i2d_PublicKey(key, &der);
    assert_true(n > 0);
    assert_true(PEM_write_bio(bio, "RSA PUBLIC KEY", "", der, n) > 0);
    OPENSSL_free(der);
    return bio_text(bio, out, size);
}

static inline struct str pem_private(EVP_PKEY *key, char *out, size_t size)
{
    BIO *bio = BIO_new(BIO_s_mem());
    assert_int_equal(PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL), 1);
    return bio_text(bio, out, size);
}

static inline struct str pem_certificate_of(EVP_PKEY *key, char *out, size_t size)
{
    BIO *bio = BIO_new(BIO_s_mem());
    X509 *x = X509_new();
    X509_set_version(x, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
    X509_gmtime_adj(X509_getm_notBefore(x), 0);
    X509_gmtime_adj(X509_getm_notAfter(x), 3600);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_ASC,
                               (const unsigned char *)"test", -1, -1, 0);
    X509_set_issuer_name(x, X509_get_subject_name(x));
    X509_set_pubkey(x, key);
    assert_true(X509_sign(x, key, EVP_sha256()) > 0);
    assert_int_equal(PEM_write_bio_X509(bio, x), 1);
    X509_free(x);
    return bio_text(bio, out, size);
}

static inline const EVP_MD *md_of(const char *alg)
{
    if (strcmp(alg, "EdDSA") == 0)
        return NULL;
    return strstr(alg, "256") ? EVP_sha256() : strstr(alg, "384") ? EVP_sha384() : EVP_sha512();
}

static inline void sign_ec(struct buf *der, size_t half)
{
    const unsigned char *p = (const unsigned char *)der->p;
    ECDSA_SIG *pair = d2i_ECDSA_SIG(NULL, &p, (long)der->n);
    unsigned char raw[2 * 66];
    assert_non_null(pair);
    assert_int_equal(BN_bn2binpad(ECDSA_SIG_get0_r(pair), raw, (int)half), half);
    assert_int_equal(BN_bn2binpad(ECDSA_SIG_get0_s(pair), raw + half, (int)half), half);
    ECDSA_SIG_free(pair);
    buf_clear(der);
    buf_add(der, raw, 2 * half);
}

/* The raw JWS signature of text by that algorithm; the key's kind must fit it. */
static inline void sign_by(enum signer who, const char *alg, struct str secret, struct str text,
                           struct buf *out)
{
    size_t n = 2048;
    assert_true(buf_reserve(out, n));
    if (who == BY_SECRET) {
        unsigned int mac_n = 0;
        assert_non_null(HMAC(md_of(alg), secret.p, (int)secret.n, (const unsigned char *)text.p,
                             text.n, (unsigned char *)out->p, &mac_n));
        out->n = mac_n;
        return;
    }
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    EVP_PKEY_CTX *pctx = NULL;
    assert_int_equal(EVP_DigestSignInit(ctx, &pctx, md_of(alg), NULL, signer_key(who)), 1);
    if (alg[0] == 'P') {
        EVP_PKEY_CTX_set_rsa_padding(pctx, RSA_PKCS1_PSS_PADDING);
        EVP_PKEY_CTX_set_rsa_pss_saltlen(pctx, RSA_PSS_SALTLEN_DIGEST);
    }
    assert_int_equal(
        EVP_DigestSign(ctx, (unsigned char *)out->p, &n, (const unsigned char *)text.p, text.n), 1);
    out->n = n;
    EVP_MD_CTX_free(ctx);
    if (alg[0] == 'E' && alg[1] == 'S')
        sign_ec(out, strcmp(alg, "ES256") == 0 ? 32 : strcmp(alg, "ES384") == 0 ? 48 : 66);
}

/* header.claims.signature into a static buffer, valid until the next call. */
static inline struct str token_by(enum signer who, const char *alg, struct str secret,
                                  const char *header, const char *claims)
{
    static char space[32768];
    struct buf token = {.p = space, .capacity = sizeof(space), .max = sizeof(space)};
    struct buf signature = {0};
    base64url_encode(&token, str_from(header));
    buf_add_c(&token, '.');
    base64url_encode(&token, str_from(claims));
    sign_by(who, alg, secret, buf_str(&token), &signature);
    buf_add_c(&token, '.');
    base64url_encode(&token, buf_str(&signature));
    buf_free(&signature);
    assert_false(token.failed);
    return buf_str(&token);
}

static inline struct str hs256(const char *header, const char *claims)
{
    return token_by(BY_SECRET, "HS256", STR(SECRET), header, claims);
}

static inline void jwk_number(struct buf *out, EVP_PKEY *key, const char *param, const char *name,
                              int size)
{
    BIGNUM *v = NULL;
    unsigned char bytes[512];
    assert_int_equal(EVP_PKEY_get_bn_param(key, param, &v), 1);
    int n = size ? BN_bn2binpad(v, bytes, size) : BN_bn2bin(v, bytes);
    assert_true(n > 0);
    buf_printf(out, ",\"%s\":\"", name);
    base64url_encode(out, str_of((const char *)bytes, (size_t)n));
    buf_add_c(out, '"');
    BN_free(v);
}

/* A public JWK; `more` is raw members like ",\"kid\":\"a\"". */
static inline void jwk_add(struct buf *out, enum signer who, const char *more)
{
    EVP_PKEY *key = signer_key(who);
    if (who == BY_RSA) {
        buf_add_z(out, "{\"kty\":\"RSA\"");
        jwk_number(out, key, OSSL_PKEY_PARAM_RSA_N, "n", 0);
        jwk_number(out, key, OSSL_PKEY_PARAM_RSA_E, "e", 0);
    } else if (who == BY_ED25519 || who == BY_ED448) {
        unsigned char raw[57];
        size_t n = sizeof(raw);
        assert_int_equal(EVP_PKEY_get_raw_public_key(key, raw, &n), 1);
        buf_printf(out, "{\"kty\":\"OKP\",\"crv\":\"%s\",\"x\":\"",
                   who == BY_ED448 ? "Ed448" : "Ed25519");
        base64url_encode(out, str_of((const char *)raw, n));
        buf_add_c(out, '"');
    } else {
        int size = who == BY_P256 ? 32 : who == BY_P384 ? 48 : 66;
        buf_printf(out, "{\"kty\":\"EC\",\"crv\":\"%s\"",
                   who == BY_P256   ? "P-256"
                   : who == BY_P384 ? "P-384"
                                    : "P-521");
        jwk_number(out, key, OSSL_PKEY_PARAM_EC_PUB_X, "x", size);
        jwk_number(out, key, OSSL_PKEY_PARAM_EC_PUB_Y, "y", size);
    }
    buf_add_z(out, more);
    buf_add_c(out, '}');
}

#endif
