# SPDX-License-Identifier: GPL-2.0-or-later
"""A child requested on a try that is dropped comes up on the IKE SA that is kept."""

from collections.abc import Callable

from lab.config import Config, child_name
from lab.gateway import Gateway
from lab.ike import IKE_AUTH
from lab.net import Drop
from lab.scenario import Lab
from lab.wait import wait_until

NewLab = Callable[..., Lab]
BOTH = [child_name(0), child_name(1)]
A_WHILE = 15.0
REFUSING = Config(children=2, ike_options={"proposals": ["aes256-sha384-ecp384"]})


def children(gateway: Gateway) -> list[str]:
    return sorted(child["name"] for sa in gateway.sas() for child in sa.children)


def up_with_one(new_lab: NewLab) -> Lab:
    lab = new_lab(Config(children=2))
    for gateway in (lab.a, lab.b):
        gateway.start()
    lab.a.initiate("b", 0)
    return lab


def assert_up(lab: Lab) -> None:
    """Both gateways have each child once, and no other."""
    for gateway in (lab.a, lab.b):
        gateway.wait_for(
            "both children", lambda g=gateway: children(g) == BOTH, timeout=A_WHILE
        )


def request_on_a_try(lab: Lab, drop: Drop) -> None:
    """b is back, but a's try does not reach it; there, a requests the second child."""
    lab.b.start()
    lab.a.nudge(lab.a.sas()[0])
    wait_until("a lost request", lambda: drop.count, 5.0, lab.a.tail)
    lab.a.begin("b", 1)
    lab.a.wait_log(rf"vici initiate CHILD_SA '{child_name(1)}'")


def test_try_is_not_needed(new_lab: NewLab) -> None:
    """charon puts the child on a's try, which ends because b's own IKE SA is up."""
    lab = up_with_one(new_lab)
    lab.b.kill()
    with lab.network.router.drop_init_requests(lab.a.host) as drop:
        request_on_a_try(lab, drop)
        lab.b.initiate("a", 0)
        assert_up(lab)


def test_peer_creates_it_as_well(new_lab: NewLab) -> None:
    """The peer gets time for its own request. charon does not notice if two cross."""
    lab = up_with_one(new_lab)
    lab.b.kill()
    with lab.network.router.drop_init_requests(lab.a.host) as drop:
        request_on_a_try(lab, drop)
        lab.b.config = lab.b.config.but(start_action="start")
        lab.b.load()
        assert_up(lab)
        lab.a.wait_log(f"not establishing CHILD_SA {child_name(1)}", timeout=A_WHILE)
        lab.a.wait_idle()
        assert_up(lab)


def test_try_of_somebody_else(new_lab: NewLab) -> None:
    """a's administrator begins an IKE SA himself, between two tries."""
    lab = up_with_one(new_lab)
    lab.b.kill()
    lab.b.config, good = REFUSING, lab.b.config
    lab.b.start()
    lab.a.nudge(lab.a.sas()[0])
    lab.a.wait_log(r"next in (1[5-9]\d\d|[2-9]\d\d\d) ms", timeout=40.0)
    with lab.network.router.drop_init_requests(lab.a.host) as drop:
        lab.a.begin("b", 1)
        wait_until("a lost request", lambda: drop.count, 5.0, lab.a.tail)
        lab.b.config = good
        lab.b.load()
        lab.b.initiate("a", 0)
        assert_up(lab)


def test_try_stays_half_open(new_lab: NewLab) -> None:
    """Its response is lost, and another IKE SA is established beside it."""
    lab = up_with_one(new_lab)
    lab.b.kill()
    lab.a.nudge(lab.a.sas()[0])
    lab.a.wait_log("generating CREATE_CHILD_SA")
    lab.a.begin("b", 1)
    a, b = lab.a.host, lab.b.host
    with lab.network.router.drop_ike(b, a, exchange=IKE_AUTH, response=True):
        lab.b.start()
        lab.a.wait_log(r"initiating IKE_SA b\[3\]", timeout=A_WHILE)
    assert_up(lab)
