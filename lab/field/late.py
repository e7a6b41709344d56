# SPDX-License-Identifier: GPL-2.0-or-later
"""Section A.2: b has restarted, but its configuration is loaded in parts."""

from collections.abc import Callable

from lab.config import Config
from lab.control import Section
from lab.field.outcome import add, case
from lab.field.stage import BASE, Stage
from lab.gateway import PARTS
from lab.scenario import Lab

LATE = 3.0
# Without cacerts, which would also load the authority.
CERT = BASE.but(auth="cert", ike_options={"remote": {"cacerts": []}})
POOL: Section = {"clients": {"addrs": "10.99.0.0/28"}}
VIP_CLIENT = BASE.but(ike_options={"vips": ["0.0.0.0"]})
VIP_SERVER = BASE.but(
    ike_options={"pools": ["clients"]}, before=(("load-pool", POOL),)
)


@case("A.2", "b loads its connections 12 s after its start", stock=True)
def late_connections(stage: Stage) -> None:
    stage.make()
    lab = stage.up()
    lab.b.restart(load=False)
    lab.b.load("secrets")
    stage.outage(12.0)
    lab.b.load("connections")
    stage.again()


def late(part: str, **configs: Config) -> Callable[[Stage], None]:
    def play(stage: Stage) -> None:
        stage.make(**configs)
        lab = stage.up()
        lab.b.restart(load=False)
        lab.b.load(*(item for item in PARTS if item != part))
        stage.outage(LATE)
        lab.b.load(part)
        stage.again()

    return play


for _name, _part, _what, _configs in (
    ("late_secret", "secrets", "the PSK", {}),
    ("late_key", "key", "the private key", {"config": CERT}),
    ("late_ca", "ca", "the CA certificate", {"config": CERT}),
    ("late_pool", "before", "the address pool", {"a": VIP_CLIENT, "b": VIP_SERVER}),
):
    add(
        _name,
        "A.2",
        f"b loads {_what} 3 s after its connections",
        late(_part, **_configs),  # type: ignore[arg-type]
    )


def one_by_one(stage: Stage, config: Config) -> Lab:
    """Load twenty connections, one every 50 ms."""
    stage.make(BASE.but(tunnels=20), b=config)
    lab = stage.up()
    lab.b.restart(load=False)
    lab.b.load("secrets")
    for peer, number in lab.b.tunnels():
        lab.b.load_connection(peer, number)
        stage.outage(0.05)
    stage.again()
    return lab


@case("A.2", "b loads 20 connections, one every 50 ms", within=1.5)
def one_by_one_20(stage: Stage) -> None:
    one_by_one(stage, BASE.but(tunnels=20))


@case("A.2", "the same, one of them with %any", within=1.5)
def one_by_one_any(stage: Stage) -> None:
    anywhere = {"a-3": {"remote_addrs": ["%any"]}}
    one_by_one(stage, BASE.but(tunnels=20, connection_options=anywhere))
