# SPDX-License-Identifier: GPL-2.0-or-later
"""Seeing ESP of lost SAs: libqcd-watch without a daemon, real packets, real nftables.

To show that a packet is not delivered, a later marker packet is awaited.
"""

import shutil
import socket
import struct
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from lab.harness import HARNESS, NAT_PORT, Harness
from lab.net import Netns
from lab.wait import wait_until

NFT = "/usr/sbin/nft"
SPI, LIVE, MARKER = 0xC0FFEE01, 0xC0FFEE02, 0xC0FFEE03
GATEWAY = {socket.AF_INET: "192.0.2.1", socket.AF_INET6: "2001:db8::1"}
PEER = {socket.AF_INET: "192.0.2.2", socket.AF_INET6: "2001:db8::2"}
COPY = 128
FIRST_GROUP, LAST_GROUP = 6290, 6299
NON_ESP_MARKER = bytes(4)
VALGRIND_IGNORED = Path(__file__).parent / "valgrind.supp"

FAMILIES = pytest.mark.parametrize(
    "family", [socket.AF_INET, socket.AF_INET6], ids=["ipv4", "ipv6"]
)
Start = Callable[..., Harness]


def ah(spi: int) -> bytes:
    """Return AH of 24 octets (RFC 4302 section 2) with Next Header TCP."""
    head = struct.pack("!BBHII", socket.IPPROTO_TCP, 4, 0, spi, 1)
    return (head + bytes(12)).ljust(200, b"x")


class Peer:
    """Sends to the gateway."""

    def __init__(self, ns: Netns) -> None:
        self.ns = ns

    def esp(self, spi: int, family: int = socket.AF_INET, size: int = 200) -> None:
        with self.ns.socket(family, socket.SOCK_RAW, socket.IPPROTO_ESP) as sock:
            sock.sendto(struct.pack("!I", spi).ljust(size, b"x"), (GATEWAY[family], 0))

    def ah(self, spi: int, family: int = socket.AF_INET) -> None:
        with self.ns.socket(family, socket.SOCK_RAW, socket.IPPROTO_AH) as sock:
            sock.sendto(ah(spi), (GATEWAY[family], 0))

    def esp_behind_options(self, spi: int) -> None:
        """Send ESP after two extension headers."""
        padding = bytes([0, 0, 1, 4, 0, 0, 0, 0])  # next, length, PadN of 4
        level = socket.IPPROTO_IPV6
        with self.ns.socket(
            socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ESP
        ) as sock:
            sock.sendmsg(
                [struct.pack("!I", spi).ljust(100, b"x")],
                [
                    (level, socket.IPV6_HOPOPTS, padding),
                    (level, socket.IPV6_DSTOPTS, padding),
                ],
                0,
                (GATEWAY[socket.AF_INET6], 0),
            )

    def udp(
        self, data: bytes, port: int = NAT_PORT, family: int = socket.AF_INET
    ) -> None:
        with self.ns.socket(family, socket.SOCK_DGRAM) as sock:
            sock.sendto(data, (GATEWAY[family], port))


def spi_of(packet: bytes) -> int:
    """Return the SPI of a packet without extension headers."""
    v6 = packet[0] >> 4 == 6
    head = 40 if v6 else (packet[0] & 15) * 4
    protocol = packet[6] if v6 else packet[9]
    offset = head + {socket.IPPROTO_UDP: 8, socket.IPPROTO_AH: 4}.get(protocol, 0)
    return int.from_bytes(packet[offset : offset + 4], "big")


def tables(ns: Netns) -> str:
    return ns.run(NFT, "list", "tables")


def our_table(ns: Netns) -> str:
    return ns.run(NFT, "list", "table", "inet", "qcd")


def bind_group(ns: Netns, group: int) -> socket.socket:
    """Bind an NFLOG group, like another program."""
    sock = ns.socket(socket.AF_NETLINK, socket.SOCK_RAW, 12)  # NETLINK_NETFILTER
    sock.bind((0, 0))
    config = struct.pack("=BBH", 0, 0, socket.htons(group))
    config += struct.pack("=HHBxxx", 5, 1, 1)  # NFULA_CFG_CMD, bind
    sock.send(struct.pack("=IHHII", 16 + len(config), 4 << 8 | 1, 5, 1, 0) + config)
    assert struct.unpack_from("=i", sock.recv(4096), 16) == (0,)
    return sock


