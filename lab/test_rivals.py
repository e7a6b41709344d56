# SPDX-License-Identifier: GPL-2.0-or-later
"""Both ends connect at the same time, or more is requested: nothing is lost."""

import time
from collections.abc import Callable
from contextlib import ExitStack

import pytest

from lab.config import Config
from lab.field.nature import FAST
from lab.field.stage import BASE, BOTH_START, carrying, lasting
from lab.gateway import Gateway, Sa
from lab.ike import CREATE_CHILD_SA, IKE_AUTH, IKE_SA_INIT, INFORMATIONAL
from lab.net import Drop
from lab.relay import Relay, Way
from lab.scenario import Lab
from lab.traffic import Probe
from lab.wait import LabTimeout, wait_until

NewLab = Callable[..., Lab]
BOTH = ["net0", "net1"]
FAR = Way(delay=0.1)
SETTLED = 10.0
A_WHILE = 4.0
TIDIED = 40.0  # two IKE SAs that were begun apart are kept for 15 s
PEERS_TIME = 1.0


def children(gateway: Gateway) -> list[str]:
    return sorted(name for sa in gateway.sas() for name in carrying(sa))


def by_name(child: dict[str, str]) -> str:
    return child["name"]


def init_responses(lab: Lab) -> Drop:
    """Drop b's responses to IKE_SA_INIT."""
    ends = f"ip saddr {lab.b.host.address} ip daddr {lab.a.host.address}"
    return lab.network.router.drop(f"{ends} udp dport 500")


def test_each_connects_for_another_child(new_lab: NewLab) -> None:
    """Nobody has crashed, and neither try is one too many."""
    lab = new_lab(Config(children=2, ike_options={"unique": "never"}))
    lab.a.start()
    lab.b.start()
    with Relay(lab.network.router, lab.a.host, lab.b.host, FAR):
        lab.b.begin("a", 1)
        lab.a.wait_log("generating IKE_SA_INIT response")
        lab.a.begin("b", 0)
        lab.a.wait_for("both children", lambda: children(lab.a) == BOTH, SETTLED)
        assert children(lab.b) == BOTH


def test_another_child_after_a_recovery(new_lab: NewLab) -> None:
    """Its IKE SA gets a late response, and is not a leftover try."""
    apart = Config(
        children=2,
        charon={"reuse_ikesa": False},
        ike_options={"unique": "never"},
    )
    lab = new_lab(apart)
    lab.a.start()
    lab.b.start()
    lab.a.initiate("b", 0)
    (old,) = lab.a.sas()
    lab.b.restart()
    lab.a.nudge(old)
    lab.a.wait_log("connection is up again")
    with init_responses(lab) as drop:
        lab.a.begin("b", 1)
        wait_until("a repeated request", lambda: drop.count >= 3, 2 * SETTLED)
    lab.a.wait_for("both children", lambda: children(lab.a) == BOTH, 2 * SETTLED)


def test_two_losses_between_two_tries(new_lab: NewLab) -> None:
    """b drops its own IKE SA for a's, and a never learns of that."""
    lab = new_lab(BASE)
    router, ends = lab.network.router, (lab.a.host, lab.b.host)
    old = lab.up()
    lab.b.kill()
    with router.drop_ike(*ends, exchange=IKE_AUTH, response=False, count=1) as drop:
        lab.b.start()
        lab.a.nudge(old)
        wait_until("a lost request", lambda: drop.count, 5.0)
        lab.b.begin("a")
        lab.b.wait_established()
    with router.drop_ike(*ends[::-1], exchange=IKE_AUTH, response=True, count=1) as drop:
        wait_until("a lost response", lambda: drop.count, SETTLED)
        since = time.time()
        with Probe(*ends) as there, Probe(*ends[::-1]) as back:
            for probe in (there, back):
                probe.wait_answer(since, timeout=SETTLED)


