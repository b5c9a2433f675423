/* SPDX-License-Identifier: Apache-2.0 */
/* From the configuration to what each room wants to be told: the only place that knows both.
 * Everything borrowed here lives as long as the config it was made from. */
#ifndef SERVER_ASSEMBLE_H
#define SERVER_ASSEMBLE_H

#include "api/api.h"
#include "auth/auth.h"
#include "db/db.h"
#include "http/http.h"
#include "hub/hub.h"
#include "protocol/socketio.h"
#include "protocol/socketio_rules.h"
#include "server/config.h"
#include "session/session.h"
#include "transport/transport.h"

/* 0 or E_CONFIG with a sentence in *why. Reads the key files. Caller owns *out. */
int assemble_keyring(const struct config *c, struct buf *why, struct keyring **out);
/* 0 or E_CONFIG; then *error names the row. Caller owns *out. */
int assemble_rules(const struct config *c, struct rules_error *error, struct rules **out);
/* "allow.publish" of an operation. */
const char *assemble_grant_name(enum auth_op op);

void assemble_http(const struct config *c, struct http_config *out);
/* Settings by pattern, the last one "*". Caller frees *channels. */
void assemble_hub(const struct config *c, struct channel_settings **channels,
                  struct hub_config *out);
void assemble_session(const struct config *c, struct session_config *out);
void assemble_realtime(const struct config *c, struct realtime_config *out);
void assemble_transport(const struct config *c, struct transport_config *out);
/* 0 or E_CONFIG; then *error names the row. *out is NULL without rows. Caller owns it. */
int assemble_events(const struct config *c, struct socketio_rules_error *error,
                    struct socketio_rules **out);
/* Caller frees *namespaces. The handlers are the caller's to fill in. */
void assemble_socketio(const struct config *c, struct socketio_rules *rules,
                       struct socketio_namespace **namespaces, struct socketio_config *out);
void assemble_api(const struct config *c, struct api_config *out);
/* *out borrows the paths. */
struct database_paths {
    char *file, *migrations;
    char age[40];
};
void assemble_database(const struct config *c, struct database_paths *paths, struct db_config *out);
void database_paths_free(struct database_paths *paths);

#endif
