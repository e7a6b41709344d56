# SPDX-License-Identifier: GPL-2.0-or-later
"""The parts of `./dev bench` that need the kernel's ESP.

libreswan needs it: otherwise pluto deletes the IKE SA as soon as its child can't be
installed. bench/recovery.py measures the dead times of strongSwan.
"""

import json
import os
import re
import time
from pathlib import Path

import pytest

from bench.gateway import measure_tunnel
from bench.results import Row, result, spread
from lab.kernel.libreswan import Libreswan
from lab.kernel.story import NewPair, config
from lab.kernel.test_esp import power_cut
from lab.traffic import Probe
from lab.wait import PATIENCE, LabTimeout

WATCHED = 180.0
DOWN = 1.0
INTERVAL = 0.05
WARM_UP = 10
# It rekeys 9 to 18 minutes before the end of 8 hours, then repeats the request for 60 s.
REKEYING = (60.0, 8 * 3600.0 - 9 * 60.0 + 60.0)
ROUNDS = 21
GOAL = 1.05
USUAL = {"dpddelay": "30", "dpdtimeout": "120", "dpdaction": "restart"}


def version(peer: Libreswan) -> str:
    found = re.search(r"[Ll]ibreswan (\d+\.\d+)", peer.whack("--version"))
    assert found, peer.tail()
    return found[1]


def keep(name: str, found: Row) -> None:
    """Write results that leave the guest."""
    path = Path(os.environ["QCD_KERNEL_LAB_RESULTS"], f"{name}.json")
    path.write_text(json.dumps(found) + "\n")


@pytest.mark.parametrize("way", ["libreswan", "libreswan-30"])
def test_dead_time(new_libreswan: NewPair, way: str) -> None:
    """Without DPD, which is its default, it notices nothing."""
    notices = way != "libreswan"
    lab, peer = new_libreswan(config(False), options=USUAL if notices else {})
    lab.a.start()
    peer.start()
    peer.initiate()
    lab.a.wait_established()
    with Probe(peer.me, lab.a.host, INTERVAL) as probe:
        probe.wait_answer(count=WARM_UP)
        power_cut(lab.a)
        killed = time.time()
        time.sleep(DOWN)  # the outage
        lab.a.start()
        restarted = time.time()
        try:
            back = probe.wait_answer(killed, timeout=WATCHED / PATIENCE)
        except LabTimeout:
            back = None
        sent, answered = probe.counts(killed)
        lost = [gap.lost for gap in probe.gaps(0.0, since=killed)[:1]]
    assert (back is not None) is notices, peer.tail()
    what = "dpddelay = 30, dpdaction = restart" if notices else "its defaults: no DPD"
    row: Row = {"way": way, "title": f"libreswan {version(peer)}, {what}", "n": 1}
    if back is None:
        assert answered == 0
        row["not_within_s"] = time.time() - restarted
        row["computed_s"] = REKEYING
        row["lost"] = spread([float(sent)])
    else:
        row["since_return"] = spread([back - restarted])
        row["since_crash"] = spread([back - killed])
        row["lost"] = spread([float(lost[0])])
    row["interval_s"] = INTERVAL
    keep(way, result("libreswan", "Dead time of libreswan", [row]))


def test_esp_of_a_healthy_tunnel() -> None:
    """Lost SAs beside it cost a tunnel little, also if the kernel does its ESP."""
    what = "a packet through a healthy tunnel of the kernel, emulated"
    rows = measure_tunnel(ROUNDS, config(False), what)
    keep("kernel", result("kernel", "ESP of a healthy tunnel", rows))
    # On a machine that others load, only a large difference is sure.
    assert rows[-1]["to_first"]["interval"][0] < GOAL