@pytest.fixture
def ends() -> Iterator[tuple[Netns, Peer]]:
    """A gateway and a peer, connected by a cable."""
    with ExitStack() as stack:
        gateway, peer = Netns("gateway"), Netns("peer")
        for ns in (gateway, peer):
            stack.callback(ns.close)
            for scope in ("all", "default"):
                ns.sysctl(f"net.ipv6.conf.{scope}.disable_ipv6", 0)
        gateway.ip(f"link add eth0 type veth peer name eth0 netns {peer.path}")
        for ns, address in ((gateway, GATEWAY), (peer, PEER)):
            ns.ip(
                f"addr add {address[socket.AF_INET]}/24 dev eth0",
                f"addr add {address[socket.AF_INET6]}/64 dev eth0 nodad",
                "link set eth0 up",
            )
        yield gateway, Peer(peer)


@pytest.fixture
def gateway(ends: tuple[Netns, Peer]) -> Netns:
    return ends[0]


@pytest.fixture
def peer(ends: tuple[Netns, Peer]) -> Peer:
    return ends[1]


@pytest.fixture
def start(gateway: Netns) -> Iterator[Start]:
    """Return a function that starts a harness in the gateway."""
    assert HARNESS.is_file(), f"no {HARNESS}: ./dev build"
    with ExitStack() as stack:

        def begin(**more: object) -> Harness:
            harness = Harness(gateway, **more)  # type: ignore[arg-type]
            stack.callback(harness.close)
            return harness

        yield begin


@FAMILIES
def test_esp_in_the_set_is_brought_at_once(
    start: Start, peer: Peer, family: int
) -> None:
    nft = start()
    assert nft.add(SPI).ok
    # NFLOG by default delays each packet for a second; this machine delays some.
    delays = []
    while not delays or (delays[-1] >= 0.5 and len(delays) < 5):
        begin = time.monotonic()
        peer.esp(SPI, family)
        packet = nft.packet()
        delays.append(time.monotonic() - begin)
    assert delays[-1] < 0.5, delays
    assert len(packet) == COPY and spi_of(packet) == SPI
    assert socket.inet_pton(family, PEER[family]) in packet[:40]


@FAMILIES
def test_esp_in_udp_in_the_set_is_brought(
    start: Start, peer: Peer, family: int
) -> None:
    nft = start()
    nft.add(SPI)
    peer.udp(struct.pack("!II", SPI, 1), NAT_PORT, family)
    assert spi_of(nft.packet()) == SPI


@FAMILIES
def test_ah_in_the_set_is_brought(start: Start, peer: Peer, family: int) -> None:
    nft = start()
    nft.add(SPI)
    peer.ah(LIVE, family)
    peer.ah(SPI, family)
    packet = nft.packet()
    assert spi_of(packet) == SPI
    assert socket.inet_pton(family, PEER[family]) in packet[:40]
    assert nft.packets() == []


@FAMILIES
def test_only_what_is_in_the_set_is_brought(
    start: Start, peer: Peer, family: int
) -> None:
    nft = start()
    nft.add(SPI)
    nft.add(MARKER)
    dead = struct.pack("!II", SPI, 1)
    peer.esp(LIVE, family)
    peer.udp(struct.pack("!II", LIVE, 1), NAT_PORT, family)
    peer.udp(NON_ESP_MARKER + dead, NAT_PORT, family)  # IKE
    peer.udp(b"\xff", NAT_PORT, family)  # keepalive
    for port in (500, NAT_PORT + 1):
        peer.udp(dead, port, family)
    peer.esp(MARKER, family)
    assert spi_of(nft.packet()) == MARKER
    assert nft.packets() == []


def test_zero_never_gets_into_the_set(start: Start, peer: Peer) -> None:
    """It would deliver all IKE behind NAT."""
    nft = start()
    assert nft.add(0).count == 0
    assert nft.add(MARKER).count == 1
    peer.udp(NON_ESP_MARKER + bytes(28))
    peer.esp(MARKER)
    assert spi_of(nft.packet()) == MARKER


def test_another_port_behind_nat(start: Start, peer: Peer) -> None:
    nft = start(port=14500)
    nft.add(SPI)
    nft.add(MARKER)
    peer.udp(struct.pack("!II", SPI, 1), NAT_PORT)
    peer.udp(struct.pack("!II", MARKER, 1), 14500)
    assert spi_of(nft.packet()) == MARKER


