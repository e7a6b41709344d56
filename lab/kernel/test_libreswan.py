# SPDX-License-Identifier: GPL-2.0-or-later
"""libreswan as the peer: it knows no token, and notices nothing of ours.

Each story is told twice, with our plugin and without, and must read the same
on the wire and at both ends. Two things may differ: after our own rekeying our
token goes to the peer in an INFORMATIONAL (RFC 6290 section 4.3), which it
answers as any other; and after our crash its requests on the lost SA are
answered in the clear, which it drops.
"""

import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from lab import ike
from lab.config import Config, Settings
from lab.crash import repeated
from lab.kernel.libreswan import Libreswan
from lab.kernel.test_esp import power_cut
from lab.scenario import Lab
from lab.traffic import Probe
from lab.wait import wait_until
from lab.wire import Packet, Sniffer

NewPair = Callable[..., tuple[Lab, Libreswan]]

EXCHANGES = {
    ike.IKE_SA_INIT: "IKE_SA_INIT",
    ike.IKE_AUTH: "IKE_AUTH",
    ike.CREATE_CHILD_SA: "CREATE_CHILD_SA",
    ike.INFORMATIONAL: "INFORMATIONAL",
}
# charon takes a peer for dead after 6 s and not 165 s.
GIVE_UP = {"retransmit_timeout": 2.0, "retransmit_base": 1.0, "retransmit_tries": 2}
# How a line of pluto's log looks when it doesn't like what it got.
COMPLAINT = re.compile(r"ignor|malformed|invalid|unexpected|unknown|fail|error", re.I)
# RFC 6290 section 4.3: our token after our own rekeying, and its empty answer.
FOLLOW_UP = [
    "strongswan INFORMATIONAL request 0",
    "libreswan INFORMATIONAL response 0",
]


@dataclass
class Story:
    """What was seen: for each step, the messages of each IKE SA in their order."""

    steps: dict[str, list[list[str]]] = field(default_factory=dict)
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
    """The messages of each SA, first sent ones only, SAs as they appeared."""
    again = {id(packet) for packet in repeated(packets)}
    found: dict[bytes, list[str]] = {}
    for packet in packets:
        if id(packet) not in again:
            found.setdefault(packet.message.spi_i, []).append(line(packet))
    return list(found.values())


class Teller:
    """Plays a story's steps and writes down what each showed."""

    def __init__(self, lab: Lab, peer: Libreswan) -> None:
        self.lab, self.peer = lab, peer
        self.story = Story()
        self.wire = Sniffer(lab.a.host, peer=lab.network["b"])

    def step(self, name: str, act: Callable[[], None], ike_sas: int = 1) -> None:
        """One step; it ends when both sides have so many SAs, and are quiet."""
        start = self.wire.count
        act()
        self.settle(name, ike_sas)
        self.story.steps[name] = by_sa(self.wire.packets[start:])
        self.story.results[name] = self.result()

    def settle(self, name: str, ike_sas: int = 1, timeout: float = 20.0) -> None:
        """Wait until both sides have so many SAs, with a child each."""
        gateway = self.lab.a

        def settled() -> bool:
            sas = gateway.sas()
            return len(sas) == len(gateway.established()) == ike_sas and all(
                len(sa.children) == 1 for sa in sas
            )

        # charon doesn't announce every change, e.g. not the end of an old child.
        wait_until(f"{ike_sas} SAs: {name}", settled, timeout, self.explain)
        self.peer.wait_states(ike_sas, ike_sas, timeout)
        self.quiet()

    def explain(self) -> str:
        packets = "\n".join(str(packet) for packet in self.wire.packets[-30:])
        return f"{self.lab.a.sas()}\n{packets}\n{self.lab.a.tail()}\n{self.peer.tail()}"

    def quiet(self, span: float = 0.5) -> None:
        """Wait until nothing has been sent for that long."""
        end = time.monotonic() + 20
        while time.monotonic() < end:
            count = self.wire.count
            time.sleep(span)  # silence is what is waited for
            if self.wire.count == count:
                return
        raise AssertionError("the wire isn't quiet")

    def result(self) -> list[object]:
        """What strongSwan says of its SAs, without what is random."""
        keys = ("encr-alg", "integ-alg", "prf-alg", "dh-group", "state", "remote-id")
        child = ("mode", "protocol", "encr-alg", "encr-keysize", "encap", "state")
        return [
            {key: sa.get(key) for key in keys}
            | {"children": [
                {key: item.get(key) for key in child}
                for item in sa["child-sas"].values()
            ]}
            for sa in self.lab.a.control.sas()
        ]

    def pings(self) -> None:
        """Traffic passes, both ways."""
        a, b = self.lab.a.host, self.peer.me
        for source, target in ((a, b), (b, a)):
            with Probe(source, target, 0.05) as probe:
                probe.wait_answer(count=2)

    def end(self) -> Story:
        self.story.complaints = sorted(
            {
                re.sub(r"\d+", "N", text)
                for text in self.peer.log().splitlines()
                if COMPLAINT.search(text) and '"lab"' in text
            }
        )
        return self.story


