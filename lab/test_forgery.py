# SPDX-License-Identifier: GPL-2.0-or-later
"""Thousands of forged notifications against a tunnel have no effect on it.

RFC 6290 section 4.5: a message that is not verified gets no response and changes
nothing. The same tests run with AddressSanitizer in the plugin.
"""

import random
from collections.abc import Callable

import pytest

from lab import ike
from lab.ask import Asker
from lab.config import Config
from lab.crash import Crash, crash
from lab.forgeries import all_of_them
from lab.gateway import Gateway
from lab.scenario import Lab
from lab.traffic import Probe
from lab.wire import Address, Packet, Sniffer

NewLab = Callable[..., Lab]
COUNT = 6000
SEED = 6290
GAP = 0.1
KINDS = pytest.mark.parametrize("asan", [False, True], ids=["plain", "asan"])


@pytest.fixture
def config(asan: bool, request: pytest.FixtureRequest) -> Config:
    if asan:
        request.getfixturevalue("asan_plugin")
    return Config(asan=asan, log={"default": 0, "ike": 1})


def attack(lab: Lab, victim: Gateway, messages: list[ike.Message | bytes]) -> None:
    """Send each to the victim: alternately as its peer and as somebody else."""
    peer: Address = (victim.peers[0].address, 4500)
    with Asker(lab.stranger, victim) as asker:
        asker.flow(
            (message, (500, 4500)[number & 1], None if number & 2 else peer)
            for number, message in enumerate(messages)
        )
        assert asker.replies() == [], "not verified: no response"
        assert asker.wire.lost() == 0


def assert_untouched(lab: Lab, pings: Probe, before: dict[str, object]) -> None:
    assert pings.gaps(longer=GAP) == []
    assert {g.name: g.established() for g in (lab.a, lab.b)} == before
    lab.check()


@KINDS
def test_forged(new_lab: NewLab, config: Config) -> None:
    chance = random.Random(SEED)
    lab = new_lab(config)
    sa = lab.up()
    before: dict[str, object] = {g.name: g.established() for g in (lab.a, lab.b)}
    with Probe(lab.a.host, lab.b.host) as pings:
        pings.wait_answer(count=20)
        for victim in (lab.a, lab.b):
            attack(lab, victim, all_of_them(sa.spis, chance, COUNT))
        pings.wait_answer(count=20)
        assert_untouched(lab, pings, before)
        # As a control, a real token is still accepted.
        assert crash(lab.b, lab.a, pings).token_reply


@KINDS
def test_oversized(new_lab: NewLab, config: Config) -> None:
    """Send messages up to the maximum size of UDP, in IP fragments."""
    lab = new_lab(config)
    sa = lab.up()
    before: dict[str, object] = {g.name: g.established() for g in (lab.a, lab.b)}
    udp = lab.stranger.ns.socket(2, 2)
    with udp, Probe(lab.a.host, lab.b.host) as pings:
        pings.wait_answer(count=20)
        for size in (1500, 5000, 9000, 10000, 30000, 65000):
            big = ike.token_message(sa.spis, [b"t" * size]).pack()
            many = ike.token_message(sa.spis, [b"t" * 32] * (size // 40)).pack()
            for gateway in (lab.a, lab.b):
                for message in (big, many):
                    udp.sendto(message, (gateway.host.address, 500))
                    udp.sendto(ike.MARKER + message, (gateway.host.address, 4500))
        for gateway in (lab.a, lab.b):
            with Asker(lab.stranger, gateway) as asker:
                asker.settle()
        pings.wait_answer(count=20)
        assert_untouched(lab, pings, before)


def _recorded(lab: Lab, pings: Probe) -> list[Packet]:
    """Record two crashes: real tokens of SAs that are gone, and all other messages."""
    with Sniffer(lab.a.host) as wire:
        for _ in range(2):
            pings.wait_answer(count=10)
            with Crash(lab.b, lab.a, pings) as running:
                running.kill()
                running.restart()
                lab.a.nudge()
                running.wait()
        return wire.packets


@KINDS
def test_replayed(new_lab: NewLab, config: Config) -> None:
    """Messages that were real for one SA have no effect on the next one."""
    chance = random.Random(SEED)
    lab = new_lab(config)
    lab.up()
    with Probe(lab.a.host, lab.b.host) as pings:
        recorded = _recorded(lab, pings)
        sa = lab.a.established()[0]
        before: dict[str, object] = {g.name: g.established() for g in (lab.a, lab.b)}
        tokens = [t for packet in recorded for t in packet.message.tokens()]
        assert len(tokens) == 2
        replays: list[ike.Message | bytes] = []
        for packet in recorded:
            # Not what the live SA has really sent: charon responds to that.
            if (packet.message.spi_i, packet.message.spi_r) != sa.spis:
                replays += [packet.data] * 20
        for token in tokens:
            replays += [ike.token_message(sa.spis, [token])] * 50
            replays += [ike.token_message(sa.spis[::-1], [token])] * 50
        chance.shuffle(replays)
        start = pings.wait_answer()
        attack(lab, lab.a, [m for m in replays if _shows_token(m)])
        with Asker(lab.stranger, lab.a) as asker:
            asker.flow((message, 4500, None) for message in replays)
        pings.wait_answer(count=20)
        assert pings.gaps(longer=GAP, since=start) == []
        assert lab.a.established() == before["a"]
        assert sa.spis in [item.spis for item in lab.b.established()]


def _shows_token(message: ike.Message | bytes) -> bool:
    parsed = ike.Message.parse(message) if isinstance(message, bytes) else message
    return bool(parsed.tokens())
