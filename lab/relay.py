# SPDX-License-Identifier: GPL-2.0-or-later
"""A long path between two hosts: a relay that delays, loses, duplicates and reorders.

The kernel here has no netem. The router therefore passes the packets between the hosts
to a TUN device. A separate process, which no thread of the lab can delay, writes each
packet back when it is due. Packets that the router drops are dropped before that.

    with Relay(lab.network.router, lab.a.host, lab.b.host, Way(delay=0.02)):
        ...
"""

import fcntl
import heapq
import json
import os
import random
import select
import struct
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass

from lab.control import REPO
from lab.net import Host, Router

TUNSETIFF = 0x400454CA
IFF_TUN_NO_PI = 0x1001
LARGEST = 65536
SOURCE = slice(12, 16)  # in an IPv4 packet


@dataclass(frozen=True)
class Way:
    """What happens to the packets, in both directions; chances are from 0 to 1."""

    delay: float = 0.0  # seconds
    loss: float = 0.0
    double: float = 0.0
    late: float = 0.0  # chance to be late by `behind`, so that others overtake it
    behind: float = 0.005
    seed: int = 0


class Relay:
    """Runs between two hosts while in a `with`. Its way may be changed."""

    _count = 0

    def __init__(self, router: Router, one: Host, other: Host, way: Way) -> None:
        Relay._count += 1
        self._device = f"relay{Relay._count}"
        self._table = 100 + Relay._count
        self._router = router
        self._ends = ((one, other), (other, one))
        argv = [sys.executable, "-m", "lab.relay", self._device]
        with router.ns.entered():
            self._process = subprocess.Popen(
                argv,
                cwd=REPO,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
        try:
            self.set(way)
            self._divert()
        except BaseException:
            self.close()
            raise

    def set(self, way: Way) -> None:
        """Change the way; packets already on their way are not affected."""
        assert self._process.stdin and self._process.stdout
        self._process.stdin.write(json.dumps(asdict(way)) + "\n")
        self._process.stdin.flush()
        if self._process.stdout.readline() != "set\n":
            raise RuntimeError("the relay has ended")

    def _rules(self, verb: str) -> list[str]:
        return [
            f"rule {verb} iif to-{source.name} to {target.address} lookup {self._table}"
            for source, target in self._ends
        ]

    def _divert(self) -> None:
        self._router.ns.ip(
            f"link set {self._device} up",
            f"route add default dev {self._device} table {self._table}",
            *self._rules("add"),
        )

    def __enter__(self) -> "Relay":
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()

    def remove(self) -> None:
        """Packets take the direct path again; those on their way are lost."""
        self._router.ns.ip(*self._rules("del"))
        self.close()

    def close(self) -> None:
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            if stream:
                stream.close()


class _Work:
    """The process: packets of a TUN device, each with the time of its return."""

    def __init__(self, device: str) -> None:
        self._tun = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
        request = struct.pack("16sH22x", device.encode(), IFF_TUN_NO_PI)
        fcntl.ioctl(self._tun, TUNSETIFF, request)
        self._waiting: list[tuple[float, int, bytes]] = []
        self._number = 0
        self._way = Way()
        # One generator for each source, so that responses don't affect requests.
        self._chances: dict[bytes, random.Random] = {}

    def run(self) -> None:
        while True:
            timeout = None
            if self._waiting:
                timeout = max(0.0, self._waiting[0][0] - time.monotonic())
            ready, _, _ = select.select([self._tun, sys.stdin], [], [], timeout)
            if sys.stdin in ready and not self._change():
                return  # the lab has ended, in whatever way
            if self._tun in ready:
                self._take()
            self._give()

    def _change(self) -> bool:
        line = sys.stdin.readline()
        if line:
            self._way = Way(**json.loads(line))
            self._chances.clear()
            print("set", flush=True)
        return bool(line)

    def _chance_of(self, source: bytes) -> Callable[[], float]:
        if source not in self._chances:
            self._chances[source] = random.Random(f"{self._way.seed} {source.hex()}")
        return self._chances[source].random

    def _take(self) -> None:
        way = self._way
        while True:
            try:
                packet = os.read(self._tun, LARGEST)
            except BlockingIOError:
                return
            chance = self._chance_of(packet[SOURCE])
            if way.loss and chance() < way.loss:
                continue
            for _ in range(2 if way.double and chance() < way.double else 1):
                when = time.monotonic() + way.delay
                if way.late and chance() < way.late:
                    when += way.behind
                self._number += 1
                heapq.heappush(self._waiting, (when, self._number, packet))

    def _give(self) -> None:
        while self._waiting and self._waiting[0][0] <= time.monotonic():
            os.write(self._tun, heapq.heappop(self._waiting)[2])


if __name__ == "__main__":
    _Work(sys.argv[1]).run()
