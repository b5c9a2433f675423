/* SPDX-License-Identifier: Apache-2.0 */
/* Tokens. What starts with '!' is "header NEWLINE claims" and gets a good signature, so that the
 * claims are reached; anything else is a token as it stands, which must not pass. */
#include "auth/auth.h"
#include "base/base64.h"
#include "base/check.h"
#include "base/digest.h"

#define SECRET "a-secret-of-at-least-thirty-two-bytes!"
#define NOW_MS 1790000000000ULL

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct auth *auth_once(void)
{
    static struct auth *a;
    if (a)
        return a;
    struct auth_key_config key = {.secret = STR(SECRET)};

    struct auth_config config = {.keys = &key,
                                 .keys_count = 1,
                                 .exp_optional = true,

                                 .cache_max = 16};
    struct buf why = {0};
    struct keyring *k;
    CHECK(keyring_new(&config, &why, &k) == 0);
    a = auth_new(k);
    keyring_unref(k);
    return a;
}

static void sign(struct str text, struct buf *token)
{
    uint8_t mac[32];
    struct str header = str_cut(&text, '\n');
    base64url_encode(token, header);
    buf_add_c(token, '.');
    base64url_encode(token, text);
    digest_hmac_sha256(STR(SECRET), buf_str(token), mac);
    buf_add_c(token, '.');
    base64url_encode(token, str_of((const char *)mac, sizeof(mac)));
}

static bool is_inside(struct str part, struct str whole)
{
    return !part.n || str_find_str(whole, part) >= 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct auth *a = auth_once();
    struct str input = str_of((const char *)data, size);
    struct buf token = {0}, words = {0};
    struct identity *id = NULL, *again = NULL;
    struct auth_verdict verdict;
    bool is_signed = size && data[0] == '!';
    if (is_signed)
        sign(str_skip(input, 1), &token);
    else
        buf_add_str(&token, input);
    int err = auth_verify(a, buf_str(&token), NOW_MS, &id, &verdict);
    CHECK((err == 0) == (id != NULL) && (err == 0) == (verdict.reason == AUTH_OK));
    CHECK(auth_explain(a, buf_str(&token), NOW_MS, &words) == err && words.n);
    if (id) {
        CHECK(is_signed && id->role.n && id->text.n > 1);
        CHECK(id->expires_ms == 0 || id->expires_ms > NOW_MS);
        CHECK(id->role_given || str_is(id->role, "authenticated"));
        CHECK(auth_verify(a, buf_str(&token), NOW_MS, &again, NULL) == 0 && again == id);
        CHECK(!str_starts(buf_str(&words), STR("refused")));
        CHECK(is_inside(id->sub, id->text) || str_find(id->text, '\\') >= 0);
    }
    identity_unref(id);
    identity_unref(again);
    buf_free(&token);
    buf_free(&words);
    return 0;
}
