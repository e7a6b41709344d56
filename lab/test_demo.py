# SPDX-License-Identifier: GPL-2.0-or-later
"""The demo: its figures and output, from made-up crashes; and lanes without DPD."""

import json
import subprocess
import sys
from typing import Any
from xml.etree import ElementTree

import pytest

from lab.control import REPO
from lab.crash import Recovery
from lab.lane import relative
from lab.report import (
    CRASHES,
    SECTIONS,
    STOCK_WATCHED,
    Row,
    build_report,
    measured,
    picture,
    table,
)
from lab.timeline import LEFT, RIGHT, Scale, _labels
from lab.traffic import first_lost

SVG = "{http://www.w3.org/2000/svg}"
Crash = dict[str, Any]


@pytest.mark.parametrize(
    ("answered", "after", "before", "lost"),
    [
        ({4}, 1.5, 9.0, 2.0),
        ({4}, 2.0, 9.0, 2.0),  # sent at exactly that time
        ({0, 1, 2, 3}, 1.5, 9.0, None),
        ({1}, 1.5, 9.0, None),  # answers to later packets may be on their way
        ({4}, 4.5, 5.0, None),  # nothing was sent before that
        (set(), 1.5, 9.0, 2.0),
        (set(), 7.0, 9.0, None),
    ],
)
def test_first_lost(
    answered: set[int], after: float, before: float, lost: float | None
) -> None:
    sent = [1.0, 2.0, 3.0, 4.0, 5.0]
    assert first_lost(sent, answered, after, before) == lost


@pytest.mark.parametrize(
    ("lost", "answer", "spent"),
    [
        (11.5, 12.0, 0.5),
        (None, 12.0, 1.0),  # no packet was lost, so from the restart
        (None, 10.75, 0.0),  # answered before we knew of the restart
        (11.5, None, None),
        (None, None, None),
    ],
)
def test_lost_to_answer(
    lost: float | None, answer: float | None, spent: float | None
) -> None:
    recovery = Recovery(
        10.0, None, restarted=11.0, first_lost=lost, first_answer=answer
    )
    assert recovery.lost_to_answer == spent


@pytest.mark.parametrize(
    ("up", "spent"), [(11.25, 0.25), (10.75, 0.0), (None, None)]
)
def test_restart_to_up(up: float | None, spent: float | None) -> None:
    recovery = Recovery(10.0, None, restarted=11.0, ike_auth=up)
    assert recovery.restart_to_up == spent


def crash(watched: float = 30.5, **times: float) -> Crash:
    """Return a crash as a lane reports it: killed at 0, restarted after a second."""
    recovery = Recovery(100.0, 99.99, restarted=101.0)
    for name, value in times.items():
        setattr(recovery, name, 100.0 + value)
    return {"watched": watched, **relative(recovery)}


def handshake(begin: float, **more: float) -> Crash:
    """Return a recovery whose token is shown at `begin`; traffic 16 ms later."""
    return crash(
        token_reply=begin,
        sa_init=begin + 0.002,
        ike_auth=begin + 0.012,
        first_answer=begin + 0.016,
        **more,
    )


STOCK = {
    "dpd": handshake(194.5, first_request=30.0),
    "esp": crash(STOCK_WATCHED, first_lost=1.001),
    "quiet": crash(STOCK_WATCHED),
}
QCD = {
    "dpd": handshake(30.001, first_request=30.0),
    "esp": handshake(1.010, first_lost=1.001),
    "quiet": handshake(1.130),
}


def report(quick: bool = False, **changes: Crash) -> Crash:
    """Return the report of a run in which all crashes of a lane with qcd are equal."""
    found = {**QCD, **changes}
    told = {
        key: {"stock": [STOCK[key]], "qcd": [found[key]] * CRASHES} for key in found
    }
    return build_report(told, "5.9.8", quick)


def test_table() -> None:
    lines = table(report()).splitlines()
    cells = {
        line[:27].strip(): line[27:].split("  ")
        for line in lines[: lines.index("")]
        if line.startswith("  ")
    }
    for name, shown in {
        "dead time": ("194.5 s", "30.0 s"),
        "once the peer speaks": ("164.5 s", "17.0 ms"),
        "traffic is back": ("> 193 s", "25.0 ms"),
        "tunnel is up again": ("> 194 s", "142.0 ms"),
    }.items():
        found = [cell for cell in cells[name] if cell]
        assert tuple(cell.strip() for cell in found[:2]) == shown, name
        assert found[2].strip() == shown[1], "the median of equal ones"
    for section in SECTIONS.values():
        assert section.title in lines


