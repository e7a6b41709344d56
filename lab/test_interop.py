# SPDX-License-Identifier: GPL-2.0-or-later
"""A stock strongSwan at the other end is not affected: same exchanges, same results.

Every story is played twice, between two stock gateways and with our plugin at one end.
`a`, the stock one, must see the same messages with the same payloads except our notify.
It must end with the same SAs, and log nothing that it does not log otherwise.

RFC 6290 section 4.3 requires the one additional exchange: the side that rekeyed the IKE
SA sends its token in an INFORMATIONAL, to which a peer without QCD responds as usual.
"""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial

import pytest

from lab import esp, ike
from lab.config import Config
from lab.gateway import Gateway, Sa
from lab.nat import Nat
from lab.scenario import Lab
from lab.story import (
    TOKEN,
    Said,
    Story,
    Teller,
    by_log,
    by_wire,
    lines,
    without_payloads,
)
from lab.test_shapes import (
    EAP_CLIENT,
    EAP_SERVER,
    SECOND_SECRET,
    TWO_ROUNDS,
    VIP_CLIENT,
    VIP_SERVER,
    lay_ipv6,
    other,
    over_ipv6,
)
from lab.traffic import Probe
from lab.wait import wait_until
from lab.wire import Packet, Sniffer

NewLab = Callable[..., Lab]

# A peer is taken for dead after 1.5 s instead of 165 s.
GIVE_UP = {"retransmit_timeout": 0.5, "retransmit_base": 1.0, "retransmit_tries": 2}
# The log shows the SA of each message.
CHARON = {"filelog": {"lab": {"ike_name": True}}}


# --- shapes: how both sides are set up ------------------------------------------


@dataclass(frozen=True)
class Shape:
    """The sides by role, and text in a's log that proves the shape."""

    initiator: Config
    responder: Config
    shown: tuple[str, ...] = ()
    lay: Callable[[Lab, str], None] = lambda lab, initiator: None


def alike(*shown: str, **options: object) -> Callable[[int, int], Shape]:
    """Return a shape in which both sides have the same setup, whatever their names."""
    config = Config(**options)  # type: ignore[arg-type]
    return lambda initiator, responder: Shape(config, config, shown)


def lay_nat(lab: Lab, initiator: str) -> None:
    """Put the initiator behind a NAT."""
    hidden = lab[initiator]
    nat = Nat(lab.network.router, hidden.host, other(lab, hidden).host)
    nat.use_ports(20000, 20999)


def no_inside_address(lab: Lab, initiator: str) -> None:
    """Remove the address that the client must only get from the server."""
    host = lab[initiator].host
    host.ns.ip(f"addr del {host.inside}/32 dev lo")


def virtual_ip(initiator: int, _: int) -> Shape:
    pool = {"clients": {"addrs": f"10.1.{initiator}.1"}}
    server = VIP_SERVER.but(before=(("load-pool", pool),))
    shown = (f"virtual IP 10.1.{initiator}.1",)
    return Shape(VIP_CLIENT, server, shown, no_inside_address)


# By the numbers of the initiator and of the responder.
SHAPES: dict[str, Callable[[int, int], Shape]] = {
    "psk": alike("'pre-shared key|with pre-shared key"),
    "certificates": alike("with RSA|with ECDSA", auth="cert"),
    "chain": alike(
        "splitting IKE message",
        "reassembled fragmented IKE message",
        'received issuer cert "CN=qcd lab for',
        auth="chain",
        charon={"fragment_size": 576},
    ),
    "rounds": alike(
        r"N\(AUTH_FOLLOWS\)",
        auth="cert",
        ike_options=TWO_ROUNDS,
        before=(("load-shared", SECOND_SECRET),),
    ),
    "eap": lambda *_: Shape(
        EAP_CLIENT, EAP_SERVER, ("EAP method EAP_MD5 succeeded|EAP/SUCC",)
    ),
    "childless": alike(
        r"CREATE_CHILD_SA request 2 \[ SA No KE TSi",
        ike_options={"childless": "force"},
    ),
    "children": alike(r"CHILD_SA net2\{\d+\} established", children=3),
    "ipv6": lambda initiator, responder: Shape(
        over_ipv6(initiator, responder),
        over_ipv6(responder, initiator),
        ("received packet: from fd00:",),
        lambda lab, _: lay_ipv6(lab),
    ),
    "nat": lambda *_: Shape(
        Config(),
        Config(anywhere=True),
        ("host is behind NAT",),
        lay_nat,
    ),
    "virtual ip": virtual_ip,
}


def connect(gateway: Gateway) -> None:
    for child in range(gateway.config.children):
        gateway.initiate(child=child)


def rekey(gateway: Gateway, **more: str) -> None:
    sa = gateway.established()[0]
    gateway.command("rekey", {"ike-id": sa.unique_id, **more})


