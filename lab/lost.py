# SPDX-License-Identifier: GPL-2.0-or-later
"""A gateway that lost many SAs, without the peers: a program makes its map."""

import os
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from lab import esp, ike
from lab.control import REPO
from lab.gateway import Gateway
from lab.peer import Peer
from lab.peer import Sa as PeerSa
from lab.wire import Forger, Packet

MAKE_LOST = Path(os.environ.get("QCD_MAKE_LOST", REPO / "build" / "test" / "make_lost"))
# Nobody has these addresses, so packets to them end at the stranger.
FIRST_PEER = "198.18.0.1"


@dataclass(frozen=True)
class Lost:
    """A lost child SA."""

    spi: bytes
    spi_i: bytes
    spi_r: bytes
    peer: str

    def packet(self, gateway: Gateway, source: str | None = None) -> bytes:
        """Return a packet of its ESP in UDP, from the peer or from another address."""
        target = (gateway.host.address, 4500)
        return esp.in_udp(self.spi, (source or self.peer, 4500), target)


def lose_many(gateway: Gateway, count: int, same: int = 0) -> list[Lost]:
    """Let the gateway, which must be down, lose an SA with each of this many peers.

    The first ones have the same address, as behind a NAT.
    """
    assert not gateway.alive
    us = gateway.host.address
    argv = [MAKE_LOST, gateway.places.state, 0, us, FIRST_PEER, count, same]
    done = subprocess.run(
        [*map(str, argv)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"make_lost: {done.stderr}"
    lost = []
    for line in done.stdout.splitlines():
        *spis, peer = line.split()
        lost.append(Lost(*map(bytes.fromhex, spis), peer))
    return lost


def child_of(packet: Packet) -> bytes:
    """Return the SPI of the child SA that a message tells of."""
    for item in packet.message.notifies():
        if item.kind == ike.INVALID_SPI:
            return item.data
    raise AssertionError(f"{packet} tells of no lost SA")


def most_within(packets: Iterable[Packet], seconds: float) -> int:
    """Return the maximum number of packets in any period of that length."""
    times = [packet.time for packet in packets]
    first = most = 0
    for last, when in enumerate(times):
        while when - times[first] > seconds:
            first += 1
        most = max(most, last - first + 1)
    return most


def init_request() -> ike.Message:
    """Return an IKE_SA_INIT that the gateway accepts."""
    sa = PeerSa(os.urandom(8))
    begin = ike.Message(*sa.spis, ike.IKE_SA_INIT, ike.FLAG_I)
    octets = Peer.init_message(sa, X25519PrivateKey.generate(), begin)
    return ike.Message.parse(octets)


def forge_handshakes(
    gateway: Gateway, forger: Forger, sources: Iterable[str], request: ike.Message
) -> None:
    """Begin a handshake in the name of each source with this IKE_SA_INIT."""
    for source in sources:
        another = request.but(spi_i=os.urandom(8))
        forger.send(another, (gateway.host.address, 500), (source, 500))


def begin_handshakes(
    gateway: Gateway, forger: Forger, count: int, each: int = 1
) -> list[str]:
    """Make half-open SAs: IKE_SA_INIT from this many addresses, nothing after it.

    Return these addresses.
    """
    sources = [f"198.19.{number >> 8 & 255}.{number & 255}" for number in range(count)]
    forge_handshakes(gateway, forger, sources * each, init_request())
    return sources


def half_open(gateway: Gateway) -> int:
    """Return the number of half-open SAs of the gateway."""
    return int(gateway.command("stats")["ikesas"]["half-open"])
