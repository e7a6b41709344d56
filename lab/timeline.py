# SPDX-License-Identifier: GPL-2.0-or-later
"""The picture of the demo as SVG: pairs of timelines, and recoveries magnified."""

from dataclasses import dataclass
from html import escape
from typing import Any

WIDTH = 960
LEFT, RIGHT = 150, 930
LANE_HEIGHT = 28
TITLE = "A gateway is killed at 0 s: when does the tunnel work again?"
SUBTITLE = "The same crash in three situations, without and with qcd."
ZOOMED = "How it comes back with qcd: the median crash, in milliseconds"
FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif"

LIGHT = {
    "card": "#ffffff",
    "edge": "#d9dee5",
    "ink": "#1d2733",
    "soft": "#5d6b7a",
    "up": "#2f9e6e",
    "down": "#8a94a0",
    "dead": "#d64550",
}
DARK = {
    "card": "#12181f",
    "edge": "#2b3642",
    "ink": "#e8edf2",
    "soft": "#9fadbb",
    "up": "#2fa472",
    "down": "#66727f",
    "dead": "#e0525d",
}


def _colours(c: dict[str, str]) -> str:
    return (
        f".card {{ fill: {c['card']}; stroke: {c['edge']}; }} "
        f".axis {{ stroke: {c['edge']}; }} .tick {{ stroke: {c['ink']}; }} "
        f"text {{ fill: {c['ink']}; }} .soft {{ fill: {c['soft']}; }} "
        f".up {{ fill: {c['up']}; }} .down {{ fill: {c['down']}; }} "
        f".dead {{ fill: {c['dead']}; }} .inside {{ fill: #ffffff; }}"
    )


# Plain colours, no CSS variables: many viewers don't support those.
STYLE = f"""
text {{ font-family: {FONT}; font-size: 13px; }}
.title {{ font-size: 19px; font-weight: 600; }}
.soft {{ font-size: 12px; }}
.lane, .inside {{ font-weight: 600; }}
.axis {{ stroke-width: 1; }} .tick {{ stroke-width: 1.5; }}
{_colours(LIGHT)}
@media (prefers-color-scheme: dark) {{ {_colours(DARK)} }}
"""

Crash = dict[str, Any]


@dataclass(frozen=True)
class Pair:
    """A crash without and with qcd, and the recovery that is magnified."""

    title: str
    begin: str  # start of the magnified recovery
    stock: Crash
    qcd: Crash
    back: str  # key of the moment at which the tunnel works again
    magnified: Crash | None
    steps: tuple[tuple[str, str], ...]  # keys and words; 0 is at the first one


def _text(x: float, y: float, words: str, kind: str = "", anchor: str = "start") -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" class="{kind}" text-anchor="{anchor}">'
        f"{escape(words)}</text>"
    )


def _bar(begin: float, end: float, y: float, kind: str, says: str) -> str:
    width = max(end - begin, 0.8)
    return (
        f'<rect x="{begin:.2f}" y="{y}" width="{width:.2f}" height="{LANE_HEIGHT}" '
        f'class="{kind}"><title>{escape(says)}</title></rect>'
    )


def _line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    return f'<line x1="{x1:.2f}" y1="{y1}" x2="{x2:.2f}" y2="{y2}" class="{kind}"/>'


class Scale:
    """Maps a value to a position between LEFT and RIGHT."""

    def __init__(self, low: float, high: float) -> None:
        self.low, self.high = low, high

    def __call__(self, value: float) -> float:
        part = (value - self.low) / (self.high - self.low)
        return LEFT + min(max(part, 0.0), 1.0) * (RIGHT - LEFT)


def _step(span: float) -> float:
    """Return a round interval between ticks, so that five to ten fit."""
    size = 10.0 ** -3
    while True:
        for factor in (1, 2, 2.5, 5):
            if span / (size * factor) <= 9:
                return size * factor
        size *= 10


