#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""tool.py QCD FOLDER: the qcd command, against a gateway that is played.

FOLDER is the one of its manual pages and its completion.
"""

import contextlib
import fcntl
import json
import os
import pty
import re
import resource
import select
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import threading
import time
import unittest

QCD = ""
FOLDER = ""

PASSPHRASE = "correct horse battery"

# Made by the first version that could, but at a lower cost; every later one
# must read it.
EXPORT = """\
-----BEGIN QCD SECRETS-----
UUNEc2hhcgoAAQAAALsAAAABAAAAAUi1f9GvUUGJ6B3q2IKETOLIC5myVuFDmKnm
WEAb6FMVxvfSLqu0JH7Mr1BYbnY0CT13J7Bu5TrPo7c2hTF9fDiGj4tHKtBmxDjh
bbubcvtEZPB6+owPXC0oJ+z1auAnQVWr6+ajP3JY3C24U0O2AOArUum2/3h94e9b
4lItgmdw7SiP/V53OXYEHEy5L9FKzODZL1ih1Ly5CuoDUWff2t8n8xgy/qHA0VlX
SQRHYY32UjrAHD/Mh14PpTrhx/aSdXoQqJi+bvnpcCT6wiRxcW68fPo=
-----END QCD SECRETS-----
"""

GATEWAY = {
    "type": "gateway", "maker": True, "taker": False, "node": 3, "run": 57,
    "generations": 2, "newest_age": 273600, "requests": 1234, "told": 99,
    "limited": 1, "no_evidence": 1134, "verified": 5, "mismatched": 2,
    "recovered": 4, "waiting": 0,
}
UP = {"type": "connection", "name": "berlin", "state": "up", "ike_sas": 1}
DOWN = {"type": "connection", "name": "a-long-name", "state": "down",
        "ike_sas": 0, "last_recovery": 1700000000}
SA = {
    "type": "sa", "connection": "berlin", "id": 7, "spi_i": "0011223344556677",
    "spi_r": "8899aabbccddeeff", "local": "10.0.0.1[4500]",
    "remote": "2001:db8::1[500]", "state": "ESTABLISHED", "token_sent": True,
    "token_held": False, "generation": 1, "last_recovery": None,
}
EVENT = {
    "type": "event", "time_ms": 1700000000123, "event": "verified",
    "connection": "berlin", "peer": "10.0.0.1[500]",
    "spi_i": "0011223344556677", "spi_r": "8899aabbccddeeff", "suppressed": 3,
}
OK = {"ok": True}


def lines(*objects):
    return b"".join(json.dumps(o).encode() + b"\n" for o in objects)


class Gateway:
    """A gateway that gives one answer to each client."""

    def __init__(self, answer, mode=0o600):
        self.folder = tempfile.mkdtemp(prefix="qcd-tool-")
        os.chmod(self.folder, 0o755)
        self.path = os.path.join(self.folder, "ctl")
        self.answer = answer
        self.asked = []
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.bind(self.path)
        os.chmod(self.path, mode)
        self.socket.listen()
        self.thread = threading.Thread(target=self.serve, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()
        self.thread.join()
        shutil.rmtree(self.folder)

    def serve(self):
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            with connection, contextlib.suppress(OSError):
                self.asked.append(self.read_line(connection))
                # As the plugin does: who stops writing has left.
                if not select.select([connection], [], [], 0.01)[0]:
                    self.give(connection)

    @staticmethod
    def read_line(connection):
        line = b""
        while not line.endswith(b"\n") and len(line) < 100:
            line += connection.recv(1) or b"\n(left)\n"
        return line

    def give(self, connection):
        if callable(self.answer):
            self.answer(connection)
        else:
            connection.sendall(self.answer)


def start(*words, **more):
    environment = dict(os.environ, TZ="EAST-1", LC_ALL="C.UTF-8")
    return subprocess.Popen(
        [QCD, *words], stdin=more.pop("stdin", subprocess.DEVNULL),
        stdout=more.pop("stdout", subprocess.PIPE), stderr=subprocess.PIPE,
        env=environment, start_new_session=True, **more)


class Result:
    def __init__(self, code, out, err):
        self.code, self.out, self.err = code, out.decode(), err.decode()

    @property
    def objects(self):
        return [json.loads(line) for line in self.out.splitlines()]


def run(*words, text=None, **more):
    if text is not None:
        more["stdin"] = subprocess.PIPE
    process = start(*words, **more)
    out, err = process.communicate(text.encode() if text is not None else None,
                                   timeout=120)
    return Result(process.returncode, out or b"", err)


class Case(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="qcd-tool-")
        self.addCleanup(shutil.rmtree, self.folder)
        self.state = self.path("state")
        self.phrase = self.write("phrase", PASSPHRASE + "\n", 0o600)

    def path(self, name):
        return os.path.join(self.folder, name)

    def write(self, name, text, mode=0o644):
        with open(self.path(name), "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(self.path(name), mode)
        return self.path(name)

    def ask(self, answer, *words):
        with Gateway(answer) as gateway:
            result = run(*words, "--socket", gateway.path)
        return result, gateway

    def check_failed(self, result, text):
        self.assertEqual(result.code, 1, result.err)
        self.assertIn(text, result.err)
        self.assertTrue(result.err.startswith("qcd: "), result.err)
        self.assertEqual(result.err.count("\n"), 1, result.err)

    def check_plain(self, result):
        """Nothing that steers a terminal."""
        for text in (result.out, result.err):
            self.assertRegex(text, r"\A[\n -~]*\Z")

    def import_text(self, *words, text=EXPORT, state=None):
        return run("secret", "import", "--state-dir", state or self.state,
                   "--passphrase-file", self.phrase, *words, text=text)


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
        tool = self.path("qcd")  # the build may be closed to others
        shutil.copy(QCD, tool)
        os.chmod(self.folder, 0o755)
        self.import_text()
        nobody = {"user": 65534, "group": 65534, "extra_groups": []}
        with Gateway(lines(OK)) as gateway:
            result = run("status", "--socket", gateway.path, executable=tool,
                         **nobody)
            self.check_failed(result, "answers to root only")
            self.assertIn("sudo", result.err)
            self.assertEqual(gateway.asked, [])
        for command in ("show", "export", "adopt", "import"):
            result = run("secret", command, "--state-dir", self.state,
                         executable=tool, **nobody)
            self.check_failed(result, "for root only. Try again with sudo")


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
                    self.assertRegex(result.err, "the gateway|does not speak")
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
        self.check_failed(result, "does not answer in time")
        self.assertLess(time.monotonic() - begin, 20)

    def test_endless(self):
        def flood(connection):
            block = 500 * lines(UP)
            while True:
                connection.sendall(block)
        result, _ = self.ask(lambda c: (c.sendall(lines(OK)), flood(c)),
                             "status", "--json")
        self.check_failed(result, "answer does not end")


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


class Secret(Case):
    def test_show(self):
        answer = lines(OK, *({"type": "generation", "generation": i,
                              "made_at": 1700000000 - i} for i in range(2)))
        result, gateway = self.ask(answer, "secret", "show")
        self.assertEqual(gateway.asked, [b"secret-show\n"])
        self.assertRegex(result.out, r"""\AGENERATION  MADE_AT +AGE
