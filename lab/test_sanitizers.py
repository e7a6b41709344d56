# SPDX-License-Identifier: GPL-2.0-or-later
"""Plugin and core have no data races between threads, and no leaks."""

import re
from collections.abc import Callable

import pytest

from lab.admin import ask, events
from lab.config import Config
from lab.crash import crash
from lab.gateway import Gateway
from lab.scenario import Lab
from lab.test_rekeying import rekey, wait_tokens
from lab.traffic import Probe

pytestmark = pytest.mark.alone

NewLab = Callable[..., Lab]
# A hundred in total, half of them with replies to ESP.
REKEYINGS = 30
CRASHES = 20
WITH_ESP = {"esp": True, "qcd_options": {"announce": "yes"}}
OURS = re.compile(r"libstrongswan-qcd\.so|/plugin/qcd_|/src/\w+\.c")


def exercise(lab: Lab, rekeyings: int, crashes: int) -> None:
    """Rekeyings by either side, rotations, queries, and crashes of b."""
    sa = lab.up()
    with events(lab.a):
        for number in range(rekeyings):
            gateway = lab.b if number % 2 else lab.a
            rekey(gateway, gateway.established()[0])
            sa = lab.a.wait_established(other_than=(sa,))
            wait_tokens(lab, sa)
            if number % 10 == 0:
                ask(lab.a, "rotate")
        with Probe(lab.a.host, lab.b.host) as pings:
            for _ in range(crashes):
                pings.wait_answer(count=2)
                # With replies to ESP, no IKE request is needed.
                crash(lab.b, lab.a, pings, nudge=not lab.b.config.esp)


def take_reports(gateway: Gateway) -> str:
    """Return and remove the sanitizer reports of a gateway, which this test judges."""
    paths = sorted(gateway.places.folder.glob(f"{gateway.places.asan.name}.*"))
    text = "".join(path.read_text() for path in paths)
    for path in paths:
        path.unlink()
    return text


def accesses(report: str) -> str:
    """Return both stacks of a race, without the creation of threads and locks."""
    return re.split(r"\n\s+(?:Location|Mutex|Thread) ", report)[0]


@pytest.mark.parametrize("options", [{}, WITH_ESP], ids=["ike", "esp"])
def test_no_races(
    new_lab: NewLab, tsan_plugin: None, options: dict[str, object]
) -> None:
    """Neither access of any race is ours.

    charon itself is not built for ThreadSanitizer. ThreadSanitizer therefore misses the
    locks that charon makes of atomics, and reports races between charon's own threads.
    """
    lab = new_lab(Config(tsan=True, log={"default": 0}, **options))
    exercise(lab, rekeyings=10, crashes=6)
    for gateway in (lab.a, lab.b):
        gateway.stop()
        races = take_reports(gateway).split("==================")
        ours = [race for race in races if OURS.search(accesses(race))]
        assert not ours, "".join(ours)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("options", [{}, WITH_ESP], ids=["ike", "esp"])
def test_no_leaks(
    new_lab: NewLab, asan_plugin: None, options: dict[str, object]
) -> None:
    """A hundred rekeyings, crashes and reconnections, then a clean end.

    charon's own leaks, if any, are not counted.
    """
    watched = Config(asan=True, leaks=True, charon={"dlclose": "no"}, **options)
    lab = new_lab(Config(**options), a=watched)
    exercise(lab, REKEYINGS, CRASHES)
    lab.b.stop()
    lab.a.stop()
    leaks = take_reports(lab.a).split("\n\n")
    assert not [leak for leak in leaks if OURS.search(leak)], "".join(leaks)
