/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by the embed*.c files, which put include/tidewire.h on top of this room. */
#ifndef SERVER_EMBED_PRIV_H
#define SERVER_EMBED_PRIV_H

#include "auth/auth.h"
#include "server/config.h"
#include "server/server.h"

/* How a draft came about, so that a reload can do the same again. */
enum embed_step_kind { EMBED_LOAD, EMBED_ENVIRONMENT, EMBED_SET, EMBED_DEVELOP };
struct embed_step {
    enum embed_step_kind kind;
    char *name;
    char *value;
};
struct tw_config {
    struct config_draft *draft;
    struct embed_step *steps;
    size_t steps_count, steps_capacity;
    bool develop;
    struct buf text;  /* of the last answer */
    struct buf token; /* why a token could not be minted or checked */
};

/* A complete, checked configuration with keys and rules, or E_CONFIG and problems in c's draft.
 * Caller owns all three; keys and rules may be NULL when they are not wanted. */
int embed_config_finish(struct tw_config *c, struct config **config, struct keyring **keys,
                        struct rules **rules);
/* The same steps on a fresh draft: files and environment are read anew. */
struct tw_config *embed_config_again(const struct tw_config *c);
/* NUL-terminated, in b. */
const char *embed_text(struct buf *b);
/* The text as the caller's own; empties b. */
char *embed_give(struct buf *b);

#endif
