# SPDX-License-Identifier: GPL-2.0-or-later
"""A recovery continues until the tunnel is up, whatever happens.

The peer here is not charon: it behaves like a crashed, slow or unready one. The core
has the rule for when a try is due (test/test_retry.c); this tests that it is applied.
"""

import os
import time
from collections.abc import Callable

import pytest

from lab import ike
from lab.admin import events, rows
from lab.config import Config
from lab.ike import Message, Notify
from lab.peer import Peer, Sa
from lab.scenario import Lab
from lab.wait import LabTimeout

NewLab = Callable[..., Lab]
INVALID_IKE_SPI = Notify(ike.INVALID_IKE_SPI)
NO_PROPOSAL_CHOSEN = 14


def token() -> Notify:
    return Notify(ike.QCD_TOKEN, os.urandom(32))


def lose(peer: Peer, given: Notify, sa: Sa) -> None:
    """Tell the gateway, with the token, that the peer has lost the SA."""
    peer.show(sa, [INVALID_IKE_SPI, given])


def establish(lab: Lab, peer: Peer, given: Notify) -> Sa:
    """Return an SA that the gateway has initiated and whose child is up."""
    lab.a.begin("b")
    sa = peer.accept([given])
    lab.a.wait_established()
    return sa


def next_try(peer: Peer, seen: set[bytes], timeout: float = 5.0) -> Message:
    """Return the next IKE_SA_INIT with a new SPI."""
    found = peer.receive(
        "another try",
        lambda m: m.exchange == ike.IKE_SA_INIT
        and not m.is_response
        and m.spi_i not in seen,
        timeout,
    )
    seen.add(found.spi_i)
    return found


def refuse(peer: Peer, asked: Message, error: int) -> None:
    """Respond to an IKE_SA_INIT with an error."""
    answer = ike.unprotected(
        (asked.spi_i, ike.ZERO_SPI),
        [Notify(error)],
        exchange=ike.IKE_SA_INIT,
        flags=ike.FLAG_R,
        message_id=0,
    )
    peer.send(answer, 500)


def recovery(lab: Lab) -> dict[str, object] | None:
    """Return the status of the current recovery."""
    found = rows(lab.a, "recovery")
    assert len(found) <= 1
    return found[0] if found else None


def test_refused_and_tried_again(lab: Lab, peer: Peer) -> None:
    """NO_PROPOSAL_CHOSEN: the peer has not loaded its connections yet."""
    given = token()
    lost = establish(lab, peer, given)
    seen = {lost.spi_i}
    with events(lab.a) as happens:
        lose(peer, given, lost)
        for number in range(1, 4):
            refuse(peer, next_try(peer, seen), NO_PROPOSAL_CHOSEN)
            lab.a.wait_log(rf"try {number} failed: NO_PROPOSAL_CHOSEN, next in \d+ ms")
        shown = recovery(lab)
        assert shown and shown["connection"] == "b"
        assert (shown["tries"], shown["last_failure"]) == (3, "NO_PROPOSAL_CHOSEN")
        peer.accept([token()])
        lab.a.wait_established()
        told = [next(happens)["event"] for _ in range(5)]
    assert told == ["verified", "retrying", "retrying", "retrying", "recovered"]
    assert recovery(lab) is None


def test_status_shows_it(lab: Lab, peer: Peer) -> None:
    given = token()
    lost = establish(lab, peer, given)
    lose(peer, given, lost)
    refuse(peer, next_try(peer, {lost.spi_i}), NO_PROPOSAL_CHOSEN)
    lab.a.wait_log("try 1 failed")
    shown = recovery(lab)
    assert shown and shown["peer"] == f"{lab.b.host.address}[4500]"
    assert "RECOVERING" in lab.a.tool(
        "status", "--socket", str(lab.a.places.qcd_socket)
    )


def test_answered_late(lab: Lab, peer: Peer) -> None:
    """A slow peer gets the time that it needs: its first response counts."""
    given = token()
    lost = establish(lab, peer, given)
    lose(peer, given, lost)
    seen = {lost.spi_i}
    first = next_try(peer, seen)
    with pytest.raises(LabTimeout):
        next_try(peer, seen, timeout=2.5)  # repeated, but no new one
    new = peer.accept([token()])
    assert new.spi_i == first.spi_i
    lab.a.wait_for("the tunnel", lambda: len(lab.a.established()) == 1)


