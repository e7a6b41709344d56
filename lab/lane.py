# SPDX-License-Identifier: GPL-2.0-or-later
"""One lane of the demo, a process of its own: crashes a gateway and tells what happens.

Writes one JSON object a line: {"say": text} while it runs, {"crash": {...}}
for each recovery, with times in seconds since the crash.
"""

import argparse
import json
import signal
import sys
import time

from lab.config import Config
from lab.crash import DERIVED, Crash, Recovery
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


def say(**what: object) -> None:
    print(json.dumps(what), flush=True)


def relative(recovery: Recovery) -> dict[str, object]:
    """The recovery with its times counted from the crash."""
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


def run_crash(
    lab: Lab, probe: Probe, name: str, *, nudge: bool, bound: float, give_up: bool
) -> None:
    """One crash; with give_up it is no error when traffic does not come back."""
    probe.wait_answer(count=WARM_UP)
    with Crash(lab.b, lab.a, probe) as crash:
        crash.kill()
        say(say=f"{name}: gateway killed")
        time.sleep(DOWN)  # the outage that is shown
        crash.restart()
        say(say=f"{name}: gateway is back")
        if nudge:
            lab.a.nudge(crash.old[0])
        ended = _follow(crash, name, bound)
        if not ended and not give_up:
            raise LabTimeout(
                f"no traffic within {bound:g} s of the crash\n"
                f"{lab.a.tail()}\n{lab.b.tail()}"
            )
        recovery = crash.look()
        say(crash={"ended": ended, "nudged": nudge, **relative(recovery)})


def _follow(crash: Crash, name: str, bound: float) -> bool:
    """Tell how long traffic has been dead until it is back."""
    killed = crash.recovery.killed
    while time.time() - killed < bound:
        try:
            crash.wait(timeout=EVERY)
        except LabTimeout:
            tries = len(crash.look().requests)
            asked = f", asked {tries} times" if tries else ""
            say(say=f"{name}: dead for {time.time() - killed:.0f} s{asked}")
        else:
            dead = crash.recovery.dead or 0.0
            say(say=f"{name}: traffic again after {dead:.2f} s")
            return True
    return False


def run(kind: str, quick: bool, crashes: int, bound: float | None) -> None:
    """All crashes of a lane."""
    config = Config(qcd=kind == "qcd", dpd_delay=f"{DPD_DELAY}s", dpd_action="restart")
    with Lab(config) as lab:
        lab.up()
        say(version=lab.b.command("version")["version"])
        with Probe(lab.a.host, lab.b.host, PROBE_INTERVAL) as probe:
            for number in range(1, crashes + 1):
                run_crash(
                    lab,
                    probe,
                    f"crash {number} of {crashes}" if crashes > 1 else "crash",
                    # In a full run the first crash is found by DPD, in both lanes.
                    nudge=quick or number > 1,
                    bound=bound or (QCD_BOUND if kind == "qcd" else STOCK_BOUND),
                    give_up=bound is not None,
                )
        lab.check()


def _ended(*_: object) -> None:
    raise SystemExit(143)


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=("stock", "qcd"))
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--crashes", type=int, default=1)
    parser.add_argument("--bound", type=float, help="give up then, without an error")
    options = parser.parse_args(argv)
    signal.signal(signal.SIGTERM, _ended)
    try:
        run(options.kind, options.quick, options.crashes, options.bound)
    except (AssertionError, OSError, RuntimeError) as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
