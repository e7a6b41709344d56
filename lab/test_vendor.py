# SPDX-License-Identifier: GPL-2.0-or-later
"""Peers of other vendors: tokens of any length, shown in any of their ways.

FortiGate and Check Point, as far as known, and Rockhopper: tokens of 32 and of 64
octets, Protocol ID 0 and 1, alone or with INVALID_IKE_SPI.
"""

import os
from collections.abc import Callable

import pytest

from lab import ike
from lab.admin import counters, rows
from lab.ike import Message, Notify
from lab.peer import AUTH, SA, Peer, Sa, tokens
from lab.scenario import Lab

NO_ADDITIONAL_SAS = 35
INVALID_IKE_SPI = Notify(ike.INVALID_IKE_SPI)


def token(length: int = 32, protocol: int = ike.PROTO_NONE, spi: bytes = b"") -> Notify:
    return Notify(ike.QCD_TOKEN, os.urandom(length), protocol, spi)


def establish(lab: Lab, peer: Peer, given: list[Notify], *, asked: bool = False) -> Sa:
    """Return an SA in which the peer gave these; asked: the gateway initiates."""
    if not asked:
        return peer.connect(given)
    message = {"child": "net0", "ike": "b", "timeout": -1, "loglevel": -1}
    lab.a.command("initiate", message)
    sa = peer.accept(given)
    lab.a.wait_established()
    return sa


def assert_recovers(lab: Lab, peer: Peer, lost: Sa) -> None:
    """The gateway drops the lost SA and reconnects; the peer accepts it."""
    new = peer.accept()
    lab.a.wait_for(
        "just the new SA", lambda: [sa.spis for sa in lab.a.sas()] == [new.spis]
    )
    assert counters(lab.a)["verified"] == 1
    assert new.spis != lost.spis


def assert_unmoved(lab: Lab, peer: Peer, sa: Sa) -> None:
    """The gateway has read everything that it was sent, and keeps the SA."""
    peer.inform(sa, [])
    lab.a.wait_idle()
    peer.inform(sa, [])
    assert [s.spis for s in lab.a.established()] == [sa.spis]
    assert counters(lab.a)["verified"] == 0


# --- as maker -----------------------------------------------------------------

FORMS: dict[str, Callable[[Notify], list[Notify]]] = {
    "alone": lambda shown: [shown],
    "behind INVALID_IKE_SPI": lambda shown: [INVALID_IKE_SPI, shown],
    "before INVALID_IKE_SPI": lambda shown: [shown, INVALID_IKE_SPI],
    "INVALID_IKE_SPI of protocol 1": lambda shown: [
        Notify(ike.INVALID_IKE_SPI, protocol=ike.PROTO_IKE),
        shown,
    ],
    "behind INVALID_SPI": lambda shown: [
        Notify(ike.INVALID_SPI, bytes(4), ike.PROTO_ESP),
        shown,
    ],
}


@pytest.mark.parametrize("asked", [False, True], ids=["client", "server"])
@pytest.mark.parametrize("protocol", [ike.PROTO_NONE, ike.PROTO_IKE])
@pytest.mark.parametrize("length", [32, 64])
def test_its_token(
    lab: Lab, peer: Peer, length: int, protocol: int, asked: bool
) -> None:
    """Given in IKE_AUTH, shown if the gateway asks, with the exchange type echoed."""
    given = token(length, protocol)
    sa = establish(lab, peer, [given], asked=asked)
    lab.a.nudge()
    request = peer.request_of(sa)
    assert request.exchange == ike.CREATE_CHILD_SA
    peer.show(sa, [INVALID_IKE_SPI, given], request)
    assert_recovers(lab, peer, sa)


@pytest.mark.parametrize("form", FORMS)
def test_forms_of_telling(lab: Lab, peer: Peer, form: str) -> None:
    given = token(64)
    sa = establish(lab, peer, [given])
    peer.show(sa, FORMS[form](given))
    assert_recovers(lab, peer, sa)


