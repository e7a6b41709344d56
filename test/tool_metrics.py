#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""tool_metrics.py: qcd metrics: what it prints, and what it serves to whom."""

import contextlib
import http.client
import os
import re
import select
import signal
import socket
import subprocess
import sys
import threading
import time
import unittest

import tool_box
from tool_box import (
    Case, DOWN, Gateway, GATEWAY, OK, SA, UP, lines, main, run, start,
)

PATIENCE = 8  # seconds that the gateway has for its answer
SCRAPE = 9.8  # Prometheus' patience is ten seconds
LIFETIME = 20  # of a connection
CONNECTIONS = 16
TYPE = "application/openmetrics-text; version=1.0.0; charset=utf-8"
WHOLE = lines(OK, GATEWAY, SA, UP, DOWN)
NOBODY = {"user": 65534, "group": 65534, "extra_groups": []}


class Hung:
    """A gateway that accepts and reads, and answers when it is let go."""

    def __init__(self):
        self.go = threading.Event()
        self.asked = threading.Event()

    def __call__(self, connection):
        self.asked.set()
        self.go.wait(60)


class Print(Case):
    def test_text(self):
        result, gateway = self.ask(WHOLE, "metrics")
        self.assertEqual((result.code, result.err), (0, ""))
        self.assertEqual(gateway.asked, [b"status\n"])
        self.assertTrue(result.out.endswith("\n# EOF\n"))
        for line in ("ipsec_qcd_up 1", "ipsec_qcd_taker 0",
                     'ipsec_qcd_events_total{event="told"} 99',
                     'ipsec_qcd_connection_tokens_sent{name="berlin"} 1',
                     'ipsec_qcd_connection_up{name="a-long-name"} 0'):
            self.assertIn(f"\n{line}\n", result.out)

    def test_nothing_is_printed_on_failure(self):
        rows = {
            "no gateway serves ": None,
            "the gateway refused: no": lines({"ok": False, "error": "no"}),
            "does not answer like a gateway": lines(OK),
            "not valid JSON": lines(OK, GATEWAY) + b"{\n",
            "in the middle of a line": lines(OK, GATEWAY, UP) + b"{",
        }
        for text, answer in rows.items():
            with self.subTest(text):
                if answer is None:
                    result = run("metrics", "--socket", self.path("none"))
                else:
                    result, _ = self.ask(answer, "metrics")
                self.check_failed(result, text)
                self.assertEqual(result.out, "")

    def test_full_disk(self):
        with Gateway(WHOLE) as gateway, open("/dev/full", "wb") as full:
            result = run("metrics", "--socket", gateway.path, stdout=full)
        self.check_failed(result, "cannot write the output")

    @unittest.skipIf(os.geteuid() != 0, "needs root")
    def test_without_root(self):
        tool = self.tool_for_all()
        with Gateway(WHOLE) as gateway:
            result = run("metrics", "--socket", gateway.path, executable=tool,
                         **NOBODY)
        self.check_failed(result, "only root may use the gateway")
        self.assertEqual(result.out, "")

    @unittest.skipIf(os.geteuid() != 0, "needs root")
    def test_root_without_capabilities(self):
        """As the systemd unit runs it."""
        with Gateway(WHOLE) as gateway:
            result = run("--bounding-set=-all", "--inh-caps=-all",
                         "--no-new-privs", tool_box.QCD, "metrics", "--socket",
                         gateway.path, executable="/usr/bin/setpriv")
        self.assertEqual((result.code, result.err), (0, ""))
        self.assertIn("\nipsec_qcd_up 1\n", result.out)

    def test_hung_gateway(self):
        hung = Hung()
        with Gateway(hung) as gateway:
            begin = time.monotonic()
            result = run("metrics", "--socket", gateway.path)
            took = time.monotonic() - begin
            hung.go.set()
        self.check_failed(result, "did not answer in time")
        self.assertGreater(took, PATIENCE - 0.5)
        self.assertLess(took, SCRAPE)

    def test_gateway_that_accepts_nobody(self):
        """Its queue is full, so that connecting waits as well."""
        with contextlib.ExitStack() as stack:
            deaf = stack.enter_context(socket.socket(socket.AF_UNIX))
            deaf.bind(self.path("deaf"))
            deaf.listen(0)
            first = stack.enter_context(socket.socket(socket.AF_UNIX))
            first.connect(self.path("deaf"))
            begin = time.monotonic()
            result = run("metrics", "--socket", self.path("deaf"))
        self.check_failed(result, "did not answer in time")
        self.assertLess(time.monotonic() - begin, SCRAPE)


