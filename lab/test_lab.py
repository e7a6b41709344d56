# SPDX-License-Identifier: GPL-2.0-or-later
"""The lab itself, tested with stock strongSwan: the other tests rely on it."""

import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from lab import ike, scenario
from lab.config import Config
from lab.control import REPO
from lab.crash import Crash
from lab.flood import PRIORITY, Burst, Flood, before_others
from lab.scenario import Lab
from lab.traffic import Probe
from lab.wait import LabTimeout, wait_until
from lab.wire import Forger, Sniffer, datagram, tshark_decode

STOCK = Config(qcd=False)
NewLab = Callable[..., Lab]


def probe(lab: Lab) -> Probe:
    return Probe(lab.a.host, lab.b.host)


@pytest.mark.parametrize("auth", ["psk", "cert"])
def test_tunnel_carries_traffic(new_lab: NewLab, auth: str) -> None:
    lab = new_lab(STOCK.but(auth=auth))
    sa = lab.up()
    assert sa.initiator
    assert sa.spis == lab.b.established()[0].spis
    with probe(lab) as pings:
        pings.wait_answer(count=50)
        assert pings.gaps(longer=0.05) == []


def test_all_children_carry_traffic(new_lab: NewLab) -> None:
    lab = new_lab(STOCK.but(children=3))
    lab.up()
    for child in range(3):
        with Probe(lab.a.host, lab.b.host, child=child) as pings:
            pings.wait_answer()


def test_probes_do_not_mix(new_lab: NewLab) -> None:
    """An answer to one probe is no answer to another one, or to a later one."""
    lab = new_lab(STOCK)
    lab.up()
    with Probe(lab.a.host, lab.b.host, interval=60) as slow, probe(lab) as pings:
        slow.wait_answer(0.0)
        pings.wait_answer(count=50)
        with pytest.raises(LabTimeout, match="1 came"):
            slow.wait_answer(0.0, count=2, timeout=0.05)


def test_several_peers(new_lab: NewLab) -> None:
    lab = new_lab(STOCK, names=("a", "b", "c"))
    lab.up()
    assert {sa.peer for sa in lab.a.established()} == {"b", "c"}


def test_start_is_fast(new_lab: NewLab) -> None:
    lab = new_lab(STOCK)
    lab.b.start()
    begin = time.monotonic()
    lab.b.restart()
    assert time.monotonic() - begin < 0.5


def test_stock_stays_dead_after_a_crash(new_lab: NewLab) -> None:
    lab = new_lab(STOCK.but(dpd_delay="30s"))
    lab.up()
    with probe(lab) as pings, Crash(lab.b, lab.a, pings) as crash:
        pings.wait_answer()
        crash.kill()
        crash.restart()
        lab.a.nudge()
        with pytest.raises(LabTimeout, match="answers through the tunnel"):
            crash.wait(timeout=4)
        dead = crash.old[0].spis
        asked = [p for p in crash.sniffer.packets if p.message.spi_i == dead[0]]
        assert asked, "the peer's request reached the restarted gateway"
        assert not [p for p in asked if p.outgoing], "which says nothing"


def test_clean_stop_is_told_to_the_peer(new_lab: NewLab) -> None:
    lab = new_lab(STOCK.but(close_action="none"))
    lab.up()
    lab.b.stop()
    lab.a.wait_for("the end of its SA", lambda: not lab.a.sas())


def test_router_drops_the_delete_only(new_lab: NewLab) -> None:
    lab = new_lab(STOCK)
    lab.up()
    router = lab.network.router
    a, b = lab.a.host, lab.b.host
    with router.drop_ike(b, a, exchange=ike.INFORMATIONAL, response=False) as drop:
        lab.b.stop()
        assert drop.count == 1
    assert lab.a.established()


def test_nudge_sends_a_request_at_once(new_lab: NewLab) -> None:
    lab = new_lab(STOCK)
    lab.up()
    with Sniffer(lab.b.host) as wire:
        begin = time.time()
        lab.a.nudge()
        request = wire.wait("the request", lambda p: not p.outgoing)
        assert request.message.exchange == ike.CREATE_CHILD_SA
        assert request.time - begin < 0.1


