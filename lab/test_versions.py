# SPDX-License-Identifier: GPL-2.0-or-later
"""Versions of strongSwan differ: a child is re-established as each version does it."""

from collections.abc import Callable
from typing import Any

from lab.config import Config
from lab.crash import crash
from lab.gateway import Gateway
from lab.scenario import Lab
from lab.traffic import Probe

NewLab = Callable[..., Lab]
WIDE = "10.1.0.0/16"


def version(gateway: Gateway) -> tuple[int, ...]:
    return tuple(map(int, gateway.command("version")["version"].split(".")))


def child(gateway: Gateway) -> dict[str, Any]:
    (sa,) = gateway.established()
    (found,) = sa.children
    return found


def test_narrowed_child(new_lab: NewLab) -> None:
    """The peer agrees to less than requested, before and after the crash."""
    lab = new_lab(Config(), a=Config(child_options={"remote_ts": [WIDE]}))
    lab.up()
    before = child(lab.a)
    assert before["remote-ts"] == [lab.b.host.inside_net(0)]
    with Probe(lab.a.host, lab.b.host) as pings:
        pings.wait_answer()
        recovery = crash(lab.b, lab.a, pings)
    assert recovery.token_reply
    after = child(lab.a)
    assert after["remote-ts"] == before["remote-ts"]
    assert after["local-ts"] == before["local-ts"]
    assert after["spi-in"] != before["spi-in"]
    if version(lab.a) >= (6, 0):
        assert after["reqid"] == before["reqid"]
