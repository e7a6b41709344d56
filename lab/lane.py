# SPDX-License-Identifier: GPL-2.0-or-later
"""One lane of the demo, in its own process: crashes a gateway and reports what happens.

Writes one JSON object a line: {"say": text} while it runs, {"watching": true} once its
last gateway has restarted, {"crash": {...}} for each recovery, with times in seconds
since the crash.
"""

import argparse
import json
import signal
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass

from lab.config import Config
from lab.crash import DERIVED, Crash, Recovery
from lab.gateway import Sa
from lab.scenario import Lab
from lab.traffic import Probe
from lab.wait import LabTimeout

DPD_DELAY = 30
DOWN = 1.0
PROBE_INTERVAL = 0.002
WARM_UP = 250  # answers before a crash: half a second of traffic
STOCK_BOUND = 260.0
QCD_BOUND = 60.0
EVERY = 0.2


@dataclass(frozen=True)
class Situation:
    """What the peer does until it knows of the crash, and the settings."""

    config: Config
    flows: bool = True  # the peer sends traffic, and a probe records the answers
    dpd: bool = False  # the peer's DPD will ask at some time


SITUATIONS = {
    # Traffic only shows when the tunnel works again: qcd's reply to it is off.
    "dpd": Situation(
        Config(esp=False, dpd_delay=f"{DPD_DELAY}s", dpd_action="restart"), dpd=True
    ),
    "esp": Situation(Config(esp=True, dpd_action="restart")),
    "quiet": Situation(
        Config(esp=True, dpd_action="restart", qcd_options={"announce": "yes"}),
        flows=False,
    ),
}


def say(**what: object) -> None:
    print(json.dumps(what), flush=True)


def relative(recovery: Recovery) -> dict[str, object]:
    """Return the recovery with its times relative to the crash."""
    begin = recovery.killed
    result: dict[str, object] = {}
    for key, value in recovery.as_dict().items():
        if isinstance(value, list):
            result[key] = [round(item - begin, 6) for item in value]
        elif isinstance(value, float) and key not in DERIVED:
            result[key] = round(value - begin, 6)
        else:
            result[key] = value
    return result


class Lane:
    """A lab in one situation, and the maximum duration of one of its crashes."""

    def __init__(
        self, lab: Lab, situation: Situation, bound: float, give_up: bool
    ) -> None:
        self.lab = lab
        self.situation = situation
        self.bound = bound
        self.give_up = give_up  # the tunnel need not be restored

    def crash(self, name: str, *, nudge: bool, last: bool) -> None:
        """Crash the gateway and report the recovery."""
        with ExitStack() as stack:
            probe = None
            if self.situation.flows:
                probe = Probe(self.lab.a.host, self.lab.b.host, PROBE_INTERVAL)
                stack.enter_context(probe).wait_answer(count=WARM_UP)
            crash = stack.enter_context(Crash(self.lab.b, self.lab.a, probe))
            crash.kill()
            say(say=f"{name}: gateway killed")
            time.sleep(DOWN)  # the outage that the demo shows
            crash.restart()
            say(say=f"{name}: gateway is back", watching=last)
            if nudge:
                self.lab.a.nudge(crash.old[0])
            ended = self._follow(crash, name)
            if not ended and not self.give_up:
                raise LabTimeout(
                    f"no tunnel within {self.bound:g} s of the crash\n"
                    f"{self.lab.a.tail()}\n{self.lab.b.tail()}"
                )
            recovery = crash.look()
            watched = recovery.first_answer or recovery.ike_auth or time.time()
            if not self.situation.flows:
                recovery.first_answer = self._ping(crash.old, ended)
            told = relative(recovery)
            seen = round(watched - recovery.killed, 6)
            say(crash={"ended": ended, "nudged": nudge, "watched": seen, **told})

    def _follow(self, crash: Crash, name: str) -> bool:
        """Report how long the tunnel has been dead until it is restored."""
        killed = crash.recovery.killed
        wait = crash.wait if self.situation.flows else crash.wait_up
        while time.time() - killed < self.bound:
            try:
                wait(timeout=EVERY)
            except LabTimeout:
                tries = len(crash.look().requests)
                asked = f", asked {tries} times" if tries else ""
                say(say=f"{name}: dead for {time.time() - killed:.0f} s{asked}")
            else:
                spent = crash.recovery.first_answer or crash.recovery.ike_auth or killed
                say(say=f"{name}: back after {spent - killed:.2f} s")
                return True
        return False

    def _ping(self, old: tuple[Sa, ...], ended: bool) -> float | None:
        """Without traffic before: ping until there is an answer; None if there is none.

        Without a tunnel, this is tried for a second.
        """
        if ended:
            self.lab.a.wait_established(other_than=old)
        with Probe(self.lab.a.host, self.lab.b.host, PROBE_INTERVAL) as probe:
            try:
                return probe.wait_answer(timeout=10.0 if ended else 1.0)
            except LabTimeout:
                if ended:
                    raise
                return None


def run(
    kind: str, situation: Situation, quick: bool, crashes: int, bound: float | None
) -> None:
    """Run all crashes of a lane."""
    with Lab(situation.config.but(qcd=kind == "qcd")) as lab:
        lab.up()
        say(version=lab.b.command("version")["version"])
        limit = bound or (QCD_BOUND if kind == "qcd" else STOCK_BOUND)
        lane = Lane(lab, situation, limit, give_up=bound is not None)
        for number in range(1, crashes + 1):
            lane.crash(
                f"crash {number} of {crashes}" if crashes > 1 else "crash",
                # In a full run, DPD detects the first crash, in both lanes.
                nudge=situation.dpd and (quick or number > 1),
                last=number == crashes,
            )
        lab.check()


def _ended(*_: object) -> None:
    raise SystemExit(143)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=("stock", "qcd"))
    parser.add_argument("situation", choices=SITUATIONS)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--crashes", type=int, default=1)
    parser.add_argument("--bound", type=float, help="give up then, without an error")
    options = parser.parse_args(argv)
    signal.signal(signal.SIGTERM, _ended)
    situation = SITUATIONS[options.situation]
    try:
        run(options.kind, situation, options.quick, options.crashes, options.bound)
    except (AssertionError, OSError, RuntimeError) as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