def test_tshark_reads_what_was_captured(new_lab: NewLab) -> None:
    lab = new_lab(STOCK)
    with Sniffer(lab.b.host) as wire:
        lab.up()
        pcap = wire.write_pcap(lab.folder / "handshake.pcap")
    rows = tshark_decode(pcap, ("isakmp.exchangetype", "isakmp.flags"))
    assert [row[0] for row in rows] == ["34", "34", "35", "35"]


def test_tshark_complains(new_lab: NewLab) -> None:
    lab = new_lab(STOCK)
    spis = (b"\1" * 8, b"\2" * 8)
    broken = ike.token_message(spis, [b"t" * 32])
    with Sniffer(lab.b.host) as wire, Forger(lab.stranger) as forger:
        forger.send(broken, (lab.b.host.address, 500))
        wire.wait("the message", lambda p: True)
        tshark_decode(wire.write_pcap(lab.folder / "good.pcap"))
        forger.send(broken.but(body=broken.body[:-7]), (lab.b.host.address, 500))
        wire.wait("the broken message", lambda p: True, since=1)
        pcap = wire.write_pcap(lab.folder / "broken.pcap")
    with pytest.raises(AssertionError, match="packet 2"):
        tshark_decode(pcap)


def test_nat_keepalive_is_no_ike(new_lab: NewLab) -> None:
    """charon sends one every 20 s behind a NAT; a slow scenario has some."""
    lab = new_lab(STOCK)
    lab.b.start()
    target = (lab.b.host.address, 500)
    message = ike.Message(b"\7" * 8, bytes(8), ike.INFORMATIONAL, version=0x30)
    with Sniffer(lab.stranger) as wire, Forger(lab.stranger) as forger:
        forger.send(b"\xff", target)
        forger.send(message, target)
        wire.wait("the answer", lambda p: not p.outgoing)
    assert [len(p.data) for p in wire.packets if p.outgoing] == [len(message.pack())]


def test_stranger_speaks_in_the_name_of_a_gateway(new_lab: NewLab) -> None:
    lab = new_lab(STOCK)
    lab.up()
    target = (lab.b.host.address, 4500)
    source = (lab.a.host.address, 4500)
    spis = lab.a.established()[0].spis
    forged = ike.protected_request(spis, message_id=7)
    with Sniffer(lab.b.host) as wire, Forger(lab.stranger) as forger:
        forger.send(forged, target, source)
        seen = wire.wait("the forged request", lambda p: not p.outgoing)
    assert (seen.source, seen.target) == (source, target)
    assert seen.data == forged.pack()
    lab.b.wait_log("message ID|integrity|parsing")


def test_stranger_is_answered_at_any_address(new_lab: NewLab) -> None:
    """An IKE_SA_INIT from an address that nobody has gets its response there."""
    lab = new_lab(STOCK)
    lab.up()
    request = ike.Message(b"\7" * 8, ike.ZERO_SPI, ike.IKE_SA_INIT, ike.FLAG_I)
    source = ("198.18.3.4", 500)
    major_version_3 = request.but(version=0x30, next_payload=ike.NO_PAYLOAD)
    with Sniffer(lab.stranger) as wire, Forger(lab.stranger) as forger:
        forger.send(major_version_3, (lab.b.host.address, 500), source)
        answer = wire.wait("the answer", lambda p: not p.outgoing)
    assert answer.target == source


def test_wait_that_runs_out_shows_the_log(new_lab: NewLab) -> None:
    lab = new_lab(STOCK)
    lab.up()
    with pytest.raises(LabTimeout, match="(?s)never said.*log of gateway b.*IKE_SA"):
        lab.b.wait_log("never said", timeout=0.05)


def test_asan_report_is_noticed() -> None:
    with Lab(STOCK) as lab:
        lab.up()
        lab.check()
        report = lab.b.places.asan.with_suffix(".1234")
        report.write_text("ERROR: AddressSanitizer: heap-use-after-free")
        with pytest.raises(AssertionError, match="gateway b:(?s:.)*heap-use-after"):
            lab.check()


def test_next_packets_only_are_dropped(new_lab: NewLab) -> None:
    lab = new_lab(STOCK)
    for gateway in (lab.a, lab.b):
        gateway.start()
    a, b = lab.a.host, lab.b.host
    with lab.network.router.drop_ike(a, b, count=1) as drop:
        lab.a.initiate(timeout=15)
        assert drop.count == 1
    assert lab.b.established(), "the retransmission passed"


