# SPDX-License-Identifier: GPL-2.0-or-later
"""Tokens bound to the taker's address, RFC 6290 section 5.2, and MOBIKE."""

import re
import time
from collections.abc import Callable

import pytest

from lab import ike
from lab.admin import counters
from lab.ask import Asker
from lab.config import Config
from lab.gateway import Gateway, Sa
from lab.nat import Nat
from lab.scenario import Lab
from lab.traffic import Probe
from lab.wait import wait_until
from lab.wire import Forger

NewLab = Callable[..., Lab]
SOON = 1.0
QCD = "N(CRASH_DET)"  # charon's short name of a QCD_TOKEN
# Gateways that move: they send from any of their addresses.
MOBILE = Config(anywhere=True, ike_options={"mobike": "yes", "local_addrs": ["%any"]})


def bound(config: Config, bind: str = "address") -> Config:
    return config.but(qcd_options={"bind": bind})


def other(lab: Lab, gateway: Gateway) -> Gateway:
    return lab.b if gateway is lab.a else lab.a


def tokens_given(gateway: Gateway) -> list[str]:
    """Return the addresses for which it gave tokens in this run."""
    words = "QCD: giving token to "
    lines = [line for line in gateway.log().splitlines() if words in line]
    return [line.split(words)[1] for line in lines]


def new_address(gateway: Gateway) -> str:
    return f"10.0.{gateway.host.number}.7"


def change_address(gateway: Gateway) -> None:
    """Replace the address of its device with another one."""
    host = gateway.host
    # Otherwise the kernel removes the new address together with the old one.
    host.ns.sysctl(f"net.ipv4.conf.{host.device}.promote_secondaries", 1)
    host.ns.ip(
        f"addr add {new_address(gateway)}/24 dev {host.device}",
        f"addr del {host.address}/24 dev {host.device}",
    )


def is_busy(gateway: Gateway) -> bool:
    """Tell whether it has an exchange in progress, or will begin one."""
    kinds = ("tasks-active", "tasks-queued")
    return any(sa.get(kind) for sa in gateway.control.sas() for kind in kinds)


def wait_moved(lab: Lab, mover: Gateway, mark: int) -> None:
    """Wait until MOBIKE and its consequences are complete.

    User space ESP can't move a child, so both sides rekey it. If they do so at the same
    time, charon may lose a response to a request with the same Message ID ("already
    processing"), with or without the plugin. That costs one more retransmission.
    """
    other(lab, mover).wait_log("remote endpoint changed from", since=mark)
    both = (lab.a, lab.b)
    for gateway in both * 2:
        gateway.wait_idle()
        wait_until("the exchanges' end", lambda: not any(map(is_busy, both)), 10.0)


def move(lab: Lab, mover: Gateway) -> None:
    mark = other(lab, mover).mark()
    change_address(mover)
    wait_moved(lab, mover, mark)


def informational(gateway: Gateway, kind: str) -> list[tuple[str, str]]:
    """Return the INFORMATIONAL messages that it sent in this run: ID and payloads."""
    line = rf"generating INFORMATIONAL {kind} (\d+) \[ (.*)\]"
    return [(number, rest.strip()) for number, rest in re.findall(line, gateway.log())]


def assert_recovers(lab: Lab, victim: Gateway) -> None:
    """The peer of a restarted gateway is back within a round trip after its request."""
    peer = other(lab, victim)
    old = tuple(peer.established())
    mark = peer.mark()
    with Probe(lab.a.host, lab.b.host) as pings:
        start = time.time()
        peer.nudge()
        answer = pings.wait_answer(start)
    assert answer - start < SOON, peer.tail()
    peer.wait_established(other_than=old)
    peer.wait_log("QCD: recovered: connection is up again after a crash", since=mark)
    assert counters(victim)["told"] == 1, victim.tail()
    since = peer.places.log.read_bytes()[mark:]
    assert b"retransmit" not in since, peer.tail()


# What announces another address: the initiator's update, the responder's list.
MOVES = {"a": "N(UPD_SA_ADDR)", "b": "N(NO_ADD_ADDR)"}


