/* SPDX-License-Identifier: Apache-2.0 */
/* The expected values come from a second implementation, written in another language and checked
 * against the published SipHash-2-4 vectors; those with the zero key also from the hash of byte
 * strings in CPython 3.11 (SipHash-1-3) with hash randomisation off. */
#include "test.h"
#include "base/hash.c"

TEST(known_values_with_the_key_of_the_paper)
{
    static const struct {
        size_t n;
        uint64_t hash;
    } rows[] = {{0, 0xabac0158050fc4dc}, {1, 0xc9f49bf37d57ca93}, {7, 0xd3927d989bb11140},
                {8, 0x369095118d299a8e}, {9, 0x25a48eb36c063de4}, {15, 0xd320d86d2a519956},
                {63, 0x9d199062b7bbb3a8}};
    unsigned char bytes[64];
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (unsigned char)i;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        assert_true(hash_bytes(bytes, rows[i].n, 0x0706050403020100, 0x0f0e0d0c0b0a0908) ==
                    rows[i].hash);
}

TEST(known_values_with_the_zero_key)
{
    assert_true(hash_bytes("a", 1, 0, 0) == 0x407448d2b89b1813);
    assert_true(hash_bytes("abcdefg", 7, 0, 0) == 0x6db12aae9070f506);
    assert_true(hash_bytes("abcdefgh", 8, 0, 0) == 0x3f7b849c0b8e35ea);
    assert_true(hash_bytes("abcdefghi", 9, 0, 0) == 0xf89b34a3d11eb6e5);
    assert_true(hash_bytes("room-1", 6, 0, 0) == 0x54899d573fd67181);
}

TEST(where_the_bytes_lie_does_not_matter)
{
    char space[32] = {0};
    for (size_t shift = 0; shift < 8; shift++) {
        memcpy(space + shift, "abcdefghi", 9);
        assert_true(hash_bytes(space + shift, 9, 0, 0) == 0xf89b34a3d11eb6e5);
    }
}

TEST(the_seed_is_the_key_of_texts)
{
    uint64_t k0 = process_key[0], k1 = process_key[1];
    hash_seed(0, 0);
    assert_true(hash_str(STR("room-1")) == 0x54899d573fd67181);
    hash_seed(1, 0);
    assert_false(hash_str(STR("room-1")) == 0x54899d573fd67181);
    hash_seed(0, 1);
    assert_false(hash_str(STR("room-1")) == 0x54899d573fd67181);
    hash_seed(k0, k1);
    assert_true(hash_str(STR_NONE) == hash_str(STR("")));
}
