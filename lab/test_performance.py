# SPDX-License-Identifier: GPL-2.0-or-later
"""doc/performance.md is what its results give, and other documents agree with them."""

import copy
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from bench import loss, report
from bench.report import DATA, REPO, TEXT, Parts
from bench.results import Row, events, paired
from bench.sections import goals, short

DOCUMENTS = REPO / "doc"


def results() -> Parts:
    found: Parts = json.loads(DATA.read_text())
    return found


def test_document_is_made_from_the_results() -> None:
    assert TEXT.read_text() == report.text(results()), "./dev bench report"
    drawn = report.pictures(results())
    for name, picture in drawn.items():
        assert (DOCUMENTS / name).read_text() == picture, f"{name}: ./dev bench report"
    kept = {path.name for path in DOCUMENTS.glob("performance-*.svg")}
    assert kept == set(drawn)


def test_document_shows_every_result() -> None:
    """Another median of any part changes the document."""
    for name in results():
        changed = results()
        row = changed[name]["rows"][0]
        for key in ("took_s", "lost", "torn_down", "ns", "median"):
            if isinstance(row.get(key), dict):
                row = row[key]
        key = next(k for k in ("median", "rate", "ns", "took_s") if k in row)
        row[key] = row[key] * 3 + 1000
        assert report.text(changed) != report.text(results()), name


def test_a_part_may_be_missing() -> None:
    assert "## Goals" in report.text({})
    for name in results():
        without = {key: part for key, part in results().items() if key != name}
        if name != "recovery":
            assert report.text(without)


def test_missed_goal_is_shown() -> None:
    row: Row = {"delay_s": 0.0, "at_most": 1.3, "ratio": 1.31, "interval": [1.0, 2.0]}
    assert "**no**" in goals({"floor": {"rows": [row]}})
    assert "**no**" not in goals({"floor": {"rows": [{**row, "ratio": 1.29}]}})


def test_undecided_goal_is_shown() -> None:
    row: Row = {"delay_s": 0.0, "at_most": 1.3, "ratio": 1.29, "interval": [1.0, 2.0]}
    assert "| not decided |" in goals({"floor": {"rows": [row]}})
    assert "| yes |" in goals({"floor": {"rows": [{**row, "interval": [1.0, 1.3]}]}})
    assert "not decided if only the median is" in goals({})


@pytest.mark.parametrize(
    ("ns", "shown"),
    [(8.1, "8 ns"), (999_999.0, "999,999 ns"), (1e6, "1.0 ms"), (226_427_664.0, "226.4 ms")],
)
def test_long_times_are_in_milliseconds(ns: float, shown: str) -> None:
    assert short(ns) == shown


def test_no_names_of_this_machine() -> None:
    text = DATA.read_text() + TEXT.read_text()
    assert os.uname().nodename not in re.findall(r"[\w.-]+", text)
    assert not re.search(r"(?<!\.)/(work|home|root|tmp|srv)\b", text)


# --- what other documents say ---------------------------------------------------


def by(part: Row, **wanted: object) -> Row:
    """Return the row with these values."""
    rows = [
        row
        for row in part["rows"]
        if all(row.get(key) == value for key, value in wanted.items())
    ]
    assert len(rows) == 1, wanted
    found: Row = rows[0]
    return found


def added_by_lookup(lost: str) -> Callable[[Parts], float]:
    """Return microseconds that the table adds to an ESP packet."""
    what = "ESP in UDP of a healthy tunnel, a packet"

    def value(parts: Parts) -> float:
        cases = [by(parts["gateway"], what=what, case=c) for c in ("without qcd", lost)]
        return float(cases[1]["median"] - cases[0]["median"]) / 1000

    return value


def of_an_sa(parts: Parts) -> float:
    what = "memory of each SA with its child"
    cases = ("without qcd", "with the whole plugin")
    base, whole = (by(parts["gateway"], what=what, case=case) for case in cases)
    return float(whole["median"] - base["median"])


def size_of(name: str) -> Callable[[Parts], float]:
    return lambda parts: float(parts["library"]["octets"][name])


@dataclass(frozen=True)
class Claim:
    """A figure of a document, what was measured, and how far they may differ."""

    file: str
    pattern: str
    measured: Callable[[Parts], float]
    factor: float = 1.0  # in both directions


