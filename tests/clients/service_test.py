# SPDX-License-Identifier: Apache-2.0
"""Under a service manager: sockets that it holds, what it is told, signs of life."""
import os
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import unittest
import urllib.request

BIN = os.path.abspath(os.environ.get("TIDEWIRE_BIN", "build/tidewire"))
LOOPS = os.environ.get("TIDEWIRE_LOOPS", "2")


class Service(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.folder)
        self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(self.notify.close)
        self.notify.settimeout(60)
        self.notify_path = os.path.join(self.folder, "notify")
        self.notify.bind(self.notify_path)

    def start(self, *args, listener=None, **env):
        clean = {k: v for k, v in os.environ.items()
                 if k == "TIDEWIRE_FLUSH" or not k.startswith("TIDEWIRE_")}
        clean.update(NOTIFY_SOCKET=self.notify_path, TIDEWIRE_AUTH_ANONYMOUS="true", **env)
        command = [BIN, "serve", f"--loops={LOOPS}", "--data", self.folder, *args]
        fds = ()
        if listener is not None:  # descriptor 3, as sd_listen_fds(3) says; the pid is the shell's
            clean["LISTEN_FDS"] = "1"
            command = ["sh", "-c", f'exec 3<&{listener.fileno()}; LISTEN_PID=$$ exec "$@"', "sh",
                       *command]
            fds = (listener.fileno(),)
        self.child = subprocess.Popen(command, cwd=self.folder, env=clean, pass_fds=fds,
                                      stderr=subprocess.DEVNULL)
        self.addCleanup(self.child.kill)

    def told(self):
        return self.notify.recv(4096).decode().splitlines()

    def wait_for(self, word):
        while word not in (lines := self.told()):
            pass
        return lines

    def test_ready_reload_and_stop_are_told(self):
        self.start("--listen", "127.0.0.1:0")
        self.assertIn("READY=1", self.told())
        self.child.send_signal(signal.SIGHUP)
        reloading = self.told()
        self.assertIn("RELOADING=1", reloading)
        self.assertTrue(any(line.startswith("MONOTONIC_USEC=") for line in reloading))
        self.assertIn("READY=1", self.told())
        self.child.send_signal(signal.SIGTERM)
        self.assertIn("STOPPING=1", self.told())
        self.assertEqual(self.child.wait(60), 0)

    def test_signs_of_life_come_when_they_are_wanted(self):
        self.start("--listen", "127.0.0.1:0", WATCHDOG_USEC="100000")
        self.wait_for("READY=1")
        for _ in range(3):
            self.assertIn("WATCHDOG=1", self.told())
        self.child.send_signal(signal.SIGTERM)
        self.assertEqual(self.child.wait(60), 0)

    def test_a_socket_of_the_manager_takes_the_place_of_the_address(self):
        listener = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(listener.close)
        port = listener.getsockname()[1]
        self.start("--listen", "127.0.0.1:1", listener=listener)
        self.wait_for("READY=1")
        for _ in range(8):
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/health/ready") as answer:
                self.assertEqual(answer.status, 200)
        self.child.send_signal(signal.SIGTERM)
        self.assertEqual(self.child.wait(60), 0)
        # It is still the manager's: who comes now waits for the next server.
        waiting = socket.create_connection(("127.0.0.1", port), 20)
        waiting.close()

    def certificate(self, name):
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt",
                        "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", f"/CN={name}",
                        "-keyout", os.path.join(self.folder, "key.pem"),
                        "-out", os.path.join(self.folder, "cert.pem")],
                       check=True, capture_output=True)

    def seen_certificate(self, port):
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        with socket.create_connection(("127.0.0.1", port), 20) as plain:
            with context.wrap_socket(plain) as tls:
                tls.sendall(b"GET /health/live HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
                self.assertTrue(tls.recv(4096).startswith(b"HTTP/1.1 200 "))
                return tls.getpeercert(binary_form=True)

    def test_certificates_are_read_anew_and_a_bad_one_changes_nothing(self):
        listener = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(listener.close)
        port = listener.getsockname()[1]
        self.certificate("one")
        self.start("--tls.cert_file=cert.pem", "--tls.key_file=key.pem", listener=listener)
        self.wait_for("READY=1")
        one = self.seen_certificate(port)
        self.certificate("two")
        self.child.send_signal(signal.SIGHUP)
        self.wait_for("RELOADING=1")
        self.wait_for("READY=1")
        two = self.seen_certificate(port)
        self.assertNotEqual(one, two)
        with open(os.path.join(self.folder, "cert.pem"), "w") as f:
            f.write("nonsense")
        self.child.send_signal(signal.SIGHUP)
        self.wait_for("RELOADING=1")
        self.wait_for("READY=1")
        self.assertEqual(self.seen_certificate(port), two)
        self.child.send_signal(signal.SIGTERM)
        self.assertEqual(self.child.wait(60), 0)

    def test_descriptors_for_somebody_else_are_left_alone(self):
        self.start("--listen", "127.0.0.1:0", LISTEN_FDS="1", LISTEN_PID="1")
        self.wait_for("READY=1")
        self.child.send_signal(signal.SIGTERM)
        self.assertEqual(self.child.wait(60), 0)


unittest.main()
