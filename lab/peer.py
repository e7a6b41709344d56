# SPDX-License-Identifier: GPL-2.0-or-later
"""A peer that is not charon: just enough IKEv2 to get and give tokens.

It supports IKE_SA_INIT, IKE_AUTH with the lab's pre-shared key and one child, and
INFORMATIONAL, with AES-128-CBC, HMAC-SHA-256 and X25519, like the lab's gateways. It
transports no traffic. It only checks the integrity of what it receives, and nothing
else: for the lab only.
"""

import hmac
import os
import select
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.asymmetric.x25519 import (
    X25519PrivateKey,
    X25519PublicKey,
)
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from lab import ike
from lab.config import SECRET
from lab.gateway import Gateway
from lab.ike import Message, Notify
from lab.net import Host
from lab.wait import LabTimeout, deadline, left

SA, KE, ID_I, ID_R, AUTH, NONCE, TS_I, TS_R = 33, 34, 35, 36, 39, 40, 44, 45
NAT_SOURCE, NAT_DESTINATION = 16388, 16389
ID_FQDN, PSK, X25519, TS_IPV4 = 2, 2, 31, 7
ENCR, PRF, INTEG, DH, ESN = 1, 2, 3, 4, 5
AES_128 = struct.pack("!HH", 0x800E, 128)
IKE_TRANSFORMS = [(ENCR, 12, AES_128), (PRF, 5, b""), (INTEG, 12, b""), (DH, 31, b"")]
ESP_TRANSFORMS = [(ENCR, 20, AES_128), (ESN, 0, b"")]
BLOCK, ICV = 16, 16
PAD = b"Key Pad for IKEv2"

Payload = tuple[int, bytes]
Transform = tuple[int, int, bytes]  # type, ID, attribute
Match = Callable[[Message], bool]


def prf(key: bytes, data: bytes) -> bytes:
    return hmac.digest(key, data, "sha256")


