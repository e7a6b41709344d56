#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""tool_gateway.py: the qcd command and what a gateway answers, or does not."""

import json
import os
import signal
import socket
import sys
import threading
import time
import unittest

from tool_box import (
    Case, DOWN, EVENT, Gateway, GATEWAY, OK, SA, UP, lines, main, run, start,
)


class Status(Case):
    def test_tables(self):
        result, gateway = self.ask(lines(OK, GATEWAY, SA, UP, DOWN), "status")
        self.assertEqual(result.code, 0, result.err)
        self.assertEqual(gateway.asked, [b"status\n"])
        self.assertEqual(result.out, """\
gateway
  token maker    on
  token taker    off
  node           3
  run            57
  generations    2
  newest secret  3d 4h
  requests       1234
  told           99
  limited        1
  no evidence    1134
  verified       5
  mismatched     2
  recovered      4
  waiting        0

CONNECTION   STATE  IKE_SAS  LAST_RECOVERY
berlin       up     1        -
a-long-name  down   0        2023-11-14T23:13:20+01:00

CONNECTION  ID  STATE        LOCAL           REMOTE            SENT  HELD  \
GENERATION  LAST_RECOVERY  SPI_I             SPI_R
berlin      7   ESTABLISHED  10.0.0.1[4500]  2001:db8::1[500]  yes   no    \
1           -              0011223344556677  8899aabbccddeeff
""")
        self.assertEqual(result.err, "")

    def test_errors(self):
        """They are whole sentences below the table, safe for a terminal."""
        maker = {"type": "gateway", "maker": False, "taker": True,
                 "maker_error": "cannot read \x1b[2J. " + "Check it. " * 20}
        result, _ = self.ask(lines(OK, maker), "status")
        self.assertEqual(result.code, 0, result.err)
        self.assertEqual(result.out.split("\n\n")[:2], [
            "gateway\n  token maker  off\n  token taker  on",
            "The token maker is off: cannot read \\x1b[2J. "
            + "Check it. " * 20,
        ])
        samap = {**GATEWAY, "map_error": "cannot write it: no space is left",
                 "map_error_since": 1700000000}
        result, _ = self.ask(lines(OK, samap), "status")
        self.assertEqual(
            result.out.split("\n\n")[1],
            "The SA map can't be written since 2023-11-14T23:13:20+01:00, so "
            "after a crash ESP of newer child SAs gets no reply: cannot write "
            "it: no space is left")
        self.assertNotIn("map error", result.out)

    def test_json(self):
        objects = [OK, GATEWAY, SA, UP, {"type": "later", "x": [1.5, {}]}]
        result, _ = self.ask(lines(*objects), "status", "--json")
        self.assertEqual(result.code, 0, result.err)
        self.assertEqual(result.objects, objects)
        self.assertIn('"type":"gateway","maker":true', result.out)

    def test_scheme_of_the_socket(self):
        with Gateway(lines(OK)) as gateway:
            result = run("status", "--socket=unix://" + gateway.path)
        self.assertEqual(result.code, 0, result.err)

    def test_nothing_configured(self):
        result, _ = self.ask(lines(OK, {"type": "gateway"}), "status")
        self.assertEqual(result.code, 0)
        self.assertTrue(result.out.startswith("gateway\n\nCONNECTION "))
        self.assertNotIn("SPI_I", result.out)

    def test_many_sas(self):
        many = [dict(SA, id=i) for i in range(5000)]
        result, _ = self.ask(lines(OK, GATEWAY, *many), "status")
        self.assertEqual(result.code, 0, result.err)
        self.assertEqual(result.out.count("ESTABLISHED"), 5000)

    def test_refused(self):
        bad = {"ok": False, "error": "no such\x1b[2J command"}
        result, _ = self.ask(lines(bad), "status")
        self.check_failed(result, r"the gateway refused: no such\x1b[2J command")
        result, _ = self.ask(lines(bad), "status", "--json")
        self.assertEqual(result.code, 1)
        self.assertEqual(result.objects[0]["ok"], False)
        self.assertIn("refused", result.objects[0]["error"])

    def test_full_disk(self):
        with Gateway(lines(OK, GATEWAY)) as gateway, \
                open("/dev/full", "wb") as full:
            result = run("status", "--socket", gateway.path, stdout=full)
        self.check_failed(result, "cannot write the output")


