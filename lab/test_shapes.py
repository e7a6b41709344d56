# SPDX-License-Identifier: GPL-2.0-or-later
"""All ways to authenticate and all shapes of exchanges: back within a round trip."""

import re
import time
from collections.abc import Callable

import pytest

from lab import ike
from lab.admin import counters
from lab.config import SECRET, Config
from lab.control import Section
from lab.crash import Crash
from lab.gateway import Gateway
from lab.nat import Nat
from lab.scenario import Lab
from lab.traffic import Probe
from lab.wire import Packet, Sniffer

NewLab = Callable[..., Lab]
SOON = 1.0
QCD = "N(CRASH_DET)"  # charon's short name of a QCD_TOKEN
AUTH_LINE = re.compile(
    r"(?:generating|parsed) IKE_AUTH (request|response) \d+ \[(.*)\]"
)


def other(lab: Lab, gateway: Gateway) -> Gateway:
    return lab.b if gateway is lab.a else lab.a


def assert_one_sa(lab: Lab) -> None:
    """Both sides end with a single IKE SA, which has each child once."""
    for gateway in (lab.a, lab.b):
        wanted = gateway.config.children

        def single(gateway: Gateway = gateway, wanted: int = wanted) -> bool:
            sas = gateway.sas()
            return len(sas) == 1 and len(sas[0].children) == wanted

        gateway.wait_for("a single SA with its children", single)


def ends_handshake(packet: Packet) -> bool:
    return packet.message.exchange == ike.IKE_AUTH and packet.message.is_response


def assert_recovers(lab: Lab, victim: Gateway, pings: Probe) -> None:
    """At once, and no message of the new handshake was sent twice."""
    peer = other(lab, victim)
    with Crash(victim, peer, pings) as running:
        running.kill()
        running.restart()
        peer.nudge()
        running.wait()
        # The sniffer may lag behind the probe.
        running.sniffer.wait("the end of the handshake", ends_handshake)
        recovery = running.look()
    assert recovery.retransmitted == 0, str(recovery)
    assert recovery.request_to_answer is not None, str(recovery)
    assert recovery.request_to_answer < SOON, str(recovery)
    assert_one_sa(lab)


def assert_recovers_unseen(lab: Lab, victim: Gateway, pings: Probe) -> None:
    """The same for a victim that was restarted, if the wire shows little."""
    peer = other(lab, victim)
    mark = peer.mark()
    start = time.time()
    peer.nudge()
    answer = pings.wait_answer(start)
    assert answer - start < SOON, peer.tail()
    peer.wait_log("QCD: recovered: connection is up again after a crash", since=mark)
    assert counters(victim)["told"] == 1, victim.tail()
    since = peer.places.log.read_bytes()[mark:]
    assert b"retransmit" not in since, peer.tail()
    assert_one_sa(lab)


def auth_messages(gateway: Gateway) -> list[tuple[str, str]]:
    """Return each IKE_AUTH message of this run, reassembled: kind and payloads."""
    found: list[tuple[str, str]] = AUTH_LINE.findall(gateway.log())
    return [(kind, payloads) for kind, payloads in found if "EF(" not in payloads]


def assert_token_first_and_last(gateway: Gateway, rounds: int = 1) -> None:
    """RFC 6290 section 3: only in the first request and in the final response."""
    seen = auth_messages(gateway)
    for kind, place in (("request", 0), ("response", -1)):
        tokens = [payloads.count(QCD) for what, payloads in seen if what == kind]
        wanted = [0] * rounds
        wanted[place] = 1
        assert tokens == wanted, f"{kind}s: {seen}"


# --- shapes in which both sides are alike ------------------------------------

