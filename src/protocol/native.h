/* SPDX-License-Identifier: Apache-2.0 */
/* The plain dialect on a WebSocket; peer is the session itself. See native.c. */
#ifndef PROTOCOL_NATIVE_H
#define PROTOCOL_NATIVE_H

#include "protocol/protocol.h"

struct session *native_open(const struct protocol_hello *hello, int *err);
void native_on_message(struct session *s, struct str payload, bool is_binary);

#endif
