# SPDX-License-Identifier: GPL-2.0-or-later
"""Section C: many tunnels between the same two addresses, default half-open limits."""

from collections.abc import Callable

from lab.field.outcome import add, case
from lab.field.stage import BASE, Link, Stage
from lab.nat import Nat
from lab.relay import Relay, Way
from lab.scenario import Lab

WITHIN = 1.5
# Three simultaneous handshakes, so that the peer requests no cookies, with two round
# trips of 40 ms each: at least 1.6 s for 60 tunnels.
FAR_WITHIN = 3.0
# Four times three of them, each with two round trips as by satellite.
VERY_FAR_WITHIN = 7.0


def own_ids(stage: Stage, count: int) -> Lab:
    stage.make(BASE.but(tunnels=count))
    return stage.up()


def same_ids(stage: Stage, count: int) -> Lab:
    """Return a lab with an IKE SA of a for each child, and one connection of b."""
    alone = {"reuse_ikesa": False}
    client = BASE.but(tunnels=count, same_ids=True, charon=alone)
    stage.make(a=client, b=BASE.but(children=count))
    stage.expect(a=[count, count], b=[count, count])
    return stage.up()


def crash(
    make: Callable[[Stage, int], Lab], count: int, delay: float = 0.0
) -> Callable[[Stage], None]:
    def play(stage: Stage) -> None:
        lab = make(stage, count)
        relay = Relay(lab.network.router, lab.a.host, lab.b.host, Way(delay=delay))
        with relay:
            lab.b.restart()
            stage.again()
            stage.outcome.measured["half_open_refusals"] = float(
                lab.b.log().count("half-open IKE_SA limit")
            )

    return play


for _count in (20, 60):
    for _ids, _make in (("own", own_ids), ("same", same_ids)):
        for _delay in (0.0, 0.02):
            _far = "_far" if _delay else ""
            _way = ", 20 ms in each direction" if _delay else ""
            _whose = "the same" if _ids == "same" else "their own"
            add(
                f"tunnels_{_count}_{_ids}_ids{_far}",
                "C",
                f"{_count} connections with {_whose} identities; b crashes{_way}",
                crash(_make, _count, _delay),
                within=FAR_WITHIN if _delay else WITHIN,
                smooth=True,
                heavy=True,
            )


@case(
    "C",
    "12 connections with their own identities, 300 ms in each direction; b crashes",
    within=VERY_FAR_WITHIN,
    smooth=True,
)
def tunnels_12_very_far(stage: Stage) -> None:
    lab = stage.make(BASE.but(tunnels=12))
    with Relay(lab.network.router, lab.a.host, lab.b.host, Way(delay=0.3)):
        stage.up()
        lab.b.restart()
        stage.again()


@case(
    "C",
    "30 clients behind one NAT; the server crashes",
    within=WITHIN,
    smooth=True,
    heavy=True,
)
def clients_30(stage: Stage) -> None:
    clients = tuple(f"c{number}" for number in range(1, 31))
    lab = stage.make(
        BASE.but(log={"default": 0, "ike": 1}),
        names=("a", *clients),
        a=BASE.but(anywhere=True),
    )
    stage.links = [Link(name, "a", "net0", 0) for name in clients]
    nat = Nat(lab.network.router, [lab[name].host for name in clients], lab.a.host)
    nat.use_any_ports()
    for gateway in lab.gateways.values():
        gateway.start()
    for name in clients:
        lab[name].initiate("a")
    stage.watch()
    lab.a.restart()
    stage.again()
    refusals = lab.a.log().count("half-open IKE_SA limit")
    stage.outcome.measured["half_open_refusals"] = float(refusals)