def config(qcd: bool, charon: Settings | None = None, **more: object) -> Config:
    return Config(
        qcd=qcd,
        kernel_esp=True,
        # libreswan asks for no certificate by name.
        ike_options={"send_cert": "always"},
        charon={"delete_rekeyed_delay": 1, **(charon or {})},
        **more,  # type: ignore[arg-type]
    )


def without_follow_up(step: list[list[str]]) -> list[list[str]]:
    """The same without our INFORMATIONAL after our own rekeying."""
    assert sum(FOLLOW_UP == messages[:2] for messages in step) == 1, step
    rest = [m[2:] if m[:2] == FOLLOW_UP else m for m in step]
    return [messages for messages in rest if messages]


# --- the whole life of an SA --------------------------------------------------


def life(
    new_pair: NewPair, qcd: bool, initiator: str, auth: str, encap: bool
) -> Story:
    lab, peer = new_pair(config(qcd, auth=auth, encap=encap))
    lab.a.start()
    peer.start()
    teller = Teller(lab, peer)
    with teller.wire:
        connect = {"strongswan": lab.a.initiate, "libreswan": peer.initiate}
        teller.step("connect", lambda: connect[initiator](**timeout(initiator)))
        teller.pings()
        if qcd:
            lab.a.wait_log("QCD: giving token")
        teller.step("strongSwan rekeys the child", lab.a.nudge)
        teller.step("libreswan rekeys the child", peer.rekey_child)
        teller.step("libreswan asks whether we live", peer.liveness)
        teller.step("strongSwan rekeys", lambda: rekey(lab))
        teller.pings()
        teller.step("libreswan rekeys", peer.rekey_ike)
        teller.pings()
        end = {
            "strongswan": lambda: lab.a.terminate(lab.a.established()[0]),
            "libreswan": peer.terminate,
        }
        teller.step(f"{initiator} deletes", end[initiator], ike_sas=0)
        teller.step("connect again", lambda: connect[initiator](**timeout(initiator)))
        if initiator == "strongswan":
            teller.step("the responder deletes", end["libreswan"], ike_sas=0)
        else:  # libreswan keeps up what it was told to bring up
            before = lab.a.established()[0]
            teller.step(
                "the responder deletes",
                lambda: (
                    end["strongswan"](),
                    lab.a.wait_established(other_than=(before,), timeout=20),
                ),
            )
    return teller.end()


def timeout(initiator: str) -> dict[str, float]:
    return {"timeout": 30} if initiator == "strongswan" else {}


def rekey(lab: Lab) -> None:
    lab.a.command("rekey", {"ike-id": lab.a.established()[0].unique_id})


LIVES = [
    ("strongswan", "psk", False),
    ("libreswan", "psk", True),
    ("strongswan", "cert", True),
    ("libreswan", "cert", False),
]


@pytest.mark.parametrize(("initiator", "auth", "encap"), LIVES)
def test_life_of_an_sa(
    new_libreswan: NewPair, initiator: str, auth: str, encap: bool
) -> None:
    stock = life(new_libreswan, False, initiator, auth, encap)
    ours = life(new_libreswan, True, initiator, auth, encap)
    rekeyed = "strongSwan rekeys"
    ours.steps[rekeyed] = without_follow_up(ours.steps[rekeyed])
    assert ours.steps == stock.steps
    assert ours.results == stock.results
    assert ours.complaints == stock.complaints


# --- is the peer alive? -------------------------------------------------------


