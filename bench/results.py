# SPDX-License-Identifier: GPL-2.0-or-later
"""The results of a part of the benchmark: a JSON file that bench/report.py reads."""

import json
import math
import os
import platform
import random
import shutil
import statistics
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

REPO = Path(__file__).resolve().parent.parent
FOLDER = Path(os.environ.get("QCD_BENCH_RESULTS", REPO / ".cache" / "bench"))
RESAMPLES = 2000
SURE = (0.025, 0.975)

Row = dict[str, Any]
Statistic = Callable[[list[float]], float]


def spread(values: list[float]) -> Row:
    """Return the median and the quartiles."""
    if len(values) == 1:
        return {"median": values[0], "quartiles": [values[0]] * 2, "n": 1}
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return {"median": middle, "quartiles": [low, high], "n": len(values)}


def interval(
    pairs: list[tuple[float, float]], value: Callable[[list[tuple[float, float]]], float]
) -> list[float]:
    """Return the 95 % interval of a value of these pairs, by resampling them."""
    chance = random.Random(1)
    found = sorted(value(chance.choices(pairs, k=len(pairs))) for _ in range(RESAMPLES))
    return [found[int(share * RESAMPLES)] for share in SURE]


def paired(pairs: list[tuple[float, float]]) -> Row:
    """Return the median ratio of (before, after), and its 95 % interval."""

    def ratio(chosen: list[tuple[float, float]]) -> float:
        return statistics.median(after / before for before, after in chosen)

    return {"ratio": ratio(pairs), "interval": interval(pairs, ratio), "n": len(pairs)}


def events(count: int, hours: float) -> Row:
    """Return a rate an hour with its 95 % interval: Byar's approximation."""

    def bound(number: int, z: float) -> float:
        if number == 0:
            return 0.0
        return number * (1 - 1 / (9 * number) + z / (3 * math.sqrt(number))) ** 3 / hours

    limits = [bound(count, -1.96), bound(count + 1, 1.96)]
    return {"count": count, "hours": hours, "rate": count / hours, "interval": limits}


def _version(*argv: str) -> str:
    """Return what the program prints, nothing if there is no such program."""
    if shutil.which(argv[0]) is None:
        return ""
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    return done.stdout.strip()


def machine() -> dict[str, str]:
    """Return what the figures depend on, without names of hosts or paths."""
    info = Path("/proc/cpuinfo").read_text().splitlines()
    names = [line.split(":")[1].strip() for line in info if line.startswith("model name")]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    system = platform.freedesktop_os_release()
    known = {
        "processor": names[0] if names else platform.machine(),
        "cores": str(len(os.sched_getaffinity(0))),
        "memory": f"{memory:.0f} GiB",
        "kernel": platform.release(),
        "system": system["PRETTY_NAME"],
        "strongSwan": _version(
            "dpkg-query", "-W", "-f", "${Version}", "strongswan-libcharon"
        ),
        "compiler": _version("cc", "-dumpfullversion"),
    }
    return {key: value for key, value in known.items() if value}


def result(name: str, title: str, rows: list[Row], **more: Any) -> Row:
    """Return the results of a part as they are kept."""
    return {
        "name": name,
        "title": title,
        "date": time.strftime("%Y-%m-%d"),
        "machine": machine(),
        "rows": rows,
        **more,
    }


def save(name: str, title: str, rows: list[Row], **more: Any) -> None:
    """Keep the results of a part."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    found = result(name, title, rows, **more)
    (FOLDER / f"{name}.json").write_text(json.dumps(found, indent=1) + "\n")
