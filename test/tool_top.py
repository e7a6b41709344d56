#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""tool_top.py: qcd top in a terminal, which pyte emulates."""

import contextlib
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import threading
import time
import unittest

import pyte

import tool_box
from tool_box import Case, DOWN, Gateway, GATEWAY, OK, SA, UP, lines, main, run

RECOVERY = {
    "type": "recovery", "connection": "a-long-name", "peer": "2001:db8::1[500]",
    "tries": 3, "next_ms": 9001, "waiting": False,
    "last_failure": "the peer does not answer",
}
ANSWER = lines(OK, GATEWAY, SA, UP, DOWN, RECOVERY)
SOON = 20.0  # for what the machine makes slow
HEADING = "CONNECTION   STATE  IKE_SAS  SENT  HELD  LAST_RECOVERY"


class Terminal:
    """A terminal in which qcd top runs."""

    def __init__(self, path, size=(80, 24), controls=True, **more):
        self.controls = controls
        self.outside, self.inside = pty.openpty()
        self.screen = pyte.Screen(*size)
        self.stream = pyte.ByteStream(self.screen)
        self.octets = b""
        self.resize(*size)
        environment = dict(os.environ, TERM="screen", TZ="EAST-1", LINES="3",
                           LC_ALL="C.UTF-8") | more.pop("env", {})
        self.before = termios.tcgetattr(self.inside)
        self.process = subprocess.Popen(
            [tool_box.QCD, "top", "--socket", path],
            preexec_fn=self.enter,
            pass_fds=(self.inside,),
            env={k: v for k, v in environment.items() if v is not None}, **more)

    def enter(self):
        """A terminal that doesn't control its process sends it no signals."""
        if self.controls:
            os.login_tty(self.inside)
            return
        os.setsid()
        for number in range(3):
            os.dup2(self.inside, number)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        for end in (self.inside, self.outside):
            if end is not None:
                os.close(end)

    def resize(self, width, height):
        self.screen.resize(height, width)
        fcntl.ioctl(self.inside, termios.TIOCSWINSZ,
                    struct.pack("HHHH", height, width, 0, 0))

    @property
    def lines(self):
        return [line.rstrip() for line in self.screen.display]

    def read(self, seconds):
        """Show what comes; tell whether something came."""
        if not select.select([self.outside], [], [], seconds)[0]:
            return False
        try:
            octets = os.read(self.outside, 65536)
        except OSError:
            return False
        self.octets += octets
        self.stream.feed(octets)
        return bool(octets)

    def wait(self, what, is_so, seconds=SOON):
        end = time.monotonic() + seconds
        while not is_so():
            if time.monotonic() > end:
                text = "\n".join(self.lines)
                raise AssertionError(f"not {what} in time:\n{text}")
            self.read(0.02)

    def wait_text(self, *texts):
        self.wait(texts, lambda: all(text in "\n".join(self.lines)
                                     for text in texts))

    def press(self, keys):
        os.write(self.outside, keys)

    def end(self):
        """Return its exit code, after all that it had to say."""
        self.wait("ended", lambda: self.process.poll() is not None)
        while self.read(0):
            pass
        return self.process.returncode


class Played:
    """An answer that a test can change."""

    def __init__(self, answer=ANSWER):
        self.answer = answer
        self.is_hung = False
        self.free = threading.Event()
        self.asked = 0

    def __call__(self, connection):
        self.asked += 1
        if self.is_hung:
            self.free.wait(60)
            return
        connection.sendall(self.answer)


@contextlib.contextmanager
def shown(answer=ANSWER, **more):
    """A gateway that is played, and qcd top that has shown its answer."""
    played = answer if callable(answer) else Played(answer)
    with Gateway(played) as gateway, Terminal(gateway.path, **more) as terminal:
        try:
            terminal.wait("shown", lambda: terminal.lines[0])
            yield terminal, played
        finally:
            played.free.set()


