# SPDX-License-Identifier: GPL-2.0-or-later
"""What the lab does to networks and files, tested with stock strongSwan.

The field suite relies on it: long paths, links, addresses, names, NAT with many
clients, configuration that is loaded late, many connections, updown scripts.
"""

import socket
import statistics
import time
from collections.abc import Callable
from contextlib import ExitStack

import pytest

from lab import ike
from lab.config import Config
from lab.names import ADDRESS, Resolver
from lab.nat import Nat
from lab.relay import Relay, Way
from lab.scenario import Lab
from lab.traffic import Probe
from lab.wait import wait_until
from lab.wire import Sniffer, datagram

STOCK = Config(qcd=False)
NewLab = Callable[..., Lab]
NAME = "b.qcd.test"


def start(lab: Lab) -> None:
    for gateway in lab.gateways.values():
        gateway.start()


class Stream:
    """Numbered datagrams from one host to another, over charon's port."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.ends = [(h.address, 4500) for h in (lab.a.host, lab.b.host)]

    def send(self, count: int, pause: float = 0.0) -> tuple[list[int], list[float]]:
        """Return the numbers that arrived, in order, and how long each took."""
        lab = self.lab
        with (
            Sniffer(lab.b.host, outgoing=False) as wire,
            lab.a.host.ns.socket(
                socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW
            ) as sock,
        ):
            sent = []
            for number in range(count):
                header = ike.Message(b"\7" * 8, b"\0" * 8, 34, 8, message_id=number)
                packet = datagram(*self.ends, ike.MARKER + header.pack())
                sent.append(time.time())
                sock.sendto(packet, (self.ends[1][0], 0))
                if pause:
                    time.sleep(pause)  # the pace
            quiet = time.monotonic() + 0.3
            wait_until("the last ones", lambda: time.monotonic() > quiet)
            seen = wire.packets
        numbers = [packet.message.message_id for packet in seen]
        return numbers, [p.time - sent[n] for n, p in zip(numbers, seen)]


def test_long_way(new_lab: NewLab) -> None:
    """The delay is exact to a millisecond, and IKE and ESP pass."""
    lab = new_lab(STOCK)
    start(lab)
    router = lab.network.router
    with Relay(router, lab.a.host, lab.b.host, Way(delay=0.02)) as relay:
        numbers, took = Stream(lab).send(100, pause=0.001)
        assert numbers == list(range(100))
        assert min(took) >= 0.02
        assert statistics.median(took) < 0.0215, took
        begin = time.monotonic()
        lab.a.initiate()
        assert time.monotonic() - begin > 0.08, "two round trips"
        with Probe(lab.a.host, lab.b.host) as pings:
            assert pings.wait_answer() > 0
        relay.set(Way())
        numbers, took = Stream(lab).send(20, pause=0.001)
        assert statistics.median(took) < 0.005, took
    numbers, _ = Stream(lab).send(20)
    assert len(numbers) == 20, "packets go straight again"


def test_bad_way(new_lab: NewLab) -> None:
    """Loss, duplicates and late packets, the same ones for the same seed."""
    lab = new_lab(STOCK)
    start(lab)
    router = lab.network.router
    way = Way(loss=0.2, double=0.2, late=0.2, seed=7)
    seen = []
    with Relay(router, lab.a.host, lab.b.host, way) as relay:
        for _ in range(2):
            relay.set(way)
            seen.append(Stream(lab).send(200, pause=0.001)[0])
    assert sorted(seen[0]) == sorted(seen[1])
    missing = set(range(200)) - set(seen[0])
    assert 20 < len(missing) < 60
    assert 15 < len(seen[0]) - len(set(seen[0])) < 60
    assert seen[0] != sorted(seen[0])


@pytest.mark.filterwarnings("error::pytest.PytestUnhandledThreadExceptionWarning")
def test_link_down_and_up(new_lab: NewLab) -> None:
    lab = new_lab(STOCK)
    lab.up()
    with Probe(lab.a.host, lab.b.host) as pings, Sniffer(lab.b.host) as wire:
        pings.wait_answer()
        lab.b.host.unplug()
        sent, answered = pings.counts(time.time())
        wait_until("packets into it", lambda: pings.counts()[0] > sent + 20)
        down = time.time()
        wait_until("some more", lambda: pings.counts(down)[0] > 20)
        assert pings.counts(down)[1] == 0
        lab.b.host.plug()
        pings.wait_answer()
        seen = wire.count
        lab.a.nudge()
        wire.wait("what passes again", lambda p: not p.outgoing, since=seen)


def test_roaming(new_lab: NewLab) -> None:
    """MOBIKE moves a tunnel to the new address."""
    config = STOCK.but(ike_options={"mobike": "yes"})
    client = config.but(ike_options={"mobike": "yes", "local_addrs": ["%any"]})
    lab = new_lab(config, a=client, b=config.but(anywhere=True))
    lab.up()
    with Probe(lab.a.host, lab.b.host) as pings:
        pings.wait_answer()
        assert lab.a.host.roam(7) == "10.0.1.7"
        pings.wait_answer()
        lab.b.wait_log(r"10\.0\.1\.7")


PSK = ("before", "secrets", "connections")
CERT = ("certs", "ca", "key", "before", "connections")


@pytest.mark.parametrize(
    ("auth", "late"),
    [
        ("psk", "secrets"),
        ("psk", "connections"),
        ("cert", "key"),
        ("cert", "ca"),
    ],
)
def test_configuration_that_comes_late(new_lab: NewLab, auth: str, late: str) -> None:
    """Without one part no tunnel comes up, with it one does."""
    # A connection that names its authority loads it as well.
    options = {"remote": {"cacerts": []}} if late == "ca" else {}
    lab = new_lab(STOCK.but(auth=auth, ike_options=options))
    lab.a.start()
    lab.b.start(load=False)
    lab.b.load(*(part for part in (PSK if auth == "psk" else CERT) if part != late))
    with pytest.raises(AssertionError, match="initiate"):
        lab.a.initiate()
    lab.b.load(late)
    lab.a.initiate()
    assert lab.b.established()


@pytest.mark.parametrize("same", [False, True])
def test_many_connections(new_lab: NewLab, same: bool) -> None:
    """Twenty IKE SAs between the same two addresses, each with its own child."""
    many = STOCK.but(tunnels=20)
    if same:  # the responder finds a child by its selectors in one connection only
        alone = {"reuse_ikesa": False}
        many = many.but(same_ids=True, charon=alone)
        lab = new_lab(a=many, b=STOCK.but(children=20))
        start(lab)
        lab.initiate_all("b")
    else:
        lab = new_lab(many)
        lab.up()
    assert len(lab.a.sas()) == 20
    assert {sa.spis for sa in lab.a.sas()} == {sa.spis for sa in lab.b.sas()}
    assert len({sa.peer for sa in lab.a.sas()}) == 20
    for child in (0, 19):
        with Probe(lab.a.host, lab.b.host, child=child) as pings:
            pings.wait_answer()


def test_many_clients_behind_a_nat(new_lab: NewLab) -> None:
    clients = ("c1", "c2", "c3")
    server = STOCK.but(anywhere=True)
    lab = new_lab(STOCK, names=("a", *clients), a=server)
    hidden = [lab[name].host for name in clients]
    nat = Nat(lab.network.router, hidden, lab.a.host)
    nat.use_any_ports()
    start(lab)
    for name in clients:
        lab[name].initiate("a")
    seen = {(s["remote-host"], s["remote-port"]) for s in lab.a.control.sas()}
    assert {host for host, _ in seen} == {nat.address}
    assert len(seen) == 3
    with ExitStack() as stack:
        for host in hidden:
            stack.enter_context(Probe(host, lab.a.host)).wait_answer()


def named(lab_host: str | None = None, **more: object) -> Config:
    options = {"remote_addrs": [NAME]}
    return STOCK.but(ike_options=options, hosts=lab_host, nameserver=ADDRESS, **more)


def test_name_in_a_file(new_lab: NewLab) -> None:
    lab = new_lab(STOCK, a=named(f"127.0.0.1 localhost\n10.0.2.1 {NAME}\n"))
    start(lab)
    lab.a.initiate()


def begin(lab: Lab) -> float:
    """Return how long `a` takes to send its first IKE_SA_INIT."""
    with Sniffer(lab.a.host) as wire:
        start = time.time()
        lab.a.begin()
        first = wire.wait("IKE_SA_INIT", lambda p: p.outgoing, timeout=15)
        return first.time - start


@pytest.mark.parametrize(("delay", "least", "most"), [(0.0, 0.0, 0.5), (1.0, 1.0, 2.0)])
def test_name_server(
    new_lab: NewLab, delay: float, least: float, most: float
) -> None:
    lab = new_lab(STOCK, a=named())
    start(lab)
    with Resolver(lab.a.host.ns, {NAME: lab.b.host.address}, delay) as server:
        assert least <= begin(lab) < most
        assert server.asked


def test_silent_name_server(new_lab: NewLab) -> None:
    lab = new_lab(STOCK, a=named())
    start(lab)
    with Resolver(lab.a.host.ns, {NAME: lab.b.host.address}, None) as server:
        with pytest.raises(AssertionError, match="unable to resolve"):
            lab.a.initiate(timeout=15)
        assert server.asked >= 2


def test_updown_script(new_lab: NewLab) -> None:
    lab = new_lab(STOCK.but(updown=True))
    sa = lab.up()
    wait_until("the script", lambda: lab.a.updowns(), 5.0, lab.a.tail)
    lab.a.terminate(sa)
    wait_until("its end", lambda: len(lab.a.updowns()) == 2, 5.0, lab.a.tail)
    assert [verb for verb, *_ in lab.a.updowns()] == ["up-client", "down-client"]


