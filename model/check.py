#!/usr/bin/python3
# SPDX-FileCopyrightText: The qcd authors
# SPDX-License-Identifier: Apache-2.0
"""Check the models with spin, and that each rule of them is needed.

    model/check.py [--large] [FOLDER]

Each model must hold, and its search must be complete. Then each rule is removed
in turn, and spin must find the error. --large also searches bigger instances,
which takes minutes and gigabytes. FOLDER, build/model by default, gets what spin
and the compiler make, with the trail of each error.
"""

import argparse
import os
import re
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
SWITCH = re.compile(r"(?:ifn?def |defined\()(\w+)")
SIZE = re.compile(r"#ifndef (\w+)\n#define \1 ")
# What pan prints if a search was not complete.
INCOMPLETE = re.compile(
    r"max search depth too small|Search not completed|out of memory|memory limit|"
    r"hash factor|reached -DMEMLIM|aborted|cannot allocate",
)
# What spin reports for a rule that was removed.
ASSERTION = "assertion violated"
CYCLE = "non-progress cycle"


@dataclass(frozen=True)
class Case:
    """A model, as it is if `error` is empty, or without a rule."""

    model: str
    defines: tuple[str, ...]
    error: str = ""
    memory: int = 2000  # megabytes at most
    depth: int = 1000000
    large: bool = False

    @property
    def name(self) -> str:
        return " ".join((self.model, *self.defines))


@dataclass(frozen=True)
class Result:
    case: Case
    fault: str
    states: str = "-"
    depth: str = "-"
    megabytes: str = "-"
    seconds: float = 0.0


ONCE = ("CRASHES=1", "LOSSES=1", "COPIES=1", "EARLY=0")

BOTH = ("CRASHES=2", "LOSSES=0", "COPIES=0", "EARLY=0")

LATE = ("CRASHES=1", "LOSSES=1", "COPIES=0", "EARLY=1")

MODELS = [
    Case("recovery", LATE),  # first, because it takes longest
    Case("token", ("SAS=2",)),
    Case("recovery", ("PASSIVE", "CRASHES=2", "LOSSES=1", "COPIES=1", "EARLY=0")),
    Case("recovery", ONCE),
    Case("recovery", BOTH),
    Case("recovery", ("PASSIVE", "CRASHES=2", "LOSSES=2", "COPIES=2", "EARLY=0"), large=True),
    Case("recovery", ("CRASHES=1", "LOSSES=2", "COPIES=2", "EARLY=0"), large=True),
]

# The switches of each model, and what spin finds.
RULES = {
    "token": {
        "NO_RUN": ASSERTION,
        "LOOK_UP": ASSERTION,
        "NO_ROLE": ASSERTION,
        "BURY_EARLY": ASSERTION,
        "TRUST_MAP": ASSERTION,
        "NO_CHECK": ASSERTION,
        "SAME_TOKEN": ASSERTION,
        "NO_MEMORY": ASSERTION,
    },
    "recovery": {
        "NO_TOKEN": CYCLE,
        "NO_GRAVEYARD": ASSERTION,
        "NO_REPEAT": ASSERTION,
        "NO_RETRY": ASSERTION,
        "NO_BESIDE": ASSERTION,
        "NO_TIDY": ASSERTION,
        "NO_TIE_BREAK": CYCLE,
        "NO_DOUBT": ASSERTION,
        "NO_QUESTION": ASSERTION,
        "NOTE_LATE": ASSERTION,
    },
}

# The instance in which a rule is removed, if not the default one.
TWICE = ("PASSIVE", "CRASHES=2", "LOSSES=1", "COPIES=1", "EARLY=0")
WHERE = {
    "NO_TOKEN": TWICE,
    "NO_GRAVEYARD": ONCE,
    "NO_REPEAT": TWICE,
    "NO_RETRY": TWICE,
    "NO_BESIDE": TWICE,
    "NO_TIDY": BOTH,
    "NO_TIE_BREAK": BOTH,
    "NO_DOUBT": ONCE,
    "NO_QUESTION": LATE,
    "NOTE_LATE": BOTH,
}

# Switches that choose an instance and remove no rule.
INSTANCES = {"PASSIVE"}


