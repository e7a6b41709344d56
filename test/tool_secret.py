#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""tool_secret.py: qcd secret, in a gateway and in a folder, and passphrases."""

import fcntl
import os
import pty
import select
import stat
import subprocess
import sys
import threading
import time
import unittest

import tool_box
from tool_box import (
    Case, EXPORT, Gateway, OK, PASSPHRASE, lines, main, run, start,
)


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
                         "made a new secret; the gateway now has 3\n")
        bad = {"ok": False, "error": "2 peers hold a token of the oldest"}
        result, _ = self.ask(lines(bad), "secret", "rotate")
        self.check_failed(result, "the gateway refused: 2 peers")

    def test_import(self):
        result = self.import_text()
        self.assertEqual(result.code, 0, result.err)
        self.assertIn("its own node number (the key node)", result.out)
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
        rows = {"": "this is not an export", "hello": "this is not an export",
                damaged: "or it was damaged", EXPORT[:200]: "not an export"}
        for text, want in rows.items():
            self.check_failed(self.import_text(text=text), want)
        self.assertFalse(os.path.exists(self.state))
        self.phrase = self.write("wrong", "correct horse batterie\n", 0o600)
        self.check_failed(self.import_text(), "wrong passphrase")
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
        self.assertIn("now belong to this machine", result.out)
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
        tool = self.tool_for_all()
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

    def talk(self, words, answers, last):
        """Run at a terminal of its own; the answers are given when asked.

        The terminal stays open until `last` was seen: when its last user closes
        it, Linux may drop what nobody has read yet.
        """
        terminal, other_end = pty.openpty()
        process = subprocess.Popen(
            [tool_box.QCD, *words], preexec_fn=lambda: os.login_tty(other_end),
            pass_fds=(other_end,))
        seen = b""
        answers = list(answers)
        while last not in seen.decode(errors="replace"):
            ready, _, _ = select.select([terminal], [], [], 20)
            if not ready:
                process.kill()
                break
            seen += os.read(terminal, 1024)
            if answers and seen.endswith(b": "):
                os.write(terminal, answers.pop(0))
        code = process.wait()
        os.close(other_end)
        os.close(terminal)
        return code, seen.decode()

    def test_terminal(self):
        self.import_text()
        phrase = PASSPHRASE.encode() + b"\n"
        words = ["secret", "export", "--state-dir", self.state]
        code, seen = self.talk(words, [phrase, phrase], "-----END QCD SECRETS-----\r\n")
        self.assertEqual(code, 0, seen)
        self.assertIn("Passphrase: \r\nRepeat the passphrase: \r\n-----BEGIN", seen)
        self.assertNotIn("horse", seen)
        text = seen[seen.index("-----BEGIN"):]
        result = self.import_text(text=text)
        self.assertEqual(result.code, 0, result.err)

        rows = [([phrase, b"another one, longer\n"], "are not the same"),
                ([b"short\n", b"short\n"], "too short"),
                ([b"\x03\n"], "no passphrase was given"),
                ([b"half\x03\n"], "no passphrase was given")]
        for answers, want in rows:
            with self.subTest(want):
                code, seen = self.talk(words, answers, want)
                self.assertEqual(code, 1)
                self.assertIn(want, seen)
                self.assertNotIn("-----BEGIN", seen)

    def test_terminal_of_an_import(self):
        """The text comes from a file or a pipe, the passphrase does not."""
        text = self.write("text", EXPORT)
        words = ["secret", "import", "--state-dir", self.state, text]
        code, seen = self.talk(words, [PASSPHRASE.encode() + b"\n"], "secrets")
        self.assertEqual(code, 0, seen)
        self.assertNotIn("horse", seen)
        self.assertNotIn("Repeat", seen)


if __name__ == "__main__":
    sys.exit(main())
