# SPDX-License-Identifier: GPL-2.0-or-later
"""Packets of ESP to forge: alone or in UDP, over IPv4 or IPv6."""

import os
import re
import socket
import struct

from lab import ike
from lab.gateway import Gateway, Sa
from lab.wire import IP_HEADER, UDP_HEADER, Address, Packet, checksum, datagram

SIZE = 100
NFT = "/usr/sbin/nft"


def payload(spi: bytes, size: int = SIZE, number: int = 1) -> bytes:
    """Return ESP with that SPI; the encrypted part is random."""
    return (spi + struct.pack("!I", number) + os.urandom(size))[:size]


def in_udp(spi: bytes, source: Address, target: Address, size: int = SIZE) -> bytes:
    """Return an IPv4 packet of ESP in UDP."""
    return datagram(source, target, payload(spi, size))


def alone(spi: bytes, source: str, target: str, size: int = SIZE) -> bytes:
    """Return an IPv4 packet of ESP; the kernel sets the IP checksum."""
    ends = socket.inet_aton(source) + socket.inet_aton(target)
    total = IP_HEADER + size
    head = struct.pack("!BBHHHBBH", 0x45, 0, total, 0, 0, 64, socket.IPPROTO_ESP, 0)
    return head + ends + payload(spi, size)


def alone6(spi: bytes, source: str, target: str, size: int = SIZE) -> bytes:
    """Return an IPv6 packet of ESP."""
    ends = b"".join(socket.inet_pton(socket.AF_INET6, end) for end in (source, target))
    head = struct.pack("!IHBB", 6 << 28, size, socket.IPPROTO_ESP, 64)
    return head + ends + payload(spi, size)


def in_udp6(spi: bytes, source: Address, target: Address, size: int = SIZE) -> bytes:
    """Return an IPv6 packet of ESP in UDP."""
    ends = b"".join(
        socket.inet_pton(socket.AF_INET6, end[0]) for end in (source, target)
    )
    length = UDP_HEADER + size
    inside = payload(spi, size)
    ports = struct.pack("!HHHH", source[1], target[1], length, 0)
    pseudo = ends + struct.pack("!II", length, socket.IPPROTO_UDP)
    code = checksum(pseudo + ports + inside + bytes(length % 2)) or 0xFFFF
    head = struct.pack("!IHBB", 6 << 28, length, socket.IPPROTO_UDP, 64)
    return head + ends + ports[:6] + struct.pack("!H", code) + inside


def child_spi(sa: Sa, way: str, number: int = 0) -> bytes:
    """Return the SPI of a child SA; the way is "in" or "out"."""
    return bytes.fromhex(sa.children[number][f"spi-{way}"])


def tells(packet: Packet) -> bool:
    """Tell whether a packet tells of a lost child SA."""
    return any(item.kind == ike.INVALID_SPI for item in packet.message.notifies())


def ruleset(gateway: Gateway) -> str:
    """Return the nftables ruleset of the gateway."""
    return gateway.host.ns.run(NFT, "list", "ruleset")


def table(gateway: Gateway) -> str:
    """Return our table there, or an empty text."""
    shown = gateway.host.ns.run(NFT, "list", "tables")
    if "table inet qcd" not in shown:
        return ""
    return gateway.host.ns.run(NFT, "list", "table", "inet", "qcd")


def dead(gateway: Gateway) -> set[bytes]:
    """Return the SPIs of lost SAs in the kernel; none if there is no table."""
    ours = ruleset(gateway).partition("table inet qcd {")[2]
    found = re.search(r"set dead \{.*?elements = \{(.*?)\}", ours, re.DOTALL)
    numbers = found.group(1).split(",") if found else []
    return {int(number).to_bytes(4, "big") for number in numbers}
