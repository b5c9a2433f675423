/* SPDX-License-Identifier: Apache-2.0 */
/* A JSON Web Token in compact form (RFC 7515 section 7.1), taken apart strictly and without
 * trusting a byte of it: exactly three parts of canonical base64url, a header that is one JSON
 * object without doubled members. The claims stay undecoded until the signature is known good. */
#ifndef AUTH_JWT_H
#define AUTH_JWT_H

#include "auth/auth.h"

#define JWT_SIGNATURE_MAX 1024 /* RSA with 8192 bits */

struct jwt {
    struct str signed_text; /* "header.claims", part of the token */
    struct str alg, kid;    /* kid.p is NULL when there is none; borrowed from header */
    struct str claims_part; /* base64url */
    struct json_t *header;
    char signature[JWT_SIGNATURE_MAX + 4]; /* a decoder asks for room in whole groups */
    size_t signature_n;
};

/* Fills *jwt; jwt_fini is needed in either case. 0, E_NO_MEMORY or E_TOKEN_INVALID with the
 * verdict filled. */
int jwt_parse(struct jwt *jwt, struct str token, size_t bytes_max, struct auth_verdict *verdict);
/* Decodes the claims: text is appended to *text, the parsed object is *claims (caller owns). */
int jwt_claims(const struct jwt *jwt, struct buf *text, struct json_t **claims,
               struct auth_verdict *verdict);
void jwt_fini(struct jwt *jwt);

/* One JSON object, nothing after it, no doubled members, no NUL; NULL otherwise. Caller owns. */
struct json_t *jwt_object(struct str text);

/* Fills a verdict; for `return jwt_refuse(...)`. */
int jwt_refuse(struct auth_verdict *verdict, enum auth_reason reason, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
