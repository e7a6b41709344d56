# SPDX-License-Identifier: GPL-2.0-or-later
"""The walks of `./dev check` have each setting, and can do all that a walk can."""

import random
import re
from dataclasses import fields
from types import SimpleNamespace

from lab.control import REPO
from lab.field.chaos import ACTS, CONDITIONS
from lab.field.nature import Nature

MANY = range(1000)  # draw all that can be drawn


def seeds_of_check() -> list[int]:
    text = (REPO / "script" / "check.sh").read_text()
    (found,) = re.findall(r"^walk_seeds=\((.*)\)$", text, re.MULTILINE)
    return [int(seed) for seed in found.split()]


def draw(seed: int) -> Nature:
    """Return what the walk of a seed draws first."""
    return Nature.draw(random.Random(seed))


def drawn(seeds: list[int]) -> dict[str, set[object]]:
    """Return all values of each setting."""
    natures = [draw(seed) for seed in seeds]
    return {item.name: {getattr(n, item.name) for n in natures} for item in fields(Nature)}


def a_may_move(nature: Nature) -> bool:
    """Tell whether an act that moves a can do so, as in Walk.a_may_move."""
    return nature.start_b != "start" and nature.rekeys != "a"


def events(nature: Nature) -> set[str]:
    """Return what can happen in a walk with these settings."""
    ends = {"a": object(), "b": object(), "": None}
    walk = SimpleNamespace(
        nature=nature,
        lab=SimpleNamespace(**{name: ends[name] for name in "ab"}),
        survivor=ends[nature.survivor],
        nat=object() if nature.behind_nat else None,
        relay=None if nature.behind_nat else object(),
        room=True,
    )
    conditions = {item.name for item in CONDITIONS if item.possible(walk)}
    acts = {
        act.name
        for act in ACTS
        if act.possible(walk)
        and conditions & set(act.under)
        and (not act.moves or a_may_move(nature))
    }
    return conditions | acts


def test_each_setting_is_drawn() -> None:
    assert drawn(seeds_of_check()) == drawn(list(MANY))
    both_start = [n for n in map(draw, seeds_of_check()) if n.start_a == n.start_b == "start"]
    assert both_start, "no two ends connect at the same time"


def test_each_event_can_be_drawn() -> None:
    possible = set().union(*(events(draw(seed)) for seed in seeds_of_check()))
    assert possible == {item.name for item in (*CONDITIONS, *ACTS)}


def test_a_missing_setting_is_seen() -> None:
    """Any three of the walks leave something out."""
    for left_out in (seeds := seeds_of_check()):
        rest = [seed for seed in seeds if seed != left_out]
        assert drawn(rest) != drawn(list(MANY)), f"{left_out} is not needed"