@pytest.mark.parametrize("name", MOVES)
def test_token_follows_the_address(new_lab: NewLab, name: str) -> None:
    """RFC 6290 section 5.2: the exchange that changes the address carries the token."""
    lab = new_lab(bound(MOBILE))
    lab.up()
    mover, maker = lab[name], other(lab, lab[name])
    move(lab, mover)
    assert tokens_given(maker) == [mover.host.address, new_address(mover)]
    assert tokens_given(mover) == [maker.host.address], "the maker has not moved"

    responses = informational(maker, "response")
    carriers = [number for number, rest in responses if QCD in rest]
    moving = dict(informational(mover, "request"))
    assert len(carriers) == 1 and MOVES[name] in moving[carriers[0]]
    assert {rest for _, rest in informational(maker, "request")} <= {"D"}, "no more"

    maker.restart()
    assert_recovers(lab, maker)
    assert f"to {new_address(mover)}" in maker.log()


def test_mover_crashes(new_lab: NewLab) -> None:
    """Its own token is bound to the other side's address, and still valid."""
    options = {**MOBILE.ike_options, "remote_addrs": ["%any"]}
    lab = new_lab(bound(MOBILE), b=bound(MOBILE.but(ike_options=options)))
    lab.up()
    move(lab, lab.a)
    lab.a.restart()
    assert_recovers(lab, lab.a)


@pytest.mark.parametrize("name", ["a", "b"])
def test_nothing_is_sent_where_tokens_are_not_bound(new_lab: NewLab, name: str) -> None:
    lab = new_lab(bound(MOBILE, "spi"))
    lab.up()
    mover, maker = lab[name], other(lab, lab[name])
    move(lab, mover)
    assert tokens_given(maker) == [mover.host.address]
    maker.restart()
    assert_recovers(lab, maker)


def test_moved_back_and_forth(new_lab: NewLab) -> None:
    """Each change brings a token; the last one counts."""
    lab = new_lab(bound(MOBILE))
    lab.up()
    move(lab, lab.a)
    host = lab.a.host
    mark = lab.b.mark()
    host.ns.ip(
        f"addr add {host.address}/24 dev {host.device}",
        f"addr del {new_address(lab.a)}/24 dev {host.device}",
    )
    wait_moved(lab, lab.a, mark)
    assert tokens_given(lab.b) == [host.address, new_address(lab.a), host.address]
    lab.b.restart()
    assert_recovers(lab, lab.b)


def wait_refused(taker: Gateway) -> None:
    """Wait until it was shown a token that does not match."""
    wait_until(
        "the refusal", lambda: counters(taker)["mismatched"] == 1, 5.0, taker.tail
    )


def test_asked_from_another_address(new_lab: NewLab) -> None:
    """A request from another address gets a token that is useless to its sender."""
    lab = new_lab(bound(Config(anywhere=True)))
    old = lab.up()
    lab.b.restart()
    with Asker(lab.stranger, lab.b) as asker, Forger(lab.stranger) as forger:
        shown = asker.tokens(old.spis)
        assert shown
        assert asker.tokens(old.spis) != shown, "each address has its own"
        forger.send(ike.token_message(old.spis, shown), (lab.a.host.address, 4500))
        wait_refused(lab.a)
    assert counters(lab.a)["verified"] == 0
    assert [sa.spis for sa in lab.a.established()] == [old.spis]
    lab.a.nudge()
    lab.a.wait_established(other_than=(old,))


def nat_after(lab: Lab) -> Nat:
    """From now on `a` seems to be at the router's address."""
    nat = Nat(lab.network.router, lab.a.host, lab.b.host)
    nat.use_ports(20000, 20999)
    return nat


def test_address_changed_by_a_nat(new_lab: NewLab) -> None:
    """Without MOBIKE, the maker learns it from the next request, and gives a token."""
    lab = new_lab(bound(Config(anywhere=True)))
    lab.up()
    nat = nat_after(lab)
    mark = lab.a.mark()
    lab.a.nudge()
    lab.a.wait_log("QCD: got token", since=mark)
    for gateway in (lab.a, lab.b):
        gateway.wait_idle()
    assert tokens_given(lab.b) == [lab.a.host.address, nat.address]
    lab.b.restart()
    assert_recovers(lab, lab.b)


def test_crash_before_the_token_followed(new_lab: NewLab) -> None:
    """The maker does not know the new address, so its reply does not match.

    The taker continues as without QCD: that is the price of binding.
    """
    lab = new_lab(bound(Config(anywhere=True)))
    old: Sa = lab.up()
    lab.b.kill()
    nat_after(lab)
    lab.b.start()
    lab.a.nudge()
    wait_refused(lab.a)
    assert [sa.spis for sa in lab.a.established()] == [old.spis]
