# SPDX-License-Identifier: Apache-2.0
"""tool_box.py: what the tests of the qcd command share.

A test tool_*.py is called with QCD and FOLDER: the command, and the folder of
its manual pages and its completion.  The gateway is played.
"""

import contextlib
import json
import os
import resource
import select
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
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
    "generations": 2, "newest_age": 273600, "newest_made_at": 1700000000,
    "requests": 1234, "told": 99,
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

# All that a gateway tells in its status.
EVERYTHING = [
    OK,
    {**GATEWAY, "esp": True, "announce": False, "lost_children": 4,
     "announced": 5, "map": True, "alive": 6, "esp_passed_over": 7, "unknown": 8,
     "unchecked": 9, "retrying": 10, "abandoned": 11, "rotated": 12},
    {"type": "recovery_times", "limits_ms": [10, 250, 1000, 300000],
     "within": [0, 1, 2, 3], "count": 4, "sum_ms": 600350},
    SA, UP, DOWN,
    {"type": "recovery", "connection": DOWN["name"], "peer": "10.0.0.9[500]",
     "tries": 3, "next_ms": 250, "last_failure": "no answer",
     "waiting": False},
]


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

    def tool_for_all(self):
        """A copy of the command, since the build may be closed to others."""
        shutil.copy(QCD, self.path("qcd"))
        os.chmod(self.folder, 0o755)
        return self.path("qcd")

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

    def tell(self, test, error):
        text = self._exc_info_to_string(error, test)
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
        self.tell(test, error)
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