def delete(gateway: Gateway) -> None:
    gateway.terminate(gateway.established()[0])


# --- stories --------------------------------------------------------------------


def life(teller: Teller, initiator: Gateway) -> None:
    """Everything that both sides can do in the life of an SA."""
    lab = teller.lab
    teller.pings()
    for actor in (lab.a, lab.b):
        name = f"{actor.name} rekeys"
        teller.step(f"{name} the child", actor.nudge, new="child")
        teller.step(name, partial(rekey, actor), new="ike")
    teller.pings()
    teller.step("the initiator deletes", partial(delete, initiator), ike_sas=0)
    teller.step("connect again", partial(connect, initiator))
    responder = other(lab, initiator)
    teller.step("the responder deletes", partial(delete, responder), ike_sas=0)


def anew(teller: Teller, initiator: Gateway) -> None:
    """Both sides reauthenticate: a new IKE SA, and the end of the old one."""
    for actor in (initiator, other(teller.lab, initiator)):
        act = partial(rekey, actor, reauth="yes")
        teller.step(f"{actor.name} anew", act, new="ike")
        teller.pings()


Tale = Callable[[Teller, Gateway], None]


@dataclass(frozen=True)
class Plot:
    """A story, its shape, and the number of IKE rekeyings by b.

    It is lossy if charon itself may lose a response that arrives while the thread that
    sent the request still has the SA. In such a plot charon may or may not send
    INITIAL_CONTACT: it checks for another SA with the peer while another thread
    destroys the old one.
    """

    tale: Tale
    shape: str = "psk"
    rekeyings: int = 0
    charon: tuple[tuple[str, object], ...] = ()
    lossy: bool = False


RETRANSMIT = ("retransmit_timeout", 0.5)  # instead of 4 s
PLOTS = {name: Plot(life, name, rekeyings=1) for name in SHAPES} | {
    "break-before-make": Plot(anew, charon=(RETRANSMIT,), lossy=True),
    "make-before-break": Plot(
        anew, charon=(RETRANSMIT, ("make_before_break", True)), lossy=True
    ),
}


def shape_of(name: str, initiator: str) -> Shape:
    return SHAPES[name](*((1, 2) if initiator == "a" else (2, 1)))


def configs(shape: Shape, initiator: str) -> dict[str, Config]:
    """Return the configuration of each gateway, by its role."""
    ends = shape.initiator, shape.responder
    return dict(zip("ab" if initiator == "a" else "ba", ends, strict=True))


def laid(new_lab: NewLab, qcd: bool, **configs: Config) -> Lab:
    """Return a lab with b as specified, and a as a stock gateway."""
    found = {}
    for name, config in configs.items():
        with_it = qcd and name == "b"
        charon = {**config.charon, **CHARON}
        found[name] = config.but(qcd=with_it, esp=with_it, charon=charon)
    return new_lab(**found)


def tell(new_lab: NewLab, qcd: bool, plot: Plot, initiator: str) -> Story:
    """Play a story, and check that it was what it should be."""
    shape = shape_of(plot.shape, initiator)
    options = {
        name: config.but(charon={**config.charon, **dict(plot.charon)})
        for name, config in configs(shape, initiator).items()
    }
    lab = laid(new_lab, qcd, **options)
    shape.lay(lab, initiator)
    for gateway in (lab.a, lab.b):
        gateway.start()
    with Sniffer(lab.a.host) as wire:
        teller = Teller(lab, wire)
        teller.step("connect", partial(connect, lab[initiator]))
        plot.tale(teller, lab[initiator])
        story = teller.end()
        # The log shows what was on the wire; the sniffer only knows IPv4.
        if plot.shape != "ipv6":
            told = sorted(sum(without_payloads(story.said), []))
            assert told == sorted(sum(by_wire(wire.packets), []))
    for text in shape.shown:
        lab.a.wait_log(text, timeout=0)
    if qcd:
        assert "N(CRASH_DET)" in lab.a.log(), lab.a.tail()
        assert "QCD: giving token" in lab.b.log(), lab.b.tail()
    lab.check()
    lab.close()
    return story


INITIAL_CONTACT = "N(INIT_CONTACT) "


def settled(messages: list[list[Said]]) -> list[list[Said]]:
    """What was said, without what charon itself says or not."""
    return [
        [m._replace(payloads=m.payloads.replace(INITIAL_CONTACT, "")) for m in sa]
        for sa in messages
    ]


def new_lines(ours: Story, stock: Story) -> set[str]:
    """Return the kinds of lines that only the story with the plugin has.

    charon sends INITIAL_CONTACT or not if it replaces an IKE_SA, as told in Plot.
    """
    known = {line.replace(INITIAL_CONTACT, "") for line in stock.lines}
    return {line for line in ours.lines if line.replace(INITIAL_CONTACT, "") not in known}


