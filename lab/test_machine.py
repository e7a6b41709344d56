# SPDX-License-Identifier: GPL-2.0-or-later
"""Secrets on a copy of a machine, RFC 6290 sections 8.1 and 9.2."""

import shutil
from collections.abc import Callable

import pytest

from lab import ike
from lab.admin import counters
from lab.ask import Asker
from lab.config import Config
from lab.crash import Crash
from lab.gateway import Gateway, Sa
from lab.scenario import Lab
from lab.traffic import Probe

NewLab = Callable[..., Lab]
SOON = 1.0
FIRST, SECOND = "0123456789abcdef" * 2, "fedcba9876543210" * 2
BOARD = "6f63f1c5-55f6-4b0c-8f3c-4cd1f3e0b5f2"
OTHER_BOARD = "01234567-89ab-cdef-0123-456789abcdef"
ON = "QCD: token maker is on, token taker is on"
COPIED = "/run is a copy of the file that was written: "
ELSEWHERE = "/run was written on another machine: "
KEPT = "The old files are kept as *.old"
HUB = Config(anywhere=True)


def told(gateway: Gateway) -> list[str]:
    """Return the lines of its log about its state."""
    state = str(gateway.places.state)
    return [line for line in gateway.log().splitlines() if f"QCD: {state}" in line]


def check_afresh(gateway: Gateway, why: str) -> None:
    """It works with new secrets, and says so in one line."""
    assert ON in gateway.log()
    assert counters(gateway)["maker"] is True
    assert counters(gateway)["run"] == 1
    assert counters(gateway)["generations"] == 1
    (line,) = told(gateway)
    assert why in line
    assert KEPT in line
    assert 'see "adopt" in qcd-secret(8)' in line


def check_silent(lab: Lab, gateway: Gateway, sa: Sa) -> None:
    """It shows no token of that SA, in whatever role it is asked."""
    with Asker(lab.stranger, gateway) as asker:
        requests = [
            ike.protected_request(spis, flags=flags, message_id=number)
            for spis in (sa.spis, sa.spis[::-1])
            for flags in (0, ike.FLAG_I)
            for number in range(3)
        ]
        asker.flow((request, 4500, None) for request in requests)
        assert asker.replies() == []


@pytest.mark.parametrize("machine", [FIRST, SECOND])
def test_copy_beside_the_original(new_lab: NewLab, machine: str) -> None:
    """The original's SAs are alive, and the copy does not reply about them."""
    lab = new_lab(
        Config(),
        names=("a", "b", "c"),
        b=HUB.but(machine_id=FIRST),
        c=HUB.but(machine_id=machine),
    )
    lab.a.start()
    lab.b.start()
    lab.a.initiate("b")
    sa = lab.b.wait_established()
    shutil.copytree(lab.b.places.state, lab["c"].places.state)
    lab["c"].start()
    check_silent(lab, lab["c"], sa)
    check_afresh(lab["c"], COPIED)
    check_silent(lab, lab.b, sa)
    assert lab.b.wait_established() == sa
    lab["c"].restart()
    assert told(lab["c"]) == []
    assert counters(lab["c"])["run"] == 2


def test_restored_backup(new_lab: NewLab) -> None:
    """On the same machine: the backup does not know which numbers were used since."""
    lab = new_lab(HUB.but(machine_id=FIRST))
    sa = lab.up()
    state = lab.b.places.state
    backup = lab.folder / "backup"
    shutil.copytree(state, backup)
    lab.b.restart()
    assert told(lab.b) == []
    lab.b.kill()
    shutil.rmtree(state)
    shutil.copytree(backup, state)
    lab.b.start()
    check_afresh(lab.b, COPIED)
    check_silent(lab, lab.b, sa)


CLONES = [
    ("another ID", {"machine_id": FIRST}, {"machine_id": SECOND}),
    ("an ID for the first time", {"machine_id": ""}, {"machine_id": FIRST}),
    (
        "another board",
        {"machine_id": FIRST, "product_uuid": BOARD},
        {"machine_id": FIRST, "product_uuid": OTHER_BOARD},
    ),
]


@pytest.mark.parametrize(("then", "now"), [row[1:] for row in CLONES],
                         ids=[row[0] for row in CLONES])
def test_clone_of_a_disk(
    new_lab: NewLab, then: dict[str, str], now: dict[str, str]
) -> None:
    """The files are identical to the last bit, but the machine is not."""
    lab = new_lab(Config(), b=HUB.but(**then))
    sa = lab.up()
    lab.b.restart()
    assert told(lab.b) == [], "the same machine"
    lab.b.kill()
    lab.b.config = lab.b.config.but(**now)
    lab.b.start()
    check_afresh(lab.b, ELSEWHERE)
    check_silent(lab, lab.b, sa)
    lab.b.restart()
    assert told(lab.b) == []


@pytest.mark.parametrize("how", ["another machine", "another disk"])
def test_moved_on_purpose(new_lab: NewLab, how: str) -> None:
    """If adopted before its first start, a moved gateway continues as it was."""
    lab = new_lab(Config(), b=Config(machine_id=FIRST))
    lab.up()
    state = lab.b.places.state
    with Probe(lab.a.host, lab.b.host) as pings, Crash(lab.b, lab.a, pings) as crash:
        pings.wait_answer()
        crash.kill()
        if how == "another machine":
            lab.b.config = lab.b.config.but(machine_id=SECOND)
        else:
            state.rename(lab.folder / "old")
            shutil.copytree(lab.folder / "old", state)
        lab.b.tool("secret", "adopt", "--state-dir", str(state))
        crash.restart()
        assert ON in lab.b.log()
        assert told(lab.b) == []
        lab.a.nudge()
        recovery = crash.wait()
        assert recovery.token_reply is not None, str(recovery)
        assert recovery.request_to_answer is not None, str(recovery)
        assert recovery.request_to_answer < SOON, str(recovery)


def test_containers_of_one_image(new_lab: NewLab) -> None:
    """Two containers whose layers share an image with secrets."""
    lab = new_lab(HUB.but(machine_id=FIRST))
    lab.b.start()
    lab.b.stop()
    image = lab.folder / "image"
    lab.b.places.state.rename(image)
    for gateway in (lab.a, lab.b):
        gateway.config = gateway.config.but(state_image=image)
    sa = lab.up()
    for gateway in (lab.a, lab.b):
        check_afresh(gateway, COPIED)
    secrets = {
        (gateway.places.layer / "secrets").read_bytes() for gateway in (lab.a, lab.b)
    }
    assert len(secrets) == 2
    check_silent(lab, lab.a, sa)
    # Its layer is mounted again, and recognized.
    with Probe(lab.a.host, lab.b.host) as pings, Crash(lab.b, lab.a, pings) as crash:
        pings.wait_answer()
        crash.kill()
        crash.restart()
        assert told(lab.b) == []
        lab.a.nudge()
        assert crash.wait().token_reply