TWO_ROUNDS: Section = {
    "local-2": {"auth": "psk", "id": "second.lab"},
    "remote-2": {"auth": "psk", "id": "second.lab"},
}
SECOND_SECRET: Section = {
    "id": "second",
    "type": "IKE",
    "data": SECRET,
    "owners": ["second.lab"],
}
FRAGMENTS = {"fragment_size": 200}
SHAPES = {
    "rounds": Config(
        auth="cert", ike_options=TWO_ROUNDS, before=(("load-shared", SECOND_SECRET),)
    ),
    "childless": Config(ike_options={"childless": "force"}),
    "chain": Config(auth="chain"),
    "chain in fragments": Config(auth="chain", charon={"fragment_size": 576}),
    "fragments": Config(charon=FRAGMENTS),
    "eight children": Config(children=8),
}
ROUNDS = {"rounds": 2}


def shaped_lab(new_lab: NewLab, shape: str) -> Lab:
    """Return a lab of that shape that is up."""
    lab = new_lab(SHAPES[shape])
    lab.up()
    return lab


@pytest.mark.parametrize("victim", ["a", "b"])
@pytest.mark.parametrize("shape", SHAPES)
def test_shape(new_lab: NewLab, shape: str, victim: str) -> None:
    lab = shaped_lab(new_lab, shape)
    for gateway in (lab.a, lab.b):
        assert_token_first_and_last(gateway, ROUNDS.get(shape, 1))
    with Probe(lab.a.host, lab.b.host) as pings:
        pings.wait_answer()
        assert_recovers(lab, lab[victim], pings)


def test_childless_has_no_child(new_lab: NewLab) -> None:
    """The shape is what its name says: the child is created after IKE_AUTH."""
    lab = shaped_lab(new_lab, "childless")
    assert all("TSi" not in payloads for _, payloads in auth_messages(lab.a))
    assert "generating CREATE_CHILD_SA request" in lab.a.log()


def test_chain_needs_its_middle(new_lab: NewLab) -> None:
    """Each side sends two certificates, in fragments if these are small."""
    lab = shaped_lab(new_lab, "chain in fragments")
    for gateway in (lab.a, lab.b):
        assert 'received issuer cert "CN=qcd lab for' in gateway.log()
        assert "splitting IKE message" in gateway.log()


def test_eighth_child_carries_traffic(new_lab: NewLab) -> None:
    lab = shaped_lab(new_lab, "eight children")
    with Probe(lab.a.host, lab.b.host, child=7) as pings:
        pings.wait_answer()
        assert_recovers(lab, lab.b, pings)


# --- fragments of a request for a lost SA -------------------------------------


def test_fragmented_request_is_answered_once(new_lab: NewLab) -> None:
    """Whatever number of fragments a Message ID has, one reply is sent."""
    lab = shaped_lab(new_lab, "fragments")
    old = lab.a.established()[0]
    lab.b.restart()
    with Sniffer(lab.b.host) as wire:
        lab.a.nudge()
        lab.a.wait_established(other_than=(old,))
        lab.b.wait_idle()
        asked = wire.find(
            lambda p: not p.outgoing and (p.message.spi_i, p.message.spi_r) == old.spis
        )
        told = wire.find(lambda p: bool(p.outgoing and p.message.tokens()))
    assert len(asked) > 1, "the request was not fragmented"
    assert {p.message.next_payload for p in asked} == {ike.SKF}
    assert {p.message.message_id for p in asked} == {told[0].message.message_id}
    assert len(told) == 1
    assert len(told[0].data) <= 3 * len(asked[0].data)


def test_later_fragments_alone_are_not_answered(new_lab: NewLab) -> None:
    """The first one was lost: the reply is to the one in the retransmission."""
    lab = shaped_lab(new_lab, "fragments")
    lab.b.restart()
    # The number of the fragment follows the header of its payload.
    first = (
        f"ip saddr {lab.a.host.address} udp dport 4500 @th,64,32 0 "
        f"@th,224,8 {ike.SKF} @th,352,16 1 "
    )
    with lab.network.router.drop(first) as drop, Sniffer(lab.b.host) as wire:
        lab.a.nudge()
        wire.wait("another fragment", lambda p: p.message.next_payload == ike.SKF)
        lab.a.wait_idle()
        lab.b.wait_idle()
        assert drop.count == 1
        assert wire.find(lambda p: p.outgoing) == []


