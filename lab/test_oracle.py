# SPDX-License-Identifier: GPL-2.0-or-later
"""The token of an SA that is alive, half-open or being established is never shown.

RFC 6290 section 9.2, the MUST NOT on which everything depends. A stranger on the path,
who knows all SPIs, tries a hundred thousand forged messages. Then the gateway is
crashed and asked for the tokens, because the SAs are now dead. None of these tokens may
occur in anything that it sent before.
"""

import itertools
import random
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import pytest

from lab import ike
from lab.ask import Asker, Spis
from lab.config import Config
from lab.gateway import Gateway
from lab.scenario import Lab
from lab.wait import wait_until
from lab.wire import Address, Forger, Packet, Sniffer

pytestmark = pytest.mark.alone

NewLab = Callable[..., Lab]
Try = tuple[ike.Message, int, Address | None]

TRIES = 100_000
BIRTHS = 40
ATTACKS = 12  # minimum number for each of them
SEED = 6290

# The rates are high: a limit must not hide a leak. Logging is off, since it would only
# take time.
HUB = Config(
    anywhere=True,
    qcd_options={
        "reply_rate": 1_000_000,
        "reply_burst": 1_000_000,
        "reply_rate_source": 1_000_000,
    },
    charon={"cookie_threshold": 0, "block_threshold": 0, "half_open_timeout": 600},
    log={"default": 0},
)
EXCHANGES = (
    ike.IKE_SA_INIT,
    ike.IKE_AUTH,
    ike.CREATE_CHILD_SA,
    ike.INFORMATIONAL,
    ike.IKE_SESSION_RESUME,
)
FLAGS = (
    0,
    ike.FLAG_I,
    ike.FLAG_V,
    ike.FLAG_I | ike.FLAG_V,
    ike.FLAG_R,
    ike.FLAG_I | ike.FLAG_R,
    0xFF,
    0xD7,
)
MESSAGE_IDS = (0, 1, 2, 3, 0x7FFFFFFF, 0xFFFFFFFF)
FIRST_PAYLOADS = (ike.SK, ike.SKF, ike.NOTIFY, ike.NO_PAYLOAD)
VERSIONS = (0x20, 0x20, 0x20, 0x21, 0x2F, 0x10)


@dataclass(frozen=True)
class Prey:
    """An SA of the gateway under attack."""

    what: str
    spis: Spis
    peer: Address


def forged(
    spis: Spis, exchange: int, flags: int, message_id: int, payload: int, version: int
) -> ike.Message:
    request = ike.protected_request(
        spis, exchange=exchange, flags=flags, message_id=message_id, payload=payload
    )
    if payload == ike.SKF:
        request = request.but(body=request.body[:4] + b"\0\1\0\2" + request.body[8:])
    return request.but(version=version)


def core(prey: Prey) -> Iterator[Try]:
    """Yield the right SPIs, in both orders, in all that is close to a real request."""
    for spis, exchange, flags, message_id, payload in itertools.product(
        (prey.spis, prey.spis[::-1]), EXCHANGES, FLAGS, MESSAGE_IDS, (ike.SK, ike.SKF)
    ):
        message = forged(spis, exchange, flags, message_id, payload, ike.VERSION)
        yield message, 4500, prey.peer if message_id & 1 else None


def random_tries(chance: random.Random, preys: list[Prey]) -> Iterator[Try]:
    """Yield any mix of fields: one SPI right and one wrong, another SA's, zero."""
    known = [spi for prey in preys for spi in prey.spis]
    found = {*known, ike.ZERO_SPI}  # charon also finds an SA by one SPI and zero
    while True:
        prey = chance.choice(preys)
        near = bytearray(chance.choice(prey.spis))
        near[chance.randrange(8)] ^= 1 << chance.randrange(8)
        pool = [*prey.spis * 3, chance.choice(known), bytes(near), ike.ZERO_SPI]
        pool.append(chance.randbytes(8))
        message = forged(
            (chance.choice(pool), chance.choice(pool)),
            chance.choice(EXCHANGES),
            chance.choice(FLAGS),
            chance.choice(MESSAGE_IDS),
            chance.choice(FIRST_PAYLOADS),
            chance.choice(VERSIONS),
        )
        # charon takes a message without any payload for genuine, although it is not
        # protected, and may end the SA because of it. Then the SA really is dead.
        if not message.protected and {message.spi_i, message.spi_r} <= found:
            continue
        source = chance.choice((None, prey.peer))
        yield message, chance.choice((500, 4500)), source


def assert_never_shown(tokens: dict[bytes, str], said: list[Packet]) -> None:
    for packet in said:
        for token, what in tokens.items():
            assert token not in packet.data, f"the token of {what} in {packet}"


