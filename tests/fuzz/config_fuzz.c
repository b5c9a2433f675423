/* SPDX-License-Identifier: Apache-2.0 */
/* Any text as a configuration file: it is taken, or refused with at least one problem. */
#include "server/config.h"
#include "base/check.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    char *const env[] = {"A=1", "B=x: [y]\nz", NULL};
    struct str text = str_of((const char *)bytes, n);
    if (str_find_str(text, STR("_file")) >= 0) /* would open files of this machine */
        return 0;
    struct config_draft *d = config_draft_new();
    int loaded = config_draft_load_text(d, "fuzz", text, env);
    struct config *c = config_draft_finish(d);
    CHECK((c != NULL) == (config_draft_problems(d).n == 0));
    CHECK(loaded == 0 || c == NULL);
    config_unref(&c);
    config_draft_free(&d);
    return 0;
}
