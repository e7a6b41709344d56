# SPDX-License-Identifier: GPL-2.0-or-later
"""`qcd top` beside a real charon: a recovery, and a restart of the gateway."""

import fcntl
import os
import pty
import select
import struct
import subprocess
import termios
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pyte

from lab import ike
from lab.config import Config
from lab.gateway import TOOL, Gateway
from lab.scenario import Lab
from lab.wait import deadline, left, wait_until

NewLab = Callable[..., Lab]
WIDTH, HEIGHT = 80, 24


class View:
    """The screen of a `qcd top` that runs."""

    def __init__(self, terminal: int) -> None:
        self._terminal = terminal
        self._screen = pyte.Screen(WIDTH, HEIGHT)
        self._stream = pyte.ByteStream(self._screen)

    @property
    def text(self) -> str:
        return "\n".join(line.rstrip() for line in self._screen.display)

    def wait(self, *words: str, timeout: float = 10.0) -> None:
        """Wait until the screen has all these words."""
        self._wait(lambda: all(word in self.text for word in words), words, timeout)

    def wait_without(self, word: str, timeout: float = 10.0) -> None:
        """Wait until the screen does not have that word any more."""
        self._wait(lambda: word not in self.text, ("no", word), timeout)

    def _wait(
        self, is_so: Callable[[], bool], words: tuple[str, ...], timeout: float
    ) -> None:
        until = deadline(timeout)
        while not is_so():
            ready, _, _ = select.select([self._terminal], [], [], left(until))
            assert ready, f"not {words} in time:\n{self.text}"
            self._stream.feed(os.read(self._terminal, 65536))

    def press(self, keys: bytes) -> None:
        os.write(self._terminal, keys)


@contextmanager
def top(gateway: Gateway) -> Iterator[View]:
    """Run `qcd top` for a gateway; at the end it must quit well."""
    terminal, inside = pty.openpty()
    fcntl.ioctl(inside, termios.TIOCSWINSZ, struct.pack("HHHH", HEIGHT, WIDTH, 0, 0))
    with subprocess.Popen(
        [TOOL, "top", "--socket", str(gateway.places.qcd_socket)],
        preexec_fn=lambda: os.login_tty(inside),
        pass_fds=(inside,),
        env={**os.environ, "TERM": "vt100"},
    ) as process:
        try:
            view = View(terminal)
            yield view
            view.press(b"q")
            assert process.wait(5.0) == 0
        finally:
            process.kill()
            os.close(inside)
            os.close(terminal)


def test_recovery_is_seen(new_lab: NewLab) -> None:
    lab = new_lab(Config())
    lab.up()
    router, a, b = lab.network.router, lab.a.host, lab.b.host
    with top(lab.a) as view:
        view.wait("0 down, 0 recovering, 1 up", "token maker on  token taker on")
        view.wait("b           up     1        yes   yes   -")
        with router.drop_ike(a, b, exchange=ike.IKE_AUTH, response=False) as drop:
            lab.b.restart()
            lab.a.nudge()
            wait_until("a lost request", lambda: drop.count, 5.0)
            view.wait("0 down, 1 recovering, 0 up", f"b           {b.address}[4500]")
        view.wait("0 down, 0 recovering, 1 up", "yes   yes   20")
        view.wait_without("RECOVERING")


def test_restart_of_the_gateway(new_lab: NewLab) -> None:
    lab = new_lab(Config())
    lab.a.start()
    with top(lab.a) as view:
        view.wait("1 down, 0 recovering, 0 up", "run 1")
        lab.a.kill()
        view.wait("no answer for ", "no gateway serves ", "b           down")
        lab.a.start()
        view.wait("run 2")
        view.wait_without("no answer")
