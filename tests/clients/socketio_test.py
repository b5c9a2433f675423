#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""python-socketio from Debian, sync and asyncio, against examples/echo.c: connect, refusals, acks
both ways, bytes, namespaces, rooms, volatile, a connection that is cut, reasons; by polling,
WebSocket
and with the upgrade between. (It has no recovery: after a cut it begins anew.)"""
import asyncio
import os
import re
import socket
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
        env = {k: v for k, v in os.environ.items()
               if k == "TIDEWIRE_FLUSH" or not k.startswith("TIDEWIRE_")}
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


class Proxy:
    """Between a client and the server, to be cut."""
    def __init__(self, url):
        self.target = int(url.rsplit(":", 1)[1])
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        self.links = []
        self.accepted = 0
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self):
        while True:
            try:
                near, _ = self.listener.accept()
            except OSError:
                return
            self.accepted += 1
            far = socket.create_connection(("127.0.0.1", self.target))
            self.links.append((near, far))
            for a, b in ((near, far), (far, near)):
                threading.Thread(target=self.pump, args=(a, b), daemon=True).start()

    @staticmethod
    def pump(a, b):
        try:
            while data := a.recv(65536):
                b.sendall(data)
        except OSError:
            pass
        for s in (a, b):
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def cut(self):
        links, self.links = self.links, []
        for pair in links:
            for s in pair:
                try:
                    s.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass

    def cut_until(self, ask):
        """A cut between two polls is none to the client."""
        if not ask():
            self.cut()
            time.sleep(0.3)
        return ask()

    def close(self):
        self.listener.close()
        self.cut()


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
    def client(self, **options):
        client = socketio.Client(**{"reconnection": False, **options})
        self.addCleanup(client.disconnect)
        return client

    def check(self, transports):
        got = []
        client = self.client()
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
        self.rooms(transports, client)
        client.disconnect()

    def rooms(self, transports, client):
        """Another one in the room; volatile; sent away by the server, and why."""
        room = "python-" + "-".join(transports)
        other = self.client()
        told, gone, dropped = [], [], []
        client.on("told", lambda *a: told.append(a[0]))
        client.on("left", lambda sid, reason, *rest: gone.append((sid, reason)))
        client.on("drop", lambda *a: dropped.append(a))
        other.connect(echo.url, transports=transports)
        for c in (client, other):
            self.assertTrue(c.call("join", room))
        self.assertTrue(client.call("join", "watchers"))
        other.call("to", (room, "", {"n": 1}))
        wait_for(lambda: told, "the event of the room")
        self.assertEqual(told, [{"n": 1}])
        self.assertEqual(client.call("burst"), 5)
        client.call("who")
        self.assertLessEqual(len(dropped), 1)
        away = threading.Event()
        other.on("disconnect", away.set)
        sid = other.get_sid()
        other.emit("bye", True)
        self.assertTrue(away.wait(20))
        wait_for(lambda: (sid, "server namespace disconnect") in gone, "the reason")
        other.wait()

    def cut(self, transports):
        """A connection that is cut: a new one by itself; the server knows that the old is lost."""
        proxy = Proxy(echo.url)
        self.addCleanup(proxy.close)
        client = self.client(reconnection=True, reconnection_delay=0.05, reconnection_delay_max=0.2)
        connects = []
        client.on("connect", lambda: connects.append(client.get_sid()))
        client.connect(proxy.url, transports=transports)
        wait_for(lambda: len(connects) == 1, "the connection")
        wait_for(lambda: client.transport() == transports[-1], "the upgrade")
        wait_for(lambda: proxy.cut_until(lambda: len(connects) > 1), "another one")
        self.assertNotEqual(*connects[:2])
        wait_for(lambda: client.connected, "connected")
        self.assertEqual(client.call("message-with-ack", "again"), "again")
        client.disconnect()

    def test_a_middleware_refuses_and_admits(self):
        for auth in ({}, {"secret": "open sesame"}):
            client = self.client()
            said = []
            client.on("connect_error", lambda data: said.append(data), namespace="/auth")
            if auth:
                client.connect(echo.url, namespaces=["/auth"], auth=auth)
                self.assertEqual(client.call("who", namespace="/auth")["nsp"], "/auth")
                client.disconnect()
                continue
            with self.assertRaises(socketio.exceptions.ConnectionError):
                client.connect(echo.url, namespaces=["/auth"], auth=auth)
            self.assertEqual(said, [{"message": "not authorized", "data": {"code": "E1", "n": 2}}])

    def test_refusal(self):
        client = self.client()
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
        back, answered, told = asyncio.Event(), asyncio.Event(), asyncio.Event()
        client.on("question", lambda one, two, *rest: ("fine", b"\x01\x02"))

        @client.on("answered")
        async def on_answered(*args):
            got.append(args)
            answered.set()

        @client.on("told")
        async def on_told(*args):
            got.append(args)
            told.set()

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
        await client.emit("ask")
        await asyncio.wait_for(answered.wait(), 20)
        self.assertEqual(got[1][:2], ("ok", ["fine", {"_placeholder": True, "num": 0}]))
        room = "async-" + "-".join(transports)
        self.assertTrue(await client.call("join", room))
        await client.call("io-to", (room, "", "to all"))
        await asyncio.wait_for(told.wait(), 20)
        self.assertEqual(got[2][0], "to all")
        await self.end(client)

    async def cut(self, transports):
        proxy = Proxy(echo.url)
        self.addCleanup(proxy.close)
        client = socketio.AsyncClient(reconnection=True, reconnection_delay=0.05,
                                      reconnection_delay_max=0.2)
        connects = asyncio.Queue()

        @client.on("connect")
        async def on_connect():
            await connects.put(client.get_sid())

        await client.connect(proxy.url, transports=transports)
        first = await asyncio.wait_for(connects.get(), 20)
        while connects.empty():
            proxy.cut()
            await asyncio.sleep(0.3)
        second = await connects.get()
        self.assertNotEqual(first, second)
        self.assertEqual(await client.call("message-with-ack", "again"), "again")
        await self.end(client)

    async def test_refusal(self):
        client = socketio.AsyncClient(reconnection=False)
        said = asyncio.Queue()
        client.on("connect_error", said.put)
        with self.assertRaises(socketio.exceptions.ConnectionError):
            await client.connect(echo.url, auth={"token": "nonsense"})
        error = await asyncio.wait_for(said.get(), 20)
        self.assertEqual(error["message"], "Invalid authentication token")
        await self.end(client)

    async def test_namespaces(self):
        client = socketio.AsyncClient(reconnection=False)
        await client.connect(echo.url, namespaces=["/custom", "/dyn-7"])
        for nsp in ("/custom", "/dyn-7"):
            self.assertEqual((await client.call("who", namespace=nsp))["nsp"], nsp)
        await self.end(client)

    @staticmethod
    async def end(client):
        await client.disconnect()
        await client.wait()
        if client.eio.http and not client.eio.http.closed:
            await client.eio.http.close()


def add(name, way):
    def make(what):
        async def run_async(self):
            await getattr(self, what)(way)
        return lambda self: getattr(self, what)(way), run_async
    for what in ("check", "cut"):
        run, run_async = make(what)
        setattr(Sync, f"test_{what}_{name}", run)
        setattr(Async, f"test_{what}_{name}", run_async)


for way_name, transports in WAYS.items():
    add(way_name, transports)

if __name__ == "__main__":
    unittest.main(verbosity=2, warnings="ignore")
