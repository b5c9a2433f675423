/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"
#include "server/config.c"
#include <stdlib.h>
#include <unistd.h>

static struct config_draft *draft;

static struct config *config_of(const char *yaml)
{
    draft = config_draft_new();
    config_draft_load_text(draft, "t.yaml", str_from(yaml), NULL);
    return config_draft_finish(draft);
}

static void done(struct config *c)
{
    config_unref(&c);
    config_draft_free(&draft);
}

/* The one problem that this text has. */
static void assert_problem(const char *yaml, const char *problem)
{
    struct config *c = config_of(yaml);
    struct str said = config_draft_problems(draft);
    struct buf z = {0};
    buf_add_str(&z, said);
    buf_add_c(&z, 0);
    struct buf wanted = {0};
    buf_printf(&wanted, "%s\n", problem);
    buf_add_c(&wanted, 0);
    assert_string_equal(z.p, wanted.p);
    assert_null(c);
    buf_free(&z);
    buf_free(&wanted);
    done(c);
}

TEST(an_empty_file_gives_the_defaults)
{
    struct config *c = config_of("");
    assert_non_null(c);
    assert_int_equal(c->http_listen.count, 1);
    assert_true(str_is(c->http_listen.items[0], "127.0.0.1:8787"));
    assert_int_equal(c->history_count, 256);
    assert_int_equal(c->history_age_ms, 300000);
    assert_int_equal(c->history_bytes, 1 << 20);
    assert_true(c->ws_deflate);
    assert_int_equal(c->auth_jwt_secret.hidden.n, 0);
    assert_int_equal(c->channels_slow, CONFIG_SLOW_RESUME);
    assert_int_equal(c->realtime_channels_per_client, c->limits_subscriptions);
    done(c);
}

TEST(an_unknown_key_is_told_with_its_place_and_a_suggestion)
{
    assert_problem("http:\n    lisen: :80\n",
                   "t.yaml:2:5: unknown key \"http.lisen\" — did you mean \"http.listen\"?");
    assert_problem("htpp:\n  listen: :80\n", "t.yaml:1:1: unknown key \"htpp\"; `tidewire config "
                                             "defaults` lists all");
    assert_problem("server:\n  x: 1\nloops: 1\n",
                   "t.yaml:1:1: unknown key \"server\"; `tidewire config defaults` lists all");
    assert_problem("http.lsiten: :80",
                   "t.yaml:1:1: unknown key \"http.lsiten\" — did you mean \"http.listen\"?");
    assert_problem("socketio:\n  keepalive_ms: 1s\n",
                   "t.yaml:2:3: unknown key \"socketio.keepalive_ms\" — did you mean "
                   "\"http.keepalive_ms\"?");
    assert_problem("channels:\n  rules:\n    - match: a\n      allow: {subscribed: x}\n",
                   "t.yaml:4:15: unknown key \"allow.subscribed\" — did you mean "
                   "\"allow.subscribe\"?");
}

TEST(json_is_taken_too)
{
    struct config *c = config_of("{\"http\":{\"listen\":\":80\",\"origins\":[\"https://a\","
                                 "\"https://b\"]},\n\t\"loops\":3,\"ws\":{\"deflate\":false}}");
    assert_non_null(c);
    assert_true(str_is(c->http_listen.items[0], ":80"));
    assert_int_equal(c->http_origins.count, 2);
    assert_int_equal(c->loops, 3);
    assert_false(c->ws_deflate);
    done(c);
}

TEST(a_dotted_key_is_the_same_setting)
{
    struct config *c = config_of("http.listen: :81\nhistory.count: 5\n");
    assert_non_null(c);
    assert_true(str_is(c->http_listen.items[0], ":81"));
    assert_int_equal(c->history_count, 5);
    done(c);
    assert_problem("http: {listen: ':80'}\nhttp.listen: :81\n",
                   "t.yaml:2:14: \"http.listen\" stands twice (first in line 1); keep one of them");
    assert_problem("loops: 1\nloops: 2\n", "t.yaml:2:1: \"loops\" stands twice; keep one of them");
}

