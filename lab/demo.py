# SPDX-License-Identifier: GPL-2.0-or-later
"""The demo: the same crashes with stock strongSwan and with qcd, side by side."""

import argparse
import json
import os
import queue
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from lab.control import REPO
from lab.lane import SITUATIONS
from lab.process import plugin_path
from lab.report import (
    CRASHES,
    QUICK_BOUND,
    STOCK_WATCHED,
    Crash,
    build_report,
    picture,
    table,
)

QUIET_EVERY = 15.0


class DemoFailed(Exception):
    """The demo could not be run, or its results are worse than required."""


class Lane:
    """One of the processes, and the messages it has sent."""

    def __init__(self, kind: str, situation: str, quick: bool) -> None:
        self.kind = kind
        self.situation = situation
        self.name = f"{kind}, {situation}"
        self.state = "starting"
        self.telling = True  # it runs, or some of its messages are unread
        self.watching = False  # from now on it only waits
        self.version = ""
        self.crashes: list[Crash] = []
        argv = [sys.executable, "-m", "lab.lane", kind, situation]
        argv += ["--quick"] if quick else []
        if kind == "qcd":
            argv += ["--crashes", str(CRASHES)]
        elif quick or not SITUATIONS[situation].dpd:
            argv += ["--bound", str(QUICK_BOUND if quick else STOCK_WATCHED)]
        self.process = subprocess.Popen(
            argv, cwd=REPO, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self.errors: list[str] = []

    def follow(self, news: "queue.Queue[Lane]") -> None:
        """Read its messages in separate threads."""
        for work in (self._read, self._read_errors):
            threading.Thread(target=work, args=(news,), daemon=True).start()

    def _read(self, news: "queue.Queue[Lane]") -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            told = json.loads(line)
            self.state = told.get("say", self.state)
            self.version = told.get("version", self.version)
            self.watching = told.get("watching", self.watching)
            if "crash" in told:
                self.crashes.append(told["crash"])
            news.put(self)
        self.process.wait()
        self.telling = False
        news.put(self)

    def _read_errors(self, _: "queue.Queue[Lane]") -> None:
        assert self.process.stderr is not None
        self.errors += self.process.stderr.readlines()

    def end(self) -> None:
        """End the process and with it its gateways."""
        if self.process.poll() is None:
            self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Progress:
    """Lines that are refreshed on a terminal and plain elsewhere."""

    def __init__(self) -> None:
        self._tty = sys.stdout.isatty()
        self._lines = 0
        self._shown: dict[str, tuple[str, float]] = {}  # the text and its time

    def show(self, lanes: list[Lane]) -> None:
        if self._tty:
            width = max(shutil.get_terminal_size().columns - 1, 20)
            lines = [f"{lane.name}: {lane.state}"[:width] for lane in lanes]
            up = f"\x1b[{self._lines}F" if self._lines else ""
            print(up + "".join(f"{line}\x1b[K\n" for line in lines), end="", flush=True)
            self._lines = len(lines)
            return
        for lane in lanes:
            before, when = self._shown.get(lane.name, ("", 0.0))
            now = time.monotonic()
            counts_on = "dead for" in lane.state and "dead for" in before
            if lane.state == before or (counts_on and now - when < QUIET_EVERY):
                continue
            self._shown[lane.name] = (lane.state, now)
            print(f"{lane.name}: {lane.state}", flush=True)


class Lanes:
    """All lanes: the stock ones in parallel, then ours one after the other.

    The stock lanes only wait, which leaves the machine to ours. Two of ours in parallel
    would prolong each other's handshakes.
    """

    def __init__(self, quick: bool) -> None:
        self._quick = quick
        self._news: queue.Queue[Lane] = queue.Queue()
        self._to_come = list(SITUATIONS)
        self.all: list[Lane] = []

    def _start(self, kind: str, situation: str) -> None:
        lane = Lane(kind, situation, self._quick)
        self.all.append(lane)
        lane.follow(self._news)

    def _start_next(self) -> None:
        busy = (lane.telling and not lane.watching for lane in self.all)
        ours = (lane.telling for lane in self.all if lane.kind == "qcd")
        if self._to_come and not any(busy) and not any(ours):
            self._start("qcd", self._to_come.pop(0))

    def run(self) -> None:
        """Run all lanes to their ends; DemoFailed if one fails."""
        progress = Progress()
        try:
            for situation in SITUATIONS:
                self._start("stock", situation)
            while self._to_come or any(lane.telling for lane in self.all):
                self._take(progress)
                self._start_next()
            while not self._news.empty():
                self._take(progress)
        finally:
            for lane in self.all:
                lane.end()

    def _take(self, progress: Progress) -> None:
        try:
            changed = self._news.get(timeout=1)
        except queue.Empty:
            return
        progress.show(self.all)
        if not changed.telling and changed.process.returncode != 0:
            raise DemoFailed(
                f"the lane `{changed.name}` failed (status "
                f"{changed.process.returncode}):\n{''.join(changed.errors)}"
            )

    def told(self) -> dict[str, dict[str, list[Crash]]]:
        """Return all crashes, by situation and lane."""
        found: dict[str, dict[str, list[Crash]]] = {key: {} for key in SITUATIONS}
        for lane in self.all:
            if len(lane.crashes) != (CRASHES if lane.kind == "qcd" else 1):
                raise DemoFailed(f"`{lane.name}` ended without telling all its crashes")
            found[lane.situation][lane.kind] = lane.crashes
        return found

    @property
    def version(self) -> str:
        return self.all[-1].version


def write(report: Crash, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "report.json").write_text(json.dumps(report, indent=2) + "\n")
    (folder / "timeline.svg").write_text(picture(report))


def demo(quick: bool, folder: Path) -> None:
    if os.geteuid() != 0:
        raise DemoFailed("the demo makes network namespaces: run it as root")
    if not plugin_path().is_file():
        raise DemoFailed(f"there is no plugin at {plugin_path()}: run ./dev build")
    lanes = Lanes(quick)
    lanes.run()
    report = build_report(lanes.told(), lanes.version, quick)
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
