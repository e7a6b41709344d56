# SPDX-License-Identifier: GPL-2.0-or-later
"""libreswan as the peer: it knows no tokens, and is not affected by ours.

Each story is played twice, with our plugin and without. It must be the same on the
wire, in charon's log and at both ends. Two things may differ. After our own rekeying,
our token is sent to the peer in an INFORMATIONAL (RFC 6290 section 4.3), to which the
peer responds as usual. After our crash, its requests on the lost SA get a reply in
cleartext, which it drops.
"""

import re
import time

import pytest

from lab import ike
from lab.kernel.story import (
    NewPair,
    Story,
    Teller,
    by_sa,
    config,
    line,
    without_follow_up,
)
from lab.kernel.test_esp import power_cut
from lab.scenario import Lab
from lab.wait import wait_until
from lab.wire import Sniffer

# charon takes a peer for dead after 6 s instead of 165 s.
GIVE_UP = {"retransmit_timeout": 2.0, "retransmit_base": 1.0, "retransmit_tries": 2}


# --- the whole life of an SA --------------------------------------------------


def life(
    new_pair: NewPair, qcd: bool, initiator: str, auth: str, encap: bool
) -> Story:
    lab, peer = new_pair(config(qcd, auth=auth, encap=encap))
    lab.a.start()
    peer.start()
    teller = Teller(lab, peer)
    with teller.wire:
        connect = {"strongswan": lab.a.initiate, "libreswan": peer.initiate}
        teller.step("connect", connect[initiator])
        teller.pings()
        if qcd:
            lab.a.wait_log("QCD: giving token")
        teller.step("strongSwan rekeys the child", lab.a.nudge, new="child")
        teller.step("libreswan rekeys the child", peer.rekey_child, new="child")
        teller.step("libreswan asks whether we live", teller.asked)
        teller.step("strongSwan rekeys", lambda: rekey(lab), new="ike")
        teller.pings()
        teller.step("libreswan rekeys", peer.rekey_ike, new="ike")
        teller.pings()
        end = {
            "strongswan": lambda: lab.a.terminate(lab.a.established()[0]),
            "libreswan": peer.terminate,
        }
        teller.step(f"{initiator} deletes", end[initiator], ike_sas=0)
        teller.step("connect again", connect[initiator])
        if initiator == "strongswan":
            teller.step("the responder deletes", end["libreswan"], ike_sas=0)
        else:  # libreswan restores what it was told to bring up
            before = lab.a.established()[0]
            teller.step(
                "the responder deletes",
                lambda: (
                    end["strongswan"](),
                    lab.a.wait_established(other_than=(before,), timeout=20),
                ),
            )
    return teller.end()


def rekey(lab: Lab) -> None:
    lab.a.command("rekey", {"ike-id": lab.a.established()[0].unique_id})


LIVES = [
    ("strongswan", "psk", False),
    ("libreswan", "psk", True),
    ("strongswan", "cert", True),
    ("libreswan", "cert", False),
]


@pytest.mark.parametrize(("initiator", "auth", "encap"), LIVES)
def test_life_of_an_sa(
    new_libreswan: NewPair, initiator: str, auth: str, encap: bool
) -> None:
    stock = life(new_libreswan, False, initiator, auth, encap)
    ours = life(new_libreswan, True, initiator, auth, encap)
    without_follow_up(ours, "strongSwan rekeys")
    assert ours == stock


# --- is the peer alive? -------------------------------------------------------


def alive(new_pair: NewPair, qcd: bool, who: str) -> set[str]:
    """One side asks every second; return the kinds of messages until it asked twice.

    Only one side asks, since a request also answers that of the other side.
    """
    ours = who == "strongswan"
    options = {"dpddelay": "1", "dpdtimeout": "30", "dpdaction": "clear"}
    delay = "1s" if ours else "0s"
    lab, peer = new_pair(config(qcd, dpd_delay=delay), options={} if ours else options)
    lab.a.start()
    peer.start()
    with Sniffer(lab.a.host, peer=peer.me) as wire:
        lab.a.initiate()
        old = lab.a.established()[0]

        def answers() -> int:
            return len(
                {
                    p.message.message_id
                    for p in wire.packets
                    if p.outgoing != ours
                    and p.message.exchange == ike.INFORMATIONAL
                    and p.message.is_response
                }
            )

        wait_until("two answers", lambda: answers() > 1, 30, peer.tail)
        assert lab.a.established()[0].spis == old.spis
        peer.wait_states(1, 1)
        return {re.sub(r" \d+$", "", line(packet)) for packet in wire.packets}


