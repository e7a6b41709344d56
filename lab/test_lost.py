# SPDX-License-Identifier: GPL-2.0-or-later
"""Ten thousand lost SAs of one gateway, and simulated peers.

All messages to them go to addresses that nobody has, so no peer reconnects.
"""

import time
from collections import defaultdict
from collections.abc import Callable

import pytest

from lab import esp
from lab.admin import counters
from lab.config import Config
from lab.gateway import Gateway
from lab.lost import (
    Lost,
    begin_handshakes,
    child_of,
    half_open,
    lose_many,
    most_within,
)
from lab.scenario import Lab
from lab.test_flood import REPLY_BURST, REPLY_RATE, assert_within_rates, used
from lab.wait import wait_until
from lab.wire import Forger, Packet, Sniffer

pytestmark = pytest.mark.alone

NewLab = Callable[..., Lab]
COUNT = 10_000
ASKED = 2_000
SOON = 1.0
GROWTH = 8 << 20

HUB = Config(
    esp=True,
    anywhere=True,
    socket_room=8 << 20,
    charon={"cookie_threshold": 0, "block_threshold": 0, "half_open_timeout": 4},
    log={"default": 0, "ike": 1},
)


def lost_lab(new_lab: NewLab, **options: str) -> tuple[Lab, list[Lost]]:
    """Return a lab in which b, which is down, has lost all these SAs."""
    lab = new_lab(HUB.but(qcd_options=options))
    return lab, lose_many(lab.b, COUNT)


def told(wire: Sniffer, since: int = 0) -> list[Packet]:
    return [packet for packet in wire.packets[since:] if esp.tells(packet)]


def by_child(packets: list[Packet]) -> dict[bytes, list[Packet]]:
    found = defaultdict(list)
    for packet in packets:
        found[child_of(packet)].append(packet)
    return dict(found)


def wait_watched(gateway: Gateway) -> None:
    """The kernel needs time for many SPIs."""
    wait_until(
        "the SPIs of lost SAs",
        lambda: len(esp.dead(gateway)) == COUNT,
        10,
        gateway.tail,
        poll=0.05,
    )