def test_older_one_lives(new_lab: NewLab) -> None:
    """a destroys the younger of b's two IKE SAs: INITIAL_CONTACT in the older one."""
    lab = new_lab(BASE, b=BASE.but(charon=FAST))
    router, ends = lab.network.router, (lab.b.host, lab.a.host)
    lab.a.start()
    lab.b.start()
    with router.drop_ike(*ends, exchange=IKE_AUTH, response=False) as drop:
        lab.b.begin("a")
        wait_until("a lost request", lambda: drop.count, 5.0)
        lab.a.initiate("b")
        (younger,) = lab.b.established()
    older = lab.a.wait_established(other_than=(younger,))
    lab.b.nudge(younger)
    lab.b.wait_log("connection is up again", timeout=SETTLED)
    for gateway in (lab.a, lab.b):
        assert [sa.spis for sa in gateway.sas()] == [older.spis], gateway.name


@pytest.mark.parametrize("unique", ["no", "never"])
def test_both_crash_and_both_start(new_lab: NewLab, unique: str) -> None:
    """One tunnel is left, and each child exists once."""
    lab = new_lab(BOTH_START.but(children=2, ike_options={"unique": unique}))
    with Relay(lab.network.router, lab.a.host, lab.b.host, FAR):
        for gateway in (lab.a, lab.b):
            gateway.start(load=False)
        for part in ("secrets", "connections"):
            for gateway in (lab.a, lab.b):
                gateway.load(part)

        def is_one() -> bool:
            sas = [lasting(gateway.sas()) for gateway in (lab.a, lab.b)]
            return [len(own) for own in sas] == [1, 1] and all(
                sorted(carrying(own[0])) == BOTH for own in sas
            )

        lab.a.wait_for("one tunnel", is_one, SETTLED)
        assert lab.a.sas()[0].spis == lab.b.sas()[0].spis


def test_crash_within_make_before_break(new_lab: NewLab) -> None:
    """What charon began to replace the lost SA requests reqids that are gone."""
    lab = new_lab(BASE.but(children=2, charon={"make_before_break": True}))
    sa = lab.up()
    ends = lab.b.host, lab.a.host
    with ExitStack() as stack:
        probes = [
            stack.enter_context(Probe(*ends[::-1], interval=0.05, child=child))
            for child in range(2)
        ]
        with lab.network.router.drop_ike(*ends, exchange=IKE_SA_INIT) as drop:
            lab.a.command("rekey", {"ike-id": sa.unique_id, "reauth": "yes"})
            wait_until("its request", lambda: drop.count, 5.0)
            lab.b.kill()
        lab.b.start()
        lab.a.wait_log("connection is up again", timeout=SETTLED)
        since = time.time()
        for probe in probes:
            probe.wait_answer(since)


def test_reauthentication_after_a_recovery(new_lab: NewLab) -> None:
    """charon's own reauthentication requests the reqids of the old child SAs."""
    lab = new_lab(BASE.but(children=2))
    old = lab.up()
    reqids = [child["reqid"] for child in sorted(old.children, key=by_name)]
    lab.b.restart()
    lab.a.nudge(old)
    lab.a.wait_log("connection is up again")
    sa = lab.a.wait_established()
    assert [child["reqid"] for child in sorted(sa.children, key=by_name)] == reqids
    lab.a.command("rekey", {"ike-id": sa.unique_id, "reauth": "yes"})
    lab.a.wait_established(other_than=(sa,))
    since = time.time()
    for child in range(2):
        with Probe(lab.a.host, lab.b.host, child=child) as pings:
            pings.wait_answer(since)


def recovered(lab: Lab) -> Sa:
    """b crashes, a recovers; wait until nobody's try is under way any more."""
    old = lab.up()
    lab.a.wait_for("its children", lambda: children(lab.a) == BOTH, SETTLED)
    lab.b.restart()
    lab.a.nudge(old)
    lab.a.wait_log("connection is up again")
    time.sleep(PEERS_TIME)  # the time after which an IKE SA serves another purpose
    (sa,) = lab.b.sas()
    return sa


def keeps_two(lab: Lab) -> None:
    """a has a second IKE SA, and deletes neither one."""
    up = ["ESTABLISHED"] * 2

    def is_so() -> bool:
        return [sa.state for sa in lab.a.sas()] == up

    lab.a.wait_for("a second IKE SA", is_so, SETTLED)
    with pytest.raises(LabTimeout):
        lab.a.wait_for("a loss", lambda: not is_so(), A_WHILE)


