/* SPDX-License-Identifier: Apache-2.0 */
/* Expected values: FIPS 180 examples, RFC 4231, RFC 6455 section 1.3. */
#include "test.h"
#include "base/digest.c"
#include <stdio.h>

static const char *hex(const uint8_t *bytes, size_t n)
{
    static char text[65];
    for (size_t i = 0; i < n; i++)
        snprintf(text + 2 * i, 3, "%02x", bytes[i]);
    return text;
}

TEST(sha1_and_sha256_of_known_texts)
{
    uint8_t out[32];
    digest_sha1(STR_NONE, out);
    assert_string_equal(hex(out, 20), "da39a3ee5e6b4b0d3255bfef95601890afd80709");
    digest_sha1(STR("dGhlIHNhbXBsZSBub25jZQ==258EAFA5-E914-47DA-95CA-C5AB0DC85B11"), out);
    assert_string_equal(hex(out, 20), "b37a4f2cc0624f1690f64606cf385945b2bec4ea");
    digest_sha256(STR("abc"), out);
    assert_string_equal(hex(out, 32),
                        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST(hmac_of_known_texts)
{
    uint8_t out[32];
    char long_key[131];
    digest_hmac_sha256(STR("Jefe"), STR("what do ya want for nothing?"), out);
    assert_string_equal(hex(out, 32),
                        "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    memset(long_key, 0xaa, sizeof(long_key));
    digest_hmac_sha256(str_of(long_key, sizeof(long_key)),
                       STR("Test Using Larger Than Block-Size Key - Hash Key First"), out);
    assert_string_equal(hex(out, 32),
                        "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
    digest_hmac_sha256(STR_NONE, STR_NONE, out);
    assert_string_equal(hex(out, 32),
                        "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad");
}

TEST(equality_looks_at_all_bytes)
{
    assert_true(digest_equal(STR("abc"), STR("abc")));
    assert_false(digest_equal(STR("abc"), STR("abd")));
    assert_false(digest_equal(STR("xbc"), STR("abc")));
    assert_false(digest_equal(STR("ab"), STR("abc")));
    assert_true(digest_equal(STR_NONE, STR("")));
}

static void *from_a_thread(void *out)
{
    digest_sha256(STR("abc"), out);
    return NULL;
}

TEST(threads_may_ask_at_once)
{
    pthread_t threads[4];
    uint8_t out[4][32];
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, from_a_thread, out[i]), 0);
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
        assert_string_equal(hex(out[i], 4), "ba7816bf");
    }
}
