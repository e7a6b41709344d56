# SPDX-License-Identifier: GPL-2.0-or-later
"""A random walk through what can happen to gateways.

`chaos` has what can happen. After each step both ends must agree on one tunnel within
seconds, each child must be up exactly once, and nothing may have leaked (`leaks`). The
same seed draws the same steps.
"""

import random
import subprocess
import threading
import time
from contextlib import ExitStack
from dataclasses import dataclass, field

from lab.admin import rows
from lab.field.chaos import ACTS, CONDITIONS, Act, Condition
from lab.field.leaks import Growth, difference, holding, lost
from lab.field.nature import RETRANSMISSION, Nature
from lab.field.stage import BASE, Link, carrying, lasting, sas_of
from lab.gateway import Gateway, Sa
from lab.nat import Nat
from lab.relay import Relay, Way
from lab.scenario import Lab
from lab.traffic import Probe

# It takes a second at most, half of it for a neighbour's Ethernet address; the rest is
# for a machine that builds meanwhile.
WITHIN = 3.0
# SAs of these states are no tunnels.
PASSING = ("CONNECTING", "DELETING", "REKEYED")
# A try that the peer has answered is kept for five seconds beside the tunnel that is up,
# because the peer may still complete it. The DELETE of an SA that the peer has lost is
# repeated after four seconds, and then the peer shows the token.
LEFT_OVER = 8.0
CHILDREN = 2
ROOM = 256 << 10  # octets of a gateway's disk
SLOW_RETRANSMISSION = 4.5
COVERED = 2.0
FORGOTTEN = 95.0  # charon keeps half-open SAs for 30 s, and a rekeyed one for 90 s
LOOK = 0.02
KEPT = 12  # events
SHOWN = 150  # lines of a log
TWICE = 0.4  # chance of a second act in a step
TICK = 0.02
HITCH = 0.03  # a tick that is later than this tells that the machine is busy


def tail(gateway: Gateway) -> str:
    """Return the end of the log, without the lines about each packet to a dead link."""
    lines = gateway.log(everything=True).splitlines()
    kept = [line for line in lines if "error writing to socket" not in line]
    return "\n".join([f"--- log of gateway {gateway.name}:", *kept[-SHOWN:]])


class Lost(AssertionError):
    """The walk reached a state that must not occur."""


class Clock:
    """Time without the moments in which the machine did not let us run.

    What those stole from this process, charon has lost as well.
    """

    def __init__(self) -> None:
        self.stolen = 0.0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        last = time.monotonic()
        while not self._ended.wait(TICK):
            now = time.monotonic()
            late = now - last - TICK
            self.stolen += late if late > HITCH else 0.0
            last = now

    def now(self) -> float:
        return time.monotonic() - self.stolen

    def close(self) -> None:
        self._ended.set()
        self._thread.join()


@dataclass
class Result:
    """What a walk did, and how it recovered."""

    steps: int = 0
    slowest: tuple[float, str] = (0.0, "nothing")
    stolen: float = 0.0
    grown: list[str] = field(default_factory=list)

    def add(self, other: "Result") -> None:
        self.steps += other.steps
        self.slowest = max(self.slowest, other.slowest)
        self.stolen += other.stolen
        self.grown += other.grown