def _ticks(scale: Scale) -> list[float]:
    step = _step(scale.high - max(scale.low, 0.0))
    return [step * number for number in range(int(scale.high / step + 0.001) + 1)]


def _grid(scale: Scale, top: float, bottom: float) -> list[str]:
    places = [scale(value) for value in _ticks(scale)]
    return [_line(x, top, x, bottom, "axis") for x in places]


def _numbers(scale: Scale, y: float, unit: str) -> list[str]:
    return [
        _text(scale(value), y, f"{value:g} {unit}", "soft", "middle")
        for value in _ticks(scale)
    ]


def _label(y: float, name: str) -> str:
    return _text(LEFT - 12, y + LANE_HEIGHT / 2 + 4.5, name, "", "end")


def _arrow(x: float, y: float, kind: str, says: str) -> str:
    """Return the end of a bar that continues."""
    middle = y + LANE_HEIGHT / 2
    points = f"{x:.2f},{y} {x + 12:.2f},{middle} {x:.2f},{y + LANE_HEIGHT}"
    return f'<polygon points="{points}" class="{kind}"><title>{says}</title></polygon>'


def _lane(name: str, crash: Crash, back: str, scale: Scale, y: float) -> list[str]:
    """Return a lane: a tunnel, the gateway's absence, dead time, a tunnel."""
    killed = scale(0.0)
    returned = scale(crash["restarted"])
    again = crash[back]
    end = scale(crash["watched"] if again is None else again)
    parts = [
        _label(y, name),
        _bar(LEFT, killed, y, "up", "the tunnel works"),
        _bar(killed, returned, y, "down", "gateway away"),
        _bar(returned, end, y, "dead", "gateway back, tunnel dead"),
    ]
    if again is None:
        parts.append(_arrow(end, y, "dead", "still dead"))
    else:
        parts.append(_bar(end, RIGHT, y, "up", "the tunnel works"))
    for when in crash["requests"]:
        x = scale(when)
        parts.append(_line(x, y + LANE_HEIGHT - 6, x, y + LANE_HEIGHT, "tick"))
    return parts + _lane_words(crash, again, (returned, end), y)


def _spent(value: float) -> str:
    return f"{value * 1000:.0f} ms" if value < 1 else f"{value:.1f} s"


def _lane_words(
    crash: Crash, again: float | None, dead: tuple[float, float], y: float
) -> list[str]:
    """Return the text of a lane, in its dead time or after it, where there is room."""
    after = "after the gateway is back"
    base = y + LANE_HEIGHT / 2 + 4.5
    if again is None:
        words = f"still dead {int(crash['watched'] - crash['restarted'])} s {after}"
        return [_text(sum(dead) / 2, base, words, "inside", "middle")]
    spent = _spent(max(again - crash["restarted"], 0.0))
    if dead[1] - dead[0] > 330:
        words = f"dead until {spent} {after}"
        return [_text(sum(dead) / 2, base, words, "inside", "middle")]
    if RIGHT - dead[1] > 330:
        return [_text(dead[1] + 10, base, f"works again {spent} {after}", "inside")]
    return []


def _legend(y: float) -> list[str]:
    parts = []
    x = float(LEFT)
    for kind, words in (
        ("up", "the tunnel works"),
        ("down", "gateway away"),
        ("dead", "gateway back, tunnel dead"),
    ):
        parts.append(
            f'<rect x="{x:.1f}" y="{y - 10}" width="12" height="12" rx="2" '
            f'class="{kind}"/>'
        )
        parts.append(_text(x + 18, y, words, "soft"))
        x += 40 + 6.6 * len(words)
    parts.append(_line(x + 6, y - 10, x + 6, y + 2, "tick"))
    parts.append(_text(x + 18, y, "the peer's IKE request on the dead SA", "soft"))
    return parts


