# SPDX-License-Identifier: Apache-2.0
"""tools/deps asks apt for what is missing and for nothing else, and says what to do without apt.
The machine around it is made of small scripts; nothing is installed here."""
import os
import shutil
import subprocess
import tempfile
import unittest

TOP = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
TOOLS = ["bash", "cat", "dirname", "env", "grep", "mkdir", "mktemp", "rm", "sha256sum", "tail"]


class Machine:
    """A copy of tools/deps in an empty project, with a PATH of its own."""

    def __init__(self, root=True, debian=True, lacks=(), node="20"):
        self.top = tempfile.mkdtemp()
        self.bin = os.path.join(self.top, "bin")
        self.log = os.path.join(self.top, "log")
        os.makedirs(self.bin)
        os.makedirs(os.path.join(self.top, "tools"))
        shutil.copy(os.path.join(TOP, "tools/deps"), os.path.join(self.top, "tools/deps"))
        for tool in TOOLS:
            os.symlink(shutil.which(tool), os.path.join(self.bin, tool))
        self.script("id", f"echo {0 if root else 1000}")
        self.script("npm", f'echo "npm $* in ${{PWD##*/}}" >>{self.log}; mkdir -p node_modules')
        if node:
            self.script("node", f"echo {node}")
        if debian:
            case = "|".join(lacks) or "nothing"
            self.script("dpkg-query",
                        f'case "${{@: -1}}" in {case}) exit 1;; *) echo installed;; esac')
            self.script("apt-get", f'echo "apt-get $*" >>{self.log}')
        else:
            self.script("pkg-config", "exit 1")

    def script(self, name, text):
        path = os.path.join(self.bin, name)
        with open(path, "w") as f:
            f.write(f"#!{shutil.which('bash')}\n{text}\n")
        os.chmod(path, 0o755)

    def run(self, what):
        if os.path.exists(self.log):
            os.remove(self.log)
        run = subprocess.run([os.path.join(self.bin, "bash"), "tools/deps", what], cwd=self.top,
                             env={"PATH": self.bin}, capture_output=True, text=True)
        log = ""
        if os.path.exists(self.log):
            with open(self.log) as f:
                log = f.read()
        return run.returncode, log, run.stdout + run.stderr


class Deps(unittest.TestCase):
    def machine(self, **how):
        machine = Machine(**how)
        self.addCleanup(shutil.rmtree, machine.top)
        return machine

    def test_with_everything_there_it_does_nothing_and_is_quiet(self):
        self.assertEqual(self.machine().run("test"), (0, "", ""))

    def test_only_what_is_missing_is_installed(self):
        code, log, _ = self.machine(lacks=["libuv1-dev", "chromium"]).run("test")
        self.assertEqual(code, 0)
        self.assertEqual(len(log.splitlines()), 1)
        self.assertTrue(log.endswith("install -y --no-install-recommends libuv1-dev chromium\n"))

    def test_running_needs_no_browser(self):
        self.assertEqual(self.machine(lacks=["chromium"]).run("run"), (0, "", ""))

    def test_old_lists_are_fetched_and_it_is_tried_again(self):
        machine = self.machine(lacks=["gcc"])
        machine.script("apt-get", f'echo "$*" >>{machine.log}; [[ "$*" == *update* ]] && '
                       f': >{machine.top}/fresh; [ -e {machine.top}/fresh ]')
        code, log, _ = machine.run("run")
        self.assertEqual((code, len(log.splitlines())), (0, 3))

    def test_a_failing_apt_is_shown(self):
        machine = self.machine(lacks=["gcc"])
        machine.script("apt-get", "echo no such package; exit 100")
        code, _, said = machine.run("run")
        self.assertEqual(code, 1)
        self.assertIn("no such package", said)
        self.assertIn("could not install: gcc", said)

    def test_sudo_is_used_by_others_than_root(self):
        machine = self.machine(root=False, lacks=["gcc"])
        code, _, said = machine.run("run")
        self.assertEqual(code, 1)
        self.assertIn("as root: apt-get install gcc", said)
        machine.script("sudo", f'echo "sudo $*" >>{machine.log}')
        code, log, _ = machine.run("run")
        self.assertEqual(code, 0)
        self.assertTrue(log.startswith("sudo env DEBIAN_FRONTEND=noninteractive apt-get"))

    def test_without_apt_it_says_what_is_missing(self):
        code, _, said = self.machine(debian=False).run("run")
        self.assertEqual(code, 1)
        self.assertIn("no apt-get", said)
        self.assertIn("libuv", said)

    def test_an_old_or_absent_node_is_missing(self):
        for node in ("16", None):
            _, log, _ = self.machine(node=node).run("run")
            self.assertIn(" nodejs", log)

    def test_npm_ci_runs_once_for_each_lock(self):
        machine = self.machine()
        for folder in ("web", "tests/clients", "clients/js"):
            os.makedirs(os.path.join(machine.top, folder))
        for folder in ("web", "tests/clients"):
            with open(os.path.join(machine.top, folder, "package-lock.json"), "w") as f:
                f.write("{}")
        ci = "npm ci --no-audit --no-fund --loglevel=error in "
        self.assertEqual(machine.run("run")[:2], (0, ci + "web\n"))
        self.assertEqual(machine.run("test")[:2], (0, ci + "clients\n"))
        self.assertEqual(machine.run("test"), (0, "", ""))
        with open(os.path.join(machine.top, "web/package-lock.json"), "w") as f:
            f.write('{"new": 1}')
        self.assertEqual(machine.run("test")[:2], (0, ci + "web\n"))

    def test_a_failing_npm_is_not_remembered_as_done(self):
        machine = self.machine()
        os.makedirs(os.path.join(machine.top, "web"))
        with open(os.path.join(machine.top, "web/package-lock.json"), "w") as f:
            f.write("{}")
        machine.script("npm", "mkdir -p node_modules; exit 1")
        self.assertNotEqual(machine.run("run")[0], 0)
        self.assertNotEqual(machine.run("run")[0], 0)


if __name__ == "__main__":
    unittest.main()
