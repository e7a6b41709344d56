# SPDX-License-Identifier: GPL-2.0-or-later
"""doc/assurance.md is right about numbers and names."""

import importlib.util
import re
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from lab.control import REPO

TEXT = (REPO / "doc" / "assurance.md").read_text()
TARGET = re.compile(r"^\s+(?:fuzz_targets \+= )?\{?\s*'(\w+)': \[", re.MULTILINE)
ROUNDED = 100  # the corpus grows
# Files of the project that the document names.
NAMED = re.compile(r"`((?:bench|fuzz|lab|model|plugin|proof|script|src|test|tool)/[\w/.*]*)`")


def load(path: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(Path(path).stem, REPO / path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def targets() -> int:
    return len(set(TARGET.findall((REPO / "fuzz" / "meson.build").read_text())))


def corpus() -> int:
    files = [path for path in (REPO / "fuzz" / "corpus").rglob("*") if path.is_file()]
    return round(len(files) / ROUNDED) * ROUNDED


def mistakes() -> int:
    return sum(len(item.mutants) for item in load("fuzz/mutants.py").PROPERTIES)


def rules() -> int:
    return sum(len(rules) for rules in load("model/check.py").RULES.values())


@pytest.mark.parametrize(
    "pattern, count",
    [
        (r"(\S+) targets, with AddressSanitizer", targets),
        (r"The corpus \((\S+) files\)", corpus),
        (r"`\./dev fuzz mutants` makes\s+(\S+) mistakes", mistakes),
        (r"(\S+) rules are removed in turn", rules),
    ],
)
def test_figures(pattern: str, count: Callable[[], int]) -> None:
    (figure,) = re.findall(pattern, TEXT)
    assert int(figure.replace(",", "")) == count()


def test_harnesses() -> None:
    table = TEXT.split("## Proof")[1].split("## ")[0]
    rows = re.findall(r"^\| (`[^|]+) \|", table, re.MULTILINE)
    named = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    assert named == {path.stem[6:] for path in (REPO / "proof").glob("prove_*.c")}


def test_named_files_exist() -> None:
    names = NAMED.findall(TEXT)
    assert names
    assert [name for name in names if not list(REPO.glob(name))] == []