def _assert_silent(replies: list[Packet], preys: list[Prey]) -> None:
    """There must be no reply; a failure names those found by the SPIs in them."""
    names = {}
    for prey in preys:
        for spi, end in zip(prey.spis, "ir", strict=True):
            names[spi] = f"SPI {end} of {prey.what}"
    told = set()
    for message in (packet.message for packet in replies):
        ends = (names.get(spi, spi.hex()) for spi in (message.spi_i, message.spi_r))
        told.add(f"{' | '.join(ends)}: {message}")
    assert not told, f"{len(replies)} replies:\n" + "\n".join(sorted(told)[:30])


def shown_to(asker: Asker, prey: Prey) -> list[list[bytes]]:
    """Return the tokens of each reply about that SA."""
    return [
        packet.message.tokens()
        for packet in asker.replies()
        if (packet.message.spi_i, packet.message.spi_r) == prey.spis
    ]


def learn(asker: Asker, preys: list[Prey]) -> dict[bytes, str]:
    """Return the tokens of these SAs from a gateway that has crashed since."""
    found = {}
    for prey in preys:
        request = ike.protected_request(prey.spis)
        for flags in (0, ike.FLAG_I):
            asker.send(request.but(flags=flags))
        # Nothing is known of an SA that was never up: whoever asks about it is told
        # once loading has settled.
        shown = wait_until(
            f"a token for {prey} after the crash",
            lambda prey=prey: shown_to(asker, prey),
        )
        found.update({token: prey.what for tokens in shown for token in tokens})
    return found


def half_open_responder(lab: Lab, asker: Asker, template: ike.Message) -> Prey:
    """Send an IKE_SA_INIT that is never followed by an IKE_AUTH."""
    request = template.but(spi_i=b"half-opn")
    answer = asker.ask(request, 500)
    assert answer.message.exchange == ike.IKE_SA_INIT
    spis = (answer.message.spi_i, answer.message.spi_r)
    return Prey("a half-open SA as responder", spis, answer.target)


def wait_state(gateway: Gateway, spis: Spis, state: str) -> None:
    gateway.wait_for(
        f"the SA {spis[0].hex()}_{spis[1].hex()} to be {state}",
        lambda: any(sa.spis == spis and sa.state == state for sa in gateway.sas()),
    )


class Zoo:
    """A gateway `a` with an SA in every possible state."""

    def __init__(self, lab: Lab, asker: Asker, stack: ExitStack) -> None:
        self.lab = lab
        self._asker = asker
        self._stack = stack
        self.preys: list[Prey] = []

    def _address(self, name: str) -> Address:
        return self.lab[name].host.address, 4500

    def _add(self, what: str, peer: str, spis: Spis) -> None:
        self.preys.append(Prey(what, spis, self._address(peer)))

    def _mute(self, peer: str, exchange: int) -> None:
        """From now on that peer's responses don't reach the gateway."""
        router, hub = self.lab.network.router, self.lab.a.host
        rule = router.drop_ike(
            self.lab[peer].host, hub, exchange=exchange, response=True
        )
        self._stack.enter_context(rule)

    def fill(self) -> None:
        a = self.lab.a
        with Sniffer(a.host) as wire:
            for name in ("b", "c"):
                self.lab[name].initiate()
                a.wait_established(name)
            template = wire.find(lambda p: p.message.exchange == ike.IKE_SA_INIT)[0]
        for name in ("d", "e"):
            a.initiate(name)
        for name, what in (("b", "responder"), ("d", "initiator")):
            self._add(f"a live SA as {what}", name, a.established(name)[0].spis)
        self.preys.append(
            half_open_responder(self.lab, self._asker, template.message)
        )
        self._rekeyed()
        self._half_open_initiator()
        self._rekeying()
        self._deleting()

    def _half_open_initiator(self) -> None:
        self._mute("f", ike.IKE_AUTH)
        message = {"ike": "f", "child": "net0", "timeout": -1}
        self.lab.a.command("initiate", message)
        with Sniffer(self.lab.a.host) as wire:
            asked = wire.wait("IKE_AUTH", lambda p: p.message.exchange == ike.IKE_AUTH)
        spis = (asked.message.spi_i, asked.message.spi_r)
        self._add("a half-open SA as initiator", "f", spis)

    def _rekeyed(self) -> None:
        a = self.lab.a
        a.initiate("g")
        old = a.established("g")[0]
        a.command("rekey", {"ike-id": old.unique_id})
        new = a.wait_established("g", other_than=(old,))
        self._add("an SA made by rekeying", "g", new.spis)

    def _rekeying(self) -> None:
        sa = self.lab.a.established("e")[0]
        self._mute("e", ike.CREATE_CHILD_SA)
        self.lab.a.command("rekey", {"ike-id": sa.unique_id})
        wait_state(self.lab.a, sa.spis, "REKEYING")
        self._add("an SA that is being rekeyed", "e", sa.spis)

    def _deleting(self) -> None:
        sa = self.lab.a.established("c")[0]
        self._mute("c", ike.INFORMATIONAL)
        self.lab.a.terminate(sa, wait=False)
        wait_state(self.lab.a, sa.spis, "DELETING")
        self._add("an SA that is being deleted", "c", sa.spis)


