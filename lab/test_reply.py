# SPDX-License-Identifier: GPL-2.0-or-later
"""The token maker's reply, octet for octet, and everything that gets none.

RFC 6290 section 4.5 with erratum 3449, RFC 7296 sections 1.5 and 2.21.4.
"""

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from lab import ike
from lab.ask import Asker, Spis
from lab.config import Config
from lab.scenario import Lab
from lab.wire import tshark_decode

# A hub accepts peers from any address, so a stranger gets replies as well.
HUB = Config(anywhere=True)
TOKEN_LENGTH = 32


@dataclass
class Lost:
    """A gateway that has lost its SA, and how to ask about it."""

    lab: Lab
    asker: Asker
    spis: Spis
    flags: int  # the flags of the peer's requests

    def request(self, **changes: object) -> ike.Message:
        arguments: dict[str, object] = {"flags": self.flags, **changes}
        return ike.protected_request(self.spis, **arguments)  # type: ignore[arg-type]


def crashed(initiator: str) -> Iterator[Lost]:
    with Lab(Config(), b=HUB) as lab:
        for gateway in (lab.a, lab.b):
            gateway.start()
        lab[initiator].initiate()
        spis = lab.b.wait_established().spis
        lab.b.restart()
        with Asker(lab.stranger, lab.b) as asker:
            yield Lost(lab, asker, spis, ike.FLAG_I if initiator == "a" else 0)
        lab.check()


@pytest.fixture(scope="module")
def responder() -> Iterator[Lost]:
    """The crashed gateway was the responder of the lost SA."""
    yield from crashed("a")


@pytest.fixture(scope="module")
def initiator() -> Iterator[Lost]:
    """The crashed gateway was its initiator."""
    yield from crashed("b")


def expected(request: ike.Message, tokens: list[bytes]) -> bytes:
    """Return the reply: the request's header, R set, I flipped, then the notifies."""
    flags = ike.FLAG_R | (request.flags & ike.FLAG_I ^ ike.FLAG_I)
    return ike.token_message(
        (request.spi_i, request.spi_r),
        tokens,
        exchange=request.exchange,
        flags=flags,
        message_id=request.message_id,
    ).pack()


REQUESTS = {
    "dpd": {"exchange": ike.INFORMATIONAL},
    "rekey": {"exchange": ike.CREATE_CHILD_SA, "size": 300},
    "auth": {"exchange": ike.IKE_AUTH, "message_id": 1, "size": 250},
    # charon takes an INFORMATIONAL in fragments for a connectivity check.
    "fragment": {"payload": ike.SKF, "size": 500},
    "fragment of a rekey": {
        "payload": ike.SKF,
        "exchange": ike.CREATE_CHILD_SA,
        "size": 500,
    },
    "first message": {"message_id": 0},
    "last message": {"message_id": 0xFFFFFFFF},
    "higher version": {"flags": ike.FLAG_V},
}


def fragment(request: ike.Message, number: int, total: int) -> ike.Message:
    """Return the same request as a fragment, RFC 7383 section 2.5."""
    body = request.body[:4] + struct.pack("!HH", number, total) + request.body[8:]
    return request.but(next_payload=ike.SKF, body=body)


def built(lost: Lost, changes: dict[str, object]) -> ike.Message:
    options = dict(changes)
    flags = lost.flags | int(options.pop("flags", 0))  # type: ignore[call-overload]
    request = lost.request(flags=flags, **options)
    if request.next_payload == ike.SKF:
        return fragment(request, 1, 2)
    return request


@pytest.mark.parametrize("port", [500, 4500])
@pytest.mark.parametrize("name", REQUESTS)
@pytest.mark.parametrize("role", ["responder", "initiator"])
def test_reply_octet_for_octet(
    request: pytest.FixtureRequest, role: str, name: str, port: int
) -> None:
    lost: Lost = request.getfixturevalue(role)
    asked = built(lost, REQUESTS[name])
    answer = lost.asker.ask(asked, port)
    tokens = answer.message.tokens()
    assert [len(token) for token in tokens] == [TOKEN_LENGTH]
    assert answer.data == expected(asked, tokens)
    assert tokens == lost.asker.tokens(
        lost.spis, to_responder=role == "responder"
    ), "the same token each time"


def test_token_is_the_one_of_the_sa(responder: Lost, initiator: Lost) -> None:
    """The peer accepts it; each SA has its own token."""
    ours = responder.asker.tokens(responder.spis)
    theirs = initiator.asker.tokens(initiator.spis, to_responder=False)
    assert ours != theirs