TEST(types_and_ranges_are_checked_and_the_cure_is_told)
{
    assert_problem("http:\n  body_bytes_max: 10 apples\n",
                   "t.yaml:2:19: http.body_bytes_max: \"10 apples\" is not a size; write 64KiB, "
                   "1MiB, 10MB or plain bytes");
    assert_problem("loops: 900", "t.yaml:1:8: loops: \"900\" is too much; the most is 64");
    assert_problem("loops: -1", "t.yaml:1:8: loops: \"-1\" is too small; the least is 0");
    assert_problem("loops: many", "t.yaml:1:8: loops: \"many\" is not a whole number");
    assert_problem("ws: {deflate: yes}",
                   "t.yaml:1:15: ws.deflate: \"yes\" is neither true nor false");
    assert_problem("drain:\n  timeout: soon\n",
                   "t.yaml:2:12: drain.timeout: \"soon\" is not a duration; write 250ms, 5s, 2m, "
                   "1h, 7d or plain milliseconds");
    assert_problem("drain:\n  timeout: 90d\n",
                   "t.yaml:2:12: drain.timeout: \"90d\" is too much; the most is 1h");
    assert_problem("log: {level: loud}",
                   "t.yaml:1:14: log.level: \"loud\" is none of error, warn, info, debug, trace");
    assert_problem("http: {listen: nowhere}",
                   "t.yaml:1:16: http.listen: \"nowhere\" is not an address; write host:port, "
                   ":port, [v6]:port or unix:/path");
    assert_problem("http: {listen: '::1:80'}",
                   "t.yaml:1:16: http.listen: \"::1:80\" has an IPv6 host; write it in brackets: "
                   "[::1]:8787");
    assert_problem("http: {listen: 'localhost:99999'}",
                   "t.yaml:1:16: http.listen: \"localhost:99999\" is not an address; write "
                   "host:port, :port, [v6]:port or unix:/path");
    assert_problem("http: {listen: ['unix:/a|66']}",
                   "t.yaml:1:17: http.listen: \"unix:/a|66\" needs a mode like 0660 after the |");
    assert_problem("http: 5", "t.yaml:1:7: http: is a section; write its settings below it, "
                              "indented");
    assert_problem("loops: [1]", "t.yaml:1:8: loops: takes a number, not a list");
    assert_problem("http: {origins: {a: b}}",
                   "t.yaml:1:17: http.origins: takes a list, not a mapping");
    assert_problem("- a", "t.yaml:1:1: a mapping of settings must stand here, for example "
                          "`loops: 2`");
}

TEST(all_problems_are_told_in_the_order_of_the_file)
{
    assert_problem("loops: x\nhttp:\n  lisen: 1\nws:\n  deflate: 1\n",
                   "t.yaml:1:8: loops: \"x\" is not a whole number\n"
                   "t.yaml:3:3: unknown key \"http.lisen\" — did you mean \"http.listen\"?\n"
                   "t.yaml:5:12: ws.deflate: \"1\" is neither true nor false");
}

TEST(a_null_value_says_nothing)
{
    struct config *c = config_of("loops:\nhttp:\nchannels:\n  rules:\nlog: {level: ~}\n");
    assert_non_null(c);
    assert_int_equal(c->log_level, 2);
    done(c);
}

TEST(yaml_that_surprises_is_refused)
{
    assert_problem("a: &x 1", "t.yaml:1:4: anchors (&) and tags (!) are not taken here; quote the "
                              "text if it should begin so");
    assert_problem("a: !!str 1", "t.yaml:1:4: anchors (&) and tags (!) are not taken here; quote "
                                 "the text if it should begin so");
    assert_problem("a: *x",
                   "t.yaml:1:4: aliases (*) are not taken here; quote a text that begins with *");
    assert_problem("loops: 1\n---\nloops: 2\n",
                   "t.yaml:2:1: a second document (---); put all settings into one");
    assert_problem("? [a]\n: b\n", "t.yaml:1:3: a key must be plain text");
    assert_problem("[[[[[[[[[[[[[[[[[a]]]]]]]]]]]]]]]]]", "t.yaml:1:17: nested more than 16 deep");
}

TEST(a_flag_beats_the_environment_that_the_file_that_the_default_in_any_order)
{
    char *const env[] = {"TIDEWIRE_LOOPS=3", "TIDEWIRE_HISTORY_COUNT=7", "PATH=/bin", NULL};
    draft = config_draft_new();
    assert_int_equal(config_draft_set(draft, CONFIG_FROM_FLAG, "loops", STR("4")), 0);
    assert_int_equal(config_draft_env(draft, env), 0);
    config_draft_load_text(draft, "t", STR("loops: 2\nhistory: {count: 6, bytes: 5KiB}\n"), NULL);
    config_draft_set(draft, CONFIG_FROM_DEV, "history.bytes", STR("1KiB"));
    config_draft_set(draft, CONFIG_FROM_DEV, "data", STR("./x"));
    struct config *c = config_draft_finish(draft);
    assert_non_null(c);
    assert_int_equal(c->loops, 4);
    assert_int_equal(c->history_count, 7);
    assert_int_equal(c->history_bytes, 5120);
    assert_true(str_is(c->data, "./x"));
    done(c);
}

