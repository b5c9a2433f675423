/* SPDX-License-Identifier: Apache-2.0 */
/* Who is it, and may they? The one door of the auth room.
 *
 *   token --auth_verify--> identity --auth_allows(rules, op, channel)--> 0 | E_* | AUTH_ASK
 *
 * A *keyring* is what tokens are judged by: keys, each pinned to one algorithm, and the demands on
 * claims. *Rules* say who may do what on which channel. Both are built from the configuration,
 * counted and immutable: a reload makes new ones and hands them to each loop. An *identity* is
 * what a verified token says; counted and immutable too, it crosses threads freely. `struct auth`
 * is one loop's view of a keyring with the tokens it has verified; it belongs to that loop.
 *
 * This room reads no clock (the caller passes wall time as now_ms), fetches nothing over the
 * network, and fails closed: what it does not understand is a no. */
#ifndef AUTH_AUTH_H
#define AUTH_AUTH_H

#include "base/buf.h"
#include "base/err.h"
#include "base/ref.h"

/* ---- identity ------------------------------------------------------------------------- */
struct json_t; /* jansson */
struct identity {
    struct ref ref;
    struct str sub;      /* the user; empty for anonymous and for keys that are no one's */
    struct str role;     /* never empty */
    struct str session;  /* the token's `session_id`, or empty */
    struct str text;     /* all claims as one JSON object */
    uint64_t expires_ms; /* wall time from which it is no longer good; 0 = never */
    uint64_t
        claims_hash; /* equal for equal claims (exp, iat, nbf aside): who has it sees the same */
    bool anonymous;  /* no token, or a token of the anonymous role without a `sub` */
    bool service;    /* passes every rule (server keys, the service role) */
    bool role_given; /* the token itself named the role */
    struct json_t *claims; /* the same, parsed; read only */
};

/* The identity of somebody without a token. Caller owns. */
struct identity *identity_new_anonymous(struct str role);
/* The server's own identity (internal publishes, admin). Caller owns. */
struct identity *identity_new_service(void);
/* From claims that somebody else has verified (the embedder's hook): a JSON object of which sub,
 * role and session_id are read, role_default where it names no role. 0 or E_TOKEN_INVALID. */
int identity_new(struct str claims_json, struct str role_default, uint64_t expires_ms,
                 struct identity **out);
/* Both take NULL; ref returns its argument. */
struct identity *identity_ref(struct identity *id);
void identity_unref(struct identity *id);
/* A claim by dotted path ("app_metadata.org"). _json writes its JSON, false when there is none;
 * _text gives a string claim's text (borrowed from the identity), else STR_NONE. */
bool identity_claim_json(const struct identity *id, struct str path, struct buf *out);
struct str identity_claim_text(const struct identity *id, struct str path);

/* ---- keyring -------------------------------------------------------------------------- */
/* One row of `auth.keys`: exactly one of secret, pem, jwks. All texts are copied. */
struct auth_key_config {
    struct str name;   /* for messages: where it was configured */
    struct str secret; /* HMAC key, raw bytes */
    struct str pem;    /* text of a public key or a certificate */
    struct str jwks;   /* text of a JWK set or of a single JWK */
    /* HS256 HS384 HS512 RS256 RS384 RS512 PS256 PS384 PS512 ES256 ES384 ES512 EdDSA. May be empty:
     * a secret is HS256, an RSA key RS256, others follow from their curve. With a set it says what
     * its RSA keys without `alg` are. */
    struct str algorithm;
    struct str kid; /* may be empty: any token of that algorithm may try it */
};
/* One row of `auth.api_keys`: an opaque key (sb_publishable_..., sb_secret_...) and its role. */
struct auth_api_key_config {
    struct str key;
    struct str role;
    bool service;
};
struct auth_config {
    const struct auth_key_config *keys;
    size_t keys_count;
    const struct auth_api_key_config *api_keys;
    size_t api_keys_count;
    const struct str *audiences; /* none = `aud` is not looked at */
    size_t audiences_count;
    const struct str *issuers; /* none = `iss` is not looked at */
    size_t issuers_count;
    bool anonymous;            /* no token is fine, with anonymous_role */
    bool exp_optional;         /* default: a token without `exp` is refused */
    bool short_secrets;        /* take secrets shorter than the digest (not for production) */
    struct str anonymous_role; /* empty: "anon" */
    struct str role_claim;     /* dotted path; empty: "role" */
    struct str role_default;   /* where a token names none; empty: "authenticated" */
    bool role_required;        /* ... or refuse it */
    struct str service_role;   /* the role that passes every rule; empty: "service_role" */
    uint32_t leeway_ms;        /* for `nbf`; at most 60 s */
    uint32_t exp_leeway_ms;    /* for `exp`; at most 60 s; it moves expires_ms too */
    size_t token_bytes_max;    /* 0: 8 KiB */
    size_t cache_max;          /* verified tokens kept per loop; 0: 10,000 */
};

struct keyring;
/* 0, or E_CONFIG with the reason in *why. Caller owns *out. */
int keyring_new(const struct auth_config *config, struct buf *why, struct keyring **out);
struct keyring *keyring_ref(struct keyring *k);
void keyring_unref(struct keyring *k);
size_t keyring_count(const struct keyring *k);
/* Signs claims (a JSON object) with the first HMAC key; appends the token. 0, E_CONFIG when there
 * is no such key, E_BAD_REQUEST when the claims are not an object. */
