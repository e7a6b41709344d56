# SPDX-License-Identifier: GPL-2.0-or-later
"""A steady probe through the tunnel: pings, and what happened to each of them."""

import itertools
import os
import select
import socket
import struct
import threading
import time
from dataclasses import dataclass
from typing import Self

from lab.net import Host
from lab.reader import Reader
from lab.wait import LabTimeout, deadline, left

ECHO_REQUEST, ECHO_REPLY = 8, 0
IP_HEADER = 20
SO_TIMESTAMPNS = 35
_HEADER = struct.Struct("!BBHHH")
_NUMBER = struct.Struct("!I")
_numbers = itertools.count(os.getpid())


def checksum(data: bytes) -> int:
    """Return the Internet checksum of an even number of octets."""
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total >> 16) + (total & 0xFFFF)
    return ~(total + (total >> 16)) & 0xFFFF


def kernel_time(ancillary: list[tuple[int, int, bytes]]) -> float:
    """Return when the kernel received the packet, from recvmsg's ancillary data."""
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == SO_TIMESTAMPNS:
            seconds, nanoseconds = struct.unpack("qq", data[:16])
            return float(seconds) + nanoseconds / 1e9
    return time.time()


def first_lost(
    sent: list[float], answered: set[int], after: float, before: float
) -> float | None:
    """Return the first of these times, None if that packet was answered.

    A packet sent after an answered one may have its answer on the way.
    """
    for number, when in enumerate(sent):
        if after <= when < before:
            return None if number in answered else when
    return None


@dataclass(frozen=True)
class Gap:
    """A time without answers: from the first unanswered packet to the next answer."""

    start: float
    end: float
    lost: int

    @property
    def length(self) -> float:
        return self.end - self.start


class Probe(Reader):
    """Pings from one host's inside address to another's while in a `with`.

    All times are seconds since the epoch; the kernel timestamps the answers.
    """

    def __init__(
        self, source: Host, target: Host, interval: float = 0.005, child: int = 0
    ) -> None:
        self._interval = interval
        self._target = (target.inside_of(child), 0)
        super().__init__(
            source.ns.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
        )
        self._sock.bind((source.inside_of(child), 0))
        self._sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        # Each has its own ID: answers to an earlier probe may still be on their way.
        self._id = next(_numbers) & 0xFFFF
        self._changed = threading.Condition()
        self._sent: list[float] = []
        self._answered: dict[int, float] = {}
        self._stopping = threading.Event()
        self._sender = threading.Thread(target=self._send, daemon=True)

    def __enter__(self) -> Self:
        self._sender.start()
        return super().__enter__()

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._sender.join()
        super().__exit__()

    def _send(self) -> None:
        following = time.monotonic()
        number = 0
        while not self._stopping.wait(left(following)):
            following = max(following + self._interval, time.monotonic() - 0.1)
            body = _NUMBER.pack(number) + bytes(28)
            header = _HEADER.pack(ECHO_REQUEST, 0, 0, self._id, number & 0xFFFF)
            code = checksum(header + body)
            header = _HEADER.pack(ECHO_REQUEST, 0, code, self._id, number & 0xFFFF)
            self._sent.append(time.time())
            try:
                self._sock.sendto(header + body, self._target)
            except OSError:
                pass  # the tunnel's route is gone: a packet without an answer
            number += 1

    def _read(self) -> None:
        while True:
            ready, _, _ = select.select([self._sock, self._wake], [], [])
            if self._wake in ready:
                return
            data, ancillary, _, _ = self._sock.recvmsg(2048, 128)
            kind, _, _, ident, _ = _HEADER.unpack_from(data, IP_HEADER)
            if kind != ECHO_REPLY or ident != self._id:
                continue
            (number,) = _NUMBER.unpack_from(data, IP_HEADER + _HEADER.size)
            with self._changed:
                self._answered.setdefault(number, kernel_time(ancillary))
                self._changed.notify_all()

    # --- results --------------------------------------------------------

    def first_answer(self, after: float) -> float | None:
        """Return when the first packet sent after that time got its answer.

        Packets without an answer are skipped.
        """
        with self._changed:
            times = [
                when
                for number, when in self._answered.items()
                if self._sent[number] >= after
            ]
        return min(times, default=None)

    def last_answer(self, before: float) -> float | None:
        """Return when the last answer before that time arrived."""
        with self._changed:
            times = [when for when in self._answered.values() if when <= before]
        return max(times, default=None)

    def first_lost(self, after: float, before: float | None = None) -> float | None:
        """Return when the first packet of that time was sent, None if answered."""
        until = time.time() if before is None else before
        with self._changed:
            return first_lost(self._sent[:], set(self._answered), after, until)

    def wait_answer(
        self, after: float | None = None, count: int = 1, timeout: float = 10.0
    ) -> float:
        """Wait until this many packets sent after that time (now) are answered.

        Returns the time of the first of these answers.
        """
        start = time.time() if after is None else after
        until = deadline(timeout)
        first = 0
        with self._changed:
            while first < len(self._sent) and self._sent[first] < start:
                first += 1
            while True:
                times = [t for n, t in self._answered.items() if n >= first]
                if len(times) >= count:
                    return min(times)
                if not self._changed.wait(left(until)) and left(until) <= 0:
                    raise LabTimeout(
                        f"waited {timeout:g} s for {count} answers through the "
                        f"tunnel from {self._target[0]}, {len(times)} came"
                    )

    def gaps(
        self, longer: float = 0.1, since: float = 0.0, until: float | None = None
    ) -> list[Gap]:
        """Return times without answers longer than that, including one still open."""
        with self._changed:
            answered = dict(self._answered)
        now = time.time()
        found: list[Gap] = []
        start: float | None = None
        lost = 0
        for number, sent in enumerate(self._sent[:]):
            if sent < since or (until is not None and sent > until):
                continue
            if number not in answered:
                start = sent if start is None else start
                lost += 1
            elif start is not None:
                found.append(Gap(start, answered[number], lost))
                start, lost = None, 0
        if start is not None:
            found.append(Gap(start, now, lost))
        return [gap for gap in found if gap.length > longer]

    def counts(self, since: float = 0.0) -> tuple[int, int]:
        """Return how many packets were sent since then, and how many answered."""
        with self._changed:
            numbers = [n for n, sent in enumerate(self._sent[:]) if sent >= since]
            return len(numbers), sum(n in self._answered for n in numbers)
