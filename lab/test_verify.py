# SPDX-License-Identifier: GPL-2.0-or-later
"""Thousands of forged tokens, in the name of a peer that really crashes.

RFC 6290 section 8.1: the number that is checked is limited. Somebody who has seen the
SPIs of one SA and forges its peer's address must not use up that limit for the peer's
real tokens.
"""

import os
from collections.abc import Callable

import pytest

from lab import ike
from lab.admin import counters
from lab.config import SECRET, Config, child_name, connection
from lab.flood import Burst, Flood
from lab.gateway import Gateway, Sa
from lab.scenario import Lab
from lab.wait import wait_until
from lab.wire import ike_datagram

NewLab = Callable[..., Lab]
TUNNELS = 10
RATE = 1000
SOON = 1.0
# charon by default does not accept ten simultaneous handshakes from one address.
CONFIG = Config(
    charon={"block_threshold": 0, "reuse_ikesa": False},
    log={"default": 0, "ike": 1},
)


def name(number: int) -> str:
    return f"tunnel{number}"


def load(gateway: Gateway, peer: Gateway, client: Gateway) -> None:
    """Load ten connections; the client has another identity in each of them."""
    for number in range(TUNNELS):
        identity = f"client{number}.lab"
        section = connection(CONFIG, gateway.host, peer.host, None)
        section["local" if gateway is client else "remote"]["id"] = identity
        child = section["children"].pop(child_name())
        child["local_ts"] = [gateway.host.inside_net(number)]
        child["remote_ts"] = [peer.host.inside_net(number)]
        section["children"][name(number)] = child
        owners = [identity, f"{(peer if gateway is client else gateway).name}.lab"]
        secret = {"id": identity, "type": "IKE", "data": SECRET, "owners": owners}
        gateway.command("load-shared", secret)
        gateway.command("load-conn", {name(number): section})


def bring_up(lab: Lab) -> list[Sa]:
    for gateway, peer in ((lab.a, lab.b), (lab.b, lab.a)):
        for number in range(1, TUNNELS):  # the lab has given it some of these
            inside = gateway.host.inside_of(number)
            gateway.host.ns.ip(f"addr replace {inside}/32 dev lo")
        gateway.start(load=False)
        load(gateway, peer, lab.a)
    for number in range(TUNNELS):
        message = {"child": name(number), "ike": name(number), "timeout": 10_000}
        lab.a.control.stream("initiate", "control-log", message, 15.0)
    sas = lab.a.established()
    assert len(sas) == TUNNELS, lab.b.tail()
    return sas


def forgery(lab: Lab, spis: tuple[bytes, bytes]) -> Flood:
    """Return wrong tokens about one SA, from the address of gateway b."""
    source, target = (lab.b.host.address, 4500), (lab.a.host.address, 4500)
    packets = [
        ike_datagram(source, target, ike.token_message(spis, [os.urandom(32)]).pack())
        for _ in range(RATE)
    ]
    return Flood(lab.stranger, Burst(packets, target), RATE)


def verified(lab: Lab) -> int:
    """Return how many tokens gateway a has found to be real."""
    return int(counters(lab.a)["verified"])


@pytest.mark.parametrize("known", [True, False], ids=["its SA", "no SA"])
def test_forged_in_the_name_of_a_peer_that_crashes(
    new_lab: NewLab, known: bool
) -> None:
    """All ten tunnels recover at once, also the one of the forged messages."""
    # Forged messages about no SA of ours must not count, whatever the limit.
    options = {} if known else {"verify_rate_source": 1}
    lab = new_lab(CONFIG.but(qcd_options=options))
    old = {sa.spis for sa in bring_up(lab)}
    attacked = lab.a.established()[0].spis if known else (os.urandom(8), os.urandom(8))
    with forgery(lab, attacked) as flood:
        # More than a second, so that every burst is used up.
        wait_until("the flood", lambda: flood.sent > 2 * RATE, 10.0)
        lab.b.kill()
        lab.b.start(load=False)
        load(lab.b, lab.a, lab.a)
        for sa in lab.a.established():
            lab.a.nudge(sa)

        def all_new() -> bool:
            now = {sa.spis for sa in lab.a.established()}
            return len(now) == TUNNELS and not now & old

        wait_until("ten tokens", lambda: verified(lab) == TUNNELS, SOON, lab.a.tail)
        # On a busy machine, a handshake that loses a message takes 4 s.
        wait_until("ten new tunnels", all_new, 10 * SOON, lab.a.tail)
        assert flood.rate > 0.7 * RATE, f"only {flood.rate:.0f} a second were sent"
    assert verified(lab) == TUNNELS
    assert counters(lab.a)["unchecked"] == 0
    assert {sa.spis for sa in lab.b.established()} == {
        sa.spis for sa in lab.a.established()
    }


def test_rate_0_checks_none(new_lab: NewLab) -> None:
    """Not even from the shared rate."""
    lab = new_lab(Config(qcd_options={"verify_rate_source": 0}))
    lab.up()
    lab.b.restart()
    lab.a.nudge()
    wait_until(
        "a token that is not checked",
        lambda: counters(lab.a)["unchecked"],
        5.0,
        lab.a.tail,
    )
    assert verified(lab) == 0
