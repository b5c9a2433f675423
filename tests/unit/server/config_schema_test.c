/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"
#include "server/config_schema.c"
#include "base/buf.h"
#include <jansson.h>
#include <stdio.h>

#define EACH_ROW(row, code)                                                                        \
    for (size_t set_ = 0; set_ <= config_tables_count; set_++) {                                   \
        const struct config_rows *rows_ = set_ ? config_tables[set_ - 1].record : &config_root;    \
        for (size_t i_ = 0; i_ < rows_->count; i_++) {                                             \
            const struct config_row *row = &rows_->rows[i_];                                       \
            code                                                                                   \
        }                                                                                          \
    }

TEST(every_default_fits_its_own_row){
    EACH_ROW(row,
             {
                 if (row->def[0] == '@') {
                     assert_true(config_row_find(&config_root, str_from(row->def + 1)) >= 0);
                     continue;
                 }
                 if (row->def[0] == 0 && (row->type == CONFIG_STRING || row->type == CONFIG_SECRET))
                     continue; /* required, or off */
                 struct config_draft *d = config_draft_new();
                 struct config_node node = {.text = str_from(row->def)};
                 struct arena arena = {0};
                 _Alignas(16) char value[64] = {0};
                 bool good = config_value_read(d, row, row->name, &node, (struct config_place){0},
                                               &arena, value);
                 if (!good)
                     print_error("%.*s", STR_ARG(config_draft_problems(d)));
                 assert_true(good);
                 arena_free(&arena);
                 config_draft_free(&d);
             })}

TEST(every_row_says_what_it_does_and_numbers_have_a_range){
    EACH_ROW(row,
             {
                 assert_true(strlen(row->text) > 10);
                 assert_true(strlen(row->name) < 64);
                 if (row->type == CONFIG_INT || row->type == CONFIG_SIZE ||
                     row->type == CONFIG_DURATION)
                     assert_true(row->max > row->min);
                 if (row->type == CONFIG_ENUM)
                     assert_true(strchr(row->unit, '|') != NULL);
             })}

TEST(no_two_settings_share_a_variable)
{
    char a[CONFIG_NAME_MAX];
    char b[CONFIG_NAME_MAX];
    for (size_t i = 0; i < config_root.count; i++) {
        config_env_name(config_root.rows[i].name, a);
        for (size_t j = 0; j < i; j++) {
            config_env_name(config_root.rows[j].name, b);
            assert_string_not_equal(a, b);
        }
    }
}

TEST(a_near_name_is_found_and_a_far_one_is_not)
{
    assert_string_equal(config_suggest(&config_root, STR("http.lisen")), "http.listen");
    assert_string_equal(config_suggest(&config_root, STR("looops")), "loops");
    assert_string_equal(config_suggest(&config_root, STR("channel.rules")), "channels.rules");
    assert_string_equal(config_suggest(&config_root, STR("ws.deflate_treshold")),
                        "ws.deflate_threshold");
    assert_null(config_suggest(&config_root, STR("utterly.different")));
    char near[CONFIG_NAME_MAX];
    assert_true(config_suggest_env(STR("TIDEWIRE_LOG_LEVL"), near));
    assert_string_equal(near, "TIDEWIRE_LOG_LEVEL");
    assert_false(config_suggest_env(STR("TIDEWIRE_SOMETHING_ELSE_ENTIRELY"), near));
}

TEST(the_written_defaults_load_again_and_change_nothing)
{
    struct buf text = {0};
    config_write_defaults(&text);
    struct config_draft *d = config_draft_new();
    assert_int_equal(config_draft_load_text(d, "defaults", buf_str(&text), NULL), 0);
    struct config *c = config_draft_finish(d);
    if (!c)
        print_error("%.*s", STR_ARG(config_draft_problems(d)));
    assert_non_null(c);
    struct config_draft *empty = config_draft_new();
    struct config *standard = config_draft_finish(empty);
    struct buf differences = {0};
    config_fixed_differences(c, standard, &differences);
    assert_int_equal(differences.n, 0);
    for (size_t i = 0; i < config_root.count; i++) {
        struct buf a = {0}, b = {0};
        config_write_value(&a, c, config_root.rows[i].name);
        config_write_value(&b, standard, config_root.rows[i].name);
        assert_true(str_eq(buf_str(&a), buf_str(&b)));
        buf_free(&a);
        buf_free(&b);
    }
    struct str rest = buf_str(&text);
    while (rest.p) /* a comment fits a terminal */
        assert_true(str_cut(&rest, '\n').n <= 130);
    config_unref(&c);
    config_unref(&standard);
    config_draft_free(&d);
    config_draft_free(&empty);
    buf_free(&text);
    buf_free(&differences);
}

TEST(the_schema_is_json_and_has_every_setting)
{
    struct buf text = {0};
    config_write_schema(&text);
    json_error_t err;
    json_t *schema = json_loadb(text.p, text.n, JSON_REJECT_DUPLICATES, &err);
    if (!schema)
        print_error("%s at %d: %.60s\n", err.text, err.position, text.p + err.position - 30);
    assert_non_null(schema);
    for (size_t i = 0; i < config_root.count; i++) {
        struct str rest = str_from(config_root.rows[i].name), first = str_cut(&rest, '.');
        json_t *at = json_object_get(schema, "properties");
        char key[64];
        snprintf(key, sizeof(key), "%.*s", STR_ARG(first));
        at = json_object_get(at, key);
        if (rest.p)
            at = json_object_get(json_object_get(at, "properties"), rest.p);
        assert_non_null(json_object_get(at, "description"));
    }
    json_decref(schema);
    buf_free(&text);
}

TEST(a_setting_is_explained_and_a_section_too)
{
    struct buf out = {0};
    assert_true(config_write_explain(&out, "http.listen", NULL));
    assert_true(str_find_str(buf_str(&out), STR("TIDEWIRE_HTTP_LISTEN")) > 0);
    buf_clear(&out);
    assert_true(config_write_explain(&out, "channels", NULL));
    assert_true(str_find_str(buf_str(&out), STR("channels.rules (a list of records")) > 0);
    buf_clear(&out);
    assert_false(config_write_explain(&out, "http.lisen", NULL));
    assert_true(str_is(buf_str(&out),
                       "no setting is called \"http.lisen\" — did you mean \"http.listen\"?\n"));
    buf_free(&out);
}
