# SPDX-License-Identifier: GPL-2.0-or-later
"""The IKE SA that replaces another one has its own token, RFC 6290 section 4.3."""

from collections.abc import Callable

import pytest

from lab import ike
from lab.admin import sa_rows
from lab.config import Config
from lab.crash import Crash
from lab.field.nature import FAST
from lab.field.stage import carrying
from lab.gateway import Gateway, Sa
from lab.relay import Relay, Way
from lab.scenario import Lab
from lab.traffic import Probe
from lab.wait import wait_until
from lab.wire import Sniffer

NewLab = Callable[..., Lab]
SOON = 1.0
SETTLED = 10.0
AGAIN = 2.0
FAR = Way(delay=0.3)


def other(lab: Lab, gateway: Gateway) -> Gateway:
    return lab.b if gateway is lab.a else lab.a


def rekey(gateway: Gateway, sa: Sa) -> None:
    gateway.command("rekey", {"ike-id": sa.unique_id})


def children(gateway: Gateway) -> int:
    """Count its children, of all IKE SAs."""
    return sum(len(carrying(sa)) for sa in gateway.sas())


def hex_spis(sa: Sa) -> tuple[str, str]:
    return sa.spis[0].hex(), sa.spis[1].hex()


def wait_tokens(lab: Lab, sa: Sa) -> None:
    """Wait until both sides have given and hold a token of that SA."""

    def exchanged() -> bool:
        states = [sa_rows(gateway).get(hex_spis(sa)) for gateway in (lab.a, lab.b)]
        return all(row and row["token_sent"] and row["token_held"] for row in states)

    wait_until("tokens of the new SA on both sides", exchanged, 5.0, lab.a.tail)


def assert_recovers(lab: Lab, victim: Gateway, pings: Probe) -> None:
    with Crash(victim, other(lab, victim), pings) as running:
        running.kill()
        running.restart()
        other(lab, victim).nudge()
        recovery = running.wait()
    assert recovery.request_to_answer is not None, str(recovery)
    assert recovery.request_to_answer < SOON, str(recovery)


@pytest.mark.parametrize("victim", ["a", "b"])
@pytest.mark.parametrize("rekeyer", ["a", "b"])
def test_rekeyed_sa_recovers(new_lab: NewLab, rekeyer: str, victim: str) -> None:
    """Whichever side rekeyed it, and whichever crashes: a was the SA's initiator."""
    lab = new_lab(Config())
    old = lab.up()
    with Probe(lab.a.host, lab.b.host) as pings:
        pings.wait_answer()
        mine = lab[rekeyer].established()[0]
        rekey(lab[rekeyer], mine)
        new = lab.a.wait_established(other_than=(old,))
        wait_tokens(lab, new)
        assert_recovers(lab, lab[victim], pings)


@pytest.mark.parametrize("rekeyer", ["a", "b"])
def test_exchanges_of_a_rekeying(new_lab: NewLab, rekeyer: str) -> None:
    """One INFORMATIONAL of the initiator directly after it, and the DELETE: no more."""
    lab = new_lab(Config())
    old = lab.up()
    with Sniffer(lab[rekeyer].host) as wire:
        rekey(lab[rekeyer], lab[rekeyer].established()[0])
        new = lab.a.wait_established(other_than=(old,))
        wait_tokens(lab, new)
        lab.a.wait_for("the end of the old SA", lambda: len(lab.a.sas()) == 1)
        requests = wire.find(lambda p: not p.message.is_response)
    assert all(packet.outgoing for packet in requests)
    seen = sorted(
        (packet.message.exchange, (packet.message.spi_i, packet.message.spi_r))
        for packet in requests
    )
    assert seen == sorted(
        [
            (ike.CREATE_CHILD_SA, old.spis),
            (ike.INFORMATIONAL, new.spis),
            (ike.INFORMATIONAL, old.spis),
        ]
    )


def test_rekeyed_many_times(new_lab: NewLab) -> None:
    lab = new_lab(Config())
    sa = lab.up()
    for number in range(10):
        gateway = lab.b if number % 2 else lab.a
        rekey(gateway, gateway.established()[0])
        sa = lab.a.wait_established(other_than=(sa,))
        wait_tokens(lab, sa)
    with Probe(lab.a.host, lab.b.host) as pings:
        pings.wait_answer()
        assert_recovers(lab, lab.b, pings)