0 +2023-11-14T23:13:20\+01:00  \d+d \d+h
1 +2023-11-14T23:13:19\+01:00  \d+d \d+h
\Z""")
        result, _ = self.ask(answer, "secret", "show", "--json")
        self.assertEqual(result.objects[1]["made_at"], 1700000000)

    def test_show_of_a_folder(self):
        self.import_text()
        result = run("secret", "show", "--state-dir", self.state)
        self.assertEqual(result.code, 0, result.err)
        self.assertIn("0           2023-11-14T23:13:20+01:00", result.out)
        result = run("secret", "show", "--json", "--state-dir", self.state)
        self.assertEqual(result.objects, [
            OK, {"type": "generation", "generation": 0, "made_at": 1700000000}])

    def test_show_of_nothing(self):
        result = run("secret", "show", "--state-dir", self.state)
        self.check_failed(result, "there is no folder ")
        self.assertFalse(os.path.exists(self.state))
        os.mkdir(self.state, 0o700)
        result = run("secret", "show", "--state-dir", self.state)
        self.check_failed(result, "there are no secrets in ")
        self.assertEqual(os.listdir(self.state), [])

    def test_rotate(self):
        result, gateway = self.ask(
            lines(OK, {"type": "rotated", "generations": 3}), "secret", "rotate")
        self.assertEqual(gateway.asked, [b"rotate\n"])
        self.assertEqual(result.out,
                         "there is a new secret, the gateway has 3\n")
        bad = {"ok": False, "error": "2 peers hold a token of the oldest"}
        result, _ = self.ask(lines(bad), "secret", "rotate")
        self.check_failed(result, "the gateway refused: 2 peers")

    def test_import(self):
        result = self.import_text()
        self.assertEqual(result.code, 0, result.err)
        self.assertIn("a number of its own (the key node)", result.out)
        self.assertEqual(stat.S_IMODE(os.stat(self.state).st_mode), 0o700)
        for name in ("secrets", "run"):
            mode = os.stat(os.path.join(self.state, name)).st_mode
            self.assertEqual(stat.S_IMODE(mode), 0o600)
        again = self.import_text("--json")
        self.assertEqual(again.objects, [
            OK, {"type": "imported", "generations": 1}])

    def test_import_from_a_file(self):
        text = self.write("text", "From: me\n\n" + EXPORT + "\nbye\n")
        self.assertEqual(self.import_text(text).code, 0)
        result = self.import_text(self.path("none"))
        self.check_failed(result, "none: No such file or directory")
        self.check_failed(self.import_text(self.folder), "cannot read ")

    def test_import_refused(self):
        damaged = EXPORT.replace("A", "B", 1)
        rows = {"": "this is no export", "hello": "this is no export",
                damaged: "or it was damaged", EXPORT[:200]: "no export"}
        for text, want in rows.items():
            self.check_failed(self.import_text(text=text), want)
        self.assertFalse(os.path.exists(self.state))
        self.phrase = self.write("wrong", "correct horse batterie\n", 0o600)
        self.check_failed(self.import_text(), "the passphrase is not the one")
        self.assertFalse(os.path.exists(self.state))

    def test_in_use(self):
        self.import_text()
        before = self.contents()
        with open(os.path.join(self.state, "lock"), "r+b") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            for result in (self.import_text(),
                           run("secret", "adopt", "--state-dir", self.state)):
                self.check_failed(result, "is in use by process ")
            # What only reads does not mind.
            self.assertEqual(self.export().code, 0)
            self.assertEqual(
                run("secret", "show", "--state-dir", self.state).code, 0)
        self.assertEqual(self.contents(), before)

    def contents(self):
        out = {}
        for name in ("secrets", "run"):
            with open(os.path.join(self.state, name), "rb") as file:
                out[name] = file.read()
        return out

    def export(self, *words):
        return run("secret", "export", "--state-dir", self.state,
                   "--passphrase-file", self.phrase, *words)

    def test_export(self):
        self.import_text()
        before = self.contents()
        result = self.export()
        self.assertEqual(result.code, 0, result.err)
        self.assertTrue(result.out.startswith("-----BEGIN QCD SECRETS-----\n"))
        self.assertTrue(result.out.endswith("\n-----END QCD SECRETS-----\n"))
        self.assertEqual(self.contents(), before)
        other = self.path("other")
        self.assertEqual(
            self.import_text(text=result.out, state=other).code, 0)
        with open(os.path.join(other, "secrets"), "rb") as file:
            self.assertEqual(file.read(), before["secrets"])
        objects = self.export("--json").objects
        self.assertEqual(objects[0], OK)
        self.assertEqual(objects[1]["type"], "export")
        self.assertEqual(self.import_text(text=objects[1]["text"]).code, 0)

    def test_export_of_nothing(self):
        self.check_failed(self.export(), "there is no folder ")

    def test_other_secrets_are_kept(self):
        self.import_text()
        # A sealing key of its own, and the checksum that belongs to it.
        import hashlib
        path = os.path.join(self.state, "secrets")
        octets = bytearray(self.contents()["secrets"])
        octets[14] ^= 1
        octets[-32:] = hashlib.sha256(octets[:-32]).digest()
        with open(path, "wb") as file:
            file.write(octets)
        self.check_failed(self.import_text(), "there are other secrets in ")
        self.assertEqual(self.contents()["secrets"], bytes(octets))

    def test_adopt(self):
        self.import_text()
        before = self.contents()
        result = run("secret", "adopt", "--state-dir", self.state)
        self.assertEqual(result.code, 0, result.err)
        self.assertIn("are now those of this machine", result.out)
        result = run("secret", "adopt", "--json", "--state-dir", self.state)
        self.assertEqual(result.objects[1]["type"], "adopted")
        result = run("secret", "adopt", "--state-dir", self.path("none"))
        self.check_failed(result, "there is no folder ")

    def test_secrets_are_never_shown(self):
        self.import_text()
        secrets = self.contents()["secrets"]
        key, secret = secrets[14:30], secrets[-64:-32]
        shown = [run("secret", "show", "--state-dir", self.state),
                 run("secret", "adopt", "--state-dir", self.state),
                 self.import_text(), self.export()]
        for result in shown:
            for octets in (key, secret):
                for text in (result.out, result.err):
                    self.assertNotIn(octets, text.encode())
                    self.assertNotIn(octets.hex()[:8], text)
                    self.assertNotIn(PASSPHRASE, text)

    @unittest.skipIf(os.geteuid() != 0, "needs root")
    def test_no_core_file(self):
        """Its memory is root's even where it is run by somebody else."""
        tool = self.path("qcd")  # the build may be closed to others
        shutil.copy(QCD, tool)
        os.chmod(self.folder, 0o755)
        leave = threading.Event()
        with Gateway(lambda connection: leave.wait(60), 0o666) as gateway:
            process = start("status", "--socket", gateway.path, user=65534,
                            executable=tool)
            while not gateway.asked:
                time.sleep(0.01)
            self.assertEqual(os.stat(f"/proc/{process.pid}/mem").st_uid, 0)
            leave.set()
            process.communicate(timeout=60)


