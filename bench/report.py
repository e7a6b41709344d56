#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
"""Write doc/performance.md and its pictures from the results of the benchmark.

    bench/report.py [--again]

The results of all parts become doc/performance.json; a part that was not measured keeps
its last results there. --again makes the text and the pictures from that file alone.
"""

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench.results import FOLDER, REPO, Row  # noqa: E402
from bench.sections import SECTIONS, goals  # noqa: E402

DATA = REPO / "doc" / "performance.json"
TEXT = REPO / "doc" / "performance.md"
HEAD = """# Performance

What a crash costs with and without qcd, and what qcd costs while nothing happens. Ratios come first: they depend less
on the machine than times do. All figures of a section are of one run on one machine, in which the cases took turns,
except those of libreswan and of the kernel, which are of an emulated machine.

This file is made by `sudo ./dev bench`, from `performance.json`. Do not edit it.
"""
PARTS = "library, recovery, floor, gateway, storms, kernel"
MACHINE = """## The machine
{machine}

Measured on {dates}. `sudo ./dev bench` repeats all of it, in some 35 minutes on a machine that does nothing else, and
`sudo ./dev bench PART... report` only parts: {parts}. `./dev bench report` makes this file again without
measuring.
"""

Parts = dict[str, Row]


def load() -> Parts:
    """Return the results of all parts, the newest of each."""
    before: Parts = json.loads(DATA.read_text()) if DATA.exists() else {}
    now: Parts = {}
    for path in sorted(FOLDER.glob("*.json")):
        part = json.loads(path.read_text())
        known = now.setdefault(part["name"], part)
        if known is not part:  # the kernel lab has a file for each row
            known["rows"] += part["rows"]
    return {**before, **now}


def machine(parts: Parts) -> str:
    """Return the machine of all parts, or the machines."""
    known: dict[str, list[str]] = {}
    for name, part in parts.items():
        if "machine" in part:
            words = ", ".join(f"{key} {value}" for key, value in part["machine"].items())
            known.setdefault(words, []).append(name)
    if len(known) == 1:
        return next(iter(known)) + "."
    return "\n".join(f"- {', '.join(names)}: {words}." for words, names in known.items())


def text(parts: Parts) -> str:
    """Return the document."""
    dates = sorted({part["date"] for part in parts.values() if "date" in part})
    shown = [HEAD, goals(parts)]
    shown += [
        section.text(parts) for name, section in SECTIONS.items() if name in parts
    ]
    shown.append(
        MACHINE.format(
            machine=machine(parts),
            dates=" and ".join(dates) or "an unknown day",
            parts=PARTS,
        )
    )
    return "\n".join(shown)


def pictures(parts: Parts) -> dict[str, str]:
    """Return the pictures by their file names in doc/."""
    found = {}
    for name, section in SECTIONS.items():
        if name in parts and section.picture:
            found[f"{section.picture}.svg"] = section.draw(parts)
    return found


def write(parts: Parts) -> None:
    TEXT.write_text(text(parts))
    for name, picture in pictures(parts).items():
        TEXT.with_name(name).write_text(picture)


def main() -> None:
    if "--again" in sys.argv[1:]:
        parts = json.loads(DATA.read_text())
    else:
        parts = load()
        DATA.write_text(json.dumps(parts, indent=1) + "\n")
    write(parts)
    print(f"Written: {TEXT.relative_to(REPO)}, {DATA.relative_to(REPO)}")


if __name__ == "__main__":
    main()
