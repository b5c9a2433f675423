/* SPDX-License-Identifier: Apache-2.0 */
#include "auth/jwt.h"
#include "base/base64.h"
#include "base/mem.h"
#include <jansson.h>
#include <stdio.h>

#define HEADER_BYTES_MAX 2048
#define KID_BYTES_MAX 256

int jwt_refuse(struct auth_verdict *verdict, enum auth_reason reason, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    verdict->reason = reason;
    vsnprintf(verdict->text, sizeof(verdict->text), format, args);
    va_end(args);
    if (reason == AUTH_NO_TOKEN)
        return E_TOKEN_REQUIRED;
    return reason == AUTH_EXPIRED ? E_TOKEN_EXPIRED : E_TOKEN_INVALID;
}

struct json_t *jwt_object(struct str text)
{
    json_error_t error;
    if (!text.n)
        return NULL;
    json_t *v = json_loadb(text.p, text.n, JSON_REJECT_DUPLICATES, &error);
    if (v && !json_is_object(v)) {
        json_decref(v);
        v = NULL;
    }
    return v;
}

/* A header member that must be a string when it is there. */
static bool header_text(const struct jwt *jwt, const char *name, struct str *out)
{
    const json_t *v = json_object_get(jwt->header, name);
    *out = STR_NONE;
    if (!v)
        return true;
    if (!json_is_string(v))
        return false;
    *out = str_of(json_string_value(v), json_string_length(v));
    return true;
}

static int check_header(struct jwt *jwt, struct auth_verdict *verdict)
{
    /* What these ask for is not done here, so a token that has them must not pass (RFC 7515
     * section 4.1.11, RFC 7797); enc and zip belong to encrypted tokens. Keys and addresses of
     * keys inside a token (jwk, jku, x5c, x5u) are never looked at. */
    static const char *const refused[] = {"crit", "b64", "enc", "zip"};
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
        if (json_object_get(jwt->header, refused[i]))
            return jwt_refuse(verdict, AUTH_HEADER, "The header's `%s` is not supported",
                              refused[i]);
    struct str typ;
    if (!header_text(jwt, "alg", &jwt->alg) || !jwt->alg.n)
        return jwt_refuse(verdict, AUTH_HEADER, "The header's `alg` is not a string");
    if (!header_text(jwt, "typ", &typ))
        return jwt_refuse(verdict, AUTH_HEADER, "The header's `typ` is not a string");
    if (!header_text(jwt, "kid", &jwt->kid) || jwt->kid.n > KID_BYTES_MAX)
        return jwt_refuse(verdict, AUTH_HEADER, "The header's `kid` is not a short string");
    return 0;
}

int jwt_parse(struct jwt *jwt, struct str token, size_t bytes_max, struct auth_verdict *verdict)
{
    *jwt = (struct jwt){0};
    if (token.n > bytes_max)
        return jwt_refuse(verdict, AUTH_TOO_LONG, "The token is longer than %zu bytes", bytes_max);
    struct str rest = token;
    struct str header_part = str_cut(&rest, '.');
    jwt->claims_part = str_cut(&rest, '.');
    if (!rest.p || str_find(rest, '.') >= 0)
        return jwt_refuse(verdict, AUTH_MALFORMED, "The token does not have three parts");
    jwt->signed_text = str_of(token.p, header_part.n + 1 + jwt->claims_part.n);

    char header_space[HEADER_BYTES_MAX];
    struct buf header = {
        .p = header_space, .capacity = sizeof(header_space), .max = sizeof(header_space)};
    struct buf signature = {
        .p = jwt->signature, .capacity = sizeof(jwt->signature), .max = sizeof(jwt->signature)};
    if (!base64url_decode(&header, header_part) || !base64url_decode(&signature, rest))
        return jwt_refuse(verdict, AUTH_MALFORMED, "The token is not canonical base64url");
    jwt->signature_n = signature.n;
    jwt->header = jwt_object(buf_str(&header));
    if (!jwt->header)
        return jwt_refuse(verdict, AUTH_MALFORMED, "The token's header is not one JSON object");
    return check_header(jwt, verdict);
}

int jwt_claims(const struct jwt *jwt, struct buf *text, json_t **claims,
               struct auth_verdict *verdict)
{
    if (!buf_reserve(text, jwt->claims_part.n))
        return E_NO_MEMORY;
    if (!base64url_decode(text, jwt->claims_part))
        return jwt_refuse(verdict, AUTH_MALFORMED, "The token is not canonical base64url");
    *claims = jwt_object(buf_str(text));
    if (!*claims)
        return jwt_refuse(verdict, AUTH_MALFORMED, "The token's claims are not one JSON object");
    return 0;
}

void jwt_fini(struct jwt *jwt)
{
    json_decref(jwt->header);
    jwt->header = NULL;
}