NAMED = {"[IKE] received QUICK_CRASH_DETECTION notify"}


def named(story: Story) -> set[str]:
    """Return the lines in which a stock charon names the notify, and only that.

    The first line is of level 2, which charon does not log by default.
    """
    follow_up = {"[ENC] parsed INFORMATIONAL request N [ ]"}
    return NAMED | (follow_up if story.follow_ups else set())


@pytest.mark.parametrize("initiator", ["a", "b"])
@pytest.mark.parametrize("plot", PLOTS)
def test_stock_peer(new_lab: NewLab, plot: str, initiator: str) -> None:
    """b has the plugin, a is stock."""
    stock = tell(new_lab, False, PLOTS[plot], initiator)
    ours = tell(new_lab, True, PLOTS[plot], initiator)
    assert stock.follow_ups == 0
    assert ours.follow_ups == PLOTS[plot].rekeyings
    assert ours.results == stock.results
    new = ours.lines - stock.lines - named(ours)
    if PLOTS[plot].lossy:
        assert settled(ours.plain()) == settled(stock.said)
        new &= {line for line in new_lines(ours, stock) if "retransmi" not in line}
    else:
        assert ours.plain() == stock.said
    assert sorted(new) == []


# --- both rekey the IKE SA at the same time -------------------------------------


def collide(teller: Teller, _: Gateway) -> None:
    """Neither knows of the other's request when it sends its own, nor of a response.

    Each has thus seen the collision when it gets its response, and only the nonces
    decide whose SA survives. The messages that end the other SAs wait until both know.
    If the end of the old SA overtakes a response, charon may keep the redundant SA.
    """
    router, ends = teller.lab.network.router, (teller.lab.a.host, teller.lab.b.host)
    exchange = ike.CREATE_CHILD_SA
    marks = [gateway.mark() for gateway in teller.both]
    with ExitStack() as ends_old, ExitStack() as answers, ExitStack() as requests:
        for way in (ends, ends[::-1]):
            drop = router.drop_ike(*way, exchange=ike.INFORMATIONAL, response=False)
            ends_old.enter_context(drop)
        held = {
            kind: [
                stack.enter_context(
                    router.drop_ike(*way, exchange=exchange, response=kind)
                )
                for way in (ends, ends[::-1])
            ]
            for kind, stack in ((False, requests), (True, answers))
        }
        for gateway in teller.both:
            rekey(gateway)
        teller.wait("both requests", lambda: all(d.count for d in held[False]))
        requests.close()
        teller.wait("both answers", lambda: all(d.count for d in held[True]))
        answers.close()
        for gateway, mark in zip(teller.both, marks, strict=True):
            gateway.wait_log("rekey collision (won|lost)", since=mark)


def collision(new_lab: NewLab, qcd: bool) -> Story:
    plot = Plot(
        lambda teller, who: teller.step(
            "both rekey", partial(collide, teller, who), new="ike"
        ),
        charon=(RETRANSMIT,),
    )
    story = tell(new_lab, qcd, plot, "a")
    # Messages that cross each other have no order.
    story.said = sorted(sorted(messages) for messages in story.plain())
    return story


def test_both_rekey_at_once(new_lab: NewLab) -> None:
    """The same one of two new SAs survives as without the plugin."""
    ours = collision(new_lab, True)
    # The results depend on whose SA survives: repeat until the nonces agree.
    for _ in range(20):
        stock = collision(new_lab, False)
        if stock.results == ours.results:
            break
    assert ours.results == stock.results
    assert ours.said == stock.said
    new = {line for line in ours.lines - stock.lines if "retransmi" not in line}
    assert new <= NAMED | {"[ENC] parsed INFORMATIONAL request N [ ]"}


# --- is the peer alive? ---------------------------------------------------------


def alive(new_lab: NewLab, qcd: bool, asker: str) -> tuple[set[Said], set[str]]:
    """One side asks every second; return the kinds of messages until two responses."""
    configs = {name: Config() for name in ("a", "b")}
    configs[asker] = Config(dpd_delay="1s")
    lab = laid(new_lab, qcd, **configs)
    old = lab.up()

    def asked() -> bool:
        said = [s for messages in by_log(lab.a.log()) for s in messages]
        return sum(s[1:3] == ("INFORMATIONAL", "response") for s in said) > 1

    wait_until("two answers", asked, 10.0, lab.a.tail, 0.02)
    assert [sa.spis for sa in lab.a.established()] == [old.spis]
    log = lab.a.log()
    lab.check()
    lab.close()
    kinds = {
        said._replace(number=0, payloads=said.payloads.replace(TOKEN, ""))
        for messages in by_log(log)
        for said in messages
    }
    return kinds, lines(log)