def _pairs(pairs: list[Pair], top: float) -> tuple[list[str], float]:
    """Return the lanes of all situations on one axis, and where they end."""
    ends = [
        crash[pair.back] or crash["watched"]
        for pair in pairs
        for crash in (pair.stock, pair.qcd)
    ]
    shown = max(ends)
    scale = Scale(-0.03 * shown, shown * 1.06)
    parts = []
    y = top
    for pair in pairs:
        first, second = y + 26, y + 26 + LANE_HEIGHT + 5
        bottom = second + LANE_HEIGHT
        parts.append(_text(24, y + 15, pair.title, "lane"))
        parts += _grid(scale, first - 4, bottom + 4)
        parts += _lane("stock", pair.stock, pair.back, scale, first)
        parts += _lane("with qcd", pair.qcd, pair.back, scale, second)
        y = bottom + 20
    return [*parts, *_numbers(scale, y, "s")], y


def _labels(
    scale: Scale, at: dict[str, float], steps: tuple[tuple[str, str], ...]
) -> list[tuple[float, float, str]]:
    """Return for each step its position, the height of its label, and its label.

    A label is higher than all those to its right that it reaches, so that no line
    crosses a label.
    """
    placed: list[tuple[float, int, str]] = []
    late = sorted((at[key], key) for key, _ in steps if key in at)
    words = dict(steps)
    for when, key in reversed(late):
        label = f"{words[key]} {when:.1f}" if when else words[key]
        x = scale(when)
        reached = [lvl for start, lvl, _ in placed if start < x + 7.4 * len(label)]
        placed.append((x, max(reached, default=-1) + 1, label))
    return [(x, 8.0 + 15 * level, label) for x, level, label in placed]


def _zoom(pair: Pair, top: float) -> tuple[list[str], float]:
    """Return the steps of one recovery in milliseconds, and where that ends."""
    crash = pair.magnified
    if crash is None:
        return [], top
    steps = pair.steps
    zero = crash[steps[0][0]]
    begin = crash["restarted"] if zero is None else zero
    at = {
        key: (crash[key] - begin) * 1000 for key, _ in steps if crash[key] is not None
    }
    last = max(at.values())
    scale = Scale(min(0.0, *at.values()) - 0.03 * last, last * 1.17)
    labels = _labels(scale, at, steps)
    y = top + 34 + max(above for _, above, _ in labels)
    bottom = y + LANE_HEIGHT
    end = scale(at[pair.back])
    parts = [
        _text(24, top + 15, pair.begin, "lane"),
        *_grid(scale, y - 4, bottom + 4),
        _bar(LEFT, end, y, "dead", "recovering"),
        _bar(end, RIGHT, y, "up", "the tunnel works"),
        _label(y, "with qcd"),
    ]
    for x, above, label in labels:
        parts.append(_line(x, y - above - 5, x, bottom, "tick"))
        parts.append(_text(x + 3, y - above, label, "soft"))
    return [*parts, *_numbers(scale, bottom + 18, "ms")], bottom + 18


def timeline(pairs: list[Pair], notes: list[str]) -> str:
    """Return the whole picture."""
    parts, y = _pairs(pairs, 104)
    y += 40
    parts.append(_text(24, y, ZOOMED, "title"))
    y += 12
    for pair in pairs:
        zoom, y = _zoom(pair, y)
        parts += zoom
        y += 16
    y += 14
    for number, words in enumerate(notes):
        parts.append(_text(24, y + 17 * number, words, "soft"))
    height = int(y + 17 * len(notes) + 4)
    head = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
        f'width="{WIDTH}" height="{height}" role="img">',
        "<title>A crashed VPN gateway, with and without qcd</title>",
        f"<style>{STYLE}</style>",
        f'<rect x="0.5" y="0.5" width="{WIDTH - 1}" height="{height - 1}" rx="10" '
        'class="card"/>',
        _text(24, 36, TITLE, "title"),
        _text(24, 57, SUBTITLE, "soft"),
        *_legend(84),
    ]
    return "\n".join([*head, *parts, "</svg>"]) + "\n"
