# SPDX-License-Identifier: GPL-2.0-or-later
"""Half a minute of the random walk, always with the same seed; other seeds by hand."""

import os

import pytest

from lab.field.walk import stroll

SEED = int(os.environ.get("QCD_LAB_SEED", "8"))
SECONDS = float(os.environ.get("QCD_WALK_SECONDS", "30"))


@pytest.mark.timeout(SECONDS + 300)
def test_walk() -> None:
    steps, _ = stroll(SEED, SECONDS)
    assert steps, f"seed {SEED}: no disturbance within {SECONDS:g} s"
