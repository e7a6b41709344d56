# SPDX-License-Identifier: GPL-2.0-or-later
"""A hundred thousand packets of forged ESP a second, while an SA is lost.

The rate that the machine achieves is printed. Only ESP alone is sent: ESP in UDP would
flood one of charon's sockets, with or without the plugin.
"""

import os
import time
from collections.abc import Callable, Iterator

import pytest

from lab import esp
from lab.config import Config
from lab.flood import Burst, Flood
from lab.gateway import Gateway
from lab.lost import Lost, child_of, lose_many
from lab.scenario import Lab
from lab.test_flood import REPLY_BURST, REPLY_RATE, spoofed, used
from lab.traffic import Probe
from lab.wait import wait_until
from lab.wire import Sniffer

pytestmark = pytest.mark.alone

NewLab = Callable[..., Lab]
RATE = 100_000
DISTINCT = 20_000
DEAD = 100
PACKETS = 100_000  # of the flood, before and after the peer sends
SOON = 1.0
# An honest peer sends a few packets a second among these.
SPARSE = 0.2
RECOVERED = 5.0
GROWTH = 4 << 20

HUB = Config(
    esp=True, anywhere=True, socket_room=8 << 20, log={"default": 0, "ike": 1}
)


def crashed_hub(new_lab: NewLab) -> tuple[Lab, list[Lost]]:
    """a lost the SAs of b, c and many others; c is back, and b is silent so far."""
    lab = new_lab(Config(), names=("a", "b", "c"), a=HUB)
    lab.up()
    lab["a"].kill()
    lost = lose_many(lab["a"], DEAD)
    lab["a"].start()
    with Probe(lab["c"].host, lab["a"].host) as pings:
        pings.wait_answer(count=3)
    assert esp.child_spi(lab["b"].sas()[0], "out") in esp.dead(lab["a"])
    return lab, lost


def chosen_spis(lab: Lab, lost: list[Lost], kind: str) -> Iterator[bytes]:
    """Return the SPIs of a flood, by its kind."""
    live = esp.child_spi(lab["c"].established()[0], "out")
    number = 0
    while True:
        number += 1
        if kind == "random and live":
            # Random SPIs are neither charon's nor those of lost SAs.
            yield live if number % 2 else b"\xbf" + os.urandom(3)
        elif kind == "one dead":
            yield lost[0].spi
        else:
            yield lost[number % len(lost)].spi


def flood_of(lab: Lab, spis: Iterator[bytes]) -> Flood:
    target = lab["a"].host.address
    packets = [
        esp.alone(next(spis), spoofed(number), target) for number in range(DISTINCT)
    ]
    return Flood(lab.stranger, Burst(packets, (target, 0)), RATE)


def wait_flood(flood: Flood, hub: Gateway) -> None:
    """Let part of the flood pass."""
    end = flood.sent + PACKETS
    wait_until("the flood", lambda: flood.sent >= end, 20, hub.tail, poll=0.05)


@pytest.mark.parametrize("kind", ["random and live", "one dead", "many dead"])
def test_forged_esp(new_lab: NewLab, kind: str) -> None:
    """No reply about a live or a random SPI; a peer that has a lost SA is told."""
    lab, lost = crashed_hub(new_lab)
    hub, peer = lab["a"], lab["b"]
    flood = flood_of(lab, chosen_spis(lab, lost, kind))
    before = used(hub)
    with (
        Sniffer(hub.host, outgoing=True) as wire,
        Probe(lab["c"].host, hub.host) as living,
        flood,
    ):
        living.wait_answer()
        begin, sent, received = time.time(), flood.sent, hub.host.ns.received()
        wait_flood(flood, hub)
        # b finally sends, while the flood continues.
        with Probe(peer.host, hub.host, interval=SPARSE) as pings:
            start = time.time()
            recovered = pings.wait_answer(start, timeout=4 * RECOVERED) - start
        wait_flood(flood, hub)
        passed = time.time() - begin
        rate = flood.rate
        sent, received = flood.sent - sent, hub.host.ns.received() - received
        strangers = [p for p in wire.packets if p.target[0].startswith("198.")]
        assert wire.lost() == 0
        gaps = living.gaps(longer=SOON, since=begin)
    hub.wait_idle()
    print(
        f"{kind}: {rate:.0f} packets a second, {received} of {sent} came, "
        f"{len(strangers)} answers in {passed:.1f} s, the honest peer was back "
        f"after {recovered:.2f} s"
    )
    assert received > sent / 2, "the flood never reached the gateway"
    assert used(hub) - before < GROWTH
    assert gaps == [], f"the living tunnel: {gaps}"
    assert recovered < RECOVERED, hub.tail()
    known = {item.spi for item in lost}
    told = [child_of(packet) for packet in strangers]
    assert set(told) <= known
    if kind == "random and live":
        assert told == []
        return
    assert told
    assert all(told.count(spi) <= passed + 2 for spi in set(told))
    assert len(told) <= REPLY_BURST + REPLY_RATE * passed