def test_protocol_id_differs(lab: Lab, peer: Peer) -> None:
    """RFC 7296 section 3.10: ignored on receipt, in either message."""
    given = token(32, ike.PROTO_NONE)
    sa = establish(lab, peer, [given])
    peer.show(sa, [Notify(ike.QCD_TOKEN, given.data, ike.PROTO_IKE)])
    assert_recovers(lab, peer, sa)


@pytest.mark.parametrize("length", [16, 128])
def test_length_that_is_allowed(lab: Lab, peer: Peer, length: int) -> None:
    """RFC 6290 section 5: at least 16, at most 128 octets."""
    given = token(length)
    sa = establish(lab, peer, [given])
    peer.show(sa, [INVALID_IKE_SPI, given])
    assert_recovers(lab, peer, sa)


@pytest.mark.parametrize("length", [0, 15, 129])
def test_length_that_is_not(lab: Lab, peer: Peer, length: int) -> None:
    """Not held, logged once, and harmless; a valid token still counts."""
    given = token(length)
    sa = establish(lab, peer, [given])
    assert f"QCD: ignoring token of 10.0.2.1, it has {length} octets" in lab.a.log()
    assert rows(lab.a, "sa")[0]["token_held"] is False
    peer.show(sa, [INVALID_IKE_SPI, given])
    assert_unmoved(lab, peer, sa)
    better = token()
    peer.inform(sa, [given, better])
    peer.show(sa, [INVALID_IKE_SPI, better])
    assert_recovers(lab, peer, sa)


def test_shown_token_with_an_spi(lab: Lab, peer: Peer) -> None:
    """RFC 6290 section 4.1: the SPI size MUST be zero."""
    given = token()
    sa = establish(lab, peer, [given])
    peer.show(sa, [INVALID_IKE_SPI, Notify(ike.QCD_TOKEN, given.data, 1, sa.spi_i)])
    assert_unmoved(lab, peer, sa)


def test_given_token_with_an_spi(lab: Lab, peer: Peer) -> None:
    """The same in a protected message: it is not held."""
    sa = establish(lab, peer, [token(spi=b"1234", protocol=ike.PROTO_ESP)])
    assert rows(lab.a, "sa")[0]["token_held"] is False
    assert_unmoved(lab, peer, sa)


# how many tokens are shown, position of the right one, whether it counts
SHOWN = [(4, 0, True), (4, 3, True), (5, 4, True), (8, 7, True), (9, 0, True)]
SHOWN += [(9, 8, False)]


@pytest.mark.parametrize(("number", "place", "counts"), SHOWN)
def test_tokens_shown_at_once(
    lab: Lab, peer: Peer, number: int, place: int, counts: bool
) -> None:
    """RFC 6290 section 4.5: MUST support at least four; eight are checked."""
    given = token()
    sa = establish(lab, peer, [given])
    shown = [token() for _ in range(number)]
    shown[place] = given
    peer.show(sa, [INVALID_IKE_SPI, *shown])
    if counts:
        assert_recovers(lab, peer, sa)
    else:
        assert_unmoved(lab, peer, sa)
        assert counters(lab.a)["mismatched"] == 1


# how many tokens are given, which one is shown, whether it counts
GIVEN = [(4, 0, True), (4, 3, True), (5, 0, False), (5, 1, True), (5, 4, True)]


@pytest.mark.parametrize("at_once", [True, False])
@pytest.mark.parametrize(("number", "place", "counts"), GIVEN)
def test_tokens_given(
    lab: Lab, peer: Peer, number: int, place: int, counts: bool, at_once: bool
) -> None:
    """RFC 6290 sections 4.4 and 5: a new one is held, earlier ones still match.

    All in IKE_AUTH, or one by one in INFORMATIONAL; the last four are held.
    """
    given = [token(32 + index) for index in range(number)]
    sa = establish(lab, peer, given if at_once else given[:1])
    for item in [] if at_once else given[1:]:
        peer.inform(sa, [item])
    peer.show(sa, [INVALID_IKE_SPI, given[place]])
    if counts:
        assert_recovers(lab, peer, sa)
    else:
        assert_unmoved(lab, peer, sa)
        assert counters(lab.a)["mismatched"] == 1


