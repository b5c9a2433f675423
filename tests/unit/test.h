/* SPDX-License-Identifier: Apache-2.0 */
/* Unit tests: `TEST(sentence_that_holds) { ... assert_... }`. A test registers itself; main.c
 * runs them with cmocka and prints the closing line. */
#ifndef UNIT_TEST_H
#define UNIT_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
/* cmocka needs the four above first */
#include <cmocka.h>

void test_register(const char *name, void (*fn)(void **state));

#define TEST(name)                                                                                 \
    static void name(void **test_state);                                                           \
    __attribute__((constructor)) static void register_##name(void)                                 \
    {                                                                                              \
        test_register(#name, name);                                                                \
    }                                                                                              \
    static void name(__attribute__((unused)) void **test_state)

#endif
