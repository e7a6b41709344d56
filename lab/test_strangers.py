# SPDX-License-Identifier: GPL-2.0-or-later
"""What somebody who has seen SPIs can't do: keep peers from being told."""

import os
from collections.abc import Callable
from dataclasses import replace

import pytest

from lab import esp
from lab.lost import (
    Lost,
    begin_handshakes,
    forge_handshakes,
    half_open,
    init_request,
    lose_many,
)
from lab.scenario import Lab
from lab.test_waiting import HUB, ask, ask_all, load, replies, wait_waiting, waiting
from lab.wait import wait_until
from lab.wire import Forger, Sniffer

NewLab = Callable[..., Lab]
ANNOUNCING = HUB.but(esp=True, qcd_options={"announce": "yes"})
# Below charon's threshold for cookies, and as many as have a turn at an address:
# one more, with a cookie, would be the last that charon accepts.
FORGED, AT_ONCE = 8, 3
NATTED = 10000
BLOCKED = {"block_threshold": AT_ONCE + 1}


@pytest.mark.parametrize("silent", [0, 520])
def test_requests_hold_up_no_announcements(new_lab: NewLab, silent: int) -> None:
    """520 peers ask whose connections are not loaded; ten others are announced to."""
    lab = new_lab(ANNOUNCING)
    lost = lose_many(lab.b, silent + 10)
    waiters, others = lost[:silent], lost[silent:]
    lab.b.start(load=False)
    with Sniffer(lab.b.host, outgoing=True) as wire, Forger(lab.stranger) as forger:
        for item in waiters:
            ask(item, lab.b, forger)
        wait_waiting(lab.b, silent)
        for number, item in enumerate(others):
            load(lab.b, item.peer, f"known{number}")
        for item in others:
            wire.wait(
                "the announcement",
                lambda p, i=item: esp.tells(p) and p.target[0] == i.peer,
                10,
            )
        assert waiting(lab.b) == silent


def test_peers_behind_a_nat_hold_up_no_announcements(new_lab: NewLab) -> None:
    """10,000 peers at one address don't return; ten elsewhere are told meanwhile."""
    lab = new_lab(ANNOUNCING)
    lost = lose_many(lab.b, NATTED + 10, same=NATTED)
    lab.b.start(load=False)
    with Sniffer(lab.b.host, outgoing=True) as wire:
        for number, item in enumerate([lost[0], *lost[NATTED:]]):
            load(lab.b, item.peer, f"known{number}")
        for item in lost[NATTED:]:
            wire.wait(
                "the announcement",
                lambda p, i=item: esp.tells(p) and p.target[0] == i.peer,
                5,
            )
        told = [esp.tells(p) and p.target[0] == lost[0].peer for p in wire.packets]
        assert sum(told) < NATTED


def with_any_spi(item: Lost) -> Lost:
    """Return an SA that is not in the map: it names an SPI of ours all the same."""
    return replace(item, spi_i=os.urandom(8))


@pytest.mark.parametrize("num_seen", [0, 1, 600])
def test_seen_spis_take_no_peers_place(new_lab: NewLab, num_seen: int) -> None:
    """Somebody forges addresses that have no turn, and asks about SPIs of ours.

    With a standby pair, all peers that are taken over are asked about like that.
    """
    rates = {"reply_rate": 99999, "reply_burst": 99999, "reply_rate_source": 99999}
    lab = new_lab(HUB.but(qcd_options=rates, charon=BLOCKED))
    first, victim, *seen = lose_many(lab.b, 2 + num_seen)
    home, other = "198.18.77.7", "198.18.77.8"
    lab.b.start(load=False)
    load(lab.b, "%any", "anybody")
    with Sniffer(lab.b.host, outgoing=True) as wire, Forger(lab.stranger) as forger:
        ask(with_any_spi(first), lab.b, forger, other)
        wire.wait("a reply: loading has settled", lambda p: p.target[0] == other)
        sources = begin_handshakes(lab.b, forger, FORGED, AT_ONCE)
        wait_until(
            "all to be half open",
            lambda: half_open(lab.b) == FORGED * AT_ONCE,
            5,
            lab.b.tail,
        )
        # It takes as many places as it can, and then goes on.
        for number in range(1200 if num_seen else 0):
            source = sources[number % FORGED]
            ask(with_any_spi(seen[number % num_seen]), lab.b, forger, source)
        most = min(3 * num_seen, 1024 // 2)
        wait_until(
            f"at most {most} to wait", lambda: waiting(lab.b) <= most, 5, lab.b.tail
        )
        ask(with_any_spi(victim), lab.b, forger, home)
        wire.wait("the peer's reply", lambda p: p.target[0] == home, 2)
        assert {packet.target[0] for packet in replies(wire)} == {home, other}


def test_peers_that_are_not_in_the_map_are_told_at_a_pace(new_lab: NewLab) -> None:
    """As those that a standby takes over: a window of them at a time, not all."""
    count, window, patience = 100, 23, 0.3
    lab = new_lab(HUB)
    lost = [with_any_spi(item) for item in lose_many(lab.b, count)]
    lab.b.start(load=False)
    with Sniffer(lab.b.host, outgoing=True) as wire, Forger(lab.stranger) as forger:
        ask_all(lost, lab.b, forger)
        load(lab.b, "%any", "anybody")
        wait_until(
            "all to be told", lambda: len(replies(wire)) == count, 5, lab.b.tail
        )
        times = [packet.time for packet in replies(wire)]
    begun = [when for when in times if when < times[0] + patience / 2]
    assert len(begun) <= window, f"{len(begun)} at first"


def test_forged_handshakes_keep_no_peer_waiting(new_lab: NewLab) -> None:
    """Somebody who knows a peer's address leaves as many half open as need no cookie."""
    lab = new_lab(HUB)
    lab.up()
    lab.b.kill()
    lab.b.start()
    home = lab.a.host.address
    with Sniffer(lab.b.host, peer=lab.a.host) as wire, Forger(lab.stranger) as forger:
        forge_handshakes(lab.b, forger, [home] * AT_ONCE, init_request())
        wait_until(
            "all to be half open", lambda: half_open(lab.b) == AT_ONCE, 5, lab.b.tail
        )
        lab.a.nudge()
        wire.wait("the peer's reply", lambda p: bool(p.message.tokens()), 5)
        assert half_open(lab.b) >= AT_ONCE
    lab.a.wait_established()
