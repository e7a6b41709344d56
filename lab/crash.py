# SPDX-License-Identifier: GPL-2.0-or-later
"""A crash, and the time of every step of the recovery."""

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field

from lab.gateway import Gateway, Sa
from lab.ike import IKE_AUTH, IKE_SA_INIT, Message
from lab.traffic import Probe
from lab.wait import LabTimeout
from lab.wire import Packet, Sniffer


# What a recovery took, in seconds; all else in it is a point in time.
DERIVED = (
    "dead",
    "dead_after_restart",
    "detect",
    "reconnect",
    "request_to_answer",
    "lost_to_answer",
    "restart_to_up",
)


@dataclass
class Recovery:
    """When each step happened, in seconds since the epoch; None: it didn't."""

    killed: float
    last_answer: float | None  # the last one before the kill
    restarted: float = 0.0  # vici answers, the connections are loaded
    first_request: float | None = None  # the first of the peer on a dead SA
    token_reply: float | None = None
    sa_init: float | None = None  # the peer's
    ike_auth: float | None = None  # our response, the tunnel stands
    first_lost: float | None = None  # the first packet after the restart that is
    first_answer: float | None = None
    messages: int = 0  # of IKE, since the crash
    retransmitted: int = 0  # messages of the new handshake sent twice
    requests: list[float] = field(default_factory=list)  # all of the peer's on dead SAs

    def _from(self, start: float | None, end: float | None) -> float | None:
        return None if start is None or end is None else end - start

    @property
    def dead(self) -> float | None:
        """From the last answer before the crash to the first one after it."""
        return self._from(self.last_answer, self.first_answer)

    @property
    def dead_after_restart(self) -> float | None:
        return self._from(self.restarted, self.first_answer)

    @property
    def detect(self) -> float | None:
        """From the restart to the moment at which the peer drops the dead SA.

        It drops it and sends IKE_SA_INIT in one go, so that is what is counted.
        """
        return self._from(self.restarted, self.sa_init)

    @property
    def reconnect(self) -> float | None:
        """From IKE_SA_INIT to the first answer."""
        return self._from(self.sa_init, self.first_answer)

    @property
    def request_to_answer(self) -> float | None:
        """From the peer's first IKE request after the restart to the first answer."""
        return self._from(self.first_request, self.first_answer)

    @property
    def lost_to_answer(self) -> float | None:
        """From the first packet lost after the restart to the first answer.

        The gateway may answer before we know that it has restarted. Where no
        packet was lost from then on, the restart is what is counted from.
        """
        start = self.restarted if self.first_lost is None else self.first_lost
        spent = self._from(start, self.first_answer)
        return None if spent is None else max(spent, 0.0)

    @property
    def restart_to_up(self) -> float | None:
        """From the restart to the IKE_AUTH response: the tunnel stands again."""
        spent = self._from(self.restarted, self.ike_auth)
        return None if spent is None else max(spent, 0.0)

    def as_dict(self) -> dict[str, object]:
        return {**asdict(self), **{name: getattr(self, name) for name in DERIVED}}

    def __str__(self) -> str:
        return json.dumps(self.as_dict(), indent=1)


def _incoming_request(packet: Packet) -> bool:
    return not packet.outgoing and not packet.message.is_response


def repeated(packets: list[Packet]) -> list[Packet]:
    """The packets whose message was sent before, octet for octet."""
    seen: set[tuple[bool, bytes]] = set()
    found = []
    for packet in packets:
        key = (packet.outgoing, packet.data)
        if key in seen:
            found.append(packet)
        seen.add(key)
    return found


