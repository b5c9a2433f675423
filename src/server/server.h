/* SPDX-License-Identifier: Apache-2.0 */
/* Assembly, configuration, life and death: the one room that knows all others. Its door for the
 * outside is include/tidewire.h (embed*.c). */
#ifndef SERVER_SERVER_H
#define SERVER_SERVER_H

#endif
