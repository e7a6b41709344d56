# SPDX-License-Identifier: GPL-2.0-or-later
"""All field scenarios: importing this registers them."""

from lab.field import alone, late, maker, many, multiply, names
from lab.field.outcome import CASES as SCENARIOS

__all__ = ["SCENARIOS", "alone", "late", "maker", "many", "multiply", "names"]