class Unreachable(Case):
    def test_absent(self):
        for command in ("status", "events", "secret show", "secret rotate"):
            with self.subTest(command):
                result = run(*command.split(), "--socket", self.path("none"))
                self.check_failed(result, "no gateway serves ")
                self.assertEqual(result.out, "")

    def test_absent_json(self):
        result = run("status", "--json", "--socket", self.path("none"))
        self.check_failed(result, "no gateway serves ")
        self.assertEqual(len(result.objects), 1)
        self.assertIs(result.objects[0]["ok"], False)

    def test_left_by_a_crash(self):
        dead = socket.socket(socket.AF_UNIX)
        dead.bind(self.path("dead"))
        dead.close()
        self.check_failed(run("status", "--socket", self.path("dead")),
                          "no gateway serves ")

    def test_no_socket(self):
        path = self.write("file", "")
        self.assertEqual(run("status", "--socket", path).code, 1)
        self.check_failed(run("status", "--socket", "/" + 200 * "x"),
                          "the path of the socket is too long")

    def test_bad_path(self):
        """A path is as little to be trusted as a name."""
        for path in (b"/\x1b[31m", b"/\xff", "/ü".encode()):
            result = run("status", "--json", "--socket", path)
            self.assertEqual(result.code, 1)
            self.check_plain(result)
            self.assertIs(result.objects[0]["ok"], False)

    @unittest.skipIf(os.geteuid() != 0, "needs root")
    def test_without_root(self):
        tool = self.tool_for_all()
        self.import_text()
        nobody = {"user": 65534, "group": 65534, "extra_groups": []}
        with Gateway(lines(OK)) as gateway:
            result = run("status", "--socket", gateway.path, executable=tool,
                         **nobody)
            self.check_failed(result, "only root may use the gateway")
            self.assertIn("sudo", result.err)
            self.assertEqual(gateway.asked, [])
        for command in ("show", "export", "adopt", "import"):
            result = run("secret", command, "--state-dir", self.state,
                         executable=tool, **nobody)
            self.check_failed(result, "only root may use the secrets")


class Hostile(Case):
    def test_names_do_not_steer_the_terminal(self):
        for name in ("\x1b]0;owned\x07", "\x9b31m", "a\nb", "\u202etxt.exe",
                     "\x7f\x7f", "zürich", "\U0001f600"):
            with self.subTest(name=name):
                answer = lines(OK, {"type": "gateway", name: 1},
                               dict(UP, name=name), dict(SA, remote=name))
                result, _ = self.ask(answer, "status")
                self.assertEqual(result.code, 0, result.err)
                self.check_plain(result)
                self.assertIn("\\x", result.out)
                result, _ = self.ask(answer, "status", "--json")
                self.check_plain(result)
                self.assertEqual(result.objects[2]["name"], name)
                event = dict(EVENT, event=name, connection=name)
                result, _ = self.ask(lines(OK, event), "events")
                self.check_plain(result)
                self.assertIn("\\x", result.out)

    def test_long_name(self):
        result, _ = self.ask(lines(OK, dict(UP, name=60000 * "x")), "status")
        self.assertEqual(result.code, 0, result.err)
        self.assertLess(len(result.out), 500)

    def test_broken_answers(self):
        rows = {
            "nothing": b"",
            "no end of the first line": b'{"ok":true}',
            "no JSON": b"hello\n",
            "an empty line": b"\n",
            "an array": b"[]\n",
            "two objects in a line": b"{}{}\n",
            "no ok": b"{}\n",
            "ok is no boolean": b'{"ok":1}\n',
            "ok twice": b'{"ok":false,"ok":true}\n',
            "no UTF-8": b'{"ok":true,"x":"\xff"}\n',
            "a NUL": b'{"ok":true,\0"x":1}\n',
            "a NUL in a string": b'{"ok":true,"x":"\\u0000"}\n',
            "too deep": b'{"ok":true,"x":' + 30000 * b"[" + b"\n",
            "a line without an end": 100000 * b"x",
            "a number that is too big": b'{"ok":true,"x":' + 50 * b"9" + b"}\n",
        }
        for name, answer in rows.items():
            for words in (["status"], ["status", "--json"], ["events"],
                          ["secret", "rotate"]):
                with self.subTest(name=name, words=words):
                    result, _ = self.ask(answer, *words)
                    self.assertEqual(result.code, 1, result.err)
                    self.assertRegex(result.err, "the gateway|does not answer like")
                    self.check_plain(result)

    def test_breaks_off(self):
        for rest in (b"{", lines(GATEWAY)[:-1], b"hello\n", b"\n"):
            with self.subTest(rest=rest):
                result, _ = self.ask(lines(OK, UP) + rest, "status")
                self.assertEqual(result.code, 1)
                self.assertEqual(result.out, "")
                result, _ = self.ask(lines(OK, UP) + rest, "status", "--json")
                self.assertEqual(result.code, 1)
                self.assertEqual(result.objects[:2], [OK, UP])
                self.assertIs(result.objects[2]["ok"], False)

    def test_wrong_types(self):
        wrong = [None, True, 1, -1, 2**63 - 1, -2**63, 1.5, 1e300, "x", [], {}]
        for value in wrong:
            with self.subTest(value=value):
                objects = [{key: value if key != "type" else kind[key]
                            for key in kind}
                           for kind in (GATEWAY, SA, UP, EVENT)]
                for words in (["status"], ["secret", "show"],
                              ["secret", "rotate"]):
                    extra = [{"type": value}, {"type": "rotated"},
                             {"type": "generation", "generation": value,
                              "made_at": value}]
                    result, _ = self.ask(lines(OK, *objects, *extra), *words)
                    self.assertEqual(result.code, 0, result.err)
                result, _ = self.ask(lines(OK, *objects), "events")
                self.check_failed(result, "the gateway stopped")

    def test_an_octet_at_a_time(self):
        def drip(connection):
            for octet in lines(OK, GATEWAY, UP):
                connection.sendall(bytes([octet]))
                time.sleep(0.0005)
        result, _ = self.ask(drip, "status")
        self.assertEqual(result.code, 0, result.err)
        self.assertIn("berlin", result.out)

    def test_reset(self):
        def reset(connection):
            connection.sendall(lines(OK))
            raise OSError("left")
        result, _ = self.ask(reset, "status")
        self.assertEqual(result.code, 0)  # a short answer is an answer

    def test_silent(self):
        begin = time.monotonic()
        leave = threading.Event()
        with Gateway(lambda connection: leave.wait(60)) as gateway:
            result = run("status", "--socket", gateway.path)
            leave.set()
        self.check_failed(result, "did not answer in time")
        self.assertLess(time.monotonic() - begin, 20)

    def test_endless(self):
        def flood(connection):
            block = 500 * lines(UP)
            while True:
                connection.sendall(block)
        result, _ = self.ask(lambda c: (c.sendall(lines(OK)), flood(c)),
                             "status", "--json")
        self.check_failed(result, "answer is too long")


