# SPDX-FileCopyrightText: The qcd authors
# SPDX-License-Identifier: Apache-2.0
"""Make mistakes in a copy of the sources, one after the other, and judge each.

For fuzz/mutants.py and test/fault_mutants.py, which have the mistakes.
"""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
COPIED = ("src", "include", "tool", "plugin", "test", "fuzz", "bench", "examples",
          "script", "debian", "meson.build", "meson_options.txt")


@dataclass(frozen=True)
class Mutant:
    """A mistake in one place, and the target that must find it."""

    target: str
    file: str
    old: str
    new: str


@dataclass(frozen=True)
class Property:
    """What must hold, and mistakes that break it."""

    text: str
    mutants: tuple[Mutant, ...]


def m(target: str, file: str, old: str, new: str) -> Mutant:
    return Mutant(target, file, old, new)


class Tree:
    """A copy of the sources, and a build of it with the options of another build."""

    def __init__(self, path: Path, build: str, *options: str) -> None:
        self.path = path
        self.log = path / "log"
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir(parents=True)
        for name in COPIED:
            if (ROOT / name).is_dir():
                shutil.copytree(ROOT / name, path / name, symlinks=True)
            else:
                shutil.copy(ROOT / name, path / name)
        told = subprocess.run(["meson", "introspect", "--buildoptions", build],
                              stdout=subprocess.PIPE, check=True)
        strongswan = [f"-D{o['name']}={o['value']}" for o in json.loads(told.stdout)
                      if o["name"].startswith("strongswan")]
        setup = ["meson", "setup", f"{path}/build", str(path), "-Dbuildtype=debug"]
        if not self._run(*setup, *options, *strongswan):
            sys.exit(f"mutants: {self.log}")

    def _run(self, *command: str) -> bool:
        with self.log.open("ab") as out:
            done = subprocess.run(command, stdout=out, stderr=out, check=False)
        return done.returncode == 0

    def build(self, *programs: str) -> bool:
        """Build these programs, or all."""
        return self._run("ninja", "-C", f"{self.path}/build", *programs)


def why_impossible(mutant: Mutant) -> str:
    """Return what keeps a mutant from being made, "" if nothing does."""
    count = (ROOT / mutant.file).read_text(encoding="utf-8").count(mutant.old)
    return "" if count == 1 else f"is in {mutant.file} {count} times: {mutant.old}"


def check_places(properties: tuple[Property, ...]) -> int:
    """Return 1 unless each mutant can be made."""
    bad = [why for of in properties for mutant in of.mutants
           if (why := why_impossible(mutant))]
    for why in bad:
        print(f"a mistake {why}")
    return 1 if bad else 0


# Tell whether a target finds what is wrong in a tree, None if it does not compile.
Judge = Callable[[Tree, str], bool | None]


def why_missed(tree: Tree, mutant: Mutant, judge: Judge) -> str:
    """Return why a mutant was not found, "" if it was."""
    path = tree.path / mutant.file
    before = path.read_text(encoding="utf-8")
    if why := why_impossible(mutant):
        return why
    path.write_text(before.replace(mutant.old, mutant.new), encoding="utf-8")
    try:
        found = judge(tree, mutant.target)
        return "does not compile" if found is None else "" if found else "was not found"
    finally:
        path.write_text(before, encoding="utf-8")


def judge_all(tree: Tree, properties: tuple[Property, ...], judge: Judge) -> int:
    """Judge all mutants; return 1 unless each was found."""
    bad = number = 0
    width = max(len(mutant.target) for of in properties for mutant in of.mutants) + 2
    for of in properties:
        print(of.text)
        for mutant in of.mutants:
            why = why_missed(tree, mutant, judge)
            number += 1
            bad += why != ""
            print(f"    {mutant.target:{width}}{mutant.file:24}"
                  f"{why and 'NOT FOUND: it ' + why or 'found'}", flush=True)
    print(f"{number - bad} of {number} mistakes were found")
    return 1 if bad else 0