class Walk:
    """Two gateways and the events on them."""

    def __init__(self, seed: int, qcd: bool = True, room: bool = False) -> None:
        self.seed = seed
        self.chance = random.Random(seed)
        self.events: list[str] = []
        self.result = Result()
        self.room = room
        self.full: Gateway | None = None  # whose disk is full
        # How many lost child SAs each may keep although their peer is back.
        self._spare = {"a": 0, "b": 0}
        self._killed = -FORGOTTEN  # when any of them crashed last
        self._stack = ExitStack()
        try:
            self._make(qcd)
        except BaseException:
            self.close()
            raise

    def _make(self, qcd: bool) -> None:
        self.nature = nature = Nature.draw(self.chance)
        self.note(str(nature))
        config = BASE.but(qcd=qcd, children=CHILDREN, exact_heap=True)
        own = {name: nature.config(config, name) for name in "ab"}
        self.clock = Clock()
        self._stack.callback(self.clock.close)
        self.lab = lab = self._stack.enter_context(Lab(config, **own))
        self.survivor = lab[nature.survivor] if nature.survivor else None
        if self.room:
            for gateway in (lab.a, lab.b):
                self._mount(gateway)
        self.relay: Relay | None = None
        self.nat: Nat | None = None
        ends = lab.a.host, lab.b.host
        if nature.behind_nat:
            self.nat = Nat(lab.network.router, *ends)
            self.nat.use_ports(20000, 20999)
            # b reaches a only by a mapping.
            new = f'iifname "to-b" ip daddr {lab.a.host.address} ct state new'
            lab.network.router.drop(new)
        else:
            relay = Relay(lab.network.router, *ends, Way())
            self.relay = self._stack.enter_context(relay)
        self.links = [Link("a", "b", f"net{k}", k) for k in range(CHILDREN)]
        self._start()
        self.probes = [
            self._stack.enter_context(
                Probe(source, target, interval=0.02, child=link.net)
            )
            for link in self.links
            for source, target in (ends, ends[::-1])
        ]
        self._wait(self.clock.now(), time.time(), 10.0)
        self._before = {name: holding(lab[name], False) for name in "ab"}
        self._growth = Growth(self.survivor) if self.survivor else None

    def _start(self) -> None:
        """Start the gateways; if both initiate, a is refused and only b succeeds."""
        lab = self.lab
        lab.b.start(load=False)
        lab.a.start()
        if lab.a.config.start_action == "start":
            lab.a.wait_for("its refusal", lambda: not lab.a.sas())
        lab.b.load()
        if lab.b.config.start_action != "start":
            for link in self.links:
                lab.a.initiate("b", link.net)

    def _mount(self, gateway: Gateway) -> None:
        """Give it a disk that the steps can fill, and that survives its crashes.

        It is in the mount namespace of this process.
        """
        gateway.places.state.mkdir(mode=0o700)
        options = f"size={ROOM},mode=0700"
        folder = str(gateway.places.state)
        argv = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder]
        subprocess.run(argv, check=True)
        self._stack.callback(subprocess.run, ["umount", folder], check=True)

    def note(self, text: str) -> None:
        self.events.append(f"{time.time():.3f} {text}")

    def pause(self, most: float) -> None:
        self.rest(self.chance.random() * most)

    def rest(self, seconds: float) -> None:
        """Let time pass, as much as a machine without load would."""
        until = self.clock.now() + seconds
        while (left := until - self.clock.now()) > 0:
            time.sleep(left)

    # --- for what happens -----------------------------------------------

    def one(self) -> Gateway:
        return self.lab[self.chance.choice("ab")]

    def mortal(self) -> Gateway:
        """Draw a gateway that may crash now."""
        drawn = self.one()
        other = self.lab.b if drawn is self.lab.a else self.lab.a
        return other if drawn in (self.survivor, self.full) else drawn

    def kill(self, gateway: Gateway) -> None:
        """Crash it once its peer holds the token of its IKE SA.

        RFC 6290 has a gap: the initiator of a rekeying can send its token of the new
        IKE SA only in the next exchange. Until then, DPD has to detect its crash. So a
        gateway whose rekeying the way does not let end stays up.
        """
        until = self.clock.now() + COVERED
        while not self._covered(gateway):
            if self.clock.now() > until:
                self.note(f"{gateway.name} stays up: its peer lacks its token")
                return
            time.sleep(LOOK)
        if self.unsettled:
            self._spare[gateway.name] += 2 * CHILDREN
        self.unsettled = True
        self._killed = self.clock.now()
        gateway.kill()

    def _covered(self, gateway: Gateway) -> bool:
        if any(sa.state == "REKEYING" for sa in sas_of(gateway)):
            return False
        return not gateway.config.qcd or all(
            row["token_sent"]
            for row in rows(gateway, "sa")
            if row["state"] == "ESTABLISHED"
        )

    def begin(self, gateway: Gateway, load: bool = True) -> None:
        """Start it, if it did crash."""
        if not gateway.alive:
            gateway.start(load=load)

    def restart(self, gateway: Gateway) -> None:
        if gateway.alive:
            self.kill(gateway)
        self.begin(gateway)

    def a_may_move(self) -> bool:
        """Tell whether a can tell its peer of another address.

        With short lives at a, a move may overtake a request of a rekeying, which charon
        goes on to send from the address that is gone.
        """
        starts = self.lab.b.config.start_action == "start"
        is_initiator = all(sa.initiator for sa in sas_of(self.lab.a))
        return not starts and is_initiator and self.nature.rekeys != "a"

    def draw(self) -> tuple[Condition, list[Act]]:
        """Draw what happens next."""
        possible = [item for item in CONDITIONS if item.possible(self)]
        condition = self.chance.choice(possible)
        acts = [
            act
            for act in ACTS
            if condition.name in act.under
            and act.possible(self)
            and not (condition.loses and self._collides(act))
        ]
        drawn = [self.chance.choice(acts)]
        if self.chance.random() < TWICE:
            # After a crash of both ends nobody remembers that a tunnel was up. And nobody
            # finds a gateway that crashes and moves, or one behind a NAT that forgets its
            # mapping. And charon repeats a request that a move overtakes from the address
            # that is gone.
            first = drawn[0]
            calm = [
                act
                for act in acts
                if not (act.crashes and first.crashes)
                and not (act.moves and (first.crashes or first.asks))
                and not (first.moves and (act.crashes or act.asks))
                and not (act.rebinds and first.crashes)
                and not (first.rebinds and act.crashes)
                and not (condition.loses and act.asks and first.asks)
            ]
            drawn += [self.chance.choice(calm)] if calm else []
        return condition, drawn

    def _collides(self, act: Act) -> bool:
        """Tell whether the act can't do with packets that are lost.

        Exchanges of charon wait for its retransmissions. And if both ends rekey, it may
        make a child twice, with qcd and without.
        """
        return act.asks and (not self.nature.fast or bool(self.nature.rekeys) or act.both)

    # --- how it has to be -----------------------------------------------

    def step(self) -> None:
        """Cause something at random, and check that everything recovers."""
        self.play(*self.draw())

    def play(self, condition: Condition, acts: list[Act]) -> None:
        first = len(self.events)
        self.note(f"{condition.name}: {', '.join(act.name for act in acts)}")
        self.unsettled = condition.loses or bool(self.nature.rekeys)
        with condition.enter(self):
            for act in acts:
                act.do(self)
                self.unsettled = True
        self.happened = ", ".join(e.partition(" ")[2] for e in self.events[first:])
        since, now = time.time(), self.clock.now()
        self.note("nothing stands in the way any more")
        bound = WITHIN + max(act.extra for act in acts)
        # A request may overtake the response that completes the IKE SA.
        overtaken = any(act.asks for act in acts) or bool(self.nature.rekeys)
        if overtaken or (condition.loses and self.nature.fast):
            bound += 2 * RETRANSMISSION if self.nature.fast else SLOW_RETRANSMISSION
        self._wait(now, since, bound)
        took = self.clock.now() - now
        self.result.slowest = max(self.result.slowest, (took, self.happened))
        self.pause(1.5)
        self._look(since)
        self.result.steps += 1

    def _wait(self, now: float, since: float, bound: float) -> None:
        while True:
            wrong = self._wrong()
            if not wrong and all(p.first_answer(since) for p in self.probes):
                return
            if self.clock.now() > now + bound:
                self._fail(wrong or "no ping passes", since)
            time.sleep(LOOK)

    def _look(self, since: float) -> None:
        """Check later that all is still up and nothing is left; a rekeying is fine."""
        now = self.clock.now()
        checks = (self._wrong, WITHIN), (self._left_over, LEFT_OVER), (self._leaked, LEFT_OVER)
        for look, bound in checks:
            while wrong := look():
                if self.clock.now() > now + bound:
                    self._fail(f"later: {wrong}", since)
                time.sleep(LOOK)
        if self._growth and (wrong := self._growth.look()):
            self._fail(wrong, since)
        self.lab.check()

    def _wrong(self) -> str:
        """Return what isn't as configured, or an empty text."""
        seen = {
            name: [sa for sa in sas_of(self.lab[name]) if sa.state not in PASSING]
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
        """Return what is still half open or being deleted, or an empty text."""
        for name in "ab":
            for sa in lasting(sas_of(self.lab[name])):
                if sa.state in PASSING and not self._is_orphan(sa):
                    return f"{name} has a left-over SA, {sa.unique_id} {sa.state}"
        return ""

    def _is_orphan(self, sa: Sa) -> bool:
        """Tell whether its peer has rekeyed it, and crashed before it deleted it.

        It has no children any more, and charon deletes it after 90 s.
        """
        return sa.state == "REKEYED" and self.clock.now() < self._killed + FORGOTTEN

    def _leaked(self) -> str:
        """Return what a gateway holds too much or too little, or an empty text."""
        for name in self._before:
            gateway = self.lab[name]
            sas = [sa for sa in lasting(gateway.sas()) if not self._is_orphan(sa)]
            states = [sa.state for sa in sas]
            if states != ["ESTABLISHED"]:
                return f"{name} has SAs that are {states}"  # a rekeying
            spare = self._spare[name]
            some, wrong = lost(gateway, spare) if gateway.config.qcd else (False, [])
            wrong += difference(self._before[name], holding(gateway, some))
            if wrong:
                return f"{name}: {'; '.join(wrong)}"
        return ""

    def _fail(self, wrong: str, since: float) -> None:
        events = "\n".join(self.events[:1] + self.events[1:][-KEPT:])
        raise Lost(
            f"seed {self.seed}, step {self.result.steps + 1}: {time.time() - since:.1f} s "
            f"after the last disturbance: {wrong}\n--- the walk and its last events:\n"
            f"{events}\n{tail(self.lab.a)}\n{tail(self.lab.b)}"
        )

    def close(self) -> None:
        self._stack.close()

    def __enter__(self) -> "Walk":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def end(self) -> None:
        """Check that charon has dropped all half-open and rekeyed IKE SAs."""
        now = self.clock.now()
        while len(self.lab.a.sas()) != 1 or len(self.lab.b.sas()) != 1:
            if self.clock.now() > now + FORGOTTEN:
                self._fail("half-open or rekeyed IKE SAs are left", time.time())
            time.sleep(1)

    def summary(self) -> Result:
        """Return what it did."""
        self.result.stolen = self.clock.stolen
        self.result.grown = [str(self._growth)] if self._growth else []
        return self.result
