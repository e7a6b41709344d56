# SPDX-License-Identifier: GPL-2.0-or-later
"""Section A.4: the peer has a name, and the DNS server is slow or silent."""

import threading
import time
from contextlib import suppress

from lab.control import Control
from lab.field.outcome import case
from lab.field.stage import BASE, Stage
from lab.names import ADDRESS, Resolver
from lab.wait import LabTimeout

NAME = "b.qcd.test"
NAMED = BASE.but(ike_options={"remote_addrs": [NAME]}, nameserver=ADDRESS)


def named_crash(stage: Stage, delay: float | None) -> None:
    lab = stage.make(a=NAMED)
    records = {NAME: lab.b.host.address}
    with Resolver(lab.a.host.ns, records) as resolver:
        stage.up()
        resolver.delay = delay
        lab.b.restart()
        stage.again()


@case("A.4", "a knows its peer by name, and the resolver works")
def named(stage: Stage) -> None:
    named_crash(stage, 0.0)


@case("A.4", "a knows its peer by name, and the resolver takes 3 s")
def named_slow(stage: Stage) -> None:
    named_crash(stage, 3.0)


@case("A.4", "a knows its peer by name, and the resolver is silent")
def named_silent(stage: Stage) -> None:
    named_crash(stage, None)


@case("A.4", "a knows its peer by name, and the resolver is behind the tunnel")
def named_behind_the_tunnel(stage: Stage) -> None:
    hosts = "127.0.0.1 localhost\n"
    config = BASE.but(
        ike_options={"remote_addrs": [NAME]},
        nameserver="10.1.2.1",
        hosts=f"{hosts}10.0.2.1 {NAME}\n",
    )
    lab = stage.make(a=config)
    records = {NAME: lab.b.host.address}
    with Resolver(lab.b.host.ns, records, address=lab.b.host.inside):
        stage.up()
        lab.a.places.hosts.write_text(hosts)
        lab.b.restart()
        stage.again()


class Asking:
    """Measures the longest time that vici takes to respond."""

    def __init__(self, stage: Stage) -> None:
        self._path = stage.lab.a.places.vici
        self.slowest = 0.0
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._ask, daemon=True)

    def _ask(self) -> None:
        control = Control(self._path, timeout=60.0)
        while not self._end.wait(0.02):
            begin = time.monotonic()
            with suppress(LabTimeout, OSError):
                control.command("stats")
            self.slowest = max(self.slowest, time.monotonic() - begin)
        control.close()

    def __enter__(self) -> "Asking":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()


@case(
    "A.4",
    "a has 20 connections to b by name, one to c by address; b and c crash",
    within=1.5,
    heavy=True,
)
def named_silent_20(stage: Stage) -> None:
    by_address = {"c": {"remote_addrs": ["10.0.3.1"]}}
    lab = stage.make(
        BASE.but(tunnels=20),
        names=("a", "b", "c"),
        a=NAMED.but(tunnels=20, connection_options=by_address),
        c=BASE,
    )
    stage.links = [link for link in stage.links if link.other == "b" or not link.net]
    stage.expect(a=[21, 21], b=[20, 20], c=[1, 1])
    records = {NAME: lab.b.host.address}
    with Resolver(lab.a.host.ns, records) as resolver:
        for gateway in lab.gateways.values():
            gateway.start()
        lab.initiate_all("b")
        lab.a.initiate("c")
        stage.watch()
        resolver.delay = None
        lab.b.kill()
        lab["c"].kill()
        with Asking(stage) as asking:
            lab.b.start()
            lab["c"].start()
            stage.again()
        stage.outcome.measured["vici"] = asking.slowest
        stage.claim(asking.slowest < 1.0, f"vici took {asking.slowest:.1f} s")
