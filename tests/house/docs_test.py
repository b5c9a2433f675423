# SPDX-License-Identifier: Apache-2.0
"""tools/gendocs reads the tables as C does, and notices a page that is behind."""
import os
import shutil
import subprocess
import tempfile
import unittest

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
TABLES = ["src/base/err.def", "src/base/metric.def", "src/server/config.def"]


def gendocs(top, *flags):
    run = subprocess.run([os.path.join(TOP, "tools/gendocs"), *flags, top], capture_output=True,
                         text=True)
    return run.returncode, run.stdout + run.stderr


def count_by_compiler(table, macro):
    """How many rows the preprocessor finds."""
    source = f'#define {macro}(...) ROW\n#include "{table}"\n'
    out = subprocess.run(["cc", "-E", "-P", "-I", TOP, "-x", "c", "-"], input=source,
                         capture_output=True, text=True, check=True).stdout
    return out.count("ROW")


class Docs(unittest.TestCase):
    def setUp(self):
        self.top = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.top)
        for table in TABLES:
            os.makedirs(os.path.join(self.top, os.path.dirname(table)), exist_ok=True)
            shutil.copy(os.path.join(TOP, table), os.path.join(self.top, table))

    def page(self, name):
        with open(os.path.join(self.top, "docs/reference", name)) as f:
            return f.read()

    def test_a_page_behind_its_table_is_named(self):
        self.assertEqual(gendocs(self.top)[0], 0)
        self.assertEqual(gendocs(self.top, "--check"), (0, ""))
        with open(os.path.join(self.top, TABLES[0]), "a") as f:
            f.write('ERR(NEW, 4999, 400, true, "A \\"new\\" one", '
                    '"Do "\n    "this, then (that).")\n')
        code, output = gendocs(self.top, "--check")
        self.assertEqual(code, 1)
        self.assertIn("errors.md does not agree", output)
        self.assertNotIn("metrics.md", output)
        self.assertEqual(gendocs(self.top)[0], 0)
        self.assertIn('| 4999 | `NEW` | 400 | yes | A "new" one | Do this, then (that). |',
                      self.page("errors.md"))

    def test_no_row_is_lost(self):
        gendocs(self.top)
        rows = [line for line in self.page("errors.md").splitlines() if line.startswith("| 4")]
        self.assertEqual(len(rows), count_by_compiler("src/base/err.def", "ERR"))
        plain = count_by_compiler("src/server/config.def", "CFG")
        rows = [line for line in self.page("settings.md").splitlines() if line.startswith("| `")]
        self.assertGreaterEqual(len([r for r in rows if "[]." not in r]), plain)
        self.assertGreater(plain, 50)

    def test_a_row_that_cannot_be_read_stops_it(self):
        with open(os.path.join(self.top, TABLES[1]), "a") as f:
            f.write('METRIC(BROKEN, "no end\n')
        self.assertNotEqual(gendocs(self.top, "--check")[0], 0)


if __name__ == "__main__":
    unittest.main()
