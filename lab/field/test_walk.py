# SPDX-License-Identifier: GPL-2.0-or-later
"""The random walk sees what it has to see. `./dev check` walks for ten minutes."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from lab.field import walk as walk_module
from lab.field.chaos import ACTS, CALM, CONDITIONS
from lab.field.leaks import HEAP_NOISE, WARM_UP
from lab.field.walk import Lost, Walk

RELOAD = next(act for act in ACTS if act.name == "reload")
SEED = 5  # a and b on a plain path, slow retransmissions


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
    """Remove the route of a child, and only that: the pings of others pass."""
    walk.probes = [probe for probe in walk.probes if not probe.goes_to("10.1.2.1")]
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
    path = walk.lab.a.places.state / "samap"
    data = path.read_bytes()
    row = data[128:256]
    with path.open("ab") as file:
        file.write(row[:1] + b"\\xc0\\xff\\xee\\x00" + row[5:])
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


@pytest.fixture(scope="module")
def plain() -> Iterator[Walk]:
    """A walk on which nothing has happened yet."""
    with Walk(SEED) as walk:
        yield walk


def test_all_well(plain: Walk) -> None:
    plain.play(CALM, [RELOAD])


@pytest.mark.parametrize(("mistake", "seen"), MISTAKES)
def test_leak_is_seen(
    monkeypatch: pytest.MonkeyPatch,
    mistake: Callable[[Walk], "contextmanager[None]"],
    seen: str,
) -> None:
    """Each leak ends a walk, with the seed and the logs of both ends."""
    monkeypatch.setattr(walk_module, "LEFT_OVER", 0.5)
    with Walk(SEED) as walk, mistake(walk):
        with pytest.raises(Lost, match=rf"seed {SEED}, step 1: .*{seen}"):
            walk.play(CALM, [RELOAD])
