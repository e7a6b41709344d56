# SPDX-License-Identifier: GPL-2.0-or-later
"""No IKE message is needed: ESP of lost SAs, RFC 6290 section 8.2.

DPD is off in all of these tests, and no peer is nudged. The peer's ESP or an
announcement restores the tunnel.
"""

import time
from collections.abc import Callable

import pytest

from lab import esp, ike
from lab.admin import counters
from lab.config import Config
from lab.crash import Crash
from lab.gateway import Gateway, Sa
from lab.scenario import Lab
from lab.traffic import Probe
from lab.wait import wait_until
from lab.wire import Forger, Sniffer, tshark_decode

NewLab = Callable[..., Lab]
# Peers may have any address, so a reply to a stranger needn't wait for a connection.
ESP = Config(esp=True, anywhere=True)
# A recovery takes less than 50 ms on an idle machine. The first retransmission of any
# message is sent after 4 s.
SOON = 1.0


def probe(lab: Lab) -> Probe:
    return Probe(lab.a.host, lab.b.host)


def told(sniffer: Sniffer) -> list[ike.Message]:
    return [packet.message for packet in sniffer.find(esp.tells)]


def assert_nothing_lost(gateway: Gateway) -> None:
    """Everything was replaced, so no packet causes any work."""
    wait_until(
        f"the table of gateway {gateway.name} to go",
        lambda: not esp.table(gateway),
        explain=lambda: esp.table(gateway) + gateway.tail(),
    )
    assert counters(gateway)["lost_children"] == 0


@pytest.mark.parametrize("initiator", ["a", "b"])
@pytest.mark.parametrize("auth", ["psk", "cert"])
def test_traffic_is_enough(new_lab: NewLab, auth: str, initiator: str) -> None:
    """The gateway, b, was the initiator of the lost SA or its responder."""
    lab = new_lab(ESP.but(auth=auth))
    for gateway in (lab.a, lab.b):
        gateway.start()
    lab[initiator].initiate()
    assert esp.ruleset(lab.b) == ""
    with probe(lab) as pings, Crash(lab.b, lab.a, pings) as running:
        pings.wait_answer(count=3)
        running.kill()
        running.restart()
        recovery = running.wait()
        # Nobody asked by IKE, one message told the peer, one handshake followed.
        assert recovery.requests == [], str(recovery)
        assert recovery.retransmitted == 0, str(recovery)
        assert recovery.dead_after_restart is not None
        assert recovery.dead_after_restart < SOON, str(recovery)
        assert len(told(running.sniffer)) == 1
    for gateway in (lab.a, lab.b):
        gateway.wait_for("a single SA", lambda g=gateway: len(g.sas()) == 1)
    assert_nothing_lost(lab.b)


def test_again_and_again(new_lab: NewLab) -> None:
    """Either side, ten times: each time the SAs of the last run are lost."""
    lab = new_lab(ESP)
    lab.up()
    with probe(lab) as pings, Probe(lab.b.host, lab.a.host) as back:
        for number in range(10):
            pings.wait_answer(count=3)
            victim, peer = (lab.a, lab.b) if number % 2 else (lab.b, lab.a)
            with Crash(victim, peer, back if number % 2 else pings) as running:
                running.kill()
                running.restart()
                recovery = running.wait()
                assert recovery.requests == [], f"crash {number}\n{recovery}"
                assert recovery.retransmitted == 0, f"crash {number}\n{recovery}"
            assert_nothing_lost(victim)


def wait_watching(gateway: Gateway) -> None:
    """Return once a packet of a lost SA is seen."""
    wait_until(
        f"the table of gateway {gateway.name}",
        lambda: esp.table(gateway),
        explain=gateway.tail,
    )


def lose(lab: Lab, *, watching: bool = True) -> Sa:
    """Let b lose its SA with a, which does not know; return a's view of it."""
    sa = lab.up()
    lab.b.kill()
    lab.b.start()
    if watching:
        wait_watching(lab.b)
    return sa


def assert_told(message: ike.Message, sa: Sa) -> None:
    """The message is, octet for octet, what RFC 6290 sections 4.5 and 8.2 specify."""
    tokens = message.tokens()
    assert len(tokens) == 1 and len(tokens[0]) == 32
    # a was the initiator, so b sends with the I flag clear.
    expected = ike.token_message(
        sa.spis,
        tokens,
        first=ike.Notify(ike.INVALID_SPI, esp.child_spi(sa, "out")),
        flags=0,
    )
    assert message.pack() == expected.pack()