@pytest.mark.parametrize("who", ["strongswan", "libreswan"])
def test_asking_whether_the_other_lives(new_libreswan: NewPair, who: str) -> None:
    seen = alive(new_libreswan, True, who)
    assert seen == alive(new_libreswan, False, who)
    assert f"{who} INFORMATIONAL request" in seen


# --- crashes ------------------------------------------------------------------


def ours_crashes(new_pair: NewPair, qcd: bool, encap: bool) -> Story:
    """strongSwan loses the SA; libreswan finds out by asking, and reconnects."""
    options = {
        "dpddelay": "1000",
        "dpdtimeout": "3000",
        "dpdaction": "restart",
        "retransmit-timeout": "3s",
    }
    lab, peer = new_pair(config(qcd, encap=encap), options=options)
    lab.a.start()
    peer.start()
    teller = Teller(lab, peer)
    with teller.wire:
        teller.step("connect", peer.initiate)
        old = lab.a.established()[0]
        power_cut(lab.a)
        lab.a.start()
        start = teller.wire.count
        begin = time.monotonic()
        peer.liveness()
        if qcd:
            teller.wire.wait("the token", lambda p: bool(p.message.tokens()))
        # As long as for a silent peer: it only believes protected messages.
        peer.wait_log("second timeout exceeded after")
        lab.a.wait_established(other_than=(old,), timeout=30)
        with_it = "with" if qcd else "without"
        print(f"{with_it} the plugin back after {time.monotonic() - begin:.1f} s")
        teller.settle("recovery")
        teller.story.wire["recovery"] = by_sa(teller.wire.packets[start:])
        teller.story.results["recovery"] = teller.result()
        teller.pings()
    return teller.end()


@pytest.mark.parametrize("encap", [False, True], ids=["esp", "esp-in-udp"])
def test_our_crash(new_libreswan: NewPair, encap: bool) -> None:
    """It ignores our cleartext reply: otherwise everything is as without one."""
    stock = ours_crashes(new_libreswan, False, encap)
    ours = ours_crashes(new_libreswan, True, encap)
    dead, *rest = ours.wire["recovery"]
    in_the_clear = [item for item in dead if item.endswith(" clear")]
    assert in_the_clear, dead
    for item in in_the_clear:
        assert item.startswith("strongswan INFORMATIONAL response"), dead
    ours.wire["recovery"] = [[i for i in dead if i not in in_the_clear], *rest]
    assert ours.wire == stock.wire
    assert ours.payloads == stock.payloads
    assert ours.results == stock.results


def theirs_crashes(new_pair: NewPair, qcd: bool) -> Story:
    """libreswan loses the SA and can't say so in a way that we would believe."""
    lab, peer = new_pair(config(qcd, GIVE_UP))
    lab.a.start()
    peer.start()
    teller = Teller(lab, peer)
    with teller.wire:
        teller.step("connect", lab.a.initiate)
        old = lab.a.established()[0]
        peer.kill()
        peer.me.ns.ip("xfrm state flush", "xfrm policy flush")
        peer.start()
        start = teller.wire.count
        lab.a.nudge()
        lab.a.wait_established(other_than=(old,), timeout=30)
        teller.settle("recovery")
        teller.story.wire["recovery"] = by_sa(teller.wire.packets[start:])
        teller.story.results["recovery"] = teller.result()
        teller.pings()
    return teller.end()


def test_their_crash(new_libreswan: NewPair) -> None:
    stock = theirs_crashes(new_libreswan, False)
    ours = theirs_crashes(new_libreswan, True)
    assert ours == stock
