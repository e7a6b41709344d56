#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Storms: all tunnels of a gateway at once, after its crash, against the floor.

    bench/storms.py [PEERS ADDRESSES]

Without arguments it measures all cases and keeps the results. The gateway
a crashes and starts again. Its peers are the connections of several charons, each with
its own identity: on one address behind a NAT, on 64, or on one each. The floor is what
the same daemons took for as many cold handshakes, begun by hand at the best pace that
the gateway's limits allow, just before. These limits are charon's defaults. Child SAs
carry nothing here (plugin/test/null_esp.c), since ESP in user space walks lists of all of
them. It needs root, as the lab does.
"""

import json
import os
import select
import shutil
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench.results import save  # noqa: E402
from lab import esp, ike  # noqa: E402
from lab.admin import counters  # noqa: E402
from lab.config import ESP_PROPOSAL, PROPOSAL, SECRET, Config  # noqa: E402
from lab.control import REPO, Control, Section  # noqa: E402
from lab.flood import before_others  # noqa: E402
from lab.gateway import Gateway, Sa  # noqa: E402
from lab.nat import Nat  # noqa: E402
from lab.process import STOCK_PLUGINS  # noqa: E402
from lab.scenario import Lab  # noqa: E402
from lab.wait import wait_until  # noqa: E402
from lab.wire import Forger, Packet, Sniffer  # noqa: E402

BUILD = REPO / "build-bench"
OURS = (
    BUILD / "plugin" / "libstrongswan-qcd.so",
    BUILD / "bench" / "libstrongswan-null-esp.so",
)
SIMULATE = BUILD / "test" / "simulate"
PLUGINS = (
    "nonce openssl kdf pem pkcs1 pkcs8 x509 pubkey constraints revocation random "
    "null-esp kernel-netlink socket-default vici qcd"
)
# A charon with more connections is slow as an initiator: it walks lists of them.
PEERS_EACH = 250
COOKIE = 16390
# Handshakes at a time for the floor. charon asks for cookies from 3 with one address
# or 30 with all of them on.
WINDOW_EACH, WINDOW = 3, 29
CASES = [(peers, where) for peers in (1000, 5000) for where in (1, 64, 0)]
# Storms that last for a few seconds are repeated, and the median is kept.
REPEATS = {1000: 5, 5000: 1}
WAYS = ("ike", "esp", "announce")
ESP_EVERY = 1.0  # seconds between two packets of a tunnel
# Seconds after which a peer that loses an IKE SA connects again at once. If it loses one
# that it has had for a shorter time, its handshake may be what crashes the gateway.
STABLE = 2.5
POLL = 0.1
LIMIT = 240.0
CONFIG = Config(
    log={"default": 0},
    esp=True,
    charon={
        "load": PLUGINS,
        # as its manual says for so many
        "ikesa_table_size": 4096,
        "ikesa_table_segments": 16,
    },
    socket_room=4 << 20,
)


@dataclass(frozen=True)
class Row:
    way: str
    peers: int
    addresses: int
    floor_s: float
    took_s: float
    ratio: float
    worst_s: float  # of a single tunnel, from its first sign of life to the new tunnel
    retransmits: int  # of messages of the new handshakes
    refused: int  # IKE_SA_INIT that were not answered
    cookies: int
    ratios: list[float] = field(default_factory=list)  # of all storms of this case


class Record(Sniffer):
    """Leaves packets in the kernel until somebody asks for them, which costs less."""

    def _read(self) -> None:
        select.select([self._wake], [], [])


def dotted(number: int) -> str:
    return socket.inet_ntoa(struct.pack("!I", number))


def number_of(name: str) -> int:
    return int(name[1:])


class Storm:
    """A gateway and its peers, which are the connections of several charons."""

    def __init__(self, stack: ExitStack, peers: int, addresses: int) -> None:
        self.count = peers
        self.addresses = addresses or peers
        hosts = -(-peers // PEERS_EACH)
        names = tuple(f"b{number}" for number in range(hosts))
        self.lab = lab = stack.enter_context(Lab(CONFIG, ("a", *names)))
        self.peers = [lab[name] for name in names]
        shutil.copytree(STOCK_PLUGINS, lab.folder / "plugins-qcd")
        for path in OURS:
            shutil.copy(path, lab.folder / "plugins-qcd")
        self.sources = [self._sources(gateway) for gateway in self.peers]
        if self.addresses == 1:
            nat = Nat(lab.network.router, [p.host for p in self.peers], lab.a.host)
            nat.use_any_ports()
        for gateway in self.peers:
            gateway.start(load=False, timeout=60)
        for number in range(peers):
            self._load_peer(number)
        self.start({})
        self.wire = stack.enter_context(Record(lab.a.host))

    def _sources(self, gateway: Gateway) -> list[str]:
        """Give a charon its share of the addresses."""
        if self.addresses == 1:
            return [gateway.host.address]
        place = self.peers.index(gateway)
        numbers = range(place, self.addresses, len(self.peers))
        first = 10 << 24 | 64 << 16
        own = [dotted(first + 1 + number) for number in numbers]
        gateway.host.ns.ip(*(f"addr add {item}/32 dev lo" for item in own))
        via = gateway.host.address
        self.lab.network.router.ns.ip(*(f"route add {a}/32 via {via}" for a in own))
        return own

    def start(self, options: Section) -> None:
        """Start the gateway: one connection for all, as for road warriors."""
        a = self.lab.a
        a.config = CONFIG.but(qcd_options=options)
        a.start(load=False, timeout=60)
        self._load_secret(a)
        section = self._connection(a, "peers", "gateway.lab", "%any", ["%any"])
        a.command("load-conn", section)

    def _load_peer(self, number: int) -> None:
        gateway = self.at(number)
        if number < len(self.peers):
            self._load_secret(gateway)
        remote = [self.lab.a.host.address]
        name = f"p{number}"
        section = self._connection(gateway, name, f"{name}.lab", "gateway.lab", remote)
        section[name]["local_addrs"] = [self.source(number)]
        gateway.command("load-conn", section)

    @staticmethod
    def _load_secret(gateway: Gateway) -> None:
        secret = {"id": "all", "type": "IKE", "data": SECRET, "owners": []}
        gateway.command("load-shared", secret)

    def _connection(
        self, gateway: Gateway, name: str, me: str, other: str, remote: list[str]
    ) -> Section:
        a, b = self.lab.a.host, self.peers[0].host
        is_gateway = gateway is self.lab.a
        inside = [a.inside_net(), b.inside_net()]
        child = {
            "local_ts": [inside[not is_gateway]],
            "remote_ts": [inside[is_gateway]],
            # without a key exchange, so that to rekey is only a cheap request
            "esp_proposals": [ESP_PROPOSAL.rpartition("-")[0]],
            "dpd_action": "clear" if is_gateway else "restart",
        }
        return {
            name: {
                "version": "2",
                "local_addrs": [gateway.host.address],
                "remote_addrs": remote,
                "encap": "yes",
                "mobike": "no",
                "proposals": [PROPOSAL],
                "local": {"id": me, "auth": "psk"},
                "remote": {"id": other, "auth": "psk"},
                "children": {name: child},
            }
        }

    def at(self, number: int) -> Gateway:
        """Return the charon that has this peer."""
        return self.peers[number % len(self.peers)]

    def source(self, number: int) -> str:
        own = self.sources[number % len(self.peers)]
        return own[number // len(self.peers) % len(own)]

    def sas(self) -> dict[int, Sa]:
        """Return each peer's tunnel; fail if one has none or several."""
        found: dict[int, Sa] = {}
        for gateway in self.peers:
            for sa in gateway.established():
                number = number_of(sa.peer)
                assert number not in found, f"peer {number} has two tunnels"
                found[number] = sa
        assert len(found) == self.count, f"{len(found)} peers have a tunnel"
        return found

    def wait(self) -> None:
        """Wait until the gateway has all tunnels."""
        a = self.lab.a

        def all_back() -> bool:
            assert self.wire.count >= 0  # makes room in the kernel
            sas = a.command("stats")["ikesas"]
            return int(sas["total"]) >= self.count and sas["half-open"] == "0"

        try:
            wait_until("all tunnels", all_back, LIMIT, self._missing, poll=POLL)
        finally:
            self.stats = a.command("stats")["ikesas"]

    def _missing(self) -> str:
        """Tell who has no tunnel, and what the gateway and these peers are doing."""
        a = self.lab.a
        have = {number_of(sa.peer) for gateway in self.peers for sa in gateway.established()}
        missing = sorted(set(range(self.count)) - have)
        lines = [f"{len(missing)} are missing: {missing[:20]}"]
        for gateway in [a, *{self.at(number) for number in missing[:20]}]:
            sas = gateway.command("stats")["ikesas"]
            known = {name: n for name, n in counters(gateway).items() if n}
            lines.append(f"{gateway.name}: {sas}, {known}")
        return "\n".join(lines)

    # --- the floor --------------------------------------------------------

    def connect(self) -> float:
        """Connect all peers, so many at a time; return the seconds."""
        seen = self.wire.count
        hosts = len(self.peers)
        # each charon has as many at a time as the others, or they all share the limit
        window = WINDOW // hosts * hosts if self.addresses > 1 else WINDOW_EACH

        def connect_some(first: int) -> None:
            """Connect every so manyth peer, one after the other."""
            numbers = range(first, self.count, window)
            with ExitStack() as stack:
                controls = {}
                for gateway in {self.at(number).name for number in numbers}:
                    control = Control(self.lab[gateway].places.vici)
                    stack.callback(control.close)
                    controls[gateway] = control
                for number in numbers:
                    name = f"p{number}"
                    request = {"ike": name, "child": name, "timeout": 30000}
                    controls[self.at(number).name].command("initiate", request)

        with ThreadPoolExecutor(window) as pool:
            list(pool.map(connect_some, range(window)))
        self.wait()
        return self._duration(self.wire.packets[seen:])

    def _duration(self, packets: list[Packet]) -> float:
        times = [p.time for p in packets if p.message.exchange == ike.IKE_AUTH]
        assert len(times) >= 2 * self.count, f"only {len(times)} of IKE_AUTH were seen"
        assert max(times) > packets[0].time, "the clock was set meanwhile"
        return max(times) - packets[0].time

    # --- a storm ----------------------------------------------------------

    def crash(self, way: str, floor: float) -> Row:
        """Crash the gateway, and measure until all peers are back."""
        old = self.sas()
        time.sleep(STABLE)
        self.lab.a.kill()
        self.wire.packets  # noqa: B018
        seen = self.wire.count
        self.start({"announce": "yes"} if way == "announce" else {})
        begin = time.time()
        getattr(self, f"_begin_{way}")(old)
        self.wait()
        return self._row(way, floor, begin, old, self.wire.packets[seen:])

    def _begin_announce(self, old: dict[int, Sa]) -> None:
        pass

    def _begin_ike(self, old: dict[int, Sa]) -> None:
        """Let each peer send a request."""

        def begin(gateway: Gateway) -> None:
            for number, sa in old.items():
                if self.at(number) is gateway:
                    child = int(sa.children[0]["uniqueid"])
                    ids = {"ike-id": sa.unique_id, "child-id": child}
                    gateway.command("rekey", ids)

        with ThreadPoolExecutor(len(self.peers)) as pool:
            list(pool.map(begin, self.peers))

    def _begin_esp(self, old: dict[int, Sa]) -> None:
        """Send a packet of each tunnel again and again, until its peer is told."""
        target = self.lab.a.host.address
        since = self.wire.count
        waiting = {sa.spis: number for number, sa in old.items()}
        with ExitStack() as stack:
            forgers = [stack.enter_context(Forger(p.host)) for p in self.peers]
            while waiting:
                due = time.monotonic() + ESP_EVERY
                for spis, number in list(waiting.items()):
                    spi = esp.child_spi(old[number], "out")
                    octets = esp.in_udp(spi, (self.source(number), 4500), (target, 4500))
                    forgers[number % len(forgers)].raw(octets, (target, 0))
                packets = self.wire.packets[since:]
                while time.monotonic() < due and waiting:
                    since += len(packets)
                    for packet in packets:
                        if packet.outgoing and packet.message.tokens():
                            told = (packet.message.spi_i, packet.message.spi_r)
                            waiting.pop(told, None)
                    time.sleep(POLL)
                    packets = self.wire.packets[since:]

    def _row(
        self,
        way: str,
        floor: float,
        begin: float,
        old: dict[int, Sa],
        packets: list[Packet],
    ) -> Row:
        by_spis = {sa.spis: number for number, sa in old.items()}
        by_new = {sa.spis: number for number, sa in self.sas().items()}
        first: dict[int, float] = {}
        back: dict[int, float] = {}
        cookies = answered = inits = 0
        seen: set[bytes] = set()
        retransmits = 0
        for packet in packets:
            message = packet.message
            spis = (message.spi_i, message.spi_r)
            if spis in by_spis:
                first.setdefault(by_spis[spis], packet.time)
                continue
            retransmits += packet.data in seen
            seen.add(packet.data)
            if message.exchange == ike.IKE_SA_INIT:
                is_cookie = any(n.kind == COOKIE for n in message.notifies())
                cookies += is_cookie and message.is_response
                answered += message.is_response
                inits += not message.is_response
            elif message.exchange == ike.IKE_AUTH and message.is_response:
                back.setdefault(by_new.get(spis, -1), packet.time)
        missing = set(by_new.values()) - back.keys()
        assert not missing, f"no handshake was seen of {len(missing)} tunnels"
        back.pop(-1, None)
        took = max(back.values()) - begin
        worst = max(when - first.get(number, begin) for number, when in back.items())
        return Row(
            way,
            self.count,
            self.addresses,
            floor,
            took,
            took / floor,
            worst,
            retransmits,
            inits - answered,
            cookies,
        )


