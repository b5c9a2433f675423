/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"
#include "base/base64.c"

static bool decodes(bool (*decode_fn)(struct buf *, struct str), struct str text, struct str bytes)
{
    struct buf b = {0};
    bool ok = decode_fn(&b, text) && str_eq(buf_str(&b), bytes);
    buf_free(&b);
    return ok;
}

static bool refused(bool (*decode_fn)(struct buf *, struct str), struct str text)
{
    struct buf b = {0};
    buf_add_z(&b, "before");
    bool ok = !decode_fn(&b, text) && str_is(buf_str(&b), "before");
    buf_free(&b);
    return ok;
}

/* RFC 4648 section 10 */
TEST(the_vectors_of_the_rfc_hold_both_ways)
{
    static const char *const rows[][3] = {
        {"", "", ""},
        {"f", "Zg==", "Zg"},
        {"fo", "Zm8=", "Zm8"},
        {"foo", "Zm9v", "Zm9v"},
        {"foob", "Zm9vYg==", "Zm9vYg"},
        {"fooba", "Zm9vYmE=", "Zm9vYmE"},
        {"foobar", "Zm9vYmFy", "Zm9vYmFy"},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct buf b = {0};
        base64_encode(&b, str_from(rows[i][0]));
        assert_true(str_is(buf_str(&b), rows[i][1]));
        buf_clear(&b);
        base64url_encode(&b, str_from(rows[i][0]));
        assert_true(str_is(buf_str(&b), rows[i][2]));
        buf_free(&b);
        assert_true(decodes(base64_decode, str_from(rows[i][1]), str_from(rows[i][0])));
        assert_true(decodes(base64url_decode, str_from(rows[i][2]), str_from(rows[i][0])));
    }
}

TEST(all_bytes_at_all_lengths_come_back)
{
    char bytes[300];
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (char)(i * 7);
    for (size_t n = 0; n < sizeof(bytes); n++) {
        struct buf text = {0};
        base64_encode(&text, str_of(bytes, n));
        assert_true(decodes(base64_decode, buf_str(&text), str_of(bytes, n)));
        buf_clear(&text);
        base64url_encode(&text, str_of(bytes, n));
        assert_true(decodes(base64url_decode, buf_str(&text), str_of(bytes, n)));
        buf_free(&text);
    }
}

TEST(only_the_canonical_text_decodes)
{
    static const char *const standard_refused[] = {
        "Zg",     "Zg=",  "Zh==",     "Zm9=", "=",      "==",   "====",   "Zg==Zg==", "Z===",
        "Zm9v\n", "Zm 9", "Zm9v====", "-_-_", "Zm9vYg", "Z=g=", "Zg==\n", "Z\xc2g="};
    static const char *const url_refused[] = {"Zg==", "Zh",    "Zm9",    "Z",     "Zm9vY",
                                              "+/+/", "Zm9v=", "Zm\t9v", "Z\xffg"};
    for (size_t i = 0; i < sizeof(standard_refused) / sizeof(char *); i++)
        if (!refused(base64_decode, str_from(standard_refused[i])))
            fail_msg("took '%s'", standard_refused[i]);
    for (size_t i = 0; i < sizeof(url_refused) / sizeof(char *); i++)
        if (!refused(base64url_decode, str_from(url_refused[i])))
            fail_msg("took '%s'", url_refused[i]);
    assert_true(refused(base64_decode, STR("Zm9\0")));
}

TEST(each_alphabet_has_its_own_last_two)
{
    assert_true(decodes(base64_decode, STR("+/+/"), STR("\xfb\xff\xbf")));
    assert_true(decodes(base64url_decode, STR("-_-_"), STR("\xfb\xff\xbf")));
}

TEST(the_lenient_one_takes_what_looks_like_it)
{
    static const char *const rows[][2] = {{"Zg", "f"},
                                          {"Zm9v\r\nYmFy", "foobar"},
                                          {"Zh==", "f"},
                                          {"Zm9v=YmFy", "foo"},
                                          {" +/-_ ", "\xfb\xff\xbf"},
                                          {"", ""},
                                          {"!!", ""},
                                          {"Z", ""}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct buf b = {0};
        base64_decode_lenient(&b, str_from(rows[i][0]));
        if (!str_is(buf_str(&b), rows[i][1]))
            fail_msg("'%s'", rows[i][0]);
        buf_free(&b);
    }
}

TEST(a_full_buffer_is_not_success)
{
    struct buf b = {.max = 4};
    assert_false(base64_decode(&b, STR("Zm9vYmFy")));
    assert_int_equal(b.n, 0);
    buf_clear(&b);
    base64_encode(&b, STR("foob"));
    assert_true(b.failed);
    assert_int_equal(b.n, 0);
    buf_free(&b);
}