def test_no_port_behind_nat(start: Start, gateway: Netns) -> None:
    nft = start(port=0)
    assert nft.add(SPI).ok
    assert "udp" not in our_table(gateway)


def test_extension_headers_and_fragments(start: Start, peer: Peer) -> None:
    nft = start()
    nft.add(SPI)
    peer.esp_behind_options(SPI)
    packet = nft.packet()
    assert packet[6] == socket.IPPROTO_HOPOPTS
    assert packet[56:60] == struct.pack("!I", SPI)
    # the hook runs before IPv6 reassembly: the first fragment is delivered
    peer.esp(SPI, socket.AF_INET6, size=4000)
    packet = nft.packet()
    assert packet[6] == socket.IPPROTO_FRAGMENT
    assert packet[48:52] == struct.pack("!I", SPI)
    peer.esp(SPI, socket.AF_INET, size=4000)
    assert spi_of(nft.packet()) == SPI
    assert nft.packets() == []


def test_rate(start: Start, peer: Peer) -> None:
    rate, count = 100, 10_000
    nft = start(rate=rate)
    nft.add(SPI)
    nft.add(MARKER)
    begin = time.monotonic()
    with peer.ns.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ESP) as sock:
        esp = struct.pack("!I", SPI).ljust(100, b"x")
        in_udp = peer.ns.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with in_udp:
            for _ in range(count // 2):
                sock.sendto(esp, (GATEWAY[socket.AF_INET], 0))
                in_udp.sendto(esp, (GATEWAY[socket.AF_INET], NAT_PORT))
    sent = time.monotonic() - begin
    seen: list[int] = []

    def marker_came() -> bool:
        peer.esp(MARKER)
        seen.extend(spi_of(packet) for packet in nft.packets())
        return MARKER in seen

    wait_until("the marker", marker_came)
    brought = seen.count(SPI)
    elapsed = time.monotonic() - begin
    print(f"{count} packets in {sent:.3f} s, {brought} brought")
    # One SPI sends all: half of the rate is for SPIs with few packets.
    assert rate / 2 <= brought <= rate + rate * elapsed


def test_a_flood_of_one_spi_leaves_room_for_others(start: Start, peer: Peer) -> None:
    """Each of its packets follows some hundreds of the flood."""
    nft = start(rate=100)
    nft.add(SPI)
    nft.add(MARKER)
    with peer.ns.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ESP) as sock:
        for _ in range(5):
            for spi in [SPI] * 400 + [MARKER]:
                octets = struct.pack("!I", spi).ljust(100, b"x")
                sock.sendto(octets, (GATEWAY[socket.AF_INET], 0))
    seen: list[int] = []

    def all_came() -> bool:
        seen.extend(spi_of(packet) for packet in nft.packets())
        return seen.count(MARKER) == 5

    wait_until("the packets of the other SPI", all_came, explain=lambda: str(seen))


def test_more_spis_than_are_told_apart(start: Start, peer: Peer) -> None:
    """A packet whose SPI has no room in the kernel's set is delivered nevertheless."""
    count = 70_000
    nft = start(rate=1000)
    nft.add(1, count)
    nft.add(MARKER)
    with peer.ns.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ESP) as sock:
        for spi in range(1, count + 1):
            octets = struct.pack("!I", spi).ljust(8, b"x")
            sock.sendto(octets, (GATEWAY[socket.AF_INET], 0))

    def marker_came() -> bool:
        peer.esp(MARKER)
        return MARKER in [spi_of(packet) for packet in nft.packets()]

    wait_until("the marker", marker_came)
    assert nft.log == []


def test_no_table_without_spis(start: Start, gateway: Netns) -> None:
    nft = start()
    assert tables(gateway) == ""
    nft.add(SPI, 3)
    assert tables(gateway) == "table inet qcd\n"
    assert nft.remove(SPI).count == 2
    assert tables(gateway) == "table inet qcd\n"
    assert nft.remove(SPI, 3).count == 0
    assert tables(gateway) == ""
    nft.add(SPI)
    assert nft.close() == 0
    assert tables(gateway) == ""
    assert nft.log == []


