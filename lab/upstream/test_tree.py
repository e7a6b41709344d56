# SPDX-License-Identifier: GPL-2.0-or-later
"""charon and the plugin come from one strongSwan tree: as it is, or with our patches.

QCD_UPSTREAM is "plain" or "patched". What a patch is for is tested in both, so that a
patch without an effect fails.
"""

import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from lab.admin import counters
from lab.config import Config
from lab.gateway import Gateway
from lab.crash import crash, repeated
from lab.ike import IKE_SA_INIT
from lab.process import CHARON, OURS, STOCK, STOCK_PLUGINS
from lab.scenario import Lab
from lab.test_recovery import assert_one_sa, assert_smooth, probe
from lab.wire import Sniffer

NewLab = Callable[..., Lab]
PATCHED = os.environ["QCD_UPSTREAM"] == "patched"
SENT = re.compile(r"generating IKE_AUTH (?:request|response) \d+ \[ (.*) \]")
TOKEN = "N(CRASH_DET)"
REAUTHS = 40


def test_programs(new_lab: NewLab) -> None:
    """charon, its libraries and the plugin are those that were built."""
    lab = new_lab(Config())
    lab.a.start()
    maps = Path(f"/proc/{lab.a.pid}/maps").read_text()
    for path in (Path(CHARON), STOCK / "libcharon.so", STOCK_PLUGINS / OURS):
        assert f"{path}" in maps, f"{path} is not in\n{maps}"
    assert "/usr/lib/ipsec" not in re.findall(r" (/usr/lib/ipsec)/", maps)
    version = lab.a.command("version")["version"]
    assert version == os.environ["QCD_UPSTREAM_VERSION"]


@pytest.mark.parametrize("initiator", ["a", "b"])
def test_crash(new_lab: NewLab, initiator: str) -> None:
    """Gateway b crashes; both ends are of that tree."""
    lab = new_lab(Config())
    for gateway in (lab.a, lab.b):
        gateway.start()
    lab[initiator].initiate()
    with probe(lab) as pings:
        pings.wait_answer()
        recovery = crash(lab.b, lab.a, pings)
        assert recovery.token_reply
        assert_smooth(recovery)
        assert_one_sa(lab)
    assert counters(lab.a)["verified"] == counters(lab.a)["recovered"] == 1


def test_receiver() -> None:
    """The plugin only wraps charon's receive() if there is no callback for IKE."""
    argv = ["nm", str(STOCK_PLUGINS / OURS)]
    symbols = subprocess.run(argv, capture_output=True, text=True, check=True).stdout
    assert ("receive_and_look" in symbols) == (not PATCHED)


def payloads(gateway: Gateway) -> list[str]:
    """Return the payloads of the IKE_AUTH message that it sent."""
    (sent,) = SENT.findall(gateway.places.log.read_text())
    return sent.split()


def test_place(new_lab: NewLab) -> None:
    """RFC 6290 section 4.2: after AUTH, before all that is about the child SA."""
    lab = new_lab(Config())
    lab.up()
    for gateway in (lab.a, lab.b):
        names = payloads(gateway)
        assert names.count(TOKEN) == 1
        if PATCHED:
            assert names.index(TOKEN) == names.index("AUTH") + 1
        else:
            assert names.index(TOKEN) > names.index("SA")


def test_reauthentication(new_lab: NewLab) -> None:
    """The response to a new SA's first message is never too early."""
    lab = new_lab(Config(qcd=False))
    lab.up()
    with Sniffer(lab.b.host, peer=lab.a.host) as sniffer:
        for _ in range(REAUTHS):
            old = lab.a.established()[0]
            lab.a.command("rekey", {"ike-id": old.unique_id, "reauth": "yes"})
            lab.a.wait_established(other_than=(old,))
            lab.a.wait_for("one SA", lambda: len(lab.a.sas()) == 1)
        again = [
            packet
            for packet in repeated(sniffer.packets)
            if packet.message.exchange == IKE_SA_INIT
        ]
    print(f"{len(again)} of {REAUTHS} first messages were sent twice")
    assert not (PATCHED and again)
