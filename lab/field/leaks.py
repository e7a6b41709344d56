# SPDX-License-Identifier: GPL-2.0-or-later
"""What a gateway holds while its tunnel is up and nothing happens.

After each disturbance it must hold the same as before: a descriptor, a route or a row
of the SA map more is a leak. Memory is compared within one life of charon.
"""

import os
import re
import socket
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from lab import esp
from lab.admin import counters, rows
from lab.field.stage import ROUTES
from lab.gateway import Gateway
from lab.wait import wait_until

SLOT = 128  # of the SA map; src/store/samap_row.h has its fields
PEER = 44  # where a row has the peer's address: its length, and its octets
WARM_UP = 8  # steps until the heap has its usual size
# Stock charon leaves jobs of SAs that have ended in its queue, for as long as these SAs
# would have lived: 210 octets each, the same with qcd.
PER_JOB = 320
HEAP_NOISE = 64 << 10
# Pages that worker threads touch for the first time, and arenas that grow.
RESIDENT_NOISE = 4 << 20


@dataclass(frozen=True)
class Row:
    """A row of the SA map."""

    spi: bytes
    peer: str

    @classmethod
    def parse(cls, slot: bytes) -> "Row":
        length = slot[PEER]
        family = socket.AF_INET if length == 4 else socket.AF_INET6
        address = slot[PEER + 1 : PEER + 1 + length]
        return cls(slot[1:5], socket.inet_ntop(family, address))


def map_of(gateway: Gateway) -> list[Row]:
    """Return the rows of its SA map."""
    data = (gateway.places.state / "samap").read_bytes()
    slots = [data[at : at + SLOT] for at in range(0, len(data), SLOT)]
    return [Row.parse(slot) for slot in slots if slot[0] == 1]


def descriptors(pid: int) -> list[str]:
    """Return what its descriptors refer to, without the numbers of sockets and such."""
    found = []
    folder = f"/proc/{pid}/fd"
    for name in os.listdir(folder):
        try:
            target = os.readlink(f"{folder}/{name}")
        except FileNotFoundError:
            continue  # closed meanwhile
        found.append(re.sub(r":\[\d+\]$", "", target))
    return found


def check_closed(gateway: Gateway, before: "Counter[str]") -> None:
    """Wait until the gateway has no more descriptors than before; fewer are fine."""

    def more() -> list[str]:
        return list((Counter(descriptors(gateway.pid)) - before).elements())

    wait_until(
        "all new descriptors to be closed",
        lambda: not more(),
        explain=lambda: f"left: {more()}\n{gateway.tail()}",
    )


@contextmanager
def same_descriptors(gateway: Gateway) -> Iterator[None]:
    """Check that what happens in a `with`, in one life of charon, leaks no descriptor."""
    before = Counter(descriptors(gateway.pid))
    yield
    check_closed(gateway, before)


def _lines(gateway: Gateway, *argv: str) -> list[str]:
    return gateway.host.ns.run("/sbin/ip", *argv).splitlines()


def _ours(gateway: Gateway) -> list[str]:
    """Return its nftables without the SPIs of lost SAs, which `lost` compares."""
    text = re.sub(r"elements = \{.*?\}", "", esp.ruleset(gateway), flags=re.DOTALL)
    return [line.strip() for line in text.splitlines() if line.strip()]


def _routes(gateway: Gateway) -> list[str]:
    """Return all routes but those of the cable, which moves change."""
    lines = _lines(gateway, "route", "show", "table", "all")
    return [line.strip() for line in lines if f" {gateway.host.device} " not in line]


def holding(gateway: Gateway, lost: bool) -> dict[str, Counter[str]]:
    """Return what it holds, by kind.

    While SAs are lost it has an nftables table, and a socket of NFLOG.
    """
    wanted = {"trap": "yes", "drop": "yes", "pass": "yes"}
    policies = gateway.control.stream("list-policies", "list-policy", wanted)
    found = {
        "descriptor": Counter(descriptors(gateway.pid)),
        "thread": Counter({"task": len(os.listdir(f"/proc/{gateway.pid}/task"))}),
        "nftables line": Counter([] if lost else _ours(gateway)),
        "route": Counter(_routes(gateway)),
        "rule": Counter(_lines(gateway, "rule", "show")),
        "link": Counter(_links(gateway)),
        "XFRM policy": Counter(_lines(gateway, "xfrm", "policy", "show")),
        "XFRM state": Counter(_lines(gateway, "xfrm", "state", "show")),
        "policy": Counter(name for policy in policies for name in policy),
    }
    if gateway.config.qcd:
        recoveries = rows(gateway, "recovery")
        found["file"] = Counter(os.listdir(gateway.places.state))
        found["recovery"] = Counter(str(row["connection"]) for row in recoveries)
        found["reply"] = Counter({"waiting": int(counters(gateway)["waiting"])})
    return found