class Screen(Case):
    def test_whole(self):
        with shown() as (terminal, _):
            terminal.wait_text("told                  0.0           99")
            got = terminal.lines
            self.assertRegex(got[0], r"\A0 down, 1 recovering, 1 up +20\d\d-"
                             r"\d\d-\d\dT\d\d:\d\d:\d\d\+01:00\Z")
            self.assertEqual(got[1:4], [
                "token maker on  token taker off  node 3  run 57  generations 2",
                "waiting 0  lost children -  esp -  announce -  newest secret "
                "3d 4h", ""])
            self.assertEqual(got[12:19], [
                "RECOVERING   PEER              TRIES  NEXT_TRY  LAST_FAILURE",
                "a-long-name  2001:db8::1[500]  3      10s       the peer does "
                "not answer", "", HEADING,
                "a-long-name  down   0        -     -     "
                "2023-11-14T23:13:20+01:00",
                "berlin       up     1        yes   no    -", ""])
            self.assertRegex(got[23], r"\A1-6 of 6 lines   q quits")
            self.assertTrue(terminal.screen.buffer[0][79].reverse)
            self.assertTrue(terminal.screen.buffer[16][0].bold)
            self.assertFalse(terminal.screen.buffer[17][0].bold)
            terminal.press(b"q")
            self.assertEqual(terminal.end(), 0)
            styles = re.findall(rb"\x1b\[([0-9;]*)m", terminal.octets)
            self.assertEqual(set(styles), {b"", b"0;1", b"0;7"})  # no colours

    def test_rates(self):
        """They grow, and begin again with the gateway."""
        played = Played()
        with shown(played) as (terminal, _):
            played.answer = lines(OK, dict(GATEWAY, told=199))
            terminal.wait("growing", lambda: 40 < self.rate(terminal) < 51)
            played.answer = lines(OK, dict(GATEWAY, told=3, run=58))
            terminal.wait("begun again", lambda: re.match(
                r"told +- +3 ", terminal.lines[5]))
            terminal.wait("known", lambda: self.rate(terminal) == 0)

    @staticmethod
    def rate(terminal):
        word = terminal.lines[5].split()[1:2]
        return float(word[0]) if word and word != ["-"] else -1

    def test_narrow(self):
        with shown(size=(20, 24)) as (terminal, _):
            terminal.wait_text("CONNECTION  STATE  I")
            self.assertEqual(terminal.lines[0], "0 down, 1 recovering")
            terminal.press(b"q")
            self.assertEqual(terminal.end(), 0)

    def test_resize(self):
        with shown() as (terminal, _):
            terminal.wait_text("q quits")
            for size, text in (((19, 24), "terminal too small"),
                               ((80, 2), "terminal too small"),
                               ((9, 1), "terminal"), ((1, 1), ""),
                               ((20, 5), "CONNECTION  STATE  I"),
                               ((200, 60), "q quits"), ((80, 24), HEADING)):
                terminal.resize(*size)
                terminal.wait_text(text)
                self.assertIsNone(terminal.process.poll())
            self.assertTrue(terminal.lines[23].startswith("1-6 of 6 lines"))

    def test_scrolling(self):
        many = [dict(UP, name=f"c{i:03}") for i in range(300)]
        with shown(lines(OK, GATEWAY, *many)) as (terminal, _):
            for keys, text in ((b"\x1bOB", "2-12 of 301"),
                               (b"\x1bOA", "1-11 of 301"),
                               (b"\x1bOA", "1-11 of 301"),
                               (b"\x1b[6~", "10-20 of 301"),
                               (b"\x1b[4~", "291-301 of 301"),
                               (b"\x1b[6~", "291-301 of 301"),
                               (b"\x1b[5~", "282-292 of 301"),
                               (b"\x1b[1~", "1-11 of 301")):
                terminal.press(keys)
                terminal.wait_text(text)
            terminal.press(b"\x1b[4~")
            terminal.wait_text("c299", "CONNECTION")

    def test_names_do_not_steer_the_terminal(self):
        for name in ("\x1b]0;owned\x07", "\x9b31m", "\u202etxt", "\x7f",
                     "\u4e2d\u0301", "\U0001f600"):
            with self.subTest(name=name):
                answer = lines(OK, GATEWAY, dict(UP, name=name),
                               dict(RECOVERY, last_failure=name))
                with shown(answer) as (terminal, _):
                    terminal.wait_text("\\x", "q quits")
                    self.assertNotIn(name.encode(), terminal.octets)

    def test_many_connections(self):
        many = [dict(UP, name=f"c{i:05}") for i in range(10000)]
        many += [dict(SA, connection=f"c{i:05}") for i in range(10000)]
        with shown(lines(OK, GATEWAY, *many)) as (terminal, _):
            terminal.wait_text("10000 up", "q quits")
            self.assertLess(len(terminal.octets), 4000)
            with open(f"/proc/{terminal.process.pid}/status",
                      encoding="ascii") as file:
                used = next(int(line.split()[1]) for line in file
                            if line.startswith("VmHWM"))
            self.assertLess(used, 300_000)  # a sanitizer's own included

    def test_slow_line(self):
        """What does not change is not sent again."""
        with shown() as (terminal, played):
            terminal.wait("known", lambda: Screen.rate(terminal) == 0)
            while terminal.read(0.1):
                pass
            before, asked = len(terminal.octets), played.asked
            terminal.wait("asked twice", lambda: played.asked > asked + 1)
            sent = len(terminal.octets) - before
            self.assertLess(sent, 150)  # the time


