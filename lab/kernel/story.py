# SPDX-License-Identifier: GPL-2.0-or-later
"""Exchanges between strongSwan and libreswan, recorded in a form that can be compared.

A story is played twice, with our plugin and without. It must be the same on the wire,
in charon's log and at both ends.
"""

import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from lab import ike
from lab.config import Config, Settings
from lab.control import Section
from lab.crash import repeated
from lab.kernel.libreswan import Libreswan
from lab.scenario import Lab
from lab.story import EXCHANGES, MESSAGE, TOKEN
from lab.traffic import Probe
from lab.wait import deadline, wait_until
from lab.wire import Packet, Sniffer

NewPair = Callable[..., tuple[Lab, Libreswan]]

# Words in a line of pluto's log that rejects what it received.
COMPLAINT = re.compile(r"ignor|malformed|invalid|unexpected|unknown|fail|error", re.I)
# RFC 6290 section 4.3: our token after our own rekeying, and its empty response.
FOLLOW_UP = [
    "strongswan INFORMATIONAL request 0",
    "libreswan INFORMATIONAL response 0",
]
FOLLOW_UP_SAID = [
    "strongswan INFORMATIONAL request [ ]",
    "libreswan INFORMATIONAL response [ ]",
]

# An emulated machine is too slow for shorter intervals.
POLL = 0.05


@dataclass
class Story:
    """A record: for each step, the messages of each IKE SA in order."""

    wire: dict[str, list[list[str]]] = field(default_factory=dict)
    # the same from charon's log, with the payloads, without our token
    payloads: dict[str, list[list[str]]] = field(default_factory=dict)
    results: dict[str, object] = field(default_factory=dict)
    complaints: list[str] = field(default_factory=list)


def line(packet: Packet) -> str:
    message = packet.message
    who = "strongswan" if packet.outgoing else "libreswan"
    kind = "response" if message.is_response else "request"
    shown = "" if message.protected or message.exchange == ike.IKE_SA_INIT else " clear"
    exchange = EXCHANGES.get(message.exchange, str(message.exchange))
    return f"{who} {exchange} {kind} {message.message_id}{shown}"


def by_sa(packets: list[Packet]) -> list[list[str]]:
    """Return the messages of each SA without retransmissions, first SA first.

    The fragments of a message count as one: our token may require one more.
    """
    again = {id(packet) for packet in repeated(packets)}
    found: dict[bytes, list[str]] = {}
    for packet in packets:
        if id(packet) not in again:
            messages = found.setdefault(packet.message.spi_i, [])
            if messages[-1:] != [line(packet)]:
                messages.append(line(packet))
    return list(found.values())


def by_log(text: str) -> list[list[str]]:
    """Return the messages of each SA with their payloads, from charon's log."""
    found: dict[str, list[str]] = {}
    seen = set()
    for entry in MESSAGE.finditer(text):
        number, way, exchange, kind, _, payloads = entry.groups()
        if entry.group() in seen or " EF(" in payloads:
            continue  # a retransmission, a fragment
        seen.add(entry.group())
        who = "strongswan" if way == "generating" else "libreswan"
        shown = f"{who} {exchange} {kind} [{payloads.replace(TOKEN, '')}]"
        found.setdefault(number, []).append(shown)
    return list(found.values())


