# SPDX-License-Identifier: GPL-2.0-or-later
"""Random walks that go on for a while: `./dev field --walk MINUTES`."""

import argparse
import random
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

from lab.control import REPO
from lab.field.walk import Result, Walk

LIFE = 300.0  # seconds until a walk begins with new gateways
WALKS = 4  # in parallel
NICE = "-10"


def stroll(seed: int, seconds: float, qcd: bool = True, room: bool = False) -> Result:
    """Walk for a time; return what happened.

    Each LIFE begins with new gateways, whose seed is derived from the first one.
    """
    result = Result()
    chance = random.Random(seed)
    until = time.monotonic() + seconds
    own = seed
    while time.monotonic() < until:
        print(f"seed {own}", flush=True)
        with Walk(own, qcd, room) as one:
            try:
                end = min(until, time.monotonic() + LIFE)
                while time.monotonic() < end:
                    one.step()
                    print(f"{one.result.steps}: {one.happened}", flush=True)
                one.end()
            finally:
                result.add(one.summary())
        own = chance.randrange(1 << 32)
    return result


def start(seed: int, seconds: float) -> "subprocess.Popen[str]":
    """Start a walk in its own mount namespace, ahead of builds on the same machine."""
    own = ["nice", "-n", NICE, "unshare", "--mount", "--propagation", "private"]
    argv = [*own, sys.executable, "-m", "lab.field.soak", str(seed), str(seconds)]
    return subprocess.Popen(argv, cwd=REPO, stdout=subprocess.PIPE, text=True)


def _result(process: "subprocess.Popen[str]") -> tuple[str, int]:
    output, _ = process.communicate()
    return output, process.returncode


def walk(minutes: float, given: list[int] | None) -> int:
    """Run the command: several walks in parallel, of new seeds or of given ones.

    Returns the exit status.
    """
    seeds = given or random.sample(range(1 << 32), WALKS)
    print(f"{len(seeds)} walks of {minutes:g} minutes: --seed {seeds}", flush=True)
    with ExitStack() as stack:
        # This waits for its threads, so it comes first: the processes end before that.
        readers = stack.enter_context(ThreadPoolExecutor(len(seeds)))
        started = []
        for own in seeds:
            process = stack.enter_context(start(own, minutes * 60))
            stack.callback(process.terminate)
            started.append(process)
        outputs = list(readers.map(_result, started))
    for own, (output, status) in zip(seeds, outputs):
        shown = output.splitlines()[-2:] if status == 0 else [output]
        print(f"--seed {own}: {'passed' if status == 0 else 'FAILED'}", *shown, sep="\n")
    return 1 if any(status for _, status in outputs) else 0


def main(argv: list[str] | None = None) -> int:
    """Walk, in a process and a mount namespace of its own; return its exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("seed", type=int)
    parser.add_argument("seconds", type=float)
    options = parser.parse_args(argv)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        result = stroll(options.seed, options.seconds, room=True)
    except (AssertionError, OSError, RuntimeError) as error:
        print(error, flush=True)
        return 1
    took, cause = result.slowest
    print(f"{result.steps} steps, the slowest recovery took {took:.2f} s: {cause}")
    print(f"{result.stolen:.1f} s were stolen by others; {'; '.join(result.grown)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
