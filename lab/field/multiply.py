# SPDX-License-Identifier: GPL-2.0-or-later
"""Section B: whatever happens repeatedly, exactly one tunnel is left."""

import os
import random
import time
from collections.abc import Callable

from lab.field.outcome import add, case
from lab.field.stage import BASE, BOTH_START, Link, Stage
from lab.pair import CLIENT, NAMES, hold, server, share
from lab.scenario import Lab

DPD_AND_SOON = 2.5
MOVES = 3.3
BACK = 6.0  # b's path is cut for this long after its start
SEED = int(os.environ.get("QCD_LAB_SEED", "8"))


def hundred(stage: Stage, quick: int) -> int:
    return int(os.environ.get("QCD_FIELD_HUNDRED", "100" if stage.full else quick))


def cut(lab: Lab) -> Callable[[], None]:
    """Cut the path between the two; return a function that restores it."""
    ends = lab.a.host, lab.b.host
    drops = [lab.network.router.drop_all(*pair) for pair in (ends, ends[::-1])]

    def mend() -> None:
        for drop in drops:
            drop.remove()

    return mend


@case("B", "both sides start; b's path works again 6 s after b's restart", within=1.0)
def both_start_path(stage: Stage) -> None:
    stage.make(BOTH_START)
    lab = stage.up()
    for _ in range(3 if stage.full else 2):
        lab.b.kill()
        mend = cut(lab)
        lab.b.start()
        stage.outage(BACK)
        mend()
        stage.again()


@case("B", "both sides start; b's link comes up 6 s after b's restart", within=1.0)
def both_start_link(stage: Stage) -> None:
    stage.make(BOTH_START)
    lab = stage.up()
    for _ in range(3 if stage.full else 1):
        lab.b.kill()
        lab.b.host.unplug()
        lab.b.start()
        stage.outage(BACK)
        lab.b.host.plug()
        stage.again()


@case("B", "both sides start; b's path works again 14 s after b's restart", within=1.0)
def both_start_path_late(stage: Stage) -> None:
    stage.make(BOTH_START)
    lab = stage.up()
    lab.b.kill()
    mend = cut(lab)
    lab.b.start()
    stage.outage(14.0)
    mend()
    stage.again()


@case("B", "both sides start; b crashes repeatedly", within=1.0)
def both_start_crashes(stage: Stage) -> None:
    stage.make(BOTH_START)
    lab = stage.up()
    for _ in range(stage.rounds):
        lab.b.restart()
        stage.again()


@case("B", "both sides start; a and b crash in turn", within=1.0)
def both_start_turns(stage: Stage) -> None:
    stage.make(BOTH_START)
    lab = stage.up()
    for number in range(stage.rounds):
        (lab.a if number % 2 else lab.b).restart()
        stage.again()


# These cases promise only the count: a peer that crashes repeatedly is left alone for
# some seconds.
@case(
    "B",
    "a hundred crashes, at random moments",
    within=6.0,
    heavy=True,
    stock=False,
)
def hundred_crashes(stage: Stage) -> None:
    stage.make()
    lab = stage.up()
    chance = random.Random(SEED)
    for _ in range(hundred(stage, 10)):
        lab.b.restart()
        if chance.random() < 0.5:
            stage.outage(chance.random() * 0.05)
            lab.b.restart()
        if not stage.again():
            return


# --- a pair; a standby does not know the ESP SPIs, so DPD has to ask -------------


def pair(stage: Stage) -> Lab:
    def own(config: object) -> object:
        return config.but(esp=True, dpd_delay="1s")  # type: ignore[attr-defined]

    options = {"a": own(CLIENT), "b": own(server(1, 2)), "c": own(server(2, 1))}
    lab = stage.make(names=NAMES, **options)  # type: ignore[arg-type]
    stage.links = [Link("a", "b", "net0", 0, behind="b")]
    stage.expect(a=[1, 1], b=[1, 1], c=[1, 1])
    lab["c"].host.ns.ip(f"addr add {lab.b.host.inside}/32 dev lo")
    hold(lab, lab.b)
    lab.b.start()
    if stage.qcd:
        share(lab, lab.b, lab["c"])
    lab["c"].start()
    lab.a.start()
    lab.a.initiate("b")
    stage.watch()
    stage.forget_remains()  # the remains of one are there once it has the address
    return lab


def move(stage: Stage, number: int) -> None:
    """Move the address, and with it the tunnel, to the other gateway."""
    new = stage.lab["c" if number % 2 == 0 else "b"]
    hold(stage.lab, new)
    stage.follow(Link("a", new.name, "net0", 0, behind="b"))
    stage.ready()


@case(
    "B",
    "a pair: every 3.3 s the active one crashes and returns as the standby",
    within=DPD_AND_SOON,
)
def pair_crashes(stage: Stage) -> None:
    lab = pair(stage)
    for number in range(hundred(stage, 4) if stage.qcd else 1):
        active = lab["b" if number % 2 == 0 else "c"]
        active.kill()
        move(stage, number)
        next_move = time.time() + MOVES
        if not stage.wait():
            return
        active.start()
        stage.outage(max(0.0, next_move - time.time()))


@case("B", "a pair: the address moves every 3.3 s, and both keep running", within=DPD_AND_SOON)
def pair_moves(stage: Stage) -> None:
    pair(stage)
    for number in range(hundred(stage, 5) - 1):
        move(stage, number)
        stage.wait_at_most(MOVES)
    move(stage, number + 1)
    stage.wait()


# --- unique -------------------------------------------------------------------


def unique(policy: str) -> Callable[[Stage], None]:
    def play(stage: Stage) -> None:
        stage.make(BASE.but(ike_options={"unique": policy}))
        lab = stage.up()
        for number in range(3 if stage.qcd else 1):
            if number == 1:
                lab.a.kill()
                lab.a.start()
                lab.a.initiate("b")
            lab.b.restart()
            stage.again()

    return play


def unique_start(policy: str) -> Callable[[Stage], None]:
    def play(stage: Stage) -> None:
        stage.make(BOTH_START.but(ike_options={"unique": policy}))
        lab = stage.up()
        for _ in range(3):
            lab.b.restart()
            stage.again()

    return play


for _policy in ("no", "never", "replace", "keep"):
    add(f"unique_{_policy}", "B", f"unique = {_policy}, three crashes", unique(_policy))
    add(
        f"unique_{_policy}_both_start",
        "B",
        f"unique = {_policy}, both sides start, three crashes",
        unique_start(_policy),
    )