class Passphrase(Case):
    def test_files(self):
        self.import_text()
        rows = [
            ("short", 11 * "x" + "\n", 0o600, "too short"),
            ("empty", "", 0o600, "too short"),
            ("long", 1025 * "x", 0o600, "of at most 1024 octets"),
            ("open", PASSPHRASE, 0o640, "is open to others"),
            ("open too", PASSPHRASE, 0o604, "is open to others"),
        ]
        for name, text, mode, want in rows:
            with self.subTest(name):
                self.phrase = self.write(name, text, mode)
                result = run("secret", "export", "--state-dir", self.state,
                             "--passphrase-file", self.phrase)
                self.check_failed(result, want)
                self.assertEqual(result.out, "")
        result = run("secret", "export", "--state-dir", self.state,
                     "--passphrase-file", self.path("none"))
        self.check_failed(result, "No such file or directory")

    def test_only_the_first_line_counts(self):
        for text in (PASSPHRASE, PASSPHRASE + "\nmore\n"):
            self.phrase = self.write("phrase", text, 0o600)
            self.assertEqual(self.import_text().code, 0)

    def test_no_terminal(self):
        self.import_text()
        result = run("secret", "export", "--state-dir", self.state)
        self.check_failed(result, "no terminal to ask for the passphrase")

    def talk(self, words, answers):
        """Run at a terminal of its own; the answers are given when asked."""
        pid, terminal = pty.fork()
        if pid == 0:
            os.execv(QCD, [QCD, *words])
        seen = b""
        answers = list(answers)
        while True:
            try:
                block = os.read(terminal, 1024)
            except OSError:  # the other end is closed
                break
            if not block:
                break
            seen += block
            if answers and seen.endswith(b": "):
                os.write(terminal, answers.pop(0))
        os.close(terminal)
        return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), seen.decode()

    def test_terminal(self):
        self.import_text()
        phrase = PASSPHRASE.encode() + b"\n"
        words = ["secret", "export", "--state-dir", self.state]
        code, seen = self.talk(words, [phrase, phrase])
        self.assertEqual(code, 0, seen)
        self.assertIn("Passphrase: \r\nThe same once more: \r\n-----BEGIN", seen)
        self.assertNotIn("horse", seen)
        text = seen[seen.index("-----BEGIN"):]
        self.assertEqual(self.import_text(text=text).code, 0)

        rows = [([phrase, b"another one, longer\n"], "are not the same"),
                ([b"short\n", b"short\n"], "too short"),
                ([b"\x03\n"], "no passphrase was given"),
                ([b"half\x03\n"], "no passphrase was given")]
        for answers, want in rows:
            with self.subTest(want):
                code, seen = self.talk(words, answers)
                self.assertEqual(code, 1)
                self.assertIn(want, seen)
                self.assertNotIn("-----BEGIN", seen)

    def test_terminal_of_an_import(self):
        """The text comes from a file or a pipe, the passphrase does not."""
        text = self.write("text", EXPORT)
        words = ["secret", "import", "--state-dir", self.state, text]
        code, seen = self.talk(words, [PASSPHRASE.encode() + b"\n"])
        self.assertEqual(code, 0, seen)
        self.assertNotIn("horse", seen)
        self.assertNotIn("once more", seen)