class Teller:
    """Plays the steps of a story and records each.

    The sniffer only knows IPv4; charon's log has the messages in any case.
    """

    def __init__(self, lab: Lab, peer: Libreswan) -> None:
        self.lab, self.peer = lab, peer
        self.children = lab.a.config.children
        self.story = Story()
        self.wire = Sniffer(lab.a.host, peer=lab.network["b"])

    def step(
        self,
        name: str,
        act: Callable[[], object],
        ike_sas: int = 1,
        children: int | None = None,
        new: str | None = None,
    ) -> None:
        """Play a step; it ends when both sides have this number of SAs and are quiet.

        `new` names what gets other SPIs in the step, "ike" or "child".
        """
        start, mark, before = self.wire.count, self.lab.a.mark(), self.spis()
        act()
        if new:
            wait_until(
                f"new SPIs: {name}",
                lambda: self.spis()[new] and not self.spis()[new] <= before[new],
                30.0,
                self.explain,
                POLL,
            )
        self.settle(name, ike_sas, children)
        self.story.wire[name] = by_sa(self.wire.packets[start:])
        self.story.payloads[name] = by_log(self.log(mark))
        self.story.results[name] = self.result()

    def spis(self) -> dict[str, set[str]]:
        """Return charon's SPI of each pair, of its IKE SAs and of its children."""
        sas = self.lab.a.control.sas()
        children = [child for sa in sas for child in sa.get("child-sas", {}).values()]
        return {
            "ike": {sa["initiator-spi"] + sa["responder-spi"] for sa in sas},
            "child": {child["spi-in"] for child in children if "spi-in" in child},
        }

    def log(self, mark: int) -> str:
        return self.lab.a.places.log.read_bytes()[mark:].decode()

    def settle(
        self,
        name: str,
        ike_sas: int = 1,
        children: int | None = None,
        timeout: float = 30.0,
    ) -> None:
        """Wait until both sides have this number of SAs, each with these children."""
        gateway = self.lab.a
        wanted = self.children if children is None else children

        def settled() -> bool:
            sas = gateway.sas()
            return len(sas) == ike_sas and all(
                sa.state == "ESTABLISHED"
                and sa.installed == len(sa.children) == wanted
                for sa in sas
            )

        # charon does not announce every change, for example the end of an old child.
        wait_until(f"{ike_sas} SAs: {name}", settled, timeout, self.explain, POLL)
        self.peer.wait_states(ike_sas, ike_sas * wanted, timeout)
        self.quiet()

    def explain(self) -> str:
        packets = "\n".join(str(packet) for packet in self.wire.packets[-30:])
        return f"{self.lab.a.sas()}\n{packets}\n{self.lab.a.tail()}\n{self.peer.tail()}"

    def quiet(self, span: float = 0.5) -> None:
        """Wait until nothing has been sent or logged by charon for this long."""
        end = deadline(20)
        while time.monotonic() < end:
            seen = self.wire.count, self.lab.a.mark()
            time.sleep(span)  # silence is what we wait for
            if (self.wire.count, self.lab.a.mark()) == seen:
                return
        raise AssertionError("the wire isn't quiet")

    def asked(self) -> None:
        """libreswan asks whether we are alive, and gets a response."""
        start = self.wire.count
        self.peer.liveness()
        self.wire.wait(
            "our answer",
            lambda p: p.outgoing
            and p.message.is_response
            and p.message.exchange == ike.INFORMATIONAL,
            20.0,
            start,
        )

    def result(self) -> list[object]:
        """Return strongSwan's view of its SAs, without random values."""
        keys = ("encr-alg", "integ-alg", "prf-alg", "dh-group", "state", "remote-id")
        child = ("mode", "protocol", "encr-alg", "encr-keysize", "encap", "state")
        return [
            {key: sa.get(key) for key in keys}
            | {"children": sorted(
                ({key: item.get(key) for key in child}
                for item in sa.get("child-sas", {}).values()),
                key=str,
            )}
            for sa in self.lab.a.control.sas()
        ]

    def pings(self) -> None:
        """Check that traffic passes through each child, both ways."""
        a, b = self.lab.a.host, self.peer.me
        for child in range(self.children):
            for source, target in ((a, b), (b, a)):
                with Probe(source, target, 0.05, child) as probe:
                    probe.wait_answer(count=2)

    def end(self) -> Story:
        self.story.complaints = sorted(
            {
                re.sub(r"\d+", "N", text)
                for text in self.peer.log().splitlines()
                if COMPLAINT.search(text) and '"lab' in text
            }
        )
        return self.story


def config(
    qcd: bool,
    charon: Settings | None = None,
    ike_options: Section | None = None,
    **more: object,
) -> Config:
    return Config(
        qcd=qcd,
        kernel_esp=True,
        # libreswan does not request certificates by name.
        ike_options={"send_cert": "always", **(ike_options or {})},
        charon={
            "delete_rekeyed_delay": 1,
            "filelog": {"lab": {"ike_name": True}},
            **(charon or {}),
        },
        **more,  # type: ignore[arg-type]
    )


def without_follow_up(story: Story, step: str) -> None:
    """Remove our INFORMATIONAL after our own rekeying, and its response."""
    for steps, follow_up in ((story.wire, FOLLOW_UP), (story.payloads, FOLLOW_UP_SAID)):
        if not any(steps.values()):
            continue  # the sniffer only knows IPv4
        sas = steps[step]
        assert sum(follow_up == messages[:2] for messages in sas) == 1, sas
        rest = [m[2:] if m[:2] == follow_up else m for m in sas]
        steps[step] = [messages for messages in rest if messages]
