/* SPDX-License-Identifier: Apache-2.0 */
#include "test.h"
#include "wire/regex.c"
#include "base/buf.h"

static void check(const char *pattern, const char *text, bool fold, bool want)
{
    const char *why = NULL;
    struct regex *r = regex_compile(str_from(pattern), fold, &why);
    if (!r)
        fail_msg("%s: %s", pattern, why);
    if (regex_matches(r, str_from(text)) != want)
        fail_msg("/%s/ on \"%s\": not %d", pattern, text, want);
    regex_free(&r);
}
#define YES(p, t) check(p, t, false, true)
#define NO(p, t) check(p, t, false, false)

TEST(pieces_match)
{
    YES("b", "abc");
    NO("d", "abc");
    YES("", "");
    YES("^abc$", "abc");
    NO("^b", "abc");
    YES("c$", "abc");
    NO("^$", "a");
    YES("a.c", "abc");
    YES("^.$", "é");
    YES("a*b", "b");
    YES("^a*$", "aaaa");
    YES("a+b", "aab");
    NO("^a+$", "");
    YES("^a?b$", "b");
    NO("^a?b$", "aab");
    YES("a|b|c", "xxc");
    YES("^(ab|cd)+$", "abcdab");
    NO("^(ab|cd)+$", "abc");
    YES("^(?:ab|cd)*?$", "abcd");
    YES("^(a|)b$", "b");
    YES("^a{2}$", "aa");
    NO("^a{2}$", "aaa");
    YES("^a{2,}$", "aaaaa");
    NO("^a{2,}$", "a");
    YES("^a{1,3}$", "aaa");
    NO("^a{1,3}$", "aaaa");
    YES("^(ab){0,2}c$", "c");
    YES("^(ab){0,2}c$", "ababc");
    YES("^a{0}$", "");
    YES("x{", "x{");
    YES("()*", "x");
    YES("(a*)*b", "aab");
    YES("^((a|b)*c|d)+$", "abcdac");
}

TEST(classes_and_escapes_match)
{
    YES("^[a-c]+$", "abc");
    NO("^[a-c]+$", "abd");
    YES("^[^a-c]+$", "xyz");
    YES("^[]a]+$", "]a");
    YES("^[a-]+$", "a-");
    YES("^[[:digit:]x]+$", "12x");
    YES("^\\d+\\.\\d*$", "3.14");
    NO("^\\D+$", "a1");
    YES("^\\w+\\s\\w+$", "hello world");
    YES("^[\\d\\s]+$", "1 2");
    YES("\\yword\\y", "a word here");
    NO("\\yword\\y", "swordfish");
    YES("\\mwo", "a word");
    YES("rd\\M", "a word");
    YES("^a\\*b\\\\$", "a*b\\");
    YES("\\Aa\\Z", "a");
    YES("a\\tb", "a\tb");
    YES("^[àé]$", "é");
}

TEST(case_folds_when_asked)
{
    check("^hello$", "HeLLo", true, true);
    check("^[a-z]+$", "ABC", true, true);
    check("^[A-Z]+$", "abc", true, true);
    check("^ÄÖ$", "äö", true, true);
    check("(?i)abc", "ABC", false, true);
    check("abc", "ABC", false, false);
}

static void refused(const char *pattern)
{
    const char *why = NULL;
    struct regex *r = regex_compile(str_from(pattern), false, &why);
    if (r)
        fail_msg("/%s/ was taken", pattern);
    assert_non_null(why);
}

TEST(what_is_not_regular_or_not_well_formed_is_refused)
{
    static const char *const bad[] = {"(",     ")",          "a)",    "(a",
                                      "[a",    "[",          "*a",    "+",
                                      "a|*",   "(a)\\1",     "(?=a)", "(?<a)",
                                      "a\\",   "a{2,1}",     "a{1",   "a{99999}",
                                      "[b-a]", "[[:nope:]]", "\\q",   "(a{1000}){1000}"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        refused(bad[i]);
}

TEST(patterns_that_explode_elsewhere_are_cheap)
{
    struct buf text = {0};
    for (int i = 0; i < 3000; i++)
        buf_add_c(&text, 'a');
    buf_add_c(&text, 0);
    NO("^(a+)+$b", text.p);
    NO("^(a|a)*b$", text.p);
    NO("^(a*)*b$", text.p);
    NO("a++++++++++++++++++++++++++++++++++++++++++++++++b", text.p);
    NO("((((a+)+)+)+)+b", text.p);
    YES("^(a?){50}a{50}", text.p);
    buf_free(&text);
}
