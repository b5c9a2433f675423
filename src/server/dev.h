/* SPDX-License-Identifier: Apache-2.0 */
/* Development: what `tidewire dev` makes so that nothing has to be configured. */
#ifndef SERVER_DEV_H
#define SERVER_DEV_H

#include "auth/auth.h"
#include "server/config.h"

/* Makes the data folder (0700) and in it dev.secret (0600), unless they are there, and says at
 * CONFIG_FROM_DEV: that secret, anonymous clients, pages of this machine, every channel open to
 * everybody. Whatever the file says is stronger. After the other sources. 0 or -1 (a problem). */
int dev_prepare(struct config_draft *d);

/* The two keys that a developer pastes: tokens of the roles anon and service_role. The same every
 * time for the same secret. 0, or E_CONFIG without a shared secret. */
int dev_keys(const struct config *c, const struct keyring *keys, struct buf *anon,
             struct buf *service);
/* A token for a user; seconds since 1970. 0 or E_CONFIG as above. */
struct dev_user {
    struct str id, name; /* no id: the token is a role's */
    struct str role;
    uint64_t issued, expires;
};
int dev_mint(const struct config *c, const struct keyring *keys, const struct dev_user *user,
             struct buf *out);
/* Writes <data>/dev.env (0600). 0 or E_* with a sentence in *why. */
int dev_write_env(const struct config *c, const struct keyring *keys, struct str url,
                  struct buf *why);

/* dev_token.c: where the demo page gets tokens for its users. Freed after the server. */
struct http_server;
struct dev_tokens *dev_tokens_serve(struct http_server *hs, struct config *c, struct keyring *keys);
void dev_tokens_free(struct dev_tokens **t);

#endif