class Watch:
    """The daemon's memory and response time, sampled at intervals."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway
        self.slowest = 0.0
        self.before = (used(gateway), gateway.memory())
        self.grown = 0

    def look(self) -> None:
        begin = time.monotonic()
        now = (used(self.gateway), self.gateway.memory())
        self.slowest = max(self.slowest, time.monotonic() - begin)
        self.grown = max(self.grown, *(n - b for n, b in zip(now, self.before)))

    def assert_fine(self) -> None:
        assert self.grown < GROWTH, f"{self.grown} octets more"
        assert self.slowest < SOON, f"vici took {self.slowest:.3f} s"

    def __str__(self) -> str:
        return f"{self.grown >> 10} KiB more, vici {self.slowest * 1000:.0f} ms"


def assert_each_has_its_second(packets: dict[bytes, list[Packet]]) -> None:
    for spi, answers in packets.items():
        times = [packet.time for packet in answers]
        close = [b - a for a, b in zip(times, times[1:]) if b - a < 0.9]
        assert not close, f"{spi.hex()} was told again after {close}"


def test_who_asks_is_told(new_lab: NewLab) -> None:
    """All who ask slowly enough are told, once a second at most; nobody else is."""
    lab, lost = lost_lab(new_lab)
    lab.b.start()
    wait_watched(lab.b)
    assert counters(lab.b)["lost_children"] == COUNT
    asked = lost[::5]
    assert len(asked) == ASKED
    left = {item.spi: item for item in asked}
    with Sniffer(lab.b.host, outgoing=True) as wire, Forger(lab.stranger) as forger:
        watch = Watch(lab.b)

        def all_told() -> bool:
            """Peers that were not told ask again, as their traffic would."""
            packets = [item.packet(lab.b) for item in left.values()]
            forger.paced(packets, (lab.b.host.address, 0), REPLY_RATE / 2)
            lab.b.wait_idle()
            watch.look()
            for spi in by_child(told(wire)):
                left.pop(spi, None)
            return not left

        wait_until("all to be told", all_told, 20, lab.b.tail, poll=0.1)
        answers = told(wire)
        assert wire.lost() == 0
    assert_each_has_its_second(by_child(answers))
    assert_within_rates(answers, REPLY_RATE)
    peers = {item.spi: item for item in asked}
    for packet in answers:
        item = peers[child_of(packet)]
        assert packet.target == (item.peer, 4500)
        assert (packet.message.spi_i, packet.message.spi_r) == (item.spi_i, item.spi_r)
        assert len(packet.message.tokens()) == 1
    watch.assert_fine()
    print(f"{ASKED} asked, {len(answers)} answers, {watch}")


def test_all_ask_at_once(new_lab: NewLab) -> None:
    """Five times as many as may be told in a second ask at once: the limits hold."""
    lab, lost = lost_lab(new_lab)
    lab.b.start()
    wait_watched(lab.b)
    packets = [item.packet(lab.b) for item in lost]
    with Sniffer(lab.b.host, outgoing=True) as wire, Forger(lab.stranger) as forger:
        watch = Watch(lab.b)
        begin = time.time()
        for place in range(0, 2 * COUNT, COUNT // 10):
            chosen = packets[place % COUNT : place % COUNT + COUNT // 10]
            forger.paced(chosen, (lab.b.host.address, 0), 5 * REPLY_RATE)
            watch.look()
        lab.b.wait_idle()
        passed = time.time() - begin
        answers = told(wire)
        assert wire.lost() == 0
    assert_each_has_its_second(by_child(answers))
    assert_within_rates(answers, REPLY_RATE)
    assert len(answers) <= REPLY_BURST + REPLY_RATE * passed
    watch.assert_fine()
    print(f"{2 * COUNT} packets in {passed:.1f} s, {len(answers)} answers, {watch}")


ROUND_PAUSE = 2.0


def wait_told(lab: Lab, wire: Sniffer, count: int, watch: Watch, bound: float) -> None:
    def enough() -> bool:
        watch.look()
        return int(counters(lab.b)["announced"]) >= count

    wait_until(f"{count} to be told", enough, bound, lab.b.tail, poll=0.02)
    lab.b.wait_idle()
    assert wire.lost() == 0


# Peers that are told at a time: three quarters of charon's default for cookies. Those
# that don't come make room for others after a while, for four times as many at most.
WINDOW = 23
PATIENCE = 0.3


def test_all_are_told_once_a_round(new_lab: NewLab) -> None:
    """So many at a time; then, as none of the peers returns, once more."""
    lab, lost = lost_lab(new_lab, announce="yes")
    with Sniffer(lab.b.host, outgoing=True) as wire:
        lab.b.start()
        watch = Watch(lab.b)
        wait_told(lab, wire, COUNT, watch, 90)
        first = told(wire)[:COUNT]
        end = first[-1].time
        wait_told(lab, wire, COUNT + 100, watch, 15)
        answers = told(wire)
        assert wire.lost() == 0
    children = by_child(first)
    assert set(children) == {item.spi for item in lost}, "one was told twice"
    peers = {item.spi: item.peer for item in lost}
    assert all(packet.target[0] == peers[child_of(packet)] for packet in answers)
    # The other ones belong to the second round.
    assert answers[COUNT].time - end > ROUND_PAUSE / 2
    # A busy machine may send some of them late, so ten turns are counted together.
    most = most_within(answers, 10 * PATIENCE)
    assert most <= 11 * 4 * WINDOW, f"{most} in ten turns"
    begun = [packet for packet in first if packet.time < first[0].time + PATIENCE / 2]
    assert len(begun) <= WINDOW, f"{len(begun)} at first"
    watch.assert_fine()
    seconds = end - first[0].time
    print(
        f"{COUNT} told in {seconds:.1f} s, at most {most} in ten turns, {len(begun)} "
        f"at first; {watch}"
    )


def test_half_open_sas_of_others_do_not_stop_it(new_lab: NewLab) -> None:
    """While strangers have begun handshakes, which they don't complete."""
    lab, _ = lost_lab(new_lab, announce="yes")
    with Sniffer(lab.b.host, outgoing=True) as wire, Forger(lab.stranger) as forger:
        lab.b.start()
        begin_handshakes(lab.b, forger, 4 * WINDOW)
        wait_until(
            "half-open SAs", lambda: half_open(lab.b) >= 4 * WINDOW, 5, lab.b.tail
        )
        before = len(told(wire))
        wait_until("more", lambda: len(told(wire)) >= before + 4 * WINDOW, 2, lab.b.tail)
        assert half_open(lab.b) >= 4 * WINDOW
