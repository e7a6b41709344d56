# SPDX-License-Identifier: GPL-2.0-or-later
"""qcd probe: it tells gateways apart from outside, slowly, and asks nobody else."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from lab import ike
from lab.config import Config
from lab.gateway import TOOL
from lab.net import Host, Netns, Network
from lab.oracle import MODP_2048, PORTS, Manners, Oracle
from lab.process import on_machine
from lab.scenario import Lab
from lab.test_shapes import address6, lay_ipv6
from lab.wait import wait_until
from lab.wire import Sniffer

FAILS, DOWN = 3, 4
NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
ALONE = Config(anywhere=True)


@dataclass(frozen=True)
class Told:
    """What qcd probe has said."""

    code: int
    objects: list[dict[str, Any]]

    def states(self) -> list[str]:
        return [item["state"] for item in self.objects if item.get("type") == "target"]

    def spis(self) -> str:
        """Return the SPIs of the IKE SA that it began."""
        (begun,) = (item for item in self.objects if "spi_i" in item)
        return f"{begun['spi_i']}_{begun['spi_r']}"

    def target(self) -> dict[str, Any]:
        return next(item for item in self.objects if item.get("type") == "target")

    def check(self, name: str, port: int = 500) -> tuple[str, str]:
        """Return result and finding of a check; empty if it was left out."""
        for item in self.objects:
            if item.get("check") == name and item["port"] == port:
                return item["result"], item["found"]
        return "", ""

    def failures(self) -> set[str]:
        return {item["check"] for item in self.objects if item.get("result") == "fail"}


class Auditor:
    """Runs qcd probe in a namespace, as nobody."""

    def __init__(self, ns: Netns, folder: Path, machine: tuple[str, ...] = ()) -> None:
        self.ns = ns
        self.machine = machine
        self.tool = folder / "qcd"

    def run(self, *words: str) -> "subprocess.CompletedProcess[str]":
        argv = [*self.machine, *NOBODY, str(self.tool), "probe", *words]
        with self.ns.entered():
            return subprocess.run(
                argv, capture_output=True, text=True, check=False, timeout=60
            )

    def probe(self, *words: str) -> Told:
        done = self.run("--json", *words)
        assert done.stderr == "", done.stderr
        objects = [json.loads(line) for line in done.stdout.splitlines()]
        assert objects[0] == {"ok": True}
        return Told(done.returncode, objects)


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a copy of the command that anybody may run."""
    made = tmp_path_factory.mktemp("probe")
    for place in (made, made.parent):
        place.chmod(0o755)
    shutil.copy(TOOL, made / "qcd")
    return made


@dataclass(frozen=True)
class Place:
    """A host for a gateway, and an auditor elsewhere."""

    host: Host
    other: Host
    auditor: Auditor

    def probe(self, manners: Manners, *words: str) -> Told:
        """Ask an oracle at one port, so that a second one is not limited."""
        with Oracle(self.host.ns, manners):
            return self.auditor.probe("--port", "500", *words, self.host.address)


@contextmanager
def placed(folder: Path) -> Iterator[Place]:
    network = Network(("a", "b"))
    try:
        yield Place(network["a"], network["b"], Auditor(network["b"].ns, folder))
    finally:
        network.close()


@pytest.fixture
def place(folder: Path) -> Iterator[Place]:
    with placed(folder) as made:
        yield made


# --- strongSwan -----------------------------------------------------------------


def auditor_of(lab: Lab, folder: Path) -> Auditor:
    """Return one on the machine of b, with that machine's names."""
    machine = on_machine(lab.b.config, lab.b.places)
    return Auditor(lab.b.host.ns, folder, tuple(machine))


# configuration, is it a taker, verdict after a restart
GATEWAYS = {
    "stock": (ALONE.but(qcd=False), "no", "silent"),
    "maker off": (ALONE.but(qcd_options={"maker": False}), "yes", "silent"),
    "qcd": (ALONE, "yes", "tokens"),
}