@pytest.mark.alone
def test_flood_is_as_fast_as_asked(new_lab: NewLab) -> None:
    lab = new_lab(STOCK)
    target = (lab.b.host.address, 9)
    packets = [datagram(("198.18.0.1", 9), target, bytes(80))] * 1000
    with Flood(lab.stranger, Burst(packets, target), 5000) as flood:
        wait_until("a second of flood", lambda: flood.seconds > 1)
    assert 3000 < flood.rate < 5500


ENDINGS = {
    "interrupt": signal.SIGINT,
    "terminate": signal.SIGTERM,
    "kill": signal.SIGKILL,
}


@pytest.mark.parametrize("how", ENDINGS)
def test_nothing_is_left_behind(how: str) -> None:
    """However the lab's own process ends, its daemons end with it."""
    # a background process of a script may have inherited an ignored SIGINT
    argv = ["env", "--default-signal=INT", sys.executable, "-m", "lab.lane"]
    argv += ["stock", "dpd"]
    with subprocess.Popen(argv, cwd=REPO, stdout=subprocess.PIPE, text=True) as lane:
        assert lane.stdout is not None
        while "gateway killed" not in lane.stdout.readline():
            pass
        lists = Path(f"/proc/{lane.pid}/task").glob("*/children")
        pids = [int(pid) for path in lists for pid in path.read_text().split()]
        assert pids, "at least one gateway runs"
        gateways = [os.pidfd_open(pid) for pid in pids]
        lane.send_signal(ENDINGS[how])
        for fd in gateways:
            assert select.select([fd], [], [], 10)[0], "a gateway outlives its lab"
            os.close(fd)


HOLDS_A_FOLDER = """
from lab.scenario import _new_folder
print(_new_folder()[0], flush=True)
input()
"""


def test_folders_of_killed_labs_only_are_cleared() -> None:
    """A lab in another PID namespace has a process ID that does not exist in ours."""
    argv = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]
    argv += [sys.executable, "-c", HOLDS_A_FOLDER]
    pipe = subprocess.PIPE
    with subprocess.Popen(argv, cwd=REPO, stdin=pipe, stdout=pipe, text=True) as other:
        assert other.stdout is not None
        folder = Path(other.stdout.readline().strip())
        with Lab(STOCK):
            assert folder.is_dir(), "its lab lives"
        other.kill()

    def cleared() -> bool:
        with Lab(STOCK):
            return not folder.exists()

    wait_until("the end of the other's folder", cleared)


def test_new_folder_that_another_lab_clears(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before it is locked, it may be mistaken for that of a killed lab."""
    made: list[Path] = []
    mkdtemp = tempfile.mkdtemp

    def make(**where: str) -> str:
        made.append(Path(mkdtemp(**where)))
        if len(made) == 1:
            scenario._clear(made)
            assert not made[0].exists()
        return str(made[-1])

    monkeypatch.setattr(tempfile, "mkdtemp", make)
    folder, lock = scenario._new_folder()
    assert folder == made[1] and folder.is_dir()
    scenario._clear([folder])
    assert folder.is_dir(), "it is locked"
    shutil.rmtree(folder)
    os.close(lock)


def test_gateway_that_died_is_noticed() -> None:
    with Lab(STOCK) as lab:
        lab.up()
        lab.b._charon.end(11, 10)  # type: ignore[union-attr]
        with pytest.raises(AssertionError, match="died by itself"):
            lab.check()


@pytest.mark.parametrize("line", [None, "", "\n"])
def test_priority_without_a_group(line: str | None, tmp_path: Path) -> None:
    """A process outside of any session reads an empty line from the kernel."""
    autogroup = tmp_path / "autogroup"
    if line is not None:
        autogroup.write_text(line)
    before = os.getpriority(os.PRIO_PROCESS, 0)
    with before_others(autogroup):
        assert os.getpriority(os.PRIO_PROCESS, 0) == PRIORITY
    assert os.getpriority(os.PRIO_PROCESS, 0) == before


def test_priority_of_a_group(tmp_path: Path) -> None:
    autogroup = tmp_path / "autogroup"
    autogroup.write_text("/autogroup-19 nice 3\n")
    before = os.getpriority(os.PRIO_PROCESS, 0)
    with before_others(autogroup):
        assert autogroup.read_text() == str(PRIORITY)
        assert os.getpriority(os.PRIO_PROCESS, 0) == before
    assert autogroup.read_text() == "3"
