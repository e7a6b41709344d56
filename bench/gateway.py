#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What a gateway pays for qcd: for each packet, for a handshake, and in memory.

    bench/gateway.py [--quick]

All figures of a table are of one run, in which the cases took turns. A ratio is the
median of the ratios of these turns or, where a daemon is measured, of its runs, with its
95 % interval. It needs root, as the lab does.
"""

import os
import random
import socket
import statistics
import struct
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench.results import Row, paired, save, spread  # noqa: E402
from lab import esp, ike  # noqa: E402
from lab.config import SECRET, Config  # noqa: E402
from lab.flood import Burst  # noqa: E402
from lab.gateway import Gateway  # noqa: E402
from lab.harness import Harness  # noqa: E402
from lab.ike import Notify  # noqa: E402
from lab.net import Netns  # noqa: E402
from lab.peer import Peer, Sa  # noqa: E402
from lab.scenario import Lab  # noqa: E402
from lab.wait import wait_until  # noqa: E402
from lab.wire import Sniffer, ike_datagram  # noqa: E402

LOST = 100_000
PACKETS = 20_000
TUNNELS = 1000  # whose packets these are
ROUNDS = 41
EACH = 5  # rounds of an instance
RUNS = 30  # of both daemons, for handshakes
HANDSHAKES = 80  # in each run
REQUESTS = 4000  # of a burst: as many as the socket holds
BURSTS = 60
KEPT = 1000  # SAs, to see the memory of each
SIZE = 500  # octets of a packet, about the mean on the Internet
TRAIN, TRAINS = 50, 40  # packets sent without waiting, and how often
PORT = 4500
HERE = "127.0.0.1"
DELETE = 42
QUIET = Config(log={"default": 0}, charon={"cookie_threshold": 0, "block_threshold": 0})
STOCK = QUIET.but(qcd=False)
WHOLE = QUIET.but(esp=True)  # qcd's own default
# The memory of an SA is that of a peer with an identity of its own.
ANYBODY = {"id": "anybody", "type": "IKE", "data": SECRET, "owners": ["%any"]}
# strongSwan ignores it without the plugin.
TOKEN = Notify(ike.QCD_TOKEN, bytes(range(32)))


def take_turns(cases: dict[str, Any], rounds: int) -> None:
    """Play the rounds of all cases, in another order each time.

    In a fixed one, some would more often find their own data in the caches.
    """
    order = list(cases.values())
    chance = random.Random(1)
    for _ in range(rounds):
        chance.shuffle(order)
        for case in order:
            case.round()


Case = Callable[[ExitStack], Any]


def instances(cases: dict[str, Case], count: int, rounds: int) -> dict[str, list[Any]]:
    """Play the rounds of all cases so many times, with new daemons each time.

    Two runs of one daemon differ by some percent, whatever they do: only the differences
    between many runs say something about a case.
    """
    found: dict[str, list[Any]] = {name: [] for name in cases}
    for _ in range(count):
        with ExitStack() as stack:
            made = {name: make(stack) for name, make in cases.items()}
            take_turns(made, rounds)
            for name, case in made.items():
                found[name].append(case)
    return found


def medians(cases: dict[str, list[Any]], values: str) -> dict[str, list[float]]:
    """Return the median of each instance."""
    return {
        name: [statistics.median(getattr(case, values)) for case in played]
        for name, played in cases.items()
    }


def on_one_core(gateway: Gateway) -> None:
    """Keep the daemon on the last core, so that its threads share their caches."""
    core = max(os.sched_getaffinity(0))
    for task in Path(f"/proc/{gateway.pid}/task").iterdir():
        os.sched_setaffinity(int(task.name), {core})


def rows_of(
    what: str, unit: str, cases: dict[str, list[float]], **goal: float
) -> list[Row]:
    """Return a row for each case; the others are compared with the first one.

    The goal of the last one is `at_most`, for its ratio, or `rate_at_least`, for the
    inverse.
    """
    first = next(iter(cases.values()))
    found = []
    for name, values in cases.items():
        row: Row = {"what": what, "case": name, "unit": unit, **spread(values)}
        if values is not first:
            row["to_first"] = paired(list(zip(first, values)))
        found.append(row)
    found[-1].update(goal)
    return found


# --- packets ------------------------------------------------------------------


class Packets:
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


def measure_packets(
    form: str, packet: Callable[[bytes], bytes], rounds: int
) -> list[Row]:
    spis = [b"\xc0" + os.urandom(3) for _ in range(TUNNELS)]  # none is lost
    packets = [packet(spis[number % TUNNELS]) for number in range(PACKETS)]
    with ExitStack() as stack:
        cases = {
            "without qcd": Packets(stack, packets, None),
            "nothing is lost: no table": Packets(stack, packets, 0),
            "another SA is lost": Packets(stack, packets, 1),
            f"{LOST:,} other SAs are lost": Packets(stack, packets, LOST),
        }
        take_turns(cases, rounds)
        times = {name: case.rounds for name, case in cases.items()}
    return rows_of(f"{form} of a healthy tunnel, a packet", "ns", times)


def cpu(gateway: Gateway) -> int:
    """Nanoseconds that all threads of the daemon had a processor."""
    tasks = Path(f"/proc/{gateway.pid}/task").glob("*/schedstat")
    return sum(int(task.read_text().split()[0]) for task in tasks)


class Tunnel:
    """A healthy tunnel with so many lost SAs beside it."""

    def __init__(self, stack: ExitStack, config: Config, lost: int) -> None:
        self.lab = stack.enter_context(Lab(config))
        self.lab.up()
        if lost:
            harness = Harness(self.lab.b.host.ns, rate=1000)
            stack.callback(harness.close)
            assert harness.add(1, lost).ok
        ends = self.lab.a.host, self.lab.b.host
        self._out, self._in = (
            host.ns.socket(socket.AF_INET, socket.SOCK_DGRAM) for host in ends
        )
        for sock, host in zip((self._out, self._in), ends):
            stack.callback(sock.close)
            sock.bind((host.inside, 0))
        self._out.connect(self._in.getsockname())
        self._in.settimeout(5.0)
        self.rounds: list[float] = []

    def _cpu(self) -> int:
        return cpu(self.lab.a) + cpu(self.lab.b) + time.process_time_ns()

    def round(self) -> None:
        """The processor's time for a packet, from one network to the other.

        That of the kernel is the time of those who send: it delivers at once.
        """
        begin = self._cpu()
        for _ in range(TRAINS):
            for _ in range(TRAIN):
                self._out.send(bytes(SIZE))
            for _ in range(TRAIN):
                self._in.recv(SIZE)
        self.rounds.append((self._cpu() - begin) / (TRAIN * TRAINS))


def measure_tunnel(
    rounds: int,
    config: Config = STOCK,
    what: str = "a packet through a healthy tunnel of charon's own ESP",
) -> list[Row]:
    cases: dict[str, Case] = {
        "without qcd": lambda stack: Tunnel(stack, config, 0),
        f"{LOST:,} other SAs are lost": lambda stack: Tunnel(stack, config, LOST),
    }
    found = instances(cases, max(2, rounds // EACH), EACH)
    return rows_of(what, "ns", medians(found, "rounds"), at_most=1.05)


def switches(gateway: Gateway) -> int:
    """Return how often its threads have got or lost a processor."""
    tasks = Path(f"/proc/{gateway.pid}/task").glob("*/status")
    lines = (line for task in tasks for line in task.read_text().splitlines())
    return sum(int(line.split()[1]) for line in lines if "ctxt_switches" in line)


class Unknown:
    """A gateway that gets IKE requests with SPIs that nobody has seen."""

    def __init__(self, stack: ExitStack, config: Config) -> None:
        self.lab = stack.enter_context(Lab(config.but(socket_room=16 << 20)))
        self.lab.b.start()
        on_one_core(self.lab.b)
        ends = [(host.address, PORT) for host in (self.lab.a.host, self.lab.b.host)]
        requests = (
            ike.protected_request((os.urandom(8), os.urandom(8)), size=80).pack()
            for _ in range(REQUESTS)
        )
        packets = [ike_datagram(*ends, data) for data in requests]
        self._burst = Burst(packets, ends[1])
        ns = self.lab.a.host.ns
        self._sock = ns.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
        stack.callback(self._sock.close)
        self.rounds: list[float] = []

    def round(self) -> None:
        """The daemon's processor time for a request."""
        gateway, ns = self.lab.b, self.lab.b.host.ns
        begin = cpu(gateway)
        self._burst.send(self._sock, 0, REQUESTS)
        wait_until("the requests to be read", lambda: not ns.udp_waiting(PORT), 30.0)
        gateway.wait_idle(30.0)
        self.rounds.append((cpu(gateway) - begin) / REQUESTS)
        assert not ns.udp_drops(PORT), "the socket was too small"


