# SPDX-License-Identifier: GPL-2.0-or-later
"""qcd decode, with captures of real gateways: tcpdump records, qcd decode reads."""

import json
import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from lab import ike
from lab.admin import Row
from lab.config import Config
from lab.crash import Crash, Recovery
from lab.gateway import TOOL, Sa
from lab.net import Host
from lab.peer import Peer
from lab.scenario import Lab
from lab.traffic import Probe
from lab.wait import wait_until
from lab.wire import Forger

NewLab = Callable[..., Lab]
TCPDUMP = "/usr/bin/tcpdump"
# The capture and the lab's own reader see a packet at nearly the same time.
CLOSE_MS = 50.0
LEAK, SUSPECTED = 3, 4
END, DISCARD = b"the end of the capture", 9


@contextmanager
def captured(host: Host, file: Path, device: str = "eth0") -> Iterator[Path]:
    """Let tcpdump record the packets of a device while in the `with`."""
    command = [TCPDUMP, "-n", "-U", "--immediate-mode", "-Z", "root"]
    # With the default length, its buffer would have room for eight packets.
    command += ["-s", "4000", "-B", "16384"]
    command += ["-i", device, "-w", str(file)]
    with host.ns.entered():
        running = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        # Its header is written once it listens.
        wait_until("tcpdump to listen", lambda: file.exists() and file.stat().st_size)
        yield file
        with host.ns.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
            sock.sendto(END, (host.gateway, DISCARD))
        wait_until("tcpdump to record the end", lambda: END in file.read_bytes())
    finally:
        running.terminate()
        _, told = running.communicate(timeout=10)
    assert "\n0 packets dropped by kernel" in told, told


def decode(file: Path, code: int = 0) -> tuple[Row, list[Row]]:
    """Return what qcd decode says: the capture as a whole, and the tokens."""
    done = subprocess.run(
        [str(TOOL), "decode", "--json", str(file)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code, f"{done.returncode}: {done.stdout}{done.stderr}"
    ok, capture, *tokens = map(json.loads, done.stdout.splitlines())
    assert ok == {"ok": True}
    return capture, tokens


def crash(lab: Lab, file: Path, device: str, *, nudge: bool) -> tuple[Recovery, Sa]:
    """Crash gateway b and let it recover while the packets are recorded."""
    with (
        captured(lab.b.host, file, device),
        Probe(lab.a.host, lab.b.host) as pings,
        Crash(lab.b, lab.a, pings) as running,
    ):
        pings.wait_answer(0.0)
        running.kill()
        running.restart()
        if nudge:
            lab.a.nudge(running.old[0])
        recovery = running.wait()
        begin = recovery.first_answer
        assert begin is not None
        pings.wait_answer(begin)
    return recovery, running.old[0]


def assert_measured(token: Row, recovery: Recovery) -> None:
    """The times are those that the lab has measured."""
    assert recovery.token_reply and recovery.ike_auth and recovery.first_answer
    begin = token["time_ms"] - token["cause_to_token_ms"]
    shown = abs(token["time_ms"] - recovery.token_reply * 1000)
    up = abs(begin + token["recovery_ms"] - recovery.ike_auth * 1000)
    assert shown < CLOSE_MS and up < CLOSE_MS, f"{token}\n{recovery}"
    answer = begin + token["traffic_ms"] - recovery.first_answer * 1000
    assert abs(answer) < CLOSE_MS, f"{token}\n{recovery}"


@pytest.mark.parametrize("device", ["eth0", "any"])
def test_recovery_after_a_request(
    new_lab: NewLab, tmp_path: Path, device: str
) -> None:
    lab = new_lab(Config())
    lab.up()
    file = tmp_path / "capture"
    recovery, old = crash(lab, file, device, nudge=True)
    _, (token,) = decode(file)
    assert (token["spi_i"], token["spi_r"]) == tuple(spi.hex() for spi in old.spis)
    assert (token["from"], token["to"]) == (lab.b.host.address, lab.a.host.address)
    assert (token["cause"], token["exchange"]) == ("request", "CREATE_CHILD_SA")
    assert (token["times"], token["verdict"]) == (1, "none")
    assert_measured(token, recovery)


def test_recovery_after_esp(new_lab: NewLab, tmp_path: Path) -> None:
    lab = new_lab(Config(esp=True))
    lab.up()
    file = tmp_path / "capture"
    recovery, _ = crash(lab, file, "eth0", nudge=False)
    _, (token,) = decode(file)
    assert (token["cause"], token["notify"]) == ("child", "INVALID_SPI")
    assert token["verdict"] == "none"
    assert_measured(token, recovery)


INVALID_IKE_SPI = ike.Notify(ike.INVALID_IKE_SPI)
SECRET = b"the token of an SA that is alive"


@pytest.mark.parametrize("asked", [True, False])
def test_a_peer_that_leaks(lab: Lab, peer: Peer, tmp_path: Path, asked: bool) -> None:
    """It shows the token of its SA, and goes on with that SA."""
    token = ike.Notify(ike.QCD_TOKEN, SECRET)
    file = tmp_path / "capture"
    with captured(lab.a.host, file):
        sa = peer.connect([token])
        peer.inform(sa, [])
        request = None
        if asked:
            lab.a.nudge()
            request = peer.request_of(sa)
        peer.show(sa, [INVALID_IKE_SPI, token], request)
        lab.a.wait_log("QCD: verified")
        alive = ike.Message(*sa.spis, ike.INFORMATIONAL, sa.flag, sa.next_id)
        peer.send(sa.seal(alive, []))
        lab.a.wait_idle()
    _, (shown,) = decode(file, LEAK)
    assert (shown["verdict"], shown["reason"]) == ("leak", "message")
    assert (shown["from"], shown["to"]) == (lab.b.host.address, lab.a.host.address)
    assert shown["cause"] == ("request" if asked else "announcement")
    assert SECRET not in json.dumps(shown).encode()


def test_a_forgery_that_the_peer_ignores(
    lab: Lab, peer: Peer, tmp_path: Path
) -> None:
    """A token from a third address, and an SA that goes on: suspected, not proven."""
    file = tmp_path / "capture"
    with captured(lab.a.host, file), Forger(lab.stranger) as forger:
        sa = peer.connect([ike.Notify(ike.QCD_TOKEN, SECRET)])
        forged = ike.token_message(sa.spis, [b"f" * 32], flags=sa.flag | ike.FLAG_R)
        forger.send(forged, (lab.a.host.address, 4500))
        lab.a.wait_log("QCD: mismatched")
        peer.inform(sa, [])
    _, (shown,) = decode(file, SUSPECTED)
    assert (shown["verdict"], shown["reason"]) == ("suspected", "elsewhere")
    assert shown["from"] == lab.stranger.address
