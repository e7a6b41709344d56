# SPDX-License-Identifier: GPL-2.0-or-later
"""One play of one field scenario, in its own process.

Writes one JSON object a line: {"settling": true} when it no longer needs the machine,
{"outcome": {...}} at the end.
"""

import argparse
import json
import signal
import sys
import traceback

from lab.field.outcome import CASES
from lab.field.scenarios import SCENARIOS  # noqa: F401  registers them all
from lab.field.stage import Stage

QCD_BOUND = 20.0
STOCK_BOUND = 260.0


def say(**what: object) -> None:
    print(json.dumps(what), flush=True)


def play(stage: Stage) -> None:
    try:
        stage.case.play(stage)
        say(settling=True)
        stage.settle()
    except Exception as error:  # any error belongs in the report
        lines = str(error).splitlines() or [repr(error)]
        stage.outcome.broken.append(lines[0])
        stage.outcome.notes = traceback.format_exc()
    if stage.outcome.problems(stage.case) and hasattr(stage, "lab"):
        stage.outcome.notes += f"\n{stage.tails()}"


def _ended(*_: object) -> None:
    raise SystemExit(143)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", choices=CASES)
    parser.add_argument("--stock", action="store_true", help="without qcd")
    parser.add_argument("--full", action="store_true", help="as many rounds as asked")
    parser.add_argument("--bound", type=float, help="seconds until we give up")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, _ended)
    bound = options.bound or (STOCK_BOUND if options.stock else QCD_BOUND)
    stage = Stage(CASES[options.name], not options.stock, options.full, bound)
    try:
        play(stage)
        say(outcome=stage.outcome.as_dict())
    finally:
        stage.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