class CommandLine(Case):
    MISTAKES = [
        [], ["frob"], ["--frob"], ["status", "--frob"], ["status", "x"],
        ["status", "--state-dir", "/x"], ["status", "--socket"],
        ["status", "--socket="], ["status", "--json=yes"], ["secret"],
        ["secret", "frob"], ["secret", "export", "x"],
        ["secret", "import", "x", "y"], ["secret", "rotate", "--state-dir=/x"],
        ["help", "frob"], ["help", "status", "frob"], ["help", "secret", "x"],
        ["help", "secret", "show", "x"], ["status", "--jso"], ["\x1b[31m"],
        ["secret", "import", "x", "--json"],
    ]

    def test_mistakes(self):
        for words in self.MISTAKES:
            with self.subTest(words):
                result = run(*words)
                self.assertEqual(result.code, 2, result.err)
                self.assertTrue(words == ["secret"] or result.err)
                self.check_plain(result)

    def test_version(self):
        result = run("version")
        self.assertRegex(result.out, r"\Aqcd \d+\.\d+\.\d+\n\Z")
        self.assertEqual(run("--version").out, result.out)
        self.assertEqual(run("version", "--json").objects[1]["type"], "version")

    def test_help(self):
        overview = run("help").out
        self.assertEqual(run("--help").out, overview)
        for name in COMMANDS:
            self.assertIn(f"\n  {name} ", overview)
            result = run("help", *name.split())
            self.assertEqual(result.code, 0)
            self.assertEqual(result.out, run(*name.split(), "--help").out)
            self.assertTrue(result.out.startswith(f"usage: qcd {name} "))
        self.assertEqual(run("secret", "--help").code, 0)


