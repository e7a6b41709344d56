# SPDX-License-Identifier: GPL-2.0-or-later
"""What a walk draws from: conditions that last for a while, and acts within them.

A step is one condition with one or two acts. All that is random comes from the walk's
generator, in an order that the time does not change.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lab.admin import ask
from lab.field.stage import sas_of
from lab.gateway import Gateway
from lab.relay import Way

if TYPE_CHECKING:
    from lab.field.walk import Walk

PROBED = 2.0  # MOBIKE: charon probes for a path about this often
FILLER = "filler"
# A gateway that has no such SA, or does not run just now.
GONE = (AssertionError, IndexError, OSError, RuntimeError)
FREE = 0  # octets that a full disk has left


@dataclass(frozen=True)
class Condition:
    """Something that lasts while acts happen, and then ends."""

    name: str
    enter: Callable[["Walk"], AbstractContextManager[None]]
    loses: bool = False  # packets
    possible: Callable[["Walk"], bool] = lambda walk: True


@dataclass(frozen=True)
class Act:
    """Something that happens at once, and the conditions under which it may."""

    name: str
    do: Callable[["Walk"], None]
    under: tuple[str, ...]
    # It begins an exchange that only charon's retransmissions can complete.
    asks: bool = False
    both: bool = False  # ends begin one
    crashes: bool = False
    moves: bool = False
    rebinds: bool = False  # the NAT forgets the mapping
    extra: float = 0.0  # seconds until charon itself goes on
    possible: Callable[["Walk"], bool] = lambda walk: True


# --- conditions ----------------------------------------------------------------


@contextmanager
def calm(walk: "Walk") -> Iterator[None]:
    yield


@contextmanager
def bad_way(walk: "Walk") -> Iterator[None]:
    """Delay, duplicate and reorder packets."""
    assert walk.relay
    chance = walk.chance
    way = Way(
        delay=chance.random() * 0.1,
        double=chance.random() * 0.2,
        late=chance.random() * 0.2,
        seed=chance.randint(1, 1 << 30),
    )
    walk.note(f"the way becomes {way}")
    walk.relay.set(way)
    yield
    walk.pause(3.0)
    walk.relay.set(Way())


@contextmanager
def lossy(walk: "Walk") -> Iterator[None]:
    """Lose up to every third packet; the kernel draws which."""
    percent = walk.chance.randint(3, 33)
    walk.note(f"{percent} % of all packets are lost")
    with walk.lab.network.router.drop(f"numgen random mod 100 < {percent}"):
        yield
        walk.pause(4.0)


@contextmanager
def path_cut(walk: "Walk") -> Iterator[None]:
    ends = walk.lab.a.host, walk.lab.b.host
    way = walk.chance.choice([ends, ends[::-1]])
    walk.note(f"nothing passes from {way[0].name}")
    with walk.lab.network.router.drop(f'iifname "to-{way[0].name}"'):
        yield
        walk.pause(6.0)


@contextmanager
def link_down(walk: "Walk") -> Iterator[None]:
    gateway = walk.one()
    walk.note(f"the link of {gateway.name} goes down")
    gateway.host.unplug()
    yield
    walk.pause(3.0)
    gateway.host.plug()


@contextmanager
def full_disk(walk: "Walk") -> Iterator[None]:
    # Not the one that crashes: it could not record its next run.
    gateway = walk.survivor or walk.one()
    walk.note(f"the disk of {gateway.name} is full")
    fill(gateway)
    walk.full = gateway
    yield
    walk.pause(3.0)
    walk.full = None
    free(gateway)


def fill(gateway: Gateway) -> None:
    """Fill the file system of its state_dir."""
    with (gateway.places.state / FILLER).open("wb", buffering=0) as file:
        with suppress(OSError):
            while True:
                file.write(bytes(4096))
    left = os.statvfs(gateway.places.state).f_bavail
    assert left == FREE, f"{left} blocks are left on the disk of {gateway.name}"


def free(gateway: Gateway) -> None:
    (gateway.places.state / FILLER).unlink()


def _has_relay(walk: "Walk") -> bool:
    return walk.relay is not None


def _is_fast(walk: "Walk") -> bool:
    return walk.nature.fast


def _has_room(walk: "Walk") -> bool:
    return walk.room


CALM = Condition("calm", calm)
CONDITIONS = (
    CALM,
    CALM,
    CALM,
    Condition("bad way", bad_way, possible=_has_relay),
    Condition("loss", lossy, loses=True, possible=_is_fast),
    Condition("path cut", path_cut, loses=True),
    Condition("link down", link_down, loses=True),
    Condition("full disk", full_disk, possible=_has_room),
)
ALL = tuple(sorted({condition.name for condition in CONDITIONS}))
GENTLE = ("bad way", "calm")
QUIET = (*GENTLE, "full disk")

# --- acts ----------------------------------------------------------------------


def nothing(walk: "Walk") -> None:
    pass


def crash(walk: "Walk") -> None:
    gateway = walk.mortal()
    walk.note(f"{gateway.name} crashes")
    walk.kill(gateway)
    walk.pause(0.3)
    walk.begin(gateway)


def crash_of_both(walk: "Walk") -> None:
    """Crash both. Neither remembers anything, so one of them must initiate."""
    lab = walk.lab
    order = [lab.b, lab.a]
    walk.chance.shuffle(order)
    starting = [g for g in order if g.config.start_action == "start"]
    if len(starting) == 1:
        # Its first try would be refused for good.
        order = [g for g in order if g not in starting] + starting
    walk.note(f"both crash, {order[0].name} is back first")
    for gateway in order:
        walk.kill(gateway)
        walk.pause(0.1)
    for gateway in order:
        walk.begin(gateway)
    if not starting:
        for link in walk.links:
            lab.a.begin("b", link.net)


def crashes_in_a_row(walk: "Walk") -> None:
    gateway = walk.mortal()
    count = walk.chance.randint(2, 4)
    walk.note(f"{gateway.name} crashes {count} times in a row")
    for _ in range(count):
        walk.restart(gateway)
        walk.pause(0.1)


def late_configuration(walk: "Walk") -> None:
    gateway = walk.mortal()
    parts = ["secrets", "connections"]
    walk.chance.shuffle(parts)
    delays = [walk.chance.random() * 3, walk.chance.random() * 2]
    walk.note(f"{gateway.name} crashes and loads {parts} after {delays}")
    walk.kill(gateway)
    walk.begin(gateway, load=False)
    for part, delay in zip(parts, delays):
        walk.rest(delay)
        gateway.load(part)


def crash_on_full_disk(walk: "Walk") -> None:
    """Crash one whose disk is full.

    It can't record its run, so its token maker is off as long as that lasts.
    """
    gateway = walk.mortal()
    walk.note(f"{gateway.name} crashes, starts on a full disk, and again")
    walk.kill(gateway)
    fill(gateway)
    walk.begin(gateway, load=False)
    walk.pause(1.0)
    free(gateway)
    walk.restart(gateway)


def roam(walk: "Walk") -> None:
    """Move an initiator: only it can report this, from its new address.

    A responder that lost its address can't send anything on its SA. a becomes a
    responder if b starts the connection by itself. With MOBIKE a path is probed
    only every 2 s, so the peer is back before that.
    """
    number = walk.chance.randint(2, 9)
    moves = walk.a_may_move()
    moved = f"a gets the address 10.0.1.{number}" if moves else "a stays"
    walk.note(f"b crashes, and {moved}")
    walk.restart(walk.lab.b)
    if moves:
        walk.lab.a.host.roam(number)


def move(walk: "Walk") -> None:
    """Move an initiator, which tells the peer: MOBIKE."""
    number = walk.chance.randint(2, 9)
    if walk.a_may_move():
        walk.note(f"a moves to 10.0.1.{number}")
        walk.lab.a.host.roam(number)


def rebind(walk: "Walk") -> None:
    """Forget the mappings of the NAT and use other ports.

    The peer learns the new port from the next IKE message.
    """
    assert walk.nat
    first = walk.chance.randrange(10, 60) * 1000
    crashes = walk.survivor is not walk.lab.b and walk.chance.random() < 0.5
    told = "b crashes" if crashes else "a rekeys a child"
    walk.note(f"the NAT uses ports from {first} on, and {told}")
    walk.nat.use_ports(first, first + 999)
    if crashes:
        walk.restart(walk.lab.b)
    else:
        with suppress(*GONE):
            walk.lab.a.nudge()


def reload(walk: "Walk") -> None:
    gateway = walk.one()
    walk.note(f"{gateway.name} reloads its settings and connections")
    gateway.command("reload-settings")
    gateway.load("connections")


def rekey_one(walk: "Walk", gateway: Gateway, what: str) -> None:
    """Rekey the IKE SA or all of its children, if all of it is up.

    A child that is being made meanwhile would be refused. Unless a recovery makes it,
    stock charon then waits for 10 s or more. And if the one before a child is not deleted
    yet, stock charon may return to it, and nothing passes any more.
    """
    for sa in sas_of(gateway):
        if sa.installed < len(walk.links):
            continue
        ids = [{"ike-id": sa.unique_id}]
        if what != "IKE SA":
            names = [child["name"] for child in sa.children]
            ids = [
                {"child-id": int(child["uniqueid"])}
                for child in sa.children
                if names.count(child["name"]) == 1
            ]
        for item in ids:
            with suppress(*GONE):
                gateway.command("rekey", item)


def rekey(walk: "Walk") -> None:
    what = walk.chance.choice(["IKE SA", "children"])
    gateway = walk.one()
    walk.note(f"{gateway.name} rekeys its {what}")
    rekey_one(walk, gateway, what)


def rekey_both(walk: "Walk") -> None:
    """Let both rekey at the same time, which collides or nearly does."""
    orders = [(walk.lab[name], walk.chance.choice(["IKE SA", "children"])) for name in "ab"]
    walk.chance.shuffle(orders)
    walk.note("; ".join(f"{g.name} rekeys its {what}" for g, what in orders))
    for gateway, what in orders:
        rekey_one(walk, gateway, what)


def rotate(walk: "Walk") -> None:
    """Make new secrets.

    A rotation that would take the token of a peer, which gets a new one just now or has
    not returned after a crash, is refused; and so is one whose disk is full.
    """
    gateway = walk.one()
    count = walk.chance.randint(1, 4)
    walk.note(f"{gateway.name} makes {count} new secrets")
    for _ in range(count):
        answer = ask(gateway, "rotate")[0]
        if not answer["ok"] and gateway is not walk.full:
            assert "try again later" in answer["error"], answer
        walk.pause(0.2)


def _survived_by_none(walk: "Walk") -> bool:
    return walk.survivor is None


def _a_moves(walk: "Walk") -> bool:
    return walk.nat is None and walk.survivor is not walk.lab.b


def _mobile(walk: "Walk") -> bool:
    return walk.nature.mobike and walk.nat is None and not walk.nature.rekeys


def _behind_nat(walk: "Walk") -> bool:
    return walk.nat is not None


ACTS = (
    Act("nothing", nothing, ("bad way", "link down", "loss", "path cut")),
    Act("crash", crash, ALL, crashes=True),
    Act("crash", crash, ALL, crashes=True),
    Act("crash of both", crash_of_both, GENTLE, crashes=True, possible=_survived_by_none),
    Act("crashes in a row", crashes_in_a_row, ALL, crashes=True),
    Act("late configuration", late_configuration, GENTLE, crashes=True),
    Act(
        "crash on a full disk",
        crash_on_full_disk,
        ("calm",),
        crashes=True,
        possible=_has_room,
    ),
    Act("roam", roam, GENTLE, crashes=True, moves=True, possible=_a_moves),
    Act("move", move, QUIET, asks=True, moves=True, extra=PROBED, possible=_mobile),
    Act("rebind", rebind, ("calm",), asks=True, rebinds=True, possible=_behind_nat),
    Act("reload", reload, ALL),
    Act("rekey", rekey, ALL, asks=True),
    Act("rekey both", rekey_both, ALL, asks=True, both=True),
    Act("rotate", rotate, ALL, asks=True),
)
