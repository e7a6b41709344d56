# SPDX-License-Identifier: GPL-2.0-or-later
"""A peer that returns and connects by itself is asked which older IKE SAs it has."""

import time
from collections.abc import Callable

from lab.config import Config
from lab.field.nature import FAST
from lab.ike import IKE_AUTH, INFORMATIONAL
from lab.net import Drop
from lab.scenario import Lab
from lab.wait import wait_until

NewLab = Callable[..., Lab]
SOON = 2.0  # charon repeats a request after 4 s
NEVER = Config(ike_options={"unique": "never"})  # a new IKE SA replaces none
ROUNDS = 4
AWAY = 12.0  # charon repeats a request after 4, 11 and 24 s


def one_is_left(lab: Lab, begun: float) -> None:
    """Soon, only the last SA of all runs of b is left on a."""

    def is_so() -> bool:
        spis = [sa.spis for sa in lab.b.sas() if sa.state == "ESTABLISHED"]
        return len(spis) == 1 and [sa.spis for sa in lab.a.sas()] == spis

    lab.a.wait_for("one IKE SA", is_so, timeout=6.0)
    assert time.time() - begun < SOON


def drop_responses(lab: Lab, spi: bytes) -> Drop:
    """Drop what b sends on the IKE SA whose initiator has this SPI."""
    ends = f"ip saddr {lab.b.host.address} ip daddr {lab.a.host.address}"
    return lab.network.router.drop(f"{ends} udp dport 4500 @th,96,64 0x{spi.hex()}")


def start(new_lab: NewLab) -> Lab:
    lab = new_lab(NEVER, b=NEVER.but(start_action="start"))
    lab.a.start()
    lab.b.start()
    lab.a.wait_established()
    return lab


def test_question_is_repeated(new_lab: NewLab) -> None:
    """b crashes twice, and a's question is lost with the run in between."""
    lab = start(new_lab)
    ends = lab.a.host, lab.b.host
    with lab.network.router.drop_ike(
        *ends, exchange=INFORMATIONAL, response=False
    ) as drop:
        lab.b.restart()
        wait_until("a question to b", lambda: drop.count, 5.0)
    begun = time.time()
    lab.b.restart()
    one_is_left(lab, begun)


def test_question_crosses_return(new_lab: NewLab) -> None:
    """a asks about the old IKE SA while b considers it replaced."""
    lab = start(new_lab)
    for _ in range(ROUNDS):
        begun = time.time()
        lab.b.restart()
        one_is_left(lab, begun)


def test_question_overtakes_response(new_lab: NewLab) -> None:
    """a asks about the old IKE SA while b still waits for the end of its handshake.

    b holds its reply for that moment, but the new IKE SA does not answer the question.
    """
    lab = start(new_lab)
    ends = lab.a.host, lab.b.host
    with lab.network.router.drop_ike(
        *ends, exchange=IKE_AUTH, response=True, count=1
    ) as drop:
        begun = time.time()
        lab.b.restart()
        wait_until("a lost response", lambda: drop.count, 5.0)
        one_is_left(lab, begun)


def test_question_from_before_is_repeated(new_lab: NewLab) -> None:
    """a has sent b a request, and b did not respond: it was just crashing."""
    lab = start(new_lab)
    lab.b.kill()
    lab.a.nudge()
    time.sleep(AWAY)
    begun = time.time()
    lab.b.start()
    one_is_left(lab, begun)


def test_try_that_was_dropped(new_lab: NewLab) -> None:
    """a's first try is up on b after the second one, and a never learns of that."""
    lab = new_lab(NEVER.but(charon=FAST), b=NEVER.but(charon=FAST))
    router, ends = lab.network.router, (lab.a.host, lab.b.host)
    lab.up()
    lab.b.restart()
    with router.drop_ike(*ends, exchange=IKE_AUTH, response=False) as drop:
        lab.a.nudge()
        wait_until("a lost request", lambda: drop.count, 5.0)
        (first,) = (sa for sa in lab.a.sas() if sa.state == "CONNECTING")
        spi = first.spis[0]
        ours = router.drop(f"udp dport 4500 @th,96,64 0x{spi.hex()}")
    lab.a.wait_log("connection is up again", timeout=AWAY)
    second = lab.a.wait_established()
    with drop_responses(lab, spi) as responses:
        ours.remove()
        wait_until("a lost response", lambda: responses.count, 5.0)
        lab.a.wait_for("one IKE SA", lambda: len(lab.a.sas()) == 1, AWAY)
    lab.b.wait_for("one IKE SA", lambda: len(lab.b.sas()) == 1, AWAY)
    for gateway in (lab.a, lab.b):
        assert gateway.sas()[0].spis == second.spis, gateway.name