def test_both_rekey_at_once(new_lab: NewLab) -> None:
    """One of two new SAs survives, and both sides hold the tokens of that one."""
    lab = new_lab(Config())
    old = lab.up()
    router, a, b = lab.network.router, lab.a.host, lab.b.host
    # Each request is dropped until the other side has sent its own.
    with (
        router.drop_ike(a, b, exchange=ike.CREATE_CHILD_SA, response=False) as first,
        router.drop_ike(b, a, exchange=ike.CREATE_CHILD_SA, response=False) as second,
    ):
        for gateway in (lab.a, lab.b):
            rekey(gateway, gateway.established()[0])
        wait_until("both requests", lambda: first.count and second.count, 5.0)
    # The retransmissions, four seconds later, cross each other.
    new = lab.a.wait_established(other_than=(old,), timeout=15.0)
    # If a reads b's DELETE of the old SA before the response that b sent earlier, it never
    # deletes the redundant one. charon does that itself after 30 s, with and without qcd.
    for gateway in (lab.a, lab.b):
        gateway.wait_for(
            "a single SA", lambda g=gateway: len(g.sas()) == 1, timeout=45.0
        )
    survivor = lab.a.established()[0]
    assert survivor.spis == lab.b.established()[0].spis
    assert survivor.spis != old.spis and new
    wait_tokens(lab, survivor)
    with Probe(lab.a.host, lab.b.host) as pings:
        pings.wait_answer()
        assert_recovers(lab, lab.b, pings)


def test_failed_rekeying_keeps_the_old_token(new_lab: NewLab) -> None:
    """The responder refuses: the SA and its token stay the same."""
    lab = new_lab(Config(), b=Config(ike_options={"childless": "never"}))
    old = lab.up()
    rows = {name: sa_rows(lab[name])[hex_spis(old)] for name in "ab"}
    # An SA with a half-open child refuses to be rekeyed, RFC 7296 section 2.25.1.
    with lab.network.router.drop_ike(
        lab.b.host, lab.a.host, exchange=ike.CREATE_CHILD_SA, response=False
    ) as held:
        lab.b.nudge()
        wait_until("the child's rekeying", lambda: held.count, 5.0)
        mark = lab.a.mark()
        rekey(lab.a, lab.a.established()[0])
        lab.a.wait_log("TEMP_FAIL|NO_PROP|failed|retry", since=mark)
    assert [sa.spis for sa in lab.a.established()] == [old.spis]
    for name in "ab":
        now = sa_rows(lab[name])[hex_spis(old)]
        assert (now["token_sent"], now["token_held"]) == (True, True)
        assert now["generation"] == rows[name]["generation"]
    with Probe(lab.a.host, lab.b.host) as pings:
        pings.wait_answer()
        # b's own rekeying is still in progress; this is about its crash.
        assert_recovers(lab, lab.b, pings)


def test_both_sas_of_a_rekeying_recover(new_lab: NewLab) -> None:
    """The old one stays alive while its DELETE is on the way."""
    lab = new_lab(Config())
    old = lab.up()
    router, a, b = lab.network.router, lab.a.host, lab.b.host
    rekeyed = lab.a.mark()
    drop = router.drop(
        f"ip saddr {a.address} ip daddr {b.address} udp dport 4500 @th,64,32 0 "
        f"@th,96,64 0x{old.spis[0].hex()} @th,240,8 {ike.INFORMATIONAL} "
    )
    with drop:
        rekey(lab.a, lab.a.established()[0])
        lab.a.wait_log("rekeyed between", since=rekeyed)
        new = lab.a.wait_established(other_than=(old,))
        wait_tokens(lab, new)
        assert {sa.spis for sa in lab.a.sas()} == {old.spis, new.spis}
        lab.b.restart()
    with Sniffer(lab.b.host) as wire:
        lab.a.nudge(new)
        lab.a.wait_established(other_than=(old, new))
        # The DELETE of the old SA is repeated, and the reply has that SA's token.
        lab.a.wait_for(
            "the end of the old SA",
            lambda: old.spis not in [sa.spis for sa in lab.a.sas()],
            timeout=15.0,
        )
        told = {
            (p.message.spi_i, p.message.spi_r)
            for p in wire.find(lambda p: bool(p.outgoing and p.message.tokens()))
        }
    assert told == {old.spis, new.spis}


def test_child_and_rekeying_that_cross(new_lab: NewLab) -> None:
    """Each end refuses the other's request; charon repeats it after 6 to 15 seconds."""
    base = Config(children=2, charon=FAST)
    lab = new_lab(base.but(dpd_delay="1s"), b=base)
    lab.up()
    lab.b.restart()
    with Relay(lab.network.router, lab.a.host, lab.b.host, FAR):
        lab.a.wait_log(r"establishing CHILD_SA net1\{4\}", timeout=SETTLED)
        rekey(lab.b, lab.b.sas()[0])
        for gateway in (lab.a, lab.b):
            gateway.wait_log("received TEMPORARY_FAILURE notify")
    lab.a.wait_for("both children", lambda: children(lab.a) == 2, AGAIN)
    assert children(lab.b) == 2
