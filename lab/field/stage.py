# SPDX-License-Identifier: GPL-2.0-or-later
"""The stage of a field scenario: a lab, its tunnels, and the measurements."""

import time
from collections import Counter
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from typing import Any

from lab.config import Config, child_name
from lab.crash import repeated
from lab.field.outcome import Case, Outcome
from lab.gateway import CARRYING, Gateway, Sa
from lab.ike import IKE_AUTH, IKE_SA_INIT
from lab.net import Host
from lab.scenario import Lab
from lab.traffic import Probe
from lab.wait import LabTimeout, wait_until
from lab.wire import Sniffer

# The defaults of charon and the plugin, with DPD: without it stock charon never notices
# anything.
BASE = Config(esp=True, dpd_delay="30s", dpd_action="restart")
BOTH_START = BASE.but(start_action="start")

UP = ("ESTABLISHED", "REKEYING")
SETTLE = 10.0
LOOK = 0.01
LATER = 0.25  # seconds between checks after LONG: many plays wait in parallel
LONG = 3.0
MANY = 8
ROUTES = "220"  # charon's routing table


@dataclass(frozen=True)
class Link:
    """A child that should be up between two gateways, and the networks it connects."""

    one: str
    other: str
    child: str
    net: int  # number of the addresses behind both
    behind: str = ""  # whose addresses are behind `other`, if not its own

    def __str__(self) -> str:
        return f"{self.child} between {self.one} and {self.other}"


def carrying(sa: Sa) -> list[str]:
    """Return the names of its children that carry traffic."""
    return [child["name"] for child in sa.children if child["state"] in CARRYING]


def sas_of(gateway: Gateway) -> list[Sa]:
    """Return the SAs of a gateway; none if it is down or goes down meanwhile."""
    with suppress(LabTimeout, OSError, RuntimeError, AssertionError):
        return gateway.sas()
    return []


def lasting(sas: list[Sa]) -> list[Sa]:
    """Return the SAs without those whose initiator never sent IKE_AUTH.

    A responder forgets these after half a minute, whoever initiated them.
    """
    return [sa for sa in sas if sa.initiator or sa.state != "CONNECTING"]


@dataclass(frozen=True)
class Remains:
    """What a gateway keeps beside its SAs: routes, and policies without an SA."""

    routes: tuple[str, ...]
    policies: tuple[str, ...]

    @classmethod
    def of(cls, gateway: Gateway) -> "Remains":
        try:
            routes = gateway.host.ns.run("/sbin/ip", "route", "show", "table", ROUTES)
        except RuntimeError:
            routes = ""  # the table doesn't exist, because there never was a route
        wanted = {"trap": "yes", "drop": "yes", "pass": "yes"}
        policies = gateway.control.stream("list-policies", "list-policy", wanted)
        names = [name for policy in policies for name in policy]
        return cls(tuple(sorted(routes.splitlines())), tuple(sorted(names)))


