# SPDX-License-Identifier: GPL-2.0-or-later
"""A peer that comes back and connects by itself is asked which older IKE SAs it has."""

import time
from collections.abc import Callable

from lab.config import Config
from lab.ike import INFORMATIONAL
from lab.scenario import Lab
from lab.wait import wait_until

NewLab = Callable[..., Lab]
SOON = 2.0  # charon repeats a request after 4 s


def test_question_is_repeated(new_lab: NewLab) -> None:
    """b crashes twice, and its life between dies with a's question.

    With `unique = never` a new IKE SA replaces none.
    """
    lab = new_lab(
        Config(ike_options={"unique": "never"}),
        b=Config(ike_options={"unique": "never"}, start_action="start"),
    )
    lab.a.start()
    lab.b.start()
    lab.a.wait_established()
    ends = lab.a.host, lab.b.host
    with lab.network.router.drop_ike(
        *ends, exchange=INFORMATIONAL, response=False
    ) as drop:
        lab.b.restart()
        wait_until("a question to b", lambda: drop.count, 5.0)
    begun = time.time()
    lab.b.restart()
    lab.a.wait_for("one IKE SA", lambda: len(lab.a.sas()) == 1, timeout=5.0)
    assert time.time() - begun < SOON
    assert lab.a.sas()[0].spis == lab.b.sas()[0].spis
