# SPDX-License-Identifier: GPL-2.0-or-later
"""Section D: the restarted gateway tells its peers when that helps, not before."""

import time
from collections.abc import Callable

from lab import ike
from lab.control import Section
from lab.field.outcome import add, case
from lab.field.stage import BASE, Stage
from lab.names import ADDRESS, Resolver
from lab.nat import Nat
from lab.wire import Forger, Packet, Sniffer

GUESTS = 3_000
OTHERS = 40
PACE = 0.05


def guests(addresses: list[str]) -> Section:
    """Return a connection that isn't a's: its peers have another identity."""
    return {
        "version": "2",
        "local_addrs": ["%any"],
        "remote_addrs": addresses,
        "local": {"id": "b.lab", "auth": "psk"},
        "remote": {"id": "guest.lab", "auth": "psk"},
        "children": {"guest": {"remote_ts": ["10.200.0.0/16"]}},
    }


def shows_token(packet: Packet) -> bool:
    return packet.outgoing and bool(packet.message.tokens())


def welcome(addresses: list[str]) -> Callable[[Stage], None]:
    def play(stage: Stage) -> None:
        # charon looks names up for each handshake: this server responds at once.
        lab = stage.make(b=BASE.but(nameserver=ADDRESS))
        stage.stack.enter_context(Resolver(lab.b.host.ns, {}))
        stage.up()
        lab.b.kill()
        with Sniffer(lab.b.host) as wire:
            lab.b.start(load=False)
            lab.b.load("secrets")
            lab.b.command("load-conn", {"guests": guests(addresses)})
            for number in range(OTHERS):  # b is still loading
                stage.outage(PACE)
                others = guests([f"198.51.100.{number}"])
                lab.b.command("load-conn", {f"other-{number}": others})
            early = len(wire.find(shows_token))
            lab.b.load("connections")
            stage.ready()
        stage.claim(not early, f"told {early} times before its connection was loaded")
        stage.wait()

    return play


for _name, _what, _addresses in (
    ("any", "%any", ["%any"]),
    ("subnet", "a subnet", ["10.0.0.0/8"]),
    ("name", "a name", ["nowhere.qcd.test"]),
):
    add(
        f"welcome_{_name}",
        "D.2",
        f"b loads a connection whose peer is {_what}, 40 others in 2 s, then a's own",
        welcome(_addresses),
    )


@case(
    "D.3",
    "b loads 3,000 connections while requests for 64 lost SAs come from 256 addresses",
    within=2.0,
    heavy=True,
    stock=True,
)
def load_3000(stage: Stage) -> None:
    stage.make(BASE.but(tunnels=64))
    lab = stage.up()
    spis = [sa.spis for sa in lab.a.sas()]
    lab.b.kill()
    lab.a.host.unplug()  # meanwhile only the stranger asks
    lab.b.start(load=False)
    lab.b.load("secrets")
    with Forger(lab.stranger) as forger:
        for number in range(256):
            request = ike.protected_request(spis[number % 64], message_id=number)
            source = (f"198.18.{number % 7}.{number}", 4500)
            forger.send(request, (lab.b.host.address, 4500), source)
        began = time.monotonic()
        for number in range(GUESTS):
            peer = f"198.51.{number >> 8}.{number & 255}"
            lab.b.command("load-conn", {f"guest-{number}": guests([peer])})
        took = time.monotonic() - began
    lab.b.load("connections")
    stage.outcome.measured["loading"] = took
    lab.a.host.plug()
    stage.again()


@case(
    "D.4",
    "announce = yes; a's NAT mapping changes while b is down, and a sends a packet later",
    stock=False,
)
def announced_to_moved(stage: Stage) -> None:
    options = BASE.but(qcd_options={"announce": "yes"})
    lab = stage.make(options, b=options.but(anywhere=True))
    nat = Nat(lab.network.router, lab.a.host, lab.b.host)
    nat.use_ports(20000, 20999)
    stage.up()
    lab.b.kill()
    nat.use_ports(30000, 30999)
    with Sniffer(lab.b.host) as wire:
        with lab.network.router.drop_all(lab.a.host, lab.b.host):
            lab.b.start()
            wire.wait("the announcement, which a doesn't get", shows_token, 10.0)
        stage.again()