class Gone(Case):
    """A gateway that does not answer."""

    def test_at_the_start(self):
        with Terminal(self.path("none")) as terminal:
            self.assertEqual(terminal.end(), 1)
            self.assertIn(b"qcd: no gateway serves ", terminal.octets)
            self.assertNotIn(b"\x1b", terminal.octets)

    def test_refused_at_the_start(self):
        bad = lines({"ok": False, "error": "no\x1b[2J"})
        with Gateway(bad) as gateway, Terminal(gateway.path) as terminal:
            self.assertEqual(terminal.end(), 1)
            self.assertIn(b"the gateway refused: no\\x1b[2J", terminal.octets)

    @unittest.skipIf(os.geteuid() != 0, "needs root")
    def test_without_root(self):
        nobody = {"user": 65534, "group": 65534, "extra_groups": []}
        with Gateway(ANSWER) as gateway, \
                Terminal(gateway.path, executable=self.tool_for_all(),
                         **nobody) as terminal:
            self.assertEqual(terminal.end(), 1)
            self.assertIn(b"only root may use the gateway", terminal.octets)

    def test_stops_and_returns(self):
        with shown() as (terminal, _):
            terminal.wait_text(HEADING)
            path = terminal.process.args[-1]
            os.rename(path, path + ".old")
            terminal.wait_text("no answer for ", f"no gateway serves {path}"[:80])
            self.assertIn("berlin ", "\n".join(terminal.lines))
            os.rename(path + ".old", path)
            terminal.wait("back", lambda: terminal.lines[1].startswith("token"))
            self.assertTrue(terminal.lines[0].startswith("0 down"))

    def test_answers_that_break_off(self):
        for answer, text in ((b"", "closed "), (ANSWER[:-9], "broke off"),
                             (b"hello\n", "not valid JSON")):
            with self.subTest(text), shown() as (terminal, played):
                played.answer = answer
                terminal.wait_text("no answer for ", text, "berlin ")

    def test_hangs(self):
        """It says so, keys work, and it ends within a second."""
        many = [dict(UP, name=f"c{i:03}") for i in range(300)]
        with shown(lines(OK, GATEWAY, *many)) as (terminal, played):
            played.is_hung = True
            terminal.wait_text("no answer for ", "the gateway does not answer")
            terminal.press(b"\x1b[4~")
            terminal.wait_text("291-301 of 301")
            begin = time.monotonic()
            terminal.press(b"q")
            self.assertEqual(terminal.end(), 0)
            self.assertLess(time.monotonic() - begin, 1.0)

    def test_hangs_and_goes_on(self):
        with shown() as (terminal, played):
            played.is_hung = True
            terminal.wait_text("no answer for ")
            played.is_hung = False
            played.free.set()
            terminal.wait("back", lambda: terminal.lines[1].startswith("token"))


