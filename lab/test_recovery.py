# SPDX-License-Identifier: GPL-2.0-or-later
"""A gateway loses its SAs, and the tunnel is back within a round trip.

The time is measured from the peer's first IKE request, because its DPD decides when it
sends one.
"""

import os
import random
import time
from collections.abc import Callable

import pytest

from lab import ike
from lab.admin import rows
from lab.ask import Asker
from lab.config import Config
from lab.crash import Crash, Recovery, crash
from lab.gateway import Sa
from lab.lost import begin_handshakes, half_open
from lab.relay import Relay, Way
from lab.scenario import Lab
from lab.traffic import Probe
from lab.wait import wait_until
from lab.wire import Forger, Sniffer

NewLab = Callable[..., Lab]
TWENTY = 20
CLOSINGS = 6
FORGED = 5
# Far below the first retransmission, which is sent after 4 s, and far above a round
# trip on a busy machine.
SOON = 1.0
SEED = int(os.environ.get("QCD_LAB_SEED", random.randrange(1 << 32)))


def probe(lab: Lab) -> Probe:
    return Probe(lab.a.host, lab.b.host)


def assert_smooth(recovery: Recovery, note: str = "") -> None:
    """One request was enough, and no message of the new handshake was lost."""
    told = f"{note}\n{recovery}"
    assert recovery.retransmitted == 0, told
    assert recovery.request_to_answer is not None, told
    assert recovery.request_to_answer < SOON, told


def assert_one_sa(lab: Lab) -> None:
    """Both sides end with a single IKE SA, which has each child once."""
    for gateway in (lab.a, lab.b):
        wanted = gateway.config.children

        def single(gateway: object = gateway, wanted: int = wanted) -> bool:
            sas = gateway.sas()  # type: ignore[attr-defined]
            return len(sas) == 1 and len(sas[0].children) == wanted

        gateway.wait_for("a single SA with its children", single)


@pytest.mark.parametrize("auth", ["psk", "cert"])
@pytest.mark.parametrize("initiator", ["a", "b"])
def test_crash(new_lab: NewLab, auth: str, initiator: str) -> None:
    """The crashed gateway, b, was the initiator of the lost SA or its responder."""
    lab = new_lab(Config(auth=auth))
    for gateway in (lab.a, lab.b):
        gateway.start()
    lab[initiator].initiate()
    with probe(lab) as pings:
        pings.wait_answer()
        recovery = crash(lab.b, lab.a, pings)
        assert len(recovery.requests) == 1
        assert_smooth(recovery)
        assert_one_sa(lab)


def test_all_children_come_back(new_lab: NewLab) -> None:
    lab = new_lab(Config(children=3))
    lab.up()
    with probe(lab) as pings:
        pings.wait_answer()
        assert_smooth(crash(lab.b, lab.a, pings))
        assert_one_sa(lab)
        assert lab.b.established()


def test_found_by_dpd(new_lab: NewLab) -> None:
    """The peer is not told to send: its DPD does, after a second."""
    lab = new_lab(Config(dpd_delay="1s"))
    lab.up()
    with probe(lab) as pings:
        pings.wait_answer()
        assert_smooth(crash(lab.b, lab.a, pings, nudge=False))


def test_twenty_crashes_at_random_moments(new_lab: NewLab) -> None:
    """Including crashes during a rekeying, by either side."""
    chance = random.Random(SEED)
    lab = new_lab(Config())
    lab.up()
    with probe(lab) as pings:
        for number in range(1, TWENTY + 1):
            note = f"crash {number} with QCD_LAB_SEED={SEED}"
            pings.wait_answer(count=chance.randint(1, 80))
            busy = chance.choice((None, None, lab.a, lab.b))
            if busy:
                lab.a.wait_established()
                busy.nudge()
            assert_smooth(crash(lab.b, lab.a, pings), note)
            assert_one_sa(lab)


def test_slow_handshakes_of_many(new_lab: NewLab) -> None:
    """The gateway takes a second for each IKE_AUTH, as with a slow EAP server.

    Its peer repeats these requests, but has an answer: more and more at a time.
    """
    count, slow = 40, 1.0
    delay = {
        "dos_protection": False,  # all have the same address
        "receive_delay": int(slow * 1000),
        "receive_delay_type": ike.IKE_AUTH,
        "receive_delay_response": False,
    }
    lab = new_lab(Config(tunnels=count))
    lab.up()
    lost = lab.a.established()
    assert len(lost) == count
    lab.b.kill()
    lab.b.config = lab.b.config.but(charon=delay)
    lab.b.start()
    begin = time.monotonic()
    for sa in lost:
        lab.a.nudge(sa)
    spis = {sa.spis for sa in lost}
    wait_until(
        "all to be back",
        lambda: len({sa.spis for sa in lab.a.established()} - spis) == count,
        30,
        lab.a.tail,
    )
    seconds = time.monotonic() - begin
    print(f"{seconds:.1f} s")
    assert seconds < 8 * slow


