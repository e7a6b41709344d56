# SPDX-License-Identifier: GPL-2.0-or-later
"""A crashed gateway recovers although the kernel itself does ESP."""

import time
from collections.abc import Callable

import pytest

from lab import esp
from lab.admin import counters
from lab.config import Config
from lab.crash import Crash
from lab.gateway import Gateway, Sa
from lab.scenario import Lab
from lab.test_shapes import lay_ipv6, over_ipv6
from lab.traffic import Probe
from lab.wait import wait_until

NewLab = Callable[..., Lab]
# Messages that were sent twice show whether a timer was waited for. The duration
# otherwise depends on the machine, here an emulated one; lab/test_recovery.py checks
# the time. charon's second retransmission would be sent after 11 s.
SOON = 10.0
INTERVAL = 0.05


def kernel(encap: bool, config: Config | None = None) -> Config:
    return (config or Config()).but(kernel_esp=True, encap=encap)


# In place of ESP; AH can't be sent in UDP.
AH = {"esp_proposals": [], "ah_proposals": ["sha256-x25519"]}


def states(gateway: Gateway) -> str:
    """Return the SAs in the kernel of that gateway."""
    return gateway.host.ns.run("/sbin/ip", "xfrm", "state")


def assert_kernel_esp(gateway: Gateway, encap: bool) -> None:
    shown = states(gateway)
    assert shown.count("proto esp") >= 2, shown
    assert ("encap type espinudp" in shown) == encap, shown


def assert_one_sa(lab: Lab) -> None:
    for gateway in (lab.a, lab.b):
        gateway.wait_for("a single SA", lambda g=gateway: len(g.sas()) == 1)


def probe(lab: Lab) -> Probe:
    return Probe(lab.a.host, lab.b.host, INTERVAL)


def power_cut(gateway: Gateway) -> None:
    """charon dies, and the kernel loses the SAs that charon had installed."""
    gateway.kill()
    gateway.host.ns.ip("xfrm state flush", "xfrm policy flush")


@pytest.mark.parametrize("initiator", ["a", "b"])
@pytest.mark.parametrize("encap", [False, True], ids=["esp", "esp-in-udp"])
def test_power_cut(new_lab: NewLab, encap: bool, initiator: str) -> None:
    lab = new_lab(kernel(encap))
    for gateway in (lab.a, lab.b):
        gateway.start()
    lab[initiator].initiate()
    assert_kernel_esp(lab.a, encap)
    with probe(lab) as pings, Crash(lab.b, lab.a, pings) as running:
        pings.wait_answer(count=3)
        running.lose(lambda: power_cut(lab.b))
        running.restart()
        lab.a.nudge(running.old[0])
        recovery = running.wait()
        print(f"back after {recovery.request_to_answer} s")
        assert recovery.retransmitted == 0, str(recovery)
        assert len(recovery.requests) == 1, str(recovery)
        assert recovery.request_to_answer is not None, str(recovery)
        assert recovery.request_to_answer < SOON, str(recovery)
        assert_one_sa(lab)
        assert_kernel_esp(lab.a, encap)
        assert_kernel_esp(lab.b, encap)


def test_power_cut_far_away(new_lab: NewLab) -> None:
    """Every packet takes 50 ms: four round trips, and nothing is sent twice."""
    lab = new_lab(kernel(encap=False))
    lab.up()
    for name in "ab":
        lab.network.router.ns.run(
            *f"/sbin/tc qdisc add dev to-{name} root netem delay 50ms".split()
        )
    with probe(lab) as pings, Crash(lab.b, lab.a, pings) as running:
        pings.wait_answer(count=3)
        running.lose(lambda: power_cut(lab.b))
        running.restart()
        lab.a.nudge(running.old[0])
        recovery = running.wait()
        print(f"back after {recovery.request_to_answer} s")
        assert recovery.retransmitted == 0, str(recovery)
        assert recovery.request_to_answer is not None, str(recovery)
        assert 0.2 < recovery.request_to_answer < SOON, str(recovery)


def test_crash_of_the_daemon_alone(new_lab: NewLab) -> None:
    """The kernel keeps using the child SAs, and the recovery replaces them."""
    lab = new_lab(kernel(encap=False))
    old = lab.up()
    with probe(lab) as pings:
        pings.wait_answer(count=3)
        lab.b.kill()
        pings.wait_answer()
        lab.b.start()
        pings.wait_answer()
        lab.a.nudge()
        lab.a.wait_established(other_than=(old,))
        pings.wait_answer(count=3)
        assert_one_sa(lab)
        assert all(gap.length < SOON for gap in pings.gaps()), str(pings.gaps())
    # # At b, a child of the previous run has no owner any more.
    assert states(lab.a).count("proto esp") == 2, states(lab.a)