COMMANDS = ["status", "events", "secret show", "secret rotate", "secret export",
            "secret import", "secret adopt", "help", "version"]


def options_of(name):
    return set(re.findall(r"^  (--[a-z-]+)", run("help", *name.split()).out,
                          re.MULTILINE))


class Documents(Case):
    def page(self, name):
        with open(os.path.join(FOLDER, "man", name + ".8"),
                  encoding="ascii") as file:
            return file.read()

    def test_every_command_and_option_has_its_place(self):
        for name in COMMANDS:
            page = self.page({"secret": "qcd-secret", "status": "qcd-status",
                              "events": "qcd-events"}.get(name.split()[0],
                                                          "qcd"))
            self.assertIn(name.split()[-1], page)
            if page == self.page("qcd"):
                continue
            synopsis = page[page.index(f"qcd {name}\n"):]
            block = re.match(r".*\n(\.Op .*\n)*", synopsis).group(0)
            found = {"-" + word for word in re.findall(r"Fl (-[a-z-]+)", block)}
            self.assertEqual(found, options_of(name) - {"--help"}, name)

    def test_what_the_plugin_tells_has_its_place(self):
        for file, pattern, page in (
                ("qcd_events.c", r'\] = \{ "(\w+)"', "qcd-status"),
                ("qcd_control.c", r'json->add_\w+\(json, "(\w+)"', None),
                ("qcd_events.c", r'\] = \{ "(\w+)",\s+"', "qcd-events"),
                ("qcd_maker.c", r'json->add_\w+\(json, "(\w+)"', None)):
            path = os.path.join(FOLDER, "..", "plugin", file)
            with open(path, encoding="ascii") as source:
                names = re.findall(pattern, source.read())
            self.assertTrue(names)
            pages = ([self.page(page)] if page else
                     [self.page(name) for name in ("qcd", "qcd-status",
                                                   "qcd-secret")])
            for name in names:
                self.assertTrue(any(re.search(rf"\b{name}\b", text)
                                    for text in pages), name)

    @unittest.skipIf(shutil.which("mandoc") is None, "needs mandoc")
    def test_pages(self):
        folder = os.path.join(FOLDER, "man")
        for name in sorted(os.listdir(folder)):
            result = subprocess.run(
                ["mandoc", "-Tlint", "-Wwarning", os.path.join(folder, name)],
                capture_output=True, check=False)
            self.assertEqual((name, result.stdout, result.returncode),
                             (name, b"", 0))

    def complete(self, *words):
        script = ('source "$0"; COMP_WORDS=("$@"); '
                  'COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); _qcd; '
                  'printf "%s\\n" "${COMPREPLY[@]}"')
        result = subprocess.run(
            ["bash", "-c", script, os.path.join(FOLDER, "completion", "qcd"),
             "qcd", *words], capture_output=True, check=True, text=True,
            cwd=self.folder)
        self.assertEqual(result.stderr, "")
        return set(result.stdout.split())

    def test_completion(self):
        self.assertEqual(self.complete("s"), {"status", "secret"})
        self.assertEqual(self.complete("secret", "e"), {"export"})
        self.assertEqual(self.complete("status", "--so"), {"--socket"})
        self.assertEqual(self.complete("status", "--socket", "ph"), {"phrase"})
        self.assertEqual(self.complete("secret", "import", "ph"), {"phrase"})
        self.assertEqual(self.complete("help", "secret", "sh"), {"show"})
        firsts = {name.split()[0] for name in COMMANDS}
        self.assertEqual(self.complete("") - {"--help", "--version"}, firsts)
        for name in COMMANDS:
            if name != "help":
                self.assertEqual(self.complete(*name.split(), "--"),
                                 options_of(name), name)