@pytest.mark.parametrize("asker", ["a", "b"])
def test_asking_whether_the_other_lives(new_lab: NewLab, asker: str) -> None:
    stock, before = alive(new_lab, False, asker)
    ours, now = alive(new_lab, True, asker)
    assert ours == stock
    assert any(said[:3] == (asker, "INFORMATIONAL", "request") for said in ours)
    assert now - before <= NAMED


def test_no_information_beyond_the_token(new_lab: NewLab) -> None:
    """After our rekeying: the token, the DELETE. After the peer's: neither."""
    lab = new_lab(Config(), a=Config(qcd=False))
    lab.up()
    for actor, extra in ((lab.b, 1), (lab.a, 0)):
        with Sniffer(lab.b.host) as wire:
            old = lab.a.established()[0]
            rekey(actor)
            for gateway in (lab.a, lab.b):
                gateway.wait_established(other_than=(old,))
                gateway.wait_for("one SA", lambda g=gateway: len(g.sas()) == 1)
                gateway.wait_idle()
            sent = wire.find(
                lambda p: p.message.exchange == ike.INFORMATIONAL
                and not p.message.is_response
            )
        assert len(sent) == 1 + extra, [str(packet) for packet in sent]


# --- crashes --------------------------------------------------------------------


def crash_of(
    victim: str, new_lab: NewLab, qcd: bool, initiator: str
) -> tuple[Story, list[list[Said]], list[Packet]]:
    """One side loses the SA; the other one finds out by asking, and reconnects.

    Also returned are the later messages, and those in cleartext.
    """
    asker = "b" if victim == "a" else "a"
    configs = {name: Config(charon=GIVE_UP) for name in ("a", "b")}
    configs[asker] = configs[asker].but(dpd_delay="1s")
    lab = laid(new_lab, qcd, **configs)
    for gateway in (lab.a, lab.b):
        gateway.start()
    with Sniffer(lab.a.host) as wire, Probe(lab[asker].host, lab[victim].host) as probe:
        teller = Teller(lab, wire)
        teller.step("connect", partial(connect, lab[initiator]))
        probe.wait_answer(count=2)
        old = lab[asker].established()[0]
        lab[victim].kill()
        begin = wire.count
        lab[victim].start()
        if qcd and victim == "b":
            told = wire.wait("the end of a child, as b tells it", esp.tells)
            assert not told.outgoing and not told.message.is_response
            lab.a.wait_idle()
            # That had no effect.
            (now,) = lab.a.sas()
            assert (now, children_of(now)) == (old, children_of(old)), lab.a.tail()
        lab[asker].wait_established(other_than=(old,))
        probe.wait_answer(count=2)
        teller.settle("recovery")
        story = teller.end()
        later = wire.packets[begin:]
    lab.check()
    lab.close()
    clear = [p for p in later if p.message.exchange == ike.INFORMATIONAL]
    clear = [p for p in clear if not p.message.protected]
    return story, by_wire(p for p in later if p not in clear), clear


# How a stock charon logs that it drops a message that should be protected.
DROPPED = {
    "[ENC] could not decrypt payloads",
    "[ENC] payload type NOTIFY was not encrypted",
    "[IKE] INFORMATIONAL request with message ID N processing failed",
    "[IKE] INFORMATIONAL response with message ID N processing failed",
    "[NET] received unencrypted informational: from N.N.N.N[N] to N.N.N.N[N]",
}


def children_of(sa: Sa) -> list[tuple[str, str]]:
    return [(child["spi-in"], child["spi-out"]) for child in sa.children]


@pytest.mark.parametrize("initiator", ["a", "b"])
def test_crash_of_the_stock_peer(new_lab: NewLab, initiator: str) -> None:
    """It shows no token, and our gateway relies on its DPD."""
    stock, before, _ = crash_of("a", new_lab, False, initiator)
    ours, now, clear = crash_of("a", new_lab, True, initiator)
    assert now == before
    assert ours.results == stock.results
    assert clear == []
    assert new_lines(ours, stock) <= NAMED


@pytest.mark.parametrize("initiator", ["a", "b"])
def test_our_crash(new_lab: NewLab, initiator: str) -> None:
    """It drops our cleartext replies, and recovers by its own DPD."""
    stock, before, nothing = crash_of("b", new_lab, False, initiator)
    ours, now, clear = crash_of("b", new_lab, True, initiator)
    assert now == before
    assert ours.results == stock.results
    assert nothing == []
    assert all(not p.outgoing and p.message.tokens() for p in clear)
    # One about a child, like a request; and replies to its DPD.
    assert {p.message.is_response for p in clear} == {False, True}
    assert sorted(new_lines(ours, stock) - NAMED - DROPPED) == []