# --- EAP and virtual IPs: only the client can be the initiator ----------------

EAP_SECRET: Section = {"id": "eap", "type": "EAP", "data": SECRET, "owners": ["alice"]}
EAP = Config(
    auth="cert",
    before=(("load-shared", EAP_SECRET),),
    plugins=("eap-identity", "eap-md5"),
)
EAP_CLIENT = EAP.but(
    ike_options={"local": {"auth": "eap-md5", "eap_id": "alice", "certs": []}}
)
EAP_SERVER = EAP.but(
    ike_options={"remote": {"auth": "eap-md5", "eap_id": "%any", "cacerts": []}}
)
EAP_ROUNDS = 4  # identity, the method, its success, AUTH

POOL: Section = {"clients": {"addrs": "10.1.1.1"}}
VIP_CLIENT = Config(
    ike_options={"vips": ["0.0.0.0"]}, child_options={"local_ts": ["dynamic"]}
)
VIP_SERVER = Config(
    ike_options={"pools": ["clients"]},
    child_options={"remote_ts": ["dynamic"]},
    before=(("load-pool", POOL),),
)
CLIENTS = {"eap": (EAP_CLIENT, EAP_SERVER), "vip": (VIP_CLIENT, VIP_SERVER)}


def client_lab(new_lab: NewLab, shape: str) -> Lab:
    """Return a lab whose `a` is a client; the pool gives it its inside address."""
    client, server = CLIENTS[shape]
    lab = new_lab(a=client, b=server)
    if shape == "vip":
        lab.a.host.ns.ip(f"addr del {lab.a.host.inside}/32 dev lo")
    lab.up()
    return lab


@pytest.mark.parametrize("shape", CLIENTS)
def test_client_reconnects(new_lab: NewLab, shape: str) -> None:
    lab = client_lab(new_lab, shape)
    with Probe(lab.a.host, lab.b.host) as pings:
        pings.wait_answer()
        assert_recovers(lab, lab.b, pings)


@pytest.mark.parametrize("shape", CLIENTS)
def test_server_does_not_reconnect(new_lab: NewLab, shape: str) -> None:
    """Only the client can: the server deletes the SA and waits for the client."""
    lab = client_lab(new_lab, shape)
    lab.a.restart()
    with Sniffer(lab.b.host) as wire:
        lab.b.nudge()
        lab.b.wait_log("QCD: only the peer can establish IKE_SA")
        lab.b.wait_for("the end of the lost SA", lambda: not lab.b.sas())
        lab.b.wait_idle()
        assert not wire.find(lambda p: p.message.exchange == ike.IKE_SA_INIT)
    lab.a.initiate()
    lab.b.wait_established()


def test_token_in_eap(new_lab: NewLab) -> None:
    """RFC 6290 section 3: in the first request and in the last response."""
    lab = client_lab(new_lab, "eap")
    for gateway in (lab.a, lab.b):
        assert_token_first_and_last(gateway, EAP_ROUNDS)


def test_client_asks_for_the_address_it_had(new_lab: NewLab) -> None:
    """A server that has lost its leases would give it to another client."""
    lab = client_lab(new_lab, "vip")
    with Probe(lab.a.host, lab.b.host) as pings:
        pings.wait_answer()
        assert_recovers(lab, lab.b, pings)
    assert "looking up interface for virtual IP" not in lab.a.log()
    assert f"peer requested virtual IP {lab.a.host.inside}" in lab.b.log()


# --- IPv6 ---------------------------------------------------------------------


def address6(number: int, host: int = 1) -> str:
    return f"fd00:0:0:{number:x}::{host:x}"


def over_ipv6(mine: int, peer: int) -> Config:
    addresses = {"local_addrs": [address6(mine)], "remote_addrs": [address6(peer)]}
    return Config(ike_options=addresses)