class Tap(unittest.TestResult):
    """Writes a line for each test."""

    def __init__(self, total):
        super().__init__()
        self.number = 0
        print(f"1..{total}", flush=True)

    def line(self, test, verdict, remark=""):
        self.number += 1
        name = test.id().removeprefix("__main__.")
        print(f"{verdict} {self.number} - {name}{remark}", flush=True)

    def tell(self, error):
        text = self._exc_info_to_string(error, self)
        print("".join(f"# {line}\n" for line in text.splitlines()), end="")

    def addSuccess(self, test):
        super().addSuccess(test)
        if test not in self.bad:
            self.line(test, "ok")

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self.line(test, "ok", f" # SKIP {reason}")

    def startTest(self, test):
        super().startTest(test)
        self.bad = set()

    def fail(self, test, error):
        self.tell(error)
        if test not in self.bad:
            self.bad.add(test)
            self.line(test, "not ok")

    def addFailure(self, test, error):
        super().addFailure(test, error)
        self.fail(test, error)

    def addError(self, test, error):
        super().addError(test, error)
        self.fail(test, error)

    def addSubTest(self, test, subtest, error):
        super().addSubTest(test, subtest, error)
        if error is not None:
            print(f"# in {subtest}")
            self.fail(test, error)


def main():
    global QCD, FOLDER
    QCD, FOLDER = map(os.path.abspath, sys.argv[1:3])
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    suite = unittest.defaultTestLoader.loadTestsFromModule(
        sys.modules["__main__"])
    result = Tap(suite.countTestCases())
    suite.run(result)
    return not result.wasSuccessful()


if __name__ == "__main__":
    sys.exit(main())
