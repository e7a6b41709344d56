# SPDX-License-Identifier: GPL-2.0-or-later
"""Several key exchanges (RFC 9370), which strongSwan has since 6.0."""

import re
import subprocess
from collections.abc import Callable

import pytest

from lab.config import Config
from lab.scenario import Lab
from lab.test_rekeying import assert_recovers, rekey, wait_tokens
from lab.traffic import Probe

NewLab = Callable[..., Lab]


def strongswan_major() -> int:
    done = subprocess.run(
        ["/usr/sbin/swanctl", "--version"], capture_output=True, text=True, check=False
    )
    found = re.search(r"strongSwan (\d+)\.", done.stdout + done.stderr)
    return int(found.group(1)) if found else 0


pytestmark = pytest.mark.skipif(
    strongswan_major() < 6, reason="strongSwan has RFC 9370 from 6.0 on"
)
MULTI_KE = Config(ike_options={"proposals": ["aes128-sha256-x25519-ke1_ecp256"]})


@pytest.mark.parametrize("victim", ["a", "b"])
def test_crash(new_lab: NewLab, victim: str) -> None:
    """IKE_INTERMEDIATE is between IKE_SA_INIT and IKE_AUTH."""
    lab = new_lab(MULTI_KE)
    wait_tokens(lab, lab.up())
    with Probe(lab.a.host, lab.b.host) as pings:
        pings.wait_answer()
        assert_recovers(lab, lab[victim], pings)


@pytest.mark.parametrize("victim", ["a", "b"])
@pytest.mark.parametrize("rekeyer", ["a", "b"])
def test_rekeyed_sa_recovers(new_lab: NewLab, rekeyer: str, victim: str) -> None:
    """The new SA only has its name after an IKE_FOLLOWUP_KE."""
    lab = new_lab(MULTI_KE)
    old = lab.up()
    with Probe(lab.a.host, lab.b.host) as pings:
        pings.wait_answer()
        rekey(lab[rekeyer], lab[rekeyer].established()[0])
        new = lab.a.wait_established(other_than=(old,))
        wait_tokens(lab, new)
        assert_recovers(lab, lab[victim], pings)