CELLS = {
    "took": (crash(first_lost=1.25, first_answer=1.5), "first_lost", "250.0 ms"),
    "open": (crash(first_lost=1.25), "first_lost", "> 29 s"),
    "open, from the crash": (crash(), "killed", "> 30 s"),
    "open, from nothing that came": (crash(), "first_lost", "-"),
    "no count": (crash(), None, "-"),
}


@pytest.mark.parametrize("name", CELLS)
def test_cell(name: str) -> None:
    told, since, shown = CELLS[name]
    row = Row("lost_to_answer", "", "", "", since=since)
    assert measured(row, told) == shown


VERDICTS: dict[str, tuple[Crash, str]] = {
    "IKE": ({"dpd": handshake(30.040, first_request=30.0)}, "56.0 ms from the peer's"),
    "ESP": ({"esp": handshake(1.040, first_lost=1.001)}, "55.0 ms from the first pack"),
    "announced": ({"quiet": handshake(1.490)}, "502.0 ms from the gateway's restart"),
    "never": ({"quiet": crash()}, "with qcd - from"),
    "repeated": (
        {"esp": {**QCD["esp"], "retransmitted": 1}},
        f"{CRASHES} messages of the new handshakes were sent twice",
    ),
}


@pytest.mark.parametrize("name", VERDICTS)
def test_missed_goal(name: str) -> None:
    changes, text = VERDICTS[name]
    found = report(**changes)
    assert not found["passed"]
    assert len(found["problems"]) == 1 and text in found["problems"][0]


@pytest.mark.parametrize("quick", [False, True])
def test_goals_are_reached(quick: bool) -> None:
    found = report(
        quick,
        dpd=handshake(30.033, first_request=30.0),
        esp=handshake(1.033, first_lost=1.001),
        quiet=handshake(1.487),
    )
    assert found["passed"], found["problems"]


PICTURES: dict[str, Crash] = {
    "as it should be": {},
    "token before we knew of the restart": {"quiet": handshake(0.995)},
    "no packet lost after it": {"esp": handshake(0.998)},
    "never back": {"esp": crash(first_lost=1.001), "quiet": crash()},
}


@pytest.mark.parametrize("name", PICTURES)
def test_picture(name: str) -> None:
    """It is XML, and everything with a position is between the edges."""
    root = ElementTree.fromstring(picture(report(**PICTURES[name])))
    bars = [bar for bar in root.iter(f"{SVG}rect") if len(bar)]  # those with a tooltip
    assert bars
    for bar in bars:
        begin = float(bar.attrib["x"])
        assert LEFT <= begin and begin + float(bar.attrib["width"]) <= RIGHT + 1
    # An arrow ends a lane that is still dead: those of stock without DPD.
    arrows = len(list(root.iter(f"{SVG}polygon")))
    assert arrows == (4 if name == "never back" else 2)


def test_labels_are_not_crossed() -> None:
    steps = tuple((key, f"step {key}") for key in "abcde")
    at = {"a": 0.0, "b": 1.0, "c": 2.0, "d": 90.0, "e": -3.0}
    labels = _labels(Scale(-5.0, 100.0), at, steps)
    assert len(labels) == len(steps)
    for x, above, label in labels:
        crossing = [
            other for other in labels if x < other[0] < x + 7 * len(label)
        ]
        assert all(other[1] < above for other in crossing), label


def lane(*arguments: str) -> Crash:
    """Run a lane with one crash, and return its report."""
    argv = [sys.executable, "-m", "lab.lane", *arguments]
    done = subprocess.run(argv, cwd=REPO, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    told = [json.loads(line) for line in done.stdout.splitlines()]
    crashes = [item["crash"] for item in told if "crash" in item]
    assert len(crashes) == 1
    return crashes[0]


@pytest.mark.parametrize("situation", ["esp", "quiet"])
def test_lane_without_dpd(situation: str) -> None:
    """Nobody asks by IKE, but with qcd the tunnel is restored."""
    found = lane("qcd", situation)
    row = SECTIONS[situation].measured
    assert found["ended"] and found["requests"] == []
    assert found["first_answer"] is not None
    assert found[row.key] < 2.0


@pytest.mark.parametrize("situation", ["esp", "quiet"])
def test_stock_lane_without_dpd(situation: str) -> None:
    """There is no IKE message, and no answer at the end."""
    found = lane("stock", situation, "--bound", "3")
    assert not found["ended"] and found["messages"] == 0
    assert found["first_answer"] is None
    assert measured(SECTIONS[situation].measured, found).startswith("> ")
