# SPDX-License-Identifier: GPL-2.0-or-later
"""Several IKE SAs at a crash: which ones live, who closes them, who asks and waits."""

import re
import time
from collections.abc import Callable

import pytest

from lab.config import Config
from lab.field.stage import BASE, carrying, lasting
from lab.gateway import Gateway, Sa
from lab.ike import IKE_AUTH
from lab.net import Drop
from lab.relay import Relay, Way
from lab.scenario import Lab
from lab.wait import LabTimeout, wait_until

NewLab = Callable[..., Lab]
BOTH = ["net0", "net1"]
SETTLED = 10.0
TIDIED = 40.0  # two IKE SAs that were begun apart are kept for 15 s
A_WHILE = 6.0  # longer than charon's first retransmission, and a tidying
FEW = 10  # threads: with less, charon does not answer swanctl
FAR = Way(delay=0.6)
APART = Config(charon={"reuse_ikesa": False}, ike_options={"unique": "never"})


def up_twice(lab: Lab) -> tuple[Sa, Sa]:
    """Return two IKE SAs of a, the older one first."""
    older = lab.up()
    lab.a.initiate("b")
    return older, lab.a.wait_established(other_than=(older,))


def init_responses(lab: Lab) -> Drop:
    """Drop b's next response to IKE_SA_INIT."""
    ends = f"ip saddr {lab.b.host.address} ip daddr {lab.a.host.address}"
    return lab.network.router.drop(f"{ends} udp dport 500", 1)


def messages_on(lab: Lab, sa: Sa, count: int | None = None) -> Drop:
    """Drop IKE messages to a on this SA."""
    ends = f"ip saddr {lab.b.host.address} ip daddr {lab.a.host.address} udp dport 4500"
    return lab.network.router.drop(f"{ends} @th,96,64 0x{sa.spis[0].hex()}", count)


def test_two_losses_and_a_lost_token(new_lab: NewLab) -> None:
    """a learns of the older one's loss first, and may not take the younger for alive."""
    lab = new_lab(APART)
    older, younger = up_twice(lab)
    lab.b.restart()
    with messages_on(lab, younger, 1) as drop:
        lab.a.nudge(older)
        new = lab.a.wait_established(other_than=(older, younger), timeout=2.0)
        assert drop.count == 1
    lab.a.wait_log("connection is up again")
    (line,) = re.findall(".*connection is up again.*", lab.a.log())
    assert new.spis[0].hex() in line
    lab.a.wait_for("one tunnel", lambda: len(lab.a.sas()) == 1, SETTLED)
    assert [sa.spis for sa in lab.b.sas()] == [new.spis]


def test_no_request_takes_the_repeats_of_another(new_lab: NewLab) -> None:
    """The younger one's token never arrives, and the new IKE SA's first response is lost."""
    lab = new_lab(APART)
    older, younger = up_twice(lab)
    lab.b.restart()
    with messages_on(lab, younger), init_responses(lab) as lost:
        lab.a.nudge(older)
        wait_until("a lost response", lambda: lost.count, SETTLED)
        lab.a.wait_established(other_than=(older, younger), timeout=2.0)


def children(gateway: Gateway) -> list[str]:
    return sorted(name for sa in lasting(gateway.sas()) for name in carrying(sa))


def stays(gateway: Gateway, what: str, check: Callable[[], object]) -> None:
    """Fail if this becomes untrue within a while."""
    with pytest.raises(LabTimeout):
        gateway.wait_for(what, lambda: not check(), A_WHILE)


@pytest.mark.parametrize("later", [0.0, 0.5])
def test_closed_while_doubtful(new_lab: NewLab, later: float) -> None:
    """charon queues the DELETE behind the question. The connection stays closed."""
    lab = new_lab(APART)
    older, younger = up_twice(lab)
    lab.b.restart()
    with messages_on(lab, younger):
        lab.a.nudge(older)
        lab.a.wait_log("verified")
        time.sleep(later)
        lab.a.terminate_all()
        stays(lab.a, "no new IKE SA", lambda: new_ones(lab.a, older, younger) == [])
    lab.a.wait_for("the end", lambda: lab.a.sas() == [], SETTLED)


