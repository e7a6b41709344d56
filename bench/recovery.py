#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""How long a tunnel is dead after a crash of its gateway, and what is lost meanwhile.

    bench/recovery.py [--quick]

Each way of bench/ways.py has the same lab and the same traffic: a ping every 5 ms,
from the peer's network to the gateway's. The gateway is killed and away for a second.
The ways that take minutes run at the same time as the labs of bench/loss.py, which
mostly wait as well; the others have the machine to themselves.
"""

import multiprocessing
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench import loss  # noqa: E402
from bench.results import Row, save, spread  # noqa: E402
from bench.ways import WAYS, Way  # noqa: E402
from lab.crash import Crash  # noqa: E402
from lab.scenario import Lab  # noqa: E402
from lab.traffic import Probe  # noqa: E402
from lab.wait import LabTimeout  # noqa: E402

CRASHES = 9
LONG_CRASHES = 3  # of a way that takes minutes, all at the same time
WATCHED = 240.0
DOWN = 1.0
INTERVAL = 0.005
WARM_UP = 100

Story = dict[str, Any]


def crash(lab: Lab, way: Way, watched: float) -> Story:
    """Crash the gateway once; return the durations in seconds."""
    with Probe(lab.a.host, lab.b.host, INTERVAL) as probe:
        probe.wait_answer(count=WARM_UP)
        with Crash(lab.b, lab.a, probe) as running:
            running.kill()
            time.sleep(DOWN)  # the outage
            running.restart()
            if way.nudged:
                lab.a.nudge(running.old[0])
            killed, restarted = running.recovery.killed, running.recovery.restarted
            try:
                back = running.wait(watched).first_answer
            except LabTimeout:
                sent, answered = probe.counts(killed)
                return {"watched": time.time() - restarted, "lost": sent - answered}
            assert back is not None
            probe.wait_answer(count=WARM_UP)
            gaps = [gap for gap in probe.gaps(0.0, since=killed) if gap.start < back]
            return {
                "since_crash": back - killed,
                "since_return": max(back - restarted, 0.0),
                "lost": sum(gap.lost for gap in gaps),
                "messages": running.look().messages,
            }


def play(name: str, crashes: int, watched: float) -> list[Story]:
    """Run the crashes of one lab."""
    way = WAYS[name]
    with Lab(a=way.config, b=way.config.but(dpd_delay="0s")) as lab:
        lab.up()
        found = []
        for _ in range(crashes):
            found.append(crash(lab, way, watched))
        lab.check()
        return found


def row(name: str, stories: list[Story]) -> Row:
    way = WAYS[name]
    found: Row = {"way": name, "title": way.title, "n": len(stories)}
    found["lost"] = spread([float(story["lost"]) for story in stories])
    if any("watched" in story for story in stories):
        found["not_within_s"] = min(story.get("watched", 0.0) for story in stories)
        found["computed_s"] = way.computed
        return found
    for key in ("since_crash", "since_return", "messages"):
        found[key] = spread([float(story[key]) for story in stories])
    return found


def measure(quick: bool) -> list[Row]:
    crashes, watched = (2, 12.0) if quick else (CRASHES, WATCHED)
    lossy = (20, 30.0, 0.0) if quick else (loss.TUNNELS, loss.SECONDS, loss.SETTLING)
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(64, mp_context=context) as pool:
        waiting = {
            name: [pool.submit(play, name, 1, watched) for _ in range(LONG_CRASHES)]
            for name, way in WAYS.items()
            if way.long
        }
        labs = loss.submit(pool, *lossy)
        stories = {
            name: [story for lab in labs for story in lab.result()]
            for name, labs in waiting.items()
        }
        loss.report([lab.result() for lab in labs], *lossy[:2])
        for name, way in WAYS.items():
            if not way.long:
                stories[name] = pool.submit(play, name, crashes, watched).result()
    return [row(name, stories[name]) for name in WAYS]


def main() -> None:
    rows = measure("--quick" in sys.argv[1:])
    save("recovery", __doc__.splitlines()[0], rows, down_s=DOWN, interval_s=INTERVAL)
    for found in rows:
        dead = found.get("since_return")
        shown = f"{dead['median']:9.3f} s" if dead else f"> {found['not_within_s']:.0f} s"
        print(f"{found['title']:<42} {shown:>12} {found['lost']['median']:8.0f} lost")


if __name__ == "__main__":
    main()
