# SPDX-License-Identifier: GPL-2.0-or-later
"""Plays field scenarios in separate processes, several in parallel.

A scenario that only waits for its settling time leaves the machine to the next one.
Until then, a heavy scenario has the machine for itself. Plays with stock charon wait
for its DPD most of their time, so many of them run in parallel.
"""

import json
import queue
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from dataclasses import dataclass

from lab.control import REPO
from lab.field.outcome import CASES, Outcome

PERMITS = 2
STOCK_AT_A_TIME = 12
PLAY_TIMEOUT = 1800.0


@dataclass(frozen=True)
class Play:
    """A scenario in one of the two lanes."""

    name: str
    qcd: bool = True
    full: bool = False
    bound: float | None = None

    @property
    def weight(self) -> int:
        return PERMITS if CASES[self.name].heavy else 1

    @property
    def argv(self) -> list[str]:
        argv = [sys.executable, "-m", "lab.field.play", self.name]
        argv += [] if self.qcd else ["--stock"]
        argv += ["--full"] if self.full else []
        argv += [] if self.bound is None else ["--bound", str(self.bound)]
        return argv


class Permits:
    """A semaphore that grants several units at once, in the order of requests."""

    def __init__(self, count: int) -> None:
        self._left = count
        self._changed = threading.Condition()
        self._line: list[object] = []

    def take(self, count: int) -> None:
        me = object()
        with self._changed:
            self._line.append(me)
            self._changed.wait_for(
                lambda: self._line[0] is me and self._left >= count
            )
            self._line.pop(0)
            self._left -= count
            self._changed.notify_all()

    def give(self, count: int) -> None:
        with self._changed:
            self._left += count
            self._changed.notify_all()


class Pool:
    """Runs plays; use it in a `with`, which ends all processes."""

    def __init__(self, permits: int = PERMITS) -> None:
        self._permits = Permits(permits)
        self._processes: list[subprocess.Popen[str]] = []
        self._threads: list[threading.Thread] = []
        self._closing = False

    def __enter__(self) -> "Pool":
        return self

    def __exit__(self, *_: object) -> None:
        self._closing = True
        for process in self._processes:
            if process.poll() is None:
                process.terminate()
        for thread in self._threads:
            thread.join()

    def run(
        self, plays: Iterable[Play], workers: int, weighed: bool = True
    ) -> dict[Play, "Future[Outcome]"]:
        """Start the plays; return futures of their outcomes."""
        futures: dict[Play, Future[Outcome]] = {play: Future() for play in plays}
        line: queue.SimpleQueue[Play] = queue.SimpleQueue()
        for play in futures:
            line.put(play)

        def work() -> None:
            while not self._closing:
                try:
                    play = line.get_nowait()
                except queue.Empty:
                    return
                self._one(play, futures[play], weighed)

        for _ in range(min(workers, len(futures))):
            thread = threading.Thread(target=work, daemon=True)
            thread.start()
            self._threads.append(thread)
        return futures

    def _one(self, play: Play, future: "Future[Outcome]", weighed: bool) -> None:
        weight = play.weight if weighed else 0
        self._permits.take(weight)
        given = False

        def give() -> None:
            nonlocal given
            if not given:
                self._permits.give(weight)
            given = True

        try:
            future.set_result(self._play(play, give))
        except Exception as error:  # passed on to the future's owner
            future.set_exception(error)
        finally:
            give()

    def _play(self, play: Play, settling: Callable[[], None]) -> Outcome:
        process = subprocess.Popen(
            play.argv,
            cwd=REPO,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._processes.append(process)
        overdue = threading.Timer(PLAY_TIMEOUT, process.kill)
        overdue.start()
        outcome = None
        errors: list[str] = []
        assert process.stdout is not None and process.stderr is not None
        stderr = process.stderr
        reader = threading.Thread(target=lambda: errors.extend(stderr.readlines()))
        reader.start()
        try:
            for line in process.stdout:
                told = json.loads(line)
                if told.get("settling"):
                    settling()
                if "outcome" in told:
                    outcome = Outcome(**told["outcome"])
        finally:
            process.wait()
            overdue.cancel()
            reader.join()
        if outcome is None:
            raise RuntimeError(
                f"the play of {play.name} ended (status {process.returncode}) "
                f"without an outcome:\n{''.join(errors)}"
            )
        return outcome