def measure_requests(bursts: int) -> list[Row]:
    cases: dict[str, Case] = {
        "without qcd": lambda stack: Unknown(stack, STOCK),
        "with the plugin": lambda stack: Unknown(stack, WHOLE),
    }
    found = instances(cases, max(2, bursts // EACH), EACH)
    return rows_of(
        "an IKE request with an unknown SPI, CPU",
        "ns",
        medians(found, "rounds"),
        at_most=1.05,
    )


# --- handshakes ---------------------------------------------------------------


class Handshakes:
    """A gateway and a peer, who connects again and again."""

    def __init__(self, stack: ExitStack, config: Config) -> None:
        self.lab = stack.enter_context(Lab(config))
        self.lab.b.start()
        on_one_core(self.lab.b)
        self.peer = stack.enter_context(Peer(self.lab.a.host, self.lab.b))
        self.wire = stack.enter_context(Sniffer(self.lab.b.host))
        self.times: list[float] = []
        self.cpu: list[float] = []
        self.switches: list[float] = []
        self._used, self._switched = cpu(self.lab.b), switches(self.lab.b)

    def round(self) -> None:
        """Connect and delete.

        The time is that from each request to its response. The processor time includes
        what the daemon did since the last round, so that no work of other threads is
        left out.
        """
        since = self.wire.count
        sa = self.peer.connect([TOKEN])
        self._delete(sa)
        seen = self.wire.packets[since:]
        assert [packet.message.exchange for packet in seen] == (
            [ike.IKE_SA_INIT] * 2 + [ike.IKE_AUTH] * 2 + [ike.INFORMATIONAL] * 2
        )
        spent = [seen[at + 1].time - seen[at].time for at in (0, 2)]
        self.times.append(sum(spent) * 1e6)
        used, switched = cpu(self.lab.b), switches(self.lab.b)
        self.cpu.append((used - self._used) / 1000)
        self.switches.append(switched - self._switched)
        self._used, self._switched = used, switched

    def _delete(self, sa: Sa) -> None:
        body = struct.pack("!BBH", ike.PROTO_IKE, 0, 0)
        self.peer.request(sa, ike.INFORMATIONAL, [(DELETE, body)])


def measure_handshakes(runs: int) -> list[Row]:
    cases: dict[str, Case] = {
        "without qcd": lambda stack: Handshakes(stack, STOCK),
        "with the whole plugin": lambda stack: Handshakes(stack, WHOLE),
    }
    found = instances(cases, runs, HANDSHAKES)
    return [
        *rows_of(
            "a handshake, from requests to responses",
            "us",
            medians(found, "times"),
            rate_at_least=0.99,
        ),
        *rows_of(
            "a handshake and its delete, CPU",
            "us",
            medians(found, "cpu"),
            rate_at_least=0.99,
        ),
        *rows_of(
            "context switches of a handshake and its delete",
            "",
            medians(found, "switches"),
        ),
    ]


# --- memory -------------------------------------------------------------------


def used(gateway: Gateway) -> int:
    """Octets that charon has allocated."""
    return int(gateway.command("stats")["mallinfo"]["used"])


def memory(config: Config, count: int) -> tuple[float, float]:
    """Return the octets of memory and of disk for each SA, of as many peers."""
    many = config.but(
        ike_options={"remote": {"id": "%any"}}, before=(("load-shared", ANYBODY),)
    )
    with Lab(many) as lab, Peer(lab.a.host, lab.b) as peer:
        lab.b.start()
        state = lab.b.places.state

        def stored() -> int:
            files = state.rglob("*") if state.is_dir() else ()
            return sum(512 * path.stat().st_blocks for path in files)

        def connect(first: int) -> None:
            for number in range(first, first + count):
                peer.host = replace(lab.a.host, name=f"peer{number}")
                peer.connect([TOKEN])
            lab.b.wait_idle()

        connect(0)  # what is allocated once is allocated now
        before = used(lab.b), stored()
        connect(count)
        assert lab.b.command("stats")["ikesas"]["total"] == str(2 * count)
        after = used(lab.b), stored()
    memory, disk = ((new - old) / count for old, new in zip(before, after))
    return memory, disk


def measure_memory(count: int) -> list[Row]:
    cases = {"without qcd": STOCK, "with the whole plugin": WHOLE}
    found = {name: memory(config, count) for name, config in cases.items()}
    octets = {name: [values[0]] for name, values in found.items()}
    disk = {name: [values[1]] for name, values in found.items()}
    rows = rows_of("memory of each SA with its child", "octets", octets)
    for name, values in disk.items():
        rows.append({"what": "disk", "case": name, "unit": "octets", **spread(values)})
    return rows


def show(rows: list[Row]) -> None:
    what = None
    for row in rows:
        if row["what"] != what:
            what = row["what"]
            print(f"\n{what}")
        line = f"  {row['case']:<34} {row['median']:12,.0f} {row['unit']}"
        if "to_first" in row:
            low, high = row["to_first"]["interval"]
            line += f" {row['to_first']['ratio']:8.3f} x ({low:.3f} to {high:.3f})"
        print(line)


def main() -> None:
    part = 20 if "--quick" in sys.argv[1:] else 1
    target = (HERE, PORT)
    rows = [
        *measure_packets(
            "ESP in UDP",
            lambda spi: esp.in_udp(spi, (HERE, 1), target),
            ROUNDS // part,
        ),
        *measure_packets(
            "ESP", lambda spi: esp.alone(spi, HERE, HERE), ROUNDS // part
        ),
        *measure_tunnel(BURSTS // part),
        *measure_requests(BURSTS // part),
        *measure_handshakes(max(2, RUNS // part)),
        *measure_memory(KEPT // part),
    ]
    save("gateway", __doc__.splitlines()[0], rows)
    show(rows)


if __name__ == "__main__":
    main()
