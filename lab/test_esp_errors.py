# SPDX-License-Identifier: GPL-2.0-or-later
"""Resources for ESP of lost SAs are damaged, full or in use: everything else works."""

import re
import socket
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from lab import esp
from lab.config import connection_name
from lab.crash import crash
from lab.gateway import Gateway, Sa
from lab.harness import Harness
from lab.scenario import Lab
from lab.test_esp import ESP, lose, probe, told
from lab.test_shapes import address6, lay_ipv6, over_ipv6
from lab.traffic import Probe
from lab.wait import deadline, left, wait_until
from lab.wire import Sniffer

NewLab = Callable[..., Lab]
ROOM = 512 << 10
SLOT = 128
ROWS_OF_A_PAGE = 4096 // SLOT - 1  # after the header of the map


def truncate(path: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size - SLOT // 2)  # in the middle of its only row


def overwrite(path: Path) -> None:
    size = path.stat().st_size
    path.write_bytes(b"\xa5" * size)


@pytest.mark.parametrize("harm", [truncate, overwrite])
def test_damaged_map(new_lab: NewLab, harm: Callable[[Path], None]) -> None:
    """It is moved away with one line in the log; IKE recovers, and later ESP too."""
    lab = new_lab(ESP)
    lab.up()
    samap = lab.b.places.state / "samap"
    lab.b.wait_written()
    lab.b.kill()
    harm(samap)
    with probe(lab) as pings:
        lab.b.start()
        line = lab.b.wait_log(r"QCD: (.*)/samap is damaged: (.*)").group(0)
        assert "samap.damaged" in line
        assert samap.with_suffix(".damaged").is_file()
        assert not esp.dead(lab.b), "the SA can't be known"
        lab.a.nudge()
        pings.wait_answer(count=3)
        again = crash(lab.b, lab.a, pings, nudge=False)
        assert again.requests == [], str(again)
    assert "damaged" not in lab.b.log()


class Filler:
    """Uses up all space of a gateway's state_dir."""

    def __init__(self, gateway: Gateway) -> None:
        state = str(gateway.places.state)
        self.path = Path(f"/proc/{gateway.pid}/root{state}/filler")

    def fill(self) -> None:
        """Use up the remaining space."""
        with self.path.open("ab", buffering=0) as file:
            with suppress(OSError):
                while True:
                    file.write(bytes(4096))

    def remove(self) -> None:
        self.path.unlink()


def test_full_disk(new_lab: NewLab) -> None:
    """One line reports it, another one that there is space; tunnels keep working."""
    config = ESP.but(tunnels=8, children=4)
    lab = new_lab(config, b=config.but(state_room=ROOM))
    for gateway in (lab.b, lab.a):
        gateway.start()
    *first, last = range(config.tunnels * config.children)
    assert len(first) == ROWS_OF_A_PAGE, "the next row takes another page"
    for child in first:
        lab.a.initiate(connection_name("b", child // config.children), child)
    filler = Filler(lab.b)
    full = r"QCD: the SA map can't be written: .*: no space is left"
    room = "QCD: the SA map can be written again"

    def another_child() -> None:
        lab.a.initiate(connection_name("b", last // config.children), last)
        lab.a.terminate_child(last)

    def seen_full() -> object:
        filler.fill()
        another_child()
        return re.search(full, lab.b.log())

    with probe(lab) as pings:
        pings.wait_answer()
        wait_until("the line", seen_full, 10, lab.b.tail)
        # That holds for several flushes, while rows are added and removed.
        until = deadline(3)
        while left(until) > 0:
            another_child()
        pings.wait_answer(count=3)
        filler.remove()
        another_child()
        lab.b.wait_log(room, timeout=10.0)  # once no write has failed for 5 s
        pings.wait_answer(count=3)
    for pattern in (full, room):
        assert len(re.findall(pattern, lab.b.log())) == 1, lab.b.tail()


def test_another_process_has_the_table(new_lab: NewLab) -> None:
    """A line reports that ESP is not seen, and why; IKE recovers."""
    lab = new_lab(ESP)
    harness = Harness(lab.b.host.ns)
    try:
        assert harness.add(1).ok
        listing = esp.ruleset(lab.b)
        lab.up()
        line = r"QCD: the nftables table inet qcd is owned by another process"
        lab.b.wait_log(line)
        with probe(lab) as pings:
            pings.wait_answer(count=3)
            recovery = crash(lab.b, lab.a, pings)
            assert recovery.token_reply is not None, str(recovery)
        assert esp.ruleset(lab.b) == listing
    finally:
        harness.kill()


def test_firewall_flushes(new_lab: NewLab) -> None:
    """Between the crash and the packet somebody reloads the firewall."""
    lab = new_lab(ESP)
    lose(lab)
    assert esp.dead(lab.b)
    lab.b.host.ns.run(
        esp.NFT,
        "-f",
        "-",
        text="flush ruleset\ntable inet filter {\n chain input {\n"
        "  type filter hook input priority filter; policy accept;\n }\n}\n",
    )
    with Sniffer(lab.b.host, outgoing=True) as wire, probe(lab) as pings:
        pings.wait_answer(count=3)
        assert len(told(wire)) == 1
    assert "table inet filter" in esp.ruleset(lab.b)


def forged6(lab: Lab, sa: Sa, way: str) -> bytes:
    """Return a packet of the lost SA over IPv6, as a sends it."""
    spi = esp.child_spi(sa, "out")
    ends = [address6(gateway.host.number) for gateway in (lab.a, lab.b)]
    if way == "alone":
        return esp.alone6(spi, *ends)
    return esp.in_udp6(spi, (ends[0], 4500), (ends[1], 4500))


@pytest.mark.parametrize("way", ["alone", "udp"])
def test_ipv6(new_lab: NewLab, way: str) -> None:
    """One packet, and the peer reconnects."""
    lab = new_lab(
        a=over_ipv6(1, 2).but(esp=True), b=over_ipv6(2, 1).but(esp=True)
    )
    lay_ipv6(lab)
    sa = lose(lab)
    assert lab.a.established() == [sa], "nobody said anything yet"
    with lab.a.host.ns.socket(
        socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_RAW
    ) as sock:
        sock.sendto(forged6(lab, sa, way), (address6(lab.b.host.number), 0))
    lab.a.wait_established(other_than=(sa,))
    lab.a.wait_log("QCD: recovered: connection is up again after a crash")
    with Probe(lab.a.host, lab.b.host) as pings:
        pings.wait_answer(count=3)
