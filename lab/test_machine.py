# SPDX-License-Identifier: GPL-2.0-or-later
"""Secrets that come with a copy of a machine, RFC 6290 sections 8.1 and 9.2."""

import shutil
from collections.abc import Callable

import pytest

from lab.admin import counters
from lab.config import Config
from lab.crash import Crash
from lab.scenario import Lab
from lab.traffic import Probe

NewLab = Callable[..., Lab]
SOON = 1.0
FIRST, SECOND = "0123456789abcdef" * 2, "fedcba9876543210" * 2
OFF = "QCD: token maker is off, token taker is on"
ON = "QCD: token maker is on, token taker is on"
COPIED = "came with a copy of another machine"


def test_secrets_on_another_machine(new_lab: NewLab) -> None:
    """A machine takes the place of one that is gone: only once it is told so."""
    lab = new_lab(Config(), b=Config(machine_id=FIRST))
    lab.up()
    state = lab.b.places.state
    with Probe(lab.a.host, lab.b.host) as pings, Crash(lab.b, lab.a, pings) as crash:
        pings.wait_answer()
        crash.kill()
        before = (state / "secrets").read_bytes()
        lab.b.config = lab.b.config.but(machine_id=SECOND)
        lab.b.start()
        log = lab.b.log()
        assert f"{state}/secrets {COPIED}" in log
        assert '"qcd secret adopt"' in log
        assert OFF in log
        lab.b.kill()
        assert (state / "secrets").read_bytes() == before, "it is left as it was"

        lab.b.tool("secret", "adopt", "--state-dir", str(state))
        crash.restart()
        assert ON in lab.b.log()
        lab.a.nudge()
        recovery = crash.wait()
        assert recovery.token_reply is not None, str(recovery)
        assert recovery.request_to_answer is not None, str(recovery)
        assert recovery.request_to_answer < SOON, str(recovery)


@pytest.mark.parametrize("machine", [FIRST, SECOND])
def test_copied_folder(new_lab: NewLab, machine: str) -> None:
    """What was copied is used where the identity is the same, and only there."""
    lab = new_lab(Config(machine_id=machine), b=Config(machine_id=FIRST))
    lab.b.start()
    lab.b.kill()
    shutil.copytree(lab.b.places.state, lab.a.places.state)
    lab.a.start()
    assert counters(lab.a)["maker"] is (machine == FIRST)
    assert (COPIED in lab.a.log()) is (machine == SECOND)
