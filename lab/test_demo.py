# SPDX-License-Identifier: GPL-2.0-or-later
"""The demo: what it counts, from made-up times."""

import pytest

from lab.crash import Recovery
from lab.traffic import first_lost


@pytest.mark.parametrize(
    ("answered", "after", "before", "lost"),
    [
        ({4}, 1.5, 9.0, 2.0),
        ({4}, 2.0, 9.0, 2.0),  # sent at that very moment
        ({0, 1, 2, 3}, 1.5, 9.0, None),
        ({1}, 1.5, 9.0, None),  # what comes behind it may be on its way
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
        (None, 12.0, 1.0),  # none was lost, so from the restart
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
