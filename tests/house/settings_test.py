# SPDX-License-Identifier: Apache-2.0
"""A setting that nothing reads is a lie: every row of config.def is used by the server."""
import glob
import os
import re
import unittest

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def rows():
    text = open(os.path.join(TOP, "src/server/config.def")).read()
    text = re.sub(r"/\*.*?\*/", "", text, flags=re.S)
    return re.findall(r'^CFG(?:_[A-Z]+)?\((\w+), "([^"]+)"', text, re.M)


def code():
    text = ""
    for path in sorted(glob.glob(os.path.join(TOP, "src/server/*.c"))):
        text += open(path).read()
    return re.sub(r"/\*.*?\*/", "", text, flags=re.S)


class Settings(unittest.TestCase):
    def test_every_setting_is_read(self):
        text = code()
        unused = [name for field, name in rows() if not re.search(rf"(->|\.){field}\b", text)]
        self.assertEqual(unused, [])

    def test_there_are_rows(self):
        self.assertGreater(len(rows()), 100)


unittest.main()
