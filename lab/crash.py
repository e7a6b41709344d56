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


# Durations in a recovery, in seconds; everything else in it is a point in time.
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
    """When each step happened, in seconds since the epoch; None if it didn't."""

    killed: float
    last_answer: float | None  # the last one before the kill
    restarted: float = 0.0  # vici responds, the connections are loaded
    first_request: float | None = None  # the first one of the peer on a dead SA
    token_reply: float | None = None
    sa_init: float | None = None  # the peer's
    ike_auth: float | None = None  # our response, the tunnel is up
    first_lost: float | None = None  # the first lost packet after the restart
    first_answer: float | None = None
    messages: int = 0  # IKE messages since the crash
    retransmitted: int = 0  # messages of the new handshake sent twice
    requests: list[float] = field(default_factory=list)  # the peer's on dead SAs

    def _from(self, start: float | None, end: float | None) -> float | None:
        return None if start is None or end is None else end - start

    @property
    def dead(self) -> float | None:
        """Return the time between the last answer before the crash and the next one."""
        return self._from(self.last_answer, self.first_answer)

    @property
    def dead_after_restart(self) -> float | None:
        return self._from(self.restarted, self.first_answer)

    @property
    def detect(self) -> float | None:
        """Return the time from the restart until the peer drops the dead SA.

        The peer drops the SA and sends IKE_SA_INIT without a pause, so IKE_SA_INIT is
        measured.
        """
        return self._from(self.restarted, self.sa_init)

    @property
    def reconnect(self) -> float | None:
        """Return the time from IKE_SA_INIT to the first answer."""
        return self._from(self.sa_init, self.first_answer)

    @property
    def request_to_answer(self) -> float | None:
        """Return the time from the peer's first IKE request to the first answer.

        The first request after the restart counts.
        """
        return self._from(self.first_request, self.first_answer)

    @property
    def lost_to_answer(self) -> float | None:
        """Return the time from the first lost packet to the first answer.

        The first packet lost after the restart counts. The gateway may answer before we
        know that it has restarted. If no packet was lost after the restart, the time is
        measured from the restart.
        """
        start = self.restarted if self.first_lost is None else self.first_lost
        spent = self._from(start, self.first_answer)
        return None if spent is None else max(spent, 0.0)

    @property
    def restart_to_up(self) -> float | None:
        """Return the time from the restart to the IKE_AUTH response, which ends it."""
        spent = self._from(self.restarted, self.ike_auth)
        return None if spent is None else max(spent, 0.0)

    def as_dict(self) -> dict[str, object]:
        return {**asdict(self), **{name: getattr(self, name) for name in DERIVED}}

    def __str__(self) -> str:
        return json.dumps(self.as_dict(), indent=1)


def _incoming_request(packet: Packet) -> bool:
    return not packet.outgoing and not packet.message.is_response


def repeated(packets: list[Packet]) -> list[Packet]:
    """Return the packets whose message was sent before, octet for octet."""
    seen: set[tuple[bool, bytes]] = set()
    found = []
    for packet in packets:
        key = (packet.outgoing, packet.data)
        if key in seen:
            found.append(packet)
        seen.add(key)
    return found


class Crash:
    """Crashes a gateway and watches its recovery.

        with Crash(lab.b, lab.a, probe) as crash:
            crash.kill()
            crash.restart()
            lab.a.nudge()
            recovery = crash.wait()

    Without a probe there is no traffic: use `wait_up` instead of `wait`.
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
        # Only now are they lost: packets sent from here on get no answer from the old
        # run.
        now = time.time()
        answer = self.probe.last_answer(now) if self.probe else None
        self.recovery = Recovery(now, answer, restarted=now)

    def restart(self, *, load: bool = True) -> None:
        self.victim.start(load=load)
        self.recovery.restarted = time.time()

    def wait(self, timeout: float = 10.0) -> Recovery:
        """Wait for traffic, and return when each step happened."""
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
        # The answer may arrive before the sniffer has recorded the handshake.
        return self.wait_up()

    def wait_up(self, timeout: float = 5.0) -> Recovery:
        """Wait for the new tunnel, with or without traffic."""
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
        """Return the steps that happened until now."""
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
        """Return the first request after the restart, or one answered before that.

        A starting daemon receives requests before its connections are loaded.
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

    With nudge, the peer is then made to send an IKE request. Without it, the peer sends
    one when its DPD says so.
    """
    with Crash(victim, peer, probe) as running:
        running.kill()
        if down:
            time.sleep(down)  # the outage that the caller wants
        running.restart()
        if nudge:
            peer.nudge(running.old[0])
        return running.wait(timeout)
