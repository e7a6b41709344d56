# SPDX-License-Identifier: GPL-2.0-or-later
"""Exchanges between a stock gateway and another one, recorded in a form to compare.

A story is played twice: between two stock gateways, and with our plugin at the other
end. `a` is stock in both, and everything is recorded from the view of `a`.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from lab import ike
from lab.crash import repeated
from lab.gateway import Gateway
from lab.scenario import Lab
from lab.traffic import Probe
from lab.wait import wait_until
from lab.wire import Packet, Sniffer

EXCHANGES = {
    ike.IKE_SA_INIT: "IKE_SA_INIT",
    ike.IKE_AUTH: "IKE_AUTH",
    ike.CREATE_CHILD_SA: "CREATE_CHILD_SA",
    ike.INFORMATIONAL: "INFORMATIONAL",
}
# A line of charon's log about a message: SA, direction, exchange, kind, ID, payloads.
MESSAGE = re.compile(
    r"<(?:[^|>]*\|)?(\d+)> (generating|parsed) (\w+) (request|response) (\d+) \[(.*)\]"
)
UNDER_WAY = ("active", "queued", "passive")
TOKEN = " N(CRASH_DET)"
# State of a replaced child, which is kept for late packets.
GONE = "DELETED"
# The start of a line in charon's log before its text, and random parts of the text.
_START = re.compile(r"^\S+ \d+(\[\w+\]) (?:<[^>]*> )?")
_RANDOM = re.compile(
    r"0x[0-9A-F]+|\b[0-9a-f]{8,}(?:_[io])?\b|(?:[0-9a-f]{2}:){7,}[0-9a-f]{2}|\d+"
)


class Said(NamedTuple):
    """A message: its sender, its exchange and its contents."""

    who: str
    exchange: str
    kind: str
    number: int
    payloads: str = ""

    @property
    def follows_up(self) -> bool:
        """Tell whether the exchange carries only a token (RFC 6290 section 4.3)."""
        return self.exchange == "INFORMATIONAL" and self.payloads.strip() == TOKEN.strip()


def by_wire(packets: Iterable[Packet]) -> list[list[Said]]:
    """Return the messages of each SA without retransmissions, first SA first.

    The fragments of a message count as one: our token may require one more.
    """
    packets = list(packets)
    again = {id(packet) for packet in repeated(packets)}
    found: dict[bytes, list[Said]] = {}
    for packet in packets:
        if id(packet) in again:
            continue
        message = packet.message
        said = Said(
            "a" if packet.outgoing else "b",
            EXCHANGES[message.exchange],
            "response" if message.is_response else "request",
            message.message_id,
        )
        messages = found.setdefault(message.spi_i, [])
        if messages[-1:] != [said]:
            messages.append(said)
    return list(found.values())


def by_log(text: str) -> list[list[Said]]:
    """Return the messages of each SA with their payloads, from charon's log."""
    found: dict[str, list[Said]] = {}
    seen = set()
    begins: list[Said] = []
    for entry in MESSAGE.finditer(text):
        sa, way, exchange, kind, number, payloads = entry.groups()
        who = "a" if way == "generating" else "b"
        said = Said(who, exchange, kind, int(number), payloads)
        if said[:3] == ("a", "IKE_SA_INIT", "request") and len(found.get(sa, [])) > 1:
            begins = [said]  # while the old SA, which the line names, is checked out
            continue
        if entry.group() in seen or " EF(" in payloads:
            continue  # a retransmission, a fragment
        seen.add(entry.group())
        if sa not in found:
            found[sa], begins = begins, []
        found[sa].append(said)
    return list(found.values())


def without_payloads(sas: list[list[Said]]) -> list[list[Said]]:
    return [[said._replace(payloads="") for said in messages] for messages in sas]


def without_follow_up(messages: list[Said]) -> list[Said]:
    """Remove an exchange that carries only a token; renumber what follows."""
    found = [said for said in messages if said.follows_up]
    if not found:
        return messages
    assert len(found) == 1 and found[0].kind == "request", messages
    who, exchange, _, number, _ = found[0]
    result = []
    way = (who, "request"), ({"a": "b", "b": "a"}[who], "response")
    for said in messages:
        if (said.who, said.kind) in way and said.number >= number:
            if said.number == number:
                assert said.exchange == exchange
                assert said.follows_up or said.payloads.strip() == "", said
                continue
            said = said._replace(number=said.number - 1)
        result.append(said)
    return result


def lines(text: str) -> set[str]:
    """Return the lines of a log, without what differs between runs."""
    found = set()
    for line in text.splitlines():
        if re.search("vici header (read|write) error", line):
            continue  # the lab closes its connection while charon still has news
        line = _START.sub(r"\1 ", line.replace(TOKEN, ""))
        found.add(_RANDOM.sub("N", line))
    return found