TEST(variables_are_filled_into_values_only)
{
    char *const env[] = {"PORT=90", "EMPTY=", NULL};
    draft = config_draft_new();
    config_draft_load_text(draft, "t",
                           STR("http: {listen: ':${PORT}'}\ndata: /$${x}/${NONE:-d}${EMPTY:-e}\n"
                               "log: {level: '${EMPTY:-warn}'}\n"),
                           env);
    struct config *c = config_draft_finish(draft);
    assert_non_null(c);
    assert_true(str_is(c->http_listen.items[0], ":90"));
    assert_true(str_is(c->data, "/${x}/de"));
    assert_int_equal(c->log_level, 1);
    done(c);
    assert_problem("data: /a/${NOT_SET}",
                   "t.yaml:1:7: ${NOT_SET} is not set; set the variable, or give a value for "
                   "then: ${NOT_SET:-value} (a plain ${ is written $${)");
    assert_problem("${X}: 1", "t.yaml:1:1: unknown key \"${X}\"; `tidewire config defaults` lists "
                              "all");
    assert_problem("data: '${X'", "t.yaml:1:7: ${ without a closing }");
}

TEST(a_filled_in_value_cannot_become_syntax)
{
    char *const env[] = {"EVIL=x\nloops: 9", NULL};
    draft = config_draft_new();
    config_draft_load_text(draft, "t", STR("data: ${EVIL}\n"), env);
    struct config *c = config_draft_finish(draft);
    assert_null(c);
    assert_true(str_is(config_draft_problems(draft),
                       "t:1:7: data: the text has control characters or is not UTF-8\n"));
    done(c);
}

TEST(an_unknown_variable_is_a_warning)
{
    char *const env[] = {"TIDEWIRE_HTTP_LISTN=:80", "TIDEWIRE_PORT_8787_TCP=x",
                         "TIDEWIRE_SERVICE_HOST=x", "TIDEWIRE_URL=x", NULL};
    draft = config_draft_new();
    assert_int_equal(config_draft_env(draft, env), 0);
    assert_true(str_is(config_draft_warnings(draft),
                       "TIDEWIRE_HTTP_LISTN: is no setting — did you mean TIDEWIRE_HTTP_LISTEN? "
                       "Ignored\n"));
    struct config *c = config_draft_finish(draft);
    assert_non_null(c);
    done(c);
}

TEST(a_bad_variable_or_flag_is_named)
{
    char *const env[] = {"TIDEWIRE_LOOPS=x", NULL};
    draft = config_draft_new();
    config_draft_env(draft, env);
    config_draft_set(draft, CONFIG_FROM_FLAG, "http.listen", STR("y"));
    assert_int_equal(config_draft_set(draft, CONFIG_FROM_FLAG, "http.listn", STR(":1")), -1);
    struct config *c = config_draft_finish(draft);
    assert_null(c);
    struct str said = config_draft_problems(draft);
    assert_true(str_find_str(said, STR("TIDEWIRE_LOOPS: loops: \"x\" is not a whole number\n")) >=
                0);
    assert_true(str_find_str(said, STR("--http.listen: http.listen: \"y\" is not an addr")) >= 0);
    assert_true(str_find_str(said, STR("--http.listn: unknown key \"http.listn\" — did")) >= 0);
    done(c);
}