def prf_plus(key: bytes, seed: bytes, size: int) -> bytes:
    """Compute prf+ of RFC 7296 section 2.13."""
    out = block = b""
    while len(out) < size:
        block = prf(key, block + seed + bytes([len(out) // 32 + 1]))
        out += block
    return out[:size]


def chain(payloads: list[Payload]) -> tuple[int, bytes]:
    """Return the type of the first payload and the octets of all payloads."""
    octets = b""
    kinds = [kind for kind, _ in payloads] + [ike.NO_PAYLOAD]
    for (_, body), following in zip(payloads, kinds[1:]):
        octets += struct.pack("!BBH", following, 0, 4 + len(body)) + body
    return kinds[0], octets


def proposal(protocol: int, spi: bytes, transforms: list[Transform]) -> bytes:
    """Return the body of an SA payload with one proposal."""
    octets = b""
    for number, (kind, value, attribute) in enumerate(transforms, start=1):
        more = 3 if number < len(transforms) else 0
        size = 8 + len(attribute)
        octets += struct.pack("!BBHBBH", more, 0, size, kind, 0, value) + attribute
    size = 8 + len(spi) + len(octets)
    head = struct.pack("!BBHBBBB", 0, 0, size, 1, protocol, len(spi), len(transforms))
    return head + spi + octets


def selector(host: Host) -> bytes:
    """Return the body of a TS payload for the network inside."""
    net = socket.inet_aton(host.inside)[:3]
    ends = struct.pack("!HH", 0, 65535) + net + b"\0" + net + b"\xff"
    return struct.pack("!B3xBBH", 1, TS_IPV4, 0, 4 + len(ends)) + ends


def identity(name: str) -> bytes:
    """Return the body of an ID payload."""
    return struct.pack("!B3x", ID_FQDN) + f"{name}.lab".encode()


def notify_payloads(notifies: list[Notify]) -> list[Payload]:
    return [(ike.NOTIFY, item.body()) for item in notifies]


@dataclass
class Sa:
    """An IKE SA of the peer; `theirs` is what the gateway sent in IKE_AUTH."""

    spi_i: bytes
    spi_r: bytes = ike.ZERO_SPI
    initiator: bool = True  # whether the peer is the initiator
    first: dict[bool, bytes] = field(default_factory=dict)  # by "is ours"
    nonces: dict[bool, bytes] = field(default_factory=dict)
    keys: dict[str, bytes] = field(default_factory=dict)
    next_id: int = 1
    theirs: list[Payload] = field(default_factory=list)

    @property
    def spis(self) -> tuple[bytes, bytes]:
        return self.spi_i, self.spi_r

    @property
    def flag(self) -> int:
        return ike.FLAG_I if self.initiator else 0

    def derive(self, shared: bytes) -> None:
        """Derive the keys, RFC 7296 section 2.14."""
        nonces = self.nonces[self.initiator] + self.nonces[not self.initiator]
        octets = prf_plus(prf(nonces, shared), nonces + b"".join(self.spis), 224)
        for name, size in (
            *(("d", 32), ("ai", 32), ("ar", 32)),
            *(("ei", 16), ("er", 16), ("pi", 32), ("pr", 32)),
        ):
            self.keys[name], octets = octets[:size], octets[size:]

    def key(self, kind: str, ours: bool = True) -> bytes:
        return self.keys[kind + ("i" if self.initiator is ours else "r")]

    def auth(self, ident: bytes) -> bytes:
        """Return the body of our AUTH payload, RFC 7296 section 2.15."""
        signed = self.first[True] + self.nonces[False] + prf(self.key("p"), ident)
        return struct.pack("!B3x", PSK) + prf(prf(SECRET.encode(), PAD), signed)

    def seal(self, message: Message, payloads: list[Payload]) -> bytes:
        """Return the message with these payloads protected."""
        kind, plain = chain(payloads)
        pad = -(len(plain) + 1) % BLOCK
        plain += bytes(pad) + bytes([pad])
        start = os.urandom(BLOCK)
        cipher = Cipher(algorithms.AES(self.key("e")), modes.CBC(start)).encryptor()
        inner = start + cipher.update(plain) + cipher.finalize()
        head = struct.pack("!BBH", kind, 0, 4 + len(inner) + ICV)
        whole = message.but(next_payload=ike.SK, body=head + inner + bytes(ICV)).pack()
        return whole[:-ICV] + prf(self.key("a"), whole[:-ICV])[:ICV]

    def open(self, message: Message) -> list[Payload]:
        """Return the payloads of a protected message."""
        whole = message.pack()
        code = prf(self.key("a", False), whole[:-ICV])[:ICV]
        assert hmac.compare_digest(code, whole[-ICV:]), f"bad integrity: {message}"
        kind, start = message.body[0], message.body[4 : 4 + BLOCK]
        cipher = Cipher(algorithms.AES(self.key("e", False)), modes.CBC(start))
        reader = cipher.decryptor()
        plain = reader.update(message.body[4 + BLOCK : -ICV]) + reader.finalize()
        inner = message.but(next_payload=kind, body=plain[: -1 - plain[-1]])
        return [(kind, body) for kind, _, body in inner.payloads()]


def tokens(payloads: list[Payload]) -> list[Notify]:
    """Return the QCD_TOKEN notifies among payloads."""
    found = [Notify.parse(body) for kind, body in payloads if kind == ike.NOTIFY]
    return [item for item in found if item.kind == ike.QCD_TOKEN]


class Peer:
    """Runs at a host in place of its gateway; use it in a `with`.

        with Peer(lab.b.host, lab.a) as peer:
            sa = peer.connect([Notify(ike.QCD_TOKEN, token)])
            peer.show(sa, [Notify(ike.INVALID_IKE_SPI), Notify(ike.QCD_TOKEN, token)])
    """

    def __init__(self, host: Host, gateway: Gateway) -> None:
        self.host = host
        self.gateway = gateway
        self._sockets = {port: self._socket(port) for port in (500, 4500)}

    def _socket(self, port: int) -> socket.socket:
        sock = self.host.ns.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.bind((self.host.address, port))
        return sock

    def __enter__(self) -> "Peer":
        return self

    def __exit__(self, *_: object) -> None:
        for sock in self._sockets.values():
            sock.close()

    # --- messages ---------------------------------------------------------

    def send(self, data: Message | bytes, port: int = 4500) -> None:
        octets = data if isinstance(data, bytes) else data.pack()
        marker = b"" if port == 500 else ike.MARKER
        self._sockets[port].sendto(marker + octets, (self.gateway.host.address, port))

    def receive(self, what: str, match: Match, timeout: float = 5.0) -> Message:
        """Wait for an IKE message that matches; ignore others."""
        until = deadline(timeout)
        while left(until) > 0:
            ready, _, _ = select.select(self._sockets.values(), [], [], left(until))
            for sock in ready:
                message = self._read(sock)
                if message and match(message):
                    return message
        raise LabTimeout(
            f"peer {self.host.name}: waited {timeout:g} s for {what}\n"
            f"{self.gateway.tail()}"
        )

    def _read(self, sock: socket.socket) -> Message | None:
        data = sock.recv(65536)
        if sock is self._sockets[4500]:
            if not data.startswith(ike.MARKER):
                return None  # ESP or a keepalive
            data = data[len(ike.MARKER) :]
        return Message.parse(data)

    def request_of(self, sa: Sa, exchange: int | None = None) -> Message:
        """Wait for a request from the gateway on that SA."""
        return self.receive(
            "a request of the gateway's",
            lambda m: (m.spi_i, m.spi_r) == sa.spis
            and not m.is_response
            and exchange in (None, m.exchange),
        )

    def request(self, sa: Sa, exchange: int, payloads: list[Payload]) -> list[Payload]:
        """Send a protected request; return the payloads of the response."""
        number, sa.next_id = sa.next_id, sa.next_id + 1
        message = Message(*sa.spis, exchange, sa.flag, number)
        self.send(sa.seal(message, payloads))
        answer = self.receive(
            f"the response to exchange {exchange}",
            lambda m: m.protected and m.is_response and m.message_id == number,
        )
        return sa.open(answer)

    def respond(self, sa: Sa, request: Message, payloads: list[Payload]) -> None:
        answer = request.but(flags=sa.flag | ike.FLAG_R)
        self.send(sa.seal(answer, payloads))

    def inform(self, sa: Sa, notifies: list[Notify]) -> list[Payload]:
        """Send a protected INFORMATIONAL with these notifies."""
        return self.request(sa, ike.INFORMATIONAL, notify_payloads(notifies))

    def show(
        self, sa: Sa, notifies: list[Notify], request: Message | None = None
    ) -> None:
        """Send these in cleartext, as a reply or an announcement of a lost SA."""
        asked = request or Message(*sa.spis, ike.INFORMATIONAL)
        self.send(
            ike.unprotected(
                sa.spis,
                notifies,
                exchange=asked.exchange,
                flags=sa.flag | ike.FLAG_R,
                message_id=asked.message_id,
            )
        )

    # --- an SA ------------------------------------------------------------

    def connect(self, notifies: list[Notify] | None = None) -> Sa:
        """Establish an SA as its initiator; the notifies follow AUTH."""
        sa = Sa(os.urandom(8))
        private = X25519PrivateKey.generate()
        begin = Message(*sa.spis, ike.IKE_SA_INIT, ike.FLAG_I)
        sa.first[True] = self.init_message(sa, private, begin)
        self.send(sa.first[True], 500)
        answer = self.receive(
            "the response to IKE_SA_INIT",
            lambda m: m.exchange == ike.IKE_SA_INIT and m.spi_i == sa.spi_i,
        )
        sa.spi_r = answer.spi_r
        self._agree(sa, private, answer)
        sa.theirs = self.request(sa, ike.IKE_AUTH, self._auth(sa, notifies or []))
        assert SA in [kind for kind, _ in sa.theirs], "the gateway refused the child"
        return sa

    def accept_init(self) -> Sa:
        """Respond to the gateway's IKE_SA_INIT."""
        asked = self.receive(
            "IKE_SA_INIT",
            lambda m: m.exchange == ike.IKE_SA_INIT and not m.is_response,
        )
        sa = Sa(asked.spi_i, os.urandom(8), initiator=False)
        private = X25519PrivateKey.generate()
        answer = Message(*sa.spis, ike.IKE_SA_INIT, ike.FLAG_R)
        sa.first[True] = self.init_message(sa, private, answer)
        self._agree(sa, private, asked)
        self.send(sa.first[True], 500)
        return sa

    def accept(self, notifies: list[Notify] | None = None) -> Sa:
        """Accept the gateway's SA as its responder."""
        sa = self.accept_init()
        asked = self.request_of(sa, ike.IKE_AUTH)
        sa.theirs = sa.open(asked)
        self.respond(sa, asked, self._auth(sa, notifies or []))
        return sa

    def answer_to(self, sa: Sa, notifies: list[Notify]) -> list[Payload]:
        """Return our response to the IKE_AUTH of the gateway's SA."""
        return self._auth(sa, notifies)

    @staticmethod
    def init_message(sa: Sa, private: X25519PrivateKey, message: Message) -> bytes:
        """Return our IKE_SA_INIT, with random NAT hashes: both use port 4500 then."""
        public = private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        sa.nonces[True] = os.urandom(32)
        kind, body = chain(
            [
                (SA, proposal(ike.PROTO_IKE, b"", IKE_TRANSFORMS)),
                (KE, struct.pack("!HH", X25519, 0) + public),
                (NONCE, sa.nonces[True]),
                *notify_payloads(
                    [Notify(n, os.urandom(20)) for n in (NAT_SOURCE, NAT_DESTINATION)]
                ),
            ]
        )
        return message.but(next_payload=kind, body=body).pack()

    @staticmethod
    def _agree(sa: Sa, private: X25519PrivateKey, theirs: Message) -> None:
        """Derive the keys from the other side's IKE_SA_INIT."""
        sa.first[False] = theirs.pack()
        bodies = {kind: body for kind, _, body in theirs.payloads()}
        sa.nonces[False] = bodies[NONCE]
        sa.derive(private.exchange(X25519PublicKey.from_public_bytes(bodies[KE][4:])))

    def _auth(self, sa: Sa, notifies: list[Notify]) -> list[Payload]:
        """Return our IKE_AUTH."""
        ident = identity(self.host.name)
        ends = [self.host, self.gateway.host]
        if not sa.initiator:
            ends.reverse()
        return [
            (ID_I if sa.initiator else ID_R, ident),
            (AUTH, sa.auth(ident)),
            *notify_payloads(notifies),
            (SA, proposal(ike.PROTO_ESP, os.urandom(4), ESP_TRANSFORMS)),
            (TS_I, selector(ends[0])),
            (TS_R, selector(ends[1])),
        ]