def test_twenty_crashes_of_the_initiator(new_lab: NewLab) -> None:
    lab = new_lab(Config())
    lab.up()
    with Probe(lab.b.host, lab.a.host) as pings:
        for number in range(1, TWENTY + 1):
            pings.wait_answer(count=5)
            victim, peer = (lab.a, lab.b) if number % 2 else (lab.b, lab.a)
            assert_smooth(crash(victim, peer, pings), f"crash {number}")


def test_peer_replaces_its_own_sa(new_lab: NewLab) -> None:
    """What the peer deletes while we are connecting was not closed on purpose.

    For example, a peer that keeps one SA with each peer deletes its own for ours. The
    recovery continues, and notices that the next crash loses our SA.
    """
    lab = new_lab(Config())
    lab.up()
    router, a, b = lab.network.router, lab.a.host, lab.b.host
    with router.drop_ike(a, b, exchange=ike.IKE_AUTH, response=False) as drop:
        lab.b.restart()
        lab.a.nudge()
        wait_until("a lost request", lambda: drop.count, 5.0)
        lab.b.begin("a")
        theirs = lab.a.wait_established()
        lab.b.wait_for("its SA", lambda: theirs.spis in {s.spis for s in lab.b.sas()})
        lab.b.forget(next(s for s in lab.b.sas() if s.spis == theirs.spis))
        lab.a.wait_for("its end", lambda: not lab.a.established())
        lab.b.restart()
    lab.a.wait_established(timeout=10.0)
    assert_one_sa(lab)


def test_closed_while_connecting(new_lab: NewLab) -> None:
    """Closing the SA that we are establishing ends the recovery.

    This must not depend on charon's thread: one of them has processed its response.
    """
    lab = new_lab(Config())
    lab.up()
    router, a, b = lab.network.router, lab.a.host, lab.b.host
    for _ in range(CLOSINGS):
        with router.drop_ike(a, b, exchange=ike.IKE_AUTH, response=False) as drop:
            lab.b.restart()
            lab.a.nudge()
            wait_until("a lost request", lambda: drop.count, 5.0)
            assert rows(lab.a, "recovery")
            for sa in lab.a.sas():
                lab.a.forget(sa)
            wait_until("its end", lambda: not rows(lab.a, "recovery"), 5.0)
            assert not lab.a.sas()
        lab.a.initiate("b")


def test_missed_delete(new_lab: NewLab) -> None:
    """The gateway is alive and has deleted the SA, but its DELETE was lost."""
    lab = new_lab(Config())
    lab.up()
    router, a, b = lab.network.router, lab.a.host, lab.b.host
    with probe(lab) as pings, Crash(lab.b, lab.a, pings) as running:
        pings.wait_answer()
        gone = lab.b.established()[0]
        with router.drop_ike(b, a, exchange=ike.INFORMATIONAL, response=False) as drop:
            running.lose(lambda: lab.b.forget(gone))
            lab.b.wait_for("the end of its SA", lambda: not lab.b.sas())
            running.sniffer.wait("the DELETE", lambda p: p.outgoing)
            assert drop.count == 1
        lab.a.nudge()
        recovery = running.wait()
        assert len(recovery.requests) == 1
        assert_smooth(recovery)
        assert_one_sa(lab)


def test_missed_delete_of_a_clean_stop(new_lab: NewLab) -> None:
    lab = new_lab(Config())
    lab.up()
    router, a, b = lab.network.router, lab.a.host, lab.b.host
    with probe(lab) as pings, Crash(lab.b, lab.a, pings) as running:
        pings.wait_answer()
        with router.drop_ike(b, a, exchange=ike.INFORMATIONAL, response=False) as drop:
            running.lose(lab.b.stop)
            assert drop.count == 1
        running.restart()
        lab.a.nudge()
        assert_smooth(running.wait())


