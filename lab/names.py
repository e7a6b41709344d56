# SPDX-License-Identifier: GPL-2.0-or-later
"""A name server inside a gateway's namespace, which responds, is slow, or is silent."""

import select
import socket
import struct
import time

from lab.net import Netns
from lab.reader import Reader

ADDRESS = "127.0.0.1"
PORT = 53
HEADER = struct.Struct("!HHHHHH")
TYPE_A = 1
ANSWER = struct.Struct("!HHHIH")
POINTER = 0xC00C  # to the name in the question, which follows the header


class Resolver(Reader):
    """Responds to the queries of a gateway while in a `with`.

    `records` and `delay` may be changed at any time; a delay of None means silence.
    """

    def __init__(
        self,
        ns: Netns,
        records: dict[str, str],
        delay: float | None = 0.0,
        address: str = ADDRESS,
    ) -> None:
        self.records = records
        self.delay = delay
        self.asked = 0
        super().__init__(ns.socket(socket.AF_INET, socket.SOCK_DGRAM))
        self._sock.bind((address, PORT))

    def _read(self) -> None:
        waiting: list[tuple[float, bytes, tuple[str, int]]] = []
        while True:
            timeout = None
            if waiting:
                timeout = max(0.0, waiting[0][0] - time.monotonic())
            ready, _, _ = select.select([self._sock, self._wake], [], [], timeout)
            if self._wake in ready:
                return
            if ready:
                query, client = self._sock.recvfrom(4096)
                self.asked += 1
                if self.delay is not None:
                    due = time.monotonic() + self.delay
                    waiting.append((due, self._answer(query), client))
            waiting.sort(key=lambda item: item[0])
            while waiting and waiting[0][0] <= time.monotonic():
                _, answer, client = waiting.pop(0)
                self._sock.sendto(answer, client)

    def _answer(self, query: bytes) -> bytes:
        ident, flags, *_ = HEADER.unpack_from(query)
        labels, at = [], HEADER.size
        while query[at]:
            labels.append(query[at + 1 : at + 1 + query[at]].decode())
            at += 1 + query[at]
        (kind,) = struct.unpack_from("!H", query, at + 1)
        question = query[HEADER.size : at + 5]
        address = self.records.get(".".join(labels).lower())
        found = address is not None and kind == TYPE_A
        code = 0 if address is not None else 3  # no such name
        reply = HEADER.pack(ident, 0x8180 | (flags & 0x0100) | code, 1, found, 0, 0)
        reply += question
        if found:
            assert address is not None
            reply += ANSWER.pack(POINTER, TYPE_A, 1, 0, 4) + socket.inet_aton(address)
        return reply
