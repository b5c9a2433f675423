/* SPDX-License-Identifier: Apache-2.0 */
/* Digests by OpenSSL. Looking an algorithm up by name costs more than hashing a short text, so
 * each is fetched once and kept for the life of the process. */
#include "base/digest.h"
#include "base/check.h"
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <pthread.h>

static pthread_once_t once = PTHREAD_ONCE_INIT;
static EVP_MD *sha1, *sha256;
static EVP_MAC *hmac;

static void fetch(void)
{
    sha1 = EVP_MD_fetch(NULL, "SHA1", NULL);
    sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    CHECK(sha1 && sha256 && hmac);
}

void digest_sha1(struct str bytes, uint8_t out[20])
{
    pthread_once(&once, fetch);
    CHECK(EVP_Digest(bytes.p, bytes.n, out, NULL, sha1, NULL) == 1);
}

void digest_sha256(struct str bytes, uint8_t out[32])
{
    pthread_once(&once, fetch);
    CHECK(EVP_Digest(bytes.p, bytes.n, out, NULL, sha256, NULL) == 1);
}

void digest_hmac_sha256(struct str key, struct str bytes, uint8_t out[32])
{
    static const char name[] = "SHA256";
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char *)(uintptr_t)name, 0),
        OSSL_PARAM_construct_end()};
    /* OpenSSL takes a NULL key for "the key from before": an empty one must not be NULL. */
    const unsigned char *k = (const unsigned char *)(key.p ? key.p : "");
    size_t n = 0;
    pthread_once(&once, fetch);
    EVP_MAC_CTX *mac = EVP_MAC_CTX_new(hmac);
    CHECK(mac && EVP_MAC_init(mac, k, key.n, params) == 1);
    CHECK(EVP_MAC_update(mac, (const unsigned char *)bytes.p, bytes.n) == 1);
    CHECK(EVP_MAC_final(mac, out, &n, 32) == 1 && n == 32);
    EVP_MAC_CTX_free(mac);
}

bool digest_equal(struct str a, struct str b)
{
    return a.n == b.n && (a.n == 0 || CRYPTO_memcmp(a.p, b.p, a.n) == 0);
}