class Names(Case):
    def plugin_events(self):
        path = os.path.join(tool_box.FOLDER, "..", "plugin", "qcd_events.c")
        with open(path, encoding="ascii") as source:
            return re.findall(r'\] = (?:LOGGED\(|\{ )"(\w+)"', source.read())

    def test_every_event_of_the_plugin(self):
        names = self.plugin_events()
        self.assertGreater(len(names), 10)
        gateway = {"type": "gateway", **{n: i for i, n in enumerate(names)}}
        result, _ = self.ask(lines(OK, gateway), "metrics")
        found = re.findall(r'ipsec_qcd_events_total\{event="(\w+)"\} (\d+)',
                           result.out)
        self.assertEqual(found, [(n, str(i)) for i, n in enumerate(names)])

    def test_every_metric_is_in_the_manual(self):
        result, _ = self.ask(tool_box.lines(*tool_box.EVERYTHING), "metrics")
        names = re.findall(r"# TYPE ipsec_qcd_(\w+) (\w+)", result.out)
        self.assertGreater(len(names), 15)
        path = os.path.join(tool_box.FOLDER, "man", "qcd-metrics.8")
        with open(path, encoding="ascii") as file:
            page = file.read()
        for name, kind in names:
            total = "_total" if kind == "counter" else ""
            self.assertRegex(page, rf"\b{name}{total}\b")


def free_port():
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return sock.getsockname()[1]


def close_standard_files():
    for number in range(3):
        os.close(number)


