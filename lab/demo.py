# SPDX-License-Identifier: GPL-2.0-or-later
"""The demo: the same crash with stock strongSwan and with qcd, side by side."""

import argparse
import json
import os
import queue
import shutil
import signal
import statistics
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from lab.control import REPO
from lab.lane import DOWN, DPD_DELAY, PROBE_INTERVAL
from lab.process import plugin_path
from lab.timeline import timeline

GOAL = 0.050
CRASHES = 5
QUICK_BOUND = 12.0
QUIET_EVERY = 15.0
Crash = dict[str, Any]


class DemoFailed(Exception):
    """The demo could not be run, or shows less than it must."""


class Lane:
    """One of the two processes, and what it has told."""

    def __init__(self, kind: str, arguments: list[str]) -> None:
        self.kind = kind
        self.state = "starting"
        self.version = ""
        self.crashes: list[Crash] = []
        argv = [sys.executable, "-m", "lab.lane", kind, *arguments]
        self.process = subprocess.Popen(
            argv, cwd=REPO, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self.errors: list[str] = []

    def follow(self, news: "queue.Queue[Lane]") -> None:
        """Read what it tells, in threads of their own."""
        for work in (self._read, self._read_errors):
            threading.Thread(target=work, args=(news,), daemon=True).start()

    def _read(self, news: "queue.Queue[Lane]") -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            told = json.loads(line)
            self.state = told.get("say", self.state)
            self.version = told.get("version", self.version)
            if "crash" in told:
                self.crashes.append(told["crash"])
            news.put(self)
        self.process.wait()
        news.put(self)

    def _read_errors(self, _: "queue.Queue[Lane]") -> None:
        assert self.process.stderr is not None
        self.errors += self.process.stderr.readlines()

    @property
    def running(self) -> bool:
        return self.process.poll() is None

    def end(self) -> None:
        """End the process, and with it its gateways."""
        if self.running:
            self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Progress:
    """One line that is refreshed on a terminal, plain lines elsewhere."""

    def __init__(self) -> None:
        self._tty = sys.stdout.isatty()
        self._shown: dict[str, tuple[str, float]] = {}  # what was said, and when

    def show(self, lanes: list[Lane]) -> None:
        if self._tty:
            line = "   ".join(f"{lane.kind}: {lane.state}" for lane in lanes)
            width = max(shutil.get_terminal_size().columns - 1, 20)
            print(f"\r{line[:width]:<{width}}", end="", flush=True)
            return
        for lane in lanes:
            before, when = self._shown.get(lane.kind, ("", 0.0))
            now = time.monotonic()
            counts_on = "dead for" in lane.state and "dead for" in before
            if lane.state == before or (counts_on and now - when < QUIET_EVERY):
                continue
            self._shown[lane.kind] = (lane.state, now)
            print(f"{lane.kind}: {lane.state}", flush=True)

    def done(self) -> None:
        if self._tty:
            print()


def run_lanes(quick: bool) -> tuple[Lane, Lane]:
    """Run both lanes to their ends; DemoFailed if one fails."""
    options = ["--quick"] if quick else []
    bound = ["--bound", str(QUICK_BOUND)] if quick else []
    stock = Lane("stock", [*options, *bound])
    qcd = Lane("qcd", [*options, "--crashes", str(CRASHES)])
    lanes = [stock, qcd]
    news: queue.Queue[Lane] = queue.Queue()
    progress = Progress()
    try:
        for lane in lanes:
            lane.follow(news)
        while any(lane.running for lane in lanes) or not news.empty():
            try:
                changed = news.get(timeout=1)
            except queue.Empty:
                continue
            progress.show(lanes)
            if not changed.running and changed.process.returncode != 0:
                raise DemoFailed(
                    f"the {changed.kind} lane failed (status "
                    f"{changed.process.returncode}):\n{''.join(changed.errors)}"
                )
    finally:
        for lane in lanes:
            lane.end()
        progress.done()
    return stock, qcd


def seconds(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value * 1000:.1f} ms" if value < 1 else f"{value:.1f} s"


def median(crashes: list[Crash], key: str) -> float | None:
    values = [crash[key] for crash in crashes if crash[key] is not None]
    return statistics.median(values) if values else None


ROWS = (
    ("dead", "dead time", "last answer before the crash -> first answer after it"),
    ("dead_after_restart", "  of it after the restart", "restart -> first answer"),
    ("detect", "time to detect", "restart -> the peer drops the dead SA"),
    ("reconnect", "time to reconnect", "the peer drops the dead SA -> first answer"),
    (
        "request_to_answer",
        "once the peer speaks",
        "its first IKE request after the restart -> first answer",
    ),
)


def table(report: Crash) -> str:
    """What is printed at the end."""
    stock, found = report["stock"], report["qcd"]
    first = found["crashes"][0]
    quick = report["quick"]
    head = ("", "stock", "with qcd", f"median of {CRASHES}", "counted from -> to")
    lines = [head]
    for key, name, counted in ROWS:
        left = seconds(stock[key])
        if quick and key in ("dead", "dead_after_restart"):
            left = f"> {stock['watched']:.0f} s"
        median_shown = found["median"][key]
        cells = (name, left, seconds(first[key]), seconds(median_shown), counted)
        lines.append(cells)
    widths = [max(len(line[column]) for line in lines) for column in range(5)]
    text = "\n".join(
        "  ".join(f"{cell:<{width}}" for cell, width in zip(line, widths)).rstrip()
        for line in lines
    )
    return "\n".join([text, "", *report["notes"]])


def notes(quick: bool) -> list[str]:
    both = (
        f"Both: dpd_delay = {DPD_DELAY}s, dpd_action = restart, a ping every "
        f"{PROBE_INTERVAL * 1000:g} ms, gateway away for {DOWN:g} s."
    )
    if quick:
        return [
            both,
            f"Quick run: stock was watched for {QUICK_BOUND:g} s only and was still "
            "dead; the full run waits for it, about 195 s.",
            "Quick run: the peer was made to send an IKE request after each restart; "
            f"left alone it speaks at its next DPD, up to {DPD_DELAY} s later.",
        ]
    return [
        both,
        f"The column `with qcd` is the first crash, found by the peer's own DPD; in "
        f"the other {CRASHES - 1} the peer was made to send an IKE request.",
    ]


def build_report(stock: Lane, qcd: Lane, quick: bool) -> Crash:
    """Everything that was measured, with the verdict."""
    if len(stock.crashes) != 1 or len(qcd.crashes) != CRASHES:
        raise DemoFailed("a lane ended without telling all its crashes")
    dead = {**stock.crashes[0]}
    dead["watched"] = QUICK_BOUND if quick else dead["dead"]
    middle = {key: median(qcd.crashes, key) for key, _, _ in ROWS}
    reached = middle["request_to_answer"]
    problems = []
    if reached is None or reached > GOAL:
        problems.append(
            f"with qcd traffic came back {seconds(reached)} after the peer's first IKE "
            f"request (median of {CRASHES}); the goal is {seconds(GOAL)}"
        )
    late = sum(crash["retransmitted"] for crash in qcd.crashes)
    if late:
        problems.append(f"{late} messages of the new handshakes were sent twice")
    return {
        "quick": quick,
        "strongswan": qcd.version,
        "dpd_delay_s": DPD_DELAY,
        "gateway_away_s": DOWN,
        "probe_interval_s": PROBE_INTERVAL,
        "goal_request_to_answer_s": GOAL,
        "unit": "seconds, points in time counted from the crash",
        "counted": {key: text for key, _, text in ROWS},
        "stock": dead,
        "qcd": {"crashes": qcd.crashes, "median": middle},
        "notes": notes(quick),
        "problems": problems,
        "passed": not problems,
    }


def picture(report: Crash) -> str:
    crashes = report["qcd"]["crashes"]
    asked = [crash for crash in crashes if crash["request_to_answer"] is not None]
    asked.sort(key=lambda crash: float(crash["request_to_answer"]))
    middle = asked[len(asked) // 2] if asked else None
    return timeline(report["stock"], crashes[0], middle, report["notes"])


def write(report: Crash, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "report.json").write_text(json.dumps(report, indent=2) + "\n")
    (folder / "timeline.svg").write_text(picture(report))


def demo(quick: bool, folder: Path) -> None:
    if os.geteuid() != 0:
        raise DemoFailed("the demo makes network namespaces: run it as root")
    if not plugin_path().is_file():
        raise DemoFailed(f"there is no plugin at {plugin_path()}: run ./dev build")
    report = build_report(*run_lanes(quick), quick)
    write(report, folder)
    print(f"\n{table(report)}\n\nWritten: {folder}/timeline.svg, {folder}/report.json")
    if report["problems"]:
        raise DemoFailed("; ".join(report["problems"]))


def _ended(*_: object) -> None:
    raise SystemExit(143)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="./dev demo", description=__doc__)
    parser.add_argument(
        "--quick", action="store_true", help="don't wait for stock's three minutes"
    )
    parser.add_argument("--out", type=Path, default=REPO / "build" / "demo")
    options = parser.parse_args(argv)
    signal.signal(signal.SIGTERM, _ended)
    try:
        demo(options.quick, options.out)
    except DemoFailed as error:
        print(f"demo failed: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("demo: interrupted", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