def test_nft_lists_the_table(start: Start, gateway: Netns) -> None:
    nft = start(rate=7)
    nft.add(SPI)
    listing = our_table(gateway)
    for line in (
        "typeof esp spi",
        f"elements = {{ {SPI} }}",
        "type filter hook input priority filter + 10; policy accept;",
        "flags dynamic,timeout",
        "esp spi @dead jump dead_esp",
        "update @asked { esp spi limit rate 10/second burst 10 packets } jump few",
        "udp dport 4500 @th,64,32 @dead jump dead_udp",
        "meta nfproto ipv4 ah spi @dead jump dead_ah",
        "ip6 nexthdr ah @nh,352,32 @dead jump dead_ah6",
        "update @asked { @th,64,32 limit rate 10/second burst 10 packets } jump few",
        "jump many",
        f"limit rate 4/second burst 4 packets log group 6290 snaplen {COPY} accept",
    ):
        assert line in listing


def test_a_saved_ruleset_can_be_loaded(
    start: Start, gateway: Netns, peer: Peer
) -> None:
    """For example if an administrator saves it for the next boot."""
    nft = start()
    nft.add(SPI)
    saved = gateway.run(NFT, "list", "ruleset")
    assert "dead_ah6" in saved
    peer.ns.run(NFT, "-f", "-", text=saved)


def test_spis_come_and_go(start: Start, gateway: Netns, peer: Peer) -> None:
    nft = start()
    assert nft.add(SPI).count == 1
    assert nft.add(SPI, 3).count == 3  # the first one is there already
    assert nft.add(SPI, 3).ok
    assert nft.remove(SPI, 2).count == 1
    assert nft.remove(SPI, 2).count == 1  # no longer there
    assert f"elements = {{ {SPI + 2} }}" in our_table(gateway)
    peer.esp(SPI)
    peer.esp(SPI + 2)
    assert spi_of(nft.packet()) == SPI + 2


def test_a_killed_process_leaves_nothing(start: Start, gateway: Netns) -> None:
    nft = start()
    nft.add(SPI)
    assert "flags owner" in our_table(gateway)
    nft.kill()
    assert tables(gateway) == ""
    assert start().add(SPI).ok


def test_a_left_table_is_replaced(start: Start, gateway: Netns, peer: Peer) -> None:
    gateway.run(
        NFT,
        "-f",
        "-",
        text="table inet qcd {\n set dead { type ipv4_addr; elements = { 1.2.3.4 }; }\n"
        " chain input {\n  type filter hook input priority 0; policy drop;\n }\n}\n",
    )
    nft = start()
    assert tables(gateway) == ""
    # and one that arrives while the table is gone
    gateway.run(NFT, "add", "table", "inet", "qcd")
    nft.add(SPI)
    peer.esp(SPI)
    assert spi_of(nft.packet()) == SPI


def test_a_firewall_and_we_leave_each_other_alone(
    start: Start, gateway: Netns, peer: Peer
) -> None:
    gateway.run(
        NFT,
        "-f",
        "-",
        text="table inet filter {\n set qcd { type ipv4_addr; }\n chain input {\n"
        "  type filter hook input priority filter; policy accept;\n"
        f"  esp spi {LIVE} drop\n }}\n}}\ntable ip qcd {{\n}}\n",
    )
    before = gateway.run(NFT, "list", "ruleset")
    nft = start()
    nft.add(SPI)
    nft.add(LIVE)
    # packets that the firewall drops are not seen
    peer.esp(LIVE)
    peer.esp(SPI)
    assert spi_of(nft.packet()) == SPI
    nft.remove(SPI)
    nft.remove(LIVE)
    assert gateway.run(NFT, "list", "ruleset") == before

    nft.add(SPI)
    gateway.run(NFT, "flush", "ruleset")
    assert tables(gateway) == "table inet qcd\n"
    peer.esp(SPI)
    assert spi_of(nft.packet()) == SPI
    assert nft.add(LIVE).count == 2
    peer.esp(LIVE)
    assert spi_of(nft.packet()) == LIVE


def test_another_process_has_the_table(start: Start, gateway: Netns) -> None:
    first, early = start(), start()
    assert first.add(SPI).ok
    listing = our_table(gateway)

    done = early.add(LIVE, 2)
    assert not done.ok and done.count == 0
    assert "another process" in early.log[0]
    late = start()
    assert not late.ready
    assert "another process" in late.log[0]
    for other in (early, late):
        other.close()
    assert our_table(gateway) == listing