def response_at(port):
    """The octets of the first response of a server that is starting."""
    end = time.monotonic() + 20
    while True:
        try:
            with socket.create_connection(("127.0.0.1", port), 20) as sock:
                sock.sendall(b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n")
                return sock.makefile("rb").read()
        except ConnectionRefusedError:
            if time.monotonic() > end:
                raise
            time.sleep(0.02)


class NoStandardFiles(Case):
    def test_clients_get_no_messages(self):
        """The socket of a client does not become standard error."""
        port = free_port()
        with subprocess.Popen(
                [tool_box.QCD, "metrics", "--listen", f"127.0.0.1:{port}",
                 "--socket", self.path("none")],
                preexec_fn=close_standard_files) as server:
            try:
                self.assertTrue(response_at(port).startswith(b"HTTP/1.1 200 "))
            finally:
                server.terminate()


class Server:
    """qcd metrics --listen, at a port that was free."""

    def __init__(self, gateway, host="127.0.0.1", **more):
        self.host = host
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with socket.socket(family) as sock:
            sock.bind((host, 0))
            self.port = sock.getsockname()[1]
        shown = f"[{host}]" if ":" in host else host
        self.address = f"{shown}:{self.port}"
        self.process = start("metrics", "--socket", gateway, "--listen",
                             self.address, **more)

    def __enter__(self):
        line = self.process.stderr.readline().decode()
        assert line == f"qcd: serving http://{self.address}/metrics\n", line
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()

    def end(self, how=signal.SIGTERM):
        """End it; return its exit status and what else it said."""
        self.process.send_signal(how)
        _, said = self.process.communicate(timeout=60)
        return self.process.returncode, said.decode()

    def get(self, path="/metrics", method="GET", body=None):
        connection = http.client.HTTPConnection(self.host, self.port,
                                                timeout=60)
        with contextlib.closing(connection):
            connection.request(method, path, body)
            response = connection.getresponse()
            return response, response.read().decode()

    def connect(self):
        return socket.create_connection((self.host, self.port), timeout=60)


class Serve(Case):
    def test_metrics(self):
        printed, _ = self.ask(WHOLE, "metrics")
        for host in ("127.0.0.1", "127.7.7.7", "::1"):
            if host == "::1" and not os.path.exists("/proc/net/if_inet6"):
                continue
            with self.subTest(host), Gateway(WHOLE) as gateway, \
                    Server(gateway.path, host) as server:
                response, text = server.get()
                self.assertEqual(response.status, 200)
                self.assertEqual(response.headers["Content-Type"], TYPE)
                self.assertEqual(text, printed.out)
                self.assertEqual(gateway.asked, [b"status\n"])
                self.assertEqual(server.end(), (0, ""))

    def test_other_requests(self):
        rows = [("/", "GET", 404), ("/metrics/", "GET", 404),
                ("/metrics/..", "GET", 404), ("/METRICS", "GET", 404),
                ("/metrics", "POST", 405), ("/metrics", "PUT", 405),
                ("/metrics", "DELETE", 405), ("/", "OPTIONS", 405),
                ("/metrics", "BREW", 405)]
        with Gateway(WHOLE) as gateway, Server(gateway.path) as server:
            for path, method, status in rows:
                with self.subTest(path=path, method=method):
                    response, text = server.get(path, method)
                    self.assertEqual(response.status, status)
                    if status == 405:
                        self.assertEqual(response.headers["Allow"], "GET, HEAD")
            self.assertEqual(gateway.asked, [])
            response, text = server.get("/metrics", "HEAD")
            self.assertEqual((response.status, text), (200, ""))
            self.assertGreater(int(response.headers["Content-Length"]), 1000)
            self.assertEqual(server.get("/metrics?x=y")[0].status, 200)
            self.assertEqual(server.end(signal.SIGINT), (0, ""))

    def test_only_loopback(self):
        for address in ("0.0.0.0:9814", "192.0.2.1:9814", "[::]:9814",
                        "[2001:db8::1]:9814", "[::ffff:127.0.0.1]:9814",
                        "126.255.255.255:1", "128.0.0.0:1"):
            result = run("metrics", "--listen", address)
            self.assertEqual(result.code, 2)
            self.assertIn("addresses of loopback only", result.err)
            self.assertIn(address, result.err)

    def test_no_address(self):
        for address in ("9814", ":9814", "127.0.0.1", "127.0.0.1:",
                        "127.0.0.1:0", "127.0.0.1:65536", "127.0.0.1:+1",
                        "127.0.0.1: 1", "127.0.0.1:999999999999", "::1:9814",
                        "[::1]", "[::1]9814", "[127.0.0.1]:1", "[]:1",
                        "localhost:1", "[::1%lo]:1", 300 * "1" + ":1",
                        "127.0.0.1:1\x1b[m"):
            with self.subTest(address):
                result = run("metrics", "--listen", address)
                self.assertEqual(result.code, 2)
                self.assertIn("takes an IP address and a port", result.err)
                self.check_plain(result)

    def test_port_is_taken(self):
        with socket.socket() as other:
            other.bind(("127.0.0.1", 0))
            other.listen()
            port = other.getsockname()[1]
            result = run("metrics", "--listen", f"127.0.0.1:{port}")
        self.check_failed(result, "Address already in use")

    @unittest.skipIf(os.geteuid() != 0, "needs root")
    def test_without_root(self):
        """The metrics say that the gateway does not answer; the log says why."""
        tool = self.tool_for_all()
        with Gateway(WHOLE) as gateway, \
                Server(gateway.path, executable=tool, **NOBODY) as server:
            self.assertIn("\nipsec_qcd_up 0\n", server.get()[1])
            code, said = server.end()
        self.assertEqual(code, 0)
        self.assertIn("only root may use the gateway", said)

    def test_gateway_comes_and_goes(self):
        with Gateway(WHOLE) as gateway:
            path = gateway.path
            with Server(path + "-later") as server:
                for _ in range(3):
                    response, text = server.get()
                    self.assertEqual(response.status, 200)
                    self.assertIn("\nipsec_qcd_up 0\n# EOF\n", text)
                os.symlink(path, path + "-later")
                self.assertIn("\nipsec_qcd_up 1\n", server.get()[1])
                os.unlink(path + "-later")
                self.assertIn("\nipsec_qcd_up 0\n", server.get()[1])
                code, said = server.end()
        self.assertEqual(code, 0)
        self.assertEqual([line.split(" serves ")[0]
                          for line in said.splitlines()],
                         ["qcd: no gateway", "qcd: the gateway answers again",
                          "qcd: no gateway"])

    def test_half_an_answer_is_not_shown(self):
        with Gateway(lines(OK, GATEWAY) + b"{") as gateway, \
                Server(gateway.path) as server:
            self.assertIn("\nipsec_qcd_up 0\n# EOF\n", server.get()[1])


class Hostile(Case):
    def test_hung_gateway(self):
        """All requests have a response in time, and others need not wait."""
        hung = Hung()
        with Gateway(hung) as gateway, Server(gateway.path) as server:
            got = []
            begin = time.monotonic()
            threads = [threading.Thread(target=lambda: got.append(server.get()))
                       for _ in range(6)]
            for thread in threads:
                thread.start()
            self.assertTrue(hung.asked.wait(30))
            self.assertEqual(server.get("/other")[0].status, 404)
            self.assertLess(time.monotonic() - begin, PATIENCE)
            for thread in threads:
                thread.join(60)
            took = time.monotonic() - begin
            hung.go.set()
            self.assertEqual(len(got), 6)
            for response, text in got:
                self.assertEqual(response.status, 200)
                self.assertIn("\nipsec_qcd_up 0\n", text)
            # The first one, and one for all that came while it waited.
            self.assertLess(took, 2 * SCRAPE)
            self.assertEqual(server.end()[0], 0)

    def test_large_requests(self):
        with Gateway(WHOLE) as gateway, Server(gateway.path) as server:
            for request in (
                    b"GET /metrics HTTP/1.1\r\nX: " + 1000000 * b"x",
                    b"GET /" + 1000000 * b"x" + b" HTTP/1.1\r\n\r\n",
                    b"GET /metrics HTTP/1.1\r\n" + 100000 * b"X: y\r\n",
                    b"POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: "
                    b"1000000\r\n\r\n" + 1000000 * b"x",
                    b"\0" * 1000000, b"\n" * 100000):
                with server.connect() as sock, contextlib.suppress(OSError):
                    sock.sendall(request)
                    self.assertNotIn(b" 200 ", sock.recv(100))
            self.assertEqual(gateway.asked, [])
            self.assertEqual(server.get()[0].status, 200)
            with open(f"/proc/{server.process.pid}/statm",
                      encoding="ascii") as file:
                resident = int(file.read().split()[1])
            self.assertLess(resident * os.sysconf("SC_PAGE_SIZE"), 200 << 20)

    def test_client_that_does_not_read(self):
        many = [dict(UP, name=f"c{i}") for i in range(10000)]
        with Gateway(lines(OK, GATEWAY, *many)) as gateway, \
                Server(gateway.path) as server:
            with server.connect() as lazy:
                lazy.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
                lazy.recv(1)
                begin = time.monotonic()
                _, text = server.get()
                self.assertLess(time.monotonic() - begin, PATIENCE)
            self.assertEqual(text.count("ipsec_qcd_connection_up{"), 10000)

    def test_slow_clients(self):
        """They use all connections and are never idle, but not for long."""
        with Gateway(WHOLE) as gateway, Server(gateway.path) as server, \
                contextlib.ExitStack() as stack:
            begin = time.monotonic()
            slow = [stack.enter_context(server.connect())
                    for _ in range(CONNECTIONS)]
            ended = threading.Event()
            stack.callback(ended.set)
            trickle = threading.Thread(target=self.trickle, args=(slow, ended))
            trickle.start()
            stack.callback(trickle.join)
            stack.callback(ended.set)
            text = self.wait_metrics(server, begin + LIFETIME + 30)
            took = time.monotonic() - begin
            self.assertIn("\nipsec_qcd_up 1\n", text)
            self.assertGreater(took, LIFETIME - 2, "the places were not used")

    @staticmethod
    def trickle(socks, ended):
        while not ended.wait(1):
            for sock in socks:
                with contextlib.suppress(OSError):
                    sock.send(b"G", socket.MSG_NOSIGNAL)

    @staticmethod
    def wait_metrics(server, until):
        while time.monotonic() < until:
            with contextlib.suppress(OSError, http.client.HTTPException):
                return server.get()[1]
            select.select([], [], [], 0.5)
        return ""


if __name__ == "__main__":
    sys.exit(main())
