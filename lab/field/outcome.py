# SPDX-License-Identifier: GPL-2.0-or-later
"""A field scenario, the outcome of one play of it, and what is wrong with that."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

# The issue: "Up no later than stock plus one second, ever."
STOCK_MARGIN = 1.0


@dataclass(frozen=True)
class Case:
    """A scenario: what happens, and what qcd guarantees."""

    name: str
    section: str  # of the issue that requested the field suite
    says: str
    play: Callable[[Any], None]
    within: float = 1.0  # seconds after the tunnel can be up
    smooth: bool = False  # no handshake message is sent twice
    stock: bool = True  # also meaningful without qcd
    stock_first: float = 260.0  # seconds in which stock must react at all
    heavy: bool = False  # needs the machine for itself


@dataclass
class Outcome:
    """One play of a scenario, with qcd or with stock charon."""

    case: str
    qcd: bool
    up_after: float | None = None  # the slowest round; None: still down at the end
    waited: float = 0.0  # duration of the wait in that round
    rounds: int = 0
    # by gateway: number of IKE SAs and children after the settling time
    wanted: dict[str, list[int]] = field(default_factory=dict)
    counted: dict[str, list[int]] = field(default_factory=dict)
    doubled: list[str] = field(default_factory=list)
    left_over: list[str] = field(default_factory=list)
    repeated: int = 0  # handshake messages
    broken: list[str] = field(default_factory=list)  # claims that did not hold
    measured: dict[str, float] = field(default_factory=dict)
    notes: str = ""  # ends of the gateways' logs, if something is wrong

    @property
    def right_count(self) -> bool:
        return self.counted == self.wanted and not self.doubled

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    def problems(self, case: Case, stock: "Outcome | None" = None) -> list[str]:
        """Return the guarantees that qcd did not meet."""
        found = list(self.broken)
        if self.up_after is None:
            found.append(f"still down after {self.waited:.0f} s")
        else:
            found += self._lateness(self.up_after, case, stock)
        if self.counted and not self.right_count:
            found.append(
                f"IKE SAs and children are {self.counted}, configured: {self.wanted}"
            )
        found += self.doubled
        found += [f"left over: {item}" for item in self.left_over]
        if case.smooth and self.repeated:
            found.append(f"{self.repeated} messages of handshakes were sent twice")
        return found

    def _lateness(
        self, up_after: float, case: Case, stock: "Outcome | None"
    ) -> list[str]:
        found = []
        if up_after > case.within:
            found.append(f"up after {up_after:.2f} s, not within {case.within:g} s")
        if stock and stock.up_after is not None:
            if up_after > stock.up_after + STOCK_MARGIN:
                found.append(f"up after {up_after:.2f} s, stock {stock.up_after:.2f} s")
        return found


CASES: dict[str, Case] = {}


def case(
    section: str, says: str, **more: Any
) -> Callable[[Callable[[Any], None]], Callable[[Any], None]]:
    """Decorate a function as a scenario of that function's name."""

    def register(play: Callable[[Any], None]) -> Callable[[Any], None]:
        add(play.__name__, section, says, play, **more)
        return play

    return register


def add(
    name: str, section: str, says: str, play: Callable[[Any], None], **more: Any
) -> None:
    if name in CASES:
        raise ValueError(f"two field scenarios have the name {name}")
    CASES[name] = Case(name, section, says, play, **more)
