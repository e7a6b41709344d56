# SPDX-License-Identifier: GPL-2.0-or-later
"""The random walk sees what it has to see. `./dev check` walks for ten minutes."""

import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext

import pytest

from lab.field import walk as walk_module
from lab.field.chaos import ACTS, CALM
from lab.field.leaks import HEAP_NOISE, SLOT, WARM_UP, Growth
from lab.field.soak import start, stroll
from lab.field.walk import CHILDREN, Lost, Walk

RELOAD = next(act for act in ACTS if act.name == "reload")
SEED = 2  # a plain path, slow retransmissions, unique = no


@contextmanager
def leak_descriptor(walk: Walk) -> Iterator[None]:
    """Keep a connection to charon's socket open."""
    with walk.lab.a.control._listening(()):
        yield


@contextmanager
def leak_table(walk: Walk) -> Iterator[None]:
    walk.lab.b.host.ns.run("/usr/sbin/nft", "add", "table", "inet", "another")
    yield


@contextmanager
def leak_route(walk: Walk) -> Iterator[None]:
    walk.lab.a.host.ns.ip("route add 10.9.9.0/24 dev lo table 220")
    yield


@contextmanager
def lose_route(walk: Walk) -> Iterator[None]:
    """Remove the route of a child whose pings nobody awaits."""
    walk.probes = walk.probes[2:]
    walk.lab.a.host.ns.ip("route del 10.1.2.0/24 table 220")
    yield


@contextmanager
def leak_file(walk: Walk) -> Iterator[None]:
    (walk.lab.b.places.state / "secrets.tmp").touch()
    yield


@contextmanager
def leak_policy(walk: Walk) -> Iterator[None]:
    walk.lab.b.command("install", {"child": "net0", "ike": "a"})
    yield


@contextmanager
def leak_row(walk: Walk) -> Iterator[None]:
    """Write a row that no live child SA has into the map."""
    walk.lab.a.wait_written()
    path = walk.lab.a.places.state / "samap"
    data = path.read_bytes()
    row = data[128:256]
    with path.open("ab") as file:
        file.write(row[:1] + b"\xc0\xff\xee\x00" + row[5:])
    yield


@contextmanager
def leak_sa(walk: Walk) -> Iterator[None]:
    """Leave a try to a peer that does not answer."""
    lab = walk.lab
    nobody = {
        "version": "2",
        "remote_addrs": ["10.0.2.77"],
        "local": {"auth": "psk", "id": "a.lab"},
        "remote": {"auth": "psk", "id": "nobody.lab"},
    }
    with lab.network.router.drop("ip daddr 10.0.2.77"):
        lab.a.command("load-conn", {"nobody": nobody})
        begin = {"ike": "nobody", "timeout": -1}
        lab.a.control.stream("initiate", "control-log", begin)
        yield


MISTAKES = [
    (leak_descriptor, "a: leaked: descriptor socket"),
    (leak_table, "b: leaked: nftables line table inet another"),
    (leak_route, "a: leaked: route 10.9.9.0/24"),
    (lose_route, "a: missing: route 10.1.2.0/24"),
    (leak_file, "b: leaked: file secrets.tmp"),
    (leak_policy, "b: leaked: policy"),
    (leak_row, "a: leaked: lost child SAs: 0 counted, in the map .'c0ffee00'"),
    (leak_sa, "a has a left-over SA"),
]
Mistake = Callable[[Walk], "AbstractContextManager[None]"]


def play_with(mistake: Mistake) -> None:
    with Walk(SEED) as walk, mistake(walk):
        walk.play(CALM, [RELOAD])


def test_all_well() -> None:
    play_with(nullcontext)


@pytest.mark.parametrize(("mistake", "seen"), MISTAKES)
def test_leak_is_seen(
    monkeypatch: pytest.MonkeyPatch, mistake: Mistake, seen: str
) -> None:
    """Each leak ends a walk, with the seed and the logs of both ends."""
    monkeypatch.setattr(walk_module, "LEFT_OVER", 0.5)
    with pytest.raises(Lost, match=rf"seed {SEED}, step 1: .*{seen}"):
        play_with(mistake)


@contextmanager
def second_tunnel(walk: Walk) -> Iterator[None]:
    """Bring up another connection between the same two."""
    for gateway in (walk.lab.b, walk.lab.a):
        gateway.config = gateway.config.but(tunnels=2)
        gateway.load()
    walk.lab.a.initiate("b-1", CHILDREN)
    yield


@contextmanager
def lose_child(walk: Walk) -> Iterator[None]:
    walk.lab.a.terminate_child(1)
    yield


@contextmanager
def cut(walk: Walk) -> Iterator[None]:
    """Drop all ESP, while both ends say that the tunnel is up."""
    with walk.lab.network.router.drop("udp dport 4500 @th,64,32 != 0"):
        yield


@pytest.mark.parametrize(
    ("mistake", "seen"),
    [
        (second_tunnel, r"a has \[.*'ESTABLISHED'\), \(.*'ESTABLISHED'\)\]"),
        (lose_child, r"(a|b) has the children \['net0'\]"),
        (cut, "no ping passes"),
    ],
)
def test_wrong_tunnel_is_seen(mistake: Mistake, seen: str) -> None:
    with pytest.raises(Lost, match=rf"step 1: \d\.\d s after the last.*: {seen}"):
        play_with(mistake)


def test_leak_of_memory_is_seen() -> None:
    """Secrets that are loaded and never removed look like one."""
    with Walk(SEED) as walk:
        growth = Growth(walk.lab.a)
        for _ in range(WARM_UP):
            assert growth.look() == ""
        number = 0
        while not (wrong := growth.look()):
            secret = {"id": str(number), "type": "IKE", "data": "x" * 1024}
            walk.lab.a.command("load-shared", secret)
            number += 1
            assert number < 2 * HEAP_NOISE / 1024
        assert "octets of heap" in wrong
        assert number > HEAP_NOISE / 2048


def test_without_qcd_a_walk_fails() -> None:
    """Nothing tells a peer of a crash, and DPD takes minutes."""
    text = r"seed 6290, step(?s:.)*last events:(?s:.)*gateway a(?s:.)*gateway b"
    with pytest.raises(Lost, match=text):
        stroll(6290, 60.0, qcd=False)


def test_seed_repeats_a_walk() -> None:
    """Two walks with one seed do the same, for as long as both last."""
    done = []
    with ExitStack() as stack:
        started = [stack.enter_context(start(SEED, 20.0)) for _ in range(2)]
        for process in started:
            output, _ = process.communicate()
            assert process.returncode == 0, output
            done.append([line for line in output.splitlines() if re.match(r"\d+: ", line)])
    count = min(map(len, done))
    assert count >= 2
    assert done[0][:count] == done[1][:count]
