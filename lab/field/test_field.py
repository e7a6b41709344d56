# SPDX-License-Identifier: GPL-2.0-or-later
"""The field scenarios with qcd: few rounds, and stock charon only on request.

`pytest lab/field -k NAME` plays one scenario. QCD_FIELD_STOCK=1 also plays it with
stock charon, which may take four minutes for each scenario.
"""

import os
from collections.abc import Iterator
from concurrent.futures import Future

import pytest

from lab.field.outcome import CASES, Outcome
from lab.field.pool import STOCK_AT_A_TIME, Play, Pool
from lab.field.scenarios import SCENARIOS

pytestmark = pytest.mark.alone  # it plays several scenarios at a time itself

WORKERS = int(os.environ.get("QCD_FIELD_WORKERS", "5"))
WITH_STOCK = os.environ.get("QCD_FIELD_STOCK", "") == "1"
FULL = os.environ.get("QCD_FIELD_FULL", "") == "1"
PATIENT = 1800

Lanes = dict[str, dict[str, "Future[Outcome]"]]


@pytest.fixture(scope="session")
def lanes(request: pytest.FixtureRequest) -> Iterator[Lanes]:
    """Start all selected scenarios, and return their outcomes."""
    names = [
        item.callspec.params["name"]
        for item in request.session.items
        if isinstance(item, pytest.Function)
        and item.function is test_scenario
    ]
    found: Lanes = {name: {} for name in names}
    with Pool() as pool:
        if WITH_STOCK:
            stock = [Play(n, qcd=False, full=FULL) for n in names if CASES[n].stock]
            for play, future in pool.run(stock, STOCK_AT_A_TIME, False).items():
                found[play.name]["stock"] = future
        ours = [Play(name, full=FULL) for name in names]
        for play, future in pool.run(ours, WORKERS).items():
            found[play.name]["qcd"] = future
        yield found


@pytest.mark.timeout(PATIENT)
@pytest.mark.parametrize("name", SCENARIOS)
def test_scenario(lanes: Lanes, name: str) -> None:
    """The tunnels return in time, as many as configured, and nothing is left over."""
    played = {lane: future.result() for lane, future in lanes[name].items()}
    outcome = played["qcd"]
    faults = outcome.problems(CASES[name], played.get("stock"))
    shown = "\n".join(faults)
    assert not faults, f"{CASES[name].says}:\n{shown}\n{outcome.notes}"
