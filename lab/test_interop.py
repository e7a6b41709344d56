# SPDX-License-Identifier: GPL-2.0-or-later
"""A stock strongSwan at the other end notices nothing: the same exchanges, the same results.

Every step is made twice, between two stock gateways and with our plugin at one
end. The one exchange more is what RFC 6290 section 4.3 wants: whoever rekeyed
the IKE SA sends its token in an INFORMATIONAL, which a peer without QCD
answers like any other.
"""

from collections.abc import Callable

import pytest

from lab import ike
from lab.config import Config
from lab.gateway import Gateway, Sa
from lab.scenario import Lab
from lab.traffic import Probe
from lab.wait import wait_until
from lab.wire import Packet, Sniffer

NewLab = Callable[..., Lab]
Step = Callable[[Gateway], None]
Exchange = tuple[str, int]

STOCK = Config(qcd=False)
OURS = Config()
ASKING = {"dpd_delay": "1s"}  # of the one side whose liveness checks are looked at


def other_than(gateway: Gateway, old: Sa) -> Sa:
    return gateway.wait_established(other_than=(old,))


def rekey_ike(gateway: Gateway) -> None:
    old = gateway.established()[0]
    gateway.command("rekey", {"ike-id": old.unique_id})
    other_than(gateway, old)
    wait_until("the end of the old SA", lambda: len(gateway.sas()) == 1, 10.0)


def rekey_child(gateway: Gateway) -> None:
    before = {child["uniqueid"] for child in gateway.established()[0].children}
    gateway.nudge()

    def replaced() -> bool:
        children = gateway.established()[0].children if gateway.established() else ()
        return bool(children) and not before & {c["uniqueid"] for c in children}

    wait_until("the new child", replaced, 10.0, gateway.tail)


def liveness(gateway: Gateway) -> None:
    mark = gateway.mark()
    gateway.wait_log("sending DPD request", since=mark)


def delete(gateway: Gateway) -> None:
    gateway.terminate(gateway.established()[0])


STEPS: dict[str, Step] = {
    "rekey_ike": rekey_ike,
    "rekey_child": rekey_child,
    "liveness": liveness,
    "delete": delete,
}


def exchanges(packets: list[Packet], host: str) -> list[Exchange]:
    """Who asked for what, each exchange once; liveness may come at any time."""
    seen = [
        (packet.message.spi_i, packet.message.message_id, packet.outgoing, packet)
        for packet in packets
        if not packet.message.is_response
    ]
    unique = {key[:3]: key[3] for key in seen}
    return [
        (host if packet.outgoing else "peer", packet.message.exchange)
        for packet in unique.values()
    ]


def run(lab: Lab, initiator: str, actor: str, step: str) -> list[Exchange]:
    """Connect, make the step, and tell the exchanges that b saw."""
    with Sniffer(lab.b.host) as wire:
        for gateway in (lab.a, lab.b):
            gateway.start()
        lab[initiator].initiate()
        lab.a.wait_established()
        lab.b.wait_established()
        STEPS[step](lab[actor])
        for gateway in (lab.a, lab.b):
            gateway.wait_idle()
        if step != "delete":
            with Probe(lab.a.host, lab.b.host) as pings:
                pings.wait_answer()
            for gateway in (lab.a, lab.b):
                gateway.wait_for("one SA", lambda g=gateway: len(g.established()) == 1)
        else:
            for gateway in (lab.a, lab.b):
                gateway.wait_for("no SA", lambda g=gateway: not g.sas())
        return exchanges(wire.packets, "b")


def without_liveness(found: list[Exchange]) -> list[Exchange]:
    return [item for item in found if item[1] != ike.INFORMATIONAL]


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("actor", ["a", "b"])
@pytest.mark.parametrize("initiator", ["a", "b"])
def test_stock_peer(new_lab: NewLab, initiator: str, actor: str, step: str) -> None:
    """b has the plugin, a is stock."""
    asking = {actor: ASKING} if step == "liveness" else {}
    stock_lab = new_lab(STOCK, **{n: STOCK.but(**o) for n, o in asking.items()})
    stock = run(stock_lab, initiator, actor, step)
    stock_lab.close()
    a, b = (c.but(**asking.get(n, {})) for n, c in (("a", STOCK), ("b", OURS)))
    mixed_lab = new_lab(STOCK, a=a, b=b)
    mixed = run(mixed_lab, initiator, actor, step)
    assert without_liveness(mixed) == without_liveness(stock)
    # A stock charon names the notify and does no more about it.
    log = mixed_lab.a.log()
    for complaint in ("invalid", "unexpected", "INVALID_SYNTAX", "parsing"):
        assert complaint not in log, mixed_lab.a.tail()


def test_no_information_beyond_the_token(new_lab: NewLab) -> None:
    """After a rekeying of ours: the token, the DELETE; after the peer's: neither."""
    lab = new_lab(Config(), a=Config(qcd=False))
    lab.up()
    for actor, extra in ((lab.b, 1), (lab.a, 0)):
        with Sniffer(lab.b.host) as wire:
            rekey_ike(actor)
            lab.b.wait_idle()
            lab.a.wait_idle()
            sent = wire.find(
                lambda p: p.message.exchange == ike.INFORMATIONAL
                and not p.message.is_response
            )
        assert len(sent) == 1 + extra, [str(packet) for packet in sent]


def test_crash_of_the_stock_peer(new_lab: NewLab) -> None:
    """It shows no token, and our gateway keeps to its DPD."""
    lab = new_lab(Config(), b=Config(qcd=False))
    old = lab.up()
    lab.b.restart()
    with Sniffer(lab.b.host) as wire:
        lab.a.nudge()
        wire.wait("our request", lambda p: not p.outgoing)
        lab.b.wait_idle()
        assert not wire.find(lambda p: p.outgoing)
    assert [sa.spis for sa in lab.a.established()] == [old.spis]