def test_no_token_of_a_living_sa(new_lab: NewLab) -> None:
    names = ("a", "b", "c", "d", "e", "f", "g")
    lab = new_lab(Config(), names=names, a=HUB)
    for name in names:
        lab[name].start()
    chance = random.Random(SEED)
    with Asker(lab.stranger, lab.a) as asker, ExitStack() as stack:
        lab.b.initiate()
        dead = lab.a.wait_established("b")
        lab.b.terminate(lab.b.established()[0])
        assert asker.tokens(dead.spis), "the control: a deleted SA is answered"
        zoo = Zoo(lab, asker, stack)
        zoo.fill()
        before = len(asker.replies())
        tries = [item for prey in zoo.preys for item in core(prey)]
        more = random_tries(chance, zoo.preys)
        tries += itertools.islice(more, TRIES - len(tries))
        assert asker.flow(tries) == TRIES
        _assert_silent(asker.replies()[before:], zoo.preys)
        assert asker.tokens(dead.spis), "the control: it still answers"
        said = asker.wire.packets
        states = {sa.spis for sa in lab.a.sas()}
        for prey in zoo.preys:
            assert prey.spis in states, f"{prey.what} did not survive"
        lab.a.restart()
        assert_never_shown(learn(asker, zoo.preys), said)
        assert asker.wire.lost() == 0


class Midwife:
    """Sends forged requests to each SA of a gateway as soon as its SPIs are known.

    A separate thread sees the response to IKE_SA_INIT on the wire. It sends while the
    SA is being established, authenticated and deleted.
    """

    def __init__(self, lab: Lab, gateway: Gateway) -> None:
        self._births: list[Spis] = []
        self._ns = gateway.host.ns
        self._target = (gateway.host.address, 4500)
        self._forger = Forger(lab.stranger)
        self._wire = Sniffer(gateway.host, outgoing=True)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._sent: Counter[Spis] = Counter()

    def __enter__(self) -> "Midwife":
        self._wire.__enter__()
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._stopping.set()
        self._thread.join()
        self._wire.__exit__(*exc)
        self._forger.close()

    def _run(self) -> None:
        seen = 0
        while not self._stopping.is_set():
            packets = self._wire.packets[seen:]
            seen += len(packets)
            for packet in packets:
                message = packet.message
                if message.exchange == ike.IKE_SA_INIT and message.is_response:
                    self._births.append((message.spi_i, message.spi_r))
            if self._ns.udp_waiting(4500) == 0:  # the peer's own must get through
                for spis in self._births[-2:]:
                    self._attack(spis)

    def wait_attacks(self, spis: Spis) -> None:
        """Wait until enough was sent to this SA, however slow the machine is."""
        wait_until(
            f"{ATTACKS} forged requests at {spis[0].hex()}_{spis[1].hex()}",
            lambda: self._sent[spis] >= ATTACKS,
            10,
        )

    def _attack(self, spis: Spis) -> None:
        number = self._sent.total()
        source = (f"198.19.{number >> 8 & 255}.{number & 255}", 4500)
        for flags in (0, ike.FLAG_I):
            for exchange in (ike.IKE_AUTH, ike.CREATE_CHILD_SA, ike.INFORMATIONAL):
                # charon drops a request while it processes another one with the same
                # Message ID: with the peer's own ID, the peer's DELETE would be lost.
                request = ike.protected_request(
                    spis, exchange=exchange, flags=flags, message_id=7
                )
                self._forger.send(request, self._target, source)
                self._sent[spis] += 1


def test_no_token_of_an_sa_being_born_or_deleted(new_lab: NewLab) -> None:
    """Forged requests race with the handshake and with the peer's DELETE."""
    lab = new_lab(Config(), a=HUB)
    for gateway in (lab.a, lab.b):
        gateway.start()
    with Asker(lab.stranger, lab.a) as asker, Sniffer(lab.a.host) as wire:
        with Midwife(lab, lab.a) as midwife:
            births = []
            for _ in range(BIRTHS):
                lab.b.initiate()
                sa = lab.b.wait_established()
                births.append(sa.spis)
                midwife.wait_attacks(sa.spis)
                lab.b.terminate(sa)
        peer = lab.b.host.address
        said = asker.replies()
        for spis in births:
            deleted = wire.find(
                lambda p, spis=spis: not p.outgoing  # type: ignore[misc]
                and p.source[0] == peer
                and p.message.exchange == ike.INFORMATIONAL
                and (p.message.spi_i, p.message.spi_r) == spis
            )
            early = [
                packet
                for packet in said
                if (packet.message.spi_i, packet.message.spi_r) == spis
                and packet.time < deleted[0].time
            ]
            assert early == [], f"a token before the DELETE at {deleted[0]}"