def test_hint_drops_nothing(lab: Lab, peer: Peer) -> None:
    """INVALID_IKE_SPI without proof: another try begins, but the first one counts."""
    given = token()
    lost = establish(lab, peer, given)
    lose(peer, given, lost)
    sa, asked = begin(peer)
    peer.show(sa, [INVALID_IKE_SPI, token()], asked)
    next_try(peer, {lost.spi_i, sa.spi_i})
    peer.respond(sa, asked, peer.answer_to(sa, [token()]))
    lab.a.wait_for(
        "just the first one", lambda: [s.spis for s in lab.a.sas()] == [sa.spis]
    )


def test_hints_are_slow(lab: Lab, peer: Peer) -> None:
    """Repeated hints cause at most one try a second, and fewer later."""
    given = token()
    lost = establish(lab, peer, given)
    lose(peer, given, lost)
    sa, asked = begin(peer)
    seen = {lost.spi_i, sa.spi_i}
    begun = time.monotonic()
    tries = 0
    while time.monotonic() < begun + 6.0:
        peer.show(sa, [INVALID_IKE_SPI, token()], asked)
        try:
            next_try(peer, seen, timeout=0.02)
        except LabTimeout:
            continue
        tries += 1
        sa, asked = begin_with(peer, sa)
        seen.add(sa.spi_i)
    assert 1 <= tries <= 4


def begin(peer: Peer) -> tuple[Sa, Message]:
    """Respond to the IKE_SA_INIT of a try, but not to its IKE_AUTH."""
    sa = peer.accept_init()
    return sa, peer.request_of(sa, ike.IKE_AUTH)


def begin_with(peer: Peer, before: Sa) -> tuple[Sa, Message]:
    """Do the same with the next try, whose request is repeated."""
    while True:
        sa, asked = begin(peer)
        if sa.spi_i != before.spi_i:
            return sa, asked


def test_peer_that_our_handshake_crashes(lab: Lab, peer: Peer) -> None:
    """It gets time: systemd gives up after five starts within ten seconds."""
    given = token()
    lost = establish(lab, peer, given)
    lose(peer, given, lost)
    begun = time.monotonic()
    starts = 1
    while time.monotonic() < begun + 9.0:
        try:
            sa, asked = begin(peer)
        except LabTimeout:
            break
        starts += 1
        peer.show(sa, [INVALID_IKE_SPI, token()], asked)
    assert 3 <= starts <= 5


def test_peer_that_loses_what_just_came_up(lab: Lab, peer: Peer) -> None:
    """Lost soon after it came up, and never used: that counts as a failed try."""
    given = token()
    lost = establish(lab, peer, given)
    lose(peer, given, lost)
    begun = time.monotonic()
    starts = 1
    while time.monotonic() < begun + 9.0:
        given = token()
        try:
            sa = peer.accept([given])
        except LabTimeout:
            break
        lab.a.wait_for("it", lambda sa=sa: sa.spis in [s.spis for s in lab.a.sas()])
        lose(peer, given, sa)
        starts += 1
    assert 3 <= starts <= 5


def test_closed_while_it_is_under_way(lab: Lab, peer: Peer) -> None:
    """Somebody terminates the SA that is being established: it stays closed."""
    given = token()
    lost = establish(lab, peer, given)
    lose(peer, given, lost)
    seen = {lost.spi_i}
    next_try(peer, seen)
    lab.a.wait_for("a try", lambda: lab.a.sas())
    lab.a.forget(lab.a.sas()[0])
    lab.a.wait_log("connection is not brought up again: .*it was closed")
    with pytest.raises(LabTimeout):
        next_try(peer, seen, timeout=2.0)
    assert recovery(lab) is None


def test_reloaded_while_it_is_under_way(lab: Lab, peer: Peer) -> None:
    """A connection that is unloaded and loaded again is re-established."""
    given = token()
    lost = establish(lab, peer, given)
    lose(peer, given, lost)
    seen = {lost.spi_i}
    asked = next_try(peer, seen)
    lab.a.command("unload-conn", {"name": "b"})
    refuse(peer, asked, NO_PROPOSAL_CHOSEN)
    lab.a.wait_log("IKE_SA b.* state change: CONNECTING => DESTROYING")
    with pytest.raises(LabTimeout):
        next_try(peer, seen, timeout=2.0)
    lab.a.load("connections")
    peer.accept([token()])
    lab.a.wait_established()


def test_reason_is_the_peers(new_lab: NewLab) -> None:
    """The peer has not loaded its key yet: that is logged, not what charon infers."""
    lab = new_lab(Config())
    old = lab.up()
    lab.b.kill()
    lab.b.start(load=False)
    lab.b.load("connections")
    lab.a.nudge(old)
    lab.a.wait_log(r"try 1 failed: AUTHENTICATION_FAILED, next in")
    lab.b.load("secrets")
    lab.a.wait_established(other_than=(old,))
