# SPDX-License-Identifier: GPL-2.0-or-later
"""A random walk through what can happen to gateways.

That is crashes of both, late and partial configuration, links, addresses, reloads,
delay and reordering. After each disturbance the tunnel can be up. From then on it must
be up within two seconds, exactly once, with each child exactly once, on both ends. The
same seed gives the same walk.
"""

import random
import time
from collections.abc import Callable
from contextlib import ExitStack

from lab.config import Config
from lab.field.stage import BASE, Link, carrying, lasting, sas_of
from lab.gateway import Gateway
from lab.relay import Relay, Way
from lab.scenario import Lab
from lab.traffic import Probe
from lab.wait import LabTimeout

WITHIN = 2.0
# A try that the peer has answered is kept for this long beside the tunnel that is up,
# because the peer may still complete it.
LEFT_OVER = 6.0
CHILDREN = 2
LOOK = 0.01
KEPT = 12  # events
SHOWN = 150  # lines of a log


def tail(gateway: Gateway) -> str:
    """Return the end of the log, without the lines about each packet to a dead link."""
    lines = gateway.log(everything=True).splitlines()
    kept = [line for line in lines if "error writing to socket" not in line]
    return "\n".join([f"--- log of gateway {gateway.name}:", *kept[-SHOWN:]])


class Lost(AssertionError):
    """The walk reached a state that must not occur."""


