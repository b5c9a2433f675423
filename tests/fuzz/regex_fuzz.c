/* SPDX-License-Identifier: Apache-2.0 */
/* pattern NUL text: compiled and run; time and memory stay bounded. */
#include "base/check.h"
#include "wire/regex.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str text = str_of((const char *)data, size);
    struct str pattern = str_cut(&text, '\0');
    const char *why = NULL;
    struct regex *r = regex_compile(pattern, size % 2, &why);
    if (!r) {
        CHECK(why);
        return 0;
    }
    (void)regex_matches(r, text.p ? text : str_of("abc", 3));
    regex_free(&r);
    return 0;
}
