# SPDX-License-Identifier: GPL-2.0-or-later
"""A gateway that is killed at random times, while its SAs come and go.

What its map contains after each start is compared with what the daemon said before.
"""

import os
import random
import re
import time
from collections.abc import Callable
from contextlib import suppress

import pytest

from lab import esp
from lab.admin import counters
from lab.config import Config
from lab.control import CommandException
from lab.gateway import CARRYING, Gateway, Sa
from lab.lost import lose_many
from lab.scenario import Lab
from lab.wait import wait_until

pytestmark = pytest.mark.alone

NewLab = Callable[..., Lab]
KILLS = 100
PEERS = ("b", "c")
CHILDREN = 3
BASE = 20  # SAs of peers that never return
LONGEST = 0.2  # from the start of the SAs to the kill
# Some live until the map is written to disk, a second after they are established.
FLUSHED, FLUSH = 0.12, (0.85, 1.1)
QUIET = {"default": 0, "ike": 0, "cfg": 1}

Spis = set[bytes]


def inbound(sas: list[Sa]) -> Spis:
    """Return the SPIs of all child SAs that carry traffic."""
    return {
        esp.child_spi(sa, "in", number)
        for sa in sas
        for number, child in enumerate(sa.children)
        if child["state"] in CARRYING
    }


def untouched(sas: list[Sa]) -> Spis:
    """Return those of the children that are left alone: the first one of each peer."""
    return {
        bytes.fromhex(child["spi-in"])
        for sa in sas
        for child in sa.children
        if child["name"] == "net0" and child["state"] == "INSTALLED"
    }


def command_at_random(hub: Gateway, chance: random.Random, sa: Sa) -> None:
    """Change a child of the SA, without waiting for the result."""
    others = [child for child in sa.children if child["name"] != "net0"]
    what = chance.choice(["begin", "rekey", "rekey", "end", "rekey IKE"])
    if what == "begin" or not others:
        hub.begin(sa.peer, chance.randrange(1, CHILDREN))
    elif what == "rekey IKE":
        hub.control.command("rekey", {"ike-id": sa.unique_id})
    else:
        number = int(chance.choice(others)["uniqueid"])
        if what == "rekey":
            hub.control.command("rekey", {"child-id": number})
        else:
            message = {"child-id": number, "timeout": -1, "loglevel": -1}
            hub.control.stream("terminate", "control-log", message)


def disturb(hub: Gateway, chance: random.Random, sas: list[Sa]) -> None:
    """Disturb a random one of these SAs."""
    with suppress(CommandException):  # already gone, or about to go
        command_at_random(hub, chance, chance.choice(sas))


class Story:
    """One gateway through its kills, and what is certain about its SAs."""

    def __init__(self, lab: Lab, seed: int) -> None:
        self.hub = lab["a"]
        self.chance = random.Random(seed)
        self.base = {item.spi for item in lose_many(self.hub, BASE)}
        self.certain: dict[str, Spis] = {peer: set() for peer in PEERS}
        self.lost = 0
        self.most = 0

    def start(self) -> None:
        """After a start each former SA is lost, and the map is intact."""
        self.hub.start()
        self.started = time.monotonic()

        def complete() -> bool:
            self.dead = esp.dead(self.hub)
            return len(self.dead) == int(counters(self.hub)["lost_children"])

        wait_until("the SPIs of lost SAs", complete, 10, self.hub.tail)
        assert not re.search("damaged|can't be written|no SA map", self.hub.log())
        expected = self.base.union(*self.certain.values())
        missing = expected - self.dead
        assert not missing, f"{len(missing)} of {len(expected)} were forgotten"
        self.lost += len(expected - self.base)
        self.most = max(self.most, len(self.dead))

    def live(self) -> None:
        """SAs come and go for a random time, and none of them is taken for dead."""
        for peer in self.chance.sample(PEERS, self.chance.randint(1, len(PEERS))):
            self.certain[peer] = set()  # from now on it may have been replaced
            for child in range(CHILDREN):
                self.hub.begin(peer, child)
        until = time.monotonic() + self.chance.uniform(0, LONGEST)
        if self.chance.random() < FLUSHED:
            until = self.started + self.chance.uniform(*FLUSH)
        while time.monotonic() < until:
            sas = self.hub.sas()
            for sa in sas:
                self.certain[sa.peer] = untouched([sa]) or self.certain[sa.peer]
            standing = [sa for sa in sas if sa.state == "ESTABLISHED"]
            if standing:
                disturb(self.hub, self.chance, standing)
        # The set of dead SAs only shrinks, so it may be read after the live ones.
        alive = inbound(self.hub.sas())
        wrong = alive & esp.dead(self.hub)
        assert not wrong, f"{wrong} live and are taken for dead"


@pytest.mark.timeout(300)
def test_killed_at_random_moments(new_lab: NewLab) -> None:
    seed = int.from_bytes(os.urandom(4), "big")
    peer = Config(children=CHILDREN, log=QUIET)
    lab = new_lab(peer, names=("a", *PEERS), a=peer.but(esp=True))
    for name in PEERS:
        lab[name].start()
    story = Story(lab, seed)
    begin = time.monotonic()
    try:
        for number in range(KILLS):
            story.start()
            story.live()
            story.hub.kill()
        story.start()
    except AssertionError as error:
        raise AssertionError(f"kill {number}, seed {seed}: {error}") from error
    print(
        f"{KILLS} kills in {time.monotonic() - begin:.0f} s, {story.lost} SAs of the "
        f"moment were lost, at most {story.most} at a time"
    )
    assert story.lost >= KILLS // 2, "too few SAs stood when it was killed"