class Stage:
    """One play of a scenario, with qcd or without.

    A scenario makes its lab, brings the tunnels up, does its steps, and calls `ready`
    at the moment at which the tunnels can come up.
    """

    def __init__(self, case: Case, qcd: bool, full: bool, bound: float) -> None:
        self.case = case
        self.qcd = qcd
        self.full = full  # as many rounds as the issue requests
        self.bound = bound
        self.outcome = Outcome(case.name, qcd)
        self.links: list[Link] = []
        self.stack = ExitStack()
        self._probes: dict[Link, Probe] = {}
        self._expected: dict[str, list[int]] = {}
        self._ready = 0.0

    # --- the lab --------------------------------------------------------

    def make(
        self, config: Config = BASE, names: tuple[str, ...] = ("a", "b"), **more: Config
    ) -> Lab:
        """Return a lab of gateways that all have qcd, or all lack it."""
        own = {name: item.but(qcd=self.qcd) for name, item in more.items()}
        lab = self.stack.enter_context(Lab(config.but(qcd=self.qcd), names, **own))
        self.lab = lab
        for peer in lab.a.peers:
            count = max(
                item.config.tunnels * item.config.children
                for item in (lab.a, lab[peer.name])
            )
            self.links += [
                Link("a", peer.name, child_name(k), k) for k in range(count)
            ]
        return lab

    def up(self) -> Lab:
        """Start the gateways and bring their tunnels up."""
        lab = self.lab
        if any(g.config.start_action == "start" for g in lab.gateways.values()):
            self._start_one_by_one()
        else:
            for gateway in lab.gateways.values():
                if not gateway.alive:
                    gateway.start()
            for peer in lab.a.peers:
                self._initiate(peer.name)
        self.watch()
        return lab

    def _initiate(self, peer: str) -> None:
        if self.lab.a.config.tunnels * self.lab.a.config.children > 1:
            self.lab.initiate_all(peer)
            return
        client = self.lab[peer]
        if client.config.anywhere or not self.lab.a.config.anywhere:
            self.lab.a.initiate(peer)
        else:
            client.initiate("a")

    def _start_one_by_one(self) -> None:
        """Start the gateways if both initiate: a is refused, and only b succeeds."""
        for gateway in self.lab.gateways.values():
            gateway.start(load=False)
        for gateway in self.lab.gateways.values():
            gateway.load()
            if gateway is self.lab.a:
                gateway.wait_for("its refusal", lambda: not self.lab.a.sas())

    def watch(self) -> None:
        """Start traffic and record the state, now that the tunnels are up."""
        interval = 0.02 if len(self.links) < MANY else 0.1
        if self._wait_up(time.time(), 10.0, probes=False) is None:
            raise LabTimeout(f"the tunnels did not come up\n{self.tails()}")
        for link in self.links:
            self._watch(link, interval)
        for link, probe in self._probes.items():
            try:
                probe.wait_answer()
            except LabTimeout as error:
                raise LabTimeout(f"{link}: {error}\n{self.tails()}") from None
        self.wire = self.stack.enter_context(Sniffer(self.lab.a.host))
        self._before = {
            name: Remains.of(gateway)
            for name, gateway in self.lab.gateways.items()
            if gateway.alive
        }

    def _watch(self, link: Link, interval: float = 0.02) -> None:
        probe = Probe(*self._hosts(link), interval=interval, child=link.net)
        self._probes[link] = self.stack.enter_context(probe)

    def _hosts(self, link: Link) -> tuple[Host, Host]:
        """Return the two ends, with the addresses that send through the tunnel."""
        one, other = self.lab[link.one].host, self.lab[link.other].host
        if link.behind:
            other = replace(other, number=self.lab[link.behind].host.number)
        return one, other

    def relink(self, links: list[Link]) -> None:
        """Set the tunnels from now on, after a change of the configuration."""
        self.links = links
        for link in links:
            if link not in self._probes:
                self._watch(link)

    def follow(self, link: Link) -> None:
        """Move the end of the only tunnel to another gateway; its pings continue."""
        (old,) = self.links
        self._probes[link] = self._probes.pop(old)
        self.links = [link]

    def expect(self, **counts: list[int]) -> None:
        """Expect other numbers of IKE SAs and children than the links imply."""
        self._expected.update(counts)

    # --- what happens ---------------------------------------------------

    @property
    def rounds(self) -> int:
        return 10 if self.full else 3

    @property
    def slow_rounds(self) -> int:
        """Return the number of rounds: one if stock needs minutes for each."""
        return self.rounds if self.qcd else 1

    def outage(self, seconds: float) -> None:
        """Let time pass for the scenario."""
        time.sleep(seconds)

    def trigger(self, what: str, check: Any) -> None:
        """Wait for something that qcd does soon, and stock after its DPD."""
        bound = 15.0 if self.qcd else self.case.stock_first
        wait_until(what, check, bound, self.tails, poll=0.002)

    def claim(self, holds: bool, text: str) -> None:
        """Record a failure unless something else holds."""
        if not holds:
            self.outcome.broken.append(text)

    # --- when it is up --------------------------------------------------

    def ready(self) -> None:
        """Note that from now on the tunnels can come up."""
        self._ready = time.time()

    def wait(self) -> bool:
        """Wait until everything is up and measure the time; that ends a round."""
        outcome = self.outcome
        outcome.rounds += 1
        up = self._wait_up(self._ready, self.bound)
        if up is None:
            outcome.up_after = None
            outcome.waited = self.bound
            outcome.broken += self._silent()[:5]
            return False
        outcome.up_after = max(outcome.up_after or 0.0, up)
        return True

    def wait_at_most(self, seconds: float) -> None:
        """Wait for this long, whether everything is up before that or not."""
        up = self._wait_up(self._ready, seconds)
        if up is not None:
            self.outcome.rounds += 1
            self.outcome.up_after = max(self.outcome.up_after or 0.0, up)
        self.outage(max(0.0, self._ready + seconds - time.time()))

    def again(self) -> bool:
        """Call `ready` and `wait`, for scenarios of several rounds."""
        self.ready()
        return self.wait()

    def _wait_up(
        self, since: float, bound: float, probes: bool = True
    ) -> float | None:
        until = since + bound
        while True:
            down = self._down()
            agreed = time.time()
            if not down:
                passed = self._passed(since) if probes else agreed
                if passed is not None:
                    # Both ends are asked at intervals, while each ping has a timestamp.
                    return max(passed, self._agreed or passed) - since
            else:
                self._agreed = None
            if agreed > until:
                return None
            time.sleep(LOOK if agreed < since + LONG else LATER)

    _agreed: float | None = None

    def _passed(self, since: float) -> float | None:
        """Return when the last tunnel passed its first ping; None if one hasn't yet."""
        if self._agreed is None:
            self._agreed = time.time()
        times = [self._probes[link].first_answer(since) for link in self.links]
        found = [when for when in times if when is not None]
        return max(found) if len(found) == len(self.links) else None

    def _silent(self) -> list[str]:
        """Return what is missing, for each tunnel."""
        down = self._down()
        return [
            f"{'down' if link in down else 'no ping'}: {link}"
            for link in self.links
            if link in down or self._probes[link].first_answer(self._ready) is None
        ]

    def _down(self) -> list[Link]:
        """Return the links that aren't up on both ends with the same IKE SA."""
        sas = {name: sas_of(self.lab[name]) for name in self._ends()}
        return [link for link in self.links if not _stands(link, sas)]

    def _ends(self) -> set[str]:
        return {name for link in self.links for name in (link.one, link.other)}

    # --- how it looks later ---------------------------------------------

    def settle(self) -> None:
        """After ten seconds, count the SAs and check for remains."""
        self.outage(max(0.0, SETTLE - (time.time() - self._ready)))
        outcome = self.outcome
        names = sorted(self._ends())
        for name in names:
            self._count(self.lab[name])
        self._look_for_remains(names)
        outcome.repeated = len(
            [
                packet
                for packet in repeated(self.wire.packets)
                if packet.message.exchange in (IKE_SA_INIT, IKE_AUTH)
            ]
        )
        if outcome.up_after is not None:
            self._ping_both_ways()
        self.lab.check()

    def _count(self, gateway: Gateway) -> None:
        sas = lasting(gateway.sas())
        children = Counter(
            (sa.peer.partition("-")[0], name) for sa in sas for name in carrying(sa)
        )
        wanted = self._wanted(gateway.name)
        outcome = self.outcome
        outcome.wanted[gateway.name] = wanted
        outcome.counted[gateway.name] = [len(sas), sum(children.values())]
        outcome.doubled += [
            f"{count} times {child} to {peer} on {gateway.name}"
            for (peer, child), count in children.items()
            if count > 1
        ]
        outcome.left_over += [
            f"IKE SA {sa.peer}[{sa.unique_id}] {sa.state} on {gateway.name}"
            for sa in sas
            if sa.state not in UP
        ]

    def _wanted(self, name: str) -> list[int]:
        if name in self._expected:
            return self._expected[name]
        mine = [link for link in self.links if name in (link.one, link.other)]
        peers = {other for link in mine for other in (link.one, link.other)} - {name}
        most = max(
            self.lab[end].config.tunnels for link in mine for end in (link.one, link.other)
        )
        return [len(peers) * most, len(mine)]

    def _look_for_remains(self, names: list[str]) -> None:
        for name in names:
            if name not in self._before:
                continue
            before, now = self._before[name], Remains.of(self.lab[name])
            for kind in ("routes", "policies"):
                was, has = Counter(getattr(before, kind)), Counter(getattr(now, kind))
                self.outcome.left_over += [
                    f"{kind[:-1] if kind == 'routes' else 'policy'} {item} on {name}"
                    for item in (has - was).elements()
                ]
                if self.outcome.up_after is not None:
                    self.outcome.broken += [
                        f"missing: {item} ({kind}) on {name}"
                        for item in (was - has).elements()
                    ]

    def forget_remains(self) -> None:
        """Accept the present remains, after a change of the configuration."""
        self._before = {}

    def _ping_both_ways(self) -> None:
        now = time.time()
        for link in self.links[:: max(1, len(self.links) // 4)]:
            ends = self._hosts(link)
            for source, target in (ends, ends[::-1]):
                with Probe(source, target, child=link.net) as probe:
                    try:
                        probe.wait_answer(now, timeout=2.0)
                    except LabTimeout:
                        self.claim(False, f"no ping from {source.name}: {link}")

    def tails(self) -> str:
        gateways = self.lab.gateways.values()
        return "\n".join(gateway.tail(80) for gateway in list(gateways)[:3])

    def close(self) -> None:
        self.stack.close()


def _stands(link: Link, sas: dict[str, list[Sa]]) -> bool:
    other = {sa.spis: sa for sa in sas[link.other] if sa.state in UP}
    return any(
        sa.state in UP
        and sa.spis in other
        and link.child in carrying(sa)
        and link.child in carrying(other[sa.spis])
        for sa in sas[link.one]
    )