@pytest.mark.parametrize("name", GATEWAYS)
def test_strongswan(new_lab: Any, folder: Path, name: str) -> None:
    """Random SPIs can't tell them apart; a taker shows at once, a maker later."""
    config, taker, later = GATEWAYS[name]
    lab = new_lab(config)
    lab.a.start()
    auditor = auditor_of(lab, folder)
    first = auditor.probe(lab.a.host.address)
    assert (first.code, first.states()) == (0, ["silent", "silent"])
    assert first.check("taker")[1].startswith(taker)
    assert first.check("live SA") == ("ok", "no token for an IKE SA that it has")
    lab.a.restart()

    def told() -> Told | None:
        again = auditor.probe("--port", "4500", lab.a.host.address, first.spis())
        assert again.failures() == set()
        return again if again.states() == [later] else None

    found = wait_until(f"the verdict {later}", told, 30, lab.a.tail)
    assert found.code == 0
    if later == "tokens":
        target = found.target()
        assert (target["tokens"], target["octets_min"]) == (1, 32)
        assert (target["octets_max"], target["protocol_id"]) == (32, 0)
        assert found.check("stable", 4500)[0] == "ok"


def test_nobody_is_silent_about_a_restart(new_lab: Any, folder: Path) -> None:
    """Without a restart the same SPIs get nothing: the IKE SA may be alive."""
    lab = new_lab(ALONE)
    lab.a.start()
    auditor = auditor_of(lab, folder)
    first = auditor.probe("--port", "500", lab.a.host.address)
    again = auditor.probe("--port", "500", lab.a.host.address, first.spis())
    assert again.states() == ["silent"]
    assert "no restart" in again.check("maker")[1]


def test_gateway_without_a_connection_for_us(new_lab: Any, folder: Path) -> None:
    """It refuses our IKE_SA_INIT: nothing is known of live IKE SAs."""
    lab = new_lab(Config())
    lab.a.start()
    told = Auditor(lab.stranger.ns, folder).probe("--port", "500", lab.a.host.address)
    assert told.states() == ["silent"]
    assert told.check("live SA")[0] == "unknown"
    assert "refuses" in told.check("live SA")[1]
    assert told.check("taker") == ("", "")


# --- gateways that break a rule ----------------------------------------------------

# manners, the checks that fail
BAD = {
    "live tokens": (Manners(shows_live=True), {"live SA"}),
    "amplifier": (Manners(tokens=4, octets=128), {"size"}),
    "many replies": (Manners(copies=4), {"size"}),
    "answers responses": (Manners(answers_responses=True), {"response"}),
    "answers shown tokens": (Manners(answers_shown=True), {"shown token"}),
    "answers unprotected": (Manners(answers_unprotected=True), {"unprotected"}),
    "answers IKE_SA_INIT": (Manners(answers_init=True), {"IKE_SA_INIT"}),
    "answers zero SPIs": (Manners(answers_zero=True), {"zero SPI"}),
    "unstable": (Manners(forgets=True), {"stable"}),
    "one for all": (Manners(constant=True), {"distinct"}),
    "short token": (Manners(octets=15), {"tokens"}),
    "five tokens": (Manners(tokens=5, octets=16), {"tokens"}),
}


def test_gateways_that_break_a_rule(folder: Path) -> None:
    """All at the same time, each in a network of its own."""

    def ask(name: str) -> tuple[int, list[str], set[str]]:
        with placed(folder) as place:
            told = place.probe(BAD[name][0])
        return told.code, told.states(), told.failures()

    with ThreadPoolExecutor(len(BAD)) as pool:
        told = dict(zip(BAD, pool.map(ask, BAD)))
    assert told == {
        name: (FAILS, ["tokens"], failures) for name, (_, failures) in BAD.items()
    }


def test_plain_token_maker(place: Place) -> None:
    """RFC 6290 section 5.1 without a fault, and with every check."""
    told = place.probe(Manners())
    assert (told.code, told.states()) == (0, ["tokens"])
    results = {i["check"]: i["result"] for i in told.objects if "check" in i}
    assert results.pop("taker") == "unknown"
    assert len(results) == 13
    assert set(results.values()) == {"ok"}


def test_gateway_without_a_limit(place: Place) -> None:
    told = place.probe(Manners(limit=None))
    assert told.check("rate limit")[0] == "note"
    assert "no limit seen at ten a second: 10 of 10" in told.check("rate limit")[1]
    assert (told.code, told.failures()) == (0, set())


def test_slow_gateway(place: Place) -> None:
    """An answer counts for the message that it answers, however many were sent since."""
    told = place.probe(
        Manners(delay=0.5, shows_live=True, answers_zero=True, limit=None)
    )
    assert told.failures() == {"live SA", "zero SPI"}
    assert "10 of 10" in told.check("rate limit")[1]
    assert told.check("stable")[0] == told.check("distinct")[0] == "ok"


