#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""What the libraries cost, without a daemon.

    bench/library.py QCD-BENCH
"""

import json
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench.results import save  # noqa: E402


def main() -> None:
    done = subprocess.run(
        [sys.argv[1], "--json"], stdout=subprocess.PIPE, check=True, text=True
    )
    found = json.loads(done.stdout)
    rows = [{"what": what, "ns": ns} for what, ns in found["ns"].items()]
    save(
        "library",
        __doc__.splitlines()[0],
        rows,
        ratio=found["ratio"],
        octets=found["octets"],
    )
    for what, ns in found["ns"].items():
        print(f"{what:<46} {ns:14,.1f} ns")
    for what, ratio in found["ratio"].items():
        print(f"{what:<76} {ratio:6.2f} x")
    for what, octets in found["octets"].items():
        print(f"{what:<46} {octets:14,} octets")


if __name__ == "__main__":
    main()
