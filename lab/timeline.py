# SPDX-License-Identifier: GPL-2.0-or-later
"""The picture of the demo as SVG: two lanes of time, and the recovery magnified."""

from html import escape
from typing import Any

WIDTH = 960
LEFT, RIGHT = 150, 930
LANE_HEIGHT = 34
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


# Plain colours, no CSS variables: many viewers don't know those.
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
    """From a value to a place between LEFT and RIGHT."""

    def __init__(self, low: float, high: float) -> None:
        self.low, self.high = low, high

    def __call__(self, value: float) -> float:
        part = (value - self.low) / (self.high - self.low)
        return LEFT + min(max(part, 0.0), 1.0) * (RIGHT - LEFT)


def _step(span: float) -> float:
    """A round distance of ticks, so that five to ten fit."""
    size = 10.0 ** -3
    while True:
        for factor in (1, 2, 2.5, 5):
            if span / (size * factor) <= 9:
                return size * factor
        size *= 10


def _axis(scale: Scale, y: float, top: float, unit: str) -> list[str]:
    parts = []
    step = _step(scale.high - max(scale.low, 0.0))
    value = 0.0
    while value <= scale.high + step / 1000:
        x = scale(value)
        parts.append(_line(x, top, x, y, "axis"))
        parts.append(_text(x, y + 16, f"{value:g} {unit}", "soft", "middle"))
        value += step
    return parts


def _lane(name: str, below: str, crash: Crash, scale: Scale, y: float) -> list[str]:
    """A lane: traffic, the time while the gateway is away, dead time, traffic."""
    killed = scale(0.0)
    back = scale(crash["restarted"])
    answered = crash["first_answer"]
    end = scale(answered) if answered is not None else RIGHT
    parts = [
        _text(LEFT - 12, y + 15, name, "lane", "end"),
        _text(LEFT - 12, y + 30, below, "soft", "end"),
        _bar(LEFT, killed, y, "up", "traffic passes"),
        _bar(killed, back, y, "down", "gateway away"),
        _bar(back, end, y, "dead", "gateway back, tunnel dead"),
    ]
    if answered is not None:
        parts.append(_bar(end, RIGHT, y, "up", "traffic passes"))
    for when in crash["requests"]:
        x = scale(when)
        parts.append(_line(x, y + LANE_HEIGHT - 9, x, y + LANE_HEIGHT, "tick"))
    parts += _lane_words(crash, back, end, y)
    return parts


def _lane_words(crash: Crash, back: float, end: float, y: float) -> list[str]:
    if crash["first_answer"] is None:
        words = "still dead when the run ended"
    else:
        words = f"dead for {crash['dead']:.1f} s"
    if end - back > 180:
        return [_text((back + end) / 2, y + 21, words, "inside", "middle")]
    if RIGHT - end > 180:
        return [_text(end + 10, y + 21, words, "inside")]
    return []


def _legend(y: float) -> list[str]:
    parts = []
    x = float(LEFT)
    for kind, words in (
        ("up", "traffic passes"),
        ("down", "gateway away"),
        ("dead", "gateway back, tunnel dead"),
    ):
        parts.append(
            f'<rect x="{x}" y="{y - 10}" width="12" height="12" rx="2" class="{kind}"/>'
        )
        parts.append(_text(x + 18, y, words, "soft"))
        x += 40 + 6.6 * len(words)
    parts.append(_line(x + 6, y - 10, x + 6, y + 2, "tick"))
    parts.append(_text(x + 18, y, "the peer's IKE request on the dead SA", "soft"))
    return parts


STEPS = (
    ("first_request", "IKE request"),
    ("token_reply", "token shown"),
    ("sa_init", "IKE_SA_INIT"),
    ("ike_auth", "IKE_AUTH"),
    ("first_answer", "traffic"),
)


def _labels(scale: Scale, at: dict[str, float]) -> list[tuple[float, float, str]]:
    """Each step's place, its label's height and its label.

    A label stands higher than all those to its right that it reaches, so that
    no line crosses a label.
    """
    placed: list[tuple[float, int, str]] = []
    for key, words in reversed(STEPS):
        if key in at:
            label = words if key == "first_request" else f"{words} {at[key]:.1f}"
            x = scale(at[key])
            reached = [lvl for start, lvl, _ in placed if start < x + 7.0 * len(label)]
            placed.append((x, max(reached, default=-1) + 1, label))
    return [(x, 8.0 + 15 * level, label) for x, level, label in placed]


def _zoom(crash: Crash, y: float) -> list[str]:
    """The steps of one recovery in milliseconds after the first IKE request."""
    begin = crash["first_request"]
    at = {
        key: (crash[key] - begin) * 1000 for key, _ in STEPS if crash[key] is not None
    }
    last = at["first_answer"]
    scale = Scale(-0.04 * last, last * 1.17)
    parts = [
        _bar(LEFT, scale(last), y, "dead", "recovering"),
        _bar(scale(last), RIGHT, y, "up", "traffic passes"),
        _text(LEFT - 12, y + 15, "with qcd", "lane", "end"),
        _text(LEFT - 12, y + 30, "magnified", "soft", "end"),
    ]
    for x, above, label in _labels(scale, at):
        parts.append(_line(x, y - above - 5, x, y + LANE_HEIGHT, "tick"))
        parts.append(_text(x + 3, y - above, label, "soft"))
    parts += _axis(scale, y + LANE_HEIGHT + 12, y + LANE_HEIGHT, "ms")
    return parts


def timeline(
    stock: Crash, qcd: Crash, magnified: Crash | None, notes: list[str]
) -> str:
    """The whole picture, from one crash of each lane and the one to magnify."""
    ends = [crash["first_answer"] or 0.0 for crash in (stock, qcd)]
    shown = max(*ends, stock.get("watched") or 0.0)
    scale = Scale(-0.03 * shown, shown * 1.06)
    first, second, zoom = 108, 160, 340
    height = zoom + 92 + 18 * len(notes)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" '
        f'width="{WIDTH}" height="{height}" role="img">',
        "<title>A crashed VPN gateway, with and without qcd</title>",
        f"<style>{STYLE}</style>",
        f'<rect x="0.5" y="0.5" width="{WIDTH - 1}" height="{height - 1}" rx="10" '
        'class="card"/>',
        _text(24, 36, "A gateway is killed at 0 s and restarted", "title"),
        _text(24, 57, "The same tunnel, the same crash, the same settings.", "soft"),
        *_legend(86),
        *_axis(scale, second + LANE_HEIGHT + 12, first, "s"),
        *_lane("stock", "strongSwan", stock, scale, first),
        *_lane("with qcd", "strongSwan + qcd", qcd, scale, second),
        _text(
            24,
            252,
            "From the peer's first IKE request after the restart, in milliseconds",
            "lane",
        ),
        *(_zoom(magnified, zoom) if magnified else []),
    ]
    for number, words in enumerate(notes):
        parts.append(_text(24, zoom + 90 + 18 * number, words, "soft"))
    parts.append("</svg>")
    return "\n".join(parts) + "\n"
