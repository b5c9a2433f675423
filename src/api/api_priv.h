/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the api room share. */
#ifndef API_API_PRIV_H
#define API_API_PRIV_H

#include "api/api.h"
#include "db/db.h"

struct api_home {
    const struct api_config *config;
    bool is_ready;
    struct folder *folder;   /* on loop 0 */
    struct list tails, taps; /* tail.c */
    unsigned tails_count;
    struct buf line;
};
struct api_home *api_home_of(struct loop *l);
/* False, and answered, when the page may not ask: one could else publish for its visitor. */
bool api_origin(struct http_request *req);
/* Authorization, apikey, ?token=, ?apikey=; 0 or E_*. The caller answers. */
int api_identify(struct http_request *req, struct identity **out);
/* A number in the query, or fallback. */
uint64_t api_number(struct http_request *req, const char *name, uint64_t fallback);

void health_on_live(struct http_request *req);
void health_on_ready(struct http_request *req);
/* route_arg: not NULL = whoever reaches this listener may read. */
void metrics_on_request(struct http_request *req);
void publish_on_request(struct http_request *req);
void channels_on_request(struct http_request *req);
/* route_arg: the folder. NULL when the path is none. Closed after the loops have run. */
struct folder *folder_open(const char *path, const char *secrets);
void folder_close(struct folder **folder);
void folder_on_request(struct http_request *req);
void tail_on_request(struct http_request *req);
/* A drain: every stream ends. */
void tail_end_all(struct loop *l);
void tail_teardown(struct api_home *home);
/* route_arg: the database. */
void rest_on_request(struct http_request *req);
void broadcast_setup(struct http_server *hs, size_t bytes_max);

#endif
