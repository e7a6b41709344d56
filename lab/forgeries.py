# SPDX-License-Identifier: GPL-2.0-or-later
"""Thousands of forged notifications: everything that is close to a real token."""

import itertools
import random
from collections.abc import Iterator

from lab import ike
from lab.ike import Message, Notify

Spis = tuple[bytes, bytes]
LENGTHS = (0, 1, 8, 15, 16, 31, 32, 33, 64, 127, 128, 129, 255)
EXCHANGES = (ike.IKE_AUTH, ike.CREATE_CHILD_SA, ike.INFORMATIONAL, 38, 43, 0, 255)
FLAGS = (ike.FLAG_R, ike.FLAG_R | ike.FLAG_I, 0, ike.FLAG_I, 0xFF)
MESSAGE_IDS = (0, 1, 2, 3, 4, 0xFFFFFFFF)
# Errors that would end an SA if they were believed.
ERRORS = (
    (ike.INVALID_IKE_SPI, b""),
    (7, b""),  # INVALID_SYNTAX
    (9, b"\0\0\0\1"),  # INVALID_MESSAGE_ID
    (11, b"\1\2\3\4"),  # INVALID_SPI
    (14, b""),  # NO_PROPOSAL_CHOSEN
    (24, b""),  # AUTHENTICATION_FAILED
    (43, b""),  # TEMPORARY_FAILURE
    (44, b""),  # CHILD_SA_NOT_FOUND
)


def _any_token(chance: random.Random) -> bytes:
    return chance.randbytes(chance.choice(LENGTHS))


def headers(spis: Spis, chance: random.Random) -> Iterator[Message]:
    """Yield a wrong token with every header."""
    flipped = bytes(byte ^ 0x80 for byte in spis[0]), spis[1]
    pairs = (spis, spis[::-1], flipped, (spis[0], ike.ZERO_SPI), (ike.ZERO_SPI,) * 2)
    for pair, exchange, flags, number in itertools.product(
        pairs, EXCHANGES, FLAGS, MESSAGE_IDS
    ):
        yield ike.token_message(
            pair,
            [chance.randbytes(32)],
            exchange=exchange,
            flags=flags,
            message_id=number,
        )


def lengths(spis: Spis, chance: random.Random) -> Iterator[Message]:
    """Yield tokens of all lengths and numbers, with and without the error."""
    first = (Notify(ike.INVALID_IKE_SPI), Notify(ike.INVALID_SPI, b"\1\2\3\4"), None)
    for length, error in itertools.product(range(260), first):
        yield ike.token_message(spis, [chance.randbytes(length)], first=error)
    for count in range(1, 36):
        yield ike.token_message(spis, [chance.randbytes(32) for _ in range(count)])
        mixed = [_any_token(chance)[:40] for _ in range(count)]
        yield ike.token_message(spis, mixed)


def notifies(spis: Spis, chance: random.Random) -> Iterator[Message]:
    """Yield notifies whose fields have invalid values."""
    token = chance.randbytes(32)
    for protocol in (0, 1, 2, 3, 4, 255):
        for size in (0, 1, 4, 8, 31, 32, 33, 255):
            item = Notify(ike.QCD_TOKEN, token, protocol, spi_size=size)
            yield ike.unprotected(spis, [Notify(ike.INVALID_IKE_SPI), item])
            yield ike.unprotected(spis, [item])
    for kind, data in ERRORS:
        for exchange, number in itertools.product(EXCHANGES[:3], MESSAGE_IDS):
            error = Notify(kind, data, critical=bool(number & 1))
            options = {"exchange": exchange, "message_id": number}
            yield ike.unprotected(spis, [error], **options)  # type: ignore[arg-type]
            both = [error, Notify(ike.QCD_TOKEN, token, critical=True)]
            yield ike.unprotected(spis, both, **options)  # type: ignore[arg-type]


def cut(spis: Spis, chance: random.Random) -> Iterator[bytes | Message]:
    """Yield messages cut at every octet, with true and old length, and longer ones."""
    whole = ike.token_message(spis, [chance.randbytes(32), chance.randbytes(32)])
    packed = whole.pack()
    for size in range(len(packed)):
        yield packed[:size]
        body = whole.body[: max(0, size - ike.HEADER_LENGTH)]
        if body:
            yield whole.but(body=body)
    for more in (1, 2, 3, 4, 100, 1000):
        yield packed + bytes(more)
        yield whole.but(body=whole.body + chance.randbytes(more))
        yield whole.but(length=len(packed) + more)
        yield whole.but(length=max(0, len(packed) - more))
    for length in (0, 27, 28, 0x7FFFFFFF, 0xFFFFFFFF):
        yield whole.but(length=length)


def mangled(spis: Spis, chance: random.Random, count: int) -> Iterator[bytes]:
    """Yield messages with random octets changed after the SPIs."""
    whole = ike.token_message(spis, [chance.randbytes(32)]).pack()
    for _ in range(count):
        octets = bytearray(whole)
        for _ in range(chance.randint(1, 6)):
            octets[chance.randrange(16, len(octets))] = chance.randrange(256)
        if octets[16] != ike.NO_PAYLOAD:
            yield bytes(octets)


def all_of_them(
    spis: Spis, chance: random.Random, count: int
) -> list[Message | bytes]:
    """Return at least this many forgeries, in random order.

    Messages without any payload are not included: charon takes them for genuine,
    protected or not.
    """
    found: list[Message | bytes] = []
    for kind in (headers, lengths, notifies, cut):
        found += kind(spis, chance)
    found += mangled(spis, chance, max(0, count - len(found)))
    chance.shuffle(found)
    return found