def measure(peers: int, addresses: int) -> Iterator[Row]:
    with ExitStack() as stack:
        stack.enter_context(before_others())
        storm = Storm(stack, peers, addresses)
        floor = storm.connect()
        for way in WAYS:
            yield storm.crash(way, floor)


def median(rows: list[Row]) -> Row:
    """Return the row with the median ratio, with the ratios of all."""
    ordered = sorted(rows, key=lambda row: row.ratio)
    middle = ordered[len(ordered) // 2]
    return replace(middle, ratios=[row.ratio for row in ordered])


def measure_repeatedly(peers: int, addresses: int) -> list[Row]:
    repeats = [list(measure(peers, addresses)) for _ in range(REPEATS.get(peers, 1))]
    return [median(list(rows)) for rows in zip(*repeats)]


def simulate() -> list[Section]:
    """Return what the same pacing code does with 100,000 and a million peers."""
    print("\nsimulated, with the same pacing code:")
    argv = [str(SIMULATE), "--json"]
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    for row in rows:
        print(
            f"{row['peers']:>8} {row['case']:<28} {row['rate']:>5}/s "
            f"floor {row['floor_s']:8.1f} s, took {row['took_s']:8.1f} s: "
            f"{row['ratio']:.3f}; worst {row['worst_s']:.1f} s, at most "
            f"{row['underway']} at a time, queue {row['queue_s']:.2f} s"
        )
    return rows


def main() -> None:
    chosen = [(int(sys.argv[1]), int(sys.argv[2]))] if sys.argv[1:] else CASES
    rows = []
    print(
        f"{'peers':>6} {'addresses':>9} {'way':<9} {'floor s':>8} {'took s':>7} "
        f"{'ratio':>6} {'worst s':>8} {'again':>6} {'refused':>7} {'cookies':>7}"
    )
    for case in chosen:
        for row in measure_repeatedly(*case):
            rows.append(row)
            print(
                f"{row.peers:>6} {row.addresses:>9} {row.way:<9} {row.floor_s:>8.2f} "
                f"{row.took_s:>7.2f} {row.ratio:>6.2f} {row.worst_s:>8.2f} "
                f"{row.retransmits:>6} {row.refused:>7} {row.cookies:>7}",
                flush=True,
            )
    if not sys.argv[1:]:
        measured = [asdict(row) for row in rows]
        load = round(os.getloadavg()[2])
        title = __doc__.splitlines()[0]
        save("storms", title, measured, load=load, simulation=simulate())


if __name__ == "__main__":
    main()
