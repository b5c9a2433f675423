/* SPDX-License-Identifier: Apache-2.0 */
/* Checks that stay on in release builds: a breach is a bug of ours, never of the input.
 * The process stops with file, line and the last log lines; clients resume by offset. */
#ifndef BASE_CHECK_H
#define BASE_CHECK_H

_Noreturn void check_failed(const char *file, int line, const char *what);

#define CHECK(x) ((x) ? (void)0 : check_failed(__FILE__, __LINE__, #x))

#endif
