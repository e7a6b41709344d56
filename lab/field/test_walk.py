# SPDX-License-Identifier: GPL-2.0-or-later
"""The random walk sees what it has to see. `./dev check` walks for ten minutes."""

import re
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from functools import partial

import pytest

from lab.admin import rows
from lab.config import connection
from lab.field import leaks
from lab.field import walk as walk_module
from lab.field.chaos import ACTS, CALM
from lab.field.leaks import HEAP_NOISE, RESIDENT_NOISE, SLOT, WARM_UP, Growth, map_of
from lab.field.soak import start, stroll
from lab.field.walk import CHILDREN, Lost, Walk
from lab.gateway import Sa
from lab.wait import wait_until

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
    row = data[SLOT : 2 * SLOT]
    with path.open("ab") as file:
        file.write(row[:1] + b"\xc0\xff\xee\x00" + row[5:])
    yield


@contextmanager
def lose_row(walk: Walk) -> Iterator[None]:
    """Clear the row of a live child SA in the map."""
    walk.lab.a.wait_written()
    row = map_of(walk.lab.a)[0]
    path = walk.lab.a.places.state / "samap"
    data = path.read_bytes()
    place = next(at for at in range(0, len(data), SLOT) if data[at + 1 : at + 5] == row.spi)
    with path.open("r+b") as file:
        file.seek(place)
        file.write(bytes(SLOT))
    yield


@contextmanager
def in_kernel(walk: Walk, command: str) -> Iterator[None]:
    walk.lab.a.host.ns.ip(command)
    yield


def second_sa(walk: Walk) -> tuple[Sa, Sa]:
    """Bring up the tunnel a second time; return both IKE SAs of a.

    charon makes another one for a connection that differs a little.
    """
    a, b = walk.lab.a, walk.lab.b
    (first,) = a.sas()
    config = a.config.but(ike_options={**a.config.ike_options, "rekey_time": "5h"})
    a.command("load-conn", {"twin": connection(config, a.host, b.host, None)})
    for link in walk.links:
        a.initiate("twin", link.net)
    (second,) = [sa for sa in a.sas() if sa.spis != first.spis]
    return first, second


@contextmanager
def different_sas(walk: Walk) -> Iterator[None]:
    """Let each end forget another one of two IKE SAs, and not hear of it."""
    lab = walk.lab
    first, second = second_sa(walk)
    (of_b,) = [sa for sa in lab.b.sas() if sa.spis == first.spis]
    ends = lab.a.host, lab.b.host
    with lab.network.router.drop_all(*ends), lab.network.router.drop_all(*ends[::-1]):
        lab.a.forget(second)
        lab.b.forget(of_b)
        yield


@contextmanager
def leak_lost_rows(walk: Walk) -> Iterator[None]:
    """Let b lose two IKE SAs, and a return without a word about either.

    Several hosts may have the same identity, so b keeps the rows. The walk expects that
    only after crashes of its own.
    """
    lab = walk.lab
    lost = second_sa(walk)
    ends = lab.a.host, lab.b.host
    with lab.network.router.drop_all(*ends), lab.network.router.drop_all(*ends[::-1]):
        lab.b.kill()
        for sa in lost:
            lab.a.forget(sa)
        lab.b.start()
    for link in walk.links:
        lab.a.initiate("b", link.net)
    yield


@contextmanager
def leak_recovery(walk: Walk) -> Iterator[None]:
    """Let b tell a that the SA of a second connection is lost, and refuse a new one."""
    lab = walk.lab
    (first,) = lab.a.sas()
    with second_tunnel(walk):
        (second,) = [sa for sa in lab.a.sas() if sa.spis != first.spis]
    lab.b.kill()
    lab.b.config = lab.b.config.but(tunnels=1)
    lab.b.start()
    lab.a.wait_established(other_than=(first, second))  # told by ESP of the pings
    lab.a.nudge(second)
    wait_until("a recovery", lambda: rows(lab.a, "recovery"))
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
    (lose_row, "a: missing: row of child SA"),
    (leak_lost_rows, "b: leaked: rows of lost child SAs .*, although their peer is back"),
    (leak_recovery, "a: .*leaked: recovery b-1"),
    (partial(in_kernel, command="rule add from 10.9.9.0/24 table 9"), "a: leaked: rule .* 9"),
    (partial(in_kernel, command="link add c type veth peer name d"), "a: leaked: link [cd]"),
    (
        partial(in_kernel, command="xfrm policy add src 10.9.9.0/24 dir out"),
        "a: leaked: XFRM policy src 10.9.9.0/24",
    ),
    (
        partial(
            in_kernel,
            command="xfrm state allocspi src 10.9.9.1 dst 10.9.9.2 proto esp min 256 max 512",
        ),
        "a: leaked: XFRM state src 10.9.9.1",
    ),
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
        (different_sas, "they have different IKE SAs"),
        (cut, "no ping passes"),
    ],
)
def test_wrong_tunnel_is_seen(mistake: Mistake, seen: str) -> None:
    with pytest.raises(Lost, match=rf"step 1: \d\.\d s after the last.*: {seen}"):
        play_with(mistake)


def grow(walk: Walk, growth: Growth, size: int) -> tuple[str, int]:
    """Load secrets of a size until it is seen; return the words and the octets loaded.

    Secrets that are loaded and never removed look like a leak.
    """
    for _ in range(WARM_UP):
        assert growth.look() == ""
    loaded = 0
    while not (wrong := growth.look()):
        secret = {"id": str(loaded), "type": "IKE", "data": "x" * size}
        walk.lab.a.command("load-shared", secret)
        loaded += size
        assert loaded < 2 * (HEAP_NOISE + RESIDENT_NOISE)
    return wrong, loaded


def test_leak_of_memory_is_seen() -> None:
    with Walk(SEED) as walk:
        wrong, loaded = grow(walk, Growth(walk.lab.a), 1024)
        assert "octets of heap" in wrong
        assert HEAP_NOISE / 2 < loaded < 2 * HEAP_NOISE


def test_leak_outside_the_heap_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same, if charon's heap seems to stay as it is."""
    sample = Growth.sample
    monkeypatch.setattr(Growth, "sample", lambda growth: (0, *sample(growth)[1:]))
    with Walk(SEED) as walk:
        wrong, loaded = grow(walk, Growth(walk.lab.a), 16 << 10)
        assert "octets of memory" in wrong
        assert loaded > RESIDENT_NOISE / 2


def test_each_kind_is_compared() -> None:
    """One more is seen, and one less: of threads and replies too, which nothing leaks here."""
    with Walk(SEED) as walk:
        held = leaks.holding(walk.lab.a, False)
    assert "thread" in held
    for kind in held:
        more = {**held, kind: held[kind] + Counter(["this"])}
        assert leaks.difference(held, more) == [f"leaked: {kind} this"]
        assert leaks.difference(more, held) == [f"missing: {kind} this"]


def test_left_over_sa_is_seen_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(walk_module, "FORGOTTEN", 1.0)
    with Walk(SEED) as walk, leak_sa(walk):
        with pytest.raises(Lost, match="half-open or rekeyed IKE SAs are left"):
            walk.end()


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
