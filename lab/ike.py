# SPDX-License-Identifier: GPL-2.0-or-later
"""IKE messages to read and to forge: every field of the header can be set."""

import os
import struct
from dataclasses import dataclass, replace

IKE_SA_INIT, IKE_AUTH, CREATE_CHILD_SA, INFORMATIONAL = 34, 35, 36, 37
IKE_SESSION_RESUME = 38
NO_PAYLOAD, NOTIFY, SK, SKF = 0, 41, 46, 53
FLAG_I, FLAG_V, FLAG_R = 0x08, 0x10, 0x20
INVALID_IKE_SPI, INVALID_SPI, INVALID_KE_PAYLOAD, QCD_TOKEN = 4, 11, 17, 16419
PROTO_NONE, PROTO_IKE, PROTO_AH, PROTO_ESP = 0, 1, 2, 3
VERSION = 0x20
HEADER_LENGTH = 28
ZERO_SPI = bytes(8)
MARKER = bytes(4)

_HEADER = struct.Struct("!8s8sBBBBII")


@dataclass(frozen=True)
class Notify:
    """A notify payload."""

    kind: int
    data: bytes = b""
    protocol: int = PROTO_NONE
    spi: bytes = b""
    spi_size: int | None = None  # forged value, if not the real one
    critical: bool = False

    def body(self) -> bytes:
        size = len(self.spi) if self.spi_size is None else self.spi_size
        fields = struct.pack("!BBH", self.protocol, size, self.kind)
        return fields + self.spi + self.data

    @classmethod
    def parse(cls, body: bytes, critical: bool = False) -> "Notify":
        protocol, spi_size, kind = struct.unpack_from("!BBH", body)
        spi, data = body[4 : 4 + spi_size], body[4 + spi_size :]
        return cls(kind, data, protocol, spi, None, critical)


@dataclass(frozen=True)
class Message:
    """An IKE message; `body` is everything after the header."""

    spi_i: bytes
    spi_r: bytes
    exchange: int
    flags: int = 0
    message_id: int = 0
    next_payload: int = NO_PAYLOAD
    body: bytes = b""
    version: int = VERSION
    length: int | None = None  # forged value, if not the real one

    def pack(self) -> bytes:
        length = HEADER_LENGTH + len(self.body) if self.length is None else self.length
        return (
            _HEADER.pack(
                self.spi_i,
                self.spi_r,
                self.next_payload,
                self.version,
                self.exchange,
                self.flags,
                self.message_id,
                length,
            )
            + self.body
        )

    @classmethod
    def parse(cls, data: bytes) -> "Message":
        """Read a message; ValueError if it is shorter than a header."""
        if len(data) < HEADER_LENGTH:
            raise ValueError(f"{len(data)} octets are no IKE message")
        spi_i, spi_r, following, version, exchange, flags, number, length = (
            _HEADER.unpack_from(data)
        )
        return cls(
            spi_i,
            spi_r,
            exchange,
            flags,
            message_id=number,
            next_payload=following,
            body=data[HEADER_LENGTH:],
            version=version,
            length=None if length == len(data) else length,
        )

    def __str__(self) -> str:
        role = ("I" if self.from_initiator else "-") + (
            "R" if self.is_response else "-"
        )
        return (
            f"exchange {self.exchange} {role} id {self.message_id} payload "
            f"{self.next_payload} {self.spi_i.hex()}_{self.spi_r.hex()}"
        )

    def but(self, **changes: object) -> "Message":
        """Return a copy with some fields changed."""
        return replace(self, **changes)  # type: ignore[arg-type]

    @property
    def is_response(self) -> bool:
        return bool(self.flags & FLAG_R)

    @property
    def from_initiator(self) -> bool:
        return bool(self.flags & FLAG_I)

    @property
    def protected(self) -> bool:
        return self.next_payload in (SK, SKF)

    def payloads(self) -> list[tuple[int, bool, bytes]]:
        """Return the cleartext payloads: type, critical bit, body; else ValueError."""
        found = []
        kind, rest = self.next_payload, self.body
        while kind != NO_PAYLOAD:
            if len(rest) < 4:
                raise ValueError("a payload's header is cut off")
            following, flags, length = struct.unpack_from("!BBH", rest)
            if not 4 <= length <= len(rest):
                raise ValueError(f"a payload says that it has {length} octets")
            found.append((kind, bool(flags & 0x80), rest[4:length]))
            if kind in (SK, SKF):
                return found
            kind, rest = following, rest[length:]
        if rest:
            raise ValueError(f"{len(rest)} octets follow the last payload")
        return found

    def notifies(self) -> list[Notify]:
        """Return the cleartext notifies; none if protected or malformed."""
        try:
            return [
                Notify.parse(body, critical)
                for kind, critical, body in self.payloads()
                if kind == NOTIFY and len(body) >= 4
            ]
        except ValueError:
            return []

    def tokens(self) -> list[bytes]:
        """Return the QCD tokens that the message shows in cleartext."""
        return [item.data for item in self.notifies() if item.kind == QCD_TOKEN]


def notify_chain(notifies: list[Notify]) -> bytes:
    """Return the octets of notify payloads, one after the other."""
    chain = b""
    for number, item in enumerate(notifies):
        following = NOTIFY if number + 1 < len(notifies) else NO_PAYLOAD
        body = item.body()
        flags = 0x80 if item.critical else 0
        chain += struct.pack("!BBH", following, flags, 4 + len(body)) + body
    return chain


def unprotected(
    spis: tuple[bytes, bytes],
    notifies: list[Notify],
    *,
    exchange: int = INFORMATIONAL,
    flags: int = FLAG_R,
    message_id: int = 0,
) -> Message:
    """Return a cleartext message that contains only notifies."""
    return Message(
        *spis,
        exchange=exchange,
        flags=flags,
        message_id=message_id,
        next_payload=NOTIFY if notifies else NO_PAYLOAD,
        body=notify_chain(notifies),
    )


def token_message(
    spis: tuple[bytes, bytes],
    tokens: list[bytes],
    *,
    first: Notify | None = Notify(INVALID_IKE_SPI),
    exchange: int = INFORMATIONAL,
    flags: int = FLAG_R,
    message_id: int = 0,
) -> Message:
    """Return the reply of a token maker: INVALID_IKE_SPI, then tokens."""
    notifies = [first] if first else []
    notifies += [Notify(QCD_TOKEN, token) for token in tokens]
    return unprotected(
        spis, notifies, exchange=exchange, flags=flags, message_id=message_id
    )


def protected_request(
    spis: tuple[bytes, bytes],
    *,
    exchange: int = INFORMATIONAL,
    flags: int = FLAG_I,
    message_id: int = 2,
    payload: int = SK,
    size: int = 80,
) -> Message:
    """Return a request of that many octets that looks protected."""
    inner = size - HEADER_LENGTH - 4
    if inner < 0:
        raise ValueError(f"a protected request has no room in {size} octets")
    body = struct.pack("!BBH", NO_PAYLOAD, 0, 4 + inner) + os.urandom(inner)
    return Message(
        *spis,
        exchange=exchange,
        flags=flags,
        message_id=message_id,
        next_payload=payload,
        body=body,
    )
