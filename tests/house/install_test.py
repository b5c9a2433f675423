# SPDX-License-Identifier: Apache-2.0
"""What `make install` leaves is enough to build against: program, header, both libraries; the chat
of examples/chat.c is built with each of them as its head says and served to the official client.
Inside, symbols have no prefix, so nothing but tw_ may be seen from outside."""
import os
import re
import shutil
import signal
import subprocess
import tempfile
import threading
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


# What the client code of the guide does, with the client that it uses.
CHAT = """
import { createRequire } from 'node:module';
import { createHmac } from 'node:crypto';
const { io } = createRequire(process.argv[2])('socket.io-client');
const part = (o) => Buffer.from(JSON.stringify(o)).toString('base64url');
const token = (sub) => {
  const claims = { sub, name: sub.toUpperCase(), exp: 4e9 };
  const text = `${part({ alg: 'HS256', typ: 'JWT' })}.${part(claims)}`;
  return `${text}.${createHmac('sha256', process.argv[4]).update(text).digest('base64url')}`;
};
const once = (socket, event) => new Promise((resolve) => { socket.once(event, resolve); });
const lasting = { reconnection: true, reconnectionAttempts: 5, forceNew: true };
const open = (auth) => io(process.argv[3], { auth, ...lasting });
const stranger = open({});
const refused = await once(stranger, 'connect_error');
if (refused.message !== 'Authentication token required') throw refused;
const [ann, bob] = [open({ token: token('ann') }), open({ token: token('bob') })];
await Promise.all([once(ann, 'connect'), once(bob, 'connect')]);
await ann.emitWithAck('join-room', 'r');
const [joined, message] = [once(ann, 'user-joined'), once(ann, 'new-message')];
await bob.emitWithAck('join-room', 'r');
bob.emit('send-message', { roomId: 'r', message: 'hi' });
console.log(JSON.stringify([await joined, { ...await message, timestamp: 0 }]));
process.exit(0);
"""
HEARD = ('[{"userId":"bob","userName":"BOB"},'
         '{"userId":"bob","userName":"BOB","message":"hi","timestamp":0}]')
SECRET = "a secret of at least thirty-two bytes"


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

    def flags(self, is_static):
        cflags = run("pkg-config", "--cflags", "tidewire", env=self.env).split()
        if not is_static:
            return cflags + run("pkg-config", "--libs", "tidewire", env=self.env).split()
        needs = run("pkg-config", "--static", "--libs", "tidewire", env=self.env).split()
        return cflags + [f"{self.lib}/libtidewire.a"] + [n for n in needs if n != "-ltidewire"]

    def chat(self, is_static):
        """The chat of the guide, served by a program that is built against what was installed."""
        clients = os.path.join(TOP, "tests/clients/package.json")
        if not os.path.isdir(os.path.join(TOP, "tests/clients/node_modules/socket.io-client")):
            self.skipTest("tools/deps test has not been run")
        program = os.path.join(self.top, "chat")
        run("cc", os.path.join(TOP, "examples/chat.c"), "-o", program, *self.flags(is_static))
        server = subprocess.Popen(
            [program, "--http.listen=127.0.0.1:0", f"--auth.jwt_secret={SECRET}",
             f"--data={self.top}/data"],
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
            env=dict(os.environ, LD_LIBRARY_PATH="" if is_static else self.lib))
        self.addCleanup(server.stdout.close)
        self.addCleanup(server.kill)
        url = re.search(r"http://\S+", server.stdout.readline())[0]
        threading.Thread(target=lambda: list(server.stdout), daemon=True).start()
        script = os.path.join(self.top, "chat.mjs")
        with open(script, "w") as f:
            f.write(CHAT)
        self.assertEqual(run("node", script, clients, url, SECRET, timeout=100).strip(), HEARD)
        server.send_signal(signal.SIGTERM)
        self.assertEqual(server.wait(40), 0)

    def test_the_chat_with_the_shared_library(self):
        self.chat(False)

    def test_the_chat_with_the_static_library(self):
        self.chat(True)

    def test_the_program_runs(self):
        said = run(os.path.join(self.top, "opt/tw/bin/tidewire"), "version")
        self.assertTrue(said.startswith("tidewire "))

    def test_the_shared_library_links_by_pkg_config(self):
        flags = self.flags(False)
        version = run("pkg-config", "--modversion", "tidewire", env=self.env).strip()
        self.assertEqual(self.program("cc", *flags), version)
        self.assertIn("libtidewire.so.0", run("ldd", os.path.join(self.top, "program"),
                                              env=dict(os.environ, LD_LIBRARY_PATH=self.lib)))

    def test_the_static_library_links_too(self):
        self.program("cc", *self.flags(True))
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
