/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"
#include "auth/identity.c"

static struct identity *made(const char *claims)
{
    struct identity *id = NULL;
    assert_int_equal(identity_new(str_from(claims), STR_NONE, 5000, &id), 0);
    return id;
}

TEST(a_claim_is_found_by_its_path)
{
    struct identity *id =
        made("{\"sub\":\"u1\",\"a\":{\"b\":{\"c\":\"x\",\"n\":[1,null]},\"\":7}}");
    struct buf out = {0};
    assert_true(str_is(identity_claim_text(id, STR("a.b.c")), "x"));
    assert_null(identity_claim_text(id, STR("a.b.n")).p);
    assert_null(identity_claim_text(id, STR("a.b.c.d")).p);
    assert_null(identity_claim_text(id, STR("")).p);
    assert_null(identity_claim_text(id, STR(".")).p);
    assert_true(identity_claim_json(id, STR("a.b"), &out));
    assert_true(str_is(buf_str(&out), "{\"c\":\"x\",\"n\":[1,null]}"));
    buf_clear(&out);
    assert_true(identity_claim_json(id, STR("sub"), &out));
    assert_true(str_is(buf_str(&out), "\"u1\""));
    buf_clear(&out);
    assert_true(identity_claim_json(id, STR("a."), &out));
    assert_true(str_is(buf_str(&out), "7"));
    assert_false(identity_claim_json(id, STR("a.x"), &out));
    char path[400];
    memset(path, 'x', sizeof(path));
    assert_false(identity_claim_json(id, str_of(path, sizeof(path)), &out));
    buf_free(&out);
    identity_unref(id);
}

TEST(equal_claims_have_an_equal_hash_and_times_do_not_count)
{
    const char *same[] = {
        "{\"sub\":\"u\",\"role\":\"a\"}", "{\"role\":\"a\",\"sub\":\"u\"}",
        "{ \"sub\" : \"u\", \"role\":\"\\u0061\", \"exp\":9,\"iat\":1,\"nbf\":2}"};
    const char *other[] = {"{\"sub\":\"v\",\"role\":\"a\"}", "{\"sub\":\"u\",\"role\":\"b\"}",
                           "{\"sub\":\"u\",\"role\":\"a\",\"org\":1}"};
    struct identity *first = made(same[0]);
    for (size_t i = 0; i < 3; i++) {
        struct identity *a = made(same[i]), *b = made(other[i]);
        assert_true(a->claims_hash == first->claims_hash);
        assert_false(b->claims_hash == first->claims_hash);
        identity_unref(a);
        identity_unref(b);
    }
    identity_unref(first);
}

TEST(what_the_embedder_gives_is_checked_too)
{
    struct identity *id = NULL;
    assert_int_equal(identity_new(STR("[]"), STR_NONE, 0, &id), E_TOKEN_INVALID);
    assert_int_equal(identity_new(STR("{\"sub\":{}}"), STR_NONE, 0, &id), E_TOKEN_INVALID);
    assert_int_equal(identity_new(STR(""), STR_NONE, 0, &id), E_TOKEN_INVALID);
    assert_int_equal(identity_new(STR("{\"sub\":9223372036854775807}"), STR("m"), 7, &id), 0);
    assert_true(str_is(id->sub, "9223372036854775807"));
    assert_true(str_is(id->role, "m"));
    assert_int_equal(id->expires_ms, 7);
    identity_unref(id);
    /* only the server's own constructor makes one that passes every rule */
    id = made("{\"role\":\"service_role\"}");
    assert_false(id->service);
    identity_unref(id);
}

TEST(the_two_bare_identities_say_what_they_are)
{
    struct identity *nobody = identity_new_anonymous(STR_NONE), *server = identity_new_service();
    assert_true(nobody->anonymous && !nobody->service && str_is(nobody->role, "anon"));
    assert_true(!server->anonymous && server->service);
    assert_int_equal(nobody->sub.n + server->sub.n, 0);
    identity_unref(nobody);
    identity_unref(server);
    nobody = identity_new_anonymous(STR("guest"));
    assert_true(str_is(nobody->text, "{\"role\":\"guest\"}"));
    assert_ptr_equal(identity_ref(nobody), nobody);
    identity_unref(nobody);
    assert_true(str_is(nobody->role, "guest"));
    identity_unref(nobody);
    identity_unref(identity_ref(NULL));
    assert_null(identity_make_bare(STR("a\nb"), true, false));
}
