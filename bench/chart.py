# SPDX-License-Identifier: GPL-2.0-or-later
"""Horizontal bars as SVG, for light and dark pages."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from html import escape

from lab.timeline import STYLE

WIDTH = 960
RIGHT = 840  # the end of the axis; a value's text may follow
BAR, GAP = 18, 5
STEPS = (1.0, 2.0, 5.0, 10.0)


@dataclass(frozen=True)
class Bar:
    """A value, its text, and its class: up, down or dead."""

    name: str
    value: float
    words: str
    kind: str
    open: bool = False  # the true value is higher


@dataclass(frozen=True)
class Group:
    """Bars with a common label."""

    name: str
    bars: list[Bar]


def text(x: float, y: float, words: str, kind: str = "", anchor: str = "start") -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" class="{kind}" text-anchor="{anchor}">'
        f"{escape(words)}</text>"
    )


def _step(high: float) -> float:
    """Return a round interval, so that at most eight fit."""
    size = 10.0 ** math.floor(math.log10(high / 8))
    return next(size * step for step in STEPS if high / (size * step) <= 8)


def _linear(high: float) -> tuple[Callable[[float], float], list[float]]:
    step = _step(high)
    ticks = [step * number for number in range(int(high / step + 1e-9) + 1)]
    return lambda value: value / high, ticks


def _logarithmic(
    low: float, high: float
) -> tuple[Callable[[float], float], list[float]]:
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    ticks = [10.0**power for power in range(first, last + 1)]

    def part(value: float) -> float:
        return (math.log10(max(value, ticks[0])) - first) / (last - first)

    return part, ticks


def _bar(left: float, end: float, y: float, bar: Bar) -> list[str]:
    width = max(end - left, 1.0)
    parts = [
        f'<rect x="{left}" y="{y}" width="{width:.1f}" height="{BAR}" '
        f'class="{bar.kind}"><title>{escape(f"{bar.name}: {bar.words}")}</title></rect>'
    ]
    if bar.open:
        points = f"{end:.1f},{y} {end + 9:.1f},{y + BAR / 2} {end:.1f},{y + BAR}"
        parts.append(f'<polygon points="{points}" class="{bar.kind}"/>')
        end += 9
    parts.append(text(end + 6, y + BAR - 4.5, bar.words, "soft"))
    return parts


def bars(
    title: str,
    subtitle: str,
    groups: list[Group],
    *,
    unit: str,
    left: float = 300,
    logarithmic: bool = False,
) -> str:
    """Return the whole picture."""
    values = [bar.value for group in groups for bar in group.bars]
    positive = [value for value in values if value > 0]
    high = max(positive, default=1.0)
    scale, ticks = _logarithmic(min(positive), high) if logarithmic else _linear(high)

    def place(value: float) -> float:
        return left + scale(value) * (RIGHT - left)

    y = 84.0
    rows: list[str] = []
    for group in groups:
        if group.name:
            rows.append(text(24, y + BAR - 4.5, group.name, "lane"))
        for bar in group.bars:
            rows.append(text(left - 10, y + BAR - 4.5, bar.name, "", "end"))
            rows += _bar(left, place(bar.value), y, bar)
            y += BAR + GAP
        y += GAP * 2
    bottom = y
    grid = [
        f'<line x1="{place(tick):.1f}" y1="76" x2="{place(tick):.1f}" y2="{bottom}" '
        'class="axis"/>'
        for tick in ticks
    ]
    numbers = [
        text(place(tick), bottom + 18, f"{tick:,g} {unit}", "soft", "middle")
        for tick in ticks
    ]
    height = int(bottom + 34)
    head = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
        f'width="{WIDTH}" height="{height}" role="img">',
        f"<title>{escape(title)}</title>",
        f"<style>{STYLE}</style>",
        f'<rect x="0.5" y="0.5" width="{WIDTH - 1}" height="{height - 1}" rx="10" '
        'class="card"/>',
        text(24, 36, title, "title"),
        text(24, 57, subtitle, "soft"),
    ]
    return "\n".join([*head, *grid, *numbers, *rows, "</svg>"]) + "\n"
