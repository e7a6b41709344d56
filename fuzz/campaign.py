#!/usr/bin/python3
# SPDX-FileCopyrightText: The qcd authors
# SPDX-License-Identifier: Apache-2.0
"""Run the fuzzers, or measure which lines their corpus reaches.

usage: campaign.py LLVM [MINUTES]

LLVM is the version of clang, which has built the fuzzers in build-fuzz and the
replay programs in build-cover. All targets share the MINUTES, two at a time.
What they find that reaches new code is added to fuzz/corpus. Without MINUTES
only the corpus is replayed.

Fails if a target finds something, or if the lines that the corpus reaches are
not those that fuzz/unreached leaves.
"""

import os
import re
import subprocess
import sys
import tempfile
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FUZZ, COVER = ROOT / "build-fuzz", ROOT / "build-cover"
CORPUS, UNREACHED = ROOT / "fuzz/corpus", ROOT / "fuzz/unreached"
AT_ONCE = 2
MERGE_SECONDS = 600
ENV = {**os.environ, "ASAN_OPTIONS": "check_printf=0"}

# The core, and each file that reads octets which others wrote.
MEASURED = (
    "src/*.[ch]",
    "src/store/keyfile.c",
    "src/store/secrets.c",
    "src/store/identity.c",
    "src/store/samap*.c",
    "src/watch/netlink.c",
    "src/watch/nflog.c",
    "src/watch/batch.c",
    "src/watch/table.c",
    "src/watch/spis.c",
    "src/watch/watch.c",
    "plugin/qcd_control.c",
    "plugin/qcd_receiver.c",
    "plugin/qcd_socket.c",
    "tool/answer.c",
    "tool/bundle.c",
    "tool/capture.c",
    "tool/client.c",
    "tool/exposition*.c",
    "tool/link.c",
    "tool/probe_answer.c",
    "tool/probe_judge.c",
    "tool/recent.c",
    "tool/sample.c",
    "tool/table.c",
    "tool/text.c",
    "tool/trace*.c",
    "tool/view.c",
)

# Longest inputs, where the default is not enough or too much.
MAX_LEN = {"answer": 4000, "pcap": 4000, "capture": 4000, "traffic": 400}
MAX_LEN |= dict.fromkeys(("map", "peers", "watch", "control"), 300)


@dataclass
class Result:
    """What a target has done."""

    target: str
    executions: int = 0
    per_second: int = 0
    before: int = 0
    after: int = 0
    finds: list[Path] = field(default_factory=list)


def program(target: str) -> str:
    return str(FUZZ / "fuzz" / f"fuzz_{target}")


def run(target: str, log: Path, *arguments: str) -> int:
    """Run a fuzzer with its output in a file."""
    with log.open("w", encoding="utf-8") as out:
        command = [program(target), *arguments]
        done = subprocess.run(
            command, stdout=out, stderr=out, env=ENV, cwd=FUZZ, check=False
        )
    return done.returncode


def fuzz(target: str, seconds: int) -> Result:
    """Run a target for its time, and add what reaches new code to its corpus."""
    work, finds = FUZZ / "fuzzing" / target, FUZZ / "finds" / target
    for folder in (work, finds):
        folder.mkdir(parents=True, exist_ok=True)
    corpus = CORPUS / target
    known = set(finds.iterdir())
    options = [f"-max_total_time={seconds}", f"-artifact_prefix={finds}/"]
    options += ["-print_final_stats=1", "-use_value_profile=1", "-timeout=25"]
    options += [f"-max_len={MAX_LEN.get(target, 1000)}", "-rss_limit_mb=2560"]
    dictionary = ROOT / "fuzz" / f"{target}.dict"
    if dictionary.exists():
        options.append(f"-dict={dictionary}")
    log = work.with_suffix(".log")
    result = Result(target, before=len(list(corpus.iterdir())))
    code = run(target, log, *options, str(work), str(corpus))
    result.finds = sorted(set(finds.iterdir()) - known)
    text = log.read_text(encoding="utf-8", errors="replace")
    if code != 0 and not result.finds:
        result.finds = [log]  # it has not even started
    numbers = dict(re.findall(r"^stat::(\w+):\s+(\d+)$", text, re.MULTILINE))
    result.executions = int(numbers.get("number_of_executed_units", 0))
    result.per_second = int(numbers.get("average_exec_per_sec", 0))
    merge = ["-merge=1", "-use_counters=0", f"-max_total_time={MERGE_SECONDS}"]
    run(target, work.with_suffix(".merge.log"), *merge, str(corpus), str(work))
    result.after = len(list(corpus.iterdir()))
    return result


def measure(llvm: str, targets: list[str]) -> "dict[str, Source]":
    """Return how often the corpus reaches each line of the measured files."""
    programs = [str(COVER / "fuzz" / f"replay_{target}") for target in targets]
    with tempfile.TemporaryDirectory() as folder:
        for target, replay in zip(targets, programs, strict=True):
            subprocess.run(
                [replay, str(CORPUS / target)],
                env=ENV | {"LLVM_PROFILE_FILE": f"{folder}/{target}.profraw"},
                stdout=subprocess.DEVNULL,
                check=True,
            )
        merged = f"{folder}/all.profdata"
        raw = sorted(str(path) for path in Path(folder).glob("*.profraw"))
        subprocess.run([f"llvm-profdata-{llvm}", "merge", "-o", merged, *raw], check=True)
        export = [f"llvm-cov-{llvm}", "export", "-format=lcov"]
        export.append(f"-instr-profile={merged}")
        for replay in programs:
            export += ["-object", replay]
        export += ["-sources", *map(str, measured_files())]
        lcov = subprocess.run(export, capture_output=True, text=True, check=True)
    return read_lcov(lcov.stdout)


