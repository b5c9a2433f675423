# SPDX-License-Identifier: Apache-2.0
"""tools/tidy refuses each kind of breach, and nothing else."""
import os
import subprocess
import tempfile
import unittest

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SPDX = "/* SPDX-License-Identifier: Apache-2.0 */\n"
HASH = "# SPDX-License-Identifier: Apache-2.0\n"


def function(lines, first="    f();\n"):
    return SPDX + "void f(void)\n{\n" + first + "    f();\n" * (lines - 1) + "}\n"


def check(files):
    with tempfile.TemporaryDirectory() as top:
        subprocess.run(["git", "init", "-q"], cwd=top, check=True)
        for name, text in {".gitignore": "build/\n", **files}.items():
            path = os.path.join(top, name)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "w") as f:
                f.write(text)
        with open(os.path.join(TOP, ".clang-format")) as f, \
                open(os.path.join(top, ".clang-format"), "w") as to:
            to.write(f.read())
        run = subprocess.run([os.path.join(TOP, "tools/tidy"), top], capture_output=True, text=True)
        return run.returncode, run.stdout + run.stderr


BREACHES = [
    ("src/x.c", "int a;\n", "src/x.c:1: no SPDX line"),
    ("src/x.c", SPDX + "int a;", "no newline at the end"),
    ("src/x.c", SPDX + "int a; \n", "src/x.c:2: blanks at the end"),
    ("src/x.c", SPDX + "\tint a;\n", "src/x.c:2: a tab"),
    ("src/x.c", SPDX + "/* " + "x" * 95 + " */\n", "101 columns; 100 is the most"),
    ("web/x.js", "// SPDX-License-Identifier: Apache-2.0\n//" + "x" * 219 + "\n", "221 columns"),
    ("src/x.c", function(71), "src/x.c:2: a function of 71 lines; 70 is the most"),
    ("tests/x.c", function(121), "a function of 121 lines; 120 is the most"),
    ("tools/x", "#!/bin/sh\necho\n", "tools/x:1: no SPDX line"),
    ("Makefile", "all:\n\techo\n", "Makefile:1: no SPDX line"),
    ("clients/package-lock.json", '{"resolved": "https://example.org/x.tgz"}\n', "registry"),
]
GOOD = {
    "src/a.c": function(70),
    "src/b.c": function(80, "    switch (x) {\n    }\n"),
    "tests/unit/c.c": function(100),
    "src/d.def": "ROW(" + "x" * 150 + ")\n",
    "tools/e": "#!/bin/sh\n" + HASH,
    "Makefile": HASH + "all:\n\techo\n",
    "docs/f.md": "A line  \n" + "x" * 300 + "\n",
    "build/g.c": "ignored\t \n",
    "tests/fuzz/corpus/h/1": "\t \n",
    "package-lock.json": '{"integrity": "sha512-x", "resolved": "clients/js", "link": true}\n',
}


class Tidy(unittest.TestCase):
    def test_a_good_tree_passes(self):
        code, output = check(GOOD)
        self.assertEqual(code, 0, output)

    def test_each_breach_is_named(self):
        for name, text, words in BREACHES:
            with self.subTest(words):
                code, output = check({name: text})
                self.assertEqual(code, 1, output)
                self.assertIn(words, output)

    def test_formatting_is_checked(self):
        code, output = check({"src/x.c": SPDX + "int  a;\n"})
        if "formatting is not checked" not in output:
            self.assertEqual(code, 1)
            self.assertIn("src/x.c:2: not formatted", output)


if __name__ == "__main__":
    unittest.main()
