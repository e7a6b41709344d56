# SPDX-License-Identifier: GPL-2.0-or-later
"""A child that somebody closes after a recovery stays closed."""

from collections.abc import Callable

import pytest

from lab.config import Config, child_name
from lab.gateway import Gateway
from lab.scenario import Lab
from lab.wait import LabTimeout

NewLab = Callable[..., Lab]
A_WHILE = 3.0
INACTIVITY = 1


def recovered(lab: Lab) -> None:
    """b crashes, and a's tunnel is up again."""
    old = lab.up()
    lab.b.restart()
    lab.a.nudge(old)
    lab.a.wait_established(other_than=(old,))
    lab.a.wait_log("connection is up again")


def children(gateway: Gateway) -> list[str]:
    return [child["name"] for sa in gateway.sas() for child in sa.children]


def stays(gateway: Gateway, wanted: list[str]) -> None:
    """Its children are these, and no other one comes up soon."""
    assert children(gateway) == wanted
    with pytest.raises(LabTimeout):
        gateway.wait_for(
            "another child", lambda: children(gateway) != wanted, timeout=A_WHILE
        )


@pytest.mark.parametrize("closer", ["a", "b"])
def test_child_is_closed(new_lab: NewLab, closer: str) -> None:
    lab = new_lab(Config(children=2))
    recovered(lab)
    message = {"child": child_name(1), "timeout": 5000, "loglevel": -1}
    lab[closer].control.stream("terminate", "control-log", message)
    stays(lab.a, [child_name(0)])


def test_inactive_child(new_lab: NewLab) -> None:
    """charon closes it by itself, and again each time that it is brought up."""
    lab = new_lab(Config(child_options={"inactivity": f"{INACTIVITY}s"}))
    recovered(lab)
    lab.a.wait_for("no child", lambda: not children(lab.a))
    stays(lab.a, [])