def measured_files() -> list[Path]:
    files: list[Path] = []
    for pattern in MEASURED:
        found = sorted(ROOT.glob(pattern))
        if not found:
            sys.exit(f"campaign: no file matches {pattern}")
        files += found
    return files


@dataclass
class Source:
    """The functions of a file by their first lines, and its lines."""

    functions: dict[int, str] = field(default_factory=dict)
    lines: Counter[int] = field(default_factory=Counter)

    def function_of(self, line: int) -> str:
        starts = [start for start in self.functions if start <= line]
        return self.functions[max(starts)] if starts else "-"


def read_lcov(text: str) -> dict[str, Source]:
    sources: dict[str, Source] = {}
    source = Source()
    for line in text.splitlines():
        kind, _, rest = line.partition(":")
        if kind == "SF":
            name = str(Path(rest).resolve().relative_to(ROOT))
            source = sources.setdefault(name, Source())
        elif kind == "FN":
            start, name = rest.split(",")
            source.functions[int(start)] = name.rpartition(":")[2]
        elif kind == "DA":
            number, count = rest.split(",")[:2]
            source.lines[int(number)] += int(count)
    return sources


def asserted(name: str) -> set[int]:
    """Return the lines of assertions, whose failing half is never reached.

    The line after an assertion is among them: llvm-cov counts it as never reached.
    """
    found: set[int] = set()
    is_inside = False
    text = (ROOT / name).read_text(encoding="utf-8")
    for number, line in enumerate(text.splitlines(), 1):
        is_inside = is_inside or line.lstrip().startswith("assert(")
        if is_inside:
            found |= {number, number + 1}
        is_inside = is_inside and not line.endswith(";")
    return found


def read_unreached() -> Counter[tuple[str, str]]:
    """Read how many lines of which functions may be missing."""
    listed: Counter[tuple[str, str]] = Counter()
    for line in UNREACHED.read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            row = re.fullmatch(r"(\S+) (\S+) (\d+): \S.*", line)
            if row is None:
                sys.exit(f"campaign: {UNREACHED}: not a row: {line}")
            listed[row[1], row[2]] += int(row[3])
    return listed


def check_coverage(sources: dict[str, Source]) -> bool:
    """Print the coverage, and compare it with what fuzz/unreached leaves."""
    missing: dict[tuple[str, str], list[int]] = {}
    reached: Counter[str] = Counter()
    total: Counter[str] = Counter()
    for name, source in sources.items():
        group = str(Path(name).parent)
        ignored = asserted(name)
        for line, count in source.lines.items():
            if line in ignored or source.function_of(line) == "-":
                continue  # an assertion, or a macro
            total[group] += 1
            reached[group] += count > 0
            if count == 0:
                missing.setdefault((name, source.function_of(line)), []).append(line)
    listed = read_unreached()
    print(f"\n{'LINES':12}{'REACHED':>10}{'OF':>8}{'':8}")
    for group in sorted(total):
        share = 100 * reached[group] / total[group]
        print(f"{group:12}{reached[group]:>10}{total[group]:>8}{share:7.1f} %")
    print(f"{listed.total()} lines that are not reached are in fuzz/unreached")
    good = True
    for (name, function), lines in sorted(missing.items()):
        if len(lines) > listed[name, function]:
            where = ", ".join(map(str, lines))
            print(f"not reached, and not in fuzz/unreached: {name} {function}: {where}")
            good = False
    for (name, function), number in sorted(listed.items()):
        lines = missing.get((name, function), [])
        if len(lines) < number:
            print(f"fuzz/unreached has {number} lines, but only {len(lines)} are not"
                  f" reached: {name} {function}")
            good = False
    return good


def check_finds(results: list[Result]) -> bool:
    print(f"{'TARGET':12}{'EXECUTIONS':>12}{'A SECOND':>10}"
          f"{'CORPUS':>8}{'NEW':>6}{'FINDS':>7}")
    for r in results:
        print(f"{r.target:12}{r.executions:>12,}{r.per_second:>10,}"
              f"{r.after:>8}{r.after - r.before:>6}{len(r.finds):>7}")
    print(f"{'all':12}{sum(r.executions for r in results):>12,}{'':>10}"
          f"{sum(r.after for r in results):>8}"
          f"{sum(r.after - r.before for r in results):>6}"
          f"{sum(len(r.finds) for r in results):>7}")
    for r in results:
        for find in r.finds:
            print(f"FOUND: {find}. Again: {program(r.target)} {find}")
    return not any(r.finds for r in results)


def main(llvm: str, minutes: str = "0") -> int:
    targets = sorted(path.name for path in CORPUS.iterdir())
    good = True
    if float(minutes) > 0:
        seconds = max(1, int(float(minutes) * 60 * AT_ONCE / len(targets)))
        with ThreadPoolExecutor(AT_ONCE) as pool:
            results = list(pool.map(lambda target: fuzz(target, seconds), targets))
        good = check_finds(results)
    return 0 if check_coverage(measure(llvm, targets)) and good else 1


if __name__ == "__main__":
    if not 2 <= len(sys.argv) <= 3:
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
