/* SPDX-License-Identifier: Apache-2.0 */
/* Making identities out of claims, for this room. The rest is in auth.h. */
#ifndef AUTH_IDENTITY_H
#define AUTH_IDENTITY_H

#include "auth/auth.h"

struct identity_config {
    struct str role_claim; /* dotted path */
    struct str role_default;
    struct str anonymous_role;
    struct str service_role; /* empty: none */
    bool role_required;
};
/* Takes claims (parsed from text, which is copied). 0, E_NO_MEMORY, or E_TOKEN_INVALID with the
 * verdict filled. */
int identity_make(const struct identity_config *config, struct json_t *claims, struct str text,
                  uint64_t expires_ms, struct identity **out, struct auth_verdict *verdict);
/* Claims that say the role and nothing else (opaque keys, nobody). NULL without memory or when
 * the role is not a fit name. */
struct identity *identity_make_bare(struct str role, bool anonymous, bool service);
/* The value at a dotted path, or NULL. Borrowed. */
const struct json_t *identity_find(const struct json_t *claims, struct str path);

#endif
