/* SPDX-License-Identifier: Apache-2.0 */
/* The blocking client behind tw_client: link.c moves bytes, client_ws.c makes frames of them,
 * client.c knows what was subscribed and comes back. */
#ifndef SERVER_CLIENT_PRIV_H
#define SERVER_CLIENT_PRIV_H

#include "base/buf.h"

struct client_url {
    char host[256];
    char port[8];
    char path[512]; /* before /socket; without a slash at the end */
};
/* False with a sentence in *why. */
bool client_url_parse(const char *text, struct client_url *out, struct buf *why);

/* A TCP connection with a buffer of what came. */
struct link {
    int fd; /* -1 = none */
    struct buf in;
};
/* All take a deadline of clock_us()/1000. 0, or E_TIMEOUT, E_CLOSED, E_UNAVAILABLE. */
uint64_t link_now_ms(void);
int link_open(struct link *l, const struct client_url *url, uint64_t deadline_ms, struct buf *why);
int link_send(struct link *l, struct str bytes, uint64_t deadline_ms);
/* Waits until more bytes stand in l->in. */
int link_receive(struct link *l, uint64_t deadline_ms);
void link_close(struct link *l);
void link_rest(uint64_t until_ms);

/* An answer's head. body_n: of its Content-Length, or SIZE_MAX until the end. */
struct client_answer {
    int status;
    size_t head_n, body_n;
    struct str accept; /* Sec-WebSocket-Accept; view of l->in */
};
int client_read_head(struct link *l, struct client_answer *out, uint64_t deadline_ms,
                     struct buf *why);
/* After it: the body, a view of l->in. */
int client_read_body(struct link *l, const struct client_answer *head, struct str *body,
                     uint64_t deadline_ms, struct buf *why);
/* version: "1.1", or "1.0" for an answer without chunks. */
void client_add_request(struct buf *out, const struct client_url *url, const char *method,
                        const char *path, const char *version, const char *token, struct str body);

/* What an error's JSON body says, as E_* and words. */
int client_refusal(int status, struct str body, struct buf *why);
/* Opens the WebSocket: 0, or the error the server gave as E_*, with its words in *why. */
int client_ws_open(struct link *l, const struct client_url *url, const char *token,
                   uint64_t deadline_ms, struct buf *why);
int client_ws_send(struct link *l, struct str text, uint64_t deadline_ms);
/* The next message into out, which must be empty or hold the pieces of the call before. 1, 0 when
 * the deadline passed, negative when the connection is over (*code: the close code). */
int client_ws_next(struct link *l, struct buf *out, bool *is_binary, uint64_t deadline_ms,
                   int *code, struct buf *why);
void client_ws_goodbye(struct link *l);

#endif