@pytest.mark.parametrize("encap", [False, True], ids=["esp", "esp-in-udp"])
def test_crash_over_ipv6(new_lab: NewLab, encap: bool) -> None:
    """IPv4 inside, IPv6 outside."""
    lab = new_lab(
        a=kernel(encap, over_ipv6(1, 2)), b=kernel(encap, over_ipv6(2, 1))
    )
    lay_ipv6(lab)
    old = lab.up()
    assert_kernel_esp(lab.a, encap)
    assert "src fd00:" in states(lab.a)
    with probe(lab) as pings:
        pings.wait_answer(count=3)
        power_cut(lab.b)
        lab.b.start()
        begin = time.time()
        lab.a.nudge()
        back = pings.wait_answer(begin)
        print(f"back after {back - begin:.3f} s")
        assert back - begin < SOON, lab.a.tail()
        assert lab.a.wait_established(other_than=(old,))
        assert "retransmit" not in lab.a.log(), lab.a.tail()


def assert_esp_was_enough(lab: Lab, began: float) -> None:
    """Nobody asked by IKE: the peer's ESP got a reply of one message."""
    log = lab.b.log()
    assert "the peer was told that its IKE_SA is lost" in log, lab.b.tail()
    assert counters(lab.b)["told"] == 1, lab.b.tail()
    assert "retransmit" not in lab.a.log(), lab.a.tail()
    wait_until("the table to go", lambda: not esp.table(lab.b), 10, lab.b.tail)
    print(f"back {time.time() - began:.3f} s after the restart")


def assert_recovers_by_traffic(lab: Lab, old: Sa) -> None:
    """Cut the power of b: only traffic to the lost SA brings the tunnel back."""
    with probe(lab) as pings:
        pings.wait_answer(count=3)
        power_cut(lab.b)
        lab.b.start()
        began = time.time()
        pings.wait_answer(began)
        assert lab.a.wait_established(other_than=(old,))
        assert_esp_was_enough(lab, began)


@pytest.mark.parametrize("encap", [False, True], ids=["esp", "esp-in-udp"])
def test_esp_is_enough(new_lab: NewLab, encap: bool) -> None:
    """DPD is off and no peer is nudged: the peer's ESP restores the tunnel."""
    lab = new_lab(kernel(encap).but(esp=True))
    lab.up()
    with probe(lab) as pings, Crash(lab.b, lab.a, pings) as running:
        pings.wait_answer(count=3)
        running.lose(lambda: power_cut(lab.b))
        running.restart()
        recovery = running.wait()
        assert recovery.requests == [], str(recovery)
        assert recovery.retransmitted == 0, str(recovery)
        assert_esp_was_enough(lab, recovery.restarted)
        assert_one_sa(lab)
        assert_kernel_esp(lab.a, encap)
        assert_kernel_esp(lab.b, encap)


@pytest.mark.parametrize("encap", [False, True], ids=["esp", "esp-in-udp"])
def test_esp_is_enough_over_ipv6(new_lab: NewLab, encap: bool) -> None:
    lab = new_lab(
        a=kernel(encap, over_ipv6(1, 2)).but(esp=True),
        b=kernel(encap, over_ipv6(2, 1)).but(esp=True),
    )
    lay_ipv6(lab)
    old = lab.up()
    assert_kernel_esp(lab.a, encap)
    assert_recovers_by_traffic(lab, old)


@pytest.mark.parametrize("six", [False, True], ids=["ipv4", "ipv6"])
def test_ah_is_enough(new_lab: NewLab, six: bool) -> None:
    """RFC 6290 section 8.2: a packet of AH gets a reply like one of ESP."""
    ends = [
        kernel(False, over_ipv6(me, peer) if six else None).but(
            esp=True, child_options=AH
        )
        for me, peer in ((1, 2), (2, 1))
    ]
    lab = new_lab(a=ends[0], b=ends[1])
    if six:
        lay_ipv6(lab)
    old = lab.up()
    assert states(lab.a).count("proto ah") >= 2, states(lab.a)
    assert_recovers_by_traffic(lab, old)


def test_esp_that_the_kernel_still_takes(new_lab: NewLab) -> None:
    """Only charon crashed, and the kernel keeps using its SAs.

    Nobody will rekey or delete these any more, so the peer is told and gets new ones.
    """
    lab = new_lab(kernel(encap=False).but(esp=True))
    old = lab.up()
    with probe(lab) as pings:
        pings.wait_answer(count=3)
        lab.b.kill()
        pings.wait_answer()
        lab.b.start()
        lab.a.wait_established(other_than=(old,))
        pings.wait_answer(count=3)
        assert_one_sa(lab)
        assert all(gap.length < SOON for gap in pings.gaps()), str(pings.gaps())


def test_announcement(new_lab: NewLab) -> None:
    """Without any traffic."""
    config = kernel(encap=False).but(esp=True, qcd_options={"announce": "yes"})
    lab = new_lab(config)
    old = lab.up()
    power_cut(lab.b)
    lab.b.start()
    lab.a.wait_established(other_than=(old,))
    assert counters(lab.b)["announced"] == 1, lab.b.tail()
    with probe(lab) as pings:
        pings.wait_answer()
