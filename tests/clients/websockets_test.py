# SPDX-License-Identifier: Apache-2.0
"""The Python `websockets` package as a client: the plain dialect, compression, fragments, binary
frames, pings, the close handshake and coming back."""
import asyncio
import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import unittest

try:
    import websockets.exceptions
except ModuleNotFoundError:  # another python3 stands before Debian's
    if sys.executable == "/usr/bin/python3":
        raise
    os.execv("/usr/bin/python3", ["/usr/bin/python3"] + sys.argv)

BIN = os.path.abspath(os.environ.get("TIDEWIRE_BIN", "build/tidewire"))
LOOPS = os.environ.get("TIDEWIRE_LOOPS", "2")


class PythonWebsockets(unittest.IsolatedAsyncioTestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp()
        env = {k: v for k, v in os.environ.items()
               if k == "TIDEWIRE_FLUSH" or not k.startswith("TIDEWIRE_")}
        cls.child = subprocess.Popen(
            [BIN, "dev", "--listen", "127.0.0.1:0", "--data", cls.folder, f"--loops={LOOPS}"],
            cwd=cls.folder, env=env, stderr=subprocess.DEVNULL)
        path, end = os.path.join(cls.folder, "dev.env"), time.monotonic() + 60
        while not os.path.exists(path) and cls.child.poll() is None and time.monotonic() < end:
            time.sleep(0.02)
        with open(path) as f:
            cls.env = dict(line.strip().split("=", 1) for line in f if "=" in line)
        cls.url = cls.env["TIDEWIRE_URL"].replace("http", "ws", 1) + "/socket"

    @classmethod
    def tearDownClass(cls):
        cls.child.terminate()
        code = cls.child.wait(60)
        shutil.rmtree(cls.folder)
        assert code == 0, code

    async def connect(self, query="?session=none", **options):
        ws = await websockets.connect(self.url + query, open_timeout=30, **options)
        self.connected = await self.next(ws, "connected")
        return ws

    @contextlib.asynccontextmanager
    async def open(self, *args, **options):
        ws = await self.connect(*args, **options)
        try:
            yield ws
        finally:
            await ws.close()

    def extensions(self, ws):  # Debian 12 has version 10, Debian 13 has 15
        headers = ws.response_headers if hasattr(ws, "response_headers") else ws.response.headers
        return headers.get("Sec-WebSocket-Extensions", "")

    async def next(self, ws, kind):
        while True:
            frame = json.loads(await asyncio.wait_for(ws.recv(), 30))
            if frame["type"] == kind:
                return frame

    async def ask(self, ws, kind, **frame):
        await ws.send(json.dumps(frame))
        return await self.next(ws, kind)

    async def test_talks_and_listens(self):
        async with self.open() as one, self.open() as two:
            for ws in (one, two):
                await self.ask(ws, "subscribed", type="subscribe", channel="py")
            await one.send(json.dumps({"type": "message", "content": {"text": "grüße 🌊"}}))
            for ws in (one, two):
                message = await self.next(ws, "message")
                self.assertEqual(message["content"], {"text": "grüße 🌊"})
                self.assertEqual(message["channel"], "py")

    async def test_compression_is_agreed_and_a_large_message_is_the_same(self):
        text = "tidewire " * 20000
        async with self.open() as ws:
            self.assertIn("permessage-deflate", self.extensions(ws))
            await self.ask(ws, "subscribed", type="subscribe", channel="large")
            answer = await self.ask(ws, "message", type="message", channel="large", content=text)
            self.assertEqual(answer["content"], text)
        async with self.open(compression=None) as ws:
            self.assertEqual(self.extensions(ws), "")
            await ws.send(json.dumps({"type": "subscribe", "channel": "large", "history": 1}))
            self.assertEqual((await self.next(ws, "message"))["content"], text)

    async def test_a_message_in_fragments_and_one_of_bytes(self):
        async with self.open() as ws:
            await self.ask(ws, "subscribed", type="subscribe", channel="bytes")
            await ws.send(['{"type":"message",', '"content":', '[1,2,3]}'])
            self.assertEqual((await self.next(ws, "message"))["content"], [1, 2, 3])
            await ws.send(b"\x05bytes\x04blob" + bytes(range(256)))
            frame = await asyncio.wait_for(ws.recv(), 30)
            self.assertEqual(frame[:11], b"\x05bytes\x04blob")
            self.assertEqual(int.from_bytes(frame[11:19], "big"), 2)
            self.assertEqual(frame[19:], bytes(range(256)))

    async def test_pings_are_answered_and_a_close_is_given_back(self):
        ws = await self.connect()
        await asyncio.wait_for(await ws.ping(b"are you there"), 30)
        await ws.close(1000, "done")
        self.assertEqual((ws.close_code, ws.close_reason), (1000, ""))

    async def test_what_is_said_while_it_is_away_comes_when_it_is_back(self):
        ws = await self.connect("")
        session = f"?session={self.connected['session']}.{self.connected['ticket']}"
        await self.ask(ws, "subscribed", type="subscribe", channel="away")
        ws.transport.abort()
        async with self.open() as other:
            for n in range(5):
                await self.ask(other, "ack", type="message", channel="away", content=n, ref=n)
        async with self.open(session) as ws:
            self.assertTrue(self.connected["recovered"])
            got = [(await self.next(ws, "message"))["content"] for _ in range(5)]
            self.assertEqual(got, list(range(5)))

    async def test_a_bad_token_is_an_answer_of_http(self):
        with self.assertRaisesRegex(
                websockets.exceptions.InvalidHandshake, "HTTP 401"):
            await websockets.connect(self.url + "?token=x.y.z", open_timeout=30)


unittest.main()
