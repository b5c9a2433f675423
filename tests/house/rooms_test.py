# SPDX-License-Identifier: Apache-2.0
"""tools/rooms refuses each kind of breach, and nothing else."""
import os
import subprocess
import tempfile
import unittest

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
ROOMS = """base : : *
loop : base : loop.h
hub : base loop : hub.h
session : base loop hub : session.h
cli : :
"""
GOOD = {
    "base/str.h": "#include <stddef.h>\nstruct str { const char *p; size_t n; };\n",
    "base/mem.c": "void *f(void);\nvoid *f(void) { return malloc(1); }\n",
    "loop/loop.h": '#include "base/str.h"\nstruct loop { struct str name; };\n',
    "loop/loop_priv.h": '#include "loop/loop.h"\n',
    "hub/hub.h": '#include "loop/loop.h"\nstruct hub { struct loop *loop; };\n',
    "hub/fan.c": '#include "hub/hub.h"\n/* malloc( is a word here */ const char *s = "rand()";\n',
    "session/session.c": '#include "hub/hub.h"\nvoid f(void) { hub_publish(); }\n',
    "cli/main.c": '#include "tidewire.h"\nint main(void) { printf("x"); }\n',
}


def check(changes=None, rooms=ROOMS):
    """Runs the tool on the good tree with changes; returns (exit, output)."""
    with tempfile.TemporaryDirectory() as top:
        for name, text in {**GOOD, **(changes or {})}.items():
            path = os.path.join(top, "src", name)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "w") as f:
                f.write(text)
        with open(os.path.join(top, "src/ROOMS"), "w") as f:
            f.write(rooms)
        run = subprocess.run([os.path.join(TOP, "tools/rooms"), "src"], cwd=top,
                             capture_output=True, text=True)
        return run.returncode, run.stdout + run.stderr


BREACHES = [
    ("an arrow upward", "base/x.c", '#include "loop/loop.h"\n',
     "base/x.c:1: base may not open loop"),
    ("a private header", "hub/x.c", '#include "loop/loop_priv.h"\n', "is private to loop"),
    ("an include without its folder", "hub/x.c", '#include "hub.h"\n', 'write "room/file.h"'),
    ("the public header inside", "hub/x.c", '#include "tidewire.h"\n', "is for cli and server"),
    ("a room nobody knows", "attic/x.c", "", "room attic is not in ROOMS"),
    ("the cli going round the public header", "cli/x.c", '#include "hub/hub.h"\n', "cli may not"),
    ("a thread in the hub", "hub/x.c", "\n\npthread_mutex_t m;\n", "hub/x.c:3: threads meet only"),
    ("an atomic in the hub", "hub/x.c", "_Atomic int n;\n", "threads meet only"),
    ("a clock in base", "base/x.c", "long f(void) { return time(0); }\n", "time and chance"),
    ("memory from elsewhere", "hub/x.c", "void *p = malloc(1);\n", "memory comes from base/mem.h"),
    ("printing outside cli", "hub/x.c", 'void f(void) { printf("x"); }\n', "only the cli prints"),
    ("libuv outside loop", "hub/x.c", "#include <uv.h>\n", "known to loop/ only"),
    ("going round the gate", "loop/x.c", "void f(void) { hub_publish(); }\n", "the gate"),
    ("a banned call", "loop/x.c", "void f(void) { strcpy (a, b); }\n", "strcpy is banned: use"),
    ("a header that needs another", "hub/x.h", "struct str name(void); size_t n;\n",
     "does not stand alone"),
    ("a file too long", "hub/x.c", "\n" * 801, "801 lines; 800 is the most"),
]


class Rooms(unittest.TestCase):
    def test_a_good_tree_passes(self):
        code, output = check()
        self.assertEqual((code, output), (0, "8 files in 5 rooms: every arrow points down\n"))

    def test_each_breach_is_named(self):
        for what, name, text, words in BREACHES:
            with self.subTest(what):
                code, output = check({name: text})
                self.assertEqual(code, 1, output)
                self.assertIn(words, output)
                self.assertEqual(len(output.splitlines()), 1, output)

    def test_a_ring_of_headers_is_named(self):
        code, output = check({"base/a.h": '#include "base/b.h"\n',
                              "base/b.h": '#include "base/a.h"\n'})
        self.assertEqual(code, 1)
        self.assertIn("headers in a ring: base/a.h > base/b.h > base/a.h", output)

    def test_the_table_itself_has_no_arrow_upward(self):
        code, output = check(rooms=ROOMS.replace("base : :", "base : hub :"))
        self.assertEqual(code, 1)
        self.assertIn("ROOMS: base may open hub, which stands later", output)

    def test_a_header_is_compiled_again_when_what_it_includes_changed(self):
        with tempfile.TemporaryDirectory() as top:
            os.makedirs(os.path.join(top, "src/base"))
            with open(os.path.join(top, "src/ROOMS"), "w") as f:
                f.write("base : : *\n")

            def write(name, text):
                with open(os.path.join(top, "src/base", name), "w") as f:
                    f.write(text)
                run = subprocess.run([os.path.join(TOP, "tools/rooms"), "src"], cwd=top,
                                     capture_output=True, text=True)
                return run.returncode
            write("a.h", "typedef int number;\n")
            self.assertEqual(write("b.h", '#include "base/a.h"\nnumber f(void);\n'), 0)
            self.assertEqual(write("a.h", "typedef int other;\n"), 1)
            self.assertEqual(write("a.h", "typedef int number;\n"), 0)


if __name__ == "__main__":
    unittest.main()