class Ends(Case):
    """The terminal is left as it was."""

    def check_restored(self, terminal):
        self.assertEqual(termios.tcgetattr(terminal.inside), terminal.before)
        self.assertIn(b"\x1b[?1049h", terminal.octets)
        self.assertGreater(terminal.octets.rfind(b"\x1b[?1049l"),
                           terminal.octets.rfind(b"\x1b[?1049h"))
        self.assertGreater(terminal.octets.rfind(b"\x1b[?25h"),
                           terminal.octets.rfind(b"\x1b[?25l"))

    def test_keys(self):
        for keys in (b"q", b"\x03"):
            with self.subTest(keys), shown() as (terminal, _):
                terminal.press(keys)
                self.assertEqual(terminal.end(), 0)
                self.check_restored(terminal)

    def test_signals(self):
        for number, code in ((signal.SIGTERM, -signal.SIGTERM),
                             (signal.SIGHUP, -signal.SIGHUP),
                             (signal.SIGQUIT, -signal.SIGQUIT),
                             (signal.SIGINT, 0)):
            with self.subTest(number), shown() as (terminal, _):
                os.kill(terminal.process.pid, number)
                self.assertEqual(terminal.end(), code)
                self.check_restored(terminal)

    def test_signal_while_it_hangs(self):
        with shown() as (terminal, played):
            played.is_hung = True
            terminal.wait("asked", lambda: played.asked > 1)
            os.kill(terminal.process.pid, signal.SIGTERM)
            self.assertEqual(terminal.end(), -signal.SIGTERM)
            self.check_restored(terminal)

    def test_stop(self):
        """^Z gives the terminal back, and takes it again afterwards.

        Linux does not really stop a process that no shell could continue.
        """
        with shown() as (terminal, _):
            terminal.wait_text("q quits")
            os.kill(terminal.process.pid, signal.SIGTSTP)
            terminal.wait("stopped and back", lambda: b"token maker"
                          in terminal.octets.partition(b"\x1b[?1049l")[2])
            terminal.press(b"q")
            self.assertEqual(terminal.end(), 0)
            self.check_restored(terminal)

    def test_terminal_is_closed(self):
        for controls, code in ((True, -signal.SIGHUP), (False, 1)):
            with self.subTest(code), shown(controls=controls) as (terminal, _):
                terminal.wait_text("q quits")
                os.close(terminal.inside)
                os.close(terminal.outside)
                terminal.inside = terminal.outside = None
                self.assertEqual(terminal.process.wait(SOON), code)

    def test_output_is_held(self):
        """After ^S it still ends, and does not fill the line meanwhile."""
        with shown() as (terminal, played):
            terminal.wait("known", lambda: Screen.rate(terminal) == 0)
            while terminal.read(0.3):
                pass  # a screen that is being drawn would wait for ^Q
            terminal.press(b"\x13")
            asked = played.asked
            terminal.wait("asked twice", lambda: played.asked > asked + 1)
            terminal.press(b"q\x11")
            self.assertEqual(terminal.end(), 0)
            self.check_restored(terminal)


class Unfit(Case):
    """No terminal, or one of the wrong type: nothing is asked or shown."""

    def check_unfit(self, text, **more):
        with Gateway(ANSWER) as gateway:
            with Terminal(gateway.path, **more) as terminal:
                self.assertEqual(terminal.end(), 2)
                self.assertIn(text, terminal.octets)
                self.assertNotIn(b"\x1b", terminal.octets)
            self.assertEqual(gateway.asked, [])

    def test_types(self):
        for kind, text in (("dumb", b"cannot move its cursor"),
                           (None, b"TERM is not set"),
                           ("", b"TERM is not set"),
                           ("no-such\x1b[2J", b'"no-such\\x1b[2J" is unknown')):
            with self.subTest(kind):
                self.check_unfit(text, env={"TERM": kind})

    def test_vt100(self):
        """Without colours, and without a second screen."""
        with shown(env={"TERM": "vt100"}) as (terminal, _):
            terminal.wait_text(HEADING, "q quits")
            terminal.press(b"q")
            self.assertEqual(terminal.end(), 0)

    def test_no_terminal(self):
        result = run("top", "--socket", self.path("none"))
        self.assertEqual(result.code, 2)
        self.assertIn("needs a terminal", result.err)
        self.assertIn("qcd status", result.err)
        self.assertEqual(result.out, "")

    def test_half_a_terminal(self):
        outside, inside = pty.openpty()
        for half in ("stdin", "stdout"):
            result = run("top", "--socket", self.path("none"), **{half: inside})
            self.assertEqual(result.code, 2, half)
        os.close(outside)
        os.close(inside)


if __name__ == "__main__":
    sys.exit(main())