def _links(gateway: Gateway) -> list[str]:
    lines = _lines(gateway, "-brief", "link", "show")
    return [line.split()[0].partition("@")[0] for line in lines]


def difference(
    before: dict[str, Counter[str]], now: dict[str, Counter[str]]
) -> list[str]:
    """Return what is held now and was not before, and the other way round."""
    found = []
    for kind, was in before.items():
        has = now[kind]
        found += [f"leaked: {kind} {item}" for item in (has - was).elements()]
        found += [f"missing: {kind} {item}" for item in (was - has).elements()]
    return found


def lost(gateway: Gateway, spare: int) -> tuple[bool, list[str]]:
    """Tell whether SAs are lost, and return what is wrong with the SA map.

    A row belongs to a live child SA or a lost one. With the tunnel up again, a child SA
    is still lost in two cases only. Its peer has moved since: it may be another one. Or
    the gateway lost several IKE SAs of the peer, in crash after crash, and was never
    asked about some: several hosts may have the same identity. These are `spare`.
    """
    (sa,) = [sa for sa in gateway.control.sas() if sa["state"] == "ESTABLISHED"]
    live = {bytes.fromhex(child["spi-in"]) for child in sa["child-sas"].values()}
    rows_now = {row.spi: row for row in map_of(gateway)}
    dead = esp.dead(gateway)
    number = int(counters(gateway)["lost_children"])
    left = {spi for spi in rows_now if spi not in live}
    found = [f"missing: row of child SA {spi.hex()}" for spi in live - set(rows_now)]
    if left != dead or len(dead) != number:
        found.append(
            f"leaked: lost child SAs: {number} counted, in the map "
            f"{sorted(s.hex() for s in left)}, in nftables {sorted(s.hex() for s in dead)}"
        )
    host = sa["remote-host"]
    back = [row for spi, row in rows_now.items() if spi in left and row.peer == host]
    if len(back) > spare:
        spis = sorted(row.spi.hex() for row in back)
        found.append(f"leaked: rows of lost child SAs {spis}, although their peer is back")
    return bool(left or dead), found


class Growth:
    """Memory of one life of a gateway, from the end of its warm-up."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway
        self.pid = gateway.pid
        self._looks = 0
        self._base = (0, 0, 0)
        self.now = (0, 0, 0)

    def sample(self) -> tuple[int, int, int]:
        """Return the octets of its heap, its scheduled jobs, and its resident octets."""
        stats = self.gateway.command("stats")
        heap, jobs = int(stats["mallinfo"]["used"]), int(stats["scheduled"])
        return heap, jobs, self.gateway.memory()

    def look(self) -> str:
        """Take a sample; return what is wrong, or an empty text."""
        self.now = self.sample()
        self._looks += 1
        if self._looks <= WARM_UP:
            self._base = self.now
        heap, jobs, resident = self.grown
        allowed = HEAP_NOISE + PER_JOB * max(0, jobs)
        if heap > allowed:
            return f"leaked: {heap} octets of heap, {allowed} are usual: {self}"
        if resident > allowed + RESIDENT_NOISE:
            return f"leaked: {resident} octets of memory: {self}"
        return ""

    @property
    def grown(self) -> tuple[int, int, int]:
        heap, jobs, resident = (n - b for n, b in zip(self.now, self._base))
        return heap, jobs, resident

    def __str__(self) -> str:
        heap, jobs, resident = self.grown
        return (
            f"{self.gateway.name} in {self._looks} steps: heap {heap >> 10:+} KiB, "
            f"resident {resident >> 10:+} KiB, {jobs:+} jobs"
        )
