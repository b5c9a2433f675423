/* SPDX-License-Identifier: Apache-2.0 */
/* One verification key, pinned to exactly one algorithm. A token never chooses how a key is used:
 * its `alg` must be the key's. Read only once made; any thread may verify. */
#ifndef AUTH_KEY_H
#define AUTH_KEY_H

#include "base/buf.h"

struct evp_mac_ctx_st; /* OpenSSL */
struct evp_pkey_st;
struct json_t; /* jansson */

enum key_kind { KEY_HMAC, KEY_RSA, KEY_PSS, KEY_EC, KEY_ED };
struct key_algorithm {
    const char *name; /* as in a token's `alg` */
    enum key_kind kind;
    const char *digest;     /* NULL for EdDSA */
    size_t size;            /* HMAC: of the digest; EC: of one coordinate */
    const char *curve;      /* EC: OpenSSL's name */
    const char *curve_name; /* EC: JWK's name */
};
/* NULL when there is none of that exact name. */
const struct key_algorithm *key_algorithm_find(struct str name);

struct key {
    const struct key_algorithm *algorithm;
    char *name;                 /* where it was configured */
    char *kid;                  /* NULL: any token of the algorithm may try it */
    struct evp_mac_ctx_st *mac; /* keyed already; duplicated for each use */
    struct evp_pkey_st *pkey;
};

/* All fill *key from zero. 0, or E_CONFIG with a sentence in *why; then *key needs key_fini all
 * the same. `algorithm` may be empty (see auth.h). */
int key_init_secret(struct key *key, struct str secret, struct str algorithm, bool short_ok,
                    struct buf *why);
int key_init_pem(struct key *key, struct str pem, struct str algorithm, struct buf *why);
/* Also KEY_SKIP: a key of a kind or for a use that is not ours (RFC 7517 section 5). */
#define KEY_SKIP 1
int key_init_jwk(struct key *key, const struct json_t *jwk, struct str rsa_algorithm, bool short_ok,
                 struct buf *why);
void key_fini(struct key *key);

bool key_verify(const struct key *key, struct str text, struct str signature);
/* HMAC keys only; appends the raw signature. */
bool key_sign(const struct key *key, struct str text, struct buf *out);

#endif
