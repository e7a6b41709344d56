# SPDX-License-Identifier: GPL-2.0-or-later
"""A stranger that asks a gateway about SAs, each time from another address."""

import itertools
from collections.abc import Iterable

from lab import ike
from lab.gateway import Gateway
from lab.net import Host
from lab.wait import wait_until
from lab.wire import Address, Forger, Packet, Sniffer

INVALID_MAJOR_VERSION = 5
Spis = tuple[bytes, bytes]


class Asker:
    """Sends messages to a gateway and sees everything that it sends.

    Use it in a `with`. All the addresses are the stranger's: packets to them end at its
    host.
    """

    def __init__(self, stranger: Host, gateway: Gateway) -> None:
        self.gateway = gateway
        self.wire = Sniffer(gateway.host, outgoing=True)
        self._forger = Forger(stranger)
        self._numbers = itertools.count(1)

    def __enter__(self) -> "Asker":
        self.wire.__enter__()
        return self

    def __exit__(self, *exc: object) -> None:
        self.wire.__exit__(*exc)
        self._forger.close()

    def source(self, port: int = 4500) -> Address:
        """Return an address that was not used before, since limits are per source."""
        number = next(self._numbers)
        return f"198.18.{number >> 8 & 255}.{number & 255}", port

    def send(
        self,
        message: ike.Message | bytes,
        port: int = 4500,
        source: Address | None = None,
    ) -> Address:
        """Send a message to a port of the gateway; return the source address."""
        start = source or self.source(port)
        self._forger.send(message, (self.gateway.host.address, port), start)
        return start

    def flow(
        self,
        messages: Iterable[tuple[ike.Message | bytes, int, Address | None]],
        at_once: int = 100,
    ) -> int:
        """Send many messages, as fast as the gateway takes them without loss."""
        before = self._drops()
        count = 0
        for message, port, source in messages:
            self.send(message, port, source)
            count += 1
            if count % at_once == 0:
                self._wait_received()
        self.settle()
        lost = self._drops() - before
        assert lost == 0, f"{lost} forged messages never reached charon"
        return count

    def _drops(self) -> int:
        ns = self.gateway.host.ns
        return ns.udp_drops(500) + ns.udp_drops(4500)

    def _wait_received(self) -> None:
        ns = self.gateway.host.ns
        wait_until(
            "charon to read its sockets",
            lambda: ns.udp_waiting(500) + ns.udp_waiting(4500) == 0,
            10,
            self.gateway.tail,
        )

    def ask(self, request: ike.Message, port: int = 4500) -> Packet:
        """Send a request and return the reply."""
        since = self.wire.count
        source = self.send(request, port)
        return self.wire.wait(
            f"the answer to {request}", lambda p: p.target == source, since=since
        )

    def tokens(self, spis: Spis, *, to_responder: bool = True) -> list[bytes]:
        """Return the tokens that the gateway shows for a dead SA with these SPIs."""
        flags = ike.FLAG_I if to_responder else 0
        return self.ask(ike.protected_request(spis, flags=flags)).message.tokens()

    def settle(self) -> None:
        """Return when the gateway has handled everything that it was sent.

        charon's receiver itself responds to a message of another major version, in
        order. After that, no job may be left.
        """
        future = ike.Message(b"v" * 8, bytes(8), ike.INFORMATIONAL, version=0x30)
        for port in (500, 4500):
            answer = self.ask(future, port)
            assert answer.message.notifies()[0].kind == INVALID_MAJOR_VERSION
        self.gateway.wait_idle()

    def replies(self) -> list[Packet]:
        """Return the gateway's cleartext messages that name a lost SA or a token."""
        kinds = (ike.INVALID_IKE_SPI, ike.INVALID_SPI, ike.QCD_TOKEN)
        return self.wire.find(
            lambda p: any(item.kind in kinds for item in p.message.notifies())
        )
