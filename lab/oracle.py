# SPDX-License-Identifier: GPL-2.0-or-later
"""Gateways that show tokens in wrong ways, for those who look for such gateways."""

import hashlib
import hmac
import os
import select
import socket
import struct
import threading
import time
from collections import deque
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from lab import ike
from lab.ike import MARKER, Message
from lab.net import Netns
from lab.peer import Peer, Sa

INVALID_KE_PAYLOAD = 17
MODP_2048 = 14
KE = 34
PORTS = (500, 4500)


@dataclass(frozen=True)
class Manners:
    """What a gateway does; the defaults break no rule.

    It makes its tokens as in RFC 6290 section 5.1, for any SPIs, and has the IKE SAs
    that IKE_SA_INIT begins.
    """

    shows_live: bool = False  # shows tokens of these IKE SAs as well
    answers_responses: bool = False
    answers_unprotected: bool = False
    answers_shown: bool = False  # unprotected messages that are responses
    answers_zero: bool = False
    answers_init: bool = False  # protected IKE_SA_INIT
    forgets: bool = False  # makes another token each time
    constant: bool = False  # makes the same token for all IKE SAs
    tokens: int = 1
    octets: int = 32
    protocol: int = ike.PROTO_NONE
    copies: int = 1  # of each reply
    limit: int | None = 5  # replies a second
    tells: bool = True  # shows tokens, not INVALID_IKE_SPI alone
    group: int | None = None  # wants this one in IKE_SA_INIT
    delay: float = 0  # seconds before each answer


class Oracle:
    """Such a gateway in a namespace, at both ports of IKE; use it in a `with`."""

    def __init__(self, ns: Netns, manners: Manners = Manners()) -> None:
        self.manners = manners
        self._sockets = {self._bind(ns, port): port for port in PORTS}
        self._secret = os.urandom(32)
        self._begun: dict[bytes, tuple[tuple[bytes, bytes], bytes]] = {}
        self._sent: deque[float] = deque()
        self._timers: list[threading.Timer] = []
        self._stop, self._stopped = os.pipe()
        self._thread = threading.Thread(target=self._run, daemon=True)

    @staticmethod
    def _bind(ns: Netns, port: int) -> socket.socket:
        made = ns.socket(socket.AF_INET6, socket.SOCK_DGRAM)
        made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        made.bind(("::", port))
        return made

    def __enter__(self) -> "Oracle":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        os.write(self._stopped, b".")
        self._thread.join()
        for later in self._timers:
            later.join()
        for item in self._sockets:
            item.close()
        os.close(self._stop)
        os.close(self._stopped)

    def _run(self) -> None:
        while True:
            ready, _, _ = select.select([*self._sockets, self._stop], [], [])
            if self._stop in ready:
                return
            for item in ready:
                self._serve(item)

    def _serve(self, item: socket.socket) -> None:
        data, source = item.recvfrom(65536)
        marker = MARKER if self._sockets[item] == 4500 else b""
        if not data.startswith(marker):
            return
        try:
            answer = self._answer(Message.parse(data[len(marker) :]))
        except ValueError:
            return
        if answer is None:
            return
        later = threading.Timer(
            self.manners.delay, self._send, (item, marker + answer, source)
        )
        self._timers.append(later)
        later.start()

    def _send(self, item: socket.socket, data: bytes, source: object) -> None:
        for _ in range(self.manners.copies):
            item.sendto(data, source)  # type: ignore[call-overload]

    def _answer(self, asked: Message) -> bytes | None:
        if asked.exchange == ike.IKE_SA_INIT and asked.spi_r == ike.ZERO_SPI:
            return None if asked.protected else self._begin(asked)
        return self._reply(asked) if self._is_due(asked) else None

    def _begin(self, asked: Message) -> bytes:
        """Begin an IKE SA, or answer as before if the request is repeated."""
        bodies = {kind: body for kind, _, body in asked.payloads()}
        (group,) = struct.unpack_from("!H", bodies[KE])
        if self.manners.group not in (None, group):
            refusal = ike.Notify(
                INVALID_KE_PAYLOAD, struct.pack("!H", self.manners.group)
            )
            return ike.unprotected(
                (asked.spi_i, ike.ZERO_SPI), [refusal], exchange=ike.IKE_SA_INIT
            ).pack()
        if asked.body not in self._begun:
            sa = Sa(asked.spi_i, os.urandom(8), initiator=False)
            begin = Message(*sa.spis, ike.IKE_SA_INIT, ike.FLAG_R)
            answer = Peer.init_message(sa, X25519PrivateKey.generate(), begin)
            self._begun[asked.body] = (sa.spis, answer)
        return self._begun[asked.body][1]

    def _is_due(self, asked: Message) -> bool:
        manners = self.manners
        spis = (asked.spi_i, asked.spi_r)
        exceptions = (
            (any(spis == live for live, _ in self._begun.values()), manners.shows_live),
            (asked.is_response and asked.protected, manners.answers_responses),
            (asked.is_response and not asked.protected, manners.answers_shown),
            (not (asked.is_response or asked.protected), manners.answers_unprotected),
            (ike.ZERO_SPI in spis, manners.answers_zero),
            (asked.exchange == ike.IKE_SA_INIT, manners.answers_init),
            (asked.version != ike.VERSION, False),
        )
        return all(allowed for applies, allowed in exceptions if applies)

    def _is_limited(self) -> bool:
        now = time.monotonic()
        while self._sent and self._sent[0] < now - 1:
            self._sent.popleft()
        if self.manners.limit is not None and len(self._sent) >= self.manners.limit:
            return True
        self._sent.append(now)
        return False

    def _token(self, asked: Message, number: int) -> bytes:
        key = os.urandom(32) if self.manners.forgets else self._secret
        spis = b"" if self.manners.constant else asked.spi_i + asked.spi_r
        token = b""
        while len(token) < self.manners.octets:
            block = struct.pack("!II", number, len(token)) + spis
            token += hmac.new(key, block, hashlib.sha256).digest()
        return token[: self.manners.octets]

    def _reply(self, asked: Message) -> bytes | None:
        if self._is_limited():
            return None
        count = self.manners.tokens if self.manners.tells else 0
        notifies = [ike.Notify(ike.INVALID_IKE_SPI)]
        notifies += [
            ike.Notify(ike.QCD_TOKEN, self._token(asked, number), self.manners.protocol)
            for number in range(count)
        ]
        return ike.unprotected(
            (asked.spi_i, asked.spi_r),
            notifies,
            exchange=asked.exchange,
            flags=(asked.flags ^ ike.FLAG_I) | ike.FLAG_R,
            message_id=asked.message_id,
        ).pack()
