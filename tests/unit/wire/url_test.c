/* SPDX-License-Identifier: Apache-2.0 */
/* Percent-encoding, query strings, cookies. */
#include "test.h"
#include "wire/url.c"

static struct arena a;

#define assert_str(s, z)                                                                           \
    do {                                                                                           \
        struct str got = s;                                                                        \
        if (!str_is(got, z))                                                                       \
            fail_msg("\"%.*s\" is not \"%s\"", STR_ARG(got), z);                                   \
    } while (0)

static struct str decode(const char *text, bool plus)
{
    struct str out;
    assert_int_equal(url_decode(&a, str_from(text), plus, &out), 0);
    return out;
}

static void bad(struct str text)
{
    struct str out;
    if (url_decode(&a, text, true, &out) != E_BAD_REQUEST)
        fail_msg("taken: %.*s", STR_ARG(text));
}

TEST(escapes_are_decoded)
{
    assert_str(decode("plain/-._~", false), "plain/-._~");
    assert_str(decode("a%20b%2fc%2F%C3%a4", false), "a b/c/\xc3\xa4");
    assert_str(decode("a+b", false), "a+b");
    assert_str(decode("a+b%2B", true), "a b+");
    assert_str(decode("%25%32%35", true), "%25");
    assert_str(decode("", true), "");
    arena_free(&a);
}

TEST(text_without_escapes_is_a_view)
{
    struct str text = STR("a/b"), out;
    assert_int_equal(url_decode(&a, text, true, &out), 0);
    assert_ptr_equal(out.p, text.p);
}

TEST(bad_escapes_and_nul_are_refused)
{
    bad(STR("%"));
    bad(STR("a%"));
    bad(STR("a%1"));
    bad(STR("%g0"));
    bad(STR("%0g"));
    bad(STR("%%20"));
    bad(STR("%+1"));
    bad(STR("%u0041"));
    bad(STR("%00"));
    bad(STR("a%00b"));
    bad(STR("a\0b"));
    bad(STR("%20\0"));
    bad(STR("% 1"));
    arena_free(&a);
}

TEST(a_bounded_arena_makes_no_memory)
{
    struct arena small = {.max = 16};
    struct str out;
    assert_int_equal(url_decode(&small, STR("%20%20%20%20%20%20%20%20"), true, &out), E_NO_MEMORY);
    arena_free(&small);
}

TEST(queries_are_walked)
{
    struct str rest = STR("&&a=1&b&c=&=d&e=f=g&"), key, value;
    assert_true(url_query_next(&rest, &key, &value));
    assert_str(key, "a");
    assert_str(value, "1");
    assert_true(url_query_next(&rest, &key, &value));
    assert_str(key, "b");
    assert_null(value.p);
    assert_true(url_query_next(&rest, &key, &value));
    assert_str(key, "c");
    assert_non_null(value.p);
    assert_int_equal(value.n, 0);
    assert_true(url_query_next(&rest, &key, &value));
    assert_str(key, "");
    assert_str(value, "d");
    assert_true(url_query_next(&rest, &key, &value));
    assert_str(key, "e");
    assert_str(value, "f=g");
    assert_false(url_query_next(&rest, &key, &value));
    rest = STR_NONE;
    assert_false(url_query_next(&rest, &key, &value));
}

TEST(parameters_are_found_first_last_and_by_index)
{
    struct str q = STR("channel=a&x=1&ch%61nnel=b%20c&channel=d+e&y"), v;
    assert_int_equal(url_query_first(&a, q, "channel", &v), 1);
    assert_str(v, "a");
    assert_int_equal(url_query_last(&a, q, "channel", &v), 1);
    assert_str(v, "d e");
    assert_int_equal(url_query_at(&a, q, "channel", 1, &v), 1);
    assert_str(v, "b c");
    assert_int_equal(url_query_at(&a, q, "channel", 3, &v), 0);
    assert_null(v.p);
    assert_int_equal(url_query_count(q, "channel"), 3);
    assert_int_equal(url_query_first(&a, q, "y", &v), 1);
    assert_int_equal(v.n, 0);
    assert_int_equal(url_query_first(&a, q, "chan", &v), 0);
    assert_int_equal(url_query_first(&a, q, "channels", &v), 0);
    assert_int_equal(url_query_last(&a, STR_NONE, "x", &v), 0);
    arena_free(&a);
}

TEST(a_broken_value_is_an_error_and_a_broken_name_matches_nothing)
{
    struct str v;
    assert_int_equal(url_query_first(&a, STR("x=%zz"), "x", &v), E_BAD_REQUEST);
    assert_int_equal(url_query_first(&a, STR("x%zz=1&x=2"), "x", &v), 1);
    assert_str(v, "2");
    assert_int_equal(url_query_first(&a, STR("x%00=1"), "x", &v), 0);
    arena_free(&a);
}

TEST(only_so_many_pairs_are_looked_at)
{
    struct buf q = {0};
    for (int i = 0; i < URL_PAIRS_MAX; i++)
        buf_add_z(&q, "a=1&");
    buf_add_z(&q, "b=2");
    struct str v;
    assert_int_equal(url_query_first(&a, buf_str(&q), "b", &v), 0);
    assert_int_equal(url_query_count(buf_str(&q), "a"), URL_PAIRS_MAX);
    buf_free(&q);
}

TEST(cookies_are_found)
{
    struct str h = STR("a=1; tw_token=x.y.z=; tw=\"quoted\";b = 2 ;A=3; novalue; a=4; q=\"");
    assert_str(url_cookie(h, "a"), "1");
    assert_str(url_cookie(h, "tw_token"), "x.y.z=");
    assert_str(url_cookie(h, "tw"), "quoted");
    assert_str(url_cookie(h, "b"), "2");
    assert_str(url_cookie(h, "A"), "3");
    assert_str(url_cookie(h, "q"), "\"");
    assert_null(url_cookie(h, "novalue").p);
    assert_null(url_cookie(h, "token").p);
    assert_null(url_cookie(h, "").p);
    assert_null(url_cookie(STR_NONE, "a").p);
    assert_non_null(url_cookie(STR("e="), "e").p);
}

TEST(what_is_encoded_comes_back)
{
    char all[255];
    struct buf b = {0};
    struct str out;
    for (int i = 0; i < 255; i++)
        all[i] = (char)(i + 1);
    url_encode(&b, str_of(all, sizeof(all)));
    assert_int_equal(url_decode(&a, buf_str(&b), true, &out), 0);
    assert_true(str_eq(out, str_of(all, sizeof(all))));
    buf_clear(&b);
    buf_add_z(&b, "/x?");
    url_add_pair(&b, STR("a b"), STR("\xc3\xa4&="));
    url_add_pair(&b, STR("c"), STR(""));
    assert_str(buf_str(&b), "/x?a%20b=%C3%A4%26%3D&c=");
    buf_free(&b);
    arena_free(&a);
}