def test_connections_loaded_late(new_lab: NewLab) -> None:
    """If a peer is told before the daemon knows it, it reconnects and is refused."""
    lab = new_lab(Config())
    lab.up()
    with probe(lab) as pings, Crash(lab.b, lab.a, pings) as running:
        pings.wait_answer()
        running.kill()
        running.restart(load=False)
        lab.a.nudge()
        running.sniffer.wait("the peer's request", lambda p: not p.outgoing)
        lab.b.wait_idle()
        assert running.sniffer.find(lambda p: p.outgoing) == []
        lab.b.load()
        recovery = running.wait()
        assert len(recovery.requests) == 1
        assert_smooth(recovery)


def test_token_from_another_address(new_lab: NewLab) -> None:
    """RFC 6290 section 3: MUST accept tokens from any IP address and port."""
    lab = new_lab(Config(), b=Config(anywhere=True))
    old = lab.up()
    lab.b.restart()
    with Asker(lab.stranger, lab.b) as asker, Forger(lab.stranger) as forger:
        message = ike.token_message(old.spis, asker.tokens(old.spis))
        forger.send(message, (lab.a.host.address, 4500), ("198.19.1.2", 60000))
    lab.a.wait_established(other_than=(old,))


RECOVER = [
    # recover, dpd_action, initiator of the lost SA, whether the peer reconnects
    ("auto", "restart", "a", True),
    ("auto", "restart", "b", True),
    ("auto", "clear", "a", True),
    ("auto", "clear", "b", False),
    ("reconnect", "clear", "b", True),
    ("none", "restart", "a", False),
]


@pytest.mark.parametrize(("recover", "dpd_action", "initiator", "back"), RECOVER)
def test_recover_option(
    new_lab: NewLab, recover: str, dpd_action: str, initiator: str, back: bool
) -> None:
    config = Config(dpd_action=dpd_action, qcd_options={"recover": recover})
    lab = new_lab(config)
    for gateway in (lab.a, lab.b):
        gateway.start()
    lab[initiator].initiate()
    old = lab.a.wait_established()
    lab.b.restart()
    with Sniffer(lab.a.host) as wire:
        lab.a.nudge()
        lab.a.wait_for(
            "the end of the lost SA",
            lambda: old.spis not in [sa.spis for sa in lab.a.sas()],
        )
        if back:
            lab.a.wait_established(other_than=(old,))
        else:
            lab.a.wait_idle()
            assert lab.a.sas() == []
            assert not wire.find(lambda p: p.message.exchange == ike.IKE_SA_INIT)


def test_nothing_is_sent_on_the_lost_sa(new_lab: NewLab) -> None:
    """RFC 6290 section 3: the peer silently deletes it."""
    lab = new_lab(Config())
    old = lab.up()
    lab.b.restart()
    with Sniffer(lab.a.host) as wire:
        lab.a.nudge()
        lab.a.wait_established(other_than=(old,))
        sent = wire.find(
            lambda p: p.outgoing and (p.message.spi_i, p.message.spi_r) == old.spis
        )
    assert len(sent) == 1, "its request, and no DELETE"


def test_peer_without_qcd_notices_nothing(new_lab: NewLab) -> None:
    lab = new_lab(Config(), a=Config(qcd=False))
    old = lab.up()
    with probe(lab) as pings:
        pings.wait_answer(count=20)
        assert pings.gaps() == []
    lab.b.restart()
    with Sniffer(lab.a.host) as wire:
        lab.a.nudge()
        wire.wait("the token", lambda p: bool(p.message.tokens()))
        lab.a.wait_idle()
    assert [sa.spis for sa in lab.a.established()] == [old.spis]


def test_both_sides_start(new_lab: NewLab) -> None:
    """The restarted gateway connects by itself: it does not show a token as well."""
    quick = Config(charon={"retransmit_timeout": "0.1"})
    for _ in range(4):
        lab = new_lab(quick, b=quick.but(start_action="start"))
        lab.up()
        lab.b.kill()
        lab.a.nudge()
        with Sniffer(lab.b.host) as wire:
            lab.b.start(load=False)
            wire.wait("the peer's request", lambda p: not p.outgoing)
            lab.b.load()
            assert_one_sa(lab)
            lab.a.wait_idle()
            assert_one_sa(lab)
        lab.close()


def begin_unheard(lab: Lab) -> None:
    """b crashes and connects by itself, but its request is lost."""
    lab.up()
    lab.b.kill()
    with lab.network.router.drop_ike(lab.b.host, lab.a.host) as drop:
        lab.b.start()
        wait_until("b's lost request", lambda: drop.count, 5.0, lab.b.tail)


