# SPDX-License-Identifier: GPL-2.0-or-later
"""libreswan as the peer, in all shapes of an exchange.

The story of each shape is short: connect, rekey the IKE SA from both sides, end. See
test_libreswan.py for the long story, and for what is compared.

libreswan 4.10 has no second round of authentication (RFC 4739) and never connects
without a child (RFC 6023). It supports EAP only as a server and only with TLS: as the
initiator it sends AUTH immediately, whatever leftautheap says.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from lab import ike
from lab.config import PLUGINS, Config
from lab.control import Section
from lab.gateway import Gateway
from lab.kernel.libreswan import Libreswan
from lab.kernel.story import (
    NewPair,
    Story,
    Teller,
    by_log,
    config,
    without_follow_up,
)
from lab.scenario import Lab
from lab.test_binding import change_address
from lab.test_rotation import rotate
from lab.test_shapes import address6, lay_ipv6, over_ipv6

BOTH = ("strongswan", "libreswan")


@dataclass(frozen=True)
class Shape:
    """The setup of both sides, and a line of charon's log that shows the shape."""

    ours: dict[str, object]
    theirs: dict[str, str] = field(default_factory=dict)
    shown: tuple[str, ...] = ()
    initiators: tuple[str, ...] = BOTH
    lay: Callable[[Lab], None] = lambda lab: None


def no_inside_address(lab: Lab) -> None:
    """Remove the address that the client must only get from the server."""
    lab.a.host.ns.ip(f"addr del {lab.a.host.inside}/32 dev lo")


OUR_POOL: Section = {"clients": {"addrs": "10.1.2.1"}}
EAP_LOAD = {"load": " ".join([*(p for p in PLUGINS if "libipsec" not in p), "eap-tls"])}
# A peer that EAP authenticates has no other certificate that could be requested.
EAP: Section = {"auth": "eap-tls", "cacerts": []}
EAP_ONLY = {
    "authby": "",
    "leftauth": "eaponly",
    "rightauth": "eaponly",
    "leftautheap": "tls",
    "rightautheap": "tls",
}

SHAPES = {
    "fragments": Shape(
        {"auth": "chain", "charon": {"fragment_size": 576}},
        {"fragmentation": "force", "sendca": "issuer"},
        ("splitting IKE message", "reassembled fragmented IKE message"),
    ),
    "three children": Shape({"children": 3}),
    "childless": Shape(
        {"ike_options": {"childless": "force"}},
        shown=("generating CREATE_CHILD_SA request 2 [ SA",),
        initiators=("strongswan",),
    ),
    "ipv6": Shape(
        {"ike_options": dict(over_ipv6(1, 2).ike_options)},
        {"left": address6(2), "right": address6(1), "hostaddrfamily": "ipv6"},
        (f"from {address6(2)}",),
        ("strongswan",),
        lay_ipv6,
    ),
    "ipv6 in udp": Shape(
        {"ike_options": dict(over_ipv6(1, 2).ike_options), "encap": True},
        {"left": address6(2), "right": address6(1), "hostaddrfamily": "ipv6"},
        (f"from {address6(2)}",),
        ("libreswan",),
        lay_ipv6,
    ),
    "virtual ip": Shape(
        {
            "ike_options": {"vips": ["0.0.0.0"]},
            "child_options": {"local_ts": ["dynamic"]},
        },
        {
            "rightsubnet": "",
            "rightaddresspool": "10.1.1.1-10.1.1.1",
            "rightmodecfgclient": "yes",
            "leftmodecfgserver": "yes",
        },
        ("installing new virtual IP 10.1.1.1",),
        ("strongswan",),
        no_inside_address,
    ),
    "virtual ip of ours": Shape(
        {
            "ike_options": {"pools": ["clients"]},
            "child_options": {"remote_ts": ["dynamic"]},
            "before": (("load-pool", OUR_POOL),),
        },
        {
            "leftsubnet": "0.0.0.0/0",
            "leftmodecfgclient": "yes",
            "rightmodecfgserver": "yes",
            "narrowing": "yes",
        },
        ("assigning virtual IP 10.1.2.1",),
        ("libreswan",),
    ),
    "eap": Shape(
        {
            "auth": "cert",
            "charon": EAP_LOAD,
            "ike_options": {"local": EAP, "remote": EAP},
        },
        EAP_ONLY,
        ("EAP method EAP_TLS succeeded",),
        ("strongswan",),
    ),
}


def shaped(qcd: bool, shape: Shape) -> Config:
    made = config(qcd, **{"encap": False, **shape.ours})
    if not qcd or "load" not in made.charon:
        return made
    return made.but(charon={**made.charon, "load": f"{made.charon['load']} qcd"})


def new_peer(new_pair: NewPair, qcd: bool, shape: Shape) -> tuple[Lab, Libreswan]:
    lab, peer = new_pair(shaped(qcd, shape), options=shape.theirs)
    shape.lay(lab)
    lab.a.start()
    peer.start()
    return lab, peer


def connect(lab: Lab, peer: Libreswan, initiator: str) -> None:
    for child in range(lab.a.config.children):
        if initiator == "strongswan":
            lab.a.initiate(child=child)
        else:
            peer.initiate(child)


def rekey(gateway: Gateway, **more: str) -> None:
    gateway.command("rekey", {"ike-id": gateway.sas()[0].unique_id, **more})


def delete(gateway: Gateway) -> None:
    gateway.terminate(gateway.sas()[0])


