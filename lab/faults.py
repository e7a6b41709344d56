# SPDX-License-Identifier: GPL-2.0-or-later
"""Calls of the plugin that fail or hang, and a wall clock that steps.

test/fault_calls.c is preloaded into a gateway whose configuration has `faults`. Its
page is a file that this maps, so faults begin and end while the daemon runs.
"""

import mmap
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum, IntFlag

from lab.gateway import Gateway
from lab.process import FAULTS_SIZE as SIZE
from lab.wait import wait_until

HEAD = struct.Struct("<IIII")  # how, kinds, n, errno
COUNTS = struct.Struct("<III4x")  # seen, failed, waiting
STEP = struct.Struct("<q")
FIRST = 48


class Kind(IntFlag):
    """Kinds of calls, as in test/fault_calls.h."""

    ALLOC = 1 << 0  # of libmnl and libnftnl: charon itself can't do without
    OPEN = 1 << 1
    READ = 1 << 2
    WRITE = 1 << 3
    SYNC = 1 << 4
    RENAME = 1 << 5
    UNLINK = 1 << 6
    STAT = 1 << 7
    TRUNCATE = 1 << 8
    LOCK = 1 << 9
    RANDOM = 1 << 10
    SOCKET = 1 << 11
    BIND = 1 << 12
    OPTION = 1 << 13
    SEND = 1 << 14
    RECEIVE = 1 << 15

    FILES = OPEN | READ | WRITE | SYNC | RENAME | UNLINK | STAT | TRUNCATE | LOCK


class How(IntEnum):
    """What happens to these calls."""

    NONE = 0
    NTH = 1
    NTH_ON = 2
    HANG = 3


class Faults:
    """The faults of one gateway, which may be down but was started before."""

    def __init__(self, gateway: Gateway) -> None:
        with gateway.places.faults.open("r+b") as file:
            self._page = mmap.mmap(file.fileno(), SIZE)

    def begin(
        self, kinds: Kind, n: int = 1, how: How = How.NTH, why: int = 0
    ) -> None:
        """From now on the n-th call of these kinds fails, or all of them hang.

        Without an errno, each kind of call has its own.
        """
        self._page[HEAD.size : HEAD.size + COUNTS.size] = bytes(COUNTS.size)
        self._page[FIRST:SIZE] = bytes(SIZE - FIRST)
        HEAD.pack_into(self._page, 0, how, kinds, n, why)

    def end(self) -> int:
        """From now on everything works; return how many calls have failed."""
        HEAD.pack_into(self._page, 0, How.NONE, 0, 0, 0)
        return self.failed

    @property
    def seen(self) -> int:
        return int(COUNTS.unpack_from(self._page, HEAD.size)[0])

    @property
    def failed(self) -> int:
        return int(COUNTS.unpack_from(self._page, HEAD.size)[1])

    @property
    def waiting(self) -> int:
        """Return the number of threads that hang."""
        return int(COUNTS.unpack_from(self._page, HEAD.size)[2])

    @property
    def first(self) -> str:
        """Return the name of the first call that failed."""
        return self._page[FIRST:SIZE].rstrip(b"\0").decode()

    def step(self, seconds: int) -> None:
        """Set the wall clock of the gateway to its time plus so many seconds."""
        STEP.pack_into(self._page, HEAD.size + COUNTS.size, seconds)

    @contextmanager
    def hanging(self, kinds: Kind) -> Iterator[None]:
        """All these calls hang while in a `with`, and go on after it."""
        self.begin(kinds, how=How.HANG)
        try:
            yield
        finally:
            self.end()
        wait_until("calls to go on", lambda: not self.waiting)