def test_bare(place: Place) -> None:
    """RFC 7296 section 2.21.4, and nothing of RFC 6290."""
    told = place.probe(Manners(tells=False))
    assert (told.code, told.states()) == (0, ["bare"])
    assert told.check("tokens") == ("", "")


def test_other_protocol_id(place: Place) -> None:
    """As the RFC was printed; erratum 3449 changed it."""
    told = place.probe(Manners(protocol=ike.PROTO_IKE, tokens=2))
    assert told.check("tokens")[0] == "note"
    assert told.target()["protocol_id"] == 1
    assert told.target()["tokens"] == 2


def test_gateway_that_wants_another_group(place: Place) -> None:
    told = place.probe(Manners(group=MODP_2048, shows_live=True))
    assert told.failures() == {"live SA"}


# --- nobody ------------------------------------------------------------------------


def test_host_that_is_down(place: Place) -> None:
    """No answer, not even from the network."""
    told = place.auditor.probe("10.0.99.77")  # ends at the stranger, who drops it
    assert (told.code, told.states()) == (DOWN, ["down", "down"])
    assert told.check("maker")[0] == "unknown"


def test_host_without_a_gateway(place: Place) -> None:
    told = place.auditor.probe(place.host.address)
    assert (told.code, told.states()) == (DOWN, ["closed", "closed"])


def test_no_way_there(place: Place) -> None:
    place.other.unplug()
    told = place.auditor.probe(place.host.address)
    assert (told.code, told.states()) == (DOWN, ["unreachable", "unreachable"])


# --- how it asks ---------------------------------------------------------------------


def test_name_of_two_families(new_lab: Any, folder: Path) -> None:
    """An IPv4 and an IPv6 address, with an IKE SA and a token at each of them."""
    addresses = ["10.0.1.1", address6(1)]
    names = "".join(f"{address} gateway.lab\n" for address in addresses)
    every = {"local_addrs": addresses, "remote_addrs": ["%any"]}
    lab = new_lab(a=Config(ike_options=every), b=Config(hosts=names))
    lay_ipv6(lab)
    lab.a.start()
    auditor = auditor_of(lab, folder)
    first = auditor.probe("gateway.lab")
    assert first.states() == ["silent"] * 4
    found = [item for item in first.objects if "spi_i" in item]
    assert [item["address"] for item in found] == addresses
    assert {i["result"] for i in first.objects if i.get("check") == "live SA"} == {"ok"}
    lab.a.restart()
    spis = f"{found[1]['spi_i']}_{found[1]['spi_r']}"

    def told() -> bool:
        again = auditor.probe("--port", "4500", addresses[1], spis)
        return again.states() == ["tokens"]

    wait_until("a token over IPv6", told, 30, lab.a.tail)


@pytest.mark.parametrize("manners", [Manners(limit=None), None], ids=["up", "down"])
def test_pace_and_addressee(place: Place, manners: Manners | None) -> None:
    """A tenth of a second between two messages at least, and all to the host."""
    with Sniffer(place.other, outgoing=True) as wire:
        if manners:
            with Oracle(place.host.ns, manners):
                told = place.auditor.probe(place.host.address)
        else:
            told = place.auditor.probe("10.0.99.77")
        packets = wire.packets
    address = told.target()["address"]
    assert {packet.target for packet in packets} == {(address, p) for p in PORTS}
    # One more at a gateway that wants another group: 92 for four ports at most.
    assert len(packets) == (44 if manners else 20)
    times = [packet.time for packet in packets]
    for early, late in zip(times, times[1:]):
        assert late - early > 0.1


def test_text(place: Place) -> None:
    """For people: the verdict, a line for each check, and what to do next."""
    with Oracle(place.host.ns, Manners(tells=False)):
        done = place.auditor.run("--port", "4500", place.host.address)
    lines = done.stdout.splitlines()
    assert lines[0] == f"{place.host.address} port 4500: bare"
    assert lines[1].split() == ["CHECK", "RESULT", "CLAUSE", "FOUND"]
    assert lines[-1].startswith(f"run: qcd probe --port 4500 {place.host.address} ")
    assert done.returncode == 0