STARTS = Config(start_action="start")


def test_own_request_is_repeated_for_a_peer_that_asks(new_lab: NewLab) -> None:
    """charon itself repeats it after 4 s; a token before would cause a second tunnel.

    The peer gets one afterwards: it may still have the old SA.
    """
    lab = new_lab(Config(), b=STARTS)
    begin_unheard(lab)
    with Sniffer(lab.b.host, peer=lab.a.host) as wire:
        begin = time.monotonic()
        lab.a.nudge()
        lab.b.wait_established()
        assert time.monotonic() - begin < SOON
        token = wire.wait("a token", lambda p: bool(p.message.tokens()))
        [end] = wire.find(
            lambda p: p.message.exchange == ike.IKE_AUTH and p.message.is_response
        )
        assert end.time < token.time
        lab.a.wait_idle()
        assert_one_sa(lab)


@pytest.mark.parametrize("delay", [0.0, 0.1])
def test_request_for_a_cookie_is_no_failure(new_lab: NewLab, delay: float) -> None:
    """charon begins the IKE SA once more, with the cookie; no other one is begun."""
    threshold = {"cookie_threshold": FORGED}
    lab = new_lab(Config(), b=Config(anywhere=True, charon=threshold))
    old = lab.up()
    lab.b.restart()
    ends = lab.a.host, lab.b.host
    with (
        Forger(lab.stranger) as forger,
        Relay(lab.network.router, *ends, Way(delay=delay)),
        Sniffer(lab.a.host) as wire,
    ):
        begin_handshakes(lab.b, forger, FORGED)
        wait_until("cookies", lambda: half_open(lab.b) == FORGED, 5, lab.b.tail)
        lab.a.nudge()
        lab.a.wait_established(other_than=(old,))
        lab.a.wait_idle()
        assert len(lab.a.sas()) == 1
        inits = wire.find(
            lambda p: p.outgoing and p.message.exchange == ike.IKE_SA_INIT
        )
    assert len(inits) == 2, "one without a cookie, one with it"
    assert len({p.message.spi_i for p in inits}) == 1
    assert "QCD: retrying" not in lab.a.log()


@pytest.mark.parametrize("forged, group", [(FORGED, "x25519"), (0, "modp2048")])
def test_lost_response_after_a_refusal(
    new_lab: NewLab, forged: int, group: str
) -> None:
    """b has requested a cookie, or another group, and the next response is lost.

    a repeats its second request soon: it has just heard of b.
    """
    mine, others = (
        {"proposals": [f"aes128-sha256-{groups}"]}
        for groups in ("x25519-modp2048", group)
    )
    threshold = {"cookie_threshold": FORGED}
    b = Config(anywhere=True, charon=threshold, ike_options=others)
    lab = new_lab(Config(ike_options=mine), b=b)
    lab.up()
    lab.b.restart()
    # longer than a refusal
    match = f"ip saddr {lab.b.host.address} udp sport 500 udp length > 100"
    with Forger(lab.stranger) as forger, Sniffer(lab.a.host) as wire:
        begin_handshakes(lab.b, forger, forged)
        wait_until("cookies", lambda: half_open(lab.b) == forged, 5, lab.b.tail)
        with lab.network.router.drop(f"ip daddr {lab.a.host.address} {match}", 1) as drop:
            lab.a.nudge()
            wire.wait("IKE_AUTH", lambda p: p.message.exchange == ike.IKE_AUTH)
            assert drop.count == 1
        _, second, again, *more = wire.find(
            lambda p: p.outgoing and p.message.exchange == ike.IKE_SA_INIT
        )
    assert not more
    assert second.data == again.data
    assert 0.09 < again.time - second.time < 0.35


def test_token_where_own_request_is_not_answered(new_lab: NewLab) -> None:
    """Packets from the peer arrive, our requests don't: half a second."""
    lab = new_lab(Config(), b=STARTS)
    begin_unheard(lab)
    with Sniffer(lab.b.host, peer=lab.a.host) as wire:
        with lab.network.router.drop_init_requests(lab.b.host):
            asked = time.time()
            lab.a.nudge()
            packet = wire.wait("the token", lambda p: bool(p.message.tokens()))
            assert 0.45 < packet.time - asked < SOON
            sent = wire.find(
                lambda p: p.outgoing and p.message.exchange == ike.IKE_SA_INIT
            )
            assert 1 <= len(sent) <= 2, "repeated at once, and no more than that"
            lab.b.wait_established()


