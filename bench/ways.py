# SPDX-License-Identifier: GPL-2.0-or-later
"""The ways for a peer to notice that its gateway has crashed, stock and with qcd.

DPD is the peer's: the gateway of each lab only answers. The peer's dpd_action is
restart, and all else that is not named here is a default of strongSwan or of qcd.
"""

from dataclasses import dataclass

from lab.config import Config, Settings

# retransmit_tries counts the repetitions: this makes three requests in three seconds.
THREE_TRIES: Settings = {
    "retransmit_tries": 2,
    "retransmit_timeout": 1.0,
    "retransmit_base": 1.0,
}


@dataclass(frozen=True)
class Way:
    """How a peer is set up, and how its recovery is measured."""

    title: str
    config: Config
    nudged: bool = False  # the peer is made to send an IKE request after the restart
    long: bool = False  # it takes minutes, so that its crashes run beside others
    # Seconds after the gateway's return, from the defaults of charon's own timers, if
    # nothing happens within the time of the measurement.
    computed: tuple[float, float] | None = None


_STOCK = Config(qcd=False)
_QCD = Config(esp=False)
# charon rekeys a child after 54 to 60 minutes, then repeats the request for 165 s.
_REKEYING = (165.0, 3600.0 + 165.0)

WAYS = {
    "stock": Way("stock, its defaults: no DPD", _STOCK, long=True, computed=_REKEYING),
    "stock-30": Way(
        "stock, dpd_delay = 30s", _STOCK.but(dpd_delay="30s"), long=True
    ),
    "stock-2": Way(
        "stock, dpd_delay = 2s, 3 tries of 1 s",
        _STOCK.but(dpd_delay="2s", charon=THREE_TRIES),
    ),
    "qcd-ike-30": Way(
        "qcd by IKE, dpd_delay = 30s", _QCD.but(dpd_delay="30s"), long=True
    ),
    "qcd-ike": Way("qcd by IKE, on the peer's next request", _QCD, nudged=True),
    "qcd-esp": Way("qcd by ESP, no DPD", _QCD.but(esp=True)),
    "qcd-announce": Way(
        "qcd by announcement, no DPD", _QCD.but(qcd_options={"announce": "yes"})
    ),
}