def short_life(new_pair: NewPair, qcd: bool, shape: Shape, initiator: str) -> Story:
    lab, peer = new_peer(new_pair, qcd, shape)
    teller = Teller(lab, peer)
    with teller.wire:
        teller.step("connect", lambda: connect(lab, peer, initiator))
        teller.pings()
        teller.step("strongSwan rekeys", lambda: rekey(lab.a), new="ike")
        teller.step("libreswan rekeys", peer.rekey_ike, new="ike")
        teller.pings()
        for text in shape.shown:
            assert text in lab.a.log(), lab.a.tail()
        if qcd:
            assert "QCD: giving token" in lab.a.log(), lab.a.tail()
        end = {"strongswan": lambda: delete(lab.a), "libreswan": peer.terminate}
        teller.step("the initiator deletes", end[initiator], ike_sas=0)
    return teller.end()


CASES = [
    pytest.param(shape, initiator, id=f"{name.replace(' ', '-')}-{initiator}")
    for name, shape in SHAPES.items()
    for initiator in shape.initiators
]


@pytest.mark.parametrize(("shape", "initiator"), CASES)
def test_shape(new_libreswan: NewPair, shape: Shape, initiator: str) -> None:
    stock = short_life(new_libreswan, False, shape, initiator)
    ours = short_life(new_libreswan, True, shape, initiator)
    without_follow_up(ours, "strongSwan rekeys")
    assert ours == stock


# --- what needs other steps -----------------------------------------------------


def child_later(new_pair: NewPair, qcd: bool) -> Story:
    """charon connects without a child and adds it later."""
    lab, peer = new_peer(new_pair, qcd, Shape({}))
    teller = Teller(lab, peer)
    with teller.wire:
        teller.step("connect", lambda: lab.a.initiate(child=None), children=0)
        teller.step("a child", lab.a.initiate)
        teller.pings()
    return teller.end()


def test_child_later(new_libreswan: NewPair) -> None:
    assert child_later(new_libreswan, True) == child_later(new_libreswan, False)


# libreswan only reauthenticates when the lifetime of the SA ends.
EXPIRING = {
    "reauth": "yes",
    "ikelifetime": "30s",
    "rekeymargin": "10s",
    "rekeyfuzz": "0%",
}


def reauth(new_pair: NewPair, qcd: bool, who: str) -> Story:
    """The initiator reauthenticates: a new IKE SA, and the end of the old one."""
    lab, peer = new_peer(new_pair, qcd, Shape({}, EXPIRING if who == "libreswan" else {}))
    teller = Teller(lab, peer)
    with teller.wire:
        teller.step("connect", lambda: connect(lab, peer, who))
        old = lab.a.established()[0]

        def again() -> None:
            if who == "strongswan":
                rekey(lab.a, reauth="yes")
            lab.a.wait_established(other_than=(old,), timeout=30)

        teller.step("anew", again)
        teller.pings()
    story = teller.end()
    # libreswan ends the old SA and begins the new one at the same time.
    story.wire["anew"].sort()
    story.payloads["anew"].sort()
    assert f"{who} IKE_AUTH request 1" in sum(story.wire["anew"], []), story
    return story


@pytest.mark.parametrize("who", BOTH)
def test_authenticating_anew(new_libreswan: NewPair, who: str) -> None:
    assert reauth(new_libreswan, True, who) == reauth(new_libreswan, False, who)


def moving(new_pair: NewPair, qcd: bool) -> Story:
    """charon, as a client, gets another address, for which it has another token."""
    shape = SHAPES["virtual ip"]
    more = {"mobike": "yes", "local_addrs": ["%any"]}
    ours: dict[str, object] = {
        **shape.ours,
        "ike_options": {**shape.ours["ike_options"], **more},  # type: ignore[dict-item]
        "qcd_options": {"bind": "address"},
    }
    theirs = {**shape.theirs, "mobike": "yes", "right": "%any"}
    lab, peer = new_peer(new_pair, qcd, Shape(ours, theirs, lay=no_inside_address))
    teller = Teller(lab, peer)
    with teller.wire:
        teller.step("connect", lambda: connect(lab, peer, "strongswan"))
        teller.pings()
        mark = lab.a.mark()
        change_address(lab.a)
        lab.a.wait_log("N\\(UPD_SA_ADDR\\)", since=mark)
        teller.settle("moved")
        teller.story.payloads["moved"] = by_log(teller.log(mark))
        teller.pings()
    assert lab.a.sas()
    return teller.end()


def test_mobike(new_libreswan: NewPair) -> None:
    assert moving(new_libreswan, True) == moving(new_libreswan, False)


def test_new_secrets(new_libreswan: NewPair) -> None:
    """libreswan gets a token in an INFORMATIONAL, and responds to it as usual."""
    lab, peer = new_peer(new_libreswan, True, Shape({}))
    teller = Teller(lab, peer)

    def thrice() -> None:
        for _ in range(3):
            rotate(lab.a)
        teller.wire.wait(
            "the answer",
            lambda p: not p.outgoing
            and p.message.is_response
            and p.message.exchange == ike.INFORMATIONAL,
        )

    with teller.wire:
        teller.step("connect", lambda: connect(lab, peer, "libreswan"))
        teller.step("new secrets", thrice)
        assert teller.story.wire["new secrets"] == [
            ["strongswan INFORMATIONAL request 0", "libreswan INFORMATIONAL response 0"]
        ]
        teller.pings()