def test_groups_of_others(start: Start, gateway: Netns, peer: Peer) -> None:
    with ExitStack() as stack:
        stack.enter_context(bind_group(gateway, FIRST_GROUP))
        nft = start()
        nft.add(SPI)
        assert f"log group {FIRST_GROUP + 1} " in our_table(gateway)
        peer.esp(SPI)
        assert spi_of(nft.packet()) == SPI
        nft.close()
        for group in range(FIRST_GROUP + 1, LAST_GROUP + 1):
            stack.enter_context(bind_group(gateway, group))
        nft = start()
        assert not nft.ready
        assert "NFLOG groups" in nft.log[0]
        assert tables(gateway) == ""


def test_destroy_gives_the_group_back(start: Start, gateway: Netns) -> None:
    start().close()
    bind_group(gateway, FIRST_GROUP).close()


def test_without_the_capability(start: Start) -> None:
    nft = start(
        wrapper=("setpriv", "--bounding-set=-net_admin", "--inh-caps=-net_admin")
    )
    assert not nft.ready
    assert "CAP_NET_ADMIN" in nft.log[0]


@pytest.fixture
def user_namespaces() -> None:
    """Skip the test without user namespaces: the kernel refuses them in a chroot."""
    argv = ("unshare", "--user", "true")
    made = subprocess.run(argv, capture_output=True, check=False)
    if made.returncode != 0:
        pytest.skip(f"no user namespace is made here: {made.stderr.decode().strip()}")


def test_with_a_capability_for_another_namespace(
    user_namespaces: None, start: Start
) -> None:
    """The kernel itself refuses."""
    nft = start(wrapper=("unshare", "--user", "--map-root-user"))
    assert not nft.ready
    assert "CAP_NET_ADMIN" in nft.log[0]


def test_as_a_user_with_nothing_but_the_capability(
    start: Start, gateway: Netns, peer: Peer
) -> None:
    caps = "-all,+net_admin"
    nft = start(
        wrapper=(
            "setpriv",
            "--reuid=nobody",
            "--clear-groups",
            f"--inh-caps={caps}",
            f"--ambient-caps={caps}",
            f"--bounding-set={caps}",
        )
    )
    assert nft.add(SPI).ok
    peer.esp(SPI)
    assert spi_of(nft.packet()) == SPI
    assert nft.close() == 0
    assert tables(gateway) == ""


def test_many(start: Start, peer: Peer) -> None:
    count = 100_000
    nft = start()
    first = nft.add(1, count)
    assert first.ok and first.count == count
    nft.remove(1, count)
    nft.add(MARKER)
    added = nft.add(1, count)
    assert added.ok and added.count == count + 1
    again = nft.add(1, count)
    assert again.ok and again.count == count + 1
    for spi in (1, count, MARKER):
        peer.esp(spi)
        assert spi_of(nft.packet()) == spi
    half = nft.remove(1, count // 2)
    assert half.count == count // 2 + 1
    peer.esp(1)
    peer.esp(count)
    assert spi_of(nft.packet()) == count
    rest = nft.remove(1, count)
    assert rest.count == 1
    assert nft.log == []
    print(
        f"{count} SPIs with a new table {first.seconds:.3f} s, added to it "
        f"{added.seconds:.3f} s, again {again.seconds:.3f} s; removed "
        f"{half.seconds:.3f} s + {rest.seconds:.3f} s"
    )


def test_more_than_the_root_of_a_container_may_send_at_once(
    user_namespaces: None, start: Start
) -> None:
    """Without the right to SO_SNDBUFFORCE, the buffer is net.core.wmem_max, twice."""
    limit = 2 * int(Path("/proc/sys/net/core/wmem_max").read_text())
    count = limit // 16 + 20_000
    nft = start(wrapper=("unshare", "--user", "--map-root-user", "--net"))
    assert nft.add(1, count).ok
    assert nft.remove(1, count - 1).count == 1
    assert nft.add(1, count).count == count
    assert nft.remove(1, count).count == 0
    assert nft.log == []


@pytest.mark.skipif(not shutil.which("valgrind"), reason="no valgrind")
def test_memory(start: Start, peer: Peer) -> None:
    nft = start(
        wrapper=(
            "valgrind",
            "-q",
            "--error-exitcode=9",
            "--leak-check=full",
            "--errors-for-leak-kinds=definite",
            f"--suppressions={VALGRIND_IGNORED}",
        )
    )
    nft.add(SPI, 5000)
    nft.add(1, 100)
    peer.esp(SPI)
    nft.packet(30.0)
    nft.remove(SPI, 2500)
    nft.remove(SPI, 5000)
    nft.remove(1, 100)
    nft.add(SPI)
    assert nft.close() == 0
