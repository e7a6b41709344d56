# SPDX-License-Identifier: GPL-2.0-or-later
"""The n-th call of the plugin fails, for every n: charon stays up and IKE goes on.

What a unit test can cover is in test/fault_*.c. Memory for the plugin's own objects is
not here: charon, like all of strongSwan, ends without it.
"""

import os
import re
from collections import Counter
from collections.abc import Callable

import pytest

from lab import esp
from lab.admin import ask, counters
from lab.config import Config
from lab.faults import Faults, How, Kind
from lab.field.leaks import check_closed, descriptors
from lab.gateway import Gateway, Sa
from lab.scenario import Lab
from lab.wait import wait_until

NewLab = Callable[..., Lab]
CALLS_MAX = 1000
ON = "QCD: token maker is on, token taker is on"
FILES = [kind for kind in Kind if kind & (Kind.FILES | Kind.RANDOM)]
# Nothing but a damaged map is truncated: test/fault_samap.c.
AT_START = [kind for kind in FILES if kind != Kind.TRUNCATE]
KERNEL = [Kind.SOCKET, Kind.BIND, Kind.OPTION, Kind.SEND, Kind.RECEIVE]
# test/fault_watch.c has every one of the 160 that a table takes.
STRIDE = {} if os.environ.get("QCD_FAULTS_ALL") else {Kind.ALLOC: 120}


def new(new_lab: NewLab) -> Lab:
    # Who drops an SA connects again by hand: the plugin itself would wait longer
    # after each crash of the same peer.
    config = Config(esp=True, log={"ike": 1}, qcd_options={"recover": "none"})
    return new_lab(config, b=config.but(faults=True))


def complaints(gateway: Gateway) -> list[str]:
    """Return the lines of the log that say what is wrong, and with what."""
    places = gateway.places
    what = rf"{places.folder}/|{places.memory}/|/etc/machine-id|nftables|NFLOG"
    bad = "cannot|can't|failed|no memory|no socket|no SA map"
    return re.findall(f"(?m)QCD: (?=.*(?:{what}))(?=.*(?:{bad})).*$", gateway.log())


def reconnect(lab: Lab, sa: Sa, has_token: bool) -> Sa:
    """Drop the lost SA, by its token if both runs had a maker, and connect again."""
    if has_token and ON in lab.b.log():
        lab.a.nudge(sa)
        lab.a.wait_for("the proof", lambda: lab.a.sas() == [])
    else:
        lab.a.forget(sa)
    lab.a.initiate()
    return lab.a.wait_established(other_than=(sa,))


def check_whole(gateway: Gateway, row: str) -> None:
    """Nothing is missing: both roles, the socket, and the SPIs in the kernel."""
    assert ON in gateway.log(), row
    wait_until(
        f"the lost SAs, {row}",
        lambda: len(esp.dead(gateway)) == counters(gateway)["lost_children"],
        explain=gateway.tail,
    )


def held_after_a_crash(lab: Lab, sa: Sa) -> "Counter[str]":
    """Return the descriptors of a start without faults, after the recovery.

    With a fault there may be fewer, so a socket that leaks may take the place of one that
    is missing. test/fault_watch.c counts those.
    """
    lab.b.restart()
    reconnect(lab, sa, True)
    lab.b.wait_written()
    return Counter(descriptors(lab.b.pid))


@pytest.mark.parametrize("kind", [*AT_START, *KERNEL, Kind.ALLOC], ids=lambda k: k.name)
def test_start_after_a_crash(new_lab: NewLab, kind: Kind) -> None:
    """Each start recovers from a crash. What failed is in the log, or mended."""
    lab = new(new_lab)
    sa = lab.up()
    faults = Faults(lab.b)
    has_token = True
    held = held_after_a_crash(lab, sa)
    sa = lab.a.wait_established()
    for n in range(1, CALLS_MAX, STRIDE.get(kind, 1)):
        lab.b.kill()
        faults.begin(kind, n)
        lab.b.start()
        sa = reconnect(lab, sa, has_token)
        has_token = ON in lab.b.log()
        if not faults.failed:  # it may be a call that writes the SA map, a little later
            lab.b.wait_written()
        if not faults.end():
            break
        row = f"{kind.name} {n}: {faults.first}"
        check_closed(lab.b, held)
        lines = complaints(lab.b)
        print(row, *lines, sep="\n  ")
        if not lines:
            check_whole(lab.b, row)
    assert n > 1, "this tests nothing"
    lab.b.kill()
    lab.b.start()
    check_whole(lab.b, "after all faults")
    reconnect(lab, sa, has_token)


def check_new_tunnel(lab: Lab) -> None:
    """IKE goes on: a handshake, a rekeying, and an end."""
    lab.a.initiate()
    sa = lab.a.wait_established()
    lab.a.nudge(sa)
    lab.a.wait_for(
        "the rekeying", lambda: lab.a.sas()[0].children != sa.children
    )
    lab.a.terminate(sa)


def test_rotation(new_lab: NewLab) -> None:
    """Each error names the file; the same command works when it is over."""
    lab = new(new_lab)
    lab.b.start()
    faults = Faults(lab.b)
    assert ask(lab.b, "rotate")[0]["ok"]
    held = Counter(descriptors(lab.b.pid))
    for kind in FILES:
        for n in range(1, CALLS_MAX):
            before = ask(lab.b, "secret-show")
            faults.begin(kind, n)
            (result, *_) = ask(lab.b, "rotate")
            if not faults.end():
                assert result["ok"]
                break
            row = f"{kind.name} {n}: {faults.first}"
            print(row, result)
            if not result["ok"]:
                assert re.match("cannot .* /|cannot get random", result["error"]), row
                assert str(lab.b.places.state) in result["error"], row
                assert ask(lab.b, "secret-show") == before, row
            assert ask(lab.b, "rotate")[0]["ok"], row
        check_closed(lab.b, held)
    lab.b.restart()
    assert ON in lab.b.log()


@pytest.mark.parametrize("how", [How.NTH, How.NTH_ON], ids=lambda how: how.name)
def test_handshakes(new_lab: NewLab, how: How) -> None:
    """Tunnels come, are rekeyed and go while the disk fails."""
    lab = new(new_lab)
    for gateway in (lab.a, lab.b):
        gateway.start()
    faults = Faults(lab.b)
    calls = Kind.FILES | Kind.RANDOM
    check_new_tunnel(lab)
    lab.b.wait_written()
    held = Counter(descriptors(lab.b.pid))
    for n in range(1, CALLS_MAX):
        faults.begin(calls, n, how)
        check_new_tunnel(lab)
        lab.b.wait_written()
        if not faults.end():
            break
    assert n > 1, "this tests nothing"
    lab.b.wait_log(r"QCD: the SA map can't be written: .*cannot write /.*/samap")
    wait_until("the relief", lambda: try_again(lab), 15, lab.b.tail)
    check_closed(lab.b, held)
    sa = lab.up()
    lab.b.restart()
    reconnect(lab, sa, True)


def try_again(lab: Lab) -> bool:
    """The map is written again, and says so once that has worked for a while."""
    check_new_tunnel(lab)
    return "QCD: the SA map can be written again" in lab.b.log()