def test_token_given_late(lab: Lab, peer: Peer) -> None:
    """RFC 6290 section 4.2: the absence of one in IKE_AUTH means nothing."""
    sa = establish(lab, peer, [])
    assert rows(lab.a, "sa")[0]["token_held"] is False
    given = token()
    peer.inform(sa, [given])
    assert rows(lab.a, "sa")[0]["token_held"] is True
    peer.show(sa, [INVALID_IKE_SPI, given])
    assert_recovers(lab, peer, sa)


def test_token_given_in_a_response(lab: Lab, peer: Peer) -> None:
    """RFC 6290 section 4.4: in any protected exchange, also in a refusal."""
    sa = establish(lab, peer, [])
    lab.a.nudge()
    request = peer.request_of(sa)
    given = token()
    refusal = [(ike.NOTIFY, item.body()) for item in (Notify(NO_ADDITIONAL_SAS), given)]
    peer.respond(sa, request, refusal)
    lab.a.wait_log("QCD: got token")
    peer.show(sa, [INVALID_IKE_SPI, given])
    assert_recovers(lab, peer, sa)


def test_token_of_another_sa(lab: Lab, peer: Peer) -> None:
    """Right for one SA, shown for the other one."""
    first, second = token(), token()
    sas = [establish(lab, peer, [given]) for given in (first, second)]
    peer.show(sas[1], [INVALID_IKE_SPI, first])
    peer.inform(sas[1], [])
    lab.a.wait_idle()
    assert counters(lab.a)["verified"] == 0
    assert counters(lab.a)["mismatched"] == 1
    assert sas[1].spis in [s.spis for s in lab.a.established()]


# --- as taker -----------------------------------------------------------------


@pytest.mark.parametrize("asked", [False, True], ids=["client", "server"])
def test_our_token(lab: Lab, peer: Peer, asked: bool) -> None:
    """RFC 6290 sections 4.1 and 4.2 with erratum 3449, in either direction."""
    sa = establish(lab, peer, [], asked=asked)
    given = tokens(sa.theirs)
    assert len(given) == 1
    assert (given[0].protocol, given[0].spi) == (ike.PROTO_NONE, b"")
    assert len(given[0].data) == 32
    kinds = [kind for kind, _ in sa.theirs]
    place = [item for _, item in sa.theirs].index(given[0].body())
    assert place > kinds.index(AUTH)


@pytest.mark.xfail(
    strict=True, reason="charon sorts the payloads: unknown notifies come last"
)
def test_our_token_stands_before_the_child(lab: Lab, peer: Peer) -> None:
    """RFC 6290 section 4.2, in lower case: before CP and the child's payloads."""
    sa = establish(lab, peer, [])
    kinds = [kind for kind, _ in sa.theirs]
    place = [item for _, item in sa.theirs].index(tokens(sa.theirs)[0].body())
    assert place < kinds.index(SA)


def answer_of(lab: Lab, peer: Peer, sa: Sa, exchange: int) -> Message:
    """Return the crashed gateway's reply to a request on that SA."""
    lab.a.restart()
    request = Message(*sa.spis, exchange, sa.flag, message_id=7)
    peer.send(sa.seal(request, []))
    return peer.receive("the token", lambda m: bool(m.tokens()))


@pytest.mark.parametrize("exchange", [ike.INFORMATIONAL, ike.CREATE_CHILD_SA])
@pytest.mark.parametrize("asked", [False, True], ids=["client", "server"])
def test_our_answer(lab: Lab, peer: Peer, asked: bool, exchange: int) -> None:
    """As Rockhopper requires it: header echoed, I inverted, cause, then the token."""
    sa = establish(lab, peer, [], asked=asked)
    given = tokens(sa.theirs)[0]
    answer = answer_of(lab, peer, sa, exchange)
    assert (answer.spi_i, answer.spi_r) == sa.spis
    assert (answer.exchange, answer.message_id) == (exchange, 7)
    assert answer.is_response and answer.from_initiator is not sa.initiator
    assert answer.notifies() == [INVALID_IKE_SPI, given]