class Events(Case):
    def open(self, *words, **more):
        """Run events, and hand out the end that the gateway writes to."""
        self.go = threading.Event()
        self.connections = []

        def keep(connection):
            connection.sendall(lines(OK))
            self.connections.append(connection)
            self.go.wait(60)
        gateway = Gateway(keep)
        self.addCleanup(gateway.__exit__)
        self.addCleanup(self.go.set)
        gateway.__enter__()
        process = start("events", *words, "--socket", gateway.path, **more)
        self.addCleanup(process.communicate)
        self.addCleanup(process.kill)
        while not self.connections:
            self.assertIsNone(process.poll())
            time.sleep(0.01)
        return process, self.connections[0]

    def test_a_line_each_at_once(self):
        process, gateway = self.open()
        for number in range(3):
            gateway.sendall(lines(dict(EVENT, suppressed=number)))
            line = process.stdout.readline().decode()
            self.assertEqual(line, (
                "2023-11-14T23:13:20.123+01:00  verified  connection berlin  "
                "peer 10.0.0.1[500]  spi_i 0011223344556677  "
                "spi_r 8899aabbccddeeff"
                + ("" if number == 0 else f"  ({number} more before)") + "\n"))

    def test_seconds_with_a_fraction(self):
        process, gateway = self.open()
        for value in (1700000000, 1700000000.123):
            gateway.sendall(lines({"type": "event", "time": value,
                                   "event": "rotated"}))
            fraction = ".123" if value % 1 else ".000"
            self.assertEqual(process.stdout.readline().decode(),
                             f"2023-11-14T23:13:20{fraction}+01:00  rotated\n")

    def test_json(self):
        process, gateway = self.open("--json")
        self.assertEqual(json.loads(process.stdout.readline()), OK)
        gateway.sendall(lines(EVENT))
        self.assertEqual(json.loads(process.stdout.readline()), EVENT)

    def test_the_gateway_stops(self):
        process, gateway = self.open()
        gateway.sendall(lines(EVENT) + b'{"type":')
        self.go.set()
        out, err = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 1)
        self.assertIn(b"verified", out)
        self.assertIn(b"the gateway stopped", err)

    def test_the_reader_leaves(self):
        """Without waiting for an event that may never come."""
        process, _ = self.open()
        process.stdout.close()
        self.assertEqual(process.wait(timeout=60), 0)
        process.stdout = None

    def test_interrupted(self):
        process, _ = self.open()
        process.send_signal(signal.SIGINT)
        self.assertEqual(process.wait(timeout=60), -signal.SIGINT)

    def test_full_disk(self):
        with open("/dev/full", "wb") as full:
            process, gateway = self.open(stdout=full)
            gateway.sendall(lines(EVENT))
            self.assertEqual(process.wait(timeout=60), 1)
            self.assertIn(b"cannot write the output", process.stderr.read())


if __name__ == "__main__":
    sys.exit(main())