CLAIMS = {
    "three minutes with DPD": Claim(
        "README.md",
        r"for\s+(three) minutes with stock strongSwan and dead peer detection",
        lambda parts: by(parts["recovery"], way="stock-30")["since_return"]["median"]
        / 60,
        1.2,
    ),
    "an hour without": Claim(
        "README.md",
        r"for up to (an) hour without it",
        lambda parts: by(parts["recovery"], way="stock")["computed_s"][1] / 3600,
        1.2,
    ),
    "three minutes with DPD, for interoperability": Claim(
        "doc/interop.md",
        r"`dpd_delay = 30s` \| up to (\d+) s",
        lambda parts: by(parts["recovery"], way="stock-30")["since_return"]["median"],
        1.05,
    ),
    "libreswan with DPD": Claim(
        "doc/interop.md",
        r"`dpddelay=30` \| 60 to (\d+) s",
        lambda parts: by(parts["libreswan"], way="libreswan-30")["since_return"]["median"],
        1.4,
    ),
    "a look-up": Claim(
        "doc/design.md",
        r"which takes some ([0-9.]+) us or",
        added_by_lookup("another SA is lost"),
        2.0,
    ),
    "a look-up in many": Claim(
        "doc/design.md",
        r"in a set\s+of\s+100,000, some ([0-9.]+) us",
        added_by_lookup("100,000 other SAs are lost"),
        2.0,
    ),
    "an SA": Claim(
        "doc/design.md", r"takes some ([0-9,]+) octets more", of_an_sa, 1.25
    ),
    "limits of replies": Claim(
        "doc/design.md", r"limits of replies \| ([0-9,]+)", size_of("qcd_reply_limit")
    ),
    "graveyard": Claim(
        "doc/design.md", r"graveyard \| ([0-9,]+)", size_of("qcd_graveyard")
    ),
    "limit of ESP": Claim(
        "doc/design.md",
        r"lost child SAs \| ([0-9,]+)",
        size_of("qcd_source_limit"),
    ),
    "keys": Claim("doc/design.md", r"keys \| ([0-9,]+)", size_of("qcd_keys")),
}
WORDS = {"an": 1.0, "three": 3.0}


def agrees(claim: Claim, parts: Parts) -> bool:
    found = re.findall(claim.pattern, (REPO / claim.file).read_text())
    assert len(found) == 1, f"{claim.file} no longer says {claim.pattern}"
    said = WORDS.get(found[0]) or float(found[0].replace(",", ""))
    return said / claim.factor <= claim.measured(parts) <= said * claim.factor


@pytest.mark.parametrize("name", CLAIMS)
def test_claim(name: str) -> None:
    claim, parts = CLAIMS[name], results()
    assert agrees(claim, parts), f"{claim.file}: measured {claim.measured(parts)}"
    # a figure that is three times as high would not agree
    high = Claim(claim.file, claim.pattern, lambda p: 3 * claim.measured(p), claim.factor)
    assert not agrees(high, parts)


# --- the measurement ------------------------------------------------------------


def test_statistics() -> None:
    assert paired([(2.0, 3.0), (4.0, 6.0), (10.0, 15.0)])["ratio"] == 1.5
    none = events(0, 10.0)
    assert none["rate"] == 0 and 0.3 < none["interval"][1] < 0.4
    low, high = events(100, 10.0)["interval"]
    assert 8.1 < low < 8.2 and 12.1 < high < 12.2  # exact: 8.14 and 12.16


def test_only_established_tunnels_are_torn_down() -> None:
    handshake = (
        "giving up after 2 retransmits\n"
        "peer not responding, trying again (2/3)\n"
        "giving up after 2 retransmits\n"
        "establishing IKE_SA failed, peer not responding\n"
    )
    assert loss.torn_down(handshake) == 0
    assert loss.torn_down(handshake + "giving up after 5 retransmits\n") == 1


def test_a_short_run(tmp_path: Path) -> None:
    """The floor of a recovery is measured, and no recovery is faster than it."""
    subprocess.run(
        [sys.executable, str(REPO / "bench" / "floor.py"), "3"],
        env={**os.environ, "QCD_BENCH_RESULTS": str(tmp_path)},
        check=True,
    )
    rows = json.loads((tmp_path / "floor.json").read_text())["rows"]
    assert [row["n"] for row in rows] == [3, 3, 3]
    far = rows[-1]
    assert far["floor_s"]["median"] > 3 * far["delay_s"]
    assert far["took_s"]["median"] > 3 * far["delay_s"]
