# SPDX-License-Identifier: GPL-2.0-or-later
"""Only what was closed on purpose stays closed after a recovery."""

from collections.abc import Callable

import pytest

from lab.config import Config, child_name
from lab.control import Section
from lab.gateway import Gateway
from lab.scenario import Lab
from lab.wait import LabTimeout

NewLab = Callable[..., Lab]
A_WHILE = 3.0
RETRANSMITTED = 10.0  # charon's first retransmission is after 4 s
INACTIVITY = 1
ELSEWHERE: Section = {"local_ts": ["10.99.0.0/24"], "remote_ts": ["10.98.0.0/24"]}


def recovered(lab: Lab) -> None:
    """b crashes, and a's tunnel is re-established."""
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
    lab[closer].terminate_child(1)
    stays(lab.a, [child_name(0)])


def close_child(gateway: Gateway) -> None:
    """Close the second child without waiting."""
    message = {"child": child_name(1), "timeout": -1, "loglevel": -1}
    gateway.control.stream("terminate", "control-log", message)


def test_child_is_closed_while_peer_is_down(new_lab: NewLab) -> None:
    lab = new_lab(Config(children=2))
    lab.up()
    lab.b.kill()
    close_child(lab.a)
    lab.b.start()
    lab.a.wait_log("connection is up again")
    stays(lab.a, [child_name(0)])


@pytest.mark.parametrize("closer", ["a", "b"])
def test_child_is_closed_before_the_next_crash(new_lab: NewLab, closer: str) -> None:
    """What the last recovery brought up counts no more once it was closed."""
    lab = new_lab(Config(children=2))
    recovered(lab)
    lab[closer].terminate_child(1)
    lab.a.wait_for("its end", lambda: children(lab.a) == [child_name(0)])
    (old,) = lab.a.sas()
    lab.b.restart()
    lab.a.nudge(old)
    lab.a.wait_for(
        "another IKE SA",
        lambda: any(sa.spis != old.spis and sa.installed for sa in lab.a.sas()),
    )
    stays(lab.a, [child_name(0)])


def test_connection_is_loaded_again_while_peer_is_down(new_lab: NewLab) -> None:
    """It is closed with the old configuration, and starts with the new one."""
    lab = new_lab(a=Config(start_action="start", children=2), b=Config(children=2))
    lab.b.start()
    lab.a.start()
    lab.a.wait_established()
    lab.b.kill()
    lab.a.command("unload-conn", {"name": "b"})
    lab.a.load("connections")
    lab.b.start()
    lab.a.wait_log("token proves", timeout=RETRANSMITTED)
    lab.a.wait_for("both children", lambda: len(children(lab.a)) == 2)
    assert sorted(children(lab.b)) == [child_name(0), child_name(1)]


def test_inactive_child(new_lab: NewLab) -> None:
    """charon closes it by itself, each time that it is brought up."""
    lab = new_lab(Config(child_options={"inactivity": f"{INACTIVITY}s"}))
    recovered(lab)
    lab.a.wait_for("no child", lambda: not children(lab.a))
    stays(lab.a, [])


@pytest.mark.parametrize("close_action", ["none", "start"])
def test_peer_is_restarted_in_order(new_lab: NewLab, close_action: str) -> None:
    """b rejects a's child; its administrator fixes that and restarts it."""
    lab = new_lab(Config(close_action=close_action))
    old = lab.up()
    good = lab.b.config
    lab.b.kill()
    lab.b.config = good.but(child_options=ELSEWHERE)
    lab.b.start()
    lab.a.nudge(old)
    lab.a.wait_log("not up again yet")
    lab.b.stop()
    lab.b.config = good
    lab.b.start()
    lab.a.wait_established()


def test_duplicate_is_deleted(new_lab: NewLab) -> None:
    """charon deletes one of two IKE SAs ten seconds later, as `unique` says.

    Nobody has closed the connection: its second child comes up once b has loaded it.
    """
    single = Config(charon={"reuse_ikesa": False})
    unique = {"unique": "replace"}
    lab = new_lab(Config(children=2, ike_options=unique), b=single.but(children=2))
    old = lab.up()
    lab.b.kill()
    lab.b.config = single
    lab.b.start()
    lab.a.nudge(old)
    lab.a.wait_log("not up again yet")
    lab.b.begin("a")
    lab.a.wait_log("sending DELETE for IKE_SA", timeout=15)
    lab.b.config = single.but(children=2)
    lab.b.load("connections")
    lab.a.wait_established(timeout=10)


@pytest.mark.parametrize("by", ["a", "b"])
def test_rekeyed_while_incomplete(new_lab: NewLab, by: str) -> None:
    """The old IKE SA is deleted after its rekeying; nobody has closed anything."""
    lab = new_lab(Config(children=2))
    old = lab.up()
    good = lab.b.config
    lab.b.kill()
    lab.b.config = good.but(children=1)
    lab.b.start()
    lab.a.nudge(old)
    lab.a.wait_log("not up again yet")
    (sa,) = lab[by].sas()
    lab[by].command("rekey", {"ike-id": sa.unique_id})
    lab.a.wait_log("IKE_SA deleted|received DELETE for IKE_SA")
    lab.b.config = good
    lab.b.load("connections")
    lab.a.wait_established(timeout=15)