def test_message(new_lab: NewLab) -> None:
    """The content, source and destination of the message; tshark reports no error."""
    lab = new_lab(ESP)
    sa = lose(lab)
    a, b = lab.a.host.address, lab.b.host.address
    spi = esp.child_spi(sa, "out")
    with Sniffer(lab.b.host, outgoing=True) as wire, Forger(lab.a.host) as forger:
        lab.a.kill()  # it must not return: the packet is sent in its name
        forger.raw(esp.in_udp(spi, (a, 4500), (b, 4500)), (b, 4500))
        packet = wire.wait("the message that tells", esp.tells)
        assert (packet.source, packet.target) == ((b, 4500), (a, 4500))
        assert_told(packet.message, sa)
        fields = ("isakmp.notify.msgtype", "isakmp.exchangetype", "isakmp.flags")
        pcap = wire.write_pcap(lab.folder / "told.pcap", [packet])
        assert tshark_decode(pcap, fields) == [["11,16419", "37", "0x00"]]


# How the packet is sent, and the ports of the reply.
WAYS = [
    ("udp", 4500, (4500, 4500)),
    ("udp", 20000, (4500, 20000)),
    ("alone", 0, (4500, 4500)),
]


@pytest.mark.parametrize(("way", "port", "ends"), WAYS)
def test_ways(new_lab: NewLab, way: str, port: int, ends: tuple[int, int]) -> None:
    """A reply to ESP in UDP goes to its port, a reply to ESP alone to the IKE port."""
    lab = new_lab(ESP)
    sa = lose(lab)
    a, b = lab.a.host.address, lab.b.host.address
    spi = esp.child_spi(sa, "out")
    packet = (
        esp.in_udp(spi, (a, port), (b, 4500)) if port else esp.alone(spi, a, b)
    )
    lab.a.kill()
    with Sniffer(lab.b.host, outgoing=True) as wire, Forger(lab.a.host) as forger:
        forger.raw(packet, (b, 0))
        answer = wire.wait("the message that tells", esp.tells)
        assert (answer.source, answer.target) == ((b, ends[0]), (a, ends[1]))
        assert_told(answer.message, sa)


def test_short_packet(new_lab: NewLab) -> None:
    """A reply has at most three times the octets of what it replies to.

    A packet that is too short gets no reply, and uses up no limit: the next packet of
    sufficient length gets a reply at once.
    """
    lab = new_lab(ESP)
    sa = lose(lab)
    a, b = lab.a.host.address, lab.b.host.address
    spi = esp.child_spi(sa, "out")
    lab.a.kill()
    with Sniffer(lab.b.host, outgoing=True) as wire, Forger(lab.a.host) as forger:
        # The message has 80 octets, so a packet of 27 octets is the shortest with a
        # reply.
        for size in (*range(8, 27), 27):
            forger.raw(esp.in_udp(spi, (a, 4500), (b, 4500), size), (b, 0))
        answer = wire.wait("an answer", esp.tells, 0.9)
        lab.b.wait_idle()
        assert len(answer.data) == 80
        assert len(wire.find(esp.tells)) == 1
    assert counters(lab.b)["told"] == 1


def test_once_a_second(new_lab: NewLab) -> None:
    """Whatever the number and the sources of the packets."""
    lab = new_lab(ESP)
    sa = lose(lab)
    a, b = lab.a.host.address, lab.b.host.address
    spi = esp.child_spi(sa, "out")
    lab.a.kill()
    with Sniffer(lab.b.host, outgoing=True) as wire, Forger(lab.stranger) as forger:
        begin = time.monotonic()
        while time.monotonic() < begin + 3.5:
            for source in (a, "198.18.0.1", "198.18.0.2"):
                packet = esp.in_udp(spi, (source, 4500), (b, 4500))
                forger.paced([packet] * 10, (b, 0), 1000)
        lab.b.wait_idle()
        passed = time.monotonic() - begin
        answers = wire.find(esp.tells)
        assert 2 <= len(answers) <= passed + 1
        # The decisions are a second apart; a job sends the replies.
        times = [packet.time for packet in answers]
        assert all(late - early > 0.5 for early, late in zip(times, times[1:]))
        # The replies go to the peer concerned, however often others send.
        assert [packet.target[0] for packet in answers].count(a) >= 2


def test_living_sa(new_lab: NewLab) -> None:
    """There is no reply about a live SA, while another SA is lost."""
    lab = new_lab(ESP, names=("a", "b", "c"))
    hub, a, b = lab["a"], lab["a"].host.address, lab["b"].host.address
    lab.up()
    dead = lab["c"].sas()[0]
    hub.kill()
    hub.start()
    with Probe(lab.b.host, hub.host) as pings:
        pings.wait_answer(count=3)  # b has recovered
    lab["c"].kill()
    living = lab["b"].sas()[0]
    with Sniffer(hub.host, outgoing=True) as wire, Forger(lab.stranger) as forger:
        assert esp.table(hub)
        since = wire.count
        spi = esp.child_spi(living, "out")
        for source in (b, "198.18.0.1", lab["c"].host.address):
            for packet in (
                esp.in_udp(spi, (source, 4500), (a, 4500)),
                esp.alone(spi, source, a),
            ):
                forger.paced([packet] * 100, (a, 0), 1000)
        # The packet of the dead SA comes after all of them.
        last = esp.in_udp(esp.child_spi(dead, "out"), ("198.18.0.9", 4500), (a, 4500))
        forger.raw(last, (a, 0))
        answer = wire.wait("the answer for the dead SA", esp.tells, since=since)
        assert answer.target[0] == "198.18.0.9"
        told_of = [packet for packet in wire.find(esp.tells)[since:]]
        assert all(packet.message.spi_i == dead.spi_i for packet in told_of)
    assert lab["b"].established()


