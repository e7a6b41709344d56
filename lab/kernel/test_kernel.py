# SPDX-License-Identifier: GPL-2.0-or-later
"""What Debian's kernel can do for packets of lost SAs in a network namespace.

An nftables rule looks for SPIs in a set and passes a few of the matching packets to
NFLOG. The modules are loaded on demand.
"""

import os
import select
import socket
import struct

import pytest

from lab.config import Config
from lab.net import Netns
from lab.scenario import Lab
from lab.wait import deadline, left

GROUP = 5
SPI = 0x12345678
RULES = f"""
table inet t {{
 set dead {{ typeof esp spi; flags dynamic, timeout; elements = {{ {SPI:#x} }}; }}
 chain seen {{
  type filter hook input priority -10; policy accept;
  meta l4proto esp @th,0,32 @dead limit rate 5/second burst 5 packets \
counter log group {GROUP} snaplen 128
  udp dport 4500 @th,64,32 @dead limit rate 5/second burst 5 packets \
counter log group {GROUP} snaplen 128
 }}
}}
"""
NETFILTER = 12
NFNL_SUBSYS_ULOG = 4
CONFIG, PACKET = 1, 0
BIND, COPY_ALL = 1, 2


def nflog(ns: Netns) -> socket.socket:
    """Return a netlink socket that receives what NFLOG has for the group."""
    sock = ns.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETFILTER)
    sock.bind((0, 0))
    command = struct.pack("HHBxxx", 5, 1, BIND)
    mode = struct.pack("HHIBx", 10, 2, socket.htonl(256), COPY_ALL) + bytes(2)
    for attribute in (command, mode):
        body = struct.pack("!BBH", socket.AF_UNSPEC, 0, GROUP) + attribute
        kind = NFNL_SUBSYS_ULOG << 8 | CONFIG
        sock.send(struct.pack("IHHII", 16 + len(body), kind, 5, 1, 0) + body)
        answer = sock.recv(4096)
        (error,) = struct.unpack_from("i", answer, 16)
        assert error == 0, os.strerror(-error)
    return sock


def logged(sock: socket.socket) -> bytes:
    until = deadline(5)
    while True:
        ready, _, _ = select.select([sock], [], [], left(until))
        assert ready, "nothing from NFLOG"
        data = sock.recv(65536)
        if struct.unpack_from("H", data, 4)[0] == NFNL_SUBSYS_ULOG << 8 | PACKET:
            return data


@pytest.mark.parametrize("udp", [False, True], ids=["esp", "esp-in-udp"])
@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6], ids=["4", "6"])
def test_spis_in_a_set(family: socket.AddressFamily, udp: bool) -> None:
    with Lab(Config(qcd=False)) as lab:
        ns = lab.a.host.ns
        ns.sysctl("net.ipv6.conf.all.disable_ipv6", 0)
        ns.sysctl("net.ipv6.conf.lo.disable_ipv6", 0)
        ns.run("/usr/sbin/nft", "-f", "-", text=RULES)
        log = nflog(ns)
        kind, proto = (
            (socket.SOCK_DGRAM, 0) if udp else (socket.SOCK_RAW, socket.IPPROTO_ESP)
        )
        sender = ns.socket(family, kind, proto)
        target = ("127.0.0.1" if family == socket.AF_INET else "::1", 4500 * udp)
        for spi in (SPI + 1, SPI):
            sender.sendto(struct.pack("!II", spi, 1) + bytes(64), target)
        assert struct.pack("!II", SPI, 1) in logged(log)
        shown = ns.run("/usr/sbin/nft", "list", "table", "inet", "t")
        print(shown)
        assert shown.count("counter packets 1 ") == 1, shown
        sender.close()
        log.close()