int keyring_mint(const struct keyring *k, struct str claims_json, struct buf *out);

/* ---- verifying ------------------------------------------------------------------------ */
enum auth_reason {
    AUTH_OK,
    AUTH_NO_TOKEN, /* there is none, and anonymous is not allowed */
    AUTH_TOO_LONG,
    AUTH_MALFORMED,   /* not three parts of canonical base64url, or not JSON objects */
    AUTH_HEADER,      /* a header member that is missing, doubled, of the wrong type or critical */
    AUTH_ALGORITHM,   /* no key is pinned to the token's algorithm ("none" included) */
    AUTH_KEY_UNKNOWN, /* no key of that kid */
    AUTH_SIGNATURE,
    AUTH_CLAIM, /* a claim of the wrong type or out of range */
    AUTH_EXP_MISSING,
    AUTH_ROLE_MISSING,
    AUTH_EXPIRED,
    AUTH_NOT_YET, /* `nbf` */
    AUTH_AUDIENCE,
    AUTH_ISSUER,
    AUTH_API_KEY, /* looks like an opaque key and is none of ours */
};
/* Why a token was refused, for dialects with words of their own and for people. */
struct auth_verdict {
    enum auth_reason reason;
    uint64_t seconds; /* AUTH_EXPIRED: ago; AUTH_NOT_YET: until */
    char text[160];   /* one sentence; never contains a byte of the token's signature or claims */
};

struct auth;
struct auth *auth_new(struct keyring *k); /* takes a reference of its own */
void auth_free(struct auth **a);
/* After a reload: forgets what it had verified. */
void auth_set_keyring(struct auth *a, struct keyring *k);
/* 0 and an identity (caller owns), or E_TOKEN_REQUIRED, E_TOKEN_INVALID, E_TOKEN_EXPIRED. An empty
 * token is the anonymous identity where that is allowed. verdict may be NULL. */
int auth_verify(struct auth *a, struct str token, uint64_t now_ms, struct identity **out,
                struct auth_verdict *verdict) __attribute__((warn_unused_result));
/* The same in two halves, for a reconnect storm: when auth_is_costly (an asymmetric signature not
 * seen before) run keyring_verify on a worker, then auth_remember back home. keyring_verify may
 * run on any thread. auth_remember borrows id. */
bool auth_is_costly(const struct auth *a, struct str token);
int keyring_verify(const struct keyring *k, struct str token, uint64_t now_ms,
                   struct identity **out, struct auth_verdict *verdict);
void auth_remember(struct auth *a, struct str token, struct identity *id);
/* The token in an Authorization header's value ("Bearer x", any case), else STR_NONE. */
struct str auth_bearer(struct str header);
/* For `tidewire token check`: lines that say what the token is, and what is wrong with it. Shows
 * the claims; so never for logs. Returns what auth_verify would. */
int auth_explain(struct auth *a, struct str token, uint64_t now_ms, struct buf *out);

/* ---- rules ---------------------------------------------------------------------------- */
enum auth_op {
    AUTH_SUBSCRIBE, /* receive messages */
    AUTH_PUBLISH,   /* send them */
    AUTH_PRESENCE,  /* see who is here */
    AUTH_TRACK,     /* be seen */
    AUTH_HISTORY,   /* read what was said before */
    AUTH_OPS
};
/* Not an error: the policy that the rule names must be asked (auth/policy.h). */
#define AUTH_ASK 1

/* One row of `channels`: a glob and a grant per operation. A grant is text:
 *
 *   WHO {, WHO} [if EXPRESSION]      WHO = * | none | authenticated | policy | a role
 *
 *   "*"   "none"   "authenticated"   "admin, mod"   "authenticated if segment(2) == sub"
 *   "* if claims.app_metadata.org == segment(1) and not (role in [\"guest\"])"
 *
 * An empty grant says nothing and leaves the operation to the next row that fits; presence and
 * history fall back to the row's subscribe, track to its publish. Where no row says yes, the
 * answer is no. docs/guide/auth.md has the expressions. */
struct rules_row {
    struct str pattern;
    struct str grants[AUTH_OPS];
    bool goes_first; /* is asked before the others, wherever it stands */
};
struct rules;
/* Where a row could not be read. */
struct rules_error {
    size_t row;
    enum auth_op op;
    size_t column; /* in the grant's text, from 1; 0: the row's pattern is at fault */
    char text[160];
};
/* 0 or E_CONFIG with *error filled. Everything is copied. Caller owns *out. */
int rules_new(const struct rules_row *rows, size_t count, struct rules_error *error,
              struct rules **out);
struct rules *rules_ref(struct rules *r);
void rules_unref(struct rules *r);
/* 0, AUTH_ASK, E_ACCESS_DENIED, or E_TOKEN_REQUIRED (anonymous, and a token could help). No
 * allocation. Does not look at expires_ms: that is the session's watch. */
int auth_allows(const struct rules *r, const struct identity *id, enum auth_op op,
                struct str channel) __attribute__((warn_unused_result));
/* Says in words which row decides and why, for admin and the command line. */
void auth_allows_explain(const struct rules *r, const struct identity *id, enum auth_op op,
                         struct str channel, struct buf *out);
/* "subscribe" ... "history". */
const char *auth_op_name(enum auth_op op);
bool auth_op_parse(struct str name, enum auth_op *out);

#endif