class Crash:
    """Crashes a gateway and watches it come back.

        with Crash(lab.b, lab.a, probe) as crash:
            crash.kill()
            crash.restart()
            lab.a.nudge()
            recovery = crash.wait()

    Without a probe nothing flows, and `wait_up` is what there is to wait for.
    """

    def __init__(
        self, victim: Gateway, peer: Gateway, probe: Probe | None = None
    ) -> None:
        self.victim = victim
        self.peer = peer
        self.probe = probe
        self.old: tuple[Sa, ...] = ()
        self.sniffer = Sniffer(victim.host, peer=peer.host)

    def __enter__(self) -> "Crash":
        self.sniffer.__enter__()
        return self

    def __exit__(self, *exc: object) -> None:
        self.sniffer.__exit__(*exc)

    def kill(self) -> None:
        self.lose(self.victim.kill)

    def lose(self, how: Callable[[], None]) -> None:
        """Make the victim lose its SAs, which the peer keeps."""
        self.old = tuple(self.peer.sas())
        how()
        # Only now are they gone: what is sent from here on gets no old answer.
        now = time.time()
        answer = self.probe.last_answer(now) if self.probe else None
        self.recovery = Recovery(now, answer, restarted=now)

    def restart(self, *, load: bool = True) -> None:
        self.victim.start(load=load)
        self.recovery.restarted = time.time()

    def wait(self, timeout: float = 10.0) -> Recovery:
        """Wait for traffic, and return what happened when."""
        assert self.probe, "without a probe there is no traffic"
        start = self.recovery.killed
        try:
            self.recovery.first_answer = self.probe.wait_answer(start, timeout=timeout)
        except LabTimeout as error:
            seen = "\n".join(str(packet) for packet in self.sniffer.packets[-30:])
            raise LabTimeout(
                f"{error}\n{self.look()}\n--- wire of {self.victim.name}:\n{seen}\n"
                f"{self.peer.tail()}\n{self.victim.tail()}"
            ) from None
        # The answer may be here before the sniffer has got to the handshake.
        return self.wait_up()

    def wait_up(self, timeout: float = 5.0) -> Recovery:
        """Wait for the new tunnel, whether anything flows or not."""
        start = self.recovery.killed
        self.sniffer.wait(
            "the new IKE_AUTH response",
            lambda p: p.time >= start
            and p.message.exchange == IKE_AUTH
            and p.message.is_response,
            timeout,
        )
        return self.look()

    def look(self) -> Recovery:
        """Return what happened until now."""
        self._read(self.sniffer.packets)
        recovery = self.recovery
        if self.probe:
            recovery.first_lost = self.probe.first_lost(
                recovery.restarted, recovery.first_answer
            )
        return recovery

    def _read(self, packets: list[Packet]) -> None:
        recovery = self.recovery
        old = {sa.spis for sa in self.old}
        late = [p for p in packets if p.time >= recovery.killed]

        def on_dead(m: Message) -> bool:
            return (m.spi_i, m.spi_r) in old

        def first(match: Callable[[Packet, Message], bool]) -> float | None:
            return next((p.time for p in late if match(p, p.message)), None)

        recovery.token_reply = first(lambda p, m: p.outgoing and bool(m.tokens()))
        recovery.sa_init = first(
            lambda _, m: m.exchange == IKE_SA_INIT and not m.is_response
        )
        recovery.ike_auth = first(lambda _, m: m.exchange == IKE_AUTH and m.is_response)
        recovery.requests = [
            p.time for p in late if _incoming_request(p) and on_dead(p.message)
        ]
        recovery.first_request = self._first_request()
        recovery.messages = len(late)
        handshake = [p for p in late if not on_dead(p.message)]
        recovery.retransmitted = len(repeated(handshake))

    def _first_request(self) -> float | None:
        """The first one after the restart, or the one that was answered even before.

        A daemon that comes up hears requests before its connections are loaded.
        """
        recovery = self.recovery
        reply = recovery.token_reply
        after = [when for when in recovery.requests if when >= recovery.restarted]
        if reply and not (after and after[0] <= reply):
            after = [when for when in recovery.requests if when <= reply][-1:]
        return after[0] if after else None


def crash(
    victim: Gateway,
    peer: Gateway,
    probe: Probe,
    *,
    down: float = 0.0,
    nudge: bool = True,
    timeout: float = 10.0,
) -> Recovery:
    """Kill the victim, restart it after `down` seconds, wait for traffic.

    With nudge the peer is made to send an IKE request then; without, it speaks
    when its DPD says so.
    """
    with Crash(victim, peer, probe) as running:
        running.kill()
        if down:
            time.sleep(down)  # the outage that was asked for
        running.restart()
        if nudge:
            peer.nudge(running.old[0])
        return running.wait(timeout)
