# SPDX-License-Identifier: GPL-2.0-or-later
"""Twenty thousand requests a second: few replies, and the honest peer gets its own.

RFC 6290 section 8.1. The gateway's sockets have the buffers of a machine that was set
up for such rates: packets that the kernel drops before charon sees them would prove
nothing about the plugin.
"""

import itertools
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator

import pytest

from lab import ike
from lab.ask import Asker
from lab.config import Config
from lab.crash import crash
from lab.flood import Burst, Flood, before_others
from lab.gateway import Gateway
from lab.scenario import Lab
from lab.traffic import Probe
from lab.wire import Packet, Sniffer, ike_datagram

pytestmark = pytest.mark.alone

NewLab = Callable[..., Lab]
RATE = 20_000
SECONDS = 5.0
DISTINCT = 30_000
LOST = 200
SOON = 1.0
# The guaranteed defaults.
REPLY_RATE, REPLY_BURST, REPLY_RATE_SOURCE = 1000, 2000, 10
GROWTH = 4 << 20

HUB = Config(
    anywhere=True,
    socket_room=8 << 20,
    charon={"cookie_threshold": 0, "block_threshold": 0},
    log={"default": 0, "ike": 1},
)


@pytest.fixture(autouse=True)
def ours_first() -> Iterator[None]:
    """Other load on the machine would prove nothing here."""
    with before_others():
        yield


def request(spis: tuple[bytes, bytes], source: str, gateway: Gateway) -> bytes:
    """Return a DPD request as it is on the wire."""
    message = ike.protected_request(spis, size=80).pack()
    return ike_datagram((source, 4500), (gateway.host.address, 4500), message)


def spoofed(number: int) -> str:
    return f"198.{18 + (number >> 16 & 1)}.{number >> 8 & 255}.{number & 255}"


def flood_of(lab: Lab, packets: list[bytes]) -> Flood:
    return Flood(lab.stranger, Burst(packets, (lab.b.host.address, 4500)), RATE)


def watch(gateway: Gateway, seconds: float) -> float:
    """Query the daemon continuously; return the longest response time."""
    slowest = 0.0
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        begin = time.monotonic()
        gateway.command("stats")
        slowest = max(slowest, time.monotonic() - begin)
    return slowest


def used(gateway: Gateway) -> int:
    return int(gateway.command("stats")["mallinfo"]["used"])


def assert_was_flood(lab: Lab, flood: Flood, drops: int) -> None:
    """The figures only count if it was a flood and charon received it."""
    assert flood.rate > 0.7 * RATE, f"only {flood.rate:.0f} packets a second were sent"
    lost = lab.b.host.ns.udp_drops(4500) - drops
    assert lost < 0.01 * flood.sent, f"{lost} of {flood.sent} never reached charon"


def assert_recovers(lab: Lab, pings: Probe) -> None:
    for number in range(3):
        recovery = crash(lab.b, lab.a, pings)
        assert recovery.request_to_answer is not None, recovery
        assert recovery.request_to_answer < SOON, f"crash {number}: {recovery}"
        pings.wait_answer(count=10)


def test_random_spis_get_no_reply(new_lab: NewLab) -> None:
    lab = new_lab(Config(), b=HUB)
    lab.up()
    packets = [
        request((os.urandom(8), os.urandom(8)), spoofed(number), lab.b)
        for number in range(DISTINCT)
    ]
    flood = flood_of(lab, packets)
    with Sniffer(lab.b.host, outgoing=True) as wire:
        with Probe(lab.a.host, lab.b.host) as pings:
            pings.wait_answer(count=20)
            before, drops = used(lab.b), lab.b.host.ns.udp_drops(4500)
            with flood:
                assert watch(lab.b, SECONDS) < SOON
            assert_was_flood(lab, flood, drops)
            lab.b.wait_idle()
            assert used(lab.b) - before < GROWTH
            assert pings.gaps(longer=SOON) == []
            with flood_of(lab, packets):
                assert_recovers(lab, pings)
        strangers = wire.find(lambda p: p.target[0].startswith("198."))
        assert strangers == [], f"{len(strangers)} replies"
        assert wire.lost() == 0


def lost_spis(lab: Lab) -> list[bytes]:
    """Return SPIs that the gateway has minted and whose SAs its next crash loses."""
    with Sniffer(lab.b.host, peer=lab.a.host) as wire:
        lab.up()
        init = wire.wait(
            "IKE_SA_INIT", lambda p: p.message.exchange == ike.IKE_SA_INIT
        ).message
    spis = []
    with Asker(lab.stranger, lab.b) as asker:
        for _ in range(LOST):
            answer = asker.ask(init.but(spi_i=os.urandom(8)), 500)
            spis.append(answer.message.spi_r)
    return spis


def assert_within_rates(replies: list[Packet], rate_source: int) -> None:
    """In no second more than a burst and the rate; no source exceeds its own rate."""
    times = [packet.time for packet in replies]
    first = 0
    for last, when in enumerate(times):
        while when - times[first] > 1.0:
            first += 1
        count = last - first + 1
        assert count <= REPLY_BURST + REPLY_RATE + 100, f"{count} replies in a second"
    assert len(times) > 0
    span = times[-1] - times[0]
    assert len(times) <= REPLY_BURST + REPLY_RATE * (span + 0.2)
    loudest, count = Counter(p.target[0] for p in replies).most_common(1)[0]
    assert count <= rate_source * (span + 1.2), f"{count} replies to {loudest}"


SOURCES = {"many sources": DISTINCT, "a hundred sources": 100, "one source": 1}


@pytest.mark.parametrize("name", SOURCES)
def test_spis_of_lost_sas(new_lab: NewLab, name: str) -> None:
    lab = new_lab(Config(), b=HUB)
    spis = itertools.cycle(lost_spis(lab))
    packets = [
        request((os.urandom(8), next(spis)), spoofed(number % SOURCES[name]), lab.b)
        for number in range(DISTINCT)
    ]
    with Probe(lab.a.host, lab.b.host) as pings:
        pings.wait_answer(count=20)
        lab.b.restart()
        before, drops = used(lab.b), lab.b.host.ns.udp_drops(4500)
        flood = flood_of(lab, packets)
        with Sniffer(lab.b.host, outgoing=True) as wire:
            with flood:
                slowest = watch(lab.b, SECONDS)
                start = time.time()
                lab.a.nudge()
                recovered = pings.wait_answer(start, timeout=SECONDS) - start
            assert_was_flood(lab, flood, drops)
            assert slowest < SOON
            strangers = [p for p in wire.packets if p.target[0].startswith("198.")]
            assert wire.lost() == 0
        assert_within_rates(strangers, REPLY_RATE_SOURCE)
        assert recovered < SOON
        lab.b.wait_idle()
        assert used(lab.b) - before < GROWTH