def lay_ipv6(lab: Lab) -> None:
    """Give the gateways and the router the addresses that the lab omits."""
    router = lab.network.router.ns
    for name, gateway in lab.gateways.items():
        host, port = gateway.host, f"to-{name}"
        ends = (host.ns, host.device, address6(host.number)), (
            router, port, address6(host.number, 0xFE)
        )
        for ns, device, address in ends:
            # No address changes later, when duplicate address detection would end.
            ns.sysctl(f"net.ipv6.conf.{device}.accept_dad", 0)
            ns.sysctl(f"net.ipv6.conf.{device}.disable_ipv6", 0)
            ns.ip(f"addr add {address}/64 dev {device} nodad")
        route = ("route", "add", "default", "via", address6(host.number, 0xFE))
        host.ns.run("/sbin/ip", "-6", *route)
    router.sysctl("net.ipv6.conf.all.forwarding", 1)


@pytest.mark.parametrize("bind", ["spi", "address"])
@pytest.mark.parametrize("victim", ["a", "b"])
def test_ipv6(new_lab: NewLab, victim: str, bind: str) -> None:
    options = {"bind": bind}
    lab = new_lab(
        a=over_ipv6(1, 2).but(qcd_options=options),
        b=over_ipv6(2, 1).but(qcd_options=options),
    )
    lay_ipv6(lab)
    lab.up()
    assert f"giving token to {address6(1)}" in lab.b.log()
    with Probe(lab.a.host, lab.b.host) as pings:
        pings.wait_answer()
        lab[victim].restart()
        assert_recovers_unseen(lab, lab[victim], pings)


# --- NAT ----------------------------------------------------------------------


def nat_lab(new_lab: NewLab, bind: str) -> tuple[Lab, Nat]:
    """Return a tunnel whose initiator is behind a NAT, with ports from 20000 on."""
    config = Config(qcd_options={"bind": bind})
    lab = new_lab(config, b=config.but(anywhere=True))
    nat = Nat(lab.network.router, lab.a.host, lab.b.host)
    nat.use_ports(20000, 20999)
    lab.up()
    return lab, nat


@pytest.mark.parametrize("bind", ["spi", "address"])
def test_nat_with_other_ports_after_the_crash(new_lab: NewLab, bind: str) -> None:
    """The NAT also lost its mappings: the request comes from another port."""
    lab, nat = nat_lab(new_lab, bind)
    assert re.search(rf"from {nat.address}\[20\d\d\d\] to .*4500", lab.b.log())
    with Probe(lab.a.host, lab.b.host) as pings:
        pings.wait_answer()
        lab.b.kill()
        nat.use_ports(30000, 30999)
        lab.b.start()
        assert_recovers_unseen(lab, lab.b, pings)
    assert re.search(rf"to {nat.address}\[30\d\d\d\]", lab.b.log())


def test_nat_that_changed_ports_before(new_lab: NewLab) -> None:
    """The live SA has moved to another port; the token is valid there as well."""
    lab, nat = nat_lab(new_lab, "address")
    nat.use_ports(40000, 40999)
    mark = lab.b.mark()
    lab.a.nudge()
    lab.b.wait_log(rf"remote endpoint changed .* to {nat.address}\[40", since=mark)
    lab.a.wait_idle()
    lab.b.wait_idle()
    assert lab.b.log().count("QCD: giving token") == 1, "ports are no part of it"
    with Probe(lab.a.host, lab.b.host) as pings:
        pings.wait_answer()
        lab.b.restart()
        assert_recovers_unseen(lab, lab.b, pings)


def test_crash_behind_nat(new_lab: NewLab) -> None:
    """The crashed gateway is behind the NAT, and is asked through the old mapping."""
    lab, _ = nat_lab(new_lab, "spi")
    with Probe(lab.a.host, lab.b.host) as pings:
        pings.wait_answer()
        lab.a.restart()
        assert_recovers_unseen(lab, lab.a, pings)