def run(command: list[str], folder: Path) -> str:
    """Return what a command prints. It need not succeed: its output tells."""
    done = subprocess.run(
        command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    return done.stdout


def build(case: Case, folder: Path) -> str:
    """Make `pan`. Return what went wrong."""
    defines = [f"-D{define}" for define in case.defines]
    output = run(["spin", *defines, "-a", str(HERE / f"{case.model}.pml")], folder)
    if not (folder / "pan.c").exists() or "Error" in output:
        return f"spin: {output}"
    # A removed rule is found in less time than an optimizing compiler takes.
    level = "-O0" if case.error or case.model == "recovery" else "-O2"
    kind = "-DNP" if case.model == "recovery" else "-DSAFETY"
    options = ["-w", level, kind, "-DCOLLAPSE", "-DNOFAIR", f"-DMEMLIM={case.memory}"]
    output = run(["gcc", *options, "-o", "pan", "pan.c"], folder)
    return "" if (folder / "pan").exists() else f"gcc: {output}"


def number(pattern: str, output: str) -> str:
    found = re.search(pattern, output)
    return found.group(1) if found else "-"


def judge(case: Case, output: str) -> str:
    """Return what is wrong with a search, or nothing."""
    errors = number(r"errors: (\d+)", output)
    if errors == "-":
        return "no result"
    if case.error:
        return "" if errors != "0" and f": {case.error}" in output.replace("pan:1", "") else (
            "the rule is not needed, or is not checked"
        )
    if errors != "0":
        return number(r"pan:1: (.*)", output)
    incomplete = INCOMPLETE.search(output)
    return f"not complete: {incomplete.group(0)}" if incomplete else ""


def check(case: Case, build_folder: Path) -> Result:
    folder = build_folder / re.sub(r"\W+", "-", case.name).lower()
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    begin = time.monotonic()
    fault = build(case, folder)
    if fault:
        return Result(case, fault)
    loop = ["-l"] if case.model == "recovery" else []
    output = run(["./pan", *loop, f"-m{case.depth}", "-w22"], folder)
    (folder / "output").write_text(output)
    return Result(
        case,
        judge(case, output),
        number(r"(\d+) states, stored", output),
        number(r"depth reached (\d+)", output),
        number(r"([\d.]+)\ttotal actual memory", output),
        time.monotonic() - begin,
    )


def show(result: Result) -> None:
    case = result.case
    verdict = "FAILED" if result.fault else "error found" if case.error else "holds"
    print(
        f"{case.name:76} {verdict:12} {result.states:>10} {result.depth:>9} "
        f"{result.megabytes:>9} {result.seconds:6.1f}",
        flush=True,
    )
    if result.fault:
        print(f"    {result.fault}")


def check_switches() -> list[str]:
    """Return switches of a model that no case removes, and the other way round."""
    faults = []
    for model, rules in RULES.items():
        text = (HERE / f"{model}.pml").read_text()
        switches = set(SWITCH.findall(text)) - set(SIZE.findall(text)) - INSTANCES
        faults += [f"{model}: {name}" for name in sorted(switches ^ set(rules))]
    return faults


def main() -> int:
    parser = argparse.ArgumentParser(description="Check the models with spin.")
    parser.add_argument("--large", action="store_true", help="bigger instances too")
    parser.add_argument("folder", nargs="?", type=Path, default=HERE.parent / "build" / "model")
    arguments = parser.parse_args()
    if not shutil.which("spin"):
        print("skipped: spin is not installed\n0 passed, 0 failed, 1 skipped")
        return 0
    cases = [case for case in MODELS if arguments.large or not case.large]
    cases += [
        Case(model, (*WHERE.get(rule, ()), rule), error) for model, rules in RULES.items() for rule, error in rules.items()
    ]
    print(f"{'model':76} {'result':12} {'states':>10} {'depth':>9} {'megabytes':>9} seconds")
    failed = 0
    for switch in check_switches():
        print(f"FAILED: not a rule of both the model and RULES: {switch}")
        failed += 1
    with ThreadPoolExecutor(1 if arguments.large else os.cpu_count()) as pool:
        for result in pool.map(lambda case: check(case, arguments.folder), cases):
            show(result)
            failed += bool(result.fault)
    print(f"{len(cases) - min(failed, len(cases))} passed, {failed} failed, 0 skipped")
    return failed > 0


if __name__ == "__main__":
    sys.exit(main())