@pytest.mark.parametrize("late", [INFORMATIONAL, CREATE_CHILD_SA])
def test_peer_reauthenticates_after_a_recovery(new_lab: NewLab, late: int) -> None:
    """b's new IKE SA still lacks a child, or b has not yet deleted the old one."""
    config = BASE.but(children=2, charon={**FAST, "make_before_break": True})
    lab = new_lab(config)
    old = recovered(lab)
    lost = {"exchange": late, "response": False}
    with lab.network.router.drop_ike(lab.b.host, lab.a.host, **lost):
        lab.b.command("rekey", {"ike-id": old.unique_id, "reauth": "yes"})
        keeps_two(lab)
    lab.a.wait_for("only the new IKE SA", lambda: len(lab.a.sas()) == 1, SETTLED)
    assert children(lab.a) == children(lab.b) == BOTH
    assert lab.b.sas()[0].spis != old.spis


def test_late_try_of_the_peer(new_lab: NewLab) -> None:
    """b connects by itself after its crash, but its requests are lost for seconds.

    Meanwhile a has recovered. When charon repeats b's request there are two IKE SAs,
    neither of which anybody is about to delete.
    """
    lab = new_lab()
    lab.up()
    lab.b.kill()
    router = lab.network.router
    with router.drop_ike(lab.b.host, lab.a.host) as drop:
        lab.b.start()
        lab.b.begin("a")
        wait_until("b's lost request", lambda: drop.count, SETTLED, lab.b.tail)
    with router.drop_init_requests(lab.b.host):
        lab.a.nudge()
        lab.a.wait_log("connection is up again")
    lab.a.wait_for("b's as well", lambda: len(lab.a.sas()) == 2, SETTLED)
    for gateway in (lab.a, lab.b):
        gateway.wait_for("only one", lambda g=gateway: len(g.sas()) == 1, TIDIED)
    assert lab.a.sas()[0].spis == lab.b.sas()[0].spis


@pytest.mark.parametrize("later", [0.0, PEERS_TIME])
@pytest.mark.parametrize("turn", range(3))
def test_both_delete_one(new_lab: NewLab, turn: int, later: float) -> None:
    """b reauthenticates soon after the recovery, and its DELETE is lost for a while.

    a takes one of the two for surplus and deletes it. In half of the cases that is the
    one that b keeps.
    """
    lab = new_lab(BASE.but(charon={**FAST, "make_before_break": True}))
    old = lab.up()
    lab.b.restart()
    lab.a.nudge(old)
    lab.a.wait_log("connection is up again")
    time.sleep(later)  # the time after which an IKE SA serves another purpose
    sa = lab.b.wait_established()
    lost = {"exchange": INFORMATIONAL, "response": False}
    with lab.network.router.drop_ike(lab.b.host, lab.a.host, **lost):
        lab.b.command("rekey", {"ike-id": sa.unique_id, "reauth": "yes"})
        for count in (2, 1):
            lab.a.wait_for(
                f"{count} IKE SAs",
                lambda n=count: len(lab.a.established()) == n,
                TIDIED,
            )
    for gateway in (lab.a, lab.b):
        gateway.wait_for("the old one to end", lambda g=gateway: ended(g, sa), TIDIED)
    lab.a.wait_for("one", lambda: len(lab.a.established()) == 1, TIDIED)
    lab.b.wait_for("the same", lambda: same(lab), SETTLED)


def ended(gateway: Gateway, sa: Sa) -> bool:
    return all(other.spis != sa.spis for other in gateway.sas())


def same(lab: Lab) -> bool:
    return [sa.spis for sa in lab.a.sas()] == [sa.spis for sa in lab.b.sas()]


def test_second_one_after_a_recovery(new_lab: NewLab) -> None:
    """The administrator of b adds an IKE SA with one of the children."""
    config = BASE.but(children=2, ike_options={"unique": "never"})
    lab = new_lab(config, b=config.but(charon={"reuse_ikesa": False}))
    recovered(lab)
    lab.b.initiate("a", 0)
    keeps_two(lab)
