# SPDX-License-Identifier: GPL-2.0-or-later
"""A hundred thousand packets of forged ESP a second, while something is lost.

What the machine reaches of that is printed. ESP alone is what comes: in UDP the
flood would be one of charon's sockets, with or without us.
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

NewLab = Callable[..., Lab]
RATE = 100_000
DISTINCT = 20_000
DEAD = 100
PACKETS = 100_000  # of a flood before and after
SOON = 1.0
# An honest peer's few packets a second, among these.
SPARSE = 0.2
RECOVERED = 5.0
GROWTH = 4 << 20

HUB = Config(
    esp=True, anywhere=True, socket_room=8 << 20, log={"default": 0, "ike": 1}
)


def crashed_hub(new_lab: NewLab) -> tuple[Lab, list[Lost]]:
    """a lost b's SA, c's and many others; c is back, and b says nothing yet."""
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
    """The SPIs that a flood has, by its kind."""
    live = esp.child_spi(lab["c"].established()[0], "out")
    number = 0
    while True:
        number += 1
        if kind == "random and live":
            # Random ones are none of charon's and none of those that are lost.
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
    """Let some of it pass."""
    end = flood.sent + PACKETS
    wait_until("the flood", lambda: flood.sent >= end, 20, hub.tail, poll=0.05)


@pytest.mark.parametrize("kind", ["random and live", "one dead", "many dead"])
def test_forged_esp(new_lab: NewLab, kind: str) -> None:
    """No word about a live or a random SPI; and who has lost its SA is told."""
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
        # b sends at last, and the flood goes on.
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