def alive(new_pair: NewPair, qcd: bool, who: str) -> set[str]:
    """One side asks each second: the kinds of messages seen until it did twice.

    Only one, since a question answers that of the other side.
    """
    ours = who == "strongswan"
    options = {"dpddelay": "1", "dpdtimeout": "30", "dpdaction": "clear"}
    delay = "1s" if ours else "0s"
    lab, peer = new_pair(config(qcd, dpd_delay=delay), options={} if ours else options)
    lab.a.start()
    peer.start()
    with Sniffer(lab.a.host, peer=peer.me) as wire:
        lab.a.initiate(timeout=30)
        old = lab.a.established()[0]

        def answers() -> int:
            return len(
                {
                    p.message.message_id
                    for p in wire.packets
                    if p.outgoing != ours
                    and p.message.exchange == ike.INFORMATIONAL
                    and p.message.is_response
                }
            )

        wait_until("two answers", lambda: answers() > 1, 30, peer.tail)
        assert lab.a.established()[0].spis == old.spis
        peer.wait_states(1, 1)
        return {re.sub(r" \d+$", "", line(packet)) for packet in wire.packets}


@pytest.mark.parametrize("who", ["strongswan", "libreswan"])
def test_asking_whether_the_other_lives(new_libreswan: NewPair, who: str) -> None:
    seen = alive(new_libreswan, True, who)
    assert seen == alive(new_libreswan, False, who)
    assert f"{who} INFORMATIONAL request" in seen


# --- crashes ------------------------------------------------------------------


def ours_crashes(new_pair: NewPair, qcd: bool, encap: bool) -> Story:
    """strongSwan loses the SA; libreswan finds out by asking, and reconnects."""
    options = {
        "dpddelay": "1000",
        "dpdtimeout": "3000",
        "dpdaction": "restart",
        "retransmit-timeout": "3s",
    }
    lab, peer = new_pair(config(qcd, encap=encap), options=options)
    lab.a.start()
    peer.start()
    teller = Teller(lab, peer)
    with teller.wire:
        teller.step("connect", peer.initiate)
        old = lab.a.established()[0]
        power_cut(lab.a)
        lab.a.start()
        start = teller.wire.count
        begin = time.monotonic()
        peer.liveness()
        if qcd:
            teller.wire.wait("the token", lambda p: bool(p.message.tokens()))
        # As long as for a peer that says nothing: it believes only what is protected.
        peer.wait_log("second timeout exceeded after")
        lab.a.wait_established(other_than=(old,), timeout=30)
        with_it = "with" if qcd else "without"
        print(f"{with_it} the plugin back after {time.monotonic() - begin:.1f} s")
        teller.settle("recovery")
        teller.story.steps["recovery"] = by_sa(teller.wire.packets[start:])
        teller.story.results["recovery"] = teller.result()
        teller.pings()
    return teller.end()


@pytest.mark.parametrize("encap", [False, True], ids=["esp", "esp-in-udp"])
def test_our_crash(new_libreswan: NewPair, encap: bool) -> None:
    """It ignores our answer in the clear: the rest is as if there were none."""
    stock = ours_crashes(new_libreswan, False, encap)
    ours = ours_crashes(new_libreswan, True, encap)
    dead, *rest = ours.steps["recovery"]
    in_the_clear = [item for item in dead if item.endswith(" clear")]
    assert in_the_clear, dead
    for item in in_the_clear:
        assert item.startswith("strongswan INFORMATIONAL response"), dead
    ours.steps["recovery"] = [[i for i in dead if i not in in_the_clear], *rest]
    assert ours.steps == stock.steps
    assert ours.results == stock.results


def theirs_crashes(new_pair: NewPair, qcd: bool) -> Story:
    """libreswan loses the SA and can't say so in a way that we would believe."""
    lab, peer = new_pair(config(qcd, GIVE_UP))
    lab.a.start()
    peer.start()
    teller = Teller(lab, peer)
    with teller.wire:
        teller.step("connect", lambda: lab.a.initiate(timeout=30))
        old = lab.a.established()[0]
        peer.kill()
        peer.me.ns.ip("xfrm state flush", "xfrm policy flush")
        peer.start()
        start = teller.wire.count
        lab.a.nudge()
        lab.a.wait_established(other_than=(old,), timeout=30)
        teller.settle("recovery")
        teller.story.steps["recovery"] = by_sa(teller.wire.packets[start:])
        teller.story.results["recovery"] = teller.result()
        teller.pings()
    return teller.end()


def test_their_crash(new_libreswan: NewPair) -> None:
    stock = theirs_crashes(new_libreswan, False)
    ours = theirs_crashes(new_libreswan, True)
    assert ours == stock
