# SPDX-License-Identifier: GPL-2.0-or-later
"""New secrets while SAs are alive, RFC 6290 section 5.1: no peer lacks a token."""

import time
from collections import Counter
from collections.abc import Callable

import pytest

from lab import ike
from lab.admin import ask, counters, events, rows
from lab.ask import Asker
from lab.config import Config
from lab.crash import crash
from lab.gateway import Gateway
from lab.scenario import Lab
from lab.traffic import Probe
from lab.wait import wait_until
from lab.wire import Sniffer

NewLab = Callable[..., Lab]
SOON = 1.0


def rotate(gateway: Gateway) -> None:
    answer = ask(gateway, "rotate")
    assert answer[0] == {"ok": True}, answer


def generations(gateway: Gateway) -> list[int]:
    """Return the generations of the tokens that its peers hold."""
    found = rows(gateway, "sa")
    return [int(row["generation"]) for row in found if row["token_sent"]]


def wait_generation(gateway: Gateway, wanted: int) -> None:
    wait_until(
        f"generation {wanted} at the peer of gateway {gateway.name}",
        lambda: generations(gateway) == [wanted],
        5.0,
        gateway.tail,
    )


def test_tokens_are_renewed_in_time(new_lab: NewLab) -> None:
    """A crash is survived after each number of rotations."""
    for rotations in (1, 2, 3, 5):
        lab = new_lab(Config())
        lab.up()
        for number in range(1, rotations + 1):
            rotate(lab.b)
            # The third rotation makes the peer's token the oldest: it is renewed.
            wait_generation(lab.b, number % 3)
        with Probe(lab.a.host, lab.b.host) as pings:
            pings.wait_answer()
            recovery = crash(lab.b, lab.a, pings)
        assert recovery.request_to_answer is not None
        assert recovery.request_to_answer < SOON, str(recovery)


def test_no_token_is_sent_without_need(new_lab: NewLab) -> None:
    """RFC 6290 section 4.4: SHOULD NOT, while the old one can be made."""
    lab = new_lab(Config())
    lab.up()
    with Sniffer(lab.b.host, outgoing=True) as wire:
        rotate(lab.b)
        rotate(lab.b)
        lab.b.wait_idle()
        assert wire.packets == []
        rotate(lab.b)
        wire.wait("the new token", lambda p: p.message.exchange == ike.INFORMATIONAL)
        wait_generation(lab.b, 0)
        assert len(wire.find(lambda p: not p.message.is_response)) == 1


def test_rotation_waits_for_tokens_on_their_way(new_lab: NewLab) -> None:
    """A fourth rotation would leave the peer with a token that can't be made."""
    lab = new_lab(Config())
    lab.up()
    router, a, b = lab.network.router, lab.a.host, lab.b.host
    with router.drop_ike(b, a, exchange=ike.INFORMATIONAL) as drop:
        for _ in range(3):
            rotate(lab.b)
        wait_until("the new token on its way", lambda: drop.count, 5.0)
        refused = ask(lab.b, "rotate")
        assert refused[0]["ok"] is False
        assert "try again later" in refused[0]["error"]
        assert counters(lab.b)["generations"] == 4
        with Probe(lab.a.host, lab.b.host) as pings:
            pings.wait_answer()
            # The peer never got the new token; the old one is still valid.
            recovery = crash(lab.b, lab.a, pings)
    assert recovery.request_to_answer is not None
    assert recovery.request_to_answer < SOON, str(recovery)


@pytest.mark.parametrize(("before", "after"), [(0, 2), (1, 1), (2, 0), (3, 0)])
def test_rotation_waits_for_lost_peers(
    new_lab: NewLab, before: int, after: int
) -> None:
    """A peer that was not told yet keeps the only token that can tell it."""
    lab = new_lab(Config())
    old = lab.up()
    for _ in range(before):
        rotate(lab.b)
    wait_generation(lab.b, before % 3)
    lab.b.kill()
    with lab.network.router.drop_all(lab.a.host, lab.b.host):
        lab.b.start()
        for _ in range(after):
            rotate(lab.b)
        refused = ask(lab.b, "rotate")
        assert refused[0]["ok"] is False
        assert "try again later" in refused[0]["error"]
    since = time.monotonic()
    lab.a.nudge(old)
    lab.a.wait_established(other_than=(old,))
    assert time.monotonic() - since < SOON
    assert counters(lab.b)["told"] == 1
    wait_until("a rotation", lambda: ask(lab.b, "rotate")[0]["ok"], 5.0, lab.b.tail)


