/* SPDX-License-Identifier: Apache-2.0 */
/* An implementation that shares no line with ours, the `jose` command (Debian: jose), signs and we
 * verify; we mint and it verifies. The keys are its own too, read as JWK sets. */
#include "test.h"
#include "auth/keyring.c"
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define NOW_MS 1790000000000ULL
static const char claims[] = "{\"sub\":\"u1\",\"role\":\"admin\",\"exp\":1790003600}";
static char folder[64];

/* Runs a shell command in a folder of its own; its output, without the last newline. */
static struct str run(const char *format, const char *arg)
{
    static char out[16384];
    char command[1024], full[1200];
    snprintf(command, sizeof(command), format, arg);
    snprintf(full, sizeof(full), "cd %s && %s", folder, command);
    FILE *pipe = popen(full, "r");
    assert_non_null(pipe);
    size_t n = fread(out, 1, sizeof(out) - 1, pipe);
    if (pclose(pipe) != 0)
        fail_msg("the jose command is needed (apt-get install jose): %s", command);
    while (n && out[n - 1] == '\n')
        n--;
    out[n] = 0;
    return str_of(out, n);
}

static void put(const char *name, struct str text)
{
    char path[128];
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_int_equal(fwrite(text.p, 1, text.n, f), text.n);
    assert_int_equal(fclose(f), 0);
}

static void begin(void)
{
    strcpy(folder, "/tmp/tidewire-oracle-XXXXXX");
    assert_non_null(mkdtemp(folder));
    put("claims", STR(claims));
}

static void end(void)
{
    run("rm claims *.jwk *.jws 2>/dev/null; cd / && rmdir %s", folder);
}

static struct keyring *ring_of(struct str jwks)
{
    struct auth_key_config row = {.jwks = jwks};
    struct auth_config config = {.keys = &row, .keys_count = 1};
    struct buf why = {0};
    struct keyring *k = NULL;
    if (keyring_new(&config, &why, &k))
        fail_msg("%.*s: %.*s", STR_ARG(jwks), STR_ARG(buf_str(&why)));
    buf_free(&why);
    return k;
}

static void make_key(const char *alg)
{
    run("jose jwk gen -i '{\"alg\":\"%s\",\"kid\":\"k1\"}' -o private.jwk", alg);
    if (alg[0] == 'H')
        run("cp private.jwk public.jwk%s", "");
    else
        run("jose jwk pub -i private.jwk -o public.jwk%s", "");
}

static const char *const algorithms[] = {"HS256", "HS384", "HS512", "RS256", "RS384", "RS512",
                                         "PS256", "PS384", "PS512", "ES256", "ES384", "ES512"};

TEST(what_jose_signs_we_verify)
{
    begin();
    for (size_t i = 0; i < sizeof(algorithms) / sizeof(algorithms[0]); i++) {
        make_key(algorithms[i]);
        struct keyring *k = ring_of(run("cat public.jwk%s", ""));
        struct str token = run("jose jws sig -I claims -k private.jwk -c -s "
                               "'{\"protected\":{\"alg\":\"%s\",\"kid\":\"k1\"}}' -o -",
                               algorithms[i]);
        struct identity *id = NULL;
        struct auth_verdict verdict;
        if (keyring_verify(k, token, NOW_MS, &id, &verdict))
            fail_msg("%s: %s: %.*s", algorithms[i], verdict.text, STR_ARG(token));
        assert_true(str_is(id->sub, "u1"));
        assert_true(str_is(id->role, "admin"));
        identity_unref(id);
        keyring_unref(k);
        /* the same token, another key of the same kind */
        char kept[4096];
        snprintf(kept, sizeof(kept), "%.*s", STR_ARG(token));
        make_key(algorithms[i]);
        k = ring_of(run("cat public.jwk%s", ""));
        assert_int_equal(keyring_verify(k, str_from(kept), NOW_MS, &id, &verdict), E_TOKEN_INVALID);
        assert_int_equal(verdict.reason, AUTH_SIGNATURE);
        keyring_unref(k);
    }
    end();
}

TEST(what_we_mint_jose_verifies)
{
    begin();
    for (size_t i = 0; i < 3; i++) {
        struct buf token = {0};
        make_key(algorithms[i]);
        struct keyring *k = ring_of(run("cat public.jwk%s", ""));
        assert_int_equal(keyring_mint(k, STR(claims), &token), 0);
        put("token.jws", buf_str(&token));
        assert_true(str_is(run("jose jws ver -i token.jws -k public.jwk -O -%s", ""), claims));
        buf_free(&token);
        keyring_unref(k);
    }
    end();
}
