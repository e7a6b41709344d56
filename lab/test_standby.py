# SPDX-License-Identifier: GPL-2.0-or-later
"""Two gateways that take turns at one address, RFC 6290 section 6.

They share their secrets by the procedure of qcd-secret(8). While the active one has the
shared address, no packet to that address reaches the standby. That makes the standby's
replies safe. It is also why whatever moves the address must be sure that the other one
is dead.
"""

import os
import time
from collections.abc import Callable

from lab import ike
from lab.admin import ask, counters, rows
from lab.ask import Asker
from lab.config import Config
from lab.gateway import Gateway, Sa
from lab.pair import CLIENT, NAMES, SHARED, hold, server, share
from lab.scenario import Lab
from lab.traffic import Probe
from lab.wire import Forger, Sniffer

NewLab = Callable[..., Lab]
SOON = 1.0


def pair_lab(new_lab: NewLab, *, shared: bool = True) -> tuple[Lab, Sa]:
    """Return client a with a tunnel to b, which is active; c is the standby."""
    lab = new_lab(names=NAMES, a=CLIENT, b=server(1, 2), c=server(2, 1))
    # The same network is behind both.
    lab["c"].host.ns.ip(f"addr add {lab.b.host.inside}/32 dev lo")
    hold(lab, lab.b)
    lab.b.start()
    if shared:
        share(lab, lab.b, lab["c"])
    lab["c"].start()
    lab.a.start()
    lab.a.initiate("b")
    return lab, lab.a.established()[0]


def assert_taken_over(lab: Lab, old: Sa, by: Gateway) -> Sa:
    """The peer's next request restores the tunnel with the other gateway."""
    with Sniffer(by.host) as wire, Probe(lab.a.host, lab.b.host) as pings:
        start = time.time()
        lab.a.nudge()
        answer = pings.wait_answer(start)
        new = lab.a.wait_established(other_than=(old,))
        asked = wire.find(lambda p: (p.message.spi_i, p.message.spi_r) == old.spis)
    assert answer - start < SOON, lab.a.tail()
    assert len([p for p in asked if not p.outgoing]) == 1
    assert [len(p.message.tokens()) for p in asked if p.outgoing] == [1]
    assert by.wait_established().spis == new.spis
    return new


def test_standby_takes_over(new_lab: NewLab) -> None:
    """RFC 6290 section 6: the token of the dead gateway, accepted at once."""
    lab, old = pair_lab(new_lab)
    lab.b.kill()
    hold(lab, lab["c"])
    assert_taken_over(lab, old, lab["c"])
    assert counters(lab["c"])["told"] == 1


def test_they_take_turns(new_lab: NewLab) -> None:
    """And back: the first one, after a restart, replies for the second one."""
    lab, old = pair_lab(new_lab)
    lab.b.kill()
    hold(lab, lab["c"])
    second = assert_taken_over(lab, old, lab["c"])
    lab.b.start()
    lab["c"].kill()
    hold(lab, lab.b)
    third = assert_taken_over(lab, second, lab.b)
    lab["c"].start()
    lab.b.kill()
    hold(lab, lab["c"])
    assert_taken_over(lab, third, lab["c"])


def test_active_that_comes_back_itself(new_lab: NewLab) -> None:
    """A mere crash needs no standby."""
    lab, old = pair_lab(new_lab)
    lab.b.restart()
    assert_taken_over(lab, old, lab.b)
    assert counters(lab["c"])["told"] == 0


def ask_about(asker: Asker, sa: Sa, times: int = 3) -> None:
    """Send requests on that SA, in either role, from several addresses."""
    for _ in range(times):
        for flags in (ike.FLAG_I, 0):
            asker.send(ike.protected_request(sa.spis, flags=flags))


def test_standby_is_silent_at_its_own_address(new_lab: NewLab) -> None:
    """RFC 6290 section 9.2: while the SA is alive on the other one, and afterwards."""
    lab, sa = pair_lab(new_lab)
    with Asker(lab.stranger, lab["c"]) as asker:
        ask_about(asker, sa)
        asker.settle()
        assert asker.replies() == []
        refused = counters(lab["c"])["no_evidence"]
        assert refused >= 3
        lab.b.kill()
        ask_about(asker, sa)
        asker.settle()
        assert asker.replies() == []
    assert counters(lab["c"])["no_evidence"] > refused


