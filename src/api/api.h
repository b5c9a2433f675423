/* SPDX-License-Identifier: Apache-2.0 */
/* HTTP endpoints that are not streams: publish, channels, health, metrics (and rest, admin as
 * they come). Each is one file with one handler; api_setup puts them on their paths. */
#ifndef API_API_H
#define API_API_H

#include "http/http.h"
#include "session/session.h"

struct db;
struct api_config {
    size_t publish_bytes_max;   /* body of POST /api/publish */
    size_t publish_batch_max;   /* messages in one array */
    struct db *db;              /* for /rest/v1; NULL = there is none */
    size_t rest_bytes_max;      /* body of a write there */
    const char *folder;         /* its files are served below /; NULL = none */
    const char *secrets;        /* a folder that is never shown */
    bool realtime;              /* Supabase's REST broadcast, too */
    size_t broadcast_bytes_max; /* one payload of it */
};
void api_setup(struct loops *ls, struct http_server *hs, const struct api_config *config);
void api_teardown(struct loops *ls);
/* A listener for operators only: /health and /metrics, the latter for everyone who gets there.
 * After api_setup. */
void api_setup_operators(struct http_server *hs);
/* On that loop: what /health/ready says from now on. */
void api_set_ready(struct loop *l, bool ready);

#endif