def results(gateway: Gateway) -> list[object]:
    """Return a gateway's view of its SAs, without random values."""
    keys = ("encr-alg", "integ-alg", "prf-alg", "dh-group", "state", "remote-id")
    ends = ("initiator", "local-host", "remote-host", "local-vips", "remote-vips")
    child = ("name", "mode", "protocol", "encr-alg", "encr-keysize", "encap", "state")
    selectors = ("local-ts", "remote-ts")
    found: list[object] = []
    for sa in gateway.control.sas():
        children = [
            {key: item.get(key) for key in child + selectors}
            for item in sa.get("child-sas", {}).values()
            if item["state"] != GONE
        ]
        seen = {key: sa.get(key) for key in keys + ends}
        found.append(seen | {"children": sorted(children, key=str)})
    return found


@dataclass
class Story:
    """The record of a life with a peer."""

    said: list[list[Said]] = field(default_factory=list)
    results: dict[str, object] = field(default_factory=dict)
    lines: set[str] = field(default_factory=set)

    @property
    def follow_ups(self) -> int:
        return sum(said.follows_up for messages in self.said for said in messages)

    def plain(self) -> list[list[Said]]:
        """Return the messages as they would be without our token."""
        told = [
            [
                said._replace(payloads=said.payloads.replace(TOKEN, ""))
                for said in without_follow_up(messages)
            ]
            for messages in self.said
        ]
        return [messages for messages in told if messages]


class Teller:
    """Plays the steps of a story, and records the view of `a`."""

    def __init__(self, lab: Lab, wire: Sniffer) -> None:
        self.lab, self.wire = lab, wire
        self.both = lab.a, lab.b
        self.children = lab.a.config.children
        self.story = Story()

    def step(
        self,
        name: str,
        act: Callable[[], object],
        ike_sas: int = 1,
        new: str | None = None,
    ) -> None:
        """Play a step; it ends when both sides have this number of SAs and are quiet.

        `new` names what gets other SPIs in the step, "ike" or "child".
        """
        before = self.spis()
        act()
        if new:
            self.wait(
                f"new SPIs: {name}",
                lambda: self.spis()[new] and not self.spis()[new] <= before[new],
            )
        self.settle(name, ike_sas)

    def settle(self, name: str, ike_sas: int = 1) -> None:
        """Wait until both have this number of SAs and are quiet; keep the result."""
        self.wait(f"{ike_sas} SAs: {name}", lambda: self.settled(ike_sas))
        for gateway in self.both:
            gateway.wait_idle()
        self.story.results[name] = [results(gateway) for gateway in self.both]

    def settled(self, ike_sas: int) -> bool:
        """Tell whether both have this number of SAs, with children, and are idle."""
        for gateway in self.both:
            sas = gateway.control.sas()
            if len(sas) != ike_sas:
                return False
            for sa in sas:
                children = sa.get("child-sas", {}).values()
                states = [c["state"] for c in children if c["state"] != GONE]
                if sa["state"] != "ESTABLISHED" or states != ["INSTALLED"] * self.children:
                    return False
                if any(sa.get(f"tasks-{kind}") for kind in UNDER_WAY):
                    return False
        return True

    def wait(
        self, what: str, check: Callable[[], object], timeout: float = 15.0
    ) -> None:
        # charon does not announce every change, and queries are work for it.
        wait_until(what, check, timeout, self.explain, 0.02)

    def explain(self) -> str:
        packets = "\n".join(str(packet) for packet in self.wire.packets[-30:])
        sas = [str(gateway.control.sas()) for gateway in self.both]
        return "\n".join([packets, *(gateway.tail() for gateway in self.both), *sas])

    def spis(self) -> dict[str, set[str]]:
        """Return the SPIs of a's IKE SAs, and the inbound SPIs of its children."""
        sas = self.lab.a.control.sas()
        children = [child for sa in sas for child in sa.get("child-sas", {}).values()]
        return {
            "ike": {sa["initiator-spi"] + sa["responder-spi"] for sa in sas},
            "child": {child["spi-in"] for child in children if "spi-in" in child},
        }

    def pings(self) -> None:
        """Check that traffic passes through each child, both ways."""
        ends = self.lab.a.host, self.lab.b.host
        for child in range(self.children):
            for source, target in (ends, ends[::-1]):
                with Probe(source, target, child=child) as probe:
                    probe.wait_answer(count=2)

    def end(self) -> Story:
        log = self.lab.a.log()
        self.story.said = by_log(log)
        self.story.lines = lines(log)
        return self.story
