#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What a gateway pays for ESP of lost SAs: for each packet, and for a handshake.

    bench/gateway.py [OUTPUT OF QCD-BENCH]

All figures of a table are of one run, in which the cases took turns; the ratios
say more than the figures do. It needs root, as the lab does.
"""

import os
import random
import re
import socket
import statistics
import struct
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from lab import esp, ike  # noqa: E402
from lab.config import Config  # noqa: E402
from lab.flood import Burst  # noqa: E402
from lab.gateway import Gateway  # noqa: E402
from lab.harness import Harness  # noqa: E402
from lab.net import Netns  # noqa: E402
from lab.peer import Peer, Sa  # noqa: E402
from lab.scenario import Lab  # noqa: E402
from lab.wire import Sniffer  # noqa: E402

LOST = 100_000
PACKETS = 20_000
TUNNELS = 1000  # whose packets these are
ROUNDS = 41
HANDSHAKES = 1501  # pairs
RESAMPLES = 2000
NO_REPLIES = {"reply_rate": "0"}
PORT = 4500
HERE = "127.0.0.1"
DELETE = 42
PUT = re.compile(r"a row put, for a handshake\s+([0-9.]+)")


def median(values: list[float]) -> float:
    return statistics.median(values)


def print_rows(rows: dict[str, float], unit: str) -> None:
    """The first row is what the others are compared with."""
    first = next(iter(rows.values()))
    for name, value in rows.items():
        ratio = "" if value is first else f"{value / first:10.3f} x"
        print(f"{name:<46} {value:10.0f} {unit}{ratio}")
    print()


# --- packets ------------------------------------------------------------------


class Case:
    """A machine that sends itself ESP, with so many lost SAs."""

    def __init__(
        self, stack: ExitStack, packets: list[bytes], lost: int | None
    ) -> None:
        self.ns = Netns("bench")
        stack.callback(self.ns.close)
        # Somebody has the port, and no room for what comes.
        taker = self.ns.socket(socket.AF_INET, socket.SOCK_DGRAM)
        taker.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 0)
        taker.bind((HERE, PORT))
        self.sock = self.ns.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
        for sock in (taker, self.sock):
            stack.callback(sock.close)
        if lost is not None:
            harness = Harness(self.ns, rate=1000)
            stack.callback(harness.close)
            assert harness.ready and harness.add(1, lost).ok
        rules = self.ns.run(esp.NFT, "list", "tables")
        assert bool(rules) == bool(lost), f"{lost} lost SAs and tables {rules!r}"
        self.burst = Burst(packets, (HERE, 0))
        self.rounds: list[float] = []

    def round(self) -> None:
        """The processor's time for a packet, sent and received."""
        begin = time.process_time_ns()
        self.burst.send(self.sock, 0, PACKETS)
        self.rounds.append((time.process_time_ns() - begin) / PACKETS)


def measure_packets(form: str, packet: Callable[[bytes], bytes]) -> None:
    spis = [b"\xc0" + os.urandom(3) for _ in range(TUNNELS)]  # none is lost
    packets = [packet(spis[number % TUNNELS]) for number in range(PACKETS)]
    with ExitStack() as stack:
        cases = {
            "without qcd": Case(stack, packets, None),
            "nothing is lost: no table": Case(stack, packets, 0),
            "another SA is lost": Case(stack, packets, 1),
            f"{LOST:,} other SAs are lost": Case(stack, packets, LOST),
        }
        for _ in range(ROUNDS):
            for case in cases.values():
                case.round()
        rows = {f"{form}, {name}": median(c.rounds) for name, c in cases.items()}
    print_rows(rows, "ns")


# --- handshakes ---------------------------------------------------------------


def cpu(gateway: Gateway) -> int:
    """Nanoseconds that all threads of the daemon had a processor."""
    tasks = Path(f"/proc/{gateway.pid}/task").glob("*/schedstat")
    return sum(int(task.read_text().split()[0]) for task in tasks)


class Handshakes:
    """A gateway and a peer, who connects again and again."""

    def __init__(self, stack: ExitStack, config: Config) -> None:
        self.lab = stack.enter_context(Lab(config))
        self.lab.b.start()
        self.peer = stack.enter_context(Peer(self.lab.a.host, self.lab.b))
        self.wire = stack.enter_context(Sniffer(self.lab.b.host))
        self.times: list[float] = []
        self.cpu: list[float] = []

    def round(self) -> None:
        since, begin = self.wire.count, cpu(self.lab.b)
        sa = self.peer.connect()
        self.cpu.append((cpu(self.lab.b) - begin) / 1000)
        auth = [
            packet.time
            for packet in self.wire.packets[since:]
            if packet.message.exchange == ike.IKE_AUTH
        ]
        assert len(auth) == 2
        self.times.append((auth[1] - auth[0]) * 1e6)
        self._delete(sa)

    def _delete(self, sa: Sa) -> None:
        body = struct.pack("!BBH", ike.PROTO_IKE, 0, 0)
        self.peer.request(sa, ike.INFORMATIONAL, [(DELETE, body)])


def print_difference(what: str, pairs: list[tuple[float, float]]) -> None:
    """The median of the pairs' differences, in percent, and where it surely lies."""
    base = median([before for before, _ in pairs])
    differences = [after - before for before, after in pairs]
    chance = random.Random(1)
    medians = sorted(
        median(chance.choices(differences, k=len(differences)))
        for _ in range(RESAMPLES)
    )
    low, high = (medians[int(share * RESAMPLES)] for share in (0.025, 0.975))
    print(
        f"{what}, {len(pairs)} pairs: {median(differences) / base:+.2%}, "
        f"95 % of it between {low / base:+.2%} and {high / base:+.2%}\n"
    )


def measure_handshakes(output: str) -> None:
    base = Config(log={"default": 0})
    with ExitStack() as stack:
        cases = {
            # who may answer nothing needs no map
            "without the SA map": Handshakes(stack, base.but(qcd_options=NO_REPLIES)),
            "with it": Handshakes(stack, base.but(esp=True)),
        }
        for number in range(HANDSHAKES):
            order = list(cases.values())
            for case in order if number % 2 else order[::-1]:
                case.round()
    times = {f"IKE_AUTH {name}": median(c.times) for name, c in cases.items()}
    print_rows(times, "us")
    print_rows(
        {f"a handshake's CPU {name}": median(c.cpu) for name, c in cases.items()},
        "us",
    )
    without, with_it = cases.values()
    print_difference("IKE_AUTH with the map", list(zip(without.times, with_it.times)))
    print_difference("its CPU", list(zip(without.cpu, with_it.cpu)))
    found = PUT.search(output)
    if found:
        share = float(found.group(1)) / 1000 / next(iter(times.values()))
        print(f"a row put, with all of it in the caches, is {share:.2%} of an IKE_AUTH")


def main() -> None:
    target = (HERE, PORT)
    measure_packets("ESP in UDP", lambda spi: esp.in_udp(spi, (HERE, 1), target))
    measure_packets("ESP", lambda spi: esp.alone(spi, HERE, HERE))
    measure_handshakes(Path(sys.argv[1]).read_text() if sys.argv[1:] else "")


if __name__ == "__main__":
    main()
