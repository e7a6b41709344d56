# SPDX-License-Identifier: GPL-2.0-or-later
"""`./dev field`: plays all scenarios, with and without qcd; writes doc/field.md."""

import argparse
import json
import os
import signal
import sys
import time
from concurrent.futures import Future
from pathlib import Path

from lab.control import REPO
from lab.field.outcome import CASES, Case, Outcome
from lab.field.pool import STOCK_AT_A_TIME, Play, Pool
from lab.field.scenarios import SCENARIOS  # noqa: F401  registers them all
from lab.field.soak import walk
from lab.process import plugin_path

QCD_WORKERS = 4
DOC = REPO / "doc" / "field.md"
HEAD = """# Field scenarios

These scenarios play what real networks do to a tunnel while one of its gateways crashes, with stock charon and with
qcd. `sudo ./dev field -k TEXT` plays the scenarios whose name contains TEXT. Without `-k` it plays all of them and
writes this table.

Stock and qcd both use charon's default settings, with `dpd_delay = 30s` and `dpd_action = restart`: without DPD, stock
charon never notices a crash. Gateway b crashes, unless the text says otherwise; a is its peer, and c is a third
gateway. Traffic flows all the time.

- *up after* is the time from the moment when nothing blocks the tunnels any more, until all of them are up on both
  ends, with their children, and a ping has passed. Of several rounds it is the slowest.
- *SAs* compares the IKE SAs and the children on each gateway, ten seconds later, with the configuration, and shows the
  numbers if they differ. They may be right although no traffic passes: lost SAs are counted too.
- *as promised* means: up within the limit of the case, no later than stock plus a second, no SA too many, and, for many
  tunnels, no handshake message sent twice. The limit is 1 s, or longer if the text names something to wait for.
- `-` means: not played with stock, or without a meaning there.

The first column is the kind of trouble:

| | |
|---|---|
| A | a crash alone |
| A.1 | a second crash |
| A.2 | connections, keys or pools that are loaded late |
| A.3 | a client that moves |
| A.4 | a peer that is known by name |
| A.5 | a configuration that was changed meanwhile |
| B | tunnels that could be doubled |
| C | many tunnels at once |
| D | which peers the token maker tells, and when |

"""


def spent(outcome: Outcome | None) -> str:
    if outcome is None:
        return "-"
    if outcome.up_after is None:
        if not outcome.waited:
            return "failed"
        return f"down after {outcome.waited:.0f} s"
    if outcome.up_after < 1:
        return f"{outcome.up_after * 1000:.0f} ms"
    return f"{outcome.up_after:.1f} s"


def counted(outcome: Outcome | None) -> str:
    """Return the count, empty if it is as configured."""
    if outcome is None or not outcome.counted:
        return "-"
    if outcome.right_count:
        return "right"
    return "; ".join(
        f"{name}: {sas} IKE, {children} child"
        + (f" (of {'/'.join(map(str, wanted))})" if (wanted := outcome.wanted[name]) else "")
        for name, (sas, children) in outcome.counted.items()
    )


def row(item: Case, stock: Outcome | None, qcd: Outcome | None) -> str:
    faults = qcd.problems(item, stock) if qcd else ["not played"]
    cells = [
        item.section,
        f"`{item.name}`",
        item.says,
        spent(stock),
        counted(stock),
        spent(qcd),
        counted(qcd),
        "yes" if not faults else "no: " + "; ".join(faults[:3]),
    ]
    return "| " + " | ".join(cell.replace("|", "/") for cell in cells) + " |"


Results = dict[str, dict[str, Outcome | None]]


def table(results: Results) -> str:
    lines = [
        "| | case | what happens | stock: up after | SAs | qcd: up after | SAs | as promised |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, lanes in results.items():
        lines.append(row(CASES[name], lanes.get("stock"), lanes.get("qcd")))
    return "\n".join(lines) + "\n"


def get(future: "Future[Outcome] | None") -> Outcome | None:
    if future is None:
        return None
    try:
        return future.result()
    except RuntimeError as error:
        print(error, file=sys.stderr)
        return None


def play(options: argparse.Namespace) -> Results:
    names = [name for name in CASES if not options.k or options.k in name]
    with Pool() as pool:
        stock = {}
        if options.lane != "qcd":
            plays = [
                Play(name, qcd=False, full=options.full, bound=options.stock_bound)
                for name in names
                if CASES[name].stock
            ]
            stock = pool.run(plays, STOCK_AT_A_TIME, weighed=False)
        qcd = {}
        if options.lane != "stock":
            ours = [Play(n, full=options.full, bound=options.bound) for n in names]
            qcd = pool.run(ours, QCD_WORKERS)
        results: Results = {name: {} for name in names}
        for lane, futures in (("qcd", qcd), ("stock", stock)):
            for item, future in futures.items():
                outcome = get(future)
                results[item.name][lane] = outcome
                tell(lane, item.name, outcome)
    return results


def tell(lane: str, name: str, outcome: Outcome | None) -> None:
    words = f"{spent(outcome)}, SAs: {counted(outcome)}"
    if outcome and lane == "qcd":
        faults = outcome.problems(CASES[name])
        words += "" if not faults else f" -- {'; '.join(faults[:3])}"
    print(f"{time.strftime('%H:%M:%S')} {lane:5} {name}: {words}", flush=True)


def write(results: Results, folder: Path, doc: Path | None) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    report = {
        name: {lane: o.as_dict() if o else None for lane, o in lanes.items()}
        for name, lanes in results.items()
    }
    (folder / "report.json").write_text(json.dumps(report, indent=1) + "\n")
    (folder / "field.md").write_text(HEAD + table(results))
    if doc:
        doc.write_text(HEAD + table(results))


def _ended(*_: object) -> None:
    raise SystemExit(143)


def main() -> int:
    parser = argparse.ArgumentParser(prog="./dev field", description=__doc__)
    parser.add_argument("-k", metavar="TEXT", help="only cases with that in their name")
    parser.add_argument(
        "--lane", choices=("both", "qcd", "stock"), default="both", help="play only one"
    )
    parser.add_argument(
        "--quick", dest="full", action="store_false", help="few rounds, as check does"
    )
    parser.add_argument("--bound", type=float, default=60.0, help="seconds for qcd")
    parser.add_argument("--stock-bound", type=float, default=260.0)
    parser.add_argument(
        "--walk", type=float, metavar="MINUTES", help="walk at random instead"
    )
    parser.add_argument(
        "--seed", type=int, nargs="+", metavar="N", help="only the walks of these seeds"
    )
    parser.add_argument("--out", type=Path, default=REPO / "build" / "field")
    options = parser.parse_args()
    if os.geteuid() != 0:
        parser.error("the field scenarios make network namespaces: run it as root")
    if not plugin_path().is_file():
        parser.error(f"there is no plugin at {plugin_path()}: run ./dev build")
    signal.signal(signal.SIGTERM, _ended)
    if options.walk is not None:
        return walk(options.walk, options.seed)
    results = play(options)
    # A subset of the scenarios, or fewer rounds, must not replace the published table.
    whole = options.full and not options.k and options.lane == "both"
    write(results, options.out, DOC if whole else None)
    bad = [
        name
        for name, lanes in results.items()
        if not (own := lanes.get("qcd")) or own.problems(CASES[name], lanes.get("stock"))
    ]
    print(f"{len(results) - len(bad)} as promised, {len(bad)} not: {', '.join(bad)}")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
