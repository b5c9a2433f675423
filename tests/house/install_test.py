# SPDX-License-Identifier: Apache-2.0
"""What `make install` leaves is enough to build against: program, header, both libraries. Inside,
symbols have no prefix, so nothing but tw_ may be seen from outside."""
import os
import shutil
import subprocess
import tempfile
import unittest

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
# An embedder's own functions may have the names of ours.
PROGRAM = """
#include <tidewire.h>
#include <stdio.h>
void map_put(void);
void map_put(void) { }
int main(void)
{
    map_put();
    return puts(tw_version()) < 0;
}
"""


def run(*argv, **how):
    return subprocess.run(argv, check=True, capture_output=True, text=True, **how).stdout


class Install(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.top = tempfile.mkdtemp()
        cls.addClassCleanup(shutil.rmtree, cls.top)
        env = {k: v for k, v in os.environ.items() if not k.startswith("MAKE") and k != "VARIANT"}
        run("make", "-s", "install", f"DESTDIR={cls.top}", "PREFIX=/opt/tw", cwd=TOP, env=env)
        cls.lib = os.path.join(cls.top, "opt/tw/lib")
        cls.env = dict(os.environ, PKG_CONFIG_PATH=f"{cls.lib}/pkgconfig",
                       PKG_CONFIG_SYSROOT_DIR=cls.top)
        with open(os.path.join(cls.top, "program.c"), "w") as f:
            f.write(PROGRAM)

    def program(self, compiler, *flags):
        out = os.path.join(self.top, "program")
        run(compiler, "-Wall", "-Wextra", "-Werror", os.path.join(self.top, "program.c"), "-o", out,
            *flags)
        return run(out, env=dict(os.environ, LD_LIBRARY_PATH=self.lib)).strip()

    def test_the_program_runs(self):
        said = run(os.path.join(self.top, "opt/tw/bin/tidewire"), "version")
        self.assertTrue(said.startswith("tidewire "))

    def test_the_shared_library_links_by_pkg_config(self):
        flags = run("pkg-config", "--cflags", "--libs", "tidewire", env=self.env).split()
        version = run("pkg-config", "--modversion", "tidewire", env=self.env).strip()
        self.assertEqual(self.program("cc", *flags), version)
        self.assertIn("libtidewire.so.0", run("ldd", os.path.join(self.top, "program"),
                                              env=dict(os.environ, LD_LIBRARY_PATH=self.lib)))

    def test_the_static_library_links_too(self):
        flags = run("pkg-config", "--cflags", "tidewire", env=self.env).split()
        needs = run("pkg-config", "--static", "--libs", "tidewire", env=self.env).split()
        archive = os.path.join(self.lib, "libtidewire.a")
        self.program("cc", *flags, archive, *[n for n in needs if n != "-ltidewire"])
        self.assertNotIn("tidewire", run("ldd", os.path.join(self.top, "program")))

    def test_the_header_is_also_cplusplus(self):
        with open(os.path.join(self.top, "x.cc"), "w") as f:
            f.write("#include <tidewire.h>\nint main() { return !tw_version(); }\n")
        compiler = shutil.which("c++") or shutil.which("clang++")
        run(compiler, "-Wall", "-Wextra", "-Werror", "-I", os.path.join(self.top, "opt/tw/include"),
            "-c", os.path.join(self.top, "x.cc"), "-o", os.path.join(self.top, "x.o"))

    def test_only_the_public_names_are_seen(self):
        for flags, library in ((["-D"], "libtidewire.so.0"), (["-g"], "libtidewire.a")):
            out = run("nm", *flags, "--defined-only", os.path.join(self.lib, library))
            names = [line.split()[-1] for line in out.splitlines() if len(line.split()) == 3]
            self.assertIn("tw_version", names)
            self.assertEqual([n for n in names if not n.startswith("tw_")], [])


if __name__ == "__main__":
    unittest.main()