TEST(a_secret_comes_from_a_file_and_is_never_shown)
{
    char path[] = "/tmp/tw_config_XXXXXX";
    int fd = mkstemp(path);
    assert_true(write(fd, "0123456789abcdef0123456789abcdef\n", 33) == 33);
    close(fd);
    char variable[128], text[128];
    snprintf(variable, sizeof(variable), "TIDEWIRE_AUTH_JWT_SECRET_FILE=%s", path);
    snprintf(text, sizeof(text), "auth: {keys: [{kid: a, secret_file: %s}]}", path);
    char *const env[] = {variable, NULL};
    draft = config_draft_new();
    config_draft_env(draft, env);
    config_draft_load_text(draft, "t", str_from(text), NULL);
    struct config *c = config_draft_finish(draft);
    assert_non_null(c);
    assert_true(str_is(c->auth_jwt_secret.hidden, "0123456789abcdef0123456789abcdef"));
    assert_true(str_is(c->auth_keys[0].secret.hidden, "0123456789abcdef0123456789abcdef"));
    struct buf out = {0};
    config_write_value(&out, c, "auth.jwt_secret");
    config_write_explain(&out, "auth", draft);
    assert_true(str_find_str(buf_str(&out), STR("(set)")) >= 0);
    assert_true(str_find_str(buf_str(&out), STR("0123")) < 0);
    buf_free(&out);
    unlink(path);
    done(c);
    assert_problem("auth: {jwt_secret: short-and-secret}",
                   "t.yaml:1:20: auth.jwt_secret: the secret has 16 bytes; it takes 32 to 4096");
    assert_problem("auth: {jwt_secret_file: /nonexistent/x}",
                   "t.yaml:1:25: auth.jwt_secret: cannot read the file \"/nonexistent/x\": No such "
                   "file or directory");
}

TEST(channel_rules_keep_their_order_and_inherit)
{
    struct config *c = config_of("history: {count: 9}\n"
                                 "channels:\n"
                                 "  rules:\n"
                                 "    - match: 'cursor:*'\n"
                                 "      history: {count: 0}\n"
                                 "      slow: latest-by-key\n"
                                 "      throttle_ms: 50ms\n"
                                 "      allow:\n"
                                 "        subscribe: authenticated if segment(2) == sub\n"
                                 "    - {match: '*', echo: false}\n");
    assert_non_null(c);
    assert_int_equal(c->channel_rules_count, 2);
    const struct config_channel *r = c->channel_rules;
    assert_true(str_is(r[0].match, "cursor:*"));
    assert_int_equal(r[0].history_count, 0);
    assert_int_equal(r[0].history_age_ms, 300000);
    assert_int_equal(r[0].slow, CONFIG_SLOW_LATEST_BY_KEY);
    assert_int_equal(r[0].throttle_ms, 50);
    assert_true(str_is(r[0].allow_subscribe, "authenticated if segment(2) == sub"));
    assert_true(r[0].echo);
    assert_int_equal(r[1].history_count, 9);
    assert_false(r[1].echo);
    done(c);
}

TEST(a_table_may_be_a_mapping)
{
    struct config *c =
        config_of("database.file: x\nauth:\n  api_keys:\n    sb_publishable_0123456789: anon\n"
                  "    sb_secret_0123456789ab: service_role\n"
                  "channels:\n  rules:\n    'a*': {durable: true}\n    'b*': authenticated\n"
                  "socketio:\n  namespaces: [/admin, /dyn-*]\n");
    assert_non_null(c);
    assert_int_equal(c->auth_api_keys_count, 2);
    assert_true(str_is(c->auth_api_keys[1].key.hidden, "sb_secret_0123456789ab"));
    assert_true(str_is(c->auth_api_keys[1].role, "service_role"));
    assert_true(c->channel_rules[0].durable);
    assert_true(str_is(c->channel_rules[1].match, "b*"));
    assert_true(str_is(c->channel_rules[1].allow_subscribe, "authenticated"));
    assert_int_equal(c->socketio_namespaces_count, 2);
    done(c);
}

TEST(a_table_comes_from_a_flag_as_yaml_flow)
{
    draft = config_draft_new();
    assert_int_equal(config_draft_set(draft, CONFIG_FROM_FLAG, "channels.rules",
                                      STR("[{match: 'a*', allow: {publish: '*'}}]")),
                     0);
    struct config *c = config_draft_finish(draft);
    assert_non_null(c);
    assert_true(str_is(c->channel_rules[0].allow_publish, "*"));
    done(c);
}

TEST(records_are_checked)
{
    assert_problem("channels:\n  rules:\n    - durable: true\n",
                   "t.yaml:3:7: channels.rules[0].match is missing");
    assert_problem("channels:\n  rules:\n    - [a]\n",
                   "t.yaml:3:7: channels.rules: an entry is a mapping, not a list");
    assert_problem("channels:\n  rules: all\n",
                   "t.yaml:2:10: channels.rules: takes a list or a mapping, not \"all\"");
    assert_problem("channels:\n  rules:\n    - {match: a, slow: never}\n",
                   "t.yaml:3:24: channels.rules[0].slow: \"never\" is none of resume, "
                   "latest-by-key, close");
    assert_problem("auth: {keys: [{kid: a}]}",
                   "t.yaml:1:14: auth.keys[0]: give exactly one of secret (or secret_file), "
                   "pem_file and jwks_file");
    assert_problem("auth: {keys: [{alg: RS256, secret: 0123456789abcdef0123456789abcdef}]}",
                   "t.yaml:1:14: auth.keys[0]: RS256 needs a pem_file, not a secret");
    assert_problem("auth: {keys: [{alg: HS256, pem_file: /x}]}",
                   "t.yaml:1:14: auth.keys[0]: HS256 needs a secret, not a pem_file");
}