def new_ones(gateway: Gateway, *known: Sa) -> list[Sa]:
    spis = [sa.spis for sa in known]
    return [sa for sa in gateway.sas() if sa.spis not in spis]


@pytest.mark.parametrize("later, threads", [(0.0, 16), (0.0, FEW), (2.0, 16)])
def test_closed_after_a_tidying(new_lab: NewLab, later: float, threads: int) -> None:
    """a has just deleted one of two; its administrator closes the other one.

    With few threads, the one that does it has often read a message of it just before.
    """
    charon = {**BASE.charon, "threads": threads}
    lab = new_lab(BASE.but(charon=charon, ike_options={"unique": "never"}))
    old = lab.up()
    with Relay(lab.network.router, lab.a.host, lab.b.host, Way(delay=0.1)):
        lab.b.restart()
        lab.a.nudge(old)
        lab.a.wait_log(r"initiating IKE_SA b\[2\]")
        lab.b.begin("a")
        lab.a.wait_for("two", lambda: len(lab.a.established()) == 2, SETTLED)
        for gateway in (lab.a, lab.b):
            gateway.wait_for("one", lambda g=gateway: len(g.sas()) == 1, TIDIED)
        time.sleep(later)
        lab.a.terminate_all()
        lab.a.wait_for("the end", lambda: lab.a.sas() == [], SETTLED)
        stays(lab.a, "no new IKE SA", lambda: lab.a.sas() == [])


def test_two_where_the_answer_takes_more_than_a_second(new_lab: NewLab) -> None:
    """Both ends have connected, far away. The questions are answered all the same."""
    far = BASE.but(children=2, dpd_delay="0s")
    lab = new_lab(far, a=far.but(start_action="start"))
    lab.b.start()
    lab.a.start()
    lab.b.wait_for("both children", lambda: children(lab.b) == BOTH, SETTLED)
    (old,) = lab.b.sas()
    with Relay(lab.network.router, lab.a.host, lab.b.host, FAR):
        lab.a.kill()
        lab.b.nudge(old)
        lab.a.start()
        lab.b.wait_log("connection is up again", timeout=SETTLED)

        def is_one() -> bool:
            return all(
                len(lasting(g.sas())) == 1 and children(g) == BOTH for g in (lab.a, lab.b)
            )

        lab.b.wait_for("one tunnel", is_one, TIDIED)
        stays(lab.b, "one tunnel", is_one)


def test_unanswered_question_about_one_that_lives(new_lab: NewLab) -> None:
    """b has returned by itself, so a asks about the old one: the token comes late.

    a's own new IKE SA is then one of two that are the same.
    """
    lab = new_lab(Config(ike_options={"unique": "never"}))
    old = lab.up()
    lab.b.restart()
    with messages_on(lab, old):
        lab.b.initiate("a")
        new = lab.b.wait_established()
        drop = messages_on(lab, new)
    with drop:
        lab.a.wait_established(other_than=(old, new), timeout=SETTLED)
    for gateway in (lab.a, lab.b):
        gateway.wait_for("one", lambda g=gateway: len(g.sas()) == 1, TIDIED)


@pytest.mark.parametrize("unique", ["no", "never"])
def test_no_child_twice(new_lab: NewLab, unique: str) -> None:
    """b returns and connects by itself, but the response to its IKE_AUTH is lost.

    Until charon repeats the request, a has an IKE SA that lacks a child.
    """
    lab = new_lab(Config(children=2, ike_options={"unique": unique}))
    lab.a.start()
    lab.b.start()
    for child in range(2):
        lab.b.initiate("a", child)
    (old,) = lab.a.sas()
    router, ends = lab.network.router, (lab.a.host, lab.b.host)
    lab.b.restart()
    lost = {"exchange": IKE_AUTH, "response": True, "count": 1}
    own = router.drop_init_requests(lab.a.host)
    with own, router.drop_ike(*ends, **lost) as drop:
        lab.a.nudge(old)
        lab.a.wait_log("verified")
        for child in range(2):
            lab.b.begin("a", child)
        wait_until("a lost response", lambda: drop.count, SETTLED)
        for gateway in (lab.a, lab.b):
            gateway.wait_for("both", lambda g=gateway: children(g) == BOTH, SETTLED)
        stays(lab.a, "each once", lambda: children(lab.a) == BOTH)
