# SPDX-License-Identifier: GPL-2.0-or-later
"""What is drawn once for a walk: how its two gateways relate to each other."""

import random
from dataclasses import dataclass

from lab.config import Config

# charon's retransmissions, in walks in which packets of its own exchanges are lost. By
# default the first one is after 4 s and the next one 7.2 s later.
RETRANSMISSION = 1.0
FAST = {
    "retransmit_timeout": str(RETRANSMISSION),
    "retransmit_base": "1",
    "retransmit_tries": "30",
}


@dataclass(frozen=True)
class Nature:
    """The settings of both gateways."""

    start_a: str  # start_action
    start_b: str
    unique: str
    mobike: bool
    behind_nat: bool  # a is
    fast: bool  # retransmissions
    # The end that rekeys every few seconds. Stock charon may make a child twice if both
    # rekey and packets are lost.
    rekeys: str
    survivor: str  # the end that never crashes

    @classmethod
    def draw(cls, chance: random.Random) -> "Nature":
        starts = chance.choice(["none", "none", "start"])
        unique = chance.choice(["no", "no", "replace", "keep", "never"])
        both = chance.random() < 0.5
        behind_nat = chance.random() < 0.25
        mobike = chance.random() < 0.5
        fast = chance.random() < 0.5
        rekeys = chance.choice(["", "", "", "a", "b"])
        survivor = chance.choice(["a", "b", "a", "b", ""])
        return cls(
            start_a=starts,
            start_b=starts if both and not behind_nat else "none",
            unique=unique,
            # With MOBIKE only DPD, after half a minute, notices that the NAT has changed.
            mobike=mobike and not behind_nat,
            behind_nat=behind_nat,
            # A rekeying may meet any condition that loses packets.
            fast=fast or bool(rekeys),
            rekeys=rekeys,
            # If a crashed, b could not connect to it: it has no mapping for port 500.
            survivor="a" if behind_nat else survivor,
        )

    def config(self, base: Config, name: str) -> Config:
        """Return the configuration of one end."""
        ike = {
            "unique": self.unique,
            "mobike": "yes" if self.mobike else "no",
            "local_addrs": ["%any"],
        }
        child = {}
        if name == self.rekeys:
            # The end of a life is far enough for a rekeying that is refused at first.
            ike |= {"rekey_time": "9s", "over_time": "60s"}
            child = {"rekey_time": "6s", "life_time": "60s"}
        return base.but(
            start_action=self.start_a if name == "a" else self.start_b,
            anywhere=name == "b",
            ike_options=ike,
            child_options=child,
            charon=FAST if self.fast else {},
        )

    def __str__(self) -> str:
        return (
            f"a: {self.start_a}, b: {self.start_b}, unique {self.unique}, "
            f"mobike {self.mobike}, NAT {self.behind_nat}, fast retransmissions "
            f"{self.fast}, short lives at {self.rekeys or 'none'}, survivor "
            f"{self.survivor or 'none'}"
        )
