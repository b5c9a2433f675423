/* SPDX-License-Identifier: Apache-2.0 */
/* like and ilike. SQLite's own LIKE folds ASCII whatever was asked, so here is one
 * of PostgreSQL's manners: '%' any run, '_' one character, '\' takes the next as it stands. */
#include "db/functions.h"
#include "wire/regex.h"

static bool one_fits(struct str *pattern, struct str *text, bool fold)
{
    uint32_t want = regex_next_char(pattern), have = regex_next_char(text);
    if (want == '_')
        return true;
    if (want == '\\' && pattern->n)
        want = regex_next_char(pattern);
    return fold ? regex_fold(want) == regex_fold(have) : want == have;
}

/* As a glob: on a mismatch the last '%' takes one character more. Quadratic at worst. */
bool textmatch_like(struct str pattern, struct str text, bool fold)
{
    struct str star = STR_NONE, star_text = STR_NONE;
    while (text.n) {
        if (pattern.n && pattern.p[0] == '%') {
            pattern = str_skip(pattern, 1);
            star = pattern;
            star_text = text;
            continue;
        }
        if (pattern.n && one_fits(&pattern, &text, fold))
            continue;
        if (!star.p)
            return false;
        regex_next_char(&star_text);
        pattern = star;
        text = star_text;
    }
    while (pattern.n && pattern.p[0] == '%')
        pattern = str_skip(pattern, 1);
    return pattern.n == 0;
}
