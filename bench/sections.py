# SPDX-License-Identifier: GPL-2.0-or-later
"""The sections of doc/performance.md, each from the results of one part."""

from collections.abc import Callable
from dataclasses import dataclass

from bench.chart import Bar, Group, bars
from bench.results import Row

Parts = dict[str, Row]
Table = list[list[str]]

KINDS = {"qcd": "up", "stock": "dead", "libreswan": "dead", "floor": "down"}


def table(head: list[str], rows: Table) -> str:
    lines = [head, ["---"] + ["---:"] * (len(head) - 1), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def seconds(value: float) -> str:
    if value < 1:
        return f"{value * 1000:.0f} ms"
    if value < 600:
        return f"{value:.1f} s"
    return f"{value / 60:.0f} min"


def with_spread(row: Row, show: Callable[[float], str] = seconds) -> str:
    low, high = (show(value) for value in row["quartiles"])
    return show(row["median"]) + (f" ({low} to {high})" if row["n"] > 1 else "")


def ratio(row: Row) -> str:
    low, high = row["interval"]
    return f"{row['ratio']:.3f} ({low:.3f} to {high:.3f})"


def kind(way: str) -> str:
    return KINDS[way.split("-")[0]]


# --- crashes --------------------------------------------------------------------


def all_crashes(parts: Parts) -> list[Row]:
    """Return the rows of the recoveries, those of libreswan after those of stock."""
    rows = list(parts["recovery"]["rows"])
    place = 1 + max(n for n, row in enumerate(rows) if row["way"].startswith("stock"))
    others = parts.get("libreswan", {"rows": []})["rows"]
    rows[place:place] = sorted(others, key=lambda row: str(row["way"]))
    return rows


def dead_time(row: Row) -> str:
    if "not_within_s" not in row:
        return with_spread(row["since_return"])
    words = f"not within {row['not_within_s']:.0f} s"
    if row.get("computed_s"):
        low, high = (seconds(value) for value in row["computed_s"])
        words += f"; computed: {low} to {high}"
    return words


def lost(row: Row, usual: float) -> str:
    shown = with_spread(row["lost"], lambda value: f"{value:,.0f}")
    interval = row.get("interval_s", usual)
    return shown if interval == usual else f"{shown}, every {interval * 1000:g} ms"


def recovery(parts: Parts) -> str:
    part = parts["recovery"]
    idle = parts.get("loss", {"rows": []})
    probes = {
        row["way"]: f"{row['probes']:.0f}" for row in idle["rows"] if row["loss"] == 0
    }
    counted = ""
    if probes:
        counted = (
            " Probes are the DPD requests of an idle peer, as a rate for each tunnel and hour: counted on the wire,\n"
            f"without loss, over {idle['tunnels']} tunnels in {idle['seconds']:g} s."
        )
    rows = [
        [
            row["title"],
            dead_time(row),
            with_spread(row["since_crash"]) if "since_crash" in row else "",
            lost(row, part["interval_s"]),
            probes.get(row["way"], ""),
        ]
        for row in all_crashes(parts)
    ]
    head = ["way", "dead since the return", "dead since the crash", "packets lost"]
    return f"""## A crash, side by side
The gateway is killed, is away for {part["down_s"]:g} s and starts again. Its peer sends a ping every
{part["interval_s"] * 1000:g} ms through the tunnel; the dead time ends with the first answer. Medians, with the quartiles in
brackets.{counted}

![Dead time of a tunnel after its gateway's return](performance-crash.svg)

{table([*head, "probes an hour"], rows)}
- What stock strongSwan does without DPD is computed from its default timers, since nobody waits for it: the peer notices
  when it next rekeys the child SA, 54 to 60 minutes after the last time, and repeats that request for 165 s. All pings
  until then are lost.
- "3 tries of 1 s" is `retransmit_tries = 2`, `retransmit_timeout = 1`, `retransmit_base = 1`.
- libreswan needs the kernel's ESP, so it is measured in the kernel lab, an emulated machine, once and with fewer pings; its
  gateway is stock strongSwan. By default it rekeys 9 to 18 minutes before the end of 8 hours, then repeats that for 60 s.
- By IKE, the peer's next request is answered with the token. With DPD that is at most `dpd_delay` later, here after 30 s
  without an answer. By ESP, which is qcd's default, the next packet of the tunnel is enough. By announcement, no packet
  of the peer is needed; the gateway begins a quarter of a second after it has loaded its connections.
"""


def draw_recovery(parts: Parts) -> str:
    shown = []
    for row in all_crashes(parts):
        late = "not_within_s" in row
        value = row["not_within_s"] if late else row["since_return"]["median"]
        words = f"not within {value:.0f} s" if late else seconds(value)
        shown.append(Bar(row["title"], value, words, kind(row["way"]), late))
    return bars(
        "How long is a tunnel dead after its gateway is back?",
        "Median, on a logarithmic scale",
        [Group("", shown)],
        unit="s",
        left=350,
        logarithmic=True,
    )


# --- no crash -------------------------------------------------------------------


def loss(parts: Parts) -> str:
    part = parts["loss"]
    cells: dict[str, list[str]] = {}
    for row in part["rows"]:
        found = row["torn_down"]
        low, high = found["interval"]
        shown = f"{found['rate']:.2f} ({low:.2f} to {high:.2f})"
        cells.setdefault(row["title"], []).append(shown)
    losses = sorted({row["loss"] for row in part["rows"]})
    hours = part["tunnels"] * part["seconds"] / 3600
    return f"""## Healthy tunnels torn down
Nobody crashes here, but packets are lost at random, in both directions. A peer that gives up a tunnel has torn down a
healthy one. For each way and each loss, {part["tunnels"]} idle tunnels were watched for {part["seconds"]:g} s: {hours:.1f} hours
of one tunnel, less the time in which it was down. Numbers for each tunnel and hour, with the 95 % interval of the rate in
brackets.

![Healthy tunnels torn down in an hour](performance-loss.svg)

{table(["way", *(f"{value} % loss" for value in losses)], [[name, *row] for name, row in cells.items()])}
DPD trades one for the other: asking often and giving up soon finds a crash in seconds and tears down tunnels that
work. qcd finds a crash with slow probes or none, so that it need not give up soon.
"""


def draw_loss(parts: Parts) -> str:
    groups: dict[int, list[Bar]] = {}
    for row in parts["loss"]["rows"]:
        rate = row["torn_down"]["rate"]
        bar = Bar(row["title"], rate, f"{rate:.2f}", kind(row["way"]))
        groups.setdefault(row["loss"], []).append(bar)
    return bars(
        "How many healthy tunnels are torn down?",
        "For each tunnel and hour, by the loss on the path",
        [Group(f"{value} % loss", group) for value, group in groups.items()],
        unit="",
        left=400,
    )


# --- the floor ------------------------------------------------------------------


def floor(parts: Parts) -> str:
    rows = [
        [
            f"{row['delay_s'] * 1000:.0f} ms",
            ratio(row),
            with_spread(row["took_s"]),
            with_spread(row["floor_s"]),
            with_spread(row["round_trip_s"], lambda v: f"{v * 1000:.1f} ms"),
        ]
        for row in parts["floor"]["rows"]
    ]
    head = ["path", "recovery / floor", "recovery", "floor", "its round trip"]
    return f"""## The floor of a recovery
No recovery by IKE can be faster than one round trip, in which the peer learns of the crash, and a cold handshake, from
IKE_SA_INIT to the first answer through the tunnel. {parts["floor"]["rows"][0]["n"]} pairs of a handshake and a crash for each path.

![Recovery by IKE against its floor](performance-floor.svg)

{table(head, rows)}"""


def draw_floor(parts: Parts) -> str:
    groups = []
    for row in parts["floor"]["rows"]:
        shown = []
        for key, name, colour in (
            ("floor_s", "a round trip and a cold handshake", "down"),
            ("took_s", "recovery by IKE", "up"),
        ):
            value = row[key]["median"] * 1000
            shown.append(Bar(name, value, f"{value:.1f} ms", colour))
        groups.append(Group(f"{row['delay_s'] * 1000:.0f} ms path", shown))
    return bars(
        "How far is a recovery from its floor?",
        "Median time from the peer's first message to the first answer, by the round trip",
        groups,
        unit="ms",
        left=400,
    )


# --- what a gateway pays ----------------------------------------------------------


def value_of(row: Row) -> str:
    low, high = row["quartiles"]
    shown = f"{row['median']:,.0f} {row['unit']}"
    return shown + (f" ({low:,.0f} to {high:,.0f})" if row["n"] > 1 else "")


def gateway(parts: Parts) -> str:
    shown: dict[str, Table] = {}
    for row in parts["gateway"]["rows"] + parts.get("kernel", {"rows": []})["rows"]:
        cell = ratio(row["to_first"]) if "to_first" in row else "1"
        shown.setdefault(row["what"], []).append([row["case"], cell, value_of(row)])
    tables = "\n".join(
        f"**{what[0].upper()}{what[1:]}**\n\n{table(['case', 'ratio', 'median'], rows)}"
        for what, rows in shown.items()
    )
    return f"""## What a gateway pays while nothing crashes
The first row of each table is the base. Ratios are medians of pairs, with their 95 % interval; medians have their
quartiles.

{tables}
A handshake wakes up no thread for the plugin, unless the peer has other IKE SAs; what it writes to the SA map waits for
0.1 s, so that handshakes share that job. The look-up of an SPI costs every packet the same time while any SA is lost. The share
of that in ESP of the kernel on real hardware was not measured.
"""


# --- the rest -------------------------------------------------------------------


def short(ns: float) -> str:
    """Return a time of an operation."""
    return f"{ns:,.0f} ns" if ns < 1e6 else f"{ns / 1e6:,.1f} ms"


def library(parts: Parts) -> str:
    part = parts["library"]
    ratios = [[what, f"{value:.2f}"] for what, value in part["ratio"].items()]
    times = [[row["what"], short(row["ns"])] for row in part["rows"]]
    sizes = [[what, f"{value:,}"] for what, value in part["octets"].items()]
    return f"""## The libraries
{table(["operations", "ratio"], ratios)}
{table(["operation", "median"], times)}
{table(["in memory", "octets"], sizes)}"""


def ratio_of_storm(row: Row) -> str:
    ratios = row.get("ratios", [])
    ends = f" ({ratios[0]:.2f} to {ratios[-1]:.2f})" if len(ratios) > 1 else ""
    return f"{row['ratio']:.2f}{ends}"


def storms(parts: Parts) -> str:
    part = parts["storms"]
    rows = [
        [
            row["way"],
            f"{row['peers']:,}",
            f"{row['addresses']:,}",
            ratio_of_storm(row),
            f"{row['took_s']:.1f} s",
            f"{row['floor_s']:.1f} s",
            f"{row['worst_s']:.1f} s",
            f"{row['retransmits']:,}",
            f"{row['refused']:,}",
            f"{row['cookies']:,}",
        ]
        for row in part["rows"]
    ]
    head = ["way", "tunnels", "addresses", "time / floor", "time", "floor"]
    head += ["worst tunnel", "retransmissions", "refused", "cookies"]
    planned = [
        [
            row["case"],
            f"{row['peers']:,}",
            f"{row['rate']:,.0f}",
            f"{row['ratio']:.2f}",
            seconds(row["took_s"]),
            f"{row['underway']:,}",
        ]
        for row in part.get("simulation", [])
    ]
    plan = ""
    plan_head = ["network", "peers", "handshakes a second", "time / floor"]
    plan_head += ["all are back after", "most at a time"]
    if planned:
        plan = (
            "\nThe plan for more peers than a lab holds, simulated with the same code that paces the announcements. The rate "
            "is that of\nthe handshakes that the gateway completes.\n\n"
            + table(plan_head, planned)
        )
    return f"""## Storms
All tunnels of a gateway at once, after its crash, with charon's default limits for half-open IKE SAs. The floor is the time
in which the same daemons made as many cold handshakes, just before. The gateway and the charons of its peers share the
processors. A storm can be faster than its floor: the peers begin by themselves, and no program begins each of them. Of five
storms of 1,000 tunnels the one with the median ratio is shown, with the lowest and the highest ratio. At the end the average
load of the machine over 15 minutes was {part["load"]}; what else runs there changes between a floor and its storms.

![All tunnels at once, against the floor](performance-storms.svg)

{table(head, rows)}{plan}"""


def draw_storms(parts: Parts) -> str:
    groups: dict[str, list[Bar]] = {}
    for row in parts["storms"]["rows"]:
        name = f"{row['peers']:,} tunnels, {row['addresses']:,} addresses"
        known = groups.setdefault(name, [])
        if not known:
            known.append(Bar("floor", row["floor_s"], f"{row['floor_s']:.1f} s", "down"))
        words = f"{row['took_s']:.1f} s, {row['ratio']:.2f} x"
        known.append(Bar(row["way"], row["took_s"], words, "up"))
    return bars(
        "How long until all tunnels of a crashed gateway are back?",
        "By what told the peers, against as many cold handshakes",
        [Group(name, group) for name, group in groups.items()],
        unit="s",
        left=330,
    )


# --- goals ----------------------------------------------------------------------


def _goal(name: str, row: Row) -> list[str]:
    """Return a line of the table, for the ratio of a row and its limit.

    The goal is met if the whole interval is within it. If only the median is, the
    measurement does not decide.
    """
    ends = row.get("interval", [row["ratio"]])
    if "at_most" in row:
        limit = f"at most {row['at_most']:.3g}"
        median, whole = row["ratio"] <= row["at_most"], max(ends) <= row["at_most"]
    else:
        limit = f"at least {row['at_least']:.3g}"
        median, whole = row["ratio"] >= row["at_least"], min(ends) >= row["at_least"]
    shown = ratio(row) if "interval" in row else f"{row['ratio']:.2f}"
    met = "yes" if whole else "not decided" if median else "**no**"
    return [name, limit, shown, met]


def _of_gateway(row: Row) -> list[str]:
    name, found = f"{row['what']}: {row['case']}", row["to_first"]
    if "at_most" in row:
        return _goal(name, {**found, "at_most": row["at_most"]})
    inverse = {
        "ratio": 1 / found["ratio"],
        "interval": [1 / bound for bound in reversed(found["interval"])],
        "at_least": row["rate_at_least"],
    }
    return _goal(f"as many a second, {name}", inverse)


DECIDED = """A goal is met if the whole interval is within it, and not decided if only the median is. Storms have no interval: the
median of five decides, or a single one.
"""


def goals(parts: Parts) -> str:
    """Return the table of the goals."""

    def rows(name: str) -> list[Row]:
        return list(parts.get(name, {"rows": []})["rows"])

    lines = [
        _goal(f"recovery by IKE / its floor, {row['delay_s'] * 1000:.0f} ms path", row)
        for row in rows("floor")
    ]
    lines += [
        _of_gateway(row)
        for row in rows("gateway") + rows("kernel")
        if "at_most" in row or "rate_at_least" in row
    ]
    lines += [
        _goal(
            f"storm of {row['peers']:,} tunnels by {row['way']}, "
            f"{row['addresses']:,} addresses / floor",
            {**row, "at_most": 1.2},
        )
        for row in rows("storms")
    ]
    head = ["ratio", "goal", "measured (95 % interval)", "met"]
    return f"## Goals\n{table(head, lines)}\n{DECIDED}"


@dataclass(frozen=True)
class Section:
    text: Callable[[Parts], str]
    picture: str = ""
    draw: Callable[[Parts], str] = lambda parts: ""


SECTIONS = {
    "recovery": Section(recovery, "performance-crash", draw_recovery),
    "loss": Section(loss, "performance-loss", draw_loss),
    "floor": Section(floor, "performance-floor", draw_floor),
    "gateway": Section(gateway),
    "storms": Section(storms, "performance-storms", draw_storms),
    "library": Section(library),
}
