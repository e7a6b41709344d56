# SPDX-License-Identifier: GPL-2.0-or-later
"""The field suite itself: it detects what it has to, also on stock charon."""

import threading
from collections.abc import Callable, Iterator

import pytest

from lab.field import stage as stage_module
from lab.field.outcome import CASES, Case, Outcome
from lab.field.pool import Permits, Play, Pool
from lab.field.report import row, table
from lab.field.scenarios import SCENARIOS
from lab.field.stage import BASE, Stage
from lab.wait import wait_until

HERE = Case("here", "A", "something happens", lambda stage: None, smooth=True)
FINE = {"up_after": 0.5, "wanted": {"a": [1, 1]}, "counted": {"a": [1, 1]}}

ROWS = [
    # name, changes to the outcome, changes to stock's, the only problem
    ("fine", {}, None, None),
    ("at its bound", {"up_after": 1.0}, None, None),
    ("late", {"up_after": 1.01}, None, "up after 1.01 s, not within 1 s"),
    ("as stock", {"up_after": 1.0}, 0.0, None),
    ("later than stock", {"up_after": 0.9}, -0.2, "up after 0.90 s, stock -0.20 s"),
    ("never", {"up_after": None, "waited": 7.0}, None, "still down after 7 s"),
    ("two", {"counted": {"a": [2, 1]}}, None, "IKE SAs and children are"),
    ("twice", {"doubled": ["2 times net0"]}, None, "IKE SAs and children are"),
    ("left over", {"left_over": ["route x"]}, None, "left over: route x"),
    ("repeated", {"repeated": 1}, None, "1 messages of handshakes were sent twice"),
    ("broken", {"broken": ["told early"]}, None, "told early"),
]


@pytest.mark.parametrize(("name", "change", "stock", "fault"), ROWS)
def test_what_is_a_fault(
    name: str, change: dict[str, object], stock: float | None, fault: str | None
) -> None:
    outcome = Outcome("here", True, **{**FINE, **change})  # type: ignore[arg-type]
    beside = None if stock is None else Outcome("here", False, up_after=stock)
    faults = outcome.problems(HERE, beside)
    assert bool(faults) == (fault is not None), f"{name}: {faults}"
    if fault:
        assert faults[0].startswith(fault), f"{name}: {faults}"
    assert ("| yes |" if fault is None else "| no: ") in row(HERE, beside, outcome)


def test_table_has_a_row_for_each_case() -> None:
    lines = table({name: {} for name in SCENARIOS}).splitlines()
    assert len(lines) == len(CASES) + 2
    assert all(line.count("|") == 9 for line in lines)


def test_heavy_plays_are_alone() -> None:
    permits = Permits(2)
    permits.take(1)
    order: list[str] = []

    def take(name: str, count: int) -> None:
        permits.take(count)
        order.append(name)
        permits.give(count)

    heavy = threading.Thread(target=take, args=("heavy", 2))
    heavy.start()
    wait_until("its place in the line", lambda: permits._line)
    light = threading.Thread(target=take, args=("light", 1))
    light.start()
    wait_until("both in the line", lambda: len(permits._line) == 2)
    assert order == []
    permits.give(1)
    heavy.join()
    light.join()
    assert order == ["heavy", "light"], "nobody overtakes a heavy one for ever"


def test_play_that_fails_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    argv = ["/bin/sh", "-c", "echo no such thing >&2; exit 3"]
    monkeypatch.setattr(Play, "argv", argv)
    with Pool() as pool:
        (future,) = pool.run([Play("plain_crash")], 1).values()
        with pytest.raises(RuntimeError, match="status 3(?s:.)*no such thing"):
            future.result(10)


# --- on stock charon -----------------------------------------------------------


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    monkeypatch.setattr(stage_module, "SETTLE", 0.0)
    made = Stage(HERE, qcd=False, full=False, bound=2.0)
    yield made
    made.close()


def faults(stage: Stage) -> str:
    stage.settle()
    return "\n".join(stage.outcome.problems(HERE))


def test_all_well(stage: Stage) -> None:
    stage.make(BASE.but(children=2))
    stage.up()
    assert stage.again()
    assert faults(stage) == ""


def test_down(stage: Stage) -> None:
    stage.make()
    lab = stage.up()
    lab.b.restart()
    assert not stage.again()
    assert "still down after 2 s" in faults(stage)


def test_two_tunnels(stage: Stage) -> None:
    stage.make(BASE.but(charon={"reuse_ikesa": False}))
    lab = stage.up()
    lab.a.initiate()
    stage.again()
    found = faults(stage)
    assert "{'a': [2, 2], 'b': [2, 2]}, configured: {'a': [1, 1], 'b': [1, 1]}" in found
    assert "2 times net0 to b on a" in found


def add_route(stage: Stage) -> None:
    stage.lab.b.host.ns.ip("route add 10.9.9.0/24 dev lo table 220")


def add_trap(stage: Stage) -> None:
    stage.lab.b.command("install", {"child": "net0", "ike": "a"})


def begin_another(stage: Stage) -> None:
    with stage.lab.network.router.drop_ike(stage.lab.a.host, stage.lab.b.host):
        stage.lab.a.command("load-conn", {"nobody": NOBODY})
        stage.lab.a.control.stream(
            "initiate", "control-log", {"ike": "nobody", "timeout": -1}
        )


NOBODY = {
    "version": "2",
    "remote_addrs": ["10.0.2.77"],
    "local": {"auth": "psk", "id": "a.lab"},
    "remote": {"auth": "psk", "id": "nobody.lab"},
}


@pytest.mark.parametrize(
    ("leave", "seen"),
    [
        (add_route, "left over: route 10.9.9.0/24"),
        (add_trap, "left over: policy"),
        (begin_another, "left over: IKE SA nobody"),
    ],
)
def test_left_over(stage: Stage, leave: Callable[[Stage], None], seen: str) -> None:
    stage.make()
    stage.up()
    leave(stage)
    assert stage.again()
    assert seen in faults(stage)


def test_missing_route(stage: Stage) -> None:
    stage.make()
    lab = stage.up()
    stage.again()
    lab.b.host.ns.run("/sbin/ip", "route", "flush", "table", "220")
    assert "missing: 10.1.1.0/24" in faults(stage)


def test_repeated_handshake(stage: Stage) -> None:
    stage.make(BASE.but(charon={"retransmit_timeout": "0.1"}))
    lab = stage.up()
    lab.a.terminate(lab.a.sas()[0])
    with lab.network.router.drop_ike(lab.a.host, lab.b.host, count=1):
        lab.a.initiate()
    assert stage.again()
    assert "1 messages of handshakes were sent twice" in faults(stage)