def test_names_are_not_looked_up(new_lab: NewLab) -> None:
    """A forged request must not make charon wait for a name server."""
    lab = new_lab(Config())
    old = lab.up()
    lab.b.kill()
    # In a namespace without a name server, this lookup takes many seconds.
    slow = {"remote_addrs": ["10.0.1.9", "nowhere.invalid"]}
    lab.b.config = lab.b.config.but(ike_options=slow)
    lab.b.start()
    with Asker(lab.stranger, lab.b) as asker:
        begin = time.monotonic()
        for number in range(20):
            asker.ask(ike.protected_request(old.spis, message_id=number))
        assert time.monotonic() - begin < 3.0


# make_before_break is the default since strongSwan 6.0
EAGER = Config(charon={"make_before_break": True})


def reauthenticate(lab: Lab) -> Sa:
    """Have `a` begin to replace its SA; return that one."""
    old = lab.a.established()[0]
    lab.a.command("rekey", {"ike-id": old.unique_id, "reauth": "yes"})
    return old


def assert_comes_back(lab: Lab, running: Crash, old: Sa) -> None:
    """`b` is up again and `a` asks on the old SA: a single new one replaces it."""
    lab.a.nudge(old)
    recovery = running.wait()
    assert recovery.request_to_answer is not None, str(recovery)
    assert recovery.request_to_answer < SOON, str(recovery)
    assert_one_sa(lab)
    assert lab.a.sas()[0].spis != old.spis


@pytest.mark.parametrize("lost", [ike.IKE_SA_INIT, ike.IKE_AUTH])
def test_crash_while_reauthenticating(new_lab: NewLab, lost: int) -> None:
    """The new SA had no response yet, or was begun with the daemon that died."""
    lab = new_lab(EAGER)
    lab.up()
    router, a, b = lab.network.router, lab.a.host, lab.b.host
    with probe(lab) as pings, Crash(lab.b, lab.a, pings) as running:
        pings.wait_answer()
        with router.drop_ike(a, b, exchange=lost) as drop:  # both ports are 4500
            old = reauthenticate(lab)
            wait_until("the lost request", lambda: drop.count, 5.0, lab.a.tail)
            running.kill()
        running.restart()
        assert_comes_back(lab, running, old)


def test_crash_after_a_reauthentication_that_failed(new_lab: NewLab) -> None:
    """The old SA continues, and must be recovered."""
    impatient = {"retransmit_tries": "1", "retransmit_timeout": "0.2"}
    lab = new_lab(EAGER.but(charon={**EAGER.charon, **impatient}))
    lab.up()
    router, a, b = lab.network.router, lab.a.host, lab.b.host
    with probe(lab) as pings, Crash(lab.b, lab.a, pings) as running:
        pings.wait_answer()
        with router.drop_ike(a, b, exchange=ike.IKE_AUTH):
            old = reauthenticate(lab)
            lab.a.wait_log("establishing IKE_SA failed")
        running.kill()
        running.restart()
        assert_comes_back(lab, running, old)


def test_newer_sa_with_other_children_is_no_replacement(new_lab: NewLab) -> None:
    """One beside it of the same connection, if each child has its own IKE SA."""
    impatient = {"retransmit_tries": "1", "retransmit_timeout": "0.2"}
    apart = {**EAGER.charon, **impatient, "reuse_ikesa": False}
    lab = new_lab(EAGER.but(children=2, charon=apart))
    for gateway in (lab.a, lab.b):
        gateway.start()
    for child in range(2):
        lab.a.initiate("b", child)
    old, _ = sorted(lab.a.sas(), key=lambda sa: sa.unique_id)
    router, a, b = lab.network.router, lab.a.host, lab.b.host
    with probe(lab) as pings, Crash(lab.b, lab.a, pings) as running:
        pings.wait_answer()
        with router.drop_ike(a, b, exchange=ike.IKE_AUTH):
            lab.a.command("rekey", {"ike-id": old.unique_id, "reauth": "yes"})
            lab.a.wait_log("establishing IKE_SA failed")
        running.kill()
        running.restart()
        lab.a.nudge(old)
        recovery = running.wait()
        assert recovery.request_to_answer is not None, str(recovery)
        assert recovery.request_to_answer < SOON, str(recovery)