def test_reply_decodes_in_tshark(responder: Lost) -> None:
    lost = responder
    packets = [lost.asker.ask(lost.request(), port) for port in (500, 4500)]
    pcap = lost.asker.wire.write_pcap(lost.lab.folder / "reply.pcap", packets)
    fields = ("isakmp.notify.msgtype", "isakmp.flag_r", "isakmp.notify.protoid")
    for types, response, protocols in tshark_decode(pcap, fields):
        assert types == f"{ike.INVALID_IKE_SPI},{ike.QCD_TOKEN}"
        assert response in ("1", "True")
        assert protocols in ("", "0,0")


def test_reply_comes_from_where_the_request_went(responder: Lost) -> None:
    for port in (500, 4500):
        source = responder.asker.source(40000 + port)
        since = responder.asker.wire.count
        responder.asker.send(responder.request(), port, source)
        answer = responder.asker.wire.wait(
            "the answer to an odd port", lambda p: p.target == source, since=since
        )
        assert answer.source == (responder.lab.b.host.address, port)


@pytest.mark.parametrize("exchange", [ike.INFORMATIONAL, ike.CREATE_CHILD_SA])
def test_one_reply_to_all_fragments(responder: Lost, exchange: int) -> None:
    """RFC 6290 section 3: one reply for a Message ID, in any order of fragments."""
    asker = responder.asker
    request = responder.request(exchange=exchange, message_id=5, size=300)
    for order in ((1, 2, 3), (3, 1, 2)):
        since, source = asker.wire.count, asker.source()
        for number in order:
            asker.send(fragment(request, number, 3), source=source)
        asker.wire.wait(
            "the answer", lambda p, s=source: p.target == s, since=since
        )
        asker.settle()
        answers = [p for p in asker.wire.packets[since:] if p.target == source]
        assert len(answers) == 1
        assert answers[0].message.message_id == 5
        assert answers[0].message.tokens()


def test_reply_is_at_most_three_times_the_request(responder: Lost) -> None:
    """RFC 6290 section 4.5 with RFC 7296 section 2.4: no amplification."""
    asker = responder.asker
    smallest = ike.HEADER_LENGTH + 4 + 17  # AES-GCM with a short tag
    since = len(asker.replies())
    for size in range(smallest - 10, smallest):
        asker.send(responder.request(size=size))
        asker.settle()
    assert asker.replies()[since:] == []
    for size in range(smallest, smallest + 60):
        answer = asker.ask(responder.request(size=size))
        assert answer.message.tokens()
        assert len(answer.data) <= 3 * size
    assert len(asker.replies()) - since == 60, "the short ones got none later, either"


def _silent(lost: Lost) -> dict[str, ike.Message | bytes]:
    """Return messages without a reply, each one step from a request that gets one."""
    good = lost.request()
    spi_i, spi_r = lost.spis
    other = bytes(byte ^ 1 for byte in spi_i), bytes(byte ^ 1 for byte in spi_r)
    local_i = not lost.flags  # the crashed gateway's SPI is the initiator's
    not_ours = {"spi_i": other[0]} if local_i else {"spi_r": other[1]}
    cases: dict[str, ike.Message | bytes] = {
        "a response": good.but(flags=good.flags | ike.FLAG_R),
        "the other role": good.but(flags=good.flags ^ ike.FLAG_I),
        "swapped SPIs": good.but(spi_i=spi_r, spi_r=spi_i),
        "an SPI that is not ours": good.but(**not_ours),
        "no initiator's SPI": good.but(spi_i=ike.ZERO_SPI),
        "no responder's SPI": good.but(spi_r=ike.ZERO_SPI),
        "no SPI at all": good.but(spi_i=ike.ZERO_SPI, spi_r=ike.ZERO_SPI),
        "IKE_SA_INIT": good.but(exchange=ike.IKE_SA_INIT),
        "IKE_SESSION_RESUME": good.but(exchange=ike.IKE_SESSION_RESUME),
        "an exchange that charon does not know": good.but(exchange=200),
        "no payload": good.but(next_payload=ike.NO_PAYLOAD, body=b""),
        "an unprotected notify": ike.token_message(lost.spis, [b"x" * 32]).but(
            flags=good.flags
        ),
        "INVALID_SPI": ike.unprotected(
            lost.spis, [ike.Notify(ike.INVALID_SPI, b"\1\2\3\4")], flags=good.flags
        ),
        "another payload before SK": good.but(next_payload=40),
        "a later fragment": fragment(good, 2, 2),
        "a later fragment of a rekey": fragment(
            good.but(exchange=ike.CREATE_CHILD_SA), 2, 2
        ),
        "a fragment without a number": good.but(
            next_payload=ike.SKF, body=good.body[:4]
        ),
        # RFC 7296 section 3.14: the payload exists, and extends to the end.
        "a header alone": good.but(body=b""),
        "an SK payload of no octets": good.but(body=b"\0\0\0\4"),
        "an SK payload with no room for a cipher": lost.request(size=48),
        "an SK payload that ends early": good.but(body=good.body + b"\0"),
        "an SK payload that ends late": good.but(body=good.body[:-1]),
        "a fragment with no room for a cipher": fragment(lost.request(size=52), 1, 1),
        "fragment 1 of 0": fragment(good, 1, 0),
        "a fragment of a response": fragment(good, 1, 2).but(
            flags=good.flags | ike.FLAG_R
        ),
        "a fragment for an SPI that is not ours": fragment(good, 1, 2).but(**not_ours),
        "IKEv1": good.but(version=0x10),
        "a length that is too long": good.but(length=len(good.pack()) + 1),
        "a length that is too short": good.but(length=27),
    }
    packed = good.pack()
    for size in (0, 1, 4, 16, 27):
        cases[f"its first {size} octets"] = packed[:size]
    return cases


