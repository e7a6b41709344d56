# SPDX-License-Identifier: GPL-2.0-or-later
"""An IKE SA that charon retries gets a new SPI, and a token nevertheless.

If `ikesa_table_size` is above 1, charon merges bits of the old SPI into the new one, so
that the SA stays in its row of the table.
"""

from collections.abc import Callable

import pytest

from lab import ike
from lab.admin import rows
from lab.config import Config
from lab.crash import crash
from lab.scenario import Lab
from lab.traffic import Probe
from lab.wait import wait_until

NewLab = Callable[..., Lab]
SOON = 1.0
TRIES = 4
IMPATIENT = {"retransmit_tries": "1", "retransmit_timeout": "0.2"}


def up_after_tries(lab: Lab) -> None:
    """Bring the tunnel up, after first tries that get no response."""
    for gateway in (lab.a, lab.b):
        gateway.start()
    router, a, b = lab.network.router, lab.a.host, lab.b.host
    with router.drop_ike(b, a, exchange=ike.IKE_AUTH, response=True) as drop:
        lab.a.begin("b")
        lab.a.wait_log(rf"trying again \({TRIES}/0\)")
        wait_until("a lost response", lambda: drop.count, 5.0)
    lab.a.wait_established()


@pytest.mark.parametrize("size", [1, 16, 100, 4096])
def test_token_after_another_try(new_lab: NewLab, size: int) -> None:
    table = {"ikesa_table_size": str(size), "ikesa_table_segments": "4"}
    lab = new_lab(
        Config(charon={**IMPATIENT, **table}, ike_options={"keyingtries": "0"}),
        b=Config(charon=IMPATIENT),
    )
    up_after_tries(lab)
    for gateway in (lab.a, lab.b):
        row = rows(gateway, "sa")[0]
        assert (row["token_sent"], row["token_held"]) == (True, True), gateway.name
    with Probe(lab.b.host, lab.a.host) as pings:
        pings.wait_answer()
        recovery = crash(lab.a, lab.b, pings)
    assert recovery.request_to_answer is not None
    assert recovery.request_to_answer < SOON, str(recovery)


def test_table_that_is_too_large(new_lab: NewLab) -> None:
    """No SPI is found in reasonable time: logged at the start, and for the SA."""
    table = {"ikesa_table_size": str(1 << 17)}
    lab = new_lab(
        Config(charon={**IMPATIENT, **table}, ike_options={"keyingtries": "0"}),
        b=Config(charon=IMPATIENT),
    )
    up_after_tries(lab)
    assert "ikesa_table_size is above 65536" in lab.a.log()
    assert "gets no token" in lab.a.log()
    row = rows(lab.a, "sa")[0]
    assert (row["token_sent"], row["token_held"]) == (False, True)