TEST(settings_that_belong_together_are_checked)
{
    assert_problem("tls: {cert_file: /a}", "t.yaml:1:18: tls.cert_file and tls.key_file belong "
                                           "together; one of them is empty");
    assert_problem("socketio: {transports: [polling, smoke]}",
                   "t.yaml:1:24: socketio.transports: \"smoke\" is neither polling nor websocket");
    assert_problem("channels:\n  rules: [{match: a}, {match: b, durable: true}]\n",
                   "t.yaml:2:43: channels.rules[1].durable: needs a database; name its file: "
                   "database.file");
    assert_problem("limits: {payload_bytes: 32MiB}",
                   "ws.message_bytes_max: is smaller than limits.payload_bytes, so the largest "
                   "payload could not arrive");
}

TEST(a_plan_gives_defaults_and_what_is_said_stands)
{
    struct config *c = config_of("realtime: {plan: free, presence_calls: 7}\n");
    assert_int_equal(c->realtime_clients_max, 200);
    assert_int_equal(c->realtime_channels_per_client, 100); /* else as limits.subscriptions */
    assert_int_equal(c->realtime_payload_bytes, 256 * 1024);
    assert_int_equal(c->realtime_presence_calls, 7);
    done(c);
    c = config_of("realtime: {plan: team}\n");
    assert_int_equal(c->realtime_clients_max, 10000);
    done(c);
    c = config_of("");
    assert_int_equal(c->realtime_clients_max, 0);
    assert_int_equal(c->realtime_channels_per_client, c->limits_subscriptions);
    done(c);
}

TEST(a_draft_can_be_mended_and_finished_again)
{
    struct config *c = config_of("loops: 900");
    assert_null(c);
    config_draft_set(draft, CONFIG_FROM_FLAG, "loops", STR("2"));
    c = config_draft_finish(draft);
    assert_non_null(c);
    assert_int_equal(config_draft_problems(draft).n, 0);
    done(c);
}

TEST(what_needs_a_restart_is_named)
{
    struct config *a = config_of(
        "database.file: x\nloops: 1\nlog: {level: warn}\nchannels: {rules: [{match: a}]}");
    struct config_draft *first = draft;
    struct config *b =
        config_of("database.file: x\nloops: 2\nlog: {level: info}\nchannels: {rules: [{match: a, "
                  "durable: true}]}");
    struct config_draft *second = draft;
    struct config *c =
        config_of("database.file: x\nloops: 2\nchannels: {rules: [{match: a, durable: true, "
                  "allow: {publish: x}}]}");
    struct buf out = {0};
    config_fixed_differences(a, b, &out);
    assert_true(str_is(buf_str(&out), "loops, channels.rules"));
    buf_clear(&out);
    config_fixed_differences(b, c, &out);
    assert_int_equal(out.n, 0);
    buf_free(&out);
    config_unref(&a);
    config_unref(&b);
    config_draft_free(&first);
    config_draft_free(&second);
    done(c);
}

TEST(a_terminal_is_not_obeyed)
{
    struct config *c = config_of("\"\\e]0;x\\a\": 1\n");
    assert_true(
        str_starts(config_draft_problems(draft), STR("t.yaml:1:1: unknown key \"?]0;x?\"")));
    done(c);
}

TEST(the_file_that_is_named_must_be_there)
{
    draft = config_draft_new();
    assert_int_equal(config_draft_load(draft, "/nonexistent/tw.yaml", NULL), -1);
    assert_true(str_is(config_draft_problems(draft),
                       "/nonexistent/tw.yaml: cannot read it: No such "
                       "file or directory\n"));
    config_draft_free(&draft);
    char *const env[] = {"TIDEWIRE_CONFIG=/nonexistent/b.yaml", NULL};
    draft = config_draft_new();
    assert_int_equal(config_draft_load(draft, NULL, env), -1);
    config_draft_free(&draft);
}
