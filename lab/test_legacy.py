# SPDX-License-Identifier: GPL-2.0-or-later
"""The daemon before charon-systemd: /usr/lib/ipsec/charon, starter, ipsec.conf."""

from collections.abc import Callable

import pytest

from lab.admin import counters
from lab.config import Config
from lab.crash import crash
from lab.scenario import Lab
from lab.starter import Starter
from lab.traffic import Probe

NewLab = Callable[..., Lab]


@pytest.mark.parametrize("legacy", [("a",), ("b",), ("a", "b")], ids="-".join)
def test_recovery(new_lab: NewLab, legacy: tuple[str, ...]) -> None:
    lab = new_lab(Config(), **{name: Config(legacy=True) for name in legacy})
    lab.up()
    with Probe(lab.a.host, lab.b.host) as pings:
        pings.wait_answer()
        recovery = crash(lab.b, lab.a, pings)
    assert recovery.token_reply
    assert counters(lab.a)["verified"] == counters(lab.a)["recovered"] == 1
    assert len(lab.a.sas()) == len(lab.b.sas()) == 1


def test_starter(new_lab: NewLab) -> None:
    """charon dies, starter restarts it, qcd restores the tunnel."""
    lab = new_lab(Config())
    lab.a.start()
    with Starter(lab.b, lab.folder) as starter:
        lab.a.initiate()
        old = lab.a.wait_established()
        with Probe(lab.a.host, lab.b.host) as pings:
            pings.wait_answer()
            starter.crash()
            lab.a.nudge(old)
            new = lab.a.wait_established(other_than=(old,))
            pings.wait_answer()
        assert counters(lab.a)["verified"] == counters(lab.a)["recovered"] == 1
        assert [sa.spis for sa in lab.a.sas()] == [new.spis]
        assert [sa.spis for sa in starter.sas()] == [new.spis]

        # `ipsec stop`: SIGINT, then SIGTERM every 200 ms, until charon has ended
        assert starter.stop() == 0
        lab.a.wait_log("received DELETE for IKE_SA")
        lab.a.wait_for("the SA to go", lambda: not lab.a.sas())