def test_rotation_by_age(new_lab: NewLab) -> None:
    lab = new_lab(Config(), b=Config(qcd_options={"rotate": "1s"}))
    lab.up()
    with events(lab.b) as happens:
        assert next(row for row in happens if row["event"] == "rotated")
    wait_until(
        "several generations",
        lambda: counters(lab.b)["generations"] == 4,
        15.0,
        lab.b.tail,
    )
    with Probe(lab.a.host, lab.b.host) as pings:
        pings.wait_answer()
        recovery = crash(lab.b, lab.a, pings)
    assert recovery.request_to_answer is not None
    assert recovery.request_to_answer < SOON, str(recovery)


def test_reply_has_a_token_of_each_generation(new_lab: NewLab) -> None:
    """As many as fit below three times the size of the request."""
    lab = new_lab(Config())
    lab.up()
    for _ in range(2):
        rotate(lab.b)
    lab.b.restart()
    with Sniffer(lab.b.host) as wire:
        lab.a.nudge()
        reply = wire.wait("the reply", lambda p: bool(p.message.tokens()))
        request = wire.find(lambda p: not p.outgoing)[0]
    assert len(reply.message.tokens()) == 3
    assert len(set(reply.message.tokens())) == 3
    assert len(reply.data) <= 3 * len(request.data)


def test_each_generation_comes_first(new_lab: NewLab) -> None:
    """A peer that reads only the first token of a reply is told nevertheless."""
    lab = new_lab(Config(), b=Config(anywhere=True))
    spis = lab.up().spis
    for _ in range(2):
        rotate(lab.b)
    lab.b.restart()
    first: Counter[bytes] = Counter()
    with Asker(lab.stranger, lab.b) as asker:
        for _ in range(60):
            tokens = asker.tokens(spis)
            assert len(set(tokens)) == 3
            first[tokens[0]] += 1
    assert len(first) == 3, first
    # The newest is in half of all replies; 60 tosses of a coin give no less than 12.
    assert first.most_common(1)[0][1] >= 12


def test_peer_that_does_not_answer_loses_its_sa(new_lab: NewLab) -> None:
    """At the third rotation it gets a new token; the two before send nothing."""
    impatient = {"retransmit_tries": "1", "retransmit_timeout": "0.2"}
    lab = new_lab(Config(), b=Config(charon=impatient))
    old = lab.up()
    a, b = lab.a.host, lab.b.host

    def is_gone() -> bool:
        return old.spis not in [sa.spis for sa in lab.b.sas()]

    with lab.network.router.drop_ike(a, b, exchange=ike.INFORMATIONAL) as drop:
        for _ in range(2):
            rotate(lab.b)
        lab.b.wait_idle()
        assert "QCD: sending a new token" not in lab.b.log()
        rotate(lab.b)
        lab.b.wait_for("the end", is_gone, timeout=5.0)
        assert drop.count


def test_abandoned_tries_block_no_rotation(new_lab: NewLab) -> None:
    """An SA that is retried has other SPIs; its former state is forgotten."""
    impatient = {"retransmit_tries": "1", "retransmit_timeout": "0.2"}
    lab = new_lab(Config(charon=impatient, ike_options={"keyingtries": "0"}))
    for gateway in (lab.a, lab.b):
        gateway.start()
    router, a, b = lab.network.router, lab.a.host, lab.b.host
    with router.drop_ike(b, a, exchange=ike.IKE_AUTH, response=True) as drop:
        lab.a.begin("b")
        lab.a.wait_log("trying again")
        wait_until("a lost response", lambda: drop.count, 5.0)
    sa = lab.a.wait_established()
    lab.a.terminate(sa)
    for _ in range(6):
        rotate(lab.a)