class Walk:
    """Two gateways and the events on them."""

    def __init__(self, seed: int, qcd: bool = True) -> None:
        self.seed = seed
        self.chance = random.Random(seed)
        self.events: list[str] = []
        self.slowest = (0.0, "nothing")
        self.steps = 0
        self._stack = ExitStack()
        try:
            self._make(qcd)
        except BaseException:
            self.close()
            raise

    def _make(self, qcd: bool) -> None:
        chance = self.chance
        # Drawn once for a walk: how the two relate to each other.
        starts = chance.choice(["none", "none", "start"])
        unique = chance.choice(["no", "no", "replace", "keep", "never"])
        mobike = chance.choice(["no", "yes"])
        both = chance.random() < 0.5
        options = {"unique": unique, "mobike": mobike, "local_addrs": ["%any"]}
        config = BASE.but(qcd=qcd, children=CHILDREN, ike_options=options)
        a = self._own(config, "a", start_action=starts)
        b = self._own(config, "b", start_action=starts if both else "none")
        self.note(f"a: {starts}, b: {b.start_action}, unique {unique}, mobike {mobike}")
        self.lab = self._stack.enter_context(Lab(config, a=a, b=b))
        lab = self.lab
        self.relay = self._stack.enter_context(
            Relay(lab.network.router, lab.a.host, lab.b.host, Way())
        )
        self.links = [Link("a", "b", f"net{k}", k) for k in range(CHILDREN)]
        lab.b.start(load=False)
        lab.a.start()
        if starts == "start":
            lab.a.wait_for("its refusal", lambda: not lab.a.sas())
        lab.b.load()
        if b.start_action != "start":
            for child in range(CHILDREN):
                lab.a.initiate("b", child)
        lab.a.wait_established("b")
        ends = lab.a.host, lab.b.host
        self.probes = [
            self._stack.enter_context(
                Probe(source, target, interval=0.02, child=link.net)
            )
            for link in self.links
            for source, target in (ends, ends[::-1])
        ]

    def _own(self, config: Config, name: str, start_action: str) -> Config:
        return config.but(anywhere=name == "b", start_action=start_action)

    def note(self, text: str) -> None:
        self.events.append(f"{time.time():.3f} {text}")

    def pause(self, most: float) -> None:
        time.sleep(self.chance.random() * most)

    # --- what may happen ------------------------------------------------

    def _one(self) -> Gateway:
        return self.lab[self.chance.choice("ab")]

    def crash(self) -> None:
        gateway = self._one()
        self.note(f"{gateway.name} crashes")
        gateway.kill()
        self.pause(0.3)
        gateway.start()

    def crash_of_both(self) -> None:
        """Crash both. Neither remembers anything, so one of them must initiate."""
        lab = self.lab
        order = [lab.b, lab.a]
        starting = [g for g in order if g.config.start_action == "start"]
        if len(starting) != 1:
            self.chance.shuffle(order)
        self.note(f"both crash, {order[0].name} is back first")
        for gateway in order:
            gateway.kill()
            self.pause(0.1)
        for gateway in order:
            gateway.start()
        if not starting:
            for child in range(CHILDREN):
                lab.a.begin("b", child)

    def crashes_in_a_row(self) -> None:
        gateway = self._one()
        count = self.chance.randint(2, 4)
        self.note(f"{gateway.name} crashes {count} times in a row")
        for _ in range(count):
            gateway.restart()
            self.pause(0.1)

    def late_configuration(self) -> None:
        gateway = self._one()
        parts = ["secrets", "connections"]
        self.chance.shuffle(parts)
        delays = [self.chance.random() * 3, self.chance.random() * 2]
        self.note(f"{gateway.name} crashes and loads {parts} after {delays}")
        gateway.kill()
        gateway.start(load=False)
        for part, delay in zip(parts, delays):
            time.sleep(delay)
            gateway.load(part)

    def link_down(self) -> None:
        gateway = self._one()
        crashed = self.chance.choice(["nobody", "a", "b"])
        self.note(f"the link of {gateway.name} goes down, {crashed} crashes meanwhile")
        gateway.host.unplug()
        if crashed != "nobody":
            self.lab[crashed].restart()
        self.pause(3.0)
        gateway.host.plug()

    def path_cut(self) -> None:
        ends = self.lab.a.host, self.lab.b.host
        way = self.chance.choice([ends, ends[::-1]])
        crashed = self.chance.choice(["nobody", "a", "b"])
        self.note(f"nothing passes from {way[0].name}, {crashed} crashes meanwhile")
        with self.lab.network.router.drop(f'iifname "to-{way[0].name}"'):
            if crashed != "nobody":
                self.lab[crashed].restart()
            self.pause(6.0)

    def roam(self) -> None:
        """Move an initiator: only it can report this, from its new address.

        A responder that lost its address can't send anything on its SA. a becomes a
        responder if b starts the connection by itself. With MOBIKE a path is probed
        only every 2 s, so the peer is back before that.
        """
        number = self.chance.randint(2, 9)
        starts = self.lab.b.config.start_action == "start"
        moves = not starts and all(sa.initiator for sa in sas_of(self.lab.a))
        moved = f"a gets the address 10.0.1.{number}" if moves else "a stays"
        self.note(f"b crashes, and {moved}")
        self.lab.b.restart()
        if moves:
            self.lab.a.host.roam(number)

    def reload(self) -> None:
        gateway = self._one()
        self.note(f"{gateway.name} reloads its settings and connections")
        gateway.command("reload-settings")
        gateway.load("connections")
        if self.chance.random() < 0.5:
            self.note("and the other one crashes")
            other = self.lab.b if gateway is self.lab.a else self.lab.a
            other.restart()

    def bad_way(self) -> None:
        """Delay, duplicate or reorder packets.

        None is lost: a lost CREATE_CHILD_SA of an ordinary initiation, without a
        recovery, would wait for charon's first retransmission after 4 s, as with stock.
        """
        way = Way(
            delay=self.chance.random() * 0.1,
            double=self.chance.random() * 0.2,
            late=self.chance.random() * 0.2,
            seed=self.chance.randint(1, 1 << 30),
        )
        gateway = self._one()
        self.note(f"{gateway.name} crashes, and the way becomes {way}")
        self.relay.set(way)
        gateway.restart()
        self.pause(3.0)
        self.relay.set(Way())

    DISTURBANCES = (
        crash,
        crash,
        crash_of_both,
        crashes_in_a_row,
        late_configuration,
        link_down,
        path_cut,
        roam,
        reload,
        bad_way,
    )

    # --- how it has to be -----------------------------------------------

    def step(self) -> None:
        """Cause an event, and check that everything recovers."""
        what: Callable[[Walk], None] = self.chance.choice(self.DISTURBANCES)
        first = len(self.events)
        what(self)
        happened = ", ".join(event.partition(" ")[2] for event in self.events[first:])
        since = time.time()
        self.note("nothing stands in the way any more")
        self._wait(since)
        self.slowest = max(self.slowest, (time.time() - since, happened))
        self.steps += 1
        self.pause(1.5)
        self._look(since)

    def _wait(self, since: float) -> None:
        while True:
            wrong = self._wrong()
            if not wrong and all(p.first_answer(since) for p in self.probes):
                return
            if time.time() > since + WITHIN:
                self._fail(wrong or "no ping passes", since)
            time.sleep(LOOK)

    def _look(self, since: float) -> None:
        """Check again later that all is up and no try is left; a rekeying is fine."""
        now = time.time()
        for look, bound in ((self._wrong, WITHIN), (self._left_over, LEFT_OVER)):
            while wrong := look():
                if time.time() > now + bound:
                    self._fail(f"later: {wrong}", since)
                time.sleep(LOOK)
        self.lab.check()

    def _wrong(self) -> str:
        """Return what isn't as configured, or an empty text."""
        seen = {
            name: [sa for sa in sas_of(self.lab[name]) if sa.state != "CONNECTING"]
            for name in "ab"
        }
        wanted = sorted(link.child for link in self.links)
        for name, sas in seen.items():
            if len(sas) != 1 or sas[0].state != "ESTABLISHED":
                return f"{name} has {[(sa.unique_id, sa.state) for sa in sas]}"
            if sorted(carrying(sas[0])) != wanted:
                return f"{name} has the children {carrying(sas[0])}"
        if seen["a"][0].spis != seen["b"][0].spis:
            return "they have different IKE SAs"
        return ""

    def _left_over(self) -> str:
        """Return what is still half open, or an empty text."""
        for name in "ab":
            for sa in lasting(sas_of(self.lab[name])):
                if sa.state == "CONNECTING":
                    return f"{name} has a try that is left over, {sa.unique_id}"
        return ""

    def _fail(self, wrong: str, since: float) -> None:
        events = "\n".join(self.events[-KEPT:])
        raise Lost(
            f"seed {self.seed}, step {self.steps + 1}: {time.time() - since:.1f} s "
            f"after the last disturbance: {wrong}\n--- the last events:\n{events}\n"
            f"{tail(self.lab.a)}\n{tail(self.lab.b)}"
        )

    def close(self) -> None:
        self._stack.close()

    def __enter__(self) -> "Walk":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def stroll(
    seed: int, seconds: float, qcd: bool = True
) -> tuple[int, tuple[float, str]]:
    """Walk for a time; return the number of steps, and the slowest step with its cause.

    Each minute begins with new gateways, whose seed is derived from the first one.
    """
    steps, slowest = 0, (0.0, "nothing")
    chance = random.Random(seed)
    until = time.monotonic() + seconds
    own = seed
    while time.monotonic() < until:
        with Walk(own, qcd) as one:
            end = min(until, time.monotonic() + 60.0)
            while time.monotonic() < end:
                one.step()
            steps += one.steps
            slowest = max(slowest, one.slowest)
        own = chance.randrange(1 << 32)
    return steps, slowest


def walk(minutes: float, seed: int | None) -> int:
    """Run the command; return its exit status."""
    start = random.randrange(1 << 32) if seed is None else seed
    print(f"a walk of {minutes:g} minutes with --seed {start}", flush=True)
    try:
        steps, slowest = stroll(start, minutes * 60)
    except (Lost, LabTimeout) as error:
        print(error)
        return 1
    took, cause = slowest
    print(f"{steps} disturbances, the slowest recovery took {took:.2f} s: {cause}")
    return 0