def test_clean_stop(new_lab: NewLab) -> None:
    """charon deletes its SAs when it terminates: none of them becomes lost."""
    lab = new_lab(ESP)
    lab.up()
    lab.b.stop()
    assert esp.ruleset(lab.b) == ""
    lab.b.start()
    assert esp.ruleset(lab.b) == ""
    assert counters(lab.b)["lost_children"] == 0


def test_clean_stop_with_lost_sas(new_lab: NewLab) -> None:
    """The table is removed, but formerly lost SAs are still known later."""
    lab = new_lab(ESP)
    lose(lab)
    lab.b.stop()
    assert esp.ruleset(lab.b) == ""
    lab.b.start()
    wait_watching(lab.b)
    assert counters(lab.b)["lost_children"] == 1


def test_announcement(new_lab: NewLab) -> None:
    """No traffic at all: the gateway tells its peer, and the tunnel is restored."""
    lab = new_lab(ESP.but(qcd_options={"announce": "yes"}))
    old = lab.up()
    with Sniffer(lab.b.host) as wire:
        lab.b.kill()
        begin = time.time()
        lab.b.start()
        lab.a.wait_established(other_than=(old,))
        lab.b.wait_established(other_than=(old,))
        messages = told(wire)
        assert len(messages) == 1
        assert_told(messages[0], old)
        requests = wire.find(
            lambda p: p.time >= begin and p.message.exchange == ike.IKE_SA_INIT
        )
        assert len(requests) == 2  # a request and its response
    assert counters(lab.b)["announced"] == 1
    assert_nothing_lost(lab.b)


def test_announcement_is_off_by_default(new_lab: NewLab) -> None:
    """Nothing is sent until somebody asks."""
    lab = new_lab(ESP)
    with Sniffer(lab.b.host, outgoing=True) as wire:
        sa = lose(lab)
        since = wire.count
        spi = esp.child_spi(sa, "out")
        a, b = lab.a.host.address, lab.b.host.address
        with Forger(lab.stranger) as forger:
            packet = esp.in_udp(spi, ("198.18.0.1", 4500), (b, 4500))
            forger.raw(packet, (b, 0))
            wire.wait("the answer to the stranger", esp.tells, since=since)
        targets = [packet.target[0] for packet in wire.find(esp.tells)]
        assert a not in targets


@pytest.mark.parametrize("keep", [("esp", "no"), ("reply_rate", "0")])
def test_switched_off(new_lab: NewLab, keep: tuple[str, str]) -> None:
    lab = new_lab(ESP.but(qcd_options=dict([keep])))
    sa = lose(lab, watching=False)
    assert esp.ruleset(lab.b) == ""
    lab.a.nudge(sa)
    if keep[0] == "esp":
        lab.a.wait_established(other_than=(sa,))


ZERO = (bytes(8), bytes(8))
RANDOM = (b"\x11" * 8, b"\x22" * 8)


@pytest.mark.parametrize("header", [None, ZERO, RANDOM])
def test_taker_finds_its_sa(new_lab: NewLab, header: tuple[bytes, bytes] | None) -> None:
    """By the IKE SPIs or, if these belong to none of its SAs, by the ESP SPI."""
    lab = new_lab(ESP)
    sa = lose(lab)
    with Sniffer(lab.b.host, outgoing=True) as wire, Forger(lab.stranger) as forger:
        spi = esp.child_spi(sa, "out")
        b = lab.b.host.address
        forger.raw(esp.in_udp(spi, ("198.18.0.1", 4500), (b, 4500)), (b, 0))
        token = wire.wait("the token", esp.tells).message.tokens()[0]
    messages = [
        (esp.child_spi(sa, "out"), b"x" * 32),  # another token
        (b"\x01\x02\x03\x04", token),  # of another child
        (esp.child_spi(sa, "out"), token),
    ]
    if header is None:
        messages = messages[:1] + messages[2:]
    with Forger(lab.stranger) as forger, Sniffer(lab.a.host, outgoing=True) as wire:
        for number, (child, shown) in enumerate(messages, start=1):
            message = ike.token_message(
                header or sa.spis,
                [shown],
                first=ike.Notify(ike.INVALID_SPI, child),
                flags=ike.FLAG_I,
            )
            forger.send(message, (lab.a.host.address, 4500))
            if number < len(messages):
                lab.a.wait_log(", ignored")
                assert lab.a.established() == [sa]
        lab.a.wait_established(other_than=(sa,))
        # None of them got a reply.
        stranger = lab.stranger.address
        assert not wire.find(lambda p: p.target[0] == stranger)