@pytest.mark.parametrize("role", ["responder", "initiator"])
def test_no_reply(request: pytest.FixtureRequest, role: str) -> None:
    """RFC 7296 section 2.21.4: no reply to any of these, alone or all together."""
    lost: Lost = request.getfixturevalue(role)
    asker = lost.asker
    asker.settle()
    wrong = []
    for name, message in _silent(lost).items():
        for port in (500, 4500):
            since = len(asker.replies())
            asker.send(message, port)
            asker.settle()
            wrong += [f"{name}: {answer}" for answer in asker.replies()[since:]]
    assert wrong == []
    assert asker.tokens(lost.spis, to_responder=role == "responder")


def _tokens_with(options: dict[str, object]) -> list[bytes]:
    hub = HUB.but(qcd_options=options)
    with Lab(Config(), b=hub) as lab:
        spis = lab.up().spis
        lab.b.restart()
        with Asker(lab.stranger, lab.b) as asker:
            return asker.tokens(spis)


@pytest.mark.parametrize("length", [16, 20, 32])
def test_token_length(length: int) -> None:
    assert [len(token) for token in _tokens_with({"token_length": length})] == [length]


def test_maker_that_is_off_says_nothing(new_lab: Callable[..., Lab]) -> None:
    lab = new_lab(Config(), b=HUB.but(qcd_options={"maker": "no"}))
    spis = lab.up().spis
    lab.b.restart()
    with Asker(lab.stranger, lab.b) as asker:
        asker.send(ike.protected_request(spis))
        asker.settle()
        assert asker.replies() == []


def test_reply_waits_for_the_connections(new_lab: Callable[..., Lab]) -> None:
    """A peer that reconnected before that would be refused."""
    lab = new_lab(Config(), b=HUB)
    spis = lab.up().spis
    lab.b.restart(load=False)
    with Asker(lab.stranger, lab.b) as asker:
        since = asker.wire.count
        source = asker.send(ike.protected_request(spis))
        asker.settle()
        assert asker.replies() == []
        lab.b.load()
        asker.wire.wait("the reply", lambda p: p.target == source, since=since)


def test_nobody_waits_in_the_place_of_another(new_lab: Callable[..., Lab]) -> None:
    """An early request about a peer's SA doesn't keep the peer from being told.

    Somebody who has seen its SPIs uses no more than its few places, of which one is
    reserved for the peer's last known address.
    """
    lab = new_lab(Config(), b=HUB)
    spis = lab.up().spis
    lab.b.restart(load=False)
    with Asker(lab.stranger, lab.b) as asker:
        since = asker.wire.count
        request = ike.protected_request(spis)
        sources = []
        for _ in range(6):
            sources.append(asker.send(request))
            asker.settle()  # so that they arrive in this order
        # The same once more: it waits already.
        asker.send(request, source=sources[1])
        asker.settle()
        told = [*sources[:3], asker.send(request, source=(lab.a.host.address, 4500))]
        asker.settle()
        assert asker.replies() == []
        lab.b.load()
        for source in told:
            asker.wire.wait("the reply", lambda p, s=source: p.target == s, since=since)
        asker.settle()
        targets = [packet.target for packet in asker.replies()]
        assert sorted(targets) == sorted(told)
