/* SPDX-License-Identifier: Apache-2.0 */
/* TCP_INFO: bytes of the stream that the peer's kernel has acknowledged (also after a reset, as
 * long as the descriptor is open); 0 when unknown. Includes our SYN when we connected, and our
 * FIN. */
#ifndef LOOP_ACKED_H
#define LOOP_ACKED_H

#include <stdint.h>

uint64_t acked_bytes(int fd);

#endif
