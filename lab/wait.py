# SPDX-License-Identifier: GPL-2.0-or-later
"""Waiting for an event with a timeout: an error says what was waited for."""

import os
import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

POLL = 0.003
# All timeouts are multiplied by this: an emulated machine is slow.
PATIENCE = float(os.environ.get("QCD_LAB_PATIENCE", "1"))


class LabTimeout(AssertionError):
    """A timeout; the text says what was waited for."""

    def __init__(self, text: str) -> None:
        first, *rest = text.split("\n", 1)
        more = f" (times {PATIENCE:g}: QCD_LAB_PATIENCE)"
        if PATIENCE != 1 and more not in first:
            first += more
        super().__init__("\n".join([first, *rest]))


def deadline(timeout: float) -> float:
    """Return the monotonic time at which a wait of that many seconds ends."""
    return time.monotonic() + timeout * PATIENCE


def left(until: float) -> float:
    """Return the seconds left until that deadline, never negative."""
    return max(0.0, until - time.monotonic())


def wait_until(
    what: str,
    check: Callable[[], T],
    timeout: float = 5.0,
    explain: Callable[[], str] | None = None,
    poll: float = POLL,
) -> T:
    """Call check until it returns something true, and return that.

    For events that nothing reports, such as a file's content. At the timeout, the error
    names `what`, followed by what `explain` returns.
    """
    until = deadline(timeout)
    while True:
        result = check()
        if result:
            return result
        if left(until) <= 0:
            tail = f"\n{explain()}" if explain else ""
            raise LabTimeout(f"waited {timeout:g} s for {what}{tail}")
        time.sleep(poll)
