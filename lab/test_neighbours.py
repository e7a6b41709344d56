# SPDX-License-Identifier: GPL-2.0-or-later
"""Peers behind one NAT that share a connection: their tunnels are not mixed up."""

from collections.abc import Callable

import pytest

from lab.config import ESP_PROPOSAL, PROPOSAL, SECRET, Config, identity_name
from lab.control import Section
from lab.gateway import Gateway
from lab.nat import Nat
from lab.scenario import Lab
from lab.wait import LabTimeout

NewLab = Callable[..., Lab]
NAMES = ("a", "b", "c")
A_WHILE = 3.0


def one_for_all(a: Gateway) -> Section:
    return {
        "version": "2",
        "local_addrs": [a.host.address],
        "remote_addrs": ["%any"],
        "mobike": "no",
        "unique": "never",
        "encap": "yes",
        "proposals": [PROPOSAL],
        "local": {"id": identity_name(a.host), "auth": "psk"},
        "remote": {"id": "%any", "auth": "psk"},
        "children": {
            "net0": {
                "local_ts": [a.host.inside_net(0)],
                "remote_ts": ["10.1.0.0/16"],
                "esp_proposals": [ESP_PROPOSAL],
                "dpd_action": "restart",
            }
        },
    }


GROUP: Section = {
    "id": "group",
    "type": "IKE",
    "data": SECRET,
    "owners": ["a.lab", "group.lab"],
}
GROUPED = Config(
    before=(("load-shared", GROUP),), ike_options={"local": {"id": "group.lab"}}
)


def two_clients(lab: Lab) -> tuple[Gateway, Gateway, Gateway]:
    a, b, c = (lab[name] for name in NAMES)
    for gateway in (b, c):
        gateway.start()
    a.start(load=False)
    a.load("before", "secrets")
    a.command("load-conn", {"rw": one_for_all(a)})
    b.initiate("a")
    c.initiate("a")
    assert len(a.established()) == 2
    return a, b, c


def crash_one(a: Gateway, b: Gateway, c: Gateway) -> None:
    """b crashes and recovers; c is not affected."""
    (old,) = b.established()
    (live,) = c.established()
    b.restart()
    (lost,) = [sa for sa in a.established() if sa.spis == old.spis]
    a.nudge(lost)
    a.wait_log("token proves")
    b.begin("a")  # a may be faster
    b.wait_established()

    def gone() -> bool:
        return live.spis not in {sa.spis for sa in a.established()}

    with pytest.raises(LabTimeout):
        a.wait_for("c's tunnel to go", gone, timeout=A_WHILE)
    assert [sa.spis for sa in c.established()] == [live.spis]


def test_neighbours(new_lab: NewLab) -> None:
    lab = new_lab(Config(), names=NAMES)
    nat = Nat(lab.network.router, [lab["b"].host, lab["c"].host], lab.a.host)
    nat.use_any_ports()
    crash_one(*two_clients(lab))


def test_group(new_lab: NewLab) -> None:
    """Clients with one identity for all, the use of unique = never."""
    lab = new_lab(GROUPED, names=NAMES, a=Config(before=GROUPED.before))
    crash_one(*two_clients(lab))


def test_sleeping_neighbour(new_lab: NewLab) -> None:
    """b is unreachable for a while, like a sleeping laptop; its tunnel waits."""
    impatient = {"retransmit_tries": "1", "retransmit_timeout": "0.5"}
    lab = new_lab(
        GROUPED, names=NAMES, a=Config(before=GROUPED.before, charon=impatient)
    )
    a, b, c = (lab[name] for name in NAMES)
    for gateway in (b, c):
        gateway.start()
    a.start(load=False)
    a.load("before", "secrets")
    a.command("load-conn", {"rw": one_for_all(a)})
    b.initiate("a")
    (asleep,) = a.established()
    router = lab.network.router
    with router.drop_all(a.host, b.host), router.drop_all(b.host, a.host):
        c.initiate("a")
        with pytest.raises(LabTimeout):
            a.wait_for(
                "b's tunnel to go",
                lambda: asleep.spis not in {sa.spis for sa in a.established()},
                timeout=A_WHILE,
            )