def test_active_is_silent_about_its_live_sa(new_lab: NewLab) -> None:
    """Asked at the shared address, which the active one holds while it is alive."""
    lab, sa = pair_lab(new_lab)
    with (
        Asker(lab.stranger, lab.b) as asker,
        Forger(lab.stranger) as forger,
        Sniffer(lab["c"].host) as standby,
    ):
        for flags in (ike.FLAG_I, 0):
            request = ike.protected_request(sa.spis, flags=flags)
            forger.send(request, (SHARED, 4500), asker.source())
        asker.settle()
        assert asker.replies() == []
        assert standby.packets == []
    assert [item.spis for item in lab.a.established()] == [sa.spis]


def test_standby_is_silent_about_its_own_live_sa(new_lab: NewLab) -> None:
    """After a takeover, the SAs at the shared address are alive."""
    lab, old = pair_lab(new_lab)
    lab.b.kill()
    hold(lab, lab["c"])
    new = assert_taken_over(lab, old, lab["c"])
    with Asker(lab.stranger, lab["c"]) as asker, Forger(lab.stranger) as forger:
        for flags in (ike.FLAG_I, 0):
            request = ike.protected_request(new.spis, flags=flags)
            forger.send(request, (SHARED, 4500), asker.source())
        asker.settle()
        assert asker.replies() == []
    assert [item.spis for item in lab.a.established()] == [new.spis]


def test_sa_at_an_own_address_gets_no_token(new_lab: NewLab) -> None:
    """The active gateway takes all SAs of the other one for dead, also such an SA."""
    options = {"node": "2", "takes_over": "1", "takes_over_address": SHARED}
    lab = new_lab(Config(), b=Config(qcd_options=options))
    old = lab.up()
    for _ in range(2):
        assert rows(lab.b, "sa")[0]["token_sent"] is False
        assert rows(lab.a, "sa")[0]["token_held"] is False
        # The token is due neither at the start nor after our rekeying.
        lab.b.command("rekey", {"ike-id": lab.b.established()[0].unique_id})
        old = lab.a.wait_established(other_than=(old,))
        lab.b.wait_for("the end of the old SA", lambda: len(lab.b.sas()) == 1)
        lab.b.wait_idle()


def test_standby_with_other_secrets(new_lab: NewLab) -> None:
    """It does not know whose SPIs these are, and is silent."""
    lab, old = pair_lab(new_lab, shared=False)
    lab.b.kill()
    hold(lab, lab["c"])
    with Sniffer(lab["c"].host) as wire:
        lab.a.nudge()
        wire.wait("the peer's request", lambda p: not p.outgoing)
        lab["c"].wait_idle()
        assert wire.find(lambda p: p.outgoing) == []
    assert [sa.spis for sa in lab.a.established()] == [old.spis]


def test_shared_again_after_a_rotation(new_lab: NewLab) -> None:
    """The active one made a new secret, which must be copied to the standby."""
    lab, _ = pair_lab(new_lab)
    assert ask(lab.b, "rotate")[0]["ok"]
    lab["c"].stop()
    share(lab, lab.b, lab["c"])
    lab["c"].start()
    lab.a.terminate(lab.a.established()[0])
    lab.a.initiate("b")
    old = lab.a.established()[0]
    lab.b.kill()
    hold(lab, lab["c"])
    with Sniffer(lab["c"].host) as wire:
        lab.a.nudge()
        reply = wire.wait("the token", lambda p: bool(p.message.tokens()))
        lab.a.wait_established(other_than=(old,))
    assert len(reply.message.tokens()) == 2, "of both generations"


def test_a_node_twice(new_lab: NewLab) -> None:
    """A node number that another gateway uses with these secrets disables the maker."""
    lab = new_lab(names=NAMES, a=CLIENT, b=server(1, 2), c=server(1, 2))
    lab.b.start()
    share(lab, lab.b, lab["c"])
    lab["c"].start()
    assert "QCD: token maker is off, token taker is on" in lab["c"].log()


def test_strangers_take_no_peers_place(new_lab: NewLab) -> None:
    """Somebody who has seen one SPI asks about invented SAs, from unused addresses.

    The standby doesn't know who owns an SA, and has no connection for those addresses.
    The peer is told nevertheless.
    """
    lab, old = pair_lab(new_lab)
    lab.b.kill()
    hold(lab, lab["c"])
    target = (SHARED, 4500)
    with Forger(lab.stranger) as forger:
        for number in range(300):
            request = ike.protected_request((os.urandom(8), old.spi_r))
            source = (f"198.18.{number >> 8}.{number & 255}", 4500)
            forger.send(request, target, source)
        lab["c"].wait_idle()
        assert counters(lab["c"])["told"] == 0
        lab.a.nudge()
        new = lab.a.wait_established(other_than=(old,), timeout=5)
    assert lab["c"].wait_established().spis == new.spis
