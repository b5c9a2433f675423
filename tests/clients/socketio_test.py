#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""python-socketio from Debian, sync and asyncio, against examples/echo.c: connect, refusal, acks,
bytes, namespaces, rooms, goodbye; by polling, by WebSocket and with the upgrade between."""
import asyncio
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
import unittest

try:
    import socketio
except ModuleNotFoundError:  # another python3 stands before Debian's
    if sys.executable == "/usr/bin/python3":
        raise
    os.execv("/usr/bin/python3", ["/usr/bin/python3"] + sys.argv)

TOP = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../..")
BIN = os.path.realpath(os.environ.get("TIDEWIRE_BIN") or os.path.join(TOP, "build/tidewire"))
WAYS = {"polling": ["polling"], "websocket": ["websocket"], "upgrade": ["polling", "websocket"]}


class Echo:
    def __init__(self):
        self.data = tempfile.TemporaryDirectory(prefix="tidewire-test-")
        env = {k: v for k, v in os.environ.items() if not k.startswith("TIDEWIRE_")}
        loops = os.environ.get("TIDEWIRE_LOOPS") or "2"
        self.child = subprocess.Popen(
            [os.path.join(os.path.dirname(BIN), "examples/echo"), "dev", "--listen", "127.0.0.1:0",
             "--data", self.data.name, f"--loops={loops}"],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=env)
        self.lines = []
        self.ready = threading.Event()
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()
        if not self.ready.wait(30):
            raise RuntimeError("not ready: " + "".join(self.lines))

    def read(self):
        for line in self.child.stdout:
            self.lines.append(line)
            found = re.search(r'"event":"ready","url":"([^"]+)"', line)
            if found:
                self.url = found[1]
                self.ready.set()

    def stop(self):
        self.child.terminate()
        code = self.child.wait(40)
        self.reader.join(5)
        self.child.stdout.close()
        self.data.cleanup()
        said = "".join(self.lines)
        if code != 0 or "Sanitizer" in said:
            raise RuntimeError(f"the server ended with {code}:\n{said}")


def setUpModule():
    global echo
    echo = Echo()


def tearDownModule():
    echo.stop()


def wait_for(ask, what):
    end = time.monotonic() + 20
    while not ask():
        if time.monotonic() > end:
            raise AssertionError(f"did not come: {what}")
        time.sleep(0.01)


class Sync(unittest.TestCase):
    def check(self, transports):
        got = []
        client = socketio.Client(reconnection=False)
        for nsp in ("/", "/custom"):
            client.on("auth", lambda *a, n=nsp: got.append((n, "auth") + a), namespace=nsp)
            client.on("message-back", lambda *a, n=nsp: got.append((n, "back") + a), namespace=nsp)
        client.on("question", lambda one, two, *rest: ["fine", two])
        client.on("answered", lambda *a: got.append(("/", "answered") + a))
        client.connect(echo.url, namespaces=["/", "/custom"], transports=transports)
        wait_for(lambda: len([g for g in got if g[1] == "auth"]) == 2, "both handlers")
        self.assertRegex(client.get_sid("/"), r"^[\w-]{20}$")
        self.assertNotEqual(client.get_sid("/"), client.get_sid("/custom"))
        self.assertEqual(client.call("message-with-ack", {"a": [1, "é"]}), {"a": [1, "é"]})
        self.assertEqual(client.call("message-with-ack", b"\x01\xff"), b"\x01\xff")
        client.emit("message", ("x", b"\x02"), namespace="/custom")
        wait_for(lambda: any(g[:4] == ("/custom", "back", "x", b"\x02") for g in got), "bytes")
        self.assertTrue(client.call("join", "python"))
        client.emit("ask")
        wait_for(lambda: any(g[1] == "answered" for g in got), "the answer")
        answered = [g for g in got if g[1] == "answered"][0]
        self.assertEqual(answered[2:4], ("ok", [["fine", "2"]]))
        client.disconnect()

    def test_refusal(self):
        client = socketio.Client(reconnection=False)
        said = []
        client.on("connect_error", lambda data: said.append(data))
        with self.assertRaises(socketio.exceptions.ConnectionError):
            client.connect(echo.url, auth={"token": "nonsense"})
        wait_for(lambda: said, "the reason")
        self.assertEqual(said[0]["message"], "Invalid authentication token")


class Async(unittest.IsolatedAsyncioTestCase):
    async def check(self, transports):
        got = []
        client = socketio.AsyncClient(reconnection=False)
        back = asyncio.Event()

        @client.on("message-back")
        async def on_back(*args):
            got.append(args)
            back.set()

        await client.connect(echo.url, transports=transports)
        self.assertEqual(await client.call("message-with-ack", [1, None]), [1, None])
        self.assertEqual(await client.call("later"), "later")
        await client.emit("message", ("a", b"\x00\x01"))
        await asyncio.wait_for(back.wait(), 20)
        self.assertEqual(got[0][:2], ("a", b"\x00\x01"))
        await client.disconnect()
        await client.wait()
        if client.eio.http and not client.eio.http.closed:
            await client.eio.http.close()


def add(name, way):
    async def run_async(self):
        await self.check(way)
    setattr(Sync, f"test_{name}", lambda self: self.check(way))
    setattr(Async, f"test_{name}", run_async)


for way_name, transports in WAYS.items():
    add(way_name, transports)

if __name__ == "__main__":
    unittest.main(verbosity=2)
